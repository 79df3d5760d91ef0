import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

/** deploy/grafana/fixgate.json, as far as it is used of Grafana's format. */

const target = z.strictObject({
  refId: z.string().regex(/^[A-Z]$/),
  datasource: z.strictObject({ type: z.literal('prometheus'), uid: z.literal(['$', '{datasource}'].join('')) }),
  expr: z.string().min(1),
  legendFormat: z.string(),
});
const place = z.strictObject({ h: z.int().min(1), w: z.int().min(1).max(24), x: z.int().min(0).max(23), y: z.int().min(0) });
const row = z.strictObject({
  id: z.int().min(1),
  type: z.literal('row'),
  title: z.string().min(1),
  collapsed: z.literal(false),
  gridPos: place,
  panels: z.tuple([]),
});
const panel = z.strictObject({
  id: z.int().min(1),
  type: z.enum(['timeseries', 'stat']),
  title: z.string().min(1),
  description: z.string(),
  datasource: target.shape.datasource,
  gridPos: place,
  fieldConfig: z.strictObject({
    defaults: z.strictObject({
      unit: z.enum(['short', 'reqps', 's', 'bytes', 'Bps']),
      min: z.literal(0),
      custom: z
        .strictObject({
          lineWidth: z.number(),
          fillOpacity: z.number().max(100),
          stacking: z.strictObject({ mode: z.enum(['none', 'normal']), group: z.literal('A') }),
        })
        .optional(),
    }),
    overrides: z.tuple([]),
  }),
  options: z.union([
    z.strictObject({
      legend: z.strictObject({ displayMode: z.literal('list'), placement: z.literal('bottom'), showLegend: z.boolean() }),
      tooltip: z.strictObject({ mode: z.literal('multi'), sort: z.literal('desc') }),
    }),
    z.strictObject({
      reduceOptions: z.strictObject({ calcs: z.tuple([z.literal('lastNotNull')]), fields: z.literal(''), values: z.literal(false) }),
      colorMode: z.literal('value'),
      graphMode: z.literal('area'),
      textMode: z.literal('auto'),
    }),
  ]),
  targets: z.array(target).min(1),
});
const dashboard = z.strictObject({
  uid: z.literal('fixgate'),
  title: z.string(),
  tags: z.array(z.string()),
  schemaVersion: z.int().min(36),
  version: z.int(),
  editable: z.boolean(),
  graphTooltip: z.int().min(0).max(2),
  refresh: z.string().regex(/^\d+s$/),
  timezone: z.literal('browser'),
  time: z.strictObject({ from: z.string(), to: z.string() }),
  templating: z.strictObject({ list: z.array(z.looseObject({ name: z.string(), type: z.enum(['datasource', 'query']) })) }),
  annotations: z.strictObject({ list: z.tuple([]) }),
  panels: z.array(z.union([row, panel])),
});

export const DASHBOARD = dashboard.parse(JSON.parse(readFileSync(join(import.meta.dirname, '../../deploy/grafana/fixgate.json'), 'utf8')));

/** Panel and expression, with the variables of Grafana replaced. */
export const EXPRESSIONS = DASHBOARD.panels.flatMap((one) =>
  one.type === 'row'
    ? []
    : one.targets.map(({ expr }) => ({ panel: one.title, expr: expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '15s') })),
);
