import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { SERVICE_STATES } from '../fleet/plan/service.ts';
import { readService } from '../fleet/plan/service-keeper.ts';
import { daysOf, frozenSchema, STATEMENTS, scopeOf, statementOf, statementSchema } from '../fleet/plan/statement.ts';
import { countersOf } from '../fleet/plan/usage.ts';
import type { PlanHistory } from '../fleet/plan/versions.ts';
import { deviceId } from '../fleet/registry/device.ts';
import type { ApiOffice } from './office.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const period = z.object({
  state: z.enum(SERVICE_STATES),
  from: z.int().describe('epoch ms'),
  to: z.int().optional().describe('absent: it lasts'),
  plan: z.string(),
  account: z.string(),
  by: z.string().describe('token that changed it; `time`: a date, `device`: its first contact'),
  reason: z.string(),
});
const service = z.object({ device: z.string(), state: z.enum(SERVICE_STATES), periods: z.array(period) }).meta({ id: 'service' });
const example = {
  device: '356307042441013',
  state: 'active' as const,
  periods: [
    {
      state: 'pending' as const,
      from: 1764460800000,
      to: 1764547200000,
      plan: 'basic',
      account: 'acme',
      by: 'desk',
      reason: 'activates_at',
    },
    { state: 'active' as const, from: 1764547200000, plan: 'basic', account: 'acme', by: 'time', reason: 'activates_at' },
  ],
};

const statement = statementSchema
  .extend({
    provisional: z.boolean().describe('it may still change: the cycle runs, or not all of its usage has arrived'),
    ...frozenSchema.omit({ statement: true }).partial().shape,
  })
  .meta({ id: 'statement' });
const month = z.string().regex(/^\d{4}-\d\d(-\d\d)?$/, 'must be the month or the day on which the cycle begins: YYYY-MM or YYYY-MM-DD');

/** Of all cycles with usage, newest first; those that are not frozen are computed of the sums. */
async function statementsOf(office: ApiOffice, id: string): Promise<z.infer<typeof statement>[]> {
  const now = systemClock.now();
  const periods = (await readService(office.state, id, now))?.periods ?? [];
  const plans = new Map<string, PlanHistory>();
  for (const { plan } of periods) if (!plans.has(plan)) plans.set(plan, await office.plans.history(plan));
  const found = new Map<string, z.infer<typeof statement>>();
  for await (const [key, { statement: frozen, ...rest }] of STATEMENTS.entries(office.state, { prefix: `${id} ` }))
    found.set(key, { ...frozen, provisional: false, ...rest });
  for (const { key, value } of await office.state.list('usage', { prefix: `${id} `, limit: 1000 })) {
    if (found.has(key)) continue;
    const start = Number(key.slice(id.length + 1));
    const scope = scopeOf(periods, plans, start);
    if (scope === undefined) continue;
    const days = daysOf(periods, { from: scope.from, to: Math.min(scope.to, now) });
    found.set(key, { ...statementOf(id, scope, start, countersOf(value), { days }), provisional: true });
  }
  return [...found.values()].sort((a, b) => b.start - a.start);
}

/** Day on which the cycle begins, in its zone. */
function dayOf({ start, time_zone }: { readonly start: number; readonly time_zone: string }): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone: time_zone, dateStyle: 'short' }).format(start);
}

/** Life of a service, and statements (docs/plans.md). */
export const SERVICE_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/devices/{id}/service',
    scope: 'read',
    audits: 'read',
    about: 'In which state a device was from when to when, on which plan and whose, oldest first; also of one that was removed.',
    params: z.strictObject({ id: deviceId }),
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the periods', schema: service, example }, 404: { about: 'unknown device' } },
    async run({ params, office, reply }) {
      const id = await office.deviceRecords.idOf(params.id);
      const periods = (await readService(office.state, id, systemClock.now()))?.periods ?? [];
      const last = periods.at(-1);
      if (last === undefined) return problem(reply, 404, `device ${id} is not known`);
      const shown = periods.map((one, at) => {
        const to = periods[at + 1]?.from;
        return to === undefined ? one : { ...one, to };
      });
      return { device: id, state: last.state, periods: shown };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}/statements',
    scope: 'read',
    audits: 'read',
    about: 'Statements of billing cycles, newest first. Those of closed cycles are frozen, the others provisional.',
    params: z.strictObject({ id: deviceId }),
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the statements', schema: z.object({ device: z.string(), statements: z.array(statement) }) } },
    async run({ params, office }) {
      const id = await office.deviceRecords.idOf(params.id);
      return { device: id, statements: await statementsOf(office, id) };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}/statements/{cycle}',
    scope: 'read',
    audits: 'read',
    about: 'The statement of one billing cycle.',
    params: z.strictObject({ id: deviceId, cycle: month }),
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the statement', schema: statement }, 404: { about: 'no usage in a cycle that begins then' } },
    async run({ params: { id: asked, cycle }, office, reply }) {
      const id = await office.deviceRecords.idOf(asked);
      const found = (await statementsOf(office, id)).find((one) => dayOf(one).startsWith(cycle));
      return found ?? problem(reply, 404, `device ${id} has no statement of a cycle that begins in ${cycle}`);
    },
  }),
];
