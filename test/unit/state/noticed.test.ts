import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Noticed } from '../../../src/state/noticed.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A file that counts how often it is looked at. */
function rig() {
  const file = { looks: 0, isChanged: false, watched: 0 };
  let written = (): void => {};
  const noticed = new Noticed({
    watch: (tell) => {
      file.watched++;
      written = tell;
      return () => file.watched--;
    },
    look: () => {
      file.looks++;
      const { isChanged } = file;
      file.isChanged = false;
      return isChanged;
    },
    clock: { now: () => Date.now(), elapsed: () => Date.now() },
  });
  const change = (isSaid: boolean): void => {
    file.isChanged = true;
    if (isSaid) written();
  };
  return { file, noticed, change };
}

test('a file that is not written is looked at every two seconds', async () => {
  const { file, noticed } = rig();
  await vi.advanceTimersByTimeAsync(20_000);
  expect(file.looks).toBe(10);
  noticed.stop();
  await vi.advanceTimersByTimeAsync(20_000);
  expect([file.looks, file.watched]).toEqual([10, 0]);
});

test('one that was written is looked at once, at once after a rest', async () => {
  const { file, noticed, change } = rig();
  await vi.advanceTimersByTimeAsync(1_000);
  for (let n = 0; n < 3; n++) change(true);
  await vi.advanceTimersByTimeAsync(0);
  expect([file.looks, file.isChanged]).toEqual([1, false]);
  noticed.stop();
});

test('one that is written all the time is looked at every 100 ms, and once behind the last write', async () => {
  const { file, noticed, change } = rig();
  for (let ms = 0; ms < 1_000; ms++) {
    change(true);
    await vi.advanceTimersByTimeAsync(1);
  }
  expect(file.looks).toBe(10);
  change(true);
  await vi.advanceTimersByTimeAsync(100);
  expect([file.looks, file.isChanged]).toEqual([11, false]);
  noticed.stop();
});

test('where the system does not say it, three changes are found late, and then each within 100 ms, until it does', async () => {
  const { file, noticed, change } = rig();
  for (let n = 0; n < 3; n++) {
    change(false);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(file.isChanged).toBe(false);
  }
  change(false);
  await vi.advanceTimersByTimeAsync(100);
  expect(file.isChanged).toBe(false);
  change(true);
  await vi.advanceTimersByTimeAsync(100);
  const before = file.looks;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(file.looks - before).toBe(5);
  noticed.stop();
});
