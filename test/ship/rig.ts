import { type ChildProcess, fork, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { nodeStorage } from '../../src/base/files.ts';
import { silentLog } from '../../src/base/log.ts';
import { createMetrics, type Metrics } from '../../src/base/metrics/catalog.ts';
import { Secret, SecretUrl } from '../../src/base/secret.ts';
import { Definition, NO_DEFINITION } from '../../src/journal/definition.ts';
import { EntryKind, type Marks, Origin } from '../../src/journal/entry.ts';
import { Journal } from '../../src/journal/journal.ts';
import { encodeUsage, type Traffic } from '../../src/journal/usage.ts';
import { Erasures, erasuresPath } from '../../src/out/ship/erasures.ts';
import { type Shipper, type ShipperOptions, startShipper } from '../../src/out/ship/shipper.ts';
import { type ClickHouseAccess, createClickHouseSink } from '../../src/out/sink/clickhouse/sink.ts';
import { createRedisStreamSink, type RedisStreamOptions } from '../../src/out/sink/redis-stream/sink.ts';
import type { Sink } from '../../src/out/sink/sink.ts';
import { accessOf, clientOf, launch, type Running } from '../embedded/child.ts';
import { dropDatabase, type Engine, makeDatabase, sharedEngine } from '../support/engine.ts';
import { NOWHERE, RECORD_BYTES, tiny } from './tiny.ts';

export interface Sample {
  /** Epoch ms; 0 for a device without a clock. */
  readonly time: number;
  readonly place?: boolean;
  readonly number?: number;
}

/** One frame of records. */
export function frameOf(samples: readonly Sample[]): Buffer {
  const bytes = Buffer.alloc(RECORD_BYTES * samples.length);
  samples.forEach(({ time, place = true, number = 0 }, i) => {
    const p = i * RECORD_BYTES;
    bytes.writeBigUInt64BE(BigInt(time), p);
    bytes.writeInt32BE(place ? 546_871_234 + number : NOWHERE, p + 8);
    bytes.writeInt32BE(252_797_123 - number, p + 12);
    bytes.writeUInt16BE(number % 200, p + 16);
    bytes.writeUInt16BE(13_800, p + 18);
    bytes.writeUInt16BE(number & 0xffff, p + 20);
  });
  return bytes;
}

/** A slot's journal, written as a worker would. */
export class Slot {
  readonly journal: Journal;

  private constructor(journal: Journal) {
    this.journal = journal;
  }

  static async open(data: string, slot: number, options: { segmentBytes?: number; order?: () => number } = {}): Promise<Slot> {
    const directory = join(data, 'journal', String(slot));
    const failed = (from: number, to: number, error: Error): void => {
      throw new Error(`${from}-${to} failed: ${error.message}`);
    };
    return new Slot(await Journal.open({ directory, onDurable: () => {}, onFailed: failed, minFreeBytes: 0, ...options }));
  }

  /** Appends a frame of records; returns its sequence. */
  fixes(device: string, received: number, samples: readonly Sample[], accepted = samples.length): number {
    return this.raw(device, received, frameOf(samples), accepted);
  }

  raw(device: string, received: number, bytes: Buffer, accepted: number, codec = 'tiny', marks?: Marks): number {
    const origin = new Origin(new Definition(codec, 'tcp'), device, '192.0.2.1:1000');
    return this.journal.append(origin, EntryKind.Frame, received, 0, accepted, bytes, 0, bytes.length, marks);
  }

  /** The same of a device that is the account's. */
  owned(account: string, device: string, received: number, samples: readonly Sample[]): number {
    const bytes = frameOf(samples);
    const origin = new Origin(new Definition('tiny', 'tcp', undefined, account), device, '192.0.2.1:1000');
    return this.journal.append(origin, EntryKind.Frame, received, 0, samples.length, bytes, 0, bytes.length);
  }

  /** Of which only those with these indexes are kept. */
  thinned(device: string, received: number, samples: readonly Sample[], kept: readonly number[]): number {
    const keep = new Uint8Array(Math.ceil(samples.length / 8));
    for (const index of kept) keep[index >> 3] = (keep[index >> 3] ?? 0) | (1 << (index & 7));
    return this.raw(device, received, frameOf(samples), samples.length, 'tiny', { keep, relay: false });
  }

  /** Marked relay. */
  relayed(device: string, received: number, samples: readonly Sample[]): number {
    return this.raw(device, received, frameOf(samples), samples.length, 'tiny', { keep: null, relay: true });
  }

  usage(device: string, received: number, traffic: Traffic | string, account = ''): number {
    const bytes = typeof traffic === 'string' ? Buffer.from(traffic) : encodeUsage(traffic);
    const origin = new Origin(new Definition('tiny', 'tcp', undefined, account), device, '192.0.2.1:1000');
    return this.journal.append(origin, EntryKind.Usage, received, 0, 0, bytes, 0, bytes.length);
  }

  /** An entry of the audit, as the supervisor journals it. */
  audit(received: number, entry: object): number {
    const bytes = Buffer.from(JSON.stringify(entry));
    return this.journal.append(new Origin(NO_DEFINITION, '', ''), EntryKind.Audit, received, 0, 0, bytes, 0, bytes.length);
  }

  event(device: string, received: number, event: object | string, marks?: Marks): number {
    const bytes = Buffer.from(typeof event === 'string' ? event : JSON.stringify(event));
    const origin = new Origin(new Definition('tiny', 'tcp'), device, '192.0.2.1:1000');
    return this.journal.append(origin, EntryKind.Event, received, 0, 0, bytes, 0, bytes.length, marks);
  }
}

/** A data directory that is removed with the test. */
export function dataDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'fixgate-ship-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true, maxRetries: 3 }));
  return path;
}

