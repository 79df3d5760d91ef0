import { jsonOf } from '../../../base/json.ts';
import type { Rows } from '../../record/rows.ts';
import { isTime } from './encode.ts';

/**
 * What a new reading of frames changes of what is stored of them.
 *
 * 1. A row that is stored is of one of these frames when it has their device and time of receipt; others are not looked at.
 * 2. A value that the table keeps less exactly than the record is the same when the table would keep the same.
 */
export type TableName = 'positions' | 'statuses';

/** A row of a table as ClickHouse gives it in JSON, times in epoch ms. */
export type StoredRow = Readonly<Record<string, unknown>>;
/** A record by field; those of `attrs` as `attrs.<name>`. */
type Fields = Readonly<Record<string, unknown>>;

export interface StoredRecord {
  readonly table: TableName;
  readonly device: string;
  readonly received: number;
  readonly time: number;
  readonly id: string;
  readonly fields: Fields;
}

/** `row`: of the new reading; -1: it has none. */
export interface Change {
  readonly change: 'added' | 'changed' | 'removed';
  readonly row: number;
  /** What was stored. */
  readonly old: StoredRecord | undefined;
  /** What differs; of what is added or removed, all. */
  readonly was: Fields;
  readonly now: Fields;
}

const COLUMNS = ['device_time', 'altitude_m', 'speed_kmh', 'course_deg', 'satellites', 'hdop'];
const ATTRIBUTES = ['ignition', 'motion', 'external_v', 'battery_v', 'battery_pct', 'fuel_pct', 'gsm_level', 'odometer_m', 'driver_id'];
const SINGLE = new Set([
  'altitude_m',
  'speed_kmh',
  'course_deg',
  'hdop',
  ...['external_v', 'battery_v', 'battery_pct', 'fuel_pct', 'gsm_level'].map((name) => `attrs.${name}`),
]);
const MOST_SATELLITES = 255;
const CELL = ['mcc', 'mnc', 'lac', 'cid'] as const;

/** Of the rows that `takes` names. */
export function compare(rows: Rows, takes: (row: number) => boolean, stored: readonly StoredRecord[]): { changes: Change[]; same: number } {
  const byId = new Map<string, StoredRecord[]>();
  for (const record of stored) byId.set(record.id, [...(byId.get(record.id) ?? []), record]);
  const changes: Change[] = [];
  let same = 0;
  // A frame may hold a record twice: the last one stands.
  for (const [key, row] of lastOfKey(rows, takes)) {
    const id = rows.id(row);
    const found = byId.get(id) ?? [];
    const at = Math.max(
      0,
      found.findIndex((one) => keyOf(one) === key),
    );
    const [old] = found.splice(at, 1);
    const now = fieldsOf(rows, row);
    if (old === undefined) changes.push({ change: 'added', row, old, was: {}, now });
    else {
      const differs = difference(old.fields, now);
      if (differs === undefined) same++;
      else changes.push({ change: 'changed', row, old, ...differs });
    }
  }
  for (const left of byId.values()) for (const old of left) changes.push({ change: 'removed', row: -1, old, was: old.fields, now: {} });
  return { changes, same };
}

/** What names a row of the tables. */
export function keyOf({ table, device, time, id }: Pick<StoredRecord, 'table' | 'device' | 'time' | 'id'>): string {
  return `${table} ${time} ${id} ${device}`;
}

export function rowKey(rows: Rows, row: number): { table: TableName; device: string; time: number; id: string } {
  return {
    table: rows.isFix(row) ? 'positions' : 'statuses',
    device: rows.device[row] ?? '',
    time: rows.time[row] ?? 0,
    id: rows.id(row),
  };
}

function lastOfKey(rows: Rows, takes: (row: number) => boolean): Map<string, number> {
  const last = new Map<string, number>();
  for (let row = 0; row < rows.count; row++) if (takes(row)) last.set(keyOf(rowKey(rows, row)), row);
  return last;
}

