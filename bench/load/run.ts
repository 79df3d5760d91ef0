import { type ChildProcess, execFileSync, fork, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/clock.ts';
import { Latency, type LatencyData } from '../../src/simulate/latency.ts';
import { benchCodecs, codecTable } from '../codec.ts';
import { type Result, type ResultFile, tableOf } from '../report.ts';
import { type LoadResult, runLoad, whileConnected } from './fleet.ts';
import { freePort, type Server, startServer, wait } from './server.ts';

/**
 * `npm run bench`: measures our server against the do-nothing server in the same run on the same machine and prints the
 * table of design.md section 13.
 *
 * 1. Each ratio is of two measurements, one right after the other: what else the machine does changes over minutes.
 * 2. Every record that was acknowledged is counted and must be in ClickHouse and in the stream at the end, once: else
 *    the run fails.
 * 3. Goals are printed beside, not enforced.
 */
const HELP = `npm run bench -- [codec] [--quick] [--out file] [--processes n]

  codec           only the codecs, by kind of message: frames and records per second on one thread
  --quick         a few seconds each: shows that everything works, not how fast it is
  --out <file>    write the results as JSON, for bench/report.ts
  --processes n   device processes (default: processors - 1, at most 4)
`;

const DEVICES = 200;
/** Fixes per second offered to the sinks: the goal. */
const SUSTAINED = 40_000;
const IDLE = 20_000;
const WARM_CONNECTIONS = 500;
/** File descriptors of a process that are not connections. */
const SPARE_DESCRIPTORS = 500;
const DRAIN_MS = 120_000;
/** A smaller backlog says nothing. */
const BACKLOG_ROWS = 20_000;
const MAX_STREAM = 100_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    out: { type: 'string' },
    processes: { type: 'string', default: String(Math.max(1, Math.min(4, availableParallelism() - 1))) },
    help: { type: 'boolean', default: false },
  },
});
const processes = Number(values.processes);
const times = values.quick ? { warmMs: 500, runMs: 1500 } : { warmMs: 2000, runMs: 10_000 };
const results: Result[] = [];
let nextDevice = 0;
/** How to end what was started. */
const ends: (() => Promise<void> | void)[] = [];

if (values.help || !(processes >= 1)) process.stdout.write(HELP);
else if (positionals[0] === 'codec') process.stdout.write(codecTable(benchCodecs(values.quick ? 0.3 : 2)));
else process.exitCode = await bench();

async function bench(): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-bench-'));
  try {
    codecs();
    const ceiling = await startCeiling();
    await heldBack(join(directory, 'held-back'), ceiling);
    const lost = await whole(join(directory, 'whole'), directory, ceiling);
    const file = resultFile();
    process.stdout.write(`\n${tableOf(file)}`);
    if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(file, undefined, 2)}\n`);
    return lost === 0 ? 0 : 1;
  } finally {
    for (const end of ends.reverse()) await end();
    rmSync(directory, { recursive: true, force: true });
  }
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function add(name: string, value: number, unit: string, goal: string, met: boolean | undefined): void {
  results.push({ name, value, unit, goal, ...(met === undefined ? {} : { met }) });
  say(`  ${name}: ${value} ${unit}`);
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}

function codecs(): void {
  say('codecs, one thread');
  for (const { codec, kind, recordsPerS, goal } of benchCodecs(values.quick ? 0.1 : 0.5))
    if (goal > 0) add(`${codec}, ${kind}, one thread`, rounded(recordsPerS / 1e6), 'M records/s', `≥ ${goal / 1e6}`, recordsPerS >= goal);
}

function load(port: number, records: number, rate: number, runMs = times.runMs): Promise<LoadResult> {
  const first = nextDevice;
  nextDevice += DEVICES;
  return runLoad({ port, first, devices: DEVICES, records, rate, warmMs: times.warmMs, runMs }, processes);
}

/** Starts the do-nothing server; returns its port. */
async function startCeiling(): Promise<number> {
  const port = await freePort();
  const child = fork(fileURLToPath(new URL('./ceiling.ts', import.meta.url)), [String(port)]);
  ends.push(() => void child.kill('SIGKILL'));
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', () => reject(new Error('the do-nothing server did not start')));
  });
  return port;
}

/** The way in alone: the sinks are away, as in an outage, so that all of the machine answers devices. */
async function heldBack(dataDir: string, ceiling: number): Promise<void> {
  say('our server, sinks away');
  const { server, port } = await ours(dataDir, { FIXGATE_CLICKHOUSE_URL: `http://127.0.0.1:${await freePort()}`, FIXGATE_DRAIN_MS: '500' });
  await server.ready();
  await idleMemory(server, port);
  await answers(', sinks away', port, ceiling, 1, 0.7);
  await answers(', sinks away', port, ceiling, 10, 0.6);
  await server.stop();
}

