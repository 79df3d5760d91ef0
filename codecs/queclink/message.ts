import { ascii, type Bytes, decimal, hexDigit } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import { canBlock } from './can.ts';
import { accessories } from './extended.ts';
import { fieldFrom, fieldTo, hexadecimal, isHex, textOf, whole, width } from './fields.ts';
import { cell, cells } from './network.ts';
import { accessPoints, BLOCK, block, findPlace, LONGITUDE, trailer } from './position.ts';
import type { Report } from './report.ts';
import type { QueclinkState } from './state.ts';
import { readState, stateAt } from './status.ts';
import { percent } from './tail.ts';

/** Reports that are not a head, a position and a tail. */

/** report type, CAN device state, mask 8 hex, a field a bit; accuracy to UTC and cells are found from their place (protocol.md section 6.7). */
export function canReport(bytes: Bytes, base: number, end: number, state: QueclinkState, out: FrameResult): void {
  const r = out.row();
  const mask = firstMask(bytes, base, end);
  const place = findPlace(bytes, base + LONGITUDE, end);
  if (mask >= 0) {
    if (whole(bytes, mask - 1) >= 0) out.attr(A.CanState, whole(bytes, mask - 1));
    canBlock(bytes, mask, place < 0 ? end : place - LONGITUDE, out);
    // Of a unit without a fix the cell stands where it always does: at the end, a reserved field behind it.
    if (place < 0 && hexadecimal(bytes, mask) >= 0x80000000) cell(bytes, end - 5, out);
  }
  placed(bytes, place, state, out, r);
}

/** The position whose longitude stands in field `place`, -1 for none. */
function placed(bytes: Bytes, place: number, state: QueclinkState, out: FrameResult, r: number): void {
  if (place >= 0) trailer(bytes, block(bytes, place - LONGITUDE, true, out, r), state, out, r);
}

function firstMask(bytes: Bytes, base: number, end: number): number {
  for (let k = base; k < end && k < base + 5; k++) if (isHex(bytes, k, 8)) return k;
  return -1;
}

/** GTGSM: trigger in place of the name, cells, the serving one last. GTLBS: trigger, type, battery %, reserved, motion, cells from field 12 on. */
export function cellReport(bytes: Bytes, from: number, end: number, servingLast: boolean, out: FrameResult): void {
  out.row();
  const trigger = textOf(bytes, from === 4 ? 3 : 4, from === 4 ? 4 : 5);
  if (trigger !== '' && trigger.length <= 8) out.attrText(A.Trigger, trigger);
  if (!servingLast) {
    if (whole(bytes, 5) >= 0) out.attr(A.ReportType, whole(bytes, 5));
    percent(bytes, 6, out);
    if (stateAt(bytes, 8) >= 0) readState(stateAt(bytes, 8), out);
    else if (whole(bytes, 8) === 0 || whole(bytes, 8) === 1) out.attr(A.Motion, whole(bytes, 8));
  }
  cells(bytes, from, end, servingLast, out);
}

/** number, n × (MAC, RSSI, three reserved), reserved, battery % */
export function wifiReport(bytes: Bytes, end: number, out: FrameResult): void {
  out.row();
  const behind = accessPoints(bytes, 4, out);
  if (end - 1 >= behind) percent(bytes, end - 1, out);
}

/** GTDAT: data; or type, two reserved, data, a position. The data may have commas. */
export function dataReport(bytes: Bytes, end: number, state: QueclinkState, out: FrameResult): void {
  const r = out.row();
  const place = findPlace(bytes, 4 + LONGITUDE, end);
  const long = place >= 4 + 3 + 1 + LONGITUDE;
  const text = textOf(bytes, long ? 7 : 4, place < 0 ? end : place - LONGITUDE);
  if (text !== '') out.attrText(A.Data, text);
  placed(bytes, place, state, out, r);
}

/** GTDTT: reserved, data type, length, data of that length or twice that in hex; the reserved ones differ in number. Some have a position behind it. */
export function transparent(bytes: Bytes, end: number, state: QueclinkState, out: FrameResult): void {
  const r = out.row();
  const place = findPlace(bytes, 4 + LONGITUDE, end);
  transparentData(bytes, place < 0 ? end : place - LONGITUDE, out);
  placed(bytes, place, state, out, r);
}

function transparentData(bytes: Bytes, end: number, out: FrameResult): void {
  for (let k = Math.min(10, end - 2); k >= 5; k--) {
    const length = whole(bytes, k);
    if (length <= 0) continue;
    const from = fieldFrom(k + 1);
    if (width(k + 1) === 2 * length) {
      const text = unhexed(bytes, from, fieldTo(k + 1));
      out.attrText(A.Data, text === '' ? ascii(bytes, from, fieldTo(k + 1)) : text);
      fuelSensor(text, out);
      return;
    }
    if (fieldTo(end - 1) - from !== length) continue;
    const text = textOf(bytes, k + 1, end);
    out.attrText(A.Data, text);
    fuelSensor(text, out);
    return;
  }
  const text = textOf(bytes, Math.min(7, end), end);
  if (text !== '') out.attrText(A.Data, text);
}

/** The text that hex digits stand for, '' when they are not text. */
function unhexed(bytes: Bytes, from: number, to: number): string {
  let text = '';
  for (let p = from; p + 1 < to; p += 2) {
    const c = hexDigit(bytes[p]!) * 16 + hexDigit(bytes[p + 1]!);
    if (c !== 0x0d && c !== 0x0a && (c < 0x20 || c > 0x7e)) return '';
    text += String.fromCharCode(c);
  }
  return text.trim();
}

const COMB = /(?:^|\n)COMB,\d{1,3},(\d{1,5}(?:\.\d{1,3})?),/;

/** `COMB,0,94.0,-1.0,…` of a fuel sensor on the serial line: its level. */
function fuelSensor(text: string, out: FrameResult): void {
  const level = COMB.exec(text.slice(0, 512))?.[1];
  if (level !== undefined) out.attr(A.FuelSensor, Number(level));
}

/**
 * GTBID: number, n × (model, append mask, a field a bit). GTBAA: index, type, model, type of the alarm, append mask, a field a bit. Both as in GTERI,
 * and a position behind them.
 */
export function accessoryReport(report: Report, bytes: Bytes, base: number, end: number, state: QueclinkState, out: FrameResult): void {
  const r = out.row();
  const place = findPlace(bytes, base + LONGITUDE, end);
  const stop = place < 0 ? end : place - LONGITUDE;
  const isAlarm = report.name === 'GTBAA';
  if (isAlarm && hexadecimal(bytes, base + 3) >= 0) out.attr(A.EventCode, hexadecimal(bytes, base + 3));
  const behind = isAlarm
    ? accessories(bytes, base + 4, 1, 0, stop, out)
    : accessories(bytes, base + 1, Math.max(1, whole(bytes, base)), 1, stop, out);
  if (place >= 0) placed(bytes, place, state, out, r);
  else if (behind + BLOCK <= end) trailer(bytes, block(bytes, behind, false, out, r), state, out, r);
}

/** GTDOS: output, state, a position (some). */
export function outputReport(bytes: Bytes, base: number, end: number, state: QueclinkState, out: FrameResult): void {
  const r = out.row();
  placed(bytes, findPlace(bytes, base + LONGITUDE, end), state, out, r);
  if (base + 1 >= end) return;
  const output = width(base) <= 2 ? decimal(bytes, fieldFrom(base), fieldTo(base)) : -1;
  const on = whole(bytes, base + 1);
  if (output >= 0) out.attr(A.OutputId, output);
  if (on === 0 || on === 1) out.attr(A.OutputOn, on);
}
