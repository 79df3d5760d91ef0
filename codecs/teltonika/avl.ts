import { ascii, type Bytes, hex, i16be, i32be, i64be, u16be, u64be } from '../../src/base/wire/index.ts';
import { type FrameResult, unknownEvent } from '../../src/codec/index.ts';
import { type Family, FROM, isMeasurement, LIMITS, NUMBER, own, Role, TEXT, TO, UP_TO, Width } from './attributes.ts';
import { bluetoothStart, readBeacons, readTags } from './bluetooth.ts';
import { finishJoined, hexText, isOnes, near, network, odometer, part } from './joined.ts';

/**
 * AVL records of codecs 8, 8E and 16 (protocol.md section 3).
 *
 * 1. A row is opened for a record only if the whole record is inside its bounds; a record that is not leaves no trace.
 * 2. The width of a value is read from the wire, its sign and meaning from the family's table.
 * 3. A row's own bytes are the record's, so that it is the same record in any frame, on any transport.
 * 4. Coordinates 0, 0 (a unit of the last digit more or less) and coordinates outside the globe are not a place: the row is a
 *    status. `valid` needs satellites, too: without a fix devices repeat the last position (protocol.md section 3.2).
 * 5. A sensor's error code, "not available" and whatever lies beyond an element's raw limits are not a measurement: the raw
 *    number is kept as `io_<id>`. So is a value of a width that no definition of the element has.
 * 6. `odometer_m` is the device's own total distance, else the best one that the record has; `odometer_source` says whose that is.
 *
 * ```
 * head      timestamp u64 · priority u8 · longitude i32 · latitude i32 · altitude i16 · angle u16 · satellites u8 · speed u16
 * codec 8   event u8  ·               N u8  · 4 × (count u8,  count × (id u8,  value))
 * codec 8E  event u16 ·               N u16 · 4 × (count u16, count × (id u16, value)) · count u16, count × (id u16, length u16, value)
 * codec 16  event u16 · generation u8 · N u8 · 4 × (count u8, count × (id u16, value))
 * ```
 */
export const Codec8 = 0x08;
export const Codec8E = 0x8e;
export const Codec16 = 0x10;

const HEAD = 24;

const PRIORITY = own('priority');
const EVENT_CODE = own('event_code');
const GENERATION = own('generation_type');
const GEOFENCE = own('geofence');
const DOOR = own('door');
const ALCOHOL = own('alcohol_permille');
const ALCOHOL_ACTIVE = own('alcohol_test_active');
const ECO_MAXIMUM = own('eco_maximum_x_g');
const ECO_AVERAGE = own('eco_average_x_g');

/** Bits of element 90: front left, front right, rear left, rear right, trunk; hood and roof are not doors (protocol.md section 8.5). */
const ANY_DOOR = 0x2f00;

const GNSS_STATUS = ['off', 'fix', 'no_fix', 'sleep'];
const GNSS_STATUS_FMX6 = ['off', 'no_antenna', 'no_fix', 'fix', 'sleep', 'overcurrent'];
const GNSS_STATUS_FMX6_ID = 71;
/** By width in bytes; a double rounds eight bytes. */
const ALL_ONES = [0, 0xff, 0xffff, 0, 0xffffffff, 0, 0, 0, 2 ** 64];
/** Raw, in tenths: the element's documented limit. */
const MAX_HDOP = 500;
/** Degrees: one unit of the last digit around 0, 0, which FFFFFFFF is too, is not a place either. */
const NOWHERE = 1.5e-7;
/** A date beyond the last one that software can name is not a time. */
const MAX_TIME = 8.64e15;

/**
 * Reads the record at `start`, which must end at or before `end`, into a new row.
 * Returns the offset behind it, or -1 when it does not fit: the row is not opened then.
 */
export function readRecord(bytes: Bytes, start: number, end: number, codec: number, family: Family, out: FrameResult): number {
  const next = recordEnd(bytes, start, end, codec);
  if (next < 0) return -1;
  const { table } = family;
  const r = out.row();
  const firstAttr = out.attrs;
  out.from[r] = start;
  out.to[r] = next;
  head(bytes, start, r, out);
  let p = start + HEAD;
  const eventId = codec === Codec8 ? bytes[p]! : u16be(bytes, p);
  p += idWidthOf(codec);
  out.attr(PRIORITY, bytes[start + 8]!);
  if (eventId !== 0) out.attr(EVENT_CODE, eventId);
  if (codec === Codec16) out.attr(GENERATION, bytes[p++]!);
  p += countWidthOf(codec);
  p = ones(bytes, p, codec, table, out);
  p = twos(bytes, p, codec, table, out);
  const fourFrom = out.attrs;
  p = fours(bytes, p, codec, table, out);
  p = eights(bytes, p, codec, table, out);
  if (codec === Codec8E) variables(bytes, p, table, out);
  finishJoined(out, fourFrom);
  if (eventId !== 0) finishEvent(eventId, bytes[start + 8]!, family, r, firstAttr, out);
  return next;
}

