import { z } from 'zod';

/** A parameter with several values: `a,b`, or given several times. */
export function listOf<T extends z.ZodType<unknown, string>>(item: T, most: number) {
  const split = (value: unknown): unknown => (typeof value === 'string' ? value.split(',') : value);
  return z.preprocess(split, z.array(item).min(1).max(most));
}
