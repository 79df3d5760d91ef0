import { describe, expect, it } from 'vitest';
import { crc16Arc, crc16X25, HASH, hash64, xorSum } from '../../../src/base/wire/index.ts';
import { Random } from '../../../src/codec/kit/index.ts';

const CHECK = Uint8Array.from(Buffer.from('x123456789x'));

/** Bit by bit from the polynomial: another way to the same numbers. */
function bitwise(bytes: Uint8Array, reversed: number, initial: number, final: number): number {
  let crc = initial;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ reversed : crc >>> 1;
  }
  return crc ^ final;
}

describe('checksums', () => {
  it('give the published check values', () => {
    expect(crc16Arc(CHECK, 1, 10)).toBe(0xbb3d);
    expect(crc16X25(CHECK, 1, 10)).toBe(0x906e);
    expect(xorSum(CHECK, 1, 10)).toBe(0x31);
    expect([crc16Arc(CHECK, 3, 3), crc16X25(CHECK, 3, 3), xorSum(CHECK, 3, 3)]).toEqual([0, 0, 0]);
  });

  it('equal the bitwise definition for any bytes', () => {
    const random = new Random(3);
    for (let n = 0; n < 500; n++) {
      const bytes = Uint8Array.from({ length: random.below(64) }, () => random.below(256));
      expect(crc16Arc(bytes, 0, bytes.length)).toBe(bitwise(bytes, 0xa001, 0, 0));
      expect(crc16X25(bytes, 0, bytes.length)).toBe(bitwise(bytes, 0x8408, 0xffff, 0xffff));
    }
  });
});

describe('hash64, which is stored and must never change', () => {
  const of = (text: string, bytes: Uint8Array, start = 0, end = bytes.length): string => {
    hash64(text, bytes, start, end);
    return HASH.high.toString(16).padStart(8, '0') + HASH.low.toString(16).padStart(8, '0');
  };
  const record = Uint8Array.from({ length: 35 }, (_, n) => (n * 37) & 255);

  it('gives these values', () => {
    expect([
      of('', new Uint8Array(0)),
      of('356307042441013', new Uint8Array(0)),
      of('356307042441013', record),
      of('356307042441013', record, 1, 34),
      of('é', record, 0, 3),
      of('7', record, 0, 32),
    ]).toEqual(['835859e10463d506', '5c2427f98672d0db', 'dbecf79e6ce6c014', '6a3fbd7c58a2c96b', '1a58c4551fa850be', 'e741f28bbdeaa85d']);
  });

  it('depends on the range, not on where it lies or what is around', () => {
    const moved = new Uint8Array(100).fill(0x55);
    moved.set(record, 13);
    expect(of('a', moved, 13, 13 + record.length)).toBe(of('a', record));
  });

  it('differs for every single bit, every length and a moved border between device and bytes', () => {
    const seen = new Set([of('12', record)]);
    for (let bit = 0; bit < record.length * 8; bit++) {
      const flipped = record.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      seen.add(of('12', flipped));
    }
    for (let end = 0; end < record.length; end++) seen.add(of('12', record, 0, end));
    seen.add(of('1', Uint8Array.of(0x32, ...record)));
    expect(seen.size).toBe(1 + record.length * 8 + record.length + 1);
  });

  it('has no collision among records that differ in a counter, and spreads over both halves', () => {
    const bytes = new Uint8Array(20);
    const seen = new Set<string>();
    const high = new Set<number>();
    const low = new Set<number>();
    for (let n = 0; n < 60_000; n++) {
      bytes[4] = n >> 8;
      bytes[5] = n;
      seen.add(of('1', bytes));
      high.add(HASH.high);
      low.add(HASH.low);
    }
    expect(seen.size).toBe(60_000);
    // Two of 60 000 random 32-bit numbers are expected to meet about 0.4 times.
    expect(Math.min(high.size, low.size)).toBeGreaterThan(59_990);
  });
});
