import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { nodeStorage, type Storage, type StorageFile } from '../../src/base/files.ts';
import { silentLog } from '../../src/base/log.ts';
import { WatermarkFile, watermarkBuffer } from '../../src/journal/watermark.ts';
import { Watermarks } from '../../src/out/ship/watermarks.ts';

const LOOKS = 1000;

/** Watermark files of slots in memory, which count how often they are read. */
class Slots {
  readonly marks = new Map<string, number>();
  reads = 0;
  readonly #tell = new Map<string, () => void>();

  readonly storage: Storage = {
    ...nodeStorage,
    list: async () => [...this.marks.keys()],
    stat: async () => ({ bytes: 16, modified: 0 }),
    open: async (path) => {
      const slot = String(path.split('/').at(-2));
      return {
        ...FILE,
        read: async (target) => {
          this.reads++;
          const bytes = await bytesOf(this.marks.get(slot) ?? 0);
          target.set(bytes);
          return bytes.length;
        },
      };
    },
  };

  readonly watch = (path: string, written: () => void): (() => void) => {
    this.#tell.set(path, written);
    return () => {
      if (this.#tell.get(path) === written) this.#tell.delete(path);
    };
  };

  tell(path: string): void {
    this.#tell.get(path)?.();
  }

  get watched(): number {
    return this.#tell.size;
  }

  write(slot: string, mark: number, isSaid = true): void {
    this.marks.set(slot, mark);
    if (isSaid) this.#tell.get(`journal/${slot}/durable`)?.();
  }
}

const FILE: StorageFile = {
  read: async () => 0,
  write: async (_bytes, start, end) => end - start,
  sync: async () => {},
  truncate: async () => {},
  size: async () => 16,
  close: async () => {},
};

/** A watermark file. */
async function bytesOf(mark: number): Promise<Buffer> {
  const bytes = watermarkBuffer();
  const write: StorageFile['write'] = async (from, start, end, at) => {
    bytes.set(from.subarray(start, end), at);
    return end - start;
  };
  await (await WatermarkFile.open('', { ...nodeStorage, open: async () => ({ ...FILE, write }) })).write(mark);
  return bytes;
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function watermarks(slots: Slots, watch?: typeof slots.watch): Watermarks {
  const clock = { now: () => Date.now(), elapsed: () => Date.now() };
  return new Watermarks('journal', { storage: slots.storage, clock, order: () => 0, log: silentLog, watch });
}

test('what the system says is written is told at once, and looked at when it is asked for: nothing else but once a second', async () => {
  const slots = new Slots();
  slots.write('0', 1);
  const marks = watermarks(slots, slots.watch);
  let told = 0;
  marks.onMove(() => told++);
  marks.start();
  await vi.advanceTimersByTimeAsync(100);
  const before = slots.reads;
  await vi.advanceTimersByTimeAsync(10 * LOOKS);
  expect(slots.reads - before).toBeLessThanOrEqual(10);
  await marks.refresh();
  expect(slots.reads - before).toBeLessThanOrEqual(10);
  told = 0;
  slots.write('0', 2);
  expect([told, marks.told]).toEqual([1, true]);
  await marks.refresh();
  expect([marks.durable.get('0'), marks.told]).toEqual([2, false]);
  await marks.close();
  expect(slots.watched).toBe(0);
});

test('of many writes the first is told, and one look finds them all', async () => {
  const slots = new Slots();
  slots.write('0', 1);
  const marks = watermarks(slots, slots.watch);
  marks.start();
  await vi.advanceTimersByTimeAsync(100);
  let told = 0;
  marks.onMove(() => told++);
  const before = slots.reads;
  for (let mark = 2; mark < 502; mark++) {
    slots.write('0', mark);
    await vi.advanceTimersByTimeAsync(1);
  }
  expect(told).toBe(1);
  expect(slots.reads - before).toBe(0);
  await Promise.all([marks.refresh(), marks.refresh()]);
  expect(marks.durable.get('0')).toBe(501);
  expect(slots.reads - before).toBe(1);
  await marks.close();
});

test('what nobody asks for is looked at within a second', async () => {
  const slots = new Slots();
  slots.write('0', 1);
  const marks = watermarks(slots, slots.watch);
  marks.start();
  await vi.advanceTimersByTimeAsync(100);
  slots.write('0', 2);
  await vi.advanceTimersByTimeAsync(LOOKS);
  expect(marks.durable.get('0')).toBe(2);
  await marks.close();
});

test('where the system says nothing, files are looked at all the time, until it does', async () => {
  const slots = new Slots();
  slots.write('0', 1);
  const marks = watermarks(slots, slots.watch);
  marks.start();
  for (let mark = 2; mark < 5; mark++) {
    slots.write('0', mark, false);
    await vi.advanceTimersByTimeAsync(LOOKS);
    expect(marks.durable.get('0')).toBe(mark);
  }
  slots.write('0', 9, false);
  await vi.advanceTimersByTimeAsync(25);
  expect(marks.durable.get('0')).toBe(9);
  slots.write('0', 10);
  await vi.advanceTimersByTimeAsync(25);
  const before = slots.reads;
  await vi.advanceTimersByTimeAsync(10 * LOOKS);
  expect(slots.reads - before).toBeLessThanOrEqual(11);
  await marks.close();
});

test('while nothing moves they are looked at every ten seconds, and at once when the system says something', async () => {
  const slots = new Slots();
  slots.write('0', 1);
  const marks = watermarks(slots, slots.watch);
  marks.start();
  await vi.advanceTimersByTimeAsync(10 * LOOKS);
  expect(marks.isStill).toBe(true);
  const before = slots.reads;
  await vi.advanceTimersByTimeAsync(60 * LOOKS);
  expect(slots.reads - before).toBe(6);
  // Written without a word.
  slots.write('0', 2, false);
  await vi.advanceTimersByTimeAsync(10 * LOOKS);
  expect([marks.durable.get('0'), marks.isStill]).toEqual([2, false]);
  await vi.advanceTimersByTimeAsync(10 * LOOKS);
  slots.write('0', 3);
  expect(marks.isStill).toBe(false);
  await vi.advanceTimersByTimeAsync(LOOKS);
  expect(marks.durable.get('0')).toBe(3);
  await vi.advanceTimersByTimeAsync(10 * LOOKS);
  slots.marks.set('1', 7);
  slots.tell('journal');
  await vi.advanceTimersByTimeAsync(LOOKS);
  expect(marks.durable.get('1')).toBe(7);
  await marks.close();
  expect(slots.watched).toBe(0);
});

test('a slot that is new is found when another moves', async () => {
  const slots = new Slots();
  slots.write('0', 1);
  const marks = watermarks(slots, slots.watch);
  marks.start();
  await vi.advanceTimersByTimeAsync(100);
  slots.write('1', 7);
  slots.write('0', 2);
  await marks.refresh();
  expect(Object.fromEntries(marks.durable)).toEqual({ 0: 2, 1: 7 });
  await marks.close();
});
