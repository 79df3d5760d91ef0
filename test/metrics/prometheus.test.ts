import { closeSync, openSync, readSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { nodeStorage } from '../../src/base/files.ts';
import { listSegments, segmentName } from '../../src/journal/segment.ts';
import { Fleet } from '../../src/simulate/fleet.ts';
import { Random } from '../../src/simulate/random.ts';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { RedisServer } from '../ship/rig.ts';
import { eventually, moment, pause, until } from '../support/wait.ts';
import { EXPRESSIONS } from './dashboard.ts';
import { Prometheus } from './prometheus.ts';
import { RULES, RULES_TEXT } from './rules.ts';

/**
 * A real Prometheus beside two whole servers: one with a fleet and a Redis that may evict, whose stream is short and has a consumer group
 * that never reads, and a lame one, whose disk has less than the reserve, which takes one connection, and whose state store is a Redis
 * of its own.
 */

/** With pauses and ages that a test can wait for. */
const IMPATIENT = RULES_TEXT.replaceAll(/for: \d+[sm]/g, 'for: 1s')
  .replace('rate(fixgate_answer_seconds_bucket[1m])', 'rate(fixgate_answer_seconds_bucket[15s])')
  .replace('fixgate_canary_age_seconds > 40', 'fixgate_canary_age_seconds > 20')
  .replace('fixgate_sink_oldest_undelivered_seconds > 60', 'fixgate_sink_oldest_undelivered_seconds > 2');

let redis: RedisServer;
let stateRedis: RedisServer;
let server: Server;
let lame: Server;
let prometheus: Prometheus;
let fleet: Fleet;
let driving: Promise<void>;
const instances = new Map<Server, string>();
/** While this file is there, the disk of `server` takes nothing. */
let hangs = '';
const PRELOAD = new URL('../helpers/hanging-disk.ts', import.meta.url).href;

beforeAll(async () => {
  redis = await RedisServer.start('--maxmemory-policy', 'allkeys-lru');
  const client = redis.client();
  await client.call('XGROUP', 'CREATE', 'fixgate:positions', 'billing', '0', 'MKSTREAM');
  // What the group has not read, and the stream will not keep.
  await Promise.all(Array.from({ length: 1200 }, () => client.xadd('fixgate:positions', '*', 'data', '{}')));
  stateRedis = await RedisServer.start();
  const config = join(stateRedis.directory, 'lame.json');
  writeFileSync(config, JSON.stringify({ journal: { minFreeBytes: 2 ** 50 }, limits: { connections: 1 } }));
  const short = join(redis.directory, 'short.json');
  writeFileSync(short, JSON.stringify({ redis: { maxLength: 1000 } }));
  const redisAndCanary = { FIXGATE_REDIS_URL: redis.url, FIXGATE_CANARY: 'true' };
  hangs = join(redis.directory, 'hangs');
  const disk = { NODE_OPTIONS: `--import=${PRELOAD}`, HANGING_DISK: hangs };
  server = await Server.start({ ...redisAndCanary, ...disk, FIXGATE_WORKERS: '1', FIXGATE_CONFIG: short });
  lame = await Server.start({ FIXGATE_WORKERS: '1', FIXGATE_STATE_URL: stateRedis.url, FIXGATE_CONFIG: config });
  for (const one of [server, lame]) instances.set(one, new URL(String((await one.logged('metrics and health'))['http'])).host);
  prometheus = await Prometheus.start(IMPATIENT, [...instances.values()]);
  const [teltonika, gt06, h02, queclink] = await Promise.all(['teltonika', 'gt06', 'h02', 'queclink'].map((codec) => server.port(codec)));
  fleet = new Fleet({
    protocols: ['teltonika', 'gt06', 'h02', 'queclink'],
    transports: ['tcp'],
    target: { host: '127.0.0.1', ports: { teltonika: teltonika ?? 0, gt06: gt06 ?? 0, h02: h02 ?? 0, queclink: queclink ?? 0, jt808: 0 } },
    devices: 28,
    intervalMs: 3_000,
    durationMs: Number.POSITIVE_INFINITY,
    graceMs: 1,
    timeoutMs: 60_000,
    window: 1,
    records: 1,
    seed: 17,
    ledger: undefined,
    clock: systemClock,
  });
  driving = fleet.run();
});

afterAll(async () => {
  fleet.finish();
  await driving;
  await prometheus.stop();
  for (const one of [server, lame]) await one.stop();
  await redis.stop();
  await stateRedis.stop();
});

/** Alerts that a fault has made fire. */
const seen = new Set<string>();

/** Waits until this fires, with these labels. */
async function fires(alertname: string, of: Server, labels: Readonly<Record<string, string>> = {}): Promise<void> {
  const wanted = { alertname, instance: instances.get(of), ...labels };
  await eventually(async () => expect(await prometheus.firing()).toContainEqual(expect.objectContaining(wanted)));
  seen.add(alertname);
}

/** Does it again and again, with moments between, until that is there. */
async function during(there: Promise<unknown>, fault: () => Promise<void>): Promise<void> {
  const random = new Random(17);
  let isOver = false;
  const watched = there.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    await fault();
    await moment(random, 100, 300);
  }
  await watched;
}

