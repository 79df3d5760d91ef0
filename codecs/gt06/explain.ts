import { ascii, type Bytes, crc16X25, hex, u16be } from '../../src/base/wire/index.ts';
import type { Layout, Note } from '../../src/codec/index.ts';
import { isGps18, lbsSize, networkSize } from './blocks.ts';
import { declared, stops } from './frame.ts';
import {
  ACCESS_POINT,
  CELL,
  CELL_WIDE,
  DT6,
  FENCE,
  FLAG,
  GPS12,
  HEARTBEAT,
  HEARTBEAT_VOLTAGE,
  IDENTITIES,
  IMEI,
  LBS_LENGTH,
  LBS8,
  LBS9,
  LBS15,
  LBS16,
  MILEAGE,
  NETWORK3,
  NETWORK4,
  PHONE,
  SERIAL,
  STATUS,
  TYPE,
  UPLOAD,
  VOLTAGE,
  ZONE,
} from './layouts.ts';
import { NAMES } from './messages.ts';
import type { Gt06State } from './state.ts';

/**
 * Annotates every byte of one frame. Messages made of the fixed blocks are walked block by block; what no block explains is shown
 * as hexadecimal.
 */
export function explain(bytes: Bytes, start: number, end: number, _state: Gt06State, note: Note): void {
  const long = bytes[start] === 0x79;
  const head = long ? 4 : 3;
  if (declared(bytes, start, end) !== end - start || !stops(bytes, end)) {
    note(start, end - start, 'frame', hex(bytes, start, end), 'start, LEN and stop do not agree');
    return;
  }
  note(start, 2, 'start', hex(bytes, start, start + 2), long ? 'long frame' : 'short frame');
  note(start + 2, head - 2, 'LEN', String(end - start - head - 2));
  const number = bytes[start + head]!;
  note(start + head, 1, 'number', hex(bytes, start + head, start + head + 1), NAMES[number] || 'unknown');
  const q = end - 6;
  const walk = new Walk(bytes, start + head + 1, q, note);
  content(walk, number, long, q - start - head - 1);
  walk.rest();
  SERIAL.explain(bytes, q, note);
  const right = crc16X25(bytes, start + 2, end - 4) === u16be(bytes, end - 4);
  note(end - 4, 2, 'CRC', hex(bytes, end - 4, end - 2), right ? 'right' : 'wrong');
  note(end - 2, 2, 'stop', hex(bytes, end - 2, end));
}

/** A place in the content that moves on with each block that fits. */
class Walk {
  readonly #bytes: Bytes;
  #at: number;
  readonly #end: number;
  readonly #note: Note;

