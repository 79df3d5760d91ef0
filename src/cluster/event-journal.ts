import { join } from 'node:path';
import { orderClock, systemClock } from '../base/clock.ts';
import { nodeStorage } from '../base/files.ts';
import { type DirectoryLock, lockDirectory } from '../base/lock/lock.ts';
import type { Tenure } from '../base/lock/tenure.ts';
import type { Log } from '../base/log.ts';
import type { Config } from '../config/schema.ts';
import { Definition, NO_DEFINITION } from '../journal/definition.ts';
import { EntryKind, Origin } from '../journal/entry.ts';
import { Journal } from '../journal/journal.ts';
import { instancePeer, journalInstance, SUPERVISOR_SLOT } from './instance.ts';
import { ownedStorage } from './owned-storage.ts';

/** How long the shipper may hold it. */
const PREDECESSOR_WAIT_MS = 5000;

const ENCODER = new TextEncoder();

/** Events that no worker sees: what the API and the ledger do. They go the way of all others, in a slot above those of all workers. */
export class EventJournal {
  readonly #journal: Journal;
  readonly #peer: string;
  readonly #lock: DirectoryLock;
  readonly #log: Log;

  private constructor(journal: Journal, instance: string, lock: DirectoryLock, log: Log) {
    this.#journal = journal;
    this.#peer = instancePeer(instance);
    this.#lock = lock;
    this.#log = log;
  }

  static async open(config: Config, instance: string, orderOffset: number, tenure: Tenure, log: Log): Promise<EventJournal> {
    const directory = join(config.dataDir, 'journal', SUPERVISOR_SLOT);
    await nodeStorage.makeDirectory(directory);
    const lock = await lockDirectory(directory, PREDECESSOR_WAIT_MS);
    const { segmentBytes, segmentAgeMs, minFreeBytes, maxBytes } = config.journal;
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
      onFailed: (_from, _to, error) => log.error({ error: error.message }, 'events of the supervisor could not be journaled and are lost'),
    });
    journalInstance(journal, instance);
    return new EventJournal(journal, instance, lock, log);
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
