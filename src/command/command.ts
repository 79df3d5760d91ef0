import type { Options } from '../codec/index.ts';

/** What a command can be in. `sent` is an end for a command that the device does not reply to, see `ended`. */
export const COMMAND_STATES = ['queued', 'sent', 'answered', 'failed', 'expired', 'cancelled'] as const;
export type CommandState = (typeof COMMAND_STATES)[number];

/** When a device may get a command: its last fix says that it moves, or that it stands. */
export const CONDITIONS = ['any', 'moving', 'stopped'] as const;
export type Condition = (typeof CONDITIONS)[number];

/** What somebody asks for (design.md section 8). Times in epoch ms. */
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
  /** The device's reply as it came, '' before. */
  readonly reply: string;
  /** What is known to be in it, under standard names. */
  readonly values: Readonly<Record<string, string | number | boolean>>;
}

/** Undefined for text that is no command. */
export function parseCommand(text: string | undefined): Command | undefined {
  const value: unknown = text === undefined ? undefined : JSON.parse(text);
  return isCommand(value) ? value : undefined;
}

/** Only this program writes the table: the tag is enough. */
function isCommand(value: unknown): value is Command {
  return typeof value === 'object' && value !== null && 'id' in value && 'state' in value && 'history' in value;
}
