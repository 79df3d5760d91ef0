import { type Bytes, hex, u16be, u32be } from '../../src/base/wire/index.ts';
import { eventIndex, FrameKind, type FrameResult } from '../../src/codec/index.ts';
import { codeOf, Form, ticket } from './answer.ts';
import { A } from './attributes.ts';
import type { Content, Header } from './frame.ts';
import { gbk, iccid, plain, texted, utf16 } from './identity.ts';
import { isPlausible, LOCATION, locationRow, raise } from './location.ts';
import type { Jt808State } from './state.ts';
import { bcdTime } from './time.ts';

/** Messages other than locations (protocol.md section 9). */

const DRIVER_IDENTIFIED = eventIndex('driver_identified');

/** A row that is the whole message: without a time of its own its place in the journal names it. */
function status(c: Content, h: Header, kind: FrameKind, out: FrameResult): number {
  const r = out.row();
  out.from[r] = c.placeOf(h.p);
  out.to[r] = c.placeOf(h.q);
  out.kind = kind;
  return r;
}

/** 0x0002: empty, or battery % 1, CSQ 1, state 1, more. */
export function heartbeat(c: Content, h: Header, out: FrameResult): void {
  const b = c.bytes;
  const { p, q } = h;
  out.kind = FrameKind.Heartbeat;
  if (q - p < 2) return;
  status(c, h, FrameKind.Heartbeat, out);
  if (b[p]! <= 100) out.attr(A.BatteryPct, b[p]!);
  if (b[p + 1]! <= 31) out.attr(A.GsmCsq, b[p + 1]!);
  if (q - p === 3) out.attr(A.Mode, b[p + 2]!);
}

/** 0x0001: serial 2, id 2, result 1. */
export function universalReply(c: Content, h: Header, out: FrameResult): void {
  const b = c.bytes;
  if (h.q - h.p < 5) return;
  status(c, h, FrameKind.Reply, out);
  const serial = u16be(b, h.p);
  out.replyKey = serial === 0 ? -1 : serial;
  out.replyText = `${hex(b, h.p + 2, h.p + 4)} ${RESULTS[b[h.p + 4]!] ?? `result ${b[h.p + 4]!}`}`;
  out.attrText(A.Reply, out.replyText);
}

const RESULTS = ['ok', 'failed', 'message wrong', 'not supported'] as const;

/** Lengths of maker, model and terminal id by edition. */
const EDITIONS = { 2011: [5, 8, 7], 2013: [5, 20, 7], 2019: [11, 30, 30] } as const;

/** 0x0100: province 2, city 2, maker, model, terminal id, plate colour 1, plate (protocol.md section 9.1). */
export function register(c: Content, h: Header, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  const { p, q } = h;
  out.kind = FrameKind.Login;
  const n = q - p;
  const [maker, model, id] = EDITIONS[h.is2019 && n >= 76 ? 2019 : n >= 37 && !isLong2011(b, p, q) ? 2013 : 2011];
  const at = p + 4 + maker;
  if (at >= q) return;
  status(c, h, FrameKind.Login, out);
  named(plain(b, at, Math.min(q, at + model)), state, out);
  texted(A.TerminalId, plain(b, Math.min(q, at + model), Math.min(q, at + model + id)), out);
  const plate = at + model + id + 1;
  // Colour 0: a vehicle without a plate.
  if (plate < q) texted(b[plate - 1] === 0 && q - plate === 17 ? A.Vin : A.Plate, gbk(b, plate, q), out);
}

/** A body of 2011 with so long a plate that it could be of 2013: there, the model's padding is where the plate would begin. */
function isLong2011(b: Bytes, p: number, q: number): boolean {
  if (b[p + 24]! > 9) return false;
  for (let at = p + 17; at < p + 24; at++) if (!isAlphanumeric(b[at]!)) return false;
  for (let at = p + 25; at < q; at++) if (b[at]! <= 32) return false;
  return true;
}

function isAlphanumeric(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
}

/** The model says which maker's meanings hold (protocol.md section 13). */
function named(model: string, state: Jt808State, out: FrameResult): void {
  texted(A.Model, model, out);
  if (/^(JC|VL5)/.test(model)) state.learn('jimi');
  else if (/^BSJ/.test(model)) state.learn('bsj');
  else if (/^C5L?$/.test(model)) state.learn('c5');
  else if (/^W15L/.test(model)) state.learn('seeworld');
  else if (/^G10/.test(model)) state.learn('g10ls');
  else if (/^G-?(360|508)P/.test(model)) state.learn('padlock');
  else if (/^MV[78]10G/.test(model)) state.learn('mv');
}

