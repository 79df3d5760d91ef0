import type dgram from 'node:dgram';
import type net from 'node:net';
import type { Stretch } from '../base/erased.ts';
import type { ErrorCode } from '../base/errors.ts';
import type { MetricsJson } from '../base/metrics/aggregate.ts';
import type { Reply } from '../fleet/command/waiting.ts';
import type { Claim } from '../in/session/claim.ts';
import type { SessionFacts } from '../in/session/session.ts';
import type { Sighting } from '../in/session/sightings.ts';
import type { SightRow, WhoRow } from '../live/sights.ts';
import type { TracedFrame } from '../live/traces.ts';
import type { EventJson } from '../out/record/event.ts';
import type { Verdict } from './directory.ts';

/**
 * Every message between the supervisor and its children, by sender and receiver. A receiver takes its union in one `switch`
 * that ends in `UnknownMessages.ignore`: a member that it does not handle is a compile error. Some travel with a socket.
 */

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
  /** Directory of the embedded engine; '' for a configured server. */
  readonly embedded: string;
}

export interface Start {
  readonly type: 'start';
  /** Packed (`config/pack.ts`). */
  readonly config: unknown;
  /** Random name of this installation, kept in the data directory: tokens and cursors carry it. */
  readonly instance: string;
  /** Names the supervisor's taking of the data directory: see base/lock/ownership.ts. */
  readonly owner: string;
  /** Of a worker. */
  readonly slot: number;
  /** Of a worker that replaces another: it is told which sockets to listen on. */
  readonly successor: boolean;
  /** Order of an entry = this + monotonic time in µs (`orderClock`). */
  readonly orderOffset: number;
  /** Why the state store must not be opened; '' when it may. */
  readonly stateDamage: string;
  /** Of the shipper: the ClickHouse to use, configured or embedded. */
  readonly clickhouse: PackedAccess;
}

/** Supervisor → each child. */
export type ToEach = Start | { readonly type: 'drain'; readonly deadlineMs: number };

/** The state store is damaged and must not be touched any more. */
interface StateDamaged {
  readonly type: 'state_damaged';
  readonly damage: string;
}

/** A session of the device on another worker has spoken. */
interface Spoke {
  readonly type: 'spoke';
  readonly device: string;
  readonly peer: string;
}

/** A datagram read off the socket of a listener that another worker takes over. */
interface Datagram {
  readonly type: 'datagram';
  readonly index: number;
  /** Base64. */
  readonly bytes: string;
  readonly address: string;
  readonly port: number;
}

/** A request; the child answers it with `done` and the same ticket (`ipc.ts`). */
interface Ticketed {
  readonly ticket: number;
}

/** Supervisor → worker. */
export type ToWorker =
  | StateDamaged
  | Spoke
  | Datagram
  /** A client looks: where devices are is told each second for a while. */
  | { readonly type: 'watch' }
  /** What the directory knows and has decided of a device that this worker has sessions of. */
  | { readonly type: 'rivals'; readonly device: string; readonly verdict: Verdict }
  /** Look for commands to this device. */
  | { readonly type: 'commands'; readonly device: string }
  /** Copy frames of the sessions of a key (`live/traces.ts`) for a while. */
  | { readonly type: 'trace'; readonly key: string }
  /** Request: sessions with a number above `after`, by number, at most `limit`; of one device or codec, if it is given. */
  | ({ readonly type: 'connections'; readonly query: ConnectionQuery } & Ticketed)
  /** Request: end the sessions of the device, or the one with this number. Done with how many there were. */
  | ({ readonly type: 'disconnect'; readonly device: string; readonly number: number; readonly by: string } & Ticketed)
  /** Request: done when everything appended so far is in segments that are not written any more. */
  | ({ readonly type: 'rotate' } & Ticketed)
  /** Request to a worker that is replaced: its listening socket, which comes with the answer if it can be sent. */
  | ({ readonly type: 'hand_over'; readonly index: number } & Ticketed)
  /** Request to its successor: listen, on the socket that comes along if one does. */
  | ({ readonly type: 'listen'; readonly index: number } & Ticketed)
  /** To the same: a connection that was accepted while the socket was on its way. */
  | { readonly type: 'connection'; readonly index: number };

/** Supervisor → shipper. */
export type ToShipper =
  | StateDamaged
  /** Request: remove from a part these stretches of devices. Done with counts by kind. */
  | ({ readonly type: 'erase'; readonly part: string; readonly devices: readonly (readonly [string, readonly Stretch[]])[] } & Ticketed);

export type ToChild = ToEach | ToWorker | ToShipper;

/** Each child → supervisor. */
type FromEach =
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'report'; readonly health: Readonly<Record<string, Health>>; readonly metrics: MetricsJson }
  | Done;

/** Which sessions are asked for; '' and 0: any. */
export interface ConnectionQuery {
  readonly after: number;
  readonly limit: number;
  readonly device: string;
  readonly codec: string;
}

/** Answer to a request: counts by kind, and a socket if one was asked for; or why it failed, when `trouble` is not ''. */
export interface Done extends Ticketed {
  readonly type: 'done';
  readonly counts: Readonly<Record<string, number>>;
  readonly sessions?: readonly SessionFacts[];
  readonly trouble: string;
}

/** Worker or shipper → supervisor. */
export type FromRole =
  /** The state store could not be read or written: is it damaged? */
  | { readonly type: 'state_suspect' }
  /** Of a worker. */
  | Spoke
  /** Of a worker: where connections that ended, or of several of one device, have spoken from. */
  | { readonly type: 'sightings'; readonly sightings: readonly Sighting[] }
  /** Of a worker that ends, for its successor. */
  | Datagram
  /** Of a worker: the ledger records how a command ended; `reply`: the device's reply where the ledger may not keep it. */
  | { readonly type: 'command_ended'; readonly device: string; readonly id: string; readonly reply: Reply | undefined }
  /** Of a worker: where devices are, and what the registry says of them. */
  | { readonly type: 'seen'; readonly rows: readonly SightRow[]; readonly who: readonly WhoRow[] }
  /** Of a worker: frames that were copied, and how many were not. */
  | { readonly type: 'traced'; readonly key: string; readonly frames: readonly TracedFrame[]; readonly lost: number }
  /** Of the shipper: events that are on the disk. */
  | { readonly type: 'events'; readonly events: readonly EventJson[] }
  /** Of a worker: in the order in which the sessions moved. */
  | { readonly type: 'sessions'; readonly moves: readonly SessionMove[] };

export type FromChild = FromEach | FromRole;
