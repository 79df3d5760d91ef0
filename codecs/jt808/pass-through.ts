import { type Bytes, u16be, u32be } from '../../src/base/wire/index.ts';
import { eventIndex, FrameKind, type FrameResult, RowFlag } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import type { Content, Header } from './frame.ts';
import { gbk, plain } from './identity.ts';
import { bcdTime, place } from './location.ts';
import { obdText } from './obd.ts';
import type { Jt808State } from './state.ts';

const COLLISION = eventIndex('collision');
const DRIVER_IDENTIFIED = eventIndex('driver_identified');
/** Alarms of F0 sub 03. */
const ALARMS: ReadonlyMap<number, number> = new Map([
  [0x01, eventIndex('power_restored')],
  [0x02, eventIndex('power_cut')],
  [0x0e, eventIndex('idle')],
  [0x1a, eventIndex('harsh_acceleration')],
  [0x1b, eventIndex('harsh_braking')],
  [0x1c, eventIndex('harsh_cornering')],
  [0x25, eventIndex('overspeed')],
  [0x26, COLLISION],
  [0x27, COLLISION],
  [0x28, COLLISION],
  [0x31, eventIndex('door')],
  [0x32, eventIndex('door')],
]);
/** Events of F0 sub 15. */
const EVENTS: ReadonlyMap<number, number> = new Map([
  [0x51, eventIndex('harsh_acceleration')],
  [0x52, eventIndex('harsh_braking')],
  [0x53, eventIndex('harsh_cornering')],
  [0x56, COLLISION],
]);

/** 0x0900: type 1, content (protocol.md section 10). */
export function passThrough(c: Content, h: Header, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  const { p, q } = h;
  if (q - p < 2) return;
  const type = b[p]!;
  if (type === 0xf0) {
    if (isDate(b, p + 1, q)) vehicle(c, p + 1, q, state, out);
    else textOf(c, p, p + 1, q, FrameKind.Reply, out);
  } else if (type === 0x40 && q - p > 3) serial(c, p, p + 3, q, out);
  else if (type === 0x41 || type === 0x42) serial(c, p, p + 1, q, out);
  else if (type === 0xf3) collision(c, p, q, state, out);
}

function isDate(b: Bytes, at: number, q: number): boolean {
  return at + 6 <= q && !Number.isNaN(bcdTime(b, at, 0));
}

function row(c: Content, p: number, q: number, kind: FrameKind, out: FrameResult): number {
  const r = out.row();
  out.from[r] = c.placeOf(p);
  out.to[r] = c.placeOf(q);
  out.kind = kind;
  return r;
}

function textOf(c: Content, from: number, p: number, q: number, kind: FrameKind, out: FrameResult): void {
  row(c, from, q, kind, out);
  const text = gbk(c.bytes, p, q);
  if (kind === FrameKind.Reply) out.replyText = text;
  out.attrText(kind === FrameKind.Reply ? A.Reply : A.ExternalData, text);
}

/** Text of a serial port: a card (`GTSL|6|1|0|10218094|1|`), a line of OBD values, or anything else. */
function serial(c: Content, from: number, p: number, q: number, out: FrameResult): void {
  const b = c.bytes;
  const text = plain(b, p, q);
  if (text.startsWith('$OBD-RT,')) {
    row(c, from, q, FrameKind.Status, out);
    obdText(b, p, q, out);
    return;
  }
  const card = /^GTSL\|\d+\|\d+\|\d+\|(\w+)\|/.exec(text)?.[1];
  if (card === undefined) {
    textOf(c, from, p, q, FrameKind.Status, out);
    return;
  }
  const r = row(c, from, q, FrameKind.Status, out);
  out.attrText(A.DriverId, card);
  out.event[r] = DRIVER_IDENTIFIED;
}

/** F3: (id 2, length 2, value)…: 0006 time. */
function collision(c: Content, p: number, q: number, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  const r = row(c, p, q, FrameKind.Status, out);
  out.event[r] = COLLISION;
  for (let at = p + 1; at + 4 <= q; ) {
    const n = u16be(b, at + 2);
    if (at + 4 + n > q) return;
    if (u16be(b, at) === 6 && n === 6) out.time[r] = bcdTime(b, at + 4, state.zoneMs);
    at += 4 + n;
  }
}

