import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Telling } from '../../../src/roles/telling.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('without a client it is told once a second; with one ten times, from the moment at which it is asked for', async () => {
  let told = 0;
  let isHasty = false;
  const telling = new Telling(
    () => told++,
    () => isHasty,
  );
  await vi.advanceTimersByTimeAsync(3_000);
  telling.look();
  expect([told, vi.getTimerCount()]).toEqual([3, 1]);
  isHasty = true;
  telling.look();
  telling.look();
  await vi.advanceTimersByTimeAsync(950);
  expect(told).toBe(3 + 9);
  isHasty = false;
  await vi.advanceTimersByTimeAsync(50);
  expect([told, vi.getTimerCount()]).toEqual([13, 1]);
  isHasty = true;
  // Of itself within a second.
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told).toBe(14);
  await vi.advanceTimersByTimeAsync(500);
  expect(told).toBe(19);
  telling.stop();
  await vi.advanceTimersByTimeAsync(5_000);
  expect([told, vi.getTimerCount()]).toEqual([19, 0]);
});
