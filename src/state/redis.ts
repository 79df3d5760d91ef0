import { Redis } from 'ioredis';
import { AppError, messageOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { SecretUrl } from '../base/secret.ts';
import { attempt, CONTENDED } from './attempt.ts';
import { evictionConcern } from './eviction.ts';
import { type Profile, type ProfileStore, parseProfile } from './profile.ts';
import { Script } from './script.ts';
import { type Changed, type Found, type Op, type StateStore, TABLES, type Table } from './store.ts';

/**
 * The state store of many machines, in Redis. Keys below `<prefix>state:`: per table a hash of its values and a sorted set of
 * its keys; `log`, a stream of changes; `profiles`, a hash.
 *
 * 1. A write is one script: all or nothing. It is answered when Redis has done it; how durable that is, is Redis's
 *    configuration (`appendonly yes`).
 * 2. A write whose answer is lost rejects, and may have been done. Callers that add to counters make that harmless by an
 *    expectation in the same write.
 * 3. Watchers read the stream of changes on from where they were, so that a lost connection loses none; one that was away
 *    for too long is told that anything may have changed.
 */
const CONNECT_MS = 5_000;
const COMMAND_MS = 5_000;
const LOG_LENGTH = 20_000;
const LOGGED_KEYS = 1_000;
const GATHER_MS = 200;
const MAX_WAITING = 20_000;
const QUIET_MS = 60_000;
const RETRY_MS = 200;
/** How long a read of the stream of changes waits for one, and how long for an answer at all: then Redis is silent. */
const BLOCK_MS = 5_000;
const READ_MS = BLOCK_MS + 3_000;

const WRITE = new Script('write');
const LIST = new Script('list');

/** Steps of one script: Redis serves no other client meanwhile, and a call takes so many arguments. */
const MAX_STEPS = 2_000;

export interface RedisStoreOptions {
  /** `redis://[user:password@]host:port/db` or `rediss://…`. */
  readonly url: SecretUrl;
  /** In front of every key, `fixgate:` by default. */
  readonly prefix?: string | undefined;
  readonly log: Log;
}

export class RedisStore implements StateStore, ProfileStore {
  readonly mayBeAway = true;
  readonly #redis: Redis;
  readonly #url: SecretUrl;
  readonly #prefix: string;
  readonly #log: Log;
  readonly #watchers = new Set<Changed>();
  /** Of the stream of changes, while there are watchers. */
  #reading: Reading | undefined;
  #waiting = new Map<string, Profile>();
  /** On their way. */
  #leaving = new Map<string, Profile>();
  #flushed: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #quiet: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: RedisStoreOptions) {
    this.#url = options.url;
    this.#prefix = `${options.prefix ?? 'fixgate:'}state:`;
    this.#log = options.log;
    this.#redis = this.#connection('fixgate-state', {
      commandTimeout: COMMAND_MS,
      maxRetriesPerRequest: 1,
      retryStrategy: (times) => Math.min(2_000, RETRY_MS * times),
    });
  }

  find(table: Table, key: string, found: (value: string | undefined, readable: boolean) => void): void {
    this.get(table, key).then(
      (value) => found(value, true),
      (error: unknown) => {
        this.#failed(error);
        found(undefined, false);
      },
    );
  }

  async get(table: Table, key: string): Promise<string | undefined> {
    return this.#asked(async () => (await this.#redis.hget(this.#prefix + table, key)) ?? undefined);
  }

  async list(table: Table, page: { readonly prefix?: string; readonly after?: string; readonly limit: number }): Promise<Found[]> {
    const { prefix = '', after, limit } = page;
    const from = after !== undefined && after >= prefix ? `(${after}` : `[${prefix}`;
    const name = this.#prefix + table;
    // Keys are printable ASCII: the end is behind all that begin with the prefix.
    const found = await this.#asked(() => LIST.run(this.#redis, [name, `${name}:keys`], [from, `(${prefix}\x7f`, limit]));
    const texts: unknown[] = Array.isArray(found) ? found : [];
    return Array.from({ length: texts.length / 2 }, (_, i) => ({ key: String(texts[2 * i]), value: String(texts[2 * i + 1]) }));
  }

  async write(ops: readonly Op[]): Promise<boolean> {
    if (ops.length > MAX_STEPS)
      throw new RangeError(`a write to the state store in Redis takes ${MAX_STEPS} steps at most, not ${ops.length}: split it`);
    const tables = [...new Set(ops.map(({ table }) => table))];
    const keys = tables.flatMap((table) => [this.#prefix + table, `${this.#prefix}${table}:keys`]);
    const steps = ops.flatMap((op) => [tables.indexOf(op.table) + 1, op.key, ...stepOf(op)]);
    const values = [tables.length, ops.length, LOG_LENGTH, LOGGED_KEYS, ...tables, ...steps];
    return this.#asked(async () => (await WRITE.run(this.#redis, [`${this.#prefix}log`, ...keys], values)) === 1);
  }

  async update(table: Table, key: string, change: (value: string | undefined) => string | undefined): Promise<string | undefined> {
    return attempt(`an entry of the table ${table}`, async () => {
      const before = await this.get(table, key);
      const after = change(before);
      if (after === before) return after;
      const op: Op = after === undefined ? { table, key, remove: true } : { table, key, put: after };
      return (await this.write([{ table, key, expect: before }, op])) ? after : CONTENDED;
    });
  }

  watch(changed: Changed): () => void {
    const watcher: Changed = (table, key) => changed(table, key);
    this.#watchers.add(watcher);
    if (this.#reading === undefined) {
      this.#reading = new Reading();
      void this.#follow(this.#reading);
    }
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size > 0) return;
      this.#reading?.end();
      this.#reading = undefined;
    };
  }

  concern(): Promise<string> {
    return this.#asked(() => evictionConcern(this.#redis));
  }

  findProfile(device: string, found: (profile: Profile | undefined) => void): void {
    const waiting = this.#waiting.get(device) ?? this.#leaving.get(device);
    if (waiting !== undefined) {
      found(waiting);
      return;
    }
    this.#asked(() => this.#redis.hget(`${this.#prefix}profiles`, device)).then(
      (text) => found(text === null ? undefined : parseProfile(text)),
      (error: unknown) => {
        this.#failed(error);
        found(undefined);
      },
    );
  }

  remember(device: string, profile: Profile): void {
    if (this.#waiting.size >= MAX_WAITING && !this.#waiting.has(device)) return;
    this.#waiting.set(device, profile);
    this.#timer ??= setTimeout(() => void this.flush(), GATHER_MS);
  }

  async forget(device: string): Promise<number> {
    const isWaiting = this.#waiting.delete(device);
    this.#leaving.delete(device);
    const removed = await this.#asked(() => this.#redis.hdel(`${this.#prefix}profiles`, device));
    return isWaiting ? 1 : removed;
  }

  /** In the order of their keys. Reads all keys each time: for a command, not for a server. */
  async profiles(after: string | undefined, limit: number): Promise<Found[]> {
    const name = `${this.#prefix}profiles`;
    return this.#asked(async () => {
      const keys = (await this.#redis.hkeys(name)).filter((key) => after === undefined || key > after).sort();
      const page = keys.slice(0, limit);
      const values = page.length === 0 ? [] : await this.#redis.hmget(name, ...page);
      return page.flatMap((key, i) => (typeof values[i] === 'string' ? [{ key, value: values[i] }] : []));
    });
  }

  async putProfiles(profiles: readonly Found[]): Promise<void> {
    if (profiles.length === 0) return;
    const fields = profiles.flatMap(({ key, value }) => [key, value]);
    await this.#asked(() => this.#redis.hset(`${this.#prefix}profiles`, ...fields));
  }

  /** Writes the profiles that wait. Does not reject: what was learned is learned again. */
  /** Resolves when all that was remembered is in Redis, or given up. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.size > 0) {
      const leaving = this.#waiting;
      this.#waiting = new Map();
      this.#leaving = leaving;
      this.#flushed = Promise.all([this.#flushed, this.#put(leaving)]).then(() => {});
    }
    return this.#flushed;
  }

  async #put(leaving: Map<string, Profile>): Promise<void> {
    const fields = [...leaving].flatMap(([device, profile]) => [device, JSON.stringify(profile)]);
    try {
      await this.#asked(() => this.#redis.hset(`${this.#prefix}profiles`, ...fields));
    } catch (error) {
      this.#failed(error);
    }
    if (this.#leaving === leaving) this.#leaving = new Map();
  }

  async close(): Promise<void> {
    await this.flush();
    this.#closed = true;
    clearTimeout(this.#quiet);
    this.#watchers.clear();
    this.#reading?.end();
    this.#redis.disconnect();
  }

  #connection(name: string, more: ConnectionOptions): Redis {
    const redis = new Redis(this.#url.reveal(), {
      connectionName: name,
      connectTimeout: CONNECT_MS,
      // A command that was cut off is not sent again behind our back (invariant 2).
      autoResendUnfulfilledCommands: false,
      ...more,
    });
    redis.on('error', (error) => this.#failed(error));
    return redis;
  }

  async #asked<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      throw new AppError('STATE_UNREACHABLE', `the state store in Redis does not answer: ${this.#url.scrub(messageOf(error))}`, error);
    }
  }

  /**
   * Invariant 3. Each attempt has a connection of its own: one that ioredis reopens by itself never settles a read that was waiting when
   * it was closed.
   */
  async #follow(reading: Reading): Promise<void> {
    while (!reading.ended) {
      const redis = this.#connection('fixgate-state-watch', { lazyConnect: true, retryStrategy: () => null, commandTimeout: READ_MS });
      reading.redis = redis;
      try {
        await redis.connect();
        while (!reading.ended) await this.#readLog(redis, reading);
      } catch (error) {
        if (!reading.ended) this.#failed(error);
      }
      redis.disconnect();
      if (!reading.ended) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  async #readLog(redis: Redis, reading: Reading): Promise<void> {
    const log = `${this.#prefix}log`;
    if (reading.after === undefined) {
      reading.after = await lastId(redis, log);
      // What changed before this was known.
      this.#tellAll();
    }
    const [first] = await redis.xrange(log, '-', '+', 'COUNT', 1);
    if (reading.after !== '0-0' && (first === undefined || isBehind(reading.after, first[0]))) this.#tellAll();
    const [stream] = (await redis.xread('COUNT', 1000, 'BLOCK', BLOCK_MS, 'STREAMS', log, reading.after)) ?? [];
    for (const [id, [, change = '']] of stream?.[1] ?? []) {
      reading.after = id;
      this.#tell(change);
    }
  }

  #tellAll(): void {
    for (const table of TABLES) this.#tell(table);
  }

  #tell(line: string): void {
    const space = line.indexOf(' ');
    const table = TABLES.find((name) => name === (space < 0 ? line : line.slice(0, space)));
    if (table === undefined) return;
    for (const changed of this.#watchers) changed(table, space < 0 ? undefined : line.slice(space + 1));
  }

  #failed(error: unknown): void {
    if (this.#quiet !== undefined || this.#closed) return;
    this.#quiet = setTimeout(() => {
      this.#quiet = undefined;
    }, QUIET_MS).unref();
    this.#log.warn({ error: this.#url.scrub(messageOf(error)) }, 'the state store in Redis cannot be used');
  }
}

