import { join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { AppError, messageOf } from '../base/errors.ts';
import { watchWrites } from '../base/files.ts';
import type { Log } from '../base/log.ts';
import { CommitLock } from './commit-lock.ts';
import { Noticed } from './noticed.ts';
import { type Profile, type ProfileStore, parseProfile } from './profile.ts';
import { added, type Changed, type Found, MOST_TABLES, type Op, type StateStore, TABLES, type Table } from './store.ts';

/**
 * The state store of one machine: an lmdb environment in the data directory, which all processes of the server have open.
 *
 * 1. A read looks into mapped pages and takes no lock; it sees what any process has committed, and of profiles what this
 *    one is about to. The library keeps a snapshot for some moments: who has been told of a change by another process must
 *    not read that one, so `get` and `list` begin anew. `find`, on the byte path, may be those moments behind.
 * 2. A write is one transaction, and on disk when its promise resolves, or soon after where that is enough. Profiles gather and are committed together: many
 *    devices cost one sync of the disk.
 * 3. A process killed at any moment leaves what was committed before, and no lock. One that opens the store does not undo what another
 *    commits meanwhile: `CommitLock`.
 * 4. Profiles do not grow without bound: the size of a value, the writes that wait, the devices kept. What does not fit is
 *    dropped: it is learned again.
 * 5. Every change is noted in a log, in the transaction that made it; watchers read the log on, when the system says that the store was
 *    written (`Noticed`).
 */
const GATHER_MS = 200;
const MAX_WAITING = 20_000;
const MAX_VALUE = 256;
const MAX_DEVICES = 5_000_000;
/** One line about a failing disk in this time. */
const QUIET_MS = 60_000;
/** The file of the environment that holds its pages. */
const PAGES_FILE = 'data.mdb';
/** Changes kept in the log: a watcher that is further behind is told that anything may have changed. */
const LOG_LENGTH = 20_000;
/** A write that changes more keys notes the table instead of each. */
const LOGGED_KEYS = 1_000;

export interface LmdbOptions {
  /** Made when it is not there. */
  readonly directory: string;
  readonly log: Log;
  /** Devices kept. */
  readonly maxDevices?: number;
  /** Told, at most once in `QUIET_MS`, that something could not be read or written. */
  readonly onTrouble?: () => void;
}

export class LmdbStore implements StateStore, ProfileStore {
  readonly mayBeAway = false;
  readonly #root: RootDatabase;
  readonly #lock: CommitLock;
  readonly #profiles: Database<string, string>;
  readonly #tables = new Map<Table, Database<string, string>>();
  /** Number of a change → `<table> <key>`, or `<table>` when many of its keys changed. */
  readonly #changes: Database<string, number>;
  readonly #directory: string;
  readonly #log: Log;
  readonly #maxDevices: number;
  readonly #onTrouble: () => void;
  #abandoned = false;
  readonly #watchers = new Set<Changed>();
  #seen = 0;
  #watching: Noticed | undefined;
  #waiting = new Map<string, Profile>();
  /** In the transaction that is being committed. */
  #writing = new Map<string, Profile>();
  #timer: NodeJS.Timeout | undefined;
  #committing: Promise<void> | undefined;
  #quiet: NodeJS.Timeout | undefined;

  /** Throws AppError DATA_DIR_UNUSABLE. */
  constructor(options: LmdbOptions) {
    this.#directory = options.directory;
    this.#log = options.log;
    this.#maxDevices = options.maxDevices ?? MAX_DEVICES;
    this.#onTrouble = options.onTrouble ?? (() => {});
    try {
      const { opened, lock } = CommitLock.open(options.directory, () => {
        const root = open({ path: options.directory, noSubdir: false, maxDbs: MOST_TABLES });
        const profiles = root.openDB<string, string>({ name: 'profiles', encoding: 'string' });
        for (const table of TABLES) this.#tables.set(table, root.openDB<string, string>({ name: table, encoding: 'string' }));
        return { root, profiles, changes: root.openDB<string, number>({ name: 'changes', encoding: 'string' }) };
      });
      this.#lock = lock;
      this.#root = opened.root;
      this.#profiles = opened.profiles;
      this.#changes = opened.changes;
    } catch (error) {
      throw new AppError(
        'DATA_DIR_UNUSABLE',
        `cannot open the state store in ${options.directory} (${messageOf(error)}); it holds devices, plans, usage and commands: restore it from a backup, or move it away to start anew`,
        error,
      );
    }
  }

  find(table: Table, key: string, found: (value: string | undefined, readable: boolean) => void): void {
    let value: string | undefined;
    let readable = true;
    try {
      value = this.#table(table).get(key);
    } catch (error) {
      readable = false;
      this.#failed(error);
    }
    found(value, readable);
  }

  async get(table: Table, key: string): Promise<string | undefined> {
    this.#root.resetReadTxn();
    return this.#table(table).get(key);
  }

  async list(table: Table, page: { readonly prefix?: string; readonly after?: string; readonly limit: number }): Promise<Found[]> {
    const { prefix = '', after, limit } = page;
    // Keys are printable ASCII: this is behind all that begin with the prefix.
    const end = `${prefix}\x7f`;
    const entries: Found[] = [];
    const from = after !== undefined && after > prefix ? after : prefix;
    this.#root.resetReadTxn();
    for (const { key, value } of this.#table(table).getRange({ start: from, end })) {
      if (key === after) continue;
      if (entries.length >= limit) break;
      entries.push({ key, value });
    }
    return entries;
  }

  async write(ops: readonly Op[], until?: 'visible'): Promise<boolean> {
    const done = await this.#commit(() => {
      for (const op of ops) if ('expect' in op && this.#table(op.table).get(op.key) !== op.expect) return false;
      for (const op of ops) this.#apply(op);
      this.#note(ops);
      return true;
    });
    if (done && until !== 'visible') await this.#root.flushed;
    return done;
  }

  async update(table: Table, key: string, change: (value: string | undefined) => string | undefined): Promise<string | undefined> {
    const rows = this.#table(table);
    const value = await this.#commit(() => {
      const before = rows.get(key);
      const after = change(before);
      if (after === before) return after;
      const op: Op = after === undefined ? { table, key, remove: true } : { table, key, put: after };
      this.#apply(op);
      this.#note([op]);
      return after;
    });
    await this.#root.flushed;
    return value;
  }

  watch(changed: Changed): () => void {
    if (this.#watchers.size === 0) {
      this.#seen = this.#lastChange();
      this.#watching = new Noticed({
        watch: (written) => watchWrites(join(this.#directory, PAGES_FILE), written),
        look: () => this.#look(),
      });
    }
    // The same function may watch twice.
    const watcher: Changed = (table, key) => changed(table, key);
    this.#watchers.add(watcher);
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size === 0) this.#watching?.stop();
    };
  }

  findProfile(device: string, found: (profile: Profile | undefined) => void): void {
    found(this.#waiting.get(device) ?? this.#writing.get(device) ?? this.#read(device));
  }

  remember(device: string, profile: Profile): void {
    if (this.#waiting.size >= MAX_WAITING && !this.#waiting.has(device)) return;
    this.#waiting.set(device, profile);
    this.#timer ??= setTimeout(() => void this.flush(), GATHER_MS);
  }

  async forget(device: string): Promise<number> {
    const isWaiting = this.#waiting.delete(device);
    await this.flush();
    const known = isWaiting || this.#profiles.doesExist(device) ? 1 : 0;
    await this.#commit(() => void this.#profiles.remove(device));
    await this.#root.flushed;
    return known;
  }

  async profiles(after: string | undefined, limit: number): Promise<Found[]> {
    this.#root.resetReadTxn();
    const entries: Found[] = [];
    for (const { key, value } of this.#profiles.getRange(after === undefined ? {} : { start: after })) {
      if (key === after) continue;
      if (entries.length >= limit) break;
      entries.push({ key, value });
    }
    return entries;
  }

  async putProfiles(profiles: readonly Found[]): Promise<void> {
    await this.#commit(() => {
      for (const { key, value } of profiles) void this.#profiles.put(key, value);
    });
    await this.#root.flushed;
  }

  /** Ends all use of it without touching its pages. */
  abandon(): void {
    this.#abandoned = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#quiet);
    this.#watching?.stop();
    this.#watchers.clear();
  }

  /** Commits the profiles that wait. Does not reject: a disk that refuses is logged, and what was learned is learned again. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#committing !== undefined) await this.#committing;
    if (this.#waiting.size === 0) return;
    this.#committing = this.#write().finally(() => {
      this.#committing = undefined;
    });
    await this.#committing;
  }

  async close(): Promise<void> {
    await this.flush();
    clearTimeout(this.#quiet);
    this.#watching?.stop();
    this.#watchers.clear();
    await this.#root.close();
    await this.#lock.close();
  }

  /**
   * One transaction; resolves when others see it: what the calls in it promise is not awaited. `this.#root.flushed` then is of the
   * transaction, or of a later one.
   */
  #commit<T>(change: () => T): Promise<T> {
    return this.#lock.hold(() => this.#root.transaction(change));
  }

  #table(table: Table): Database<string, string> {
    const found = this.#tables.get(table);
    if (found === undefined) throw new RangeError(`unknown table ${table}`);
    return found;
  }

  /** Within a transaction. */
  #apply(op: Op): void {
    const rows = this.#table(op.table);
    if ('put' in op) void rows.put(op.key, op.put);
    else if ('remove' in op) void rows.remove(op.key);
    else if ('add' in op) void rows.put(op.key, added(rows.get(op.key), op.add));
  }

  /** Within a transaction: invariant 5. */
  #note(ops: readonly Op[]): void {
    const changes = ops.filter((op) => !('expect' in op));
    const lines =
      changes.length > LOGGED_KEYS
        ? new Set(changes.map(({ table }) => table))
        : new Set(changes.map(({ table, key }) => `${table} ${key}`));
    let number = this.#lastChange();
    for (const line of lines) {
      void this.#changes.put(++number, line);
      void this.#changes.remove(number - LOG_LENGTH);
    }
  }

  #lastChange(): number {
    for (const number of this.#changes.getKeys({ reverse: true, limit: 1 })) return number;
    return 0;
  }

  /** Tells what has changed since the look before; false: nothing has. */
  #look(): boolean {
    try {
      const last = this.#lastChange();
      if (last === this.#seen) return false;
      const from = this.#seen + 1;
      this.#seen = last;
      let next = from;
      for (const { key: number, value } of this.#changes.getRange({ start: from, end: last + 1 })) {
        if (number !== next) break;
        next++;
        this.#tell(value);
      }
      // The log has been overwritten meanwhile, or was begun anew.
      if (next <= last || last < from) for (const table of TABLES) this.#tell(table);
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  #tell(line: string): void {
    const space = line.indexOf(' ');
    const table = TABLES.find((name) => name === (space < 0 ? line : line.slice(0, space)));
    if (table === undefined) return;
    for (const changed of this.#watchers) changed(table, space < 0 ? undefined : line.slice(space + 1));
  }

  async #write(): Promise<void> {
    const profiles = this.#profiles;
    this.#writing = this.#waiting;
    this.#waiting = new Map();
    try {
      let room = this.#maxDevices - countOf(profiles.getStats());
      await this.#commit(() => {
        for (const [device, profile] of this.#writing) {
          const text = JSON.stringify(profile);
          if (text.length > MAX_VALUE) continue;
          if (!profiles.doesExist(device) && --room < 0) continue;
          void profiles.put(device, text);
        }
      });
    } catch (error) {
      this.#failed(error);
    }
    this.#writing = new Map();
  }

  #read(device: string): Profile | undefined {
    try {
      const text = this.#profiles.get(device);
      return text === undefined ? undefined : parseProfile(text);
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  #failed(error: unknown): void {
    if (this.#quiet !== undefined || this.#abandoned) return;
    this.#quiet = setTimeout(() => {
      this.#quiet = undefined;
    }, QUIET_MS).unref();
    this.#onTrouble();
    this.#log.warn({ error: messageOf(error) }, 'state store unavailable; learned profiles are not kept meanwhile');
  }
}

function countOf(stats: object): number {
  return 'entryCount' in stats && typeof stats.entryCount === 'number' ? stats.entryCount : 0;
}
