import { type FrameResult, unknownEvent } from '../../src/codec/index.ts';
import { ascii, type Bytes, hex, i16be, i32be, i64be, u16be, u32be, u64be } from '../../src/wire/index.ts';
import { ERROR_CODES, type Family, NUMBER, own, partSlot, Role, Width } from './attributes.ts';
import { bluetoothStart, readBeacons, readTags } from './bluetooth.ts';

/**
 * AVL records of codecs 8, 8E and 16 (protocol.md section 3).
 *
 * 1. A row is opened for a record only if the whole record is inside its bounds; a record that is not leaves no trace.
 * 2. The width of a value is read from the wire, its sign and meaning from the family's table.
 * 3. A row's own bytes are the record's, so that it is the same record in any frame, on any transport.
 * 4. Coordinates 0, 0 and coordinates outside the globe are no place: the row is a status. `valid` needs satellites, too:
 *    without a fix devices repeat the last position (protocol.md section 3.2).
 * 5. A sensor's error code is no measurement: it is kept as the raw number `io_<id>`.
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
const OPERATOR = own('operator');
const GEOFENCE = own('geofence');
const DOOR = own('door');
const ALCOHOL = own('alcohol_permille');
const ALCOHOL_ACTIVE = own('alcohol_test_active');
const ECO_MAXIMUM = own('eco_maximum_x_g');
const ECO_AVERAGE = own('eco_average_x_g');
const ICCID = own('iccid');
const VIN = own('vin');
const DRIVER = own('driver_id');
const DRIVER_2 = own('driver_2_id');
const PLATE = own('vehicle_registration');

/** Bits of element 90: front left, front right, rear left, rear right, trunk; hood and roof are no doors (protocol.md section 8.5). */
const ANY_DOOR = 0x2f00;

const GNSS_STATUS = ['off', 'fix', 'no_fix', 'sleep'];
const GNSS_STATUS_FMX6 = ['off', 'no_antenna', 'no_fix', 'fix', 'sleep', 'overcurrent'];
const GNSS_STATUS_FMX6_ID = 71;
/** Raw, in tenths: what two bytes hold. */
const MAX_HDOP = 0xffff;
/** A date beyond the last one that software can name is no time. */
const MAX_TIME = 8.64e15;

/** What elements of the record being read have said together; cleared by `finishJoined`, used for one row. */
const CELL = { seen: false, near: false, operator: 0, lac: -1, cid: -1, wide: -1 };
/** Area, id and network code of the neighbour cells; -1 when absent. */
const NEAR = new Float64Array(24).fill(-1);
const PART_BYTES = new Uint8Array(14 * 8);
const PARTS = { seen: 0 };

/** Texts of eight bytes and of operators repeat from record to record: 256 slots of the last ones save building them again. */
const TEXT_SLOTS = 256;
const TEXT_HIGH = new Float64Array(TEXT_SLOTS).fill(-1);
const TEXT_LOW = new Float64Array(TEXT_SLOTS);
const TEXTS: string[] = new Array<string>(TEXT_SLOTS).fill('');

/**
 * Reads the record at `start`, which must end at or before `end`, into a new row.
 * Returns the offset behind it, or -1 when it does not fit: the row is not opened then.
 */
