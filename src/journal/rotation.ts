import type { Clock } from '../base/clock.ts';
import type { Storage } from '../base/files.ts';
import { SegmentWriter } from './segment-writer.ts';

export interface RotationOptions {
  readonly directory: string;
  readonly storage: Storage;
  readonly clock: Clock;
  /** A segment is followed by a new one at this size … */
  readonly segmentBytes: number;
  /** … or at this age … */
  readonly segmentAgeMs: number;
  /** … or, with entries marked relay in it, at this one. */
  readonly relayAgeMs: number;
}

/** Which segment is written, and when a new one takes its place. */
export class Rotation {
  /** Null: the next commit makes one. */
  segment: SegmentWriter | null = null;
  /** The next commit goes to a new segment, and takes place also when there is nothing to write. */
  renew = false;
  readonly #o: RotationOptions;
  readonly #relayAgeMs: number;
  #since = 0;
  /** Told when there is a new segment. */
  #waiting: (() => void)[] = [];

  constructor(options: RotationOptions) {
    this.#o = options;
    this.#relayAgeMs = Math.min(options.relayAgeMs, options.segmentAgeMs);
  }

  /** A new segment is wanted, whether anything is to be written or not. */
  get due(): boolean {
    return this.#waiting.length > 0 || (this.segment?.relayed === true && this.#age >= this.#relayAgeMs);
  }

  /** Resolves when a new segment is there. A commit has to be scheduled. */
  next(): Promise<void> {
    this.renew = true;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The segment for entries from `from` on: the one that is written, or a new one. Rejects as the storage does. */
  async writable(from: number): Promise<SegmentWriter> {
    const { segment } = this;
    const { directory, storage, clock, segmentBytes, segmentAgeMs } = this.#o;
    const maxAge = segment?.relayed === true ? this.#relayAgeMs : segmentAgeMs;
    if (segment !== null && !this.renew && segment.filled < segmentBytes && this.#age < maxAge) return segment;
    this.renew = false;
    this.segment = null;
    await segment?.seal();
    this.#since = clock.elapsed();
    this.segment = await SegmentWriter.create(storage, directory, from);
    this.settle();
    return this.segment;
  }

  /** A new segment without anything to write: the one before is not written any more from here on. Never rejects. */
  async begin(from: number): Promise<void> {
    try {
      if (this.segment?.first === from) {
        // It has nothing in it yet.
        this.renew = false;
        this.settle();
      } else await this.writable(from);
    } catch {
      // The next commit has the same trouble and reports it; without one, `check` comes back to this.
      this.renew = false;
    }
  }

  /** Gives up the segment that is written, and returns it. */
  drop(): SegmentWriter | null {
    const { segment } = this;
    this.segment = null;
    return segment;
  }

  settle(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Of the segment that is written. */
  get #age(): number {
    return this.#o.clock.elapsed() - this.#since;
  }
}
