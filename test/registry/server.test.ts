import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { objects, unzipped } from '../privacy/zip.ts';
import { RedisServer } from '../ship/rig.ts';
import { ApiServer } from '../support/api-server.ts';
import { rounds } from '../support/thorough.ts';
import { eventually, remains } from '../support/wait.ts';

/** The registry in a whole server, with devices on real sockets. */

let api: ApiServer;
const devices: TcpDevice[] = [];

async function connect(codec: string, ...frames: Uint8Array[]): Promise<TcpDevice> {
  const device = await TcpDevice.connect(await api.running.port(codec));
  devices.push(device);
  for (const frame of frames) device.send(frame);
  return device;
}

afterEach(() => {
  for (const device of devices.splice(0)) device.close();
});

const frame = (codec: string, id: string): Uint8Array => bytesOf(frameLines(codec).find((line) => line.id === id)?.hex ?? '');
const IMEI = '356307042441013';
const GT06 = '123456789012345';
const H02 = '4106011660';
const ACCEPTED = Buffer.from([1]);
const REFUSED = Buffer.from([0]);

/** The same code over both stores; the open one below is in lmdb. */
describe.each(['redis', 'lmdb'].slice(0, rounds(1, 2)))('a closed registry in %s', (store) => {
  let redis: RedisServer | undefined;
  beforeAll(async () => {
    if (store === 'redis') redis = await RedisServer.start('--appendonly', 'yes');
    api = await ApiServer.start({
      FIXGATE_REGISTRY: 'closed',
      FIXGATE_WORKERS: '1',
      ...(redis === undefined ? {} : { FIXGATE_STATE_URL: redis.url }),
    });
  });
  afterAll(async () => {
    await api.running.stop();
    await redis?.stop();
  });

  it('turns unknown devices of three protocols away, and serves them at their next contact once adopted', async () => {
    const tries = [
      ['teltonika', handshake(IMEI)],
      ['gt06', frame('gt06', 'login-utc')],
      ['h02', frame('h02', 'b2')],
    ] as const;
    for (const [codec, first] of tries) {
      const device = await connect(codec, first);
      await device.until(({ ended }) => ended);
      // What a protocol has no words for is said by silence.
      expect([codec, device.received]).toEqual([codec, codec === 'teltonika' ? REFUSED : Buffer.alloc(0)]);
    }
    await eventually(async () => {
      const { body } = await api.call('GET', '/v1/quarantine');
      expect(body['devices']).toMatchObject([
        { id: GT06, protocol: 'gt06', transport: 'tcp', count: 1 },
        { id: IMEI, protocol: 'teltonika', count: 1, frames: [Buffer.from(handshake(IMEI)).toString('hex')] },
        { id: H02, protocol: 'h02', count: 1 },
      ]);
    });
    expect((await api.call('GET', '/v1/devices')).body).toEqual({ devices: [] });
    await eventually(async () => {
      const metrics = await (await api.running.http('/metrics')).text();
      expect(metrics).toContain('fixgate_quarantine_devices 3');
      expect(metrics).toMatch(/fixgate_rejects_total\{reason="unknown_device"\} 3/);
    });

    for (const id of [IMEI, GT06, H02])
      expect((await api.call('POST', `/v1/quarantine/${id}/adopt`, { account: 'acme' })).status).toBe(201);
    const now = Date.now();
    await eventually(async () => {
      const device = await connect('teltonika', handshake(IMEI));
      await device.until(({ received }) => received.length > 0);
      expect(device.received).toEqual(ACCEPTED);
      device.send(packet(now));
      await device.until(({ received }) => received.length === 5);
    });
    await eventually(async () => {
      const second = await connect('gt06', frame('gt06', 'login-utc'));
      await second.until(({ received, ended }) => received.length > 0 || ended);
      expect(second.received.length).toBeGreaterThan(0);
    });
    // It may come to a worker that has not heard yet; a connection that stays is one that is served.
    await eventually(async () => {
      const third = await connect('h02', frame('h02', 'b2'));
      await remains(() => expect(third.ended).toBe(false), 700);
    });
    await eventually(async () => {
      const rows = await api.running.query('SELECT device, count() FROM positions FINAL GROUP BY device ORDER BY device');
      expect(rows.trim().split('\n')).toEqual([`${IMEI}\t1`, `${H02}\t1`]);
      const events = await api.running.query(
        "SELECT type, count() FROM events FINAL WHERE type LIKE 'device_%' OR type = 'connected' GROUP BY type ORDER BY type",
      );
      expect(events.trim().split('\n')).toEqual(['connected\t3', 'device_adopted\t3', 'device_unknown\t3']);
    });
    expect((await api.call('GET', '/v1/quarantine')).body).toEqual({ devices: [] });
    expect(JSON.stringify(api.running.log)).not.toContain('59.32');
  });

  it('lets a connected device go when it is removed', async () => {
    const id = '356307042441039';
    await api.call('POST', '/v1/devices', { id });
    const device = await eventually(async () => {
      const made = await connect('teltonika', handshake(id));
      await made.until(({ received }) => received.length > 0);
      expect(made.received).toEqual(ACCEPTED);
      return made;
    });
    await api.call('DELETE', `/v1/devices/${id}`);
    await device.until(({ ended }) => ended);
  });
});

