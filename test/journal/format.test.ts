import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { checkEntry, EntryKind, EntryView, entrySize, Origin, segmentHeader, writeEntry } from '../../src/journal/entry.ts';
import { directory, read } from './slot.ts';

/** Composed by hand from the docblock of src/journal/entry.ts; the checksums are added by `sealed`. */
const HEADER = `46 49 58 47 41 54 45 4a  02 00  00 00 00 00 00 00  05 00 00 00 01 00 00 00  00 00 00 00`;
const ENTRY = `
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

const header = Buffer.concat([hex(HEADER), u32(crc32(hex(HEADER)))]);
const entry = Buffer.concat([u32(hex(ENTRY).length + 8), u32(crc32(hex(ENTRY))), hex(ENTRY)]);

const origin = new Origin('h02', 'udp', '1234', '[::]:9');
const SEQUENCE = 2 ** 32 + 5;

describe('the format on disk', () => {
  it('writes a header as specified', () => {
    expect(segmentHeader(SEQUENCE).toString('hex')).toBe(header.toString('hex'));
  });

  it('writes an entry as specified, and only it', () => {
    const out = Buffer.alloc(100, 0xee);
    const frame = Buffer.from('..*HQ#..');
    const size = writeEntry(out, 3, SEQUENCE, origin, EntryKind.Frame, 1_700_000_000_000, 2 ** 33 + 9, 0x11223344, 10, frame, 2, 6);
    expect(size).toBe(entry.length);
    expect(size).toBe(entrySize(origin, 4));
    expect(out.toString('hex')).toBe('ee'.repeat(3) + entry.toString('hex') + 'ee'.repeat(97 - size));
  });

  it('reads the entry in place', () => {
    const bytes = Buffer.concat([Buffer.alloc(5), entry, Buffer.alloc(5)]);
    expect(checkEntry(bytes, 5, bytes.length)).toBe(entry.length);
    const view = new EntryView();
    view.aim(bytes, 5, entry.length);
    expect({
      sequence: view.sequence,
      received: view.received,
      order: view.order,
      memo: view.memo,
      accepted: view.accepted,
      kind: view.kind,
      flags: view.flags,
      transport: view.transport,
      codec: view.codec,
      device: view.device,
      peer: view.peer,
      bytes: view.bytes.toString('latin1', view.start, view.end),
    }).toEqual({
      sequence: SEQUENCE,
      received: 1_700_000_000_000,
      order: 2 ** 33 + 9,
      memo: 0x11223344,
      accepted: 10,
      kind: EntryKind.Frame,
      flags: 1,
      transport: 'udp',
      codec: 'h02',
      device: '1234',
      peer: '[::]:9',
      bytes: '*HQ#',
    });
  });

  it('says "not all here" for every shorter piece, and "none" for every flipped bit', () => {
    for (let end = 0; end < entry.length; end++) expect(checkEntry(entry, 0, end)).toBe(0);
    for (let bit = 0; bit < entry.length * 8; bit++) {
      const flipped = Buffer.from(entry);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      // A larger size is an entry whose end is not here; anything else is no entry.
      expect(checkEntry(flipped, 0, flipped.length), `bit ${bit}`).toBeLessThanOrEqual(0);
    }
  });

  it('writes and reads a keep mask and the mark of relay as specified', () => {
    const out = Buffer.alloc(100, 0xee);
    const frame = Buffer.from('*HQ#');
    // Records 0, 3 and 9 of 10; the bits behind the last are as they were given, and mean nothing.
    const keep = Uint8Array.of(0b0000_1001, 0b1000_0010, 0xff);
    const size = writeEntry(out, 0, SEQUENCE, origin, EntryKind.Frame, 1_700_000_000_000, 2 ** 33 + 9, 0x11223344, 10, frame, 0, 4, {
      keep,
      relay: true,
    });
    const body = Buffer.concat([hex(ENTRY).subarray(0, -4), hex('09 82'), hex('2a 48 51 23')]);
    body[33 - 8] = 0b111;
    body[34 - 8] = 0x3f;
    expect(out.toString('hex', 0, size)).toBe(Buffer.concat([u32(body.length + 8), u32(crc32(body)), body]).toString('hex'));
    expect(size).toBe(entrySize(origin, 4, 2));
    const view = new EntryView();
    view.aim(out, 0, size);
    expect(view.relay).toBe(true);
    expect(Array.from({ length: 10 }, (_, i) => i).filter((i) => view.keeps(i))).toEqual([0, 3, 9]);
    expect(view.bytes.toString('latin1', view.start, view.end)).toBe('*HQ#');
    const relayed = writeEntry(out, 0, 1, origin, EntryKind.Event, 1, 1, 0, 0, frame, 0, 4, { keep: null, relay: true });
    view.aim(out, 0, relayed);
    expect([view.flags, view.relay, view.keepAt, view.keeps(0)]).toEqual([0b101, true, -1, true]);
    view.aim(entry, 0, entry.length);
    expect([view.relay, view.keepAt, view.keeps(9)]).toEqual([false, -1, true]);
  });

  it('reads segments of version 1', async () => {
    const path = await directory();
    const old = hex(HEADER);
    old[8] = 1;
    await writeFile(join(path, '0000000100000005.seg'), Buffer.concat([old, u32(crc32(old)), entry]));
    await writeFile(join(path, 'durable'), hex('05 00 00 00 01 00 00 00'));
    expect(await read(path)).toEqual([{ sequence: SEQUENCE, text: '*HQ#' }]);
  });

  it('steps over what a later version puts between peer and bytes, and over kinds it does not know', async () => {
    const path = await directory();
    const extended = Buffer.concat([hex(ENTRY).subarray(0, -4), hex('ff ff ff'), hex('2a 48 51 23')]);
    extended[8 + 8 + 4 + 4 + 1] = 0x81;
    extended[8 + 8 + 4 + 4 + 2] = 0x40;
    const later = Buffer.concat([u32(extended.length + 8), u32(crc32(extended)), extended]);
    await writeFile(join(path, '0000000100000005.seg'), Buffer.concat([header, later]));
    await writeFile(join(path, 'durable'), hex('05 00 00 00 01 00 00 00'));
    expect(await read(path)).toEqual([{ sequence: SEQUENCE, text: '*HQ#' }]);
  });

  it('refuses names that would not fit their length byte', () => {
    expect(() => new Origin('h02', 'udp', 'é'.repeat(128), '')).toThrow(RangeError);
    expect(new Origin('h02', 'udp', 'é'.repeat(127), '').encoded.length).toBe(4 + 3 + 254);
  });
});
