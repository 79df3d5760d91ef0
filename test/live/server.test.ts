import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { STATUS_ROUTES } from '../../src/api/status.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';

/** What people see of a whole server while it works. */

let server: ApiServer;
const devices: TcpDevice[] = [];
beforeAll(async () => {
  server = await ApiServer.start();
});
afterAll(async () => {
  for (const device of devices) device.close();
  await server.running.stop();
});

/** A Teltonika device that has sent these records and has its answers. */
async function device(imei: string, ...records: Uint8Array[]): Promise<TcpDevice> {
  const made = await TcpDevice.connect(await server.running.port('teltonika'));
  devices.push(made);
  for (const frame of [handshake(imei), ...records]) made.send(frame);
  await made.until(({ received }) => received.length >= 1 + 4 * records.length);
  return made;
}

describe('GET /v1/status', () => {
  it('shows what the processes report, as its schema says', async () => {
    await device('356307042441013', packet(Date.now()));
    const schema = STATUS_ROUTES[0]?.answers[200]?.schema ?? z.never();
    await eventually(async () => {
      const { status, body } = await server.call('GET', '/v1/status');
      expect(status).toBe(200);
      expect(schema.safeParse(body)).toMatchObject({ success: true });
      expect(body).toMatchObject({ ready: { status: 'ready' }, devices: { connected: 1 }, journal: { state: 'open' } });
      expect(body['sinks']).toEqual(expect.arrayContaining([expect.objectContaining({ name: 'clickhouse', state: 'up' })]));
      expect(body['processes']).toEqual(
        expect.arrayContaining([
          expect.objectContaining({ name: 'worker-0', state: 'up', restarts: 0 }),
          expect.objectContaining({ name: 'shipper', state: 'up' }),
        ]),
      );
    });
    expect((await (await server.as('devices')).call('GET', '/v1/status')).status).toBe(403);
  });
});
