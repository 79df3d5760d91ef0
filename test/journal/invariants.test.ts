import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nodeStorage } from '../../src/base/files.ts';
import { Definition } from '../../src/journal/definition.ts';
import { EntryKind, MAX_ENTRY_BYTES, MAX_KEEP_BYTES, MAX_PAYLOAD_BYTES, Origin } from '../../src/journal/entry.ts';
import { JournalReader, readDurable } from '../../src/journal/reader.ts';
import { FaultStorage } from '../helpers/fault-storage.ts';
import { eventually, remains } from '../support/wait.ts';
import { directory, drain, nth, ORIGIN, open, read, segments } from './slot.ts';

describe('journal invariants', () => {
  it('1: nothing is announced before write and sync are over, and the watermark file is not behind', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const marks: number[] = [];
    const slot = await open(path, { storage, onDurable: () => storage.log.push('announced') });
    const held = storage.hold('sync', /\.seg$/);
    slot.append('a');
    await held.reached;
    expect(storage.log).not.toContain('announced');
    expect(slot.it.durable).toBe(0);
    expect(slot.it.pendingBytes).toBeGreaterThan(0);
    held.release();
    await slot.it.flush();
    marks.push(await readDurable(path));
    const steps = storage.log.filter((step) => /(write|sync|announced)/.test(step) && !step.includes('syncDirectory'));
    expect(steps.slice(-4)).toEqual(['write 0000000000000001.seg', 'sync 0000000000000001.seg', 'write durable', 'announced']);
    expect(marks).toEqual([1]);
    expect(slot.it.pendingBytes).toBe(0);
    await slot.it.close();
  });

  it('1: a new segment is in its directory, durably, before anything in it is announced', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const slot = await open(path, { storage });
    const held = storage.hold('syncDirectory', /./);
    slot.append('a');
    await held.reached;
    expect(slot.durable).toEqual([]);
    held.release();
    await slot.it.flush();
    expect(slot.durable).toEqual([1]);
    await slot.it.close();
  });

  it('1: one commit takes all that gathered while the one before was in flight', async () => {
    const storage = new FaultStorage();
    const slot = await open(await directory(), { storage });
    const held = storage.hold('sync', /\.seg$/);
    slot.append('a');
    slot.append('b');
    await held.reached;
    for (let i = 0; i < 100; i++) slot.append(`c${i}`);
    held.release();
    await slot.it.flush();
    expect(slot.durable).toEqual([2, 102]);
    expect(slot.it.commits).toBe(2);
    await slot.it.close();
  });

  it('3: sequences begin at 1, rise by one, and go on after a restart', async () => {
    const path = await directory();
    const first = await open(path);
    expect([first.append('a'), first.append('b')]).toEqual([1, 2]);
    await first.it.close();
    const second = await open(path);
    expect(second.append('c')).toBe(3);
    await second.it.close();
    expect((await read(path)).map((entry) => entry.text)).toEqual(['a', 'b', 'c']);
  });

  it('3: a restart without entries reuses no number and leaves no pile of empty segments', async () => {
    const path = await directory();
    for (let i = 0; i < 5; i++) await (await open(path)).it.close();
    const slot = await open(path);
    expect(slot.append('a')).toBe(1);
    await slot.it.close();
    expect(await segments(path)).toHaveLength(1);
  });

  it('3: a slot that never had an entry can begin at a number of choice, one that had does not', async () => {
    const path = await directory();
    const slot = await open(path, { firstSequence: 2 ** 40 });
    expect(slot.append('a')).toBe(2 ** 40);
    await slot.it.close();
    const again = await open(path, { firstSequence: 2 ** 50 });
    expect(again.append('b')).toBe(2 ** 40 + 1);
    await again.it.close();
    expect(await read(path)).toHaveLength(2);
  });

  it('7: what is pending is bounded, and bytes are copied, not kept', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const slot = await open(path, { storage, maxPendingBytes: 2 * MAX_ENTRY_BYTES });
    const held = storage.hold('sync', /\.seg$/);
    const bytes = Buffer.alloc(100_000, 'x');
    let accepted = 0;
    while (slot.it.append(ORIGIN, EntryKind.Frame, 1, 0, 1, bytes, 0, bytes.length) > 0) {
      accepted++;
      bytes.fill(97 + (accepted % 26));
      if (accepted > 100) break;
    }
    expect(accepted).toBe(20);
    expect(slot.it.state).toBe('open');
    expect(slot.it.refused).toBe(1);
    await held.reached;
    held.release();
    await slot.it.flush();
    expect(slot.it.append(ORIGIN, EntryKind.Frame, 1, 0, 1, bytes, 0, bytes.length)).toBe(21);
    await slot.it.close();
    const entries = await read(path);
    expect(entries[0]?.text).toBe('x'.repeat(100_000));
    expect(entries[1]?.text).toBe('b'.repeat(100_000));
  });

  it('7: the largest payload fits, a larger entry is refused', async () => {
    const path = await directory();
    const slot = await open(path);
    const longest = new Origin(new Definition('c'.repeat(255), 'tcp'), 'd'.repeat(255), 'p'.repeat(255));
    const bytes = Buffer.alloc(MAX_PAYLOAD_BYTES + 1, 'x');
    expect(slot.it.append(longest, EntryKind.Frame, 1, 0, 1, bytes, 0, MAX_PAYLOAD_BYTES)).toBe(1);
    expect(slot.it.append(longest, EntryKind.Frame, 1, 0, 1, bytes, 0, MAX_PAYLOAD_BYTES + 1)).toBe(-1);
    // A mask is room taken, and one that `head` could not step over is refused.
    const one = { keep: Uint8Array.of(1), relay: false };
    expect(slot.it.append(longest, EntryKind.Frame, 1, 0, 1, bytes, 0, MAX_PAYLOAD_BYTES, one)).toBe(-1);
    expect(slot.it.append(longest, EntryKind.Frame, 1, 0, 1, bytes, 0, MAX_PAYLOAD_BYTES - 1, one)).toBe(2);
    const many = { keep: new Uint8Array(MAX_KEEP_BYTES + 1).fill(255), relay: false };
    expect(slot.it.append(longest, EntryKind.Frame, 1, 0, 8 * MAX_KEEP_BYTES + 1, bytes, 0, 9, many)).toBe(-1);
    expect(slot.it.append(longest, EntryKind.Frame, 1, 0, 8 * MAX_KEEP_BYTES, bytes, 0, 9, many)).toBe(3);
    await slot.it.close();
    const reader = new JournalReader(path, nodeStorage);
    expect(await reader.fill()).toBe(true);
    expect(reader.peek()?.peer).toBe('p'.repeat(255));
    expect(reader.peek()?.end).toBe((reader.peek()?.start ?? 0) + MAX_PAYLOAD_BYTES);
    reader.advance();
    for (const [length, records] of [
      [MAX_PAYLOAD_BYTES - 1, 1],
      [9, 8 * MAX_KEEP_BYTES],
    ] as const) {
      expect(await reader.fill()).toBe(true);
      const entry = reader.peek();
      expect([entry?.accepted, (entry?.end ?? 0) - (entry?.start ?? 0), entry?.keeps(records - 1)]).toEqual([records, length, true]);
      reader.advance();
    }
    await reader.close();
  });

  it('rotates by size and by age, and names each segment after its first entry', async () => {
    const path = await directory();
    let elapsed = 0;
    const clock = { now: () => 0, elapsed: () => elapsed };
    const slot = await open(path, { clock, segmentBytes: 300, segmentAgeMs: 1000 });
    for (let i = 0; i < 5; i++) {
      slot.append('x'.repeat(100));
      await slot.it.flush();
    }
    elapsed = 1000;
    slot.append('y');
    await slot.it.close();
    const names = (await segments(path)).map((name) => name.slice(-20));
    expect(names).toEqual(['0000000000000001.seg', '0000000000000003.seg', '0000000000000005.seg', '0000000000000006.seg']);
    expect((await read(path)).map((entry) => entry.sequence)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('a closed journal refuses, and has written what it had accepted', async () => {
    const path = await directory();
    const slot = await open(path);
    slot.append('a');
    await Promise.all([slot.it.close(), slot.it.close()]);
    expect(slot.durable).toEqual([1]);
    expect(slot.append('b')).toBe(-1);
    expect(slot.it.state).toBe('closed');
    expect((await readFile(join(path, 'durable'))).readBigUInt64LE()).toBe(1n);
  });

  it('readers see an entry once it is durable, and not before', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const slot = await open(path, { storage });
    const reader = new JournalReader(path, nodeStorage);
    expect(await reader.fill()).toBe(false);
    slot.append('a');
    await slot.it.flush();
    expect((await drain(reader)).map((entry) => entry.text)).toEqual(['a']);
    const held = storage.hold('sync', /\.seg$/);
    slot.append('b');
    await held.reached;
    expect(await reader.fill()).toBe(false);
    held.release();
    await slot.it.flush();
    expect(nth(await drain(reader), 0)).toEqual({ sequence: 2, text: 'b' });
    await reader.close();
    await slot.it.close();
  });

  it('13: while little comes a commit waits for the pace, and not when many wait, on a flush, or after a pause', async () => {
    const slot = await open(await directory(), { paceMs: 600_000 });
    slot.append('after a pause');
    await eventually(() => expect(slot.durable).toEqual([1]));
    slot.append('soon after');
    await remains(() => expect(slot.durable).toEqual([1]), 100);
    for (let i = 0; i < 31; i++) slot.append(`many ${i}`);
    await eventually(() => expect(slot.durable).toEqual([1, 33]));
    slot.append('flushed');
    await slot.it.flush();
    expect([slot.durable, slot.it.commits]).toEqual([[1, 33, 34], 3]);
    slot.append('closed');
    await slot.it.close();
    expect(slot.durable).toEqual([1, 33, 34, 35]);
  });

  it('13: the pace is over by itself', async () => {
    const slot = await open(await directory(), { paceMs: 5 });
    for (const text of ['a', 'b', 'c']) {
      slot.append(text);
      await eventually(() => expect(slot.durable.at(-1)).toBe(slot.it.entries));
    }
    await slot.it.close();
  });

  it('13: a pace that is over finds what a failed commit dropped gone', async () => {
    const storage = new FaultStorage();
    const slot = await open(await directory(), { storage, paceMs: 5 });
    slot.append('a');
    await slot.it.flush();
    storage.fail('sync', /\.seg$/, 'EIO', 1);
    slot.append('b');
    await eventually(() => expect(slot.failed).toEqual([{ from: 2, to: 2, code: 'JOURNAL_FAILED' }]));
    slot.append('c');
    await eventually(() => expect(slot.durable.at(-1)).toBe(3));
    await slot.it.close();
  });
});
