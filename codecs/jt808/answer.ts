import { type Bytes, CIVIL, civilFromEpochMs, hex, putAscii, putU8, putU16be, putU32be, u16be } from '../../src/base/wire/index.ts';
import { type AckRequest, type FrameResult, Settled } from '../../src/codec/index.ts';
import { enclose, type Header } from './frame.ts';
import type { Jt808State } from './state.ts';

/**
 * Answers (protocol.md section 5). decode leaves in the tickets what an answer echoes:
 *
 * - `ticketA`: message id + serial × 2^16 + version × 2^32 + 2019 × 2^40 + E7 × 2^41 + form × 2^42
 * - `ticketB`, `ticketC`: the phone field as it came: its first five bytes, and the rest. For a sentence: its phone, and its number.
 *
 * The header of an answer has the edition, the phone and the delimiter of the request, and serial 0.
 */
export const Form = {
  None: 0,
  /** 0x8001: serial 2, id 2, result 1. */
  Universal: 1,
  /** 0x8100: serial 2, result 1, code: the digits of the phone field. */
  Register: 2,
  /** 0x8004: time in UTC, BCD. */
  Time: 3,
  /** 0x8109: time in UTC, binary, result. */
  TimeVendor: 4,
  /** 0x4401 of locks, one byte of serial. */
  Lock: 5,
  /** The sentence of a lock with the time in it. */
  Sentence: 6,
  /** The universal reply, and 0x8800: a picture has come whole. */
  Media: 7,
  /** The universal reply to an authentication with another code than ours. */
  OtherCode: 8,
  /** The universal reply to a message that has no name here. */
  Unknown: 9,
  /** The universal reply to a report with the alarm SOS. */
  Sos: 10,
} as const;
export type Form = (typeof Form)[keyof typeof Form];

/** 2019 header, register reply with 20 characters, all of it escaped. */
export const MAX_ANSWER_BYTES = 128;

export function ticket(out: FrameResult, form: Form, h: Header, bytes: Bytes): void {
  let low = 0;
  let high = 0;
  for (let k = 0; k < h.phoneBytes; k++) {
    if (k < 5) low = low * 256 + bytes[h.phoneAt + k]!;
    else high = high * 256 + bytes[h.phoneAt + k]!;
  }
  const flags = (h.is2019 ? 1 : 0) + (h.e7 ? 2 : 0) + form * 4;
  out.ticketA = h.id + h.serial * 0x10000 + h.version * 0x100000000 + flags * 0x10000000000;
  out.ticketB = low;
  out.ticketC = high;
}

/** Header and body of one message down; reused. */
const MESSAGE = new Uint8Array(1200);
const Result = { Done: 0, Failed: 1, Unsupported: 3, Confirmed: 4 } as const;
/** Register: the terminal is not in the database. */
const NO_TERMINAL = 4;

export function encodeAck(request: AckRequest, state: Jt808State, out: Bytes, at: number): number {
  const flags = Math.floor(request.ticketA / 0x10000000000);
  const form = flags >> 2;
  if (form === Form.None || request.settled === Settled.Failed) return 0;
  if (form === Form.Sentence) return request.settled === Settled.Stored ? sentence(request, out, at) : 0;
  const id = request.ticketA % 0x10000;
  const serial = Math.floor(request.ticketA / 0x10000) % 0x10000;
  const e7 = (flags & 2) !== 0;
  const stored = request.settled === Settled.Stored;
  if (!stored && id !== 0x0100 && id !== 0x0102) return 0;
  switch (form) {
    case Form.Register: {
      const body = header(request, flags, 0x8100);
      let p = putU8(MESSAGE, putU16be(MESSAGE, body, serial), stored ? Result.Done : NO_TERMINAL);
      if (stored) p = putAscii(MESSAGE, p, phoneText(flags));
      return close(body, p, e7, out, at);
    }
    case Form.Time: {
      const body = header(request, flags, 0x8004);
      return close(body, bcdTime(MESSAGE, body, request.now), e7, out, at);
    }
    case Form.TimeVendor: {
      const body = header(request, flags, 0x8109);
      return close(body, binaryTime(MESSAGE, body, request.now), e7, out, at);
    }
    case Form.Lock: {
      const body = header(request, flags, 0x4401) - 1;
      MESSAGE[body - 1] = 1;
      return close(body, putU8(MESSAGE, putU16be(MESSAGE, body, id), Result.Done), e7, out, at);
    }
    default: {
      const body = header(request, flags, 0x8001);
      const p = putU8(MESSAGE, putU16be(MESSAGE, putU16be(MESSAGE, body, serial), id), resultOf(form, stored, state));
      const n = close(body, p, e7, out, at);
      return form === Form.Media ? n + mediaDone(request, flags, state.mediaOf(serial), out, at + n) : n;
    }
  }
}

