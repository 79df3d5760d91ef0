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

function readField(report: Report, field: Head, bytes: Bytes, k: number, out: FrameResult, r: number): void {
  switch (field) {
    case Head.Power:
      powerOrId(report, bytes, k, out);
      break;
    case Head.Type:
      reportType(report, bytes, k, out);
      break;
    case Head.Duration:
      put(A.DurationS, whole(bytes, k), out);
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
    case Head.FenceMode:
      put(A.FenceMode, whole(bytes, k), out);
      break;
    case Head.Radius:
      put(A.Radius, whole(bytes, k), out);
      break;
    case Head.CheckInterval:
      put(A.CheckInterval, whole(bytes, k), out);
      break;
    case Head.FenceOn:
      put(A.GeofenceOn, whole(bytes, k) === 1 ? 1 : whole(bytes, k) === 0 ? 0 : -1, out);
      break;
    case Head.AlarmType:
      put(A.EventCode, whole(bytes, k), out);
      break;
    case Head.Temperature: {
      const value = real(bytes, k);
      if (value >= -100 && value <= 200) out.attr(A.Temperature, value);
      break;
    }
    case Head.LightState:
      put(A.LightState, whole(bytes, k), out);
      break;
    case Head.TamperState:
      put(A.TamperState, whole(bytes, k), out);
      break;
    case Head.JammingState:
      HEAD.value = whole(bytes, k);
      put(A.Jamming, HEAD.value, out);
      break;
    case Head.Antenna:
      HEAD.value = whole(bytes, k);
      put(A.Antenna, HEAD.value, out);
      break;
    case Head.Roaming:
      if (whole(bytes, k) >= 0 && whole(bytes, k) <= 1) out.attr(A.Roaming, whole(bytes, k));
      break;
    case Head.DriverId:
      if (width(k) <= 40) out.attrText(A.DriverId, ascii(bytes, fieldFrom(k), fieldTo(k)));
      break;
    case Head.Authorised:
      if (whole(bytes, k) >= 0 && whole(bytes, k) <= 1) out.attr(A.Authorised, whole(bytes, k));
      break;
    case Head.GnssOk:
      if (whole(bytes, k) === 0 || whole(bytes, k) === 1) out.attrText(A.GnssStatus, whole(bytes, k) === 1 ? 'fix' : 'no_fix');
      break;
    case Head.LightType:
      put(A.ReportType, whole(bytes, k), out);
      break;
    case Head.Counter:
      put(A.Counter, whole(bytes, k), out);
      break;
    case Head.Satellites:
      if (whole(bytes, k) >= 0 && whole(bytes, k) <= 64) out.satellites[r] = whole(bytes, k);
      break;
    case Head.WarningType:
      put(A.WarningType, whole(bytes, k), out);
      break;
    case Head.BatteryPct:
      if (whole(bytes, k) >= 0 && whole(bytes, k) <= 100) out.attr(A.BatteryPct, whole(bytes, k));
      break;
    case Head.EriMask:
      HEAD.mask = isHex(bytes, k, 8) ? hexadecimal(bytes, k) : -1;
      break;
    case Head.SupplyMv:
      put(A.ExternalMv, whole(bytes, k), out);
      break;
    case Head.AnalogMv:
      put(A.Analog, whole(bytes, k), out);
      break;
    case Head.ReportId:
      put(A.ReportId, whole(bytes, k), out);
      break;
    default:
  }
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