/** The elements of one byte; their count is at `p`. Returns the offset behind them. */
function ones(bytes: Bytes, p: number, codec: number, table: Family['table'], out: FrameResult): number {
  const idWidth = idWidthOf(codec);
  let at = p + countWidthOf(codec);
  for (let count = countAt(bytes, p, codec); count > 0; count--) {
    const entry = table[idWidth === 1 ? bytes[at]! : u16be(bytes, at)]!;
    const value = bytes[at + idWidth]!;
    const role = entry >>> 20;
    if (value <= UP_TO[role]!) out.attr(entry & 0xfffff, value);
    else {
      const signed = (value << 24) >> 24;
      if (signed >= FROM[role]! && signed <= TO[role]!) out.attr(entry & 0xfffff, signed);
      else special(bytes, at + idWidth, 1, entry, value, out);
    }
    at += idWidth + 1;
  }
  return at;
}

/** As `ones`, of two bytes. */
function twos(bytes: Bytes, p: number, codec: number, table: Family['table'], out: FrameResult): number {
  const idWidth = idWidthOf(codec);
  let at = p + countWidthOf(codec);
  for (let count = countAt(bytes, p, codec); count > 0; count--) {
    const entry = table[Width.Two | (idWidth === 1 ? bytes[at]! : u16be(bytes, at))]!;
    const value = u16be(bytes, at + idWidth);
    const role = entry >>> 20;
    if (value <= UP_TO[role]!) out.attr(entry & 0xfffff, value);
    else {
      const signed = (value << 16) >> 16;
      if (signed >= FROM[role]! && signed <= TO[role]!) out.attr(entry & 0xfffff, signed);
      else special(bytes, at + idWidth, 2, entry, value, out);
    }
    at += idWidth + 2;
  }
  return at;
}

/** As `ones`, of four bytes. */
function fours(bytes: Bytes, p: number, codec: number, table: Family['table'], out: FrameResult): number {
  const idWidth = idWidthOf(codec);
  let at = p + countWidthOf(codec);
  for (let count = countAt(bytes, p, codec); count > 0; count--) {
    const entry = table[Width.Four | (idWidth === 1 ? bytes[at]! : u16be(bytes, at))]!;
    const value = i32be(bytes, at + idWidth);
    const role = entry >>> 20;
    if (value >= 0 && value <= UP_TO[role]!) out.attr(entry & 0xfffff, value);
    else if (value >= FROM[role]! && value <= TO[role]!) out.attr(entry & 0xfffff, value);
    else special(bytes, at + idWidth, 4, entry, value >>> 0, out);
    at += idWidth + 4;
  }
  return at;
}

/** As `ones`, of eight bytes. */
function eights(bytes: Bytes, p: number, codec: number, table: Family['table'], out: FrameResult): number {
  const idWidth = idWidthOf(codec);
  let at = p + countWidthOf(codec);
  for (let count = countAt(bytes, p, codec); count > 0; count--) {
    const entry = table[Width.Eight | (idWidth === 1 ? bytes[at]! : u16be(bytes, at))]!;
    const value = at + idWidth;
    if (entry >>> 20 === Role.Uint) out.attr(entry & 0xfffff, u64be(bytes, value));
    else special(bytes, value, 8, entry, u64be(bytes, value), out);
    at += idWidth + 8;
  }
  return at;
}

/** The elements of codec 8E that say their length; their count is at `p`. */
function variables(bytes: Bytes, p: number, table: Family['table'], out: FrameResult): void {
  bluetoothStart();
  let at = p + 2;
  for (let count = u16be(bytes, p); count > 0; count--) {
    const entry = table[Width.Variable | u16be(bytes, at)]!;
    const length = u16be(bytes, at + 2);
    variable(bytes, at + 4, at + 4 + length, entry >>> 20, entry & 0xfffff, out);
    at += 4 + length;
  }
}

function idWidthOf(codec: number): number {
  return codec === Codec8 ? 1 : 2;
}

function countWidthOf(codec: number): number {
  return codec === Codec8E ? 2 : 1;
}

