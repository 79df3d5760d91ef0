import { type Bytes, CIVIL, civilFromEpochMs, crc16X25, putAscii, putU8, putU16be, putU32be } from '../../src/base/wire/index.ts';
import { type AckRequest, type FrameResult, Settled } from '../../src/codec/index.ts';
import type { Gt06State } from './state.ts';

/**
 * Answers (protocol.md section 8). decode leaves in the tickets what an answer echoes:
 *
 * - `ticketA`: form × 2^24 + number × 2^16 + serial
 * - `ticketB`, `ticketC`: by form, see `Form`
 *
 * An answer is one frame with the serial of the frame it answers and a checksum from LEN to serial.
 */
export const Form = {
  None: 0,
  /** 78 78 05 number serial */
  Short: 1,
  /** 79 79 00 05 number serial */
  Long: 2,
  /** Content: the time, UTC. */
  Time: 3,
  /** Content: the time, UTC, and one zero byte: logins of locks. */
  LockLogin: 4,
  /** Long, content 00: device information of locks. */
  LockInformation: 5,
  /** Long, content 02 01: an external device's tag was taken. */
  TagTaken: 6,
  /** Photo chunk wanted. B: picture id; C: offset × 1024 + size. */
  PhotoRequest: 7,
  /** Topin: 78 78 01 number 0D 0A. */
  TopinPlain: 8,
  /** Topin: 78 78 00 number date 0D 0A. B: the first three date bytes; C: the last three. */
  TopinDate: 9,
  /** Topin: the head of the frame again. B: up to 5 data bytes; C: number of data bytes × 2^8 + LEN. */
  TopinEcho: 10,
  /** Address reply with coordinates. B: the phone's digits; C: see `addressTicket`. */
  Address: 11,
  /** Topin: 78 78 07 number year 2, month, day, hour, minute, second, UTC, 0D 0A. */
  TopinTime: 12,
  /** Command WHERE#, in place of one that the device refused. B: the key of that one. */
  Where: 13,
  /** As Time, in a long frame. */
  TimeLong: 14,
} as const;
export type Form = (typeof Form)[keyof typeof Form];

/** The longest is the address reply. */
export const MAX_ANSWER_BYTES = 320;

export function ticket(out: FrameResult, form: Form, number: number, serial: number): void {
  out.ticketA = form * 0x1000000 + number * 0x10000 + serial;
}

export function encodeAck(request: AckRequest, state: Gt06State, out: Bytes, at: number): number {
  if (request.settled !== Settled.Stored) return 0;
  const form = Math.floor(request.ticketA / 0x1000000);
  const number = (request.ticketA >> 16) & 255;
  const serial = request.ticketA & 0xffff;
  switch (form) {
    case Form.Short:
      return seal(out, at, head(out, at, number), serial);
    case Form.Long:
      return sealLong(out, at, headLong(out, at, number), serial);
    case Form.Time:
      return seal(out, at, time(out, head(out, at, number), request.now), serial);
    case Form.TimeLong:
      return sealLong(out, at, time(out, headLong(out, at, number), request.now), serial);
    case Form.LockLogin:
      return seal(out, at, putU8(out, time(out, head(out, at, number), request.now), 0), serial);
    case Form.LockInformation:
      return sealLong(out, at, putU8(out, headLong(out, at, number), 0), serial);
    case Form.TagTaken:
      return sealLong(out, at, putU16be(out, headLong(out, at, number), 0x0201), serial);
    case Form.PhotoRequest: {
      const p = putU32be(out, putU32be(out, head(out, at, 0x36), request.ticketB), Math.floor(request.ticketC / 1024));
      return seal(out, at, putU16be(out, p, request.ticketC % 1024), serial);
    }
    case Form.TopinPlain:
      return stop(out, at, putU8(out, putU8(out, putU16be(out, at, 0x7878), 1), number));
    case Form.TopinDate: {
      const p = putU8(out, putU8(out, putU16be(out, at, 0x7878), 0), number);
      return stop(out, at, putU24(out, putU24(out, p, request.ticketB), request.ticketC));
    }
    case Form.TopinEcho: {
      const data = request.ticketC >> 8;
      const p = putU8(out, putU8(out, putU16be(out, at, 0x7878), request.ticketC & 255), number);
      for (let k = data - 1, rest = request.ticketB; k >= 0; k--, rest = Math.floor(rest / 256)) out[p + k] = rest % 256;
      return stop(out, at, p + data);
    }
    case Form.TopinTime:
      return stop(out, at, topinTime(out, putU8(out, putU8(out, putU16be(out, at, 0x7878), 7), number), request.now));
    case Form.Where:
      return encodeText('WHERE#', request.ticketB, state.commandLanguage, out, at);
    case Form.Address:
      return address(request, out, at, number, serial);
    default:
      return 0;
  }
}

/** Start, a place for LEN, number; returns where content goes. */
function head(out: Bytes, at: number, number: number): number {
  return putU8(out, putU8(out, putU16be(out, at, 0x7878), 0), number);
}