/** Ours against the ceiling, all devices sending as fast as they are answered. */
async function answers(where: string, port: number, ceiling: number, records: number, goal: number): Promise<LoadResult> {
  const most = await load(ceiling, records, 0);
  const result = await load(port, records, 0);
  if (result.wrong > 0) throw new Error(`${result.wrong} wrong answers`);
  const ratio = result.packetsPerS / most.packetsPerS;
  const what = `${records} record${records === 1 ? '' : 's'} a packet${where}`;
  add(`durable answers, ${what}`, rounded(ratio), 'of the ceiling', `≥ ${goal.toFixed(2)}`, ratio >= goal);
  add(`  ceiling, ${what}`, Math.round(most.packetsPerS), 'packets/s', '', undefined);
  add(`  ours, ${what}`, Math.round(result.packetsPerS), 'packets/s', '', undefined);
  return result;
}

/** Everything on one machine: devices, server, ClickHouse and, where there is one, Redis. Returns how many records were lost or doubled. */
async function whole(dataDir: string, directory: string, ceiling: number): Promise<number> {
  say('our server with ClickHouse and Redis');
  const redis = await startRedis(directory);
  const clickhouse = await freePort();
  const config = join(directory, 'fixgate.json');
  writeFileSync(config, JSON.stringify({ redis: { maxLength: MAX_STREAM }, journal: { keepMs: 0 } }));
  const { server, port } = await ours(dataDir, {
    FIXGATE_CONFIG: config,
    FIXGATE_CLICKHOUSE_PORT: String(clickhouse),
    ...(redis === undefined ? {} : { FIXGATE_REDIS_URL: `redis://127.0.0.1:${redis.port}` }),
  });
  const sinks: Sinks = {
    ClickHouse: () => count(clickhouse, ''),
    ...(redis === undefined ? {} : { 'the Redis stream': async () => redis.added() }),
  };
  await server.ready(true);
  const one = await answers('', port, ceiling, 1, 0.7);
  let acknowledged = one.acknowledged;
  await drained(server);
  acknowledged += await halfLoad(server, port, one.packetsPerS / 2, redis?.port);
  acknowledged += await sustained(server, port, sinks);
  const ten = await answers('', port, ceiling, 10, 0.6);
  acknowledged += ten.acknowledged;
  await backlog(server, sinks, acknowledged);

  const lost = acknowledged - (await count(clickhouse, 'FINAL'));
  add('acknowledged and not in ClickHouse', lost, 'records', '0', lost === 0);
  if (redis === undefined) return lost;
  const missing = acknowledged - redis.added();
  add('acknowledged and not in the Redis stream', missing, 'records', '0', missing === 0);
  return Math.abs(lost) + Math.abs(missing);
}

/** By name: rows so far. */
type Sinks = Readonly<Record<string, () => Promise<number>>>;

async function ours(dataDir: string, more: Readonly<Record<string, string>>): Promise<{ server: Server; port: number }> {
  const port = await freePort();
  const settings = {
    FIXGATE_DATA_DIR: dataDir,
    FIXGATE_WORKERS: '1',
    FIXGATE_LISTEN: `teltonika/tcp:${port}`,
    FIXGATE_LOG_LEVEL: 'warn',
    ...more,
  };
  const server = startServer(settings, await freePort());
  ends.push(() => server.stop());
  return { server, port };
}

async function halfLoad(server: Server, port: number, rate: number, redisPort: number | undefined): Promise<number> {
  const reader = redisPort === undefined ? undefined : await startReader(redisPort);
  const result = await load(port, 1, rate);
  const ms = (share: number): number => result.latency.percentile(share);
  add('answer latency at half load, p50', ms(0.5), 'ms', '', undefined);
  add('answer latency at half load, p99', ms(0.99), 'ms', '≤ 10', ms(0.99) <= 10);
  await drained(server);
  if (reader !== undefined) {
    const latency = await reader.stop();
    const p99 = latency.percentile(0.99);
    add('device → Redis stream at half load, p99', p99, 'ms', '≤ 50', p99 <= 50);
  }
  return result.acknowledged;
}

/** Offers what the goal asks for and looks whether the sinks keep up. */
async function sustained(server: Server, port: number, sinks: Sinks): Promise<number> {
  const runMs = 2 * times.runMs;
  const running = load(port, 10, SUSTAINED / 10, runMs);
  // Connecting and warming up come first; the middle half is measured.
  await wait(times.warmMs + runMs / 4);
  const rates = await ratesDuring(sinks, () => wait(runMs / 2));
  const result = await running;
  const lag = await server.metric('fixgate_sink_undelivered_entries');
  const offered = 10 * result.packetsPerS;
  add('offered to the sinks', Math.round(offered), 'fixes/s', '', undefined);
  for (const [name, rate] of Object.entries(rates))
    add(`delivered to ${name}, sustained`, Math.round(rate), 'fixes/s', `≥ ${SUSTAINED}`, rate >= 0.97 * SUSTAINED);
  add('  waiting for the sinks at the end', rounded((10 * lag) / SUSTAINED), 's', '', undefined);
  await drained(server);
  return result.acknowledged;
}

