import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { ApiServer } from '../support/api-server.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { eventually } from '../support/wait.ts';

/** docs/operations.md: a copy of the data directory of a stopped server is a backup. */
const LOGIN = `000f${Buffer.from('356307042441013').toString('hex')}`;
const RECORD = '000000000000002808010000019' + '72b5cee00000ac50cb0235ceec8001c005a0b00360003' + '02ef01150401' + '4235e80000010000900f';

it('a server that is started on a copy has the devices, the history, and goes on', async () => {
  const copy = mkdtempSync(join(tmpdir(), 'fixgate-backup-'));
  onTestFinished(() => rmSync(copy, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  const first = await ApiServer.start({ ...OWN_ENGINE, FIXGATE_WORKERS: '1' });
  expect((await first.call('POST', '/v1/devices', { id: '356307042441013', aliases: ['bus-7'] })).status).toBe(201);
  const report = async (server: Server): Promise<void> => {
    const device = await TcpDevice.connect(await server.port('teltonika'));
    device.send(Buffer.from(LOGIN, 'hex'));
    await device.until((d) => d.received.length >= 1 || d.ended);
    device.send(Buffer.from(RECORD, 'hex'));
    await device.until((d) => d.received.length >= 5 || d.ended);
    expect(device.received.toString('hex')).toBe('0100000001');
    device.close();
  };
  const rows = (server: Server): Promise<string> => server.query('SELECT count(), any(device) FROM positions FINAL');
  await report(first.running);
  await eventually(async () => expect(await rows(first.running)).toBe('1\t356307042441013\n'));
  first.running.signal('SIGTERM');
  expect(await first.running.exited).toBe(0);
  cpSync(first.running.dataDir, copy, { recursive: true, preserveTimestamps: true });
  await first.running.removeData();

  const second = await ApiServer.start({ ...OWN_ENGINE, FIXGATE_WORKERS: '1' }, { dataDir: copy, known: first.token });
  onTestFinished(async () => void (await second.running.stop()));
  expect((await second.call('GET', '/v1/devices/356307042441013')).body).toMatchObject({ aliases: ['bus-7'] });
  expect(await rows(second.running)).toBe('1\t356307042441013\n');
  // The same record again is recognised.
  await report(second.running);
  await eventually(async () => expect(await rows(second.running)).toBe('1\t356307042441013\n'));
});
