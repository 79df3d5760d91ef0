import { afterEach, expect, it } from 'vitest';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { RedisServer } from '../ship/rig.ts';
import { ApiServer } from '../support/api-server.ts';
import { rounds } from '../support/thorough.ts';
import { eventually } from '../support/wait.ts';

/** Accounts in a whole server, with devices on real sockets. */

let api: ApiServer | undefined;
let redis: RedisServer | undefined;
const devices: TcpDevice[] = [];

afterEach(async () => {
  for (const device of devices.splice(0)) device.close();
  await api?.running.stop();
  await redis?.stop();
  api = undefined;
  redis = undefined;
});

const A1 = '356307042441013';
const A2 = '356307042441021';
const B1 = '356307042441039';

/** Redis, whose changes come back to the server; test/plan/month.test.ts suspends an account in lmdb. */
it.each(['redis', 'lmdb'].slice(0, rounds(1, 2)))(
  'in %s: suspending an account holds for all its connected devices and for no other; resuming it resumes no device that is suspended by itself',
  async (store) => {
    if (store === 'redis') redis = await RedisServer.start('--appendonly', 'yes');
    const server = await ApiServer.start(redis === undefined ? {} : { FIXGATE_STATE_URL: redis.url });
    api = server;
    for (const [id, account] of [
      [A1, 'acme'],
      [A2, 'acme'],
      [B1, 'bolt'],
    ])
      expect((await server.call('POST', '/v1/devices', { id, account })).status).toBe(201);
    // Only one of the two has a record.
    expect((await server.call('POST', '/v1/accounts', { id: 'acme' })).status).toBe(201);
    const connected = new Map<string, TcpDevice>();
    for (const id of [A1, A2, B1]) {
      const device = await TcpDevice.connect(await server.running.port('teltonika'));
      devices.push(device);
      connected.set(id, device);
      device.send(handshake(id));
      await device.until(({ received }) => received.length === 1);
    }
    let time = Date.now() - 3_600_000;
    /** One record of the device, which is answered as taken in any case. Returns its time. */
    const sent = async (id: string): Promise<number> => {
      const device = connected.get(id);
      if (device === undefined) throw new Error(id);
      const before = device.received.length;
      time += 1000;
      device.send(packet(time));
      await device.until(({ received }) => received.length === before + 4);
      expect(device.received.subarray(before)).toEqual(Buffer.from([0, 0, 0, 1]));
      return time;
    };
    const stored = async (id: string, since: number): Promise<number> =>
      Number(
        await server.running.query(`SELECT count() FROM positions WHERE device = '${id}' AND toUnixTimestamp64Milli(time) > ${since}`),
      );
    /** Records are kept again, or for the first time: what comes before the worker has heard of it is not. */
    const isServed = async (id: string): Promise<void> => {
      const since = time;
      await eventually(async () => {
        await sent(id);
        expect(await stored(id, since)).toBeGreaterThan(0);
      });
    };
    const withheld = async (): Promise<number> =>
      Number(
        /fixgate_withheld_records_total\{reason="suspended"\} (\d+)/.exec(await (await server.running.http('/metrics')).text())?.[1] ?? 0,
      );

    for (const id of [A1, A2, B1]) await isServed(id);
    expect((await server.call('PATCH', `/v1/devices/${A2}`, { state: 'suspended' })).status).toBe(200);
    expect((await server.call('POST', '/v1/accounts/acme/suspend', { reason: 'invoice 7 is open' })).body).toMatchObject({
      state: 'suspended',
      reason: 'invoice 7 is open',
    });
    await eventually(async () => {
      const [before] = [await withheld(), await sent(A1), await sent(A2)];
      expect(await withheld()).toBeGreaterThanOrEqual(before + 2);
    });
    const since = time;
    await sent(A1);
    await isServed(B1);
    expect(await stored(A1, since)).toBe(0);
    expect((await server.call('GET', `/v1/devices/${A1}/state`)).body).toMatchObject({
      connected: true,
      account_state: { state: 'suspended', reason: 'invoice 7 is open' },
    });
    expect((await server.call('GET', `/v1/devices/${A1}`)).body).toMatchObject({ state: 'active' });
    expect((await server.call('GET', `/v1/devices/${B1}/state`)).body).not.toHaveProperty('account_state');

    expect((await server.call('POST', '/v1/accounts/acme/resume', {})).body).toMatchObject({ state: 'active' });
    await isServed(A1);
    const resumed = time;
    await sent(A2);
    await isServed(B1);
    expect(await stored(A2, resumed)).toBe(0);

    expect((await server.call('POST', '/v1/accounts/acme/close', { reason: 'moved' })).body).toMatchObject({ state: 'closed' });
    for (const id of [A1, A2]) {
      const device = connected.get(id);
      await eventually(() => {
        device?.send(packet((time += 1000)));
        expect(device?.ended).toBe(true);
      });
    }
    await isServed(B1);
    await eventually(async () => {
      const types = await server.running.query(
        "SELECT type, JSONExtractString(data, 'account') FROM events FINAL WHERE type LIKE 'account_%' ORDER BY time",
      );
      expect(types.trim().split('\n')).toEqual(['created', 'suspended', 'resumed', 'closed'].map((what) => `account_${what}\tacme`));
    });
  },
);
