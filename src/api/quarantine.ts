import { z } from 'zod';
import { deviceId, devicePatchSchema, deviceSchema } from '../registry/device.ts';
import { strangerSchema } from '../registry/stranger.ts';
import { changed } from './devices.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const params = z.strictObject({ id: deviceId });
const page = z.strictObject({
  after: z.string().max(200).optional().describe('behind this id'),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});
const listed = z.object({ devices: z.array(strangerSchema.extend({ id: deviceId })), next: z.string().optional() });

/** Unknown devices that a closed registry has turned away. */
export const QUARANTINE_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/quarantine',
    scope: 'read',
    about: 'Unknown devices that were turned away, by id.',
    params: NOTHING,
    query: page,
    body: NO_BODY,
    answers: { 200: { about: 'the devices; `next` goes into `after` for the following page', schema: listed } },
    async run({ query: { after, limit }, office }) {
      const devices = await office.quarantine.list(after, limit);
      return { devices, next: devices.length < limit ? undefined : devices.at(-1)?.id };
    },
  }),
  route({
    method: 'POST',
    path: '/v1/quarantine/{id}/adopt',
    scope: 'devices',
    about: 'Make a record of an unknown device: it is served at its next contact.',
    params,
    query: NOTHING,
    body: devicePatchSchema,
    answers: {
      201: { about: 'the device', schema: deviceSchema },
      404: { about: 'it is not in quarantine' },
      409: { about: 'it is a device already' },
      422: { about: 'no device can be like this' },
    },
    async run({ params: { id }, body, token, office, reply }) {
      const change = await office.inventory.adopt(id, body, token.name);
      if ('refused' in change && change.refused === 'unknown') return problem(reply, 404, `device ${id} is not in quarantine`);
      return changed(reply, id, change);
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/quarantine/{id}',
    scope: 'devices',
    about: 'Forget an unknown device. It is there again when it comes again.',
    params,
    query: NOTHING,
    body: NO_BODY,
    answers: { 204: { about: 'forgotten' }, 404: { about: 'it is not in quarantine' } },
    run: async ({ params: { id }, office, reply }) =>
      (await office.quarantine.remove(id)) ? reply.code(204).send() : problem(reply, 404, `device ${id} is not in quarantine`),
  }),
];
