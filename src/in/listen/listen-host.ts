import type { Codec } from '../../codec/index.ts';
import type { IdBounds, IntakeHost } from '../intake/host.ts';
import type { Intake } from '../intake/intake.ts';
import type { ConnectionLimit } from './connection-limit.ts';
import type { HeldPeer, Peers } from './peers.ts';

/** Bounds and deadlines of one worker's sockets. Times in ms, sizes in bytes. */
export interface ListenLimits {
  /** TCP connections: see `ListenHost.connections`; and as many UDP peers: see `ListenHost.peers`. */
  readonly connections: number;
  /** Bytes received and not yet durable, of the worker and of one connection: above, reading pauses. */
  readonly pendingBytes: number;
  readonly connectionPendingBytes: number;
  /** Time to say who one is. */
  readonly identifyMs: number;
  /** Time to finish a frame once begun. */
  readonly frameMs: number;
  /** Silence in the middle of a frame after which the codec may take what has arrived. */
  readonly quietMs: number;
  /** Device ids that one connection may name. */
  readonly idsPerConnection: number;
  /** Times a minute that devices may name themselves from one address. */
  readonly idsPerAddress: number;
}

/** One listener: where, and which codec speaks there (undefined: the first bytes decide). */
export interface ListenAt {
  readonly codec: Codec | undefined;
  readonly host: string;
  readonly port: number;
  readonly idleMs: number;
  /** A gateway stands before the devices. */
  readonly shared?: boolean;
}

/** What all listeners of one worker share. */
export interface ListenHost extends IntakeHost {
  /** Every codec that can be recognised. */
  readonly codecs: readonly Codec[];
  readonly limits: ListenLimits;
  /** TCP connections of all listeners. */
  readonly connections: ConnectionLimit;
  /** UDP peers of all listeners. */
  readonly peers: Peers<HeldPeer>;
  /** How often devices name themselves from an address. */
  readonly addressRates: { admit(address: string, perMinute: number): boolean };
  /** Bytes appended and not yet durable. */
  pendingBytes(): number;
  /** Connections that wait for the disk; `resume` is called on them when the watermark moves. */
  readonly paused: Set<{ resume(): void }>;
  /** Says once per address that it speaks another protocol than its port. */
  lookalike(expected: Codec, found: string, peer: string): void;
}

/** On a shared listener. */
const SHARED_FACTOR = 100;

export function idBounds(at: ListenAt, { limits, addressRates }: ListenHost): IdBounds {
  const factor = at.shared === true ? SHARED_FACTOR : 1;
  const perMinute = factor * limits.idsPerAddress;
  return { perConnection: factor * limits.idsPerConnection, admit: (address) => addressRates.admit(address, perMinute) };
}

/** Is this intake, or the whole worker, ahead of the disk by more than it may be? `share` < 1 for the way back. */
export function ahead(host: ListenHost, intake: Intake, share: number): boolean {
  return host.pendingBytes() > share * host.limits.pendingBytes || intake.out.outbox.bytes > share * host.limits.connectionPendingBytes;
}
