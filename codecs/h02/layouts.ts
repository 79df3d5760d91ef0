import { defineLayout, type Field, type Layout } from '../../src/codec/index.ts';
import { batteryPercent, isCharging } from './field.ts';
import { STATUS_BITS } from './status.ts';

/** The binary frames, field by field (protocol.md section 7). */

/** The conditions that a status word's cleared bits report. */
export function statusText(word: number): string {
  const present = STATUS_BITS.filter((_, bit) => ((word >>> bit) & 1) === 0);
  return present.length === 0 ? 'ACC on, nothing to report' : present.join(', ');
}

function batteryText(code: number): string {
  const percent = batteryPercent(code);
  return percent < 0 ? 'unknown or external power' : `${percent} %${isCharging(code) ? ', charging' : ''}`;
}

const position: readonly Field[] = [
  { name: 'HHMMSS', type: 'bytes', length: 3 },
  { name: 'DDMMYY', type: 'bytes', length: 3 },
  { name: 'latitude DDMMmmmm', type: 'bytes', length: 4 },
];
const rest: readonly Field[] = [
  { name: 'longitude DDDMMmmmm, flags', type: 'bytes', length: 5 },
  { name: 'speed, course', type: 'bytes', length: 3 },
  { name: 'status', type: 'u32', show: statusText },
];
const battery: Field = { name: 'battery', type: 'u8', show: batteryText };
const userAlarm: Field = { name: 'user alarm flags', type: 'u8' };
const reserved: Field = { name: 'reserved', type: 'u8' };
const record: Field = { name: 'record number', type: 'u8' };
const marker: Field = { name: 'marker', type: 'u8' };

const short: readonly Field[] = [marker, { name: 'id', type: 'bytes', length: 5 }, ...position, battery, ...rest, userAlarm];
const radio: readonly Field[] = [
  reserved,
  { name: 'CSQ', type: 'u8' },
  { name: 'satellites', type: 'u8' },
  { name: 'mileage', type: 'u32' },
  { name: 'MCC', type: 'u16' },
  { name: 'MNC', type: 'u8' },
  { name: 'LAC', type: 'u16' },
  { name: 'CID', type: 'u16' },
];
const voltage: Field = { name: 'external voltage', type: 'u16', scale: 0.1, unit: 'V' };

const LAYOUT_32 = defineLayout('binary 32', 'protocol.md section 7.1', [...short, reserved, record]);
const LAYOUT_45 = defineLayout('binary 45', 'protocol.md section 7.1', [...short, ...radio, record]);
const LAYOUT_46 = defineLayout('binary 46', 'protocol.md section 7.1', [
  ...short,
  { name: 'unknown 30', type: 'u16' },
  { name: 'odometer', type: 'bytes', length: 5 },
  { name: 'temperature', type: 'i8', unit: '°C' },
  { name: 'fuel', type: 'u8', unit: '%' },
  { name: 'unknown 39', type: 'u8' },
  { name: 'altitude', type: 'u16', unit: 'm' },
  { name: 'LAC', type: 'u16' },
  { name: 'CID', type: 'u16' },
]);
const LAYOUT_47 = defineLayout('binary 47', 'protocol.md section 7.1', [...short, ...radio, voltage, record]);
const LAYOUT_48 = defineLayout('binary 48', 'protocol.md section 7.1', [
  ...short,
  ...radio,
  voltage,
  { name: 'unknown 46', type: 'u8' },
  record,
]);
const LAYOUT_51 = defineLayout('binary 51', 'protocol.md section 7.1', [
  ...short,
  ...radio,
  voltage,
  { name: 'unknown 46', type: 'bytes', length: 4 },
  record,
]);
const LAYOUT_42 = defineLayout('binary 42', 'protocol.md section 7.2', [
  marker,
  { name: 'IMEI, filler', type: 'bytes', length: 8 },
  ...position,
  battery,
  ...rest,
  { name: 'unknown 32', type: 'bytes', length: 10 },
]);
const LAYOUT_X = defineLayout('X 32', 'protocol.md section 7.3', [
  marker,
  { name: 'mileage', type: 'bytes', length: 5 },
  ...position,
  { name: 'temperature', type: 'u8', scale: 0.5, unit: '°C' },
  ...rest,
  userAlarm,
  reserved,
  record,
]);

export const LAYOUTS: readonly Layout[] = [LAYOUT_32, LAYOUT_45, LAYOUT_46, LAYOUT_47, LAYOUT_48, LAYOUT_51, LAYOUT_42, LAYOUT_X];

/** The layout of a binary frame: by its first byte, its length, and whether its id is the long one. */
export function layoutOf(first: number, length: number, long: boolean): Layout {
  if (first === 0x58) return LAYOUT_X;
  if (long) return LAYOUT_42;
  const fits = (layout: Layout): boolean => layout.bytes === length && layout.name.startsWith('binary');
  return LAYOUTS.find(fits) ?? LAYOUT_32;
}
