import { z } from 'zod';
import { deviceId } from '../fleet/registry/device.ts';
import { problem } from './problem.ts';
import { NOTHING, type Route, route } from './route.ts';

const MOST_CHUNKS = 1_000;

const message = z.object({
  offset: z.int().describe('of its first byte on the connection'),
  length: z.int(),
  type: z.string().describe('login, records, heartbeat, reply, status, ignored or malformed'),
  name: z.string().describe("the vendor's name"),
  device: z.string().nullable(),
  records: z.array(z.record(z.string(), z.unknown())),
  answer: z.string().nullable().describe('hex of what the server sends once the records are stored; null: nothing'),
  reply: z.string().nullable(),
  reason: z.string().optional().describe('of a malformed one'),
  damaged: z.string().optional().describe('accepted in spite of a failed integrity check'),
  explain: z
    .array(z.object({ at: z.int(), length: z.int(), name: z.string(), raw: z.string(), value: z.string().optional() }))
    .optional()
    .describe('its fields; `at` counts from its first byte'),
});
const decoded = z
  .object({
    protocol: z.string(),
    guessed: z.boolean().describe('recognised by the first bytes'),
    transport: z.string(),
    messages: z.array(message),
    pending: z.int().describe('bytes that wait for the rest of their frame'),
    noise: z.int().describe('bytes that belong to no frame'),
    closed: z.string().optional().describe('why the server would close the connection'),
  })
  .meta({ id: 'decoded' });
const example = {
  protocol: 'teltonika',
  guessed: true,
  transport: 'tcp',
  messages: [
    {
      offset: 0,
      length: 17,
      type: 'login',
      name: 'IMEI',
      device: '356307042441013',
      records: [],
      answer: '01',
      reply: null,
      explain: [{ at: 0, length: 2, name: 'imei_length', raw: '000f', value: '15' }],
    },
  ],
  pending: 0,
  noise: 0,
};

/** What bytes mean (docs/http.md). */
export const DECODE_ROUTES: readonly Route[] = [
  route({
    method: 'POST',
    path: '/v1/decode',
    scope: 'read',
    limits: 'rows',
    audits: 'nothing',
    about: 'Read bytes of a connection, or datagrams of a peer, as the server would. Nothing is kept.',
    params: NOTHING,
    query: NOTHING,
    body: z.strictObject({
      hex: z
        .array(z.string().max(65_536))
        .min(1)
        .max(MOST_CHUNKS)
        .describe('chunks as received, or datagrams; the body has at most 64 KiB'),
      protocol: z.string().max(16).optional().describe('default: recognised by the first bytes'),
      transport: z
        .enum(['tcp', 'udp', 'sms'])
        .optional()
        .describe('default: tcp or udp, on which the first bytes are something; sms: each of `hex` is the UTF-8 of a text message'),
      device: deviceId.optional().describe('identity from the start, for frames that need a login first'),
      options: z.record(z.string().max(64), z.union([z.string().max(256), z.number(), z.boolean()])).optional(),
    }),
    answers: {
      200: { about: 'what they mean', schema: decoded, example },
      422: { about: 'no protocol reads them' },
      429: { about: 'two readings are under way' },
    },
    async run({ body, reach, office, reply }) {
      const { hex, protocol = '', device = '', options = {} } = body;
      const transport = body.transport ?? ('' as const);
      const { explainer } = office;
      if (explainer.isBusy) {
        reply.header('retry-after', 1);
        return problem(reply, 429, 'two readings are under way; retry');
      }
      const isSeen = device !== '' && (reach === undefined || (await reach.current(device)) !== undefined);
      const id = isSeen ? await office.deviceRecords.idOf(device) : device;
      const found = await explainer.read({ hex, protocol, transport, device: id, options });
      return 'field' in found ? problem(reply, 422, 'bytes not readable', [found]) : found;
    },
  }),
];
