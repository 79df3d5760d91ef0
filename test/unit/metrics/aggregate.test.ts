import { describe, expect, it } from 'vitest';
import { MetricsAggregate } from '../../../src/base/metrics/aggregate.ts';
import { createMetrics } from '../../../src/base/metrics/catalog.ts';

function lines(text: string, name: string): string[] {
  return text.split('\n').filter((line) => line.startsWith(name));
}

describe('metrics of several processes', () => {
  it('adds counters and takes the worst of gauges that say so', async () => {
    const [a, b, own] = [createMetrics(), createMetrics(), createMetrics()];
    a.records.inc({ codec: 'gt06' }, 3);
    b.records.inc({ codec: 'gt06' }, 4);
    a.loopLag.set({ process: 'worker' }, 0.5);
    b.loopLag.set({ process: 'worker' }, 0.2);
    a.connections.set({ codec: 'gt06' }, 10);
    b.connections.set({ codec: 'gt06' }, 5);
    const sum = new MetricsAggregate();
    sum.report('worker-0/1', await a.registry.getMetricsAsJSON());
    sum.report('worker-1/1', await b.registry.getMetricsAsJSON());
    const text = await sum.text(await own.registry.getMetricsAsJSON());
    expect(lines(text, 'fixgate_records_total')).toEqual(['fixgate_records_total{codec="gt06"} 7']);
    expect(lines(text, 'fixgate_event_loop_lag_seconds')).toEqual(['fixgate_event_loop_lag_seconds{process="worker"} 0.5']);
    expect(lines(text, 'fixgate_connections{')).toEqual(['fixgate_connections{codec="gt06"} 15']);
  });

  it('keeps what a dead process counted, and not what it held', async () => {
    const [dead, again, own] = [createMetrics(), createMetrics(), createMetrics()];
    dead.records.inc({ codec: 'gt06' }, 3);
    dead.answerSeconds.observe(0.002);
    dead.connections.set({ codec: 'gt06' }, 10);
    again.records.inc({ codec: 'gt06' }, 1);
    again.answerSeconds.observe(0.002);
    const sum = new MetricsAggregate();
    for (let life = 1; life <= 3; life++) {
      sum.report(`worker-0/${life}`, await dead.registry.getMetricsAsJSON());
      await sum.ended(`worker-0/${life}`);
    }
    sum.report('worker-0/4', await again.registry.getMetricsAsJSON());
    const text = await sum.text(await own.registry.getMetricsAsJSON());
    expect(lines(text, 'fixgate_records_total')).toEqual(['fixgate_records_total{codec="gt06"} 10']);
    expect(lines(text, 'fixgate_answer_seconds_count')).toEqual(['fixgate_answer_seconds_count 4']);
    expect(lines(text, 'fixgate_answer_seconds_bucket{le="0.0025"}')).toEqual(['fixgate_answer_seconds_bucket{le="0.0025"} 4']);
    expect(lines(text, 'fixgate_connections{')).toEqual([]);
  });

  it('counts what a dead process counted at every moment, however many die at once', async () => {
    const sum = new MetricsAggregate();
    const own = await createMetrics().registry.getMetricsAsJSON();
    for (let slot = 0; slot < 3; slot++) {
      const worker = createMetrics();
      worker.records.inc({ codec: 'gt06' }, 1);
      sum.report(`worker-${slot}/1`, await worker.registry.getMetricsAsJSON());
    }
    const counted = async (): Promise<string[]> => lines(await sum.text(own), 'fixgate_records_total{');
    const ended = Promise.all([0, 1, 2].map((slot) => sum.ended(`worker-${slot}/1`)));
    const seen = [await counted()];
    for (let turn = 0; turn < 20; turn++) {
      await Promise.resolve();
      seen.push(await counted());
    }
    await ended;
    seen.push(await counted());
    expect(new Set(seen.flat())).toEqual(new Set(['fixgate_records_total{codec="gt06"} 3']));
    expect(seen.every((found) => found.length === 1)).toBe(true);
  });
});
