import { ascii, type Bytes, daysInMonth, decimal, epochMs, hexNumber } from '../../src/base/wire/index.ts';
import { eventIndex, FrameKind, type FrameResult, RowFlag, unknownEvent } from '../../src/codec/index.ts';
import { oweAnswer } from './answer.ts';
import { Attr } from './attributes.ts';
import { plausibleMcc } from './field.ts';
import { findGroup, isGroup, readGroup, readIccid, readPlace, readTime } from './gps-group.ts';
import { DUTIES, Duty, MESSAGES, Message, messageOf } from './messages.ts';
import { watchRepeats } from './repeats.ts';
import { decodeSms, decodeV4 } from './reply.ts';
import { type H02State, identify, rememberedMonth, rememberedYear } from './state.ts';
import { addEvents, applyStatus, setEvent } from './status.ts';
import { addCell, batteryStep, readCell, readExtras, readV8Tail, signalDbm } from './tails.ts';
import {
  count,
  fieldAt,
  from,
  hexadecimal,
  isEmpty,
  isStatus,
  letter,
  real,
  sixDigits,
  splitFields,
  to,
  trim,
  whole,
  width,
  word,
} from './text-fields.ts';

/**
 * Text frames `*` MM `,` ID `,` TYPE `,` … `#` (protocol.md sections 3 and 4): one function a message. The GPS group,
 * what stands behind it, and the fields themselves have files of their own.
 */
export const BAD_ID = 'bad_id';
export const NOT_TEXT = 'not_text';

const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const LETTER_Y = 0x59;

export function decodeText(bytes: Bytes, start: number, end: number, state: H02State, out: FrameResult): void {
  state.tail = 0;
  if (end - start < 5 || bytes[start] !== 0x2a || bytes[start + 3] !== COMMA || bytes[end - 1] !== 0x23) {
    out.malformed(NOT_TEXT);
    return;
  }
  splitFields(bytes, start, end - 1);
  const named = readId(bytes, state);
  if (named < 0) {
    out.malformed(BAD_ID);
    return;
  }
  state.maker = (bytes[start + 1]! << 8) | bytes[start + 2]!;
  if (named > 0) out.deviceId = state.id;
  const message = messageOf(typeOf(bytes));
  out.name = MESSAGES[message] ?? '';
  // Without an identity in the frame there is no answer (protocol.md section 8.1).
  if (named > 0) oweAnswer(message, state, out);
  readBody(message, bytes, end, state, out);
  if (out.rows === 0) return;
  if (message !== Message.BC) addEvents(0, state, out);
  if (DUTIES[message] === Duty.Position) watchRepeats(bytes, start, end, out.time[0]!, state);
}

function readBody(message: Message, bytes: Bytes, end: number, state: H02State, out: FrameResult): void {
  switch (message) {
    case Message.V1:
    case Message.V2:
    case Message.V6:
    case Message.V8:
    case Message.V19:
    case Message.VI1:
      decodePosition(bytes, 5, message, state, out);
      break;
    case Message.V0:
      out.kind = FrameKind.Login;
      break;
    case Message.Empty:
      out.kind = FrameKind.Heartbeat;
      break;
    case Message.HTBT:
      decodeHeartbeat(bytes, 3, out);
      break;
    case Message.XT:
      // Longer ones, like XT,V,0,0, are another form: what stands there is no battery.
      decodeHeartbeat(bytes, count === 5 ? 4 : count, out);
      break;
    case Message.NBR:
      decodeNbr(bytes, state, out);
      break;
    case Message.LINK:
      decodeLink(bytes, state, out);
      break;
    case Message.V3:
      if (isGroup(bytes, 5)) decodePosition(bytes, 5, message, state, out);
      else decodeV3(bytes, state, out);
      break;
    case Message.V4:
      decodeV4(bytes, state, out);
      break;
    case Message.V5:
      if (isGroup(bytes, 5)) decodePosition(bytes, 5, message, state, out);
      else decodeWifi(bytes, state, out);
      break;
    case Message.VP1:
      if (isGroup(bytes, 4)) decodePosition(bytes, 4, message, state, out);
      else decodeVp1Cells(bytes, out);
      break;
    default:
      readRare(message, bytes, end, state, out);
  }
}

function readRare(message: Message, bytes: Bytes, end: number, state: H02State, out: FrameResult): void {
  switch (message) {
    case Message.SMS:
      decodeSms(bytes, end - 1, out);
      break;
    case Message.ICCID:
      decodeIccid(bytes, out);
      break;
    case Message.BS:
      decodeBs(bytes, state, out);
      break;
    case Message.BASE:
      decodeBase(bytes, state, out);
      break;
    case Message.ALRM:
      decodeAlarm(bytes, state, out);
      break;
    case Message.BC:
      decodeBatch(bytes, end - 1, state, out);
      break;
    case Message.Downlink:
      break;
    default: {
      const group = findGroup(bytes, 3);
      if (group > 0) decodePosition(bytes, group, Message.Unknown, state, out);
    }
  }
}