function resultOf(form: number, stored: boolean, state: Jt808State): number {
  if (!stored || (form === Form.OtherCode && state.verifyAuth)) return Result.Failed;
  if (form === Form.Sos && state.confirmsSos) return Result.Confirmed;
  return form === Form.Unknown && state.refusesUnknown ? Result.Unsupported : Result.Done;
}

/** Without a list of packages that are wanted again: all have come. */
function mediaDone(request: AckRequest, flags: number, media: number, out: Bytes, at: number): number {
  if (media < 0) return 0;
  const body = header(request, flags, 0x8800);
  return close(body, putU32be(MESSAGE, body, media), (flags & 2) !== 0, out, at);
}

/** Writes id, a place for the attributes, version, phone, serial 0; returns where the body goes. */
function header(request: AckRequest, flags: number, id: number): number {
  const is2019 = (flags & 1) !== 0;
  putU16be(MESSAGE, 0, id);
  putU16be(MESSAGE, 2, is2019 ? 0x4000 : 0);
  let p = 4;
  if (is2019) p = putU8(MESSAGE, p, Math.floor(request.ticketA / 0x100000000) % 256);
  const n = is2019 ? 10 : (flags & 2) !== 0 ? 7 : 6;
  for (let k = 4, rest = request.ticketB; k >= 0; k--, rest = Math.floor(rest / 256)) MESSAGE[p + k] = rest % 256;
  for (let k = n - 1, rest = request.ticketC; k >= 5; k--, rest = Math.floor(rest / 256)) MESSAGE[p + k] = rest % 256;
  return putU16be(MESSAGE, p + n, 0);
}

/** The code of the phone field in the message's header. */
function phoneText(flags: number): string {
  const at = (flags & 1) !== 0 ? 5 : 4;
  const n = (flags & 1) !== 0 ? 10 : (flags & 2) !== 0 ? 7 : 6;
  return codeOf(MESSAGE, at, n);
}

/** The authentication code of a device: the digits of its phone field, hexadecimal in upper case where it has others. */
export function codeOf(bytes: Bytes, at: number, n: number): string {
  return hex(bytes, at, at + n).toUpperCase();
}

function close(body: number, end: number, e7: boolean, out: Bytes, at: number): number {
  putU16be(MESSAGE, 2, (u16be(MESSAGE, 2) & 0xfc00) | (end - body));
  return enclose(MESSAGE, end, e7, out, at);
}

export function bcdTime(out: Bytes, at: number, now: number): number {
  civilFromEpochMs(now);
  const { year, month, day, hour, minute, second } = CIVIL;
  let p = at;
  for (const part of [year % 100, month, day, hour, minute, second]) p = putU8(out, p, Math.floor(part / 10) * 16 + (part % 10));
  return p;
}

/** year 2, month, day, hour, minute, second, result 0 */
function binaryTime(out: Bytes, at: number, now: number): number {
  civilFromEpochMs(now);
  const { year, month, day, hour, minute, second } = CIVIL;
  let p = putU16be(out, at, year);
  for (const part of [month, day, hour, minute, second, 0]) p = putU8(out, p, part);
  return p;
}

/** `(phone,1,number,BASE,2,YYYYMMDDhhmmss)`. B: phone digits behind a 1; C: number behind a 1. */
function sentence(request: AckRequest, out: Bytes, at: number): number {
  civilFromEpochMs(request.now);
  const two = (n: number): string => String(n).padStart(2, '0');
  const { year, month, day, hour, minute, second } = CIVIL;
  const time = `${year}${[month, day, hour, minute, second].map(two).join('')}`;
  const text = `(${String(request.ticketB).slice(1)},1,${String(request.ticketC).slice(1)},BASE,2,${time})`;
  return putAscii(out, at, text) - at;
}

/** Writes a message down under this serial; `write` puts the body at its place and returns the end of it. */
export function encodeMessage(
  id: number,
  serial: number,
  state: Jt808State,
  write: (out: Bytes, at: number) => number,
  out: Bytes,
  at: number,
): number {
  putU16be(MESSAGE, 0, id);
  putU16be(MESSAGE, 2, state.is2019 ? 0x4000 : 0);
  let p = 4;
  if (state.is2019) p = putU8(MESSAGE, p, state.version);
  for (let k = 0; k < state.phoneBytes; k++) MESSAGE[p++] = state.phone[k]!;
  const body = putU16be(MESSAGE, p, serial);
  return close(body, write(MESSAGE, body), state.e7, out, at);
}

/** id 4, length 1, value: one parameter as a number. */
export function putParameter(out: Bytes, at: number, id: number, value: number): number {
  return putU32be(out, putU8(out, putU32be(out, at, id), 4), value);
}
