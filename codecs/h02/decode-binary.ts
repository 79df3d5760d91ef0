import { type Bytes, bcd, epochMs, i8, i32be, u16be, u32be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult, RowFlag } from '../../src/codec/index.ts';
import { oweAnswer } from './answer.ts';
import { Attr } from './attributes.ts';
import { batteryPercent, isCharging, KNOT_KMH, knotSecondsToM, plausibleMcc } from './field.ts';
import { binaryLayout } from './frame.ts';
import { Message } from './messages.ts';
import { watchRepeats } from './repeats.ts';
import { BINARY_LENGTHS, type H02State, identify, rememberDate } from './state.ts';
import { addEvents, applyStatus } from './status.ts';
import { servingCell } from './tails.ts';

/**
 * Binary frames (protocol.md section 7). The short layout; in the long one everything behind the id stands 3
 * bytes further on, and in an `X` frame the id is a mileage and the battery a temperature.
 *
 *      0  1  0x24                          17  5  longitude DDDMMmmmm, then the flags nibble: 8 E, 4 N, 2 valid
 *      1  5  id, BCD                       22  3  speed in knots, course: three nibbles each
 *      6  3  HHMMSS                        25  4  status word
 *      9  3  DDMMYY                        29  1  user alarm flags, FF none
 *     12  4  latitude DDMMmmmm             30  …  by length, see below
 *     16  1  battery code
 */
export const SHORT = 'short';
export const BAD_HEADER = 'bad_header';
export const X_OVER_UDP = 'x_over_udp';

export function decodeBinary(bytes: Bytes, start: number, end: number, state: H02State, out: FrameResult): void {
  out.name = '$';
  state.tail = 0;
  if (end - start < 32) {
    out.malformed(SHORT);
    return;
  }
  const layout = binaryLayout(bytes, start, end);
  if (layout < 0) {
    out.malformed(BAD_HEADER);
    return;
  }
  out.kind = FrameKind.Records;
  const long = layout === 42;
  out.deviceId = long ? longId(bytes, start, state) : shortId(bytes, start, state);
  oweAnswer(Message.Binary, state, out);
  const row = out.row();
  const p = long ? start + 3 : start;
  const time = position(bytes, p, row, state, out);
  const percent = batteryPercent(bytes[p + 16]!);
  if (percent >= 0) out.attr(Attr.BatteryPct, percent);
  if (isCharging(bytes[p + 16]!)) out.attr(Attr.Charging, 1);
  applyStatus(i32be(bytes, p + 25), row, state, out);
  if (!long) {
    if (bytes[start + 29] !== 0xff) out.attr(Attr.UserAlarm, bytes[start + 29]!);
    const length = end - start;
    if (length === 46) odometerBlock(bytes, start, row, out);
    else if (length >= 45 && length <= 51) radioBlock(bytes, start, end, row, state, out);
    else if (length === 32) out.attr(Attr.RecordNumber, bytes[start + 31]!);
    if (isKnown(length)) {
      state.learned = length;
      state.tail = length;
    }
  }
  addEvents(row, state, out);
  watchRepeats(bytes, start, end, time, state);
}

/** `X`: no id of its own, so it belongs to the device of the connection; a datagram has no connection (protocol.md section 7.3). */
export function decodeX(bytes: Bytes, start: number, end: number, state: H02State, out: FrameResult): void {
  out.name = 'X';
  state.tail = 0;
  if (end - start < 32) {
    out.malformed(SHORT);
    return;
  }
  if (binaryLayout(bytes, start, end) !== 32) {
    out.malformed(BAD_HEADER);
    return;
  }
  out.kind = FrameKind.Records;
  const row = out.row();
  position(bytes, start, row, state, out);
  out.attr(Attr.OdometerM, knotSecondsToM(bcdNumber(bytes, start + 1, start + 6)));
  const half = bytes[start + 16]!;
  if (half < 0xfe) out.attr(Attr.TemperatureHalf, (bytes[start + 21]! & 1) === 1 ? -half : half);
  applyStatus(i32be(bytes, start + 25), row, state, out);
  if (bytes[start + 29] !== 0xff) out.attr(Attr.UserAlarm, bytes[start + 29]!);
  out.attr(Attr.RecordNumber, bytes[start + 31]!);
  addEvents(row, state, out);
}

