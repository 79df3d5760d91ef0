import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import type { Connections } from '../cluster/office.ts';
import { stepSchema, UNLIMITED } from '../fleet/plan/plan.ts';
import { POLICIES } from '../fleet/plan/steps.ts';
import { readUsage } from '../fleet/plan/usage.ts';
import { type InForce, inForce } from '../fleet/plan/versions.ts';
import { type Device, deviceId } from '../fleet/registry/device.ts';
import type { Share } from '../fleet/registry/owners.ts';
import { DEVICE_STATES, type Row } from '../live/positions.ts';
import { profileOf } from './devices.ts';
import type { ApiOffice } from './office.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';
import { allows } from './tokens.ts';

type Found = Connections['sessions'][number];

/** Sessions that are asked for at once where only some of them are wanted. */
const PAGE = 1_000;
const NO_DEVICE = { device: '', codec: '' };

const count = z.int();
const connection = z.object({
  id: z.string().describe('for `DELETE /v1/connections/{id}`'),
  device: z.string(),
  peer: z.string().describe('address and port'),
  transport: z.enum(['tcp', 'udp', 'sms']),
  protocol: z.string(),
  since: z.int(),
  received: z.int().describe('when something came last'),
  bytes_in: count.describe('of the connection'),
  bytes_out: count,
  frames: count,
  malformed: count,
  owed: count.describe('answers that wait for the disk'),
  worker: z.string(),
});
const connections = z
  .object({
    connections: z.array(connection),
    next: z.string().optional().describe('pass as `after` for the next page'),
    partial: z.literal(true).optional().describe('a worker has not answered in time'),
  })
  .meta({ id: 'connections' });
const example = {
  id: '0-4211',
  device: '356307042441013',
  peer: '203.0.113.7:41952',
  transport: 'tcp',
  protocol: 'teltonika',
  since: 1_796_080_000_000,
  received: 1_796_083_199_400,
  bytes_in: 51_200,
  bytes_out: 4_100,
  frames: 912,
  malformed: 0,
  owed: 0,
  worker: 'worker-0',
};
const connectionId = z.string().regex(/^\d{1,4}-\d{1,15}$/, 'must be the id of a connection');
const closed = z.object({ closed: count.describe('connections') });

const place = z.object({
  lat: z.number(),
  lon: z.number(),
  speed_kmh: z.number().nullable(),
  course_deg: z.number().nullable(),
  time: z.int(),
});
const state = z
  .object({
    device: z.string(),
    connected: z.boolean(),
    since: z.int().optional(),
    worker: z.string().optional(),
    peer: z.string().optional(),
    transport: z.enum(['tcp', 'udp', 'sms']).optional(),
    protocol: z.string().optional(),
    variant: z.string().optional(),
    received: z.int().optional().describe('when something came last'),
    last_record: z.int().optional().describe('time of its last position'),
    state: z.enum(DEVICE_STATES),
    account_state: z
      .object({ state: z.enum(['suspended', 'closed', 'ending']), reason: z.string().optional() })
      .optional()
      .describe('of its account, when that is not simply active'),
    held: z.array(stepSchema).describe('steps of the plan that hold'),
    usage_pct: z.number().describe('of the cap, in this cycle; 0 without one'),
    bytes_in: count,
    bytes_out: count,
    frames: count,
    malformed: count,
    owed: count,
    commands_open: count,
    flags: z.array(z.enum(['contested', 'provisional', 'recovery', 'relay', 'several_connections'])),
    place: place.optional().describe('with the scope `locations`'),
    partial: z.literal(true).optional().describe('a worker has not answered in time'),
  })
  .meta({ id: 'device_state' });
const stateExample = {
  device: example.device,
  connected: true,
  since: example.since,
  worker: example.worker,
  peer: example.peer,
  transport: 'tcp',
  protocol: 'teltonika',
  received: example.received,
  last_record: 1_796_083_199_000,
  state: 'moving',
  held: [],
  usage_pct: 41.5,
  bytes_in: 51_200,
  bytes_out: 4_100,
  frames: 912,
  malformed: 0,
  owed: 0,
  commands_open: 1,
  flags: [],
  place: { lat: 59.3293, lon: 18.0686, speed_kmh: 44, course_deg: 90, time: 1_796_083_199_000 },
};

