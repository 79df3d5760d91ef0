import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Definition, NO_DEFINITION } from '../../src/journal/definition.ts';
import {
  checkEntry,
  definitionSize,
  EntryKind,
  EntryView,
  entrySize,
  MAX_ENTRY_BYTES,
  newFormat,
  Origin,
  placeEntry,
  SEGMENT_HEADER_BYTES,
  type SegmentFormat,
  sealEntries,
  segmentHeader,
  writeDefinition,
  writeEntry,
  writeVoid,
} from '../../src/journal/entry.ts';
import { dueDefinitions, Numbered } from '../../src/journal/segment-writer.ts';
import { directory, read } from './slot.ts';

/** Composed by hand from the docblocks of src/journal/entry.ts and definition.ts; checksums and masks are added below. */
const HEADER = `46 49 58 47 41 54 45 4a  03 00  00 00  0d 0c 0b 8a  05 00 00 00 01 00 00 00  44 33 22 91`;
const ENTRY = `
  05 00 00 00 01 00 00 00
  00 68 e5 cf 8b 01 00 00
  44 33 22 11
  0a 00 00 00
  01 01 3c 00
  02 01 00 00
  04 06
  31 32 33 34  5b 3a 3a 5d 3a 39
  09 00 00 00 02 00 00 00
  2a 48 51 23`;
const DEFINITION = `
  05 00 00 00 01 00 00 00
  00 00 00 00 00 00 00 00
  00 00 00 00
  00 00 00 00
  05 01 32 00
  02 01 00 00
  00 00
  00 00 00 00 00 00 00 00
  02 03 04
  68 30 32  41 63 6d 65`;
const OPTIONS = '{"status":"sinotrack","timeOffset":-480}';
const OLD_HEADER = `46 49 58 47 41 54 45 4a  02 00  00 00 00 00 00 00  05 00 00 00 01 00 00 00  00 00 00 00`;
const OLD_ENTRY = `
  05 00 00 00 01 00 00 00
  00 68 e5 cf 8b 01 00 00
  44 33 22 11
  0a 00 00 00
  01 01 3d 00
  02 03 04 06
  68 30 32  31 32 33 34  5b 3a 3a 5d 3a 39
  09 00 00 00 02 00 00 00
  2a 48 51 23`;

const hex = (text: string) => Buffer.from(text.replace(/\s/g, ''), 'hex');

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

const SEQUENCE = 2 ** 32 + 5;
const FORMAT: SegmentFormat = { version: 3, first: SEQUENCE, key: 0x8a0b0c0d, salt: 0x91223344, begin: SEGMENT_HEADER_BYTES };
const OFFSET = 70_000;

/** As the docblock says it, in integers without end. */
function maskOf(offset: number): number {
  const bits = (1n << 32n) - 1n;
  const key = BigInt(FORMAT.key);
  let h = ((BigInt(offset) ^ key) * 0x9e3779b1n) & bits;
  h = ((h ^ (h >> 15n) ^ key) * 0x85ebca77n) & bits;
  h = ((h ^ (h >> 13n)) * 0xc2b2ae3dn) & bits;
  return Number(h ^ (h >> 16n));
}

function sealed(body: Buffer, offset: number): Buffer {
  return Buffer.concat([u32(((body.length + 8) ^ maskOf(offset)) >>> 0), u32(crc32(body, FORMAT.salt)), body]);
}

const oneHeader = Buffer.concat([hex(HEADER), u32(crc32(hex(HEADER)))]);
const header = Buffer.concat([oneHeader, Buffer.alloc(4096 - 32), oneHeader]);
const entry = sealed(hex(ENTRY), OFFSET);
const definitionBody = Buffer.concat([hex(DEFINITION), Buffer.from(OPTIONS)]);
const oldHeader = Buffer.concat([hex(OLD_HEADER), u32(crc32(hex(OLD_HEADER)))]);
const oldEntry = Buffer.concat([u32(hex(OLD_ENTRY).length + 8), u32(crc32(hex(OLD_ENTRY))), hex(OLD_ENTRY)]);

