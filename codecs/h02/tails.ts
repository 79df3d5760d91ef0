import { ascii, type Bytes, decimal, fraction, hexNumber, indexOf } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { Attr } from './attributes.ts';
import { batteryPercent, plausibleMcc } from './field.ts';
import { readIccid } from './gps-group.ts';
import { count, fieldAt, from, hasPoint, hexadecimal, isBlankPadded, isEmpty, real, to, trim, whole, width } from './text-fields.ts';

/** What stands behind the status word (protocol.md section 5), and cells and battery codes wherever they stand. */

/** Eight numbers: mcc, mnc, lac, cid, satellites, CSQ, supply in 0.1 V, unknown. */
export function readV8Tail(bytes: Bytes, k: number, row: number, out: FrameResult): void {
  if (count - k >= 4) readCell(bytes, k, false, out);
  const satellites = whole(bytes, k + 4);
  if (satellites >= 0 && satellites <= 40) out.satellites[row] = satellites;
  const csq = whole(bytes, k + 5);
  if (csq >= 0 && csq <= 31) out.attr(Attr.GsmCsq, csq);
  const decivolts = whole(bytes, k + 6);
  if (decivolts >= 50 && decivolts <= 600) out.attr(Attr.ExternalV, decivolts);
}

/**
 * The shapes of protocol.md section 5.1, by count and look. A tail of another shape says nothing: no cell, no battery; it is kept as it came. `hex`:
 * its cells are hexadecimal whatever they look like; `listed`: neighbour cells may stand behind the battery (VI1, ALRM).
 */
export function readExtras(bytes: Bytes, k: number, hex: boolean, listed: boolean, out: FrameResult): void {
  let n = count;
  while (n > k && isEmpty(bytes, n - 1)) n--;
  const fields = n - k;
  if (fields >= 4 && readShape(bytes, k, n, hex, listed, out)) return;
  keep(bytes, k, n, out);
}

/** Fields from `at` to n − 1 that nothing is known of, as they came. */
function keep(bytes: Bytes, at: number, n: number, out: FrameResult): void {
  if (at < n) out.attrText(Attr.Extra, ascii(bytes, fieldAt(at), Math.min(fieldAt(at) + MOST_EXTRA, fieldAt(n) - 1)));
}

/** A tail of fields k to n − 1 that has one of the shapes; false: it has none. */
function readShape(bytes: Bytes, k: number, n: number, hex: boolean, listed: boolean, out: FrameResult): boolean {
  const fields = n - k;
  if (fields === 6 && hasPoint(bytes, k + 2)) {
    readOdometerBlock(bytes, k, out);
    return true;
  }
  if (fields >= 6 && (readCellList(bytes, k + 2, k, n, out) || readCellList(bytes, k + 1, k, n, out))) return true;
  // Behind the cell one field more (battery or ICCID), or two, which are the mileage and voltage of V5 on one make.
  if (fields > 6 || (fields === 6 && !listed && !startsDecimal(bytes, k))) return false;
  const serving = out.cells;
  if (!readCell(bytes, k, hex, out)) return false;
  let read = k + 4;
  if (width(bytes, read) >= 15) readIccid(bytes, read++, out);
  else if ((fields === 5 || listed) && batteryStep(bytes, read, out)) read++;
  if (!listed) keep(bytes, read, n, out);
  else if (fields === 6 && out.cells > serving) readNeighbours(bytes, k + 5, serving, hex || !startsDecimal(bytes, k), out);
  return true;
}

