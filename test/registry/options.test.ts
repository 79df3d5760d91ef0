import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { fixgate } from '../cli/command.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';

/** In which zone a device's times are: as an operator says while it is connected, and as the server finds; in a whole server. */

const TOLD = '4106011660';
const LEARNED = '4106011661';
const EIGHT_HOURS = 8 * 3_600_000;

const directory = mkdtempSync(join(tmpdir(), 'fixgate-clock-'));
/** How far the clock of the server is ahead. */
const step = join(directory, 'step');
let api: ApiServer;
let device: TcpDevice | undefined;

beforeAll(async () => {
  writeFileSync(step, '0');
  api = await ApiServer.start({ FIXGATE_TEST_CLOCK: step, FIXGATE_WORKERS: '1' });
});
afterEach(() => device?.close());
afterAll(async () => {
  await api.running.stop();
  rmSync(directory, { recursive: true });
});

/** A fix, made at `time`, of a device whose clock is eight hours ahead. */
function fix(id: string, time: number): Uint8Array {
  const [date = '', clock = ''] = new Date(time + EIGHT_HOURS).toISOString().split('T');
  const [year = '', month, day] = date.split('-');
  const text = `*HQ,${id},V1,${clock.slice(0, 8).replaceAll(':', '')},A,2229.8284,N,11355.2480,E,000.00,000,${day}${month}${year.slice(2)},FFFFFFFF#`;
  return Buffer.from(text);
}

it('time_zone and the like take effect without a reconnect; what was stored keeps its reading, also when it is sent again', async () => {
  const { running } = api;
  device = await TcpDevice.connect(await running.port('h02'));
  const rows = async (): Promise<string[]> =>
    (await running.query(`SELECT toUnixTimestamp64Milli(time) FROM positions FINAL WHERE device = '${TOLD}' ORDER BY received, time`))
      .trim()
      .split('\n');
  const start = Math.floor(Date.now() / 60_000) * 60_000;
  const first = fix(TOLD, start);
  device.send(first);
  await eventually(async () => expect(await rows()).toEqual([String(start + EIGHT_HOURS)]));
  const bad = await fixgate(['devices', 'set', TOLD, 'options.timeOffset=9999'], '', api.env);
  expect([bad.code === 0, bad.error]).toEqual([false, expect.stringContaining('options.timeOffset')]);
  expect((await fixgate(['devices', 'set', TOLD, 'options.timeOffset=480'], '', api.env)).code).toBe(0);
  let sent = 0;
  await eventually(async () => {
    device?.send(fix(TOLD, start + 1_000 * ++sent));
    expect((await rows()).some((time) => Number(time) > start && Number(time) < start + EIGHT_HOURS)).toBe(true);
  });
  const before = new Set(await rows());
  device.send(first);
  const last = start + 1_000 * ++sent;
  device.send(fix(TOLD, last));
  await eventually(async () => expect(await rows()).toContain(String(last)));
  expect((await rows()).filter((time) => !before.has(time) && Number(time) === start)).toEqual([]);
  const events = await running.query(
    `SELECT type, JSONExtractRaw(data, 'options') FROM events FINAL WHERE device = '${TOLD}' AND type IN ('connected', 'disconnected', 'device_changed') ORDER BY time`,
  );
  expect(events).toBe(`connected\t\ndevice_changed\t{"timeOffset":480}\n`);
  expect(device.ended).toBe(false);
});

it('the offset of its clock is learned, and holds on the next connection', async () => {
  let shift = 0;
  const { running } = api;
  const now = (): number => Math.floor((Date.now() + shift) / 1000) * 1000;
  const port = await running.port('h02');
  device = await TcpDevice.connect(port);
  for (let n = 0; n < 20; n++) {
    const before = device.received.length;
    device.send(fix(LEARNED, now()));
    await device.until(({ received }) => received.length > before);
    shift += 120_000;
    writeFileSync(step, String(shift));
  }
  await eventually(async () => {
    const { body } = await api.call('GET', `/v1/devices/${LEARNED}/profile`);
    expect(body['learned']).toMatchObject({ clock_offset: '480 min' });
  });
  const last = now();
  device.close();
  device = await TcpDevice.connect(port);
  device.send(fix(LEARNED, last));
  await eventually(async () =>
    expect(
      await running.query(
        `SELECT countIf(device_time IS NULL), countIf(toUnixTimestamp64Milli(device_time) - toUnixTimestamp64Milli(time) = ${EIGHT_HOURS}),
         toUnixTimestamp64Milli(minIf(time, device_time IS NOT NULL)) FROM positions FINAL WHERE device = '${LEARNED}'`,
      ),
    ).toBe(`20\t1\t${last}\n`),
  );
  await eventually(async () =>
    expect(await running.query(`SELECT data FROM events FINAL WHERE device = '${LEARNED}' AND type = 'clock_offset'`)).toBe(
      '{"protocol":"h02","minutes":480,"before":0}\n',
    ),
  );
});