const definition = new Definition('h02', 'udp', { timeOffset: -480, status: 'sinotrack' }, 'Acme');
const NUMBER = 258;
const origin = new Origin(definition, '1234', '[::]:9');
const frame = Buffer.from('..*HQ#..');

/** What an entry says, whatever is kept of it. */
function said(view: EntryView): object {
  const { sequence, received, order, memo, accepted, kind, flags, device, peer, number } = view;
  return {
    ...{ sequence, received, order, memo, accepted, kind, flags, device, peer, number },
    bytes: view.bytes.toString('latin1', view.start, view.end),
  };
}
const SAID = {
  sequence: SEQUENCE,
  received: 1_700_000_000_000,
  order: 2 ** 33 + 9,
  memo: 0x11223344,
  accepted: 10,
  kind: EntryKind.Frame,
  flags: 1,
  device: '1234',
  peer: '[::]:9',
  number: NUMBER,
  bytes: '*HQ#',
};

describe('the format on disk', () => {
  it('writes a header as specified, twice, with a key and a salt of its own', () => {
    expect(segmentHeader(FORMAT).toString('hex')).toBe(header.toString('hex'));
    const one = newFormat(7);
    const other = newFormat(7);
    expect([one.key, one.salt]).not.toEqual([other.key, other.salt]);
  });

  it('writes an entry as specified, and only it', () => {
    const out = Buffer.alloc(100, 0xee);
    const time = 1_700_000_000_000;
    const size = writeEntry(out, 3, SEQUENCE, origin, NUMBER, EntryKind.Frame, time, 2 ** 33 + 9, 0x11223344, 10, frame, 2, 6);
    expect(size).toBe(entry.length);
    expect(size).toBe(entrySize(origin, 4));
    sealEntries(out.subarray(3), size, FORMAT, OFFSET);
    expect(out.toString('hex')).toBe('ee'.repeat(3) + entry.toString('hex') + 'ee'.repeat(97 - size));
  });

  it('seals every entry of a batch for its own place in the file', () => {
    const out = Buffer.alloc(400);
    let end = 0;
    for (let i = 0; i < 3; i++) end += writeEntry(out, end, SEQUENCE + i, origin, NUMBER, EntryKind.Frame, 1, 1, 0, 1, frame, 0, 8);
    sealEntries(out, end, FORMAT, OFFSET);
    let at = 0;
    for (; at < end; at += end / 3) expect(checkEntry(out, at, end, FORMAT, OFFSET + at)).toBe(end / 3);
    // Elsewhere it is none, until it is placed there.
    expect(checkEntry(out, 0, end, FORMAT, OFFSET + 1)).toBeLessThanOrEqual(0);
    placeEntry(out, 0, end / 3, FORMAT, 5000);
    expect(checkEntry(out, 0, end, FORMAT, 5000)).toBe(end / 3);
  });

  it('writes a definition as specified, and reads it', () => {
    const out = Buffer.alloc(200, 0xee);
    const size = writeDefinition(out, 3, SEQUENCE, NUMBER, definition, FORMAT, OFFSET);
    expect(size).toBe(definitionSize(definition));
    expect(out.toString('hex', 3, 3 + size)).toBe(sealed(definitionBody, OFFSET).toString('hex'));
    const view = new EntryView();
    view.aim(out, 3, size);
    const back = Definition.read(view.bytes, view.start, view.end);
    expect(back).toEqual(definition);
    expect(back?.text).toBe(definition.text);
    expect(new Definition('h02', 'udp', { status: 'sinotrack', timeOffset: -480 }, 'Acme').text).toBe(definition.text);
  });

  it('writes a definition twice where it is new in a segment, and once more 4 KiB behind that, and at four times the size each time', () => {
    const one = new Numbered(definition, NUMBER);
    const copies = (size: number, format = FORMAT): number =>
      dueDefinitions([one], SEQUENCE, format, size).length / definitionSize(definition);
    expect([100, 100, 4195, 4196, 4196, 16_783, 16_784, 16_784].map((size) => copies(size))).toEqual([2, 0, 0, 1, 0, 0, 1, 0]);
    expect([copies(50, { ...FORMAT, first: SEQUENCE + 9 }), copies(50, { ...FORMAT, first: SEQUENCE + 9 })]).toEqual([2, 0]);
    const two = [one, new Numbered(definition, NUMBER + 1)];
    const written = dueDefinitions(two, SEQUENCE, FORMAT, 0);
    const size = definitionSize(definition);
    expect(written.length).toBe(4 * size);
    for (let copy = 0; copy < 4; copy++) expect(checkEntry(written, copy * size, written.length, FORMAT, copy * size)).toBe(size);
  });

  it('knows transports by their numbers, options that were not kept, and bytes that are no definition', () => {
    for (const [number, transport] of [
      [1, 'tcp'],
      [2, 'udp'],
      [3, 'sms'],
    ] as const) {
      const one = new Definition('gt06', transport);
      expect(one.encoded[0]).toBe(number);
      expect(Definition.read(one.encoded, 0, one.encoded.length)).toEqual(one);
    }
    expect(Definition.read(new Definition('gt06', 'tcp', {}).encoded, 0, 9)?.options).toEqual({});
    expect(NO_DEFINITION.options).toBeNull();
    const good = definition.encoded;
    for (let end = 0; end < good.length; end++) {
      // Shorter names would be other names, half an object none; without any, nothing was kept.
      if (end !== 10) expect(Definition.read(good, 0, end), `${end} bytes`).toBeNull();
    }
    for (const number of [0, 4, 255])
      expect(Definition.read(Buffer.concat([Buffer.of(number), good.subarray(1)]), 0, good.length)).toBeNull();
    for (const text of ['[]', '1', '{"a":{}}', '{"a":null}', 'x']) {
      const bytes = Buffer.concat([Buffer.of(1, 0, 0), Buffer.from(text)]);
      expect(Definition.read(bytes, 0, bytes.length), text).toBeNull();
    }
  });

  it('reads the entry in place', () => {
    const bytes = Buffer.concat([Buffer.alloc(5), entry, Buffer.alloc(5)]);
    expect(checkEntry(bytes, 5, bytes.length, FORMAT, OFFSET)).toBe(entry.length);
    const view = new EntryView();
    view.aim(bytes, 5, entry.length);
    expect(said(view)).toEqual(SAID);
    expect([view.codec, view.account]).toEqual(['', '']);
    view.definition = definition;
    expect([view.codec, view.transport, view.account]).toEqual(['h02', 'udp', 'Acme']);
  });

  it('says "not all here" for every shorter piece, and "none" for every flipped bit', () => {
    for (let end = 0; end < entry.length; end++) expect(checkEntry(entry, 0, end, FORMAT, OFFSET)).toBe(0);
    for (let bit = 0; bit < entry.length * 8; bit++) {
      const flipped = Buffer.from(entry);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      // A larger size is an entry whose end is not here; anything else is no entry.
      expect(checkEntry(flipped, 0, flipped.length, FORMAT, OFFSET), `bit ${bit}`).toBeLessThanOrEqual(0);
    }
  });

  it('takes no entry of another segment, and no sequence that this one cannot hold', () => {
    for (const other of [
      { ...FORMAT, salt: (FORMAT.salt ^ 1) >>> 0 },
      { ...FORMAT, key: (FORMAT.key ^ 1) >>> 0 },
    ])
      expect(checkEntry(entry, 0, entry.length, other, OFFSET)).toBeLessThanOrEqual(0);
    for (const [sequence, size] of [
      [SEQUENCE - 1, -1],
      [SEQUENCE, entry.length],
      [SEQUENCE + 2 ** 32, entry.length],
      [SEQUENCE + 2 ** 32 + 1, -1],
      [2 ** 53 - 1, -1],
    ] as const) {
      const body = hex(ENTRY);
      body.writeBigUInt64LE(BigInt(sequence), 0);
      expect(checkEntry(sealed(body, OFFSET), 0, entry.length, FORMAT, OFFSET), `${sequence}`).toBe(size);
    }
  });

  it('takes no entry whose head ends within its names or behind its end, and no size outside the bounds', () => {
    const oldFormat = { version: 2, first: SEQUENCE, key: 0, salt: 0, begin: 32 };
    const oldSealed = (body: Buffer): Buffer => Buffer.concat([u32(body.length + 8), u32(crc32(body)), body]);
    const withHead = (text: string, head: number): Buffer => {
      const body = hex(text);
      body.writeUInt16LE(head, 34 - 8);
      return body;
    };
    const [size, oldSize] = [entry.length, oldEntry.length];
    for (const [head, verdict] of [
      [0, -1],
      [42 + 4 + 6 - 1, -1],
      [42 + 4 + 6, size],
      [size, size],
      [size + 1, -1],
      [0xffff, -1],
    ] as const)
      expect(checkEntry(sealed(withHead(ENTRY, head), OFFSET), 0, size, FORMAT, OFFSET), `head ${head}`).toBe(verdict);
    for (const [head, verdict] of [
      [0, -1],
      [40 + 3 + 4 + 6 - 1, -1],
      [40 + 3 + 4 + 6, oldSize],
      [oldSize, oldSize],
      [oldSize + 1, -1],
    ] as const)
      expect(checkEntry(oldSealed(withHead(OLD_ENTRY, head)), 0, oldSize, oldFormat, 0), `old head ${head}`).toBe(verdict);

    const bare = hex(ENTRY).subarray(0, 42 - 8);
    bare.writeUInt16LE(42, 34 - 8);
    bare.writeUInt16LE(0, 40 - 8);
    expect(checkEntry(sealed(bare, OFFSET), 0, 42, FORMAT, OFFSET)).toBe(42);
    const sized = (bytes: number): Buffer => Buffer.concat([u32((bytes ^ maskOf(OFFSET)) >>> 0), entry.subarray(4)]);
    for (const [bytes, verdict] of [
      [0, -1],
      [41, -1],
      [MAX_ENTRY_BYTES, 0],
      [MAX_ENTRY_BYTES + 1, -1],
      [2 ** 32 - 1, -1],
    ] as const)
      expect(checkEntry(sized(bytes), 0, size, FORMAT, OFFSET), `size ${bytes}`).toBe(verdict);
  });

  it('reads no order and no keep mask that would reach into the bytes', () => {
    const view = new EntryView();
    /** With the flags and the head: what is read as the order, and where the mask of the ten records begins. */
    const aimed = (flags: number, head: number): readonly [order: number, keepAt: number] => {
      const bytes = Buffer.from(entry);
      bytes[33] = flags;
      bytes.writeUInt16LE(head, 34);
      view.aim(bytes, 0, bytes.length);
      return [view.order, view.keepAt];
    };
    const [order, none] = [SAID.order, 1000 * SAID.received];
    expect(aimed(0b01, 52 + 8)).toEqual([order, -1]);
    expect(aimed(0b01, 52 + 7)).toEqual([none, -1]);
    expect(aimed(0b00, 52 + 8)).toEqual([none, -1]);
    expect(aimed(0b11, 52 + 8 + 2)).toEqual([order, 60]);
    expect(aimed(0b11, 52 + 8 + 1)).toEqual([order, -1]);
    expect(aimed(0b10, 52 + 2)).toEqual([none, 52]);
    expect(aimed(0b10, 52 + 1)).toEqual([none, -1]);
  });

  it('writes and reads a keep mask and the mark of relay as specified', () => {
    const out = Buffer.alloc(100, 0xee);
    const four = Buffer.from('*HQ#');
    const time = 1_700_000_000_000;
    // Records 0, 3 and 9 of 10; the bits behind the last are as they were given, and mean nothing.
    const keep = Uint8Array.of(0b0000_1001, 0b1000_0010, 0xff);
    const marks = { keep, relay: true };
    const size = writeEntry(out, 0, SEQUENCE, origin, NUMBER, EntryKind.Frame, time, 2 ** 33 + 9, 0x11223344, 10, four, 0, 4, marks);
    sealEntries(out, size, FORMAT, OFFSET);
    const body = Buffer.concat([hex(ENTRY).subarray(0, -4), hex('09 82'), hex('2a 48 51 23')]);
    body[33 - 8] = 0b111;
    body[34 - 8] = 0x3e;
    expect(out.toString('hex', 0, size)).toBe(sealed(body, OFFSET).toString('hex'));
    expect(size).toBe(entrySize(origin, 4, 2));
    const view = new EntryView();
    view.aim(out, 0, size);
    expect(view.relay).toBe(true);
    expect(Array.from({ length: 10 }, (_, i) => i).filter((i) => view.keeps(i))).toEqual([0, 3, 9]);
    expect(view.bytes.toString('latin1', view.start, view.end)).toBe('*HQ#');
    const relayed = writeEntry(out, 0, 1, origin, NUMBER, EntryKind.Event, 1, 1, 0, 0, four, 0, 4, { keep: null, relay: true });
    view.aim(out, 0, relayed);
    expect([view.flags, view.relay, view.keepAt, view.keeps(0)]).toEqual([0b101, true, -1, true]);
    view.aim(entry, 0, entry.length);
    expect([view.relay, view.keepAt, view.keeps(9)]).toEqual([false, -1, true]);
  });

  it('writes a void entry in the format of its segment', () => {
    const out = Buffer.alloc(64);
    const view = new EntryView();
    for (const format of [FORMAT, { version: 2, first: SEQUENCE, key: 0, salt: 0, begin: 32 }]) {
      const size = writeVoid(out, format, OFFSET, SEQUENCE, 5, 17);
      expect(checkEntry(out, 0, size, format, OFFSET)).toBe(size);
      view.aim(out, 0, size, format.version);
      expect([view.kind, view.sequence, view.received, view.order, view.device, view.end - view.start]).toEqual([
        4,
        SEQUENCE,
        5,
        17,
        '',
        0,
      ]);
    }
  });

  it('reads segments of versions 1 and 2', async () => {
    for (const version of [1, 2]) {
      const path = await directory();
      const old = hex(OLD_HEADER);
      old[8] = version;
      await writeFile(join(path, '0000000100000005.seg'), Buffer.concat([old, u32(crc32(old)), oldEntry]));
      await writeFile(join(path, 'durable'), hex('05 00 00 00 01 00 00 00'));
      expect(await read(path)).toEqual([{ sequence: SEQUENCE, text: '*HQ#' }]);
    }
    const view = new EntryView();
    view.aim(oldEntry, 0, oldEntry.length, 2);
    expect(said(view)).toEqual({ ...SAID, number: 0 });
    expect(view.oldNames).toEqual({ codec: 'h02', transport: 'udp' });
  });

  it('steps over what a later version puts between peer and bytes, and over kinds it does not know', async () => {
    const path = await directory();
    const extended = Buffer.concat([hex(OLD_ENTRY).subarray(0, -4), hex('ff ff ff'), hex('2a 48 51 23')]);
    extended[8 + 8 + 4 + 4 + 1] = 0x81;
    extended[8 + 8 + 4 + 4 + 2] = 0x40;
    const later = Buffer.concat([u32(extended.length + 8), u32(crc32(extended)), extended]);
    await writeFile(join(path, '0000000100000005.seg'), Buffer.concat([oldHeader, later]));
    await writeFile(join(path, 'durable'), hex('05 00 00 00 01 00 00 00'));
    expect(await read(path)).toEqual([{ sequence: SEQUENCE, text: '*HQ#' }]);
    const now = Buffer.concat([hex(ENTRY).subarray(0, -4), hex('ff ff ff'), hex('2a 48 51 23')]);
    now[33 - 8] = 0x81;
    now[34 - 8] = 0x3f;
    now[32 - 8] = 99;
    const segment = Buffer.concat([header, sealed(definitionBody, 4128), sealed(now, 4128 + definitionBody.length + 8)]);
    await writeFile(join(path, '0000000100000005.seg'), segment);
    expect(await read(path)).toEqual([{ sequence: SEQUENCE, text: '*HQ#' }]);
  });

  it('refuses names that would not fit their length byte', () => {
    expect(() => new Origin(definition, 'é'.repeat(128), '')).toThrow(RangeError);
    expect(new Origin(definition, 'é'.repeat(127), '').encoded.length).toBe(2 + 254);
    expect(() => new Definition('h02', 'udp', null, 'é'.repeat(128))).toThrow(RangeError);
  });
});
