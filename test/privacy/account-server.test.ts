import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixgate } from '../cli/command.ts';
import { chdbInstalled } from '../embedded/child.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packetAt } from '../helpers/teltonika.ts';
import { RedisServer } from '../ship/rig.ts';
import { ApiServer } from '../support/api-server.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { eventually } from '../support/wait.ts';
import { filesWith, traces } from './files.ts';

/** Erasing an account in a whole server: a device that is its own, one that it had and another has, and one of the other. */

const HIS = '356307042441013';
const PASSED = '356307042441021';
const OWN = '356307042441039';
const [A, B] = ['acme', 'bolt'];
const PLACE_A = { lat: 48.1371, lon: 11.5754 };
const PLACE_B = { lat: 52.5163, lon: 13.3777 };
const OF_A = traces(PLACE_A.lat, PLACE_A.lon);
const OF_B = traces(PLACE_B.lat, PLACE_B.lon);
const TABLES = ['positions', 'statuses', 'events', 'usage', 'last_positions', 'raw'];

let redis: RedisServer;
let server: ApiServer;
const devices: TcpDevice[] = [];

async function connect(id: string): Promise<TcpDevice> {
  const device = await TcpDevice.connect(await server.running.port('teltonika'));
  devices.push(device);
  device.send(handshake(id));
  await device.until(({ received }) => received.length > 0);
  return device;
}

async function report(device: TcpDevice, place: typeof PLACE_A, time: number): Promise<void> {
  const { length } = device.received;
  device.send(packetAt(place.lat, place.lon, time));
  await device.until(({ received }) => received.length >= length + 4);
  expect(device.received.readUInt32BE(length)).toBe(1);
}

const rows = async (of: string, table = 'positions'): Promise<number> =>
  Number(await server.running.query(`SELECT count() FROM ${table} FINAL WHERE ${of}`));

async function streamed(): Promise<string> {
  const client = redis.client();
  return JSON.stringify([await client.xrange('fixgate:positions', '-', '+'), await client.get(`fixgate:last:${HIS}`)]);
}

beforeAll(async () => {
  redis = await RedisServer.start();
  server = await ApiServer.start({ ...OWN_ENGINE, FIXGATE_REDIS_URL: redis.url, FIXGATE_WORKERS: '1' });
  for (const [id, account] of [
    [HIS, A],
    [PASSED, A],
    [OWN, B],
  ] as const)
    expect((await server.call('POST', '/v1/devices', { id, account, protocol: 'teltonika' })).status).toBe(201);
  expect((await server.call('POST', '/v1/accounts', { id: A })).status).toBe(201);
  const [his, own] = [await connect(HIS), await connect(OWN)];
  let passed = await connect(PASSED);
  for (let n = 0; n < 5; n++) for (const device of [his, passed]) await report(device, PLACE_A, Date.now());
  expect((await server.call('PATCH', `/v1/devices/${PASSED}`, { account: B })).status).toBe(200);
  await passed.until(({ ended }) => ended);
  passed = await connect(PASSED);
  // What comes before the worker has heard of it counts for A.
  await eventually(async () => {
    await report(passed, PLACE_B, Date.now());
    expect(await rows(`device = '${PASSED}' AND account = '${B}'`)).toBeGreaterThan(0);
  });
  for (let n = 0; n < 5; n++) await report(own, PLACE_B, Date.now());
  await eventually(async () => {
    expect([await rows(`device = '${HIS}'`), await rows(`device = '${OWN}'`)]).toEqual([5, 5]);
    expect((await streamed()).split('48.1371').length - 1).toBe(11);
  });
});
afterAll(async () => {
  for (const device of devices) device.close();
  await server.running.stop();
  await redis.stop();
});

