import { describe, expect, it } from 'vitest';
import {
  i8,
  i16be,
  i16le,
  i32be,
  i32le,
  i64be,
  putAscii,
  putBcd,
  putDecimal,
  putU8,
  putU16be,
  putU16le,
  putU32be,
  putU32le,
  putU64be,
  putU64le,
  u16be,
  u16le,
  u24be,
  u32be,
  u32le,
  u64be,
  u64le,
} from '../../../src/base/wire/index.ts';
import { Random } from '../../../src/codec/kit/index.ts';

const random = new Random(1);
const blocks = Array.from({ length: 200 }, (_, n) =>
  Uint8Array.from({ length: 11 }, () => (n < 20 ? ([0, 0xff, 0x7f, 0x80][random.below(4)] ?? 0) : random.below(256))),
);

describe('integers by index', () => {
  it('read what DataView reads, at any offset', () => {
    for (const bytes of blocks) {
      const view = new DataView(bytes.buffer);
      for (const at of [0, 1, 3]) {
        expect([i8(bytes, at), u16be(bytes, at), i16be(bytes, at), u16le(bytes, at), i16le(bytes, at)]).toEqual([
          view.getInt8(at),
          view.getUint16(at),
          view.getInt16(at),
          view.getUint16(at, true),
          view.getInt16(at, true),
        ]);
        expect([u24be(bytes, at), u32be(bytes, at), i32be(bytes, at), u32le(bytes, at), i32le(bytes, at)]).toEqual([
          view.getUint32(at) >>> 8,
          view.getUint32(at),
          view.getInt32(at),
          view.getUint32(at, true),
          view.getInt32(at, true),
        ]);
        expect([u64be(bytes, at), i64be(bytes, at), u64le(bytes, at)]).toEqual([
          Number(view.getBigUint64(at)),
          Number(view.getBigInt64(at)),
          Number(view.getBigUint64(at, true)),
        ]);
      }
    }
  });

  it('are exact to 2^53 - 1', () => {
    const bytes = new Uint8Array(8);
    putU64be(bytes, 0, Number.MAX_SAFE_INTEGER);
    expect(u64be(bytes, 0)).toBe(Number.MAX_SAFE_INTEGER);
    expect([...bytes]).toEqual([0, 0x1f, 255, 255, 255, 255, 255, 255]);
  });

  it('write what DataView writes, return the offset behind it and touch nothing else', () => {
    const puts = [
      [putU8, 1, (view: DataView, value: number) => view.setUint8(3, value)],
      [putU16be, 2, (view: DataView, value: number) => view.setUint16(3, value)],
      [putU16le, 2, (view: DataView, value: number) => view.setUint16(3, value, true)],
      [putU32be, 4, (view: DataView, value: number) => view.setUint32(3, value)],
      [putU32le, 4, (view: DataView, value: number) => view.setUint32(3, value, true)],
      [putU64be, 8, (view: DataView, value: number) => view.setBigUint64(3, BigInt(value))],
      [putU64le, 8, (view: DataView, value: number) => view.setBigUint64(3, BigInt(value), true)],
    ] as const;
    for (const [put, width, reference] of puts)
      for (const value of [0, 1, 0x7f, 0x80, 0xff, 0x1234, 0xffff, 0x12345678, 0xffffffff, 0x1f_ffff_ffff_ffff]) {
        const wanted = new Uint8Array(16).fill(0xaa);
        reference(new DataView(wanted.buffer), value);
        const got = new Uint8Array(16).fill(0xaa);
        expect(put(got, 3, value)).toBe(3 + width);
        expect(got).toEqual(wanted);
      }
  });

  it('write decimal digits padded on the left', () => {
    const put = (value: number, width: number): string => {
      const out = new Uint8Array(20);
      return Buffer.from(out.subarray(0, putDecimal(out, 0, value, width))).toString('ascii');
    };
    expect([put(0, 1), put(7, 3), put(1234, 2), put(999999999999999, 1), put(0, 0)]).toEqual(['0', '007', '1234', '999999999999999', '0']);
  });

  it('write BCD calendars and plain ASCII only', () => {
    const out = new Uint8Array(4);
    expect(putBcd(out, 0, 59)).toBe(1);
    expect(putAscii(out, 1, 'a\u0080!')).toBe(4);
    expect([...out]).toEqual([0x59, 0x61, 0x3f, 0x21]);
  });
});
