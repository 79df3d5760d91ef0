import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Definition } from '../../src/journal/definition.ts';
import {
  checkEntry,
  EntryKind,
  newFormat,
  Origin,
  oldFormat,
  type SegmentFormat,
  sealEntries,
  segmentHeader,
  writeEntry,
} from '../../src/journal/entry.ts';
import type { Damage } from '../../src/journal/reader.ts';
import { recover } from '../../src/journal/recovery.ts';
import { directory, entryPlaces, nth, open, read, seeded, segments } from './slot.ts';

/**
 * A device writes whatever it likes into a frame, and the frame is stored: also what looks like an entry of the journal. A bad
 * sector in front of it must not make anybody believe it.
 */

const FORGED = Buffer.from('forged');

/** An entry of formats 1 and 2, as a device could make one. */
function forgedOld(sequence: number, bytes: Buffer): Buffer {
  const names = ['gt06', '999999999999999', '203.0.113.9:1'].map((name) => Buffer.from(name));
  const body = Buffer.alloc(32);
  body.writeBigUInt64LE(BigInt(sequence), 0);
  body.writeBigUInt64LE(1_700_000_000_000n, 8);
  body.writeUInt32LE(1, 20);
  body[24] = EntryKind.Frame;
  const head = 40 + names.reduce((sum, name) => sum + name.length, 0);
  body.writeUInt16LE(head, 26);
  body[28] = 1;
  names.forEach((name, i) => {
    body[29 + i] = name.length;
  });
  const all = Buffer.concat([body, ...names, bytes]);
  const front = Buffer.alloc(8);
  front.writeUInt32LE(all.length + 8, 0);
  front.writeUInt32LE(crc32(all), 4);
  return Buffer.concat([front, all]);
}

/** An entry of the present format under a key and salt that the device has guessed. */
function forged(sequence: number, text: string, format: SegmentFormat, offset: number): Buffer {
  const out = Buffer.alloc(200);
  const origin = new Origin(new Definition('gt06', 'tcp'), '999999999999999', '');
  const bytes = Buffer.from(text);
  const size = writeEntry(out, 0, sequence, origin, 0, EntryKind.Frame, 1, 1, 0, 1, bytes, 0, bytes.length);
  sealEntries(out, size, format, offset);
  return out.subarray(0, size);
}

/** Eight entries; the sixth one's payload is full of forged ones. */
async function attacked(sequence: number): Promise<{ path: string; file: string }> {
  const path = await directory();
  const slot = await open(path);
  slot.append('one');
  const guesses = [newFormat(1), { ...newFormat(1), key: 0, salt: 0 }, newFormat(1)];
  const pieces = [
    forgedOld(sequence, FORGED),
    ...guesses.flatMap((format) => [0, 4128, 4700].map((at) => forged(sequence, 'forged', format, at))),
  ];
  for (const text of ['two', 'three', 'four', 'five']) slot.append(text);
  const payload = Buffer.concat([Buffer.from('unknown message '), ...pieces]);
  slot.it.append(ORIGIN_OF_DEVICE, EntryKind.Frame, 1_700_000_000_000, 0, 1, payload, 0, payload.length);
  slot.append('seven');
  slot.append('eight');
  await slot.it.close();
  return { path, file: nth(await segments(path), 0) };
}

const ORIGIN_OF_DEVICE = new Origin(new Definition('teltonika', 'tcp'), '352093081234567', '192.0.2.7:40123');