/** The codecs of these tests have no options. */
const DEFAULTS = {};

export interface Rig {
  readonly shipper: Shipper;
  readonly metrics: Metrics;
  /** What was logged as error or warning. */
  readonly said: string[];
}

export function ship(data: string, sinks: readonly Sink[], options: Partial<ShipperOptions> = {}): Rig {
  const metrics = createMetrics();
  const said: string[] = [];
  const note = (fields: object, message: string): void => {
    said.push(`${message} ${JSON.stringify(fields)}`);
  };
  const shipper = startShipper({
    journalDirectory: join(data, 'journal'),
    parkedDirectory: join(data, 'parked'),
    instance: INSTANCE,
    optionsOf: () => DEFAULTS,
    // The journals have the times of the tests.
    order: () => Number.MAX_SAFE_INTEGER,
    sinks,
    codecs: new Map([['tiny', tiny]]),
    erasures: new Erasures(erasuresPath(data), nodeStorage),
    metrics,
    log: { ...silentLog, error: note, warn: note },
    ...options,
  });
  return { shipper, metrics, said };
}

export const INSTANCE = 'rig';
/** Until all is delivered, ms: no machine reaches it. */
export const DEADLINE = 120_000;

export function clickHouseSink(
  data: string,
  access: ClickHouseAccess,
  options: { batchRows?: number; batchAgeMs?: number; database?: string } = {},
): Sink {
  return createClickHouseSink({ ...access, cursorPath: join(data, 'clickhouse.cursor'), batchAgeMs: 50, ...options });
}

export function redisSink(url: string, options: Omit<Partial<RedisStreamOptions>, 'url' | 'instance'> = {}): Sink {
  return createRedisStreamSink({ url: new SecretUrl(url), instance: INSTANCE, ...options });
}

/** `device TAB time TAB id`, as a ledger has them. */
export async function tableLedger({ client, database }: Tables, table = 'positions', final = true): Promise<string[]> {
  const query = `SELECT device, toUnixTimestamp64Milli(time) AS ms, id FROM ${database}.${table} ${final ? 'FINAL' : ''} ORDER BY device, ms, id`;
  const result = await client.query({ query, format: 'TabSeparated' });
  return (await result.text()).split('\n').filter((line) => line !== '');
}

