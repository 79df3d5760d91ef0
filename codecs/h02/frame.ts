import { type Bytes, u16be } from '../../src/base/wire/index.ts';
import { BINARY_LENGTHS, type H02State } from './state.ts';

/**
 * Where a frame ends (protocol.md section 2).
 *
 * Text is `*` maker `,` … `#`. A `$` frame has neither length nor terminator, so its length is decided by a procedure
 * that reads the bytes in order and stops at the first step that is sure. Each step looks at a fixed number of bytes
 * that earlier bytes determine, so the verdict is the same however the stream was cut:
 *
 *     bytes known   question                                                    answer
 *     25 (28)       do the BCD fields of the short (long) layout hold?          no → noise; long → 42
 *     32            did this connection send 32-byte frames so far, or can      32
 *                   30–31 not be the reserved byte and signal of longer ones?
 *     33…45         does a credible frame begin at 32?                          32
 *     45            is 37–38 a country code, 30–36 a radio block, and byte 44   45
 *                   no voltage of a longer frame?
 *     46…           does a credible frame begin at 45, 46, 47, 48, 51?          that length
 *                   (before its turn: the length this connection used so far)
 *     52…           the same again behind blanks and line breaks                that length
 *     52…           nothing credible anywhere                                   learned, 45 with country code, 32
 *
 * A frame without anything behind it that the content does not settle stays open until the peer falls quiet
 * (`salvage`). When a length was taken too short, the rest of that frame is noise of a telling length: the connection
 * learns the longer one from it.
 */

const STAR = 0x2a;
const DOLLAR = 0x24;
const LETTER_X = 0x58;
const HASH_SIGN = 0x23;
const COMMA = 0x2c;

export const MAX_TEXT = 16384;
/** Fields up to course, in the short layout; the long layout has 3 bytes more of id. */
const HEADER = 25;
const LONG_SHIFT = 3;
/** Enough of a binary frame to believe that one begins: marker, id, time, date. */
const GLIMPSE = 12;
const LONGEST_TAIL = 19;

/** Stream verdict: see `StreamDialect.frame`. */
export function frameStream(bytes: Bytes, start: number, end: number, state: H02State): number {
  const c = bytes[start];
  if (c === STAR) return textFrame(bytes, start, end, state);
  if (c === DOLLAR) return binaryFrame(bytes, start, end, state);
  if (c === LETTER_X) {
    if (binaryFails(bytes, start, end, 0)) return noise(bytes, start, end, state);
    return end - start < HEADER ? 0 : 32;
  }
  return noise(bytes, start, end, state);
}

/** Datagram verdict: here `end` is the end of the message, so the datagram's own length decides where content does not. */
export function frameDatagram(bytes: Bytes, start: number, end: number, state: H02State): number {
  if (bytes[start] !== DOLLAR) return frameStream(bytes, start, end, state);
  const have = end - start;
  const layout = binaryLayout(bytes, start, end);
  if (layout < 0) return skip(bytes, start, end);
  if (layout === 0) return 0;
  if (state.fixedLength > 0) return state.fixedLength;
  if (layout === 42) return 42;
  for (const n of BINARY_LENGTHS) if (n < have && credible(bytes, start + n, end) > 0) return withoutBreak(bytes, start, n);
  if (isLength(have)) return withoutBreak(bytes, start, have);
  for (const n of BINARY_LENGTHS) {
    if (n >= have) break;
    const next = start + n + separators(bytes, start + n, end);
    if (next === end || credible(bytes, next, end) > 0) return n;
  }
  return have < 32 ? 0 : have;
}

/**
 * The peer fell quiet: the length that content left open is the one that fits what has arrived (protocol.md section 2.3, rules 6 to
 * 9). What is left of a frame that was cut too short is handed over too, as an unreadable frame: it must not
 * stay behind until the connection is given up.
 */
