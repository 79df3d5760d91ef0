import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { changedInto } from '../fleet/privacy/trail.ts';
import { deviceId } from '../fleet/registry/device.ts';
import { holdSchema } from '../fleet/registry/hold.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

/** How often a request that waits for the end of an erasure looks. */
const LOOK_MS = 50;

const params = z.strictObject({ id: deviceId });
const body = z.strictObject({
  reference: z.string().min(1).max(200).describe('number of the case'),
  reason: z.string().min(1).max(1000),
  until: z.int().min(0).max(8.64e15).optional().describe('epoch ms; absent: until it is ended'),
});
const example = {
  device: '356307042441013',
  reference: 'AZ 12/2026',
  reason: 'court order',
  since: 1_796_083_199_000,
  by: 'legal',
};
const hold = holdSchema.meta({ id: 'hold' });
const none = { about: 'no hold' };

/** Devices whose data must be kept (docs/privacy.md). */
export const HOLD_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/holds',
    scope: 'read',
    audits: 'read',
    about: 'All holds that stand.',
    params: NOTHING,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the holds', schema: z.object({ holds: z.array(hold) }), example: { holds: [example] } } },
    run: async ({ office }) => ({ holds: await office.holds.list() }),
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}/hold',
    scope: 'read',
    audits: 'read',
    about: 'The hold of a device.',
    params,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the hold', schema: hold, example }, 404: none },
    run: async ({ params: { id }, office, reply }) => (await office.holds.get(id)) ?? problem(reply, 404, `device ${id} is under no hold`),
  }),
  route({
    method: 'PUT',
    path: '/v1/devices/{id}/hold',
    scope: 'admin',
    audits: 'change',
    about:
      'Put a device under a hold, or change it: nothing of it is erased or removed by retention while it stands. What is under way is waited for.',
    params,
    query: z.strictObject({
      wait: z.coerce
        .number()
        .min(0)
        .max(120)
        .default(30)
        .describe('seconds to wait for the end of an erasure, of retention or of a replay that is under way'),
    }),
    body,
    answers: {
      200: { about: 'changed', schema: hold, example },
      201: { about: 'set', schema: hold, example },
      409: { about: 'an erasure, retention or a replay is under way' },
      422: { about: '`until` has passed' },
    },
    async run({ params: { id }, query, body: wanted, token, office, call, reply }) {
      if (wanted.until !== undefined && wanted.until <= systemClock.now())
        return problem(reply, 422, 'invalid hold', [{ field: 'until', problem: 'must be epoch ms in the future' }]);
      const end = systemClock.elapsed() + 1000 * query.wait;
      for (;;) {
        const set = await office.holds.set(id, wanted, token.name);
        if (set !== undefined) {
          changedInto(call, `devices/${set.hold.device}/hold`, set.before, set.hold);
          return reply.code(set.before === undefined ? 201 : 200).send(set.hold);
        }
        if (systemClock.elapsed() >= end) break;
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      }
      return problem(
        reply,
        409,
        `an erasure of device ${id}, retention or a replay is under way: what is left of it cannot be kept yet; GET /v1/devices/${id}/data shows an erasure`,
      );
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/devices/{id}/hold',
    scope: 'admin',
    audits: 'change',
    about: 'End the hold of a device.',
    params,
    query: NOTHING,
    body: NO_BODY,
    answers: { 204: { about: 'ended' }, 404: none },
    async run({ params: { id }, office, call, reply }) {
      const ended = await office.holds.end(id);
      if (ended === undefined) return problem(reply, 404, `device ${id} is under no hold`);
      changedInto(call, `devices/${ended.device}/hold`, ended, undefined);
      return reply.code(204).send();
    },
  }),
];
