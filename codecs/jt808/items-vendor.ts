import { type Bytes, hex, u16be, u32be } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { A, N } from './attributes.ts';
import { gbk, imei, plain, texted } from './identity.ts';
import { cellsGsm, cellsLte, cellsOf66, wifiList } from './network.ts';
import { battery, EVENTS_OF_ITEMS, ITEMS, Level, percent, signed15 } from './said.ts';

/** Items 50 to CF (protocol.md sections 7.2 and 8.1): by length and content. */
export function vendor(id: number, b: Bytes, p: number, n: number, out: FrameResult): void {
  switch (id) {
    case 0x50:
      if (n % 7 === 0) wifiList(b, p, n / 7, out);
      return;
    case 0x51:
      if (n === 2 || n === 16) temperatures(b, p, n, out);
      return;
    case 0x53:
      if (n === 1 + 8 * b[p]!) cellsGsm(b, p + 1, b[p]!, out);
      return;
    case 0x54:
      if (n === 1 + 7 * b[p]!) wifiList(b, p + 1, b[p]!, out);
      return;
    case 0x56:
      if (n === 2) charge(b[p]!, b[p + 1]!, out);
      return;
    case 0x57:
      if (n === 8) events57(b, p);
      return;
    case 0x5d:
      if (n === 1 + 10 * b[p]!) cellsLte(b, p + 1, b[p]!, out);
      return;
    case 0x60:
      if (n >= 2) event60(b, p, n, out);
      return;
    case 0x63:
      if (n % 11 === 0) slaveLocks(b, p, n, out);
      return;
    case 0xa7:
      if (n !== 4) return;
      out.attr(A.AnalogCenti, u16be(b, p));
      out.attr(A.AnalogCenti + 1, u16be(b, p + 2));
      return;
    default:
      driving(id, b, p, n, out);
  }
}

/** Items of driver assistance, driving and tyres. */
function driving(id: number, b: Bytes, p: number, n: number, out: FrameResult): void {
  switch (id) {
    case 0x64:
    case 0x65:
      if (n >= 32) assistance(id === 0x64 ? A.Adas : A.Dms, b, p, n, out);
      return;
    case 0x66:
      if (!tyreAlarm(b, p, n, out)) cellsOf66(b, p, n, out);
      return;
    case 0x67:
      // 8 bytes are the password of a lock: not read.
      if (n >= 30 && b[p + 4]! <= 2) out.attr(A.Bsd, b[p + 5]!);
      return;
    case 0x70:
      if (n >= 6) alarm70(b[p + 5]!, out);
      return;
    case 0x77:
      if (n % 8 === 0) tyres(b, p, n, out);
      return;
    default:
      identities(id, b, p, n, out);
  }
}

function identities(id: number, b: Bytes, p: number, n: number, out: FrameResult): void {
  switch (id) {
    case 0x6a:
      if (n === 1 && b[p]! <= 31) out.attr(A.GsmCsq, b[p]!);
      return;
    case 0x6c:
      if (n === 15) imei(plain(b, p, p + n), out);
      return;
    case 0x71:
      if (n === 20) out.attrText(A.Iccid, plain(b, p, p + n).replace(/[FK]+$/i, ''));
      return;
    case 0x91:
      if (n >= 23) engine(b, p, out);
      return;
    case 0x94:
      texted(A.Vin, plain(b, p, p + n), out);
      return;
    case 0xbc:
      texted(A.DriverName, gbk(b, p, p + n), out);
      return;
    case 0xbd:
      texted(A.DriverId, plain(b, p, p + n), out);
      return;
    case 0xcc:
      if (n === 20) out.attrText(A.Iccid, plain(b, p, p + n));
      return;
    default:
  }
}

/** n × 0.1 °C 2; FFFF: none */
function temperatures(b: Bytes, p: number, n: number, out: FrameResult): void {
  for (let i = 0; 2 * i < n; i++) if (u16be(b, p + 2 * i) !== 0xffff) out.attr(A.TemperatureDeci + i, signed15(b, p + 2 * i));
}

/** Tenths of the battery 1, percent 1 (some) */
function charge(tenths: number, exact: number, out: FrameResult): void {
  percent(exact >= 1 && exact <= 100 ? exact : tenths * 10, out);
}

