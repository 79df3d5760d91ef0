import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Call } from '../fleet/privacy/trail.ts';
import { type FieldProblem, problemsOf, textProblems } from '../fleet/registry/field-problem.ts';
import type { Share } from '../fleet/registry/owners.ts';
import type { Need } from './access.ts';
import type { ApiOffice } from './office.ts';
import { problem } from './problem.ts';
import { type Limits, Reach } from './reach.ts';
import type { Token } from './tokens.ts';

/**
 * One operation of the API, said once: what Fastify serves, what is checked and what `/openapi.json` says come from it.
 *
 * 1. Nothing runs, and no body is read, before the token is known and may; and every part of the request is as its schema says.
 * 2. A token that is limited to accounts gets what `limits` says; by default it is refused.
 * 3. What is wrong with a request is said at once, all of it, by field: 400 with a problem document.
 * 4. Each says what it leaves in the audit. A change is asked for there, durably, before it runs.
 */
type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/**
 * What an operation leaves in the audit (docs/audit.md): an entry for each call, `change`; one for looks within ten minutes, `read`; none,
 * because it neither changes anything nor shows whose devices do what. A refused call leaves one in any case.
 */
type Audits = 'change' | 'read' | 'nothing';

/** What an operation answers with a status, and the schema of its body. */
export interface AnswerRule {
  readonly about: string;
  /** One with an `id` in its meta has that name in `/openapi.json`. */
  readonly schema?: z.ZodType;
  readonly example?: unknown;
  /** Default: JSON. */
  readonly media?: readonly string[];
}

interface Rule<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> {
  readonly method: Method;
  /** With `{name}` for a parameter. */
  readonly path: string;
  readonly scope: Need;
  /** Of tokens that are limited to accounts; absent: `operator`. */
  readonly limits?: Limits;
  readonly audits: Audits;
  readonly about: string;
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  /** Media types of a body that `run` reads from the request itself, as it comes; absent: JSON. */
  readonly streams?: readonly string[];
  readonly answers: Readonly<Record<number, AnswerRule>>;
  run(given: Given<z.infer<P>, z.infer<Q>, z.infer<B>>): Promise<unknown>;
}

/** A request that has passed all checks. */
interface Given<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly token: Token;
  /** What the token sees; undefined: all. */
  readonly reach: Reach | undefined;
  /** The same of the device in the path. */
  readonly share: Share | undefined;
  readonly office: ApiOffice;
  /** What the audit is told: `run` says which devices it is about, and what was and is. */
  readonly call: Call;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** An operation, whatever the types of its parts. */
export interface Route {
  readonly method: Method;
  readonly path: string;
  readonly scope: Need;
  readonly limits: Limits;
  readonly audits: Audits;
  readonly about: string;
  readonly params: z.ZodType;
  readonly query: z.ZodType;
  /** Undefined: it takes none. */
  readonly body: z.ZodType | undefined;
  readonly streams: readonly string[];
  readonly answers: Readonly<Record<number, AnswerRule>>;
  /** `token`: whose request it is; its scope has been checked. */
  handle(office: ApiOffice, token: Token, call: Call, request: FastifyRequest, reply: FastifyReply): Promise<unknown>;
}

/** No parameters, no query. */
export const NOTHING = z.strictObject({});
export const NO_BODY = z.strictObject({});

export function route<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(rule: Rule<P, Q, B>): Route {
  const { method, path, scope, limits = 'operator', audits, about, params, query, body, streams = [], answers } = rule;
  const bodySchema: z.ZodType = body;
  const hasBody = bodySchema !== NO_BODY;
  return {
    method,
    path,
    scope,
    limits,
    audits,
    about,
    params,
    query,
    body: hasBody || streams.length > 0 ? body : undefined,
    streams,
    answers,
    async handle(office, token, call, request, reply) {
      const problems: FieldProblem[] = [];
      const [p, q, b] = [
        checked(params, request.params, problems),
        checked(query, request.query, problems),
        checked(body, hasBody ? (request.body ?? {}) : {}, problems),
      ];
      if (p === undefined || q === undefined || b === undefined) return problem(reply, 400, 'invalid request', problems);
      await named(call, office);
      const reach = Reach.of(token, office);
      const isOfDevice = limits === 'owner' || limits === 'periods';
      const id = String(Reflect.get(Object(p.data), 'id'));
      const share = isOfDevice ? await (limits === 'owner' ? reach?.current(id) : reach?.share(id)) : undefined;
      // Of a device that another account has now, it is about their own time at most.
      if (isOfDevice && reach !== undefined && share?.isCurrent !== true) call.account = token.accounts?.[0] ?? '';
      if (isOfDevice && reach !== undefined && share === undefined) {
        office.trail.refused(call, 404);
        return problem(reply, 404, `device ${id} is not known`);
      }
      if (audits === 'change') {
        if (hasBody) call.new = b.data;
        await office.trail.asked(call);
      }
      return rule.run({ params: ofTheirs(p.data, share), query: q.data, body: b.data, token, reach, share, office, call, request, reply });
    },
  };
}

/** An alias may be of another device by now: it is about the one that was looked at. */
function ofTheirs<P>(params: P, share: Share | undefined): P {
  return share === undefined ? params : { ...Object(params), id: share.device };
}

/** Whose device a call is about, if its object is one. */
async function named(call: Call, office: ApiOffice): Promise<void> {
  call.account = /^accounts\/([^/]+)/.exec(call.object)?.[1] ?? '';
  const id = /^(?:devices|quarantine)\/([^/]+)/.exec(call.object)?.[1];
  if (id === undefined || !call.operation.includes('{id}')) return;
  // One that is damaged can be replaced.
  const device = await office.deviceRecords.get(id).catch(() => undefined);
  call.devices = [device?.id ?? id];
  call.account = device?.account ?? '';
}

/** Paths of an operation: `{name}` stands for one part. */
export function pathPattern(path: string): RegExp {
  return new RegExp(`^${path.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`);
}

/** The value as the schema has it; undefined, with what is wrong added to `problems`, when it is not. */
function checked<S extends z.ZodType>(schema: S, value: unknown, problems: FieldProblem[]): { readonly data: z.infer<S> } | undefined {
  const texts = textProblems(value);
  const result = z.safeParse(schema, value);
  problems.push(...texts);
  if (result.success) return texts.length === 0 ? result : undefined;
  problems.push(...problemsOf(result.error.issues));
  return undefined;
}
