import { type Bytes, crc16X25, u16be } from '../../src/base/wire/index.ts';

/**
 * Where a frame ends (protocol.md sections 2 and 16).
 *
 * ```
 * 78 78 | LEN 1 | number 1 | content | serial 2 | CRC 2 | 0D 0A     total = LEN + 5
 * 79 79 | LEN 2 | number 1 | content | serial 2 | CRC 2 | 0D 0A     total = LEN + 6
 * 78 78 | any 1 | number 1 | data    | 0D 0A                        Topin dialect: the number tells the least length
 * ```
 *
 * 1. Frames are cut by length: the stop bytes stand inside content, serials and checksums too.
 * 2. The verdict is the earliest thing that becomes certain as bytes arrive, so it is the same for every cut:
 *    a whole frame with a right checksum inside a header that announces more (the header was false), the stop bytes
 *    where LEN puts them, then a frame whose LEN is a little too small.
 * 3. A header that announces more than ever comes is decided by `salvage` after quiet, or by 2 when the next frame is there.
 * 4. Once a login was the Topin dialect's, its short frames are cut by the stop bytes: LEN means nothing there. Only a login (number 01) is
 *    looked at under both rules, for a device may be another one tomorrow.
 * 5. The work of one call is bounded: at most INNER_TRIES checksums of inner frames and STOP_TRIES of early ends.
 */

/** Longest LEN believed of a long frame; the largest documented frames have a few hundred bytes. */
const MAX_LENGTH = 2048;
/** A frame with a wrong LEN is looked for up to this far behind the place where LEN puts its end. */
const SLACK = 4;
/** Room for the longest frame and the slack behind it. */
export const MAX_FRAME_BYTES = MAX_LENGTH + 6 + SLACK + 6;

const SHORTEST = 10;
const TOPIN_SHORTEST = 6;
const INNER_TRIES = 4;
const STOP_TRIES = 4;
const TOPIN_FIX = 24;
const TOPIN_TEXT = 40;
const TOPIN_CELLS = 32;
/** How far behind its least length the stop bytes of a Topin frame are looked for. */
const TOPIN_REST = 512;

/** What of the state decides how a stream is cut. */
interface Cut {
  readonly topin: boolean;
}

/** End of the inner frame that `innerFrame` found: scratch of one call. */
let innerEnd = 0;

export function frame(bytes: Bytes, start: number, end: number, state: Cut): number {
  const size = end - start;
  if (size < 1) return 0;
  const first = bytes[start]!;
  if (first !== 0x78 && first !== 0x79) return -1;
  if (size < 2) return 0;
  if (bytes[start + 1]! !== first) return -1;
  if (state.topin && first === 0x78) {
    if (size < 4) return 0;
    if (bytes[start + 3] !== 0x01) return topinByStops(bytes, start, end);
  }
  const head = first === 0x79 ? 4 : 3;
  if (size < head) return 0;
  const length = first === 0x79 ? u16be(bytes, start + 2) : bytes[start + 2]!;
  if (length < 5 || length > MAX_LENGTH) return topin(bytes, start, end);
  const total = length + head + 2;
  const inner = innerFrame(bytes, start, start + Math.min(size, total));
  if (length === 0x0d && size >= 15 && isTopinLogin(bytes, start) && (inner < 0 || innerEnd > start + 15)) return 15;
  if (size >= total && stops(bytes, start + total)) return inner < 0 ? total : outerOrInner(bytes, start, total, inner);
  if (inner >= 0) return start - inner;
  return size < total ? 0 : lying(bytes, start, end, total);
}

/** Both end with stop bytes, and the inner one is whole: the outer is the frame when it ends there too and its checksum is right. */
function outerOrInner(bytes: Bytes, start: number, total: number, inner: number): number {
  return innerEnd === start + total && sealed(bytes, start, start + total) ? total : start - inner;
}

