import type { ProfileStore } from '../../src/state/profile.ts';
import type { Changed, StateStore, Table } from '../../src/state/store.ts';

/** What happens at which moment. A moment that throws makes the call of the store fail. */
export interface Moments {
  /** Before a row or a page is read. `key` undefined: a page. */
  readonly beforeRead?: (table: Table, key: string | undefined) => unknown;
  /** After a row or a page was read, before the caller has it: others are faster. */
  readonly afterRead?: (table: Table, key: string | undefined) => unknown;
  /** Before a write is tried, of which these are the tables. */
  readonly beforeWrite?: (tables: readonly Table[]) => unknown;
  /** Before a watcher is registered. */
  readonly beforeWatch?: () => void;
  /** The watchers, to tell them of changes by hand. */
  readonly watchers?: Changed[];
}

/** A real store in which something happens between two calls of the one who is tested. */
export function interposed(store: StateStore & ProfileStore, moments: Moments): StateStore & ProfileStore {
  const { beforeRead, afterRead, beforeWrite, beforeWatch, watchers } = moments;
  return {
    mayBeAway: store.mayBeAway,
    find: (...args) => store.find(...args),
    async get(table, key) {
      await beforeRead?.(table, key);
      const value = await store.get(table, key);
      await afterRead?.(table, key);
      return value;
    },
    async list(table, page) {
      await beforeRead?.(table, undefined);
      const found = await store.list(table, page);
      await afterRead?.(table, undefined);
      return found;
    },
    async write(ops, until) {
      await beforeWrite?.(ops.map(({ table }) => table));
      return store.write(ops, until);
    },
    async update(...args) {
      await beforeWrite?.([args[0]]);
      return store.update(...args);
    },
    watch(changed) {
      beforeWatch?.();
      watchers?.push(changed);
      return store.watch(changed);
    },
    close: () => store.close(),
    findProfile: (...args) => store.findProfile(...args),
    remember: (...args) => store.remember(...args),
    forget: (...args) => store.forget(...args),
  };
}

/** A moment that happens so many times, at this table, and then never again. */
export function times<K>(most: number, at: Table, happens: () => unknown): (tables: Table | readonly Table[], key?: K) => unknown {
  let left = most;
  return (tables) => {
    if (left <= 0 || !(typeof tables === 'string' ? tables === at : tables.includes(at))) return undefined;
    left--;
    return happens();
  };
}
