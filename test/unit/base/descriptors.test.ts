import { readdirSync, readlinkSync } from 'node:fs';
import { expect, it, vi } from 'vitest';
import { connectionsWithin, isExhausted, Vitals, withReserve } from '../../../src/base/descriptors.ts';

const NONE_LEFT = Object.assign(new Error('no descriptor is left'), { code: 'EMFILE' });

/** How many descriptors of the null device this process has. */
function held(): number {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === '/dev/null';
    } catch {
      return false;
    }
  }).length;
}

it('work that finds no descriptor is done once more with those that were held back, which are held back again then', async () => {
  const found: number[] = [];
  const work = async (): Promise<string> => {
    found.push(held());
    if (found.length < 2) throw NONE_LEFT;
    return 'done';
  };
  const before = held();
  expect(await withReserve(work)).toBe('done');
  const after = held();
  expect(found).toEqual([after, after - 4]);
  expect(after - before).toBeOneOf([0, 4]);
});

it('work that fails again, or otherwise, has failed', async () => {
  let tries = 0;
  const failing = (error: Error) => async (): Promise<void> => {
    tries++;
    throw error;
  };
  await expect(withReserve(failing(NONE_LEFT))).rejects.toBe(NONE_LEFT);
  expect(tries).toBe(2);
  const other = Object.assign(new Error('full'), { code: 'ENOSPC' });
  await expect(withReserve(failing(other))).rejects.toBe(other);
  expect(tries).toBe(3);
  expect([NONE_LEFT, other, Object.assign(new Error(), { code: 'ENFILE' }), undefined].map(isExhausted)).toEqual([
    true,
    false,
    true,
    false,
  ]);
});

it('a process says that it has no descriptor left, and its memory of before, until it has one again', () => {
  const vitals = new Vitals().take();
  const { memoryBytes } = vitals;
  expect([memoryBytes > 0, vitals.exhausted]).toEqual([true, false]);
  const rss = vi.spyOn(process.memoryUsage, 'rss').mockImplementation(() => {
    throw NONE_LEFT;
  });
  vitals.take();
  expect([vitals.memoryBytes, vitals.exhausted]).toEqual([memoryBytes, true]);
  rss.mockRestore();
  expect(vitals.take().exhausted).toBe(false);
});

it.each([
  ['all that are wanted, where the limit leaves them', 1000, 1128, 1000],
  ['what 128 others leave of it', 1000, 1127, 999],
  ['half of a small limit', 1000, 100, 50],
  ['one at least', 1000, 1, 1],
  ['without a limit, all', 1000, Number.POSITIVE_INFINITY, 1000],
])('connections: %s', (_, wanted, descriptors, expected) => {
  expect(connectionsWithin(wanted, descriptors)).toBe(expected);
});
