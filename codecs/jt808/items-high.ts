import { type Bytes, hex, i8, i16be, u16be, u32be } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { aovxBeacons, aovxMore, aovxSensors } from './aovx.ts';
import { A, N } from './attributes.ts';
import { extended } from './extended.ts';
import { iccid, imei, imeiBcd, plain, texted } from './identity.ts';
import { jimi } from './jimi.ts';
import { addCell, cellsOfE1, cellsOfF0, wifiList } from './network.ts';
import { obdFields, obdText } from './obd.ts';
import { battery, EVENTS_OF_ITEMS, external, ITEMS, Level, percent, percentOrCharging } from './said.ts';
import type { Jt808State } from './state.ts';

/** Items D0 to EF (protocol.md section 8.1): by length and content. */
export function high(id: number, b: Bytes, p: number, n: number, state: Jt808State, out: FrameResult): void {
  switch (id) {
    case 0xd0:
      if (n === 4 && (u32be(b, p) & 8) !== 0) ITEMS.levels |= Level.Vibration;
      return;
    case 0xd4:
    case 0xe9:
      percentOrDriver(b, p, n, out);
      return;
    case 0xd5:
      if (n > 2 && n === 1 + 13 * b[p]!) locks(b, p + 1, b[p]!, out);
      return;
    case 0xda:
      if (n === 3) strap(b[p + 2]!, out);
      return;
    case 0xe1:
      if (n === 1) percentOrCharging(b[p]!, out);
      else if (n > 4 && (n - 4) % 8 === 0) cellsOfE1(b, p, n, out);
      return;
    case 0xe2:
      if (n === 4 && u32be(b, p) <= 20_000) out.attr(A.FuelDeci, u32be(b, p));
      return;
    case 0xe6:
      textOrProbes(b, p, n, out);
      return;
    case 0xe7:
      if (n === 8) alarmsOfE7(b, p, state);
      return;
    case 0xe8:
      if (n >= 4) jimi(b, p, p + n, state, out);
      return;
    case 0xea:
      if (n > 2) environment(b, p + 1, p + n, out);
      return;
    case 0xeb:
      extended(b, p, p + n, state, out);
      return;
    case 0xec:
      if (n % 7 === 0) wifiList(b, p, n / 7, out);
      return;
    default:
      supplies(id, b, p, n, out);
  }
}

function supplies(id: number, b: Bytes, p: number, n: number, out: FrameResult): void {
  switch (id) {
    case 0xe3:
      if (n !== 4 && n !== 6) return;
      percent(b[p + 1]!, out);
      battery(A.BatteryCenti, u16be(b, p + 2), out);
      return;
    case 0xe4:
      if (n !== 2) return;
      if (b[p] === 0) out.attr(A.Charging, 1);
      percent(b[p + 1]!, out);
      return;
    case 0xe5:
      if (n === 1) out.attr(A.Motion, b[p] === 0 ? 0 : 1);
      return;
    case 0xed:
      texted(A.DriverId, plain(b, p, p + n), out);
      return;
    case 0xee:
      if (n !== 6) return;
      if (b[p]! <= 31) out.attr(A.GsmCsq, b[p]!);
      external(A.ExternalMilli, u16be(b, p + 1), out);
      battery(A.BatteryMilli, u16be(b, p + 3), out);
      out.satellites[out.rows - 1] = b[p + 5]!;
      return;
    default:
  }
}

/** Items F0 to FF (protocol.md section 8.1). */
export function top(id: number, b: Bytes, p: number, n: number, state: Jt808State, out: FrameResult): void {
  switch (id) {
    case 0xf0:
      if (n > 0 && n % 13 === 0) cellsOfF0(b, p, n / 13, out);
      return;
    case 0xf1:
      if (n === 20) out.attrText(A.Iccid, plain(b, p, p + n));
      return;
    case 0xf2:
      firmwareOf(plain(b, p, p + n), state, out);
      return;
    case 0xf3:
      if (n === 1 && ITEMS.sixtyOne) state.learn('g10ls');
      if (n === 1 && state.is('g10ls')) out.attr(A.Armed, b[p] === 0 ? 0 : 1);
      else if (state.is('aovx')) aovxBeacons(b, p, p + n, out);
      else obdFields(b, p, p + n, out);
      return;
    case 0xf4:
      if (n === 2) alarmsOfF4(u16be(b, p), state, out);
      else if (n > 0 && n % 7 === 0) wifiList(b, p, n / 7, out);
      return;
    case 0xf6:
      itemF6(b, p, n, state, out);
      return;
    case 0xf7:
      itemF7(b, p, n, out);
      return;
    case 0xf8:
      if (n === 2 && ITEMS.environment) out.attr(A.TemperatureDeci + 1, u16be(b, p) - 500);
      else if (n === 2) out.attr(A.Steps, u16be(b, p));
      else if (n === 29) identities(b, p, out);
      return;
    default:
      last(id, b, p, n, state, out);
  }
}

