import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { COMMAND_STATES, COMMANDS, CONDITIONS, type Command, FINISHED, UNKNOWN, VIAS } from '../fleet/command/command.ts';
import { CRITICAL_SCOPES, type CriticalType } from '../fleet/command/critical.ts';
import type { Outcome, Problem } from '../fleet/command/intake.ts';
import type { Ledger } from '../fleet/command/ledger.ts';
import { deviceId } from '../fleet/registry/device.ts';
import type { Share } from '../fleet/registry/owners.ts';
import { mayTellPlace } from '../live/recent-events.ts';
import type { Confirmations } from './confirmations.ts';
import { listOf } from './list-of.ts';
import type { ApiOffice } from './office.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';
import { allows, type Token } from './tokens.ts';

const LONGEST_WAIT_S = 120;
/** The ledger's tables in the order in which commands are listed. */
const TABLES = [UNKNOWN, COMMANDS, FINISHED];

const time = z.int().min(0);
const value = z.union([z.string().max(1024), z.number(), z.boolean()]);
const body = z
  .strictObject({
    type: z.string().min(1).max(64).describe('a command of the catalogue'),
    parameters: z.record(z.string().max(64), value).default({}),
    reason: z
      .string()
      .max(200)
      .optional()
      .describe('for the record; required if a command that can keep a vehicle from driving is to be sent at any speed'),
    ref: z.string().max(200).optional().describe('repeated in every event'),
    not_before: time.optional().describe('epoch ms'),
    expires: time
      .optional()
      .describe('epoch ms; 10 minutes from now, or from `not_before`, for a command that can keep a vehicle from driving'),
    priority: z.int().min(-9).max(9).optional().describe('higher goes first'),
    when: z
      .enum(CONDITIONS)
      .optional()
      .describe(
        'send only while a position of the last two minutes shows this; default `stopped` for a command that can keep a vehicle from driving',
      ),
    via: z
      .enum(VIAS)
      .optional()
      .describe('`sms`: by text message; `any`: so when no connection takes it within 2 minutes; default `connection`'),
    again: z.boolean().optional().describe('queue it although the same command is open'),
    protocol: z.string().max(16).optional().describe('codec of a device that has never connected'),
    confirm: z
      .string()
      .max(64)
      .optional()
      .describe('key from the answer to the first request, if `commands.confirm` requires a second one'),
  })
  .describe('command');
const wait = z.coerce
  .number()
  .min(0)
  .max(LONGEST_WAIT_S)
  .default(0)
  .describe('seconds to wait until the command has ended or its outcome is unknown');
const ofDevice = z.strictObject({ id: deviceId });
const commandId = z.string().regex(/^[\x21-\x7e]{1,100}$/, 'must be a command id');
const ofCommand = z.strictObject({ id: deviceId, command: commandId });

const command = z
  .looseObject({
    id: z.string(),
    device: z.string(),
    type: z.string(),
    state: z.enum(COMMAND_STATES),
    ended: time.describe('0 while it is open'),
    attempts: z.int(),
    reply: z.string(),
    withheld: z
      .literal(true)
      .optional()
      .describe('the reply may say where the device is, and the token has neither `locations` nor `commands`'),
    opposed: z
      .array(z.object({ id: z.string(), type: z.string(), state: z.enum(COMMAND_STATES) }))
      .optional()
      .describe('open earlier commands with the opposite effect: cancelled, or in flight'),
  })
  .describe('command in the ledger');
const codecs = z.object({ codecs: z.array(z.object({ protocol: z.string(), commands: z.array(z.looseObject({ type: z.string() })) })) });
const byName = z.record(z.string(), value);
const settings = z.object({ desired: byName, reported: byName, pending: z.record(z.string(), z.string()) });

/**
 * Commands, their catalogue and the settings shadow (docs/commands.md).
 */
