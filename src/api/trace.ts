import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { lookMs } from '../base/clock.ts';
import type { Call } from '../fleet/privacy/trail.ts';
import { deviceId } from '../fleet/registry/device.ts';
import type { Traced } from '../live/trace-hub.ts';
import { isStillValid } from './access.ts';
import { startEvents } from './live.ts';
import type { ApiOffice } from './office.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';
import { isSession } from './sessions.ts';
import type { Scope, Token } from './tokens.ts';

const VALID_MS = 30_000;

const explain = z.stringbool().default(true).describe('with the fields of each frame');
const answers = {
  200: { about: 'the stream', schema: z.string(), media: ['text/event-stream'] },
  503: { about: 'too many traces, or the server is starting' },
};

/** Frames of devices as they come (docs/http.md). */
export const TRACE_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/devices/{id}/trace',
    scope: 'locations',
    limits: 'owner',
    audits: 'read',
    about:
      'Frames of a device and what the server sends, as server-sent events `frame`, `lost`, `state`, `ended`. For 15 minutes; nothing is kept.',
    params: z.strictObject({ id: deviceId }),
    query: z.strictObject({ explain }),
    body: NO_BODY,
    answers: { ...answers, 409: { about: 'the device has privacy `relay`' } },
    async run({ params, query, token, reach, office, call, request, reply }) {
      const id = await office.deviceRecords.idOf(params.id);
      const isRelay = (await office.deviceRecords.get(id))?.privacy === 'relay';
      if (isRelay) return problem(reply, 409, `device ${id} has privacy \`relay\`: its data is not shown`);
      if (office.traces.isFull) return tooMany(reply);
      office.views.note(id, 'trace', token.name, token.accounts?.[0]);
      const isSeen = reach === undefined ? undefined : (): boolean => reach.has(id);
      return stream(office, { device: id, address: '', explains: query.explain, isSeen }, 'locations', token, { call, request, reply });
    },
  }),
  route({
    method: 'GET',
    path: '/v1/trace',
    scope: 'admin',
    audits: 'read',
    about: 'The same of connections that begin at an address from now on, for a device that has not said who it is.',
    params: NOTHING,
    query: z.strictObject({ peer: z.union([z.ipv4(), z.ipv6()]).describe('an address'), explain }),
    body: NO_BODY,
    answers,
    async run({ query: { peer, explain: explains }, token, office, call, request, reply }) {
      if (office.traces.isFull) return tooMany(reply);
      return stream(office, { device: '', address: peer, explains }, 'admin', token, { call, request, reply });
    },
  }),
];

function tooMany(reply: FastifyReply): FastifyReply {
  return problem(reply, 503, 'too many traces on this server; close one, or retry later');
}

interface At {
  readonly call: Call;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

function stream(
  { traces, live, state, trail }: ApiOffice,
  wanted: Traced,
  scope: Scope,
  token: Token,
  { call, request, reply }: At,
): FastifyReply {
  const out = startEvents(reply, () => trail.read(call, 200));
  const trace = traces.open(wanted, out);
  const left = isSession(token) ? live.feed.admit(token.key, (event) => trace.end(event)) : () => {};
  const looking = setInterval(() => {
    const isValid = isStillValid(request, state, scope).catch(() => true);
    void isValid.then((holds) => {
      if (!holds) trace.end('ended');
    });
  }, lookMs(VALID_MS));
  out.once('close', () => {
    clearInterval(looking);
    left();
    trace.closed();
  });
  return reply;
}
