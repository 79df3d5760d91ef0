import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** Results of the benchmark as text: one file as a table, two files side by side. `node bench/report.ts before.json after.json` */

export interface Result {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** As people read it; '' for none. */
  readonly goal: string;
  readonly met?: boolean;
}

export interface ResultFile {
  readonly commit: string;
  readonly node: string;
  readonly machine: string;
  readonly quick: boolean;
  readonly results: readonly Result[];
}

export function tableOf(file: ResultFile): string {
  const rows = file.results.map(({ name, value, unit, goal, met }) => [
    name,
    value.toLocaleString('en'),
    unit,
    goal,
    met === undefined ? '' : met ? 'met' : 'not met',
  ]);
  const note = file.quick ? 'quick run: shows that it works, not how fast it is\n' : '';
  return `${text([['', 'value', 'unit', 'goal', ''], ...rows])}${titleOf(file)}\n${note}`;
}

/** Both values of each row and what became of it; rows that only one file has are left out. */
export function comparison(before: ResultFile, after: ResultFile): string {
  const rows: string[][] = [];
  for (const result of after.results) {
    const earlier = before.results.find(({ name }) => name === result.name);
    if (earlier === undefined) continue;
    const change = earlier.value === 0 ? '' : `${(100 * (result.value / earlier.value - 1)).toFixed(1)} %`;
    rows.push([result.name, earlier.value.toLocaleString('en'), result.value.toLocaleString('en'), result.unit, change]);
  }
  return `${text([['', 'before', 'after', 'unit', 'change'], ...rows])}before: ${titleOf(before)}\nafter:  ${titleOf(after)}\n`;
}

function titleOf(file: ResultFile): string {
  return `commit ${file.commit}, Node ${file.node}, ${file.machine}${file.quick ? ', quick' : ''}`;
}

function text(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, k) => Math.max(...rows.map((row) => (row[k] ?? '').length)));
  const numeric = new Set(['value', 'before', 'after', 'change']);
  const line = (row: readonly string[]): string =>
    row
      .map((cell, k) => (numeric.has(rows[0]?.[k] ?? '') ? cell.padStart(widths[k] ?? 0) : cell.padEnd(widths[k] ?? 0)))
      .join('  ')
      .trimEnd();
  return `${rows.map(line).join('\n')}\n`;
}

function readResults(path: string): ResultFile {
  return JSON.parse(readFileSync(path, 'utf8'));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [before, after] = process.argv.slice(2);
  if (before === undefined) process.stderr.write('node bench/report.ts result.json [later-result.json]\n');
  else if (after === undefined) process.stdout.write(tableOf(readResults(before)));
  else process.stdout.write(comparison(readResults(before), readResults(after)));
}
