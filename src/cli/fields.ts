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
    .map(([name, value]) => `${name.padEnd(14)} ${shown(value)}\n`)
    .join('');
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value) && value.every((one) => typeof one !== 'object')) return value.join(' ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
