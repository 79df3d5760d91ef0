import { readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EntryKind } from '../../src/journal/entry.ts';
import { JournalReader } from '../../src/journal/reader.ts';
import { recover } from '../../src/journal/recovery.ts';
import { dropRelayed } from '../../src/journal/relayed.ts';
import { FaultStorage } from '../helpers/fault-storage.ts';
import { eventually, remains } from '../support/wait.ts';
import { directory, drain, nth, ORIGIN, open, read, segments, type Watched } from './slot.ts';

const RELAY = { keep: null, relay: true };

function relay(slot: Watched, text: string): number {
  const bytes = Buffer.from(text);
  return slot.it.append(ORIGIN, EntryKind.Frame, 1_700_000_000_000, 7, 1, bytes, 0, bytes.length, RELAY);
}

const texts = async (path: string): Promise<string[]> => (await read(path)).map(({ text }) => text);
const marked = async (path: string): Promise<string[]> => (await readdir(path)).filter((name) => name.endsWith('.relay'));
const contents = async (path: string): Promise<string> =>
  (await Promise.all((await segments(path)).map((segment) => readFile(segment, 'latin1')))).join('');

const drop = (path: string, delivered: number, more: Partial<Parameters<typeof dropRelayed>[0]> = {}) =>
  dropRelayed({
    directory: path,
    delivered,
    claim: async () => null,
    onDamage: (damage) => {
      throw new Error(JSON.stringify(damage));
    },
    ...more,
  });

describe('rotate', () => {
  it('puts what was appended into segments that are not written any more, in traffic and when idle', async () => {
    const path = await directory();
    const slot = await open(path);
    for (let round = 0; round < 5; round++) {
      slot.append(`before ${round}`);
      const rotating = slot.it.rotate();
      const traffic = setInterval(() => slot.append(`traffic ${round}`), 1);
      await rotating;
      const files = await segments(path);
      const finished = (await Promise.all(files.slice(0, -1).map((file) => readFile(file, 'latin1')))).join('');
      expect(finished).toContain(`before ${round}`);
      clearInterval(traffic);
      await slot.it.flush();
      expect((await Promise.all(files.slice(0, -1).map((file) => readFile(file, 'latin1')))).join('')).toBe(finished);
    }
    await slot.it.rotate();
    // Nothing was appended since: the newest is empty already.
    const files = await segments(path);
    await slot.it.rotate();
    expect(await segments(path)).toEqual(files);
    await slot.it.close();
    // What another process wrote is finished when this one has rotated, also when it never wrote anything.
    const again = await open(path);
    await again.it.rotate();
    expect(await segments(path)).toEqual(files);
    again.append('after');
    await again.it.flush();
    expect(await texts(path)).toContain('after');
    await again.it.close();
    const third = await open(path);
    await third.it.rotate();
    expect((await segments(path)).length).toBe(files.length + 1);
    await third.it.close();
    expect((await recover(path)).missing).toBe(false);
  });

  it('waits for a disk without room, and ends when the journal is closed', async () => {
    const path = await directory();
    const storage = new FaultStorage();
    const slot = await open(path, { storage });
    slot.append('a');
    await slot.it.flush();
    storage.fail('open', /\.seg$/, 'ENOSPC');
    let rotated = false;
    const rotating = slot.it.rotate().then(() => {
      rotated = true;
    });
    await remains(() => expect(rotated).toBe(false), 50);
    storage.heal();
    await slot.it.check();
    await rotating;
    expect(await segments(path)).toHaveLength(2);
    storage.fail('open', /\.seg$/, 'ENOSPC');
    slot.append('b');
    await slot.it.flush();
    const last = slot.it.rotate();
    await slot.it.close();
    await last;
  });
});

