import { type Bytes, hexDigit, u16be } from '../../src/base/wire/index.ts';

/**
 * Where a frame ends (protocol.md section 2), by its first bytes:
 *
 *     +RESP:GT… +BUFF:GT… +ACK:GT… +NACK:GT…   text up to `$` or NUL, or to where the next one begins
 *     +RSP +EVT +INF … (no colon)             binary: a length behind the header, CRC-16, 0D0A
 *     2B 00, 2D 00                            binary "Pro": length u16, check, 24; 2B 10 18: its heartbeat
 *
 * Everything else is noise up to the next byte that could begin a frame.
 */
const PLUS = 0x2b;
const MINUS = 0x2d;
const COLON = 0x3a;
const COMMA = 0x2c;
const DOLLAR = 0x24;

/** Texts that grow beyond it have lost their end. */
export const LONGEST = 8192;
/** Head, identity, count and end of a binary frame. */
const SHORTEST_BINARY = 20;
const LONGEST_BINARY = 4096;
const SHORTEST_PRO = 24;
const PRO_HEARTBEAT = 24;

/** What follows the `+` of a frame. */
export const Format = { None: 0, Unknown: 1, Text: 2, Binary: 3, Pro: 4, ProHeartbeat: 5 } as const;
export type Format = (typeof Format)[keyof typeof Format];

/** Binary headers as numbers, and where their length stands: offset, and bytes of it (0: see `lengthOf`). */
const HEADERS: ReadonlyMap<number, readonly [at: number, size: number]> = new Map(
  (
    [
      ['ACK', 6, 1],
      ['HBD', 5, 1],
      ['RSP', 9, 2],
      ['BSP', 9, 2],
      ['EVT', 9, 2],
      ['BVT', 9, 2],
      ['CAN', 9, 2],
      ['DAT', 9, 2],
      ['INF', 0, 0],
      ['BNF', 0, 0],
      ['CRD', 6, 2],
      ['BRD', 6, 2],
      ['LGN', 6, 2],
      ['ATI', 4, 1],
    ] as const
  ).map(([name, at, size]) => [triple(name), [at, size]]),
);

/** Three letters as a number. */
export function triple(name: string): number {
  return (name.charCodeAt(0) << 16) | (name.charCodeAt(1) << 8) | name.charCodeAt(2);
}

function tripleAt(bytes: Bytes, at: number): number {
  return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
}

/** Which kind of frame begins at `start`. */
export function formatAt(bytes: Bytes, start: number, end: number): Format {
  const first = bytes[start];
  const have = end - start;
  if (have > 12 && isLive(bytes, start)) return nameFails(bytes, start + 6, end);
  if (first !== PLUS && first !== MINUS) return Format.None;
  if (have < 2) return Format.Unknown;
  if (bytes[start + 1] === 0) return Format.Pro;
  if (first === MINUS) return Format.None;
  if (bytes[start + 1] === 0x10) return have < 3 ? Format.Unknown : bytes[start + 2] === PRO_HEARTBEAT ? Format.ProHeartbeat : Format.None;
  for (let k = 1; k < 9; k++) {
    if (k >= have) return Format.Unknown;
    const c = bytes[start + k]!;
    if (k >= 4 && c === COLON) return nameFails(bytes, start + k + 1, end);
    if (k === 4 && HEADERS.has(tripleAt(bytes, start + 1))) return Format.Binary;
    if (c < 0x41 || c > 0x5a) return Format.None;
  }
  return Format.None;
}

/** `+RESP:`, which most frames begin with. */
function isLive(bytes: Bytes, p: number): boolean {
  return (
    bytes[p] === PLUS &&
    bytes[p + 1] === 0x52 &&
    bytes[p + 2] === 0x45 &&
    bytes[p + 3] === 0x53 &&
    bytes[p + 4] === 0x50 &&
    bytes[p + 5] === COLON
  );
}

