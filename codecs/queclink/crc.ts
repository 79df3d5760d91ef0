import type { Bytes } from '../../src/base/wire/index.ts';

/** Checks of the binary formats (protocol.md section 10). */

const CCITT = new Uint16Array(256);
for (let n = 0; n < 256; n++) {
  let c = n << 8;
  for (let k = 0; k < 8; k++) c = (c & 0x8000) !== 0 ? ((c << 1) ^ 0x1021) & 0xffff : (c << 1) & 0xffff;
  CCITT[n] = c;
}

/** CRC-16: polynomial 0x1021, not reflected, initial 0xFFFF. Check value of "123456789": 0x29B1. */
export function crc16Ccitt(bytes: Bytes, start: number, end: number): number {
  let c = 0xffff;
  for (let p = start; p < end; p++) c = ((c << 8) & 0xffff) ^ CCITT[(c >> 8) ^ bytes[p]!]!;
  return c;
}

const TABLE8 = new Uint8Array(256);
for (let n = 0; n < 256; n++) {
  let c = n;
  for (let k = 0; k < 8; k++) c = (c & 0x80) !== 0 ? ((c << 1) ^ 0x31) & 0xff : (c << 1) & 0xff;
  TABLE8[n] = c;
}

/** CRC-8: polynomial 0x31, not reflected, initial 0xFF. Check value of "123456789": 0xF7. */
export function crc8(bytes: Bytes, start: number, end: number): number {
  let c = 0xff;
  for (let p = start; p < end; p++) c = TABLE8[c ^ bytes[p]!]!;
  return c;
}
