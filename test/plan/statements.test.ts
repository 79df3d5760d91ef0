import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Fleet } from '../../src/simulate/fleet.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';

/** The statement of a closed cycle, on a whole server over the end of the cycle, and over `kill -9`. */

it('is what the device counted at its socket, and the same to the byte after a kill', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-statements-'));
  const step = join(directory, 'step');
  writeFileSync(step, '0');
  const env = { FIXGATE_TEST_CLOCK: step, FIXGATE_WORKERS: '1' };
  const dataDir = join(directory, 'data');
  let server = await ApiServer.start(env, { dataDir });
  try {
    const fleet = new Fleet({
      protocols: ['teltonika'],
      transports: ['tcp'],
      target: { host: '127.0.0.1', ports: { teltonika: await server.running.port('teltonika'), gt06: 0, h02: 0, queclink: 0, jt808: 0 } },
      devices: 1,
      durationMs: Number.POSITIVE_INFINITY,
      timeoutMs: 60_000,
      window: 1,
      ledger: undefined,
      clock: systemClock,
      records: 5,
      intervalMs: 100,
      graceMs: 600_000,
      seed: 7,
    });
    const over = fleet.run();
    await eventually(() => expect(fleet.total().acknowledged).toBeGreaterThan(20));
    fleet.finish();
    await over;
    const { bytesSent, bytesReceived } = fleet.total();
    const id = await eventually(async () => {
      const devices: { id: string }[] = Object((await server.call('GET', '/v1/devices')).body)['devices'];
      const found = devices[0]?.id ?? '';
      const { body } = await server.call('GET', `/v1/devices/${found}/statements`);
      expect(body).toMatchObject({ statements: [{ provisional: true, bytes_in: bytesSent, bytes_out: bytesReceived }] });
      return found;
    });
    // One that nobody has adopted is forgotten after 30 days, with what it used.
    expect(await server.call('PATCH', `/v1/devices/${id}`, { plan: 'default' })).toMatchObject({ status: 200 });
    writeFileSync(step, String(40 * 86_400_000));
    const frozen = async (): Promise<unknown> => {
      const { body } = await server.call('GET', `/v1/devices/${id}/statements`);
      const found: Record<string, unknown>[] = Object(body)['statements'];
      return found.find(({ provisional }) => provisional === false);
    };
    const before = await eventually(async () => {
      const one = await frozen();
      expect(one).toMatchObject({ number: 1, bytes_in: bytesSent, bytes_out: bytesReceived, plan_version: 1 });
      return one;
    });
    process.kill(server.running.pid, 'SIGKILL');
    await server.running.exited;
    server = await ApiServer.start(env, { dataDir, known: server.token });
    expect(await frozen()).toEqual(before);
  } finally {
    await server.running.stop();
    rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
  }
});