/** 0x0102: the code; 2019: length 1, code, IMEI 15, software version 20. The code is not kept. */
export function authenticate(c: Content, h: Header, out: FrameResult): void {
  const b = c.bytes;
  const { p, q } = h;
  out.kind = FrameKind.Login;
  const isLong = h.is2019 && p + 1 + b[p]! + 15 <= q;
  const at = isLong ? p + 1 + b[p]! : q;
  if (plain(b, isLong ? p + 1 : p, at) !== codeOf(b, h.phoneAt, h.phoneBytes)) ticket(out, Form.OtherCode, h, b);
  if (!isLong) return;
  const imei = plain(b, at, at + 15);
  if (!/^\d{14,15}$/.test(imei)) return;
  if (out.deviceId === '') out.deviceId = imei;
  status(c, h, FrameKind.Login, out);
  out.attrText(A.Imei, imei);
  texted(A.Firmware, plain(b, at + 15, Math.min(q, at + 35)), out);
}

/** 0x0104: reply serial 2, count 1, n × (id 4, length 1, value), read to the end. */
export function parameters(c: Content, h: Header, out: FrameResult): void {
  const b = c.bytes;
  const { p, q } = h;
  if (q - p < 3) return;
  const said: string[] = [];
  for (let at = p + 3; at + 5 <= q; ) {
    const n = b[at + 4]!;
    const value = at + 5;
    if (value + n > q) break;
    const high = u16be(b, at) === 0 ? '' : hex(b, at, at + 2);
    said.push(`0x${high}${hex(b, at + 2, at + 4)}=${parameter(u32be(b, at), b, value, n)}`);
    at = value + n;
  }
  reply(c, h, u16be(b, p), said.join(', '), out);
}

/** Parameters that are texts, also when they have the length of a number: access points, hosts, telephone numbers, the plate, texts of AOVX. */
function isText(id: number): boolean {
  return (
    (id >= 0x10 && id <= 0x17) ||
    id === 0x1a ||
    id === 0x1d ||
    (id >= 0x40 && id <= 0x49 && (id < 0x45 || id > 0x47)) ||
    id === 0x83 ||
    id === 0xf030
  );
}

/** A number by its length, or text where it is printable, else hexadecimal. */
function parameter(id: number, b: Bytes, at: number, n: number): string {
  if (isText(id)) return gbk(b, at, at + n);
  if (n === 1) return String(b[at]!);
  if (n === 2) return String(u16be(b, at));
  if (n === 4) return String(u32be(b, at));
  for (let p = at; p < at + n; p++) if (b[p]! < 32 || b[p] === 127) return hex(b, at, at + n);
  return gbk(b, at, at + n);
}

function reply(c: Content, h: Header, serial: number, text: string, out: FrameResult): void {
  status(c, h, FrameKind.Reply, out);
  out.replyKey = serial > 0 ? serial : -1;
  out.replyText = text;
  out.attrText(A.Reply, text);
}

/** 0x6006: encoding 1, text. 0x1300: reply serial 2, UTF-16. 0x0701: length 4, text. */
export function textReply(c: Content, h: Header, out: FrameResult): void {
  const b = c.bytes;
  const { p, q } = h;
  if (h.id === 0x6006 && q - p >= 1) reply(c, h, 0, b[p] === 1 ? utf16(b, p + 1, q) : gbk(b, p + 1, q), out);
  else if (h.id === 0x1300 && q - p >= 2) reply(c, h, u16be(b, p), utf16(b, p + 2, q), out);
  else if (h.id === 0x0701 && q - p > 4) {
    for (let at = p + 4; at < q; at++) if (b[at]! < 9) return;
    reply(c, h, 0, gbk(b, p + 4, q), out);
  }
}

/** Lengths of maker, model and id in front of the ICCID of 0x0107, in the order in which they are tried. */
const LAYOUTS_2019 = [
  [5, 30, 30],
  [11, 30, 30],
  [5, 20, 7],
] as const;
const LAYOUTS = [
  [5, 20, 7],
  [5, 8, 7],
] as const;

