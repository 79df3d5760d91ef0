import type { FastifyReply, FastifyRequest } from 'fastify';
import type { StateStore } from '../state/store.ts';
import type { WrongTokens } from './edge.ts';
import { problem } from './problem.ts';
import { allows, findToken, type Scope, type Token } from './tokens.ts';

/** Reads `Authorization: Bearer …`. Answers 401, 403 or 429 itself, and returns undefined then. */
export async function tokenOf(
  request: FastifyRequest,
  reply: FastifyReply,
  store: StateStore,
  scope: Scope,
  wrong: WrongTokens,
): Promise<Token | undefined> {
  const given = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
  const waitS = given === undefined ? 0 : wrong.waitOf(request.ip);
  if (waitS > 0) {
    reply.header('retry-after', waitS);
    problem(reply, 429, `too many invalid tokens from this address; retry in ${waitS} s`);
    return undefined;
  }
  const token = given === undefined ? undefined : await findToken(store, given);
  if (token === undefined) {
    if (given !== undefined) wrong.note(request.ip);
    const title =
      given === undefined
        ? 'bearer token required: create one with `fixgate token create --name <name> --scope <scope>`'
        : 'unknown bearer token; it may have been revoked';
    reply.header('www-authenticate', 'Bearer');
    problem(reply, 401, title);
    return undefined;
  }
  if (allows(token, scope)) return token;
  problem(reply, 403, `the token "${token.name}" lacks the scope \`${scope}\``);
  return undefined;
}
