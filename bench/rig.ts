import { type ChildProcess, fork, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import puppeteer, { type Browser } from 'puppeteer-core';
import { systemClock } from '../src/base/clock.ts';
import { Latency, type LatencyData } from '../src/simulate/latency.ts';
import { type FleetSettings, LoadFleet } from './load/fleet.ts';
import { type Looked, lookedOf } from './load/messages.ts';
import { freePort, HERE, type Server, startServer, wait } from './load/server.ts';
import { type CpuReading, type CpuUse, cpuBetween, type Role, readCpu } from './machine.ts';

/**
 * What one round of a scenario uses: servers of one checkout, stores, devices. Everything that was started is ended by `close`.
 */
export interface Scale {
  /** A factor for times and rates: 1, or less for a run that only shows that it works. */
  readonly time: number;
  /** Processes of devices. */
  readonly processes: number;
}

/** Which stores a server has. */
export type Stores = 'none' | 'clickhouse' | 'both';

export interface Subject {
  readonly server: Server;
  readonly http: number;
  readonly port: number;
  readonly dataDir: string;
  readonly clickhouse: number;
  readonly redis: TestRedis | undefined;
  /** Settings, to start it again on the same data. */
  readonly settings: Readonly<Record<string, string>>;
}

export interface TestRedis {
  readonly port: number;
  readonly pid: number;
  /** Entries ever added to the stream of positions. */
  added(): number;
}

const DRAIN_MS = 180_000;
/** The metrics of a process are a second old at most. */
const METRICS_MS = 1400;
const MAX_STREAM = 100_000;

/** Devices have other numbers in each round: nothing that a server has learned helps. */
let nextDevice = 0;

export class Rig {
  readonly scale: Scale;
  readonly directory = mkdtempSync(join(tmpdir(), 'fixgate-bench-'));
  readonly #checkout: string;
  readonly #roots = new Map<number, Role>([[process.pid, 'bench']]);
  readonly #ends: (() => Promise<void> | void)[] = [];
  #servers = 0;
  /** Most cores that others used while something was measured. */
  othersCores = 0;

  constructor(scale: Scale, checkout = HERE) {
    this.scale = scale;
    this.#checkout = checkout;
  }

  async close(): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }

  ms(full: number): number {
    return Math.max(1000, full * this.scale.time);
  }

  /** A server that is ready, with its stores. `more`: further settings. */
  async serve(stores: Stores, more: Readonly<Record<string, string>> = {}, options: object = {}): Promise<Subject> {
    const name = String(this.#servers++);
    const redis = stores === 'both' ? await this.#startRedis(name) : undefined;
    const [port, clickhouse] = [await freePort(), await freePort()];
    const dataDir = join(this.directory, name);
    const config = join(this.directory, `${name}.json`);
    writeFileSync(config, JSON.stringify({ redis: { maxLength: MAX_STREAM }, journal: { keepMs: 0 }, ...options }));
    const settings = {
      FIXGATE_CONFIG: config,
      FIXGATE_DATA_DIR: dataDir,
      FIXGATE_WORKERS: '1',
      FIXGATE_LISTEN: `teltonika/tcp:${port},teltonika/udp:${port}`,
      FIXGATE_LOG_LEVEL: 'warn',
      FIXGATE_DRAIN_MS: '1000',
      // A port where no ClickHouse answers: the way in alone, as in an outage.
      ...(stores === 'none'
        ? { FIXGATE_CLICKHOUSE_URL: `http://127.0.0.1:${clickhouse}` }
        : { FIXGATE_CLICKHOUSE_PORT: String(clickhouse) }),
      ...(redis === undefined ? {} : { FIXGATE_REDIS_URL: `redis://127.0.0.1:${redis.port}` }),
      ...more,
    };
    const http = await freePort();
    const server = this.#start(settings, http);
    await server.ready(stores !== 'none');
    return { server, http, port, dataDir, clickhouse, redis, settings };
  }

  /** The same server again, on the same data and ports. */
  async again(subject: Subject, stores: Stores): Promise<Subject> {
    const server = this.#start(subject.settings, subject.http);
    await server.ready(stores !== 'none');
    return { ...subject, server };
  }

  #start(settings: Readonly<Record<string, string>>, http: number): Server {
    const server = startServer(settings, http, this.#checkout);
    this.#roots.set(server.pid, 'supervisor');
    this.#ends.push(() => server.stop());
    return server;
  }

  /** The do-nothing server; returns its port. */
  async ceiling(): Promise<number> {
    const port = await freePort();
    const child = fork(fileURLToPath(new URL('./load/ceiling.ts', import.meta.url)), [String(port)]);
    this.#track(child, 'ceiling');
    await new Promise<void>((resolve, reject) => {
      child.once('message', () => resolve());
      child.once('exit', () => reject(new Error('the do-nothing server did not start')));
    });
    return port;
  }

  async fleet(settings: Omit<FleetSettings, 'first' | 'transport' | 'churn'> & Partial<FleetSettings>): Promise<LoadFleet> {
    const first = nextDevice;
    nextDevice += settings.devices;
    const fleet = await LoadFleet.connect({ first, transport: 'tcp', churn: false, ...settings }, this.scale.processes);
    for (const pid of fleet.pids) this.#roots.set(pid, 'devices');
    this.#ends.push(() => fleet.close());
    return fleet;
  }

  /** What a command of this checkout says: `fixgate`, or one of its packages. It counts as load, not as server. */
  output(command: 'fixgate' | 'autocannon', args: readonly string[]): Promise<string> {
    const script = command === 'fixgate' ? 'bin/fixgate.js' : 'node_modules/autocannon/autocannon.js';
    const child = spawn(process.execPath, [join(HERE, script), ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#track(child, 'devices');
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
    });
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', () => resolve(said));
    });
  }

  readCpu(): CpuReading {
    return readCpu(this.#roots);
  }

  get roots(): ReadonlyMap<number, Role> {
    return this.#roots;
  }

  /** Processor time while `during` runs. */
  async cpuWhile<T>(during: () => Promise<T>): Promise<{ result: T; cpu: CpuUse }> {
    const before = this.readCpu();
    const result = await during();
    const cpu = cpuBetween(before, this.readCpu());
    this.othersCores = Math.max(this.othersCores, cpu.othersCores);
    return { result, cpu };
  }

  /** Waits until every sink has everything that is durable. */
  async drained({ server }: Subject): Promise<void> {
    const from = systemClock.elapsed();
    for (;;) {
      const waited = systemClock.elapsed() - from;
      if (waited >= METRICS_MS && (await server.metric('fixgate_sink_undelivered_entries')) === 0) return;
      if (waited > DRAIN_MS) throw new Error('the sinks did not take everything in time');
      await wait(100);
    }
  }

  /** A program that reads the stream and measures the age of each entry. */
  async streamReader(redis: TestRedis): Promise<{ stop(): Promise<Latency> }> {
    const child = fork(fileURLToPath(new URL('./load/stream-reader.ts', import.meta.url)), [String(redis.port)]);
    this.#track(child, 'devices');
    await new Promise<void>((resolve) => child.once('message', () => resolve()));
    return {
      stop: () =>
        new Promise((resolve) => {
          child.once('message', (message) => resolve(isLatency(message) ? Latency.of(message) : new Latency()));
          child.send('stop');
        }),
    };
  }

  /** Who looks at the devices of a server: a console's map, and `programs` on the feed. */
  async lookers(http: number, token: string, programs: number): Promise<{ stop(): Promise<Looked> }> {
    const args = [`http://127.0.0.1:${http}`, token, String(programs)];
    const child = fork(fileURLToPath(new URL('./load/looker.ts', import.meta.url)), args);
    this.#track(child, 'devices');
    const said = (): Promise<unknown> =>
      new Promise((resolve, reject) => {
        child.once('message', resolve);
        child.once('exit', () => reject(new Error('the clients of the feed have ended')));
      });
    await said();
    return {
      async stop() {
        const looked = said();
        child.send('stop');
        return lookedOf(await looked);
      },
    };
  }

  /** Debian's Chromium. It counts as load. */
  async browser(): Promise<Browser> {
    const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
    const browser = await puppeteer.launch({ executablePath: '/usr/bin/chromium', headless: true, args, protocolTimeout: DRAIN_MS });
    const child = browser.process();
    if (child !== null) this.#track(child, 'devices');
    return browser;
  }

  #track(child: ChildProcess, role: Role): void {
    if (child.pid !== undefined) this.#roots.set(child.pid, role);
    this.#ends.push(
      () =>
        new Promise<void>((resolve) => {
          if (child.exitCode !== null || child.signalCode !== null) return resolve();
          child.once('exit', () => resolve());
          child.kill('SIGKILL');
        }),
    );
  }

  async #startRedis(name: string): Promise<TestRedis> {
    const port = await freePort();
    const args = ['--port', String(port), '--dir', this.directory, '--dbfilename', `${name}.rdb`, '--save', ''];
    const child = spawn('redis-server', args, { stdio: 'ignore' });
    this.#track(child, 'redis');
    const cli = (...words: string[]): string => spawnSync('redis-cli', ['-p', String(port), ...words], { encoding: 'utf8' }).stdout;
    for (let waited = 0; waited < 5000 && !cli('PING').includes('PONG'); waited += 100) await wait(100);
    return {
      port,
      pid: child.pid ?? 0,
      added() {
        const lines = cli('XINFO', 'STREAM', 'fixgate:positions').split('\n');
        return Number(lines[lines.indexOf('entries-added') + 1]);
      },
    };
  }
}

/** Processes of devices that leave the server its processors where there are enough. */
export function deviceProcesses(): number {
  return Math.max(1, Math.min(4, availableParallelism() - 1));
}

function isLatency(message: unknown): message is LatencyData {
  return typeof message === 'object' && message !== null && 'counts' in message;
}