export function commandRoutes(confirmations: Confirmations): Route[] {
  return [
    route({
      method: 'POST',
      path: '/v1/devices/{id}/commands',
      scope: 'commands',
      limits: 'owner',
      audits: 'change',
      about: 'Submit a command. With `wait`, the answer is delayed until the command has ended or the time is over.',
      params: ofDevice,
      query: z.strictObject({ wait }),
      body,
      answers: {
        201: { about: 'the command', schema: command },
        404: { about: 'the device has never connected and `protocol` is missing' },
        409: { about: 'the same command is open' },
        422: { about: 'unknown command, or invalid parameters for this device' },
        428: { about: 'confirmation required' },
        429: { about: 'too many open commands' },
      },
      async run({ params: { id }, query, body: { confirm: given, ...wanted }, token, share, office, reply }) {
        let asks = false;
        const permits = (critical: CriticalType): Problem | undefined => {
          const lacking = scopeProblem(token, { type: wanted.type, critical });
          if (lacking !== undefined) return { field: 'type', problem: lacking };
          asks = confirmations.isNeeded && !confirmations.isGiven(given, token, id, wanted);
          return asks ? { field: 'confirm', problem: 'must be given' } : undefined;
        };
        const outcome = await office.commandIntake.submit({
          ...wanted,
          device: id,
          requester: token.name,
          permits,
          accounts: share?.accounts,
        });
        return asks ? confirmations.ask(reply, token, id, wanted) : answer(reply, office, outcome, query.wait, share);
      },
    }),
    route({
      method: 'GET',
      path: '/v1/devices/{id}/commands',
      scope: 'read',
      limits: 'owner',
      audits: 'read',
      about: 'Open and ended commands, oldest first.',
      params: ofDevice,
      query: NOTHING,
      body: NO_BODY,
      answers: {
        200: {
          about: 'the commands; those of unknown outcome are listed as open',
          schema: z.object({ open: z.array(command), ended: z.array(command) }),
        },
      },
      async run({ params, token, share, office }) {
        const id = await office.deviceRecords.idOf(params.id);
        const { ledger } = office;
        const open = [...(await ledger.unknown(id)), ...(await ledger.open(id))];
        const since = share?.since ?? 0;
        const shown = (all: readonly Command[]): object[] =>
          all.filter(({ created }) => created >= since).map((one) => withoutPlace(token, one));
        return { open: shown(open), ended: shown(await ledger.finished(id)) };
      },
    }),
    route({
      method: 'GET',
      path: '/v1/commands',
      scope: 'read',
      audits: 'read',
      about: 'Commands of all devices: those of unknown outcome, the open ones, the ended ones, each by device and age.',
      params: NOTHING,
      query: z.strictObject({
        device: deviceId.optional(),
        state: listOf(z.enum(COMMAND_STATES), COMMAND_STATES.length).optional().describe('states, separated by commas'),
        type: z.string().min(1).max(64).optional(),
        limit: z.coerce.number().int().min(1).max(1000).default(100),
        after: z.string().min(1).max(300).optional().describe('`next` of the page before'),
      }),
      body: NO_BODY,
      answers: {
        200: {
          about: 'the commands; pass `next` as `after` for the next page',
          schema: z.object({ commands: z.array(command), next: z.string().optional() }),
        },
      },
      async run({ query, token, office }) {
        const device = query.device === undefined ? undefined : await office.deviceRecords.idOf(query.device);
        const { commands, next } = await listed(office, { ...query, device });
        return { commands: commands.map((one) => withoutPlace(token, one)), ...(next === undefined ? {} : { next }) };
      },
    }),
    route({
      method: 'GET',
      path: '/v1/devices/{id}/commands/{command}',
      scope: 'read',
      limits: 'owner',
      audits: 'read',
      about: 'One command. With `wait`, the answer is delayed until the command has ended or the time is over.',
      params: ofCommand,
      query: z.strictObject({ wait }),
      body: NO_BODY,
      answers: { 200: { about: 'the command', schema: command }, 404: { about: 'unknown command' } },
      async run({ params, query, token, share, office, reply }) {
        const id = await office.deviceRecords.idOf(params.id);
        const since = share?.since ?? 0;
        const isSeen = since === 0 || ((await office.ledger.get(id, params.command))?.created ?? 0) >= since;
        const found = isSeen ? await office.waiting.settled(id, params.command, 1000 * query.wait) : undefined;
        return found === undefined
          ? problem(reply, 404, `device ${id} has no command ${params.command}`)
          : withOpposed(office.ledger, found, since).then((shown) => withoutPlace(token, { ...found, ...shown }));
      },
    }),
    route({
      method: 'POST',
      path: '/v1/commands/{command}/outcome',
      scope: 'commands',
      limits: 'rows',
      audits: 'change',
      about: 'Record the outcome of an unknown command, as found at the vehicle.',
      params: z.strictObject({ command: commandId }),
      query: NOTHING,
      body: z.strictObject({
        outcome: z.enum(['done', 'failed']),
        reason: z.string().min(1).max(200).describe('how the outcome was established'),
      }),
      answers: { 200: { about: 'the command', schema: command }, 404: { about: 'no command of unknown outcome has this id' } },
      async run({ params, body: { outcome, reason }, token, reach, office, reply }) {
        const found = await office.ledger.unknownOf(params.command);
        const share = found === undefined ? undefined : await reach?.current(found.device);
        const isSeen = reach === undefined || (share !== undefined && (found?.created ?? 0) >= share.since);
        const lacking = isSeen ? scopeProblem(token, found) : undefined;
        if (lacking !== undefined) return problem(reply, 403, lacking);
        const settled = isSeen ? await office.commandIntake.settle(params.command, outcome, token.name, reason, share?.owners) : undefined;
        return settled ?? problem(reply, 404, `no command ${params.command} has an unknown outcome: it has ended, or does not exist`);
      },
    }),
    route({
      method: 'DELETE',
      path: '/v1/devices/{id}/commands/{command}',
      scope: 'commands',
      limits: 'owner',
      audits: 'change',
      about: 'Cancel a queued command.',
      params: ofCommand,
      query: NOTHING,
      body: NO_BODY,
      answers: {
        200: { about: 'the command', schema: command },
        404: { about: 'unknown command' },
        409: { about: 'the command is no longer queued' },
      },
      async run({ params, token, share, office, reply }) {
        const id = await office.deviceRecords.idOf(params.id);
        const known = await office.ledger.get(id, params.command);
        if (known !== undefined && known.created < (share?.since ?? 0))
          return problem(reply, 404, `device ${id} has no command ${params.command}`);
        const lacking = scopeProblem(token, known);
        if (lacking !== undefined) return problem(reply, 403, lacking);
        const found = await office.commandIntake.cancel(id, params.command, token.name, { owners: share?.owners });
        if (found === undefined) return problem(reply, 404, `device ${id} has no command ${params.command}`);
        return found.state === 'cancelled'
          ? found
          : problem(reply, 409, `the command is ${found.state}: only one that is queued can be cancelled`, [], { command: found });
      },
    }),
    route({
      method: 'GET',
      path: '/v1/devices/{id}/settings',
      scope: 'read',
      limits: 'owner',
      audits: 'read',
      about: 'Desired, reported and pending settings of a device.',
      params: ofDevice,
      query: NOTHING,
      body: NO_BODY,
      answers: { 200: { about: 'the settings', schema: settings } },
      run: async ({ params, office }) => office.shadow.get(await office.deviceRecords.idOf(params.id)),
    }),
    route({
      method: 'GET',
      path: '/v1/commands/catalog',
      scope: 'read',
      limits: 'rows',
      audits: 'nothing',
      about: 'Commands that a device, a protocol, or any protocol supports.',
      params: NOTHING,
      query: z.strictObject({ device: deviceId.optional(), protocol: z.string().max(16).optional() }),
      body: NO_BODY,
      answers: { 200: { about: 'by codec', schema: codecs }, 404: { about: 'no such device or codec' } },
      async run({ query: { device, protocol }, reach, office, reply }) {
        const isSeen = device === undefined || reach === undefined || (await reach.current(device)) !== undefined;
        const found = isSeen ? await office.commandIntake.catalog(device, protocol) : undefined;
        if (found !== undefined) return { codecs: found };
        const what =
          device === undefined
            ? `unknown protocol "${protocol}", or one without commands`
            : `device ${device} has never connected; specify \`protocol\``;
        return problem(reply, 404, what);
      },
    }),
  ];
}

