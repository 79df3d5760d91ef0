import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Fleet } from '../../src/simulate/fleet.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually, remains } from '../support/wait.ts';

/** A whole server: a device that measures too often, the report of it, its frames, and the same bytes after a restart (docs/evidence.md). */

it('has the same bytes twice, and after a kill, with the frames that it rests on', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'fixgate-evidence-'));
  const dataDir = join(directory, 'data');
  let server = await ApiServer.start({ FIXGATE_WORKERS: '1' }, { dataDir });
  const text = async (path: string): Promise<{ status: number; text: string }> => {
    const response = await fetch(`${server.url}${path}`, { headers: { authorization: `Bearer ${server.token}` } });
    return { status: response.status, text: await response.text() };
  };
  try {
    await server.call('PUT', '/v1/plans/default?effective=now', {
      interval_s: 86_400,
      records_cap: 10,
      evidence: { rate_factor: 1, rate_window_s: 86_400 },
    });
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
      records: 20,
      intervalMs: 200,
      graceMs: 600_000,
      seed: 7,
    });
    const over = fleet.run();
    const id = await eventually(async () => {
      const devices: { id: string }[] = Object((await server.call('GET', '/v1/devices')).body)['devices'];
      expect(devices).toHaveLength(1);
      return devices[0]?.id ?? '';
    });
    const path = `/v1/devices/${encodeURIComponent(id)}/evidence`;
    const report = async (): Promise<Record<string, unknown>> => Object(JSON.parse((await text(path)).text));
    const ofRate = async (): Promise<{ readonly frames: readonly object[] }[]> =>
      Object((await report())['instances']).filter(({ type }: { type: string }) => type === 'tamper_rate');
    await eventually(async () => expect(await ofRate()).not.toEqual([]));
    fleet.finish();
    await over;
    const { bytesSent } = fleet.total();
    await eventually(async () => expect(Object((await server.call('GET', '/v1/connections')).body)['connections']).toEqual([]));
    const before = await eventually(async () => {
      expect((await report())['bytes_in']).toBe(bytesSent);
      expect((await ofRate()).filter(({ frames }) => frames.length === 0)).toEqual([]);
      const one = await text(path);
      await remains(async () => expect((await text(path)).text).toBe(one.text));
      return one;
    });
    expect(before.status).toBe(200);
    const { records, ...shown } = await report();
    expect(shown).toMatchObject({
      device: id,
      plan: 'default',
      records_cap: 10,
      over_records: Number(records) - 10,
      counts: { over_cap: 1 },
    });
    process.kill(server.running.pid, 'SIGKILL');
    await server.running.exited;
    server = await ApiServer.start({ FIXGATE_WORKERS: '1' }, { dataDir, known: server.token });
    await eventually(async () => expect((await text(path)).status).toBe(200));
    expect((await text(path)).text).toBe(before.text);
    expect((await text(`${path}?cycle=2001-01`)).status).toBe(404);
  } finally {
    await server.running.stop();
    rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
  }
});