/** 1 the frame names its device, 0 it leaves the id out, -1 the id is not 1 to 15 digits. */
function readId(bytes: Bytes, state: H02State): number {
  trim(bytes, 1);
  const length = to - from;
  if (length === 0) return 0;
  const digits = length > 15 ? -1 : decimal(bytes, from, to);
  if (digits < 0) return -1;
  identify(state, digits, length);
  return 1;
}

/** Type as a number (messages.ts), 0 when empty. */
function typeOf(bytes: Bytes): number {
  trim(bytes, 2);
  if (to - from > 6) return -1;
  let value = 0;
  for (let p = from; p < to; p++) value = value * 256 + bytes[p]!;
  return value;
}

/** A message whose latitude is field `lat`. A frame without a readable place keeps what else it says as a status. */
function decodePosition(bytes: Bytes, lat: number, message: Message, state: H02State, out: FrameResult): void {
  const row = out.row();
  const next = readGroup(bytes, lat, message, row, state, out);
  out.kind = Number.isNaN(out.latitude[row]!) ? FrameKind.Status : FrameKind.Records;
  if (message === Message.V8) readV8Tail(bytes, next, row, out);
  else if (message === Message.VP1) batteryStep(bytes, next, out);
  else readExtras(bytes, next, message === Message.VI1, message === Message.VI1 || message === Message.ALRM, out);
}

/** HTBT[,battery %] and XT,flag,battery %: a row only when there is something to keep. */
function decodeHeartbeat(bytes: Bytes, battery: number, out: FrameResult): void {
  out.kind = FrameKind.Heartbeat;
  const percent = whole(bytes, battery);
  if (percent < 0 || percent > 100) return;
  out.row();
  out.attr(Attr.BatteryPct, percent);
}

/** Opens a status row. */
function statusRow(out: FrameResult): number {
  out.kind = FrameKind.Status;
  return out.row();
}

/** LINK,HHMMSS,signal,sats,battery,steps,turnovers,DDMMYY,status (protocol.md section 4.10) */
function decodeLink(bytes: Bytes, state: H02State, out: FrameResult): void {
  const row = statusRow(out);
  readTime(bytes, 3, 9, row, state, out);
  const signal = whole(bytes, 4);
  if (signal >= 0 && signal <= 31) out.attr(Attr.GsmCsq, signal);
  else if (signal <= 100 && signal > 31) out.attr(Attr.SignalPct, signal);
  const satellites = whole(bytes, 5);
  if (satellites >= 0 && satellites <= 40) out.satellites[row] = satellites;
  const battery = whole(bytes, 6);
  if (battery >= 0 && battery <= 100) out.attr(Attr.BatteryPct, battery);
  const steps = whole(bytes, 7);
  if (steps >= 0) out.attr(Attr.Steps, steps);
  const turnovers = whole(bytes, 8);
  if (turnovers >= 0) out.attr(Attr.Turnovers, turnovers);
  if (isStatus(bytes, 10)) applyStatus(word, row, state, out);
}

/** NBR,HHMMSS,mcc,mnc,ta,count,{lac,cid,level}×count,DDMMYY,status[,battery] (protocol.md section 4.7): the date ends the list, not the count. */
function decodeNbr(bytes: Bytes, state: H02State, out: FrameResult): void {
  const row = statusRow(out);
  const mcc = whole(bytes, 4);
  const mnc = whole(bytes, 5);
  const advance = whole(bytes, 6);
  if (advance >= 0 && advance < 255) out.attr(Attr.TimingAdvance, advance);
  let k = 8;
  for (; k + 1 < count; k += 3) {
    if (sixDigits(bytes, k) >= 0 && isStatus(bytes, k + 1)) break;
    addCell(mcc, mnc, whole(bytes, k), whole(bytes, k + 1), signalDbm(bytes, k + 2), out);
  }
  readTime(bytes, 3, k, row, state, out);
  if (isStatus(bytes, k + 1)) applyStatus(word, row, state, out);
  batteryStep(bytes, k + 2, out);
}

