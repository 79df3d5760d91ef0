import type dgram from 'node:dgram';
import type net from 'node:net';
import type { ErrorCode } from '../errors.ts';
import type { Claim } from '../in/session/claim.ts';
import type { MetricsJson } from '../metrics/aggregate.ts';

/** Every message between the supervisor and its children, with its direction. Some travel with a socket. */

/** A socket that travels with a message. */
export type SendHandle = net.Server | net.Socket | dgram.Socket;

/** What one child reports of its parts; the supervisor derives readiness from it. */
export interface Health {
  readonly state: 'up' | 'degraded' | 'down';
  readonly reason: string;
}

/** A device and its sessions on a worker; none: it has left. */
export type SessionMove = readonly [device: string, claims: readonly Claim[]];

/** `ClickHouseAccess` on its way to a child: JSON cannot carry secrets. */
export interface PackedAccess {
  readonly url: string;
  readonly username: string;
  readonly password: string;
  readonly database: string;
}

/** Supervisor → worker or shipper. */
export type ToChild =
  | {
      readonly type: 'start';
      /** Packed (`config/pack.ts`). */
      readonly config: unknown;
      /** Random name of this installation, kept in the data directory: tokens and cursors carry it. */
      readonly instance: string;
      /** Names the supervisor's taking of the data directory: see lock/ownership.ts. */
      readonly owner: string;
      /** Of a worker. */
      readonly slot: number;
      /** Of a worker that replaces another: it is told which sockets to listen on. */
      readonly successor: boolean;
      /** Order of an entry = this + monotonic time in µs. */
      readonly orderOffset: number;
      /** Why the state store must not be opened; '' when it may. */
      readonly stateDamage: string;
      /** Of the shipper: the ClickHouse to use, configured or embedded. */
      readonly clickhouse: PackedAccess;
    }
  | { readonly type: 'drain'; readonly deadlineMs: number }
  /** To a worker: sessions of the device on all others. */
  | { readonly type: 'rivals'; readonly device: string; readonly claims: readonly Claim[] }
  /** To a worker, and from one: a session of the device on another one has spoken. */
  | { readonly type: 'spoke'; readonly device: string; readonly peer: string }
  /** To worker and shipper: the state store is damaged and must not be touched any more. */
  | { readonly type: 'state_damaged'; readonly damage: string }
  /** To a worker: look for commands to this device. */
  | { readonly type: 'commands'; readonly device: string }
  /** To a worker: answer when everything appended so far is in segments that are not written any more. */
  | { readonly type: 'rotate'; readonly ticket: number }
  /** To the shipper: take out of a part what devices sent before these moments, epoch ms. */
  | { readonly type: 'erase'; readonly ticket: number; readonly part: string; readonly devices: readonly (readonly [string, number])[] }
  /** To a worker about to be replaced: send each listening socket, in the order of the configuration. */
  | { readonly type: 'hand_over' }
  /** To its successor: listen, on the socket that comes along if one does. */
  | { readonly type: 'listen'; readonly index: number }
  /** To the same: a connection accepted on that socket on its way. */
  | { readonly type: 'connection'; readonly index: number };

/** Worker, shipper or embedded ClickHouse → supervisor. */
export type FromChild =
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'report'; readonly health: Readonly<Record<string, Health>>; readonly metrics: MetricsJson }
  /** The state store could not be read or written: is it damaged? */
  | { readonly type: 'state_suspect' }
  /** Of a worker, in the order in which it happened. */
  | { readonly type: 'sessions'; readonly moves: readonly SessionMove[] }
  | { readonly type: 'spoke'; readonly device: string; readonly peer: string }
  /** What the ticket was for is done, and how much of what; or why it is not, when `trouble` is not ''. */
  | { readonly type: 'done'; readonly ticket: number; readonly counts: Readonly<Record<string, number>>; readonly trouble: string }
  /** The listening socket comes along, if it can be sent. */
  | { readonly type: 'handed_over'; readonly index: number }
  /** A successor listens. */
  | { readonly type: 'listening'; readonly index: number };

const TO_CHILD: readonly string[] = [
  'start',
  'drain',
  'state_damaged',
  'rivals',
  'spoke',
  'commands',
  'rotate',
  'erase',
  'hand_over',
  'listen',
  'connection',
] satisfies ToChild['type'][];
const FROM_CHILD: readonly string[] = [
  'ready',
  'failed',
  'report',
  'state_suspect',
  'sessions',
  'spoke',
  'done',
  'handed_over',
  'listening',
] satisfies FromChild['type'][];

/** Both ends are ours and of one version: the tag is enough to tell a message of ours from another library's. */
export function isToChild(message: unknown): message is ToChild {
  return TO_CHILD.includes(tagOf(message));
}

export function isFromChild(message: unknown): message is FromChild {
  return FROM_CHILD.includes(tagOf(message));
}

function tagOf(message: unknown): string {
  return typeof message === 'object' && message !== null && 'type' in message ? String(message.type) : '';
}
