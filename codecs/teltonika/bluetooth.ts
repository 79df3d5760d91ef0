import { ascii, type Bytes, hex, i8, i16be, u16be } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { bluetooth, bluetoothField, own } from './attributes.ts';

/**
 * Bluetooth lists in variable-length elements (protocol.md section 8.6).
 *
 * 1. Beacons and tags are numbered from 1 in the order of the record; a list in parts starts again in each record.
 * 2. A list that cannot be read to its end gives what was read; the caller keeps its bytes as well.
 */

const BEACON_ID = bluetoothField('beacon_#_id');
const BEACON_RSSI = bluetoothField('beacon_#_rssi_dbm');
const BEACON_BATTERY = bluetoothField('beacon_#_battery_v');
const BEACON_TEMPERATURE = bluetoothField('beacon_#_temperature_raw');
const TAG_ID = bluetoothField('tag_#_id');
const TAG_NAME = bluetoothField('tag_#_name');
const TAG_RSSI = bluetoothField('tag_#_rssi_dbm');
const TAG_BATTERY = bluetoothField('tag_#_battery_v');
const TAG_LOW_BATTERY = bluetoothField('tag_#_low_battery');
const TAG_TEMPERATURE = bluetoothField('tag_#_temperature_c');
const TAG_HUMIDITY = bluetoothField('tag_#_humidity_pct');
const TAG_MAGNET = bluetoothField('tag_#_magnet');
const TAG_MOTION = bluetoothField('tag_#_motion');
const TAG_MOVEMENTS = bluetoothField('tag_#_movements');
const TAG_PITCH = bluetoothField('tag_#_pitch_deg');
const TAG_ROLL = bluetoothField('tag_#_roll_deg');
const TAG_PROXIMITY = bluetoothField('tag_#_proximity');
const PART = own('beacon_part');
const PARTS = own('beacon_parts');

/** Types of advertisement structures (Bluetooth assigned numbers). */
const AD_NAME_SHORT = 0x08;
const AD_NAME = 0x09;
const AD_MANUFACTURER = 0xff;
/** More than a radio hears; the rest of a longer list stays in its bytes. */
const MAX_LISTED = 255;
/** First of four lists by distance: near, away, far away, lost. */
const PROXIMITY_NEAR = 10828;
const PROXIMITIES = ['near', 'away', 'far_away', 'lost'];

/** Numbers given so far in the record being read. */
const COUNT = { beacons: 0, tags: 0 };

/** Starts the numbering; called for each record before its variable-length elements. */
export function bluetoothStart(): void {
  COUNT.beacons = 0;
  COUNT.tags = 0;
}

/**
 * Beacon list, element 385; true when all of bytes[at, end) was read.
 * ```
 * part u4 · parts u4 · then per beacon: flags u8 · id 20 (iBeacon, bit 5) or 16 (Eddystone)
 *                                       · RSSI i8 (bit 0) · battery mV u16 (bit 1) · temperature u16 (bit 2)
 * ```
 */
export function readBeacons(bytes: Bytes, at: number, end: number, out: FrameResult): boolean {
  const parts = bytes[at]! & 15;
  if (parts > 1) {
    out.attr(PART, bytes[at]! >> 4);
    out.attr(PARTS, parts);
  }
  let p = at + 1;
  while (p < end) {
    const flags = bytes[p]!;
    const isIBeacon = (flags & 32) !== 0;
    const idBytes = isIBeacon ? 20 : 16;
    const size = 1 + idBytes + (flags & 1) + (flags & 2) + ((flags & 4) >> 1);
    if (p + size > end || COUNT.beacons === MAX_LISTED) return false;
    const attribute = bluetooth(++COUNT.beacons);
    out.attrText(attribute + BEACON_ID, isIBeacon ? iBeacon(bytes, p + 1) : eddystone(bytes, p + 1));
    p += 1 + idBytes;
    if ((flags & 1) !== 0) out.attr(attribute + BEACON_RSSI, i8(bytes, p++));
    if ((flags & 2) !== 0) {
      out.attr(attribute + BEACON_BATTERY, u16be(bytes, p));
      p += 2;
    }
    if ((flags & 4) !== 0) {
      out.attr(attribute + BEACON_TEMPERATURE, u16be(bytes, p));
      p += 2;
    }
  }
  return true;
}