function last(id: number, b: Bytes, p: number, n: number, state: Jt808State, out: FrameResult): void {
  switch (id) {
    case 0xf5:
      if (n === 6) for (let axis = 0; axis < 3; axis++) out.attr(A.AccelerationRaw + axis, i16be(b, p + 2 * axis));
      return;
    case 0xf9:
      if (n >= 2 && state.is('aovx')) aovxMore(b, p, p + n, out);
      return;
    case 0xfb:
      if (n > 1) texted(A.Container, plain(b, p, p + n), out);
      return;
    case 0xfc:
      if (n === 1) out.attrText(A.Geofence, String(b[p]!));
      return;
    case 0xfe:
      if (n === 1) percent(b[p]!, out);
      else if (n >= 6 && b[p] === 0x7c) alarmsOfFe(b, p, n, out);
      return;
    case 0xff:
      if (n === 12) addCell(u16be(b, p), u16be(b, p + 2), u32be(b, p + 8), u32be(b, p + 4), 0, out);
      return;
    default:
  }
}

/** third byte: strap, bit 2 motion, bit 3 cover */
function strap(value: number, out: FrameResult): void {
  out.attr(A.Strap, value & 1);
  out.attr(A.Motion, (value >> 2) & 1);
  out.attr(A.Cover, (value >> 3) & 1);
}

/** percent 1, or card 4 */
function percentOrDriver(b: Bytes, p: number, n: number, out: FrameResult): void {
  if (n === 1) percentOrCharging(b[p]!, out);
  else if (n === 4) out.attrText(A.DriverId, String(u32be(b, p)));
}

/** `$…` of an OBD unit, or probes */
function textOrProbes(b: Bytes, p: number, n: number, out: FrameResult): void {
  if (n > 11 && b[p] === 0x24) obdText(b, p, p + n, out);
  else if (n > 0 && n % 11 === 0) probes(b, p, n, out);
}

/** second byte: bit 0 vibration, bits 1 to 3 SOS */
function alarmsOfE7(b: Bytes, p: number, state: Jt808State): void {
  if (isC5(b, p)) state.learn('c5');
  if ((b[p + 1]! & 1) !== 0) ITEMS.levels |= Level.Vibration;
  if ((b[p + 1]! & 14) !== 0) ITEMS.levels |= Level.Sos;
}

function firmwareOf(firmware: string, state: Jt808State, out: FrameResult): void {
  texted(A.Firmware, firmware, out);
  const model = /^AOVX_([A-Za-z0-9]+)/.exec(firmware)?.[1];
  if (model === undefined) return;
  out.attrText(A.Model, model);
  state.learn('aovx');
}

/** IMEI 8, air pressure 2, mode and charging of a G10LS 4, or the sensors of an AOVX */
function itemF6(b: Bytes, p: number, n: number, state: Jt808State, out: FrameResult): void {
  if (n === 8 && imeiBcd(b, p) !== '') imei(imeiBcd(b, p), out);
  else if (n === 2 && !state.is('aovx')) {
    ITEMS.environment = true;
    out.attr(A.AirPressure, u16be(b, p));
  } else if (n === 4 && state.is('g10ls')) {
    out.attr(A.Mode, b[p]!);
    out.attr(A.Charging, b[p + 3]! & 1);
  } else if (state.is('aovx')) aovxSensors(b, p, p + n, out);
}

/** humidity 2, or a battery */
function itemF7(b: Bytes, p: number, n: number, out: FrameResult): void {
  if (n === 2) {
    ITEMS.environment = true;
    out.attr(A.HumidityDeci, u16be(b, p));
  } else if (n >= 4) batteryOfF7(b, p, n, out);
}

/** mode 1 | IMEI 8 | ICCID 10 | model 10 */
function identities(b: Bytes, p: number, out: FrameResult): void {
  out.attr(A.Mode, b[p]!);
  if (imeiBcd(b, p + 1) !== '') imei(imeiBcd(b, p + 1), out);
  out.attrText(A.Iccid, iccid(b, p + 9));
  texted(A.Model, plain(b, p + 19, p + 29), out);
}

