import { ascii, type Bytes, fraction, hex, hexNumber, i8, i16be, i32be, u16be, u32be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { DOOR, DRIVER_IDENTIFIED } from './alarms.ts';
import { Form, ticket } from './answer.ts';
import { A, SENSORS } from './attributes.ts';
import { date6, extra, iccid, identity, lbs, mac, texted } from './blocks.ts';
import { type Message, status } from './message.ts';
import { signals, textOrHex } from './module-list.ts';
import type { Gt06State } from './state.ts';

/**
 * 0x94 (protocol.md section 6.7): sub-type 1 | data. The short form holds u16 / 100 V alone. No sub-type is answered. Sub-types without a published
 * layout (01–03, 06, 0E, 22) are kept as hexadecimal.
 */
export function information(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < 1 || (!m.long && size !== 2)) return;
  const r = status(m, FrameKind.Status, out);
  if (!m.long) {
    out.attr(A.ExternalCentivolts, u16be(bytes, p));
    return;
  }
  const at = p + 1;
  const n = q - at;
  switch (bytes[p]!) {
    case 0x00:
      supply(bytes, at, n, out);
      return;
    case 0x04:
      settings(bytes, at, q, out);
      return;
    case 0x05:
      door(bytes, m, state, out, r);
      return;
    case 0x08:
      out.attrText(A.SelfCheck, ascii(bytes, at, q));
      return;
    case 0x09:
      gnss(bytes, at, q, out);
      return;
    case 0x0a:
      identities(bytes, at, n, out);
      return;
    case 0x0b:
      network(bytes, at, n, out);
      return;
    case 0x0d:
      fuelProbe(bytes, m, state, out, r);
      return;
    case 0x11:
      if (n >= 1) out.attr(A.VibrationCount, n >= 2 ? u16be(bytes, at) : bytes[at]!);
      return;
    case 0x15:
      temperatures(bytes, at, q, out);
      return;
    case 0x1b:
      driver(rfid(bytes, at, q), out, r);
      return;
    case 0x1e:
      climate(bytes, at, n, out);
      return;
    case 0x21:
      if (n >= 6) out.attrText(A.BluetoothMac, mac(bytes, at));
      return;
    case 0x23:
      // A key: its presence is told, its bytes are not.
      out.attr(A.ModuleType, 0x23);
      return;
    default:
      out.attr(A.ModuleType, bytes[p]!);
      extra(bytes, at, q, out);
  }
}

/** 94/00: external u16 / 100 V; or the same of the second analogue input and 1. */
function supply(bytes: Bytes, at: number, n: number, out: FrameResult): void {
  if (n >= 2) out.attr(n === 3 && bytes[at + 2] === 1 ? A.Adc2Centivolts : A.ExternalCentivolts, u16be(bytes, at));
}

/** 94/0A: IMEI 8 | IMSI 8 | ICCID 10. */
function identities(bytes: Bytes, at: number, n: number, out: FrameResult): void {
  if (n >= 8) out.attrText(A.Imei, identity(bytes, at));
  if (n >= 16) out.attrText(A.Imsi, identity(bytes, at + 8));
  if (n >= 26) out.attrText(A.Iccid, iccid(bytes, at + 16));
}

/** 94/0B: 1 of a 4G network; or external u16 / 100 V. */
function network(bytes: Bytes, at: number, n: number, out: FrameResult): void {
  if (n === 1) out.attr(A.Network4g, bytes[at] === 1 ? 1 : 0);
  else if (n >= 2) out.attr(A.ExternalCentivolts, u16be(bytes, at));
}

/** 94/1E: temperature s32 / 10 | humidity s32 / 10. */
function climate(bytes: Bytes, at: number, n: number, out: FrameResult): void {
  if (n >= 4) out.attr(A.TemperatureDeci, i32be(bytes, at));
  if (n >= 8) out.attr(A.HumidityDeci, i32be(bytes, at + 4));
}

const SETTINGS = new Map<string, number>([
  ['ALM1', A.Alm1],
  ['ALM2', A.Alm2],
  ['ALM3', A.Alm3],
  ['ALM4', A.Alm4],
  ['STA1', A.Sta1],
  ['DYD', A.Dyd],
]);
const SETTING_TEXTS = new Map<string, number>([
  ['SOS', A.Sos],
  ['CENTER', A.Center],
  ['FENCE', A.Fence],
  ['MODE', A.Mode],
  ['ICCID', A.Iccid],
  ['MIFI', A.Mifi],
]);