interface ConnectionOptions {
  readonly commandTimeout: number;
  readonly retryStrategy: (times: number) => number | null;
  readonly maxRetriesPerRequest?: number;
  readonly lazyConnect?: boolean;
}

/** How far the stream of changes has been read, and by which connection. */
class Reading {
  after: string | undefined;
  redis: Redis | undefined;
  ended = false;

  end(): void {
    this.ended = true;
    this.redis?.disconnect();
  }
}

function stepOf(op: Op): [what: string, value: string] {
  if ('put' in op) return ['put', op.put];
  if ('remove' in op) return ['remove', ''];
  if ('add' in op) return ['add', JSON.stringify(op.add)];
  return op.expect === undefined ? ['absent', ''] : ['expect', op.expect];
}

/** Stream ids are `<ms>-<number>`. */
function isBehind(id: string, first: string): boolean {
  const [ms = 0, number = 0] = id.split('-').map(Number);
  const [firstMs = 0, firstNumber = 0] = first.split('-').map(Number);
  return ms < firstMs || (ms === firstMs && number < firstNumber);
}

async function lastId(redis: Redis, stream: string): Promise<string> {
  const [last] = await redis.xrevrange(stream, '+', '-', 'COUNT', 1);
  return last?.[0] ?? '0-0';
}
