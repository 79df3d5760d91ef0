import { describe, expect, it } from 'vitest';
import { createMetrics } from '../../src/base/metrics/catalog.ts';
import { DASHBOARD, EXPRESSIONS } from './dashboard.ts';

describe('the dashboard', () => {
  it('has its rows, and panels that lie beside each other', () => {
    const rows = DASHBOARD.panels.filter(({ type }) => type === 'row').map(({ title }) => title);
    expect(rows).toEqual(['Overview', 'Ingest', 'Delivery', 'Devices', 'Commands and plans']);
    expect(new Set(DASHBOARD.panels.map(({ id }) => id)).size).toBe(DASHBOARD.panels.length);
    const taken = new Set<string>();
    for (const { gridPos, title } of DASHBOARD.panels)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect([title, x < 24 && !taken.has(`${x} ${y}`)]).toEqual([title, true]);
          taken.add(`${x} ${y}`);
        }
  });

  const metrics = createMetrics().registry.getMetricsAsArray();

  it('asks for metrics and labels that the server exports, and for nearly all of them', () => {
    const asked = new Set<string>();
    for (const { panel, expr } of EXPRESSIONS) {
      for (const [whole] of expr.matchAll(/\bfixgate_\w+/g)) {
        const metric = metrics.find(({ name, type }) => name === whole || (String(type) === 'histogram' && `${name}_bucket` === whole));
        expect([panel, whole, metric !== undefined]).toEqual([panel, whole, true]);
        asked.add(metric?.name ?? '');
      }
      const of = metrics.find(({ name }) => expr.includes(name));
      const labels: readonly string[] = [...(of !== undefined && 'labelNames' in of && Array.isArray(of.labelNames) ? of.labelNames : [])];
      for (const [, by = ''] of expr.matchAll(/by \(([^)]*)\)/g))
        for (const label of by.split(', '))
          expect([panel, label, ['instance', 'le', ...labels].includes(label)]).toEqual([panel, label, true]);
    }
    const left = metrics.map(({ name }) => name).filter((name) => !asked.has(name));
    expect(left, 'add a panel to deploy/grafana/fixgate.json').toEqual(['fixgate_lookalikes_total']);
  });
});
