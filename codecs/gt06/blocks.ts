import { type Bytes, bcdDigits, epochMs, hex, u16be, u24be, u32be, u64be } from '../../src/base/wire/index.ts';
import { type FrameResult, RowFlag } from '../../src/codec/index.ts';
import { A } from './attributes.ts';

/**
 * The blocks that messages are made of (protocol.md section 4). Each reader takes the offset of its block; the
 * caller has checked that the block lies inside the content.
 */

export const GPS18 = 18;
/** Coordinates are minutes × 30 000. */
const PER_DEGREE = 1800000;
const LATITUDES = 90 * PER_DEGREE;
const LONGITUDES = 180 * PER_DEGREE;
/** Years − 2000 in which a date is believed where nothing but the date tells what a block is. */
const FIRST_YEAR = 10;
const LAST_YEAR = 49;
/** Longest content of a short frame. */
const LONGEST_EXTRA = 250;

/** The last civil day that was read and its epoch ms: consecutive frames share the day. A pure memory of a pure function. */
let dayKey = -1;
let dayMs = Number.NaN;

/**
 * DT6: year − 2000, month, day, hour, minute, second, binary, into the time of row r; NaN if it is not a date. `zoneMs` is
 * subtracted: the date is that many ms ahead of UTC.
 */
export function date6(bytes: Bytes, at: number, zoneMs: number, out: FrameResult, r: number): void {
  const key = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
  if (key !== dayKey) {
    dayMs = epochMs(2000 + bytes[at]!, bytes[at + 1]!, bytes[at + 2]!, 0, 0, 0);
    dayKey = key;
  }
  const hour = bytes[at + 3]!;
  const minute = bytes[at + 4]!;
  const second = bytes[at + 5]!;
  out.time[r] = hour > 23 || minute > 59 || second > 59 ? Number.NaN : dayMs + (hour * 3600 + minute * 60 + second) * 1000 - zoneMs;
}

/** DT6 in BCD, as the Topin dialect has it in its network messages. */
export function dateBcd(bytes: Bytes, at: number, zoneMs: number): number {
  const d = bcdDigits(bytes, at, at + 6);
  if (d === '') return Number.NaN;
  const n = (i: number): number => Number(d.slice(i, i + 2));
  return epochMs(2000 + n(0), n(2), n(4), n(6), n(8), n(10)) - zoneMs;
}

/** GPS18 = DT6, GPS12 into row r. Returns the course and status word. */
export function gps18(bytes: Bytes, at: number, zoneMs: number, out: FrameResult, r: number): number {
  date6(bytes, at, zoneMs, out, r);
  return gps12(bytes, at + 6, out, r);
}

/** DT6 that is a date, of a year in which such a device can have sent it. */
export function isDate6(bytes: Bytes, at: number): boolean {
  const year = bytes[at]!;
  if (year < FIRST_YEAR || year > LAST_YEAR) return false;
  return !Number.isNaN(epochMs(2000 + year, bytes[at + 1]!, bytes[at + 2]!, bytes[at + 3]!, bytes[at + 4]!, bytes[at + 5]!));
}

/** GPS18 in bytes[at, end) with a date and a place that can be: what shows a position where the length does not. */
export function isGps18(bytes: Bytes, at: number, end: number): boolean {
  return at + GPS18 <= end && isDate6(bytes, at) && isPlace(bytes, at + 7);
}

/** Latitude 4, longitude 4 on the globe and not (0, 0). */
export function isPlace(bytes: Bytes, at: number): boolean {
  const latitude = u32be(bytes, at);
  const longitude = u32be(bytes, at + 4);
  return latitude <= LATITUDES && longitude <= LONGITUDES && latitude + longitude > 0;
}

/**
 * GPS12: info 1 (low nibble: satellites) | latitude 4 | longitude 4 | speed 1 | course and status 2. The high nibble of
 * info is not a trusted length.
 */
export function gps12(bytes: Bytes, at: number, out: FrameResult, r: number): number {
  out.satellites[r] = bytes[at]! & 15;
  const word = u16be(bytes, at + 10);
  out.speedKmh[r] = bytes[at + 9]!;
  out.courseDeg[r] = courseOf(word);
  place(u32be(bytes, at + 1), u32be(bytes, at + 5), word, out, r);
  return word;
}

/**
 * Latitude and longitude as unsigned minutes × 30 000, hemispheres and validity in the course and status word: bit 12
 * positioned, 11 west, 10 north. Coordinates outside the globe and (0, 0) are not a place: the row stays a status.
 */
export function place(latitude: number, longitude: number, word: number, out: FrameResult, r: number): void {
  if (latitude > LATITUDES || longitude > LONGITUDES || latitude + longitude === 0) return;
  out.latitude[r] = (word & 0x400) !== 0 ? latitude / PER_DEGREE : 0 - latitude / PER_DEGREE;
  out.longitude[r] = (word & 0x800) !== 0 ? 0 - longitude / PER_DEGREE : longitude / PER_DEGREE;
  out.valid[r] = (word >> 12) & 1;
}

