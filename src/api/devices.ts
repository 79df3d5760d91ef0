import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { intents, withMoments } from '../fleet/plan/intents.ts';
import { stepSchema } from '../fleet/plan/plan.ts';
import { POLICIES } from '../fleet/plan/steps.ts';
import { forecastOf, ownUsage, readUsage } from '../fleet/plan/usage.ts';
import { type InForce, inForce, pricedBy } from '../fleet/plan/versions.ts';
import { type Call, changedInto } from '../fleet/privacy/trail.ts';
import { type Device, deviceId, devicePatchSchema, deviceSchema } from '../fleet/registry/device.ts';
import type { Change } from '../fleet/registry/device-records.ts';
import type { FieldProblem } from '../fleet/registry/field-problem.ts';
import { OWNERS, periodSchema, periodsOf } from '../fleet/registry/owners.ts';
import { STANDING, standingSchema } from '../fleet/registry/standing.ts';
import { DEVICE_STATES } from '../live/positions.ts';
import type { ApiOffice } from './office.ts';
import { problem } from './problem.ts';
import type { Reach } from './reach.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const ofDevice = z.strictObject({ id: deviceId });
const filter = z.strictObject({
  after: z.string().max(200).optional().describe('last id of the previous page'),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  account: z.string().max(64).optional(),
  plan: z.string().max(64).optional(),
  state: deviceSchema.shape.state.unwrap().optional(),
  q: z.string().min(1).max(64).optional().describe('part of the id, of an alias or of the account'),
  connected: z.stringbool().optional(),
  silent: z.stringbool().optional().describe('connected, and nothing came for three intervals, at least 5 minutes'),
  with: z.literal('live').optional().describe('adds `live` to each device: what it is like now'),
});
const live = z.object({
  connected: z.boolean(),
  state: z.enum(DEVICE_STATES),
  received: z.int().optional().describe('when something came last'),
  usage_pct: z.number().describe('of the cap, in this cycle; 0 without one'),
});
const replacement = deviceSchema.omit({ id: true }).extend({ id: deviceId.optional().describe('as in the path') });
const identity = standingSchema.extend({ device: z.string() });
const pick = z.strictObject({ address: z.union([z.ipv4(), z.ipv6()]).describe('address of the session that is the device') });
const profile = z.object({ device: z.string(), protocol: z.string(), learned: z.record(z.string(), z.string()), updated: z.int() });
const count = z.number();
/** Of a running cycle. */
export const expected = {
  expected_bytes: z.int().optional().describe('billed at the end of the running cycle, if it goes on like this'),
  expected_records: z.int().optional(),
  cap_at: z.int().optional().describe('when a cap is reached then, epoch ms; absent: not in this cycle, or it is reached already'),
};
const cycle = z.object({
  start: z.int().describe('of the billing cycle, epoch ms'),
  end: z.int(),
  bytes_in: count,
  bytes_out: count,
  segments: count,
  datagrams: count,
  records: count,
  texts_in: count.optional().describe('text messages; not in the other numbers'),
  texts_out: count.optional(),
  billed_bytes: count.describe('both ways, with overhead, rounded'),
  bytes_cap: count.optional().describe('of this cycle'),
  bytes_pct: count.optional().describe('share of the cap'),
  records_cap: count.optional(),
  records_pct: count.optional(),
  plan_version: z.int().describe('version of the plan that the cycle is priced by'),
  ...expected,
});
const usage = z.object({
  device: z.string(),
  plan: z.string(),
  time_zone: z.string().describe('of the plan: in which cycles begin'),
  held: z.array(stepSchema).describe('steps of the plan that hold now'),
  cycles: z.array(cycle),
});
const device = { about: 'the device', schema: deviceSchema };
const unknown = { about: 'unknown device' };
const wrong = { about: 'invalid device' };
const taken = { about: 'identifier already in use by another device' };

