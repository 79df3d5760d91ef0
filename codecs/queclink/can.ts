import { ascii, type Bytes } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import { fieldFrom, fieldTo, firstOf, hexadecimal, isHex, real, realBehind, textOf, whole, width } from './fields.ts';

/** Values of the vehicle's bus: GTCAN and the block of GTERI (protocol.md section 6.7), and GTOBD (protocol.md section 6.6). */

/** Bits whose value is a plain number; the others are read apart. */
const NUMBERS: ReadonlyMap<number, number> = new Map([
  [3, A.FuelUsed],
  [4, A.Rpm],
  [5, A.ObdSpeed],
  [6, A.Coolant],
  [9, A.Range],
  [10, A.Accelerator],
  [11, A.CanHours],
  [12, A.DrivingHours],
  [13, A.IdleHours],
  [14, A.IdleFuel],
  [15, A.AxleWeight],
  [20, A.OverspeedHours],
  [21, A.EngineOverspeedHours],
]);
const BITS: ReadonlyMap<number, number> = new Map([
  [16, A.Tachograph],
  [17, A.Indicators],
  [18, A.Lights],
  [19, A.Doors],
]);

const LETTER_H = 0x48;
const LETTER_L = 0x4c;
const LETTER_M = 0x4d;
const LETTER_P = 0x50;
const SLASH = 0x2f;

/** From the mask in field k on, before field `end`; returns the field behind what it read. Bits 22 to 28 differ by model. */
export function canBlock(bytes: Bytes, k: number, end: number, out: FrameResult): number {
  const mask = Math.max(0, hexadecimal(bytes, k));
  let p = k + 1;
  for (let bit = 0; bit < 22 && p < end; bit++) {
    if (((mask >>> bit) & 1) === 0) continue;
    canValue(bytes, p++, bit, out);
  }
  if (((mask / 0x20000000) & 1) === 0) return p;
  for (let ahead = p; ahead < p + 8 && ahead < end; ahead++) if (isHex(bytes, ahead, 8)) return secondMask(bytes, ahead, end, out);
  return p;
}

function canValue(bytes: Bytes, k: number, bit: number, out: FrameResult): void {
  const id = NUMBERS.get(bit);
  if (id !== undefined) {
    const value = real(bytes, k);
    if (!Number.isNaN(value)) out.attr(id, value);
    return;
  }
  const bits = BITS.get(bit);
  if (bits !== undefined) {
    const value = hexadecimal(bytes, k);
    if (value >= 0) out.attr(bits, value);
    return;
  }
  switch (bit) {
    case 0:
      vin(bytes, k, out);
      break;
    case 1:
      // 0 off, 1 on, 2 the engine runs.
      if (whole(bytes, k) >= 0 && whole(bytes, k) <= 2) out.attr(A.Ignition, whole(bytes, k) > 0 ? 1 : 0);
      break;
    case 2:
      // H: hectometres; I: impulses.
      if (firstOf(bytes, k) === LETTER_H && realBehind(bytes, k, 1) >= 0) out.attr(A.CanOdometerHundredM, realBehind(bytes, k, 1));
      break;
    case 7:
      consumption(bytes, k, out);
      break;
    case 8: {
      const value = realBehind(bytes, k, 1);
      if (!(value >= 0)) break;
      if (firstOf(bytes, k) === LETTER_P) out.attr(A.FuelPct, value);
      else if (firstOf(bytes, k) === LETTER_L) out.attr(A.FuelLitres, value);
      break;
    }
    default:
  }
}

/** `L/H1.5` litres an hour, `M12` litres a hundred kilometres. */
function consumption(bytes: Bytes, k: number, out: FrameResult): void {
  const first = firstOf(bytes, k);
  const isRate = first === LETTER_L && bytes[fieldFrom(k) + 1] === SLASH;
  const value = realBehind(bytes, k, isRate ? 3 : 1);
  if (!(value >= 0)) return;
  if (isRate) out.attr(A.FuelRate, value);
  else if (first === LETTER_M) out.attr(A.FuelConsumption, value);
}

