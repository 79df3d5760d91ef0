import { z } from 'zod';
import type { Log } from '../base/log.ts';
import { WrongTokens } from './edge.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';
import { isSession, type Session, signInByCode, signInByToken, signOut } from './sessions.ts';
import { SCOPES, type Token } from './tokens.ts';

/** Wrong codes and tokens a minute of one address, beyond which the wrong ones are answered 429. */
const MOST_WRONG = 10;

const who = z
  .object({
    name: z.string().describe('the requester in commands and events'),
    scopes: z.array(z.enum(SCOPES)),
    accounts: z.array(z.string()).optional().describe('that the caller is limited to; absent: it is not'),
    expires: z.int().optional().describe('when the session, or the token, ends at the latest'),
  })
  .meta({ id: 'identity_of_caller' });
const made = who.extend({ token: z.string().describe('bearer token of the session') }).meta({ id: 'session' });
const body = z
  .strictObject({
    code: z.string().min(1).max(200).optional().describe('of the link that the server or `fixgate console` prints; works once'),
    token: z.string().min(1).max(200).optional().describe('of `fixgate token create`'),
  })
  .refine(({ code, token }) => (code === undefined) !== (token === undefined), 'must have either code or token');
const example = { name: 'console', scopes: ['admin'], expires: 1_796_083_200_000 };

/** Signing in with a code or a token (docs/http.md). */
export function sessionRoutes(log: Log): readonly Route[] {
  const wrong = new WrongTokens(log, MOST_WRONG, 'sign-in with an unknown code or token refused');
  return [
    route({
      method: 'POST',
      path: '/v1/session',
      scope: 'none',
      limits: 'open',
      audits: 'nothing',
      about: 'Sign in: make a session from a code or a token.',
      params: NOTHING,
      query: NOTHING,
      body,
      answers: {
        201: { about: 'the session', schema: made, example: { token: 'fgs_0Zb3mB0HqvP9yQ6u1h2KX5dM', ...example } },
        401: { about: 'invalid code or token' },
        429: { about: 'too many invalid codes and tokens from this address' },
      },
      async run({ body: given, office, request, reply }) {
        const { code, token = '' } = given;
        const found = code === undefined ? await signInByToken(office.state, token) : await signInByCode(office.state, code);
        reply.header('cache-control', 'no-store');
        if (found !== undefined) return reply.code(201).send({ token: found.text, ...shown(found.session) });
        const waitS = wrong.waitOf(request.ip);
        if (waitS > 0) {
          reply.header('retry-after', waitS);
          return problem(reply, 429, `too many invalid codes and tokens from this address; retry in ${waitS} s`);
        }
        wrong.note(request.ip);
        const title =
          code === undefined ? 'unknown bearer token' : 'invalid code: it works once, for 10 minutes; get another with `fixgate console`';
        return problem(reply, 401, title);
      },
    }),
    route({
      method: 'GET',
      path: '/v1/session',
      scope: 'any',
      limits: 'open',
      audits: 'nothing',
      about: 'Who the bearer token belongs to, and what it may do.',
      params: NOTHING,
      query: NOTHING,
      body: NO_BODY,
      answers: { 200: { about: 'the caller', schema: who, example } },
      run: async ({ token }) => shown(token),
    }),
    route({
      method: 'DELETE',
      path: '/v1/session',
      scope: 'any',
      limits: 'open',
      audits: 'nothing',
      about: 'Sign out: end the session.',
      params: NOTHING,
      query: NOTHING,
      body: NO_BODY,
      answers: { 204: { about: 'ended' }, 409: { about: 'the bearer token is not of a session' } },
      async run({ token, office, reply }) {
        if (!isSession(token)) return problem(reply, 409, `"${token.name}" is a token, not a session: fixgate token revoke ends it`);
        await signOut(office.state, token);
        return reply.code(204).send();
      },
    }),
  ];
}

function shown(token: Token | Session): z.infer<typeof who> {
  const { name, scopes, accounts, expires } = token;
  return {
    name,
    scopes: [...scopes],
    ...(accounts === undefined ? {} : { accounts: [...accounts] }),
    ...(expires === undefined ? {} : { expires }),
  };
}
