import { z } from 'zod';
import { stepSchema } from '../fleet/plan/plan.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const pct = z.number();
const usage = z
  .object({
    devices: z.array(
      z.object({
        device: z.string(),
        plan: z.string(),
        bytes_pct: pct.optional().describe('share of the cap in this cycle, per cent; absent without the cap'),
        records_pct: pct.optional(),
        forecast_pct: pct.describe('of the larger share at the end of the cycle, if it goes on like this'),
        held: z.array(stepSchema).describe('steps of the plan that hold'),
      }),
    ),
  })
  .meta({ id: 'usage_ranking' });
const example = { devices: [{ device: '356307042441013', plan: 'basic', bytes_pct: 81.5, forecast_pct: 135.8, held: [] }] };

/** Usage over all devices (docs/plans.md). */
export const USAGE_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/usage',
    scope: 'read',
    limits: 'rows',
    audits: 'read',
    about: 'Devices on plans with a cap, the nearest to it first; as of at most a minute ago.',
    params: NOTHING,
    query: z.strictObject({
      plan: z.string().max(64).optional(),
      account: z.string().max(64).optional(),
      over_pct: z.coerce.number().min(0).default(0).describe('only those that have used so much'),
      order: z.literal('pct').default('pct'),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
    }),
    body: NO_BODY,
    answers: { 200: { about: 'the devices', schema: usage, example } },
    async run({ query: { plan, account, over_pct, limit }, reach, office }) {
      const { roster } = office.live;
      // Of a device that a version of before passed on, the cycle has usage of another account.
      const isSeen = (device: string, since: number): boolean =>
        reach === undefined || (reach.has(device) && roster.ownedSince(device) <= since);
      const found = (await office.usage.list()).filter(
        (one) =>
          isSeen(one.device, one.since) &&
          (plan === undefined || one.plan === plan) &&
          (account === undefined || one.account === account) &&
          one.pct >= over_pct,
      );
      return { devices: found.slice(0, limit).map(({ account: _account, pct: _pct, since: _since, ...shown }) => shown) };
    },
  }),
];