export function salvage(bytes: Bytes, start: number, end: number, state: H02State): number {
  const have = end - start;
  if (credible(bytes, start, end) < 0 || (bytes[start] !== STAR && binaryLayout(bytes, start, end) < 0)) {
    if (state.tail === 0) return 0;
    let k = 1;
    while (k < have && credible(bytes, start + k, end) < 0) k++;
    if (isLength(state.tail + k)) state.learned = state.tail + k;
    return k;
  }
  if (bytes[start] !== DOLLAR || have < 32 || binaryLayout(bytes, start, end) !== 32) return 0;
  if (isLength(have)) return withoutBreak(bytes, start, have);
  for (const n of BINARY_LENGTHS) if (n < have && start + n + separators(bytes, start + n, end) === end) return n;
  return fallback(bytes, start, have, state);
}

/** Do these first bytes look like H02? Undefined while too few have arrived to say. */
export function recognise(bytes: Bytes, start: number, end: number): boolean | undefined {
  const p = start + separators(bytes, start, end);
  if (p >= end) return undefined;
  const verdict = credible(bytes, p, end);
  return verdict === 0 ? undefined : verdict > 0;
}

/** 42 for the long layout, 32 for the short one, -1 for neither, 0 for too few bytes to say. */
export function binaryLayout(bytes: Bytes, start: number, end: number): number {
  const have = end - start;
  if (!binaryFails(bytes, start, end, 0)) return have < HEADER ? 0 : 32;
  if (!binaryFails(bytes, start, end, LONG_SHIFT)) return have < HEADER + LONG_SHIFT ? 0 : 42;
  return -1;
}

function textFrame(bytes: Bytes, start: number, end: number, state: H02State): number {
  const begin = textBegins(bytes, start, end);
  if (begin < 0) return noise(bytes, start, end, state);
  if (begin === 0) return 0;
  const limit = Math.min(end, start + MAX_TEXT);
  for (let p = start + 4; p < limit; p++) {
    const c = bytes[p]!;
    if (c === HASH_SIGN) return p + 1 - start;
    // Another frame begins before this one ended: its terminator was lost.
    if (c === STAR && textBegins(bytes, p, limit) > 0) return start - p;
  }
  return limit - start < MAX_TEXT ? 0 : skip(bytes, start, limit);
}

function binaryFrame(bytes: Bytes, start: number, end: number, state: H02State): number {
  const layout = binaryLayout(bytes, start, end);
  if (layout < 0) return noise(bytes, start, end, state);
  if (layout === 0) return 0;
  if (state.fixedLength > 0) return state.fixedLength;
  if (layout === 42) return 42;
  const have = end - start;
  if (state.learned === 0) {
    if (have < 32) return 0;
    if (bytes[start + 30] === 0 && !isSignal(bytes[start + 31]!)) return 32;
  }
  const near = beforeNext(bytes, start, end, state);
  if (near >= 0) return near;
  const separated = beforeSeparators(bytes, start, end);
  return separated >= 0 ? separated : fallback(bytes, start, have, state);
}

/** The known length that is learned, or behind which another frame stands; 0: too few bytes to say, -1: none. */
function beforeNext(bytes: Bytes, start: number, end: number, state: H02State): number {
  const have = end - start;
  for (const n of BINARY_LENGTHS) {
    if (n === 45) {
      if (have < 45) return 0;
      if (is45(bytes, start, state)) return 45;
    } else if (n === state.learned) return n;
    if (have <= n) return 0;
    const next = credible(bytes, start + n, end);
    if (next > 0) return withoutBreak(bytes, start, n);
    if (next === 0) return 0;
  }
  return -1;
}

/** The known length behind which a separator and another frame stand; 0: too few bytes to say, -1: none. */
function beforeSeparators(bytes: Bytes, start: number, end: number): number {
  for (const n of BINARY_LENGTHS) {
    const blank = separators(bytes, start + n, end);
    if (blank === 0) continue;
    if (start + n + blank >= end) return 0;
    const next = credible(bytes, start + n + blank, end);
    if (next > 0) return n;
    if (next === 0) return 0;
  }
  return -1;
}

