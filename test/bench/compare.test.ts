import { describe, expect, it } from 'vitest';
import { compare, type ResultFile, tableOf } from '../../bench/report.ts';
import { RATIO } from '../../bench/scenarios/scenario.ts';
import { ratioInterval, spreadOf } from '../../bench/stats.ts';

const TEN = [1, 1.01, 0.99, 1.02, 0.98, 1, 1.01, 0.99, 1.02, 0.98];

function file(values: readonly number[], better: 'lower' | 'higher' = 'lower', othersCores = 0): ResultFile {
  const row = { scenario: 'x', name: 'CPU', unit: 'µs', goal: { at: 18, better }, values, othersCores: values.map(() => othersCores) };
  return { commit: 'c', node: '24', machine: 'm', began: '2026-01-01T00:00:00.000Z', loadAverage: 0, quick: false, rows: [row] };
}

describe('rounds', () => {
  it('give their median, the lowest and the highest', () => {
    expect(spreadOf([3, 1, 2])).toEqual({ median: 2, low: 1, high: 3 });
    expect(spreadOf([4, 1, 2, 3])).toEqual({ median: 2.5, low: 1, high: 4 });
  });

  it('in pairs give a ratio with its interval', () => {
    const same = ratioInterval(TEN.map((x) => [1.05 * x, x]));
    expect(same.ratio).toBeCloseTo(1.05, 10);
    expect(same.high - same.low).toBeCloseTo(0, 10);
    // By hand: logarithms 0 and ln 4, mean ln 2, standard deviation 0.9803, t = 12.706 with one degree of freedom.
    const two = ratioInterval([
      [1, 1],
      [4, 1],
    ]);
    expect(two.ratio).toBeCloseTo(2, 10);
    expect(Math.log(two.high / two.ratio)).toBeCloseTo((12.706 * 0.980258) / Math.SQRT2, 4);
    expect(ratioInterval([[2, 1]])).toEqual({ pairs: 1, ratio: 2, low: 0, high: Number.POSITIVE_INFINITY });
  });
});

describe('a comparison', () => {
  const noisy = TEN.map((x, k) => (k % 2 === 0 ? 1.5 * x : 0.8 * x));

  it('calls a figure worse only when the whole interval lies beyond two in a hundred', () => {
    const verdict = (after: readonly number[], better?: 'lower' | 'higher') => compare(file(TEN, better), file(after, better))[0]?.worse;
    expect(verdict(TEN.map((x) => 1.05 * x))).toBe(true);
    expect(verdict(TEN.map((x) => 1.01 * x))).toBe(false);
    expect(verdict(TEN.map((x) => 0.9 * x))).toBe(false);
    expect(verdict(noisy)).toBe(false);
    expect(
      verdict(
        TEN.map((x) => 0.9 * x),
        'higher',
      ),
    ).toBe(true);
    expect(
      verdict(
        TEN.map((x) => 1.05 * x),
        'higher',
      ),
    ).toBe(false);
  });
});

it('marks figures that were measured beside other work', () => {
  expect(tableOf(file(TEN))).not.toContain('*');
  expect(tableOf(file(TEN, 'lower', 0.2))).toContain('*: other programs used more than 0.1 core meanwhile');
});

it('prints the interval of a figure that is a ratio, not its spread', () => {
  const made = file(TEN);
  const text = tableOf({ ...made, rows: made.rows.map((row) => ({ ...row, unit: RATIO })) });
  const { low, high } = ratioInterval(TEN.map((x) => [x, 1]));
  expect(text).toContain(`${low.toPrecision(3)} … ${Number(high.toPrecision(3))}`);
  expect(text).not.toContain('0.98 … 1.02');
});
