import { AggregatorRegistry, type MetricObjectWithValues, type MetricValue } from 'prom-client';

/** What a process sends of its catalogue. */
export type MetricsJson = MetricObjectWithValues<MetricValue<string>>[];

/**
 * Adds up the metrics of all processes of a server. What a process counted stays counted when it dies: its counters
 * and histograms are folded into one remainder, its gauges go with it.
 */
export class MetricsAggregate {
  readonly #latest = new Map<string, MetricsJson>();
  #remainder: MetricsJson = [];
  #folding: Promise<void> = Promise.resolve();

  /** `key` names one life of one process: a restarted worker has a new one. */
  report(key: string, metrics: MetricsJson): void {
    this.#latest.set(key, metrics);
  }

  ended(key: string): Promise<void> {
    const last = this.#latest.get(key);
    if (last === undefined) return this.#folding;
    // At no moment is it in neither: Prometheus would take that for a restart, and everything counted since for new.
    const kept = last.filter((metric) => String(metric.type) === 'counter' || String(metric.type) === 'histogram');
    this.#latest.set(key, kept);
    this.#folding = this.#folding.then(async () => {
      const remainder = await merged([this.#remainder, kept]).getMetricsAsJSON();
      this.#remainder = remainder;
      this.#latest.delete(key);
    });
    return this.#folding;
  }

  /** What each process has said last, by its key, and under '' what ended ones have left. */
  *reports(): Generator<readonly [key: string, metrics: MetricsJson]> {
    yield ['', this.#remainder];
    yield* this.#latest;
  }

  /** Prometheus text exposition. */
  async text(own: MetricsJson): Promise<string> {
    return merged([this.#remainder, own, ...this.#latest.values()]).metrics();
  }
}

function merged(all: MetricsJson[]) {
  return AggregatorRegistry.aggregate(all.filter((one) => one.length > 0));
}
