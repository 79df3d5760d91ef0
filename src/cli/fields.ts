import { AppError } from '../errors.ts';

/** `name=value` pairs of a command line as the fields of a record; `name=` removes one. */
export function fieldsOf(pairs: readonly string[], lists: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new AppError('USAGE', `"${pair}" is no field; say name=value`);
      const [name, text] = [pair.slice(0, at), pair.slice(at + 1)];
      if (lists.includes(name)) return [name, text.split(',').filter(Boolean).map(fieldValue)];
      return [name, text === '' ? null : fieldValue(text)];
    }),
  );
}

/** Numbers, true and false, and JSON objects and lists are what they look like. */
function fieldValue(text: string): unknown {
  if (!/^(-?(0|[1-9]\d{0,14})(\.\d+)?|true|false|[[{].*)$/s.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    throw new AppError('USAGE', `"${text}" is not JSON`);
  }
}

/** A record for people: a line a field. */
export function lines(record: unknown): string {
  return Object.entries(Object(record))
    .map(([name, value]) => `${name.padEnd(14)} ${shown(value)}\n`)
    .join('');
}

/** Records for people: a table of some of their fields. */
export function table(names: readonly string[], records: readonly unknown[]): string {
  const rows = [names, ...records.map((record) => names.map((name) => shown(Reflect.get(Object(record), name))))];
  const widths = names.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)));
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

export function timeText(time: unknown): string {
  return typeof time === 'number' ? new Date(time).toISOString().slice(0, 19).replace('T', ' ') : '';
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value) && value.every((one) => typeof one !== 'object')) return value.join(' ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
