import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Fleet } from '../../src/simulate/fleet.ts';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { RedisServer } from '../ship/rig.ts';
import { eventually } from '../support/wait.ts';
import { EXPRESSIONS } from './dashboard.ts';
import { Prometheus } from './prometheus.ts';

/**
 * A real Prometheus beside two whole servers: one under load with a Redis that may evict, and a lame one, whose disk has less than the
 * reserve, which takes one connection, and whose state store is a Redis of its own.
 */

/** With pauses and ages that a test can wait for. */
const RULES = readFileSync(join(import.meta.dirname, '../../deploy/prometheus/rules.yml'), 'utf8')
  .replaceAll(/for: \d+[sm]/g, 'for: 1s')
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

beforeAll(async () => {
  redis = await RedisServer.start('--maxmemory-policy', 'allkeys-lru');
  await redis.client().call('XGROUP', 'CREATE', 'fixgate:positions', 'billing', '0', 'MKSTREAM');
  stateRedis = await RedisServer.start();
  const config = join(stateRedis.directory, 'lame.json');
  writeFileSync(config, JSON.stringify({ journal: { minFreeBytes: 2 ** 50 }, limits: { connections: 1 } }));
  server = await Server.start({ FIXGATE_WORKERS: '2', FIXGATE_REDIS_URL: redis.url, FIXGATE_CANARY: 'true' });
  lame = await Server.start({ FIXGATE_WORKERS: '1', FIXGATE_STATE_URL: stateRedis.url, FIXGATE_CONFIG: config });
  for (const one of [server, lame]) instances.set(one, new URL(String((await one.logged('metrics and health'))['http'])).host);
  prometheus = await Prometheus.start(RULES, [...instances.values()]);
  const [teltonika, gt06, h02, queclink] = await Promise.all(['teltonika', 'gt06', 'h02', 'queclink'].map((codec) => server.port(codec)));
  fleet = new Fleet({
    protocols: ['teltonika', 'gt06', 'h02', 'queclink'],
    transports: ['tcp'],
    target: { host: '127.0.0.1', ports: { teltonika: teltonika ?? 0, gt06: gt06 ?? 0, h02: h02 ?? 0, queclink: queclink ?? 0, jt808: 0 } },
    devices: 40,
    intervalMs: 500,
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

/** Waits until this fires, with these labels. */
async function fires(alertname: string, of: Server, labels: Readonly<Record<string, string>> = {}): Promise<void> {
  const wanted = { alertname, instance: instances.get(of), ...labels };
  await eventually(async () => expect(await prometheus.firing()).toContainEqual(expect.objectContaining(wanted)));
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
  it('when the disk has less than the reserve', async () => {
    await fires('FixgateDiskLow', lame);
    await fires('FixgateJournalRefusing', lame, { slot: '0' });
  });

  it('when there is no room for another connection', async () => {
    const device = await TcpDevice.connect(await lame.port('teltonika'));
    await fires('FixgateConnectionsFull', lame);
    device.close();
  });

  it('when the state store is away', async () => {
    await stateRedis.kill();
    await fires('FixgateStateStoreAway', lame);
  });

  it('when a store may lose data, is away, and comes back empty', async () => {
    await fires('FixgateSinkConcern', server, { sink: 'redis' });
    await redis.kill();
    await fires('FixgateSinkAway', server, { sink: 'redis' });
    await fires('FixgateSinkBehind', server, { sink: 'redis' });
    await fires('FixgateCanaryLate', server, { sink: 'redis' });
    await redis.up();
    await fires('FixgateStreamRepeated', server);
  });

  it('when processes keep dying', async () => {
    for (let round = 1; round <= 3; round++) {
      await eventually(() => expect(server.children('worker')).toHaveLength(2));
      await eventually(async () =>
        expect(await (await server.http('/readyz')).json()).toMatchObject({ status: expect.not.stringMatching('unready') }),
      );
      for (const pid of server.children('worker')) process.kill(pid, 'SIGKILL');
    }
    await fires('FixgateProcessRestarts', server, { process: 'worker' });
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

  it('when the server is gone', async () => {
    lame.signal('SIGKILL');
    await lame.exited;
    await fires('FixgateDown', lame);
  });
});
