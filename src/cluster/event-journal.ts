import { join } from 'node:path';
import { systemClock } from '../clock.ts';
import type { Config } from '../config/schema.ts';
import { EntryKind, Origin } from '../journal/entry.ts';
import { Journal } from '../journal/journal.ts';
import { nodeStorage } from '../journal/storage.ts';
import type { Log } from '../log.ts';
import { lockDirectory } from './lock.ts';

/** Slot of the supervisor's own journal, above those of all workers. */
const SUPERVISOR_SLOT = 1000;
/** How long somebody who looks after the journal may hold it. */
const PREDECESSOR_WAIT_MS = 5000;

const ENCODER = new TextEncoder();

/** Events that no worker sees: what the API and the ledger do. They go the way of all others. */
export class EventJournal {
  readonly #journal: Journal;

  private constructor(journal: Journal) {
    this.#journal = journal;
  }

  static async open(config: Config, orderOffset: number, log: Log): Promise<EventJournal> {
    const directory = join(config.dataDir, 'journal', String(SUPERVISOR_SLOT));
    await nodeStorage.makeDirectory(directory);
    await lockDirectory(directory, PREDECESSOR_WAIT_MS);
    const { segmentBytes, segmentAgeMs, minFreeBytes, maxBytes } = config.journal;
    const journal = await Journal.open({
      directory,
      // As in a worker: a journal that was wiped must not count from 1 again.
      firstSequence: Math.floor(systemClock.now() / 1000) * 2 ** 20,
      order: () => Math.floor(orderOffset + 1000 * systemClock.elapsed()),
      segmentBytes,
      segmentAgeMs,
      minFreeBytes,
      maxBytes,
      onDurable: () => {},
      onFailed: (_from, _to, error) => log.error({ error: error.message }, 'events of the supervisor could not be journaled and are lost'),
    });
    return new EventJournal(journal);
  }

  /** Durable soon after. `device` may be '' for an event of no device. */
  record(device: string, event: object): void {
    const bytes = ENCODER.encode(JSON.stringify(event));
    this.#journal.append(new Origin('', 'tcp', device, ''), EntryKind.Event, systemClock.now(), 0, 0, bytes, 0, bytes.length);
  }

  /** Everything recorded so far is in segments that are not written any more. */
  rotate(): Promise<void> {
    return this.#journal.rotate();
  }

  async close(): Promise<void> {
    await this.#journal.flush();
    await this.#journal.close();
  }
}