/** `lac-cid-level|lac-cid-level…` in field k: cells of the network of the cell `serving`, in its radix. */
function readNeighbours(bytes: Bytes, k: number, serving: number, hex: boolean, out: FrameResult): void {
  trim(bytes, k);
  const end = to;
  const number = hex ? hexNumber : decimal;
  for (let s = from, n = 0; s < end && n < MOST_CELLS; n++) {
    const bar = indexOf(bytes, s, end, BAR);
    const last = bar < 0 ? end : bar;
    const dash = indexOf(bytes, s, last, DASH);
    const second = dash < 0 ? -1 : indexOf(bytes, dash + 1, last, DASH);
    const behind = second < 0 ? last : second;
    if (dash > 0 && dash - s <= 8 && behind - dash <= 9) {
      const level = second < 0 ? 0 : fraction(bytes, second + 1, last);
      const isDbm = level < 0 && level > -200;
      addCell(
        out.cellMcc[serving]!,
        out.cellMnc[serving]!,
        number(bytes, s, dash),
        number(bytes, dash + 1, behind),
        isDbm ? level : 0,
        out,
      );
    }
    s = last + 1;
  }
}

/** A country code in decimal and a network of at most three digits: the beginning of a cell. */
function startsDecimal(bytes: Bytes, k: number): boolean {
  return width(bytes, k) === 3 && plausibleMcc(whole(bytes, k)) && width(bytes, k + 1) <= 3 && whole(bytes, k + 1) >= 0;
}

/** odometer, temperature °C, fuel %, altitude m, LAC, CID (the last two hexadecimal). */
function readOdometerBlock(bytes: Bytes, k: number, out: FrameResult): void {
  const row = out.rows - 1;
  const odometer = whole(bytes, k);
  if (odometer >= 0) out.attr(Attr.OdometerM, odometer);
  const temperature = real(bytes, k + 1);
  if (temperature >= -128 && temperature <= 127) out.attr(Attr.Temperature, temperature);
  const fuel = real(bytes, k + 2);
  if (fuel >= 0 && fuel <= 100) out.attr(Attr.FuelPct, fuel);
  const altitude = real(bytes, k + 3);
  if (altitude > -1000 && altitude < 20000) out.altitudeM[row] = altitude;
  addCell(-1, -1, hexadecimal(bytes, k + 4), hexadecimal(bytes, k + 5), 0, out);
}

/** Characters of a tail that are kept. */
const MOST_EXTRA = 250;

const BAR = 0x7c;
const DASH = 0x2d;
const MOST_MNC = 999;
/** Most cells that a list names. */
const MOST_CELLS = 16;

/**
 * [battery 00–99,] number of cells, MCC, MNC, then the cells, decimal: LAC and CID in pairs behind a battery (unused ones are 0), or
 * LAC, CID and signal in threes. `mccAt` is where the MCC would stand. False: it is no such list.
 */
function readCellList(bytes: Bytes, mccAt: number, k: number, n: number, out: FrameResult): boolean {
  const cells = whole(bytes, mccAt - 1);
  const left = n - mccAt - 2;
  if (cells < 1 || cells > MOST_CELLS || !startsDecimal(bytes, mccAt)) return false;
  const behindBattery = mccAt === k + 2;
  const unused = whole(bytes, n - 1) === 0 && whole(bytes, n - 2) === 0;
  const threes = left === 3 * cells && !(behindBattery && unused);
  if (!threes && !(behindBattery && left >= 2 * cells && left <= 2 * MOST_CELLS)) return false;
  const mcc = whole(bytes, mccAt);
  const mnc = whole(bytes, mccAt + 1);
  const battery = behindBattery ? whole(bytes, k) : -1;
  if (battery >= 0 && battery <= 100) out.attr(Attr.BatteryPct, battery >= 99 ? 100 : battery);
  const step = threes ? 3 : 2;
  for (let i = mccAt + 2; i + 1 < n; i += step)
    addCell(mcc, mnc, whole(bytes, i), whole(bytes, i + 1), threes ? signalDbm(bytes, i + 2) : 0, out);
  return true;
}

/**
 * MCC, MNC, LAC, CID in four fields. They are decimal when the country code reads so, hexadecimal otherwise or when any
 * is padded (with blanks, or with zeros to six); a letter in area or cell says that both are hexadecimal. A 4G unit puts the long hexadecimal cell first, then the area. False: no such fields.
 */