interface Wanted {
  readonly device: string | undefined;
  readonly state?: readonly string[] | undefined;
  readonly type?: string | undefined;
  readonly limit: number;
  readonly after?: string | undefined;
}

/** A page of the ledger; `next` is the table and the key of the last one, when there are more. */
async function listed(office: ApiOffice, wanted: Wanted): Promise<{ commands: Command[]; next?: string }> {
  const { device, state, type, limit, after = '' } = wanted;
  const cut = after.indexOf(' ');
  const begin = TABLES.findIndex(({ name }) => name === after.slice(0, cut));
  const commands: Command[] = [];
  let last = '';
  for (const table of TABLES.slice(Math.max(begin, 0))) {
    const behind = table === TABLES[begin] ? after.slice(cut + 1) : undefined;
    for await (const [key, found] of table.entries(office.state, { prefix: device === undefined ? '' : `${device} `, after: behind })) {
      if (state?.includes(found.state) === false || (type !== undefined && type !== found.type)) continue;
      if (commands.length === limit) return { commands, next: last };
      commands.push(found);
      last = `${table.name} ${key}`;
    }
  }
  return { commands };
}

/** Why a token may not submit, cancel or settle a command; undefined: it may. */
function scopeProblem(token: Token, of: Pick<Command, 'type' | 'critical'> | undefined): string | undefined {
  const { type, critical = '' } = of ?? {};
  if (critical === '' || allows(token, CRITICAL_SCOPES[critical])) return undefined;
  const what = critical === type ? critical : `this ${type}, which acts as ${critical}`;
  return `the token "${token.name}" lacks the scope \`${CRITICAL_SCOPES[critical]}\` for ${what}`;
}

