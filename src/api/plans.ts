import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { planName, planSchema } from '../fleet/plan/plan.ts';
import type { Effective } from '../fleet/plan/plan-records.ts';
import { inForce } from '../fleet/plan/versions.ts';
import { changedInto } from '../fleet/privacy/trail.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const params = z.strictObject({ name: planName });
const planBody = planSchema
  .omit({ name: true })
  .extend({ name: planName.optional().describe('as in the path') })
  .describe('service plan');

const effective = z
  .string()
  .refine((text) => text === 'now' || text === 'next_cycle' || dateOf(text) !== undefined, 'must be now, next_cycle or a date YYYY-MM-DD')
  .describe(
    'from when the change holds: `now`, `next_cycle`, or the first cycle that begins on this day or later. Without it `next_cycle`, or `now` when no device is on the plan',
  );
const from = z.int().describe('epoch ms; 0: from the beginning');
const version = planSchema.extend({ version: z.int(), from });
const versions = z
  .object({
    plan: z.string(),
    versions: z.array(version.extend({ made: z.int(), by: z.string(), in_force: z.boolean() })),
  })
  .meta({ id: 'plan_versions' });

/** Service plans (docs/plans.md). */
export const PLAN_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/plans',
    scope: 'read',
    limits: 'rows',
    audits: 'nothing',
    about: 'All plans. `default` is always among them.',
    params: NOTHING,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the plans', schema: z.object({ plans: z.array(planSchema) }) } },
    async run({ office, reach }) {
      const own = await reach?.plans();
      return { plans: (await office.plans.list()).filter(({ name }) => own?.has(name) !== false) };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/plans/{name}',
    scope: 'read',
    limits: 'rows',
    audits: 'nothing',
    about: 'One plan.',
    params,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the plan', schema: planSchema }, 404: { about: 'unknown plan' } },
    async run({ params: { name }, office, reach, reply }) {
      const isOwn = (await reach?.plans())?.has(name) !== false;
      return (isOwn ? await office.plans.get(name) : undefined) ?? problem(reply, 404, `unknown plan "${name}"`);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/plans/{name}/versions',
    scope: 'read',
    limits: 'rows',
    audits: 'nothing',
    about: 'The versions of a plan, oldest first, also those that are still to come.',
    params,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the versions', schema: versions }, 404: { about: 'unknown plan' } },
    async run({ params: { name }, office, reach, reply }) {
      const isOwn = (await reach?.plans())?.has(name) !== false;
      if (!isOwn || (await office.plans.get(name)) === undefined) return problem(reply, 404, `unknown plan "${name}"`);
      const history = await office.plans.history(name);
      const current = inForce(history, systemClock.now()).version;
      const shown = history.versions.map((one) => {
        const { plan, version: number, from: since, made, by } = one;
        // Who of the operator it was is not for accounts.
        return { ...plan, version: number, from: since, made, by: reach === undefined ? by : '', in_force: number === current };
      });
      return { plan: name, versions: shown };
    },
  }),
  route({
    method: 'PUT',
    path: '/v1/plans/{name}',
    scope: 'plans',
    audits: 'change',
    about: 'Create a plan, or a new version of it. Missing fields take their defaults. No closed cycle is changed by it.',
    params,
    query: z.strictObject({ effective: effective.optional() }),
    body: planBody,
    answers: {
      200: { about: 'the version, and from when it holds', schema: version },
      201: { about: 'made', schema: version },
      422: { about: 'the date has begun' },
    },
    async run({ params: { name }, query, body, token, office, call, reply }) {
      if (body.name !== undefined && body.name !== name)
        return problem(reply, 400, 'invalid request', [{ field: 'name', problem: `must be "${name}" as in the path` }]);
      const { effective: when } = query;
      call.old = await office.plans.get(name);
      const change = await office.plans.put(
        { ...body, name },
        token.name,
        when === undefined ? () => office.deviceRecords.isOnPlan(name) : effectiveOf(when),
      );
      if (change === 'past')
        return problem(reply, 422, 'invalid request', [{ field: 'effective', problem: `${when} has begun; choose a later day, or now` }]);
      const { made, version: put } = change;
      call.new = { ...put.plan, version: put.version, from: put.from };
      return reply.code(made ? 201 : 200).send({ ...put.plan, version: put.version, from: put.from });
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/plans/{name}',
    scope: 'plans',
    audits: 'change',
    about: 'Remove a plan without devices. Without its record, `default` has no caps.',
    params,
    query: NOTHING,
    body: NO_BODY,
    answers: { 204: { about: 'removed' }, 404: { about: 'unknown plan' }, 409: { about: 'devices are on this plan' } },
    async run({ params: { name }, token, office, call, reply }) {
      changedInto(call, `plans/${name}`, await office.plans.get(name), undefined);
      const outcome = await office.plans.remove(name, token.name, () => office.deviceRecords.isOnPlan(name));
      if (outcome === 'unknown') return problem(reply, 404, `unknown plan "${name}"`);
      if (outcome === 'used')
        return problem(
          reply,
          409,
          `devices are on the plan "${name}": GET /v1/devices?plan=${name} lists them; move them to another plan first`,
        );
      return reply.code(204).send();
    },
  }),
];

function effectiveOf(text: string): Effective {
  const date = dateOf(text);
  return date !== undefined ? { date } : text === 'now' ? 'now' : 'next_cycle';
}

/** Midnight of the day as if it were UTC, epoch ms; undefined if the text is not a date. */
function dateOf(text: string): number | undefined {
  const date = Date.parse(`${text}T00:00:00Z`);
  return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(date) ? date : undefined;
}