/** V3,HHMMSS,MCCMNC,count,{LAC,CID,RS,dBm}×count,battery,reboot,X,DDMMYY,status (protocol.md section 4.4 a): the end is found from behind. */
function decodeV3(bytes: Bytes, state: H02State, out: FrameResult): void {
  const row = statusRow(out);
  const tail = count - 5;
  if (tail < 6) return;
  readTime(bytes, 3, count - 2, row, state, out);
  const digits = width(bytes, 4);
  const network = digits === 5 || digits === 6 ? decimal(bytes, from, to) : -1;
  const mncs = digits === 6 ? 1000 : 100;
  const mcc = network < 0 ? -1 : Math.floor(network / mncs);
  const mnc = network < 0 ? -1 : network % mncs;
  for (let k = 6; k + 3 < tail; k += 4) addCell(mcc, mnc, whole(bytes, k), whole(bytes, k + 1), signalDbm(bytes, k + 3), out);
  trim(bytes, tail);
  const adc = to - from === 4 ? hexNumber(bytes, from, to) : -1;
  if (adc > 0) {
    const volts = (adc * 5.6) / 1024;
    out.attr(Attr.BatteryV, Math.round(volts * 100) / 100);
    out.attr(Attr.BatteryPct, Math.min(100, Math.round((volts / 3.6) * 1000) / 10));
  }
  const reason = whole(bytes, tail + 1);
  if (reason >= 0) out.attr(Attr.RebootReason, reason);
  if (isStatus(bytes, count - 1)) applyStatus(word, row, state, out);
}

/** V5[,HHMMSS],n,{MAC 12 hex, rssi 2}×n,battery,DDMMYY,status (protocol.md section 4.6): access points, no place. Some units leave the time out. */
function decodeWifi(bytes: Bytes, state: H02State, out: FrameResult): void {
  const row = statusRow(out);
  const timed = sixDigits(bytes, 3) >= 0;
  let k = timed ? 5 : 4;
  for (let used = accessPoints(bytes, k, out); used > 0; used = accessPoints(bytes, k, out)) k += used;
  if (width(bytes, k) <= 3) {
    const battery = whole(bytes, k++);
    if (battery >= 0 && battery <= 100) out.attr(Attr.BatteryPct, battery);
  }
  if (timed) readTime(bytes, 3, k, row, state, out);
  else out.flags[row] = RowFlag.NoTime;
  while (k < count && !isStatus(bytes, k)) k++;
  if (k < count) applyStatus(word, row, state, out);
}

/** MAC 12 hex and rssi 2, several in one field; or a MAC in one field and its signal in the next. Returns how many fields they take. */
function accessPoints(bytes: Bytes, k: number, out: FrameResult): number {
  const length = width(bytes, k);
  if (length === 12 && hexNumber(bytes, from, to) >= 0) {
    const at = from;
    const level = Math.abs(real(bytes, k + 1));
    const isLevel = width(bytes, k + 1) <= 4 && level <= 120;
    out.wifi(mac(bytes, at), isLevel ? -level : 0);
    return isLevel ? 2 : 1;
  }
  if (length < 14 || length % 14 !== 0) return 0;
  for (let p = from; p + 14 <= to; p += 14) {
    if (hexNumber(bytes, p, p + 12) < 0) continue;
    const level = decimal(bytes, p + 12, p + 14);
    out.wifi(mac(bytes, p), level > 0 ? -level : 0);
  }
  return 1;
}

function mac(bytes: Bytes, at: number): string {
  let s = ascii(bytes, at, at + 2);
  for (let p = at + 2; p < at + 12; p += 2) s += `:${ascii(bytes, p, p + 2)}`;
  return s.toLowerCase();
}

/** VP1,V,mcc,mnc,lac,cid,level then `Y`-separated lac,cid,level triples (protocol.md section 4.8). */
function decodeVp1Cells(bytes: Bytes, out: FrameResult): void {
  statusRow(out);
  if (count <= 6) return;
  const mcc = whole(bytes, 4);
  const mnc = whole(bytes, 5);
  const end = fieldAt(count) - 1;
  let s = fieldAt(6);
  for (let p = s; p <= end; p++) {
    if (p < end && bytes[p] !== LETTER_Y) continue;
    splitFields(bytes, s, p);
    if (count >= 2) addCell(mcc, mnc, whole(bytes, 0), whole(bytes, 1), signalDbm(bytes, 2), out);
    s = p + 1;
  }
}

/** BS,time,mcc,mnc,{lac,cid,level}×n,,status,battery (protocol.md section 4.13): all hexadecimal but the level. */
function decodeBs(bytes: Bytes, state: H02State, out: FrameResult): void {
  const row = statusRow(out);
  out.flags[row] = RowFlag.NoTime;
  const mcc = hexadecimal(bytes, 4);
  const mnc = hexadecimal(bytes, 5);
  let k = 6;
  for (; k + 2 < count && !isEmpty(bytes, k) && !isStatus(bytes, k); k += 3) {
    addCell(mcc, mnc, hexadecimal(bytes, k), hexadecimal(bytes, k + 1), signalDbm(bytes, k + 2), out);
  }
  while (k < count && isEmpty(bytes, k)) k++;
  // In a list that was cut off something else than a battery stands there.
  if (!isStatus(bytes, k)) return;
  applyStatus(word, row, state, out);
  batteryStep(bytes, k + 1, out);
}

