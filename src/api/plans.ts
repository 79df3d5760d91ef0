import { z } from 'zod';
import { planName, planSchema } from '../fleet/plan/plan.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const params = z.strictObject({ name: planName });
const planBody = planSchema
  .omit({ name: true })
  .extend({ name: planName.optional().describe('as in the path') })
  .describe('service plan');

/** Service plans (docs/plans.md). */
export const PLAN_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/plans',
    scope: 'read',
    about: 'All plans. `default` is always among them.',
    params: NOTHING,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the plans', schema: z.object({ plans: z.array(planSchema) }) } },
    run: async ({ office }) => ({ plans: await office.plans.list() }),
  }),
  route({
    method: 'GET',
    path: '/v1/plans/{name}',
    scope: 'read',
    about: 'One plan.',
    params,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the plan', schema: planSchema }, 404: { about: 'unknown plan' } },
    run: async ({ params: { name }, office, reply }) => (await office.plans.get(name)) ?? problem(reply, 404, `unknown plan "${name}"`),
  }),
  route({
    method: 'PUT',
    path: '/v1/plans/{name}',
    scope: 'plans',
    about: 'Create or replace a plan. Missing fields take their defaults.',
    params,
    query: NOTHING,
    body: planBody,
    answers: { 200: { about: 'replaced', schema: planSchema }, 201: { about: 'made', schema: planSchema } },
    async run({ params: { name }, body, token, office, reply }) {
      if (body.name !== undefined && body.name !== name)
        return problem(reply, 400, 'invalid request', [{ field: 'name', problem: `must be "${name}" as in the path` }]);
      const plan = { ...body, name };
      const made = await office.plans.put(plan, token.name);
      return reply.code(made ? 201 : 200).send(plan);
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/plans/{name}',
    scope: 'plans',
    about: 'Remove a plan without devices. Without its record, `default` has no caps.',
    params,
    query: NOTHING,
    body: NO_BODY,
    answers: { 204: { about: 'removed' }, 404: { about: 'unknown plan' }, 409: { about: 'devices are on this plan' } },
    async run({ params: { name }, token, office, reply }) {
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