/** `GT` and three capitals or digits, then a comma. */
function nameFails(bytes: Bytes, at: number, end: number): Format {
  for (let k = 0; k < 6; k++) {
    if (at + k >= end) return Format.Unknown;
    const c = bytes[at + k]!;
    const isFine =
      k === 0 ? c === 0x47 : k === 1 ? c === 0x54 : k === 5 ? c === COMMA : (c >= 0x41 && c <= 0x5a) || (c >= 0x30 && c <= 0x39);
    if (!isFine) return Format.None;
  }
  return Format.Text;
}

export function frame(bytes: Bytes, start: number, end: number): number {
  switch (formatAt(bytes, start, end)) {
    case Format.Unknown:
      return 0;
    case Format.Text:
      return textFrame(bytes, start, end);
    case Format.Binary:
      return binaryFrame(bytes, start, end);
    case Format.Pro: {
      if (end - start < 4) return 0;
      const n = u16be(bytes, start + 2);
      return n < SHORTEST_PRO || n > LONGEST_BINARY ? skip(bytes, start, end) : n;
    }
    case Format.ProHeartbeat:
      return PRO_HEARTBEAT;
    default:
      return skip(bytes, start, end);
  }
}

/** In a datagram the last text needs no end. */
export function frameDatagram(bytes: Bytes, start: number, end: number): number {
  const n = frame(bytes, start, end);
  return n === 0 && formatAt(bytes, start, end) === Format.Text ? end - start : n;
}

/** The peer fell quiet: some units end a text with nothing. It is taken when it ends as a text does. */
export function salvage(bytes: Bytes, start: number, end: number): number {
  if (formatAt(bytes, start, end) !== Format.Text) return 0;
  let last = end;
  while (last > start && bytes[last - 1]! <= 0x20) last--;
  if (isEnded(bytes, start, last) || isEndedOld(bytes, start, last)) return end - start;
  for (let p = start; p < end; p++) if (bytes[p] === DOLLAR) return p + 1 - start;
  return 0;
}

/** Minus the distance to the next byte that could begin a frame. */
function skip(bytes: Bytes, start: number, end: number): number {
  let p = start + 1;
  for (; p < end; p++) {
    const c = bytes[p];
    if (c === PLUS || (c === MINUS && (p + 1 === end || bytes[p + 1] === 0))) break;
  }
  return start - p;
}

/** Reports whose payload may hold a `$`, or what looks like the next frame: the next two are tried where the first is not the end. */
const DAT = triple('DAT');
const DTT = triple('DTT');
const MOST_DOLLARS = 3;

function textFrame(bytes: Bytes, start: number, end: number): number {
  const limit = Math.min(end, start + LONGEST);
  for (let p = start + 6; p < limit; p++) {
    const c = bytes[p]!;
    // Digits, letters, commas and points: nearly all of a text.
    if (c > PLUS) continue;
    if (c === DOLLAR) return hasPayload(bytes, start) ? payloadFrame(bytes, start, limit, p) : p + 1 - start;
    if (c === 0) return p + 1 - start;
    if (c === PLUS && isNextText(bytes, p, limit)) return p - start;
  }
  return limit - start < LONGEST ? 0 : skip(bytes, start, limit);
}

/** A text with a payload: the first `$`, at `dollar`, is its end unless one of the next two is in the place of an end. */
function payloadFrame(bytes: Bytes, start: number, limit: number, dollar: number): number {
  const first = dollar + 1 - start;
  let dollars = 0;
  for (let p = dollar; p < limit; p++) {
    const c = bytes[p]!;
    if (c === DOLLAR) {
      if (isEnded(bytes, start, p)) return p + 1 - start;
      if (++dollars === MOST_DOLLARS) return first;
    } else if (c === 0 || (c === PLUS && isNextText(bytes, p, limit))) return first;
  }
  return limit - start < LONGEST ? 0 : first;
}

