import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { lookMs } from '../base/clock.ts';
import { AGAIN_MS, type Call } from '../fleet/privacy/trail.ts';
import { deviceId } from '../fleet/registry/device.ts';
import { TOPICS, type Topic } from '../live/feed.ts';
import type { Live } from '../live/live.ts';
import { COLUMNS, DEVICE_STATES, type Row, type RowFilter, rowText, wants } from '../live/positions.ts';
import type { EventJson } from '../out/record/event.ts';
import { isStillValid } from './access.ts';
import { listOf } from './list-of.ts';
import type { ApiOffice } from './office.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';
import { isSession } from './sessions.ts';
import { allows, type Token } from './tokens.ts';

/** Rows that are made into text between two turns of the event loop. */
const PIECE = 2_000;
/** How often a stream looks whether its caller is still let in. */
const VALID_MS = 30_000;
const MOST_DEVICES = 100;

const degrees = z.coerce.number().min(-180).max(180);
const bbox = z
  .preprocess(
    (value) => (typeof value === 'string' ? value.split(',') : value),
    z.tuple([degrees, z.coerce.number().min(-90).max(90), degrees, z.coerce.number().min(-90).max(90)]),
  )
  .optional()
  .describe('west,south,east,north in degrees; west > east: over the antimeridian');
const devices = listOf(deviceId, MOST_DEVICES).optional().describe(`ids, separated by commas; at most ${MOST_DEVICES}`);
const cell = z.union([z.string(), z.number(), z.null()]);
const positions = z
  .object({
    at: z.string().describe('id of the feed behind which the snapshot stands: `Last-Event-ID` of `/v1/live`'),
    hydrated: z.boolean().describe('false: what was known before the start of the server has not been read yet'),
    columns: z.array(z.string()),
    rows: z.array(z.array(cell)).describe('in the order of `columns`; speed and course may be null; times in epoch ms'),
    next: z.string().optional().describe('pass as `after` for the next page'),
  })
  .meta({ id: 'positions' });
const example = {
  at: '9f2c41aa-1207',
  hydrated: true,
  columns: [...COLUMNS],
  rows: [['356307042441013', 59.3293, 18.0686, 44, 90, 1_796_083_199_000, 1_796_083_199_400, 'moving', 'live']],
};

/** Where devices are, now (docs/http.md). */
export const LIVE_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/positions',
    scope: 'locations',
    limits: 'rows',
    audits: 'read',
    about: 'The last known position of each device, from memory: what is on the disk, also while every store is away.',
    params: NOTHING,
    query: z.strictObject({
      bbox,
      device: devices,
      account: z.string().max(64).optional(),
      plan: z.string().max(64).optional(),
      state: z.enum(DEVICE_STATES).optional(),
      after: z.coerce.number().int().min(0).default(0).describe('`next` of the previous page'),
      limit: z.coerce.number().int().min(1).max(50_000).default(20_000),
    }),
    body: NO_BODY,
    answers: { 200: { about: 'the positions', schema: positions, example } },
    async run({ query: { after, limit, device, ...of }, reach, office: { live }, call, reply }) {
      call.devices = device ?? [];
      const filter = { ...of, limited: reach?.rows, devices: device === undefined ? undefined : new Set(device) };
      reply.header('cache-control', 'no-store').type('application/json; charset=utf-8');
      return reply.send(Readable.from(snapshot(live, filter, after, limit)));
    },
  }),
  route({
    method: 'GET',
    path: '/v1/live',
    scope: 'any',
    limits: 'rows',
    audits: 'read',
    about:
      'What changes, as server-sent events: `hello`, `positions`, `gone`, `event`, `status`, `reset`, `superseded`, `ended`. For looking at: coalesced, and lost where a client is slow.',
    params: NOTHING,
    query: z.strictObject({
      topics: listOf(z.enum(TOPICS), TOPICS.length)
        .optional()
        .describe('positions (scope locations), events, status (scope read); default: all that the token allows'),
      every: z.coerce.number().int().min(1).max(60).default(1).describe('least time between two batches of positions, s'),
      bbox,
      device: devices,
    }),
    body: NO_BODY,
    answers: {
      200: { about: 'the stream', schema: z.string(), media: ['text/event-stream'] },
      503: { about: 'too many streams, or the server is starting' },
    },
    async run({ query: { topics: wanted, every, bbox: box, device }, token, reach, office, call, request, reply }) {
      const may = (topic: Topic): boolean => allows(token, topic === 'positions' ? 'locations' : 'read');
      const refused = (wanted ?? []).filter((topic) => !may(topic));
      if (reach !== undefined && wanted?.includes('status') === true)
        return problem(reply, 403, `the token "${token.name}" is limited to accounts, and the topic \`status\` is for tokens that are not`);
      const topics = (wanted ?? TOPICS).filter((topic) => may(topic) && (reach === undefined || topic !== 'status'));
      if (refused.length > 0 || topics.length === 0) {
        const lacks = refused.length > 0 ? refused : TOPICS;
        return problem(reply, 403, `the token "${token.name}" lacks the scope \`${lacks[0] === 'positions' ? 'locations' : 'read'}\``);
      }
      const filter: RowFilter = { bbox: box, devices: device === undefined ? undefined : new Set(device), limited: reach?.rows };
      const sees = reach === undefined ? undefined : (event: EventJson): boolean => reach.seesNow(event);
      call.devices = device ?? [];
      return stream(office, token, { topics, every, filter, sees }, call, request, reply);
    },
  }),
];

