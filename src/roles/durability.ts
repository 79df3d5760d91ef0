import { systemClock } from '../base/clock.ts';
import type { AppError } from '../base/errors.ts';
import type { Tenure } from '../base/lock/tenure.ts';
import type { Owing } from '../in/ack/settle.ts';
import { Meters } from '../in/session/meter.ts';
import type { Journal } from '../journal/journal.ts';

/**
 * What happens in a worker when a commit of the journal has ended. This is the only place that says so.
 *
 *     watermark ─▶ meters ─▶ answers ─▶ paused sockets
 *
 * 1. The meters come first, at once: what they journaled is counted before anything else is metered.
 * 2. Answers leave only for what is durable, and only while the data directory is surely this server's; until that is
 *    known they wait, and the watermark that they then see is the newest.
 * 3. Sockets that were paused go on last: what they bring is behind the answers that are owed.
 * 4. Of a failed commit, the meters take back what is lost, and no connection answers for it.
 * 5. Nothing is allocated for a commit while the tenure is sure.
 */
export interface Resumable {
  resume(): void;
}

/** The part of the meters that follows the journal. */
interface Metering {
  durable(watermark: number): void;
  failed(from: number, to: number): void;
}

export class Durability {
  /** Connections that owe answers. */
  readonly owing = new Set<Owing>();
  /** Sockets that wait for the disk. */
  readonly paused = new Set<Resumable>();
  readonly #tenure: Pick<Tenure, 'sure' | 'confirm'>;
  #meters: Metering | null = null;
  #watermark = 0;
  #waiting = false;

  constructor(tenure: Pick<Tenure, 'sure' | 'confirm'>) {
    this.#tenure = tenure;
  }

  /** Meters write to the journal, so they come after it; nothing is appended before. */
  follow(meters: Metering): void {
    this.#meters = meters;
  }

  /** Everything up to here is durable: `onDurable` of the journal. */
  durable(watermark: number): void {
    this.#meters?.durable(watermark);
    this.#watermark = watermark;
    if (this.#tenure.sure) this.#release();
    else if (!this.#waiting) {
      this.#waiting = true;
      void this.#confirm();
    }
  }

  /** These entries are lost: `onFailed` of the journal. */
  failed(from: number, to: number): void {
    this.#meters?.failed(from, to);
    for (const connection of this.owing) connection.failed(from, to);
  }

  async #confirm(): Promise<void> {
    await this.#tenure.confirm();
    this.#waiting = false;
    this.#release();
  }

  #release(): void {
    for (const connection of this.owing) connection.release(this.#watermark);
    for (const socket of this.paused) socket.resume();
  }
}

/** What a journal is opened with, so that its commits are followed. */
export interface JournalCalls {
  onDurable(watermark: number): void;
  onFailed(from: number, to: number, error: AppError): void;
}

export interface DurableJournal {
  readonly journal: Journal;
  readonly meters: Meters;
  readonly durability: Durability;
}

/** Opens a journal whose commits release what waits for them. `failed` is told of a failed commit before the connections are. */
export async function openDurable(
  open: (calls: JournalCalls) => Promise<Journal>,
  tenure: Pick<Tenure, 'sure' | 'confirm'>,
  failed: (error: AppError, from: number, to: number) => void = () => {},
): Promise<DurableJournal> {
  const durability = new Durability(tenure);
  const journal = await open({
    onDurable: (watermark) => durability.durable(watermark),
    onFailed(from, to, error) {
      failed(error, from, to);
      durability.failed(from, to);
    },
  });
  const meters = new Meters(journal, systemClock);
  durability.follow(meters);
  return { journal, meters, durability };
}
