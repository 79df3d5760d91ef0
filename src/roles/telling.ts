import { every } from '../base/beat.ts';
import { TICK_MS } from '../live/sights.ts';

const REST_MS = 1_000;

/** Tells the supervisor what clients look at: every TICK_MS while there is something to tell soon, otherwise once a second. */
export class Telling {
  readonly #tell: () => void;
  readonly #isHasty: () => boolean;
  readonly #stop: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(tell: () => void, isHasty: () => boolean) {
    this.#tell = tell;
    this.#isHasty = isHasty;
    this.#stop = every(REST_MS, () => {
      if (this.#timer === undefined) this.#turn();
    });
  }

  /** There may be something to tell soon. */
  look(): void {
    if (this.#timer === undefined && this.#isHasty()) this.#timer = setTimeout(() => this.#turn(), TICK_MS);
  }

  stop(): void {
    this.#stop();
    clearTimeout(this.#timer);
  }

  #turn(): void {
    this.#timer = undefined;
    this.#tell();
    this.look();
  }
}