/** The peer fell quiet in the middle of a frame: what to take of bytes[start, end) as a frame, 0 for nothing yet. */
export function salvage(bytes: Bytes, start: number, end: number, state: Cut): number {
  const size = end - start;
  if (state.topin && bytes[start] === 0x78) return size >= TOPIN_SHORTEST && stops(bytes, end) ? size : 0;
  const total = declared(bytes, start, end);
  if (total > 0) {
    const early = earlyEnd(bytes, start, end);
    if (early > 0) return early;
    // Only the last byte, or both stop bytes, did not come.
    if (size === total - 1 && bytes[end - 1]! === 0x0d) return size;
    if (size === total - 2 && crc16X25(bytes, start + 2, end - 2) === u16be(bytes, end - 2)) return size;
    if (size >= SHORTEST && stops(bytes, end) && takenUnsealed(bytes[start + 3]!)) return size;
  }
  // A false start in front of a whole frame, though its checksum is wrong: hand the start over as one frame, which decode
  // refuses and counts. Anything less may be the middle of a frame that is slow to come.
  for (let p = nextPair(bytes, start + 1, end); p < end; p = nextPair(bytes, p + 1, end)) {
    const length = declared(bytes, p, end);
    if (length > 0 && p + length <= end && stops(bytes, p + length)) return p - start;
  }
  return 0;
}

/** Total length by the header, 0 when it is not whole or not plausible. */
export function declared(bytes: Bytes, start: number, end: number): number {
  const long = bytes[start] === 0x79;
  if (end - start < (long ? 5 : 4)) return 0;
  const length = long ? u16be(bytes, start + 2) : bytes[start + 2]!;
  return length < 5 || length > MAX_LENGTH ? 0 : length + (long ? 6 : 5);
}

export function stops(bytes: Bytes, end: number): boolean {
  return bytes[end - 2] === 0x0d && bytes[end - 1] === 0x0a;
}

/** Is the checksum of a frame that ends at `end` right? */
function sealed(bytes: Bytes, start: number, end: number): boolean {
  return crc16X25(bytes, start + 2, end - 4) === u16be(bytes, end - 4);
}

/**
 * Start of the earliest-ending whole frame with right length, stop bytes and checksum that begins behind `start`, or
 * -1. The pair is looked for at every second byte: it covers two.
 */
function innerFrame(bytes: Bytes, start: number, limit: number): number {
  let found = -1;
  let tries = 0;
  for (let p = start + 2; p <= limit - SHORTEST + 1; p += 2) {
    const b = bytes[p]!;
    if (b !== 0x78 && b !== 0x79) continue;
    if (bytes[p - 1] === b && p - 1 > start) {
      if (isInner(bytes, p - 1, limit, found)) found = p - 1;
      if (++tries === INNER_TRIES) return found;
    }
    if (bytes[p + 1] === b) {
      if (isInner(bytes, p, limit, found)) found = p;
      if (++tries === INNER_TRIES) return found;
    }
  }
  return found;
}

function isInner(bytes: Bytes, at: number, limit: number, found: number): boolean {
  const total = declared(bytes, at, limit);
  const e = at + total;
  if (total === 0 || e > limit || (found >= 0 && e >= innerEnd) || !stops(bytes, e) || !sealed(bytes, at, e)) return false;
  innerEnd = e;
  return true;
}

/** All of `total` is there and the stop bytes are not where LEN puts them. */
function lying(bytes: Bytes, start: number, end: number, total: number): number {
  const early = earlyEnd(bytes, start, start + total);
  if (early > 0) return early;
  const number = bytes[start + (bytes[start] === 0x79 ? 4 : 3)]!;
  const window = start + total + SLACK;
  const inner = innerFrame(bytes, start, Math.min(end, window));
  for (let e = start + total + 1; e <= window; e++) {
    if (e > end) return 0;
    if (inner >= 0 && innerEnd === e) return start - inner;
    if (stops(bytes, e) && (takenUnsealed(number) || sealed(bytes, start, e))) return e - start;
  }
  if (bytes[start] === 0x78 && (number === 0x17 || number === 0x69)) {
    const wifi = topinEnd(bytes, start, end, topinCellBytes(number));
    if (wifi >= 0) return wifi;
  }
  return start - nextPair(bytes, start + 1, window);
}

/** An end before `limit` where stop bytes and a right checksum stand: LEN is too large, or there is none. */
function earlyEnd(bytes: Bytes, start: number, limit: number): number {
  let tries = 0;
  for (let e = start + SHORTEST; e <= limit; e++) {
    if (!stops(bytes, e)) continue;
    if (sealed(bytes, start, e)) return e - start;
    if (++tries === STOP_TRIES) return 0;
  }
  return 0;
}

/** Numbers whose frames are known to come with a wrong LEN and a dummy checksum (protocol.md section 2.5). */
function takenUnsealed(number: number): boolean {
  return number === 0x13 || number === 0x10 || number === 0x11;
}

