import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { fixgate } from '../cli/command.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';

/** In which zone a device's times are: as an operator says while it is connected, and as the server finds; in a whole server. */

const DEVICE = '4106011660';
const EIGHT_HOURS = 8 * 3_600_000;

let api: ApiServer | undefined;
let device: TcpDevice | undefined;

afterEach(async () => {
  device?.close();
  await api?.running.stop();
  api = undefined;
  device = undefined;
});

/** A fix, made at `time`, of a device whose clock is eight hours ahead. */
function fix(time: number): Uint8Array {
  const [date = '', clock = ''] = new Date(time + EIGHT_HOURS).toISOString().split('T');
  const [year = '', month, day] = date.split('-');
  const text = `*HQ,${DEVICE},V1,${clock.slice(0, 8).replaceAll(':', '')},A,2229.8284,N,11355.2480,E,000.00,000,${day}${month}${year.slice(2)},FFFFFFFF#`;
  return Buffer.from(text);
}

it('time_zone and the like take effect without a reconnect; what was stored keeps its reading, also when it is sent again', async () => {
  api = await ApiServer.start();
  const { running } = api;
  device = await TcpDevice.connect(await running.port('h02'));
  const rows = async (): Promise<string[]> =>
    (await running.query('SELECT toUnixTimestamp64Milli(time) FROM positions FINAL ORDER BY received, time')).trim().split('\n');
  const start = Math.floor(Date.now() / 60_000) * 60_000;
  const first = fix(start);
  device.send(first);
  await eventually(async () => expect(await rows()).toEqual([String(start + EIGHT_HOURS)]));
  const bad = await fixgate(['devices', 'set', DEVICE, 'options.timeOffset=9999'], '', api.env);
  expect([bad.code === 0, bad.error]).toEqual([false, expect.stringContaining('options.timeOffset')]);
  expect((await fixgate(['devices', 'set', DEVICE, 'options.timeOffset=480'], '', api.env)).code).toBe(0);
  let sent = 0;
  await eventually(async () => {
    device?.send(fix(start + 1_000 * ++sent));
    expect((await rows()).some((time) => Number(time) > start && Number(time) < start + EIGHT_HOURS)).toBe(true);
  });
  const before = new Set(await rows());
  device.send(first);
  const last = start + 1_000 * ++sent;
  device.send(fix(last));
  await eventually(async () => expect(await rows()).toContain(String(last)));
  expect((await rows()).filter((time) => !before.has(time) && Number(time) === start)).toEqual([]);
  const events = await running.query(
    `SELECT type, JSONExtractRaw(data, 'options') FROM events FINAL WHERE type IN ('connected', 'disconnected', 'device_changed') ORDER BY time`,
  );
  expect(events).toBe(`connected\t\ndevice_changed\t{"timeOffset":480}\n`);
  expect(device.ended).toBe(false);
});

it('the offset of its clock is learned, and holds on the next connection', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-clock-'));
  const step = join(directory, 'step');
  let shift = 0;
  writeFileSync(step, '0');
  try {
    const server = await ApiServer.start({ FIXGATE_TEST_CLOCK: step });
    api = server;
    const { running } = server;
    const now = (): number => Math.floor((Date.now() + shift) / 1000) * 1000;
    const port = await running.port('h02');
    device = await TcpDevice.connect(port);
    for (let n = 0; n < 20; n++) {
      const before = device.received.length;
      device.send(fix(now()));
      await device.until(({ received }) => received.length > before);
      shift += 120_000;
      writeFileSync(step, String(shift));
    }
    await eventually(async () => {
      const { body } = await server.call('GET', `/v1/devices/${DEVICE}/profile`);
      expect(body['learned']).toMatchObject({ clock_offset: '480 min' });
    });
    const last = now();
    device.close();
    device = await TcpDevice.connect(port);
    device.send(fix(last));
    await eventually(async () =>
      expect(
        await running.query(
          `SELECT countIf(device_time IS NULL), countIf(toUnixTimestamp64Milli(device_time) - toUnixTimestamp64Milli(time) = ${EIGHT_HOURS}),
           toUnixTimestamp64Milli(minIf(time, device_time IS NOT NULL)) FROM positions FINAL`,
        ),
      ).toBe(`20\t1\t${last}\n`),
    );
    await eventually(async () =>
      expect(await running.query(`SELECT data FROM events FINAL WHERE type = 'clock_offset'`)).toBe(
        '{"protocol":"h02","minutes":480,"before":0}\n',
      ),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});
