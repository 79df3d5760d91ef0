import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { systemClock } from '../../src/base/clock.ts';
import { Fleet, PROTOCOLS, type Protocol } from '../../src/simulate/fleet.ts';
import { quietPort } from './ports.ts';
import { StoreProxy } from './proxy.ts';
import { Server, wait } from './server.ts';
import { ClickHouseStore, RedisStore } from './store.ts';
import type { Stored } from './verdict.ts';

/** Pieces in which the stream is read. */
const PIECE = 10_000;
const SETTLE_LOOK_MS = 250;

export interface FleetPlan {
  readonly devices: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly seed: number;
}

/**
 * Everything that a run needs, on free ports and in a temporary directory: the server with its hurtable disk and clock,
 * Redis and ClickHouse as processes of their own, each behind a proxy, and any number of fleets one after another.
 *
 *     fleet ─TCP/UDP▶ server ─▶ proxy ─▶ ClickHouse
 *                           └─▶ proxy ─▶ Redis
 */
export class Rig {
  readonly directory: string;
  readonly dataDir: string;
  readonly controlDir: string;
  readonly server: Server;
  readonly clickHouse: ClickHouseStore;
  readonly redis: RedisStore;
  readonly clickHouseProxy: StoreProxy;
  readonly redisProxy: StoreProxy;
  readonly #ports: Readonly<Record<Protocol, number>>;
  readonly #ledgers: string[] = [];
  readonly #keep: boolean;
  readonly #last = (): void => this.#remove();

