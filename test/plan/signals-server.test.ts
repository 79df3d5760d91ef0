import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { ObedientDevice } from '../command/device.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually, remains } from '../support/wait.ts';

/**
 * Evidence in a whole server: what rests on no frames (a setting that is another than asked for, silence and its end), and a connection that
 * carries something else.
 */

const IMEI = '356307042441013';
const HONEST = '4106011661';
const MODEM = '4106011662';

let server: ApiServer;
beforeAll(async () => {
  server = await ApiServer.start({ FIXGATE_WORKERS: '1' });
});
afterAll(async () => {
  await server.running.stop();
});

it('a drifted setting, a silence and its end are events, and instances of the report', async () => {
  // Somebody has set it by SMS after it was asked for 30 s.
  const reply = (text: string): string => (text.startsWith('setparam') ? `New value ${text.slice(9)}` : 'Param ID:10050 Value:600');
  const port = await server.running.port('teltonika');
  let device = new ObedientDevice(port, IMEI, reply);
  onTestFinished(() => device.stop());
  const command = async (type: string, parameters: object): Promise<void> => {
    const { body } = await server.call('POST', `/v1/devices/${IMEI}/commands?wait=60`, { type, parameters, protocol: 'teltonika' });
    expect(body).toMatchObject({ type, state: 'answered' });
  };
  const events = async (type: string): Promise<unknown> =>
    Object((await server.call('GET', `/v1/events?device=${IMEI}&type=${type}`)).body)['events'];
  const path = `/v1/devices/${IMEI}`;
  await command('set_interval', { seconds: 30 });
  expect(await events('settings_drift')).toEqual([]);
  await command('get_parameter', { id: 10_050 });
  const drift = { device: IMEI, data: { setting: 'interval', value: 600 } };
  await eventually(async () => expect(await events('settings_drift')).toMatchObject([drift]));
  // The same again is no news.
  await command('get_parameter', { id: 10_050 });
  device.stop();
  // All that it has said is counted: what comes later is a sign of life.
  await eventually(async () => {
    const used = async (): Promise<unknown> => (await server.call('GET', `${path}/usage`)).body;
    expect((await server.call('GET', '/v1/connections')).body).toMatchObject({ connections: [] });
    const before = await used();
    await remains(async () => expect(await used()).toEqual(before), 1_500);
  });
  expect((await server.call('PUT', '/v1/plans/default?effective=now', { silent_after_s: 10 })).status).toBe(201);
  await eventually(async () => expect(await events('device_silent')).toMatchObject([{ device: IMEI, data: { after_s: 10 } }]));
  expect(await events('device_back')).toEqual([]);
  // No second one, however long this takes.
  expect((await server.call('PUT', '/v1/plans/default?effective=now', {})).status).toBe(200);
  device = new ObedientDevice(port, IMEI, reply);
  await eventually(async () => expect(await events('device_back')).toMatchObject([{ device: IMEI }]));
  device.stop();
  const counts = { settings_drift: 1, device_silent: 1, device_back: 1 };
  await eventually(async () => expect((await server.call('GET', `${path}/evidence`)).body).toMatchObject({ counts }));
  const { instances } = (await server.call('GET', `${path}/evidence`)).body;
  const types: string[] = Object(instances).map(({ type }: { type: string }) => type);
  expect(types.slice(0, 3)).toEqual(['settings_drift', 'device_silent', 'device_back']);
});

it('a device whose connection carries something else than tracking is told of once, and one that sends as much of tracking is not', async () => {
  const port = await server.running.port('h02');
  const stored = (id: string): Promise<string> => server.running.query(`SELECT count() FROM positions FINAL WHERE device = '${id}'`);
  /** Sends so many positions, each behind bytes that are no frame. */
  const drive = async (id: string, records: number, noise: (n: number) => string): Promise<void> => {
    const device = await TcpDevice.connect(port);
    onTestFinished(() => device.close());
    for (let n = 0; n < records; n++) {
      const [year, month, day, hour, minute, second] =
        new Date(Date.now() - 5_000 * (records - n)).toISOString().match(/\d\d/g)?.slice(1) ?? [];
      const at = `${hour}${minute}${second},A,2229.8284,N,11355.2480,E,000.00,000,${day}${month}${year}`;
      device.send(Buffer.from(`${noise(n)}*HQ,${id},V1,${at},FFFFFFFF#`));
    }
    await eventually(async () => expect(await stored(id)).toBe(`${records}\n`));
  };
  // More bytes than are allowed of anything else, nearly all of them tracking: a modem says something now and then.
  await drive(HONEST, 300, (n) => (n % 30 === 0 ? 'AT+CSQ: 12,99\r\n' : ''));
  await drive(MODEM, 20, () => 'x'.repeat(1_500));
  const of = async (id: string): Promise<unknown> => (await server.call('GET', `/v1/devices/${id}/evidence`)).body;
  await eventually(async () => expect(await of(MODEM)).toMatchObject({ counts: { other_bytes: 1 } }));
  const { events } = Object((await server.call('GET', '/v1/events?type=other_bytes')).body);
  expect(events).toMatchObject([{ device: MODEM, data: { allowed: 16_384, window_s: 3_600 } }]);
  expect(events[0].data.bytes).toBeGreaterThan(16_384);
  expect(await of(MODEM)).toMatchObject({ instances: [{ type: 'other_bytes' }] });
  await eventually(async () => expect(await of(HONEST)).toMatchObject({ device: HONEST, instances: [] }));
});
