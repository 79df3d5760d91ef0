/**
 * Things that happen again and again: the first is told at once, with count 1, and the number of those that follow within a window when it
 * has passed.
 *
 * 1. The counts told for a key add up to how often it was noted. What could not be told is told later, unless more keys than `most` came
 *    meanwhile.
 */
interface Window<T> {
  readonly since: number;
  last: T;
  /** Not told yet. */
  more: number;
}

export class Windows<T extends object> {
  readonly #lengthMs: number;
  readonly #most: number;
  readonly #elapsed: () => number;
  readonly #tell: (one: T, count: number) => Promise<void>;
  readonly #open = new Map<string, Window<T>>();

  constructor(lengthMs: number, most: number, elapsed: () => number, tell: (one: T, count: number) => Promise<void>) {
    this.#lengthMs = lengthMs;
    this.#most = most;
    this.#elapsed = elapsed;
    this.#tell = tell;
  }

  has(key: string): boolean {
    const open = this.#open.get(key);
    return open !== undefined && this.#elapsed() - open.since < this.#lengthMs;
  }

  /** Resolves when it is told or counted; rejects when it could not be told: it is counted then. */
  async note(key: string, one: T): Promise<void> {
    const open = this.#open.get(key);
    if (open !== undefined && this.has(key)) {
      open.last = one;
      open.more++;
      return;
    }
    this.#open.delete(key);
    // The oldest stand first.
    const [oldest] = this.#open.size >= this.#most ? this.#open : [];
    if (oldest !== undefined) this.#open.delete(oldest[0]);
    const window = { since: this.#elapsed(), last: one, more: open?.more ?? 0 };
    this.#open.set(key, window);
    if (oldest !== undefined) await this.#close(...oldest);
    await this.#told(window, 1);
  }

  /** Tells what is left of windows that have passed, or of all. */
  async sweep(all: boolean): Promise<void> {
    for (const [key, open] of [...this.#open]) if (all || !this.has(key)) await this.#close(key, open);
  }

  async #close(key: string, open: Window<T>): Promise<void> {
    const { more } = open;
    open.more = 0;
    if (more > 0) await this.#told(open, more);
    // More may have come while it was told.
    if (open.more === 0 && !this.has(key) && this.#open.get(key) === open) this.#open.delete(key);
  }

  async #told(window: Window<T>, count: number): Promise<void> {
    try {
      await this.#tell(window.last, count);
    } catch (error) {
      window.more += count;
      throw error;
    }
  }
}
