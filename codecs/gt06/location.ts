import { type Bytes, hex, u16be, u24be, u32be } from '../../src/base/wire/index.ts';
import { type FrameResult, unknownEvent } from '../../src/codec/index.ts';
import { termAlarm } from './alarm.ts';
import { IGNITION_OFF, IGNITION_ON, LOW_BATTERY, POWER_OFF, TAMPER } from './alarms.ts';
import { A } from './attributes.ts';
import {
  accOfWord,
  cellList,
  date6,
  extra,
  GPS18,
  gps12,
  gps18,
  gsm,
  isDate6,
  isGps18,
  isPlace,
  language,
  lbs,
  lbsLongCell,
  lbsSize,
  mccAt,
  mncAt,
  neighbours,
  reupload,
  terminal,
  wifiList,
} from './blocks.ts';
import { type Message, record } from './message.ts';
import { cellByType, modules } from './module-list.ts';
import type { Gt06State } from './state.ts';

/**
 * 0x12, 0x22, 0x2D, 0xA0 (protocol.md section 6.3): GPS18 | MCC 2, MNC 1/2, LAC 2/4, cell 3/8 | trailer.
 * The trailer is told by its length: 0 · 3 ACC, mode, re-upload · 7 the same and mileage 4 · 4 mileage. Anything else is
 * kept as hexadecimal.
 */
export function location(bytes: Bytes, m: Message, zoneMs: number, wide: boolean, out: FrameResult): void {
  const p = m.p;
  const size = m.q - p;
  if (size < GPS18) return;
  const r = record(m, out);
  const word = gps18(bytes, p, zoneMs, out, r);
  let at = p + GPS18;
  if (size >= GPS18 + 4) {
    const cell = lbsSize(bytes, at, wide);
    if (at + cell <= m.q) {
      lbs(bytes, at, wide, out);
      at += cell;
    }
  }
  const left = m.q - at;
  if (left === 3 || left === 7) {
    trailer(bytes, at, out, r, m);
    if (left === 7) out.attr(A.OdometerM, u32be(bytes, at + 3));
    return;
  }
  accOfWord(word, out);
  if (left === 4) out.attr(A.OdometerM, u32be(bytes, at));
  else if (left > 0) extra(bytes, at, m.q, out);
}

/** ACC 1, mode 1, re-upload 1. The identity ends before re-upload: a fix that is sent again differs in it. */
export function trailer(bytes: Bytes, at: number, out: FrameResult, r: number, m: Message): void {
  const acc = bytes[at] === 0 ? 0 : 1;
  const mode = bytes[at + 1]!;
  out.attr(A.Ignition, acc);
  out.attr(A.UploadMode, mode);
  if (mode === 3) out.event[r] = acc === 1 ? IGNITION_ON : IGNITION_OFF;
  reupload(bytes[at + 2]!, out, r);
  out.to[r] = Math.min(at + 2, m.q);
}

/**
 * A message whose length fits no layout of its number: GPS18 at `at`, where it stands there (isGps18), is a fix all the same, and what
 * follows it is kept as hexadecimal.
 */
export function anyFix(bytes: Bytes, at: number, m: Message, zoneMs: number, out: FrameResult): void {
  if (!isGps18(bytes, at, m.q)) return;
  const r = record(m, out);
  accOfWord(gps18(bytes, at, zoneMs, out, r), out);
  extra(bytes, at + GPS18, m.q, out);
}

/** 0x10: GPS18, hold 1, language 1. */
export function gpsOnly(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < GPS18) return;
  const r = record(m, out);
  accOfWord(gps18(bytes, p, state.localMs, out, r), out);
  if (size > GPS18) out.attr(A.HoldState, bytes[p + GPS18]!);
  extra(bytes, p + GPS18 + 2, q, out);
}

/** 0x11: DT6, LBS8; or GPS18, MCC 2, MNC 2, LAC 2, cell 4. */
export function lbsOnly(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, size } = m;
  if (size >= GPS18 && size < 28) {
    gpsOnly(bytes, m, state, out);
    return;
  }
  if (size >= 28) {
    const r = record(m, out);
    accOfWord(gps18(bytes, p, state.localMs, out, r), out);
    lbsLongCell(bytes, p + GPS18, 2, out);
    extra(bytes, p + 28, m.q, out);
    return;
  }
  const behind = size < 14 ? 0 : p + 6 + lbsSize(bytes, p + 6, false);
  if (size < 14 || behind > m.q) return;
  const r = record(m, out);
  date6(bytes, p, state.localMs, out, r);
  lbs(bytes, p + 6, false, out);
  extra(bytes, behind, m.q, out);
}

/**
 * 0x37: GPS18, LBS8, ACC, mode, re-upload, modules `id 2, length 1`.
 * 0x38: GPS18, mode 1, re-upload 1, cell type 1, MCC 2, MNC 1/2, LAC, cell, RSSI by type, modules `id 2, length 1`.
 */
export function locationWithModules(bytes: Bytes, m: Message, zoneMs: number, out: FrameResult): void {
  const { p, q, size } = m;
  if (m.number === 0x37) {
    if (size < GPS18 + 12) return;
    const r = record(m, out);
    gps18(bytes, p, zoneMs, out, r);
    const at = p + GPS18;
    lbs(bytes, at, false, out);
    const behind = at + lbsSize(bytes, at, false);
    trailer(bytes, behind, out, r, m);
    modules(bytes, behind + 3, q, out, r);
    return;
  }
  if (size < GPS18 + 3) return;
  const r = record(m, out);
  accOfWord(gps18(bytes, p, zoneMs, out, r), out);
  out.attr(A.UploadMode, bytes[p + GPS18]!);
  reupload(bytes[p + GPS18 + 1]!, out, r);
  const behind = cellByType(bytes, p + GPS18 + 2, q, out);
  if (behind < 0) extra(bytes, p + GPS18 + 2, q, out);
  else modules(bytes, behind, q, out, r);
}

