import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../src/base/clock.ts';
import { readSecret } from '../src/embedded/secret.ts';
import { DEFAULT_PORTS, Fleet, PROTOCOLS } from '../src/simulate/fleet.ts';
import type { Tally } from '../src/simulate/tally.ts';
import { freePort, type Server, startServer, wait } from './load/server.ts';

/**
 * `npm run demo`: a server on its embedded defaults in a temporary directory, sixty simulated devices of every protocol
 * on TCP and UDP, and a table of what happens. Ctrl-C ends it; nothing stays behind.
 */
const DEVICES = 60;
const TABLE_MS = 1000;
/** Where output is not a terminal: a line this often. */
const LINE_MS = 5000;

/** Resolves on Ctrl-C or SIGTERM. */
const stopped = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
});
let stopping = false;
void stopped.then(() => {
  stopping = true;
});

process.exitCode = await demo();

async function demo(): Promise<number> {
  const ports = {
    teltonika: await freePort(DEFAULT_PORTS.teltonika),
    gt06: await freePort(DEFAULT_PORTS.gt06),
    h02: await freePort(DEFAULT_PORTS.h02),
    queclink: await freePort(DEFAULT_PORTS.queclink),
    jt808: await freePort(DEFAULT_PORTS.jt808),
  };
  const [auto, http, clickhouse] = [await freePort(5000), await freePort(8080), await freePort(8123)];
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-demo-'));
  console.log(`starting fixgate; its data is in ${directory} until you end the demo`);
  const settings = {
    FIXGATE_DATA_DIR: directory,
    FIXGATE_LISTEN: `${PROTOCOLS.map((name) => `${name}:${ports[name]}`).join(',')},auto:${auto}`,
    FIXGATE_CLICKHOUSE_PORT: String(clickhouse),
    FIXGATE_LOG_LEVEL: 'warn',
  };
  const server = startServer({ ...settings, FIXGATE_HTTP_CONSOLE: 'true' }, http);
  const fleet = new Fleet({
    protocols: PROTOCOLS,
    transports: ['tcp', 'udp'],
    target: { host: '127.0.0.1', ports },
    devices: DEVICES,
    intervalMs: 1000,
    durationMs: Number.POSITIVE_INFINITY,
    graceMs: 3000,
    timeoutMs: 5000,
    window: 1,
    records: 1,
    seed: 1,
    ledger: undefined,
    clock: systemClock,
  });
  try {
    const ready = server.ready(true);
    ready.catch(() => {});
    await Promise.race([ready, stopped]);
    const run = stopping ? Promise.resolve() : fleet.run();
    if (!stopping) {
      console.log(tryNext(ports.teltonika, http, directory));
      await watch(fleet, directory, clickhouse, server);
    }
    console.log('\nending: the devices finish, then the server delivers what it holds');
    fleet.finish();
    await run;
    const total = fleet.total();
    if (server.over) {
      process.stderr.write(`the server ended early\n${server.said}`);
      return 1;
    }
    await server.stop();
    console.log(`ended: ${total.acknowledged} of ${total.sent} fixes acknowledged, ${total.wrongAnswers} wrong answers`);
    return total.wrongAnswers === 0 ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Prints until Ctrl-C, or until the server is gone. */
async function watch(fleet: Fleet, directory: string, clickhouse: number, server: Server): Promise<void> {
  const terminal = process.stdout.isTTY === true;
  let drawn = 0;
  let before = new Map<string, number>();
  while (!stopping && !server.over) {
    const period = terminal ? TABLE_MS : LINE_MS;
    await Promise.race([wait(period), stopped, server.ended]);
    const rows = await rowsByProtocol(directory, clickhouse);
    const lines = terminal ? tableOf(fleet, before, rows, period) : [lineOf(fleet, rows)];
    before = new Map([...fleet.tallies].map(([name, tally]) => [name, tally.acknowledged]));
    for (const tally of fleet.tallies.values()) tally.recent.clear();
    if (terminal && drawn > 0) process.stdout.write(`\x1b[${drawn}A\x1b[J`);
    process.stdout.write(`${lines.join('\n')}\n`);
    drawn = lines.length;
  }
}

function tableOf(fleet: Fleet, before: ReadonlyMap<string, number>, rows: ReadonlyMap<string, number>, periodMs: number): string[] {
  const row = (cells: readonly (string | number)[]): string =>
    cells.map((cell, k) => (k === 0 ? String(cell).padEnd(11) : String(cell).padStart(14))).join('');
  const lines = [row(['', 'connected', 'fixes/s', 'acknowledged', 'ACK p50 ms', 'ACK p99 ms', 'in ClickHouse'])];
  const add = (name: string, tally: Tally, earlier: number, stored: number): void => {
    const rate = Math.round((1000 * (tally.acknowledged - earlier)) / periodMs);
    const connected = `${tally.connected}/${tally.devices}`;
    lines.push(row([name, connected, rate, tally.acknowledged, tally.recent.percentile(0.5), tally.recent.percentile(0.99), stored]));
  };
  for (const [name, tally] of fleet.tallies) add(name, tally, before.get(name) ?? 0, rows.get(name) ?? 0);
  add('total', fleet.total(), sum(before.values()), sum(rows.values()));
  const total = fleet.total();
  if (total.wrongAnswers + total.reconnects > 0) lines.push(`wrong answers ${total.wrongAnswers}, reconnects ${total.reconnects}`);
  return lines;
}

function lineOf(fleet: Fleet, rows: ReadonlyMap<string, number>): string {
  const total = fleet.total();
  const latency = `ACK p50 ${total.recent.percentile(0.5)} ms, p99 ${total.recent.percentile(0.99)} ms`;
  return `connected ${total.connected}/${total.devices}, acknowledged ${total.acknowledged}, ${latency}, rows in ClickHouse ${sum(rows.values())}`;
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** Empty while ClickHouse does not answer. */
async function rowsByProtocol(directory: string, port: number): Promise<ReadonlyMap<string, number>> {
  const rows = new Map<string, number>();
  try {
    const body = 'SELECT protocol, count() FROM fixgate.positions GROUP BY protocol FORMAT TSV';
    const secret = await readSecret(join(directory, 'clickhouse'));
    const headers = { 'x-clickhouse-key': secret?.reveal() ?? '' };
    const response = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body, signal: AbortSignal.timeout(2000) });
    if (!response.ok) return rows;
    for (const line of (await response.text()).split('\n')) {
      const [name = '', count] = line.split('\t');
      if (name !== '') rows.set(name, Number(count));
    }
  } catch {
    // It starts, or it was asked to end: the table shows zero.
  }
  return rows;
}

function tryNext(teltonika: number, http: number, directory: string): string {
  const fixgate = existsSync(new URL('../node_modules/.bin/node', import.meta.url)) ? 'node_modules/.bin/node bin/fixgate.js' : 'fixgate';
  return `
In another terminal, try
  FIXGATE_DATA_DIR=${directory} ${fixgate} console --url http://127.0.0.1:${http}
  FIXGATE_DATA_DIR=${directory} ${fixgate} sql 'SELECT device, time, lat, lon, speed_kmh FROM fixgate.positions ORDER BY received DESC LIMIT 5'
  curl http://127.0.0.1:${http}/metrics
  curl http://127.0.0.1:${http}/readyz
  printf '\\000\\017356307042441013' | nc -q1 127.0.0.1 ${teltonika} | od -An -tx1
  ${fixgate} simulate --protocol teltonika --target 127.0.0.1:${teltonika} --devices 100 --duration 10s --seed 2
  echo 000f333536333037303432343431303133 | ${fixgate} decode --protocol teltonika
Ctrl-C ends everything.
`;
}