/** Devices (docs/registry.md). */
export const DEVICE_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/devices',
    scope: 'read',
    limits: 'rows',
    audits: 'read',
    about: 'Devices by id; filters are combined with AND.',
    params: NOTHING,
    query: filter,
    body: NO_BODY,
    answers: {
      200: {
        about: 'the devices; pass `next` as `after` for the next page',
        schema: z.object({ devices: z.array(deviceSchema.extend({ live: live.optional() })), next: z.string().optional() }),
      },
    },
    async run({ query: { after, limit, connected, silent, with: also, ...of }, reach, office }) {
      const { positions } = office.live;
      const isWanted = ({ id, account = '' }: Device): boolean =>
        (reach === undefined || reach.accounts.has(account)) &&
        (connected === undefined || office.isConnected(id) === connected) &&
        (silent === undefined || (positions.get(id)?.state === 'silent') === silent);
      const found = await office.deviceRecords.list(of, after, limit, isWanted);
      return also === undefined ? found : { ...found, devices: await withLive(office, reach, found.devices) };
    },
  }),
  route({
    method: 'POST',
    path: '/v1/devices',
    scope: 'devices',
    audits: 'change',
    about: 'Create a device.',
    params: NOTHING,
    query: NOTHING,
    body: deviceSchema,
    answers: { 201: device, 409: { about: 'the id exists, or is an alias' }, 422: wrong },
    run: async ({ body, token, office, call, reply }) => changed(reply, body.id, await office.deviceRecords.create(body, token.name), call),
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}',
    scope: 'read',
    limits: 'owner',
    audits: 'read',
    about: 'One device, by its id or an alias.',
    params: ofDevice,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: device, 404: unknown },
    run: async ({ params: { id }, office, reply }) =>
      (await office.deviceRecords.get(id)) ?? problem(reply, 404, `device ${id} is not known`),
  }),
  route({
    method: 'PUT',
    path: '/v1/devices/{id}',
    scope: 'devices',
    audits: 'change',
    about: 'Create a device, or replace its record. Missing fields take their defaults; learned values and recovery are kept.',
    params: ofDevice,
    query: NOTHING,
    body: replacement,
    answers: { 200: device, 201: device, 409: taken, 422: wrong },
    async run({ params: { id }, body, token, office, call, reply }) {
      if (body.id !== undefined && body.id !== id) return otherId(reply, id);
      return changed(reply, id, await office.deviceRecords.replace({ ...body, id }, token.name), call);
    },
  }),
  route({
    method: 'PATCH',
    path: '/v1/devices/{id}',
    scope: 'devices',
    audits: 'change',
    about: 'Change fields of a device; `null` removes one.',
    params: ofDevice,
    query: NOTHING,
    body: devicePatchSchema.extend(intents),
    answers: { 200: device, 404: unknown, 409: taken, 422: wrong },
    async run({ params: { id }, body, token, office, call, reply }) {
      if (body['id'] !== undefined && body['id'] !== id) return otherId(reply, id);
      const plan = typeof body['plan'] === 'string' ? body['plan'] : ((await office.deviceRecords.get(id))?.plan ?? 'default');
      const patch = withMoments(body, await office.plans.history(plan), systemClock.now());
      return changed(reply, id, await office.deviceRecords.patch(id, patch, token.name), call);
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/devices/{id}',
    scope: 'devices',
    audits: 'change',
    about: 'Remove the record of a device. Its data is kept.',
    params: ofDevice,
    query: NOTHING,
    body: NO_BODY,
    answers: { 204: { about: 'removed' }, 404: unknown },
    async run({ params: { id }, token, office, call, reply }) {
      const change = await office.deviceRecords.remove(id, token.name);
      if ('refused' in change) return changed(reply, id, change, call);
      changedInto(call, `devices/${id}`, change.before, undefined);
      return reply.code(204).send();
    },
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}/identity',
    scope: 'read',
    audits: 'read',
    about: 'Networks that the device has used, and whether sessions from two addresses contradict each other.',
    params: ofDevice,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'networks and addresses', schema: identity }, 404: { about: 'the device has never connected' } },
    async run({ params, office, reply }) {
      const id = await office.deviceRecords.idOf(params.id);
      const noted = STANDING.read(await office.state.get('standing', id));
      if (noted === undefined) return problem(reply, 404, `device ${id} has never connected`);
      return { device: id, ...noted };
    },
  }),
  route({
    method: 'POST',
    path: '/v1/devices/{id}/identity',
    scope: 'engine',
    audits: 'change',
    about: 'Select the address that belongs to the device: critical commands that were held are sent there.',
    params: ofDevice,
    query: NOTHING,
    body: pick,
    answers: { 200: { about: 'networks and addresses', schema: identity }, 404: { about: 'the device has never connected' } },
    async run({ params, body, token, office, reply }) {
      const id = await office.deviceRecords.idOf(params.id);
      if (!(await office.pick(id, body.address, token.name))) return problem(reply, 404, `device ${id} has never connected`);
      return { device: id, ...STANDING.read(await office.state.get('standing', id)) };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}/usage',
    scope: 'read',
    limits: 'owner',
    audits: 'read',
    about: 'Usage by billing cycle, newest first.',
    params: ofDevice,
    query: z.strictObject({ limit: z.coerce.number().int().min(1).max(100).default(12).describe('cycles') }),
    body: NO_BODY,
    answers: { 200: { about: 'the cycles', schema: usage }, 404: unknown },
    async run({ params, query: { limit }, share, office, reply }) {
      const known = await office.deviceRecords.get(params.id);
      if (known === undefined) return problem(reply, 404, `device ${params.id} is not known`);
      const found = await office.state.list('usage', { prefix: `${known.id} `, limit: 1000 });
      const history = await office.plans.history(known.plan);
      const now = systemClock.now();
      const cycles = found.map(({ key, value }) => {
        const start = Number(key.slice(known.id.length + 1));
        // The device may have been on a plan with another anchor day then.
        const { plan, version, cycle: as } = pricedBy(history, start);
        const { cycle: _cycle, pct: _, passed_at = start, ...used } = ownUsage(value, known, { plan, cycle: as });
        const begun = Math.max(start, passed_at);
        const active = Math.max(begun, known.activates_at ?? known.first_seen ?? 0);
        const forecast = as.end > now && active < now ? forecastOf(used, active, now, as.end) : {};
        return { start: begun, end: as.end, ...used, plan_version: version, ...forecast };
      });
      // One that has usage of another account, of before there was that, is not shown.
      const since = share?.since ?? 0;
      const policy = POLICIES.read(await office.state.get('policies', known.id));
      const held = policy === undefined || systemClock.now() >= policy.cycle_end ? [] : policy.held;
      return {
        device: known.id,
        plan: known.plan,
        time_zone: inForce(history, systemClock.now()).plan.time_zone,
        held,
        cycles: cycles
          .filter(({ start }) => start >= since)
          .sort((a, b) => b.start - a.start)
          .slice(0, limit),
      };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}/owners',
    scope: 'read',
    limits: 'periods',
    audits: 'read',
    about: 'Whose the device was, and when; oldest first.',
    params: ofDevice,
    query: NOTHING,
    body: NO_BODY,
    answers: {
      200: {
        about: 'the periods',
        schema: z.object({ device: z.string(), periods: z.array(periodSchema) }),
        example: { device: '356307042441013', periods: [{ account: 'acme', from: 1_793_491_200_000, to: 1_796_083_200_000 }] },
      },
      404: unknown,
    },
    async run({ params: { id }, share, office, reply }) {
      const known = await office.deviceRecords.get(id);
      const own = share?.device ?? known?.id ?? id;
      const periods = periodsOf(await OWNERS.get(office.state, own), known);
      if (periods.length === 0) return problem(reply, 404, `device ${id} is not known`);
      return { device: own, periods: periods.filter(({ account }) => share === undefined || share.accounts.has(account)) };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}/profile',
    scope: 'read',
    limits: 'owner',
    audits: 'read',
    about: 'What the codec has learned about a device, by the names of the options that override it.',
    params: ofDevice,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the profile', schema: profile }, 404: { about: 'no profile' } },
    async run({ params, share, office, reply }) {
      const id = await office.deviceRecords.idOf(params.id);
      const found = await profileOf(office, id);
      return found !== undefined && found.updated >= (share?.since ?? 0) ? found : problem(reply, 404, `no profile of device ${id}`);
    },
  }),
];