/** 0x0107: type 2, maker, model, id, ICCID 10, hardware length 1 + text, firmware length 1 + text, GNSS 1, modem 1 (protocol.md section 9.4). */
export function attributes(c: Content, h: Header, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  const { p, q } = h;
  const layouts = h.is2019 ? LAYOUTS_2019 : LAYOUTS;
  const [maker, model, id] = layouts.find((sizes) => fitsAttributes(b, p + 2 + sizes[0] + sizes[1] + sizes[2], q)) ?? layouts[0];
  const sim = p + 2 + maker + model + id;
  if (sim + 11 > q) return;
  status(c, h, FrameKind.Reply, out);
  const modelText = plain(b, p + 2 + maker, p + 2 + maker + model);
  named(modelText, state, out);
  out.replyText = `attributes ${modelText}`;
  texted(A.TerminalId, plain(b, sim - id, sim), out);
  if (!/^0*$/.test(iccid(b, sim))) out.attrText(A.Iccid, iccid(b, sim));
  const hardware = sim + 11;
  const firmware = hardware + b[sim + 10]! + 1;
  if (firmware > q) return;
  texted(A.Hardware, gbk(b, hardware, firmware - 1), out);
  if (firmware + b[firmware - 1]! > q) return;
  const firmwareText = gbk(b, firmware, firmware + b[firmware - 1]!);
  texted(A.Firmware, firmwareText, out);
  out.replyText = `attributes ${modelText}, ${firmwareText}`;
}

/** Two bytes remain behind the texts; none to two are accepted. */
function fitsAttributes(b: Bytes, sim: number, q: number): boolean {
  const hardware = sim + 10;
  if (hardware >= q) return false;
  const firmware = hardware + 1 + b[hardware]!;
  if (firmware >= q) return false;
  const left = q - (firmware + 1 + b[firmware]!);
  return left >= 0 && left <= 2;
}

/** 0x0702: state 1, time 6, result 1, name length 1, name, licence 20, …; 2011: name length 1, name, id 20, …. */
export function driverCard(c: Content, h: Header, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  const { p, q } = h;
  if (q - p < 1) return;
  const old = b[p]! > 2;
  const r = status(c, h, FrameKind.Status, out);
  if (!old && q - p >= 7) out.time[r] = bcdTime(b, p + 1, state.zoneMs);
  const name = old ? p : p + 8;
  if (name >= q || (!old && (b[p] !== 1 || b[p + 7] !== 0))) return;
  const licence = name + 1 + b[name]!;
  if (licence > q) return;
  texted(A.DriverName, gbk(b, name + 1, licence), out);
  const driver = plain(b, licence, Math.min(q, licence + 20));
  if (driver === '') return;
  out.attrText(A.DriverId, driver);
  out.event[r] = DRIVER_IDENTIFIED;
}

/** 0x0800: id 4, type 1, format 1, event 1, channel 1. 0x0801: the same, location 28, data. The picture is stored raw and counted. */
export function media(c: Content, h: Header, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  const { p, q } = h;
  if (q - p < 8) return;
  // 2011 has no location there. One without a fix is all zeros.
  const located = h.id === 0x0801 && q - p >= 8 + LOCATION && (isPlausible(b, p + 8) || isZero(b, p + 8, p + 8 + LOCATION));
  const r = located ? locationRow(c, p + 8, p + 8 + LOCATION, false, state, out) : status(c, h, FrameKind.Status, out);
  out.attr(A.MediaEvent, b[p + 6]!);
  if (h.id === 0x0801) out.attr(A.ImageBytes, q - p - 8 - (located ? LOCATION : 0));
  if (!located) return;
  out.kind = FrameKind.Records;
  raise(h.is2019, state, out, r);
}

function isZero(b: Bytes, from: number, to: number): boolean {
  for (let p = from; p < to; p++) if (b[p] !== 0) return false;
  return true;
}

/** 0x2070: n × (time 6, x 2, y 2, z 2, each a sign bit and its size): the last one is kept (protocol.md section 9.7). */
export function acceleration(c: Content, h: Header, state: Jt808State, out: FrameResult): void {
  const b = c.bytes;
  const n = Math.floor((h.q - h.p) / 12);
  if (n < 1) return;
  const at = h.p + 12 * (n - 1);
  const r = status(c, h, FrameKind.Status, out);
  out.time[r] = bcdTime(b, at, state.zoneMs);
  for (let axis = 0; axis < 3; axis++) {
    const value = u16be(b, at + 6 + 2 * axis);
    out.attr(A.AccelerationRaw + axis, (value & 0x8000) !== 0 ? -(value & 0x7fff) + 0 : value);
  }
}
