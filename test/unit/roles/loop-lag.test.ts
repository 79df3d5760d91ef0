import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LoopLag } from '../../../src/roles/lifecycle.ts';

const clock = { now: () => Date.now(), elapsed: () => Date.now() };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('the worst delay of the event loop is seen once, and none where there was none', async () => {
  const lag = new LoopLag(clock, () => 0.5);
  await vi.advanceTimersByTimeAsync(1020);
  expect(lag.take()).toBe(0);
  for (const late of [300, 40]) {
    vi.setSystemTime(Date.now() + late);
    await vi.advanceTimersByTimeAsync(500);
  }
  // A look that was asked for is none of a timer's.
  expect(lag.take()).toBeCloseTo(0.3, 6);
  vi.setSystemTime(Date.now() + 700);
  expect(lag.take()).toBeGreaterThanOrEqual(0.65);
  expect(lag.take()).toBe(0);
  lag.stop();
});

test('a loop that is busy for less than a tenth of the time is looked at twice a second, and more often from then on when it is', async () => {
  let share = 0.09;
  let asked = 0;
  const lag = new LoopLag(clock, () => {
    asked++;
    return share;
  });
  await vi.advanceTimersByTimeAsync(5_000);
  expect(asked).toBe(11);
  // In less than a tenth of 500 ms there is no delay of 50 ms; a longer one is seen.
  vi.setSystemTime(Date.now() + 800);
  expect(lag.take()).toBeGreaterThanOrEqual(0.3);
  share = 0.1;
  await vi.advanceTimersByTimeAsync(500);
  asked = 0;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(asked).toBe(20);
  lag.stop();
});
