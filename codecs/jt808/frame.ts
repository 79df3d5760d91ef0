import { type Bytes, u16be } from '../../src/base/wire/index.ts';

/**
 * Where a frame ends, and what stands in it (protocol.md sections 2 and 3.1).
 *
 * ```
 * 7E | message id 2 | attributes 2 | [version 1] | phone 6, 7 or 10 | serial 2 | [packages 2, number 2] | body | checksum 1 | 7E
 * ```
 *
 * 1. A frame is what stands between two equal delimiters, however short: 7E, or E7 with another escape alphabet. The closing delimiter is never
 *    the opening one of the next frame. Text of locks stands between `(` and `)`.
 * 2. A verdict needs the closing delimiter: before it there is 0, whatever has arrived. Without one within LONGEST bytes the opening byte is
 *    noise.
 * 3. Content without escapes is read in place; otherwise from a copy that lasts for one call (`Content`).
 */

/** Header, 1023 bytes of body and checksum, all escaped, are 2092; twice that is believed. */
export const LONGEST = 4096;
export const LONGEST_TEXT = 512;

const DELIMITER = 0x7e;
const DELIMITER_E7 = 0xe7;
const OPEN = 0x28;
const CLOSE = 0x29;

export function frame(bytes: Bytes, start: number, end: number): number {
  const first = bytes[start]!;
  if (first === DELIMITER || first === DELIMITER_E7) return between(bytes, start, end, first);
  if (first === OPEN) return sentence(bytes, start, end);
  let p = start + 1;
  while (p < end && !begins(bytes[p]!)) p++;
  return start - p;
}

function begins(byte: number): boolean {
  return byte === DELIMITER || byte === DELIMITER_E7 || byte === OPEN;
}

function between(bytes: Bytes, start: number, end: number, delimiter: number): number {
  const limit = Math.min(end, start + LONGEST);
  for (let p = start + 1; p < limit; p++) {
    if (bytes[p] === delimiter) return p === start + 1 ? -1 : p - start + 1;
  }
  return end - start >= LONGEST ? -1 : 0;
}

/** `(` begins a sentence only in front of a digit. */
function sentence(bytes: Bytes, start: number, end: number): number {
  if (end - start < 2) return 0;
  if (bytes[start + 1]! < 0x30 || bytes[start + 1]! > 0x39) return -1;
  const limit = Math.min(end, start + LONGEST_TEXT);
  for (let p = start + 2; p < limit; p++) if (bytes[p] === CLOSE) return p - start + 1;
  return end - start >= LONGEST_TEXT ? -1 : 0;
}

/** A stream or datagram of this codec begins with 7E and has a second 7E behind a content whose bytes cancel each other out. */
export function recognise(bytes: Bytes, start: number, end: number): boolean | undefined {
  if (end - start < 1) return undefined;
  if (bytes[start] !== DELIMITER) return false;
  const length = between(bytes, start, end, DELIMITER);
  if (length === 0) return end - start >= RECOGNISED ? false : undefined;
  if (length < SHORTEST) return false;
  CONTENT.open(bytes, start, start + length);
  return CONTENT.sum === 0;
}

const RECOGNISED = 2100;
/** Two delimiters, a header and a checksum. */
const SHORTEST = 15;

/** The frame of one call without its escapes. Valid until the next `open`. */
export class Content {
  /** The frame's own bytes, or the copy: content is bytes[p, q), checksum not included. */
  bytes: Bytes = new Uint8Array(0);
  p = 0;
  q = 0;
  /** All content bytes and the checksum, exclusive or: 0 when the checksum is right. */
  sum = 0;
  e7 = false;
  readonly #copy = new Uint8Array(LONGEST);
  /** By place in the copy: where the byte stands in the frame. */
  readonly #places = new Int32Array(LONGEST + 1);
  #escaped = false;

