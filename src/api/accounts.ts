import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { changedInto } from '../fleet/privacy/trail.ts';
import { accountId, accountPatchSchema, accountSchema, consentFields, newAccountSchema, purpose } from '../fleet/registry/account.ts';
import type { AccountChange } from '../fleet/registry/account-records.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const params = z.strictObject({ id: accountId });
const consented = z.strictObject({ id: accountId, purpose });
const reason = z.string().min(1).max(200);
const shown = accountSchema.meta({ id: 'account' });
const example = {
  id: 'acme',
  name: 'Acme Haulage Ltd',
  time_zone: 'Europe/Berlin',
  labels: { tariff: 'fleet' },
  consents: { insurer: { fields: ['speed_kmh', 'odometer_m'], since: 1_796_083_199_000 } },
  state: 'suspended',
  reason: 'invoice 2026-10 is open',
  since: 1_796_083_200_000,
  created: 1_793_491_200_000,
};
const found = { about: 'the account', schema: shown, example };
const unknown = { about: 'unknown account' };

/** Accounts (docs/accounts.md). */
export const ACCOUNT_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/accounts',
    scope: 'read',
    limits: 'rows',
    audits: 'read',
    about: 'Accounts by id. One that devices name and that has no record is not among them.',
    params: NOTHING,
    query: z.strictObject({
      state: accountSchema.shape.state.unwrap().optional(),
      after: z.string().max(200).optional().describe('last id of the previous page'),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
    }),
    body: NO_BODY,
    answers: {
      200: {
        about: 'the accounts; pass `next` as `after` for the next page',
        schema: z.object({ accounts: z.array(shown), next: z.string().optional() }),
        example: { accounts: [example] },
      },
    },
    run: ({ query: { state, after, limit }, reach, office }) =>
      office.accounts.list(
        after,
        limit,
        (one) => (state === undefined || one.state === state) && (reach === undefined || reach.accounts.has(one.id)),
      ),
  }),
  route({
    method: 'POST',
    path: '/v1/accounts',
    scope: 'devices',
    audits: 'change',
    about: 'Create an account. Devices that name it already are its devices.',
    params: NOTHING,
    query: NOTHING,
    body: newAccountSchema,
    answers: { 201: found, 409: { about: 'the id exists' } },
    run: async ({ body, token, office, reply }) => changed(reply, body.id, await office.accounts.create(body, token.name), 201),
  }),
  route({
    method: 'GET',
    path: '/v1/accounts/{id}',
    scope: 'read',
    limits: 'rows',
    audits: 'read',
    about: 'One account.',
    params,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: found, 404: unknown },
    async run({ params: { id }, reach, office, reply }) {
      const account = reach?.accounts.has(id) === false ? undefined : await office.accounts.get(id);
      return account ?? problem(reply, 404, `account ${id} is not known`);
    },
  }),
  route({
    method: 'PATCH',
    path: '/v1/accounts/{id}',
    scope: 'devices',
    audits: 'change',
    about: 'Change fields of an account; `null` gives one its default. Its state has operations of its own.',
    params,
    query: NOTHING,
    body: accountPatchSchema,
    answers: { 200: found, 404: unknown },
    run: async ({ params: { id }, body, token, office, reply }) => changed(reply, id, await office.accounts.patch(id, body, token.name)),
  }),
  route({
    method: 'POST',
    path: '/v1/accounts/{id}/suspend',
    scope: 'devices',
    audits: 'change',
    about: 'Suspend an account: all its devices are served like suspended ones, connected ones within 2 seconds.',
    params,
    query: NOTHING,
    body: z.strictObject({ reason }),
    answers: { 200: found, 404: unknown, 409: { about: 'the account is closed' } },
    run: async ({ params: { id }, body, token, office, reply }) =>
      changed(reply, id, await office.accounts.suspend(id, body.reason, token.name)),
  }),
  route({
    method: 'POST',
    path: '/v1/accounts/{id}/resume',
    scope: 'devices',
    audits: 'change',
    about: 'Resume an account that is suspended or is being closed. A device that is suspended by itself stays so.',
    params,
    query: NOTHING,
    body: z.strictObject({
      reason: reason.optional(),
      reopen: z.boolean().default(false).describe('also when it is closed'),
    }),
    answers: { 200: found, 404: unknown, 409: { about: 'the account is closed, and `reopen` was not given' } },
    run: async ({ params: { id }, body, token, office, reply }) =>
      changed(reply, id, await office.accounts.resume(id, body.reason, body.reopen, token.name)),
  }),
  route({
    method: 'POST',
    path: '/v1/accounts/{id}/close',
    scope: 'devices',
    audits: 'change',
    about: 'Close an account: all its devices are served like terminated ones, at once or each from the end of its cycle on.',
    params,
    query: NOTHING,
    body: z.strictObject({
      reason,
      at: z.enum(['now', 'cycle_end']).default('now').describe('cycle_end: a device is served to the end of the cycle that is running'),
    }),
    answers: { 200: found, 404: unknown, 409: { about: 'the account is closed' } },
    run: async ({ params: { id }, body, token, office, reply }) =>
      changed(reply, id, await office.accounts.close(id, body.reason, body.at, token.name)),
  }),
  route({
    method: 'PUT',
    path: '/v1/accounts/{id}/consents/{purpose}',
    scope: 'devices',
    audits: 'change',
    about:
      'Give the consent of an account, or change what it covers: records of its devices go to the streams of recipients with this purpose. A change holds for everything that is not delivered yet.',
    params: consented,
    query: NOTHING,
    body: z.strictObject({ fields: consentFields }),
    answers: { 200: found, 404: unknown },
    async run({ params: { id, purpose: of }, body, token, office, call, reply }) {
      const change = await office.accounts.consent(id, of, body.fields, token.name);
      if ('account' in change) changedInto(call, `accounts/${id}/consents/${of}`, change.before?.consents[of], change.account.consents[of]);
      return changed(reply, id, change);
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/accounts/{id}/consents/{purpose}',
    scope: 'devices',
    audits: 'change',
    about:
      'Withdraw the consent of an account: nothing that is received from now on is passed on for this purpose, nor what is not delivered yet.',
    params: consented,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: found, 404: { about: 'unknown account, or no consent for this purpose' } },
    async run({ params: { id, purpose: of }, token, office, call, reply }) {
      const change = await office.accounts.consent(id, of, undefined, token.name);
      if (!('account' in change)) return changed(reply, id, change);
      const old = change.before?.consents[of];
      if (old === undefined) return problem(reply, 404, `account ${id} has given no consent for the purpose ${of}`);
      changedInto(call, `accounts/${id}/consents/${of}`, old, undefined);
      return changed(reply, id, change);
    },
  }),
];

function changed(reply: FastifyReply, id: string, change: AccountChange, status = 200): FastifyReply {
  if ('account' in change) return reply.code(status).send(change.account);
  const title = {
    unknown: `account ${id} is not known`,
    exists: `account ${id} already exists`,
    closed: `account ${id} is closed; POST /v1/accounts/${id}/resume with \`reopen\` opens it again`,
  }[change.refused];
  return problem(reply, change.refused === 'unknown' ? 404 : 409, title);
}
