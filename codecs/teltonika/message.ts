import { ascii, type Bytes, bcdDigits, epochMs, hex, u32be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { own } from './attributes.ts';
import { place } from './avl.ts';

/**
 * Message codecs (protocol.md section 6): command replies, serial data and other text.
 *
 * ```
 * codec 12   type u8 · size u32 · data
 * codec 13   type u8 · size u32 · timestamp u32 (Unix seconds) · data
 * codec 14   type u8 · size u32 · IMEI 8 bytes BCD · data
 * codec 15   type u8 · size u32 · timestamp u32 · IMEI 8 bytes BCD · data
 * ```
 *
 * 1. One message a frame: the size field is not believed where the frame says otherwise (protocol.md section 6.4, "size quirk").
 * 2. Only text of type 6 in codec 12 or 14, or a refusal of type 17 in codec 14, may be the reply to a command.
 * 3. Every message is a status row; none is acknowledged.
 */
export const Codec12 = 0x0c;
export const Codec13 = 0x0d;
export const Codec14 = 0x0e;
export const Codec15 = 0x0f;

const TYPE_RESPONSE = 0x06;
const TYPE_NACK = 0x11;

const REPLY = own('reply');
const MESSAGE = own('message');
const MESSAGE_HEX = own('message_hex');
const MESSAGE_TYPE = own('message_type');
const IMEI = own('imei');
const DRIVER = own('driver_id');
const ICCID = own('iccid');
const MODEL = own('model');
const FIRMWARE = own('firmware');

/** Longer texts are none of those below, and not worth the search. */
const MAX_MEANING = 512;
/** What records can hold (protocol.md section 3.1): a text may say anything. */
const MIN_ALTITUDE = -32768;
const MAX_ALTITUDE = 32767;
const MAX_SPEED = 65535;

/** Reads the message in bytes[at, end), where `at` is the codec id and `end` is behind the second quantity. */
export function readMessage(bytes: Bytes, at: number, end: number, out: FrameResult): boolean {
  const codec = bytes[at]!;
  let p = at + 7;
  const last = end - 1;
  const timed = codec === Codec13 || codec === Codec15;
  const addressed = codec === Codec14 || codec === Codec15;
  if (p + (timed ? 4 : 0) + (addressed ? 8 : 0) > last) return false;
  const type = bytes[at + 2]!;
  const r = out.row();
  out.from[r] = at;
  out.to[r] = end;
  if (timed) {
    out.time[r] = u32be(bytes, p) * 1000;
    p += 4;
  }
  if (addressed) {
    const digits = bcdDigits(bytes, p, p + 8);
    if (digits !== '') out.attrText(IMEI, digits.startsWith('0') ? digits.slice(1) : digits);
    p += 8;
  }
  data(bytes, p, last, codec, type, out);
  return true;
}

function data(bytes: Bytes, at: number, last: number, codec: number, type: number, out: FrameResult): void {
  let end = last;
  while (end > at && (bytes[end - 1] === 0 || bytes[end - 1] === 13 || bytes[end - 1] === 10)) end--;
  out.kind = FrameKind.Status;
  if (codec === Codec14 && type === TYPE_NACK) {
    out.kind = FrameKind.Reply;
    out.replyText = 'refused: the command names another IMEI';
    out.attrText(REPLY, out.replyText);
    return;
  }
  out.attr(MESSAGE_TYPE, type);
  if (!isText(bytes, at, end)) {
    out.attrText(MESSAGE_HEX, hex(bytes, at, last));
    return;
  }
  const text = ascii(bytes, at, end);
  if ((codec === Codec12 || codec === Codec14) && type === TYPE_RESPONSE) {
    out.kind = FrameKind.Reply;
    out.replyText = text;
    out.attrText(REPLY, text);
  } else out.attrText(MESSAGE, text);
  meaning(text, out);
}

/** `GPS:1 Sat:7 Lat:54.71473 Long:25.30304 Alt:147 Speed:0 Dir:77 Date: 2007/8/24 Time: 13:4:36`: the reply to `getgps`. */
const GETGPS =
  /^GPS:(\d+) Sat:(\d+) Lat:(-?[\d.]+) Long:(-?[\d.]+) Alt:(-?\d+) Speed:(\d+) Dir:(\d+) Date: ?(\d+)\/(\d+)\/(\d+) Time: ?(\d+):(\d+):(\d+)/;

/** `IMEI: …, CCID: …`: the reply to `getimeiccid`. */
const CARD = /^IMEI: ?\d{15},? ?CCID: ?(\d{18,20})\b/;

/** What a text says that has a place of its own in a record. */
function meaning(text: string, out: FrameResult): void {
  if (text.length > MAX_MEANING) return;
  // A card reader on a serial port: GTSL|…|…|…|<card>|…
  if (text.startsWith('GTSL|')) {
    const card = text.split('|')[4];
    if (card !== undefined && card !== '') out.attrText(DRIVER, card);
  }
  version(text, out);
  const card = CARD.exec(text)?.[1];
  if (card !== undefined) out.attrText(ICCID, card);
  const gps = GETGPS.exec(text)?.slice(1).map(Number);
  if (gps !== undefined) position(gps, out);
}

/** `Ver:03.18.14_04 … Hw:FMB120 … IMEI:…`: the reply to `getver`. */
function version(text: string, out: FrameResult): void {
  const words = text.startsWith('Ver:') ? text.split(/\s/) : [];
  const firmware = words[0]?.slice(4) ?? '';
  const hardware = words.findIndex((word) => word.startsWith('Hw:'));
  const model = words[hardware]?.slice(3) ?? '';
  if (firmware === '' || model === '' || !words.some((word, k) => k > hardware && word.startsWith('IMEI:'))) return;
  out.attrText(FIRMWARE, firmware);
  out.attrText(MODEL, model);
}

function position(values: readonly number[], out: FrameResult): void {
  const r = out.rows - 1;
  const [fix = 0, satellites = 0, latitude = Number.NaN, longitude = Number.NaN, altitude = 0, speed = 0, course = 0] = values;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = values.slice(7);
  out.time[r] = epochMs(year, month, day, hour, minute, second);
  place(latitude, longitude, Math.min(satellites, 255), r, out);
  if (fix === 0) out.valid[r] = 0;
  if (altitude >= MIN_ALTITUDE && altitude <= MAX_ALTITUDE) out.altitudeM[r] = altitude;
  if (speed <= MAX_SPEED) out.speedKmh[r] = speed;
  if (course <= 360) out.courseDeg[r] = course;
}

function isText(bytes: Bytes, at: number, end: number): boolean {
  for (let p = at; p < end; p++) {
    const c = bytes[p]!;
    if ((c < 32 || c > 126) && c !== 9 && c !== 10 && c !== 13) return false;
  }
  return true;
}
