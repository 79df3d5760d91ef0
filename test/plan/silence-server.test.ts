import { expect, it } from 'vitest';
import { crc16Arc, putU32be } from '../../src/base/wire/index.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';

/** A record with the place, of satellites or of none. */
function record(time: number, isFix: boolean, speedKmh = 0): Uint8Array {
  const bytes = packet(time, speedKmh);
  if (!isFix) bytes[31] = 0;
  putU32be(bytes, 41, crc16Arc(bytes, 8, 41));
  return bytes;
}

it('on a whole server: silent, back, receiver lost and back, once each', async () => {
  const server = await ApiServer.start({ FIXGATE_WORKERS: '1' });
  const imei = '356307042441013';
  let device: TcpDevice | undefined;
  try {
    expect((await server.call('PUT', '/v1/plans/watched', { silent_after_s: 10, gnss_lost_after_s: 60 })).status).toBe(201);
    device = await TcpDevice.connect(await server.running.port('teltonika'));
    device.send(handshake(imei));
    await device.until(({ received }) => received.length === 1);
    const types = async (): Promise<string> =>
      server.running.query(
        `SELECT type FROM events FINAL WHERE device = '${imei}' AND match(type, '^(device_(silent|back)|gnss)') ORDER BY time`,
      );
    await eventually(async () => expect((await server.call('PATCH', `/v1/devices/${imei}`, { plan: 'watched' })).status).toBe(200));
    await eventually(async () => expect(await types()).toBe('device_silent\n'));
    const start = Date.now() - 600_000;
    for (const [minute, fix] of [true, false, false, true].entries()) {
      device.send(record(start + minute * 61_000, fix));
      await device.until(({ received }) => received.length === 1 + 4 * (minute + 1));
    }
    await eventually(async () =>
      expect((await types()).split('\n').sort()).toEqual(['', 'device_back', 'device_silent', 'gnss_back', 'gnss_lost']),
    );
    // The same place for as long, of a vehicle that says that it drives.
    for (const minute of [4, 5, 6]) {
      device.send(record(start + minute * 61_000, true, 50));
      await device.until(({ received }) => received.length === 1 + 4 * (minute + 1));
    }
    await eventually(async () =>
      expect(
        await server.running.query(
          `SELECT JSONExtractString(data, 'reason') FROM events FINAL WHERE device = '${imei}' AND type = 'gnss_lost' ORDER BY time`,
        ),
      ).toBe('no_fix\nstuck\n'),
    );
  } finally {
    device?.close();
    await server.running.stop();
  }
});
