import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisServer } from '../ship/rig.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually } from '../support/wait.ts';
import { seriesOf } from './scrape.ts';

/** The synthetic device of a whole server whose registry is closed. Numbers quote the invariants of src/out/ship/canary.ts. */

let redis: RedisServer;
let server: ApiServer;
beforeAll(async () => {
  redis = await RedisServer.start();
  server = await ApiServer.start({ FIXGATE_REDIS_URL: redis.url, FIXGATE_REGISTRY: 'closed', FIXGATE_CANARY: 'true' });
});
afterAll(async () => {
  await server.running.stop();
  await redis.stop();
});

describe('the canary', () => {
  it('comes out of every sink, and its age says so', async () => {
    await eventually(async () => {
      const series = seriesOf(await (await server.running.http('/metrics')).text());
      for (const sink of ['clickhouse', 'redis']) {
        const age = series.get(`fixgate_canary_age_seconds{sink="${sink}"}`);
        // Since the start of the server there was more than one, so that an age that only grows would be beyond.
        expect(series.get(`fixgate_sink_rows_total{sink="${sink}",kind="status"}`)).toBeGreaterThanOrEqual(6);
        expect(age).toBeLessThan(15);
      }
    });
    const [, fields = []] = (await redis.client().xrange('fixgate:statuses', '-', '+', 'COUNT', 1))[0] ?? [];
    const status = JSON.parse(fields[fields.indexOf('data') + 1] ?? '');
    expect(status).toMatchObject({ kind: 'status', device: expect.stringMatching(/^canary-/), attrs: { canary: true } });
    expect(status).not.toHaveProperty('flags');
    const rows = await server.running.query("SELECT countDistinct(device), min(attrs['canary']) FROM statuses FORMAT TSV");
    expect(rows).toBe('1\t1\n');
    expect(await server.running.query('SELECT count() FROM positions FORMAT TSV')).toBe('0\n');
  });

  it('is in no list, count or sum, invariant 1', async () => {
    expect((await server.call('GET', '/v1/devices')).body).toMatchObject({ devices: [] });
    expect((await server.call('GET', '/v1/quarantine')).body['devices'] ?? []).toEqual([]);
    expect((await server.call('GET', '/v1/positions')).body['rows']).toEqual([]);
    expect((await server.call('GET', '/v1/status')).body).toMatchObject({ devices: { known: 0, connected: 0, quarantined: 0 } });
    expect(await server.running.query('SELECT count() FROM usage FORMAT TSV')).toBe('0\n');
    const series = seriesOf(await (await server.running.http('/metrics')).text());
    for (const zero of ['fixgate_sessions', 'fixgate_quarantine_devices', 'fixgate_devices{state="active"}'])
      expect([zero, series.get(zero)]).toEqual([zero, 0]);
  });
});
