import type { Bytes } from './bytes.ts';

/**
 * 64-bit hash of a text and a byte range, as two unsigned 32-bit halves left in `HASH`. Two multiply-rotate lanes read
 * alternate bytes' mixes and are folded into each other at the end. It names records (docs/formats/tables.md): spread
 * matters, secrecy does not. Its output is stored, so it must never change.
 */
export const HASH = { high: 0, low: 0 };

export function hash64(text: string, bytes: Bytes, start: number, end: number): void {
  let a = 0x9e3779b9;
  let b = 0x85ebca6b;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    a = Math.imul(a ^ c, 0xcc9e2d51);
    a = (a << 15) | (a >>> 17);
    b = Math.imul(b ^ c, 0x1b873593);
    b = (b << 13) | (b >>> 19);
  }
  a ^= text.length;
  let p = start;
  for (; p + 4 <= end; p += 4) {
    const w = bytes[p]! | (bytes[p + 1]! << 8) | (bytes[p + 2]! << 16) | (bytes[p + 3]! << 24);
    a = Math.imul(a ^ w, 0xcc9e2d51);
    a = (a << 15) | (a >>> 17);
    a = (a + b) | 0;
    b = Math.imul(b ^ w, 0x1b873593);
    b = (b << 13) | (b >>> 19);
    b = (b + Math.imul(a, 5)) | 0;
  }
  for (; p < end; p++) {
    const c = bytes[p]!;
    a = Math.imul(a ^ c, 0xcc9e2d51);
    a = (a << 15) | (a >>> 17);
    b = Math.imul(b ^ (c + 1), 0x1b873593);
    b = (b << 13) | (b >>> 19);
  }
  a ^= end - start;
  b ^= end - start;
  a = (a + b) | 0;
  b = (b + a) | 0;
  a = avalanche(a);
  b = avalanche(b);
  a = (a + b) | 0;
  b = (b + a) | 0;
  HASH.high = a >>> 0;
  HASH.low = b >>> 0;
}

function avalanche(value: number): number {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}
