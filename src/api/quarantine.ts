import { z } from 'zod';
import { deviceId, devicePatchSchema, deviceSchema } from '../fleet/registry/device.ts';
import { unknownDeviceSchema } from '../fleet/registry/unknown-device.ts';
import { changed } from './devices.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';
import { allows } from './tokens.ts';

const params = z.strictObject({ id: deviceId });
const page = z.strictObject({
  after: z.string().max(200).optional().describe('last id of the previous page'),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});
const entry = unknownDeviceSchema.extend({
  id: deviceId,
  withheld: z.literal(true).optional().describe('the frames may say where the device is, and the token lacks the scope `locations`'),
});
const listed = z.object({ devices: z.array(entry), next: z.string().optional() });

/** Unknown devices that the registry has refused. */
export const QUARANTINE_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/quarantine',
    scope: 'read',
    audits: 'read',
    about: 'Unknown devices that were refused, by id.',
    params: NOTHING,
    query: page,
    body: NO_BODY,
    answers: { 200: { about: 'the devices; pass `next` as `after` for the next page', schema: listed } },
    async run({ query: { after, limit }, token, office }) {
      const found = await office.quarantine.list(after, limit);
      if (allows(token, 'locations')) return found;
      return { ...found, devices: found.devices.map((one) => ({ ...one, frames: [], withheld: true })) };
    },
  }),
  route({
    method: 'POST',
    path: '/v1/quarantine/{id}/adopt',
    scope: 'devices',
    audits: 'change',
    about: 'Create a device from a quarantine entry; it is served at its next contact.',
    params,
    query: NOTHING,
    body: devicePatchSchema,
    answers: {
      201: { about: 'the device', schema: deviceSchema },
      404: { about: 'not in quarantine' },
      409: { about: 'the device already exists' },
      422: { about: 'invalid device' },
    },
    async run({ params: { id }, body, token, office, call, reply }) {
      const change = await office.deviceRecords.adopt(id, body, token.name);
      if ('refused' in change && change.refused === 'unknown') return problem(reply, 404, `device ${id} is not in quarantine`);
      return changed(reply, id, change, call);
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/quarantine/{id}',
    scope: 'devices',
    audits: 'change',
    about: 'Remove an entry. It is listed again at the next contact.',
    params,
    query: NOTHING,
    body: NO_BODY,
    answers: { 204: { about: 'forgotten' }, 404: { about: 'not in quarantine' } },
    run: async ({ params: { id }, office, reply }) =>
      (await office.quarantine.remove(id)) ? reply.code(204).send() : problem(reply, 404, `device ${id} is not in quarantine`),
  }),
];
