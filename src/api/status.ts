import { z } from 'zod';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const count = z.number();
const ms = z.number().nullable().describe('null: there were no answers');
const health = z.object({ state: z.enum(['up', 'degraded', 'down']), reason: z.string() });
const status = z
  .object({
    version: z.string(),
    instance: z.string().describe('name of this installation'),
    started: z.int(),
    at: z.int().describe('time of this answer'),
    ready: z.object({ status: z.enum(['ready', 'degraded', 'unready']), parts: z.record(z.string(), health) }).describe('as /readyz'),
    devices: z.object({
      known: count.describe('in the registry'),
      connected: count,
      silent: count.describe('connected, and nothing came for three intervals, at least 5 minutes'),
      offline: count.describe('known and not connected'),
      over_cap: count.describe('a step of the plan holds, other than `notify`'),
      alarms_1h: count.describe('sos, power_cut, tamper and collision in the last hour'),
      quarantined: count,
    }),
    rates: z
      .object({ frames: count, records: count, bytes_in: count, bytes_out: count, answers: count })
      .describe('a second, over the last ten'),
    answer_ms: z.object({ p50: ms, p95: ms, p99: ms }).describe('from the receipt of a frame to its answer, over the last minute'),
    journal: z.object({
      bytes: count,
      budget: count.describe('of all slots together'),
      free_bytes: count.describe('on the disk'),
      state: z.enum(['open', 'refusing']),
      reason: z.string(),
      oldest_undelivered_s: count,
    }),
    sinks: z.array(
      z.object({
        name: z.string(),
        state: z.enum(['up', 'degraded', 'down']),
        reason: z.string().optional(),
        since: z.int().optional().describe('of a state that is not up'),
        lag_s: count.describe('age of the oldest entry that is not delivered'),
        entries: count.describe('not delivered'),
        rows_per_s: count,
        parked: count.describe('entries set aside since the start'),
      }),
    ),
    groups: z
      .array(z.object({ stream: z.string(), group: z.string(), lag: count, missed: count }))
      .describe('consumer groups of the stream'),
    processes: z.array(
      z.object({
        name: z.string(),
        state: z.enum(['up', 'degraded', 'down', 'starting']),
        pid: z.int().describe('0: it does not run'),
        rss: count.describe('bytes; 0 where it is not reported'),
        loop_lag_ms: count.describe('worst in the last second'),
        restarts: count.describe('after an unexpected end'),
      }),
    ),
    listeners: z.array(
      z.object({
        codec: z.string(),
        transport: z.enum(['tcp', 'udp']),
        host: z.string(),
        port: z.int(),
        connections: count.describe('TCP connections of all listeners of the codec'),
        malformed_per_min: count.describe('of all listeners of the codec'),
        rejects_per_min: count.describe('of all listeners of the server'),
      }),
    ),
    series: z
      .object({
        at: z.int().describe('time of the last point; 0: there is none'),
        step_s: z.int(),
        records: z.array(count).describe('a second; oldest first, at most an hour'),
        answer_p99: z.array(ms),
        lag: z.record(z.string(), z.array(count)).describe('by sink, s'),
      })
      .optional(),
  })
  .meta({ id: 'status' });

const example = {
  version: '0.1.0',
  instance: '5f0c8a1e9b7d2c43',
  started: 1_796_079_600_000,
  at: 1_796_083_200_000,
  ready: { status: 'ready', parts: { 'worker-0': { state: 'up', reason: '' }, clickhouse: { state: 'up', reason: '' } } },
  devices: { known: 10_000, connected: 9_566, silent: 434, offline: 434, over_cap: 12, alarms_1h: 2, quarantined: 3 },
  rates: { frames: 912.4, records: 930.1, bytes_in: 51_200, bytes_out: 4_100, answers: 912.4 },
  answer_ms: { p50: 1.8, p95: 3.9, p99: 6.2 },
  journal: {
    bytes: 734_003_200,
    budget: 21_474_836_480,
    free_bytes: 97_710_505_984,
    state: 'open',
    reason: '',
    oldest_undelivered_s: 0.8,
  },
  sinks: [{ name: 'clickhouse', state: 'up', lag_s: 0.8, entries: 740, rows_per_s: 930.1, parked: 0 }],
  groups: [{ stream: 'fixgate:positions', group: 'backend', lag: 12, missed: 0 }],
  processes: [{ name: 'worker-0', state: 'up', pid: 4_211, rss: 127_926_272, loop_lag_ms: 3, restarts: 0 }],
  listeners: [
    { codec: 'teltonika', transport: 'tcp', host: '::', port: 5_027, connections: 9_566, malformed_per_min: 0, rejects_per_min: 0 },
  ],
  series: { at: 1_796_083_200_000, step_s: 10, records: [930.1], answer_p99: [6.2], lag: { clickhouse: [0.8] } },
};

/** How the server is doing (docs/http.md). */
export const STATUS_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/status',
    scope: 'read',
    audits: 'nothing',
    about: 'How the whole server is doing, with the hour before.',
    params: NOTHING,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the status', schema: status, example } },
    run: async ({ office }) => office.status.read(),
  }),
];