export function courseOf(word: number): number {
  const course = word & 0x3ff;
  return course <= 360 ? course : Number.NaN;
}

/** Bits 15 and 14 of the course and status word: ACC, and whether it is told. */
export function accOfWord(word: number, out: FrameResult): void {
  if ((word & 0x4000) !== 0) out.attr(A.Ignition, word >> 15);
}

/** Bytes of MCC and MNC: bit 15 of MCC says that MNC has two. */
export function networkSize(bytes: Bytes, at: number): number {
  return (bytes[at]! & 0x80) !== 0 ? 4 : 3;
}

export function mccAt(bytes: Bytes, at: number): number {
  return u16be(bytes, at) & 0x7fff;
}

export function mncAt(bytes: Bytes, at: number): number {
  return (bytes[at]! & 0x80) !== 0 ? u16be(bytes, at + 2) : bytes[at + 2]!;
}

/** Size of MCC … cell: `wide` for the 4G form, LAC 4 and cell 8 instead of LAC 2 and cell 3. */
export function lbsSize(bytes: Bytes, at: number, wide: boolean): number {
  return networkSize(bytes, at) + (wide ? 12 : 5);
}

/** LBS8 or LBS4G: MCC, MNC, LAC, cell. */
export function lbs(bytes: Bytes, at: number, wide: boolean, out: FrameResult): void {
  const p = at + networkSize(bytes, at);
  if (wide) servingCell(mccAt(bytes, at), mncAt(bytes, at), u32be(bytes, p), u64be(bytes, p + 4), 0, out);
  else servingCell(mccAt(bytes, at), mncAt(bytes, at), u16be(bytes, p), u24be(bytes, p + 2), 0, out);
}

/** MCC 2, MNC `mncBytes`, LAC 2, cell 4: several variants. */
export function lbsLongCell(bytes: Bytes, at: number, mncBytes: 1 | 2, out: FrameResult): void {
  const mnc = mncBytes === 1 ? bytes[at + 2]! : u16be(bytes, at + 2);
  const p = at + 2 + mncBytes;
  servingCell(mccAt(bytes, at), mnc, u16be(bytes, p), u32be(bytes, p + 2), 0, out);
}

/** Largest cell identity that exists: 36 bits, of 5G. */
const LARGEST_CELL = 0xfffffffff;

/** Countries have MCC 200 to 799. */
const FIRST_MCC = 200;
const LAST_MCC = 799;

/** The serving cell; with area and cell 0, or all ones, the network alone is known (protocol.md section 4.3). */
export function servingCell(mcc: number, mnc: number, lac: number, cid: number, rssi: number, out: FrameResult): void {
  const cells = out.cells;
  addCell(mcc, mnc, lac, cid, rssi, out);
  if (out.cells === cells && isBlank(lac) && isBlank(cid)) networkAlone(mcc, mnc, out);
}

/** 0, or all ones of 2, 3, 4 or 8 bytes. */
function isBlank(value: number): boolean {
  return value === 0 || value === 0xffff || value === 0xffffff || value === 0xffffffff || value > Number.MAX_SAFE_INTEGER;
}

/** A network of which no cell is named. */
function networkAlone(mcc: number, mnc: number, out: FrameResult): void {
  if (mcc < FIRST_MCC || mcc > LAST_MCC || mnc > 999) return;
  out.networkMcc = mcc;
  out.networkMnc = mnc;
  out.attrText(A.Operator, String(mcc) + String(mnc).padStart(2, '0'));
}

/** Country 0, cell 0 and all ones mean: no cell. So does an identity that no network gives. */
export function addCell(mcc: number, mnc: number, lac: number, cid: number, rssi: number, out: FrameResult): void {
  if (mcc === 0) return;
  if (cid === 0 || cid > LARGEST_CELL || ((lac === 0 || lac === 0xffff) && (cid === 0xffff || cid === 0xffffff || cid === 0xffffffff)))
    return;
  out.cell(mcc, mnc, lac > 0x7fffffff ? -1 : lac, cid, dbm(rssi));
}

/** Signal bytes have no documented scale; values from 30 to 120 look like the magnitude in dBm (protocol.md section 6.5). */
export function dbm(rssi: number): number {
  return rssi >= 30 && rssi <= 120 ? -rssi : 0;
}

