import { z } from 'zod';
import { AppError } from '../base/errors.ts';
import { visible } from '../base/wire/index.ts';
import { firstMoment } from '../fleet/plan/cycle.ts';

/**
 * `name=value` pairs of a command line as the fields of a record; `name=` removes one, `name.part=value` is one entry of a map. The schema of the record says how a text is read:
 * as it stands for a text, and numbers also as dates (in `zone`) or sizes where the field holds a time or bytes. A name that the schema does
 * not have is left to the server, which names it.
 */
export function fieldsOf(pairs: readonly string[], schema: z.ZodObject, zone = 'UTC'): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    if (at < 1) throw new AppError('USAGE', `invalid field "${pair}"; expected name=value`);
    const [name, text] = [pair.slice(0, at), pair.slice(at + 1)];
    const dot = name.indexOf('.');
    const outer = name.slice(0, Math.max(dot, 0));
    const field = bare(schema.shape[dot < 0 ? name : outer]);
    if (dot > 0 && field instanceof z.ZodRecord)
      fields[outer] = { ...Object(fields[outer]), [name.slice(dot + 1)]: text === '' ? null : text };
    else if (text === '') fields[name] = field instanceof z.ZodArray ? [] : null;
    else fields[name] = field instanceof z.ZodUnknown ? text : readField(name, field, text, zone);
  }
  return fields;
}

function readField(name: string, field: z.core.$ZodType, text: string, zone: string): unknown {
  if (field instanceof z.ZodNumber) return readNumber(name, field, text, zone);
  if (field instanceof z.ZodBoolean) {
    if (text === 'true' || text === 'false') return text === 'true';
    throw new AppError('USAGE', `${name}="${text}" is not true or false`);
  }
  if (field instanceof z.ZodArray) {
    const element = bare(field.element);
    if (isStructure(element)) return jsonOf(name, text);
    return text
      .split(',')
      .filter(Boolean)
      .map((one) => readField(name, element, one, zone));
  }
  return isStructure(field) ? jsonOf(name, text) : text;
}

function isStructure(field: z.core.$ZodType): boolean {
  return field instanceof z.ZodObject || field instanceof z.ZodDiscriminatedUnion || field instanceof z.ZodRecord;
}

function readNumber(name: string, field: z.ZodNumber, text: string, zone: string): number {
  const value = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
  if (value !== undefined) return value;
  const format = field.meta()?.['format'];
  const read = format === 'epoch-ms' ? timeOf(text, zone) : format === 'bytes' ? sizeOf(text) : undefined;
  if (read !== undefined) return read;
  const how = { 'epoch-ms': 'a time: 2027-01-01, 2027-01-01T08:00 or epoch ms', bytes: 'a size: 500000, 500kB, 20MB or 20MiB' }[
    String(format)
  ];
  throw new AppError('USAGE', `${name}="${text}" is not ${how ?? 'a number'}`);
}

/** A date, or a date and a time of day, epoch ms: in the zone unless it says its offset. Undefined if the text is not a date. */
export function timeOf(text: string, zone: string): number | undefined {
  const match = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(Z|[+-]\d\d:\d\d)?)?$/.exec(text);
  if (match === null) return undefined;
  const [, date, clock = '00:00', offset] = match;
  const time = Date.parse(`${date}T${clock}${offset ?? 'Z'}`);
  // A day that the month does not have is read as one of the next.
  if (Number.isNaN(time) || new Date(`${date}T00:00Z`).toISOString().slice(0, 10) !== date) return undefined;
  return offset === undefined ? firstMoment(zone, time) : time;
}

/** Epoch ms of an option that has to be given; UTC unless it says its offset. */
export function momentOf(option: string, text: string | undefined): number {
  const time = text === undefined ? undefined : /^\d{5,}$/.test(text) ? Number(text) : timeOf(text, 'UTC');
  if (time !== undefined) return time;
  throw new AppError('USAGE', `${option} "${text ?? ''}" is not a time: 2027-01-01, 2027-01-01T08:00Z or epoch ms`);
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  t: 1e12,
  ki: 2 ** 10,
  mi: 2 ** 20,
  gi: 2 ** 30,
  ti: 2 ** 40,
};

/** Bytes; undefined if the text is not a size. */
export function sizeOf(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([kmgt]?i?)b$/i.exec(text);
  const unit = UNITS[match?.[2]?.toLowerCase() ?? 'none'];
  return unit === undefined ? undefined : Math.round(Number(match?.[1]) * unit);
}

/** Throws AppError USAGE if the text is not a time zone. */
export function zoneOf(text: string): string {
  try {
    new Intl.DateTimeFormat('en', { timeZone: text });
    return text;
  } catch {
    throw new AppError('USAGE', `--zone "${text}" is not an IANA time zone like Europe/Berlin`);
  }
}

function bare(field: z.core.$ZodType | undefined): z.core.$ZodType {
  let at = field ?? z.unknown();
  while (at instanceof z.ZodOptional || at instanceof z.ZodNullable || at instanceof z.ZodDefault || at instanceof z.ZodPrefault)
    at = at.unwrap();
  return at;
}

function jsonOf(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new AppError('USAGE', `${name}="${text}" is not JSON`);
  }
}

/** A field of what the server has answered. */
export function fieldOf(answer: unknown, name: string): unknown {
  return typeof answer === 'object' && answer !== null ? Reflect.get(answer, name) : undefined;
}

/** A list of records in what the server has answered. */
export function listOf(answer: unknown, name: string): object[] {
  const found = fieldOf(answer, name);
  return Array.isArray(found) ? found.filter((one: unknown) => typeof one === 'object' && one !== null) : [];
}

/** A record for people: a line a field. */
export function lines(record: unknown): string {
  return Object.entries(typeof record === 'object' && record !== null ? record : {})
    .map(([name, value]) => `${name.padEnd(14)} ${visible(shown(value))}\n`)
    .join('');
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value) && value.every((one) => typeof one !== 'object')) return value.join(' ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
