import { rm, stat } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { readDurable } from '../../src/journal/reader.ts';
import { FaultStorage } from '../helpers/fault-storage.ts';
import { directory, open, read, segments } from './slot.ts';

const texts = (entries: readonly { text: string }[]) => entries.map((entry) => entry.text);

describe('full disk (promise 5)', () => {
  it('6: no room in the middle of a write: the partial write is cut, appends are refused, nothing durable is lost', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const slot = await open(path, { storage });
    slot.append('a');
    await slot.it.flush();
    const size = (await stat((await segments(path))[0] ?? '')).size;
    storage.roomBytes = 50;
    slot.append('b'.repeat(100));
    slot.append('c');
    await slot.it.flush();
    expect(slot.failed).toEqual([{ from: 2, to: 3, code: 'JOURNAL_FAILED' }]);
    expect(slot.durable).toEqual([1]);
    expect(slot.it.state).toBe('full');
    expect(slot.append('d')).toBe(-1);
    expect((await stat((await segments(path))[0] ?? '')).size).toBe(size);

    storage.roomBytes = 0;
    await slot.it.check();
    expect(slot.it.state).toBe('full');

    storage.heal();
    await slot.it.check();
    expect(slot.states).toEqual(['full', 'open']);
    expect(slot.it.reason).toBe('');
    expect(slot.append('e')).toBe(4);
    await slot.it.close();
    expect(await read(path)).toEqual([
      { sequence: 1, text: 'a' },
      { sequence: 4, text: 'e' },
    ]);
  });

  it('2: what gathered during the failing commit fails with it, in one range, exactly once', async () => {
    const storage = new FaultStorage();
    const slot = await open(await directory(), { storage });
    const held = storage.hold('write', /\.seg$/);
    storage.fail('write', /\.seg$/, 'ENOSPC', 1);
    slot.append('a');
    await held.reached;
    slot.append('b');
    slot.append('c');
    held.release();
    await slot.it.flush();
    expect(slot.failed).toEqual([{ from: 1, to: 3, code: 'JOURNAL_FAILED' }]);
    expect(slot.durable).toEqual([]);
    expect(slot.it.pendingBytes).toBe(0);
    await slot.it.close();
  });

  it('6: a quota is no room either', async () => {
    const storage = new FaultStorage();
    const slot = await open(await directory(), { storage });
    storage.fail('sync', /\.seg$/, 'EDQUOT', 1);
    slot.append('a');
    await slot.it.flush();
    expect(slot.it.state).toBe('full');
    await slot.it.close();
  });

  it('6: the reserve and the budget refuse appends and let what is pending through', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const slot = await open(path, { storage, minFreeBytes: 1000, maxBytes: 5000 });
    slot.append('a');
    storage.free = 999;
    await slot.it.check();
    expect(slot.it.state).toBe('full');
    expect(slot.it.reason).toContain('999');
    await slot.it.flush();
    expect(slot.durable).toEqual([1]);
    storage.free = 1000;
    await slot.it.check();
    expect(slot.it.state).toBe('open');
    slot.append('b'.repeat(6000));
    await slot.it.flush();
    await slot.it.check();
    expect(slot.it.state).toBe('full');
    expect(slot.append('c')).toBe(-1);
    await rm((await segments(path))[0] ?? '');
    await slot.it.check();
    await slot.it.check();
    expect(slot.it.state).toBe('open');
    await slot.it.close();
  });

  it('6: a full disk at start opens as full', async () => {
    const storage = new FaultStorage();
    storage.free = 10;
    const slot = await open(await directory(), { storage, minFreeBytes: 1000 });
    expect(slot.it.state).toBe('full');
    expect(slot.states).toEqual(['full']);
    expect(slot.append('a')).toBe(-1);
    await slot.it.close();
  });

  it('6: a check that finds the disk well does not overrule a commit that failed meanwhile', async () => {
    const storage = new FaultStorage();
    const slot = await open(await directory(), { storage, minFreeBytes: 1000 });
    const commit = storage.hold('sync', /\.seg$/);
    storage.fail('sync', /\.seg$/, 'ENOSPC', 1);
    slot.append('a');
    await commit.reached;
    storage.free = 10;
    await slot.it.check();
    storage.free = 1000;
    const probe = storage.hold('sync', /probe$/);
    const check = slot.it.check();
    await probe.reached;
    commit.release();
    await slot.it.flush();
    probe.release();
    await check;
    expect(slot.it.state).toBe('full');
    await slot.it.check();
    expect(slot.it.state).toBe('open');
    await slot.it.close();
  });

  it('6: no room for a new segment', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const slot = await open(path, { storage, segmentBytes: 1 });
    slot.append('a');
    await slot.it.flush();
    storage.roomBytes = 10;
    slot.append('b');
    await slot.it.flush();
    expect(slot.it.state).toBe('full');
    storage.heal();
    await slot.it.check();
    slot.append('c');
    await slot.it.close();
    expect(texts(await read(path))).toEqual(['a', 'c']);
  });
});

