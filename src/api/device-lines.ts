import { jsonOf } from '../base/json.ts';
import type { Device } from '../fleet/registry/device.ts';

/**
 * Devices as lines of text, in and out.
 *
 * NDJSON: a device as JSON on each line. CSV: comma separated with quotes (RFC 4180) and a line of column names; a field does not span
 * lines; lists are separated by spaces; `options` and `labels` are JSON objects; an empty field says nothing. `recovery` is not among the columns. What a spreadsheet would take for a
 * formula (=, +, -, @, a tab or a carriage return first) has an apostrophe in front, which is taken off again when it is read.
 *
 *     id,aliases,account,plan,state,networks
 *     356307042441013,7042441013 A-7,acme,gold,active,10.0.0.0/8
 */
const COLUMNS = [
  'id',
  'aliases',
  'phone',
  'name',
  'model',
  'serial',
  'iccid',
  'labels',
  'account',
  'plan',
  'state',
  'activates_at',
  'suspends_at',
  'expires_at',
  'privacy',
  'home_networks',
  'networks',
  'interval_s',
  'protocol',
  'transport',
  'first_seen',
  'options',
  'unit',
  'unit_since',
] as const satisfies readonly (keyof Device)[];
type Column = (typeof COLUMNS)[number];

const LISTS: readonly string[] = ['aliases', 'home_networks', 'networks'] satisfies Column[];
const NUMBERS: readonly string[] = [
  'activates_at',
  'suspends_at',
  'expires_at',
  'home_networks',
  'interval_s',
  'first_seen',
  'unit_since',
] satisfies Column[];

/** Longest line taken. */
export const MAX_LINE = 65_536;

export type Line = { readonly id: string; readonly patch: Readonly<Record<string, unknown>> } | { readonly problem: string };

/** Reads the lines of one upload in their order. */
export interface LineReader {
  /** Undefined: the line says nothing. Throws RangeError when nothing behind it can be read either. */
  read(line: string): Line | undefined;
}

export class NdjsonReader implements LineReader {
  read(line: string): Line | undefined {
    if (line.trim() === '') return undefined;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return { problem: 'is not JSON' };
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return { problem: 'must be an object' };
    const patch: Record<string, unknown> = { ...value };
    const { id } = patch;
    return typeof id === 'string' ? { id, patch } : { problem: 'must have an `id`, a string' };
  }
}

export class CsvReader implements LineReader {
  #columns: readonly string[] | undefined;

  read(line: string): Line | undefined {
    if (line.trim() === '') return undefined;
    const fields = fieldsOf(line);
    if (this.#columns === undefined) {
      if (fields === undefined) throw new RangeError('the first line must name the columns');
      this.#columns = columnsOf(fields);
      return undefined;
    }
    if (fields === undefined) return { problem: 'has an unterminated quote; a field must not span lines' };
    const columns = this.#columns;
    if (fields.length !== columns.length) return { problem: `has ${fields.length} fields, expected ${columns.length}` };
    const patch: Record<string, unknown> = {};
    for (const [i, name] of columns.entries()) {
      const text = unguarded(fields[i] ?? '');
      if (text !== '') patch[name] = readField(name, text);
    }
    const { id } = patch;
    return typeof id === 'string' ? { id, patch } : { problem: 'must have an `id`' };
  }
}

export const CSV_HEAD = `${COLUMNS.join(',')}\n`;

export function csvLine(device: Device): string {
  return `${COLUMNS.map((name) => quoted(device[name])).join(',')}\n`;
}

function columnsOf(names: readonly string[]): readonly string[] {
  const known: readonly string[] = COLUMNS;
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new RangeError(`unknown column ${unknown.join(', ')}; columns are ${COLUMNS.join(', ')}`);
  if (new Set(names).size < names.length) throw new RangeError('a column occurs twice');
  if (!names.includes('id')) throw new RangeError('missing column id');
  return names;
}

function readField(name: string, text: string): unknown {
  const one = (part: string): unknown => (NUMBERS.includes(name) && /^-?\d+$/.test(part) ? Number(part) : part);
  if (name === 'options' || name === 'labels') return jsonOf(text) ?? text;
  return LISTS.includes(name) ? text.split(' ').filter(Boolean).map(one) : one(text);
}

function quoted(value: unknown): string {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
  const text = guarded(Array.isArray(value) ? value.join(' ') : isMap ? JSON.stringify(value) : String(value ?? ''));
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function guarded(text: string): string {
  return /^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text;
}

function unguarded(text: string): string {
  return /^''*[=+\-@\t\r]/.test(text) ? text.slice(1) : text;
}

/** Undefined when a quote does not end. */
function fieldsOf(line: string): string[] | undefined {
  const fields: string[] = [];
  for (let at = 0; ; ) {
    if (line[at] !== '"') {
      const comma = line.indexOf(',', at);
      fields.push((comma < 0 ? line.slice(at) : line.slice(at, comma)).trim());
      if (comma < 0) return fields;
      at = comma + 1;
      continue;
    }
    let text = '';
    for (at++; ; ) {
      const quote = line.indexOf('"', at);
      if (quote < 0) return undefined;
      text += line.slice(at, quote);
      at = quote + 1;
      if (line[at] !== '"') break;
      text += '"';
      at++;
    }
    fields.push(text);
    if (at >= line.length) return fields;
    if (line[at] !== ',') return undefined;
    at++;
  }
}
