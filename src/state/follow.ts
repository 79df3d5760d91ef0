import { systemClock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { Seldom } from '../base/seldom.ts';
import { entries } from './pages.ts';
import type { StateStore, Table } from './store.ts';
import type { TypedTable } from './table.ts';

/**
 * Follows tables of the state store: the only place that calls `store.watch`.
 *
 * 1. `follow` passes on all rows of a table, then every change of one, and all rows again when any may have changed. A change reaches the
 *    follower at least once, also one that comes while rows are being read: such a key is read again afterwards. Several changes of
 *    a key may arrive as one.
 * 2. Calls come one after the other, and what a key is said to be never goes back: rows are read after the change was announced.
 * 3. A reading that fails, or a call that throws, is repeated, with a pause that grows from `FIRST_PAUSE_MS` to `LONGEST_PAUSE_MS`; the
 *    other keys are passed on all the same. What was passed on before holds meanwhile. One line of the log a minute.
 * 4. A damaged row is passed on as none, and logged with its table and key.
 * 5. It ends by `stop` only, which resolves when no call is under way any more.
 *
 * `followKeys` is for those who read when they need to: it passes on which keys have changed, and reads nothing.
 */
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;
/** Keys read side by side. */
const TOGETHER = 100;

export interface Follower<T> {
  /** All rows, in place of what was passed on before. */
  all(rows: ReadonlyMap<string, T>): void | Promise<void>;
  /** Undefined: there is no such row any more, or it is damaged. */
  changed(key: string, row: T | undefined): void | Promise<void>;
}

export interface Following {
  stop(): Promise<void>;
}

export function follow<T, K extends readonly unknown[]>(
  store: Pick<StateStore, 'watch' | 'list' | 'get'>,
  table: TypedTable<T, K>,
  follower: Follower<T>,
  log: Log,
): Following {
  return new TableFollower(store, table, follower, log);
}

/** Calls `changed` after each change of the tables; key undefined: any may have changed. Returns how to end that. */
export function followKeys(
  store: Pick<StateStore, 'watch'>,
  tables: readonly Table[],
  changed: (table: Table, key: string | undefined) => void,
  log: Log,
): () => void {
  return store.watch((table, key) => {
    if (!tables.includes(table)) return;
    try {
      changed(table, key);
    } catch (error) {
      // Others are told all the same.
      log.error({ table, error: messageOf(error) }, 'a change in the state store was not processed; a defect, please report it');
    }
  });
}

class TableFollower<T, K extends readonly unknown[]> implements Following {
  readonly #store: Pick<StateStore, 'list' | 'get'>;
  readonly #table: TypedTable<T, K>;
  readonly #follower: Follower<T>;
  readonly #log: Log;
  readonly #trouble = new Seldom('a table of the state store cannot be followed; what was read last holds; retrying', systemClock);
  readonly #damage = new Seldom('an entry of the state store is damaged and is ignored', systemClock);
  readonly #unwatch: () => void;
  readonly #running: Promise<void>;
  /** All rows are to be read. */
  #isAllDue = true;
  /** Keys that are to be read. */
  #due = new Set<string>();
  #pauseMs = FIRST_PAUSE_MS;
  #stopped = false;
  /** Ends the wait for a change, and the pause after a failure. */
  #wake: () => void = () => {};
  #resume: () => void = () => {};

  constructor(store: Pick<StateStore, 'watch' | 'list' | 'get'>, table: TypedTable<T, K>, follower: Follower<T>, log: Log) {
    this.#store = store;
    this.#table = table;
    this.#follower = follower;
    this.#log = log;
    // Before anything is read: what changes from here on is not missed.
    this.#unwatch = followKeys(store, [table.name], (_table, key) => this.#note(key), log);
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unwatch();
    this.#wake();
    this.#resume();
    await this.#running;
  }

  #note(key: string | undefined): void {
    if (key === undefined) this.#isAllDue = true;
    else this.#due.add(key);
    this.#wake();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      if (!this.#isAllDue && this.#due.size === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      try {
        if (this.#isAllDue) await this.#readAll();
        else await this.#readDue();
        this.#pauseMs = FIRST_PAUSE_MS;
      } catch (error) {
        if (!this.#stopped) await this.#pause(error);
      }
    }
  }

  async #readAll(): Promise<void> {
    const before = this.#due;
    this.#isAllDue = false;
    // What changes while this is read is read once more.
    this.#due = new Set();
    try {
      const rows = new Map<string, T>();
      for await (const [key, text] of entries(this.#store, this.#table.name)) {
        const row = this.#rowOf(key, text);
        if (row !== undefined) rows.set(key, row);
        if (this.#stopped) return;
      }
      await this.#follower.all(rows);
    } catch (error) {
      this.#isAllDue = true;
      for (const key of before) this.#due.add(key);
      throw error;
    }
  }

  async #readDue(): Promise<void> {
    const keys = [...this.#due].slice(0, TOGETHER);
    for (const key of keys) this.#due.delete(key);
    const texts = await Promise.allSettled(keys.map((key) => this.#store.get(this.#table.name, key)));
    let failure: { readonly reason: unknown } | undefined;
    for (const [i, key] of keys.entries()) {
      if (this.#stopped) return;
      const text = texts[i];
      try {
        if (text?.status !== 'fulfilled') throw text?.reason;
        await this.#follower.changed(key, this.#rowOf(key, text.value));
      } catch (reason) {
        this.#due.add(key);
        failure = { reason };
      }
    }
    if (failure !== undefined) throw failure.reason;
  }

  #rowOf(key: string, text: string | undefined): T | undefined {
    const row = this.#table.read(text);
    if (row === undefined && text !== undefined) {
      this.#damage.warn(this.#log, { table: this.#table.name, key });
    }
    return row;
  }

  async #pause(error: unknown): Promise<void> {
    this.#trouble.warn(this.#log, { table: this.#table.name, error: messageOf(error) });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#pauseMs);
      this.#resume = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * this.#pauseMs);
  }
}