/** Connections of devices, and what a device is like now (docs/http.md). */
export const CONNECTION_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/connections',
    scope: 'read',
    limits: 'rows',
    audits: 'read',
    about: 'Connections of identified devices, on this server.',
    params: NOTHING,
    query: z.strictObject({
      codec: z.string().max(16).optional(),
      state: z.enum(DEVICE_STATES).optional().describe('of the device'),
      after: connectionId.optional().describe('`next` of the previous page'),
      limit: z.coerce.number().int().min(1).max(1000).default(200),
    }),
    body: NO_BODY,
    answers: { 200: { about: 'the connections', schema: connections, example: { connections: [example] } } },
    async run({ query: { codec = '', state: wanted, after, limit }, reach, office }) {
      const found: Found[] = [];
      let from = placeOf(after ?? '0-0');
      let partial = false;
      for (;;) {
        const page = await office.connections(from, PAGE, { device: '', codec });
        partial ||= page.partial;
        for (const one of page.sessions)
          if (reach?.has(one.device) === false) continue;
          else if (wanted === undefined || (office.live.positions.get(one.device)?.state ?? 'standing') === wanted) found.push(one);
        const last = page.sessions.at(-1);
        if (last === undefined || page.sessions.length !== PAGE || found.length > limit) break;
        from = last;
      }
      const shownOnes = found.slice(0, limit);
      const last = shownOnes.at(-1);
      return {
        connections: shownOnes.map(shown),
        ...(found.length > limit && last !== undefined ? { next: idOf(last) } : {}),
        ...(partial ? { partial } : {}),
      };
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/connections/{id}',
    scope: 'devices',
    audits: 'change',
    about: 'End a connection, once the answers owed have left. The device may connect again.',
    params: z.strictObject({ id: connectionId }),
    query: NOTHING,
    body: NO_BODY,
    answers: { 202: { about: 'it ends', schema: closed, example: { closed: 1 } }, 404: { about: 'no such connection' } },
    async run({ params: { id }, token, office, reply }) {
      const ended = await office.disconnect(placeOf(id), token.name);
      return ended === 0 ? problem(reply, 404, `no connection ${id}`) : reply.code(202).send({ closed: ended });
    },
  }),
  route({
    method: 'POST',
    path: '/v1/devices/{id}/disconnect',
    scope: 'devices',
    limits: 'owner',
    audits: 'change',
    about: 'End all connections of a device. It may connect again.',
    params: z.strictObject({ id: deviceId }),
    query: NOTHING,
    body: NO_BODY,
    answers: { 202: { about: 'they end', schema: closed, example: { closed: 1 } }, 404: { about: 'the device is not connected' } },
    async run({ params, token, reach, share, office, reply }) {
      const device = await office.deviceRecords.idOf(params.id);
      if (share !== undefined && !(await reach?.isStill(share))) return problem(reply, 404, `device ${device} is not known`);
      const ended = await office.disconnect({ device }, token.name);
      return ended === 0 ? problem(reply, 404, `device ${device} is not connected here`) : reply.code(202).send({ closed: ended });
    },
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}/state',
    scope: 'read',
    limits: 'owner',
    audits: 'read',
    about: 'What a device is like now: its connection, plan, and commands; with the scope `locations` where it is.',
    params: z.strictObject({ id: deviceId }),
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the state', schema: state, example: stateExample }, 404: { about: 'unknown device' } },
    async run({ params, token, share, office, reply }) {
      const record = await office.deviceRecords.get(params.id);
      const id = record?.id ?? params.id;
      const { sessions, partial } = await office.connections(placeOf('0-0'), PAGE, { ...NO_DEVICE, device: id });
      const since = share?.since ?? 0;
      const row = rowOf(office, id, share);
      if (record === undefined && sessions.length === 0 && row === undefined) return problem(reply, 404, `device ${id} is not known`);
      // The one that has the commands, else the last that spoke.
      const session = sessions.toSorted((a, b) => Number(b.leads) - Number(a.leads) || b.received - a.received)[0];
      const now = systemClock.now();
      const force = inForce(await office.plans.history(record?.plan ?? UNLIMITED.name), now);
      const policy = POLICIES.read(await office.state.get('policies', id));
      const held = policy === undefined || now >= policy.cycle_end ? [] : policy.held;
      const variant = (await profileOf(office, id))?.learned['variant'];
      const open = (await office.ledger.open(id)).filter(({ created }) => created >= since);
      const sum = (of: (one: Found) => number): number => sessions.reduce((all, one) => all + of(one), 0);
      const flags = {
        contested: sessions.some(({ contested }) => contested),
        provisional: record?.provisional === true,
        recovery: record?.recovery !== undefined && now < record.recovery.until,
        relay: record?.privacy === 'relay',
        several_connections: sessions.length > 1,
      };
      const isPlaced = row !== undefined && !Number.isNaN(row.lat);
      return {
        device: id,
        connected: session !== undefined,
        ...(session === undefined
          ? {}
          : { since: session.since, worker: workerOf(session), peer: session.peer, transport: session.transport }),
        ...((session?.protocol ?? record?.protocol) === undefined ? {} : { protocol: session?.protocol ?? record?.protocol }),
        ...(variant === undefined ? {} : { variant }),
        ...((session?.received ?? row?.received) === undefined ? {} : { received: session?.received ?? row?.received }),
        ...(row === undefined || row.time === 0 ? {} : { last_record: row.time }),
        ...(await accountStateOf(office, record?.account)),
        state: row?.state ?? (session === undefined ? 'offline' : 'standing'),
        held,
        usage_pct: await usagePct(office, record, force, since),
        bytes_in: sum((one) => one.bytes_in),
        bytes_out: sum((one) => one.bytes_out),
        frames: sum((one) => one.frames),
        malformed: sum((one) => one.malformed),
        owed: sum((one) => one.owed),
        commands_open: open.length,
        flags: Object.entries(flags).flatMap(([name, holds]) => (holds ? [name] : [])),
        ...(isPlaced && allows(token, 'locations')
          ? { place: { lat: row.lat, lon: row.lon, speed_kmh: row.speedKmh, course_deg: row.courseDeg, time: row.time } }
          : {}),
        ...(partial ? { partial } : {}),
      };
    },
  }),
];

