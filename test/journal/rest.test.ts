import { expect, it, onTestFinished, vi } from 'vitest';
import { nodeStorage } from '../../src/base/files.ts';
import { directory, open } from './slot.ts';

it('6: room is looked for every second while something is written, every ten seconds otherwise, and every second while there is none', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  let freeBytes = 1_000_000_000;
  const storage = { ...nodeStorage, freeBytes: async () => freeBytes };
  const slot = await open(await directory(), { storage, checkMs: 1000, minFreeBytes: 1_000_000 });
  const looks = vi.spyOn(slot.it, 'check');
  /** So many seconds, and how often it was looked in them. */
  const pass = async (seconds: number): Promise<number> => {
    looks.mockClear();
    for (let second = 0; second < seconds; second++) {
      vi.advanceTimersByTime(1000);
      await Promise.all(looks.mock.results.map(({ value }) => value));
    }
    return looks.mock.calls.length;
  };
  await pass(10);
  expect(await pass(30)).toBe(3);
  for (const text of ['a', 'b', 'c']) {
    slot.append(text);
    await slot.it.flush();
    expect(await pass(1)).toBe(1);
  }
  freeBytes = 10;
  slot.append('d');
  await slot.it.flush();
  await pass(1);
  expect(slot.it.state).toBe('full');
  expect(await pass(5)).toBe(5);
  freeBytes = 1_000_000_000;
  await pass(1);
  expect(slot.it.state).toBe('open');
  await slot.it.close();
});
