import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MIGRATIONS } from '../../src/out/sink/clickhouse/schema.ts';
import { chdbInstalled } from '../embedded/child.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { RedisServer } from '../ship/rig.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';

/** Retention in a whole server that runs it each second, with rows of long ago in its ClickHouse and entries of long ago in its Redis. */

const OWN = '356307042441013';
const HELD = '356307042441021';
const OTHER = '356307042441039';
const DAY = 86_400_000;
const CONFIG = `
retention:
  everyMs: 1000
redis:
  maxAgeMs: ${2 * DAY}
`;

let directory: string;
let redis: RedisServer;
let server: ApiServer;

const rows = async (table: string, device: string): Promise<number> =>
  Number(await server.running.query(`SELECT count() FROM ${table} FINAL WHERE device = '${device}'`));

/** A position of each device and day, with a status and an event beside it. */
async function history(device: string, account: string, days: readonly number[]): Promise<void> {
  for (const n of days) {
    const at = `fromUnixTimestamp64Milli(toInt64(${Date.now() - n * DAY}))`;
    const head = `'${device}', ${at}, '${String(n).padStart(16, '0')}', ${at}, '${account}', 'teltonika'`;
    const columns = 'device, time, id, received, account, protocol';
    await server.running.query(`INSERT INTO positions (${columns}, lat, lon, valid) VALUES (${head}, 48.1, 11.5, true)`);
    await server.running.query(`INSERT INTO statuses (${columns}) VALUES (${head})`);
    await server.running.query(`INSERT INTO events (${columns}, type, data) VALUES (${head}, 'overspeed', '{}')`);
  }
}

/** One that evidence rests on, received so many days ago. */
async function rawFrame(device: string, days: number): Promise<void> {
  const row = `'${device}', fromUnixTimestamp64Milli(toInt64(${Date.now() - days * DAY})), '${String(days).padStart(16, '0')}', '00'`;
  await server.running.query(`INSERT INTO raw (device, time, id, frame) VALUES (${row})`);
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-retention-'));
  const config = join(directory, 'fixgate.yaml');
  writeFileSync(config, CONFIG);
  redis = await RedisServer.start();
  const client = redis.client();
  for (const n of [9, 3, 1])
    await client.xadd('fixgate:positions', `${Date.now() - n * DAY}-0`, 'device', OWN, 'time', '1', 'data', `{"days":${n}}`);
  server = await ApiServer.start({ FIXGATE_CONFIG: config, FIXGATE_REDIS_URL: redis.url, FIXGATE_WORKERS: '1' });
});
afterAll(async () => {
  await server.running.stop();
  await redis.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe.skipIf(!chdbInstalled)('retention', () => {
  it('removes what was received long enough ago, of the account that says so, and leaves what is under a hold', async () => {
    for (const [id, account] of [
      [OWN, 'acme'],
      [HELD, 'acme'],
      [OTHER, 'bolt'],
    ] as const)
      expect((await server.call('POST', '/v1/devices', { id, account, protocol: 'teltonika' })).status).toBe(201);
    // The tables are as this version has them when the server has first reached ClickHouse.
    await eventually(async () =>
      expect(await server.running.query('SELECT max(number) FROM migrations')).toBe(`${MIGRATIONS.at(-1)?.number}\n`),
    );
    for (const id of [OWN, HELD]) await history(id, 'acme', [400, 40, 31, 29, 1]);
    await history(OTHER, 'bolt', [400, 31, 1]);
    const hold = { reference: 'AZ 7/2027', reason: 'court order' };
    expect((await server.call('PUT', `/v1/devices/${HELD}/hold`, hold)).status).toBe(201);
    // Nothing goes while no rule says how long it is kept, but raw frames of evidence.
    for (const id of [OWN, HELD, OTHER]) for (const days of [401, 399]) await rawFrame(id, days);
    await eventually(async () => expect([await rows('raw', OWN), await rows('raw', OTHER)]).toEqual([1, 1]));
    expect(await rows('raw', HELD)).toBe(2);
    expect([await rows('positions', OWN), await rows('positions', OTHER)]).toEqual([5, 3]);
    expect((await server.call('POST', '/v1/accounts', { id: 'acme', retention: { keep_days: 30 } })).status).toBe(201);
    await eventually(async () => {
      for (const table of ['positions', 'statuses']) expect([table, await rows(table, OWN)]).toEqual([table, 2]);
      const overspeed = `SELECT count() FROM events WHERE type = 'overspeed' AND device = '${OWN}'`;
      expect(await server.running.query(overspeed)).toBe('2\n');
    });
    for (const table of ['positions', 'statuses'])
      expect([table, await rows(table, HELD), await rows(table, OTHER)]).toEqual([table, 5, 3]);
    const { devices } = await server.running.logged('retention leaves what is under a hold');
    expect(devices).toEqual([HELD]);
    const metrics = await (await server.running.http('/metrics')).text();
    expect(metrics).toMatch(/fixgate_retention_rows_total\{table="positions"\} 3\b/);
    expect(metrics).toMatch(/fixgate_retention_held_devices 1\b/);
    await eventually(async () => {
      const { events } = Object((await server.call('GET', '/v1/events?type=retention')).body);
      expect(events[0]).toMatchObject({ type: 'retention', data: { removed: expect.any(Object), held: 1 } });
    });
    // Once the hold has ended, it goes as well.
    expect((await server.call('DELETE', `/v1/devices/${HELD}/hold`)).status).toBe(204);
    await eventually(async () => expect([await rows('positions', HELD), await rows('positions', OTHER)]).toEqual([2, 3]));
    // Of a plan, for the account that says nothing.
    expect((await server.call('PUT', '/v1/plans/default?effective=now', { keep_days: 300 })).status).toBeLessThan(300);
    await eventually(async () => expect(await rows('positions', OTHER)).toBe(2));
  });

  it('erases what is of an account so long after the device was passed on, everywhere', async () => {
    const device = await TcpDevice.connect(await server.running.port('teltonika'));
    device.send(handshake(OWN));
    await device.until(({ received }) => received.length > 0);
    device.send(packet(Date.now()));
    await device.until(({ received }) => received.length >= 5);
    device.close();
    await eventually(async () => expect(await rows('positions', OWN)).toBe(3));
    expect((await server.call('PATCH', '/v1/accounts/acme', { retention: { erase_after_end_days: 0 } })).status).toBe(200);
    expect((await server.call('PATCH', `/v1/devices/${OWN}`, { account: 'bolt' })).status).toBe(200);
    await eventually(async () => expect([await rows('positions', OWN), await rows('positions', HELD)]).toEqual([0, 2]));
    await eventually(async () =>
      expect(await server.call('GET', `/v1/devices/${OWN}/data`)).toMatchObject({
        body: { state: 'erased', by: 'retention', account: 'acme' },
      }),
    );
  });

  it('the streams have no entries that are older than the configured age', async () => {
    await eventually(async () => {
      const entries = await redis.client().xrange('fixgate:positions', '-', '+');
      expect(entries.filter(([id]) => Number(id.split('-')[0]) < Date.now() - 2 * DAY)).toEqual([]);
    });
  });
});
