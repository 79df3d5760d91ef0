/**
 * Runs at most `width` tasks at once and keeps the others in order. The engine's calls occupy a thread each, so
 * without a limit a few slow queries would take every thread of the pool, file writes included.
 */
export class Lane {
  readonly #width: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(width: number) {
    this.#width = width;
  }

  /** Waits for a turn, runs the task, and returns what it returns; `wanted` is asked when the turn comes. */
  async run<T>(wanted: () => boolean, task: () => Promise<T>): Promise<T | undefined> {
    if (this.#running >= this.#width) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return wanted() ? await task() : undefined;
    } finally {
      // The turn passes on directly, so that a newcomer cannot overtake.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
