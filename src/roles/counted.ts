import type { Totals } from '../live/totals.ts';

/**
 * Up to when everything that was received has come to sinks: statements are made of that, and a device that is not in it is silent.
 *
 * 1. What a worker has received and its disk has not taken is not there for the shipper, which then says that everything is delivered. So the
 *    workers are asked first up to when everything is on the disk; that holds once the sinks have delivered what was there at that moment.
 * 2. A worker that is not there, is stopped, or waits for its disk holds it back, and so does a shipper that hangs: nothing is reckoned from
 *    the clock.
 */
export class Counted {
  readonly #workers: number;
  readonly #sinks: readonly string[];
  readonly #now: () => number;
  #until = 0;
  /** What holds once the sinks have come to `asked`. */
  #next: { readonly asked: number; readonly until: number } | undefined;

  /** `workers`: that must have said it. `now`: epoch ms. */
  constructor(workers: number, sinks: readonly string[], now: () => number) {
    this.#workers = workers;
    this.#sinks = sinks;
    this.#now = now;
  }

  /** Epoch ms, 0: not known. */
  look({ settledUntil, deliveredUntil }: Pick<Totals, 'settledUntil' | 'deliveredUntil'>): number {
    const delivered = 1000 * Math.min(...this.#sinks.map((sink) => deliveredUntil.get(sink) ?? 0));
    if (this.#next !== undefined && delivered >= this.#next.asked) {
      this.#until = this.#next.until;
      this.#next = undefined;
    }
    if (this.#next === undefined && settledUntil.size >= this.#workers) {
      const until = 1000 * Math.min(...settledUntil.values());
      this.#next = { asked: this.#now(), until };
    }
    return this.#until;
  }
}
