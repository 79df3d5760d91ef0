import { type Bytes, u16be, u24be, u32be } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import { plain } from './identity.ts';
import { high, top } from './items-high.ts';
import { vendor } from './items-vendor.ts';
import { obdItems } from './obd.ts';
import { battery, external, ITEMS, percent, signed15 } from './said.ts';
import type { Jt808State } from './state.ts';

/**
 * Items `id 1, length 1, value` at b[p, q) (protocol.md sections 7 and 8). An id means what its length and content say; what no row matches is
 * skipped. One that runs past the end ends the list. All are of the last row.
 */
export function items(b: Bytes, p: number, q: number, state: Jt808State, out: FrameResult): void {
  if (q - p === OLD_FORM && !isList(b, p, q)) {
    oldForm(b, p, out);
    return;
  }
  for (let at = p; at + 2 <= q; ) {
    const id = b[at]!;
    const n = b[at + 1]!;
    const value = at + 2;
    if (value + n > q) return;
    // The content byte of item 80 stands in front of a list of its own.
    if (id === 0x80 && n === 1 && value + 1 < q) {
      obdItems(b, value + 1, q, out);
      return;
    }
    if (!isPlain(id, b, value, n, out)) other(id, b, value, n, state, out);
    at = value + n;
  }
}

const OLD_FORM = 18;

/** Do the items end where the body does? One byte may be left over. */
function isList(b: Bytes, p: number, q: number): boolean {
  let at = p;
  while (at + 2 <= q && b[at] !== 0x80) at += 2 + b[at + 1]!;
  return at <= q;
}

/** Two words, odometer km 4, battery 0.1 V 2, area 4, signal 1, three bytes (protocol.md section 6.1). */
function oldForm(b: Bytes, p: number, out: FrameResult): void {
  out.attr(A.OdometerKm, u32be(b, p + 4));
  battery(A.BatteryDeci, u16be(b, p + 8), out);
  signal(b[p + 14]!, out);
}

function signal(value: number, out: FrameResult): void {
  out.attr(value <= 31 ? A.GsmCsq : A.GsmRaw, value);
}

/** Items that are one number of this length, whatever the maker. */
const PLAIN: ReadonlyArray<readonly [id: number, length: number, attribute: number]> = [
  [0x01, 4, A.OdometerHundredM],
  [0x03, 2, A.ObdSpeedDeci],
  [0x04, 2, A.AlarmId],
  [0x14, 4, A.VideoAlarm],
  [0x15, 4, A.VideoLost],
  [0x16, 4, A.VideoBlocked],
  [0x17, 2, A.VideoStorage],
  [0x25, 4, A.Inputs],
  [0x33, 1, A.Mode],
  [0x52, 1, A.Rotation],
  [0x61, 2, A.ExternalCenti],
  [0x68, 2, A.BatteryPctCenti],
  [0x69, 2, A.BatteryCenti],
  [0x82, 2, A.ExternalDeci],
  [0xac, 4, A.OdometerM],
  [0xd3, 2, A.ExternalDeci],
  [0xd5, 2, A.BatteryCenti],
  [0xe1, 2, A.ExternalDeci],
  [0xe8, 3, A.LockStatus],
  [0xf1, 4, A.ExternalMilli],
  [0xf5, 2, A.Illuminance],
  [0xfe, 2, A.ExternalDeci],
  [0xfe, 4, A.OdometerM],
];
/** By id × 8 + length: the attribute. */
const ATTRIBUTE_OF = new Int32Array(256 * 8);
for (const [id, length, attribute] of PLAIN) ATTRIBUTE_OF[id * 8 + length] = attribute;

function isPlain(id: number, b: Bytes, p: number, n: number, out: FrameResult): boolean {
  const attribute = n < 8 ? ATTRIBUTE_OF[id * 8 + n]! : 0;
  if (attribute === 0) return false;
  const value = n === 1 ? b[p]! : n === 2 ? u16be(b, p) : n === 3 ? u24be(b, p) : u32be(b, p);
  if (id === 0x61) ITEMS.sixtyOne = true;
  if (attribute >= A.ExternalCenti && attribute <= A.ExternalMilli) external(attribute, value, out);
  else if (attribute === A.BatteryCenti) battery(attribute, value, out);
  else out.attr(attribute, value);
  return true;
}

function other(id: number, b: Bytes, p: number, n: number, state: Jt808State, out: FrameResult): void {
  if (id < 0x50) standard(id, b, p, n, out);
  else if (id < 0xd0) vendor(id, b, p, n, out);
  else if (id < 0xf0) high(id, b, p, n, state, out);
  else top(id, b, p, n, state, out);
}

function standard(id: number, b: Bytes, p: number, n: number, out: FrameResult): void {
  switch (id) {
    case 0x02:
      if (n === 2) fuel(u16be(b, p), out);
      return;
    case 0x05:
      if (n === 30) tyres(b, p, out);
      return;
    case 0x06:
      temperatureOrPercent(b, p, n, out);
      return;
    case 0x11:
      if (n === 5 && b[p] !== 0) geofence(b, p + 1, out);
      return;
    case 0x12:
      if (n !== 6) return;
      geofence(b, p + 1, out);
      ITEMS.leaves = b[p + 5] === 1;
      return;
    case 0x13:
      if (n === 7) geofence(b, p, out);
      return;
    case 0x18:
      if (n >= 2) out.attr(A.Behaviour, u16be(b, p));
      return;
    case 0x2a:
      if (n === 2) out.attr(A.SleepMode, b[p + 1]! & 3);
      return;
    case 0x2b:
      if (n === 4 && u32be(b, p) !== 0) analogs(b, p, out);
      return;
    case 0x30:
      if (n === 1) signal(b[p]!, out);
      return;
    case 0x31:
      if (n === 1) out.satellites[out.rows - 1] = b[p]!;
      return;
    case 0x33:
      lockText(b, p, n, out);
      return;
    default:
  }
}

/** bit 15: percent, else 0.1 l */
function fuel(value: number, out: FrameResult): void {
  out.attr((value & 0x8000) !== 0 ? A.FuelPct : A.FuelDeci, value & 0x7fff);
}

/** Temperature of the cargo 2, or percent 1 */
function temperatureOrPercent(b: Bytes, p: number, n: number, out: FrameResult): void {
  if (n === 2) out.attr(A.TemperatureWhole, signed15(b, p));
  else if (n === 1) percent(b[p]!, out);
}

/** 30 × pressure 1; FF: none */
function tyres(b: Bytes, p: number, out: FrameResult): void {
  for (let i = 0; i < 30; i++) if (b[p + i] !== 0xff) out.attr(A.TyreRaw + i, b[p + i]!);
}

/** 2 × 0.01 V 2 */
function analogs(b: Bytes, p: number, out: FrameResult): void {
  out.attr(A.AnalogCenti, u16be(b, p));
  out.attr(A.AnalogCenti + 1, u16be(b, p + 2));
}

/** The number of an area or a route, 4 */
function geofence(b: Bytes, p: number, out: FrameResult): void {
  out.attrText(A.Geofence, String(u32be(b, p)));
}

/** `*M00,45,113690B…`: behind the second comma a status, whose characters 3–5 are volts × 100. */
function lockText(b: Bytes, p: number, n: number, out: FrameResult): void {
  const found = /^\*M\d\d,\d\d,..(\d{3})/.exec(plain(b, p, p + n))?.[1];
  if (found !== undefined) {
    out.attr(A.BatteryCenti, Number(found));
    ITEMS.ownBattery = true;
  }
}
