import { randomBytes } from 'node:crypto';
import { every } from '../../base/beat.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { type Codec, type CommandRule, checkOptions, type Options } from '../../codec/index.ts';
import type { OptionsOf } from '../../codec/registry.ts';
import { attempt, CONTENDED } from '../../state/attempt.ts';
import { type Following, follow } from '../../state/follow.ts';
import type { StateStore } from '../../state/store.ts';
import type { Device } from '../registry/device.ts';
import { textProblems } from '../registry/field-problem.ts';
import { isPassedOn, type Noted } from '../registry/owners.ts';
import {
  COMMANDS,
  CONDITIONS,
  type Command,
  type CommandRequest,
  type Condition,
  commandEvent,
  immobilises,
  isPending,
  VIAS,
  type Via,
} from './command.ts';
import { type CriticalType, type Meaning, meaningOf } from './critical.ts';
import { type Admits, type Ledger, OPEN_COMMANDS, opposedBy } from './ledger.ts';
import { example, readTexts, unsafe } from './parameters.ts';
import { textOf } from './text-delivery.ts';

/**
 * Where commands are handed in, checked, cancelled and given up; in the supervisor.
 *
 * 1. Nothing gets into the ledger that the device's codec cannot encode: what is wrong is said at once, all of it, by field.
 * 2. No parameter carries what separates or ends commands on the wire (`#`, `;`, control or non-ASCII characters). Only the
 *    text of `custom` may, as far as its codec lets it: there it is the device's own language.
 * 3. A command like one that is still open is refused unless `again` is said, also when both are handed in at once.
 * 4. An open command ends as expired when its time is over, also when its device never comes back.
 * 5. A command that may keep the vehicle from driving waits until it stands, unless the caller says `any` and why, and it
 *    expires soon: a stop from yesterday must not act in today's traffic.
 * 6. What the plan of the device does not include is refused, unless the plan itself asks for it.
 * 7. A command goes by text message only to a device that has a telephone number, in a text form of its codec, and waits for no position.
 * 8. What was decided for a device of one account does not get to that of another, to which it was passed on meanwhile.
 */
export interface Draft {
  readonly device: string;
  readonly type: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly requester: string;
  readonly reason?: string | undefined;
  readonly ref?: string | undefined;
  /** Epoch ms; 0 or absent: at once. */
  readonly not_before?: number | undefined;
  /** Epoch ms; absent: the configured time from now, or ten minutes from `not_before` for a command that immobilises. */
  readonly expires?: number | undefined;
  readonly priority?: number | undefined;
  /** Absent: `any`, or `stopped` for a command that immobilises. */
  readonly when?: string | undefined;
  /** Absent: `connection`. */
  readonly via?: string | undefined;
  /** Also when the same command is open already. */
  readonly again?: boolean | undefined;
  /** Codec of a device that has never connected. */
  readonly protocol?: string | undefined;
  /** The same draft handed in twice under one id is one command. */
  readonly id?: string | undefined;
  /** The accounts whose devices the requester may command; absent: all. */
  readonly accounts?: ReadonlySet<string> | undefined;
  /** The device's plan itself asks for it. */
  readonly byPlan?: boolean | undefined;
  /** Why the requester may not hand in a command that does what this type does; undefined: he may. Absent: everything is permitted. */
  readonly permits?: (critical: CriticalType) => Problem | undefined;
}

export interface Problem {
  readonly field: string;
  readonly problem: string;
}

interface Refused {
  readonly refused: 'invalid' | 'forbidden' | 'unknown_device' | 'conflict' | 'full';
  readonly problems: readonly Problem[];
  readonly other?: string;
}
export type Outcome = { readonly command: Command } | Refused;

export interface CommandIntakeOptions {
  readonly ledger: Ledger;
  readonly store: StateStore;
  readonly device: (id: string) => Promise<Device | undefined>;
  /** Types of commands that a plan includes; undefined: all. Absent: every plan includes all. */
  readonly included?: (plan: string) => Promise<readonly string[] | undefined>;
  readonly codecs: ReadonlyMap<string, Codec>;
  readonly optionsOf: OptionsOf;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  readonly expiryMs: number;
  /** A gateway for text messages is configured. */
  readonly texts?: boolean;
  readonly log: Log;
  /** Tells the worker that has the device. */
  readonly poke: (device: string) => void;
  /** Journals an event of a device. */
  readonly record: (device: string, event: object, account?: string) => void;
  /** Counts how commands came out, by state. */
  readonly count: (state: Command['state']) => void;
}

