import type { FastifyReply, FastifyRequest } from 'fastify';
import type { StateStore } from '../state/store.ts';
import { problem } from './problem.ts';
import { allows, findToken, type Scope, type Token } from './tokens.ts';

/** Reads `Authorization: Bearer …`. Answers 401 or 403 itself, and returns undefined then. */
export async function tokenOf(request: FastifyRequest, reply: FastifyReply, store: StateStore, scope: Scope): Promise<Token | undefined> {
  const given = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1];
  const token = given === undefined ? undefined : await findToken(store, given);
  if (token === undefined) {
    const title =
      given === undefined
        ? 'a bearer token is needed: make one with `fixgate token create --name <name> --scope <scope>`'
        : 'the bearer token is not known: it may have been revoked';
    reply.header('www-authenticate', 'Bearer');
    problem(reply, 401, title);
    return undefined;
  }
  if (allows(token, scope)) return token;
  problem(reply, 403, `the token "${token.name}" lacks the scope \`${scope}\``);
  return undefined;
}
