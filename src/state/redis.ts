import { Redis } from 'ioredis';
import { AppError, messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { SecretUrl } from '../secret.ts';
import { evictionConcern } from './eviction.ts';
import { type Profile, type ProfileStore, parseProfile } from './profile.ts';
import { type Changed, type Found, MOST_TRIES, type Op, type StateStore, TABLES, type Table } from './store.ts';

/**
 * The state store of many machines, in Redis. Keys below `<prefix>state:`: per table a hash of its values and a sorted set of
 * its keys; `log`, a stream of changes; `profiles`, a hash.
 *
 * 1. A write is one script: all or nothing. It is answered when Redis has done it; how durable that is, is Redis's
 *    configuration (`appendonly yes`).
 * 2. A write whose answer is lost rejects, and may have been done. Whoever adds to counters makes that harmless by an
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

/**
 * ARGV: the prefix, how many steps, then four each: table, key, what, value. Counters are written out by hand: Redis's JSON
 * encoder keeps 14 digits.
 */
const WRITE = `
local prefix, steps = ARGV[1], tonumber(ARGV[2])
for i = 0, steps - 1 do
  local at = 3 + 4 * i
  if ARGV[at + 2] == 'expect' or ARGV[at + 2] == 'absent' then
    local value = redis.call('HGET', prefix .. ARGV[at], ARGV[at + 1])
    if ARGV[at + 2] == 'absent' then
      if value then return 0 end
    elseif value ~= ARGV[at + 3] then return 0 end
  end
end
local tables = {}
for i = 0, steps - 1 do
  local at = 3 + 4 * i
  local name, key, what, value = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  if what == 'add' then
    local sums = cjson.decode(redis.call('HGET', prefix .. name, key) or '{}')
    for field, more in pairs(cjson.decode(value)) do sums[field] = (sums[field] or 0) + more end
    local fields = {}
    for field in pairs(sums) do fields[#fields + 1] = field end
    table.sort(fields)
    local parts = {}
    for _, field in ipairs(fields) do parts[#parts + 1] = cjson.encode(field) .. ':' .. string.format('%.0f', sums[field]) end
    value = '{' .. table.concat(parts, ',') .. '}'
    what = 'put'
  end
  if what == 'put' then
    redis.call('HSET', prefix .. name, key, value)
    redis.call('ZADD', prefix .. name .. ':keys', 0, key)
  elseif what == 'remove' then
    redis.call('HDEL', prefix .. name, key)
    redis.call('ZREM', prefix .. name .. ':keys', key)
  end
  if what ~= 'expect' and what ~= 'absent' then
    if steps <= ${LOGGED_KEYS} then redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ${LOG_LENGTH}, '*', 'change', name .. ' ' .. key)
    else tables[name] = true end
  end
end
for name in pairs(tables) do redis.call('XADD', prefix .. 'log', 'MAXLEN', '~', ${LOG_LENGTH}, '*', 'change', name) end
return 1`;

/** Steps of one script: Redis serves nobody else meanwhile, and a call takes so many arguments. */
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
  /** Connection that waits for changes, while somebody watches. */
  #reader: Redis | undefined;
  #waiting = new Map<string, Profile>();
  #timer: NodeJS.Timeout | undefined;
  #quiet: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: RedisStoreOptions) {
    this.#url = options.url;
    this.#prefix = `${options.prefix ?? 'fixgate:'}state:`;
    this.#log = options.log;
    this.#redis = this.#connection('fixgate-state', COMMAND_MS);
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
    return this.#asked(async () => {
      // Keys are printable ASCII: this is behind all that begin with the prefix.
      const keys = await this.#redis.zrangebylex(`${name}:keys`, from, `(${prefix}\x7f`, 'LIMIT', 0, limit);
      if (keys.length === 0) return [];
      const values = await this.#redis.hmget(name, ...keys);
      // One removed between the two calls is left out.
      return keys.flatMap((key, i) => {
        const value = values[i];
        return typeof value === 'string' ? [{ key, value }] : [];
      });
    });
  }

  async write(ops: readonly Op[]): Promise<boolean> {
    if (ops.length > MAX_STEPS)
      throw new RangeError(`a write to the state store in Redis takes ${MAX_STEPS} steps at most, not ${ops.length}: split it`);
    const steps = ops.flatMap((op) => [op.table, op.key, ...stepOf(op)]);
    return this.#asked(async () => (await this.#redis.eval(WRITE, 0, this.#prefix, ops.length, ...steps)) === 1);
  }

  async update(table: Table, key: string, change: (value: string | undefined) => string | undefined): Promise<string | undefined> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const before = await this.get(table, key);
      const after = change(before);
      if (after === before) return after;
      const op: Op = after === undefined ? { table, key, remove: true } : { table, key, put: after };
      if (await this.write([{ table, key, expect: before }, op])) return after;
    }
    throw new AppError('STATE_BUSY', `others are changing the same record of ${table}; try again`);
  }

  watch(changed: Changed): () => void {
    const watcher: Changed = (table, key) => changed(table, key);
    this.#watchers.add(watcher);
    if (this.#reader === undefined) {
      // It waits for changes: no command of it may time out.
      this.#reader = this.#connection('fixgate-state-watch', undefined);
      void this.#follow(this.#reader);
    }
    return () => {
      this.#watchers.delete(watcher);
      if (this.#watchers.size > 0) return;
      this.#reader?.disconnect();
      this.#reader = undefined;
    };
  }

  concern(): Promise<string> {
    return this.#asked(() => evictionConcern(this.#redis));
  }

  findProfile(device: string, found: (profile: Profile | undefined) => void): void {
    const waiting = this.#waiting.get(device);
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

  forget(device: string): Promise<number> {
    this.#waiting.delete(device);
    return this.#asked(() => this.#redis.hdel(`${this.#prefix}profiles`, device));
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
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.size === 0) return;
    const fields = [...this.#waiting].flatMap(([device, profile]) => [device, JSON.stringify(profile)]);
    try {
      await this.#asked(() => this.#redis.hset(`${this.#prefix}profiles`, ...fields));
      this.#waiting = new Map();
    } catch (error) {
      this.#failed(error);
      this.#waiting = new Map();
    }
  }

  async close(): Promise<void> {
    await this.flush();
    this.#closed = true;
    clearTimeout(this.#quiet);
    this.#watchers.clear();
    this.#reader?.disconnect();
    this.#redis.disconnect();
  }

  #connection(name: string, commandTimeout: number | undefined): Redis {
    const redis = new Redis(this.#url.reveal(), {
      connectionName: name,
      connectTimeout: CONNECT_MS,
      ...(commandTimeout === undefined ? {} : { commandTimeout }),
      // A command that was cut off is not sent again behind our back (invariant 2).
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 1,
      retryStrategy: (times) => Math.min(2_000, RETRY_MS * times),
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

  /** Invariant 3. Ends when the connection is given up. */
  async #follow(reader: Redis): Promise<void> {
    const log = `${this.#prefix}log`;
    let after: string | undefined;
    while (this.#reader === reader && !this.#closed) {
      try {
        if (after === undefined) {
          after = await lastId(reader, log);
          // What changed before this was known.
          this.#tellAll();
        }
        const [first] = await reader.xrange(log, '-', '+', 'COUNT', 1);
        if (after !== '0-0' && (first === undefined || isBehind(after, first[0]))) this.#tellAll();
        const [stream] = (await reader.xread('COUNT', 1000, 'BLOCK', 5_000, 'STREAMS', log, after)) ?? [];
        for (const [id, [, change = '']] of stream?.[1] ?? []) {
          after = id;
          this.#tell(change);
        }
      } catch (error) {
        if (this.#reader !== reader || this.#closed) return;
        this.#failed(error);
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
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