/** The answer of `/v1/positions`, in pieces. */
async function* snapshot(live: Live, filter: RowFilter, after: number, limit: number): AsyncGenerator<string> {
  // Before the rows: what changes meanwhile comes in the feed.
  const at = live.feed.look();
  yield `{"at":"${at}","hydrated":${live.hydrated},"columns":${JSON.stringify(COLUMNS)},"rows":[`;
  let piece: string[] = [];
  let given = 0;
  let last = 0;
  let looked = 0;
  let hasMore = false;
  for (const row of chosen(live, filter)) {
    if (++looked % (10 * PIECE) === 0) await turn();
    if (row.number <= after || !wants(filter, row)) continue;
    if (given === limit) {
      hasMore = true;
      break;
    }
    piece.push(rowText(row));
    last = row.number;
    if (++given % PIECE !== 0) continue;
    yield `${given === PIECE ? '' : ','}${piece.join(',')}`;
    piece = [];
    await turn();
  }
  const rest = piece.length === 0 ? '' : `${given > piece.length ? ',' : ''}${piece.join(',')}`;
  yield `${rest}]${hasMore ? `,"next":"${last}"` : ''}}`;
}

/** All rows, or those of the devices that are named. */
function* chosen({ positions: table }: Live, { devices: named }: RowFilter): Generator<Row> {
  if (named === undefined) return yield* table.rows();
  const rows = [...named].flatMap((device) => table.get(device) ?? []);
  yield* rows.sort((a, b) => a.number - b.number);
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

interface Wanted {
  readonly topics: readonly Topic[];
  readonly every: number;
  readonly filter: RowFilter;
  readonly sees: ((event: EventJson) => boolean) | undefined;
}

function stream(
  { live, state, trail }: ApiOffice,
  token: Token,
  wanted: Wanted,
  call: Call,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const lastId = String(request.headers['last-event-id'] ?? '').slice(0, 64);
  const caller = isSession(token) ? token.key : token.name;
  if (live.feed.isFull) return problem(reply, 503, 'too many live streams on this server; close one, or retry later');
  const out = startEvents(reply, () => trail.read(call, 200));
  const client = live.feed.attach({ caller, ...wanted, places: allows(token, 'locations'), lastId }, out);
  const scope = wanted.topics.includes('positions') ? 'locations' : 'read';
  const looking = setInterval(() => {
    // A store that does not answer ends no stream.
    const isValid = isStillValid(request, state, scope).catch(() => true);
    void isValid.then((holds) => {
      if (!holds) client.end('ended');
    });
  }, lookMs(VALID_MS));
  out.once('close', () => {
    clearInterval(looking);
    client.closed();
  });
  return reply;
}

/** Takes the answer out of Fastify's hands: it is a stream of events from here on, which is looked at for as long as it lasts. */
export function startEvents(reply: FastifyReply, looked: () => Promise<void>): FastifyReply['raw'] {
  const headers = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no' };
  reply.hijack();
  const out = reply.raw;
  const given = Object.fromEntries(
    Object.entries(reply.getHeaders()).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
  out.writeHead(200, { ...given, ...headers });
  // Of a client that is gone.
  out.on('error', () => {});
  const again = setInterval(() => void looked(), AGAIN_MS).unref();
  out.once('close', () => clearInterval(again));
  void looked();
  return out;
}
