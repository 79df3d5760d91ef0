import { z } from 'zod';
import { stepSchema } from '../fleet/plan/plan.ts';
import type { RankedUsage } from '../fleet/plan/usage-ranking.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const pct = z.number();
const usage = z
  .object({
    devices: z.array(
      z.object({
        device: z.string(),
        plan: z.string(),
        billed_bytes: z.int().describe('that count in this cycle: both ways, with the overhead of the plan'),
        records: z.int(),
        bytes_pct: pct.optional().describe('share of the cap in this cycle, per cent; absent without the cap'),
        records_pct: pct.optional(),
        forecast_pct: pct.describe('of the larger share at the end of the cycle, if it goes on like this'),
        held: z.array(stepSchema).describe('steps of the plan that hold'),
      }),
    ),
  })
  .meta({ id: 'usage_ranking' });
const example = {
  devices: [
    { device: '356307042441013', plan: 'basic', billed_bytes: 4_075_000, records: 9_120, bytes_pct: 81.5, forecast_pct: 135.8, held: [] },
  ],
};

/** Usage over all devices (docs/plans.md). */
export const USAGE_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/usage',
    scope: 'read',
    limits: 'rows',
    audits: 'read',
    about:
      'What devices have used in their cycle, as of at most a minute ago: those on plans with a cap, the nearest to it first; or all that have used anything, the most first.',
    params: NOTHING,
    query: z.strictObject({
      plan: z.string().max(64).optional(),
      account: z.string().max(64).optional(),
      over_pct: z.coerce.number().min(0).default(0).describe('only those that have used so much'),
      order: z.enum(['pct', 'bytes', 'records']).default('pct').describe('`bytes` and `records`: by what was used, also without a cap'),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
    }),
    body: NO_BODY,
    answers: { 200: { about: 'the devices', schema: usage, example } },
    async run({ query: { plan, account, over_pct, order, limit }, reach, office }) {
      const { roster } = office.live;
      const maySee = (device: string): boolean =>
        (reach === undefined || reach.has(device)) && (account === undefined || roster.accountOf(device) === account);
      // Of a device that a version of before passed on, the cycle has usage of another account.
      const isSeen = (one: RankedUsage): boolean =>
        (reach === undefined || (reach.has(one.device) && roster.ownedSince(one.device) <= one.since)) &&
        (plan === undefined || one.plan === plan) &&
        (account === undefined || one.account === account) &&
        one.pct >= over_pct;
      const found =
        order === 'pct'
          ? (await office.usage.nearest()).filter(isSeen).slice(0, limit)
          : await office.usage.loudest(order === 'bytes' ? 'billed_bytes' : 'records', { limit, maySee, wants: isSeen });
      return { devices: found.map(({ account: _account, pct: _pct, since: _since, ...shown }) => shown) };
    },
  }),
];
