import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Server } from '../helpers/server.ts';
import { TcpDevice } from '../helpers/tcp-device.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import { RedisServer } from '../ship/rig.ts';
import { OWN_ENGINE } from '../support/engine.ts';
import { eventually } from '../support/wait.ts';
import { metricOf, seriesOf, typesOf } from './scrape.ts';

/** What a whole server with two workers exports. */

let redis: RedisServer;
let server: Server;
beforeAll(async () => {
  redis = await RedisServer.start();
  // Lag and missed entries are of consumer groups, which are the operator's.
  await redis.client().call('XGROUP', 'CREATE', 'fixgate:positions', 'billing', '$', 'MKSTREAM');
  server = await Server.start({ ...OWN_ENGINE, FIXGATE_WORKERS: '2', FIXGATE_REDIS_URL: redis.url, FIXGATE_CANARY: 'true' });
});
afterAll(async () => {
  await server.stop();
  await redis.stop();
});

const scrape = async (): Promise<string> => (await server.http('/metrics')).text();

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

describe('metrics of a server whose worker is killed', () => {
  it('lose nothing that was counted', async () => {
    const device = await TcpDevice.connect(await server.port('teltonika'));
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
    for (const pid of server.children('worker')) process.kill(pid, 'SIGKILL');
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