/** 94/04: `key=value;…`. Two hex digits, or text. */
function settings(bytes: Bytes, at: number, end: number, out: FrameResult): void {
  let p = at;
  while (p < end) {
    let stop = p;
    while (stop < end && bytes[stop] !== 0x3b) stop++;
    let equals = p;
    while (equals < stop && bytes[equals] !== 0x3d) equals++;
    if (equals < stop) setting(ascii(bytes, p, equals), bytes, equals + 1, stop, out);
    p = stop + 1;
  }
}

function setting(key: string, bytes: Bytes, at: number, end: number, out: FrameResult): void {
  const bits = SETTINGS.get(key);
  if (bits !== undefined) {
    const value = end - at <= 8 ? hexNumber(bytes, at, end) : -1;
    if (value < 0) return;
    out.attr(bits, value);
    if (key === 'DYD') out.attr(A.Blocked, (value >> 1) & 1);
    else if (key === 'STA1') out.attr(A.Armed, (value >> 7) & 1);
    return;
  }
  const text = SETTING_TEXTS.get(key);
  if (text === undefined) return;
  const value = ascii(bytes, at, text === A.Iccid ? withoutFiller(bytes, end) : end).trim();
  texted(text, value, out);
}

/** The end of the digits of an ICCID, behind which F fills the last byte. In front of them stands `=`. */
function withoutFiller(bytes: Bytes, end: number): number {
  let to = end;
  while ((bytes[to - 1]! | 0x20) === 0x66) to--;
  return to;
}

/** 94/05: DT6 or nothing | bits: 0 door open, 1 trigger polarity, 2 IO level. */
function door(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult, r: number): void {
  let p = m.p + 1;
  if (m.q - p >= 7) {
    dated(bytes, p, m, state, out, r);
    p += 6;
  }
  if (p >= m.q) return;
  const bits = bytes[p]!;
  out.attr(A.IoBits, bits);
  out.attr(A.Door, bits & 1);
  out.event[r] = DOOR;
}

/** The row has a time of its own: its identity needs no serial. */
function dated(bytes: Bytes, at: number, m: Message, state: Gt06State, out: FrameResult, r: number): void {
  date6(bytes, at, state.utcMs, out, r);
  out.to[r] = m.q;
}

const MODES = ['off', 'searching', '2d', '3d', 'sleep'] as const;

/** 94/09: mode 1 | used n, n × SNR | visible m, m × SNR | the same for BDS | extension. */
function gnss(bytes: Bytes, at: number, end: number, out: FrameResult): void {
  if (at >= end) return;
  out.attrText(A.GnssStatus, MODES[bytes[at]!] ?? 'unknown');
  let p = at + 1;
  let used = 0;
  let visible = 0;
  const snr: number[] = [];
  for (let list = 0; list < 4 && p < end; list++) {
    const n = bytes[p]!;
    if (p + 1 + n > end) break;
    if (list % 2 === 0) {
      used += n;
      for (let i = 0; i < n; i++) snr.push(bytes[p + 1 + i]!);
    } else visible += n;
    p += 1 + n;
    // The mode of the second system stands in front of its lists.
    if (list === 1 && p < end) p++;
  }
  out.attr(A.Satellites, used);
  out.attr(A.SatellitesVisible, visible);
  if (snr.length > 0) out.attrText(A.Snr, snr.join(','));
}

/**
 * 94/0D: DT6 or nothing | text with commas: `!AIOIL`, address, output level cm, temperature °C, versions, status digits, measured
 * level cm, motion (0 moving), excitation count, checksum.
 */
function fuelProbe(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult, r: number): void {
  const end = m.q;
  let p = m.p + 1;
  if (end - p > 6 && bytes[p] !== 0x21) {
    dated(bytes, p, m, state, out, r);
    p += 6;
  }
  for (let field = 0; p <= end; field++) {
    let stop = p;
    while (stop < end && bytes[stop] !== 0x2c) stop++;
    const value = fraction(bytes, p, stop);
    if (!Number.isNaN(value)) {
      if (field === 2) out.attr(A.Fuel, value);
      else if (field === 3) out.attr(A.FuelTemperature, value);
      else if (field === 6) out.attr(A.FuelMeasured, value);
      else if (field === 7) out.attr(A.Motion, value === 0 ? 1 : 0);
    }
    p = stop + 1;
  }
}

