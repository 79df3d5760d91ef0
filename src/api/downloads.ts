import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, pathPattern, type Route, route } from './route.ts';
import { allows } from './tokens.ts';

/**
 * Files for a browser: a link cannot carry a bearer token, so a request with the token makes a link that works once.
 *
 * 1. A ticket stands for one GET request of the caller: when it is used, the token and its scope are checked again, as for any request.
 * 2. It works once, within LIFE_MS, and is kept in memory only.
 */
const LIFE_MS = 60_000;
const MOST = 1_000;
const PREFIX = '/v1/downloads/';

interface Ticket {
  readonly path: string;
  readonly authorization: string;
  /** Of the process. */
  readonly until: number;
}

export class Downloads {
  readonly #tickets = new Map<string, Ticket>();

  /** The URL that stands for the request. */
  issue(path: string, authorization: string): string {
    const now = systemClock.elapsed();
    for (const [key, { until }] of this.#tickets) if (now >= until || this.#tickets.size >= MOST) this.#tickets.delete(key);
    const key = randomBytes(18).toString('base64url');
    this.#tickets.set(key, { path, authorization, until: now + LIFE_MS });
    return `${PREFIX}${key}`;
  }

  /** Of a request that has come: the path that is meant. A ticket is used up by it. */
  meant(request: IncomingMessage): string {
    const url = request.url ?? '';
    if (request.method !== 'GET' || !url.startsWith(PREFIX)) return url;
    const key = url.slice(PREFIX.length);
    const ticket = this.#tickets.get(key);
    this.#tickets.delete(key);
    if (ticket === undefined || systemClock.elapsed() >= ticket.until) return url;
    request.headers.authorization = ticket.authorization;
    return ticket.path;
  }
}

/** `routes`: what a ticket may stand for. */
export function downloadRoutes(downloads: Downloads, routes: readonly Route[]): readonly Route[] {
  const known = routes.flatMap(({ method, path, scope }) => (method === 'GET' ? [{ pattern: pathPattern(path), scope }] : []));
  return [
    route({
      method: 'POST',
      path: '/v1/downloads',
      scope: 'any',
      limits: 'open',
      audits: 'nothing',
      about: 'Make a link for a browser that answers one GET request of this API, once, within 60 seconds, without a token.',
      params: NOTHING,
      query: NOTHING,
      body: z.strictObject({
        path: z
          .string()
          .max(2048)
          .regex(/^\/v1\/[\x21-\x7e]+$/, 'must be a path of this API')
          .describe('with its query'),
      }),
      answers: {
        201: { about: 'the link', schema: z.object({ url: z.string() }), example: { url: `${PREFIX}0Zb3mB0HqvP9yQ6u1h2KX5dM` } },
        422: { about: 'not a GET request of this API' },
      },
      async run({ body: { path }, token, request, reply }) {
        const found = known.find(({ pattern }) => pattern.test(path.split('?')[0] ?? ''));
        if (found === undefined)
          return problem(reply, 422, 'not a GET request of this API', [
            { field: 'path', problem: 'must be one of /openapi.json with GET' },
          ]);
        const { scope } = found;
        if (scope !== 'any' && scope !== 'none' && !allows(token, scope))
          return problem(reply, 403, `the token "${token.name}" lacks the scope \`${scope}\``);
        const url = downloads.issue(path, request.headers.authorization ?? '');
        return reply.code(201).header('cache-control', 'no-store').send({ url });
      },
    }),
    route({
      method: 'GET',
      path: '/v1/downloads/{ticket}',
      scope: 'none',
      limits: 'open',
      audits: 'nothing',
      about: 'What the link stands for.',
      params: z.strictObject({ ticket: z.string().max(200) }),
      query: NOTHING,
      body: NO_BODY,
      answers: { 200: { about: 'the answer of that request' }, 404: { about: 'unknown, used or expired' } },
      run: async ({ reply }) => problem(reply, 404, 'the link is unknown, was used, or has expired: it works once, for 60 seconds'),
    }),
  ];
}