  constructor(bytes: Bytes, at: number, end: number, note: Note) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
    this.#note = note;
  }

  get left(): number {
    return this.#end - this.#at;
  }

  /** The byte `ahead` of this place, 0 behind the end. */
  peek(ahead: number): number {
    return ahead < this.left ? this.#bytes[this.#at + ahead]! : 0;
  }

  block(layout: Layout): this {
    if (layout.bytes > this.left) return this;
    layout.explain(this.#bytes, this.#at, this.#note);
    this.#at += layout.bytes;
    return this;
  }

  /** MCC and MNC with what follows them. */
  lbs(wide: boolean): this {
    if (this.left < 4) return this;
    const narrow = networkSize(this.#bytes, this.#at) === 3;
    return this.block(wide ? (narrow ? LBS15 : LBS16) : narrow ? LBS8 : LBS9);
  }

  /** Is this a position, with a date and a place that can be? */
  get beginsWithFix(): boolean {
    return isGps18(this.#bytes, this.#at, this.#end);
  }

  /** Bytes of the cell that begins `ahead` of this place. */
  lbsBytes(ahead: number, wide: boolean): number {
    return lbsSize(this.#bytes, this.#at + ahead, wide);
  }

  network(): this {
    if (this.left < 4) return this;
    return this.block(networkSize(this.#bytes, this.#at) === 3 ? NETWORK3 : NETWORK4);
  }

  byte(name: string, about?: string): this {
    return this.bytes(1, name, about);
  }

  bytes(length: number, name: string, about?: string): this {
    if (length > this.left) return this;
    this.#note(this.#at, length, name, hex(this.#bytes, this.#at, this.#at + length), about);
    this.#at += length;
    return this;
  }

  text(length: number, name: string): this {
    if (length > this.left || length <= 0) return this;
    this.#note(this.#at, length, name, hex(this.#bytes, this.#at, this.#at + length), ascii(this.#bytes, this.#at, this.#at + length));
    this.#at += length;
    return this;
  }

  rest(): void {
    if (this.left > 0) this.text(this.left, 'content');
  }
}

function content(w: Walk, number: number, long: boolean, size: number): void {
  switch (number) {
    case 0x01:
      w.block(IMEI).block(TYPE).block(ZONE);
      return;
    case 0x10:
      w.block(DT6).block(GPS12);
      return;
    case 0x11:
      if (size >= 18) w.block(DT6).block(GPS12);
      else w.block(DT6).lbs(false);
      return;
    case 0x12:
    case 0x22:
    case 0x2d:
    case 0xa0:
      located(w, number, size);
      return;
    case 0x13:
    case 0x23:
      heartbeat(w, number, size);
      return;
    case 0x16:
    case 0x26:
    case 0x27:
    case 0xa3:
    case 0xa4:
      alarm(w, number, size);
      return;
    case 0x19:
    case 0xa5:
      lbsAlarm(w, number === 0xa5, size);
      return;
    case 0x18:
    case 0x28:
    case 0x2e:
    case 0x2c:
    case 0xa1:
    case 0xa2:
      cells(w, number, size);
      return;
    case 0x17:
    case 0x1a:
    case 0x2a:
    case 0xa7:
      addressRequest(w, number, size);
      return;
    case 0x15:
    case 0x81:
      reply(w, long);
      return;
    case 0x21:
      w.block(FLAG).byte('encoding', w.peek(0) === 2 ? 'UTF-16BE' : 'ASCII');
      return;
    case 0x94:
      if (long) information(w, w.peek(0));
      else w.block(VOLTAGE);
      return;
    default:
  }
}

function heartbeat(w: Walk, number: number, size: number): void {
  if (number === 0x13 && size === 5) w.block(HEARTBEAT);
  if (number === 0x23 && size === 6) w.block(HEARTBEAT_VOLTAGE);
}

/** In some lengths families have another cell behind the position, or no position in front. */
function located(w: Walk, number: number, size: number): void {
  if (((number !== 0x12 && size === 55) || (number === 0x12 && size === 34)) && !w.beginsWithFix) return;
  w.block(DT6).block(GPS12);
  if ((number === 0x22 || number === 0x2d) && size === 42) return;
  w.lbs(number === 0xa0);
  if (w.left === 3 || w.left === 7) w.block(UPLOAD);
  if (w.left === 4) w.block(MILEAGE);
}

/**
 * With an LBS length of 0 there is no cell, in one length of frame 45 bytes in place of it; two families have other fields behind the
 * position. Where the cell and the status do not fit, nothing behind the position is read.
 */
function alarm(w: Walk, number: number, size: number): void {
  if (size < 24) return;
  w.block(DT6).block(GPS12);
  const none = w.peek(0) === 0 && (size <= 25 || size === 69);
  const isOther = number === 0x16 && ((size === 31 && w.peek(0) < 0x80) || (size === 33 && w.peek(1) < 0x80));
  const wide = number > 0xa0;
  if (isOther || w.left < 1 + (none ? 0 : w.lbsBytes(1, wide)) + STATUS.bytes) return;
  w.block(LBS_LENGTH);
  if (!none) w.lbs(wide);
  else if (size === 69) w.bytes(45, 'filler');
  w.block(STATUS);
  if (number === 0x27 || number === 0xa4) w.block(FENCE);
  if (w.left === 4) w.block(MILEAGE);
}

/** The cell and the status, where both fit; a longer message without the wide cell is one of another family. */
function lbsAlarm(w: Walk, wide: boolean, size: number): void {
  if ((!wide && size >= 18) || size < w.lbsBytes(0, wide) + STATUS.bytes) return;
  w.lbs(wide).block(STATUS);
}

/** Length of flag and text: two bytes in a long frame where they fit; one that does not fit says nothing. LANG may be missing. */
function reply(w: Walk, long: boolean): void {
  const two = w.peek(0) * 256 + w.peek(1);
  const wide = long && (two === w.left - 2 || two === w.left - 4);
  const length = (wide ? two : w.peek(0)) - 4;
  w.bytes(wide ? 2 : 1, 'length').block(FLAG);
  w.text(length >= 0 && length <= w.left ? length : w.left - 2, 'text').bytes(2, 'language');
}

/** GPS18, or the cell alone (17, A7), and the number of the phone that asked. In two lengths 17 is a position with a card. */
function addressRequest(w: Walk, number: number, size: number): void {
  if (number === 0x17 && (size === 34 || size === 35)) {
    w.block(DT6).block(GPS12).lbs(false);
    return;
  }
  if (number === 0x17 || number === 0xa7) w.lbs(number === 0xa7);
  else w.block(DT6).block(GPS12);
  w.block(PHONE);
}

/** In one length each, 18 has the area once for all its cells, and A2 is a position. */
function cells(w: Walk, number: number, size: number): void {
  const wide = number === 0xa1 || number === 0xa2;
  const wifi = number === 0x2c || number === 0xa2;
  w.block(DT6);
  if (number === 0xa2 && size === 59) {
    w.block(GPS12).lbs(true);
    return;
  }
  w.network();
  if (number === 0x18 && size === 32) return;
  for (let i = 0; i < 7; i++) w.block(wide ? CELL_WIDE : CELL);
  w.byte('timing advance');
  if (!wifi) {
    w.bytes(2, 'language');
    return;
  }
  const n = w.peek(0);
  w.byte('Wi-Fi count', String(n));
  if (w.left === 7 * n) for (let i = 0; i < n; i++) w.block(ACCESS_POINT);
}

function information(w: Walk, type: number): void {
  w.byte('sub-type');
  if (type === 0x00) w.block(VOLTAGE);
  else if (type === 0x0a) w.block(IDENTITIES);
}