const SWEEP_MS = 1_000;
const IMMOBILISING_EXPIRY_MS = 600_000;
/** A command that was sent is given up so long after its time: a reply in between still counts. */
const GRACE_MS = 60_000;
/** Of an invalid command. */
const NOTHING: Pick<Meaning, 'switches' | 'critical'> = { switches: [], critical: '' };
const LONGEST_MS = 366 * 86_400_000;
const MAX_TEXT = 200;
/** Larger than any command frame. */
const SCRATCH = new Uint8Array(4096);

export class CommandIntake {
  readonly #o: CommandIntakeOptions;
  /** Open commands by key `<device> <id>`: when to give them up. */
  readonly #deadlines = new Map<string, number>();
  #stopSweep: (() => void) | undefined;
  #following: Following | undefined;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(options: CommandIntakeOptions) {
    this.#o = options;
  }

  /** Begins to look after what expires. */
  start(): void {
    const { store, log } = this.#o;
    const all = (commands: ReadonlyMap<string, Command>): void => {
      this.#deadlines.clear();
      for (const [key, command] of commands) this.#note(key, command);
    };
    this.#following = follow(store, COMMANDS, { all, changed: (key, command) => this.#note(key, command) }, log);
    this.#stopSweep = every(SWEEP_MS, () => {
      this.#sweeping = this.#sweeping.then(() => this.#expire()).catch((error: unknown) => this.#failed(error));
    });
  }

  async stop(): Promise<void> {
    this.#stopSweep?.();
    await this.#following?.stop();
    await this.#sweeping;
  }

  async submit(given: Draft): Promise<Outcome> {
    return attempt(`the commands of device ${given.device}`, () => this.#submit(given));
  }

  /** Invariant 8: CONTENDED when the device was passed on meanwhile. */
  async #submit(given: Draft): Promise<Outcome | typeof CONTENDED> {
    // It may have been called by an alias.
    const id = (await this.#o.device(given.device))?.id ?? given.device;
    const owners = { text: await this.#o.store.get('owners', id) };
    const known = await this.#o.device(id);
    if (given.accounts?.has(known?.account ?? '') === false) return refuse('unknown_device', 'device', 'is not known');
    const draft = { ...given, device: id };
    const protocol = known?.protocol ?? draft.protocol;
    if (protocol === undefined)
      return refuse('unknown_device', 'device', 'has never connected; give its `protocol` to queue a command for its first contact');
    const codec = this.#o.codecs.get(protocol);
    if (codec === undefined)
      return refuse('invalid', 'protocol', `no codec "${protocol}"; there are ${[...this.#o.codecs.keys()].join(', ')}`);
    const excluded = draft.byPlan === true ? undefined : await this.#excluded(draft.type, known);
    if (excluded !== undefined) return { refused: 'forbidden', problems: [excluded] };
    const at = this.#o.now();
    const request = this.#request(draft, codec, known, at);
    return 'refused' in request ? request : this.#enter(request, draft, at, owners);
  }

  /** Why the plan of the device does not include the command; undefined: it does. */
  async #excluded(type: string, device: Device | undefined): Promise<Problem | undefined> {
    const plan = device?.plan ?? 'default';
    const included = await this.#o.included?.(plan);
    if (included === undefined || included.includes(type)) return undefined;
    return {
      field: 'type',
      problem: `the plan "${plan}" of the device does not include ${type}; it includes ${included.join(', ') || 'no command'}`,
    };
  }

  /** The command as it is asked for, with what it means; refused when something is wrong with it. */
  #request(draft: Draft, codec: Codec, known: Device | undefined, at: number): CommandRequest | Refused {
    const { expiryMs } = this.#o;
    const problems: Problem[] = [];
    const parameters = this.#check(draft, codec, known, problems);
    const notBefore = draft.not_before ?? 0;
    const { switches, critical } =
      problems.length > 0 ? NOTHING : meaningOf(codec, draft.type, parameters, this.#o.optionsOf(codec, draft.device, known?.options));
    const stops = immobilises({ switches });
    const forbidden = critical === '' ? undefined : draft.permits?.(critical);
    if (forbidden !== undefined) return { refused: 'forbidden', problems: [forbidden] };
    const longestMs = stops ? Math.min(expiryMs, IMMOBILISING_EXPIRY_MS) : expiryMs;
    const expires = draft.expires ?? (stops ? Math.max(at, notBefore) : at) + longestMs;
    problems.push(...timeProblems(at, notBefore, expires));
    const { device, type, requester, priority = 0, reason = '', ref = '' } = draft;
    const when = conditionOf(draft.when ?? (stops ? 'stopped' : 'any'));
    problems.push(...orderProblems(priority, when, stops, reason));
    const via = this.#via(draft, codec, known, parameters, when, problems);
    for (const [field, text] of Object.entries({ reason, ref }))
      if (text.length > MAX_TEXT) problems.push({ field, problem: `must have at most ${MAX_TEXT} characters` });
    problems.push(...textProblems({ reason, ref, requester }));
    if (problems.length > 0 || when === undefined) return { refused: 'invalid', problems };
    const request = {
      device,
      type,
      parameters,
      requester,
      reason,
      ref,
      not_before: notBefore,
      expires,
      priority,
      when,
      switches,
      critical,
    };
    return via === 'connection' ? request : { ...request, via };
  }

  /** Invariant 7. */
  #via(draft: Draft, codec: Codec, known: Device | undefined, parameters: Options, when: Condition | undefined, problems: Problem[]): Via {
    const via = VIAS.find((one) => one === (draft.via ?? 'connection'));
    if (via === 'connection') return via;
    const add = (field: string, problem: string): unknown => problems.push({ field, problem });
    if (via === undefined) add('via', `must be one of ${VIAS.join(', ')}`);
    else if (this.#o.texts !== true) add('via', 'no gateway for text messages is configured: set `sms.gateway.url`, or say connection');
    else if (known?.phone === undefined) add('via', 'the device has no telephone number: set its `phone`, or say connection');
    else if (when !== 'any')
      add('when', 'must be any, for a text message waits for no position; a command that stops a vehicle needs a reason too');
    else if (problems.length === 0) {
      const options = this.#o.optionsOf(codec, draft.device, known.options);
      if (textOf(codec, options, draft.device, { type: draft.type, parameters }, 1, this.#o.now()) === undefined)
        add('via', `${codec.name} has no text form of this command for the device; say connection`);
    }
    return via ?? 'connection';
  }

  /** Into the ledger, unless it is there or is too much. */
  async #enter(request: CommandRequest, draft: Draft, at: number, owners: Noted): Promise<Outcome | typeof CONTENDED> {
    const { ledger, store } = this.#o;
    const id = draft.id ?? newId(at);
    let refused: Outcome | undefined;
    const admits: Admits = (open, unknown) => {
      refused = draft.again === true ? undefined : sameAs(request, open);
      refused ??= tooMany(request, open, unknown);
      return refused === undefined;
    };
    const command = await ledger.submit(request, id, admits, owners);
    if (command === undefined) {
      if (refused === undefined && (await isPassedOn(store, request.device, owners))) return CONTENDED;
      const there = refused ?? (await ledger.get(request.device, id));
      if (there === undefined) return refuse('conflict', 'id', 'has been used');
      return 'id' in there ? { command: there } : there;
    }
    await this.#queued(command);
    return { command };
  }

  async #queued(command: Command): Promise<void> {
    this.#said(command);
    for (const opposed of command.opposes) {
      const other = await this.#o.ledger.get(command.device, opposed);
      if (other?.state === 'cancelled' && other.history.at(-1)?.note === opposedBy(command)) this.#said(other);
    }
    this.#o.poke(command.device);
  }

  /** A person says how a command came out; undefined when there is no unknown one of that id. */
  async settle(id: string, outcome: 'done' | 'failed', requester: string, reason: string, owners?: Noted): Promise<Command | undefined> {
    const command = await this.#o.ledger.unknownOf(id);
    if (command === undefined) return undefined;
    const state = outcome === 'done' ? 'answered' : 'failed';
    const settled = await this.#o.ledger.settled(command, state, `by ${requester}: ${reason}`, owners);
    if (settled !== undefined) this.#said(settled);
    return settled;
  }

  /**
   * Undefined when there is no such command; a command that does not wait any more comes back as it is. `account`: whose it was, where
   * that is not whose the device is. `owners`: whose the device must still be, else undefined.
   */
  async cancel(
    device: string,
    id: string,
    requester: string,
    { account, owners }: { readonly account?: string | undefined; readonly owners?: Noted | undefined } = {},
  ): Promise<Command | undefined> {
    const command = await this.#o.ledger.get(device, id);
    if (command === undefined || command.ended > 0) return command;
    const cancelled = await this.#o.ledger.cancelled(command, `by ${requester}`, owners);
    if (cancelled === undefined) return (await isPassedOn(this.#o.store, device, owners)) ? undefined : this.#o.ledger.get(device, id);
    this.#said(cancelled, account);
    return cancelled;
  }

  /** Commands that a device knows, or that the codec has when no device is named; undefined for an unknown device or codec. */
  async catalog(
    device: string | undefined,
    protocol?: string,
  ): Promise<{ protocol: string; commands: readonly CommandRule[] }[] | undefined> {
    const all = [...this.#o.codecs.values()].filter(({ commands }) => commands.length > 0);
    const known = device === undefined ? undefined : await this.#o.device(device);
    if (device !== undefined && known === undefined) return undefined;
    const wanted = known?.protocol ?? protocol;
    const codecs = wanted === undefined ? all : all.filter(({ name }) => name === wanted);
    if (codecs.length === 0) return undefined;
    const included = known === undefined ? undefined : await this.#o.included?.(known.plan);
    const has = (codec: Codec, rule: CommandRule): boolean =>
      known === undefined || (included?.includes(rule.type) !== false && this.#knows(codec, known, rule));
    return codecs.map((codec) => ({ protocol: codec.name, commands: codec.commands.filter((rule) => has(codec, rule)) }));
  }

  #check(draft: Draft, codec: Codec, device: Device | undefined, problems: Problem[]): Options {
    const rule = codec.commands.find(({ type }) => type === draft.type);
    if (rule === undefined) {
      const types = codec.commands.map(({ type }) => type).join(', ');
      problems.push({ field: 'type', problem: `${codec.name} has no command "${draft.type}"; it has ${types || 'none'}` });
      return {};
    }
    const wrong: string[] = [];
    const parameters = checkOptions(rule.parameters, readTexts(rule.parameters, draft.parameters), wrong);
    for (const text of wrong) {
      const [name = '', ...rest] = text.split(': ');
      problems.push({ field: `parameters.${name}`, problem: rest.join(': ') });
    }
    for (const [name, value] of Object.entries(parameters)) {
      const bad = typeof value === 'string' ? unsafe(value, draft.type === 'custom') : '';
      if (bad !== '') problems.push({ field: `parameters.${name}`, problem: bad });
    }
    if (problems.length === 0 && draft.via !== 'sms' && !this.#encodes(codec, draft.device, device, draft.type, parameters))
      problems.push({
        field: 'parameters',
        problem: `${codec.name} cannot encode this for the device: a value is out of its range, or its family has no such command`,
      });
    return parameters;
  }

  #encodes(codec: Codec, device: string, known: Device | undefined, type: string, parameters: Options): boolean {
    const dialect = (known?.transport === 'udp' ? codec.udp : codec.tcp) ?? codec.udp ?? codec.tcp;
    try {
      const options = this.#o.optionsOf(codec, device, known?.options);
      const state = dialect?.open('device' in codec.options ? { ...options, device } : options, 0);
      return state !== undefined && (dialect?.encodeCommand?.({ type, parameters }, 1, state, SCRATCH, 0, 0) ?? 0) > 0;
    } catch {
      return false;
    }
  }

  /** Is there anything at all that the rule takes and the codec encodes for the device? */
  #knows(codec: Codec, device: Device, rule: CommandRule): boolean {
    return this.#encodes(codec, device.id, device, rule.type, example(rule.parameters));
  }

  #note(key: string, command: Command | undefined): void {
    if (command === undefined || !isPending(command)) this.#deadlines.delete(key);
    else this.#deadlines.set(key, deadlineOf(command));
  }

  /** Invariant 4. */
  async #expire(): Promise<void> {
    const now = this.#o.now();
    for (const [key, deadline] of this.#deadlines) {
      if (now < deadline) continue;
      const [device = '', id = ''] = key.split(' ');
      const command = await this.#o.ledger.get(device, id);
      const expired = command === undefined || now < deadlineOf(command) ? undefined : await this.#o.ledger.expired(command);
      if (expired !== undefined) this.#said(expired);
      this.#note(key, await this.#o.ledger.get(device, id));
    }
  }

  #said(command: Command, account?: string): void {
    this.#o.count(command.state);
    this.#o.record(command.device, commandEvent(command), account);
  }

  #failed(error: unknown): void {
    this.#o.log.warn({ error: messageOf(error) }, 'command ledger cannot be read; retrying');
  }
}

