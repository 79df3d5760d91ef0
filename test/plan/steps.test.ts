import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Fleet } from '../../src/simulate/fleet.ts';
import { ApiServer } from '../support/api-server.ts';
import { eventually, pause, until } from '../support/wait.ts';

/** What a plan's steps do to a device that goes on reporting, on a whole server. */

let server: ApiServer;

beforeAll(async () => {
  server = await ApiServer.start({ FIXGATE_WORKERS: '1' });
});

afterAll(async () => {
  await server?.running.stop();
});

/** One Teltonika device that reports until the test is over. */
async function reporting(more: { records: number; intervalMs: number; graceMs: number; seed: number }): Promise<{
  readonly fleet: Fleet;
  end(): Promise<void>;
}> {
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
    ...more,
  });
  const over = fleet.run();
  const end = async (): Promise<void> => {
    fleet.finish();
    await over;
  };
  onTestFinished(end);
  return { fleet, end };
}

async function ok(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const answer = await server.call(method, path, body);
  expect([method, path, answer.status < 300, answer.body]).toEqual([method, path, true, answer.body]);
  return answer.body;
}

const rows = async (sql: string): Promise<string[]> => (await server.running.query(sql)).split('\n').filter(Boolean);
const one = async (sql: string): Promise<number> => Number((await rows(sql))[0]);

/** A sample of the metrics, 0 where there is none. */
async function sample(name: string): Promise<number> {
  const lines = (await (await server.running.http('/metrics')).text()).split('\n');
  return Number(lines.find((line) => line.startsWith(`${name} `))?.slice(name.length));
}

it('a plan of 20 kB: warned, slowed, decimated, discarded, and never a reconnect; SOS gets through, and the meter is right to the byte', async () => {
  await ok('PUT', '/v1/plans/default', {
    bytes_cap: 20_000,
    overhead: { segment_bytes: 40 },
    steps: [
      { action: 'notify', at_pct: 80 },
      { action: 'slow', at_pct: 90, interval_s: 1 },
      { action: 'decimate', at_pct: 100, keep_every_s: 60 },
      // The sums come every few seconds: far enough behind, that something is reported in between.
      { action: 'discard', at_pct: 200 },
    ],
  });
  // About 2.5 kB/s, then 1 kB/s. With this seed the device has coverage for 70 reports, and hears as many answers.
  const { fleet, end } = await reporting({ records: 25, intervalMs: 400, graceMs: 600_000, seed: 1071 });
  const withheld = (reason: string): Promise<number> => sample(`fixgate_withheld_records_total{reason="${reason}"}`);
  await until(async () => (await withheld('decimate')) > 0);
  const decimated = Date.now();
  fleet.alarm();
  await until(async () => (await withheld('discard')) > 0);
  const discarded = Date.now();
  fleet.alarm();
  // A while in which everything is discarded.
  const discarding = fleet.total().sent;
  await until(() => fleet.total().sent > discarding + 150);
  await end();
  const { sent, acknowledged, wrongAnswers, reconnects, refused, commands, bytesSent, bytesReceived } = fleet.total();
  expect([sent - acknowledged, wrongAnswers, reconnects, refused]).toEqual([0, 0, 0, 0]);
  expect(commands).toBeGreaterThan(0);
  await eventually(async () =>
    expect((await rows(`SELECT JSONExtractString(data, 'action') FROM events FINAL WHERE type = 'plan_step' FORMAT TSV`)).sort()).toEqual([
      'decimate',
      'discard',
      'notify',
      'slow',
    ]),
  );
  const [id = ''] = await rows(`SELECT any(device) FROM events WHERE type = 'plan_step' FORMAT TSV`);
  // It was slowed by a command that it has obeyed.
  expect(await ok('GET', `/v1/devices/${id}/settings`)).toMatchObject({ reported: { interval: 1 } });

  const usage = await eventually(async () => {
    const usage = await ok('GET', `/v1/devices/${id}/usage`);
    const [cycle] = Object(usage['cycles']);
    expect([cycle.bytes_in, cycle.bytes_out]).toEqual([bytesSent, bytesReceived]);
    expect(cycle.billed_bytes).toBe(cycle.bytes_in + cycle.bytes_out + 40 * cycle.segments);
    expect(cycle.bytes_cap).toBe(20_000);
    return usage;
  });
  expect(Object(usage['held']).map((step: object) => Reflect.get(step, 'action'))).toEqual(['notify', 'slow', 'decimate', 'discard']);

  const between = (from: number, to: number): string => `toUnixTimestamp64Milli(received) BETWEEN ${from} AND ${to}`;
  await eventually(async () => {
    const later = await rows(`SELECT DISTINCT event FROM positions FINAL WHERE ${between(discarded, 9e15)} FORMAT TSV`);
    expect(later).toEqual(['sos']);
  });
  // The button was pressed once while records were decimated, and once while they were discarded.
  expect(await one(`SELECT count() FROM positions FINAL WHERE event = 'sos' FORMAT TSV`)).toBeGreaterThanOrEqual(2);
  // One a minute of what a device reports in seconds.
  expect(
    await one(`SELECT countIf(event = '') FROM positions FINAL WHERE ${between(decimated, discarded)} FORMAT TSV`),
  ).toBeLessThanOrEqual(5);
  expect(await sample('fixgate_plan_actions_total{action="discard"}')).toBe(1);
  expect(await withheld('discard')).toBeGreaterThanOrEqual(100);
});

it('a throttled device is read at its rate, keeps what it has, and stays connected', async () => {
  await ok('PUT', '/v1/plans/default?effective=now', { bytes_cap: 10_000, steps: [{ action: 'throttle', at_pct: 100, bytes_per_s: 500 }] });
  // About 3.5 kB/s; what waits at the end stays with the device.
  const { fleet } = await reporting({ records: 10, intervalMs: 200, graceMs: 1000, seed: 1711 });
  await until(async () => (await sample('fixgate_plan_actions_total{action="throttle"}')) === 1);
  // The step reaches the worker a moment later.
  await eventually(async () => {
    const [began, before] = [performance.now(), fleet.total().bytesSent];
    await pause(4000);
    const { bytesSent, reconnects, timeouts, wrongAnswers } = fleet.total();
    expect([reconnects, timeouts, wrongAnswers]).toEqual([0, 0, 0]);
    const rate = (1000 * (bytesSent - before)) / (performance.now() - began);
    // A packet more or less.
    expect(rate).toBeLessThan(800);
    expect(rate).toBeGreaterThan(0);
  });
});
