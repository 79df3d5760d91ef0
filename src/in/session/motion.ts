import { type FrameResult, RowFlag } from '../../codec/index.ts';
import { JUDGED, judgeTime } from '../../out/record/time-rules.ts';

/** Up to this speed a vehicle stands. */
const STANDING_KMH = 5;
/** How far a live position's own time may be from its receipt: a slow network, and a clock that is not quite right. */
const LIVE_MS = 60_000;
/** How long a position speaks for the vehicle, from its receipt on. */
const HOLDS_MS = 120_000;
const NOT_LIVE = RowFlag.Buffered | RowFlag.Future | RowFlag.NoTime;

/** Times in epoch ms: of the position, and of its receipt. */
export interface Place {
  readonly lat: number;
  readonly lon: number;
  readonly time: number;
  readonly received: number;
}

/**
 * The last live position of a session's device, a valid one that did not wait in the device's memory, and by it whether its vehicle moves
 * or stands. An engine is stopped by what this says.
 */
export class Motion {
  #moving = false;
  /** Of the position: its own time, epoch ms, and its receipt, monotonic ms. */
  #time = 0;
  #heard = Number.NEGATIVE_INFINITY;
  #lat = Number.NaN;
  #lon = Number.NaN;
  /** When it was received, epoch ms, and when the one was that `news` returned last. */
  #received = 0;
  #toldAt = 0;

  /** Undefined: no live position came of late. `now`: monotonic ms. */
  at(now: number): boolean | undefined {
    return now - this.#heard <= HOLDS_MS ? this.#moving : undefined;
  }

  /** Takes the newest position of a frame, received at this time (epoch ms, and monotonic ms). Returns whether `at` says something else now. */
  saw(frame: FrameResult, received: number, now: number): boolean {
    const row = newestFix(frame);
    if (row < 0) return false;
    const before = this.at(now);
    if (!isLive(frame, row, received)) return false;
    // Frames may change places on the way.
    if (before !== undefined && JUDGED.time < this.#time) return false;
    this.#time = JUDGED.time;
    this.#heard = now;
    this.#received = received;
    this.#lat = frame.latitude[row] ?? Number.NaN;
    this.#lon = frame.longitude[row] ?? Number.NaN;
    this.#moving = (frame.speedKmh[row] ?? Number.NaN) > STANDING_KMH;
    return this.#moving !== before;
  }

  /** The position, if it was received so long after the one that this returned last. */
  news(afterMs: number): Place | undefined {
    if (this.#received === this.#toldAt || Math.abs(this.#received - this.#toldAt) < afterMs) return undefined;
    this.#toldAt = this.#received;
    return { lat: this.#lat, lon: this.#lon, time: this.#time, received: this.#received };
  }
}

/** Leaves its time in JUDGED. */
function isLive(frame: FrameResult, row: number, received: number): boolean {
  judgeTime(frame.time[row] ?? Number.NaN, received, frame.flags[row] ?? 0);
  return (JUDGED.flags & NOT_LIVE) === 0 && Math.abs(received - JUDGED.time) <= LIVE_MS;
}

/** The row of the valid position with the latest time, and with a speed; -1: there is none. */
function newestFix(frame: FrameResult): number {
  let newest = -1;
  let latest = Number.NEGATIVE_INFINITY;
  for (let row = 0; row < frame.rows; row++) {
    const time = frame.time[row] ?? Number.NaN;
    const isFix =
      frame.valid[row] === 1 && !Number.isNaN(frame.latitude[row] ?? Number.NaN) && !Number.isNaN(frame.speedKmh[row] ?? Number.NaN);
    // A missing time is NaN, and never later.
    if (!isFix || !(time >= latest)) continue;
    latest = time;
    newest = row;
  }
  return newest;
}