/** 94/15: count 1 | n × (ROM id 8, temperature s16 / 100). */
function temperatures(bytes: Bytes, at: number, end: number, out: FrameResult): void {
  if (at >= end) return;
  const n = Math.min(bytes[at]!, SENSORS);
  for (let i = 0, p = at + 1; i < n && p + 10 <= end; i++, p += 10) out.attr(A.TemperatureCenti + i, i16be(bytes, p + 8));
}

/** 94/1B: `02 08 id 4 check 03`, ASCII (perhaps behind `RFID:`), or a plain id of 8 bytes. */
function rfid(bytes: Bytes, at: number, end: number): string {
  if (end - at === 8 && bytes[at] === 2 && bytes[at + 1] === 8 && bytes[end - 1] === 3) return hex(bytes, at + 2, at + 6);
  const text = tag(bytes, at, end);
  return text.startsWith('RFID:') ? text.slice(5) : text;
}

/** A tag as readers send it: between 02 and 03, with CR LF behind it, or in binary (then as hexadecimal). */
function tag(bytes: Bytes, at: number, end: number): string {
  let from = at;
  let to = withoutLineEnd(bytes, at, end);
  if (to - from > 2 && bytes[from] === 2 && bytes[to - 1] === 3) {
    from++;
    to--;
  }
  return textOrHex(bytes, from, to);
}

function withoutLineEnd(bytes: Bytes, at: number, end: number): number {
  let to = end;
  while (to > at && (bytes[to - 1] === 0x0a || bytes[to - 1] === 0x0d)) to--;
  return to;
}

function driver(id: string, out: FrameResult, r: number): void {
  if (id === '') return;
  out.attrText(A.DriverId, id);
  out.event[r] = DRIVER_IDENTIFIED;
}

/** 0x14: count 1 | n × SNR 1. */
export function satellites(bytes: Bytes, m: Message, out: FrameResult): void {
  const { p, size } = m;
  if (size < 1) return;
  status(m, FrameKind.Status, out);
  out.attr(A.SatellitesVisible, bytes[p]!);
  signals(bytes, p + 1, Math.min(bytes[p]!, size - 1), out);
}

/** 0x9B: module type 1 (03: RFID) | data. A card is answered with 02 01: it was taken. Anything else is text or bytes of a sensor. */
export function externalDevice(bytes: Bytes, m: Message, out: FrameResult): void {
  if (m.size < 1) return;
  const r = status(m, FrameKind.Status, out);
  const type = bytes[m.p]!;
  out.attr(A.ModuleType, type);
  const end = withoutLineEnd(bytes, m.p + 1, m.q);
  texted(A.ExternalData, textOrHex(bytes, m.p + 1, end), out);
  const id = type === 3 ? card(bytes, m.p + 1, end) : '';
  if (id === '') return;
  driver(id, out, r);
  ticket(out, Form.TagTaken, m.number, m.serial);
}

/** Hexadecimal digits as readers print a card, perhaps behind `RFID:`. */
const CARD = /^[0-9A-Fa-f]{6,20}$/;

/** The number of a card in bytes[at, end), '' when they have not the form of one: hex digits, or 4 or 8 bytes that are not text. */
function card(bytes: Bytes, at: number, end: number): string {
  const id = rfid(bytes, at, end);
  if (!CARD.test(id)) return '';
  const framed = end - at > 2 && bytes[at] === 2 && bytes[end - 1] === 3;
  const size = framed ? end - at - 2 : end - at;
  const binary = id.length === 2 * size;
  return !binary || framed || ((size === 4 || size === 8) && !hasWord(bytes, at, end)) ? id : '';
}

/** Two printable characters in a row: a value with its unit, say, in whatever encoding. */
function hasWord(bytes: Bytes, at: number, end: number): boolean {
  for (let p = at + 1; p < end; p++) if (isPrintable(bytes[p - 1]!) && isPrintable(bytes[p]!)) return true;
  return false;
}

function isPrintable(byte: number): boolean {
  return byte >= 0x20 && byte < 0x7f;
}

