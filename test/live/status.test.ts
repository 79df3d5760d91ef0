import { describe, expect, it } from 'vitest';
import { createMetrics, type Metrics } from '../../src/base/metrics/catalog.ts';
import { type ServerFacts, StatusBoard } from '../../src/live/status.ts';
import { p } from '../../src/live/totals.ts';

/** What a worker and a shipper count, and a clock that stands still until it is set. */
function board(): { board: StatusBoard; worker: Metrics; shipper: Metrics; pass(): Promise<void>; lose(): void } {
  const [worker, shipper] = [createMetrics(), createMetrics()];
  let at = 1_000_000;
  let isLost = false;
  const facts: ServerFacts = {
    readiness: () => ({
      status: 'degraded',
      parts: { redis: { state: 'degraded', reason: 'ECONNREFUSED' }, clickhouse: { state: 'up', reason: '' } },
    }),
    processes: () => [{ name: 'worker-0', state: 'up', pid: 7, restarts: 2 }],
    metrics: async () => [
      ['worker-0', isLost ? [] : await worker.registry.getMetricsAsJSON()],
      ['shipper', await shipper.registry.getMetricsAsJSON()],
    ],
    connected: () => 3,
    listeners: () => [{ codec: 'gt06', transport: 'tcp', host: '::', port: 5023 }],
  };
  const made = new StatusBoard({
    facts,
    counts: () => ({ known: 5, silent: 1, over_cap: 0, alarms_1h: 0 }),
    instance: 'test',
    dataDir: '/',
    journalBudget: 100,
    clock: { now: () => at, elapsed: () => at },
  });
  const pass = async (): Promise<void> => {
    at += 1000;
    await made.sample();
  };
  return { board: made, worker, shipper, pass, lose: () => (isLost = true) };
}

describe('the status of the server', () => {
  it('has rates of the last ten seconds, and percentiles of the last minute', async () => {
    const { board: made, worker, pass } = board();
    await pass();
    for (let second = 0; second < 20; second++) {
      worker.records.inc({ codec: 'gt06' }, 40);
      worker.bytes.inc({ transport: 'tcp', direction: 'in' }, 1000);
      worker.answers.inc({ codec: 'gt06' }, 4);
      for (const seconds of [0.002, 0.002, 0.002, 0.2]) worker.answerSeconds.observe(seconds);
      await pass();
    }
    const { rates, answer_ms, series } = made.read();
    expect(rates).toEqual({ frames: 0, records: 40, bytes_in: 1000, bytes_out: 0, answers: 4 });
    expect([answer_ms.p50, answer_ms.p99].map((ms) => ms !== null && ms > 1)).toEqual([true, true]);
    expect(answer_ms.p50).toBeLessThanOrEqual(2.5);
    expect(answer_ms.p99).toBeGreaterThan(100);
    expect(series).toMatchObject({ step_s: 10, records: [40, 40] });
    expect(made.read(false).series).toBeUndefined();
  });

  it('is no negative rate when a counter goes back, invariant 2', async () => {
    const { board: made, worker, pass, lose } = board();
    worker.records.inc({ codec: 'gt06' }, 1000);
    await pass();
    lose();
    await pass();
    expect(made.read().rates.records).toBe(0);
    expect(made.read().answer_ms).toEqual({ p50: null, p95: null, p99: null });
  });

  it('says since when a sink is away, and how far behind', async () => {
    const { board: made, worker, shipper, pass } = board();
    shipper.undeliveredAge.set({ sink: 'redis' }, 12);
    shipper.undeliveredAge.set({ sink: 'clickhouse' }, 0.5);
    shipper.undelivered.set({ sink: 'redis' }, 900);
    shipper.groupLag.set({ stream: 's', group: 'g' }, 3);
    worker.connections.set({ codec: 'gt06' }, 4);
    worker.journalSize.set(30);
    // Of this worker's journal and another's.
    shipper.journalSize.set(50);
    worker.memory.set(77);
    await pass();
    made.read();
    await pass();
    const status = made.read();
    expect(status.sinks.find(({ name }) => name === 'redis')).toEqual({
      name: 'redis',
      state: 'degraded',
      reason: 'ECONNREFUSED',
      since: 1_001_000,
      lag_s: 12,
      entries: 900,
      rows_per_s: 0,
      parked: 0,
    });
    expect(status.groups).toEqual([{ stream: 's', group: 'g', lag: 3, missed: 0 }]);
    expect(status.journal).toMatchObject({ bytes: 50, budget: 100, state: 'open', oldest_undelivered_s: 12 });
    expect(status.devices).toMatchObject({ known: 5, connected: 3, offline: 2, silent: 1 });
    expect(status.listeners[0]).toMatchObject({ codec: 'gt06', port: 5023, connections: 4 });
    expect(status.processes[1]).toEqual({ name: 'worker-0', state: 'up', pid: 7, restarts: 2, rss: 77, loop_lag_ms: 0 });
  });

  it('keeps an hour of points', async () => {
    const { board: made, shipper, pass } = board();
    for (let second = 0; second < 3700; second++) {
      if (second === 3600) shipper.undeliveredAge.set({ sink: 'late' }, 1);
      await pass();
    }
    const { series } = made.read();
    expect([series?.records.length, series?.answer_p99.length, series?.lag['late']?.length]).toEqual([360, 360, 360]);
    expect(series?.lag['late']?.slice(-11)).toEqual([0, ...Array.from({ length: 10 }, () => 1)]);
  });

  it('interpolates within a bucket', () => {
    const buckets = new Map([
      [0.01, 50],
      [0.02, 100],
      [Number.POSITIVE_INFINITY, 101],
    ]);
    expect([p(buckets, 0.25), p(buckets, 0.75), p(buckets, 0.999), p(new Map(), 0.5)]).toEqual([5.05, 15.15, 20, null]);
  });
});
