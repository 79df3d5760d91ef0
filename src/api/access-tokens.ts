import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { changedInto } from '../fleet/privacy/trail.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';
import { createToken, listTokens, revokeToken, SCOPES } from './tokens.ts';

const name = z.string().regex(/^[\w.@-]{1,64}$/, 'must be 1 to 64 letters, digits, and . _ @ -');
const scopes = z.array(z.enum(SCOPES)).min(1).max(SCOPES.length);
const limits = {
  accounts: z
    .array(z.string().min(1).max(64))
    .min(1)
    .max(100)
    .optional()
    .describe('it sees devices of these only, and of them what was received while they were theirs'),
  expires: z.int().min(0).optional().describe('from then on it is refused, epoch ms'),
};
const listed = z.object({
  name: z.string().describe('the requester in commands and events'),
  scopes: z.array(z.string()),
  created: z.int(),
  ...limits,
});
const made = listed.extend({ token: z.string().describe('shown this once; its hash is kept') }).meta({ id: 'made_token' });
const example = { name: 'dispatch', scopes: ['read', 'commands'], created: 1_796_083_200_000 };

/** Tokens of programs; `fixgate token` does the same. */
export const TOKEN_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/tokens',
    scope: 'admin',
    audits: 'read',
    about: 'All tokens, by name, without their texts.',
    params: NOTHING,
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the tokens', schema: z.object({ tokens: z.array(listed) }), example: { tokens: [example] } } },
    run: async ({ office }) => {
      const tokens = await listTokens(office.state);
      return {
        tokens: tokens
          .sort((a, b) => (a.name < b.name ? -1 : 1))
          .map(({ name: of, scopes: may, created, accounts, expires }) => ({
            name: of,
            scopes: may,
            created,
            ...(accounts === undefined ? {} : { accounts }),
            ...(expires === undefined ? {} : { expires }),
          })),
      };
    },
  }),
  route({
    method: 'POST',
    path: '/v1/tokens',
    scope: 'admin',
    audits: 'change',
    about: 'Make a token.',
    params: NOTHING,
    query: NOTHING,
    body: z.strictObject({ name, scopes, ...limits }),
    answers: {
      201: { about: 'the token', schema: made, example: { ...example, token: 'fg_3Zb3mB0HqvP9yQ6u1h2KX5dMtR7wLc8n' } },
      409: { about: 'the name is taken' },
      422: { about: 'invalid token' },
    },
    async run({ body, office, call, reply }) {
      call.object = `tokens/${body.name}`;
      const { accounts, expires } = body;
      const token = {
        name: body.name,
        scopes: [...new Set(body.scopes)],
        created: systemClock.now(),
        ...(accounts === undefined ? {} : { accounts: [...new Set(accounts)] }),
        ...(expires === undefined ? {} : { expires }),
      };
      if (expires !== undefined && expires <= token.created)
        return problem(reply, 422, 'invalid token', [{ field: 'expires', problem: 'must be epoch ms in the future' }]);
      try {
        const text = await createToken(office.state, token);
        return reply
          .code(201)
          .header('cache-control', 'no-store')
          .send({ ...token, token: text });
      } catch (error) {
        if (error instanceof AppError && error.code === 'USAGE') return problem(reply, 409, error.message);
        throw error;
      }
    },
  }),
  route({
    method: 'DELETE',
    path: '/v1/tokens/{name}',
    scope: 'admin',
    audits: 'change',
    about: 'Revoke a token. Sessions that were made from it end.',
    params: z.strictObject({ name }),
    query: NOTHING,
    body: NO_BODY,
    answers: { 204: { about: 'revoked' }, 404: { about: 'unknown token' } },
    async run({ params, office, call, reply }) {
      const old = (await listTokens(office.state)).find((one) => one.name === params.name);
      changedInto(call, `tokens/${params.name}`, old, undefined);
      const count = await revokeToken(office.state, params.name);
      return count === 0 ? problem(reply, 404, `unknown token "${params.name}"`) : reply.code(204).send();
    },
  }),
];
