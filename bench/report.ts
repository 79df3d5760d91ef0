import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { type Figure, RATIO } from './scenarios/scenario.ts';
import { type RatioInterval, ratioInterval, type Spread, spreadOf } from './stats.ts';

/** Results of the benchmark as text: one file as a table, two files side by side. `node bench/report.ts before.json after.json` */

/** One figure over all rounds. */
export interface Row extends Omit<Figure, 'value'> {
  readonly scenario: string;
  /** By round. */
  readonly values: readonly number[];
  /** Most cores that other programs used while it was measured, by round. */
  readonly othersCores: readonly number[];
}

export interface ResultFile {
  readonly commit: string;
  readonly node: string;
  readonly machine: string;
  /** When the run began, ISO 8601. */
  readonly began: string;
  /** Mean number of runnable processes of the last minute, at the start. */
  readonly loadAverage: number;
  readonly quick: boolean;
  readonly rows: readonly Row[];
}

/** Above, the machine did something else meanwhile, and the figure is marked. */
export const OTHERS_CORES = 0.1;
/** A revision is worse when the whole 95 % interval of the ratio lies beyond this. */
export const WORSE = 1.02;

export function tableOf(file: ResultFile): string {
  const rows = file.rows.map((row) => {
    const spread = spreadOf(row.values);
    const { low, high } = row.unit === RATIO ? ratioInterval(row.values.map((value) => [value, 1])) : spread;
    return [row.name, number(spread.median), `${number(low)} … ${number(high)}`, row.unit, ...goalCells(row, spread)];
  });
  const note = file.quick ? 'quick run: shows that it works, not how fast it is\n' : '';
  const disturbed = file.rows.some(isDisturbed) ? `*: other programs used more than ${OTHERS_CORES} core meanwhile\n` : '';
  return `${text([['', 'median', 'spread', 'unit', 'goal', ''], ...rows])}${disturbed}${titleOf(file)}\n${note}`;
}

function goalCells(row: Row, spread: Spread): string[] {
  const { goal } = row;
  const mark = isDisturbed(row) ? ' *' : '';
  if (goal === undefined || Number.isNaN(goal.at)) return ['', mark];
  const met = goal.better === 'lower' ? spread.median <= goal.at : spread.median >= goal.at;
  return [`${goal.better === 'lower' ? '≤' : '≥'} ${number(goal.at)}`, `${met ? 'met' : 'not met'}${mark}`];
}

function isDisturbed({ othersCores }: Row): boolean {
  return othersCores.some((cores) => cores > OTHERS_CORES);
}

export interface Compared {
  readonly row: Row;
  /** After over before. */
  readonly interval: RatioInterval;
  readonly worse: boolean;
}

/** Figures with a goal that both files have, round by round; rounds were measured alternately. */
export function compare(before: ResultFile, after: ResultFile): Compared[] {
  return after.rows.flatMap((row) => {
    const earlier = before.rows.find(({ name }) => name === row.name);
    if (earlier === undefined || row.goal === undefined) return [];
    const interval = ratioInterval(row.values.map((value, k) => [value, earlier.values[k] ?? Number.NaN]));
    if (interval.pairs === 0) return [];
    const worse = row.goal.better === 'lower' ? interval.low > WORSE : interval.high < 1 / WORSE;
    return [{ row, interval, worse }];
  });
}

export function comparison(before: ResultFile, after: ResultFile): string {
  const rows = compare(before, after).map(({ row, interval, worse }) => {
    const earlier = before.rows.find(({ name }) => name === row.name);
    const { pairs, ratio, low, high } = interval;
    return [
      row.name,
      number(spreadOf(earlier?.values ?? []).median),
      number(spreadOf(row.values).median),
      row.unit,
      ratio.toFixed(3),
      pairs < 2 ? '' : `${low.toFixed(3)} … ${high.toFixed(3)}`,
      `${worse ? 'WORSE' : ''}${isDisturbed(row) ? ' *' : ''}`,
    ];
  });
  const table = text([['', 'before', 'after', 'unit', 'ratio', '95 % interval', ''], ...rows]);
  return `${table}before: ${titleOf(before)}\nafter:  ${titleOf(after)}\n`;
}

function titleOf(file: ResultFile): string {
  return `commit ${file.commit}, Node ${file.node}, ${file.machine}, load ${file.loadAverage.toFixed(2)} at the start${file.quick ? ', quick' : ''}`;
}

function number(value: number): string {
  return Number.isNaN(value) ? '–' : Number(value.toPrecision(3)).toLocaleString('en', { maximumFractionDigits: 6 });
}

function text(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, k) => Math.max(...rows.map((row) => (row[k] ?? '').length)));
  const numeric = new Set(['median', 'before', 'after', 'ratio']);
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
