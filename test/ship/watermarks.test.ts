import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { nodeStorage, type Storage, type StorageFile } from '../../src/base/files.ts';
import { silentLog } from '../../src/base/log.ts';
import { WatermarkFile, watermarkBuffer } from '../../src/journal/watermark.ts';
import { isSlot, Watermarks } from '../../src/out/ship/watermarks.ts';

const LOOKS = 1000;

/** Watermark files of slots in memory, which count how often they are read. */
class Slots {
  readonly marks = new Map<string, number>();
  reads = 0;
  /** Files that are open. */
  open = 0;
  /** What a read does before it reads, and a look for slots before it lists. */
  before: (slot: string) => Promise<void> = async () => {};
  readonly #tell = new Map<string, () => void>();

  readonly storage: Storage = {
    ...nodeStorage,
    list: async () => {
      await this.before('');
      return [...this.marks.keys()];
    },
    stat: async () => ({ bytes: 16, modified: 0 }),
    open: async (path) => {
      const slot = String(path.split('/').at(-2));
      this.open++;
      return {
        ...FILE,
        close: async () => void this.open--,
        read: async (target) => {
          this.reads++;
          const bytes = await bytesOf(this.marks.get(slot) ?? 0);
          await this.before(slot);
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

function watermarks(slots: Slots, watch?: typeof slots.watch, log = silentLog): Watermarks {
  const clock = { now: () => Date.now(), elapsed: () => Date.now() };
  return new Watermarks('journal', { storage: slots.storage, clock, order: () => 0, log, watch });
}

/** The next read of a slot's file has what was there and does not come back until it is let go. */
function held(slots: Slots, slot: string): { readonly reached: Promise<void>; readonly letGo: () => void } {
  const [reached, free] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  slots.before = async (one) => {
    if (one !== slot) return;
    slots.before = async () => {};
    reached.resolve();
    await free.promise;
  };
  return { reached: reached.promise, letGo: free.resolve };
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

test('who asks while a look is under way waits for it, and for one more where something was written since it began', async () => {
  const slots = new Slots();
  slots.write('0', 1);
  const marks = watermarks(slots, slots.watch);
  await marks.look();
  slots.write('0', 2);
  const hold = held(slots, '0');
  const asked: Promise<unknown>[] = [marks.refresh()];
  await hold.reached;
  let done = 0;
  asked.push(marks.refresh(), marks.look());
  for (const one of asked) void one.then(() => done++);
  await vi.advanceTimersByTimeAsync(LOOKS);
  expect([done, marks.durable.get('0'), marks.told]).toEqual([0, 1, false]);
  hold.letGo();
  await Promise.all(asked);
  expect([done, marks.durable.get('0'), slots.reads]).toEqual([3, 2, 3]);

  slots.write('0', 3);
  const next = held(slots, '0');
  const first = marks.refresh();
  await next.reached;
  slots.write('0', 4);
  const second = marks.refresh();
  const plain = marks.look();
  next.letGo();
  await first;
  expect(marks.durable.get('0')).toBe(3);
  await Promise.all([second, plain]);
  expect([marks.durable.get('0'), marks.told]).toEqual([4, false]);
  await marks.close();
});

test('a close waits for the look under way, and leaves no file open', async () => {
  for (const slot of ['', '0', '1']) {
    const slots = new Slots();
    slots.write('0', 1);
    slots.write('1', 1);
    const marks = watermarks(slots, slots.watch);
    const hold = held(slots, slot);
    marks.start();
    await hold.reached;
    let isClosed = false;
    const closed = marks.close().then(() => {
      isClosed = true;
    });
    await vi.advanceTimersByTimeAsync(LOOKS);
    expect(isClosed).toBe(false);
    hold.letGo();
    await closed;
    expect([slots.open, slots.watched, vi.getTimerCount()], `held at "${slot}"`).toEqual([0, 0, 0]);
  }
  const marks = watermarks(new Slots());
  marks.start();
  await vi.advanceTimersByTimeAsync(LOOKS);
  expect(vi.getTimerCount()).toBe(1);
  await marks.close();
  expect(vi.getTimerCount()).toBe(0);
});

test('a slot that cannot be read is said once for each reason until it is over, and holds up no other', async () => {
  const slots = new Slots();
  slots.write('0', 1);
  slots.write('1', 1);
  const said: object[] = [];
  const error = (fields: object, message: string): void => void said.push({ ...fields, message });
  const marks = watermarks(slots, slots.watch, { ...silentLog, error });
  expect([await marks.look(), said]).toEqual([true, []]);
  let faults: Record<string, string> = { 0: 'EIO: read' };
  slots.before = async (slot) => {
    const fault = faults[slot];
    if (fault !== undefined) throw new Error(fault);
  };
  const message = 'a journal watermark cannot be read; delivery of its slot waits';
  slots.write('0', 2);
  slots.write('1', 2);
  expect([await marks.look(), await marks.look()]).toEqual([false, false]);
  expect(Object.fromEntries(marks.durable)).toEqual({ 0: 1, 1: 2 });
  expect(said.splice(0)).toEqual([{ slot: '0', reason: 'EIO: read', message }]);
  faults = { 0: 'EIO: read', 1: 'EIO: read' };
  await marks.look();
  expect(said.splice(0)).toEqual([{ slot: '1', reason: 'EIO: read', message }]);
  faults = { 0: 'ESTALE: read' };
  await marks.look();
  expect(said.splice(0)).toEqual([{ slot: '0', reason: 'ESTALE: read', message }]);
  faults = {};
  expect([await marks.look(), Object.fromEntries(marks.durable)]).toEqual([true, { 0: 2, 1: 2 }]);
  faults = { '': 'EACCES: list' };
  expect([await marks.look(), await marks.look(true), await marks.look(true)]).toEqual([true, false, false]);
  expect(said.splice(0)).toEqual([{ slot: '', reason: 'EACCES: list', message }]);
  faults = {};
  expect([await marks.look(true), said]).toEqual([true, []]);
  // What comes again when it was over is said again.
  faults = { 0: 'ESTALE: read' };
  await marks.look();
  faults = { '': 'EACCES: list' };
  await marks.look(true);
  expect(said).toEqual([
    { slot: '0', reason: 'ESTALE: read', message },
    { slot: '', reason: 'EACCES: list', message },
  ]);
  await marks.close();
});

test.each(['before the look', 'during the look'])('a move that is told %s is none that the system keeps to itself', async (when) => {
  const slots = new Slots();
  slots.write('0', 1);
  const marks = watermarks(slots, slots.watch);
  await marks.look();
  if (when === 'before the look') {
    slots.write('0', 2);
    await marks.refresh();
  } else {
    slots.write('0', 2, false);
    const hold = held(slots, '0');
    const look = marks.look();
    await hold.reached;
    slots.write('0', 2);
    hold.letGo();
    await look;
    await marks.refresh();
  }
  /** How often the file is read in the second behind a move of which nothing is said. */
  const move = async (mark: number): Promise<number> => {
    slots.write('0', mark, false);
    await marks.look();
    const before = slots.reads;
    await vi.advanceTimersByTimeAsync(LOOKS);
    return slots.reads - before;
  };
  marks.start();
  await vi.advanceTimersByTimeAsync(LOOKS / 2);
  expect([await move(3), await move(4)]).toEqual([1, 1]);
  expect(await move(5)).toBeGreaterThan(20);
  await marks.close();
});

test('a slot is a directory whose name is a number of nine digits at most', () => {
  const names = ['0', '17', '123456789', '1234567890', '', 'a', '1a', 'a1', '-1', '1.5', 'backup', '0\n'];
  expect(names.filter(isSlot)).toEqual(['0', '17', '123456789']);
});
