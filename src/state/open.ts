import { mkdir } from 'node:fs/promises';
import type { Log } from '../base/log.ts';
import type { SecretUrl } from '../base/secret.ts';
import { DamagedStore } from './damaged.ts';
import type { LmdbStore } from './lmdb.ts';
import type { Profile, ProfileStore } from './profile.ts';
import type { RedisStore } from './redis.ts';
import type { Changed, Found, Op, StateStore, Table } from './store.ts';

export interface StateOptions {
  /** Of Redis; undefined: lmdb in `directory`. */
  readonly url: SecretUrl | undefined;
  readonly prefix: string;
  readonly directory: string;
  readonly log: Log;
  /** Why the store must not be opened, '' when it may: see `damageText`. */
  readonly damage?: string;
  /** Told, once in a while, that lmdb could not read or write: the store may be damaged. */
  readonly onTrouble?: () => void;
}

/** Opens the configured store. Throws AppError DATA_DIR_UNUSABLE; a Redis that does not answer is waited for by each call. */
export async function openState(options: StateOptions): Promise<State> {
  const { url, prefix, directory, log, damage = '', onTrouble } = options;
  if (damage !== '') return new State(new DamagedStore(damage));
  // Only the client of the store that is used is loaded: each costs a process megabytes and a start tens of milliseconds.
  if (url !== undefined) {
    const redis = await import('./redis.ts');
    return new State(new redis.RedisStore({ url, prefix, log }));
  }
  const lmdb = await import('./lmdb.ts');
  await mkdir(directory, { recursive: true });
  return new State(new lmdb.LmdbStore({ directory, log, ...(onTrouble === undefined ? {} : { onTrouble }) }));
}

/** The store as a process has it: the one that was opened, until that is found to be damaged. */
export class State implements StateStore, ProfileStore {
  #store: RedisStore | LmdbStore | DamagedStore;

  constructor(store: RedisStore | LmdbStore | DamagedStore) {
    this.#store = store;
  }

  get mayBeAway(): boolean {
    return this.#store.mayBeAway;
  }

  /** From now on nothing touches the store: what is in its pages could end the process. */
  abandon(damage: string): void {
    if ('abandon' in this.#store) this.#store.abandon();
    this.#store = new DamagedStore(damage);
  }

  find(table: Table, key: string, found: (value: string | undefined, readable: boolean) => void): void {
    this.#store.find(table, key, found);
  }

  get(table: Table, key: string): Promise<string | undefined> {
    return this.#store.get(table, key);
  }

  list(table: Table, page: { readonly prefix?: string; readonly after?: string; readonly limit: number }): Promise<Found[]> {
    return this.#store.list(table, page);
  }

  write(ops: readonly Op[], until?: 'visible'): Promise<boolean> {
    return this.#store.write(ops, until);
  }

  update(table: Table, key: string, change: (value: string | undefined) => string | undefined): Promise<string | undefined> {
    return this.#store.update(table, key, change);
  }

  watch(changed: Changed): () => void {
    return this.#store.watch(changed);
  }

  findProfile(device: string, found: (profile: Profile | undefined) => void): void {
    this.#store.findProfile(device, found);
  }

  remember(device: string, profile: Profile): void {
    this.#store.remember(device, profile);
  }

  forget(device: string): Promise<number> {
    return this.#store.forget(device);
  }

  /** Learned profiles by device, behind `after`, as text. */
  profiles(after: string | undefined, limit: number): Promise<Found[]> {
    return this.#store.profiles(after, limit);
  }

  putProfiles(profiles: readonly Found[]): Promise<void> {
    return this.#store.putProfiles(profiles);
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
