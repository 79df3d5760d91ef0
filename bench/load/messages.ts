import type { LatencyData } from '../../src/simulate/latency.ts';

/** Between the benchmark and its processes. */

/** What one process of devices is to do. */
export interface LoadOrder {
  readonly port: number;
  /** Numbers of the first device and how many there are: identities of different processes differ. */
  readonly first: number;
  readonly devices: number;
  /** Records in a packet; 0: connect, log in and stay silent. */
  readonly records: number;
  /** Packets per second of the whole process; 0: each device sends as soon as it was answered. */
  readonly rate: number;
  readonly warmMs: number;
  readonly runMs: number;
}

/** What came of it. `packets` and `latency` are of `runMs`, `acknowledged` of all. */
export interface LoadReport {
  readonly packets: number;
  readonly latency: LatencyData;
  /** Records acknowledged, from the first to the last packet. */
  readonly acknowledged: number;
  /** Packets that no device was free to send: the server did not keep up with `rate`. */
  readonly late: number;
  readonly wrong: number;
  readonly connected: number;
}

export type FromLoad = { readonly type: 'connected' } | { readonly type: 'done'; readonly report: LoadReport };

export function isFromLoad(message: unknown): message is FromLoad {
  return typeof message === 'object' && message !== null && 'type' in message && (message.type === 'connected' || message.type === 'done');
}

export function isLoadOrder(message: unknown): message is LoadOrder {
  return typeof message === 'object' && message !== null && 'devices' in message && 'runMs' in message;
}
