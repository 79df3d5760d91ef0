import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { every } from '../../../src/base/beat.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('what is done once a second is done in one turn, by one timer, and ends when it is ended', async () => {
  const done: string[] = [];
  const work = (): void => void done.push('a');
  const ends = [every(1000, work)];
  await vi.advanceTimersByTimeAsync(400);
  ends.push(
    every(1000, work),
    every(1000, () => done.push('b')),
  );
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(600);
  expect(done).toEqual(['a', 'a', 'b']);
  ends[0]?.();
  await vi.advanceTimersByTimeAsync(1000);
  expect(done.slice(3)).toEqual(['a', 'b']);
  for (const end of ends) end();
  expect(vi.getTimerCount()).toBe(0);
  const again = every(1000, work);
  await vi.advanceTimersByTimeAsync(1000);
  expect(done.slice(5)).toEqual(['a']);
  again();
});

test('another interval has its own timer', async () => {
  let done = 0;
  const end = every(250, () => done++);
  await vi.advanceTimersByTimeAsync(1000);
  expect(done).toBe(4);
  end();
  expect(vi.getTimerCount()).toBe(0);
});
