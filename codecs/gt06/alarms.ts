import { type EventName, eventIndex, unknownEvent } from '../../src/codec/index.ts';
import { TERM_ALARMS, Variant } from './state.ts';

/** Alarm codes (protocol.md section 7). Codes with no standard event name stay `unknown_<code>`; `event_code` keeps every code. */
const BASE: ReadonlyArray<readonly [number, EventName]> = [
  [0x01, 'sos'],
  [0x02, 'power_cut'],
  [0x03, 'vibration'],
  [0x04, 'geofence_enter'],
  [0x05, 'geofence_exit'],
  [0x06, 'overspeed'],
  [0x07, 'movement'],
  [0x09, 'movement'],
  [0x0a, 'blind_spot_enter'],
  [0x0b, 'blind_spot_exit'],
  [0x0c, 'power_on'],
  [0x0e, 'low_external'],
  [0x0f, 'low_external'],
  [0x10, 'sim_change'],
  [0x11, 'power_off'],
  [0x12, 'low_external'],
  [0x13, 'tamper'],
  [0x14, 'door'],
  [0x15, 'low_battery'],
  [0x18, 'tamper'],
  [0x19, 'low_battery'],
  [0x1b, 'harsh_cornering'],
  [0x23, 'fall_down'],
  [0x24, 'power_restored'],
  [0x25, 'tamper'],
  [0x26, 'harsh_acceleration'],
  [0x27, 'harsh_braking'],
  [0x28, 'harsh_braking'],
  [0x29, 'harsh_acceleration'],
  [0x2a, 'harsh_cornering'],
  [0x2b, 'harsh_cornering'],
  [0x2c, 'collision'],
  [0x2d, 'collision'],
  [0x2e, 'harsh_cornering'],
  [0x30, 'harsh_braking'],
  [0x32, 'tamper'],
  [0x4c, 'harsh_cornering'],
  [0x53, 'fuel_drop'],
  [0x5b, 'temperature'],
  [0x5c, 'temperature'],
  [0xc9, 'idle'],
  [0xf0, 'harsh_acceleration'],
  [0xf1, 'harsh_braking'],
  [0xf2, 'collision'],
  [0xfe, 'ignition_on'],
  [0xff, 'ignition_off'],
  [0x107, 'jamming'],
  [0x10b, 'jamming'],
];

/** What single families mean by a code of the base table; undefined: something that has no standard event. */
const BY_VARIANT: ReadonlyArray<readonly [Variant, number, EventName | undefined]> = [
  [Variant.Vl103, 0x09, 'towing'],
  [Variant.Vl103, 0x0e, 'low_battery'],
  [Variant.Vl103, 0x28, 'power_off'],
  [Variant.Lw, 0x09, 'vibration'],
  [Variant.Lw, 0x18, 'collision'],
  [Variant.Lw, 0x19, 'harsh_acceleration'],
  [Variant.Seeworld, 0x09, 'vibration'],
  [Variant.Seeworld, 0x28, 'harsh_cornering'],
  [Variant.Seeworld, 0x29, 'collision'],
  // A fence, without saying whether it was entered or left.
  [Variant.Trx16i, 0x09, undefined],
  [Variant.MSeries, 0x44, 'harsh_acceleration'],
  [Variant.MSeries, 0x45, 'harsh_braking'],
  [Variant.MSeries, 0x46, 'harsh_cornering'],
  [Variant.MSeries, 0x47, 'collision'],
];

/** Camera events of message 95 (protocol.md section 6.11): codes of their own. */
const CAMERA: ReadonlyArray<readonly [number, EventName]> = [
  [0x01, 'sos'],
  [0x0e, 'low_battery'],
  [0x51, 'door'],
  [0x53, 'fuel_drop'],
  [0x76, 'temperature'],
  [0x80, 'vibration'],
  [0x87, 'overspeed'],
  [0x88, 'power_cut'],
  [0x90, 'harsh_acceleration'],
  [0x91, 'harsh_braking'],
  [0x92, 'harsh_cornering'],
  [0x93, 'collision'],
  [0xd4, 'driver_identified'],
  [0xd5, 'driver_identified'],
];

