import { ascii, type Bytes } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import { fieldFrom, fieldTo, hasPoint, hexadecimal, isHex, real, whole, width } from './fields.ts';
import { Head, type Report, Special } from './report.ts';
import { readState, stateAt } from './status.ts';

/** What the head of a report says beyond attributes; scratch of one decode call. */
class HeadValues {
  /** The number that its event depends on: type, state; -1 for none. */
  value = -1;
  /** Mask of GTERI, -1 for none. */
  mask = -1;
  moves = false;
}
export const HEAD = new HeadValues();

/** The fields from `base` up to `head`, where the position begins; on the last row. */
export function readHead(report: Report, bytes: Bytes, base: number, head: number, out: FrameResult, r: number): void {
  HEAD.value = -1;
  HEAD.mask = -1;
  HEAD.moves = false;
  const names = report.shortHead !== undefined && head - base === report.shortHead.length ? report.shortHead : report.head;
  const first = head - names.length;
  for (let n = 0; n < names.length; n++) {
    const k = first + n;
    if (k >= base && width(k) > 0) readField(report, names[n]!, bytes, k, out, r);
  }
}

const ANY = Number.MAX_SAFE_INTEGER;
/** Fields that are one whole number: attribute (0: another field) and largest value, by field. */
const WHOLE = new Int32Array(Object.keys(Head).length);
const MOST = new Float64Array(WHOLE.length);
for (const [field, attribute, most] of [
  [Head.Duration, A.DurationS, ANY],
  [Head.FenceMode, A.FenceMode, ANY],
  [Head.Radius, A.Radius, ANY],
  [Head.CheckInterval, A.CheckInterval, ANY],
  [Head.AlarmType, A.EventCode, ANY],
  [Head.LightState, A.LightState, ANY],
  [Head.TamperState, A.TamperState, ANY],
  [Head.LightType, A.ReportType, ANY],
  [Head.Counter, A.Counter, ANY],
  [Head.WarningType, A.WarningType, ANY],
  [Head.FatigueDegree, A.FatigueDegree, ANY],
  [Head.SupplyMv, A.ExternalMv, ANY],
  [Head.AnalogMv, A.Analog, ANY],
  [Head.ReportId, A.ReportId, ANY],
  [Head.FenceOn, A.GeofenceOn, 1],
  [Head.Roaming, A.Roaming, 1],
  [Head.Authorised, A.Authorised, 1],
  [Head.BatteryPct, A.BatteryPct, 100],
] as const) {
  WHOLE[field] = attribute;
  MOST[field] = most;
}

function readField(report: Report, field: Head, bytes: Bytes, k: number, out: FrameResult, r: number): void {
  const attribute = WHOLE[field]!;
  if (attribute === 0) {
    readSpecial(report, field, bytes, k, out, r);
    return;
  }
  const value = whole(bytes, k);
  if (value >= 0 && value <= MOST[field]!) out.attr(attribute, value);
}

/** A field that is more than a whole number. */
function readSpecial(report: Report, field: Head, bytes: Bytes, k: number, out: FrameResult, r: number): void {
  switch (field) {
    case Head.Power:
      powerOrId(report, bytes, k, out);
      break;
    case Head.Type:
      reportType(report, bytes, k, out);
      break;
    case Head.State: {
      const state = stateAt(bytes, k);
      if (state >= 0) HEAD.moves = readState(state, out);
      break;
    }
    case Head.BatteryV: {
      const volts = real(bytes, k);
      if (volts > 0 && volts < 20) out.attr(A.BatteryV, volts);
      break;
    }
    case Head.Caller:
      if (width(k) >= 3 && width(k) <= 20) out.attrText(A.Caller, ascii(bytes, fieldFrom(k), fieldTo(k)));
      break;
    case Head.Temperature: {
      const value = real(bytes, k);
      if (value >= -100 && value <= 200) out.attr(A.Temperature, value);
      break;
    }
    case Head.JammingState:
      HEAD.value = whole(bytes, k);
      put(A.Jamming, HEAD.value, out);
      break;
    case Head.Antenna:
      HEAD.value = whole(bytes, k);
      put(A.Antenna, HEAD.value, out);
      break;
    case Head.DriverId:
      if (width(k) <= 40) out.attrText(A.DriverId, ascii(bytes, fieldFrom(k), fieldTo(k)));
      break;
    case Head.GnssOk:
      gnssOk(whole(bytes, k), out);
      break;
    case Head.Satellites:
      if (whole(bytes, k) >= 0 && whole(bytes, k) <= 64) out.satellites[r] = whole(bytes, k);
      break;
    case Head.EriMask:
      HEAD.mask = isHex(bytes, k, 8) ? hexadecimal(bytes, k) : -1;
      break;
    default:
  }
}

/** 1: a fix, 0: none */
function gnssOk(value: number, out: FrameResult): void {
  if (value === 0 || value === 1) out.attrText(A.GnssStatus, value === 1 ? 'fix' : 'no_fix');
}

function put(id: number, value: number, out: FrameResult): void {
  if (value >= 0) out.attr(id, value);
}

/** Vehicle units: external power in mV; personal ones: report id, of one or two digits. A fence or an input has its number here on some. */
function powerOrId(report: Report, bytes: Bytes, k: number, out: FrameResult): void {
  const value = whole(bytes, k);
  if (value < 0 || hasPoint(bytes, k)) return;
  if (value > 255) {
    if (value <= 100_000) out.attr(A.ExternalMv, value);
    return;
  }
  if (width(k + 1) === 1) {
    if (report.special === Special.Geofence) out.attrText(A.Geofence, String(value));
    else if (report.special === Special.Input) HEAD.value = value;
    if (value > 0) out.attr(A.ReportId, value);
  } else if (report.special === Special.Geofence) out.attrText(A.Geofence, String(value));
}

/** One digit, or two: id and type. */
function reportType(report: Report, bytes: Bytes, k: number, out: FrameResult): void {
  const code = hexadecimal(bytes, k);
  if (code < 0 || width(k) > 2) return;
  const twoDigits = width(k) === 2;
  const id = twoDigits ? code >> 4 : HEAD.value;
  const type = code & 15;
  if (report.special === Special.Input) {
    if (id >= 1 && id <= 15 && type <= 1) out.attr(A.Input + id - 1, type);
  } else if (report.special === Special.Geofence && twoDigits && width(k - 1) === 0) out.attrText(A.Geofence, String(id));
  if (twoDigits && id > 0) out.attr(A.ReportId, id);
  out.attr(A.ReportType, type);
  HEAD.value = type;
}
