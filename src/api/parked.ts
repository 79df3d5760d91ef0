import { z } from 'zod';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const sink = z.enum(['clickhouse', 'redis', 'state']);
const entryId = z.string().regex(/^\d{1,9}\.\d{1,16}$/, 'must be <slot>.<sequence>, as the list has it');
const entry = z.object({
  id: z.string(),
  kind: z.string().describe('frame, event, usage or audit'),
  slot: z.string().describe('with `sequence`: where it is in the journal'),
  sequence: z.int(),
  device: z.string(),
  codec: z.string(),
  transport: z.string(),
  received: z.int().describe('epoch ms'),
  reason: z.string().describe('why it was set aside'),
  tries: z.int().describe('how often a retry was refused'),
  hex: z.string(),
});
const list = z
  .object({ entries: z.array(entry), total: z.int(), next: z.string().optional().describe('pass as `after` for the rest') })
  .meta({ id: 'parked' });
const example = {
  entries: [
    {
      id: '0.41',
      kind: 'frame',
      slot: '0',
      sequence: 41,
      device: '356307042441013',
      codec: 'teltonika',
      transport: 'tcp',
      received: 1_796_083_199_000,
      reason: 'codec "teltonika" threw: not a number',
      tries: 0,
      hex: '00',
    },
  ],
  total: 1,
};
const outcome = z.object({ delivered: z.int(), refused: z.int().describe('stay set aside, with the new reason') });
const done = { about: 'the outcome', schema: outcome, example: { delivered: 1, refused: 0 } };
const away = { about: 'the sink does not answer, another retry is under way, or a device is being erased' };

/** Entries that a sink has set aside (docs/runbook.md). */
export const PARKED_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/sinks/{name}/parked',
    scope: 'locations',
    audits: 'read',
    about: 'Entries that could not be read, or that the sink has refused, with the reason.',
    params: z.strictObject({ name: sink }),
    query: z.strictObject({ after: entryId.optional(), limit: z.coerce.number().int().min(1).max(1_000).default(50) }),
    body: NO_BODY,
    answers: { 200: { about: 'the entries', schema: list, example }, 503: { about: 'the files cannot be read' } },
    async run({ params: { name }, query: { after = '', limit }, office, call }) {
      const found = await office.parked.list(name, after, limit);
      call.devices = [...new Set(found.entries.map(({ device }) => device).filter((device) => device !== ''))];
      return found;
    },
  }),
  route({
    method: 'POST',
    path: '/v1/sinks/{name}/parked/retry',
    scope: 'admin',
    audits: 'change',
    about: 'Give all of them to the sink once more, after a repair or with a newer version.',
    params: z.strictObject({ name: sink }),
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: done, 503: away },
    run: async ({ params: { name }, office }) => office.parked.retry(name),
  }),
  route({
    method: 'POST',
    path: '/v1/sinks/{name}/parked/{id}/retry',
    scope: 'admin',
    audits: 'change',
    about: 'Give one of them to the sink once more. None is delivered and none refused: it is not there any more.',
    params: z.strictObject({ name: sink, id: entryId }),
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: done, 503: away },
    run: async ({ params: { name, id }, office }) => office.parked.retry(name, id),
  }),
];