function countAt(bytes: Bytes, p: number, codec: number): number {
  return codec === Codec8E ? u16be(bytes, p) : bytes[p]!;
}

/** Offset behind the record at `start`, or -1 when a count or length leads beyond `end`. */
export function recordEnd(bytes: Bytes, start: number, end: number, codec: number): number {
  const idWidth = idWidthOf(codec);
  const countWidth = countWidthOf(codec);
  let p = start + HEAD + idWidth + (codec === Codec16 ? 1 : 0) + countWidth;
  for (let width = 1; width <= 8; width <<= 1) {
    if (p + countWidth > end) return -1;
    p += countWidth + countAt(bytes, p, codec) * (idWidth + width);
  }
  if (codec === Codec8E) {
    if (p + 2 > end) return -1;
    let count = u16be(bytes, p);
    p += 2;
    for (; count > 0; count--) {
      if (p + 4 > end) return -1;
      p += 4 + u16be(bytes, p + 2);
    }
  }
  return p > end ? -1 : p;
}

function head(bytes: Bytes, p: number, r: number, out: FrameResult): void {
  const time = u64be(bytes, p);
  if (time <= MAX_TIME) out.time[r] = time;
  const longitude = i32be(bytes, p + 9);
  const latitude = i32be(bytes, p + 13);
  const satellites = bytes[p + 21]!;
  place(latitude / 1e7, longitude / 1e7, satellites, r, out);
  out.altitudeM[r] = i16be(bytes, p + 17);
  const angle = u16be(bytes, p + 19);
  if (angle <= 360) out.courseDeg[r] = angle;
  const speed = u16be(bytes, p + 22);
  if (speed !== 0xffff) out.speedKmh[r] = speed;
}

/** Sets position, satellites and validity of row `r` (invariant 4). */
export function place(latitude: number, longitude: number, satellites: number, r: number, out: FrameResult): void {
  out.satellites[r] = satellites;
  if (Math.abs(latitude) < NOWHERE && Math.abs(longitude) < NOWHERE) return;
  if (!(latitude >= -90 && latitude <= 90 && longitude >= -180 && longitude <= 180)) return;
  out.latitude[r] = latitude;
  out.longitude[r] = longitude;
  out.valid[r] = satellites > 0 ? 1 : 0;
}

/** The bytes of `value` read with a sign. */
function signedOf(bytes: Bytes, at: number, width: number, value: number): number {
  if (width === 8) return i64be(bytes, at);
  const unused = 32 - 8 * width;
  return (value << unused) >> unused;
}

/** A number that its limits make a measurement, or the raw number `io_<id>` (invariant 5). */
function limited(role: number, attribute: number, value: number, signed: number, out: FrameResult): void {
  const limits = LIMITS[role - Role.Limited]!;
  const read = limits.signed ? signed : value;
  if (isMeasurement(limits, read, value)) out.attr(attribute, read);
  else out.attr(NUMBER | (attribute & 0xffff), value);
}

/** An element of the last row that is more than its number, which is `value` when its bytes are read without a sign. */
export function special(bytes: Bytes, at: number, width: number, entry: number, value: number, out: FrameResult): void {
  const role = entry >>> 20;
  const attribute = entry & 0xfffff;
  switch (role) {
    case Role.Uint:
      out.attr(attribute, value);
      return;
    case Role.Int:
      out.attr(attribute, signedOf(bytes, at, width, value));
      return;
    case Role.Bool:
      out.attr(value > 1 ? NUMBER | (attribute & 0xffff) : attribute, value);
      return;
    case Role.Hex:
      // All zero: no key, no tag, no sensor. All ones: not available.
      if (value !== 0) out.attrText(isOnes(bytes, at, width) ? TEXT | (attribute & 0xffff) : attribute, hexText(bytes, at));
      return;
    case Role.Ascii:
      text(bytes, at, at + width, attribute, out);
      return;
    case Role.Digits:
      if (value !== 0) out.attrText(attribute, String(value));
      return;
    case Role.Gnss:
      gnssStatus(attribute, value, out);
      return;
    case Role.Hdop:
      if (value <= MAX_HDOP) out.hdop[out.rows - 1] = value / 10;
      else out.attr(NUMBER | (attribute & 0xffff), value);
      return;
    case Role.Operator:
    case Role.Cell:
    case Role.WideCell:
    case Role.Lac:
      network(role, attribute, value, value === ALL_ONES[width], out);
      return;
    case Role.Xyz:
      if (width === 8) axes(bytes, at, attribute, out);
      return;
    case Role.Doors:
    case Role.Alcohol:
      if (value === ALL_ONES[width]) out.attr(NUMBER | (attribute & 0xffff), value);
      else twofold(role, attribute, value, out);
      return;
    default:
      if (role >= Role.Limited) limited(role, attribute, value, signedOf(bytes, at, width, value), out);
      else if (role >= Role.Odometer) odometer(role - Role.Odometer, attribute, value, value === ALL_ONES[width], out);
      else if (role < Role.Near) part(bytes, at, width, role - Role.Part);
      else near(role - Role.Near, value === ALL_ONES[width] ? -1 : value);
  }
}

