import { ascii, type Bytes, hex, i16be, u16be, u24be, u32be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { alarmCode, statusBlock, termAlarm } from './alarm.ts';
import { alarmEvent, terminalEvent } from './alarms.ts';
import { A, SENSORS } from './attributes.ts';
import {
  accOfWord,
  addCell,
  date6,
  extra,
  GPS18,
  gps18,
  gsm,
  isDate6,
  isGps18,
  lbs,
  lbsLongCell,
  mccAt,
  terminal,
  voltage,
  wifiList,
} from './blocks.ts';
import { trailer } from './location.ts';
import { type Message, record } from './message.ts';
import { type Gt06State, Variant } from './state.ts';

/**
 * Layouts of single families (protocol.md section 10). A frame that only one family sends teaches the state which family it is
 * (state.ts); only what a frame cannot tell by itself is then read by the variant.
 */

/** Bit 15 of MCC is clear: MNC has one byte, and the longer frame is a variant's, not a wider MNC. */
function narrow(bytes: Bytes, at: number): boolean {
  return (bytes[at]! & 0x80) === 0;
}

/** GPS18 and LBS8 (cell 3) in front of a variant's own fields. */
function fix(bytes: Bytes, p: number, m: Message, zoneMs: number, out: FrameResult): number {
  const r = record(m, out);
  gps18(bytes, p, zoneMs, out, r);
  lbs(bytes, p + GPS18, false, out);
  return r;
}

/** 0x12 with a length of its own; false: the standard message. */
export function location12(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): boolean {
  const { p, size } = m;
  if (size <= 27 || size === 30) return false;
  const at = p + GPS18 + 8;
  if (size === 34 && !isGps18(bytes, p, m.q)) {
    qh302r(bytes, m, state, out);
    return true;
  }
  if (!narrow(bytes, p + GPS18)) return false;
  switch (size) {
    case 28:
      return benway(bytes, m, state, out);
    case 31: {
      // VXT01: TERM 1 | volts × 100 (2) | GSM 1 | alarm extension 1
      state.learn(Variant.Vxt01);
      const r = fix(bytes, p, m, state.localMs, out);
      terminal(bytes[at]!, out);
      out.attr(A.ExternalCentivolts, u16be(bytes, at + 1));
      gsm(bytes[at + 3]!, out);
      vxt01Alarm(bytes[at + 4]!, bytes[at]!, out, r);
      return true;
    }
    case 38: {
      // S5: TERM 1 | volts × 100 (2) | GSM 1 | ALARM 1 | fuel 2 | temperature 1 (bit 7: below zero) | odometer 4 (10 m)
      const r = fix(bytes, p, m, state.localMs, out);
      terminal(bytes[at]!, out);
      out.attr(A.ExternalCentivolts, u16be(bytes, at + 1));
      gsm(bytes[at + 3]!, out);
      termAlarm(bytes[at + 4]!, bytes[at]!, state.variant, out, r);
      out.attr(A.FuelRaw, u16be(bytes, at + 5));
      const t = bytes[at + 7]!;
      out.attr(A.TemperatureWhole, (t & 0x80) !== 0 ? -(t & 0x7f) + 0 : t);
      out.attr(A.OdometerTenM, u32be(bytes, at + 8));
      return true;
    }
    default:
      return size >= 36 && card(bytes, m, state, out);
  }
}

/**
 * Card readers. WeTrust: odometer 4 | card length 1 | card | alarm 1 | card state 1 | driving time 2. GT06E: odometer 4 | card length 1 | card |
 * alarm 1 | swiped 1.
 */
function card(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): boolean {
  const { p, q, size } = m;
  const at = p + GPS18 + 8;
  const length = bytes[at + 4]!;
  const behind = at + 5 + length;
  const left = q - behind;
  if (left !== 4 && !(left === 2 && size >= 108)) return false;
  const r = fix(bytes, p, m, state.localMs, out);
  out.attr(A.OdometerM, u32be(bytes, at));
  const text = ascii(bytes, at + 5, behind).trim();
  // A lone 0 stands for no card.
  if (text !== '' && text !== '0') out.attrText(A.DriverId, text);
  // Both numbers are binary in one family and ASCII digits in the other.
  const code = left === 2 ? bytes[behind]! & 15 : bytes[behind]!;
  if (code !== 0) {
    out.attr(A.EventCode, code);
    out.event[r] = alarmEvent(code, Variant.Standard);
  }
  out.attr(A.CardState, left === 2 ? bytes[behind + 1]! & 15 : bytes[behind + 1]!);
  if (left === 4) out.attr(A.DrivingTime, u16be(bytes, behind + 2));
  return true;
}

/**
 * BENWAY: mask 2 behind LBS8: bit 15 ignition, 14 input 2; bit 12 set: temperature in bits 0–8, below zero with bit 9; else an analog value in
 * bits 0–9, in tenths unless bit 13. Two bytes there are also an old reserved field: only a mask with one of the
 * high bits is taken for BENWAY until the variant is known.
 */
function benway(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): boolean {
  const at = m.p + GPS18 + 8;
  const mask = u16be(bytes, at);
  if (mask < 0x1000 && state.variant !== Variant.Benway) return false;
  if (mask >= 0x1000) state.learn(Variant.Benway);
  fix(bytes, m.p, m, state.localMs, out);
  out.attr(A.Ignition, mask >> 15);
  out.attr(A.Input2, (mask >> 14) & 1);
  if ((mask & 0x1000) !== 0) out.attr(A.TemperatureWhole, (mask & 0x200) !== 0 ? -(mask & 0x1ff) + 0 : mask & 0x1ff);
  else out.attr(A.Analog1, (mask & 0x2000) !== 0 ? mask & 0x3ff : (mask & 0x3ff) / 10);
  return true;
}

/** QH302R, 0x12 LEN 27: id 8 | GPS18 | LBS8. */
function qh302r(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const r = record(m, out);
  accOfWord(gps18(bytes, m.p + 8, state.localMs, out, r), out);
  lbs(bytes, m.p + 26, false, out);
}

/** VXT01's alarm numbers are its own: any code without a TERM alarm is told as unknown. */
function vxt01Alarm(code: number, term: number, out: FrameResult, r: number): void {
  if (code !== 0) out.attr(A.EventCode, code);
  out.event[r] = terminalEvent(term, Variant.Vxt01) || alarmEvent(code, Variant.Vxt01);
}

/** 0x16 with a length of its own; false: the standard message. */
export function alarm16(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): boolean {
  const { p, q, size } = m;
  if (size === 31 && narrow(bytes, p + GPS18)) {
    // VXT01 has no LBS length: LBS8 | TERM 1 | volts × 100 (2) | GSM 1 | alarm 1
    state.learn(Variant.Vxt01);
    const at = p + GPS18 + 8;
    const r = fix(bytes, p, m, state.localMs, out);
    terminal(bytes[at]!, out);
    out.attr(A.ExternalCentivolts, u16be(bytes, at + 1));
    gsm(bytes[at + 3]!, out);
    vxt01Alarm(bytes[at + 4]!, bytes[at]!, out, r);
    return true;
  }
  if (size === 33 && narrow(bytes, p + GPS18 + 1)) {
    // SEEWORLD: length 1 | MCC 2, MNC 1, LAC 2, cell 4 | TERM | VOLT % | GSM % | ALARM | LANG
    state.learn(Variant.Seeworld);
    const r = record(m, out);
    const word = gps18(bytes, p, state.utcMs, out, r);
    lbsLongCell(bytes, p + GPS18 + 1, 1, out);
    const at = p + GPS18 + 10;
    terminal(bytes[at]!, out);
    accOfWord(word, out);
    if (bytes[at + 1]! <= 100) out.attr(A.BatteryPct, bytes[at + 1]!);
    if (bytes[at + 2]! <= 100) out.attr(A.GsmPct, bytes[at + 2]!);
    alarmCode(bytes, at + 3, bytes[at]!, state.family(Variant.Seeworld), out, r);
    return true;
  }
  if (size === 40 && narrow(bytes, p + GPS18 + 1)) {
    // TRX16i: the standard alarm, then RFID 8
    state.learn(Variant.Trx16i);
    const r = record(m, out);
    const word = gps18(bytes, p, state.localMs, out, r);
    lbs(bytes, p + GPS18 + 1, false, out);
    statusBlock(bytes, p + GPS18 + 9, word, state.family(Variant.Trx16i), state, out);
    driverHex(bytes, q - 8, q, out);
    return true;
  }
  return false;
}

function driverHex(bytes: Bytes, at: number, end: number, out: FrameResult): void {
  if (u32be(bytes, at) !== 0 || u32be(bytes, end - 4) !== 0) out.attrText(A.DriverId, hex(bytes, at, end));
}

/**
 * SEEWORLD, 0x22 LEN 2F: GPS18 | MCC 2, MNC 1, LAC 2, cell 4 | ACC, mode, re-upload | mileage 4 | travel time 4 | temperature 2 (bit 15: below
 * zero) | humidity 2, both in hundredths.
 */
export function seeworldLocation(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p } = m;
  state.learn(Variant.Seeworld);
  const r = record(m, out);
  gps18(bytes, p, state.utcMs, out, r);
  lbsLongCell(bytes, p + GPS18, 1, out);
  const at = p + GPS18 + 9;
  trailer(bytes, at, out, r, m);
  out.attr(A.OdometerM, u32be(bytes, at + 3));
  out.attr(A.TravelTime, u32be(bytes, at + 7));
  const t = u16be(bytes, at + 11);
  out.attr(A.TemperatureCenti, (t & 0x8000) !== 0 ? -(t & 0x7fff) + 0 : t);
  out.attr(A.HumidityCenti, u16be(bytes, at + 13));
}

