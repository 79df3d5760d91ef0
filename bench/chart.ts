import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import type { ResultFile, Row } from './report.ts';
import type { ChartName } from './scenarios/scenario.ts';
import { spreadOf } from './stats.ts';

/** Results of the benchmark as pictures: what a packet costs over load and over devices. `node bench/chart.ts result.json > chart.svg` */

const CHARTS: Readonly<Record<ChartName, { readonly title: string; readonly across: string }>> = {
  load: { title: 'Cost over load (1 000 devices)', across: 'packets/s' },
  devices: { title: 'Cost over devices (2 000 packets/s, two workers)', across: 'devices' },
};
const WIDTH = 460;
const HEIGHT = 300;
const LEFT = 60;
const RIGHT = 20;
const TOP = 40;
const BOTTOM = 50;
/** Lines across. */
const STEPS = 4;

interface Dot {
  readonly at: number;
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** An SVG document of one panel for each chart that the results have dots for; '' for none. */
export function chartOf(file: ResultFile): string {
  const panels = Object.entries(CHARTS).flatMap(([name, words]) => {
    const dots = dotsOf(file.rows, name);
    return dots.length === 0 ? [] : [(x: number) => panel(x, words, dots, unitOf(file.rows, name))];
  });
  if (panels.length === 0) return '';
  const width = WIDTH * panels.length;
  const note = `commit ${file.commit}, Node ${file.node}, ${file.machine}: median, lowest and highest of the rounds`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${HEIGHT + 24}" font-family="sans-serif" font-size="12" fill="#222">`,
    `<rect width="${width}" height="${HEIGHT + 24}" fill="#fff"/>`,
    ...panels.map((draw, k) => draw(k * WIDTH)),
    `<text x="${LEFT}" y="${HEIGHT + 12}" font-size="10" fill="#666">${escaped(note)}</text>`,
    '</svg>',
    '',
  ].join('\n');
}

function dotsOf(rows: readonly Row[], chart: string): Dot[] {
  return rows
    .flatMap(({ dots = [], values }) => dots.filter((dot) => dot.chart === chart).map(({ at }) => ({ at, ...spreadOf(values) })))
    .toSorted((a, b) => a.at - b.at);
}

function unitOf(rows: readonly Row[], chart: string): string {
  return rows.find(({ dots = [] }) => dots.some((dot) => dot.chart === chart))?.unit ?? '';
}

/** Across by its logarithm, up from 0. */
function panel(left: number, { title, across }: { title: string; across: string }, dots: readonly Dot[], unit: string): string {
  const most = rounded(Math.max(...dots.map(({ high }) => high)));
  const [first, last] = [Math.log(dots[0]?.at ?? 1), Math.log(dots.at(-1)?.at ?? 1)];
  const x = (at: number): number =>
    whole(left + LEFT + (first === last ? 0.5 : (Math.log(at) - first) / (last - first)) * (WIDTH - LEFT - RIGHT));
  const y = (value: number): number => whole(HEIGHT - BOTTOM - (value / most) * (HEIGHT - TOP - BOTTOM));
  const lines = Array.from({ length: STEPS + 1 }, (_, k) => (most * k) / STEPS).map(
    (value) =>
      `<line x1="${left + LEFT}" y1="${y(value)}" x2="${left + WIDTH - RIGHT}" y2="${y(value)}" stroke="#ddd"/>` +
      `<text x="${left + LEFT - 6}" y="${y(value) + 4}" text-anchor="end">${value}</text>`,
  );
  const marks = dots.map(
    ({ at, median, low, high }) =>
      `<line x1="${x(at)}" y1="${y(low)}" x2="${x(at)}" y2="${y(high)}" stroke="#1f6feb"/>` +
      `<circle cx="${x(at)}" cy="${y(median)}" r="3.5" fill="#1f6feb"><title>${at} ${across}: ${Number(median.toPrecision(3))} ${unit}</title></circle>` +
      `<text x="${x(at)}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${at.toLocaleString('en')}</text>`,
  );
  return [
    `<text x="${left + LEFT}" y="20" font-weight="bold">${escaped(title)}</text>`,
    `<text x="${left + LEFT}" y="34" fill="#666">${escaped(unit)}</text>`,
    ...lines,
    `<polyline fill="none" stroke="#1f6feb" points="${dots.map(({ at, median }) => `${x(at)},${y(median)}`).join(' ')}"/>`,
    ...marks,
    `<text x="${left + (LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 14}" text-anchor="middle" fill="#666">${escaped(across)}</text>`,
  ].join('\n');
}

/** The next number that divides well. */
function rounded(value: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value) ?? value;
}

function whole(value: number): number {
  return Math.round(10 * value) / 10;
}

function escaped(text: string): string {
  return text.replace(/[&<>]/g, (letter) => `&#${letter.charCodeAt(0)};`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [path] = process.argv.slice(2);
  if (path === undefined) process.stderr.write('node bench/chart.ts result.json > chart.svg\n');
  else process.stdout.write(chartOf(JSON.parse(readFileSync(path, 'utf8'))));
}
