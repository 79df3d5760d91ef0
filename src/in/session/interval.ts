/** Bounds of what is learned, and what is assumed of a device that has spoken once, ms. */
const SHORTEST_MS = 10_000;
const LONGEST_MS = 900_000;
const UNKNOWN_MS = 60_000;
/** Chunks of one report come closer together. */
const REPORT_MS = 1_000;

/** The reporting interval of a device, from when its frames come: rises at once, falls slowly. */
export class Interval {
  #ms = 0;
  #at = -1;

  /** A frame came, monotonic ms. */
  saw(at: number): void {
    const gap = at - this.#at;
    const isFirst = this.#at < 0;
    this.#at = at;
    if (isFirst || gap < REPORT_MS) return;
    this.#ms = gap > this.#ms ? gap : this.#ms + (gap - this.#ms) / 8;
  }

  get ms(): number {
    return this.#ms === 0 ? UNKNOWN_MS : Math.min(LONGEST_MS, Math.max(SHORTEST_MS, this.#ms));
  }
}