/** The devices with what they are like now. */
async function withLive(office: ApiOffice, reach: Reach | undefined, devices: readonly Device[]): Promise<object[]> {
  const plans = new Map<string, InForce>();
  const now = systemClock.now();
  return Promise.all(
    devices.map(async (one) => {
      const plan = plans.get(one.plan) ?? inForce(await office.plans.history(one.plan), now);
      plans.set(one.plan, plan);
      const { pct, passed_at = 0, cycle: running } = await readUsage(office.state, one, plan);
      const since = reach === undefined ? 0 : ((await reach.share(one.id))?.since ?? now);
      const found = office.live.positions.get(one.id);
      const row = found !== undefined && found.received >= since ? found : undefined;
      const connected = office.isConnected(one.id);
      const state = row?.state ?? (connected ? 'standing' : 'offline');
      const received = row === undefined ? {} : { received: row.received };
      return {
        ...one,
        live: { connected, state, ...received, usage_pct: Math.max(running.start, passed_at) >= since ? Math.round(10 * pct) / 10 : 0 },
      };
    }),
  );
}

/** What the codec has learned about the device; undefined: nothing. */
export async function profileOf(
  { state, codecs, deviceRecords }: Pick<ApiOffice, 'state' | 'codecs' | 'deviceRecords'>,
  id: string,
): Promise<z.infer<typeof profile> | undefined> {
  const unit = (await deviceRecords.get(id))?.unit ?? id;
  const found = await new Promise<Parameters<Parameters<typeof state.findProfile>[1]>[0]>((resolve) => state.findProfile(unit, resolve));
  const codec = found === undefined ? undefined : codecs.get(found.codec);
  if (found === undefined || codec === undefined) return undefined;
  const clock = found.clock === undefined ? {} : { clock_offset: `${found.clock} min` };
  const learned = { ...(codec.tcp ?? codec.udp)?.describeMemo?.(found.memo), ...clock };
  return { device: id, protocol: codec.name, learned, updated: found.updated };
}

