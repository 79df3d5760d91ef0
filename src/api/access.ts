import type { FastifyReply, FastifyRequest } from 'fastify';
import type { StateStore } from '../state/store.ts';
import type { WrongTokens } from './edge.ts';
import { problem } from './problem.ts';
import { findSession } from './sessions.ts';
import { allows, findToken, type Scope, type Token } from './tokens.ts';

/** `any`: every token; `none`: not even one. */
export type Need = Scope | 'any' | 'none';

const WITHOUT_TOKEN: Token = { name: '', scopes: [], created: 0 };

/** The token of the request is still valid, and has the scope. Rejects as the store does. */
export async function isStillValid(request: FastifyRequest, store: StateStore, scope: Need): Promise<boolean> {
  const given = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
  const token = (await findToken(store, given)) ?? (await findSession(store, given));
  return token !== undefined && (scope === 'any' || scope === 'none' || allows(token, scope));
}

/** Reads `Authorization: Bearer …`. Answers 401, 403 or 429 itself, and returns undefined then. */
export async function tokenOf(
  request: FastifyRequest,
  reply: FastifyReply,
  store: StateStore,
  scope: Need,
  wrong: WrongTokens,
  call: { by: string },
): Promise<Token | undefined> {
  if (scope === 'none') return WITHOUT_TOKEN;
  const given = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
  const waitS = given === undefined ? 0 : wrong.waitOf(request.ip);
  if (waitS > 0) {
    reply.header('retry-after', waitS);
    problem(reply, 429, `too many invalid tokens from this address; retry in ${waitS} s`);
    return undefined;
  }
  const token = given === undefined ? undefined : ((await findToken(store, given)) ?? (await findSession(store, given)));
  if (token === undefined) {
    if (given !== undefined) wrong.note(request.ip);
    const title =
      given === undefined
        ? 'bearer token required: create one with `fixgate token create --name <name> --scope <scope>`'
        : 'unknown bearer token; it may have been revoked, or the session has ended';
    reply.header('www-authenticate', 'Bearer');
    problem(reply, 401, title);
    return undefined;
  }
  call.by = token.name;
  if (scope === 'any' || allows(token, scope)) return token;
  problem(reply, 403, `the token "${token.name}" lacks the scope \`${scope}\``);
  return undefined;
}
