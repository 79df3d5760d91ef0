import type { Clock } from '../../../base/clock.ts';

/** Calls that may be made at once after a time of rest. */
const BURST = 3;

/** So many calls a minute, and none before the authority wants one. */
export class Pace {
  readonly #clock: Clock;
  readonly #msPerCall: number;
  /** Calls that may be made, as of `#at`. */
  #calls = BURST;
  #at: number;
  #closedUntil = 0;
  #end: (() => void) | undefined;
  #isEnding = false;

  constructor(callsPerMinute: number, clock: Clock) {
    this.#clock = clock;
    this.#msPerCall = 60_000 / callsPerMinute;
    this.#at = clock.elapsed();
  }

  /** Takes one call if so many are left. */
  takes(left = 1): boolean {
    const now = this.#clock.elapsed();
    this.#calls = Math.min(BURST, this.#calls + (now - this.#at) / this.#msPerCall);
    this.#at = now;
    if (this.#calls < left || now < this.#closedUntil) return false;
    this.#calls--;
    return true;
  }

  /** Resolves when a call may be made; false: not any more. */
  async wait(): Promise<boolean> {
    while (!this.#isEnding) {
      if (this.takes()) return true;
      const now = this.#clock.elapsed();
      const ms = Math.max((1 - this.#calls) * this.#msPerCall, this.#closedUntil - now, 1);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#end = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return false;
  }

  /** The authority has said that it wants no call for so long. */
  close(ms: number): void {
    this.#closedUntil = Math.max(this.#closedUntil, this.#clock.elapsed() + ms);
  }

  end(): void {
    this.#isEnding = true;
    this.#end?.();
  }
}
