/**
 * Notices a device that measures much more often than it is programmed to (event `tamper_rate`).
 *
 * The device's own times tell, in windows of the plan's length: a backlog that is sent at once was measured in the usual intervals. Times
 * that come again or go back (resends, an old backlog behind live data) say nothing, nor do those of a clock that is far ahead. Devices report
 * extra in bends: what was measured in one is not counted.
 */

/** No fewer are too many, however long the interval is: devices report extra when they start and stop. */
const FEWEST = 30;
/** Up to this speed a vehicle stands, and its course says nothing. */
const STANDING_KMH = 5;
const BEND_DEG = 10;
const AHEAD_MS = 86_400_000;

/** What a plan calls too often. */
export interface PaceLimit {
  /** So many times the programmed rate … */
  readonly rate_factor: number;
  /** … in a window of so many seconds. */
  readonly rate_window_s: number;
}

export interface PaceNews {
  readonly type: 'tamper_rate';
  /** As measured, on average. */
  readonly interval_s: number;
  readonly programmed_s: number;
  readonly window_s: number;
  /** Records in the window so far, and how many are not too many. */
  readonly seen: number;
  readonly allowed: number;
  /** Of these records. */
  readonly bytes: number;
  /** When the first of them arrived, epoch ms. */
  readonly since: number;
}

export class Pace {
  #window = Number.NaN;
  #latest = Number.NEGATIVE_INFINITY;
  #first = 0;
  #since = 0;
  #count = 0;
  #bytes = 0;
  #course = Number.NaN;

  /** Was a record of this course and speed measured because the vehicle turns? To be asked of each, in order. */
  turns(courseDeg: number, speedKmh: number): boolean {
    if (!(speedKmh > STANDING_KMH)) return false;
    const by = Math.abs(((courseDeg - this.#course + 540) % 360) - 180);
    this.#course = courseDeg;
    return by >= BEND_DEG;
  }

  /** A record of this time, epoch ms, of so many bytes, has come at `received`. Told once in a window. */
  saw(time: number, received: number, bytes: number, programmedS: number, limit: PaceLimit): PaceNews | undefined {
    if (!(time > this.#latest) || time > received + AHEAD_MS) return undefined;
    this.#latest = time;
    const { rate_window_s: window_s } = limit;
    const window = Math.floor(time / (1000 * window_s));
    if (window !== this.#window) {
      this.#window = window;
      this.#first = time;
      this.#since = received;
      this.#count = 0;
      this.#bytes = 0;
    }
    this.#bytes += bytes;
    const seen = ++this.#count;
    const allowed = Math.max(FEWEST, Math.ceil((limit.rate_factor * window_s) / programmedS));
    if (seen !== allowed + 1) return undefined;
    const interval_s = Math.round((time - this.#first) / (seen - 1) / 100) / 10;
    return {
      type: 'tamper_rate',
      interval_s,
      programmed_s: programmedS,
      window_s,
      seen,
      allowed,
      bytes: this.#bytes,
      since: this.#since,
    };
  }
}