/** 0x9C: device 1 | data. */
export function externalModule(bytes: Bytes, m: Message, out: FrameResult): void {
  if (m.size < 1) return;
  status(m, FrameKind.Status, out);
  out.attr(A.ModuleType, bytes[m.p]!);
  texted(A.ExternalData, textOrHex(bytes, m.p + 1, m.q), out);
}

/** 0x98 (protocol.md section 6.10): repeated `id 1, length 2, data`. Password and key (05, 06) are secrets and are not read. */
export function lockInformation(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  ticket(out, Form.LockInformation, m.number, m.serial);
  state.lock = true;
  status(m, FrameKind.Status, out);
  let p = m.p;
  while (p + 3 <= m.q) {
    const n = u16be(bytes, p + 1);
    const at = p + 3;
    if (at + n > m.q) return;
    const id = bytes[p]!;
    if (id === 0 && n === 8) out.attrText(A.Imei, identity(bytes, at));
    else if (id === 1 && n === 8) out.attrText(A.Imsi, identity(bytes, at));
    else if (id === 2 && n === 10) out.attrText(A.Iccid, iccid(bytes, at));
    else if (id === 3) texted(A.ChipId, hex(bytes, at, at + Math.min(n, 32)), out);
    else if (id === 4 && n === 6) out.attrText(A.BluetoothMac, mac(bytes, at));
    else if (id === 7) texted(A.Firmware, ascii(bytes, at, at + n).trim(), out);
    p = at + n;
  }
}

/** 0x84: no content, no known purpose. */
export function empty(m: Message, out: FrameResult): void {
  if (m.size === 0) out.kind = FrameKind.Heartbeat;
}

/** 0x41: terminal id 8 | unix time 4 | GPS 14 | cell 8 | media id 4 | total length 4 | type 1 | format 1 | event 1 | chunk index 2 | chunk. */
export function multimedia(bytes: Bytes, m: Message, out: FrameResult): void {
  const { p, size } = m;
  if (size < 47) return;
  const r = status(m, FrameKind.Status, out);
  unixTime(bytes, p + 8, m, out, r);
  lbs(bytes, p + 26, false, out);
  out.attr(A.MediaId, u32be(bytes, p + 34));
  out.attr(A.FileBytes, u32be(bytes, p + 38));
  out.attr(A.FileType, bytes[p + 42]!);
  out.attr(A.ChunkIndex, u16be(bytes, p + 45));
  if (bytes[p + 42] === 0) out.attr(A.ImageBytes, size - 47);
}

/** Unix seconds as the row's time; 0 is none. */
export function unixTime(bytes: Bytes, at: number, m: Message, out: FrameResult, r: number): void {
  const seconds = u32be(bytes, at);
  if (seconds === 0) return;
  out.time[r] = seconds * 1000;
  out.to[r] = m.q;
}

/** 0x8D: file type 1 | file length 4 | check type 1 | check 2 or 16 | chunk offset 4 | chunk length 2 | chunk | flag. */
export function file(bytes: Bytes, m: Message, out: FrameResult): void {
  const { p, q, size } = m;
  if (size < 6) return;
  const at = p + 6 + (bytes[p + 5] === 0 ? 2 : 16);
  if (at + 6 > q) return;
  status(m, FrameKind.Status, out);
  out.attr(A.FileType, bytes[p]!);
  out.attr(A.FileBytes, u32be(bytes, p + 1));
  out.attr(A.ChunkOffset, u32be(bytes, at));
}

/** 0xB2: DT6 | RSSI s8 | tag MAC 6 | UUID 16 | major 2 | minor 2 | battery u16 / 100 | state 1. */
export function beacon(bytes: Bytes, m: Message, state: Gt06State, out: FrameResult): void {
  const { p, size } = m;
  if (size < 36) return;
  const r = status(m, FrameKind.Status, out);
  dated(bytes, p, m, state, out, r);
  const rssi = i8(bytes, p + 6);
  if (rssi < 0) out.attr(A.BeaconRssi, rssi);
  out.attrText(A.BeaconMac, mac(bytes, p + 7));
  out.attrText(A.Uuid, hex(bytes, p + 13, p + 29));
  out.attr(A.BeaconBattery, u16be(bytes, p + 33));
  out.attr(A.Status, bytes[p + 35]!);
}
