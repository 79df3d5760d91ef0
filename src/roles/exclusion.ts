import { join } from 'node:path';
import { AppError } from '../base/errors.ts';
import { nodeStorage } from '../base/files.ts';
import type { DirectoryLock } from '../base/lock/lock.ts';
import { lockParked } from '../base/lock/parked-lock.ts';

/**
 * Keeps what writes stored data once more apart from what erases it.
 *
 * 1. Beside the server, too: who gives parked entries to a sink again has the lock of their directory, and so has the erasing.
 */
export class Exclusion {
  readonly #parked: string;
  #erasing = 0;
  readonly #writing = new Set<Promise<unknown>>();
  #lock: Promise<DirectoryLock> | undefined;

  constructor(dataDir: string) {
    this.#parked = join(dataDir, 'parked');
  }

  /** What is being written is waited for; meanwhile nothing is begun. Rejects with AppError while another process retries parked entries. */
  async erasing<T>(work: () => Promise<T>): Promise<T> {
    this.#erasing++;
    try {
      await this.settled();
      this.#lock ??= this.#locked();
      await this.#lock;
      return await work();
    } finally {
      if (--this.#erasing === 0) await this.#unlock();
    }
  }

  /** Throws AppError while something is being erased. */
  writing<T>(work: () => Promise<T>): Promise<T> {
    if (this.#erasing > 0) throw new AppError('SINK_UNREACHABLE', 'a device is being erased; repeat it when the erasure is done');
    const writing = work();
    this.#writing.add(writing);
    const ended = (): void => void this.#writing.delete(writing);
    writing.then(ended, ended);
    return writing;
  }

  /** What is being written now has been. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#writing]);
  }

  async #locked(): Promise<DirectoryLock> {
    await nodeStorage.makeDirectory(this.#parked);
    return lockParked(this.#parked);
  }

  async #unlock(): Promise<void> {
    const lock = this.#lock;
    this.#lock = undefined;
    await lock?.then(
      (one) => one.close(),
      () => {},
    );
  }
}