/** What is wrong with when a command may leave; epoch ms. */
function timeProblems(now: number, notBefore: number, expires: number): Problem[] {
  const problems: Problem[] = [];
  if (!(expires > now && expires <= now + LONGEST_MS))
    problems.push({ field: 'expires', problem: 'must be epoch ms within the next 366 days' });
  if (!(notBefore >= 0 && notBefore < expires)) problems.push({ field: 'not_before', problem: 'must be epoch ms before `expires`' });
  return problems;
}

/** What is wrong with how urgently, when and why a command is to be sent. `stops`: it can keep the vehicle from driving. */
function orderProblems(priority: number, when: Condition | undefined, stops: boolean, reason: string): Problem[] {
  const problems: Problem[] = [];
  if (!Number.isInteger(priority) || Math.abs(priority) > 9)
    problems.push({ field: 'priority', problem: 'must be a whole number from -9 to 9' });
  if (when === undefined) problems.push({ field: 'when', problem: `must be one of ${CONDITIONS.join(', ')}` });
  else if (stops && when === 'moving')
    problems.push({ field: 'when', problem: 'must be stopped, or any with a reason: this command can keep the vehicle from driving' });
  else if (stops && when === 'any' && reason.trim() === '')
    problems.push({
      field: 'reason',
      problem: 'required: why this command, which can keep the vehicle from driving, may be sent at any speed',
    });
  return problems;
}

