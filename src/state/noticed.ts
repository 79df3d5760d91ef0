import { type Clock, systemClock } from '../base/clock.ts';

/**
 * When to look at a file that other processes write: soon after the system has said that it was written, and not more often than each
 * `PACE_MS`. Without a word it is looked at each `REST_MS`, and where what has changed is found in this way three times in a row, the system
 * does not say it: then each `PACE_MS`, until it says something.
 */
const PACE_MS = 100;
const REST_MS = 2_000;
/** So many changes that nothing was said of. */
const MOST_UNSAID = 3;

export interface NoticedOptions {
  /** Calls `written` when the file was written, until what is returned is called. */
  watch(written: () => void): () => void;
  /** True: something has changed since the look before. */
  look(): boolean;
  readonly clock?: Clock;
}

export class Noticed {
  readonly #o: NoticedOptions;
  readonly #clock: Clock;
  readonly #unwatch: () => void;
  #timer: NodeJS.Timeout | undefined;
  #looked: number;
  /** It was written since the last look. */
  #told = false;
  #unsaid = 0;

  constructor(options: NoticedOptions) {
    this.#o = options;
    this.#clock = options.clock ?? systemClock;
    this.#looked = this.#clock.elapsed();
    this.#unwatch = options.watch(() => this.#written());
    this.#next();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#unwatch();
  }

  #written(): void {
    this.#unsaid = 0;
    if (this.#told) return;
    this.#told = true;
    this.#next();
  }

  /** Sets the time of the next look. */
  #next(): void {
    clearTimeout(this.#timer);
    const waitMs = this.#told || this.#unsaid >= MOST_UNSAID ? PACE_MS : REST_MS;
    this.#timer = setTimeout(() => this.#turn(), Math.max(0, this.#looked + waitMs - this.#clock.elapsed()));
  }

  #turn(): void {
    const told = this.#told;
    this.#told = false;
    this.#looked = this.#clock.elapsed();
    if (this.#o.look() && !told) this.#unsaid++;
    this.#next();
  }
}
