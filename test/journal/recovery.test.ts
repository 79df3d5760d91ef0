import { appendFile, copyFile, cp, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readDurable } from '../../src/journal/reader.ts';
import { recover } from '../../src/journal/recovery.ts';
import { FaultStorage } from '../helpers/fault-storage.ts';
import { rounds } from '../support/thorough.ts';
import { directory, entryPlaces, nth, open, places, read, seeded, segments } from './slot.ts';

/** Entries `count` of 41 + text bytes in one segment; returns the segment's path. */
async function filled(path: string, count: number, segmentBytes?: number): Promise<string> {
  const slot = await open(path, { segmentBytes });
  for (let i = 1; i <= count; i++) {
    slot.append(`entry ${i}`);
    if (segmentBytes !== undefined) await slot.it.flush();
  }
  await slot.it.close();
  return nth(await segments(path), -1);
}

const sequences = (entries: readonly { sequence: number }[]) => entries.map((entry) => entry.sequence);

describe('recovery', () => {
  it('reads a segment once, however many entries it has', async () => {
    const path = await directory();
    await filled(path, 5000);
    const storage = new FaultStorage();
    expect((await recover(path, storage)).entries).toBe(5000);
    expect(storage.log.filter((step) => /^read .*\.seg$/.test(step)).length).toBeLessThan(10);
  });

  it('finds nothing to do in a slot that does not exist, and in one that was closed', async () => {
    const path = await directory();
    expect(await recover(join(path, 'none'))).toEqual({
      entries: 0,
      order: 0,
      cutBytes: 0,
      nextSequence: 1,
      durable: 0,
      damages: [],
      relayed: false,
      missing: false,
    });
    await filled(path, 3);
    expect(await recover(path)).toEqual({
      order: 1_700_000_000_000_000,
      entries: 3,
      cutBytes: 0,
      nextSequence: 4,
      durable: 3,
      damages: [],
      relayed: false,
      missing: false,
    });
  });

  it('cuts a tail torn at any byte of the last entry, and the slot goes on', async () => {
    const path = await directory();
    const file = await filled(path, 3);
    const whole = await readFile(file);
    await truncate(join(path, 'durable'), 0);
    const last = nth(await entryPlaces(file), -1);
    for (let length = last.offset; length < whole.length; length++) {
      const torn = await directory();
      await writeFile(join(torn, file.slice(-20)), whole.subarray(0, length));
      const report = await recover(torn);
      const rest = length - last.offset;
      expect(report).toEqual({
        order: 1_700_000_000_000_000,
        entries: 2,
        cutBytes: rest,
        nextSequence: 3,
        durable: 2,
        damages: [],
        relayed: false,
        missing: false,
      });
      expect((await stat(join(torn, file.slice(-20)))).size).toBe(last.offset);
      expect(await readDurable(torn)).toBe(2);
    }
    await writeFile(file, whole.subarray(0, -5));
    const slot = await open(path);
    expect(slot.append('next')).toBe(3);
    await slot.it.close();
    expect((await read(path)).map((entry) => entry.text)).toEqual(['entry 1', 'entry 2', 'next']);
  });

  it('cuts a header torn at any byte, and reuses the file', async () => {
    const path = await directory();
    const file = await filled(path, 1);
    const whole = await readFile(file);
    const lengths = [...Array(35).keys(), 512, 4095, 4096, 4097, 4127, 4128];
    for (const length of lengths) {
      const torn = await directory();
      await writeFile(join(torn, file.slice(-20)), whole.subarray(0, length));
      // With a whole copy, there is nothing to cut: what is missing are zeros and the other one.
      const cutBytes = length < 32 ? length : 0;
      expect(await recover(torn)).toMatchObject({ entries: 0, cutBytes, nextSequence: 1, damages: [] });
      const slot = await open(torn);
      expect(slot.append('again')).toBe(1);
      await slot.it.close();
      expect(await read(torn)).toEqual([{ sequence: 1, text: 'again' }]);
    }
  });

  it('a segment without a header is cut where only a part of one was written, and kept with its numbers where more was', async () => {
    const path = await directory();
    const whole = await readFile(await filled(path, 1));
    /** The first `length` bytes of zeros, with a byte that says something at each of `written`. */
    const blank = (length: number, ...written: number[]): Buffer => {
      const bytes = Buffer.alloc(length);
      for (const at of written) bytes[at] = 1;
      return bytes;
    };
    const torn = Buffer.from(whole.subarray(0, 4128 - 1));
    torn[3] = 0;
    for (const [name, bytes, isCut] of [
      ['nothing', blank(0), true],
      ['a part of the first copy', blank(32, 0, 31), true],
      ['zeros where the first sector was lost', blank(512), true],
      ['zeros up to the end of the header', blank(4128), true],
      ['a byte behind the first copy', blank(33, 32), false],
      ['a byte in the middle', blank(4096, 2000), false],
      ['a byte at the end of the header', blank(4128, 4127), false],
      ['zeros longer than a header', blank(4129), false],
      ['two copies, both damaged', torn, false],
    ] as const) {
      const copy = await directory();
      const file = join(copy, '0000000000000005.seg');
      await writeFile(file, bytes);
      const taken = 4 + (isCut ? 0 : 1 + Math.ceil(bytes.length / 42));
      const damages = isCut ? [] : [{ file, offset: 0, bytes: bytes.length }];
      const report = { entries: 0, cutBytes: isCut ? bytes.length : 0, damages, nextSequence: taken + 1 };
      expect(await recover(copy), name).toMatchObject(report);
      expect((await stat(file)).size, name).toBe(isCut ? 0 : bytes.length);
    }
  });

  it('cuts a tail of zeros and a tail of garbage', async () => {
    const random = seeded(5);
    for (const tail of [Buffer.alloc(5000), Buffer.from(Array.from({ length: 5000 }, () => random() * 256))]) {
      const path = await directory();
      const file = await filled(path, 2);
      await appendFile(file, tail);
      expect(await recover(path)).toMatchObject({ entries: 2, cutBytes: 5000, nextSequence: 3, damages: [] });
    }
  });

  it('a flipped bit anywhere costs the entry it is in, cuts nothing behind which something sound follows, and is reported', async () => {
    const path = await directory();
    const file = await filled(path, 3);
    const whole = await readFile(file);
    const stand = await places(file);
    const bits = Array.from({ length: whole.length * 8 }, (_, bit) => bit).filter((bit) => {
      // Of the zeros between the two headers, a few: nothing reads them.
      const at = bit >> 3;
      return at < 32 || at >= 4096 ? bit % rounds(35, 7) === 0 : bit % 4001 === 0;
    });
    for (const bit of bits) {
      const flipped = Buffer.from(whole);
      const at = bit >> 3;
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (bit & 7));
      const copy = await directory();
      const damaged = join(copy, file.slice(-20));
      await writeFile(damaged, flipped);
      await copyFile(join(path, 'durable'), join(copy, 'durable'));
      const report = await recover(copy);
      const hit = stand.find(({ offset, bytes }) => at >= offset && at < offset + bytes) ?? {
        sequence: 0,
        offset: at < 32 ? 0 : 4096,
        bytes: at < 32 || at >= 4096 ? 32 : 0,
      };
      // A definition stands there twice, as the header does: without one of them, everything is read.
      expect(sequences(await read(copy)), `bit ${bit}`).toEqual([1, 2, 3].filter((sequence) => sequence !== hit.sequence));
      expect(report.nextSequence).toBe(4);
      if (hit.sequence === 3) expect(report).toMatchObject({ cutBytes: hit.bytes, damages: [], relayed: false, missing: true });
      else {
        const { offset, bytes } = hit;
        expect(report).toMatchObject({
          cutBytes: 0,
          relayed: false,
          missing: false,
          damages: bytes === 0 ? [] : [{ file: damaged, offset, bytes }],
        });
      }
    }
  });

  it('reports damage in an older segment above the watermark and leaves the file alone', async () => {
    const path = await directory();
    await filled(path, 6, 150);
    const older = nth(await segments(path), -2);
    const bytes = await readFile(older);
    bytes[bytes.length - 1] = 0;
    await writeFile(older, bytes);
    await truncate(join(path, 'durable'), 0);
    const report = await recover(path);
    expect(report.damages).toHaveLength(1);
    expect(report).toMatchObject({ entries: 5, cutBytes: 0, nextSequence: 7 });
    expect(await readFile(older)).toEqual(bytes);
  });

  it('twice is the same as once', async () => {
    const path = await directory();
    const file = await filled(path, 4);
    await truncate(file, (await stat(file)).size - 3);
    await truncate(join(path, 'durable'), 0);
    const once = await recover(path);
    expect(await recover(path)).toEqual({ ...once, cutBytes: 0 });
  });

  it('numbers go on behind everything that was ever given out, as far as the files tell', async () => {
    const path = await directory();
    await filled(path, 3);
    await writeFile(join(path, '0000000000000010.seg'), '');
    expect(await recover(path)).toMatchObject({ nextSequence: 16, durable: 15 });
    const slot = await open(path);
    expect(slot.append('a')).toBe(16);
    await slot.it.close();
    expect(sequences(await read(path))).toEqual([1, 2, 3, 16]);
  });

  it('3: files lost behind the watermark do not make numbers come again', async () => {
    const path = await directory();
    await filled(path, 3);
    await writeFile(join(path, 'durable'), Buffer.from('6400000000000000', 'hex'));
    expect(await recover(path)).toMatchObject({ nextSequence: 101, relayed: false, missing: true });
  });

  it('1: whatever a power cut leaves, every announced entry is there', async () => {
    for (let seed = 1; seed <= rounds(12, 60); seed++) {
      const random = seeded(seed);
      const path = await directory();
      const expected = new Map<number, string>();
      const announced: number[] = [];
      for (let life = 0; life < 3; life++) {
        const storage = new FaultStorage();
        const slot = await open(path, { storage, segmentBytes: 1500 });
        const steps = Math.floor(random() * 12);
        for (let step = 0; step < steps; step++) {
          for (let i = Math.floor(random() * 4); i >= 0; i--) {
            const text = `${life} ${step} ${'x'.repeat(random() * 700)}`;
            expected.set(slot.append(text), text);
          }
          await slot.it.flush();
        }
        announced.push(...slot.durable);
        const holds = [storage.hold('syncDirectory', /./), storage.hold(random() < 0.8 ? 'sync' : 'write', /\.seg$/)];
        slot.append(`unfinished ${'y'.repeat(random() * 2000)}`);
        await Promise.race(holds.map((hold) => hold.reached));
        await storage.powerCut(random);
      }
      await recover(path);
      const found = new Map((await read(path)).map((entry) => [entry.sequence, entry.text]));
      const last = Math.max(0, ...announced);
      for (const [sequence, text] of expected) {
        if (sequence <= last) expect(found.get(sequence), `seed ${seed}, sequence ${sequence}`).toBe(text);
      }
    }
  });

  it('fixtures: torn, corrupt and empty segments read as their README says', async () => {
    const fixtures = join(import.meta.dirname, '../../fixtures/journal');
    const listed: unknown = JSON.parse(await readFile(join(fixtures, 'expected.json'), 'utf8'));
    if (typeof listed !== 'object' || listed === null) throw new Error('expected.json is no object');
    const names = Object.entries(listed);
    expect(names.length).toBeGreaterThan(3);
    for (const [name, want] of names) {
      const path = await directory();
      await cp(join(fixtures, name), join(path, '0000000000000001.seg'));
      const report = await recover(path);
      const got = {
        entries: report.entries,
        cutBytes: report.cutBytes,
        damages: report.damages.length,
        sequences: sequences(await read(path)),
      };
      expect(got, name).toEqual(want);
    }
  });
});
