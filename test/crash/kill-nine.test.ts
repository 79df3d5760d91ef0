import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Random } from '../../src/simulate/random.ts';
import { fixgate } from '../cli/command.ts';
import { Server } from '../helpers/server.ts';
import { RedisServer } from '../ship/rig.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { rounds } from '../support/thorough.ts';
import { eventually, moment, until } from '../support/wait.ts';

/** What is proved does not depend on them. */
const DEVICES = rounds(30, 300);
const SECONDS = rounds(6, 30);
const KILLS_OF_EACH = rounds(1, 3);
const CODECS = ['teltonika', 'gt06', 'h02'];

interface Summary {
  readonly sent: number;
  readonly acknowledged: number;
  readonly unacknowledged: number;
  readonly wrong_answers: number;
  readonly reconnects: number;
}

let server: Server;
let redis: RedisServer;
/** What has been acknowledged so far. */
const ledger: string[] = [];

beforeAll(async () => {
  redis = await RedisServer.start();
  server = await Server.start({ ...OWN_ENGINE, FIXGATE_WORKERS: '2', FIXGATE_REDIS_URL: redis.url });
});
afterAll(async () => {
  await server.stop();
  await redis.stop();
});

async function simulate(codec: string, seed: number, file: string): Promise<Summary> {
  const target = `127.0.0.1:${await server.port(codec)}`;
  const fleet = ['--protocol', codec, '--target', target, '--devices', String(DEVICES / CODECS.length), '--seed', String(seed)];
  const { out } = await fixgate(['simulate', ...fleet, '--interval', '500ms', '--duration', `${SECONDS}s`, '--ledger', file, '--json']);
  return JSON.parse(out);
}

async function stream(): Promise<string[]> {
  const entries = await redis.client().xrange('fixgate:positions', '-', '+');
  return entries.map(([, fields]) => {
    const { device, time, id } = JSON.parse(fields[fields.indexOf('data') + 1] ?? '{}');
    return `${device}\t${time}\t${id}`;
  });
}

/** Runs a mixed fleet, lets `trouble` happen meanwhile, and compares what was acknowledged with what arrived. */
async function prove(seed: number, trouble: () => Promise<void>): Promise<Summary[]> {
  const ledgers = mkdtempSync(join(tmpdir(), 'fixgate-ledgers-'));
  onTestFinished(() => rmSync(ledgers, { recursive: true, force: true }));
  const before = ledger.length;
  const running = CODECS.map((codec, index) => simulate(codec, seed + index, join(ledgers, codec)));
  // Trouble meets devices that report.
  await until(async () => (await stream()).length > before + DEVICES);
  await trouble();
  const summaries = await Promise.all(running);
  ledger.push(...CODECS.flatMap((codec) => readFileSync(join(ledgers, codec), 'utf8').split('\n').filter(Boolean)));
  ledger.sort();
  expect(ledger.length - before).toBeGreaterThan(DEVICES * SECONDS);
  expect(new Set(ledger).size).toBe(ledger.length);
  const table = async (): Promise<string[]> =>
    (await server.query('SELECT device, toUnixTimestamp64Milli(time), id FROM positions FINAL FORMAT TSV'))
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

  it('when a worker, the shipper and the embedded ClickHouse are killed', async () => {
    const kinds = ['worker', 'shipper', 'clickhouse'] as const;
    const summaries = await prove(11, async () => {
      const random = new Random(11);
      const apart = (SECONDS * 1000) / (3 * KILLS_OF_EACH + 1);
      for (let kill = 0; kill < 3 * KILLS_OF_EACH; kill++) {
        await moment(random, 0.5 * apart, 1.5 * apart);
        const kind = kinds[kill % 3] ?? 'worker';
        await until(() => server.children(kind).length > 0);
        const pids = server.children(kind);
        process.kill(pids[random.int(pids.length)] ?? 0, 'SIGKILL');
      }
    });
    // Killing a worker did reach the devices.
    expect(summaries.reduce((sum, summary) => sum + summary.reconnects, 0)).toBeGreaterThan(0);
  });
});