describe.skipIf(!chdbInstalled)('erasing an account', () => {
  it('is refused while one of its devices is under a hold, which it names; nothing is erased then', async () => {
    const hold = { reference: 'AZ 7/2027', reason: 'court order' };
    expect((await server.call('PUT', `/v1/devices/${PASSED}/hold`, hold)).status).toBe(201);
    const refused = await server.call('DELETE', `/v1/accounts/${A}/data`);
    expect(refused).toMatchObject({
      status: 409,
      body: { title: expect.stringContaining('AZ 7/2027'), problems: [{ field: PASSED, problem: expect.stringContaining('AZ 7/2027') }] },
    });
    const said = await fixgate(['erase', '--account', A], '', server.env);
    expect([said.code, said.error]).toEqual([2, expect.stringContaining('under the hold "AZ 7/2027"')]);
    expect(await server.call('GET', `/v1/accounts/${A}/data`)).toMatchObject({ status: 404 });
    expect(await rows(`device = '${HIS}'`)).toBe(5);
    expect((await server.call('DELETE', `/v1/devices/${PASSED}/hold`)).status).toBe(204);
  });

  it('leaves no byte of a place in any file, and all that another account has', async () => {
    // The database keeps what it has replaced for minutes.
    for (const table of TABLES) await server.running.query(`ALTER TABLE ${table} MODIFY SETTING old_parts_lifetime = 1`);
    expect(filesWith(server.running.dataDir, OF_A)).not.toEqual([]);
    const ofB = await rows(`account = '${B}'`);
    const done = await fixgate(['erase', '--account', A, '--wait', '110'], '', server.env);
    expect([done.code, done.error, done.lines[0]]).toEqual([0, '', 'erased: 2 of 2 devices']);
    expect(await server.call('GET', `/v1/accounts/${A}/data`)).toMatchObject({
      status: 200,
      body: { account: A, state: 'erased', devices: 2, done: 2, removed: { clickhouse: { positions: expect.any(Number) } }, waiting: [] },
    });
    const { body } = await server.call('GET', `/v1/devices/${HIS}/data`);
    const kept: Readonly<Record<string, string>> = {
      events: `account = '${A}' AND type NOT LIKE 'erase%'`,
      // It is still connected: what its connection costs from then on is counted.
      usage: `account = '${A}' AND time < fromUnixTimestamp64Milli(toInt64(${body['before']}))`,
      last_positions: 'lat < 50',
    };
    for (const table of TABLES) expect([table, await rows(kept[table] ?? `account = '${A}'`, table)]).toEqual([table, 0]);
    await eventually(async () => {
      // It looks for what it may remove ever less often while a table has no work: this makes it look, and there is no such partition.
      for (const table of TABLES) await server.running.query(`ALTER TABLE ${table} DROP PARTITION ID '197001'`);
      expect(filesWith(server.running.dataDir, OF_A)).toEqual([]);
    });
    expect(await streamed()).not.toContain('48.1371');
    expect(await rows(`account = '${B}'`)).toBe(ofB);
    expect(filesWith(server.running.dataDir, OF_B)).not.toEqual([]);
    // Places come every ten seconds when no client looks.
    await eventually(async () =>
      expect(await server.call('GET', `/v1/devices/${PASSED}/state`)).toMatchObject({ status: 200, body: { place: PLACE_B } }),
    );
    expect((await server.call('GET', `/v1/accounts/${B}/data`)).status).toBe(404);
  });

  it('what a device has kept of that time is acknowledged and stored nowhere', async () => {
    const { periods } = Object((await server.call('GET', `/v1/devices/${PASSED}/owners`)).body);
    const before = await rows(`device = '${PASSED}'`);
    const device = await connect(PASSED);
    await report(device, PLACE_A, Number(periods[0].to) - 1);
    const now = Date.now();
    await report(device, PLACE_B, now);
    await eventually(async () => expect(await rows(`device = '${PASSED}'`)).toBe(before + 1));
    expect(filesWith(server.running.dataDir, OF_A)).toEqual([]);
  });

  it('stands in the audit, of the account and of each device', async () => {
    const operation = 'DELETE /v1/accounts/{id}/data';
    await eventually(async () => {
      const { entries } = Object((await server.call('GET', `/v1/audit?account=${A}&type=change`)).body);
      const own: { operation: string; status: number; device: string }[] = entries;
      const found = own.filter((entry) => entry.operation === operation).map(({ status, device }) => `${status} ${device}`);
      expect(found).toEqual(expect.arrayContaining(['409 ', '200 ', `200 ${HIS}`, `200 ${PASSED}`]));
    });
    expect((await server.call('DELETE', '/v1/accounts/nobody/data')).status).toBe(404);
  });
});
