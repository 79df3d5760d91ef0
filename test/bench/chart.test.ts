import { expect, test } from 'vitest';
import { chartOf } from '../../bench/chart.ts';
import type { ResultFile } from '../../bench/report.ts';

const FILE: Omit<ResultFile, 'rows'> = { commit: 'a<b', node: '24.0.0', machine: '2 × x', began: '', loadAverage: 0, quick: false };

test('a chart has a dot for each figure that stands in it, with its spread, higher cost higher up', () => {
  const row = (at: number, values: number[]) => ({
    name: `at ${at}`,
    unit: 'µs a packet',
    scenario: 's',
    values,
    othersCores: [],
    dots: [{ chart: 'load' as const, at }],
  });
  const svg = chartOf({ ...FILE, rows: [row(2000, [50, 60, 70]), row(40, [400, 300, 500]), { ...row(1, [1]), dots: [] }] });
  const circles = [...svg.matchAll(/<circle cx="([\d.]+)" cy="([\d.]+)"[^>]*><title>([^<]*)/g)].map(([, x, y, title]) => [
    Number(x),
    Number(y),
    title,
  ]);
  expect(circles).toEqual([
    [60, 110, '40 packets/s: 400 µs a packet'],
    [440, 229, '2000 packets/s: 60 µs a packet'],
  ]);
  expect(svg).toContain('commit a&#60;b');
  expect(svg).not.toContain('devices (');
});

test('without such figures there is no chart', () => {
  expect(chartOf({ ...FILE, rows: [] })).toBe('');
});
