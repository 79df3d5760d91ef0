import { type ChainableCommander, Command, Pipeline, Redis } from 'ioredis';
import { systemClock } from '../../../base/clock.ts';
import type { Erased } from '../../../base/erased.ts';
import { AppError, messageOf } from '../../../base/errors.ts';
import type { SecretUrl } from '../../../base/secret.ts';
import { evictionConcern } from '../../../state/eviction.ts';
import type { Batch, BatchLimits, Counts, Park, Position, Sink } from '../sink.ts';
import { Commands, recipientStream } from './encode.ts';
import { eraseFromStreams, recipientStreams } from './erase.ts';
import { type StreamGroup, streamGroups } from './groups.ts';
import type { Passing, Recipients } from './recipients.ts';
import { trimByAge } from './trim.ts';
import { streamEntry, Witness } from './witness.ts';

/**
 * Redis streams `<prefix>positions`, `<prefix>statuses`, `<prefix>events` and `<prefix>audit` with the fields device, time (epoch ms) and
 * data (JSON, docs/formats/stream.md), and `<prefix>last:<device>`, the JSON of a device's newest real fix.
 *
 * 1. The cursor, hash `<prefix>cursor:<instance>` with a field per slot, is in the same MULTI/EXEC as the entries: a
 *    crash, or a failover to an older replica, moves both or none (promises 2 and 3).
 * 2. After any error the connection is thrown away and the cursor is read anew: no command is ever sent twice without
 *    knowing what became of the first.
 * 3. Every transaction compares the cursor first and adds nothing when it is not where this batch begins: a second
 *    shipper, or a command that was stuck somewhere, cannot come between.
 * 4. A last position never moves backwards in time, also when our clock is set. One whose time is ahead is as new as its receipt.
 * 5. Trimming does not wait for readers, but a consumer group that it has overtaken is reported.
 * 6. A cursor that is there is believed: a failover may have set it back, and the entries with it. Where it is gone, the witness in
 *    the data directory says how far a slot had come, if the streams still end with the entries that it names; else the slot
 *    is delivered again from what the journal holds. In doubt twice, never missing.
 * 7. A Redis that may evict our keys is reported as long as it may.
 * 8. What recipients get, in `<prefix>to:<recipient>`, is appended in the same step as what it is a copy of.
 * 9. Entries go at `maxAgeMs` of the clock of Redis, of every stream, also of a recipient that was removed; a look that fails is made again.
 */
export interface RedisStreamOptions {
  /** `redis://[user:password@]host:port/db` or `rediss://…`. */
  readonly url: SecretUrl;
  /** Identity of this installation. */
  readonly instance: string;
  /** In front of every key, `fixgate:` by default. */
  readonly prefix?: string | undefined;
  /** Streams are trimmed to about so many entries, 1 000 000 by default. */
  readonly maxLength?: number | undefined;
  /** Entries older than this are removed, ms; 0, the default: none are for their age. */
  readonly maxAgeMs?: number | undefined;
  /** Rows of one transaction, 2000 by default: Redis serves no other client meanwhile. */
  readonly batchRows?: number | undefined;
  /** Gets the state of the streams' consumer groups every ten seconds or so. */
  readonly onGroups?: ((groups: readonly StreamGroup[]) => void) | undefined;
  /** Who gets copies in streams of their own (`recipients.ts`); absent: there are none. */
  readonly recipients?: Recipients | undefined;
  /** So many entries were added to streams of recipients. */
  readonly onPassed?: ((entries: number) => void) | undefined;
  /** File of the witness; without one it is forgotten with the process. */
  readonly witnessPath?: string | undefined;
  /** Cursors of these slots were gone (invariant 6): `resumed` behind what is in the streams, or delivered again. */
  readonly onCursorLost?: ((slots: readonly string[], resumed: boolean) => void) | undefined;
}

/** Statuses that one look reads at most. */
const STATUS_PAGES = 20;
const STATUS_PAGE = 500;
const STREAMS = ['positions', 'statuses', 'events', 'audit'];
/** What an erasure looks through: the audit stays. */
const ERASED_STREAMS = ['positions', 'statuses', 'events', 'commands'];
const CONNECT_MS = 5_000;
/** More arguments than that, and a call runs out of stack. */
const MAX_BATCH_ROWS = 10_000;
/** A transaction that takes longer has an unknown outcome. */
const COMMAND_MS = 10_000;
const LOOK_MS = 10_000;
/** Entries wait so long for company: a transaction costs as much as a hundred records in it. */
const BATCH_AGE_MS = 20;
const TRIM_MS = 60_000;