/** Items E4 (2), E5 (1) and E6 (1) stand in front of this E7. */
function isC5(b: Bytes, p: number): boolean {
  return b[p - 5] === 0xe6 && b[p - 4] === 1 && b[p - 8] === 0xe5 && b[p - 7] === 1 && b[p - 12] === 0xe4 && b[p - 11] === 2;
}

/** (id 1, length 1, value)…: 13 light, 14 air pressure, 15 humidity × 10, 16 temperature × 10 + 500 */
function environment(b: Bytes, p: number, q: number, out: FrameResult): void {
  for (let at = p; at + 2 <= q; at += 2 + b[at + 1]!) {
    if (b[at + 1] !== 2 || at + 4 > q) continue;
    const value = u16be(b, at + 2);
    if (b[at] === 0x13) out.attr(A.Illuminance, value);
    else if (b[at] === 0x14) out.attr(A.AirPressure, value);
    else if (b[at] === 0x15) out.attr(A.HumidityDeci, value);
    else if (b[at] === 0x16) out.attr(A.TemperatureDeci, value - 500);
  }
}

/** G10LS: acceleration, deceleration, braking, turn, collision, rollover, two inputs, from bit 0. */
function alarmsOfF4(bits: number, state: Jt808State, out: FrameResult): void {
  if (ITEMS.sixtyOne) state.learn('g10ls');
  if (!state.is('g10ls')) return;
  const { acceleration, braking, cornering, collision } = EVENTS_OF_ITEMS;
  if ((bits & 0x30) !== 0) ITEMS.tell(collision);
  if ((bits & 1) !== 0) ITEMS.tell(acceleration);
  if ((bits & 6) !== 0) ITEMS.tell(braking);
  if ((bits & 8) !== 0) ITEMS.tell(cornering);
  out.attr(A.Input, (bits >> 6) & 1);
  out.attr(A.Input + 1, (bits >> 7) & 1);
}

/** n × (id 5, card 5, battery % 1, state 2) */
function locks(b: Bytes, p: number, count: number, out: FrameResult): void {
  for (let i = 0; i < N && i < count; i++) {
    const at = p + 13 * i;
    out.attrText(A.LockId + i, hex(b, at, at + 5));
    out.attrText(A.LockCard + i, hex(b, at + 5, at + 10));
    if (b[at + 10]! <= 100) out.attr(A.LockPct + i, b[at + 10]!);
    out.attr(A.LockLocked + i, (b[at + 12]! & 0x20) !== 0 ? 0 : 1);
  }
}

/** n × (index 1, MAC 6, temperature 2, humidity 2), each a signed whole part and 1/255. */
function probes(b: Bytes, p: number, n: number, out: FrameResult): void {
  for (let at = p; at < p + n; at += 11) {
    const index = b[at]! - 1;
    if (index < 0 || index >= N) continue;
    out.attr(A.TemperatureWhole + index, parts(b, at + 7));
    out.attr(A.HumidityWhole + index, parts(b, at + 9));
  }
}

function parts(b: Bytes, at: number): number {
  const whole = i8(b, at);
  return whole < 0 ? whole - b[at + 1]! / 255 : whole + b[at + 1]! / 255;
}

/** mV 4 · state 1 (2, 3: charging) · percent 1 */
function batteryOfF7(b: Bytes, p: number, n: number, out: FrameResult): void {
  battery(A.BatteryMilli, u32be(b, p), out);
  if (n >= 5) out.attr(A.Charging, b[p + 4] === 2 || b[p + 4] === 3 ? 1 : 0);
  if (n >= 6) percent(b[p + 5]!, out);
}

/** 7C, then (id 1, length 1, value)…; percent in the last byte. */
function alarmsOfFe(b: Bytes, p: number, n: number, out: FrameResult): void {
  const { acceleration, braking, cornering, collision } = EVENTS_OF_ITEMS;
  if (b[p + 1] === 1 && b[p + 2] === 4 && n >= 7) {
    const bits = u32be(b, p + 3);
    if ((bits & 8) !== 0) ITEMS.tell(collision);
    if ((bits & 1) !== 0) ITEMS.tell(acceleration);
    if ((bits & 2) !== 0) ITEMS.tell(braking);
    if ((bits & 4) !== 0) ITEMS.tell(cornering);
    if ((bits & 16) !== 0) ITEMS.levels |= Level.Tamper;
  }
  percent(b[p + n - 1]!, out);
}
