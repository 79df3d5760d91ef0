import { jsonOf } from '../../base/json.ts';
import type { Options, Switching } from '../../codec/index.ts';
import { TypedTable } from '../../state/table.ts';
import { type CriticalType, isCritical, switchingsOf } from './critical.ts';

/**
 * What a command can be in. `sent` is an end for a command that the device does not reply to, see `ended`. `unknown`: a critical
 * command has left, and no reply has come; it is open until one comes, or a person says how it came out.
 */
export const COMMAND_STATES = ['queued', 'sent', 'answered', 'failed', 'expired', 'cancelled', 'unknown'] as const;
export type CommandState = (typeof COMMAND_STATES)[number];

/** When a device may get a command: its last fix says that it moves, or that it stands. */
export const CONDITIONS = ['any', 'moving', 'stopped'] as const;
export type Condition = (typeof CONDITIONS)[number];

/** How a command may leave; `any`: by text message when no connection takes it in time. */
export const VIAS = ['connection', 'sms', 'any'] as const;
export type Via = (typeof VIAS)[number];

/** A request for a command (docs/commands.md). Times in epoch ms. */
export interface CommandRequest {
  readonly device: string;
  /** One of the types of the device's codec. */
  readonly type: string;
  readonly parameters: Options;
  /** Who asks: name of the token, or of the backend service. */
  readonly requester: string;
  /** Why, for the record. */
  readonly reason: string;
  /** The requester's own reference, repeated in every event. */
  readonly ref: string;
  readonly not_before: number;
  readonly expires: number;
  /** -9 to 9; higher goes first. */
  readonly priority: number;
  readonly when: Condition;
  /** Outputs that it switches. */
  readonly switches: readonly Switching[];
  /** The critical type that it is or amounts to; '': it is not critical. */
  readonly critical: CriticalType | '';
  /** Absent: by a connection. */
  readonly via?: Exclude<Via, 'connection'> | undefined;
}

/** One transition. `note` says why, for people; '' when the state says it all. */
export interface Transition {
  readonly state: CommandState;
  readonly time: number;
  readonly note: string;
}

/** A command in the ledger, as it is stored and shown. */
export interface Command extends CommandRequest {
  /** Rises with the time of the request. */
  readonly id: string;
  readonly created: number;
  readonly state: CommandState;
  /** When its state became final; 0: it is open. */
  readonly ended: number;
  /** How often it was sent. */
  readonly attempts: number;
  /** Not sent again before. */
  readonly next_attempt: number;
  readonly history: readonly Transition[];
  /** What the bytes sent last carry where the protocol echoes a key; 0: none. */
  readonly key: number;
  /** Its last attempt went by text message; the gateway's id of that, '' when it has not told one. */
  readonly texted?: string | undefined;
  /** Ids of earlier commands that were open, and that do the opposite. */
  readonly opposes: readonly string[];
  /** The device's reply as it came, '' before. */
  readonly reply: string;
  /** What is known to be in it, under standard names. */
  readonly values: Readonly<Record<string, string | number | boolean>>;
}

/** Waits, or is on its way: `unknown` is neither, and not ended. */
export function isPending(command: Pick<Command, 'state' | 'ended'>): boolean {
  return command.ended === 0 && command.state !== 'unknown';
}

export function immobilises(command: Pick<Command, 'switches'>): boolean {
  return command.switches.some((one) => one.immobilises);
}

/** Does one switch an output on that the other switches off? */
export function areOpposite(a: Pick<Command, 'switches'>, b: Pick<Command, 'switches'>): boolean {
  return a.switches.some(({ output, on }) => b.switches.some((other) => other.output === output && other.on !== on));
}

/** A critical command that was sent, or may have been, is not sent again. */
export function mayHaveLeft(command: Pick<Command, 'critical' | 'attempts'>): boolean {
  return command.critical !== '' && command.attempts > 0;
}

/** Ends the note of a command whose reply the ledger may not have. */
export const WITHHELD = 'the reply is in the stream only';

/** The device is relayed: what it has replied is not in the ledger. */
export function isWithheld({ history }: Pick<Command, 'history'>): boolean {
  return history.at(-1)?.note.endsWith(WITHHELD) === true;
}

/** Commands by device and id, so that one prefix lists those of a device. */
function tableOf(name: 'commands' | 'unknown' | 'finished'): TypedTable<Command, [device: string, id: string]> {
  return new TypedTable({ name, key: commandKey, parse: parseCommand });
}

export function commandKey(device: string, id: string): string {
  return `${device} ${id}`;
}

/** Undefined if the text is not a command. */
function parseCommand(text: string | undefined): Command | undefined {
  const value: unknown = jsonOf(text);
  return isStored(value) ? current(value) : undefined;
}

/** Open commands; critical ones that have left and of which nothing more is known; ended ones. */
export const COMMANDS = tableOf('commands');
export const UNKNOWN = tableOf('unknown');
export const FINISHED = tableOf('finished');

/** Earlier versions did not write all of it. */
type Later = 'parameters' | 'switches' | 'critical' | 'key' | 'opposes';
type Stored = Omit<Command, Later> & Partial<Pick<Command, Later>>;

function current(stored: Stored): Command {
  const { type, parameters = {}, critical = isCritical(type) ? type : '', key = 0, opposes = [] } = stored;
  const whole = { ...stored, parameters, critical, key, opposes };
  if (stored.switches !== undefined) return { ...whole, switches: stored.switches };
  const found = { ...whole, switches: switchingsOf(undefined, type, parameters, {}) };
  // It was asked for when a stop went at any speed.
  return immobilises(found) && found.ended === 0 ? { ...found, when: 'stopped' } : found;
}

/** Only this program writes the table: the tag is enough. */
function isStored(value: unknown): value is Stored {
  return typeof value === 'object' && value !== null && 'id' in value && 'state' in value && 'history' in value;
}

/** The event of a transition, as the journal and `fixgate:events` have it. */
export function commandEvent(command: Command): object {
  const { id, type: command_type, state, ended, attempts, requester, ref, reply, values, history } = command;
  const note = history.at(-1)?.note ?? '';
  const more = { ...(ref === '' ? {} : { ref }), ...(note === '' ? {} : { note }), ...(reply === '' ? {} : { reply }) };
  const read = Object.keys(values).length === 0 ? {} : { values };
  return { type: 'command', id, command: command_type, state, final: ended > 0, attempts, requester, ...more, ...read };
}
