import type { Clock } from './clock.ts';
import type { Log } from './log.ts';

const QUIET_MS = 60_000;

/** A warning that may be due thousands of times a second: one line a minute, with how many there were. */
export class Seldom {
  readonly #message: string;
  readonly #clock: Clock;
  #saidAt = Number.NEGATIVE_INFINITY;
  #times = 0;

  constructor(message: string, clock: Clock) {
    this.#message = message;
    this.#clock = clock;
  }

  warn(log: Log, fields: object): void {
    this.#times++;
    const now = this.#clock.elapsed();
    if (now - this.#saidAt < QUIET_MS) return;
    this.#saidAt = now;
    log.warn({ ...fields, times: this.#times }, this.#message);
    this.#times = 0;
  }
}
