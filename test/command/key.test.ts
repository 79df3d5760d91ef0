import { expect, it } from 'vitest';
import { BUILTIN_CODECS } from '../../src/codec/builtin.ts';
import { nextKey } from '../../src/fleet/command/key.ts';

const DAY = Date.UTC(2026, 9, 1);
const HALF_DAY_S = 43_200;

it.each(BUILTIN_CODECS.map((codec) => [codec.name, codec.highestKey] as const))(
  '%s: a key of any second of two days can be carried, and comes again after more than half a day',
  (_, highest) => {
    const last = new Map<number, number>();
    for (let second = 0; second < 2 * 86_400; second++) {
      const key = nextKey(DAY + 1000 * second, 0, highest);
      if (!(key >= 1 && key <= highest)) expect([second, key]).toEqual([second, 'within']);
      const before = last.get(key);
      // The first second of a day shares the key of the next.
      if (before !== undefined && second - before > 1 && second - before <= HALF_DAY_S) expect([second, before]).toBe('apart');
      last.set(key, second);
    }
    expect(last.size).toBe(Math.min(highest, 86_399));
    for (const second of [0, 65_535, 86_399]) {
      const key = nextKey(DAY + 1000 * second, 0, highest);
      expect(nextKey(DAY + 1000 * second, key, highest)).not.toBe(key);
    }
  },
);