/**
 * LW4G, 0xA2 LEN 40: GPS18 | MCC 2, MNC 1, LAC 4, cell 8 | network 1 | TERM 1 | external V × 100 (2) | battery 1 | RSSI 1 | ALARM 1, LANG 1 |
 * odometer 4 | hours 4 (s) | id 8 | inputs 2.
 */
export function lw4g(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p } = m;
  if (!narrow(bytes, p + GPS18)) return;
  state.learn(Variant.Lw);
  out.name = 'location-4g';
  const r = record(m, out);
  gps18(bytes, p, state.utcMs, out, r);
  lbs(bytes, p + GPS18, true, out);
  const at = p + GPS18 + 15;
  out.attr(A.Network, bytes[at]!);
  const term = bytes[at + 1]!;
  terminal(term, out);
  out.attr(A.ExternalCentivolts, u16be(bytes, at + 2));
  voltage(bytes[at + 4]!, out);
  gsm(bytes[at + 5]!, out);
  alarmCode(bytes, at + 6, 0, state.family(Variant.Lw), out, r);
  out.attr(A.OdometerM, u32be(bytes, at + 8));
  out.attr(A.EngineHoursS, u32be(bytes, at + 12));
  out.attr(A.Inputs, u16be(bytes, at + 24));
}

/** SR411, 0x24 LEN 2E: GPS18 | LBS8 | ACC 1 | external V × 100 (2) | battery V × 100 (2) | 10 unknown. */
export function sr411(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q } = m;
  if (!narrow(bytes, p + GPS18)) return;
  out.name = 'location';
  fix(bytes, p, m, state.utcMs, out);
  const at = p + GPS18 + 8;
  out.attr(A.Ignition, bytes[at] === 0 ? 0 : 1);
  out.attr(A.ExternalCentivolts, u16be(bytes, at + 1));
  out.attr(A.BatteryCentivolts, u16be(bytes, at + 3));
  extra(bytes, at + 5, q, out);
}

