import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { deviceId } from '../fleet/registry/device.ts';
import { withoutPlace } from '../live/recent-events.ts';
import type { EventJson } from '../out/record/event.ts';
import { listOf, newestFirst } from './list-of.ts';
import type { ApiOffice } from './office.ts';
import type { Reach } from './reach.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';
import { allows } from './tokens.ts';

const time = z.coerce.number().int().min(0).max(8.64e15);
const event = z.object({
  version: z.int(),
  id: z.string(),
  kind: z.literal('event'),
  device: z.string(),
  account: z.string(),
  time: z.int(),
  received: z.int(),
  protocol: z.string(),
  type: z.string(),
  data: z
    .record(z.string(), z.unknown())
    .describe('by type; `withheld`: a place, or a reply that may say where the device is, was left out'),
});
const events = z
  .object({
    events: z.array(event).describe('newest first'),
    next: z.string().optional().describe('pass as `before` for older ones'),
    source: z.enum(['clickhouse', 'memory']).describe('memory: the last 1000 of this server, for ClickHouse does not answer'),
  })
  .meta({ id: 'events' });
const example = {
  events: [
    {
      version: 1,
      id: '5f0c8a1e9b7d2c43',
      kind: 'event',
      device: '356307042441013',
      account: '',
      time: 1_796_083_199_000,
      received: 1_796_083_199_000,
      protocol: 'teltonika',
      type: 'connected',
      data: { transport: 'tcp', protocol: 'teltonika' },
    },
  ],
  source: 'clickhouse',
};

/** What has happened (docs/events.md). */
export const EVENT_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/events',
    scope: 'read',
    limits: 'rows',
    audits: 'read',
    about: 'Events, newest first.',
    params: NOTHING,
    query: z.strictObject({
      device: deviceId.optional(),
      type: listOf(z.string().min(1).max(64), 20).optional().describe('types, separated by commas; at most 20'),
      from: time.default(0).describe('epoch ms'),
      to: time.optional().describe('epoch ms; default: now'),
      before: newestFirst,
      limit: z.coerce.number().int().min(1).max(1000).default(100),
    }),
    body: NO_BODY,
    answers: { 200: { about: 'the events', schema: events, example } },
    async run({ query: { device, type: types = [], from, to = systemClock.now(), before, limit }, token, reach, office, call }) {
      const id = device === undefined ? undefined : await office.deviceRecords.idOf(device);
      call.devices = id === undefined ? [] : [id];
      const [at = '', of = ''] = before?.split('-') ?? [];
      const share = id === undefined ? undefined : await reach?.share(device ?? id);
      // As of a device that is not known.
      if (id !== undefined && reach !== undefined && share === undefined) return { events: [], source: 'clickhouse' };
      const accounts = reach !== undefined && id === undefined ? reach.accounts : undefined;
      const query = {
        device: share?.device ?? id,
        limit_to: share,
        accounts,
        types,
        from,
        to,
        limit,
        before: before === undefined ? undefined : { time: Number(at), id: of },
      };
      const { found, source } = await office.past.events(query).then(
        (rows) => ({ found: rows, source: 'clickhouse' }),
        (error: unknown) => {
          if (!(error instanceof AppError)) throw error;
          return { found: office.live.recent.list(query, (one) => reach === undefined || reach.seesNow(one)), source: 'memory' };
        },
      );
      const last = found.at(-1);
      const seen = reach === undefined ? found : await seenOf(reach, office, found);
      return {
        events: allows(token, 'locations') ? seen : seen.map(withoutPlace),
        ...(last === undefined || found.length !== limit ? {} : { next: `${last.time}-${last.id}` }),
        source,
      };
    },
  }),
];

/** Those of the events that may be seen: of devices, while they were theirs. */
async function seenOf(reach: Reach, { ledger }: ApiOffice, all: readonly EventJson[]): Promise<EventJson[]> {
  const seen: EventJson[] = [];
  for (const one of all) {
    const share = one.device === '' ? undefined : await reach.share(one.device);
    if (share?.sees(one.account, one.received, one.time) !== true) continue;
    // A command of who had the device before may end in the time of another.
    const isOwn = one.type !== 'command' || share.spans.every(({ measured }) => measured === 0);
    const created = isOwn ? one.received : ((await ledger.get(one.device, String(one.data['id'])))?.created ?? 0);
    if (share.sees('', created)) seen.push(one);
  }
  return seen;
}