/** The last position, as far as the caller may see it. */
function rowOf({ live }: ApiOffice, device: string, share: Share | undefined): Row | undefined {
  const row = live.positions.get(device);
  if (row === undefined || share === undefined) return row;
  if (!share.accounts.has(row.account) || row.received < share.since) return undefined;
  return row.time < share.since ? { ...row, lat: Number.NaN, time: 0 } : row;
}

/** Of the cycle that is running, since the device is of its account. */
async function usagePct({ state: store }: ApiOffice, device: Device | undefined, force: InForce, since: number): Promise<number> {
  if (device === undefined) return 0;
  const { cycle, pct, passed_at = 0 } = await readUsage(store, device, force);
  return Math.max(cycle.start, passed_at) >= since ? Math.round(10 * pct) / 10 : 0;
}

/** What the account of a device is, when it is not simply active. */
async function accountStateOf({ accounts }: ApiOffice, id: string | undefined): Promise<object> {
  const account = id === undefined ? undefined : await accounts.get(id);
  if (account === undefined || (account.state === 'active' && account.ending_since === undefined)) return {};
  const { state: is, reason } = account;
  return { account_state: { state: is === 'active' ? 'ending' : is, ...(reason === undefined ? {} : { reason }) } };
}

function shown(one: Found): z.infer<typeof connection> {
  const { number, leads, contested, worker, ...facts } = one;
  return { id: idOf(one), ...facts, worker: workerOf(one) };
}

function workerOf({ worker }: Found): string {
  return `worker-${worker}`;
}

function idOf({ worker, number }: Pick<Found, 'worker' | 'number'>): string {
  return `${worker}-${number}`;
}

function placeOf(id: string): { worker: number; number: number } {
  const [worker = 0, number = 0] = id.split('-').map(Number);
  return { worker, number };
}
