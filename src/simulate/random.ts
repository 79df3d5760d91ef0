/** Seeded numbers (mulberry32): the same seed gives the same fleet on the same tracks. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** 0 ≤ x < 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** Whole number 0 … n - 1. */
  int(n: number): number {
    return Math.floor(this.next() * n);
  }

  /** low ≤ x < high. */
  between(low: number, high: number): number {
    return low + this.next() * (high - low);
  }
}
