import { join } from 'node:path';
import { orderClock, systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { nodeStorage } from '../base/files.ts';
import { type DirectoryLock, lockDirectory } from '../base/lock/lock.ts';
import type { Tenure } from '../base/lock/tenure.ts';
import type { Log } from '../base/log.ts';
import type { Config } from '../config/schema.ts';
import type { TextFrame } from '../in/sms/inbox.ts';
import { Definition, NO_DEFINITION } from '../journal/definition.ts';
import { EntryKind, Origin } from '../journal/entry.ts';
import { Journal } from '../journal/journal.ts';
import { instancePeer, journalInstance, SUPERVISOR_SLOT } from './instance.ts';
import { ownedStorage } from './owned-storage.ts';

/** How long the shipper may hold it. */
const PREDECESSOR_WAIT_MS = 5000;

/** Of which it is remembered that they were lost; who waits for one asks at once. */
const MOST_FAILED = 100;

const ENCODER = new TextEncoder();

/** Events that no worker sees: what the API and the ledger do. They go the way of all others, in a slot above those of all workers. */
export class EventJournal {
  readonly #journal: Journal;
  readonly #peer: string;
  readonly #lock: DirectoryLock;
  readonly #log: Log;
  /** Ranges of sequences that did not reach the disk. */
  readonly #failed: { readonly from: number; readonly to: number }[];

  private constructor(journal: Journal, instance: string, lock: DirectoryLock, log: Log, failed: { from: number; to: number }[]) {
    this.#journal = journal;
    this.#peer = instancePeer(instance);
    this.#lock = lock;
    this.#log = log;
    this.#failed = failed;
  }

  static async open(config: Config, instance: string, orderOffset: number, tenure: Tenure, log: Log): Promise<EventJournal> {
    const directory = join(config.dataDir, 'journal', SUPERVISOR_SLOT);
    await nodeStorage.makeDirectory(directory);
    const lock = await lockDirectory(directory, PREDECESSOR_WAIT_MS);
    const { segmentBytes, segmentAgeMs, minFreeBytes, maxBytes } = config.journal;
    const failed: { from: number; to: number }[] = [];
    const journal = await Journal.open({
      directory,
      storage: ownedStorage(nodeStorage, tenure),
      // As in a worker: a journal that was wiped must not count from 1 again.
      firstSequence: Math.floor(systemClock.now() / 1000) * 2 ** 20,
      order: orderClock(orderOffset),
      segmentBytes,
      segmentAgeMs,
      minFreeBytes,
      maxBytes,
      onDurable: () => {},
      onFailed(from, to, error) {
        failed.push({ from, to });
        if (failed.length > MOST_FAILED) failed.shift();
        log.error({ error: error.message }, 'events of the supervisor could not be journaled and are lost');
      },
    });
    journalInstance(journal, instance);
    return new EventJournal(journal, instance, lock, log, failed);
  }

  /** Durable soon after. `device` may be '' for an event of no device; `account`: whose it is. One that the journal cannot take is logged. */
  record(device: string, event: object, account = ''): void {
    const bytes = ENCODER.encode(JSON.stringify(event));
    const { codec, transport } = NO_DEFINITION;
    const origin = new Origin(account === '' ? NO_DEFINITION : new Definition(codec, transport, null, account), device, this.#peer);
    const at = this.#journal.append(origin, EntryKind.Event, systemClock.now(), 0, 0, bytes, 0, bytes.length);
    if (at < 0)
      this.#log.error(
        { device, type: 'type' in event ? String(event.type) : '', bytes: bytes.length, journal: this.#journal.state },
        'an event could not be journaled and is lost',
      );
  }

  /** Resolves when the entry of the audit is durable; rejects with AppError when it cannot be. It names no device to the journal: erasing one leaves it. */
  async audit(entry: object): Promise<void> {
    const journal = this.#journal;
    const bytes = ENCODER.encode(JSON.stringify(entry));
    const origin = new Origin(NO_DEFINITION, '', this.#peer);
    const at = journal.append(origin, EntryKind.Audit, systemClock.now(), 0, 0, bytes, 0, bytes.length);
    if (at >= 0) await journal.flush();
    if (at >= 0 && !this.#failed.some(({ from, to }) => from <= at && at <= to)) return;
    throw new AppError(
      'JOURNAL_FAILED',
      `the journal refuses entries of the audit (${journal.reason === '' ? 'a write failed' : journal.reason})`,
    );
  }

  /** Resolves when the text message of a device is durable; rejects with AppError when it cannot be. Its sequence is taken before this returns. */
  async text({ origin, received, memo, rows, bytes, marks }: TextFrame): Promise<void> {
    const journal = this.#journal;
    const at = journal.append(origin, EntryKind.Frame, received, memo, rows, bytes, 0, bytes.length, marks);
    if (at >= 0) await journal.flush();
    if (at >= 0 && !this.#failed.some(({ from, to }) => from <= at && at <= to)) return;
    throw new AppError(
      'JOURNAL_FAILED',
      `the journal refuses text messages (${journal.reason === '' ? 'a write failed' : journal.reason})`,
    );
  }

  /** Everything recorded so far is in segments that are not written any more. */
  rotate(): Promise<void> {
    return this.#journal.rotate();
  }

  async close(): Promise<void> {
    await this.#journal.flush();
    await this.#journal.close();
    await this.#lock.close();
  }
}
