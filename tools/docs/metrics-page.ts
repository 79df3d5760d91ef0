import { createMetrics } from '../../src/base/metrics/catalog.ts';
import { NOTICE, table } from './table.ts';

/** docs/metrics.md, from `src/base/metrics/catalog.ts`. */
export function metricsPage(): string {
  const rows = createMetrics()
    .registry.getMetricsAsArray()
    .map((metric) => {
      const { name, help, type, aggregator, labelNames = [] } = metric as typeof metric & { readonly labelNames?: readonly string[] };
      return { name, help, type: String(type), aggregator: aggregator ?? 'sum', labels: labelNames };
    });
  const lines = rows.map(({ name, type, aggregator, labels, help }) => [
    `\`${name}\``,
    type === 'gauge' && aggregator !== 'sum' ? `${type}, ${aggregator}` : type,
    labels.map((label) => `\`${label}\``).join(', '),
    help,
  ]);
  return `${NOTICE}

# Metrics

\`GET /metrics\` of the HTTP port, for Prometheus. Every metric is defined in \`src/base/metrics/catalog.ts\`. Base units; label values come from bounded
sets: no device ids, addresses or positions. The supervisor adds up the values of all processes (a gauge marked \`max\` or \`min\` takes the largest
or smallest); counters of a process that has ended are kept. \`deploy/prometheus/rules.yml\` has alerts, \`runbook.md\`
says what to do about each.

${table(['metric', 'type', 'labels', 'meaning'], lines)}`;
}
