import { type Bytes, u16be, u32be } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import { iccid, imei, plain, texted } from './identity.ts';
import { addCell, signal } from './network.ts';
import { battery, EVENTS_OF_ITEMS, external, ITEMS, Level, percent } from './said.ts';
import type { Jt808State } from './state.ts';

/**
 * Item EB (protocol.md section 8.3), the first that fits: a zone as text `UTC+08:00`; cells MCC 2, MNC 1, n × (LAC 2, CID 2, signal 1); the list of
 * BSJ, SeeWorld and Huabao: length 2 (of id and value), id 2, value.
 */
export function extended(b: Bytes, p: number, q: number, state: Jt808State, out: FrameResult): void {
  const n = q - p;
  if (n < 4) return;
  if (b[p] === 0x55 && b[p + 1] === 0x54 && b[p + 2] === 0x43) {
    zone(plain(b, p, q).replaceAll(' ', ''), state, out);
    return;
  }
  if (u16be(b, p) > 200 && (n - 3) % 5 === 0) {
    for (let at = p + 3; at < q; at += 5) addCell(u16be(b, p), b[p + 2]!, u16be(b, at), u16be(b, at + 2), signal(b[at + 4]!), out);
    return;
  }
  let known = false;
  for (let at = p; at + 4 <= q; ) {
    const length = u16be(b, at);
    if (length < 2 || at + 2 + length > q) break;
    known = field(u16be(b, at + 2), b, at + 4, length - 2, out) || known;
    at += 2 + length;
  }
  if (known) state.learn('bsj');
}

function zone(text: string, state: Jt808State, out: FrameResult): void {
  const found = /^UTC([+-])(\d{1,2}):(\d{2})$/.exec(text);
  if (found === null) return;
  state.learn('jimi');
  out.attrText(A.TimeZone, text.slice(3));
  const ms = (Number(found[2]) * 60 + Number(found[3])) * 60_000;
  ITEMS.zoneMs = found[1] === '-' ? -ms : ms;
}

/** True for a field that only this list has. */
function field(id: number, b: Bytes, p: number, n: number, out: FrameResult): boolean {
  switch (id) {
    case 0x0001:
      if (n >= 2) out.attr(A.FuelDeci, u16be(b, p));
      return false;
    case 0x0023:
      if (n === 6) secondFuel(plain(b, p, p + n), out);
      return false;
    case 0x0024:
      cellText(plain(b, p, p + n), out);
      return true;
    case 0x002d:
      return supply(b, p, n, out);
    case 0x0089:
      if (n === 4) alarms(u32be(b, p));
      return n === 4;
    case 0x00a8:
    case 0x00e1:
      if (n >= 1) percent(b[p]!, out);
      return true;
    case 0x00b2:
      if (n === 10) out.attrText(A.Iccid, iccid(b, p));
      return n === 10;
    case 0x00b9:
      accessPoints(plain(b, p + 1, p + n), out);
      return true;
    case 0x00c5:
      if (n === 4) states(u32be(b, p), out);
      return n === 4;
    case 0x00c6:
      if (n === 1) batteryState(b[p]!);
      return true;
    case 0x00ce:
      if (n === 2) external(A.ExternalCenti, u16be(b, p), out);
      return true;
    case 0x00d5:
      if (n === 15) imei(plain(b, p, p + n), out);
      return true;
    case 0x00d8:
      cells(b, p, n, out);
      return true;
    default:
      locator(id, b, p, n, out);
      return false;
  }
}

/** Fields of locators: signal 1, satellites 1, version and ICCID as texts. */
function locator(id: number, b: Bytes, p: number, n: number, out: FrameResult): void {
  if (id === 0x0030 && n === 1 && b[p]! <= 31) out.attr(A.GsmCsq, b[p]!);
  else if (id === 0x0031 && n === 1) out.satellites[out.rows - 1] = b[p]!;
  else if (id === 0x00a3) texted(A.Firmware, plain(b, p, p + n).replace(/;+$/, ''), out);
  else if (id === 0x00fb && n >= 19 && n <= 22) out.attrText(A.Iccid, plain(b, p, p + n));
}

/** MCC 2, MNC 1, LAC 2, CID 4; or MCC 2, MNC 2, number 1, n × (LAC 2, CID 4, signal 1) */
function cells(b: Bytes, p: number, n: number, out: FrameResult): void {
  if (n === 9) addCell(u16be(b, p), b[p + 2]!, u16be(b, p + 3), u32be(b, p + 5), 0, out);
  else if (n > 5 && n === 5 + 7 * b[p + 4]!)
    for (let at = p + 5; at < p + n; at += 7)
      addCell(u16be(b, p), u16be(b, p + 2), u16be(b, at), u32be(b, at + 2), signal(b[at + 6]!), out);
}

/** external mV 4, or battery mV 2 */
function supply(b: Bytes, p: number, n: number, out: FrameResult): boolean {
  if (n === 4) external(A.ExternalMilli, u32be(b, p), out);
  else if (n === 2) battery(A.BatteryMilli, u16be(b, p), out);
  return n === 4 || n === 2;
}

function secondFuel(text: string, out: FrameResult): void {
  if (/^\d+(\.\d+)?$/.test(text)) out.attr(A.FuelSecond, Number(text));
}

/** 3, 4: low */
function batteryState(value: number): void {
  if (value === 3 || value === 4) ITEMS.levels |= Level.LowBattery;
}

/** A bit that is 0 is an alarm; a word of zeros is not used. Some last, and are levels. */
function alarms(word: number): void {
  if (word === 0) return;
  const low = (bit: number): boolean => ((word >>> bit) & 1) === 0;
  const { acceleration, braking, cornering, collision } = EVENTS_OF_ITEMS;
  if (low(12)) ITEMS.levels |= Level.Tamper;
  if (low(0) || low(30) || low(31)) ITEMS.levels |= Level.Switched;
  ITEMS.jammed = low(30) || low(31);
  if (low(4)) ITEMS.tell(collision);
  if (low(8)) ITEMS.tell(acceleration);
  if (low(9)) ITEMS.tell(braking);
  if (low(25)) ITEMS.tell(cornering);
}

function states(word: number, out: FrameResult): void {
  if (((word >>> 6) & 1) === 0) ITEMS.levels |= Level.Vibration;
  if (((word >>> 14) & 1) === 0) ITEMS.levels |= Level.Tamper;
  const moving = (word >>> 23) & 3;
  if (moving < 2) out.attr(A.Motion, moving === 0 ? 1 : 0);
}

/** `460;00;10369;48488910` */
function cellText(text: string, out: FrameResult): void {
  const [mcc = 0, mnc = 0, lac = 0, cid = 0] = text.split(';').map(Number);
  if ([mcc, mnc, lac, cid].every((value) => Number.isInteger(value) && value >= 0 && value <= 0xfffffff))
    addCell(mcc, mnc, lac, cid, 0, out);
}

/** `mac,rssi,mac,rssi…` */
function accessPoints(text: string, out: FrameResult): void {
  const parts = text.split(',');
  for (let i = 0; i + 1 < parts.length && i < 10; i += 2) {
    const address = (parts[i] ?? '').toLowerCase().replaceAll(/[: ]/g, '');
    const dbm = Number(parts[i + 1]);
    if (/^[0-9a-f]{12}$/.test(address)) out.wifi(address.replace(/(..)(?=.)/g, '$1:'), dbm < 0 && dbm >= -128 ? Math.round(dbm) : 0);
  }
}