export interface Streamed {
  readonly device: string;
  readonly time: number;
  readonly data: Record<string, unknown>;
}

export async function streamed(redis: Redis, key = 'fixgate:positions'): Promise<Streamed[]> {
  const entries = await redis.xrange(key, '-', '+');
  return entries.map(([, fields]) => {
    const at = (name: string): string => fields[fields.indexOf(name) + 1] ?? '';
    return { device: at('device'), time: Number(at('time')), data: JSON.parse(at('data')) };
  });
}

export async function streamLedger(redis: Redis, key = 'fixgate:positions'): Promise<string[]> {
  const lines = (await streamed(redis, key)).map(({ device, time, data }) => `${device}\t${time}\t${String(data['id'])}`);
  return lines.sort();
}

export function parkedLines(data: string, sink: string): Record<string, unknown>[] {
  try {
    const text = readFileSync(join(data, 'parked', `${sink}.jsonl`), 'utf8');
    return text
      .trim()
      .split('\n')
      .map((line): Record<string, unknown> => JSON.parse(line));
  } catch {
    return [];
  }
}

export async function counter(metrics: Metrics, name: string, labels: Record<string, string> = {}): Promise<number> {
  const metric = await metrics.registry.getSingleMetric(name)?.get();
  const wanted = Object.entries(labels);
  let sum = 0;
  for (const { labels: found, value } of metric?.values ?? []) if (wanted.every(([key, text]) => found[key] === text)) sum += value;
  return sum;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** A redis-server of the test's own, on a free port, with its files in a temporary directory. */
export class RedisServer {
  readonly port: number;
  readonly url: string;
  readonly directory: string;
  #process: ChildProcess | null = null;
  #clients: Redis[] = [];

  private constructor(port: number) {
    this.port = port;
    this.url = `redis://127.0.0.1:${port}`;
    this.directory = mkdtempSync(join(tmpdir(), 'fixgate-redis-'));
  }

  static async start(...args: string[]): Promise<RedisServer> {
    for (;;) {
      const server = new RedisServer(await freePort());
      if (await server.#starts(args)) return server;
      // Another process took the port meanwhile.
      await server.stop();
    }
  }

  /** Starts it, again if need be; with `--appendonly yes`, what it answered survives a kill. */
  async up(...args: string[]): Promise<void> {
    if (!(await this.#starts(args))) throw new Error(`another process has port ${this.port}`);
  }

  /** False when the one that answers at the port is another. */
  async #starts(args: readonly string[]): Promise<boolean> {
    const base = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.directory, '--save', '', '--appendfsync', 'always'];
    const child = spawn('redis-server', [...base, ...args], { stdio: ['ignore', 'ignore', 'ignore'] });
    this.#process = child;
    // Such as: it is not installed (test/required-tools.ts).
    const refused = new Promise<never>((_, reject) => {
      child.once('error', reject);
    });
    refused.catch(() => {});
    const ended = new Promise<undefined>((resolve) => {
      child.once('exit', () => resolve(undefined));
    });
    const probe = new Redis(this.url, { retryStrategy: () => 20, maxRetriesPerRequest: null });
    probe.on('error', () => {});
    try {
      const info = await Promise.race([probe.info('server'), ended, refused]);
      return info?.includes(`process_id:${child.pid}\r`) === true;
    } finally {
      probe.disconnect();
    }
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  /** Ends the connections of everybody but the test's first client. */
  async dropOthers(): Promise<void> {
    await this.#clients[0]?.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  }

  client(): Redis {
    const client = new Redis(this.url, { retryStrategy: () => 50, maxRetriesPerRequest: null });
    client.on('error', () => {});
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.disconnect();
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A database, and a client of who may use it. */
export interface Tables {
  readonly database: string;
  readonly client: ClickHouseClient;
}

/** A database of the test's own, with its tables, in the engine that the tests share. */
export class ClickHouseDatabase implements Tables {
  readonly database: string;
  readonly access: Required<Omit<ClickHouseAccess, 'agent'>>;
  /** In this database. */
  readonly client: ClickHouseClient;

  private constructor(database: string, { url, username, password }: Engine) {
    this.database = database;
    this.access = { url: new SecretUrl(url), username, password: new Secret(password), database };
    this.client = createClient({ url, username, password, database, log: { level: ClickHouseLogLevel.OFF } });
  }

  static async make(database = `fixgate_${randomUUID().slice(0, 8)}`): Promise<ClickHouseDatabase> {
    const engine = sharedEngine();
    if (engine === undefined) throw new Error('this run has no engine: test/support/run-engine.ts starts it');
    await makeDatabase(database);
    return new ClickHouseDatabase(database, engine);
  }

  /** The tables stay. */
  empty(): Promise<void> {
    return emptyTables(this);
  }

  /** As before any server has reached it. */
  dropTables(): Promise<void> {
    return ofTables(this, "1 ORDER BY engine != 'MaterializedView'", (table) => `DROP TABLE ${table} SYNC`);
  }

  async drop(): Promise<void> {
    await this.client.close();
    await dropDatabase(this.database);
  }
}

function emptyTables(tables: Tables): Promise<void> {
  return ofTables(tables, "engine LIKE '%MergeTree' AND name != 'migrations' AND total_rows > 0", (table) => `TRUNCATE TABLE ${table}`);
}

async function ofTables({ client, database }: Tables, which: string, statement: (table: string) => string): Promise<void> {
  const query = `SELECT name FROM system.tables WHERE database = '${database}' AND ${which}`;
  const tables = await (await client.query({ query, format: 'JSONEachRow' })).json<{ name: string }>();
  for (const { name } of tables) await client.command({ query: statement(`${database}.${name}`) });
}

/** An embedded ClickHouse of the test's own as a child process, to be killed. */
export class ClickHouseServer implements Tables {
  readonly directory: string;
  readonly database = 'fixgate';
  readonly client: ClickHouseClient;
  readonly url: string;
  #running: Running;

  private constructor(running: Running, directory: string) {
    this.#running = running;
    this.url = running.url;
    this.directory = directory;
    this.client = createClient({ ...clientOf(this.url), log: { level: ClickHouseLogLevel.OFF } });
  }

  static async start(): Promise<ClickHouseServer> {
    const directory = mkdtempSync(join(tmpdir(), 'fixgate-chdb-'));
    return new ClickHouseServer(await begin(directory, 0), directory);
  }

  async kill(): Promise<void> {
    await this.#running.end('SIGKILL');
  }

  /** The same directory on the same port. */
  async restart(): Promise<void> {
    this.#running = await begin(this.directory, Number(new URL(this.url).port));
  }

  /** As `drop`, of tables that are as the migrations made them: those take a second to make again. */
  empty(): Promise<void> {
    return emptyTables(this);
  }

  get access(): ClickHouseAccess {
    return accessOf(this.url);
  }

  async drop(): Promise<void> {
    await this.client.command({ query: 'DROP DATABASE IF EXISTS fixgate' });
  }

  async stop(): Promise<void> {
    await this.client.close();
    await this.#running.end('SIGKILL');
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function begin(directory: string, port: number): Promise<Running> {
  const outcome = await launch(directory, { port });
  if (outcome.type === 'failed') throw new Error(outcome.message);
  return outcome.running;
}

/** A shipper in a process of its own, with both sinks, to be killed. */
export function shipperProcess(
  data: string,
  { url, password, database = 'fixgate' }: ClickHouseAccess,
  redisUrl: string,
): () => Promise<void> {
  const env = { ...process.env, CLICKHOUSE_SECRET: password?.reveal() };
  const child = fork(join(import.meta.dirname, 'shipper-child.ts'), [data, url.reveal(), database, redisUrl], { execArgv: [], env });
  return async () => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  };
}