function headLong(out: Bytes, at: number, number: number): number {
  return putU8(out, putU16be(out, putU16be(out, at, 0x7979), 0), number);
}

/** Serial, LEN, checksum and stop behind content that ends at p; returns the length of the frame. */
function seal(out: Bytes, at: number, p: number, serial: number): number {
  const end = putU16be(out, p, serial);
  out[at + 2] = end - at - 1;
  return stop(out, at, putU16be(out, end, crc16X25(out, at + 2, end)));
}

function sealLong(out: Bytes, at: number, p: number, serial: number): number {
  const end = putU16be(out, p, serial);
  putU16be(out, at + 2, end - at - 2);
  return stop(out, at, putU16be(out, end, crc16X25(out, at + 2, end)));
}

function stop(out: Bytes, at: number, p: number): number {
  return putU16be(out, p, 0x0d0a) - at;
}

function putU24(out: Bytes, at: number, value: number): number {
  return putU16be(out, putU8(out, at, value >>> 16), value);
}

/** DT6 in UTC. */
function time(out: Bytes, at: number, now: number): number {
  civilFromEpochMs(now);
  let p = putU8(out, at, CIVIL.year - 2000);
  p = putU8(out, p, CIVIL.month);
  p = putU8(out, p, CIVIL.day);
  p = putU8(out, p, CIVIL.hour);
  p = putU8(out, p, CIVIL.minute);
  return putU8(out, p, CIVIL.second);
}

function topinTime(out: Bytes, at: number, now: number): number {
  const p = time(out, at + 1, now);
  putU16be(out, at, CIVIL.year);
  return p;
}

/** With the frame around it, LEN stays in one byte up to this many characters. */
const SHORT_TEXT = 245;

/**
 * Frame 0x80 (protocol.md section 9.1): length 1 (4 + text) | server flag 4 | text | language 2, if asked for (1 Chinese, 2 English). Serial and flag are the
 * same number.
 */
export function encodeText(text: string, key: number, language: number, out: Bytes, at: number): number {
  const long = text.length + (language > 0 ? 2 : 0) > SHORT_TEXT;
  let p = long ? headLong(out, at, 0x80) : head(out, at, 0x80);
  p = putU8(out, p, 4 + text.length);
  p = putU32be(out, p, key);
  p = putAscii(out, p, text);
  if (language > 0) p = putU16be(out, p, language);
  const serial = key & 0xffff;
  return long ? sealLong(out, at, p, serial) : seal(out, at, p, serial);
}

const PHONE_BYTES = 21;
const PLACE = 100000;

/**
 * What an address reply needs beyond number and serial, in two numbers: the phone's digits as a number, and
 * coordinates to 1e-5 degree with the count of leading zeros of the phone. False when it does not fit: no answer then.
 */
export function addressTicket(out: FrameResult, phone: string, latitude: number, longitude: number): boolean {
  const digits = Number(phone);
  const zeros = /^0*/.exec(phone)?.[0].length ?? 0;
  if (!/^\d+$/.test(phone) || digits > Number.MAX_SAFE_INTEGER || zeros > 1 || Number.isNaN(latitude)) return false;
  out.ticketB = digits;
  out.ticketC = (Math.round((latitude + 90) * PLACE) * 36000001 + Math.round((longitude + 180) * PLACE)) * 2 + zeros;
  return out.ticketC <= Number.MAX_SAFE_INTEGER;
}

/**
 * `length | server flag 4 | ADDRESS | && | address in UTF-16BE | && | phone 21 | ##`, length 1 byte and a short frame
 * for number 17, else 2 bytes and a long frame (protocol.md section 6.8).
 */
function address(request: AckRequest, out: Bytes, at: number, number: number, serial: number): number {
  const zeros = request.ticketC % 2;
  const packed = Math.floor(request.ticketC / 2);
  const latitude = Math.floor(packed / 36000001) / PLACE - 90;
  const longitude = (packed % 36000001) / PLACE - 180;
  const text = `${latitude.toFixed(5)},${longitude.toFixed(5)}`;
  const phone = (zeros === 1 ? '0' : '') + (request.ticketB === 0 ? '' : String(request.ticketB));
  const long = number !== 0x17;
  const body = long ? headLong(out, at, number) + 2 : head(out, at, number) + 1;
  let p = putU32be(out, body, 1);
  p = putAscii(out, p, 'ADDRESS&&');
  for (let i = 0; i < text.length; i++) p = putU16be(out, p, text.charCodeAt(i));
  p = putAscii(out, p, '&&');
  const end = p + PHONE_BYTES;
  for (p = putAscii(out, p, phone); p < end; p++) out[p] = 0;
  p = putAscii(out, p, '##');
  if (long) putU16be(out, body - 2, p - body);
  else out[body - 1] = p - body;
  return long ? sealLong(out, at, p, serial) : seal(out, at, p, serial);
}
