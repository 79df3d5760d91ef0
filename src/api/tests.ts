import { z } from 'zod';
import { testSchema, wantedSchema } from '../fleet/installation/test-records.ts';
import { testText } from '../fleet/installation/test-text.ts';
import { deviceId } from '../fleet/registry/device.ts';
import type { Confirmations } from './confirmations.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';
import { allows } from './tokens.ts';

const ofDevice = z.strictObject({ id: deviceId });
const ofTest = z.strictObject({ id: deviceId, test: z.string().regex(/^[\d-]{1,20}[0-9a-f]{0,20}$/, 'must be a test id') });
const body = wantedSchema.extend({
  confirm: z
    .string()
    .max(64)
    .optional()
    .describe('of `immobiliser`: key from the answer to the first request, if `commands.confirm` requires a second one'),
});
const test = testSchema.meta({ id: 'installation_test' });
const example = {
  id: '1796083199000-5f0c9a31',
  device: '356307042441013',
  by: 'workshop',
  profile: 'basic' as const,
  seconds: 60,
  started: 1_796_083_199_000,
  ended: 1_796_083_211_000,
  state: 'failed' as const,
  items: [
    { name: 'contact' as const, state: 'passed' as const, measured: 'teltonika over tcp' },
    { name: 'power' as const, state: 'failed' as const, measured: '9.1 V is not a supply of 12 V or 24 V' },
  ],
};

/** Tests that are kept. */
const KEPT_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/devices/{id}/tests',
    scope: 'commands',
    limits: 'owner',
    audits: 'read',
    about: 'Installation tests of a device, newest first; the last 20 are kept.',
    params: ofDevice,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the tests', schema: z.object({ tests: z.array(test) }), example: { tests: [example] } } },
    async run({ params, share, office }) {
      const found = await office.tester.list(await office.deviceRecords.idOf(params.id));
      return { tests: found.filter(({ started }) => started >= (share?.since ?? 0)) };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}/tests/{test}',
    scope: 'commands',
    limits: 'owner',
    audits: 'read',
    about: 'One installation test, while it runs and afterwards; with `as=text` as a page to print.',
    params: ofTest,
    query: z.strictObject({ as: z.enum(['json', 'text']).default('json') }),
    body: NO_BODY,
    answers: {
      200: { about: 'the test', schema: z.union([test, z.string()]), example, media: ['application/json', 'text/plain'] },
      404: { about: 'no such test' },
    },
    async run({ params, query, share, office, reply }) {
      const id = await office.deviceRecords.idOf(params.id);
      const found = await office.tester.get(id, params.test);
      if (found === undefined || found.started < (share?.since ?? 0))
        return problem(reply, 404, `device ${id} has no installation test ${params.test}`);
      return query.as === 'text' ? reply.type('text/plain; charset=utf-8').send(testText(found)) : found;
    },
  }),
];

/** Installation tests (docs/commands.md). */
export function testRoutes(confirmations: Confirmations): readonly Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/devices/{id}/tests',
      scope: 'commands',
      limits: 'owner',
      audits: 'change',
      about:
        'Begin an installation test: what the device sends from now on is compared with a checklist. It must be connected to this server.',
      params: ofDevice,
      query: NOTHING,
      body,
      answers: {
        201: { about: 'it runs', schema: test, example: { ...example, ended: 0, state: 'running' as const } },
        409: { about: 'a test of the device is running, or the device has privacy `relay`' },
        422: { about: '`immobiliser` without `consent`' },
        428: { about: 'confirmation required' },
        429: { about: 'too many tests at a time' },
      },
      async run({ params, body: { confirm, ...wanted }, token, share, office, reply }) {
        const device = await office.deviceRecords.get(params.id);
        const id = device?.id ?? params.id;
        if (device?.privacy === 'relay') return problem(reply, 409, `device ${id} has privacy \`relay\`: its data is not shown`);
        if (wanted.profile === 'immobiliser') {
          if (!allows(token, 'engine'))
            return problem(reply, 403, `the token "${token.name}" lacks the scope \`engine\` for a test of the relay`);
          const missing = 'must name the person at the vehicle who agrees that its engine is stopped';
          if (wanted.consent === undefined) return problem(reply, 422, 'consent required', [{ field: 'consent', problem: missing }]);
          if (confirmations.isNeeded && !confirmations.isGiven(confirm, token, id, wanted))
            return confirmations.ask(reply, token, id, wanted);
        }
        const begun = await office.tester.begin(id, wanted, token.name, share?.owners);
        if ('test' in begun) return reply.code(201).header('location', `/v1/devices/${id}/tests/${begun.test.id}`).send(begun.test);
        if (begun.refused === 'passed on') return problem(reply, 404, `device ${id} is not known`);
        if (begun.refused === 'full') return problem(reply, 429, 'too many installation tests at a time; retry later');
        return problem(reply, 409, `an installation test of device ${id} is running`);
      },
    }),
    ...KEPT_ROUTES,
  ];
}