/** `share`: what the caller may see of the device; undefined: all. */
async function answer(
  reply: FastifyReply,
  at: ApiOffice,
  outcome: Outcome,
  waitS: number,
  share: Share | undefined,
): Promise<FastifyReply> {
  if ('command' in outcome) {
    const { id, device: of } = outcome.command;
    const found = waitS === 0 ? outcome.command : await at.waiting.settled(of, id, 1000 * waitS);
    return reply
      .code(201)
      .header('location', `/v1/devices/${of}/commands/${id}`)
      .send(found && (await withOpposed(at.ledger, found, share?.since ?? 0)));
  }
  const status = { invalid: 422, forbidden: 403, unknown_device: 404, conflict: 409, full: 429 }[outcome.refused];
  const title = {
    invalid: 'invalid command',
    forbidden: outcome.problems[0]?.problem ?? '',
    unknown_device: 'unknown device',
    conflict: 'the same command is already open',
    full: 'too many open commands',
  }[outcome.refused];
  const { other } = outcome;
  if (other === undefined) return problem(reply, status, title, outcome.problems);
  if (share !== undefined && ((await at.ledger.get(share.device, other))?.created ?? 0) < share.since)
    return problem(reply, status, title, [{ field: 'type', problem: 'is open already; set `again` to queue another' }]);
  return problem(reply, status, title, outcome.problems, { command: other });
}

/** A reply that says where the device is, is left out for tokens that can neither see that nor ask the device. */
function withoutPlace(token: Token, found: Command): object {
  if (!mayTellPlace(found.type, found.reply, found.values)) return found;
  if (allows(token, 'locations') || allows(token, 'commands')) return found;
  return { ...found, reply: '', values: {}, withheld: true };
}

/** The command, and what has become of those that it is the opposite of. */
async function withOpposed(ledger: Ledger, found: Command, since: number): Promise<object> {
  if (found.opposes.length === 0) return found;
  const others = await Promise.all(found.opposes.map((id) => ledger.get(found.device, id)));
  return {
    ...found,
    opposed: others.flatMap((other) =>
      other === undefined || other.created < since ? [] : [{ id: other.id, type: other.type, state: other.state }],
    ),
  };
}
