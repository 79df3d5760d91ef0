import { z } from 'zod';
import type { Op, StateStore } from '../../state/store.ts';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';

/** That a device's data must be kept, for a court or an insurer: a row of the table `holds`, by its id and by each of its aliases. */
export const holdSchema = z.object({
  device: z.string(),
  reference: z.string().describe('number of the case'),
  reason: z.string(),
  until: z.int().optional().describe('epoch ms; absent: until it is ended'),
  since: z.int().describe('epoch ms'),
  by: z.string().describe('the token that asked'),
});
export type Hold = z.infer<typeof holdSchema>;

export const HOLDS = new TypedTable<Hold>({ name: 'holds', key: byId, parse: rowsOf(holdSchema) });

export function stands({ until }: Hold, now: number): boolean {
  return until === undefined || now < until;
}

/**
 * For those who remove something of a device: the condition of the write that there is still no hold; undefined while one stands, or one
 * that cannot be read. `now`: epoch ms.
 */
export async function unheld(store: Pick<StateStore, 'get'>, id: string, now: number): Promise<Op | undefined> {
  const text = await store.get('holds', id);
  const hold = HOLDS.read(text);
  const isHeld = hold === undefined ? text !== undefined : stands(hold, now);
  return isHeld ? undefined : HOLDS.expect(text, id);
}
