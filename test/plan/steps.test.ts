import { afterEach, expect, it, onTestFinished, vi } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { Fleet, type Protocol } from '../../src/simulate/fleet.ts';
import { fixgate } from '../cli/command.ts';
import { Server } from '../helpers/server.ts';

/** What a plan's steps do to a device that goes on reporting, on a whole server. */

let server: Server | undefined;

afterEach(async () => {
  await server?.stop();
  server = undefined;
});

interface Running {
  readonly running: Server;
  call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>>;
}

async function start(): Promise<Running> {
  const running = await Server.start({ FIXGATE_WORKERS: '2' });
  server = running;
  const token = (await fixgate(['token', 'create', '--name', 'tester', '--scope', 'admin'], '', { FIXGATE_DATA_DIR: running.dataDir })).out;
  const { http } = await running.logged('metrics and health');
  return {
    running,
    async call(method, path, body) {
      const headers = { authorization: `Bearer ${token.trim()}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) };
      const response = await fetch(`${http}${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
      const text = await response.text();
      expect([method, path, response.status < 300, text]).toEqual([method, path, true, text]);
      return text === '' ? {} : Object(JSON.parse(text));
    },
  };
}

async function fleetOf(
  running: Server,
  protocol: Protocol,
  more: { records: number; intervalMs: number; graceMs: number },
): Promise<Fleet> {
  const fleet = new Fleet({
    protocols: [protocol],
    transports: ['tcp'],
    target: {
      host: '127.0.0.1',
      ports: { teltonika: await running.port('teltonika'), gt06: await running.port('gt06'), h02: await running.port('h02') },
    },
    devices: 1,
    intervalMs: more.intervalMs,
    durationMs: 600_000,
    graceMs: more.graceMs,
    timeoutMs: 10_000,
    window: 1,
    records: more.records,
    seed: 7,
    ledger: undefined,
    clock: systemClock,
  });
  return fleet;
}

it('a 1 MB plan: warned, slowed, decimated, discarded, and never a reconnect; SOS gets through, and the meter is right to the byte', async () => {
  const { running, call } = await start();
  await call('PUT', '/v1/plans/default', {
    bytes_cap: 1_000_000,
    overhead: { segment_bytes: 40 },
    steps: [
      { action: 'notify', at_pct: 80 },
      { action: 'slow', at_pct: 90, interval_s: 2 },
      { action: 'decimate', at_pct: 100, keep_every_s: 60 },
      { action: 'discard', at_pct: 120 },
    ],
  });
  const fleet = await fleetOf(running, 'teltonika', { records: 250, intervalMs: 600, graceMs: 60_000 });
  const over = fleet.run();
  let finished = false;
  onTestFinished(async () => {
    fleet.finish();
    if (!finished) await over;
  });
  const rows = async (sql: string): Promise<string[]> => (await running.query(sql)).split('\n').filter(Boolean);
  const steps = (): Promise<string[]> =>
    rows(`SELECT JSONExtractString(data, 'action') FROM fixgate.events FINAL WHERE type = 'plan_step' ORDER BY time, id FORMAT TSV`);
  const reaches = (...expected: string[]): Promise<void> =>
    vi.waitFor(async () => expect([...(await steps())].sort()).toEqual([...expected].sort()), { timeout: 170_000, interval: 500 });
  await reaches('notify', 'slow', 'decimate');
  await new Promise((resolve) => setTimeout(resolve, 1500));
  fleet.alarm();
  await reaches('notify', 'slow', 'decimate', 'discard');
  await new Promise((resolve) => setTimeout(resolve, 1500));
  fleet.alarm();
  const [id = ''] = await rows(`SELECT any(device) FROM fixgate.events WHERE type = 'plan_step' FORMAT TSV`);
  // A while in which everything is discarded.
  const discarding = fleet.total().sent;
  await vi.waitFor(() => expect(fleet.total().sent).toBeGreaterThan(discarding + 1500), { timeout: 120_000, interval: 200 });
  fleet.finish();
  await over;
  finished = true;
  const { sent, acknowledged, wrongAnswers, reconnects, refused, commands, bytesSent, bytesReceived } = fleet.total();
  expect([sent - acknowledged, wrongAnswers, reconnects, refused]).toEqual([0, 0, 0, 0]);
  expect(commands).toBeGreaterThan(0);
  // It was slowed by a command that it has obeyed.
  expect(await call('GET', `/v1/devices/${id}/settings`)).toMatchObject({ reported: { interval: 2 } });

  const [cycle] = Object((await call('GET', `/v1/devices/${id}/usage`))['cycles']);
  await vi.waitFor(
    async () => {
      const [now] = Object((await call('GET', `/v1/devices/${id}/usage`))['cycles']);
      expect([now.bytes_in, now.bytes_out]).toEqual([bytesSent, bytesReceived]);
      expect(now.billed_bytes).toBe(now.bytes_in + now.bytes_out + 40 * now.segments);
    },
    { timeout: 30_000, interval: 500 },
  );
  expect(cycle.bytes_cap).toBe(1_000_000);
  const { held } = await call('GET', `/v1/devices/${id}/usage`);
  expect(Object(held).map((step: object) => Reflect.get(step, 'action'))).toEqual(['notify', 'slow', 'decimate', 'discard']);

  const at = async (action: string): Promise<number> =>
    Number(
      (
        await rows(
          `SELECT toUnixTimestamp64Milli(time) FROM fixgate.events FINAL WHERE type = 'plan_step' AND JSONExtractString(data, 'action') = '${action}' FORMAT TSV`,
        )
      )[0],
    );
  const [decimated, discarded] = [await at('decimate'), await at('discard')];
  const between = (from: number, to: number): string => `toUnixTimestamp64Milli(received) BETWEEN ${from} AND ${to}`;
  await vi.waitFor(
    async () => {
      // A second for the change to reach the worker.
      const later = await rows(
        `SELECT event, count() FROM fixgate.positions FINAL WHERE ${between(discarded + 1000, 9e15)} GROUP BY event FORMAT TSV`,
      );
      expect(later.map((line) => line.split('\t')[0])).toEqual(['sos']);
    },
    { timeout: 30_000, interval: 500 },
  );
  const [plain = 0] = (
    await rows(`SELECT countIf(event = '') FROM fixgate.positions FINAL WHERE ${between(decimated + 1000, discarded)} FORMAT TSV`)
  ).map(Number);
  // The button was pressed once while records were decimated, and once while they were discarded.
  const [pressed = 0] = (await rows(`SELECT count() FROM fixgate.positions FINAL WHERE event = 'sos' FORMAT TSV`)).map(Number);
  expect(pressed).toBeGreaterThanOrEqual(2);
  // One a minute of what a device reports in seconds.
  expect(plain).toBeLessThanOrEqual(5);
  const { http } = await running.logged('metrics and health');
  const metrics = await (await fetch(`${http}/metrics`)).text();
  expect(metrics).toMatch(/fixgate_plan_actions_total\{action="discard"\} 1\b/);
  expect(metrics).toMatch(/fixgate_withheld_records_total\{reason="discard"\} [1-9]\d{2,}/);
}, 400_000);

it('a throttled device is read at its rate, keeps what it has, and stays connected', async () => {
  const { running, call } = await start();
  await call('PUT', '/v1/plans/default', { bytes_cap: 10_000, steps: [{ action: 'throttle', at_pct: 100, bytes_per_s: 500 }] });
  // About 3.5 kB/s; what waits at the end stays with the device.
  const fleet = await fleetOf(running, 'teltonika', { records: 10, intervalMs: 200, graceMs: 1000 });
  const over = fleet.run();
  onTestFinished(async () => {
    fleet.finish();
    await over;
  });
  const throttled = async (): Promise<boolean> =>
    (await running.query(`SELECT count() FROM fixgate.events WHERE type = 'plan_step' FORMAT TSV`)).trim() === '1';
  await vi.waitFor(async () => expect(await throttled()).toBe(true), { timeout: 60_000, interval: 200 });
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const [began, before] = [performance.now(), fleet.total().bytesSent];
  await new Promise((resolve) => setTimeout(resolve, 12_000));
  const { bytesSent, reconnects, timeouts, wrongAnswers } = fleet.total();
  const rate = (1000 * (bytesSent - before)) / (performance.now() - began);
  // A packet more or less.
  expect(rate).toBeLessThan(800);
  expect(rate).toBeGreaterThan(0);
  expect([reconnects, timeouts, wrongAnswers]).toEqual([0, 0, 0]);
}, 120_000);