/** Time, place, speed and course; returns the time. `p` is where the short layout would begin. */
function position(bytes: Bytes, p: number, row: number, state: H02State, out: FrameResult): number {
  const day = bcd(bytes, p + 9);
  const month = bcd(bytes, p + 10);
  const year = 2000 + bcd(bytes, p + 11);
  const time = epochMs(year, month, day, bcd(bytes, p + 6), bcd(bytes, p + 7), bcd(bytes, p + 8)) - state.timeOffsetMs;
  if (Number.isNaN(time)) out.flags[row] = RowFlag.NoTime;
  else out.time[row] = time;
  const flags = bytes[p + 21]! & 15;
  const valid = (flags >> 1) & 1;
  // Degrees and minutes as whole numbers of 1/10 000 minute, so that one division gives the nearest double.
  const south = bcd(bytes, p + 12) * 600000 + bcd(bytes, p + 13) * 10000 + bcd(bytes, p + 14) * 100 + bcd(bytes, p + 15);
  const b18 = bytes[p + 18]!;
  const b19 = bytes[p + 19]!;
  const b20 = bytes[p + 20]!;
  const degrees = bcd(bytes, p + 17) * 10 + (b18 >> 4);
  const west =
    degrees * 600000 +
    ((b18 & 15) * 10 + (b19 >> 4)) * 10000 +
    (b19 & 15) * 1000 +
    (b20 >> 4) * 100 +
    (b20 & 15) * 10 +
    (bytes[p + 21]! >> 4);
  if ((south !== 0 || west !== 0) && south <= 54_000_000 && west <= 108_000_000) {
    out.latitude[row] = degreesOf((flags & 4) !== 0 ? south : -south);
    out.longitude[row] = degreesOf((flags & 8) !== 0 ? west : -west);
    out.valid[row] = valid;
    const b23 = bytes[p + 23]!;
    out.speedKmh[row] = (bcd(bytes, p + 22) * 10 + (b23 >> 4)) * KNOT_KMH;
    out.courseDeg[row] = ((b23 & 15) * 100 + bcd(bytes, p + 24)) % 360;
    if (valid === 1 && !Number.isNaN(time)) rememberDate(state, year, month, day);
  }
  return time;
}

/** 1/10 000 minutes to degrees, to seven decimals: a centimetre. */
function degreesOf(tenThousandths: number): number {
  return Math.round(tenThousandths * (1e7 / 600000)) / 1e7;
}

/**
 * Lengths 45, 47, 48, 51.
 *
 *     30  1  reserved               37  2  MCC        42  2  CID
 *     31  1  CSQ 0–31               39  1  MNC        44  2  external voltage, 0.1 V (not in 45)
 *     32  1  satellites             40  2  LAC        last   record number
 *     33  4  mileage, unit unknown
 */
function radioBlock(bytes: Bytes, start: number, end: number, row: number, state: H02State, out: FrameResult): void {
  const csq = bytes[start + 31]!;
  if (csq <= 31) out.attr(Attr.GsmCsq, csq);
  const satellites = bytes[start + 32]!;
  if (satellites <= 40) out.satellites[row] = satellites;
  out.attr(Attr.Mileage, u32be(bytes, start + 33));
  const mcc = u16be(bytes, start + 37);
  const lac = u16be(bytes, start + 40);
  const cid = u16be(bytes, start + 42);
  if (plausibleMcc(mcc)) servingCell(mcc, bytes[start + 39]!, lac, cid, out);
  if (end - start > 46) {
    const decivolts = u16be(bytes, start + 44);
    if (decivolts >= 50 && decivolts <= 600) out.attr(Attr.ExternalV, decivolts);
  }
  state.record = bytes[end - 1]!;
  out.attr(Attr.RecordNumber, state.record);
}

/**
 * Length 46, one maker's branch.
 *
 *     32  5  odometer, 10 BCD digits     38  1  fuel %       42  2  LAC
 *     37  1  temperature, signed °C      40  2  altitude m   44  2  CID
 */
function odometerBlock(bytes: Bytes, start: number, row: number, out: FrameResult): void {
  const odometer = bcdNumber(bytes, start + 32, start + 37);
  if (odometer >= 0) out.attr(Attr.OdometerM, odometer);
  out.attr(Attr.Temperature, i8(bytes, start + 37));
  if (bytes[start + 38]! <= 100) out.attr(Attr.FuelPct, bytes[start + 38]!);
  out.altitudeM[row] = u16be(bytes, start + 40);
  const lac = u16be(bytes, start + 42);
  const cid = u16be(bytes, start + 44);
  if (lac !== 0 || cid !== 0) out.cell(-1, -1, lac, cid, 0);
}

function shortId(bytes: Bytes, start: number, state: H02State): string {
  return identify(state, bcdNumber(bytes, start + 1, start + 6), 10);
}

/** 15 digits; the 16th nibble is a filler. */
function longId(bytes: Bytes, start: number, state: H02State): string {
  return identify(state, bcdNumber(bytes, start + 1, start + 8) * 10 + (bytes[start + 8]! >> 4), 15);
}

/** The number in BCD bytes[from, to), or -1 if a nibble is not a digit. */
function bcdNumber(bytes: Bytes, from: number, to: number): number {
  let value = 0;
  for (let p = from; p < to; p++) {
    const two = bcd(bytes, p);
    if (two < 0) return -1;
    value = value * 100 + two;
  }
  return value;
}

function isKnown(length: number): boolean {
  for (const known of BINARY_LENGTHS) if (known === length) return true;
  return false;
}