/** Flips a bit of what a slot's worker writes while nobody reads it. */
async function damage(slot: string, readers: readonly number[]): Promise<void> {
  const newest = async (): Promise<string> => {
    const directory = join(server.dataDir, 'journal', slot);
    return join(directory, segmentName((await listSegments(nodeStorage, directory)).at(-1) ?? 0));
  };
  for (const pid of readers) process.kill(pid, 'SIGSTOP');
  try {
    const path = await newest();
    const { size } = statSync(path);
    await until(() => statSync(path).size > size + 2000);
    const file = openSync(path, 'r+');
    const byte = Buffer.alloc(1);
    readSync(file, byte, 0, 1, size + 1000);
    writeSync(file, Buffer.of((byte[0] ?? 0) ^ 1), 0, 1, size + 1000);
    closeSync(file);
  } finally {
    for (const pid of readers) process.kill(pid, 'SIGCONT');
  }
}

describe('the dashboard', () => {
  it('finds series for each of its expressions', async () => {
    for (const { panel, expr } of EXPRESSIONS)
      await eventually(async () => expect([panel, expr, (await prometheus.query(expr)).length > 0]).toEqual([panel, expr, true]));
    await eventually(async () => {
      const [records] = await prometheus.query('sum(rate(fixgate_records_total[15s]))');
      expect(records?.value).toBeGreaterThan(0);
    });
  });
});

describe('an alert fires on the fault itself', () => {
  it('when the disk has less than the reserve, when there is no room for another connection, and when the state store is away', async () => {
    const device = await TcpDevice.connect(await lame.port('teltonika'));
    await stateRedis.kill();
    await Promise.all([
      fires('FixgateDiskLow', lame),
      fires('FixgateJournalRefusing', lame, { slot: '0' }),
      fires('FixgateConnectionsFull', lame),
      fires('FixgateStateStoreAway', lame),
    ]);
    device.close();
  });

  it('when a consumer group has not read what the stream no longer holds', async () => {
    await fires('FixgateStreamTrimmedAhead', server, { stream: 'fixgate:positions', group: 'billing' });
  });

  it('when a store may lose data', () => fires('FixgateSinkConcern', server, { sink: 'redis' }));

  it('when a store is away, when ClickHouse refuses records, and when bytes of the journal are not what was written', async () => {
    await redis.kill();
    const imei = '356307042449999';
    await server.query(`ALTER TABLE positions ADD CONSTRAINT refused CHECK device != '${imei}'`);
    const device = await TcpDevice.connect(await server.port('teltonika'));
    device.send(handshake(imei));
    device.send(packet(Date.UTC(2026, 0, 1)));
    await device.until((d) => d.received.length === 5);
    await damage('0', server.children('shipper'));
    await Promise.all([
      fires('FixgateSinkAway', server, { sink: 'redis' }),
      fires('FixgateSinkBehind', server, { sink: 'redis' }),
      fires('FixgateRecordsParked', server, { sink: 'clickhouse' }),
      fires('FixgateJournalDamaged', server),
    ]);
    device.close();
  });

  it('when the disk is slow, and when processes get no processor time', async () => {
    const [worker = 0] = server.children('worker');
    await during(fires('FixgateAnswersSlow', server), async () => {
      writeFileSync(hangs, '');
      await pause(1500);
      rmSync(hangs);
    });
    await during(fires('FixgateEventLoopLag', server), async () => {
      process.kill(worker, 'SIGSTOP');
      await pause(1500);
      process.kill(worker, 'SIGCONT');
    });
  });

  it('when most connections are gone', async () => {
    await eventually(async () => {
      const [open] = await prometheus.query(`sum(fixgate_connections{instance="${instances.get(server)}"})`);
      expect(open?.value).toBeGreaterThan(20);
    });
    fleet.finish();
    await driving;
    await fires('FixgateConnectionsLost', server);
  });

  it('when processes keep dying', async () => {
    for (let round = 1; round <= 4; round++) {
      await eventually(() => expect(server.children('worker')).toHaveLength(1));
      await eventually(async () =>
        expect(await (await server.http('/readyz')).json()).toMatchObject({ status: expect.not.stringMatching('unready') }),
      );
      for (const pid of server.children('worker')) process.kill(pid, 'SIGKILL');
    }
    await fires('FixgateProcessRestarts', server, { process: 'worker' });
  });

  it('when the store that is away has had no canary for long, and when it comes back empty', async () => {
    await fires('FixgateCanaryLate', server, { sink: 'redis' });
    await redis.up();
    await fires('FixgateStreamRepeated', server);
  });

  it('when the server is gone', async () => {
    lame.signal('SIGKILL');
    await lame.exited;
    await fires('FixgateDown', lame);
  });

  it('and there is no alert without its fault here', () => {
    expect([...seen].sort()).toEqual(RULES.map(({ alert }) => alert).sort());
  });
});