/** 0x17 LEN 28 or 27: GPS18 | LBS8 | RFID 8 | validity 1. */
export function rfidLocation(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q } = m;
  if (!narrow(bytes, p + GPS18)) return;
  out.name = 'location';
  fix(bytes, p, m, state.utcMs, out);
  const at = p + GPS18 + 8;
  driverHex(bytes, at, at + 8, out);
  if (at + 8 < q) out.attr(A.CardState, bytes[at + 8]!);
}

/** SL4X, 0x31: GPS18 | MCC 2, MNC 2, LAC 2, cell 4 | ACC, mode, re-upload | mileage 4 (some) | altitude s16 (some). */
export function sl4xLocation(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, size } = m;
  const behind = size - GPS18 - 13;
  if (behind !== 0 && behind !== 4 && behind !== 6) return;
  const r = record(m, out);
  gps18(bytes, p, state.utcMs, out, r);
  lbsLongCell(bytes, p + GPS18, 2, out);
  const at = p + GPS18 + 10;
  trailer(bytes, at, out, r, m);
  if (behind >= 4) out.attr(A.OdometerM, u32be(bytes, at + 3));
  if (behind === 6) out.altitudeM[r] = i16be(bytes, at + 7);
}

/**
 * Short 0x32. LEN 27, 29 (SL4X): GPS18 | LBS length 1 | MCC 2, MNC 2, LAC 2, cell 4 | TERM, VOLT, GSM, ALARM, LANG | altitude s16 (29).
 * LEN 2F: GPS18 | MCC 2, MNC 1, LAC 2, cell 4 | ACC, mode, re-upload | mileage 4 | external V × 100 (2) | engine seconds 4 | battery 1 | 1 unknown.
 */