/** n × (LAC, cell, RSSI 1) behind MCC and MNC, the serving cell first; `wide` as in `lbs`. */
export function cellList(bytes: Bytes, at: number, n: number, network: number, wide: boolean, out: FrameResult): void {
  const mcc = mccAt(bytes, network);
  const mnc = mncAt(bytes, network);
  if (!wide) {
    if (n > 0) servingCell(mcc, mnc, u16be(bytes, at), u24be(bytes, at + 2), bytes[at + 5]!, out);
    neighbours(bytes, at + 6, n - 1, mcc, mnc, out);
    return;
  }
  if (n > 0) servingCell(mcc, mnc, u32be(bytes, at), u64be(bytes, at + 4), bytes[at + 12]!, out);
  for (let i = 1, p = at + 13; i < n; i++, p += 13) addCell(mcc, mnc, u32be(bytes, p), u64be(bytes, p + 4), bytes[p + 12]!, out);
}

/** n × (LAC 2, cell 3, RSSI 1) of the network of the serving cell. */
export function neighbours(bytes: Bytes, at: number, n: number, mcc: number, mnc: number, out: FrameResult): void {
  for (let i = 0, p = at; i < n; i++, p += 6) addCell(mcc, mnc, u16be(bytes, p), u24be(bytes, p + 2), bytes[p + 5]!, out);
}

/**
 * n × (MAC 6, RSSI 1) in bytes[at, end), or, when that does not use them up, n × (MAC 6, RSSI 1, length 1, SSID). SSIDs are
 * skipped: they tell nothing that the address does not.
 */
export function wifiList(bytes: Bytes, at: number, end: number, n: number, out: FrameResult): void {
  const named = at + 7 * n < end;
  let p = at;
  for (let i = 0; i < n && p + 7 <= end; i++) {
    out.wifi(mac(bytes, p), dbm(bytes[p + 6]!));
    p += 7;
    if (named && p < end) p += 1 + bytes[p]!;
  }
}

export function mac(bytes: Bytes, at: number): string {
  let text = hex(bytes, at, at + 1);
  for (let i = 1; i < 6; i++) text += `:${hex(bytes, at + i, at + i + 1)}`;
  return text;
}

/** TERM, the terminal information byte (protocol.md section 4.4). */
export function terminal(term: number, out: FrameResult): void {
  out.attr(A.StatusBits, term);
  out.attr(A.Blocked, term >> 7);
  out.attr(A.GpsOn, (term >> 6) & 1);
  out.attr(A.Charging, (term >> 2) & 1);
  out.attr(A.Ignition, (term >> 1) & 1);
  out.attr(A.Armed, term & 1);
}

const LEVELS = Uint8Array.of(0, 16, 33, 50, 66, 83, 100);

/** VOLT: a level 0–6, or a percentage above that. */
export function voltage(level: number, out: FrameResult): void {
  if (level <= 100) out.attr(A.BatteryPct, level < 7 ? LEVELS[level]! : level);
}

/** GSM: bars up to 4, then what looks like CSQ, then percent; above 100 it is something else. */
export function gsm(level: number, out: FrameResult): void {
  if (level <= 4) out.attr(A.GsmLevel, level);
  else if (level <= 31) out.attr(A.GsmCsq, level);
  else if (level <= 100) out.attr(A.GsmPct, level);
}

/** Re-upload byte: 1 is stored and sent later, other values above 0 are not documented and kept raw. */
export function reupload(value: number, out: FrameResult, r: number): void {
  if (value === 1) out.flags[r] = RowFlag.Buffered;
  else if (value !== 0) out.attr(A.Reupload, value);
}

/** LANG of an alarm: 1 Chinese, 2 English. */
export function language(value: number, out: FrameResult): void {
  const low = value & 15;
  if (low === 1) out.attrText(A.AlarmLanguage, 'zh');
  else if (low === 2) out.attrText(A.AlarmLanguage, 'en');
}

/** A text, where there is one. */
export function texted(id: number, text: string, out: FrameResult): void {
  if (text !== '') out.attrText(id, text);
}

/** Bytes that no layout explains, as hexadecimal: all of a short frame, the first 250 of a long one. */
export function extra(bytes: Bytes, at: number, end: number, out: FrameResult): void {
  if (end > at) out.attrText(A.Extra, hex(bytes, at, Math.min(end, at + LONGEST_EXTRA)));
}

/** BCD digits with the one leading zero that pads an odd count of them dropped; nibbles above 9 stay as letters. */
export function identity(bytes: Bytes, at: number): string {
  const text = hex(bytes, at, at + 8);
  return text.charCodeAt(0) === 48 ? text.slice(1) : text;
}

/** 20 digits in 10 bytes; some devices swap the digits of every byte (protocol.md section 6.7, sub-type 0A). */
export function iccid(bytes: Bytes, at: number): string {
  let text = hex(bytes, at, at + 10);
  if (text.startsWith('98')) {
    let swapped = '';
    for (let i = 0; i < 20; i += 2) swapped += text.charAt(i + 1) + text.charAt(i);
    text = swapped;
  }
  return text.replace(/f+$/, '');
}
