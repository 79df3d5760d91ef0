import { type Bytes, decimal, epochMs, fraction, hexDigit, hexNumber } from '../../src/base/wire/index.ts';

/**
 * The fields of a text, read once for its commas; after that a field is a pair of offsets. Fields keep their place when they are
 * empty. All of this is scratch of one decode call.
 *
 *     field   0            1        2     3     4 …           count - 2   count - 1
 *             +RESP:GTFRI  version  IMEI  name  of the report  send time   count number
 */
const COMMA = 0x2c;
/** More than any documented text holds; what stands behind them is not read. */
const MAX_FIELDS = 1536;

/** Offsets of the fields: field k is bytes[AT[k], AT[k + 1] - 1). */
const AT = new Int32Array(MAX_FIELDS + 2);
/** Number of fields. */
export let count = 0;

export function splitFields(bytes: Bytes, start: number, end: number): void {
  let n = 0;
  let stop = end;
  AT[0] = start;
  for (let p = start; p < end; p++) {
    if (bytes[p] !== COMMA) continue;
    if (n === MAX_FIELDS - 1) {
      stop = p;
      break;
    }
    AT[++n] = p + 1;
  }
  count = n + 1;
  AT[count] = stop + 1;
}

/** Fields from k on are there no more: no reader takes them for a value. */
export function dropFields(k: number): void {
  count = k;
}

export function fieldFrom(k: number): number {
  return AT[k]!;
}

export function fieldTo(k: number): number {
  return AT[k + 1]! - 1;
}

/** Characters of field k; 0 for one that is not there. */
export function width(k: number): number {
  return k >= 0 && k < count ? AT[k + 1]! - 1 - AT[k]! : 0;
}

/** Unsigned decimal number in field k, -1 if it is not one. */
export function whole(bytes: Bytes, k: number): number {
  const n = width(k);
  return n === 0 || n > 15 ? -1 : decimal(bytes, AT[k]!, AT[k + 1]! - 1);
}

/** Unsigned hexadecimal number in field k, -1 if it is not one. */
export function hexadecimal(bytes: Bytes, k: number): number {
  const n = width(k);
  return n === 0 || n > 12 ? -1 : hexNumber(bytes, AT[k]!, AT[k + 1]! - 1);
}

/** Number with sign and fraction in field k, NaN if it is not one (`nan` and `Inf` are sent too). */
export function real(bytes: Bytes, k: number): number {
  const n = width(k);
  return n === 0 || n > 18 ? Number.NaN : fraction(bytes, AT[k]!, AT[k + 1]! - 1) + 0;
}

/** The number behind a letter in field k (`H123.4`, `P50.0`), NaN if there is none. */
export function realBehind(bytes: Bytes, k: number, letters: number): number {
  const n = width(k) - letters;
  return n <= 0 || n > 18 ? Number.NaN : fraction(bytes, AT[k]! + letters, AT[k + 1]! - 1);
}

export function hasPoint(bytes: Bytes, k: number): boolean {
  return holds(bytes, k, 0x2e);
}

export function holds(bytes: Bytes, k: number, byte: number): boolean {
  if (k >= count) return false;
  for (let p = AT[k]!; p < AT[k + 1]! - 1; p++) if (bytes[p] === byte) return true;
  return false;
}

export function firstOf(bytes: Bytes, k: number): number {
  return width(k) > 0 ? bytes[AT[k]!]! : 0;
}

/** Is field k this many hexadecimal digits? */
export function isHex(bytes: Bytes, k: number, digits: number): boolean {
  if (width(k) !== digits) return false;
  for (let p = AT[k]!; p < AT[k + 1]! - 1; p++) if (hexDigit(bytes[p]!) < 0) return false;
  return true;
}

/** Is field k this many digits? */
export function isDigits(bytes: Bytes, k: number, digits: number): boolean {
  if (k >= count) return false;
  const to = AT[k + 1]! - 1;
  let p = AT[k]!;
  if (to - p !== digits) return false;
  for (; p < to; p++) if (((bytes[p]! - 48) & 0xff) > 9) return false;
  return true;
}

/** Before it no unit has had a fix: clocks that were never set stand in 2004, examples in 2009. */
const FIRST_YEAR = 2010;
/** Where the clock of other units stands until it is set. */
const UNSET = epochMs(2020, 1, 1, 0, 0, 0);

/** YYYYMMDDHHMMSS in field k as epoch ms, NaN if it is not a time or the clock was never set. */
export function timeAt(bytes: Bytes, k: number): number {
  if (width(k) !== 14) return Number.NaN;
  const p = AT[k]!;
  const date = (two(bytes, p) * 100 + two(bytes, p + 2)) * 10_000 + two(bytes, p + 4) * 100 + two(bytes, p + 6);
  if (date !== lastDate) {
    lastDate = date;
    lastMidnight = midnight(Math.floor(date / 10_000), Math.floor(date / 100) % 100, date % 100);
  }
  const hour = two(bytes, p + 8);
  const minute = two(bytes, p + 10);
  const second = two(bytes, p + 12);
  if (!(hour < 24 && minute < 60 && second < 60)) return Number.NaN;
  return lastMidnight + ((hour * 60 + minute) * 60 + second) * 1000;
}

/** The date that was read last, and when it began: most times of a frame are of one day. */
let lastDate = Number.NaN;
let lastMidnight = Number.NaN;

function midnight(year: number, month: number, day: number): number {
  if (!(year >= FIRST_YEAR)) return Number.NaN;
  const time = epochMs(year, month, day, 0, 0, 0);
  return time === UNSET ? Number.NaN : time;
}

function two(bytes: Bytes, p: number): number {
  const high = bytes[p]! - 48;
  const low = bytes[p + 1]! - 48;
  return high < 0 || high > 9 || low < 0 || low > 9 ? Number.NaN : high * 10 + low;
}

/** Text of fields [from, to) with the commas between them. */
export function textOf(bytes: Bytes, from: number, to: number): string {
  let text = '';
  if (from >= to || from >= count) return text;
  const end = AT[Math.min(to, count)]! - 1;
  for (let p = AT[from]!; p < end; p++) {
    const c = bytes[p]!;
    text += c >= 32 && c < 127 ? String.fromCharCode(c) : '.';
  }
  return text;
}