/** Of the second mask: AdBlue, axles, how the vehicle is driven, and its drivers. */
function secondMask(bytes: Bytes, k: number, end: number, out: FrameResult): number {
  const mask = hexadecimal(bytes, k);
  let p = k + 1;
  for (let bit = 0; bit < 32 && p < end; bit++) {
    if (((mask >>> bit) & 1) === 0) continue;
    const text = width(p) > 0 && width(p) <= 64;
    if (bit === 0 && firstOf(bytes, p) === LETTER_P && realBehind(bytes, p, 1) >= 0) out.attr(A.AdBlue, realBehind(bytes, p, 1));
    else if (bit in DRIVING && !Number.isNaN(real(bytes, p))) out.attr(DRIVING[bit] ?? 0, real(bytes, p));
    else if (text && bit in DRIVERS) out.attrText(DRIVERS[bit] ?? 0, ascii(bytes, fieldFrom(p), fieldTo(p)).trim());
    p++;
  }
  return p;
}

const DRIVING: Readonly<Record<number, number>> = {
  1: A.AxleOne,
  2: A.AxleThree,
  3: A.AxleFour,
  8: A.EngineBraking,
  9: A.PedalBraking,
  10: A.KickDowns,
  11: A.EffectiveSpeedHours,
  12: A.CruiseHours,
  13: A.KickDownHours,
  14: A.BrakeApplications,
};

const DRIVERS: Readonly<Record<number, number>> = {
  15: A.DriverId,
  16: A.DriverTwo,
  17: A.DriverName,
  18: A.DriverTwoName,
  19: A.Plate,
};

function vin(bytes: Bytes, k: number, out: FrameResult): void {
  if (width(k) === 17) out.attrText(A.Vin, ascii(bytes, fieldFrom(k), fieldTo(k)));
}

const OBD_NUMBERS: ReadonlyMap<number, number> = new Map([
  [2, A.ObdMv],
  [4, A.Rpm],
  [5, A.ObdSpeed],
  [6, A.Coolant],
  [7, A.FuelConsumption],
  [8, A.ClearedKm],
  [9, A.MilKm],
  [11, A.DtcCount],
  [13, A.Throttle],
  [14, A.Load],
  [15, A.FuelPct],
  [16, A.ObdProtocol],
  [19, A.ObdOdometerKm],
]);

/** A field a bit from the mask in field k on, up to the position of bit 20, which the caller reads; returns the field behind. */
export function obdBlock(bytes: Bytes, k: number, end: number, out: FrameResult): number {
  const mask = Math.max(0, hexadecimal(bytes, k));
  let p = k + 1;
  for (let bit = 0; bit < 20 && p < end; bit++) {
    if (((mask >>> bit) & 1) === 0) continue;
    obdValue(bytes, p++, bit, out);
  }
  return p;
}

function obdValue(bytes: Bytes, k: number, bit: number, out: FrameResult): void {
  const id = OBD_NUMBERS.get(bit);
  if (id !== undefined) {
    const value = real(bytes, k);
    if (!Number.isNaN(value)) out.attr(id, value);
  } else if (bit === 0) vin(bytes, k, out);
  else if (bit === 1 && whole(bytes, k) >= 0) out.attr(A.ObdConnected, whole(bytes, k) > 0 ? 1 : 0);
  else if (bit === 10 && whole(bytes, k) >= 0) out.attr(A.Mil, whole(bytes, k) > 0 ? 1 : 0);
  else if (bit === 12) troubles(bytes, k, out);
}

/** Four hex digits each: the first two bits are the letter. */
function troubles(bytes: Bytes, k: number, out: FrameResult): void {
  const text = textOf(bytes, k, k + 1);
  if (text.length > 400 || text.length % 4 !== 0 || !/^[0-9A-Fa-f]+$/.test(text)) return;
  const codes: string[] = [];
  for (let p = 0; p < text.length; p += 4) {
    const value = Number.parseInt(text.slice(p, p + 4), 16);
    codes.push('PCBU'.charAt(value >> 14) + (value & 0x3fff).toString(16).toUpperCase().padStart(4, '0'));
  }
  out.attrText(A.Dtc, codes.join(','));
}