/** F0 of VL502 and VJT units: time 6, stored 1, vehicle type 1, sub 1, … (protocol.md section 10.3). */
function vehicle(c: Content, p: number, q: number, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  if (p + 9 > q) return;
  state.learn('obd');
  const r = row(c, p, q, FrameKind.Status, out);
  out.time[r] = bcdTime(b, p, state.zoneMs);
  if (b[p + 6]! > 0) out.flags[r] = RowFlag.Buffered;
  const sub = b[p + 8]!;
  const at = p + 9;
  if (sub === 0x01) located(b, data(b, at, q, out), q, out, r);
  else if (sub === 0x03) located(b, alarms(b, at, q, out, r), q, out, r);
  else if (sub === 0x0b && at + 18 <= q && b[at] !== 0) out.attrText(A.Vin, plain(b, at + 1, at + 18));
  else if (sub === 0x15 && at + 4 <= q) {
    out.attr(A.EventCode, u32be(b, at));
    out.event[r] = EVENTS.get(u32be(b, at)) ?? 0;
  }
}

/** status 4, latitude 4, longitude 4 */
function located(b: Bytes, at: number, q: number, out: FrameResult, r: number): void {
  if (at < 0 || at + 12 > q) return;
  const status = u32be(b, at);
  out.attr(A.StatusBits, status);
  out.attr(A.Ignition, status & 1);
  place(u32be(b, at + 4), u32be(b, at + 8), status, out, r);
  if (!Number.isNaN(out.latitude[r]!)) out.kind = FrameKind.Records;
}

/** count 1, n × (id 2, length 1, value); the offset behind, -1 when it does not fit. */
function data(b: Bytes, p: number, q: number, out: FrameResult): number {
  if (p >= q) return -1;
  let at = p + 1;
  for (let i = 0; i < b[p]!; i++) {
    if (at + 3 > q || at + 3 + b[at + 2]! > q) return -1;
    value(u16be(b, at), b, at + 3, b[at + 2]!, out);
    at += 3 + b[at + 2]!;
  }
  return at;
}

function alarms(b: Bytes, p: number, q: number, out: FrameResult, r: number): number {
  if (p >= q) return -1;
  let at = p + 1;
  for (let i = 0; i < b[p]!; i++) {
    if (at + 2 > q || at + 2 + b[at + 1]! > q) return -1;
    out.attr(A.EventCode, b[at]!);
    if (out.event[r] === 0) out.event[r] = ALARMS.get(b[at]!) ?? 0;
    at += 2 + b[at + 1]!;
  }
  return at;
}

function value(id: number, b: Bytes, p: number, n: number, out: FrameResult): void {
  if (n === 4) {
    if (id === 0x0102 || id === 0x0528 || id === 0x0546) out.attr(A.OdometerHundredM, u32be(b, p));
    else if (id === 0x0105 || id === 0x052c) out.attr(A.FuelUsedCenti, u32be(b, p));
  } else if (n === 2) {
    if (id === 0x0530) out.attr(A.ExternalMilli, u16be(b, p));
    else if (id === 0x0535) out.attr(A.ObdSpeedDeci, u16be(b, p));
    else if (id === 0x0536) out.attr(A.Rpm, u16be(b, p));
    else if (id === 0x052d) out.attr(A.Coolant, u16be(b, p) - 40);
    else if (id === 0x052e) out.attr(A.OutsideC, u16be(b, p) - 40);
  } else if (n === 1) {
    if (id === 0x052b) out.attr(A.FuelPct, b[p]!);
    else if (id === 0x052d) out.attr(A.Coolant, b[p]! - 40);
    else if (id === 0x052e) out.attr(A.OutsideC, b[p]! - 40);
    else if (id === 0x0547 || id === 0x0548) out.attr(A.Throttle, b[p]!);
    else if (id === 0x0111) out.attr(A.FuelTemperature, b[p]! - 40);
  } else if (id === 0xfeec) out.attrText(A.Vin, plain(b, p, p + n));
}
