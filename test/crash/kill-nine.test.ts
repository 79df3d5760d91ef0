import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Random } from '../../src/simulate/random.ts';
import { Server } from '../helpers/server.ts';
import { RedisServer } from '../ship/rig.ts';
import { tested } from '../support/program.ts';
import { rounds } from '../support/thorough.ts';
import { eventually, moment, until } from '../support/wait.ts';

/** What is proved does not depend on them. */
const DEVICES = rounds(60, 300);
const SECONDS = rounds(8, 30);
const CODECS = ['teltonika', 'gt06', 'h02'];

interface Summary {
  readonly sent: number;
  readonly acknowledged: number;
  readonly unacknowledged: number;
  readonly wrong_answers: number;
  readonly reconnects: number;
}

let server: Server | undefined;
let redis: RedisServer | undefined;
let ledgers = '';

afterEach(async () => {
  await server?.stop();
  await redis?.stop();
  rmSync(ledgers, { recursive: true, force: true });
});

async function simulate(codec: string, seed: number): Promise<Summary> {
  const port = await server?.port(codec);
  const args = ['simulate', '--protocol', codec, '--target', `127.0.0.1:${port}`, '--devices', String(DEVICES / CODECS.length)];
  args.push('--interval', '500ms', '--duration', `${SECONDS}s`, '--seed', String(seed), '--ledger', join(ledgers, codec), '--json');
  const child = spawn(process.execPath, [tested(), ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  await new Promise((resolve) => child.once('close', resolve));
  return JSON.parse(output);
}

async function stream(): Promise<string[]> {
  const client = redis?.client();
  const entries = (await client?.xrange('fixgate:positions', '-', '+')) ?? [];
  return entries.map(([, fields]) => {
    const { device, time, id } = JSON.parse(fields[fields.indexOf('data') + 1] ?? '{}');
    return `${device}\t${time}\t${id}`;
  });
}

/** Runs a mixed fleet, lets `trouble` happen meanwhile, and compares what was acknowledged with what arrived. */
async function prove(seed: number, trouble: (server: Server) => Promise<void>): Promise<Summary[]> {
  redis = await RedisServer.start();
  server = await Server.start({ FIXGATE_WORKERS: '2', FIXGATE_REDIS_URL: redis.url });
  ledgers = mkdtempSync(join(tmpdir(), 'fixgate-ledgers-'));
  const running = CODECS.map((codec, index) => simulate(codec, seed + index));
  // Trouble meets devices that report, however long their programs take to start.
  await until(async () => (await stream()).length > DEVICES);
  await trouble(server);
  const summaries = await Promise.all(running);
  const ledger = CODECS.flatMap((codec) => readFileSync(join(ledgers, codec), 'utf8').split('\n').filter(Boolean)).sort();
  expect(ledger.length).toBeGreaterThan(DEVICES * SECONDS);
  expect(new Set(ledger).size).toBe(ledger.length);
  const table = async (): Promise<string[]> =>
    ((await server?.query('SELECT device, toUnixTimestamp64Milli(time), id FROM fixgate.positions FINAL FORMAT TSV')) ?? '')
      .split('\n')
      .filter(Boolean)
      .sort();
  // Exactly: nothing missing, nothing extra, nothing twice.
  await eventually(async () => expect((await table()).length).toBe(ledger.length));
  expect(await table()).toEqual(ledger);
  await eventually(async () => expect((await stream()).length).toBe(ledger.length));
  expect((await stream()).sort()).toEqual(ledger);
  for (const summary of summaries) expect(summary).toMatchObject({ wrong_answers: 0, unacknowledged: 0 });
  return summaries;
}

describe('every acknowledged record arrives in ClickHouse and in Redis, once', () => {
  it('when nothing goes wrong; and no device has to reconnect', async () => {
    const summaries = await prove(1, async () => {});
    for (const summary of summaries) expect(summary.reconnects).toBe(0);
    // Per device the stream keeps the order of arrival, which here is the order of time.
    const last = new Map<string, number>();
    for (const line of await stream()) {
      const [device = '', time] = line.split('\t');
      expect(Number(time)).toBeGreaterThanOrEqual(last.get(device) ?? 0);
      last.set(device, Number(time));
    }
  });

  it('when a worker, the shipper and the embedded ClickHouse are killed, three times each', async () => {
    const kinds = ['worker', 'shipper', 'clickhouse'] as const;
    const summaries = await prove(11, async (running) => {
      const random = new Random(11);
      const apart = (SECONDS * 1000) / 10;
      for (let kill = 0; kill < 9; kill++) {
        await moment(random, 0.5 * apart, 1.5 * apart);
        const kind = kinds[kill % 3] ?? 'worker';
        await until(() => running.children(kind).length > 0);
        const pids = running.children(kind);
        process.kill(pids[random.int(pids.length)] ?? 0, 'SIGKILL');
      }
    });
    // Killing a worker did reach the devices.
    expect(summaries.reduce((sum, summary) => sum + summary.reconnects, 0)).toBeGreaterThan(0);
  });
});