/** BASE,HHMMSS,mcc,mnc,lac,cid,DDMMYY,status: zeros when unknown. */
function decodeBase(bytes: Bytes, state: H02State, out: FrameResult): void {
  const row = statusRow(out);
  readTime(bytes, 3, 8, row, state, out);
  if (plausibleMcc(whole(bytes, 4))) readCell(bytes, 4, false, out);
  if (isStatus(bytes, 9)) applyStatus(word, row, state, out);
}

function decodeIccid(bytes: Bytes, out: FrameResult): void {
  statusRow(out);
  readIccid(bytes, 3, out);
}

const ALARM_EVENTS = [0, eventIndex('sos'), eventIndex('low_battery'), eventIndex('geofence_exit')];
const GEOFENCE_ENTER = eventIndex('geofence_enter');

/** ALRM,type,HHMMSS,code,lat,N/S,lon,E/W,speed,course,DDMMYY,status,mcc,mnc,lac,cid,battery,cells or ALRM,type,HHMMSS */
function decodeAlarm(bytes: Bytes, state: H02State, out: FrameResult): void {
  const type = whole(bytes, 3);
  if (isGroup(bytes, 6)) decodePosition(bytes, 6, Message.ALRM, state, out);
  else out.flags[statusRow(out)] = RowFlag.NoTime;
  const row = out.rows - 1;
  // The message itself is the alarm: it says so each time, whatever the latch holds.
  if (type > 0) {
    out.attr(Attr.EventCode, type);
    const enters = type === 3 && isGroup(bytes, 6) && isStatus(bytes, 13) && (word & 0x10) === 0;
    setEvent(enters ? GEOFENCE_ENTER : (ALARM_EVENTS[type] ?? unknownEvent(Math.min(type, 9999))), row, state, out);
  }
}

/**
 * BC,HHMMSS,length,seg;seg;… with seg = S,lat,N/S,lon,E/W,speed,course,DDHHMMSS,status,mcc,mnc,lac,cid (cells hexadecimal).
 * Year and month are left out: see `batchTime`.
 */
function decodeBatch(bytes: Bytes, end: number, state: H02State, out: FrameResult): void {
  out.kind = FrameKind.Records;
  if (count < 6) return;
  let s = fieldAt(5);
  for (let p = s; p <= end; p++) {
    if (p < end && bytes[p] !== SEMICOLON) continue;
    if (p > s) {
      splitFields(bytes, s, p);
      if (count >= 8) batchPoint(bytes, s, p, state, out);
    }
    s = p + 1;
  }
}

function batchPoint(bytes: Bytes, start: number, end: number, state: H02State, out: FrameResult): void {
  const row = out.row();
  out.from[row] = start;
  out.to[row] = end;
  const mark = letter(bytes, 0);
  if (readPlace(bytes, 1, row, out)) out.valid[row] = mark === 65 || mark === 66 ? 1 : 0;
  trim(bytes, 7);
  const time = to - from === 8 ? batchTime(decimal(bytes, from, to), state) : Number.NaN;
  out.flags[row] = Number.isNaN(time) ? RowFlag.Buffered | RowFlag.NoTime : RowFlag.Buffered;
  out.time[row] = time - state.timeOffsetMs;
  if (isStatus(bytes, 8)) applyStatus(word, row, state, out);
  if (count >= 13) readCell(bytes, 9, true, out);
  addEvents(row, state, out);
}

/**
 * The day nearest to that of the last dated fix, at most one day behind it: of its month, the one before, or on the last day of a month
 * the next. A month that has no such day is passed over.
 */
function batchTime(digits: number, state: H02State): number {
  if (digits < 0 || state.day === 0) return Number.NaN;
  const day = Math.floor(digits / 1e6);
  let year = rememberedYear(state);
  let month = rememberedMonth(state);
  if (day === 1 && state.day === daysInMonth(year, month)) {
    month = (month % 12) + 1;
    if (month === 1) year++;
  } else if (day > state.day + 1 || day > daysInMonth(year, month)) {
    do {
      if (--month === 0) {
        month = 12;
        year--;
      }
    } while (day > daysInMonth(year, month) && day <= 31);
  }
  return epochMs(year, month, day, Math.floor(digits / 1e4) % 100, Math.floor(digits / 100) % 100, digits % 100);
}
