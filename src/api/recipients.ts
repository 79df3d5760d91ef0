import { z } from 'zod';
import { changedInto } from '../fleet/privacy/trail.ts';
import { newRecipientSchema, recipientId, recipientSchema } from '../fleet/registry/recipient.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const params = z.strictObject({ id: recipientId });
const shown = recipientSchema.meta({ id: 'recipient' });
const example = { id: 'alpha-insurance', purpose: 'insurer', name: 'Alpha Insurance plc', since: 1_796_083_199_000, by: 'desk' };

/** Who gets records in a stream of its own (docs/accounts.md). */
export const RECIPIENT_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/recipients',
    scope: 'read',
    audits: 'read',
    about: 'All recipients.',
    params: NOTHING,
    query: NOTHING,
    body: NO_BODY,
    answers: {
      200: { about: 'the recipients', schema: z.object({ recipients: z.array(shown) }), example: { recipients: [example] } },
    },
    run: async ({ office }) => ({ recipients: await office.recipients.list() }),
  }),
  route({
    method: 'PUT',
    path: '/v1/recipients/{id}',
    scope: 'admin',
    audits: 'change',
    about:
      'Make a recipient, or change it: the stream `fixgate:to:{id}` gets the records of an account, or those of all accounts that consent to a purpose, from now on.',
    params,
    query: NOTHING,
    body: newRecipientSchema,
    answers: {
      200: { about: 'changed', schema: shown, example },
      201: { about: 'made', schema: shown, example },
      409: { about: 'there are as many recipients with a purpose as there may be' },
    },
    async run({ params: { id }, body, token, office, call, reply }) {
      const change = await office.recipients.put(id, body, token.name);
      if (!('recipient' in change)) return problem(reply, 409, 'there are 100 recipients with a purpose already; remove one before');
      changedInto(call, `recipients/${id}`, change.before, change.recipient);
      return reply.code(change.before === undefined ? 201 : 200).send(change.recipient);
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/recipients/{id}',
    scope: 'admin',
    audits: 'change',
    about: 'Remove a recipient: its stream gets nothing more. What is in the stream stays until you delete the key.',
    params,
    query: NOTHING,
    body: NO_BODY,
    answers: { 204: { about: 'removed' }, 404: { about: 'unknown recipient' } },
    async run({ params: { id }, token, office, call, reply }) {
      const change = await office.recipients.remove(id, token.name);
      if (!('recipient' in change)) return problem(reply, 404, `recipient ${id} is not known`);
      changedInto(call, `recipients/${id}`, change.before, undefined);
      return reply.code(204).send();
    },
  }),
];
