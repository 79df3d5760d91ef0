import { z } from 'zod';
import { campaignSchema, campaignWantedSchema, listCampaigns, TARGET_STATES, TARGETS, targetSchema } from '../fleet/command/campaign.ts';
import type { Change } from '../fleet/command/campaigner.ts';
import { CRITICAL_SCOPES, CRITICAL_TYPES } from '../fleet/command/critical.ts';
import { deviceId } from '../fleet/registry/device.ts';
import type { Confirmations } from './confirmations.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';
import { allows } from './tokens.ts';

const campaignId = z.string().regex(/^\d{1,16}-[0-9a-f]{8}$/, 'must be a campaign id');
const ofCampaign = z.strictObject({ id: campaignId });
const campaign = campaignSchema.meta({ id: 'campaign' });
const body = campaignWantedSchema.extend({
  confirm: z.string().max(64).optional().describe('key from the answer to the first request, if `commands.confirm` requires a second one'),
});
const example = {
  ...{ id: '1796083199000-5f0c9a31', type: 'set_interval', parameters: { seconds: 60 }, reason: 'winter', selection: { plan: 'gold' } },
  ...{ rate: 60, canary_pct: 5, expires_s: 86_400, by: 'fleet', created: 1_796_083_199_000, ended: 0, state: 'running' as const, note: '' },
  ...{ devices: 400, canaries: 20, counts: { waiting: 380, open: 3, succeeded: 17, failed: 0, cancelled: 0 } },
};
const none = { about: 'no such campaign' };

/** Campaigns (docs/commands.md). */
export function campaignRoutes(confirmations: Confirmations): readonly Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/campaigns',
      scope: 'commands',
      audits: 'change',
      about: 'Begin a campaign: one command to a selection of devices. One that may keep vehicles from driving is refused by each.',
      params: NOTHING,
      query: NOTHING,
      body,
      answers: {
        201: { about: 'it runs', schema: campaign, example },
        422: { about: 'the selection has no device, or more than 100 000' },
        428: { about: 'confirmation required' },
      },
      async run({ body: { confirm, ...wanted }, token, office, reply }) {
        if (confirmations.isNeeded && !confirmations.isGiven(confirm, token, '', wanted))
          return confirmations.ask(reply, token, '', wanted);
        const permits = CRITICAL_TYPES.filter((type) => allows(token, CRITICAL_SCOPES[type]));
        const begun = await office.campaigner.begin(wanted, token.name, permits);
        if (begun !== undefined) return reply.code(201).header('location', `/v1/campaigns/${begun.id}`).send(begun);
        return problem(reply, 422, 'invalid selection', [{ field: 'selection', problem: 'must have 1 to 100 000 devices' }]);
      },
    }),
    ...READING_ROUTES,
    ...CHANGES.map(([change, about]) =>
      route({
        method: 'POST',
        path: `/v1/campaigns/{id}/${change}`,
        scope: 'commands',
        audits: 'change',
        about,
        params: ofCampaign,
        query: NOTHING,
        body: NO_BODY,
        answers: { 200: { about: 'the campaign', schema: campaign, example }, 404: none, 409: { about: 'it has ended' } },
        async run({ params: { id }, token, office, reply }) {
          const found = await office.campaigner.change(id, change, token.name);
          if (found === undefined) return problem(reply, 404, `campaign ${id} is not known`);
          return found.ended > 0 ? problem(reply, 409, `campaign ${id} is ${found.state}`) : found;
        },
      }),
    ),
  ];
}

const CHANGES: readonly (readonly [Change, string])[] = [
  ['pause', 'Pause a campaign: no further device gets the command.'],
  ['resume', 'Resume a paused campaign.'],
  ['cancel', 'Cancel a campaign: no further device gets the command, and commands that are queued are cancelled.'],
];

const READING_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/campaigns',
    scope: 'read',
    audits: 'read',
    about: 'All campaigns, newest first.',
    params: NOTHING,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the campaigns', schema: z.object({ campaigns: z.array(campaign) }), example: { campaigns: [example] } } },
    run: async ({ office }) => ({ campaigns: await listCampaigns(office.state) }),
  }),
  route({
    method: 'GET',
    path: '/v1/campaigns/{id}',
    scope: 'read',
    audits: 'read',
    about: 'A campaign and its progress.',
    params: ofCampaign,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the campaign', schema: campaign, example }, 404: none },
    run: async ({ params: { id }, office, reply }) =>
      (await office.campaigner.get(id)) ?? problem(reply, 404, `campaign ${id} is not known`),
  }),
  route({
    method: 'GET',
    path: '/v1/campaigns/{id}/devices',
    scope: 'read',
    audits: 'read',
    about: 'The devices of a campaign, by id, with the result of each.',
    params: ofCampaign,
    query: z.strictObject({
      state: z.enum(TARGET_STATES).optional(),
      after: deviceId.optional().describe('`next` of the page before'),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
    }),
    body: NO_BODY,
    answers: {
      200: {
        about: 'the devices; pass `next` as `after` for the next page',
        schema: z.object({ devices: z.array(targetSchema), next: z.string().optional() }),
      },
    },
    async run({ params: { id }, query: { state, after, limit }, office }) {
      const devices: z.infer<typeof targetSchema>[] = [];
      const from = after === undefined ? undefined : TARGETS.key(id, after);
      for await (const [, target] of TARGETS.entries(office.state, { prefix: `${id} `, after: from })) {
        if (state !== undefined && target.state !== state) continue;
        if (devices.length === limit) return { devices, next: devices.at(-1)?.device };
        devices.push(target);
      }
      return { devices };
    },
  }),
];
