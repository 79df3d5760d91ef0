import { ascii, type Bytes } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { A, N } from './attributes.ts';
import { fieldFrom, fieldTo, firstOf, hasPoint, hexadecimal, isDigits, real, textOf, timeAt, whole, width } from './fields.ts';
import type { Report } from './report.ts';
import type { QueclinkState } from './state.ts';
import { readState, stateAt } from './status.ts';
import { analog, mileage, percent, temperature } from './tail.ts';

/** GTINF and the answers to queries (protocol.md sections 5.4, 5.5 and 6.4). */

/**
 * From the state on: state, ICCID, RSSI, BER, external power 0/1, mileage km (with a point) or external mV, reserved, battery V,
 * charging, LED, GPS on need, antenna, last fix. Behind it personal units have battery %, flash type, temperature; vehicle units pin
 * mode, analogue inputs, digital inputs, outputs, time zone, daylight saving.
 */
export function information(bytes: Bytes, base: number, end: number, state: QueclinkState, out: FrameResult): void {
  out.row();
  const s = stateAt(bytes, base) < 0 && stateAt(bytes, base + 1) >= 0 ? base + 1 : base;
  modelAndName(bytes, s - 1, state, out);
  const code = stateAt(bytes, s);
  if (code >= 0) readState(code, out);
  iccid(bytes, s + 1, out);
  csqAndMore(bytes, s + 2, out);
  supply(bytes, s, end, out);
  const told = lastFix(bytes, s + 5, end);
  const zone = zoneField(bytes, Math.max(s + 5, told), end);
  // A unit that has not had a fix leaves it empty: it stands four or six fields in front of the zone, or where personal units have it.
  const fix = told >= 0 ? told : zone > 0 ? zone - (state.model.gv200 ? 4 : 6) : end - s === PERSONAL_FIELDS ? s + PERSONAL_FIX : -1;
  if (fix < 0) return;
  if (zone > 0) lines(bytes, fix, zone, state, out);
  else {
    percent(bytes, fix + 1, out);
    temperature(bytes, fix + 3, out);
  }
}

/** From field s + 4 on: external power 0/1, mileage km or external mV, reserved, battery V, charging, LED, GPS on need. */
function supply(bytes: Bytes, s: number, end: number, out: FrameResult): void {
  const external = whole(bytes, s + 4);
  if (hasPoint(bytes, s + 5)) mileage(bytes, s + 5, out);
  else if (whole(bytes, s + 5) > 1000 && whole(bytes, s + 5) <= 100_000) out.attr(A.ExternalMv, whole(bytes, s + 5));
  if (external === 0 || external === 1) out.attr(A.ExternalPower, external);
  const b = batteryField(bytes, s + 6, Math.min(end, s + 9));
  if (b > 0) {
    out.attr(A.BatteryV, real(bytes, b));
    const charging = whole(bytes, b + 1);
    if (charging >= 0 && charging <= 2) out.attr(A.Charging, charging > 0 ? 1 : 0);
    const led = whole(bytes, b + 2);
    if (led >= 0 && led <= 2) out.attr(A.Led, led);
    const need = whole(bytes, b + 3);
    if (need >= 0 && need <= 3 && width(b + 3) === 1) out.attr(A.GpsOnNeed, need);
  }
}

/** Fields of personal units from the state on, and where the last fix stands among them. */
const PERSONAL_FIELDS = 19;
const PERSONAL_FIX = 13;

/** Model by the version, and the name that people gave the device. */
function modelAndName(bytes: Bytes, k: number, state: QueclinkState, out: FrameResult): void {
  if (state.model.name !== '') out.attrText(A.Model, state.model.name);
  if (width(k) > 0 && width(k) <= 20) out.attrText(A.DeviceName, ascii(bytes, fieldFrom(k), fieldTo(k)));
}

function iccid(bytes: Bytes, k: number, out: FrameResult): void {
  const text = textOf(bytes, k, k + 1);
  if (/^[0-9A-Fa-f]{18,22}$/.test(text)) out.attrText(A.Iccid, text.replace(/[fF]+$/, ''));
}

function csqAndMore(bytes: Bytes, k: number, out: FrameResult): void {
  const quality = whole(bytes, k);
  if (quality >= 0 && quality <= 31) out.attr(A.GsmCsq, quality);
}

/** The first field with a point between 2.5 and 5 V, 0 for none. */
function batteryField(bytes: Bytes, from: number, end: number): number {
  for (let k = from; k < end; k++) if (hasPoint(bytes, k) && width(k) <= 5 && real(bytes, k) >= 2.5 && real(bytes, k) <= 5) return k;
  return 0;
}