/**
 * Lists of type-length-value blocks; true when all of bytes[at, end) was read.
 * ```
 * header u8 · then per tag: length u8 · sequence of (type u8 · length u8 · value)
 * ```
 */
export function readTags(bytes: Bytes, at: number, end: number, element: number, out: FrameResult): boolean {
  let p = at + 1;
  while (p < end) {
    const last = p + 1 + bytes[p]!;
    if (last > end || COUNT.tags === MAX_LISTED) return false;
    p++;
    if (p === last) continue;
    const attribute = bluetooth(++COUNT.tags);
    const proximity = PROXIMITIES[element - PROXIMITY_NEAR];
    if (proximity !== undefined) out.attrText(attribute + TAG_PROXIMITY, proximity);
    while (p < last) {
      if (p + 2 > last || p + 2 + bytes[p + 1]! > last) return false;
      const length = bytes[p + 1]!;
      tagValue(bytes, p + 2, length, bytes[p]!, attribute, out);
      p += 2 + length;
    }
  }
  return true;
}

/** One value of a tag; types and lengths that are not known are passed over. */
function tagValue(bytes: Bytes, at: number, length: number, type: number, attribute: number, out: FrameResult): void {
  switch (type) {
    case 0:
      if (length === 1) out.attr(attribute + TAG_RSSI, i8(bytes, at));
      return;
    case 1:
    case 15:
      if (length === 6) out.attrText(attribute + TAG_ID, address(bytes, at));
      else if (length === 16) out.attrText(attribute + TAG_ID, eddystone(bytes, at));
      else if (length === 20) out.attrText(attribute + TAG_ID, iBeacon(bytes, at));
      return;
    case 2:
      if (length === 0) return;
      if (isAdvertisement(bytes, at, at + length)) readAdvertisement(bytes, at, at + length, attribute, out);
      else readEye(bytes, at, at + length, attribute, out);
      return;
    case 5:
      tagName(bytes, at, at + length, attribute, out);
      return;
    case 6:
      if (length === 2) out.attr(attribute + TAG_TEMPERATURE, i16be(bytes, at));
      return;
    case 10:
      if (length === 2) out.attr(attribute + TAG_MOVEMENTS, u16be(bytes, at));
      return;
    case 12:
      if (length === 2) out.attr(attribute + TAG_ROLL, i16be(bytes, at));
      return;
    case 14:
      if (length === 2) out.attr(attribute + TAG_BATTERY, u16be(bytes, at));
      return;
    default:
      if (length === 1) tagByte(bytes, at, type, attribute, out);
  }
}

function tagByte(bytes: Bytes, at: number, type: number, attribute: number, out: FrameResult): void {
  const value = bytes[at]!;
  if (type === 7) out.attr(attribute + TAG_HUMIDITY, value);
  else if (type === 8) out.attr(attribute + TAG_MAGNET, value === 0 ? 0 : 1);
  else if (type === 9) out.attr(attribute + TAG_MOTION, value === 0 ? 0 : 1);
  else if (type === 11) out.attr(attribute + TAG_PITCH, i8(bytes, at));
  else if (type === 13) out.attr(attribute + TAG_LOW_BATTERY, value === 0 ? 0 : 1);
}

/**
 * Manufacturer data of an EYE sensor: flags u8, then what they announce.
 * ```
 * bit 0 temperature i16 0.01 °C · 1 humidity u8 % · 2 has a magnet sensor, whose state is bit 3
 *     4 u16: bit 15 moving, bits 14…0 movements · 5 pitch i8, roll i16 · 6 low battery · 7 battery u8: mV = 2000 + 10 × value
 * ```
 */
