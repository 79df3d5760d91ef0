import { expect, it, onTestFinished } from 'vitest';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packetAt } from '../helpers/teltonika.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';

/** Two units under one id that connect, send and close by turns, on any of two workers; and one whose address is another each time. */

const CLONED = '356307042441013';
const HONEST = '356307042441021';

it('two units that are never connected at once are a clone, and a unit with many addresses is none', async () => {
  const server = await ApiServer.start();
  onTestFinished(async () => {
    await server.running.stop();
  });
  const port = await server.running.port('teltonika');
  const report = async (id: string, address: string, lat: number, lon: number): Promise<void> => {
    const device = await TcpDevice.connect(port, address);
    device.send(handshake(id));
    await device.until(({ received }) => received.length === 1);
    device.send(packetAt(lat, lon, Date.now()));
    await device.until(({ received }) => received.length === 5);
    device.close();
    await eventually(async () => expect((await server.call('GET', `/v1/devices/${id}/state`)).body).toMatchObject({ connected: false }));
  };
  const clones = async (): Promise<Record<string, unknown>[]> => Object((await server.call('GET', '/v1/events?type=clone')).body)['events'];
  for (let n = 0; n < 40 && (await clones()).length === 0; n++) {
    await report(HONEST, `127.${n % 2}.0.${1 + n}`, 52 + n / 1e3, 13);
    await report(CLONED, '127.1.0.1', 52 + n / 1e3, 13);
    await report(CLONED, '127.2.0.1', 48, 2 + n / 1e3);
  }
  await eventually(async () =>
    expect(await clones()).toMatchObject([
      {
        device: CLONED,
        data: { addresses: [expect.stringMatching(/^127\.1\.0\.1:/), expect.stringMatching(/^127\.2\.0\.1:/)] },
      },
    ]),
  );
  const evidence = Object((await server.call('GET', `/v1/devices/${CLONED}/evidence`)).body);
  expect(evidence).toMatchObject({ counts: { clone: 1 } });
});
