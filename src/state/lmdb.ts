import { type Database, open, type RootDatabase } from 'lmdb';
import { AppError, messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Profile, ProfileStore } from './store.ts';

/**
 * The state store of one machine: an lmdb environment in the data directory, which all processes of the server have open.
 *
 * 1. A read looks into mapped pages and takes no lock; it sees what any process has committed, and what this one is about to.
 * 2. Writes gather and are committed together, one transaction at a time: many devices cost one sync of the disk.
 * 3. A process killed at any moment leaves what was committed before, and no lock.
 * 4. Nothing grows without bound: the size of a value, the writes that wait, the devices kept. What does not fit is dropped: it
 *    is learned again.
 */
const GATHER_MS = 200;
const MAX_WAITING = 20_000;
const MAX_VALUE = 256;
const MAX_DEVICES = 5_000_000;
/** One line about a failing disk in this time. */
const QUIET_MS = 60_000;

export interface LmdbOptions {
  /** Made when it is not there. */
  readonly directory: string;
  readonly log: Log;
  /** Devices kept. */
  readonly maxDevices?: number;
}

export class LmdbStore implements ProfileStore {
  readonly #root: RootDatabase;
  readonly #profiles: Database<string, string>;
  readonly #log: Log;
  readonly #maxDevices: number;
  #waiting = new Map<string, Profile>();
  /** In the transaction that is being committed. */
  #writing = new Map<string, Profile>();
  #timer: NodeJS.Timeout | undefined;
  #commit: Promise<void> | undefined;
  #quiet: NodeJS.Timeout | undefined;

  /** Throws AppError DATA_DIR_UNUSABLE. */
  constructor(options: LmdbOptions) {
    this.#log = options.log;
    this.#maxDevices = options.maxDevices ?? MAX_DEVICES;
    try {
      this.#root = open({ path: options.directory, noSubdir: false });
      this.#profiles = this.#root.openDB<string, string>({ name: 'profiles', encoding: 'string' });
    } catch (error) {
      throw new AppError(
        'DATA_DIR_UNUSABLE',
        `cannot open the state store in ${options.directory} (${messageOf(error)}); it holds only what devices taught: move it away to start anew`,
        error,
      );
    }
  }

  find(device: string, found: (profile: Profile | undefined) => void): void {
    found(this.#waiting.get(device) ?? this.#writing.get(device) ?? this.#read(device));
  }

  remember(device: string, profile: Profile): void {
    if (this.#waiting.size >= MAX_WAITING && !this.#waiting.has(device)) return;
    this.#waiting.set(device, profile);
    this.#timer ??= setTimeout(() => void this.flush(), GATHER_MS);
  }

  /** Commits what waits. Does not reject: a disk that refuses is logged, and what was learned is learned again. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (this.#commit !== undefined) await this.#commit;
    if (this.#waiting.size === 0) return;
    this.#commit = this.#write().finally(() => {
      this.#commit = undefined;
    });
    await this.#commit;
  }

  async close(): Promise<void> {
    await this.flush();
    clearTimeout(this.#quiet);
    await this.#root.close();
  }

  async #write(): Promise<void> {
    const profiles = this.#profiles;
    this.#writing = this.#waiting;
    this.#waiting = new Map();
    try {
      let room = this.#maxDevices - countOf(profiles.getStats());
      await profiles.batch(() => {
        for (const [device, profile] of this.#writing) {
          const text = JSON.stringify(profile);
          if (text.length > MAX_VALUE) continue;
          if (!profiles.doesExist(device) && --room < 0) continue;
          profiles.put(device, text);
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
      return text === undefined ? undefined : parse(text);
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  #failed(error: unknown): void {
    if (this.#quiet !== undefined) return;
    this.#quiet = setTimeout(() => {
      this.#quiet = undefined;
    }, QUIET_MS).unref();
    this.#log.warn({ error: messageOf(error) }, 'the state store cannot be used; what devices teach is not kept until it can');
  }
}

function countOf(stats: object): number {
  return 'entryCount' in stats && typeof stats.entryCount === 'number' ? stats.entryCount : 0;
}

/** Another version may have written it. */
function parse(text: string): Profile | undefined {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null || !('codec' in value) || !('memo' in value) || !('updated' in value)) return undefined;
  const { codec, memo, updated } = value;
  if (typeof codec !== 'string' || typeof memo !== 'number' || typeof updated !== 'number') return undefined;
  return memo === (memo & 0x7fffffff) ? { codec, memo, updated } : undefined;
}
