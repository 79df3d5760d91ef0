import { z } from 'zod';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';

/** What retention has done and is doing with a device: the table `retained`, by the id that its rows have. Times in epoch ms. */
const claim = z.object({ by: z.string(), until: z.number() });
const retainedSchema = z.object({
  usage: z.number().describe('usage rows from before this were removed; 0: none'),
  running: z
    // Earlier versions knew of one only.
    .union([claim.transform((one) => [one]), z.array(claim)])
    .optional()
    .describe('the runs that are removing rows, each at most so long'),
});
type Retained = z.infer<typeof retainedSchema>;

export const RETAINED = new TypedTable<Retained>({ name: 'retained', key: byId, parse: rowsOf(retainedSchema) });

export function isRetaining(row: Retained | undefined, now: number): boolean {
  return othersRunning(row, '', now).length > 0;
}

/** The claims that have not run out, without those of `by`. */
export function othersRunning(row: Retained | undefined, by: string, now: number): NonNullable<Retained['running']> {
  return (row?.running ?? []).filter((one) => one.by !== by && now < one.until);
}
