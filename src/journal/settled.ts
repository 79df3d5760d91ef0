/** How far the sequences of a journal are settled, and those who wait until they are. */
export class Settled {
  #upTo: number;
  #waiting: { readonly upTo: number; readonly resolve: () => void }[] = [];

  constructor(upTo: number) {
    this.#upTo = upTo;
  }

  get isAwaited(): boolean {
    return this.#waiting.length > 0;
  }

  /** Resolves when every sequence up to there is settled. */
  wait(upTo: number): Promise<void> {
    return this.#upTo >= upTo ? Promise.resolve() : new Promise((resolve) => this.#waiting.push({ upTo, resolve }));
  }

  reach(upTo: number): void {
    this.#upTo = upTo;
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((waiter) => waiter.upTo > upTo);
    for (const waiter of waiting) if (waiter.upTo <= upTo) waiter.resolve();
  }
}
