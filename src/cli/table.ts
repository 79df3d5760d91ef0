/** Rows of equal shape as aligned text. */
export function table(rows: readonly object[]): void {
  const [first] = rows;
  if (first === undefined) return;
  const names = Object.keys(first);
  const cells = rows.map((row) => names.map((name) => cell(Reflect.get(row, name))));
  const widths = names.map((name, at) => Math.max(name.length, ...cells.map((line) => (line[at] ?? '').length)));
  for (const line of [names, ...cells])
    process.stdout.write(
      `${line
        .map((text, at) => text.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    );
}

function cell(value: unknown): string {
  return Array.isArray(value) ? value.join('; ') : String(value);
}