/**
 * Do the first 45 bytes settle that this is a 45-byte frame? Byte 44 is its record number; in a longer frame it is the
 * high byte of a voltage in 0.1 V (0…2), or 0x64 on one maker's units.
 */
function is45(bytes: Bytes, start: number, state: H02State): boolean {
  const last = bytes[start + 44]!;
  const voltage = last <= 2 || last === 0x64;
  if (state.learned === 45) return !voltage || last === ((state.record + 1) & 255);
  if (state.learned !== 0 || voltage) return false;
  return (
    bytes[start + 30] === 0 &&
    isSignal(bytes[start + 31]!) &&
    bytes[start + 32]! <= 40 &&
    bytes[start + 33] === 0 &&
    countryCode(bytes, start)
  );
}

/** CSQ: 0 to 31, 99 unknown. */
function isSignal(value: number): boolean {
  return value <= 31 || value === 99;
}

/**
 * A frame of `n` bytes that ends in a line break may be a shorter one of a known length with a separator behind it. With
 * a country code that is not the 46-byte branch, which has none; without one, a blank or line feed behind 45 bytes is
 * rather the last byte of that branch.
 */
function withoutBreak(bytes: Bytes, start: number, n: number): number {
  const end = start + n;
  if (bytes[end - 1] !== 10) return n;
  const most = bytes[end - 2] !== 13 ? 1 : bytes[end - 3] !== 32 ? 2 : 3;
  const radio = countryCode(bytes, start);
  for (let k = most; k > 0; k--) {
    const shorter = n - k;
    if (isLength(shorter) && !(shorter === 46 && radio) && !(shorter === 45 && k !== 2 && !radio)) return shorter;
  }
  return n;
}

function countryCode(bytes: Bytes, start: number): boolean {
  const mcc = u16be(bytes, start + 37);
  return mcc >= 200 && mcc <= 799;
}

function fallback(bytes: Bytes, start: number, have: number, state: H02State): number {
  if (state.learned > 0 && state.learned <= have) return state.learned;
  return have >= 45 && countryCode(bytes, start) ? 45 : 32;
}

function isLength(n: number): boolean {
  for (const known of BINARY_LENGTHS) if (known === n) return true;
  return false;
}

/**
 * Bytes that begin no frame. Directly behind a `$` frame they may be the rest of it: then as many as make it a known
 * longer length stand before the next frame, and that length is learned.
 */
function noise(bytes: Bytes, start: number, end: number, state: H02State): number {
  if (state.tail > 0) {
    if (separators(bytes, start, end) === 0) {
      for (let k = 1; k <= LONGEST_TAIL; k++) {
        if (start + k >= end) return 0;
        const next = credible(bytes, start + k, end);
        if (next === 0) return 0;
        if (next > 0) {
          if (isLength(state.tail + k)) state.learned = state.tail + k;
          state.tail = 0;
          return -k;
        }
      }
    }
    state.tail = 0;
  }
  return skip(bytes, start, end);
}

/** Minus the distance from `start` to the next byte that could begin a frame. */
function skip(bytes: Bytes, start: number, end: number): number {
  let p = start + 1;
  for (; p < end; p++) {
    const c = bytes[p]!;
    if (c === STAR || c === DOLLAR || c === LETTER_X) break;
  }
  return start - p;
}

/** How many blanks and line breaks stand at `at`; more than three are not a separator. */
function separators(bytes: Bytes, at: number, end: number): number {
  let p = at;
  while (p < end && p < at + 3 && (bytes[p] === 32 || bytes[p] === 13 || bytes[p] === 10)) p++;
  return p - at;
}

