import type { Plan } from './plan.ts';

/** What a device has used, as counted: of a billing cycle in the table `usage` of the state store. */
export interface Counters {
  readonly bytes_in: number;
  readonly bytes_out: number;
  /** Reads and writes on TCP connections, as the server sees them. */
  readonly segments: number;
  /** UDP datagrams, both ways. */
  readonly datagrams: number;
  /** Records accepted. */
  readonly records: number;
  /** Text messages taken, and sent; they are in none of the others. */
  readonly texts_in?: number;
  readonly texts_out?: number;
}

export const NOTHING: Counters = { bytes_in: 0, bytes_out: 0, segments: 0, datagrams: 0, records: 0 };

/** The bytes that a plan charges for what was counted: payload, overhead of what carried it, rounded up. */
export function billed({ overhead }: Pick<Plan, 'overhead'>, counters: Counters): number {
  const { segment_bytes, datagram_bytes, round_bytes } = overhead;
  const { bytes_in, bytes_out, segments, datagrams } = counters;
  const bytes = bytes_in + bytes_out + segments * segment_bytes + datagrams * datagram_bytes;
  return Math.ceil(bytes / round_bytes) * round_bytes;
}
