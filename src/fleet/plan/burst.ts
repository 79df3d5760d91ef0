/** Counts things that come seldom, and says once within an hour of the first when there were too many. */
export const BURST_S = 3_600;

export interface Burst {
  readonly seen: number;
  /** When the first came, epoch ms. */
  readonly since: number;
}

export class Bursts {
  #start = Number.NEGATIVE_INFINITY;
  #since = 0;
  #seen = 0;
  #told = false;

  /** So many more, at this time, epoch ms, received at `received`. What there was, when it becomes more than `most`; 0: never. */
  saw(time: number, received: number, count: number, most: number): Burst | undefined {
    if (time - this.#start >= 1000 * BURST_S || time < this.#start) {
      this.#start = time;
      this.#since = received;
      this.#seen = 0;
      this.#told = false;
    }
    this.#seen += count;
    if (this.#told || most === 0 || this.#seen <= most) return undefined;
    this.#told = true;
    return { seen: this.#seen, since: this.#since };
  }
}
