import type { Bytes } from './bytes.ts';

/** The mirror of read: integers by index. Each returns the offset behind what it wrote. */

export function putU8(out: Bytes, at: number, value: number): number {
  out[at] = value;
  return at + 1;
}

export function putU16be(out: Bytes, at: number, value: number): number {
  out[at] = value >>> 8;
  out[at + 1] = value;
  return at + 2;
}

export function putU32be(out: Bytes, at: number, value: number): number {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
  return at + 4;
}

export function putU64be(out: Bytes, at: number, value: number): number {
  return putU32be(out, putU32be(out, at, Math.floor(value / 4294967296)), value >>> 0);
}

export function putU16le(out: Bytes, at: number, value: number): number {
  out[at] = value;
  out[at + 1] = value >>> 8;
  return at + 2;
}

export function putU32le(out: Bytes, at: number, value: number): number {
  out[at] = value;
  out[at + 1] = value >>> 8;
  out[at + 2] = value >>> 16;
  out[at + 3] = value >>> 24;
  return at + 4;
}

export function putU64le(out: Bytes, at: number, value: number): number {
  return putU32le(out, putU32le(out, at, value >>> 0), Math.floor(value / 4294967296));
}

/** Characters above 0x7F are written as `?`: nothing outside ASCII reaches a device. */
export function putAscii(out: Bytes, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    out[at + i] = c < 128 ? c : 63;
  }
  return at + text.length;
}

/** Decimal digits of a non-negative integer, left-padded with zeros to at least `width` characters. */
export function putDecimal(out: Bytes, at: number, value: number, width: number): number {
  let digits = 1;
  for (let v = value; v >= 10; v = Math.floor(v / 10)) digits++;
  const length = Math.max(digits, width);
  let rest = value;
  for (let p = at + length - 1; p >= at; p--) {
    out[p] = 48 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  return at + length;
}

/** Two decimal digits in one byte, as BCD calendars have them. `value` 0…99. */
export function putBcd(out: Bytes, at: number, value: number): number {
  out[at] = (Math.floor(value / 10) << 4) | (value % 10);
  return at + 1;
}