  /** The frame bytes[start, end), delimiters included. */
  open(bytes: Bytes, start: number, end: number): void {
    this.e7 = bytes[start] === DELIMITER_E7;
    const last = Math.min(end - 1, start + LONGEST - 1);
    let sum = 0;
    let p = start + 1;
    if (!this.e7) for (; p < last && bytes[p] !== 0x7d; p++) sum ^= bytes[p]!;
    this.#escaped = p < last;
    this.bytes = bytes;
    this.p = start + 1;
    this.q = Math.max(start + 1, last - 1);
    this.sum = sum;
    if (this.#escaped) this.#unescape(bytes, start + 1, p, last, sum);
  }

  /** Where the byte at this place of the content stands in the frame. */
  placeOf(at: number): number {
    return this.#escaped ? this.#places[at]! : at;
  }

  /** Content bytes[from, to), of which those in front of `first`, whose exclusive or is `before`, have no escape. */
  #unescape(bytes: Bytes, from: number, first: number, to: number, before: number): void {
    const copy = this.#copy;
    const places = this.#places;
    const e7 = this.e7;
    let n = 0;
    for (let p = from; p < first; p++, n++) {
      places[n] = p;
      copy[n] = bytes[p]!;
    }
    let sum = before;
    for (let p = first; p < to; n++) {
      places[n] = p;
      let byte = bytes[p]!;
      const value = (e7 || byte === 0x7d) && p + 1 < to ? escaped(byte, bytes[p + 1]!, e7) : -1;
      if (value >= 0) byte = value;
      copy[n] = byte;
      sum ^= byte;
      p += value < 0 ? 1 : 2;
    }
    places[n] = to;
    this.bytes = copy;
    this.p = 0;
    this.q = Math.max(0, n - 1);
    this.sum = sum;
  }
}

/**
 * The byte that two stand for, -1 if they are not an escape: then the first stands for itself, and the checksum decides. In the standard
 * alphabet `first` is 7D.
 */
function escaped(first: number, second: number, e7: boolean): number {
  if (second !== 1 && second !== 2) return -1;
  if (!e7) return 0x7c + second;
  if (first === 0xe6) return 0xe5 + second;
  return first === 0x3e ? 0x3f - second : -1;
}

/** Writes bytes[from, to) of one buffer, escaped, between delimiters; returns the length. */
export function enclose(content: Bytes, to: number, e7: boolean, out: Bytes, at: number): number {
  const delimiter = e7 ? DELIMITER_E7 : DELIMITER;
  let p = at;
  let sum = 0;
  out[p++] = delimiter;
  for (let k = 0; k < to; k++) {
    sum ^= content[k]!;
    p = putEscaped(content[k]!, e7, out, p);
  }
  p = putEscaped(sum, e7, out, p);
  out[p++] = delimiter;
  return p - at;
}

function putEscaped(byte: number, e7: boolean, out: Bytes, at: number): number {
  const first = e7
    ? byte === 0xe6 || byte === 0xe7
      ? 0xe6
      : byte === 0x3e || byte === 0x3d
        ? 0x3e
        : 0
    : byte === 0x7d || byte === 0x7e
      ? 0x7d
      : 0;
  if (first === 0) {
    out[at] = byte;
    return at + 1;
  }
  out[at] = first;
  out[at + 1] = first === 0x7d ? byte - 0x7c : first === 0xe6 ? byte - 0xe5 : 0x3f - byte;
  return at + 2;
}

const CONTENT = new Content();

/** Header of one frame. One object is reused; it is valid during one decode. */
export class Header {
  id = 0;
  attributes = 0;
  version = 0;
  is2019 = false;
  e7 = false;
  phoneAt = 0;
  phoneBytes = 0;
  serial = 0;
  /** Packages of the message and the number of this one; 0 and 0 when it is whole. */
  total = 0;
  number = 0;
  /** Body. */
  p = 0;
  q = 0;

  /** False: the content is too short for a header. */
  read({ bytes, p, q, e7 }: Content): boolean {
    if (q - p < 4) return false;
    this.id = u16be(bytes, p);
    this.attributes = u16be(bytes, p + 2);
    this.is2019 = (this.attributes & 0x4000) !== 0;
    this.e7 = e7;
    this.phoneAt = p + (this.is2019 ? 5 : 4);
    this.phoneBytes = this.is2019 ? 10 : e7 ? 7 : 6;
    const shortSerial = this.id === 0x5501 || this.id === 0x5502;
    let at = this.phoneAt + this.phoneBytes;
    const packaged = (this.attributes & 0x2000) !== 0;
    const body = at + (shortSerial ? 1 : 2) + (packaged ? 4 : 0);
    if (body > q) return false;
    this.version = this.is2019 ? bytes[p + 4]! : 0;
    this.serial = shortSerial ? bytes[at]! : u16be(bytes, at);
    at += shortSerial ? 1 : 2;
    this.total = packaged ? u16be(bytes, at) : 0;
    this.number = packaged ? u16be(bytes, at + 2) : 0;
    this.p = body;
    this.q = q;
    return true;
  }

  get encrypted(): boolean {
    return (this.attributes & 0x1c00) !== 0;
  }

  /** The attributes and the body agree on its length. */
  get fits(): boolean {
    return (this.attributes & 0x3ff) === this.q - this.p;
  }
}