function readEye(bytes: Bytes, at: number, end: number, attribute: number, out: FrameResult): void {
  const flags = bytes[at]!;
  if (at + eyeSize(flags) > end) return;
  let p = at + 1;
  if ((flags & 1) !== 0) {
    out.attr(attribute + TAG_TEMPERATURE, i16be(bytes, p));
    p += 2;
  }
  if ((flags & 2) !== 0) out.attr(attribute + TAG_HUMIDITY, bytes[p++]!);
  if ((flags & 4) !== 0) out.attr(attribute + TAG_MAGNET, (flags >> 3) & 1);
  if ((flags & 16) !== 0) {
    const word = u16be(bytes, p);
    out.attr(attribute + TAG_MOTION, word >> 15);
    out.attr(attribute + TAG_MOVEMENTS, word & 0x7fff);
    p += 2;
  }
  if ((flags & 32) !== 0) {
    out.attr(attribute + TAG_PITCH, i8(bytes, p));
    out.attr(attribute + TAG_ROLL, i16be(bytes, p + 1));
    p += 3;
  }
  if ((flags & 64) !== 0) out.attr(attribute + TAG_LOW_BATTERY, 1);
  if ((flags & 128) !== 0) out.attr(attribute + TAG_BATTERY, 2000 + 10 * bytes[p]!);
}

/** Size of the EYE data at `at` by its flags. */
function eyeSize(flags: number): number {
  return 1 + ((flags & 1) << 1) + ((flags & 2) >> 1) + ((flags & 16) >> 3) + ((flags & 32) >> 5) * 3 + (flags >> 7);
}

/**
 * Value type 2 holds either EYE data or whole advertisement structures (length u8 · type u8 · data): those fill it to the last byte. Data that
 * happens to do so as well, without a manufacturer's structure in it, is EYE data if its flags account for every byte.
 */
function isAdvertisement(bytes: Bytes, at: number, end: number): boolean {
  let p = at;
  let maker = false;
  while (p < end) {
    const length = bytes[p]!;
    if (length === 0 || p + 1 + length > end) return false;
    if (bytes[p + 1] === AD_MANUFACTURER) maker = true;
    p += 1 + length;
  }
  return maker || at + eyeSize(bytes[at]!) !== end;
}

/** EYE data stands behind company 089A (least significant byte first) and version 1; other makers' data says nothing that is known. */
function readAdvertisement(bytes: Bytes, at: number, end: number, attribute: number, out: FrameResult): void {
  for (let p = at; p < end; p += 1 + bytes[p]!) {
    const last = p + 1 + bytes[p]!;
    const type = bytes[p + 1]!;
    if (type === AD_NAME_SHORT || type === AD_NAME) tagName(bytes, p + 2, last, attribute, out);
    else if (type === AD_MANUFACTURER && last - p > 5 && bytes[p + 2] === 0x9a && bytes[p + 3] === 0x08 && bytes[p + 4] === 1)
      readEye(bytes, p + 5, last, attribute, out);
  }
}

function tagName(bytes: Bytes, at: number, end: number, attribute: number, out: FrameResult): void {
  let last = at;
  while (last < end && bytes[last] !== 0) last++;
  if (last > at) out.attrText(attribute + TAG_NAME, ascii(bytes, at, last));
}

/** UUID : major : minor, in hex. */
function iBeacon(bytes: Bytes, at: number): string {
  return `${hex(bytes, at, at + 16)}:${hex(bytes, at + 16, at + 18)}:${hex(bytes, at + 18, at + 20)}`;
}

/** Namespace : instance, in hex. */
function eddystone(bytes: Bytes, at: number): string {
  return `${hex(bytes, at, at + 10)}:${hex(bytes, at + 10, at + 16)}`;
}

function address(bytes: Bytes, at: number): string {
  let text = hex(bytes, at, at + 1);
  for (let k = 1; k < 6; k++) text += `:${hex(bytes, at + k, at + k + 1)}`;
  return text;
}
