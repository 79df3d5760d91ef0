import { type Bytes, hex, i16be, u16be, u32be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { modularEvent, UPLOAD_REASONS } from './alarms.ts';
import { Form, ticket } from './answer.ts';
import { A, SENSORS } from './attributes.ts';
import { accOfWord, courseOf, dbm, extra, iccid, identity, mac, place } from './blocks.ts';
import { type Message, status } from './message.ts';
import { mainCell, type NumberModule, nearCells, numberModule, signals, unsigned } from './module-list.ts';

/**
 * 0x70 (protocol.md section 6.12): modules `id 2, length 2, data`, all about one moment: one record. A second position and a second event are records
 * of their own, which are their modules. A module that overruns the content ends the list; what is left is kept. Answered when module 1000
 * says so.
 */
export function modular(bytes: Bytes, m: Message, out: FrameResult): void {
  const { p, q } = m;
  if (p + 4 > q) return;
  const r = status(m, FrameKind.Status, out);
  let tags = 0;
  let places = 0;
  let events = 0;
  let at = p;
  while (at + 4 <= q) {
    const id = u16be(bytes, at);
    const n = u16be(bytes, at + 2);
    const data = at + 4;
    if (data + n > q) break;
    if (id === TAG) tags = tagModule(bytes, data, n, tags, out);
    else if (id === REPLY_WANTED) answer(bytes, data, n, m, out);
    else if (isPosition(id, n)) {
      if (places++ === 0) position(bytes, data, out, r);
    } else if (isEvent(id, n, bytes[data]!)) {
      if (events++ === 0) event(bytes, data, out, r);
    } else moduleOf(id, bytes, data, n, out, r);
    at = data + n;
  }
  extra(bytes, at, q, out);
  if (!Number.isNaN(out.time[r]!)) out.to[r] = q;
  if (places > 1 || events > 1) further(bytes, p, at, out);
}

/** Modules that are more than an attribute. */
const TAG = 0x007f;
const REPLY_WANTED = 0x1000;

/** not 0: an answer is wanted */
function answer(bytes: Bytes, p: number, n: number, m: Message, out: FrameResult): void {
  if (unsigned(bytes, p, n) !== 0) ticket(out, Form.Long, m.number, m.serial);
}

function isPosition(id: number, n: number): boolean {
  return id === 0x0033 && n === 18;
}

function isEvent(id: number, n: number, code: number): boolean {
  return id === 0x0034 && n >= 5 && code >= UPLOAD_REASONS;
}

/** A row for each position and each event behind the first in the modules bytes[at, end). */
function further(bytes: Bytes, at: number, end: number, out: FrameResult): void {
  let places = 0;
  let events = 0;
  for (let p = at; p < end; p += 4 + u16be(bytes, p + 2)) {
    const id = u16be(bytes, p);
    const n = u16be(bytes, p + 2);
    const isPlace = isPosition(id, n) && places++ > 0;
    const isEventToo = isEvent(id, n, bytes[p + 4]!) && events++ > 0;
    if (!isPlace && !isEventToo) continue;
    const r = out.row();
    out.from[r] = p;
    out.to[r] = p + 4 + n;
    if (isPlace) position(bytes, p + 4, out, r);
    else event(bytes, p + 4, out, r);
  }
}

/** Modules that are one number, by id. */
const NUMBERS: ReadonlyMap<number, NumberModule> = new Map([
  [0x000a, [1, A.SatellitesVisible]],
  [0x0016, [1, A.GsmCsq]],
  [0x0018, [2, A.BatteryCentivolts]],
  [0x0029, [0, A.Index]],
  [0x002b, [0, A.BootReason]],
  [0x002e, [4, A.OdometerM]],
  [0x0030, [0, A.WorkingMode]],
  [0x0031, [0, A.FenceState]],
]);

function moduleOf(id: number, bytes: Bytes, p: number, n: number, out: FrameResult, r: number): void {
  switch (id) {
    case 0x0000:
      return;
    case 0x0001:
      if (n === 8) out.attrText(A.Imei, identity(bytes, p));
      return;
    case 0x0002:
      if (n === 8) out.attrText(A.Imsi, identity(bytes, p));
      return;
    case 0x0003:
      if (n === 10) out.attrText(A.Iccid, iccid(bytes, p));
      return;
    case 0x0009:
      if (n === 1) out.satellites[r] = bytes[p]!;
      return;
    case 0x000b:
      signals(bytes, p, n, out);
      return;
    case 0x0011:
      mainCell(bytes, p, n, out);
      return;
    case 0x0012:
      nearCells(bytes, p, n, out);
      return;
    case 0x0013:
    case 0x0036:
      wifi(bytes, p, n, out);
      return;
    case 0x0028:
      if (n === 1) out.hdop[r] = bytes[p]! / 10;
      return;
    case 0x002a:
      if (n === 1) contacts(bytes[p]!, out);
      return;
    case 0x002c:
      if (n === 4) timeless(bytes, p, out, r);
      return;
    case 0x0034:
      if (n < 5) return;
      out.attr(A.UploadMode, bytes[p]!);
      timeless(bytes, p + 1, out, r);
      return;
    case 0x0035:
      if (n === 1 && bytes[p] === 1) out.flags[r] = out.flags[r]! | 1;
      return;
    default:
      numberModule(NUMBERS.get(id), id, bytes, p, n, out);
  }
}

/** low nibble: door, high nibble: tamper */
function contacts(value: number, out: FrameResult): void {
  out.attr(A.Door, (value & 15) === 0 ? 0 : 1);
  out.attr(A.Tamper, value >> 4 === 0 ? 0 : 1);
}

/** code 1 | unix 4 | length 1, data */
function event(bytes: Bytes, p: number, out: FrameResult, r: number): void {
  out.attr(A.EventCode, bytes[p]!);
  out.event[r] = modularEvent(bytes[p]!);
  timeless(bytes, p + 1, out, r);
}

/** unix 4, for a row that has no time */
function timeless(bytes: Bytes, at: number, out: FrameResult, r: number): void {
  if (Number.isNaN(out.time[r]!)) seconds(bytes, at, out, r);
}

function seconds(bytes: Bytes, at: number, out: FrameResult, r: number): void {
  const value = u32be(bytes, at);
  if (value !== 0) out.time[r] = value * 1000;
}

/** unix 4 | satellites 1 | altitude s16 m | latitude 4 | longitude 4 | speed 1 | course and status 2 */
function position(bytes: Bytes, p: number, out: FrameResult, r: number): void {
  out.kind = FrameKind.Records;
  seconds(bytes, p, out, r);
  out.satellites[r] = bytes[p + 4]!;
  out.altitudeM[r] = i16be(bytes, p + 5);
  const word = u16be(bytes, p + 16);
  out.speedKmh[r] = bytes[p + 15]!;
  out.courseDeg[r] = courseOf(word);
  place(u32be(bytes, p + 7), u32be(bytes, p + 11), word, out, r);
  accOfWord(word, out);
}

/** id 6 | battery mV 2 | % 1 | temperature s16 / 10 | humidity s16 / 10 | status 1; 7FFF: not told. Returns how many tags there are with it. */
function tagModule(bytes: Bytes, p: number, n: number, i: number, out: FrameResult): number {
  if (n < 14 || i >= SENSORS) return i;
  out.attrText(A.TagId + i, hex(bytes, p, p + 6));
  const battery = u16be(bytes, p + 6);
  if (battery !== 0x7fff) out.attr(A.TagBattery + i, battery);
  if (bytes[p + 8]! <= 100) out.attr(A.TagBatteryPct + i, bytes[p + 8]!);
  const temperature = i16be(bytes, p + 9);
  if (temperature !== 0x7fff) out.attr(A.TagTemperature + i, temperature);
  const humidity = i16be(bytes, p + 11);
  if (humidity !== 0x7fff && humidity >= 0) out.attr(A.TagHumidity + i, humidity);
  return i + 1;
}

function wifi(bytes: Bytes, p: number, n: number, out: FrameResult): void {
  if (n % 7 !== 0) return;
  for (let at = p; at < p + n; at += 7) out.wifi(mac(bytes, at), dbm(bytes[at + 6]!));
}
