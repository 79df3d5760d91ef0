import { type Bytes, u16be, u32be } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import { plain, texted } from './identity.ts';
import { external } from './said.ts';

/** The list behind item 80 (protocol.md section 8.2): (id 1, length 1, value) to the end of the body. */
export function obdItems(b: Bytes, p: number, q: number, out: FrameResult): void {
  for (let at = p; at + 2 <= q; ) {
    const n = b[at + 1]!;
    const value = at + 2;
    if (value + n > q) return;
    if (n === 1) byte(b[at]!, b[value]!, out);
    else if (n === 2) word(b[at]!, b, value, out);
    else long(b[at]!, b, value, n, out);
    at = value + n;
  }
}

function byte(id: number, value: number, out: FrameResult): void {
  if (id === 0x80) out.attr(A.ObdSpeed, value);
  else if (id === 0x83) out.attr(A.Load, value);
  else if (id === 0x84) out.attr(A.Coolant, value - 40);
  else if (id === 0x86) out.attr(A.Intake, value - 40);
  else if (id === 0x88) out.attr(A.IntakePressure, value);
  else if (id === 0x89) out.attr(A.Throttle, value);
  else if (id === 0x8e) out.attr(A.FuelPct, value);
}

function word(id: number, b: Bytes, at: number, out: FrameResult): void {
  const value = u16be(b, at);
  if (id === 0x02) out.attr(A.FuelDeci, value);
  else if (id === 0x03) out.attr(A.ObdSpeedDeci, value);
  else if (id === 0x56 && b[at + 1]! <= 100) out.attr(A.BatteryPct, b[at + 1]!);
  else if (id === 0x61) out.attr(A.ExternalCenti, value);
  else if (id === 0x69) out.attr(A.BatteryCenti, value);
  else if (id === 0x81) out.attr(A.Rpm, value);
  else if (id === 0x82) out.attr(A.ExternalDeci, value);
  else if (id === 0x85) out.attr(A.FuelConsumption, value);
  else if (id === 0x87) out.attr(A.IntakeFlow, value);
  else if (id === 0x8d) out.attr(A.TripKm, value);
}

function long(id: number, b: Bytes, at: number, n: number, out: FrameResult): void {
  if ((id === 0x01 || id === 0x8c) && n === 4) out.attr(A.OdometerHundredM, u32be(b, at));
  else if (id === 0x8b && n === 17) out.attrText(A.Vin, plain(b, at, at + n));
  else if (id === 0xa0) texted(A.Dtc, plain(b, at, at + n), out);
  else if (id === 0xcc && n === 20) out.attrText(A.Iccid, plain(b, at, at + n));
}

/** Fields of item F3 of OBD units (protocol.md section 8.6), by id: attribute and what is taken off. */
const WORDS: ReadonlyMap<number, readonly [attribute: number, less: number]> = new Map([
  [0x0002, [A.ObdSpeedDeci, 0]],
  [0x0003, [A.Rpm, 0]],
  [0x0004, [A.ExternalMilli, 0]],
  [0x0005, [A.OdometerHundredM, 0]],
  [0x0007, [A.FuelConsumptionDeci, 0]],
  [0x0008, [A.LoadDeci, 0]],
  [0x0009, [A.Coolant, 40]],
  [0x000b, [A.IntakePressure, 0]],
  [0x000c, [A.Intake, 40]],
  [0x000d, [A.IntakeFlow, 0]],
  [0x000e, [A.ThrottleByte, 0]],
  [0x0100, [A.TripHundredM, 0]],
  [0x0102, [A.TripFuelDeci, 0]],
  [0x0112, [A.Accelerations, 0]],
  [0x0113, [A.Decelerations, 0]],
  [0x0114, [A.Cornerings, 0]],
]);

/** (id 2, length 1, value)…, read only when the list ends where the item does. */
export function obdFields(b: Bytes, p: number, q: number, out: FrameResult): void {
  let at = p;
  while (at + 3 <= q) at += 3 + b[at + 2]!;
  if (at !== q) return;
  for (at = p; at < q; at += 3 + b[at + 2]!) {
    const id = u16be(b, at);
    const n = b[at + 2]!;
    const value = at + 3;
    const known = WORDS.get(id);
    if (known === undefined) {
      if (id === 0x0050 && n === 17) out.attrText(A.Vin, plain(b, value, value + n));
      continue;
    }
    const [attribute, less] = known;
    if (n !== 1 && n !== 2 && n !== 4) continue;
    const number = (n === 1 ? b[value]! : n === 2 ? u16be(b, value) : u32be(b, value)) - less;
    if (attribute === A.ExternalMilli) external(attribute, number, out);
    else out.attr(attribute, number);
  }
}

/** Fields of `$OBD-RT,…` (protocol.md section 10.2), by position. */
const FIELDS: ReadonlyArray<readonly [attribute: number, scale: number]> = [
  [A.ExternalVolts, 1],
  [A.Rpm, 1],
  [A.ObdSpeed, 1],
  [A.Throttle, 1],
  [A.Load, 1],
  [A.Coolant, 1],
  [A.FuelConsumption, 1],
  [0, 1],
  [A.TripM, 1000],
  [A.OdometerM, 1000],
  [A.TripFuel, 1],
  [A.FuelUsedLitres, 1],
];

export function obdText(b: Bytes, p: number, q: number, out: FrameResult): void {
  const [name, ...values] = plain(b, p, q)
    .split(',')
    .map((value) => value.trim());
  if (name !== '$OBD-RT') return;
  // The average stands for the present consumption where that is not said.
  if (values[6] === '') values[6] = values[7] ?? '';
  FIELDS.forEach(([attribute, scale], i) => {
    const text = values[i] ?? '';
    if (attribute !== 0 && /^-?\d{1,9}(\.\d{1,6})?$/.test(text)) out.attr(attribute, Number(text) * scale);
  });
}
