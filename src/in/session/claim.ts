import type { Transport } from '../../codec/index.ts';

/** What a session says of itself when several speak for one device. */
export interface Claim {
  /** When it began to speak for the device, monotonic ms; the same clock for all workers. */
  readonly since: number;
  readonly transport: Transport;
  /** Address and port. */
  readonly peer: string;
  /** The device has used its network before (`registry/standing.ts`). */
  readonly standing: boolean;
}

/**
 * Do commands go to the newer one? Protocols have no secret, so what a device has done before must tell:
 *
 * - A datagram, whose source anybody can write, does not move the way of commands away from a connection.
 * - The one with standing gets them; with standing on both sides the newer one, as after any reconnect; on neither side the older one.
 */
function takesOver(newer: Claim, older: Claim): boolean {
  if (newer.transport === 'udp' && older.transport === 'tcp') return false;
  return newer.standing;
}

/** Which of them commands go to; undefined of none. */
export function leaderOf<C extends Claim>(claims: Iterable<C>): C | undefined {
  let leader: C | undefined;
  for (const claim of [...claims].sort((a, b) => a.since - b.since || (a.peer < b.peer ? -1 : 1))) {
    if (leader === undefined || takesOver(claim, leader)) leader = claim;
  }
  return leader;
}
