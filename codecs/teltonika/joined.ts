import { ascii, type Bytes, hex, u32be, u64be } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { NUMBER, ODOMETERS, OWN_ODOMETERS, own, partSlot, Role } from './attributes.ts';

/**
 * What several elements of a record say together: the cells, texts in parts of eight bytes, the best total distance. `special` hands the
 * elements in one by one, `finishJoined` puts what they come to into the row. Scratch of one record.
 */
const OPERATOR = own('operator');
const ICCID = own('iccid');
const VIN = own('vin');
const DRIVER = own('driver_id');
const DRIVER_2 = own('driver_2_id');
const PLATE = own('vehicle_registration');
const ODOMETER = own('odometer_m');
const ODOMETER_SOURCE = own('odometer_source');
/** The device's own total distance, of the FM platform and of FMx6. */
const [FIRST_OWN, SECOND_OWN] = OWN_ODOMETERS;

/** What elements of the record being read have said together; cleared by `finishJoined`, used for one row. */
const CELL = { seen: false, near: false, operator: 0, lac: -1, cid: -1, wide: -1 };
const NO_SOURCE: number = ODOMETERS.length;
const DISTANCE = { source: NO_SOURCE, value: 0 };
/** Area, id and network code of the neighbour cells; -1 when absent. */
const NEAR = new Float64Array(24).fill(-1);
const PART_BYTES = new Uint8Array(14 * 8);
const PARTS = { seen: 0 };

/** Texts of eight bytes and of operators repeat from record to record: 256 slots of the last ones save building them again. */
const TEXT_SLOTS = 256;
const TEXT_HIGH = new Float64Array(TEXT_SLOTS).fill(-1);
const TEXT_LOW = new Float64Array(TEXT_SLOTS);
const TEXTS: string[] = new Array<string>(TEXT_SLOTS).fill('');

/** A number of the serving cell. */
export function network(role: number, attribute: number, value: number, unknown: boolean, out: FrameResult): void {
  if (unknown) {
    out.attr(NUMBER | (attribute & 0xffff), value);
    return;
  }
  CELL.seen = true;
  if (role === Role.Operator) CELL.operator = value;
  else if (role === Role.Cell) CELL.cid = value;
  else if (role === Role.WideCell) CELL.wide = value;
  else CELL.lac = value <= 0x7fffffff ? value : -1;
}

/** Are all bits of the value set? */
export function isOnes(bytes: Bytes, at: number, width: number): boolean {
  for (let p = at; p < at + width; p++) if (bytes[p] !== 0xff) return false;
  return true;
}

/** A vehicle's total distance: kept under its own name; the best one of the record becomes `odometer_m` (invariant 6). */
export function odometer(source: number, attribute: number, value: number, unknown: boolean, out: FrameResult): void {
  if (unknown) out.attr(NUMBER | (attribute & 0xffff), value);
  else {
    out.attr(attribute, value);
    // A vehicle that has not said anything yet counts 0.
    if (source < DISTANCE.source && value > 0) {
      DISTANCE.source = source;
      DISTANCE.value = value;
    }
  }
}

export function near(slot: number, value: number): void {
  CELL.seen = true;
  CELL.near = true;
  NEAR[slot] = value <= 0x7fffffff ? value : -1;
}

export function part(bytes: Bytes, at: number, width: number, slot: number): void {
  for (let k = 0; k < 8; k++) PART_BYTES[slot * 8 + k] = k < width ? bytes[at + k]! : 0;
  PARTS.seen |= 1 << slot;
}

export function hexText(bytes: Bytes, at: number): string {
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

/**
 * Puts what several elements have said together into the last row. Owed by every reader that calls `special`, for each row. `fourFrom`: the
 * attributes of the row's four-byte elements begin there, of which the device's own total distance is one.
 */
export function finishJoined(out: FrameResult, fourFrom: number): void {
  if (CELL.seen) finishCell(out);
  if (PARTS.seen !== 0) finishParts(out);
  if (DISTANCE.source !== NO_SOURCE) finishDistance(out, fourFrom);
}

function finishDistance(out: FrameResult, fourFrom: number): void {
  const [source, metres] = ODOMETERS[DISTANCE.source]!;
  DISTANCE.source = NO_SOURCE;
  for (let k = fourFrom; k < out.attrs; k++) {
    const id = out.attrId[k]!;
    if (id === FIRST_OWN || id === SECOND_OWN) return;
  }
  out.attr(ODOMETER, DISTANCE.value * metres);
  out.attrText(ODOMETER_SOURCE, source);
}

function finishCell(out: FrameResult): void {
  const mcc = servingCell(CELL.operator, CELL.lac, CELL.wide > 0 ? CELL.wide : CELL.cid, out);
  if (CELL.near) finishNear(mcc, out);
  CELL.seen = false;
  CELL.operator = 0;
  CELL.lac = -1;
  CELL.cid = -1;
  CELL.wide = -1;
}

/**
 * Serving network and cell. The operator is MCC and MNC as one decimal number, two or three digits of MNC (protocol.md section 8.4); a device that
 * names nothing else is in a network whose cell is not known. No cell has the number 0. Returns the MCC, or -1.
 */
export function servingCell(operator: number, lac: number, cid: number, out: FrameResult): number {
  const unit = operator > 99999 ? 1000 : 100;
  // No country has a code below 200.
  const known = operator >= 200 * unit && operator <= 999999;
  const mcc = known ? Math.floor(operator / unit) : -1;
  if (operator > 0) out.attrText(OPERATOR, decimalText(-2, operator));
  if (known || lac > 0 || cid > 0) out.cell(mcc, known ? operator % unit : -1, lac > 0 ? lac : -1, cid > 0 ? cid : -1, 0);
  return mcc;
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
