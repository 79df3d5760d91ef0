import { z } from 'zod';

/** A parameter with several values: `a,b`, or given several times. */
export function listOf<T extends z.ZodType<unknown, string>>(item: T, most: number) {
  const split = (value: unknown): unknown => (typeof value === 'string' ? value.split(',') : value);
  return z.preprocess(split, z.array(item).min(1).max(most));
}

/** Where a list that begins with the newest goes on: time and id of the last row, from `next` of the page before. */
export const newestFirst = z
  .string()
  .regex(/^\d{1,16}-[0-9a-f]{16}$/, 'must be `next` of the page before')
  .optional()
  .describe('`next` of the page before');
