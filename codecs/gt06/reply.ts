import { type Bytes, u16be, u32be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult, readPosition } from '../../src/codec/index.ts';
import { Form, ticket } from './answer.ts';
import { A } from './attributes.ts';
import { type Message, status } from './message.ts';
import { isRefusal } from './read-reply.ts';
import type { Gt06State } from './state.ts';

/**
 * Replies to text commands (protocol.md section 6.9).
 * 0x21: server flag 4 | encoding 1 (01 ASCII, 02 UTF-16BE) | text.
 * 0x15, 0x81: length 1 (4 + text) | server flag 4 | text | LANG 2; length 0 on clones, whose text ends at the first NUL. In a long frame the
 * length may have two bytes. The kind of frame does not matter otherwise.
 */
export function reply(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q } = m;
  const lengthBytes = m.number === 0x21 ? 0 : m.long && isLongLength(bytes, p, q) ? 2 : 1;
  const flagAt = p + lengthBytes;
  if (flagAt + 5 > q) return;
  let from = flagAt + 4;
  let to = q;
  let wide = false;
  if (m.number === 0x21) {
    wide = bytes[from] === 2;
    from++;
  } else {
    const length = lengthBytes === 2 ? u16be(bytes, p) : bytes[p]!;
    const told = flagAt + length;
    to = length >= 4 && told <= q ? told : Math.max(from, q - 2);
    wide = everySecondZero(bytes, from, to);
    if (!wide && length === 0) for (let k = from; k < to; k++) if (bytes[k] === 0) to = k;
  }
  const text = wide ? utf16(bytes, from, to) : asciiText(bytes, from, to);
  const flag = u32be(bytes, flagAt);
  const r = status(m, FrameKind.Reply, out);
  out.replyKey = flag > 0 && flag <= 0x7fffffff ? flag : -1;
  out.replyText = text;
  out.attrText(A.Reply, text);
  words(text, state, out);
  position(text, state, out, r);
  unknownLocate(text, flag, state, out);
}

/** A length of two bytes, behind which the text fills the content, with or without LANG. */
function isLongLength(bytes: Bytes, p: number, q: number): boolean {
  const left = q - p - 2 - u16be(bytes, p);
  return left === 0 || left === 2;
}

/** A position in the text is the row's; its date is in the zone of the device. */
function position(text: string, state: Gt06State, out: FrameResult, r: number): void {
  const found = readPosition(text);
  if (found === undefined) return;
  out.latitude[r] = found.latitude;
  out.longitude[r] = found.longitude;
  out.valid[r] = found.valid ? 1 : 0;
  out.speedKmh[r] = found.speedKmh;
  if (found.courseDeg <= 360) out.courseDeg[r] = found.courseDeg;
  out.time[r] = found.localMs - state.localMs;
}

/** The refusal of LJDW# (some clones return flag 0): the device is asked again by WHERE#, which it is asked by from then on. */
function unknownLocate(text: string, flag: number, state: Gt06State, out: FrameResult): void {
  const key = state.locateKey;
  if (key < 0 || (flag !== key && flag !== 0) || !state.whole) return;
  state.locateKey = -1;
  if (!isRefusal(text)) return;
  state.where = true;
  ticket(out, Form.Where, 0x80, 0);
  out.ticketB = key;
}

/**
 * What is worth reading in the text of a reply (protocol.md section 9.5): STATUS#, PARAM#, and the ICCID that clones send unasked. The zone of
 * PARAM# holds for the dates that follow, where the login gave none.
 */
export function words(text: string, state: Gt06State, out: FrameResult): void {
  const sim = /ICCID:(\d{18,20})/.exec(text)?.[1];
  if (sim !== undefined) out.attrText(A.Iccid, sim);
  const volts = /\bBattery:(\d{1,2}\.\d{1,3})V/.exec(text)?.[1];
  if (volts !== undefined) out.attr(A.BatteryMillivolts, Math.round(Number(volts) * 1000));
  const acc = /\bACC:(ON|OFF)\b/.exec(text)?.[1];
  if (acc !== undefined) out.attr(A.Ignition, acc === 'ON' ? 1 : 0);
  const armed = /\bDefense:(ON|OFF)\b/.exec(text)?.[1];
  if (armed !== undefined) out.attr(A.Armed, armed === 'ON' ? 1 : 0);
  const zone = /\bTimeZone:([EW]),(\d{1,2}),(\d{1,2})\b/.exec(text);
  if (zone === null || !state.whole || state.zoneOfLogin) return;
  const minutes = Number(zone[2]) * 60 + Number(zone[3]);
  if (minutes <= 840) state.setZone(zone[1] === 'W' ? -minutes : minutes);
}

function everySecondZero(bytes: Bytes, from: number, to: number): boolean {
  if (to - from < 4 || (to - from) % 2 !== 0) return false;
  for (let p = from; p < to; p += 2) if (bytes[p] !== 0) return false;
  return bytes[from + 1] !== 0;
}

function utf16(bytes: Bytes, from: number, to: number): string {
  let text = '';
  for (let p = from; p + 2 <= to; p += 2) text += printable(u16be(bytes, p));
  return text.trim();
}

function asciiText(bytes: Bytes, from: number, to: number): string {
  let text = '';
  for (let p = from; p < to; p++) text += bytes[p]! < 0x80 ? printable(bytes[p]!) : '.';
  return text.trim();
}

/** Control characters of a device's text become spaces: it is shown to people and written to logs. */
function printable(code: number): string {
  return code < 32 || (code >= 127 && code < 160) ? ' ' : String.fromCharCode(code);
}
