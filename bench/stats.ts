/** What several rounds of one measurement say together. */

export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
  return { median: median ?? Number.NaN, low: sorted[0] ?? Number.NaN, high: sorted.at(-1) ?? Number.NaN };
}

/** Two-sided 95 % quantiles of Student's t, by degrees of freedom from 1. */
const T95 = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11, 2.101, 2.093, 2.086,
];
const T95_MANY = 1.96;

export interface RatioInterval {
  readonly pairs: number;
  /** Geometric mean of the ratios. */
  readonly ratio: number;
  /** Ends of its 95 % interval; 0 and Infinity for fewer than two pairs. */
  readonly low: number;
  readonly high: number;
}

/**
 * The ratio of two measurements that were made in pairs, one right after the other: the mean of the logarithms of the
 * ratios, and Student's interval around it. Pairs in which a value is not positive are left out.
 */
export function ratioInterval(pairs: readonly (readonly [numerator: number, denominator: number])[]): RatioInterval {
  const logs = pairs.filter(([a, b]) => a > 0 && b > 0).map(([a, b]) => Math.log(a / b));
  const n = logs.length;
  const mean = logs.reduce((sum, log) => sum + log, 0) / n;
  if (n < 2) return { pairs: n, ratio: Math.exp(mean), low: 0, high: Number.POSITIVE_INFINITY };
  const variance = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0) / (n - 1);
  const half = (T95[n - 2] ?? T95_MANY) * Math.sqrt(variance / n);
  return { pairs: n, ratio: Math.exp(mean), low: Math.exp(mean - half), high: Math.exp(mean + half) };
}
