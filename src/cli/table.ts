import { visible } from '../base/wire/index.ts';
import { io } from './io.ts';

/** Names of fields that hold epoch ms. */
const TIMES = ['start', 'end', 'last_seen'];

/**
 * Rows as aligned text; `names`: the fields to show, those of the first row when they are of equal shape. Times are in the zone, which
 * stands in the head.
 */
export function table(rows: readonly object[], names: readonly string[] = Object.keys(rows[0] ?? {}), zone = 'UTC'): void {
  if (rows.length === 0) return;
  const clock = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' });
  const cells = rows.map((row) => names.map((name) => visible(cell(name, Reflect.get(row, name), clock))));
  const head = names.map((name) => (TIMES.includes(name) ? `${name} (${zone})` : name));
  const widths = head.map((name, at) => Math.max(name.length, ...cells.map((line) => (line[at] ?? '').length)));
  for (const line of [head, ...cells])
    io().out.write(
      `${line
        .map((text, at) => text.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    );
}

function cell(name: string, value: unknown, clock: Intl.DateTimeFormat): string {
  if (value === undefined) return '';
  if (TIMES.includes(name) && typeof value === 'number') return clock.format(value);
  if (Array.isArray(value) && value.every((one) => typeof one !== 'object')) return value.join('; ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
