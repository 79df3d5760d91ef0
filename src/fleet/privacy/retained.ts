import { z } from 'zod';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';

/** What retention has done and is doing with a device: the table `retained`, by the id that its rows have. Times in epoch ms. */
const retainedSchema = z.object({
  usage: z.number().describe('usage rows from before this were removed; 0: none'),
  running: z.object({ by: z.string(), until: z.number() }).optional().describe('the installation that is removing rows, at most so long'),
});
type Retained = z.infer<typeof retainedSchema>;

export const RETAINED = new TypedTable<Retained>({ name: 'retained', key: byId, parse: rowsOf(retainedSchema) });

export function isRetaining(row: Retained | undefined, now: number): boolean {
  return row?.running !== undefined && now < row.running.until;
}