/** The record in a row of a table. */
export function storedRecord(table: TableName, row: StoredRow): StoredRecord {
  const fields: Record<string, unknown> = { kind: table === 'positions' ? 'fix' : 'status' };
  const put = (name: string, value: unknown): void => {
    if (value !== null && value !== undefined && value !== '') fields[name] = value;
  };
  for (const name of ['account', 'protocol', 'event', 'time', 'received', ...COLUMNS]) put(name, row[name]);
  if (table === 'positions') for (const name of ['valid', 'lat', 'lon']) put(name, row[name]);
  if (sizeOf(row['flags']) > 0) fields['flags'] = row['flags'];
  const cells = cellsOf(row);
  if (cells.some(isKnown)) fields['cells'] = cells;
  if (sizeOf(row['wifi']) > 0) fields['wifi'] = listOf(row['wifi']).map((one) => present(one, 'rssi_dbm'));
  for (const name of ATTRIBUTES) put(`attrs.${name}`, row[name]);
  for (const map of ['attrs', 'texts'])
    for (const [name, value] of Object.entries(Object(row[map]))) if (value !== null) fields[`attrs.${name}`] = value;
  return {
    table,
    device: String(row['device']),
    received: Number(row['received']),
    time: Number(row['time']),
    id: String(row['id']),
    fields,
  };
}

/** The record that was read. */
function fieldsOf(rows: Rows, row: number): Fields {
  const { id: _, device: __, attrs, ...fields }: Record<string, unknown> = Object(jsonOf(rows.json(row)));
  if (typeof fields['satellites'] === 'number') fields['satellites'] = Math.min(MOST_SATELLITES, fields['satellites']);
  if (fields['account'] === '') delete fields['account'];
  if (typeof fields['device_time'] === 'number' && !isTime(fields['device_time'])) delete fields['device_time'];
  if (!listOf(fields['cells']).some(isKnown)) delete fields['cells'];
  for (const [name, value] of Object.entries(Object(attrs)))
    if (value !== null && !(name === 'driver_id' && value === '')) fields[`attrs.${name}`] = value;
  return fields;
}

/** Fields of which the table would not keep the same; undefined when there are none. */
function difference(was: Fields, now: Fields): { was: Fields; now: Fields } | undefined {
  const names = Object.keys({ ...was, ...now }).filter((name) => !isSame(name, was[name], now[name]));
  if (names.length === 0) return undefined;
  const only = (from: Fields): Fields => Object.fromEntries(names.flatMap((name) => (name in from ? [[name, from[name]]] : [])));
  return { was: only(was), now: only(now) };
}

function isSame(name: string, a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a === 'object' || typeof b === 'object') return JSON.stringify(a) === JSON.stringify(b);
  if (typeof a === 'string' || typeof b === 'string') return false;
  // A map of numbers keeps true as 1.
  const [x, y] = [Number(a), Number(b)];
  return x === y || (SINGLE.has(name) && Math.fround(x) === Math.fround(y));
}

function cellsOf(row: StoredRow): object[] {
  const cells = listOf(row['cells']);
  if (cells.length > 0) return cells.map((cell) => present(cell, 'rssi_dbm'));
  return [Object.fromEntries(CELL.flatMap((name) => (row[name] == null ? [] : [[name, Number(row[name])]])))];
}

function isKnown(cell: object): boolean {
  return Object.keys(cell).length > 0;
}

/** Without what is unknown: a negative number, and 0 of `zero`. */
function present(one: object, zero: string): object {
  return Object.fromEntries(
    Object.entries(one).filter(([name, value]) => (name === zero ? value !== 0 : typeof value !== 'number' || value >= 0)),
  );
}

function listOf(value: unknown): object[] {
  return Array.isArray(value) ? value.map(Object) : [];
}

function sizeOf(value: unknown): number {
  return Array.isArray(value) ? value.length : 0;
}
