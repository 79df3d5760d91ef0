/** Names of fields that hold epoch ms. */
const TIMES = ['start', 'end', 'last_seen'];

/** Rows as aligned text; `names`: the fields to show, those of the first row when they are of equal shape. */
export function table(rows: readonly object[], names: readonly string[] = Object.keys(rows[0] ?? {})): void {
  if (rows.length === 0) return;
  const cells = rows.map((row) => names.map((name) => cell(name, Reflect.get(row, name))));
  const widths = names.map((name, at) => Math.max(name.length, ...cells.map((line) => (line[at] ?? '').length)));
  for (const line of [names, ...cells])
    process.stdout.write(
      `${line
        .map((text, at) => text.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    );
}

function cell(name: string, value: unknown): string {
  if (value === undefined) return '';
  if (TIMES.includes(name) && typeof value === 'number') return new Date(value).toISOString().slice(0, 19).replace('T', ' ');
  if (Array.isArray(value) && value.every((one) => typeof one !== 'object')) return value.join('; ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