/** Offset of the next possible start in bytes[from, end); `end`, or end − 1 for half a pair there. */
function nextPair(bytes: Bytes, from: number, end: number): number {
  for (let p = from; p < end; p++) {
    const b = bytes[p]!;
    if ((b === 0x78 || b === 0x79) && (p + 1 === end || bytes[p + 1] === b)) return p;
  }
  return end;
}

/** `78 78 0D 01 <IMEI 8> <version 1> 0D 0A`, unless the same bytes are the head of a login with serial xx0D. */
export function isTopinLogin(bytes: Bytes, start: number): boolean {
  if (bytes[start + 2] !== 0x0d || bytes[start + 3] !== 1 || !stops(bytes, start + 15)) return false;
  return crc16X25(bytes, start + 2, start + 14) >> 8 !== 0x0a;
}

/** The dialect is known: the first stop bytes behind what the number needs at least. */
function topinByStops(bytes: Bytes, start: number, end: number): number {
  const least = topinLeast(bytes, start, end);
  if (least === 0) return 0;
  const limit = start + least + TOPIN_REST;
  for (let e = start + least; e <= limit; e++) {
    if (e > end) return 0;
    if (stops(bytes, e)) return e - start;
  }
  return start - nextPair(bytes, start + 2, limit);
}

/** Least length of a Topin frame, 0 while that is not known. */
function topinLeast(bytes: Bytes, start: number, end: number): number {
  const number = bytes[start + 3]!;
  if (number === 0x10 || number === 0x11) return TOPIN_FIX;
  const cell = topinCellBytes(number);
  if (cell === 0) return TOPIN_SHORTEST;
  const total = topinNetwork(bytes, start, end, cell);
  return total < 0 ? TOPIN_SHORTEST : total;
}

/** LEN below 5 exists in the Topin dialect only, whose frames are short ones. */
function topin(bytes: Bytes, start: number, end: number): number {
  if (bytes[start] !== 0x78) return -1;
  const size = end - start;
  if (size < 4) return 0;
  const number = bytes[start + 3]!;
  const cell = topinCellBytes(number);
  if (cell > 0) return topinEnd(bytes, start, end, cell);
  switch (number) {
    case 0x08:
      return topinExact(bytes, start, end, TOPIN_SHORTEST);
    case 0x10:
    case 0x11:
      return topinExact(bytes, start, end, TOPIN_FIX);
    case 0x13:
    case 0x30:
    case 0x57:
      for (let e = start + TOPIN_SHORTEST; e <= start + TOPIN_TEXT; e++) {
        if (e > end) return 0;
        if (stops(bytes, e)) return e - start;
      }
      return -1;
    default:
      return -1;
  }
}

function topinExact(bytes: Bytes, start: number, end: number, total: number): number {
  if (end - start < total) return 0;
  return stops(bytes, start + total) ? total : -1;
}

function topinEnd(bytes: Bytes, start: number, end: number, cell: number): number {
  const total = topinNetwork(bytes, start, end, cell);
  if (total <= 0) return total;
  // The longer cells come with a byte or so behind them.
  for (let e = start + total; e < start + total + (cell === 9 ? SLACK : 1); e++) {
    if (e > end) return 0;
    if (stops(bytes, e)) return e - start;
  }
  return -1;
}

/** Bytes of one cell in the messages with Wi-Fi and cells: LAC 2, cell 2, RSSI 1, or LAC 4, cell 4, RSSI 1; 0: another message. */
export function topinCellBytes(number: number): number {
  if (number === 0x17 || number === 0x69) return 5;
  return number === 0x1a || number === 0x1b ? 9 : 0;
}

/**
 * Wi-Fi and cells of the Topin dialect: LEN is the number of access points.
 * `78 78 n number | date 6 | n × (MAC 6, RSSI 1) | m 1 | MCC 2 | MNC 1 | m × cell | 0D 0A`.
 * The length up to the stop bytes; 0: unknown yet, -1: it is not.
 */
function topinNetwork(bytes: Bytes, start: number, end: number, cell: number): number {
  const at = start + 10 + 7 * bytes[start + 2]!;
  if (bytes[start + 2]! > TOPIN_CELLS) return -1;
  if (at >= end) return 0;
  const cells = bytes[at]!;
  return cells > TOPIN_CELLS ? -1 : at - start + 4 + cell * cells + 2;
}
