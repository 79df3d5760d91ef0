import type { Clock } from '../base/clock.ts';
import type { AppError } from '../base/errors.ts';
import type { Storage } from '../base/files.ts';
import type { JournalState } from './stats.ts';

export interface JournalOptions {
  /** The slot's directory; created when missing. Only one process may have it open. */
  readonly directory: string;
  readonly storage?: Storage | undefined;
  readonly clock?: Clock | undefined;
  /** A segment is followed by a new one at this size, 64 MiB, give or take one commit. */
  readonly segmentBytes?: number | undefined;
  /** … or at this age, 10 min. */
  readonly segmentAgeMs?: number | undefined;
  /** … or, with entries marked relay in it, at this one, 1 min, whether anything is to be written then or not. */
  readonly relayAgeMs?: number | undefined;
  /** Room on the file system that is left alone, 256 MiB: the shipper needs some to make progress. */
  readonly minFreeBytes?: number | undefined;
  /** Budget of the directory, without one by default. */
  readonly maxBytes?: number | undefined;
  /** Bound of what is appended and not durable, 32 MiB. */
  readonly maxPendingBytes?: number | undefined;
  /**
   * Sequence of the first entry of a slot that never had one, 1. Take something that rises with time if cursors can
   * outlive the directory: a new journal that counts from 1 again looks delivered to them.
   */
  readonly firstSequence?: number | undefined;
  /**
   * Gives each entry its place among those of all slots of the machine: a whole number that rises, whatever the wall clock
   * does. Without it, the time of receipt in µs.
   */
  readonly order?: (() => number) | undefined;
  /** How often room and disk are looked at, 1 s. */
  readonly checkMs?: number | undefined;
  /** While few entries come, time between the end of a commit and the next one, 0 ms. */
  readonly paceMs?: number | undefined;
  /** A commit that takes longer than this makes the journal sick until it ends, 10 s. */
  readonly stallMs?: number | undefined;
  /** Everything up to the watermark is on disk. Must not throw. */
  onDurable(watermark: number): void;
  /** The entries `from … to` are lost: answer nothing for them. Must not throw. */
  onFailed(from: number, to: number, error: AppError): void;
  /** The state changed, with the reason for people. Must not throw. */
  readonly onState?: ((state: JournalState, reason: string) => void) | undefined;
}
