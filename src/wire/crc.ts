import type { Bytes } from './bytes.ts';

/** Reflected CRC-16 with the given reversed polynomial, one table step a byte. */
function table(reversed: number): Uint16Array {
  const t = new Uint16Array(256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ reversed : c >>> 1;
    t[n] = c;
  }
  return t;
}

const ARC = table(0xa001);
const X25 = table(0x8408);

/** CRC-16/ARC ("IBM"): polynomial 0x8005, reflected, initial 0, no final xor. Check value of "123456789": 0xBB3D. */
export function crc16Arc(bytes: Bytes, start: number, end: number): number {
  let c = 0;
  for (let p = start; p < end; p++) c = (c >>> 8) ^ ARC[(c ^ bytes[p]!) & 255]!;
  return c;
}

/** CRC-16/X.25 ("ITU"): polynomial 0x1021, reflected, initial 0xFFFF, final xor 0xFFFF. Check value of "123456789": 0x906E. */
export function crc16X25(bytes: Bytes, start: number, end: number): number {
  let c = 0xffff;
  for (let p = start; p < end; p++) c = (c >>> 8) ^ X25[(c ^ bytes[p]!) & 255]!;
  return c ^ 0xffff;
}

/** Exclusive or of all bytes. */
export function xorSum(bytes: Bytes, start: number, end: number): number {
  let c = 0;
  for (let p = start; p < end; p++) c ^= bytes[p]!;
  return c;
}