/** Codes of module 0034 below this one are reasons of an upload (protocol.md section 4.7), no events. */
export const UPLOAD_REASONS = 0x10;

/** Events of module 0034 (protocol.md section 6.12). */
const MODULAR: ReadonlyArray<readonly [number, EventName]> = [
  [0x10, 'door'],
  [0x12, 'tamper'],
  [0x14, 'geofence_enter'],
  [0x15, 'geofence_exit'],
  [0x16, 'temperature'],
  [0x1a, 'low_battery'],
  [0x1b, 'overspeed'],
  [0x1c, 'power_on'],
  [0x1d, 'power_off'],
  [0x20, 'vibration'],
  [0x21, 'power_cut'],
  [0x23, 'tamper'],
];

/** Alarm bits 5–3 of the terminal information byte (protocol.md section 4.4): used only when the alarm code is 0. */
const TERMINAL: ReadonlyArray<readonly [number, EventName]> = [
  [1, 'vibration'],
  [2, 'power_cut'],
  [3, 'low_battery'],
  [4, 'sos'],
  [5, 'power_off'],
  [7, 'tamper'],
];

const TABLES: readonly Int32Array[] = Object.values(Variant).map((variant) => {
  const t = table(0x200, BASE);
  for (const [of, code, name] of BY_VARIANT) if (of === variant) t[code] = name === undefined ? 0 : eventIndex(name);
  return t;
});
const CAMERA_TABLE = table(0x100, CAMERA);
const MODULAR_TABLE = table(0x100, MODULAR);
const TERMINAL_TABLE = table(8, TERMINAL);

function table(size: number, rows: ReadonlyArray<readonly [number, EventName]>): Int32Array {
  const t = new Int32Array(size);
  for (const [code, name] of rows) t[code] = eventIndex(name);
  return t;
}

/** Value of the event column for an alarm code; 0 for code 0. */
export function alarmEvent(code: number, variant: Variant): number {
  if (code === 0) return 0;
  return TABLES[variant]?.[code] || unknownEvent(code);
}

export function cameraEvent(code: number): number {
  return CAMERA_TABLE[code] || unknownEvent(code);
}

export function modularEvent(code: number): number {
  return MODULAR_TABLE[code] || unknownEvent(code);
}

export function terminalEvent(term: number, variant: Variant): number {
  const bits = (term >> 3) & 7;
  if (bits === 7 && variant === Variant.Vxt01) return eventIndex('overspeed');
  return TERMINAL_TABLE[bits] ?? 0;
}

/** Those of TERM_ALARMS that last, as bits; the others are over as soon as TERM tells another one. */
const LASTING = 0b0110;

/** The bit of the alarm in bits 5–3 of TERM; 0 for none and for those that no manual has. */
export function alarmBit(term: number): number {
  const alarm = (term >> 3) & 7;
  return alarm >= 1 && alarm <= TERM_ALARMS.length ? 1 << (alarm - 1) : 0;
}

/** The alarms that are on behind a heartbeat with this TERM, of those that were on before it. */
export function alarmsBehind(term: number, before: number): number {
  const bit = alarmBit(term);
  if (bit !== 0) return (before & LASTING) | bit;
  return ((term >> 3) & 7) === 0 ? 0 : before;
}

export const IGNITION_ON = eventIndex('ignition_on');
export const IGNITION_OFF = eventIndex('ignition_off');
export const DOOR = eventIndex('door');
export const LOW_BATTERY = eventIndex('low_battery');
export const POWER_OFF = eventIndex('power_off');
export const TAMPER = eventIndex('tamper');
export const SOS = eventIndex('sos');
export const POWER_CUT = eventIndex('power_cut');
export const POWER_RESTORED = eventIndex('power_restored');
export const VIBRATION = eventIndex('vibration');
export const DRIVER_IDENTIFIED = eventIndex('driver_identified');
