import { beforeEach, expect, it } from 'vitest';
import { Windows } from '../../../src/fleet/privacy/windows.ts';

/** Numbers quote the invariants of src/fleet/privacy/windows.ts. */

let now: number;
let told: string[];
/** How many calls fail. */
let fails: number;
let windows: Windows<{ readonly n: number }>;

beforeEach(() => {
  [now, told, fails] = [0, [], 0];
  windows = new Windows(
    100,
    3,
    () => now,
    async ({ n }, count) => {
      if (fails-- > 0) throw new Error('away');
      told.push(`${n} ×${count}`);
    },
  );
});

it('the first is told at once, the others of its window when that has passed, with the last of them', async () => {
  for (let n = 1; n <= 3; n++) await windows.note('a', { n });
  await windows.note('b', { n: 9 });
  expect(told).toEqual(['1 ×1', '9 ×1']);
  now = 99;
  await windows.sweep(false);
  expect([told.length, windows.has('a')]).toEqual([2, true]);
  now = 100;
  expect(windows.has('a')).toBe(false);
  await windows.sweep(false);
  expect(told.slice(2)).toEqual(['3 ×2']);
  await windows.sweep(false);
  expect(told).toHaveLength(3);
  await windows.note('a', { n: 4 });
  expect(told.at(-1)).toBe('4 ×1');
});

it('what goes on in a window that has passed opens another', async () => {
  await windows.note('a', { n: 1 });
  await windows.note('a', { n: 2 });
  now = 100;
  await windows.note('a', { n: 3 });
  await windows.note('a', { n: 4 });
  expect([told, windows.has('a')]).toEqual([['1 ×1', '3 ×1'], true]);
  await windows.sweep(true);
  // One of the first window and one of the second.
  expect(told.at(-1)).toBe('4 ×2');
});

it('a sweep of all leaves a window open that has not passed', async () => {
  await windows.note('a', { n: 1 });
  await windows.note('a', { n: 2 });
  await windows.sweep(true);
  await windows.note('a', { n: 3 });
  expect(told).toEqual(['1 ×1', '2 ×1']);
  now = 100;
  await windows.sweep(false);
  expect(told.at(-1)).toBe('3 ×1');
});

it('1: what could not be told is told later', async () => {
  fails = 1;
  await expect(windows.note('a', { n: 1 })).rejects.toThrow('away');
  await windows.note('a', { n: 2 });
  now = 100;
  fails = 1;
  await expect(windows.sweep(false)).rejects.toThrow('away');
  expect(told).toEqual([]);
  await windows.sweep(false);
  expect(told).toEqual(['2 ×2']);
});

it('1: what comes while a window is told that has not passed is told, too', async () => {
  let during = (): void => {};
  const counts: number[] = [];
  const slow = new Windows<{ readonly n: number }>(
    100,
    3,
    () => now,
    async (_, count) => {
      counts.push(count);
      during();
    },
  );
  await slow.note('a', { n: 1 });
  await slow.note('a', { n: 2 });
  during = () => {
    during = () => {};
    void slow.note('a', { n: 3 });
    now = 100;
  };
  await slow.sweep(true);
  await slow.sweep(false);
  expect(counts).toEqual([1, 1, 1]);
});

it('1: with more keys than it remembers, the one that is oldest is told of what it counts', async () => {
  for (const key of ['a', 'a', 'b', 'c']) await windows.note(key, { n: 1 });
  expect(told).toHaveLength(3);
  await windows.note('d', { n: 2 });
  expect(told.slice(3)).toEqual(['1 ×1', '2 ×1']);
  expect(['a', 'b', 'c', 'd'].map((key) => windows.has(key))).toEqual([false, true, true, true]);
});
