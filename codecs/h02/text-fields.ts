import { type Bytes, decimal, fraction, hexDigit, hexNumber } from '../../src/base/wire/index.ts';

/**
 * The fields of a text frame: read once for its commas, after which a field is a pair of offsets. Fields keep their place
 * even when they are empty, and blanks around them do not count. All of this is scratch of one decode call.
 *
 *     field   0      1   2     3       4  5    6    7    8    9      10      11      12
 *     V1      *MM    ID  TYPE  HHMMSS  S  lat  N|S  lon  E|W  speed  course  DDMMYY  status  extras …
 */
const COMMA = 0x2c;
const BLANK = 0x20;
/** More fields than any documented frame holds (a batch is read one segment at a time); what stands behind them is not read. */
const MAX_FIELDS = 1024;

/** Offsets of the fields: field k is bytes[AT[k], AT[k + 1] - 1). */
const AT = new Int32Array(MAX_FIELDS + 2);
/** Number of fields. */
export let count = 0;
/** Bounds of the field that was looked at last, without blanks. */
export let from = 0;
export let to = 0;
/** Status word that `isStatus` read last. */
export let word = 0;

/** Offset of field k, or one behind the last field's end for k = count. */
export function fieldAt(k: number): number {
  return AT[k]!;
}

export function splitFields(bytes: Bytes, start: number, end: number): void {
  let n = 0;
  AT[0] = start;
  for (let p = start; p < end; p++) {
    if (bytes[p] === COMMA) {
      if (n === MAX_FIELDS - 1) {
        end = p;
        break;
      }
      AT[++n] = p + 1;
    }
  }
  count = n + 1;
  AT[count] = end + 1;
}

/** Sets `from` and `to` to field k without blanks; an absent field is empty. */
export function trim(bytes: Bytes, k: number): void {
  if (k >= count) {
    from = to = 0;
    return;
  }
  from = AT[k]!;
  to = AT[k + 1]! - 1;
  while (from < to && bytes[from]! <= BLANK) from++;
  while (from < to && bytes[to - 1]! <= BLANK) to--;
}

export function isEmpty(bytes: Bytes, k: number): boolean {
  trim(bytes, k);
  return from === to;
}

export function width(bytes: Bytes, k: number): number {
  trim(bytes, k);
  return to - from;
}

/** The one character of field k, or -1. */
export function letter(bytes: Bytes, k: number): number {
  trim(bytes, k);
  return to - from === 1 ? bytes[from]! : -1;
}

/** Unsigned decimal number in field k, -1 if it is not one. */
export function whole(bytes: Bytes, k: number): number {
  trim(bytes, k);
  return to - from > 15 ? -1 : decimal(bytes, from, to);
}

export function hexadecimal(bytes: Bytes, k: number): number {
  trim(bytes, k);
  return to - from > 13 ? -1 : hexNumber(bytes, from, to);
}

/** Number with sign and fraction in field k, NaN if it is not one. */
export function real(bytes: Bytes, k: number): number {
  trim(bytes, k);
  return to - from > 18 ? Number.NaN : fraction(bytes, from, to);
}

/** Six digits in field k, as dates and times have them, else -1. */
export function sixDigits(bytes: Bytes, k: number): number {
  trim(bytes, k);
  return to - from === 6 ? decimal(bytes, from, to) : -1;
}

/** Is field k a status word, eight hex digits? Leaves it in `word`. */
export function isStatus(bytes: Bytes, k: number): boolean {
  trim(bytes, k);
  if (to - from !== 8) return false;
  let value = 0;
  for (let p = from; p < to; p++) {
    const digit = hexDigit(bytes[p]!);
    if (digit < 0) return false;
    value = (value << 4) | digit;
  }
  word = value;
  return true;
}

export function hasPoint(bytes: Bytes, k: number): boolean {
  trim(bytes, k);
  for (let p = from; p < to; p++) if (bytes[p] === 46) return true;
  return false;
}

/** Does one of the four fields from k on begin with a blank? */
export function isBlankPadded(bytes: Bytes, k: number): boolean {
  for (let i = k; i < k + 4; i++) if (bytes[AT[i]!] === BLANK) return true;
  return false;
}

export function isWord(bytes: Bytes, k: number, wanted: string): boolean {
  trim(bytes, k);
  if (to - from !== wanted.length) return false;
  for (let i = 0; i < wanted.length; i++) if (bytes[from + i] !== wanted.charCodeAt(i)) return false;
  return true;
}
