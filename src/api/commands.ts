import type { FastifyInstance, FastifyReply } from 'fastify';
import { z } from 'zod';
import { systemClock } from '../clock.ts';
import type { Command } from '../command/command.ts';
import type { Desk, Outcome } from '../command/desk.ts';
import type { Ledger } from '../command/ledger.ts';
import type { Shadow } from '../command/shadow.ts';
import type { StateStore } from '../state/store.ts';
import { tokenOf } from './access.ts';
import { type FieldProblem, problem } from './problem.ts';
import { allows, type Token } from './tokens.ts';

/** What the resource needs; undefined while the server starts. */
export interface CommandOffice {
  readonly state: StateStore;
  readonly desk: Desk;
  readonly ledger: Ledger;
  readonly shadow: Shadow;
}

/** Commands that stop a vehicle, or say anything: their own scope, and with `commands.confirm` a second request. */
const GRAVE: Readonly<Record<string, 'engine' | 'custom'>> = { engine_stop: 'engine', custom: 'custom' };
const CONFIRM_MS = 120_000;
const MOST_WAITING = 1_000;
/** How often a request that waits looks at its command. */
const LOOK_MS = 25;
const LONGEST_WAIT_S = 120;

const time = z.int().min(0);
const body = z.strictObject({
  type: z.string().min(1).max(64),
  parameters: z.record(z.string().max(64), z.union([z.string().max(1024), z.number(), z.boolean()])).default({}),
  reason: z.string().max(200).optional(),
  ref: z.string().max(200).optional(),
  not_before: time.optional(),
  expires: time.optional(),
  priority: z.int().min(-9).max(9).optional(),
  when: z.enum(['any', 'moving', 'stopped']).optional(),
  again: z.boolean().optional(),
  protocol: z.string().max(16).optional(),
  /** Of the answer to the first request, when `commands.confirm` asks for a second. */
  confirm: z.string().max(64).optional(),
});
const device = z.string().regex(/^[A-Za-z0-9:_-]{3,32}$/, 'must be a device id: 3 to 32 letters, digits, -, _ or :');
const wait = z.coerce.number().min(0).max(LONGEST_WAIT_S).default(0);

/**
 * `/v1/devices/{id}/commands` and `/v1/commands/catalog` (design.md sections 8 and 9).
 *
 *     POST   /v1/devices/{id}/commands[?wait=seconds]   hand in; 201, 409 when the same is open
 *     GET    /v1/devices/{id}/commands                  open and ended ones, oldest first
 *     GET    /v1/devices/{id}/commands/{command}[?wait=seconds]
 *     DELETE /v1/devices/{id}/commands/{command}        cancel; 409 when it does not wait any more
 *     GET    /v1/devices/{id}/settings                  desired, reported and pending
 *     GET    /v1/commands/catalog[?device=id|protocol=codec]
 *
 * With `wait`, the answer comes when the command has ended, or the time is over.
 */
