import { ascii, type Bytes, decimal, epochMs } from '../../src/base/wire/index.ts';
import { type FrameResult, RowFlag } from '../../src/codec/index.ts';
import { Attr } from './attributes.ts';
import { batteryPercent, coordinate, KNOT_KMH } from './field.ts';
import { Message } from './messages.ts';
import { type H02State, rememberDate } from './state.ts';
import { applyStatus } from './status.ts';
import { count, from, isEmpty, isStatus, letter, real, sixDigits, to, trim, whole, word } from './text-fields.ts';

/** The GPS group of text frames (protocol.md section 3.1): where it stands, and what it says. */
const N = 78;
const S = 83;
const E = 69;
const W = 87;

/** Does a latitude stand at field k, with a hemisphere letter behind it and behind the longitude (protocol.md section 3.1)? */
export function isGroup(bytes: Bytes, k: number): boolean {
  const ns = letter(bytes, k + 1);
  if (ns !== N && ns !== S) return false;
  const ew = letter(bytes, k + 3);
  return ew === E || ew === W;
}

/** The latitude's field of the first GPS group from field k on, or 0. */
export function findGroup(bytes: Bytes, k: number): number {
  for (let i = Math.max(k, 4); i + 3 < count; i++) if (isGroup(bytes, i)) return i;
  return 0;
}

/**
 * `HHMMSS , S , lat , N|S , lon , E|W , speed , course [, battery] , DDMMYY , status` into the row; returns the field
 * behind the status word. VP1 has no time; V19 has three fields more before the status word.
 */
export function readGroup(bytes: Bytes, lat: number, message: Message, row: number, state: H02State, out: FrameResult): number {
  let date = lat + 6;
  let battery = -1;
  // One branch puts a battery step between course and date.
  trim(bytes, date);
  if (to - from < 4 && to > from && sixDigits(bytes, date + 1) >= 0) {
    battery = whole(bytes, date);
    date++;
  }
  const dated = message === Message.VP1 ? 0 : readTime(bytes, lat - 2, date, row, state, out);
  if (message === Message.VP1) out.flags[row] = RowFlag.NoTime;
  const mark = letter(bytes, lat - 1);
  let valid = mark === 65 || mark === 66 ? 1 : 0;
  // Address requests carry the coding of the answer where the validity stands.
  if (mark >= 48 && mark <= 57 && (message === Message.VI1 || message === Message.V2 || message === Message.ALRM)) valid = 1;
  if (readPlace(bytes, lat, row, out)) {
    out.valid[row] = dated !== 0 || message === Message.VP1 ? valid : 0;
    if (dated > 0 && valid === 1) rememberDate(state, 2000 + (dated % 100), Math.floor(dated / 100) % 100, Math.floor(dated / 10000));
  }
  let next = date + 1;
  if (message === Message.V19 && !isStatus(bytes, next)) next = readV19(bytes, next, out);
  if (isStatus(bytes, next)) {
    applyStatus(word, row, state, out);
    next++;
  } else if (isEmpty(bytes, next)) next++;
  const percent = batteryPercent(battery);
  if (percent >= 0) out.attr(Attr.BatteryPct, percent);
  return next;
}

/** Place, speed and course; false when the place is not usable (protocol.md section 3.1). */
export function readPlace(bytes: Bytes, lat: number, row: number, out: FrameResult): boolean {
  const ns = letter(bytes, lat + 1);
  const ew = letter(bytes, lat + 3);
  if ((ns !== N && ns !== S) || (ew !== E && ew !== W)) return false;
  trim(bytes, lat);
  const latitude = coordinate(bytes, from, to, 90);
  trim(bytes, lat + 2);
  const longitude = coordinate(bytes, from, to, 180);
  if (Number.isNaN(latitude) || Number.isNaN(longitude) || (latitude === 0 && longitude === 0)) return false;
  out.latitude[row] = ns === S ? -latitude : latitude;
  out.longitude[row] = ew === W ? -longitude : longitude;
  const knots = isEmpty(bytes, lat + 4) ? 0 : real(bytes, lat + 4);
  if (knots >= 0 && knots < 1000) out.speedKmh[row] = knots * KNOT_KMH;
  const course = isEmpty(bytes, lat + 5) ? 0 : real(bytes, lat + 5);
  if (course >= 0 && course <= 360) out.courseDeg[row] = course % 360;
  return true;
}

/** Time and date fields into the row; returns the date's digits, 0 when there is no usable time. */
export function readTime(bytes: Bytes, timeField: number, dateField: number, row: number, state: H02State, out: FrameResult): number {
  const hms = sixDigits(bytes, timeField);
  const dmy = sixDigits(bytes, dateField);
  const month = Math.floor(dmy / 100) % 100;
  const minute = Math.floor(hms / 100) % 100;
  // Of a field that is not six digits, -1, each part is negative: NaN.
  const time = epochMs(2000 + (dmy % 100), month, Math.floor(dmy / 10000), Math.floor(hms / 10000), minute, hms % 100);
  if (Number.isNaN(time)) {
    out.flags[row] = RowFlag.NoTime;
    return 0;
  }
  out.time[row] = time - state.timeOffsetMs;
  return dmy;
}

/** `… , date , (empty) , phone or server address , ICCID , status`: returns the field of the status word. */
function readV19(bytes: Bytes, k: number, out: FrameResult): number {
  trim(bytes, k + 1);
  if (to > from) {
    if (decimal(bytes, from, to) >= 0) out.attrText(Attr.Phone, ascii(bytes, from, to));
    else out.attrText(Attr.Server, ascii(bytes, from, to));
  }
  readIccid(bytes, k + 2, out);
  return k + 3;
}

/** ICCIDs end in a filler, `F` or `?`. In front of a field stands a comma or a blank. */
export function readIccid(bytes: Bytes, k: number, out: FrameResult): void {
  trim(bytes, k);
  let end = to;
  while (bytes[end - 1] === 70 || bytes[end - 1] === 102 || bytes[end - 1] === 63) end--;
  if (end > from) out.attrText(Attr.Iccid, ascii(bytes, from, end));
}
