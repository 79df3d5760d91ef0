import { resolve } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { systemClock } from '../base/clock.ts';

/**
 * A lock between the processes that have one lmdb store open: held to commit, and to open.
 *
 * lmdb sets the number of the last transaction, which all processes share, to what it read from the file a moment before, whenever
 * a process opens the store (lmdb 3.5.6, `mdb_env_open2`). A transaction that another process commits in that moment is lost: the next one
 * begins from the state before it. So no process commits while another opens the store.
 *
 * 1. It is the writer lock of a second, empty environment, in which nothing is ever written. The system releases it when its holder is killed.
 * 2. Writes that begin close together share one turn; a turn takes no more of them after `TURN_MS`, so that others get theirs.
 * 3. A process that has the store open opens it again without the lock: the library gives it what it has.
 */
const FOLDER = 'commit-lock';
const TURN_MS = 20;

interface Turn {
  /** Rejects when the lock cannot be had. */
  readonly entered: Promise<void>;
  readonly over: Promise<unknown>;
  readonly leave: () => void;
  /** When it was entered, monotonic ms. */
  since: number;
  writes: number;
}

export class CommitLock {
  static readonly #held = new Map<string, { readonly lock: CommitLock; stores: number }>();
  readonly #root: RootDatabase;
  #turn: Turn | undefined;

  private constructor(directory: string) {
    this.#root = open({ path: resolve(directory, FOLDER), noSubdir: false, overlappingSync: false });
  }

  /** Opens a store while no other process commits. `opening` must not wait. Throws what the library throws. */
  static open<T>(directory: string, opening: () => T): { readonly opened: T; readonly lock: CommitLock } {
    const path = resolve(directory);
    const known = CommitLock.#held.get(path);
    if (known !== undefined) {
      const opened = opening();
      known.stores++;
      return { opened, lock: known.lock };
    }
    const lock = new CommitLock(directory);
    try {
      const opened = lock.#root.transactionSync(opening);
      CommitLock.#held.set(path, { lock, stores: 1 });
      return { opened, lock };
    } catch (error) {
      void lock.#root.close();
      throw error;
    }
  }

  /** Runs `work` while no process opens the store; resolves and rejects as it does. */
  async hold<T>(work: () => Promise<T>): Promise<T> {
    while (this.#turn !== undefined && systemClock.elapsed() - this.#turn.since > TURN_MS) await this.#turn.over;
    this.#turn ??= this.#begin();
    const turn = this.#turn;
    turn.writes++;
    try {
      await turn.entered;
      return await work();
    } finally {
      if (--turn.writes === 0) {
        if (this.#turn === turn) this.#turn = undefined;
        turn.leave();
      }
    }
  }

  /** One of the stores that were opened with it is closed. */
  async close(): Promise<void> {
    for (const [path, entry] of CommitLock.#held) {
      if (entry.lock !== this || --entry.stores > 0) continue;
      CommitLock.#held.delete(path);
      await this.#root.close();
    }
  }

  #begin(): Turn {
    let enter = (): void => {};
    let refuse = (_error: unknown): void => {};
    let leave = (): void => {};
    const entered = new Promise<void>((resolved, rejected) => {
      enter = resolved;
      refuse = rejected;
    });
    const left = new Promise<void>((resolved) => {
      leave = resolved;
    });
    const over = this.#root
      .transaction(() => {
        turn.since = systemClock.elapsed();
        enter();
        return left;
      })
      .catch(refuse);
    const turn: Turn = { entered, over, leave, since: Number.POSITIVE_INFINITY, writes: 0 };
    return turn;
  }
}