export function short32(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, size } = m;
  if (size === 34 || size === 36) {
    const r = record(m, out);
    out.name = 'alarm';
    const word = gps18(bytes, p, state.utcMs, out, r);
    lbsLongCell(bytes, p + GPS18 + 1, 2, out);
    statusBlock(bytes, p + GPS18 + 11, word, state.variant, state, out);
    if (size === 36) out.altitudeM[r] = i16be(bytes, p + 34);
  } else if (size === 42) {
    const r = record(m, out);
    gps18(bytes, p, state.utcMs, out, r);
    lbsLongCell(bytes, p + GPS18, 1, out);
    const at = p + GPS18 + 9;
    trailer(bytes, at, out, r, m);
    out.attr(A.OdometerM, u32be(bytes, at + 3));
    out.attr(A.ExternalCentivolts, u16be(bytes, at + 7));
    out.attr(A.EngineHoursS, u32be(bytes, at + 9));
    voltage(bytes[at + 13]!, out);
  }
}

/** SL4X, 0x33: DT6 | TA 1 | MCC 2, MNC 2 | 6 × (LAC 2, cell 4, RSSI 1) | Wi-Fi count 1 | n × (MAC 6, RSSI 1). */
export function sl4xWifi(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < 54) return;
  const r = record(m, out);
  out.name = 'wifi';
  out.kind = FrameKind.Status;
  date6(bytes, p, state.utcMs, out, r);
  longCells(bytes, p + 11, 6, p + 7, out);
  wifiList(bytes, p + 54, q, bytes[p + 53]!, out);
}

/** n × (LAC 2, cell 4, RSSI 1) at `at`; `network`: MCC 2, MNC 2. */
function longCells(bytes: Bytes, at: number, n: number, network: number, out: FrameResult): void {
  const mcc = mccAt(bytes, network);
  const mnc = u16be(bytes, network + 2);
  for (let i = 0, k = at; i < n; i++, k += 7) addCell(mcc, mnc, u16be(bytes, k), u32be(bytes, k + 2), bytes[k + 6]!, out);
}