/**
 * Long 0x32 and 0x33 of locks (protocol.md section 6.10): DT6 | GPS length 1, GPS12 | main cell length 1, MCC 2, MNC 1, LAC 2, cell 3,
 * RSSI 1 | neighbours length 1, n × 6 | Wi-Fi length 1, m × 7 | status 1 | extension length 1, extension.
 */
export function lockLocation(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  if (lockParts(bytes, m, state, out)) return;
  const { p, q } = m;
  if (p + 1 + GPS18 > q || bytes[p + 6] !== 12 || !isDate6(bytes, p) || !isPlace(bytes, p + 8)) return;
  const r = record(m, out);
  date6(bytes, p, state.utcMs, out, r);
  accOfWord(gps12(bytes, p + 7, out, r), out);
  extra(bytes, p + 1 + GPS18, q, out);
}

/** False: the lengths do not fill the content, which has another layout. */
function lockParts(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): boolean {
  const { p, q, size } = m;
  if (size < 11) return false;
  const gpsAt = p + 7;
  const gps = bytes[p + 6]!;
  const cellAt = gpsAt + gps + 1;
  if (cellAt >= q) return false;
  const cell = bytes[cellAt - 1]!;
  const nearAt = cellAt + cell + 1;
  if (nearAt >= q) return false;
  const near = bytes[nearAt - 1]!;
  const wifiAt = nearAt + near + 1;
  if (wifiAt >= q) return false;
  const wifi = bytes[wifiAt - 1]!;
  const statusAt = wifiAt + wifi;
  if (statusAt >= q || (gps !== 0 && gps !== 12) || (cell !== 0 && cell < 9)) return false;
  const r = record(m, out);
  state.lock = true;
  date6(bytes, p, state.utcMs, out, r);
  if (gps === 12) accOfWord(gps12(bytes, gpsAt, out, r), out);
  if (cell >= 9) {
    cellList(bytes, cellAt + 3, 1, cellAt, false, out);
    neighbours(bytes, nearAt, Math.floor(near / 6), mccAt(bytes, cellAt), mncAt(bytes, cellAt), out);
  }
  wifiList(bytes, wifiAt, statusAt, Math.floor(wifi / 7), out);
  lockStatus(bytes[statusAt]!, m, out, r);
  if (statusAt + 2 < q) extra(bytes, statusAt + 2, q, out);
  return true;
}

/** The status of 0x32 is the reason of the upload (2: stored before), that of 0x33 an alarm (protocol.md section 6.10). */
function lockStatus(status: number, m: Message, out: FrameResult, r: number): void {
  out.attr(A.Status, status);
  if (m.number === 0x33) {
    out.attr(A.EventCode, status);
    if (status === 0xa0 || status === 0xa1) out.attr(A.Locked, status === 0xa0 ? 1 : 0);
    out.event[r] = status === 0xa2 ? LOW_BATTERY : status === 0xa3 ? POWER_OFF : status === 0xa5 ? TAMPER : unknownEvent(status);
  } else if (status === 2) reupload(1, out, r);
}

/**
 * 0x22 with LEN 3C (protocol.md section 10, NT family): source 1, IMEI 8, device time 6, GPS18, LBS length 1, LBS8, TERM, external
 * V × 100 (2), battery V × 10 (1), RSSI 1, ALARM, LANG, odometer 3, hours 3 (minutes).
 */
export function nt(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p } = m;
  const r = record(m, out);
  out.attr(A.Source, bytes[p]!);
  gps18(bytes, p + 15, state.utcMs, out, r);
  lbs(bytes, p + 34, false, out);
  ntTail(bytes, p + 42, m, state, out, r);
}

/** 0x25 of the XT40: the same with cell 4 and one unknown byte behind it, then driver length 1, type 1, id. */
export function xt40(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q } = m;
  if (m.size < 57) return;
  const r = record(m, out);
  out.attr(A.Source, bytes[p]!);
  gps18(bytes, p + 15, state.utcMs, out, r);
  lbsLongCell(bytes, p + 34, 1, out);
  ntTail(bytes, p + 44, m, state, out, r);
  if (p + 57 >= q) return;
  const length = bytes[p + 57]!;
  if (length > 1 && p + 58 + length <= q) out.attrText(A.DriverId, hex(bytes, p + 59, p + 58 + length));
}

function ntTail(bytes: Bytes, at: number, m: Message, state: Gt06State, out: FrameResult, r: number): void {
  terminal(bytes[at]!, out);
  out.attr(A.ExternalCentivolts, u16be(bytes, at + 1));
  out.attr(A.BatteryDecivolts, bytes[at + 3]!);
  gsm(bytes[at + 4]!, out);
  termAlarm(bytes[at + 5]!, bytes[at]!, state.variant, out, r);
  language(bytes[at + 6]!, out);
  out.attr(A.OdometerKm, u24be(bytes, at + 7));
  out.attr(A.EngineHoursMin, u24be(bytes, at + 10));
  out.to[r] = m.q;
}
