import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { RedisServer } from '../ship/rig.ts';
import { ApiServer } from '../support/api-server.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { eventually } from '../support/wait.ts';
import { metricOf, seriesOf, typesOf } from './scrape.ts';

/**
 * What a whole server with two workers and a closed registry exports, and its synthetic device. Numbers quote the invariants of
 * src/out/ship/canary.ts.
 */

let redis: RedisServer;
let server: ApiServer;
beforeAll(async () => {
  redis = await RedisServer.start();
  // Lag and missed entries are of consumer groups, which are the operator's.
  await redis.client().call('XGROUP', 'CREATE', 'fixgate:positions', 'billing', '$', 'MKSTREAM');
  server = await ApiServer.start({
    ...OWN_ENGINE,
    FIXGATE_REDIS_URL: redis.url,
    FIXGATE_REGISTRY: 'closed',
    FIXGATE_CANARY: 'true',
  });
});
afterAll(async () => {
  await server.running.stop();
  await redis.stop();
});

const scrape = async (): Promise<string> => (await server.running.http('/metrics')).text();

describe('metrics of a server that nothing has happened to', () => {
  it('are all there, with values', async () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/metrics.md'), 'utf8');
    const documented = [...page.matchAll(/^\| `(fixgate_\w+)`/gm)].map(([, name = '']) => name);
    expect(documented.length).toBeGreaterThan(50);
    // A port of another protocol is approached by a mistake, of which there are too many kinds to list.
    const wanted = documented.filter((name) => name !== 'fixgate_lookalikes_total');
    await eventually(async () => {
      const text = await scrape();
      const types = typesOf(text);
      const exported = new Set([...seriesOf(text).keys()].map((series) => metricOf(series, types)));
      expect(wanted.filter((name) => !exported.has(name))).toEqual([]);
      expect([...types.keys()].filter((name) => !documented.includes(name))).toEqual([]);
    });
  });

  it('begin at zero by label, and say what runs', async () => {
    await eventually(async () => {
      const series = seriesOf(await scrape());
      for (const zero of [
        'fixgate_rejects_total{reason="registry_unreachable"}',
        'fixgate_process_restarts_total{process="worker"}',
        'fixgate_sink_parked_entries_total{sink="redis"}',
        'fixgate_frames_total{codec="jt808",result="malformed"}',
        'fixgate_closes_total{reason="reset"}',
        'fixgate_commands_total{state="failed"}',
        'fixgate_devices{state="suspended"}',
        'fixgate_treated_sessions{treatment="refuse"}',
        'fixgate_worker_sessions{process="worker-1"}',
        'fixgate_stream_group_lag_entries{stream="fixgate:positions",group="billing"}',
      ])
        expect([zero, series.get(zero)]).toEqual([zero, 0]);
      const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));
      expect(series.get(`fixgate_build_info{version="${version}",node="${process.version}"}`)).toBe(1);
      expect(series.get('fixgate_state_store_up')).toBe(1);
      expect(series.get('fixgate_data_free_bytes')).toBeGreaterThan(0);
      for (const sink of ['clickhouse', 'redis', 'state']) expect(series.get(`fixgate_sink_up{sink="${sink}"}`)).toBe(1);
    });
  });
});

describe('the canary', () => {
  it('comes out of every sink, and its age says so', async () => {
    const client = redis.client();
    // Since the start of the server there was more than one, so that an age that only grows would be beyond.
    for (let [count, last] = [0, '0']; count < 6; ) {
      const [[, entries = []] = []] = (await client.xread('BLOCK', 0, 'STREAMS', 'fixgate:statuses', last)) ?? [];
      count += entries.length;
      last = entries.at(-1)?.[0] ?? last;
    }
    await eventually(async () => {
      const series = seriesOf(await scrape());
      for (const sink of ['clickhouse', 'redis']) {
        const age = series.get(`fixgate_canary_age_seconds{sink="${sink}"}`);
        expect(series.get(`fixgate_sink_rows_total{sink="${sink}",kind="status"}`)).toBeGreaterThanOrEqual(6);
        expect(age).toBeLessThan(15);
      }
    });
    const [, fields = []] = (await client.xrange('fixgate:statuses', '-', '+', 'COUNT', 1))[0] ?? [];
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
    const series = seriesOf(await scrape());
    for (const zero of ['fixgate_sessions', 'fixgate_quarantine_devices', 'fixgate_devices{state="active"}'])
      expect([zero, series.get(zero)]).toEqual([zero, 0]);
  });
});

describe('metrics of a server whose worker is killed', () => {
  it('lose nothing that was counted', async () => {
    expect((await server.call('PUT', '/v1/devices/356307042441013', {})).status).toBe(201);
    const device = await TcpDevice.connect(await server.running.port('teltonika'));
    for (const frame of [handshake('356307042441013'), packet(Date.now()), packet(Date.now() + 1000)]) device.send(frame);
    await device.until(({ received }) => received.length >= 9);
    await eventually(async () => {
      const series = seriesOf(await scrape());
      expect(series.get('fixgate_records_total{codec="teltonika"}')).toBe(2);
      expect(series.get('fixgate_devices{state="active"}')).toBe(1);
    });
    const text = await scrape();
    const [types, before] = [typesOf(text), seriesOf(text)];
    const lasting = [...before].filter(([series]) => types.get(metricOf(series, types)) !== 'gauge');
    expect(lasting.length).toBeGreaterThan(100);
    for (const pid of server.running.children('worker')) process.kill(pid, 'SIGKILL');
    // At each look: Prometheus may come at any moment.
    await eventually(async () => {
      const now = seriesOf(await scrape());
      const lower = lasting.filter(([series, value]) => !((now.get(series) ?? Number.NaN) >= value)).map(([series]) => series);
      lowered.push(...lower);
      expect(now.get('fixgate_process_restarts_total{process="worker"}')).toBe(2);
      expect(now.get('fixgate_worker_sessions{process="worker-0"}')).toBe(0);
    });
    expect(lowered).toEqual([]);
    device.close();
  });
});

const lowered: string[] = [];