describe('entries marked relay', () => {
  it('9: are not in the segment that is written after a restart, also when nothing is written', async () => {
    const path = await directory();
    const before = await open(path);
    relay(before, 'private');
    await before.it.close();
    expect(await segments(path)).toHaveLength(1);
    const slot = await open(path);
    await eventually(async () => expect(await segments(path)).toHaveLength(2));
    slot.append('public');
    await slot.it.close();
    expect(await marked(path)).toEqual(['0000000000000001.relay']);
    // Without any the last segment is left alone.
    await (await open(path)).it.close();
    expect((await segments(path)).length).toBe(2);
  });

  it('9: are announced beside their segment before they are durable, and rotate it at their age, also when idle', async () => {
    const path = await directory();
    let elapsed = 0;
    const storage = new FaultStorage();
    const slot = await open(path, { storage, clock: { now: () => 0, elapsed: () => elapsed }, relayAgeMs: 1000 });
    slot.append('kept');
    await slot.it.flush();
    expect(await marked(path)).toEqual([]);
    const held = storage.hold('write', /\.seg$/);
    relay(slot, 'private');
    await held.reached;
    expect(await marked(path)).toEqual(['0000000000000001.relay']);
    held.release();
    await slot.it.flush();
    elapsed = 999;
    await slot.it.check();
    slot.append('kept');
    await slot.it.flush();
    expect(await segments(path)).toHaveLength(1);
    elapsed = 1000;
    await slot.it.check();
    await slot.it.rotate();
    expect(await segments(path)).toHaveLength(2);
    // The new one holds none, and gets as old as any.
    slot.append('kept');
    await slot.it.flush();
    elapsed = 500_000;
    slot.append('kept');
    await slot.it.flush();
    expect(await segments(path)).toHaveLength(2);
    await slot.it.close();
  });

  it('leave the journal when they have been delivered, and nothing else does', async () => {
    const path = await directory();
    const slot = await open(path);
    slot.append('first');
    for (let i = 0; i < 1000; i++) relay(slot, `private ${i}`);
    slot.append('middle');
    relay(slot, 'private last');
    await slot.it.rotate();
    relay(slot, 'private new');
    await slot.it.flush();
    const old = nth(await segments(path), 0);
    await utimes(old, 1_700_000_000, 1_700_000_000);
    expect(await drop(path, 1002)).toBe(0);
    expect(await texts(path)).toHaveLength(1004);
    // Somebody who is reading the old file reads on.
    const reader = new JournalReader(path);
    expect(await reader.fill()).toBe(true);
    expect(await drop(path, 1003)).toBe(1001);
    expect((await drain(reader)).length).toBe(1004);
    await reader.close();
    expect(await texts(path)).toEqual(['first', 'middle', '', 'private new']);
    expect((await read(path)).map(({ sequence }) => sequence)).toEqual([1, 1002, 1003, 1004]);
    expect(await contents(path)).not.toMatch(/private (last|\d)/);
    expect(Math.round((await stat(old)).mtimeMs)).toBe(1_700_000_000_000);
    expect(await marked(path)).toEqual(['00000000000003ec.relay']);
    await slot.it.close();
    // A power cut that takes the watermark: the numbers of what went are not given out again.
    await rm(nth(await segments(path), 1));
    await rm(join(path, 'durable'));
    expect(await recover(path)).toMatchObject({ nextSequence: 1004, order: 1_700_000_000_000_000, damages: [] });
  });

  it('leave the newest segment of a slot that nobody writes, while it is claimed', async () => {
    const path = await directory();
    const slot = await open(path);
    slot.append('kept');
    relay(slot, 'private');
    await slot.it.close();
    expect(await drop(path, 2)).toBe(0);
    let claimed = 0;
    const claim = async () => {
      claimed++;
      return () => void claimed--;
    };
    expect(await drop(path, 1, { claim })).toBe(0);
    expect(await drop(path, 2, { claim })).toBe(1);
    expect([claimed, await texts(path), await marked(path)]).toEqual([0, ['kept', ''], []]);
    const again = await open(path);
    expect(again.append('next')).toBe(3);
    await again.it.close();
  });

  it('are there or gone, whatever fails on the way, and go the next time', async () => {
    for (const [operation, pattern] of [
      ['write', /\.seg\.new$/],
      ['sync', /\.seg\.new$/],
      ['rename', /\.seg$/],
      ['syncDirectory', /./],
      ['remove', /\.relay$/],
    ] as const) {
      const path = await directory();
      const slot = await open(path);
      slot.append('first');
      relay(slot, 'private');
      slot.append('last');
      await slot.it.rotate();
      const storage = new FaultStorage();
      storage.fail(operation, pattern, 'EIO', 1);
      await expect(drop(path, 3, { storage })).rejects.toMatchObject({ code: 'EIO' });
      const left = await texts(path);
      expect([
        ['first', 'private', 'last'],
        ['first', 'last'],
      ]).toContainEqual(left);
      await drop(path, 3, { storage });
      expect([operation, await texts(path), await marked(path)]).toEqual([operation, ['first', 'last'], []]);
      await slot.it.close();
    }
  });
});

describe('invariant 1 of taking out', () => {
  it('what was appended while the claim was waited for has not been delivered, and stays', async () => {
    const path = await directory();
    const slot = await open(path);
    relay(slot, 'delivered');
    await slot.it.flush();
    // The worker takes one more before it ends and its slot can be claimed.
    const claim = async (): Promise<() => void> => {
      relay(slot, 'acknowledged');
      await slot.it.close();
      return () => {};
    };
    expect(await drop(path, 1, { claim })).toBe(1);
    expect(await texts(path)).toEqual(['acknowledged']);
    expect(await marked(path)).toHaveLength(1);
    expect(await drop(path, 2, { claim: async () => () => {} })).toBe(1);
    expect([await texts(path), await marked(path)]).toEqual([[''], []]);
  });
});