function hasPayload(bytes: Bytes, start: number): boolean {
  let p = start + 4;
  while (bytes[p] !== COLON) p++;
  const name = tripleAt(bytes, p + 3);
  return name === DAT || name === DTT;
}

/** Does one of the classes that units send begin here? */
function isNextText(bytes: Bytes, p: number, end: number): boolean {
  if (p + 10 > end) return false;
  switch (tripleAt(bytes, p + 1)) {
    case 0x524553: // RES
      return bytes[p + 4] === 0x50 && bytes[p + 5] === COLON && formatAt(bytes, p, end) === Format.Text;
    case 0x425546: // BUF
      return bytes[p + 4] === 0x46 && bytes[p + 5] === COLON && formatAt(bytes, p, end) === Format.Text;
    case 0x4e4143: // NAC
      return bytes[p + 4] === 0x4b && bytes[p + 5] === COLON && formatAt(bytes, p, end) === Format.Text;
    case 0x41434b: // ACK
      return bytes[p + 4] === COLON && formatAt(bytes, p, end) === Format.Text;
    default:
      return false;
  }
}

/** Does a send time of 14 digits, or none, and a count of 4 hex digits stand in front of `q`? */
function isEnded(bytes: Bytes, start: number, q: number): boolean {
  if (q - start < 16 || bytes[q - 5] !== COMMA) return false;
  for (let p = q - 4; p < q; p++) if (hexDigit(bytes[p]!) < 0) return false;
  if (bytes[q - 6] === COMMA) return true;
  return q - start >= 30 && bytes[q - 20] === COMMA && areDigits(bytes, q - 19, q - 5);
}

/** The oldest dialect: count of 4, then a version of 10. */
function isEndedOld(bytes: Bytes, start: number, q: number): boolean {
  return q - start >= 40 && bytes[q - 11] === COMMA && bytes[q - 16] === COMMA && areDigits(bytes, q - 10, q);
}

function areDigits(bytes: Bytes, from: number, to: number): boolean {
  for (let p = from; p < to; p++) if (bytes[p]! < 0x30 || bytes[p]! > 0x39) return false;
  return true;
}

function binaryFrame(bytes: Bytes, start: number, end: number): number {
  const [at, size] = HEADERS.get(tripleAt(bytes, start + 1)) ?? [0, 0];
  const have = end - start;
  if (size === 0) return informationFrame(bytes, start, end);
  if (have < at + size) return 0;
  const n = size === 1 ? bytes[start + at]! : u16be(bytes, start + at);
  return isLength(n) ? n : skip(bytes, start, end);
}

function isLength(n: number): boolean {
  return n >= SHORTEST_BINARY && n <= LONGEST_BINARY;
}

/** +INF, +BNF: the length stands at 7, on some models at 9: the one behind which 0D0A stands. */
function informationFrame(bytes: Bytes, start: number, end: number): number {
  for (let at = 7; at <= 9; at += 2) {
    if (end - start < at + 2) return 0;
    const n = u16be(bytes, start + at);
    if (!isLength(n)) continue;
    if (end - start < n) return 0;
    if (bytes[start + n - 2] === 0x0d && bytes[start + n - 1] === 0x0a) return n;
  }
  return skip(bytes, start, end);
}

/** Do these first bytes look like Queclink? Undefined while too few have arrived to say. */
export function recognise(bytes: Bytes, start: number, end: number): boolean | undefined {
  let p = start;
  while (p < end && p < start + 3 && (bytes[p] === 0x0d || bytes[p] === 0x0a || bytes[p] === 0x20)) p++;
  if (p >= end) return undefined;
  switch (formatAt(bytes, p, end)) {
    case Format.None:
      return false;
    case Format.Unknown:
      return undefined;
    case Format.Pro: {
      if (end - p < 4) return undefined;
      const n = u16be(bytes, p + 2);
      return n >= SHORTEST_PRO && n <= LONGEST_BINARY;
    }
    default:
      return true;
  }
}