function sl4xCells(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q } = m;
  const cells = p + 12;
  const n = Math.min(bytes[p + 11]!, Math.floor((q - cells) / 7));
  const r = record(m, out);
  out.kind = FrameKind.Status;
  out.name = 'lbs-multi';
  date6(bytes, p, state.utcMs, out, r);
  longCells(bytes, cells, n, p + 7, out);
  let rest = cells + 7 * n;
  while (rest < q && bytes[rest] === 0) rest++;
  extra(bytes, rest, q, out);
}

/**
 * Short 0x34. SL4X (LEN 37): DT6 | TA 1 | MCC 2, MNC 2 | count 1 | n × (LAC 2, cell 4, RSSI 1) | zeros.
 * X1: alarm and data mask 4 | GPS18 | terminal information 2 | odometer 4 | MCC 2, MNC 1, LAC 2, cell 4 | driver id 4 | battery V × 100 (2) | external
 * V × 100 (2) | port information 4 (bits 20–23: number of analog values) | inputs 1 | outputs 1 | n × u16 / 100.
 */
export function short34(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q, size } = m;
  if (size === 50 || (size >= 12 && isDate6(bytes, p) && !isGps18(bytes, p + 4, q))) {
    sl4xCells(bytes, m, state, out);
    return;
  }
  if (size < 51) return;
  const r = record(m, out);
  const mask = u32be(bytes, p);
  if (mask !== 0) out.attr(A.EventCode, mask);
  accOfWord(gps18(bytes, p + 4, state.utcMs, out, r), out);
  out.attr(A.StatusBits, u16be(bytes, p + 22));
  out.attr(A.OdometerM, u32be(bytes, p + 24));
  lbsLongCell(bytes, p + 28, 1, out);
  const driver = u32be(bytes, p + 37);
  if (driver !== 0) out.attrText(A.DriverId, String(driver));
  out.attr(A.BatteryCentivolts, u16be(bytes, p + 41));
  out.attr(A.ExternalCentivolts, u16be(bytes, p + 43));
  const analogs = (u32be(bytes, p + 45) >>> 20) & 15;
  out.attr(A.Inputs, bytes[p + 49]!);
  out.attr(A.Outputs, bytes[p + 50]!);
  for (let i = 0, at = p + 51; i < analogs && i < SENSORS && at + 2 <= q; i++, at += 2) out.attr(A.Analog + i, u16be(bytes, at));
}

/**
 * TRX16i, 0x36 LEN 35: GPS18 | MCC 2, MNC 1, LAC 2, cell 4 | ACC, mode, re-upload | odometer 4 | external V × 100 (2) | battery V × 10 (1) | hours 3
 * (minutes) | RFID 8.
 */
export function trx16iLocation(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q } = m;
  state.learn(Variant.Trx16i);
  const r = record(m, out);
  out.name = 'location';
  gps18(bytes, p, state.utcMs, out, r);
  lbsLongCell(bytes, p + GPS18, 1, out);
  const at = p + GPS18 + 9;
  trailer(bytes, at, out, r, m);
  out.attr(A.OdometerM, u32be(bytes, at + 3));
  out.attr(A.ExternalCentivolts, u16be(bytes, at + 7));
  out.attr(A.BatteryDecivolts, bytes[at + 9]!);
  out.attr(A.EngineHoursMin, u24be(bytes, at + 10));
  driverHex(bytes, q - 8, q, out);
}

/** 0x61 LEN 2E: IMEI 8 | GPS18 | MCC 2, MNC 1, LAC 2, cell 4 | key 6. */
export function ibutton(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, size } = m;
  if (size !== 41) return;
  const r = record(m, out);
  accOfWord(gps18(bytes, p + 8, state.utcMs, out, r), out);
  lbsLongCell(bytes, p + 26, 1, out);
  const key = u16be(bytes, p + 35) * 4294967296 + u32be(bytes, p + 37);
  if (key !== 0) out.attrText(A.DriverId, String(key));
}