function gnssStatus(attribute: number, value: number, out: FrameResult): void {
  const names = (attribute & 0xffff) === GNSS_STATUS_FMX6_ID ? GNSS_STATUS_FMX6 : GNSS_STATUS;
  const name = names[value];
  if (name !== undefined) out.attrText(attribute, name);
  else out.attr(NUMBER | (attribute & 0xffff), value);
}

/** Elements 258 and 259: three accelerations behind two bytes of zeros. */
function axes(bytes: Bytes, at: number, attribute: number, out: FrameResult): void {
  const first = (attribute & 0xffff) === 258 ? ECO_MAXIMUM : ECO_AVERAGE;
  out.attr(first, i16be(bytes, at + 2));
  out.attr(first + 1, i16be(bytes, at + 4));
  out.attr(first + 2, i16be(bytes, at + 6));
}

/** Elements that say two things. */
function twofold(role: number, attribute: number, value: number, out: FrameResult): void {
  if (role === Role.Doors) {
    out.attr(attribute, value);
    out.attr(DOOR, (value & ANY_DOOR) === 0 ? 0 : 1);
  } else {
    out.attr(ALCOHOL, Math.floor(value / 4));
    out.attr(ALCOHOL_ACTIVE, value & 1);
  }
}

/** A variable-length element, bytes[at, end). */
function variable(bytes: Bytes, at: number, end: number, role: number, attribute: number, out: FrameResult): void {
  if (at === end) return;
  if (role === Role.Ascii) text(bytes, at, end, attribute, out);
  else if (role === Role.Beacons && readBeacons(bytes, at, end, out)) return;
  else if (role === Role.Tags && readTags(bytes, at, end, attribute & 0xffff, out)) return;
  else out.attrText(attribute, hex(bytes, at, end));
}

/** ASCII without the padding of zeros and blanks behind it. */
function text(bytes: Bytes, at: number, end: number, attribute: number, out: FrameResult): void {
  let last = end;
  while (last > at && (bytes[last - 1] === 0 || bytes[last - 1] === 32)) last--;
  if (last > at) out.attrText(attribute, ascii(bytes, at, last));
}

function finishEvent(eventId: number, priority: number, family: Family, r: number, firstAttr: number, out: FrameResult): void {
  const { events } = family;
  const rule = events.get(eventId);
  if (rule === undefined) {
    if (priority === 2 && eventId <= 4 && isOn(eventId, firstAttr, out)) out.event[r] = SOS;
    else if (!events.has(eventId)) out.event[r] = unknownEvent(eventId);
    return;
  }
  const found = find(eventId, firstAttr, out);
  // A value that is not a measurement reports nothing (invariant 5).
  if (found < 0) out.event[r] = isRaw(eventId, firstAttr, out) ? 0 : rule.absent;
  else out.event[r] = rule.byValue[out.attrNum[found]!] ?? rule.beyond;
  const zone = family.zones.get(eventId);
  if (zone !== undefined) out.attrText(GEOFENCE, zone);
}

/** Index of `sos` in the event table: a digital input sent with panic priority is a panic button. */
const SOS = 1;

function isOn(eventId: number, firstAttr: number, out: FrameResult): boolean {
  const found = find(eventId, firstAttr, out);
  return found >= 0 && out.attrNum[found] === 1;
}

function isRaw(id: number, firstAttr: number, out: FrameResult): boolean {
  for (let k = firstAttr; k < out.attrs; k++) if (out.attrId[k] === (NUMBER | id) || out.attrId[k] === (TEXT | id)) return true;
  return false;
}

/** Index of the attribute that element `id` left in the row, whatever the family; -1 for none. */
function find(id: number, firstAttr: number, out: FrameResult): number {
  for (let k = out.attrs - 1; k >= firstAttr; k--) {
    const attribute = out.attrId[k]!;
    if ((attribute & 0xffff) === id && attribute < 12 << 16) return k;
  }
  return -1;
}
