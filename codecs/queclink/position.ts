import { type Bytes, hexDigit } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import { fieldFrom, fieldTo, firstOf, hasPoint, isDigits, isHex, real, timeAt, whole, width } from './fields.ts';
import { cell } from './network.ts';
import type { QueclinkState } from './state.ts';

/**
 * The position block (protocol.md section 4), 12 fields from its start:
 *
 *     0 accuracy  1 speed  2 azimuth  3 altitude  4 longitude  5 latitude  6 UTC  7 MCC  8 MNC  9 LAC  10 cell  11 trailer
 *
 * Wi-Fi units put a number and access points of 5 fields behind the time. The trailer is the odometer (personal units), reserved, or a
 * mask of further fields (vehicle units).
 */
export const LONGITUDE = 4;
export const BLOCK = 12;

/** Do a longitude, a latitude and a time stand in fields k, k + 1 and k + 2, of a block that begins at k - 4? */
export function isPlace(bytes: Bytes, k: number): boolean {
  return isDegrees(bytes, k) && isDegrees(bytes, k + 1) && isDigits(bytes, k + 2, 14) && isNumber(bytes, k - 4) && isNumber(bytes, k - 3);
}

const MINUS = 0x2d;

/** At least six decimals: other numbers have one or two. */
function isDegrees(bytes: Bytes, k: number): boolean {
  const n = width(k);
  return n >= 8 && n <= 11 && bytes[fieldTo(k) - 7] === 0x2e;
}

function isNumber(bytes: Bytes, k: number): boolean {
  const c = firstOf(bytes, k);
  return c === 0 || c === MINUS || (c >= 0x30 && c <= 0x39);
}

/** The field of the first longitude in [from, to), -1 if there is none. */
export function findPlace(bytes: Bytes, from: number, to: number): number {
  for (let k = from; k + 2 < to; k++) if (isPlace(bytes, k)) return k;
  return -1;
}

/** Reads the block that begins at field b into row r; returns the field of its trailer. `found`: `isPlace` has said so. */
export function block(bytes: Bytes, b: number, found: boolean, out: FrameResult, r: number): number {
  const accuracy = real(bytes, b);
  if (accuracy > 0 && accuracy <= 100) out.hdop[r] = accuracy;
  const speed = real(bytes, b + 1);
  // -1 is "not moving".
  if (speed <= 2000) out.speedKmh[r] = Math.max(0, speed);
  const course = real(bytes, b + 2);
  if (course >= 0 && course <= 360) out.courseDeg[r] = course;
  const altitude = real(bytes, b + 3);
  if (Math.abs(altitude) <= 20_000) out.altitudeM[r] = altitude;
  const longitude = found ? real(bytes, b + LONGITUDE) : 0;
  const latitude = found ? real(bytes, b + LONGITUDE + 1) : 0;
  // Zeros are a unit that has not had a fix; a latitude above 90 is a field in the wrong place.
  if ((longitude !== 0 || latitude !== 0) && Math.abs(longitude) <= 180 && Math.abs(latitude) <= 90) {
    out.longitude[r] = longitude;
    out.latitude[r] = latitude;
    out.time[r] = timeAt(bytes, b + 6);
    // 0: no fix, the last known place. A place of a clock that was never set is none either.
    out.valid[r] = accuracy === 0 || Number.isNaN(out.time[r]!) ? 0 : 1;
  }
  let k = b + 7;
  if (isHex(bytes, k + 1, 12)) k = accessPoints(bytes, k, out);
  cell(bytes, k, out);
  return k + 4;
}

/** number, n × (MAC 12 hex, RSSI, three reserved); returns the field behind them. */
export function accessPoints(bytes: Bytes, k: number, out: FrameResult): number {
  let p = k + 1;
  for (; isHex(bytes, p, 12); p += 5) {
    const level = real(bytes, p + 1);
    out.wifi(mac(bytes, fieldFrom(p)), level < 0 && level >= -150 ? Math.round(level) : 0);
  }
  return p;
}

function mac(bytes: Bytes, at: number): string {
  let text = '';
  for (let k = 0; k < 12; k++) text += (k > 0 && k % 2 === 0 ? ':' : '') + hexDigit(bytes[at + k]!).toString(16);
  return text;
}

/** Reads the trailer and what its mask appends; returns the field behind. */
export function trailer(bytes: Bytes, k: number, state: QueclinkState, out: FrameResult, r: number): number {
  if (width(k) === 0) return k + 1;
  if (hasPoint(bytes, k)) {
    const odometer = real(bytes, k);
    if (odometer >= 0) out.attr(A.OdometerKm, odometer);
    return k + 1;
  }
  if (state.model.family === 'gl5' || state.model.name === 'GT501') {
    csq(bytes, k, out);
    return k + 1;
  }
  if (state.model.family === 'gl' || width(k) !== 2 || firstOf(bytes, k) !== 0x30) return k + 1;
  const mask = hexDigit(bytes[fieldFrom(k) + 1]!);
  let p = k + 1;
  for (let bit = 0; bit < 4; bit++) {
    if (((mask >> bit) & 1) === 0) continue;
    const value = whole(bytes, p++);
    if (value < 0) continue;
    const isUsed = bit === (state.model.cv ? 2 : 0);
    if (isUsed && value <= 64) out.satellites[r] = value;
    else if (state.model.cv && bit === 0 && value <= 64) out.attr(A.SatellitesVisible, value);
    else if (bit === 1 && !state.model.cv) out.attr(A.GnssTrigger, value);
  }
  return p;
}

/** 0 stands for none where a unit has not asked its modem. */
function csq(bytes: Bytes, k: number, out: FrameResult): void {
  const value = whole(bytes, k);
  if (value > 0 && value <= 31) out.attr(A.GsmCsq, value);
}
