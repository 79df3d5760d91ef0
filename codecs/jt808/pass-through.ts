import { type Bytes, hex, i16be, i32be, u16be, u32be } from '../../src/base/wire/index.ts';
import { eventIndex, FrameKind, type FrameResult, RowFlag, unknownEvent } from '../../src/codec/index.ts';
import { aovxNodes, aovxSamples } from './aovx.ts';
import { A } from './attributes.ts';
import type { Content, Header } from './frame.ts';
import { gbk, plain, texted } from './identity.ts';
import { place, tellAll } from './location.ts';
import { obdText } from './obd.ts';
import { ITEMS } from './said.ts';
import type { Jt808State } from './state.ts';
import { bcdTime } from './time.ts';

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
/** Events of F0 sub 15: the numbers stand in the document without their base. */
const EVENTS: ReadonlyMap<number, number> = new Map([
  [51, eventIndex('harsh_acceleration')],
  [52, eventIndex('harsh_braking')],
  [53, eventIndex('harsh_cornering')],
  [56, COLLISION],
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
  else if (type === 0x53 || type === 0x54) aovx(c, p, q, state, out);
  else if (type === 0xff && q - p >= 21) history(c, p, q, state, out);
}

/** Time 6, latitude and longitude s32 × 10^6, altitude 2, speed 2, course 2 of the first point; those behind it are kept raw. */
function history(c: Content, p: number, q: number, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  if (!isDate(b, p + 1, q)) return;
  const [latitude, longitude] = [i32be(b, p + 7), i32be(b, p + 11)];
  const status = 2 | (latitude < 0 ? 4 : 0) | (longitude < 0 ? 8 : 0);
  const r = row(c, p, q, FrameKind.Records, out);
  out.time[r] = bcdTime(b, p + 1, state.zoneMs);
  out.flags[r] = RowFlag.Buffered;
  place(Math.abs(latitude), Math.abs(longitude), status, out, r);
  motion(b, p + 15, out, r);
}

/** Altitude 2, speed 2, course 2. */
function motion(b: Bytes, at: number, out: FrameResult, r: number): void {
  out.altitudeM[r] = i16be(b, at);
  out.speedKmh[r] = u16be(b, at + 2) / 10;
  if (u16be(b, at + 4) < 360) out.courseDeg[r] = u16be(b, at + 4);
}

/** Type 1, a location without its alarm word 24, then nodes (53) or samples of sensors (54) of AOVX trackers (protocol.md section 10.4). */
function aovx(c: Content, p: number, q: number, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  const end = p + 25;
  if (end > q) return;
  const status = u32be(b, p + 1);
  const r = row(c, p, b[p] === 0x53 ? q : end, FrameKind.Records, out);
  place(u32be(b, p + 5), u32be(b, p + 9), status, out, r);
  motion(b, p + 13, out, r);
  out.time[r] = bcdTime(b, p + 19, state.zoneMs);
  out.attr(A.StatusBits, status);
  out.attr(A.Ignition, status & 1);
  if (b[p] === 0x53) aovxNodes(b, end, q, out);
  else aovxSamples(c, end, q, state.zoneMs, out);
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
  texted(kind === FrameKind.Reply ? A.Reply : A.ExternalData, text, out);
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
  else if (sub === 0x02) located(b, troubleCodes(b, at, q, out), q, out, r);
  else if (sub === 0x03) {
    ITEMS.reset();
    located(b, alarms(b, at, q), q, out, r);
    tellAll(out, r);
  } else if (sub === 0x04 && at + 42 <= q && b[at] === 2) trip(b, at + 11, out);
  else if (sub === 0x0b && at + 18 <= q && b[at] !== 0) out.attrText(A.Vin, plain(b, at + 1, at + 18));
  else if (sub === 0x15 && at + 4 <= q) {
    out.attr(A.EventCode, u32be(b, at));
    out.event[r] = EVENTS.get(u32be(b, at)) ?? unknownEvent(u32be(b, at) & 0xffff);
  }
}

/** systems 2, each: id 4, codes 2, each: code 4, state 4, length 2, text; the offset behind, -1 when it does not fit. */
function troubleCodes(b: Bytes, p: number, q: number, out: FrameResult): number {
  if (p + 2 > q) return -1;
  const codes: string[] = [];
  let at = p + 2;
  for (let systems = u16be(b, p); systems > 0; systems--) {
    if (at + 6 > q) return -1;
    let left = u16be(b, at + 4);
    for (at += 6; left > 0; left--) {
      if (at + 10 > q || at + 10 + u16be(b, at + 8) > q) return -1;
      codes.push(troubleCode(b, at, at + 10 + u16be(b, at + 8)));
      at += 10 + u16be(b, at + 8);
    }
  }
  if (codes.length > 0) out.attrText(A.Dtc, codes.join(','));
  return at;
}

/** code 4, state 4, length 2, text: the text where it begins with a code of five characters, else the first field. */
function troubleCode(b: Bytes, at: number, end: number): string {
  const text = /^[PCBU][0-9A-F]{4}/.exec(plain(b, at + 10, Math.min(end, at + 32)))?.[0];
  if (text !== undefined) return text;
  const code = plain(b, at, at + 4);
  return code.length === 4 ? code : hex(b, at, at + 4);
}

/** Behind property 1, number 4 and start 6: end 6, places 16, flags 1, times idle 2, s idle 2, 0.1 km 2, 0.01 l 2 */
function trip(b: Bytes, p: number, out: FrameResult): void {
  out.attr(A.IdleSeconds, u16be(b, p + 25));
  out.attr(A.TripHundredM, u16be(b, p + 27));
  out.attr(A.TripFuelCenti, u16be(b, p + 29));
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

function alarms(b: Bytes, p: number, q: number): number {
  if (p >= q) return -1;
  let at = p + 1;
  for (let i = 0; i < b[p]!; i++) {
    if (at + 2 > q || at + 2 + b[at + 1]! > q) return -1;
    ITEMS.tell(ALARMS.get(b[at]!) ?? unknownEvent(b[at]!), b[at]!);
    at += 2 + b[at + 1]!;
  }
  return at;
}

/** Ids of F0 sub 01 (protocol.md section 10.3): attribute and what is taken off. Others keep their id. */
const VALUES: ReadonlyMap<number, readonly [attribute: number, less: number]> = new Map([
  [0x0102, [A.OdometerHundredM, 0]],
  [0x0103, [A.FuelCenti, 0]],
  [0x0105, [A.FuelUsedCenti, 0]],
  [0x0111, [A.FuelTemperature, 40]],
  [0x012e, [A.OilLevelDeci, 0]],
  [0x014a, [A.FuelConsumptionCenti, 0]],
  [0x0528, [A.OdometerHundredM, 0]],
  [0x052a, [A.FuelCenti, 0]],
  [0x052b, [A.FuelPct, 0]],
  [0x052c, [A.FuelUsedCenti, 0]],
  [0x052d, [A.Coolant, 40]],
  [0x052e, [A.OutsideC, 40]],
  [0x0530, [A.ExternalMilli, 0]],
  [0x0535, [A.ObdSpeedDeci, 0]],
  [0x0536, [A.Rpm, 0]],
  [0x0537, [A.FuelConsumptionCenti, 0]],
  [0x0538, [A.FuelConsumptionCenti + 1, 0]],
  [0x0539, [A.FuelConsumptionCenti + 2, 0]],
  [0x053d, [A.IntakePressureDeci, 0]],
  [0x0544, [A.LiquidLevel, 0]],
  [0x0546, [A.OdometerHundredM, 0]],
  [0x0547, [A.Throttle, 0]],
  [0x0548, [A.Throttle, 0]],
]);

function value(id: number, b: Bytes, p: number, n: number, out: FrameResult): void {
  if (id === 0xfeec) texted(A.Vin, plain(b, p, p + n), out);
  if (n !== 1 && n !== 2 && n !== 4) return;
  const raw = n === 1 ? b[p]! : n === 2 ? u16be(b, p) : u32be(b, p);
  const known = VALUES.get(id);
  if (known !== undefined) out.attr(known[0], raw - known[1]);
  else if (id < 0x1000) out.attr(A.Obd + id, raw);
}
