import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LoopLag } from '../../../src/roles/lifecycle.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('the worst delay of the event loop is seen once, and none where there was none', async () => {
  const lag = new LoopLag({ now: () => Date.now(), elapsed: () => Date.now() });
  await vi.advanceTimersByTimeAsync(1020);
  expect(lag.take()).toBe(0);
  for (const late of [300, 40]) {
    vi.setSystemTime(Date.now() + late);
    await vi.advanceTimersByTimeAsync(500);
  }
  // A look that was asked for is none of a timer's.
  expect(lag.take()).toBeCloseTo(0.28, 6);
  vi.setSystemTime(Date.now() + 700);
  expect(lag.take()).toBeGreaterThanOrEqual(0.65);
  expect(lag.take()).toBe(0);
  lag.stop();
});