export function readRecord(bytes: Bytes, start: number, end: number, codec: number, family: Family, out: FrameResult): number {
  const next = recordEnd(bytes, start, end, codec);
  if (next < 0) return -1;
  const idWidth = codec === Codec8 ? 1 : 2;
  const countWidth = codec === Codec8E ? 2 : 1;
  const table = family.table;
  const r = out.row();
  const firstAttr = out.attrs;
  out.from[r] = start;
  out.to[r] = next;
  head(bytes, start, r, out);
  let p = start + HEAD;
  const eventId = idWidth === 1 ? bytes[p]! : u16be(bytes, p);
  p += idWidth;
  out.attr(PRIORITY, bytes[start + 8]!);
  if (eventId !== 0) out.attr(EVENT_CODE, eventId);
  if (codec === Codec16) out.attr(GENERATION, bytes[p++]!);
  p += countWidth;

  let count = countWidth === 1 ? bytes[p]! : u16be(bytes, p);
  p += countWidth;
  for (; count > 0; count--) {
    const entry = table[idWidth === 1 ? bytes[p]! : u16be(bytes, p)]!;
    const value = bytes[p + idWidth]!;
    const role = entry >>> 20;
    if (role === Role.Uint) out.attr(entry & 0xfffff, value);
    else if (role === Role.Bool) out.attr(entry & 0xfffff, value === 0 ? 0 : 1);
    else if (role === Role.Int) out.attr(entry & 0xfffff, (value << 24) >> 24);
    else special(bytes, p + idWidth, 1, role, entry & 0xfffff, value, (value << 24) >> 24, r, out);
    p += idWidth + 1;
  }
  count = countWidth === 1 ? bytes[p]! : u16be(bytes, p);
  p += countWidth;
  for (; count > 0; count--) {
    const entry = table[Width.Two | (idWidth === 1 ? bytes[p]! : u16be(bytes, p))]!;
    const value = u16be(bytes, p + idWidth);
    const role = entry >>> 20;
    if (role === Role.Uint) out.attr(entry & 0xfffff, value);
    else if (role === Role.Int) out.attr(entry & 0xfffff, (value << 16) >> 16);
    else special(bytes, p + idWidth, 2, role, entry & 0xfffff, value, (value << 16) >> 16, r, out);
    p += idWidth + 2;
  }
  count = countWidth === 1 ? bytes[p]! : u16be(bytes, p);
  p += countWidth;
  for (; count > 0; count--) {
    const entry = table[Width.Four | (idWidth === 1 ? bytes[p]! : u16be(bytes, p))]!;
    const value = i32be(bytes, p + idWidth);
    const role = entry >>> 20;
    if (role === Role.Uint) out.attr(entry & 0xfffff, value >>> 0);
    else if (role === Role.Int) out.attr(entry & 0xfffff, value);
    else special(bytes, p + idWidth, 4, role, entry & 0xfffff, value >>> 0, value, r, out);
    p += idWidth + 4;
  }
  count = countWidth === 1 ? bytes[p]! : u16be(bytes, p);
  p += countWidth;
  for (; count > 0; count--) {
    const entry = table[Width.Eight | (idWidth === 1 ? bytes[p]! : u16be(bytes, p))]!;
    const role = entry >>> 20;
    if (role === Role.Uint) out.attr(entry & 0xfffff, u64be(bytes, p + idWidth));
    else special(bytes, p + idWidth, 8, role, entry & 0xfffff, u64be(bytes, p + idWidth), i64be(bytes, p + idWidth), r, out);
    p += idWidth + 8;
  }
  if (codec === Codec8E) {
    bluetoothStart();
    count = u16be(bytes, p);
    p += 2;
    for (; count > 0; count--) {
      const entry = table[Width.Variable | u16be(bytes, p)]!;
      const length = u16be(bytes, p + 2);
      variable(bytes, p + 4, p + 4 + length, entry >>> 20, entry & 0xfffff, out);
      p += 4 + length;
    }
  }
  finishJoined(out);
  if (eventId !== 0) finishEvent(eventId, bytes[start + 8]!, family, r, firstAttr, out);
  return next;
}

