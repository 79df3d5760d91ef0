import type { Transport } from '../../src/codec/index.ts';
import type { LatencyData } from '../../src/simulate/latency.ts';

/** Between the benchmark and its processes of devices. */

/** The devices of one process. */
export interface FleetOrder {
  readonly type: 'connect';
  readonly port: number;
  readonly transport: Transport;
  /** Number of the first device and how many there are: identities of different processes differ. */
  readonly first: number;
  readonly devices: number;
  /** Records in a packet. */
  readonly records: number;
  /** I/O elements of a record. */
  readonly attributes: number;
  /** A device ends its connection after each packet and makes a new one for the next. */
  readonly churn: boolean;
}

/** What they are to send, once connected. */
export interface RunOrder {
  readonly type: 'run';
  /** Packets per second of the whole process, sent when they are due; 0: each device sends as soon as it was answered. */
  readonly rate: number;
  readonly runMs: number;
}

export type ToLoad = FleetOrder | RunOrder;

/** What came of a run. */
export interface RunReport {
  /** Packets answered, and the records in them. */
  readonly packets: number;
  readonly records: number;
  /**
   * From the moment at which a packet was due (at a rate) or sent (without one) to its answer: a device that waits for an
   * answer delays its next packet, and that wait counts.
   */
  readonly latency: LatencyData;
  /** From the start of the run to the last answer, ms. */
  readonly tookMs: number;
  /** Packets that were due and not sent in time: the server did not keep up with `rate`. */
  readonly unsent: number;
  readonly wrong: number;
  /** Connections that were refused, reset, or closed before their answer. */
  readonly lost: number;
}

export type FromLoad =
  | { readonly type: 'connected'; readonly tookMs: number; readonly lost: number }
  | { readonly type: 'done'; readonly report: RunReport };

export function isFromLoad(message: unknown): message is FromLoad {
  return typeof message === 'object' && message !== null && 'type' in message && (message.type === 'connected' || message.type === 'done');
}

export function isToLoad(message: unknown): message is ToLoad {
  return typeof message === 'object' && message !== null && 'type' in message && (message.type === 'connect' || message.type === 'run');
}

/** What the clients of the feed were told. */
export interface Looked {
  readonly rows: number;
  /** Times a client was told to begin anew. */
  readonly resets: number;
  /** Devices of which a client has not the newest place, and was not told so; over all clients. */
  readonly lacking: number;
}

export function lookedOf(message: unknown): Looked {
  const { rows, resets, lacking } = Object(message);
  return { rows: Number(rows), resets: Number(resets), lacking: Number(lacking) };
}
