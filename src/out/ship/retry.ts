/** Waiting times between attempts: doubled each time up to a cap, with jitter, for ever. */
const FIRST_MS = 50;
const CAP_MS = 5_000;

export class Backoff {
  #attempt = 0;

  /** How long to wait before the next attempt, in ms. */
  next(): number {
    const full = Math.min(CAP_MS, FIRST_MS * 2 ** Math.min(this.#attempt, 20));
    this.#attempt++;
    return full * (0.75 + Math.random() * 0.5);
  }

  reset(): void {
    this.#attempt = 0;
  }
}
