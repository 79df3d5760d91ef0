import { expect, test } from 'vitest';
import { ResendWindow } from '../../src/out/ship/window.ts';

test('knows what it was told, by id and time, and nothing else', () => {
  const window = new ResendWindow(64);
  expect(window.add(1, 2, 1000)).toBe(true);
  expect(window.add(1, 2, 1000)).toBe(false);
  expect(window.add(1, 2, 1001)).toBe(true);
  expect(window.add(2, 2, 1000)).toBe(true);
  expect(window.add(1, 3, 1000)).toBe(true);
  window.clear();
  expect(window.add(1, 2, 1000)).toBe(true);
});

test('remembers at least the last generation and forgets within two, however ids collide', () => {
  const slots = 256;
  const generation = slots / 2;
  const window = new ResendWindow(slots);
  const seen = new Map<string, number>();
  let added = 0;
  let random = 7;
  for (let i = 0; i < 20_000; i++) {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
    // Few low bits, so that many ids share a place in the table.
    const high = random >>> 8;
    const low = (random >>> 24) % 5;
    const time = 1000 + (high % 300);
    const key = `${high % 1000} ${low} ${time}`;
    const isNew = window.add(high % 1000, low, time);
    const before = seen.get(key);
    if (!isNew) expect(before).toBeDefined();
    // Only records that were new take room.
    if (before !== undefined && added - before <= generation) expect(isNew).toBe(false);
    if (isNew) seen.set(key, added++);
  }
});

test('forgets: old records make room', () => {
  const window = new ResendWindow(64);
  window.add(9, 9, 9);
  for (let i = 0; i < 63; i++) window.add(i, i, 1000);
  expect(window.add(9, 9, 9)).toBe(true);
});

test('a record read in another zone is the same record, on another day or under the same options it is not', () => {
  const window = new ResendWindow(64);
  const hour = 3_600_000;
  const time = 1_784_118_896_000;
  expect(window.add(1, 2, time, 1)).toBe(true);
  expect(window.add(1, 2, time - 8 * hour, 2)).toBe(false);
  expect(window.add(1, 2, time + 345 * 60_000, 2)).toBe(false);
  expect(window.add(1, 3, time - 8 * hour, 2)).toBe(true);
  expect(window.add(1, 2, time - 8 * hour, 1)).toBe(true);
  expect(window.add(1, 2, time + 24 * hour, 2)).toBe(true);
  expect(window.add(1, 3, time + 19 * hour, 3)).toBe(true);
  expect(window.add(1, 2, time + 30_500, 2)).toBe(true);
});

test('a record in another zone is known behind half as many others as there are slots, and forgotten behind as many: then it is a second row', () => {
  const slots = 64;
  const first = 1_784_118_896_000;
  const later = first - 8 * 3_600_000;
  const behind = (others: number): boolean => {
    const window = new ResendWindow(slots);
    window.add(1, 2, first, 1);
    for (let n = 0; n < others; n++) window.add(n, 3, first, 1);
    return window.add(1, 2, later, 2);
  };
  for (let others = 0; others < slots / 2; others++) expect(behind(others), `${others} others`).toBe(false);
  expect(behind(slots)).toBe(true);
});

test('once cleared, knows nothing of either generation', () => {
  const window = new ResendWindow(64);
  for (const records of [0, 1, 31, 32, 33, 64, 100]) {
    for (let i = 0; i < records; i++) expect(window.add(i, i, 1000 + i)).toBe(true);
    window.clear();
    for (let i = 0; i < records; i++) expect(window.add(i, i, 1000 + i)).toBe(true);
    window.clear();
  }
});