describe('sick disk (promise 5)', () => {
  it('5, 9: a failed sync is final for its segment and takes what gathered meanwhile with it; the next commit goes to a new one', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const slot = await open(path, { storage });
    slot.append('a');
    await slot.it.flush();
    const held = storage.hold('sync', /\.seg$/);
    storage.fail('sync', /\.seg$/, 'EIO', 1);
    slot.append('b');
    slot.append('c');
    await held.reached;
    slot.append('d');
    held.release();
    await slot.it.flush();
    expect(slot.failed).toEqual([{ from: 2, to: 4, code: 'JOURNAL_FAILED' }]);
    expect(slot.it.state).toBe('open');
    slot.append('e');
    await slot.it.flush();
    expect(slot.durable).toEqual([1, 5]);
    expect((await segments(path)).map((name) => name.slice(-6, -4))).toEqual(['01', '05']);
    await slot.it.close();
    expect(texts(await read(path))).toEqual(['a', 'e']);
  });

  it('2: a range is reported failed before a watermark passes it', async () => {
    const storage = new FaultStorage();
    const order: string[] = [];
    const slot = await open(await directory(), {
      storage,
      onDurable: (watermark) => order.push(`durable ${watermark}`),
      onFailed: (from, to) => order.push(`failed ${from}-${to}`),
    });
    storage.fail('sync', /\.seg$/, 'EIO', 1);
    slot.append('a');
    await slot.it.flush();
    slot.append('b');
    await slot.it.close();
    expect(order).toEqual(['failed 1-1', 'durable 2']);
  });

  it('4: a segment that cannot be cut stops everything until it can', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const slot = await open(path, { storage });
    slot.append('a');
    await slot.it.flush();
    storage.fail('sync', /\.seg$/, 'EIO', 1);
    storage.fail('truncate', /\.seg$/, 'EIO', 2);
    const held = storage.hold('truncate', /\.seg$/);
    slot.append('b');
    await held.reached;
    slot.append('c');
    held.release();
    await slot.it.flush();
    expect(slot.failed.map(({ from, to }) => [from, to])).toEqual([
      [2, 2],
      [3, 3],
    ]);
    expect(slot.it.state).toBe('sick');
    await slot.it.check();
    expect(slot.it.state).toBe('sick');
    expect(slot.append('d')).toBe(-1);
    await slot.it.check();
    expect(slot.it.state).toBe('open');
    expect(slot.append('e')).toBe(4);
    await slot.it.close();
    expect(texts(await read(path))).toEqual(['a', 'e']);
  });

  it('6: the second failure in a row makes it sick; it recovers by itself', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const slot = await open(path, { storage });
    storage.fail('sync', /./, 'EIO');
    slot.append('a');
    await slot.it.flush();
    expect(slot.it.state).toBe('open');
    slot.append('b');
    await slot.it.flush();
    expect(slot.it.state).toBe('sick');
    expect(slot.it.reason).toContain('EIO');
    await slot.it.check();
    expect(slot.it.state).toBe('sick');
    storage.heal();
    await slot.it.check();
    expect(slot.it.state).toBe('open');
    slot.append('c');
    await slot.it.close();
    expect(slot.failed).toHaveLength(2);
    expect(texts(await read(path))).toEqual(['c']);
  });

  it('6: a write error is no different', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const slot = await open(path, { storage });
    storage.fail('write', /\.seg$/, 'EIO', 1);
    slot.append('a');
    await slot.it.flush();
    slot.append('b');
    await slot.it.close();
    expect(texts(await read(path))).toEqual(['b']);
  });

  it('8: a disk that hangs holds nothing but the answers; it shows after a while, and passes', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    let elapsed = 0;
    const slot = await open(path, { storage, stallMs: 1000, clock: { now: () => 0, elapsed: () => elapsed } });
    const held = storage.hold('sync', /\.seg$/);
    slot.append('a', 3_000);
    await held.reached;
    expect(slot.append('b', 3_500)).toBe(2);
    // The clock was set back.
    expect(slot.append('c', 500)).toBe(3);
    elapsed = 1001;
    await slot.it.check();
    expect(slot.it.state).toBe('sick');
    expect(slot.it.stalledMs).toBe(1001);
    // What gathers behind it, or was received just before it, is not older. The wall clock may be set meanwhile.
    for (const now of [5_000, 90_000_000]) expect(slot.it.settledUntil(now)).toBe(500 - 1_000);
    expect(slot.it.settledUntil(200)).toBe(200 - 1_000);
    expect(slot.append('d')).toBe(-1);
    expect(slot.durable).toEqual([]);
    held.release();
    await slot.it.flush();
    await slot.it.check();
    expect(slot.it.state).toBe('open');
    expect(slot.durable).toEqual([1, 3]);
    expect(slot.it.settledUntil(5_000)).toBe(5_000);
    await slot.it.close();
  });

  it('short writes are finished', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    storage.maxWriteBytes = 7;
    const slot = await open(path, { storage });
    for (const text of ['a', 'bb', 'c'.repeat(200)]) slot.append(text);
    await slot.it.close();
    expect(texts(await read(path))).toEqual(['a', 'bb', 'c'.repeat(200)]);
  });

  it('12: while the watermark cannot be written no answer goes out; once it can, they do', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const slot = await open(path, { storage });
    slot.append('a');
    await slot.it.flush();
    // The disk fills up in the middle of it.
    const held = storage.hold('write', /durable$/);
    slot.append('b');
    await held.reached;
    storage.roomBytes = 8;
    held.release();
    await slot.it.flush();
    expect([slot.durable, slot.failed, slot.it.durable, slot.it.state]).toEqual([[1], [], 1, 'sick']);
    // What others read is what it said before.
    expect(await readDurable(path)).toBe(1);
    expect(texts(await read(path))).toEqual(['a']);
    storage.roomBytes = 0;
    await slot.it.check();
    expect([slot.durable, slot.it.state]).toEqual([[1], 'full']);
    storage.heal();
    await slot.it.check();
    expect([slot.durable, slot.it.state]).toEqual([[1, 2], 'open']);
    expect(await readDurable(path)).toBe(2);
    expect(texts(await read(path))).toEqual(['a', 'b']);
    await slot.it.close();
    expect(slot.durable).toEqual([1, 2]);
  });

  it('12: what gathered meanwhile is marked with what waits, or fails alone, and a close marks what it can', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const slot = await open(path, { storage });
    const unmarked = async (text: string): Promise<void> => {
      const held = storage.hold('write', /durable$/);
      storage.fail('write', /durable$/, 'EIO', 1);
      slot.append(text);
      await held.reached;
      held.release();
    };
    await unmarked('a');
    slot.append('b');
    await slot.it.flush();
    expect([slot.durable, slot.it.state]).toEqual([[2], 'sick']);
    await slot.it.check();
    expect([slot.durable, slot.it.state]).toEqual([[2], 'open']);
    await unmarked('c');
    storage.fail('sync', /seg$/, 'EIO', 1);
    slot.append('d');
    await slot.it.flush();
    expect([slot.durable, slot.failed.map(({ from, to }) => [from, to])]).toEqual([[2], [[4, 4]]]);
    await slot.it.check();
    expect([slot.durable, slot.it.state]).toEqual([[2, 3], 'open']);
    storage.fail('write', /durable$/, 'EIO', 1);
    slot.append('e');
    await slot.it.flush();
    expect(slot.durable).toEqual([2, 3]);
    await slot.it.close();
    expect(slot.durable).toEqual([2, 3, 5]);
    expect(texts(await read(path))).toEqual(['a', 'b', 'c', 'e']);
  });

  it('12: what a closing journal cannot mark is no answer, and the next start has it', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const slot = await open(path, { storage });
    storage.fail('write', /durable$/, 'EIO');
    slot.append('a');
    await slot.it.close();
    expect([slot.durable, slot.failed]).toEqual([[], []]);
    expect(await readDurable(path)).toBe(0);
    await (await open(path)).it.close();
    expect(texts(await read(path))).toEqual(['a']);
  });

  it('6: want of a descriptor says nothing of the disk: what is open stays so, and what is not says why it cannot be looked at', async () => {
    for (const code of ['EMFILE', 'ENFILE']) {
      const storage = new FaultStorage();
      const slot = await open(await directory(), { storage, minFreeBytes: 1000 });
      storage.fail('free', /./, code);
      await slot.it.check();
      expect([slot.it.state, slot.it.reason, slot.states], code).toEqual(['open', '', []]);
      slot.append('a');
      await slot.it.flush();
      expect(slot.durable).toEqual([1]);
      storage.heal();
      storage.free = 999;
      await slot.it.check();
      storage.fail('free', /./, code);
      await slot.it.check();
      expect([slot.it.state, slot.it.reason], code).toEqual(['sick', `${code}: free`]);
      storage.heal();
      await slot.it.check();
      expect([slot.it.state, slot.it.reason, slot.states]).toEqual(['open', '', ['full', 'sick', 'open']]);
      await slot.it.close();
    }
  });

  it('6: a look that fails for another reason stops what is open: for want of room as full, else as sick', async () => {
    for (const [code, state] of [
      ['ENOSPC', 'full'],
      ['EDQUOT', 'full'],
      ['EIO', 'sick'],
      ['EACCES', 'sick'],
    ] as const) {
      const storage = new FaultStorage();
      const slot = await open(await directory(), { storage });
      storage.fail('free', /./, code, 1);
      await slot.it.check();
      expect([slot.it.state, slot.it.reason, slot.append('a')]).toEqual([state, `${code}: free`, -1]);
      await slot.it.check();
      expect([slot.it.state, slot.append('a')]).toEqual(['open', 1]);
      await slot.it.close();
    }
  });

  it('a segment removed from under the writer is noticed, and the next commit goes to a new one', async () => {
    const path = await directory();
    const slot = await open(path);
    slot.append('a');
    await slot.it.flush();
    await rm((await segments(path))[0] ?? '');
    await slot.it.check();
    expect(slot.it.state).toBe('sick');
    await slot.it.check();
    expect(slot.it.state).toBe('open');
    slot.append('b');
    await slot.it.close();
    expect(texts(await read(path))).toEqual(['b']);
  });
});