/** How fast a backlog goes out while nothing comes in. `target`: rows that each sink will have. */
async function backlog(server: Server, sinks: Sinks, target: number): Promise<void> {
  await Promise.all(
    Object.entries(sinks).map(async ([name, rows]) => {
      const from = systemClock.elapsed();
      const before = await rows();
      if (target - before < BACKLOG_ROWS) return;
      while ((await rows()) < target && systemClock.elapsed() - from < DRAIN_MS) await wait(50);
      add(`backlog out to ${name}`, Math.round((1000 * (target - before)) / (systemClock.elapsed() - from)), 'fixes/s', '', undefined);
    }),
  );
  await drained(server);
}

/** Rows a second into each sink while `during` runs. */
async function ratesDuring(sinks: Sinks, during: () => Promise<void>): Promise<Readonly<Record<string, number>>> {
  const reading = async () =>
    Promise.all(Object.entries(sinks).map(async ([name, rows]) => ({ name, rows: await rows(), at: systemClock.elapsed() })));
  const before = await reading();
  await during();
  const after = await reading();
  return Object.fromEntries(
    after.map(({ name, rows, at }, k) => [name, (1000 * (rows - (before[k]?.rows ?? 0))) / (at - (before[k]?.at ?? 0))]),
  );
}

/** Waits until every sink has everything. */
async function drained(server: Server): Promise<void> {
  for (let waited = 0; waited < DRAIN_MS; waited += 200) {
    // The metrics of a process are a second old at most.
    if (waited >= 1400 && (await server.metric('fixgate_sink_undelivered_entries')) === 0) return;
    await wait(200);
  }
  throw new Error('the sinks did not take everything in time');
}

async function idleMemory(server: Server, port: number): Promise<void> {
  const limit = Number(execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' })) || Number.POSITIVE_INFINITY;
  const wanted = values.quick ? 2000 : IDLE;
  const connections = Math.min(wanted, limit - SPARE_DESCRIPTORS);
  const worker = workerOf(server.pid);
  const settle = (): Promise<void> => wait(values.quick ? 1000 : 5000);
  const first = nextDevice;
  nextDevice += connections;
  // The first ones make the process grow for other reasons: code that is compiled, buffers of the runtime.
  const each = await whileConnected(port, first, WARM_CONNECTIONS, 1, async () => {
    await settle();
    const before = residentBytes(worker);
    return whileConnected(port, first + WARM_CONNECTIONS, connections - WARM_CONNECTIONS, 2, async () => {
      await settle();
      return (residentBytes(worker) - before) / (connections - WARM_CONNECTIONS) / 1000;
    });
  });
  add(`${connections} idle connections`, rounded(each), 'kB each', '≤ 12', each <= 12);
}

/** The supervisor's child that runs the worker. */
function workerOf(supervisor: number): number {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' }).split('\n');
  for (const line of lines) {
    const [pid, parent, ...args] = line.trim().split(/\s+/);
    if (Number(parent) === supervisor && args.some((arg) => /cluster\/worker\.(ts|js)$/.test(arg))) return Number(pid);
  }
  throw new Error('the worker process was not found');
}

function residentBytes(pid: number): number {
  return 1024 * Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' }));
}

/** Rows in the table; FINAL: each once. */
async function count(port: number, final: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    body: `SELECT count() FROM fixgate.positions ${final} FORMAT TSV`,
  });
  return Number(await response.text());
}

interface TestRedis {
  readonly port: number;
  /** Entries ever added to the stream of positions. */
  added(): number;
}

/** A real redis-server, or undefined where none is installed. */
async function startRedis(directory: string): Promise<TestRedis | undefined> {
  if (spawnSync('redis-server', ['--version']).status !== 0) {
    say('  redis-server is not installed: the stream is not measured');
    return undefined;
  }
  const port = await freePort();
  const child: ChildProcess = spawn('redis-server', ['--port', String(port), '--dir', directory, '--save', ''], { stdio: 'ignore' });
  ends.push(() => void child.kill('SIGKILL'));
  const cli = (...args: string[]): string => spawnSync('redis-cli', ['-p', String(port), ...args], { encoding: 'utf8' }).stdout;
  for (let waited = 0; waited < 5000 && !cli('PING').includes('PONG'); waited += 100) await wait(100);
  return {
    port,
    added() {
      const lines = cli('XINFO', 'STREAM', 'fixgate:positions').split('\n');
      return Number(lines[lines.indexOf('entries-added') + 1]);
    },
  };
}

async function startReader(port: number): Promise<{ stop(): Promise<Latency> }> {
  const child = fork(fileURLToPath(new URL('./stream-reader.ts', import.meta.url)), [String(port)]);
  await new Promise<void>((resolve) => child.once('message', () => resolve()));
  return {
    stop: () =>
      new Promise((resolve) => {
        child.once('message', (message) => resolve(isLatency(message) ? Latency.of(message) : new Latency()));
        child.send('stop');
      }),
  };
}

function isLatency(message: unknown): message is LatencyData {
  return typeof message === 'object' && message !== null && 'counts' in message;
}

function resultFile(): ResultFile {
  const git = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', cwd: fileURLToPath(new URL('.', import.meta.url)) });
  const [cpu] = cpus();
  return {
    commit: git.status === 0 ? git.stdout.trim() : 'unknown',
    node: process.versions.node,
    machine: `${availableParallelism()} × ${cpu?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform}`,
    quick: values.quick,
    results,
  };
}