/** Offset behind the record at `start`, or -1 when a count or length leads beyond `end`. */
export function recordEnd(bytes: Bytes, start: number, end: number, codec: number): number {
  const idWidth = codec === Codec8 ? 1 : 2;
  const countWidth = codec === Codec8E ? 2 : 1;
  let p = start + HEAD + idWidth + (codec === Codec16 ? 1 : 0) + countWidth;
  for (let width = 1; width <= 8; width <<= 1) {
    if (p + countWidth > end) return -1;
    p += countWidth + (countWidth === 1 ? bytes[p]! : u16be(bytes, p)) * (idWidth + width);
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
  out.speedKmh[r] = u16be(bytes, p + 22);
}

/** Sets position, satellites and validity of row `r` (invariant 4). */
export function place(latitude: number, longitude: number, satellites: number, r: number, out: FrameResult): void {
  out.satellites[r] = satellites;
  if (latitude === 0 && longitude === 0) return;
  if (!(latitude >= -90 && latitude <= 90 && longitude >= -180 && longitude <= 180)) return;
  out.latitude[r] = latitude;
  out.longitude[r] = longitude;
  out.valid[r] = satellites > 0 ? 1 : 0;
}

/** An element that is more than its number. `value` and `signed` are the same bytes read both ways. */
export function special(
  bytes: Bytes,
  at: number,
  width: number,
  role: number,
  attribute: number,
  value: number,
  signed: number,
  r: number,
  out: FrameResult,
): void {
  switch (role) {
    case Role.Uint:
      out.attr(attribute, value);
      return;
    case Role.Int:
      out.attr(attribute, signed);
      return;
    case Role.Bool:
      out.attr(attribute, value === 0 ? 0 : 1);
      return;
    case Role.Checked:
    case Role.CheckedInt: {
      const read = role === Role.CheckedInt ? signed : value;
      const wrong = ERROR_CODES.get(attribute)?.includes(read) === true;
      out.attr(wrong ? NUMBER | (attribute & 0xffff) : attribute, read);
      return;
    }
    case Role.Hex:
      // All zero: no key, no tag, no sensor.
      if (value !== 0) out.attrText(attribute, hexText(bytes, at));
      return;
    case Role.Ascii:
      text(bytes, at, at + width, attribute, out);
      return;
    case Role.Digits:
      if (value !== 0) out.attrText(attribute, String(value));
      return;
    case Role.Gnss: {
      const names = (attribute & 0xffff) === GNSS_STATUS_FMX6_ID ? GNSS_STATUS_FMX6 : GNSS_STATUS;
      out.attrText(attribute, names[value] ?? 'unknown');
      return;
    }
    case Role.Hdop:
      if (value <= MAX_HDOP) out.hdop[r] = value / 10;
      return;
    case Role.Operator:
      CELL.seen = true;
      CELL.operator = value;
      return;
    case Role.Cell:
      CELL.seen = true;
      CELL.cid = value;
      return;
    case Role.WideCell:
      CELL.seen = true;
      CELL.wide = value;
      return;
    case Role.Lac:
      CELL.seen = true;
      CELL.lac = value <= 0x7fffffff ? value : -1;
      return;
    case Role.Xyz: {
      const first = (attribute & 0xffff) === 258 ? ECO_MAXIMUM : ECO_AVERAGE;
      if (width !== 8) return;
      out.attr(first, i16be(bytes, at + 2));
      out.attr(first + 1, i16be(bytes, at + 4));
      out.attr(first + 2, i16be(bytes, at + 6));
      return;
    }
    case Role.Doors:
      out.attr(attribute, value);
      out.attr(DOOR, (value & ANY_DOOR) === 0 ? 0 : 1);
      return;
    case Role.Alcohol:
      out.attr(ALCOHOL, Math.floor(value / 4));
      out.attr(ALCOHOL_ACTIVE, value & 1);
      return;
    default:
      if (role < Role.Near) part(bytes, at, width, role - Role.Part);
      else near(role - Role.Near, value);
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

function near(slot: number, value: number): void {
  CELL.seen = true;
  CELL.near = true;
  NEAR[slot] = value <= 0x7fffffff ? value : -1;
}

function part(bytes: Bytes, at: number, width: number, slot: number): void {
  for (let k = 0; k < 8; k++) PART_BYTES[slot * 8 + k] = k < width ? bytes[at + k]! : 0;
  PARTS.seen |= 1 << slot;
}

function hexText(bytes: Bytes, at: number): string {
  const high = u32be(bytes, at);
  const low = u32be(bytes, at + 4);
  const slot = (low ^ (low >>> 8)) & (TEXT_SLOTS - 1);
  if (TEXT_HIGH[slot] !== high || TEXT_LOW[slot] !== low) {
    TEXT_HIGH[slot] = high;
    TEXT_LOW[slot] = low;
    TEXTS[slot] = hex(bytes, at, at + 8);
  }
  return TEXTS[slot]!;
}

/** `prefix` −2 and below keeps these apart from the texts of eight bytes, whose high half is never negative. */
function decimalText(prefix: number, value: number): string {
  const slot = value & (TEXT_SLOTS - 1);
  if (TEXT_HIGH[slot] !== prefix || TEXT_LOW[slot] !== value) {
    TEXT_HIGH[slot] = prefix;
    TEXT_LOW[slot] = value;
    TEXTS[slot] = String(value);
  }
  return TEXTS[slot]!;
}

/** Puts what several elements have said together into the last row. Owed by every reader that calls `special`, for each row. */
export function finishJoined(out: FrameResult): void {
  if (CELL.seen) finishCell(out);
  if (PARTS.seen !== 0) finishParts(out);
}

/** Serving network and cell: 241 is MCC and MNC as one decimal number, two or three digits of MNC (protocol.md section 8.4). */
function finishCell(out: FrameResult): void {
  const { operator, lac } = CELL;
  const cid = CELL.wide > 0 ? CELL.wide : CELL.cid;
  const known = operator >= 20000 && operator <= 999999;
  const long = operator > 99999;
  const mcc = known ? Math.floor(operator / (long ? 1000 : 100)) : -1;
  if (operator > 0) out.attrText(OPERATOR, decimalText(-2, operator));
  if (lac > 0 || cid > 0) out.cell(mcc, known ? operator % (long ? 1000 : 100) : -1, lac, cid, 0);
  if (CELL.near) finishNear(mcc, out);
  CELL.seen = false;
  CELL.operator = 0;
  CELL.lac = -1;
  CELL.cid = -1;
  CELL.wide = -1;
}

function finishNear(mcc: number, out: FrameResult): void {
  for (let k = 0; k < NEAR.length; k += 3) {
    if (NEAR[k]! > 0 || NEAR[k + 1]! > 0) out.cell(mcc, NEAR[k + 2]!, NEAR[k]!, NEAR[k + 1]!, 0);
  }
  NEAR.fill(-1);
  CELL.near = false;
}

const SLOT_ICCID_1 = partSlot('iccid_1');
const SLOT_CCID_1 = partSlot('ccid_1');
const SLOT_VIN_1 = partSlot('vin_1');
const SLOT_PLATE_1 = partSlot('plate_1');
const SLOT_CARD_1 = partSlot('card_1a');
const SLOT_CARD_2 = partSlot('card_2a');

/** Texts that devices send in parts of eight bytes (protocol.md section 8.5). */
function finishParts(out: FrameResult): void {
  if (has(SLOT_ICCID_1, 2)) iccid(out);
  if (has(SLOT_CCID_1, 3)) joined(SLOT_CCID_1, 3, ICCID, out);
  if (has(SLOT_VIN_1, 3)) joined(SLOT_VIN_1, 3, VIN, out);
  if (has(SLOT_PLATE_1, 2)) joined(SLOT_PLATE_1, 2, PLATE, out);
  if (has(SLOT_CARD_1, 2)) joined(SLOT_CARD_1, 2, DRIVER, out);
  if (has(SLOT_CARD_2, 2)) joined(SLOT_CARD_2, 2, DRIVER_2, out);
  PARTS.seen = 0;
  PART_BYTES.fill(0);
}

function has(slot: number, count: number): boolean {
  return ((PARTS.seen >> slot) & ((1 << count) - 1)) !== 0;
}

/** Two decimal halves; the second has ten digits. */
function iccid(out: FrameResult): void {
  const high = u64be(PART_BYTES, SLOT_ICCID_1 * 8);
  const low = u64be(PART_BYTES, SLOT_ICCID_1 * 8 + 8);
  if (high === 0 && low === 0) return;
  out.attrText(ICCID, high === 0 ? decimalText(-2, low) : decimalText(-3, high) + decimalText(-4, low).padStart(10, '0'));
}

function joined(slot: number, count: number, attribute: number, out: FrameResult): void {
  const at = slot * 8;
  let printable = true;
  let end = at + count * 8;
  while (end > at && (PART_BYTES[end - 1] === 0 || PART_BYTES[end - 1] === 32)) end--;
  for (let p = at; p < end; p++) if (PART_BYTES[p]! < 32 || PART_BYTES[p]! > 126) printable = false;
  if (end > at) out.attrText(attribute, printable ? ascii(PART_BYTES, at, end) : hex(PART_BYTES, at, at + count * 8));
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
  if (found < 0) out.event[r] = rule.absent;
  else if (rule.text) out.event[r] = rule.beyond;
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

/** Index of the attribute that element `id` left in the row, whatever the family; -1 for none. */
function find(id: number, firstAttr: number, out: FrameResult): number {
  for (let k = out.attrs - 1; k >= firstAttr; k--) {
    const attribute = out.attrId[k]!;
    if ((attribute & 0xffff) === id && attribute < 12 << 16) return k;
  }
  return -1;
}
