import { z } from 'zod';
import { type Stretch, wholeBefore } from '../../base/erased.ts';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';

/**
 * That a device's data was or is being erased: the table `erasures`, by the device's id. Times in epoch ms. It stays, for what
 * the device still has in its memory from before must not be stored again.
 */
const stretchSchema = z.object({
  from: z.number().describe('0: from the beginning'),
  to: z.number().describe('does not belong to it'),
  until: z.number().describe('what is marked as the account’s and was received before this goes, too'),
  account: z.string().optional().describe('absent: whosever it was'),
});

const counts = z.record(z.string(), z.int());

export const erasureSchema = z.object({
  device: z.string(),
  ids: z.array(z.string()).describe('its id and its aliases'),
  before: z.int().describe('when it was asked for: what was sent, or recorded, before is erased'),
  stretches: z
    .array(stretchSchema)
    .optional()
    .describe('what was received or measured then is erased, of an account only what is its own; absent: all from before'),
  account: z.string().optional().describe('what was asked for last is of its time only; absent: whosever it was'),
  by: z.string().describe('the token that asked'),
  registry: z.enum(['keep', 'remove']).describe('what becomes of its record'),
  instances: z
    .record(z.string(), z.object({ removed: z.record(z.string(), counts), erased: z.int().describe('0: not finished') }))
    .describe('by installation that has begun: what was removed, by part'),
});
export type Erasure = z.infer<typeof erasureSchema>;

/** All that was erased of the device. */
export function stretchesIn({ before, stretches }: Pick<Erasure, 'before' | 'stretches'>): readonly Stretch[] {
  return stretches ?? [wholeBefore(before)];
}

export const ERASURES = new TypedTable<Erasure>({ name: 'erasures', key: byId, parse: rowsOf(erasureSchema) });

/** Has an installation begun that has not finished? */
export function isUnderWay(erasure: Erasure | undefined): boolean {
  return Object.values(erasure?.instances ?? {}).some(({ erased }) => erased === 0);
}