  private constructor(
    ports: Readonly<Record<Protocol, number>>,
    http: number,
    stores: { clickHouse: ClickHouseStore; redis: RedisStore },
    proxies: { clickHouse: StoreProxy; redis: StoreProxy },
    directory: string,
    keep: boolean,
  ) {
    this.directory = directory;
    this.#keep = keep;
    process.on('exit', this.#last);
    this.dataDir = join(directory, 'data');
    this.controlDir = join(directory, 'control');
    this.#ports = ports;
    this.clickHouse = stores.clickHouse;
    this.redis = stores.redis;
    this.clickHouseProxy = proxies.clickHouse;
    this.redisProxy = proxies.redis;
    const { NODE_OPTIONS: _, ...environment } = process.env;
    for (const name of Object.keys(environment)) if (name.startsWith('FIXGATE_')) delete environment[name];
    this.server = new Server(
      {
        ...environment,
        NODE_OPTIONS: `--import=${new URL('./double.ts', import.meta.url).href}`,
        TORTURE_DIR: this.controlDir,
        FIXGATE_CONFIG: join(directory, 'config.json'),
        FIXGATE_DATA_DIR: this.dataDir,
        FIXGATE_WORKERS: '2',
        FIXGATE_HTTP_PORT: String(http),
        FIXGATE_HTTP_CONSOLE: 'false',
        FIXGATE_CANARY: 'false',
        FIXGATE_LISTEN: PROTOCOLS.map((name) => `${name}@127.0.0.1:${ports[name]}`).join(','),
        FIXGATE_CLICKHOUSE_URL: `http://127.0.0.1:${proxies.clickHouse.port}`,
        FIXGATE_CLICKHOUSE_PASSWORD: stores.clickHouse.password,
        FIXGATE_REDIS_URL: `redis://127.0.0.1:${proxies.redis.port}`,
      },
      http,
      join(directory, 'server.log'),
    );
  }

  /** Starts everything. `seed`: of the proxies; `keep`: the directory with data, stores and log stays in the end. */
  static async start(seed: number, keep = false): Promise<Rig> {
    const directory = mkdtempSync(join(tmpdir(), 'fixgate-torture-'));
    mkdirSync(join(directory, 'data'));
    mkdirSync(join(directory, 'control'));
    // Small segments, so that there are many, and none is kept longer than it takes to deliver it twice over.
    const journal = { segmentBytes: 262_144, segmentAgeMs: 15_000 };
    writeFileSync(join(directory, 'config.json'), JSON.stringify({ journal }));
    const clickHouse = new ClickHouseStore(await quietPort(), join(directory, 'clickhouse'));
    const redis = new RedisStore(await quietPort(), join(directory, 'redis'));
    await Promise.all([clickHouse.start(), redis.start()]);
    const proxies = {
      clickHouse: await StoreProxy.start(await quietPort(), clickHouse.port, seed),
      redis: await StoreProxy.start(await quietPort(), redis.port, seed + 1),
    };
    const ports = {
      teltonika: await quietPort(),
      gt06: await quietPort(),
      h02: await quietPort(),
      queclink: await quietPort(),
      jt808: await quietPort(),
    };
    const rig = new Rig(ports, await quietPort(), { clickHouse, redis }, proxies, directory, keep);
    await rig.server.start();
    return rig;
  }

  /** Devices of every protocol on TCP and UDP, with a ledger of their own. They report until `finish`. */
  fleet({ devices, intervalMs, timeoutMs, seed }: FleetPlan, graceMs: number): Fleet {
    const ledger = join(this.directory, `ledger-${this.#ledgers.length}`);
    this.#ledgers.push(ledger);
    return new Fleet({
      protocols: PROTOCOLS,
      transports: ['tcp', 'udp'],
      target: { host: '127.0.0.1', ports: this.#ports },
      devices,
      intervalMs,
      durationMs: Number.POSITIVE_INFINITY,
      graceMs,
      timeoutMs,
      window: 1,
      records: 1,
      seed,
      ledger,
      clock: systemClock,
    });
  }

  /** Lines of every ledger, in the order of the answers. */
  ledger(): string[] {
    return this.#ledgers.flatMap((path) => lines(readFileSync(path, 'utf8')));
  }

  /** Waits until both sinks have all that is durable, or the time is over; says which. */
  async settled(deadlineMs: number): Promise<boolean> {
    const until = systemClock.elapsed() + deadlineMs;
    let calm = 0;
    while (systemClock.elapsed() < until) {
      const left = await this.server.metric('fixgate_sink_undelivered_entries');
      const up = await this.server.metric('fixgate_sink_up');
      calm = left === 0 && up > 0 ? calm + 1 : 0;
      // The gauges are set every two seconds and reported every second: what they say has to last that long.
      if (calm * SETTLE_LOOK_MS > 4000) return true;
      await wait(SETTLE_LOOK_MS);
    }
    return false;
  }

  /** What the stores hold, read past the proxies. A ClickHouse that was killed before its first migration has no table yet: no rows. */
  async stored(): Promise<Stored> {
    const isThere = (await this.clickHouse.query('EXISTS TABLE fixgate.positions')).trim() === '1';
    const table = isThere
      ? await this.clickHouse.query('SELECT device, toUnixTimestamp64Milli(time), id FROM fixgate.positions FINAL FORMAT TabSeparated')
      : '';
    return { table: lines(table), stream: await this.#stream() };
  }

  /** Something for the hurtable disk and clock to see: a file with that content, or none. */
  control(name: 'no-space' | 'no-sync' | 'clock', content: string | null): void {
    const path = join(this.controlDir, name);
    if (content === null) rmSync(path, { force: true });
    else writeFileSync(path, content);
  }

  /** The last warnings and errors of the server. */
  lastWords(): string {
    const log = lines(readFileSync(join(this.directory, 'server.log'), 'utf8'));
    return log
      .filter((line) => !line.startsWith('{') || /"level":[456]0/.test(line))
      .slice(-10)
      .join('\n');
  }

  /** Directories of the slots. */
  slots(): string[] {
    const journal = join(this.dataDir, 'journal');
    return readdirSync(journal)
      .filter((name) => /^\d+$/.test(name))
      .map((name) => join(journal, name));
  }

  /** A connection to Redis itself. */
  redisClient(): Redis {
    const client = new Redis(`redis://127.0.0.1:${this.redis.port}`, { retryStrategy: () => 100, maxRetriesPerRequest: null });
    client.on('error', () => {});
    return client;
  }

  /** Ends everything. Resolves with the server's exit code. */
  async close(): Promise<number | null> {
    const code = await this.server.stop();
    await Promise.all([this.clickHouse.kill(), this.redis.kill(), this.clickHouseProxy.close(), this.redisProxy.close()]);
    process.off('exit', this.#last);
    this.#remove();
    return code;
  }

  #remove(): void {
    if (!this.#keep) rmSync(this.directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  async #stream(): Promise<string[]> {
    const client = this.redisClient();
    try {
      const found: string[] = [];
      for (let from = '-'; ; ) {
        const entries = await client.xrange('fixgate:positions', from, '+', 'COUNT', PIECE);
        for (const [id, fields] of entries) {
          const { device, time, id: record } = JSON.parse(fields[fields.indexOf('data') + 1] ?? '{}');
          found.push(`${device}\t${time}\t${record}`);
          from = `(${id}`;
        }
        if (entries.length < PIECE) return found;
      }
    } finally {
      client.disconnect();
    }
  }
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