export function readCell(bytes: Bytes, k: number, hex: boolean, out: FrameResult): boolean {
  const digits = width(bytes, k);
  const mcc = digits === 3 ? decimal(bytes, from, to) : -1;
  if (digits > 0 && (hex || !plausibleMcc(mcc) || isBlankPadded(bytes, k))) return readHexCell(bytes, k, mcc, out);
  const mnc = whole(bytes, k + 1);
  if (mnc > MOST_MNC || (mnc < 0 && !isEmpty(bytes, k + 1))) return false;
  if (width(bytes, k + 2) >= 6) servingCell(mcc, mnc, area(bytes, k + 3), hexadecimal(bytes, k + 2), out);
  else if (width(bytes, k + 3) >= 6 && decimal(bytes, from, to) < 0)
    servingCell(mcc, mnc, area(bytes, k + 2), hexadecimal(bytes, k + 3), out);
  else if (whole(bytes, k + 2) >= 0 && whole(bytes, k + 3) >= 0) servingCell(mcc, mnc, whole(bytes, k + 2), whole(bytes, k + 3), out);
  else servingCell(mcc, mnc, hexadecimal(bytes, k + 2), hexadecimal(bytes, k + 3), out);
  return true;
}

/** `decimalMcc` is what the country code reads as in decimal: some answers pad it with a blank and give only the rest in hexadecimal. */
function readHexCell(bytes: Bytes, k: number, decimalMcc: number, out: FrameResult): boolean {
  const mcc = hexadecimal(bytes, k);
  const lac = hexadecimal(bytes, k + 2);
  const cid = hexadecimal(bytes, k + 3);
  const mnc = plausibleMcc(mcc) ? hexadecimal(bytes, k + 1) : whole(bytes, k + 1);
  const country = plausibleMcc(mcc) ? mcc : decimalMcc;
  if (!plausibleMcc(country) || mnc < 0 || mnc > MOST_MNC || lac < 0 || cid < 0) return false;
  servingCell(country, mnc, lac, cid, out);
  return true;
}

/** Decimal, or hexadecimal when a letter says so. */
function area(bytes: Bytes, k: number): number {
  const value = whole(bytes, k);
  return value >= 0 ? value : hexadecimal(bytes, k);
}

/**
 * The serving cell, which is a network alone where area and cell are 0: 4G units of some makes know no more (protocol.md section 7.1).
 */
export function servingCell(mcc: number, mnc: number, lac: number, cid: number, out: FrameResult): void {
  if (lac !== 0 || cid !== 0) addCell(mcc, mnc, lac, cid, 0, out);
  else if (plausibleMcc(mcc)) out.cell(mcc, mnc <= MOST_MNC ? mnc : -1, -1, -1, 0);
}

/** A cell that says something: a real country where one is given (-1: none is), and a place in it (protocol.md section 5.1). */
export function addCell(mcc: number, mnc: number, lac: number, cid: number, rssiDbm: number, out: FrameResult): void {
  if (mcc !== -1 && !plausibleMcc(mcc)) return;
  if (lac <= 0 && cid <= 0) return;
  if (cid > 0xfffffffff || lac > 0xffffff) return;
  out.cell(mcc, mnc <= MOST_MNC ? mnc : -1, lac, cid, rssiDbm);
}

/** Signal of a cell in field k when the device gives it in dBm; its other scales differ from maker to maker and give 0. */
export function signalDbm(bytes: Bytes, k: number): number {
  const level = real(bytes, k);
  return level < 0 && level > -200 ? level : 0;
}

/** The battery code in field k (protocol.md section 5.2); false: something else stands there. */
export function batteryStep(bytes: Bytes, k: number, out: FrameResult): boolean {
  const code = whole(bytes, k);
  const percent = batteryPercent(code);
  if (percent >= 0) out.attr(Attr.BatteryPct, percent);
  return percent >= 0 || code === 0;
}