/** Answers what a change has come to. */
export function changed(reply: FastifyReply, id: string, change: Change, call: Call): FastifyReply {
  if (!('refused' in change)) {
    changedInto(call, `devices/${id}`, change.before, change.after);
    call.devices = [id];
    call.account = change.after?.account ?? '';
  }
  if (!('refused' in change)) return reply.code(change.before === undefined ? 201 : 200).send(change.after);
  const status = { unknown: 404, exists: 409, conflict: 409, busy: 409, invalid: 422 }[change.refused];
  const title = {
    unknown: `device ${id} is not known`,
    exists: `device ${id} already exists`,
    conflict: conflictTitle(id, change.problems),
    busy: `concurrent change of device ${id}; retry`,
    invalid: 'invalid device',
  }[change.refused];
  return problem(reply, status, title, change.problems);
}

function conflictTitle(id: string, problems: readonly FieldProblem[]): string {
  if (problems.some(({ field }) => field === 'state')) return `device ${id} is terminated`;
  if (problems.some(({ field }) => field === 'recovery')) return `the plan of device ${id} does not include recovery`;
  if (problems.some(({ field }) => field === 'unit')) return `the unit cannot be put into device ${id}`;
  return 'identifier already in use by another device';
}

function otherId(reply: FastifyReply, id: string): FastifyReply {
  return problem(reply, 400, 'invalid request', [{ field: 'id', problem: `must be "${id}" as in the path` }]);
}
