import { ascii, type Bytes, decimal, fraction, indexOf } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult, RowFlag } from '../../src/codec/index.ts';
import { Attr } from './attributes.ts';
import { knotSecondsToM } from './field.ts';
import { findGroup, readGroup } from './gps-group.ts';
import { Message, typeNumber } from './messages.ts';
import type { H02State } from './state.ts';
import { readExtras } from './tails.ts';
import { count, fieldAt, from, hasPoint, isWord, real, sixDigits, to, trim, whole } from './text-fields.ts';

/** What a device says to a command: V4, and the text of an SMS (protocol.md sections 4.5 and 4.12). */

/**
 * V4,CMD[,result …],hhmmss[,GPS group …]: the answer to a command (protocol.md section 4.5). hhmmss is the command's own time field
 * and therefore its key: seconds of the day.
 */
export function decodeV4(bytes: Bytes, state: H02State, out: FrameResult): void {
  out.kind = FrameKind.Reply;
  const group = findGroup(bytes, 5);
  // Without a GPS group only a short echo has its time, right behind the command.
  const field = group > 0 ? group - 3 : 4;
  const token = field > 3 ? sixDigits(bytes, field) : -1;
  out.replyKey = secondsOfDay(token);
  const last = group === 0 ? count : token >= 0 ? field : group - 2;
  if (count > 3) out.replyText = ascii(bytes, fieldAt(3), fieldAt(Math.max(last, 4)) - 1);
  const row = out.row();
  if (group > 0) readExtras(bytes, readGroup(bytes, group, Message.V4, row, state, out), false, false, out);
  else out.flags[row] = RowFlag.NoTime;
  if (group === 0 && isInfo(bytes)) readInfo(bytes, out);
  if (isMileage(bytes)) out.attr(Attr.OdometerM, knotSecondsToM(real(bytes, 4)));
  out.attrText(Attr.Reply, out.replyText);
}

/** HHMMSS as seconds of the day, -1 if it is not a time. */
function secondsOfDay(hms: number): number {
  const hour = Math.floor(hms / 10000);
  const minute = Math.floor(hms / 100) % 100;
  return hms >= 0 && hour < 24 && minute < 60 && hms % 100 < 60 ? hour * 3600 + minute * 60 + (hms % 100) : -1;
}

/** V4,S32,mileage in half-metres of the knot … */
function isMileage(bytes: Bytes): boolean {
  trim(bytes, 3);
  return (
    to - from === 3 && bytes[from] === 83 && bytes[from + 1] === 51 && bytes[from + 2] === 50 && hasPoint(bytes, 4) && real(bytes, 4) >= 0
  );
}

/** V4,INFO,80,IP,port,…,APN,…,battery %: the settings of a HuaSunTek unit. */
function isInfo(bytes: Bytes): boolean {
  return count >= 10 && isWord(bytes, 3, 'INFO');
}

function readInfo(bytes: Bytes, out: FrameResult): void {
  trim(bytes, 5);
  if (to > from) {
    const host = ascii(bytes, from, to);
    trim(bytes, 6);
    out.attrText(Attr.Server, `${host} ${ascii(bytes, from, to)}`);
  }
  trim(bytes, count - 3);
  if (to > from) out.attrText(Attr.Apn, ascii(bytes, from, to));
  const battery = whole(bytes, count - 1);
  if (battery >= 0 && battery <= 100) out.attr(Attr.BatteryPct, battery);
}

/** SMS,body: commas and line feeds belong to the body (protocol.md section 4.12). */
export function decodeSms(bytes: Bytes, end: number, out: FrameResult): void {
  out.kind = FrameKind.Reply;
  const row = out.row();
  if (count <= 3) return;
  const body = fieldAt(3);
  out.replyText = lines(bytes, body, end);
  readLines(bytes, body, end, row, out);
  out.attrText(Attr.Reply, out.replyText);
}

/** The lines of a text from `body` to `end`. */
export function readLines(bytes: Bytes, body: number, end: number, row: number, out: FrameResult): void {
  let s = body;
  for (let p = body; p <= end; p++) {
    if (p < end && bytes[p] !== 10) continue;
    smsLine(bytes, s, p > s && bytes[p - 1] === 13 ? p - 1 : p, s === body, row, out);
    s = p + 1;
  }
}

const KEY_IP = typeNumber('IP');
const KEY_UT = typeNumber('UT');
const KEY_VOLT = typeNumber('VOLT');
const KEY_APN = typeNumber('APN');
const KEY_GPS = typeNumber('GPS');
const KEY_GSM = typeNumber('GSM');

/** One line `KEY:value`; the first line without a key names model and firmware. */
function smsLine(bytes: Bytes, start: number, end: number, first: boolean, row: number, out: FrameResult): void {
  let key = 0;
  let p = start;
  while (p < end && p < start + 5 && bytes[p] !== 0x3a) key = key * 256 + bytes[p++]!;
  if (p === end || bytes[p] !== 0x3a) {
    if (first && end > start) out.attrText(Attr.Firmware, ascii(bytes, start, end));
    return;
  }
  const value = p + 1;
  if (value === end) return;
  switch (key) {
    case KEY_VOLT: {
      const volts = fraction(bytes, value, bytes[end - 1] === 0x56 ? end - 1 : end);
      if (volts >= 0 && volts <= 60) out.attr(Attr.ExternalV, Math.round(volts * 10));
      break;
    }
    case KEY_GSM: {
      const csq = decimal(bytes, value, end);
      if (csq >= 0 && csq <= 31) out.attr(Attr.GsmCsq, csq);
      break;
    }
    case KEY_GPS:
      smsSatellites(bytes, value, end, row, out);
      break;
    case KEY_IP:
      out.attrText(Attr.Server, ascii(bytes, value, end));
      break;
    case KEY_UT:
      out.attrText(Attr.Intervals, ascii(bytes, value, end));
      break;
    case KEY_APN:
      out.attrText(Attr.Apn, ascii(bytes, value, end));
      break;
    default:
  }
}

/** Validity, satellites in view, satellites used: A-24-23. */
function smsSatellites(bytes: Bytes, start: number, end: number, row: number, out: FrameResult): void {
  const dash = indexOf(bytes, start, end, 45);
  const second = dash < 0 ? -1 : indexOf(bytes, dash + 1, end, 45);
  if (second < 0) return;
  const visible = decimal(bytes, dash + 1, second);
  if (visible >= 0 && visible <= 99) out.attr(Attr.SatellitesVisible, visible);
  const used = decimal(bytes, second + 1, end);
  if (used >= 0 && used <= 99) out.satellites[row] = used;
}

/** Like `ascii`, but a line feed stays one; a carriage return goes. */
function lines(bytes: Bytes, start: number, end: number): string {
  let s = '';
  let p = start;
  for (let q = start; q <= end; q++) {
    if (q < end && bytes[q] !== 10 && bytes[q] !== 13) continue;
    s += ascii(bytes, p, q);
    if (q < end && bytes[q] === 10) s += '\n';
    p = q + 1;
  }
  return s;
}
