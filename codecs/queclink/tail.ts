import { type Bytes, decimal } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { A, N } from './attributes.ts';
import { fieldFrom, fieldTo, firstOf, hasPoint, hexadecimal, holds, real, realBehind, whole, width } from './fields.ts';
import type { QueclinkState } from './state.ts';
import { isStatus, readStatus } from './status.ts';

/**
 * What stands behind the last position (protocol.md sections 5.1, 5.6, 6.1 to 6.3). A short tail is told by what its fields look like:
 *
 *     personal     battery %                                  with CSQ: BER, reserved, battery %, mode, motion, temperature
 *     vehicle      mileage                                    ignition: hour meter, mileage
 *                  mileage, hour meter, analogue 1…n, battery %, status, three fields
 */
export function tail(bytes: Bytes, b: number, end: number, state: QueclinkState, out: FrameResult): void {
  const n = end - b;
  if (n <= 0) return;
  if (state.model.family === 'gl5' && n >= 5) longPersonal(bytes, b, out);
  else if (n <= 3) short(bytes, b, end, state, out);
  else vehicle(bytes, b, end, state, out);
}

function short(bytes: Bytes, b: number, end: number, state: QueclinkState, out: FrameResult): void {
  for (let k = b; k < end; k++) {
    if (holds(bytes, k, COLON)) hourMeter(bytes, k, out);
    else if (hasPoint(bytes, k)) mileage(bytes, k, out);
  }
  if (state.model.family !== 'gv') percent(bytes, end - 1, out);
}

/** BER, reserved, battery %, mode, motion, temperature °C */
function longPersonal(bytes: Bytes, b: number, out: FrameResult): void {
  percent(bytes, b + 2, out);
  const motion = whole(bytes, b + 4);
  if (motion === 0 || motion === 1) out.attr(A.Motion, motion);
  temperature(bytes, b + 5, out);
}

/** Returns the field of the status, or where it would stand. */
export function vehicle(bytes: Bytes, b: number, end: number, state: QueclinkState, out: FrameResult): number {
  mileage(bytes, b, out);
  hourMeter(bytes, b + 1, out);
  if (state.model.gv200) return analogUnit(bytes, b, out);
  const s = statusField(bytes, b, end, state);
  for (let k = b + 2, line = 0; k < s - 1 && line < N; k++, line++) analog(bytes, k, line, out);
  percent(bytes, s - 1, out);
  if (isStatus(bytes, s, state.model.cv)) readStatus(bytes, s, out);
  if (state.model.vin) {
    number(bytes, s + 1, A.Rpm, out);
    number(bytes, s + 2, A.FuelConsumption, out);
    number(bytes, s + 3, A.FuelPct, out);
  }
  return s;
}

/** In front of three further fields, or wherever something looks like one. */
function statusField(bytes: Bytes, b: number, end: number, state: QueclinkState): number {
  if (isStatus(bytes, end - 4, state.model.cv)) return end - 4;
  for (let k = b + 2; k < end && k < b + 10; k++) if (isStatus(bytes, k, state.model.cv)) return k;
  return Math.max(b + 3, end - 4);
}

/** GV200: mileage, hour meter, analogue 1 to 3, digital inputs, digital outputs. Returns the field of the outputs. */
function analogUnit(bytes: Bytes, b: number, out: FrameResult): number {
  for (let line = 0; line < 3; line++) analog(bytes, b + 2 + line, line, out);
  const inputs = width(b + 5) === 2 ? hexadecimal(bytes, b + 5) : -1;
  const outputs = width(b + 6) === 2 ? hexadecimal(bytes, b + 6) : -1;
  if (inputs >= 0) {
    out.attr(A.Inputs, inputs);
    out.attr(A.Ignition, inputs & 1);
  }
  if (outputs >= 0) out.attr(A.Outputs, outputs);
  return b + 6;
}

const COLON = 0x3a;
const LETTER_F = 0x46;

export function mileage(bytes: Bytes, k: number, out: FrameResult): void {
  const km = real(bytes, k);
  if (km >= 0) out.attr(A.OdometerKm, km);
}

/** HHHHH:MM:SS */
function hourMeter(bytes: Bytes, k: number, out: FrameResult): void {
  const to = fieldTo(k);
  if (width(k) < 8 || width(k) > 13 || bytes[to - 3] !== COLON || bytes[to - 6] !== COLON) return;
  const hours = decimal(bytes, fieldFrom(k), to - 6);
  const minutes = decimal(bytes, to - 5, to - 3);
  const seconds = decimal(bytes, to - 2, to);
  if (hours >= 0 && minutes >= 0 && seconds >= 0) out.attr(A.EngineHoursS, (hours * 60 + minutes) * 60 + seconds);
}

/** Millivolts, or `F` and percent of fuel. */
export function analog(bytes: Bytes, k: number, line: number, out: FrameResult): void {
  if (firstOf(bytes, k) === LETTER_F) {
    const fuel = realBehind(bytes, k, 1);
    if (line < 2 && fuel >= 0 && fuel <= 100) out.attr(line === 0 ? A.FuelPct : A.FuelSecondPct, fuel);
    return;
  }
  const mv = whole(bytes, k);
  if (mv >= 0 && mv <= 60_000) out.attr(A.Analog + line, mv);
}

export function percent(bytes: Bytes, k: number, out: FrameResult): void {
  const value = whole(bytes, k);
  if (value >= 0 && value <= 100 && width(k) <= 3) out.attr(A.BatteryPct, value);
}

export function temperature(bytes: Bytes, k: number, out: FrameResult): void {
  const value = real(bytes, k);
  if (value >= -100 && value <= 200) out.attr(A.Temperature, value);
}

function number(bytes: Bytes, k: number, id: number, out: FrameResult): void {
  const value = real(bytes, k);
  if (!Number.isNaN(value)) out.attr(id, value);
}