/** Nothing is connected before `open`. */
export function createRedisStreamSink(options: RedisStreamOptions): Sink {
  return new RedisStreamSink(options);
}

class RedisStreamSink implements Sink {
  readonly name = 'redis';
  readonly takes = 'records';
  readonly relays = true;
  concern = '';
  readonly limits: BatchLimits;
  readonly #o: RedisStreamOptions;
  readonly #prefix: string;
  readonly #cursor: string;
  readonly #streams: readonly string[];
  #redis: Redis | null = null;
  #commands = new Commands();
  #lookedAt = Number.NEGATIVE_INFINITY;
  #trimmedAt = Number.NEGATIVE_INFINITY;
  #witness: Witness | undefined;
  /** The entry of the stream of statuses that was read last. */
  #statusesRead = '-';

  constructor(options: RedisStreamOptions) {
    this.#o = options;
    this.#prefix = options.prefix ?? 'fixgate:';
    this.#cursor = `${this.#prefix}cursor:${options.instance}`;
    this.#streams = STREAMS.map((name) => `${this.#prefix}${name}`);
    this.limits = { rows: Math.min(options.batchRows ?? 2_000, MAX_BATCH_ROWS), bytes: 1024 * 1024, ageMs: BATCH_AGE_MS };
  }

  async open(): Promise<Position> {
    // Invariant 2: what the old connection may still have under way is not waited for.
    this.#drop();
    const redis = await this.#connect();
    this.#redis = redis;
    try {
      await this.#lookAtPolicy(redis);
      this.#witness ??= await Witness.open(this.#o.witnessPath, this.#o.instance);
      const delivered = await this.#position(redis, this.#witness);
      return { delivered: (slot) => delivered.get(slot) ?? 0, pending: null };
    } catch (error) {
      this.#drop();
      throw plain(error, this.#o.url);
    }
  }

  async deliver(batch: Batch, _park: Park): Promise<void> {
    const redis = this.#connected();
    const keys = [this.#cursor, ...this.#streams];
    const passing = await this.#passing(batch);
    const transaction = redis.multi();
    const commands = this.#commands;
    queue(transaction, commands.append(batch, keys, this.#o.maxLength ?? 1_000_000, passing, this.#prefix));
    const last = commands.last(batch.rows, batch.resent, this.#prefix);
    if (last !== undefined) queue(transaction, last);
    let results: [error: Error | null, result: unknown][] | null;
    try {
      results = await transaction.exec();
    } catch (error) {
      this.#drop();
      throw plain(error, this.#o.url);
    }
    const [failed, appended] = results?.[0] ?? [null, null];
    if (failed !== null) throw plain(failed, this.#o.url);
    if (!Array.isArray(appended)) throw new AppError('SINK_UNREACHABLE', `another process moved ${this.#cursor}; reading it again`);
    for (const entries of commands.passed.values()) this.#o.onPassed?.(entries);
    await this.#remember(batch, appended.map(String), commands.lastData());
    await this.#look(redis);
  }

  async #passing(batch: Batch): Promise<Passing | undefined> {
    try {
      return await this.#o.recipients?.passing(batch);
    } catch (error) {
      throw new AppError('SINK_UNREACHABLE', `the state store does not say what recipients get: ${messageOf(error)}`, error);
    }
  }

  /** Reads the stream of statuses from its end to where it was read before. */
  async newestStatus(device: string, since: number): Promise<number> {
    const redis = this.#connected();
    const [, statuses = ''] = this.#streams;
    const until = this.#statusesRead;
    let from = '+';
    let first = '';
    for (let page = 0; page < STATUS_PAGES; page++) {
      const entries = await redis.xrevrange(statuses, from, until, 'COUNT', STATUS_PAGE);
      first ||= entries[0]?.[0] ?? until;
      const found = entries.find(([, fields]) => fields[1] === device);
      const oldest = entries.at(-1)?.[0];
      if (found !== undefined || entries.length < STATUS_PAGE || oldest === undefined) {
        this.#statusesRead = first;
        const time = Number(found?.[1][3] ?? 0);
        return time >= since ? time : 0;
      }
      from = `(${oldest}`;
    }
    this.#statusesRead = first;
    return 0;
  }

  async check(): Promise<void> {
    try {
      const redis = this.#connected();
      await redis.ping();
      await this.#look(redis);
    } catch (error) {
      this.#drop();
      throw plain(error, this.#o.url);
    }
  }

  /** On a connection of its own: it takes as long as the streams are long. */
  async erase(devices: Erased): Promise<Counts> {
    const redis = await this.#connect();
    try {
      return await eraseFromStreams(redis, this.#prefix, ERASED_STREAMS, devices);
    } catch (error) {
      throw plain(error, this.#o.url);
    } finally {
      redis.disconnect();
    }
  }

  async close(): Promise<void> {
    this.#drop();
    await this.#witness?.close();
  }

  /** Invariant 6. */
  async #position(redis: Redis, witness: Witness): Promise<Map<string, number>> {
    // Together: the entries that the streams end with where the cursor stands there.
    const transaction = redis.multi().hgetall(this.#cursor);
    for (const stream of this.#streams) transaction.xrevrange(stream, '+', '-', 'COUNT', 1);
    const [cursor, ...ends] = (await transaction.exec())?.map(([failed, reply]) => (failed === null ? reply : failed)) ?? [];
    if (cursor instanceof Error) throw cursor;
    const delivered = positions(cursor, this.#cursor);
    const lost = [...witness.delivered.keys()].filter((slot) => !delivered.has(slot));
    if (lost.length > 0) {
      const resumed = await this.#holds(redis, witness);
      if (resumed) await redis.hset(this.#cursor, ...lost.flatMap((slot) => [slot, String(witness.delivered.get(slot))]));
      for (const slot of lost) if (resumed) delivered.set(slot, witness.delivered.get(slot) ?? 0);
      this.#o.onCursorLost?.(lost, resumed);
    }
    witness.delivered.clear();
    for (const [slot, sequence] of delivered) witness.delivered.set(slot, sequence);
    witness.last.clear();
    for (const [index, stream] of this.#streams.entries()) {
      const end = lastEntry(ends[index]);
      if (end !== undefined) witness.last.set(stream, streamEntry(...end));
    }
    await witness.write(this.#o.instance).catch(() => undefined);
    return delivered;
  }

  /** Whether every entry that the witness names is in its stream. */
  async #holds(redis: Redis, witness: Witness): Promise<boolean> {
    for (const [stream, { id, sum }] of witness.last) {
      const found = lastEntry(await redis.xrange(stream, id, id));
      if (found === undefined || streamEntry(...found).sum !== sum) return false;
    }
    return witness.last.size > 0;
  }

  /** The batch is in the streams. A file that cannot be written costs entries that come twice, and only if the cursor is lost as well. */
  async #remember(batch: Batch, ids: readonly string[], data: readonly string[]): Promise<void> {
    const witness = this.#witness;
    if (witness === undefined) return;
    for (const [slot, { to }] of Object.entries(batch.ranges)) witness.delivered.set(slot, to);
    for (const [index, stream] of this.#streams.entries()) {
      const id = ids[index] ?? '';
      if (id !== '') witness.last.set(stream, streamEntry(id, data[index] ?? ''));
    }
    await witness.write(this.#o.instance).catch(() => undefined);
  }

  /** Invariant 7. Where a user may not ask, nothing is known. */
  async #lookAtPolicy(redis: Redis): Promise<void> {
    this.concern = await evictionConcern(redis).catch(() => '');
  }

  /** Invariants 5 and 7. Delivery does not depend on it: the Redis user may lack the permission. */
  async #look(redis: Redis): Promise<void> {
    const { onGroups } = this.#o;
    if (systemClock.elapsed() - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = systemClock.elapsed();
    await this.#lookAtPolicy(redis);
    await this.#trim(redis).catch(() => undefined);
    try {
      if (onGroups !== undefined) {
        const ofRecipients = this.#o.recipients?.ids.map((id) => recipientStream(this.#prefix, id)) ?? [];
        onGroups(await streamGroups(redis, [...this.#streams, ...ofRecipients]));
      }
    } catch {
      // Looked at again next time.
    }
  }

  /** Invariant 9. */
  async #trim(redis: Redis): Promise<void> {
    const { maxAgeMs = 0 } = this.#o;
    if (maxAgeMs === 0 || systemClock.elapsed() - this.#trimmedAt < Math.min(TRIM_MS, maxAgeMs)) return;
    for (const key of [...this.#streams, ...(await recipientStreams(redis, this.#prefix))]) await trimByAge(redis, key, maxAgeMs);
    this.#trimmedAt = systemClock.elapsed();
  }

  #connected(): Redis {
    if (this.#redis?.status !== 'ready') throw new AppError('SINK_UNREACHABLE', 'Redis closed the connection');
    return this.#redis;
  }

  async #connect(): Promise<Redis> {
    const redis = new Redis(this.#o.url.reveal(), {
      lazyConnect: true,
      retryStrategy: () => null,
      autoResendUnfulfilledCommands: false,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      connectTimeout: CONNECT_MS,
      commandTimeout: COMMAND_MS,
      connectionName: 'fixgate',
    });
    // What went wrong comes as an event; `connect` itself only says that it is closed.
    let reason: unknown = null;
    redis.on('error', (error) => {
      reason ??= error;
    });
    try {
      await redis.connect();
    } catch (error) {
      redis.disconnect();
      throw plain(reason ?? error, this.#o.url);
    }
    return redis;
  }

  #drop(): void {
    this.#redis?.disconnect();
    this.#redis = null;
    // The old connection may still hold the bytes of the last batch.
    this.#commands = new Commands();
  }
}

/** A command whose bytes are made. */
class ReadyCommand extends Command {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    super('eval', [], { replyEncoding: 'utf8' });
    this.#bytes = bytes;
  }

  override toWritable(): Buffer {
    return this.#bytes;
  }
}

function queue(transaction: ChainableCommander, bytes: Buffer): void {
  if (!(transaction instanceof Pipeline)) throw new TypeError('a transaction of ioredis is not a pipeline');
  transaction.sendCommand(new ReadyCommand(bytes));
}

/** The fields of the cursor. */
function positions(cursor: unknown, key: string): Map<string, number> {
  const delivered = new Map<string, number>();
  for (const [slot, text] of Object.entries(Object(cursor))) {
    const sequence = Number(text);
    if (!Number.isSafeInteger(sequence) || sequence < 0) throw new Error(`field ${slot} of ${key} is not a sequence: ${text}`);
    delivered.set(slot, sequence);
  }
  return delivered;
}

/** Id and data of the first entry in an answer of XRANGE. */
function lastEntry(answer: unknown): [id: string, data: string] | undefined {
  const [entry] = Array.isArray(answer) ? answer : [];
  if (!Array.isArray(entry)) return undefined;
  const [id, fields] = entry;
  const list: readonly unknown[] = Array.isArray(fields) ? fields : [];
  return [String(id), String(list[list.indexOf('data') + 1])];
}

/** What is known about the first word of Redis's errors, for people. */
const MEANINGS: readonly (readonly [RegExp, string])[] = [
  [/\bOOM\b/, 'Redis is out of memory (maxmemory)'],
  [/\bREADONLY\b/, 'Redis is a read-only replica (a failover?)'],
  [/\bLOADING\b/, 'Redis is loading its data'],
  [/\bMASTERDOWN\b/, 'Redis has lost its master'],
  [/\bMISCONF\b/, 'Redis cannot write to its disk'],
  [/\b(NOAUTH|WRONGPASS)\b|invalid password|without any password/, 'Redis refuses the user or password'],
  [/\bNOPERM\b/, 'Redis forbids the user a command or key'],
  [/\bNOREPLICAS\b/, 'Redis has too few replicas'],
  [/\bWRONGTYPE\b/, 'a key in Redis has another type'],
  [/\bECONNREFUSED\b|\bETIMEDOUT\b|\bENOTFOUND\b|\bEHOSTUNREACH\b|Connection is closed|timed out/, 'Redis does not answer'],
];

/** One line that says what is the matter. Everything is tried again: a stream that misses entries is worse than one that waits. */
function plain(error: unknown, url: SecretUrl): AppError {
  const inner = error instanceof Error && 'previousErrors' in error && Array.isArray(error.previousErrors) ? error.previousErrors[0] : null;
  const said = url.scrub(messageOf(inner ?? error));
  const meaning = MEANINGS.find(([pattern]) => pattern.test(said))?.[1];
  return new AppError('SINK_UNREACHABLE', meaning === undefined ? `Redis: ${said}` : `${meaning}: ${said}`, error);
}