describe('an open registry', () => {
  let directory = '';
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'fixgate-registry-'));
    api = await ApiServer.start({}, { dataDir: join(directory, 'data') });
  });
  afterAll(async () => {
    await api.running.stop();
    rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });

  it('knows a device by its alias, and turns it away from foreign networks, connected or not', async () => {
    const { running } = api;
    const alias = '356307042441999';
    expect((await api.call('POST', '/v1/devices', { id: 'truck-7', aliases: [alias], account: 'bolt' })).status).toBe(201);
    const now = Date.now();
    const device = await connect('teltonika', handshake(alias));
    await device.until(({ received }) => received.length === 1);
    device.send(packet(now));
    await device.until(({ received }) => received.length === 5);
    // An unknown device is made a device.
    const other = await connect('teltonika', handshake(IMEI));
    await other.until(({ received }) => received.length === 1);
    await eventually(async () =>
      expect((await api.call('GET', `/v1/devices/${IMEI}`)).body).toMatchObject({ plan: 'default', protocol: 'teltonika' }),
    );
    await eventually(async () => {
      expect((await running.query('SELECT device FROM positions FINAL')).trim()).toBe('truck-7');
      const event = await running.query(
        "SELECT JSONExtractString(data, 'alias') FROM events FINAL WHERE type = 'connected' AND device = 'truck-7'",
      );
      expect(event.trim()).toBe(alias);
    });
    expect((await api.call('GET', '/v1/devices')).body['devices']).toHaveLength(2);

    await api.call('PATCH', '/v1/devices/truck-7', { networks: ['198.51.100.0/24'] });
    await device.until(({ ended }) => ended);
    const again = await connect('teltonika', handshake(alias));
    await again.until(({ ended }) => ended);
    expect(again.received).toEqual(REFUSED);
    await eventually(async () =>
      expect((await running.query("SELECT count() FROM events FINAL WHERE type = 'network_refused' AND device = 'truck-7'")).trim()).toBe(
        '1',
      ),
    );
    await api.call('PATCH', '/v1/devices/truck-7', { networks: ['127.0.0.0/8', '::1/128'] });
    await eventually(async () => {
      const back = await connect('teltonika', handshake(alias));
      await back.until(({ received }) => received.length > 0);
      expect(back.received).toEqual(ACCEPTED);
    });
    expect(other.ended).toBe(false);
  });

  const UNIT = '356307042441047';
  const NEXT = '356307042441054';
  const UNITS = [{ unit: UNIT }, { unit: NEXT, by: expect.any(String), reason: 'broken' }];

  it('has units that are replaced: one is a stranger to every worker from then on, though the server is killed, and the next one reports in its place', async () => {
    let time = Date.now() - 60_000;
    const restarted = async (): Promise<void> => {
      api.running.signal('SIGKILL');
      await api.running.exited;
      api = await ApiServer.start({}, { dataDir: api.running.dataDir, known: api.token });
    };
    const login = async (id: string): Promise<TcpDevice> => {
      const device = await connect('teltonika', handshake(id));
      await device.until(({ received, ended }) => received.length > 0 || ended);
      return device;
    };
    const count = async (table: string, id: string): Promise<number> =>
      Number(await api.running.query(`SELECT count() FROM ${table} FINAL WHERE device = '${id}'`));
    const report = async (device: TcpDevice, records: number): Promise<void> => {
      const before = device.received.length;
      for (let n = 0; n < records; n++) device.send(packet((time += 1000)));
      await device.until(({ received }) => received.length === before + 4 * records);
    };
    expect((await api.call('POST', '/v1/devices', { id: UNIT, account: 'acme' })).status).toBe(201);
    await report(await login(UNIT), 3);
    await eventually(async () => expect([await count('positions', UNIT), (await count('usage', UNIT)) > 0]).toEqual([3, true]));
    expect((await api.call('POST', `/v1/devices/${UNIT}/replace`, { unit: NEXT, reason: 'broken' })).status).toBe(200);
    await restarted();
    // Two workers share the port: by chance all of these come to one of them once in half a million.
    for (let n = 0; n < 20; n++) expect((await login(UNIT)).received).toEqual(REFUSED);
    const next = await login(NEXT);
    expect(next.received).toEqual(ACCEPTED);
    await report(next, 2);
    if (rounds(0, 1) > 0) await restarted();
    for (let n = 0; n < 5; n++) expect((await login(UNIT)).received).toEqual(REFUSED);
    const back = await login(NEXT);
    await report(back, 1);
    back.close();
    await eventually(async () => expect([await count('positions', UNIT), await count('positions', NEXT)]).toEqual([6, 0]));
    expect(await count('usage', NEXT)).toBe(0);
    expect((await api.call('GET', `/v1/devices/${NEXT}`)).body).toMatchObject({ id: UNIT, unit: NEXT, account: 'acme' });
    expect((await api.call('GET', `/v1/devices/${UNIT}/units`)).body).toMatchObject({ periods: UNITS });
    const { body } = await api.call('GET', `/v1/devices/${UNIT}/statements`);
    const [made] = Object(body)['statements'];
    expect([made.account, made.units.map(({ unit }: { unit: string }) => unit)]).toEqual(['acme', [UNIT, NEXT]]);
    await eventually(async () => {
      const { events } = (await api.call('GET', `/v1/events?device=${UNIT}&type=unit_replaced`)).body;
      expect(events).toMatchObject([{ device: UNIT, data: { unit: NEXT, before: UNIT, reason: 'broken' } }]);
    });
    for (const path of [`/v1/devices/${UNIT}/export`, '/v1/accounts/acme/export']) {
      const files = unzipped(Buffer.from(await (await api.fetch(path)).arrayBuffer()));
      const units = objects(files.get('units.ndjson'));
      expect([path, units]).toEqual([path, UNITS.map((unit) => expect.objectContaining(unit))]);
      expect(objects(files.get('positions.ndjson')).map(({ device }) => device)).toEqual(Array.from({ length: 6 }, () => UNIT));
    }
  });
});
