import type { Bytes } from '../../src/base/wire/index.ts';

/** Values that text and binary frames share. */
export const KNOT_KMH = 1.852;

/** Metres, to a tenth, of a mileage counted in knot seconds, 1852/3600 m: that of `X` frames and of the answer to S32. */
export function knotSecondsToM(units: number): number {
  return Math.round((units * 18520) / 3600) / 10;
}

/** Percent of a battery code (protocol.md section 5.2), or -1 for unknown, external supply and anything else. */
export function batteryPercent(code: number): number {
  const step = isCharging(code) ? code - 0xf0 : code;
  if (step >= 1 && step <= 3) return (step - 1) * 10;
  if (step >= 4 && step <= 6) return 60 + (step - 4) * 20;
  return step >= 7 && step <= 100 ? step : -1;
}

/** The codes F1…F6 are the steps 1…6 while charging. */
export function isCharging(code: number): boolean {
  return code >= 0xf1 && code <= 0xf6;
}

/** Country codes of mobile networks. */
export function plausibleMcc(mcc: number): boolean {
  return mcc >= 200 && mcc <= 799;
}

/**
 * Degrees of a coordinate in ASCII bytes[start, end), never negative (the hemisphere letter decides the sign), NaN when
 * unreadable or above `limit`. All forms of protocol.md section 3.2:
 *
 *     2235.1777     two digits before the point begin the minutes, degrees stand left of them
 *     37573392      no point: the last six digits are minutes with four decimals
 *     -23-29.0095   dashes stand before degrees and minutes
 */
export function coordinate(bytes: Bytes, start: number, end: number, limit: number): number {
  const dashed = start < end && bytes[start] === DASH;
  let from = start;
  let degrees = 0;
  if (dashed) {
    degrees = digits(bytes, start + 1, end, 0);
    if (stop === end || bytes[stop] !== DASH) return Number.NaN;
    from = stop + 1;
  }
  const before = digits(bytes, from, end, 0);
  const point = stop;
  if (point === from) return Number.NaN;
  let minutes = before;
  if (point < end) {
    // One division of whole numbers: adding decimals one by one would drift.
    const whole = digits(bytes, point + 1, end, before);
    if (bytes[point] !== POINT || stop < end) return Number.NaN;
    const scale = SCALES[end - point - 1] ?? Number.POSITIVE_INFINITY;
    minutes = dashed ? whole : whole % (100 * scale);
    if (!dashed) degrees = (whole - minutes) / (100 * scale);
    minutes /= scale;
  } else if (!dashed) {
    if (point - from < 7) return Number.NaN;
    minutes = before % 1e6;
    degrees = (before - minutes) / 1e6;
    minutes /= 1e4;
  }
  const value = degrees + minutes / 60;
  return minutes < 60 && value <= limit ? Math.round(value * 1e7) / 1e7 : Number.NaN;
}

const DASH = 45;
const POINT = 46;
/** Powers of ten that a double holds exactly, by the number of decimals. */
const SCALES = Float64Array.from({ length: 21 }, (_, n) => Number(`1e${n}`));

/** Where `digits` stopped: scratch of one call. */
let stop = 0;

/** The number that the decimal digits at bytes[from, end) make behind those of `value`. */
function digits(bytes: Bytes, from: number, end: number, value: number): number {
  let number = value;
  let p = from;
  for (; p < end; p++) {
    const digit = bytes[p]! - 48;
    if (digit < 0 || digit > 9) break;
    number = number * 10 + digit;
  }
  stop = p;
  return number;
}