/** code 2; 61 to 66: seven bytes, card 8 */
function event60(b: Bytes, p: number, n: number, out: FrameResult): void {
  const code = u16be(b, p);
  out.attr(A.EventCode, code);
  if (n === 17 && code >= 0x61 && code <= 0x66) texted(A.DriverId, plain(b, p + 9, p + 17), out);
}

/** Alarm of driver assistance or driver state: id 4, state 1, type 1, …, label 16 (some) */
function assistance(attribute: number, b: Bytes, p: number, n: number, out: FrameResult): void {
  out.attr(attribute, b[p + 5]!);
  if (n >= 47) out.attrText(A.AlarmLabel, hex(b, p + n - 16, p + n));
}

/** WORD events · WORD switches · DWORD alarms. */
function events57(b: Bytes, p: number): void {
  const events = u16be(b, p);
  if ((events & 0x100) !== 0) ITEMS.tell(EVENTS_OF_ITEMS.acceleration);
  if ((events & 0x200) !== 0) ITEMS.tell(EVENTS_OF_ITEMS.braking);
  if ((events & 0x400) !== 0) ITEMS.tell(EVENTS_OF_ITEMS.cornering);
  if ((u32be(b, p + 4) & 0x10000) !== 0) ITEMS.levels |= Level.Door;
}

/** alarm id 4, state 1, type 1 */
function alarm70(type: number, out: FrameResult): void {
  const { acceleration, braking, cornering, collision, idle } = EVENTS_OF_ITEMS;
  const event =
    type === 1 ? acceleration : type === 2 ? braking : type === 3 ? cornering : type === 4 ? idle : type === 0x16 ? collision : 0;
  if (event === 0) out.attr(A.EventCode, type);
  else ITEMS.tell(event, type);
}

/** n × (id 6, battery mV 2, seal 1, state 1, signal 1) */
function slaveLocks(b: Bytes, p: number, n: number, out: FrameResult): void {
  for (let i = 0; i < N && 11 * i < n; i++) {
    const at = p + 11 * i;
    out.attrText(A.LockId + i, hex(b, at, at + 6));
    out.attr(A.LockBattery + i, u16be(b, at + 6));
    out.attr(A.LockSealed + i, b[at + 8] === 0x31 ? 1 : 0);
  }
}

/**
 * Alarm of driver assistance: id 4, state 1, speed 1, altitude 2, place 8, time 6, vehicle status 2, label 16, count 1, then for each tyre its position 1,
 * alarms 2 and more: the alarms of the first. False for other bytes: a lock has cells under this id.
 */
function tyreAlarm(b: Bytes, p: number, n: number, out: FrameResult): boolean {
  const isAlarm = n >= 44 && b[p + 4]! <= 2 && b[p + 40]! > 0 && b[p + 17]! >= 1 && b[p + 17]! <= 0x12;
  if (isAlarm) out.attr(A.Tpms, u16be(b, p + 42));
  return isAlarm;
}

/** V × 10 (2), rpm 2, speed 1, throttle 1, load 1, coolant 1, two bytes, consumption × 100 (2), eight bytes, fuel used × 100 (2) */
function engine(b: Bytes, p: number, out: FrameResult): void {
  battery(A.BatteryDeci, u16be(b, p), out);
  out.attr(A.Rpm, u16be(b, p + 2));
  out.attr(A.ObdSpeed, b[p + 4]!);
  out.attr(A.ThrottleByte, b[p + 5]!);
  out.attr(A.LoadByte, b[p + 6]!);
  out.attr(A.Coolant, b[p + 7]! - 40);
  out.attr(A.FuelConsumptionCenti, u16be(b, p + 10));
  out.attr(A.FuelUsedCenti, u16be(b, p + 20));
}

/** n × (position 1, sensor 3, pressure 2, temperature 1, status 1) */
function tyres(b: Bytes, p: number, n: number, out: FrameResult): void {
  for (let at = p; at < p + n; at += 8) {
    const position = b[at]!;
    if (position === 0) continue;
    out.attr(A.TyrePressure + position, u16be(b, at + 4) & 0x3ff);
    out.attr(A.TyreTemperature + position, b[at + 6]!);
    out.attr(A.TyreStatus + position, b[at + 7]!);
  }
}