function lastFix(bytes: Bytes, from: number, end: number): number {
  for (let k = from; k < end; k++) if (isDigits(bytes, k, 14)) return k;
  return -1;
}

/** `+0800` */
function zoneField(bytes: Bytes, from: number, end: number): number {
  for (let k = from + 1; k < end; k++) {
    const sign = firstOf(bytes, k);
    if (width(k) === 5 && (sign === 0x2b || sign === 0x2d)) return k;
  }
  return 0;
}

/** Analogue inputs, digital inputs and outputs in front of the time zone; GV200 has no pin mode in front of them. */
function lines(bytes: Bytes, fix: number, zone: number, state: QueclinkState, out: FrameResult): void {
  const first = fix + (state.model.gv200 ? 1 : 2);
  for (let k = first, line = 0; k < zone - 2 && line < N; k++, line++) analog(bytes, k, line, out);
  const inputs = width(zone - 2) === 2 ? hexadecimal(bytes, zone - 2) : -1;
  const outputs = width(zone - 1) === 2 ? hexadecimal(bytes, zone - 1) : -1;
  if (inputs >= 0) out.attr(A.Inputs, inputs);
  if (outputs >= 0) out.attr(A.Outputs, outputs);
  out.attrText(A.TimeZone, textOf(bytes, zone, zone + 1));
}

/** What came because it was asked for: the values, and the text as it is. */
export function query(report: Report, bytes: Bytes, end: number, out: FrameResult): void {
  out.row();
  out.kind = FrameKind.Reply;
  switch (report.name) {
    case 'GTVER':
      texted(A.Model, textOf(bytes, 4, 5), out);
      texted(A.Firmware, version(bytes, 5), out);
      texted(A.Hardware, version(bytes, 6), out);
      break;
    case 'GTCID':
      iccid(bytes, 4, out);
      break;
    case 'GTCSQ':
      csqAndMore(bytes, 4, out);
      break;
    case 'GTTMZ':
      texted(A.TimeZone, textOf(bytes, 4, 5), out);
      break;
    case 'GTGSV':
      if (whole(bytes, 4) >= 0) out.attr(A.GnssLevel, whole(bytes, 4));
      if (whole(bytes, 5) >= 0 && whole(bytes, 5) <= 255) out.attr(A.Jamming, whole(bytes, 5));
      if (whole(bytes, 6) >= 0 && whole(bytes, 6) <= 99) out.attr(A.SatellitesVisible, whole(bytes, 6));
      break;
    case 'GTBAT':
      battery(bytes, end, out);
      break;
    case 'GTGPS':
      if (!Number.isNaN(timeAt(bytes, end - 1))) out.attr(A.GpsOnNeed, Math.max(0, whole(bytes, 4)));
      break;
    default:
  }
  answered(report, bytes, 4, end, out);
}

/** Text of a report that answers: its name and its fields. */
export function answered(report: Report, bytes: Bytes, from: number, end: number, out: FrameResult): void {
  out.replyText = from < end ? `${report.name},${textOf(bytes, from, end)}` : report.name;
  out.attrText(A.Reply, out.replyText);
}

function texted(id: number, text: string, out: FrameResult): void {
  if (text !== '') out.attrText(id, text);
}

/** `0A03` is 10.3: major and minor in two hexadecimal digits each, the minor printed with two decimals. */
function version(bytes: Bytes, k: number): string {
  const value = width(k) === 4 ? hexadecimal(bytes, k) : -1;
  return value < 0 ? textOf(bytes, k, k + 1) : `${value >> 8}.${String(value & 255).padStart(2, '0')}`;
}

/** External power 0/1, its mV (vehicle units), battery %, volts, charging, LED: found by their range. */
function battery(bytes: Bytes, end: number, out: FrameResult): void {
  const external = whole(bytes, 4);
  if (external === 0 || external === 1) out.attr(A.ExternalPower, external);
  const mv = end > 5 ? whole(bytes, 5) : -1;
  if (mv > 1000 && mv <= 100_000) out.attr(A.ExternalMv, mv);
  const b = batteryField(bytes, 5, Math.min(end, 12));
  if (b === 0) return;
  out.attr(A.BatteryV, real(bytes, b));
  percent(bytes, b - 1, out);
  const charging = whole(bytes, b + 1);
  if (charging >= 0 && charging <= 1) out.attr(A.Charging, charging);
  const led = b + 2 < end ? whole(bytes, b + 2) : -1;
  if (led >= 0 && led <= 2) out.attr(A.Led, led);
}