export function commandRoutes(server: FastifyInstance, office: () => CommandOffice | undefined, confirm: boolean): void {
  const confirmations = new Map<string, { readonly what: string; readonly until: number }>();

  server.post<{ Params: { id: string }; Querystring: { wait?: string } }>('/v1/devices/:id/commands', async (request, reply) => {
    const at = ready(office(), reply);
    if (at === undefined) return reply;
    const token = await tokenOf(request, reply, at.state, 'commands');
    if (token === undefined) return reply;
    const problems: FieldProblem[] = [];
    const id = checked(device, request.params.id, 'id', problems);
    const waitS = checked(wait, request.query.wait, 'wait', problems);
    const draft = checked(body, request.body ?? {}, '', problems);
    if (id === undefined || draft === undefined || waitS === undefined)
      return problem(reply, 400, 'the request cannot be understood', problems);
    const { confirm: given, ...wanted } = draft;
    const scope = GRAVE[wanted.type];
    if (scope !== undefined && !allows(token, scope))
      return problem(reply, 403, `the token "${token.name}" lacks the scope \`${scope}\` for ${wanted.type}`);
    if (scope !== undefined && confirm && !isConfirmed(given, token, id, wanted)) return askToConfirm(reply, token, id, wanted);
    return handIn(reply, at, { ...wanted, device: id, requester: token.name }, waitS);
  });

  function whatOf(token: Token, id: string, wanted: object): string {
    return JSON.stringify([token.name, id, wanted]);
  }

  function isConfirmed(given: string | undefined, token: Token, id: string, wanted: object): boolean {
    const asked = given === undefined ? undefined : confirmations.get(given);
    if (given === undefined || asked === undefined) return false;
    confirmations.delete(given);
    return asked.what === whatOf(token, id, wanted) && systemClock.elapsed() < asked.until;
  }

  function askToConfirm(reply: FastifyReply, token: Token, id: string, wanted: object): FastifyReply {
    const [first] = confirmations.keys();
    if (first !== undefined && confirmations.size >= MOST_WAITING) confirmations.delete(first);
    const key = crypto.randomUUID();
    confirmations.set(key, { what: whatOf(token, id, wanted), until: systemClock.elapsed() + CONFIRM_MS });
    const title = `this command is sent when the same request comes again with \`confirm\` within ${CONFIRM_MS / 1000} s`;
    return problem(reply, 428, title, [{ field: 'confirm', problem: `must be "${key}"` }], { confirm: key });
  }

  server.get<{ Params: { id: string } }>('/v1/devices/:id/commands', async (request, reply) => {
    const at = ready(office(), reply);
    if (at === undefined || (await tokenOf(request, reply, at.state, 'read')) === undefined) return reply;
    const problems: FieldProblem[] = [];
    const id = checked(device, request.params.id, 'id', problems);
    if (id === undefined) return problem(reply, 400, 'the request cannot be understood', problems);
    return { open: await at.ledger.open(id), ended: await at.ledger.finished(id) };
  });

  server.get<{ Params: { id: string; command: string }; Querystring: { wait?: string } }>(
    '/v1/devices/:id/commands/:command',
    async (request, reply) => {
      const at = ready(office(), reply);
      if (at === undefined || (await tokenOf(request, reply, at.state, 'read')) === undefined) return reply;
      const problems: FieldProblem[] = [];
      const id = checked(device, request.params.id, 'id', problems);
      const waitS = checked(wait, request.query.wait, 'wait', problems);
      if (id === undefined || waitS === undefined) return problem(reply, 400, 'the request cannot be understood', problems);
      const command = await settled(at.ledger, id, request.params.command, waitS);
      return command ?? problem(reply, 404, `device ${id} has no command ${request.params.command}`);
    },
  );

  server.delete<{ Params: { id: string; command: string } }>('/v1/devices/:id/commands/:command', async (request, reply) => {
    const at = ready(office(), reply);
    if (at === undefined) return reply;
    const token = await tokenOf(request, reply, at.state, 'commands');
    if (token === undefined) return reply;
    const problems: FieldProblem[] = [];
    const id = checked(device, request.params.id, 'id', problems);
    if (id === undefined) return problem(reply, 400, 'the request cannot be understood', problems);
    const command = await at.desk.cancel(id, request.params.command, token.name);
    if (command === undefined) return problem(reply, 404, `device ${id} has no command ${request.params.command}`);
    return command.state === 'cancelled'
      ? command
      : problem(reply, 409, `the command is ${command.state}: only one that is queued can be cancelled`, [], { command });
  });

  server.get<{ Params: { id: string } }>('/v1/devices/:id/settings', async (request, reply) => {
    const at = ready(office(), reply);
    if (at === undefined || (await tokenOf(request, reply, at.state, 'read')) === undefined) return reply;
    const problems: FieldProblem[] = [];
    const id = checked(device, request.params.id, 'id', problems);
    return id === undefined ? problem(reply, 400, 'the request cannot be understood', problems) : at.shadow.get(id);
  });

  server.get<{ Querystring: { device?: string; protocol?: string } }>('/v1/commands/catalog', async (request, reply) => {
    const at = ready(office(), reply);
    if (at === undefined || (await tokenOf(request, reply, at.state, 'read')) === undefined) return reply;
    const { device: id, protocol } = request.query;
    const found = await at.desk.catalog(id, protocol);
    if (found !== undefined) return { codecs: found };
    return problem(
      reply,
      404,
      id === undefined ? `there is no codec "${protocol}" with commands` : `device ${id} has never connected; ask by \`protocol\``,
    );
  });
}

async function handIn(reply: FastifyReply, at: CommandOffice, draft: Parameters<Desk['submit']>[0], waitS: number): Promise<FastifyReply> {
  const outcome: Outcome = await at.desk.submit(draft);
  if ('command' in outcome) {
    const { id, device: of } = outcome.command;
    const command = waitS === 0 ? outcome.command : await settled(at.ledger, of, id, waitS);
    return reply.code(201).header('location', `/v1/devices/${of}/commands/${id}`).send(command);
  }
  const status = { invalid: 422, unknown_device: 404, conflict: 409, full: 429 }[outcome.refused];
  const title = {
    invalid: 'the command cannot be sent like this',
    unknown_device: 'the device is not known',
    conflict: 'the same command is open already',
    full: 'too many open commands',
  }[outcome.refused];
  return problem(reply, status, title, outcome.problems, outcome.other === undefined ? {} : { command: outcome.other });
}

/** The command when it has ended, or as it is after `waitS` seconds. */
async function settled(ledger: Ledger, id: string, command: string, waitS: number): Promise<Command | undefined> {
  const until = systemClock.elapsed() + waitS * 1000;
  for (;;) {
    const found = await ledger.get(id, command);
    if (found === undefined || found.ended > 0 || systemClock.elapsed() >= until) return found;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function ready(office: CommandOffice | undefined, reply: FastifyReply): CommandOffice | undefined {
  if (office === undefined) problem(reply, 503, 'the server is starting; try again');
  return office;
}

/** The value as the schema has it; undefined, with what is wrong added to `problems`, when it is not. */
function checked<T>(schema: z.ZodType<T>, value: unknown, name: string, problems: FieldProblem[]): T | undefined {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    const path = [...(name === '' ? [] : [name]), ...issue.path].join('.');
    const keys = issue.code === 'unrecognized_keys' ? issue.keys : [undefined];
    for (const key of keys)
      problems.push({ field: key === undefined ? path || 'body' : [path, key].filter(Boolean).join('.'), problem: issue.message });
  }
  return undefined;
}