describe('an entry that a device has forged', () => {
  for (const [what, sequence] of [
    ['in the middle', 7],
    ['ahead', 1000],
    ['at the end of all numbers', 2 ** 53 - 1],
  ] as const) {
    for (const damage of ['a bit', 'a sector'] as const) {
      it(`${what}, behind ${damage} that is damaged: it is not believed, nothing is cut, and the damage is reported`, async () => {
        const { path, file } = await attacked(sequence);
        const bytes = await readFile(file);
        const sixth = nth(await entryPlaces(file), 5);
        if (damage === 'a bit') bytes[sixth.offset + 20] = (bytes[sixth.offset + 20] ?? 0) ^ 1;
        else bytes.fill(0, sixth.offset, sixth.offset + 60);
        await writeFile(file, bytes);
        const damages: Damage[] = [];
        const verify = async () => {
          damages.length = 0;
          return (await read(path, 1, { onDamage: (one) => damages.push(one) })).map(({ sequence: found }) => found);
        };
        expect(await verify()).toEqual([1, 2, 3, 4, 5, 7, 8]);
        expect(damages).toEqual([{ file, offset: sixth.offset, bytes: sixth.bytes }]);
        const report = await recover(path);
        expect(report).toMatchObject({ entries: 7, cutBytes: 0, nextSequence: 9, durable: 8, missing: false });
        expect(report.damages).toHaveLength(1);
        expect(await readFile(file)).toEqual(bytes);
        // Also when the watermark is lost.
        await writeFile(join(path, 'durable'), '');
        expect(await recover(path)).toMatchObject({ cutBytes: 0, nextSequence: 9 });
        expect(await verify()).toEqual([1, 2, 3, 4, 5, 7, 8]);
      });
    }
  }

  it('at the end of a segment that lost its last entry is no entry, and verify says that one is missing', async () => {
    const path = await directory();
    const slot = await open(path);
    slot.append('one');
    const piece = forgedOld(2, FORGED);
    slot.it.append(ORIGIN_OF_DEVICE, EntryKind.Frame, 1, 0, 1, piece, 0, piece.length);
    await slot.it.close();
    const file = nth(await segments(path), 0);
    const bytes = await readFile(file);
    const last = nth(await entryPlaces(file), 1);
    bytes[last.offset + 9] = 0xff;
    await writeFile(file, bytes);
    const damages: Damage[] = [];
    expect((await read(path, 1, { onDamage: (one) => damages.push(one) })).map(({ text }) => text)).toEqual(['one']);
    expect(damages).toEqual([{ file, offset: last.offset, bytes: last.bytes }]);
  });

  it('in a segment whose header is lost is not believed either: none of it is read, cut or written over', async () => {
    for (const mark of ['0800000000000000', '']) {
      const { path, file } = await attacked(7);
      const bytes = await readFile(file);
      bytes.fill(0, 0, 8);
      bytes.fill(0, 4096, 4104);
      await writeFile(file, bytes);
      await writeFile(join(path, 'durable'), Buffer.from(mark, 'hex'));
      const report = await recover(path);
      expect(report).toMatchObject({ entries: 0, cutBytes: 0, damages: [{ file, offset: 0, bytes: bytes.length }] });
      expect(report.nextSequence).toBeGreaterThan(8);
      const slot = await open(path);
      slot.append('on');
      await slot.it.close();
      expect(await readFile(file)).toEqual(bytes);
      expect(nth(await read(path), -1).text).toBe('on');
    }
  });

  it('in a segment of an old format, which had no salt: entries behind it are not cut, and it cannot end the numbers', async () => {
    for (const [sequence, next] of [
      [50, 51],
      [2 ** 53 - 1, 6],
    ] as const) {
      const path = await directory();
      const file = join(path, '0000000000000001.seg');
      const inner = Buffer.concat([Buffer.from('unknown '), forgedOld(sequence, FORGED)]);
      const sound = [1, 2, 3, 4, 5].map((n) => forgedOld(n, n === 2 ? inner : Buffer.from(`text ${n}`)));
      const header = segmentHeader(oldFormat(2, 1));
      const bytes = Buffer.concat([header, ...sound]);
      bytes[header.length + nth(sound, 0).length + 20] = 0xff;
      await writeFile(file, bytes);
      const report = await recover(path);
      expect(report.cutBytes).toBe(0);
      expect(report.nextSequence).toBe(next);
      expect(report.damages.length).toBeGreaterThan(0);
      expect(await readFile(file)).toEqual(bytes);
    }
  });
});

describe('crafted damage', () => {
  it('costs linear time: hardly any place of it is worth summing, whatever the key', () => {
    const random = seeded(3);
    const first = 1_700_000_000 * 2 ** 20;
    // A head every 48 bytes, which says that a long, plausible entry begins there: each would be summed, if sizes were not hidden.
    const bytes = Buffer.alloc(10_240);
    for (let at = 0; at + 48 <= bytes.length; at += 48) {
      bytes.writeUInt32LE(100 + Math.floor(random() * 1_000_000), at);
      bytes.writeBigUInt64LE(BigInt(first + 5), at + 8);
      bytes[at + 34] = 50;
    }
    let worth = 0;
    for (let round = 0; round < 64; round++) {
      const format = newFormat(first);
      // 0: an entry may begin here, whose end has not been read; -1: none does.
      for (let at = 0; at + 42 <= bytes.length; at++) if (checkEntry(bytes, at, at + 42, format, 5000 + at) === 0) worth++;
    }
    const heads = 64 * (bytes.length / 48);
    const old = oldFormat(2, first);
    let unhidden = 0;
    for (let at = 0; at + 42 <= bytes.length; at++) if (checkEntry(bytes, at, at + 42, old, 5000 + at) === 0) unhidden++;
    expect(unhidden).toBeGreaterThan(200);
    expect(worth).toBeLessThan(heads / 500);
  });
});