function sameAs(request: CommandRequest, open: readonly Command[]): Outcome | undefined {
  const same = open.find((other) => other.type === request.type && isEqual(other.parameters, request.parameters));
  if (same === undefined) return undefined;
  const problem = `the same command is already ${same.state} as ${same.id}; set \`again\` to queue another`;
  return { ...refuse('conflict', 'type', problem), other: same.id };
}

function tooMany(request: CommandRequest, open: readonly Command[], unknown: readonly Command[]): Outcome | undefined {
  if (open.length >= OPEN_COMMANDS) return refuse('full', 'device', `has ${OPEN_COMMANDS} open commands; cancel some`);
  if (request.critical !== '' && unknown.length >= OPEN_COMMANDS)
    return refuse('full', 'device', `has ${OPEN_COMMANDS} commands of unknown outcome; record their outcomes`);
  return undefined;
}

function refuse(refused: 'invalid' | 'unknown_device' | 'conflict' | 'full', field: string, problem: string) {
  return { refused, problems: [{ field, problem }] } as const;
}

function deadlineOf(command: Command): number {
  return command.state === 'sent' ? command.expires + GRACE_MS : command.expires;
}

function conditionOf(text: string): Condition | undefined {
  return CONDITIONS.find((condition) => condition === text);
}

/** Sorts as the time of the request does; unique without coordination. */
function newId(now: number): string {
  return `${now.toString(36).padStart(9, '0')}${randomBytes(5).toString('hex')}`;
}

function isEqual(a: Options, b: Options): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
