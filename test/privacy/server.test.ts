import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { SUPERVISOR_SLOT } from '../../src/cluster/instance.ts';
import { fixgate } from '../cli/command.ts';
import { ObedientDevice } from '../command/device.ts';
import { chdbInstalled } from '../embedded/child.ts';
import type { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { RedisServer } from '../ship/rig.ts';
import { ApiServer } from '../support/api-server.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { eventually } from '../support/wait.ts';
import { filesWith, traces } from './files.ts';
import { objects, unzipped } from './zip.ts';

/**
 * Erase and export in a whole server, with devices on real sockets, Redis and ClickHouse: one data directory, and the servers that
 * have it one after the other.
 */

let redis: RedisServer;
let api: ApiServer;
let dataDir = '';
const devices: TcpDevice[] = [];

beforeAll(async () => {
  if (!chdbInstalled) return;
  redis = await RedisServer.start('--appendonly', 'yes');
  dataDir = mkdtempSync(join(tmpdir(), 'fixgate-privacy-'));
  api = await ApiServer.start(env(), { dataDir });
});
afterEach(() => {
  for (const device of devices.splice(0)) device.close();
});
afterAll(async () => {
  if (!chdbInstalled) return;
  await api.running.stop();
  await redis.stop();
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});

const env = (): Readonly<Record<string, string>> => ({
  ...OWN_ENGINE,
  FIXGATE_WORKERS: '1',
  FIXGATE_REDIS_URL: redis.url,
  FIXGATE_DRAIN_MS: '1000',
});

const RELAYED = '356307042441039';
const PASSED_ON = '356307042441047';
const GONE = '356307042441013';
const OTHER = '356307042441021';
const UNKNOWN = '356307042441054';
const EXPORTED = '356307042441070';
const ALIASED = '356307042441062';

async function connect(running: Server, imei: string): Promise<TcpDevice> {
  const device = await TcpDevice.connect(await running.port('teltonika'));
  devices.push(device);
  device.send(handshake(imei));
  await device.until(({ received }) => received.length === 1);
  return device;
}

/** Sends a record and waits until it was acknowledged. */
async function report(device: TcpDevice, time: number): Promise<void> {
  const length = device.received.length;
  device.send(packet(time));
  await device.until(({ received, ended }) => ended || received.length >= length + 4);
  expect(device.received.readUInt32BE(length)).toBe(1);
}

const rowsOf = async (running: Server, table: string, imei: string, where = '1'): Promise<number> =>
  Number(await running.query(`SELECT count() FROM ${table} WHERE device = '${imei}' AND (${where})`));

async function streamTimes(name: string, imei: string): Promise<number[]> {
  const client = redis.client();
  const entries = await client.xrange(`fixgate:${name}`, '-', '+');
  return entries.filter(([, fields]) => fields.includes(imei)).map(([, fields]) => Number(fields[fields.indexOf('time') + 1]));
}

/** Files of the data directory that hold the text, but for what has to know whom it must not store again. */
function holding(text: string): string[] {
  const slots = readdirSync(join(dataDir, 'journal')).filter((name) => /^\d+$/.test(name) && name !== SUPERVISOR_SLOT);
  return [...slots.map((slot) => `journal/${slot}`), 'parked'].flatMap((part) => {
    const directory = join(dataDir, part);
    return readdirSync(directory).flatMap((name) =>
      readFileSync(join(directory, name), 'latin1').includes(text) ? [`${part}/${name}`] : [],
    );
  });
}

function parkedLine(device: string, received: number): string {
  const entry = { kind: 'frame', slot: '0', sequence: 1, received, codec: 'gone', transport: 'tcp', device, memo: 0, accepted: 1 };
  return `${JSON.stringify({ ...entry, reason: 'codec "gone" is not installed', hex: '00' })}\n`;
}

/** The first ones: nothing else may have told a place. */
describe.skipIf(!chdbInstalled)('a device with privacy relay', () => {
  it('leaves no place in any file, its records as its reply to locate, which goes to who waits and to the stream', async () => {
    const client = redis.client();
    const { running } = api;
    expect((await api.call('PUT', `/v1/devices/${RELAYED}`, { protocol: 'teltonika', privacy: 'relay' })).status).toBe(201);
    const text = 'GPS:1 Sat:9 Lat:5.1253917 Long:6.3751826 Alt:0 Speed:0 Dir:0 Date: 2027/8/24 Time: 13:4:36';
    const needles = [...traces(59.3293, 18.0686), ...traces(5.1253917, 6.3751826)];
    const device = new ObedientDevice(await running.port('teltonika'), RELAYED, () => text);
    onTestFinished(() => device.stop());
    const sent = await api.call('POST', `/v1/devices/${RELAYED}/commands?wait=100`, { type: 'locate' });
    expect(sent).toMatchObject({ status: 201, body: { state: 'answered', reply: text } });
    device.report(7);
    await eventually(async () => {
      expect(JSON.stringify(await client.xrange('fixgate:positions', '-', '+'))).toContain('speed_kmh\\":7');
      expect(JSON.stringify(await client.xrange('fixgate:events', '-', '+'))).toContain('Lat:5.1253917');
    });
    // Until they leave the journal, they are in it: what is looked for would be found.
    expect(filesWith(running.dataDir, needles).some((path) => path.includes('journal'))).toBe(true);
    running.signal('SIGHUP');
    await eventually(() => expect(filesWith(join(running.dataDir, 'journal'), needles)).toEqual([]));
    await eventually(() => expect(filesWith(running.dataDir, needles)).toEqual([]));
    expect((await fixgate(['state', 'dump'], '', { FIXGATE_DATA_DIR: running.dataDir })).out).not.toContain('5.1253917');
  });

  it('is in the stream and not in the tables, and leaves the journal; what it told before stays', async () => {
    const { running } = api;
    const relayed = async (): Promise<number> => {
      const { lines } = await fixgate(['journal', 'verify', '--json'], '', { FIXGATE_DATA_DIR: running.dataDir });
      const slots: { relayed: number }[] = JSON.parse(lines[0] ?? '[]');
      return slots.reduce((sum, slot) => sum + slot.relayed, 0);
    };
    const T = Date.now() - 60_000;
    const before = await connect(running, PASSED_ON);
    await report(before, T);
    before.close();
    await api.call('PATCH', `/v1/devices/${PASSED_ON}`, { privacy: 'relay' });
    const device = await eventually(async () => {
      const { body } = await api.call('GET', `/v1/devices/${PASSED_ON}`);
      expect(body['privacy']).toBe('relay');
      return connect(running, PASSED_ON);
    });
    // What comes before the worker has heard of it is stored.
    let sent = 1;
    await eventually(async () => {
      await report(device, T + 1000 * sent++);
      expect(await relayed()).toBeGreaterThan(0);
    });
    const stored = sent - (await relayed());
    for (let i = 0; i < 5; i++) await report(device, T + 1000 * sent++);
    await eventually(async () => {
      expect(await streamTimes('positions', PASSED_ON)).toHaveLength(sent);
      expect(await rowsOf(running, 'positions', PASSED_ON)).toBe(stored);
    });
    expect(await relayed()).toBe(sent - stored);
    // No process writes to the slots of workers that were replaced, so it need not wait for the minute.
    running.signal('SIGHUP');
    await eventually(async () => expect(await relayed()).toBe(0));
    expect(await rowsOf(running, 'positions', PASSED_ON)).toBe(stored);
    expect((await fixgate(['journal', 'verify'], '', { FIXGATE_DATA_DIR: running.dataDir })).code).toBe(0);
  });
});

describe.skipIf(!chdbInstalled)('DELETE /v1/devices/{id}/data', () => {
  it('erases a device from every store, through a killed server and a Redis that is away; another keeps everything', async () => {
    mkdirSync(join(dataDir, 'parked'), { recursive: true });
    const T = Date.now() - 3_600_000;
    for (const sink of ['clickhouse', 'redis'])
      writeFileSync(join(dataDir, `parked/${sink}.jsonl`), parkedLine(GONE, T) + parkedLine(OTHER, T));

    const first = api;
    const [gone, other] = [await connect(first.running, GONE), await connect(first.running, OTHER)];
    for (let i = 0; i < 20; i++) {
      await report(gone, T + 1000 * i);
      await report(other, T + 1000 * i);
    }
    for (const imei of [GONE, OTHER])
      expect(await first.call('POST', `/v1/devices/${imei}/commands`, { type: 'version', protocol: 'teltonika' })).toMatchObject({
        status: 201,
      });
    await eventually(async () => {
      expect(await rowsOf(first.running, 'positions', GONE)).toBe(20);
      expect(await streamTimes('positions', GONE)).toHaveLength(20);
    });

    // From here on Redis is away: what comes now is undelivered.
    await redis.kill();
    for (let i = 20; i < 30; i++) {
      await report(gone, T + 1000 * i);
      await report(other, T + 1000 * i);
    }
    gone.close();
    other.close();
    // What follows from that is of after the erasure, if it comes after it.
    await eventually(async () => {
      const { open } = (await first.call('GET', `/v1/devices/${GONE}/commands`)).body;
      const [command] = Array.isArray(open) ? open : [];
      expect(command).toMatchObject({ state: 'queued' });
      expect(await rowsOf(first.running, 'events', GONE, "type = 'command'")).toBe(command.history.length);
      expect(await rowsOf(first.running, 'events', GONE, "type = 'disconnected'")).toBe(1);
    });
    const path = `/v1/devices/${GONE}/data`;
    expect(await first.call('GET', path)).toMatchObject({ status: 404 });
    const asked = await first.call('DELETE', `${path}?wait=1`);
    expect(asked).toMatchObject({
      status: 202,
      body: { state: 'running', device: GONE, by: expect.stringMatching(/^tester/), registry: 'keep' },
    });
    expect(asked.body['waiting']).toContain('redis');
    const before = Number(asked.body['before']);
    await eventually(async () => expect((await first.call('GET', path)).body['waiting']).toEqual(['redis']));
    first.running.signal('SIGKILL');
    await first.running.exited;

    await redis.up('--appendonly', 'yes');
    api = await ApiServer.start(env(), { dataDir, known: first.token });
    const second = api;
    const done = await second.call('GET', `${path}?wait=60`);
    expect(done).toMatchObject({
      status: 200,
      body: {
        state: 'erased',
        before,
        removed: {
          journal: { entries: expect.any(Number) },
          clickhouse: { positions: expect.any(Number), parked: 1 },
          redis: { positions: 20, last: 1, parked: 1 },
          state: { commands: 1, settings: 0 },
        },
      },
    });
    expect(Number(Object(done.body['removed']).journal.entries)).toBeGreaterThan(30);

    // Nothing is left of it but who was erased and when, and what tells of that.
    for (const table of ['positions', 'statuses', 'usage']) expect([table, await rowsOf(second.running, table, GONE)]).toEqual([table, 0]);
    await eventually(async () =>
      expect(await second.running.query(`SELECT DISTINCT type FROM events WHERE device = '${GONE}' ORDER BY type`)).toBe(
        'erase_started\nerased\n',
      ),
    );
    expect(await second.running.query('SELECT count() FROM system.mutations WHERE NOT is_done')).toBe('0\n');
    expect(holding(GONE)).toEqual([]);
    const client = redis.client();
    for (const name of ['positions', 'statuses']) expect(await streamTimes(name, GONE)).toEqual([]);
    expect(await client.exists(`fixgate:last:${GONE}`)).toBe(0);
    expect((await second.call('GET', `/v1/devices/${GONE}/commands`)).body).toEqual({ open: [], ended: [] });

    // The other one has lost nothing, delivered or not.
    const all = Array.from({ length: 30 }, (_, i) => T + 1000 * i);
    await eventually(async () => {
      expect(await rowsOf(second.running, 'positions FINAL', OTHER)).toBe(30);
      expect(await streamTimes('positions', OTHER)).toEqual(all);
    });
    expect(holding(OTHER).filter((name) => name.startsWith('parked'))).toHaveLength(2);
    expect((await second.call('GET', `/v1/devices/${OTHER}/commands`)).body['open']).toHaveLength(1);

    // What it has in its memory is acknowledged and not stored; what is new is.
    const again = await connect(second.running, GONE);
    await report(again, T + 5000);
    await report(again, before - 1);
    const now = Date.now();
    await report(again, now);
    await eventually(async () => {
      expect(await rowsOf(second.running, 'positions', GONE)).toBe(1);
      expect(await streamTimes('positions', GONE)).toEqual([now]);
    });
    expect(await client.get(`fixgate:last:${GONE}`)).toContain(`"time":${now}`);
  });

  it('by a token that may, from the command line, with its record if that is asked for', async () => {
    const { running } = api;
    const device = await connect(running, ALIASED);
    await report(device, Date.now() - 1000);
    await eventually(async () => expect(await rowsOf(running, 'positions', ALIASED)).toBe(1));
    await api.call('PATCH', `/v1/devices/${ALIASED}`, { aliases: ['alias-1'] });
    const reader = await api.as('read');
    const { env: own } = api;
    const refused = await fixgate(['erase', ALIASED], '', reader.env);
    expect([refused.code, refused.error]).toEqual([2, expect.stringContaining('lacks the scope `erase`')]);
    expect((await fixgate(['erase', ALIASED, '--status'], '', own)).code).toBe(1);
    device.close();
    const erased = await fixgate(['erase', 'alias-1', '--remove'], '', own);
    expect([erased.code, erased.error]).toEqual([0, '']);
    expect(erased.out).toMatch(/^erased: what was sent before 20\d\d-/);
    expect(erased.out).toMatch(/clickhouse: .*1 positions/);
    expect(await api.call('GET', `/v1/devices/${ALIASED}`)).toMatchObject({ status: 404 });
    const status = await fixgate(['erase', ALIASED, '--status', '--json'], '', own);
    expect([status.code, JSON.parse(status.out)]).toMatchObject([
      0,
      { state: 'erased', ids: [ALIASED, 'alias-1'], registry: 'remove', waiting: [] },
    ]);
  });
});

describe.skipIf(!chdbInstalled)('GET /v1/devices/{id}/export', () => {
  it('gives everything that is kept of a device, however long its history is', async () => {
    const { running } = api;
    const device = await connect(running, EXPORTED);
    const T = Date.now() - 3_600_000;
    for (let i = 0; i < 5; i++) await report(device, T + i);
    await api.call('POST', `/v1/devices/${EXPORTED}/commands`, {
      type: 'set_interval',
      parameters: { seconds: 60 },
      protocol: 'teltonika',
    });
    await eventually(async () => expect(await rowsOf(running, 'positions', EXPORTED)).toBe(5));
    await eventually(async () => expect(await rowsOf(running, 'audit', EXPORTED)).toBeGreaterThan(0));
    // Several pages, with many rows of one time, and an unknown device's.
    await running.query(
      `INSERT INTO positions (device, time, id, received, protocol, lat, lon, valid, attrs)
       SELECT '${EXPORTED}', fromUnixTimestamp64Milli(toInt64(${T - 10_000_000} + 1000 * intDiv(number, 700))), leftPad(toString(number), 16, '0'), now64(3), 'teltonika', 1, 2, true, map('rpm', number)
       FROM numbers(9000)`,
    );
    await running.query(
      `INSERT INTO positions (device, time, id, received, protocol, lat, lon, valid) VALUES ('${UNKNOWN}', now64(3), '0000000000000000', now64(3), 'x', 1, 2, true)`,
    );
    const response = await api.fetch(`/v1/devices/${EXPORTED}/export`);
    expect([response.status, response.headers.get('content-type'), response.headers.get('content-disposition')]).toEqual([
      200,
      'application/zip',
      `attachment; filename="${EXPORTED}.zip"`,
    ]);
    const files = unzipped(Buffer.from(await response.arrayBuffer()));
    expect([...files.keys()].sort()).toEqual(
      [
        ...['audit', 'cases', 'commands', 'cycles', 'device', 'events', 'frames', 'owners', 'positions', 'settings', 'statements'],
        ...['statuses', 'tests', 'units', 'usage'],
      ].map((name) => `${name}.ndjson`),
    );
    const positions = objects(files.get('positions.ndjson'));
    expect(positions).toHaveLength(9005);
    expect(new Set(positions.map(({ id }) => id)).size).toBe(9005);
    const times = positions.map(({ time }) => Number(time));
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(positions.at(-1)).toMatchObject({ device: EXPORTED, time: T + 4, lat: 59.3293, lon: 18.0686, protocol: 'teltonika' });
    expect(positions[7]).toMatchObject({ attrs: { rpm: 7 } });
    expect(Object.keys(positions.at(-1) ?? {})).not.toContain('device_time');
    expect(objects(files.get('device.ndjson'))).toMatchObject([{ id: EXPORTED, protocol: 'teltonika' }]);
    expect(objects(files.get('commands.ndjson'))).toMatchObject([{ type: 'set_interval' }]);
    expect(objects(files.get('settings.ndjson'))).toMatchObject([{ device: EXPORTED, desired: { interval: 60 } }]);
    expect(objects(files.get('units.ndjson'))).toMatchObject([{ device: EXPORTED, unit: EXPORTED }]);
    expect(objects(files.get('audit.ndjson'))).toContainEqual(
      expect.objectContaining({ type: 'change', operation: 'POST /v1/devices/{id}/commands', by: 'tester', address: '127.0.0.1' }),
    );
    const event = objects(files.get('events.ndjson')).find(({ type }) => type === 'connected');
    expect(event).toMatchObject({ version: 1, kind: 'event', device: EXPORTED, protocol: 'teltonika', data: { transport: 'tcp' } });

    const out = join(running.dataDir, 'export.zip');
    const exported = await fixgate(['export', EXPORTED, '--out', out], '', api.env);
    expect([exported.code, exported.error]).toEqual([0, '']);
    expect(objects(unzipped(readFileSync(out)).get('positions.ndjson'))).toHaveLength(9005);
    if (spawnSync('unzip', ['-v']).status === 0) expect(spawnSync('unzip', ['-t', out]).status).toBe(0);
    // One of whom nothing is known.
    expect((await api.fetch('/v1/devices/nobody/export')).status).toBe(404);
    const nothing = await fixgate(['export', 'nobody', '--out', `${out}.1`], '', api.env);
    expect([nothing.code, nothing.error, existsSync(`${out}.1`)]).toEqual([1, 'fixgate: no data of device nobody is kept\n', false]);
    // One without a record, of which there are rows.
    const unknownDevice = unzipped(Buffer.from(await (await api.fetch(`/v1/devices/${UNKNOWN}/export`)).arrayBuffer()));
    expect(objects(unknownDevice.get('positions.ndjson'))).toHaveLength(1);
    // ClickHouse is not there: said, and no file that looks whole.
    for (const pid of running.children('clickhouse')) process.kill(pid, 'SIGSTOP');
    for (const pid of running.children('clickhouse')) process.kill(pid, 'SIGKILL');
    const away = await fixgate(['export', EXPORTED, '--out', `${out}.2`], '', api.env);
    expect([away.code === 0, existsSync(`${out}.2`)]).toEqual([false, false]);
  });
});
