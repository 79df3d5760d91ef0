import { type Bytes, bcdDigits, u16be, u24be, u32be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { POWER_CUT, POWER_RESTORED, SOS, VIBRATION } from './alarms.ts';
import { Form, ticket } from './answer.ts';
import { A } from './attributes.ts';
import { accOfWord, addCell, dateBcd, dbm, extra, GPS18, gps18, gsm, identity, mac } from './blocks.ts';
import { topinCellBytes } from './frame.ts';
import type { Gt06State } from './state.ts';

/**
 * The Topin dialect (protocol.md section 16): `78 78 | LEN 1 | number 1 | data | 0D 0A`, no serial and no checksum; LEN is a length, a
 * count or nothing. False when the frame is none of its known ones.
 *
 * A connection whose login was of this dialect has no other frames: a number that is not known is kept raw. Without such a login only
 * frames are taken that nothing else can be.
 */
export function topin(bytes: Bytes, start: number, end: number, isLogin: boolean, state: Gt06State, out: FrameResult): boolean {
  const number = bytes[start + 3]!;
  const length = bytes[start + 2]!;
  const p = start + 4;
  const q = end - 2;
  if (isLogin) {
    out.kind = FrameKind.Login;
    out.name = 'login';
    out.deviceId = identity(bytes, p);
    state.topin = true;
    state.topinTold = true;
    ticket(out, Form.TopinPlain, number, 0);
    return true;
  }
  switch (number) {
    case 0x01:
      return false;
    case 0x08:
      if (q !== p && !state.topin) return false;
      out.kind = FrameKind.Heartbeat;
      out.name = 'keep-alive';
      ticket(out, Form.TopinPlain, number, 0);
      return true;
    case 0x10:
    case 0x11:
      return fix(bytes, start, q, state, out);
    case 0x13:
      return status(bytes, start, q, state, out);
    case 0x17:
    case 0x69:
    case 0x1a:
    case 0x1b:
      return network(bytes, start, q, state, out);
    case 0x30:
      if (!state.topin && length >= 5) return false;
      out.kind = FrameKind.Heartbeat;
      out.name = 'time-request';
      ticket(out, Form.TopinTime, number, 0);
      return true;
    case 0x57:
      if (!state.topin && length >= 5) return false;
      out.name = 'settings';
      return true;
    case 0x82:
    case 0x83:
      if (!state.topin) return false;
      charger(bytes, start, q, out);
      return true;
    case 0x94:
    case 0x99: {
      if (!state.topin) return false;
      const r = row(start, q, FrameKind.Status, out);
      out.name = 'alarm';
      out.event[r] = number === 0x99 ? SOS : VIBRATION;
      extra(bytes, p, q, out);
      ticket(out, Form.TopinPlain, number, 0);
      return true;
    }
    default:
      if (state.topin) out.name = 'unknown';
      return state.topin;
  }
}

/** Opens the row of a record that is number and data. */
function row(start: number, q: number, kind: FrameKind, out: FrameResult): number {
  const r = out.row();
  out.from[r] = start + 3;
  out.to[r] = q;
  out.kind = kind;
  return r;
}

/**
 * GPS18 | up to 4 more. Answered with its date, whatever stands behind the block: without that the unit sends it again for ever. More than
 * 4 bytes are believed of a known Topin device only, and under `verify` any.
 */
function fix(bytes: Bytes, start: number, q: number, state: Gt06State, out: FrameResult): boolean {
  const p = start + 4;
  const behind = q - p - GPS18;
  if (behind < 0 || (!state.topin && behind > (state.verify ? 0 : 4))) return false;
  const r = row(start, p + GPS18, FrameKind.Records, out);
  out.name = 'gps-fix';
  accOfWord(gps18(bytes, p, state.localMs, out, r), out);
  extra(bytes, p + GPS18, q, out);
  dateTicket(bytes, p, bytes[start + 3]!, out);
  if (behind > 0 && !state.topin) out.damaged = 'length';
  return true;
}

/** Most bytes of a status that its answer repeats: the ones that are known. */
const ECHO = 5;

/** Battery % 1 | version 1 | zone 1 | upload interval 1 | signal 1 | more. Answered with the same, up to the signal. */
function status(bytes: Bytes, start: number, q: number, state: Gt06State, out: FrameResult): boolean {
  const p = start + 4;
  const data = q - p;
  if (data < 1 || (!state.topin && data > 4)) return false;
  row(start, q, FrameKind.Heartbeat, out);
  out.name = 'status';
  if (bytes[p]! <= 100) out.attr(A.BatteryPct, bytes[p]!);
  if (data >= 2) out.attrText(A.Firmware, String(bytes[p + 1]!));
  if (data >= 4) out.attr(A.UploadInterval, bytes[p + 3]!);
  if (data >= 5) gsm(bytes[p + 4]!, out);
  extra(bytes, p + 5, q, out);
  ticket(out, Form.TopinEcho, 0x13, 0);
  const echo = Math.min(data, ECHO);
  for (let k = 0; k < echo; k++) out.ticketB = out.ticketB * 256 + bytes[p + k]!;
  out.ticketC = echo * 256 + bytes[start + 2]!;
  return true;
}

/** 82: the charger is connected; 83: it is not any more. */
function charger(bytes: Bytes, start: number, q: number, out: FrameResult): void {
  const connected = bytes[start + 3] === 0x82;
  const r = row(start, q, FrameKind.Status, out);
  out.name = 'alarm';
  out.attr(A.Charging, connected ? 1 : 0);
  out.event[r] = connected ? POWER_RESTORED : POWER_CUT;
  extra(bytes, start + 4, q, out);
}

/** BCD date 6 | n × (MAC 6, RSSI 1), n by LEN | m 1 | MCC 2, MNC 1 | m × (LAC, cell, RSSI 1) | perhaps more. */
function network(bytes: Bytes, start: number, q: number, state: Gt06State, out: FrameResult): boolean {
  const number = bytes[start + 3]!;
  const cell = topinCellBytes(number);
  const p = start + 4;
  const at = p + 6 + 7 * bytes[start + 2]!;
  if (at + 4 > q || bcdDigits(bytes, p, p + 6) === '') return false;
  const behind = at + 4 + cell * bytes[at]!;
  if (behind > q || (behind < q && !state.topin && cell === 5)) return false;
  const r = row(start, q, FrameKind.Status, out);
  out.name = 'wifi';
  out.time[r] = dateBcd(bytes, p, state.utcMs);
  for (let k = p + 6; k < at; k += 7) out.wifi(mac(bytes, k), dbm(bytes[k + 6]!));
  const mcc = u16be(bytes, at + 1);
  const mnc = bytes[at + 3]!;
  for (let k = at + 4; k < behind; k += cell) {
    if (cell === 5) addCell(mcc, mnc, u16be(bytes, k), u16be(bytes, k + 2), bytes[k + 4]!, out);
    else addCell(mcc, mnc, u32be(bytes, k), u32be(bytes, k + 4), bytes[k + 8]!, out);
  }
  extra(bytes, behind, q, out);
  dateTicket(bytes, p, number, out);
  return true;
}

function dateTicket(bytes: Bytes, p: number, number: number, out: FrameResult): void {
  ticket(out, Form.TopinDate, number, 0);
  out.ticketB = u24be(bytes, p);
  out.ticketC = u24be(bytes, p + 3);
}
