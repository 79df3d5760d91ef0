/** Steps of two in a hundred from ten microseconds to a minute and a half. */
const FIRST_MS = 0.01;
const STEP = Math.log(1.02);
const BUCKETS = 810;

export interface LatencyData {
  readonly counts: readonly number[];
  readonly count: number;
  readonly max: number;
}

/** Durations in ms as a histogram: constant memory, percentiles to two in a hundred. */
export class Latency {
  readonly #counts = new Float64Array(BUCKETS);
  count = 0;
  max = 0;

  add(ms: number): void {
    const bucket = ms <= FIRST_MS ? 0 : Math.min(BUCKETS - 1, Math.ceil(Math.log(ms / FIRST_MS) / STEP));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.count++;
    if (ms > this.max) this.max = ms;
  }

  /** Plain data, for another process; `of` reads it back. */
  toJSON(): LatencyData {
    return { counts: [...this.#counts], count: this.count, max: this.max };
  }

  static of(data: LatencyData): Latency {
    const latency = new Latency();
    latency.#counts.set(data.counts);
    latency.count = data.count;
    latency.max = data.max;
    return latency;
  }

  merge(other: Latency): void {
    for (let k = 0; k < BUCKETS; k++) this.#counts[k] = (this.#counts[k] ?? 0) + (other.#counts[k] ?? 0);
    this.count += other.count;
    this.max = Math.max(this.max, other.max);
  }

  /** Upper edge of the bucket that holds the given share (0 … 1) of all durations, in ms; 0 when there are none. */
  percentile(share: number): number {
    const wanted = Math.ceil(share * this.count);
    let seen = 0;
    for (let k = 0; k < BUCKETS; k++) {
      seen += this.#counts[k] ?? 0;
      if (seen >= wanted && seen > 0) return Number(Math.min(this.max, FIRST_MS * Math.exp(k * STEP)).toPrecision(3));
    }
    return 0;
  }

  clear(): void {
    this.#counts.fill(0);
    this.count = 0;
    this.max = 0;
  }
}