/** Does a frame begin at `at`? 1 yes, -1 no, 0 too few bytes. */
function credible(bytes: Bytes, at: number, end: number): number {
  const c = bytes[at];
  if (c === STAR) return textBegins(bytes, at, end);
  if (c !== DOLLAR && c !== LETTER_X) return -1;
  const have = end - at;
  if (!binaryFails(bytes, at, Math.min(end, at + GLIMPSE), 0)) return have < GLIMPSE ? 0 : 1;
  if (c === LETTER_X || binaryFails(bytes, at, Math.min(end, at + GLIMPSE + LONG_SHIFT), LONG_SHIFT)) return -1;
  return have < GLIMPSE + LONG_SHIFT ? 0 : 1;
}

/** `*`, two letters, comma: 1 yes, -1 no, 0 too few bytes. */
function textBegins(bytes: Bytes, at: number, end: number): number {
  if (at + 1 < end && !isLetter(bytes[at + 1]!)) return -1;
  if (at + 2 < end && !isLetter(bytes[at + 2]!)) return -1;
  if (at + 3 >= end) return 0;
  return bytes[at + 3] === COMMA ? 1 : -1;
}

function isLetter(c: number): boolean {
  const upper = c & 0xdf;
  return upper >= 65 && upper <= 90;
}

/**
 * Does a field that has arrived contradict the layout (protocol.md section 2.3, rule 2)? `shift` is 0 for the short layout, 3 for
 * the long one. All numbers are BCD.
 *
 *     0 marker · 1 id (5, or 8 with a filler nibble) · 6 hh mm ss · 9 dd mm yy · 12 lat dd mm mm mm · 16 free
 *     17 lon ddd mm mmmm, then a nibble of flags · 22 speed and course, three nibbles each
 */
function binaryFails(bytes: Bytes, start: number, end: number, shift: number): boolean {
  const have = end - start;
  const p = start + shift;
  const fields = have - shift;
  if (fields >= HEADER) return headerFails(bytes, p) || notBcd(bytes, start + 1, p + 6, shift);
  if (notBcd(bytes, start + 1, Math.min(end, p + 6), shift)) return true;
  if (notBcd(bytes, p + 6, Math.min(end, p + 16), 0)) return true;
  if (fields > 6 && bytes[p + 6]! > 0x23) return true;
  if (fields > 7 && bytes[p + 7]! > 0x59) return true;
  if (fields > 8 && bytes[p + 8]! > 0x59) return true;
  if (fields > 9 && (bytes[p + 9]! > 0x31 || bytes[p + 9] === 0)) return true;
  return fields > 10 && dateFails(bytes[p + 9]!, bytes[p + 10]!);
}

/** The same of the whole header but the id. */
function headerFails(bytes: Bytes, p: number): boolean {
  if (bytes[p + 6]! > 0x23 || bytes[p + 7]! > 0x59 || bytes[p + 8]! > 0x59) return true;
  const course = ((bytes[p + 23]! & 15) << 8) | bytes[p + 24]!;
  const longitude = (bytes[p + 17]! << 4) | (bytes[p + 18]! >> 4);
  if (bytes[p + 12]! > 0x90 || bytes[p + 13]! > 0x59 || longitude > 0x180 || course > 0x360) return true;
  if ((((bytes[p + 18]! & 15) << 4) | (bytes[p + 19]! >> 4)) > 0x59) return true;
  if (notBcd(bytes, p + 6, p + 16, 0)) return true;
  if (notBcd(bytes, p + 17, p + 21, 0) || bytes[p + 21]! > 0x9f || notBcd(bytes, p + 22, p + 25, 0)) return true;
  return dateFails(bytes[p + 9]!, bytes[p + 10]!);
}

/** Digits in bytes[from, to)? In the long id (`shift` > 0) the last nibble is a filler. */
function notBcd(bytes: Bytes, from: number, to: number, shift: number): boolean {
  for (let p = from; p < to; p++) {
    const c = bytes[p]!;
    if (c > 0x9f) return true;
    if ((c & 15) > 9 && !(shift > 0 && p - from === 7)) return true;
  }
  return false;
}

function dateFails(day: number, month: number): boolean {
  return day === 0 || day > 0x31 || month === 0 || month > 0x12;
}
