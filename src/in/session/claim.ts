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
  /** Its worker sends commands there. */
  readonly leads?: boolean;
}

/** Between live sessions the way of commands moves at most once in that time: two that take turns do not get it by turns. */
const SETTLE_MS = 30_000;

/**
 * Do commands go to the newer one? Protocols have no secret, so what a device has done before must tell:
 *
 * - A datagram, whose source can be forged, does not move the way of commands away from a connection.
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

/** Is it the same session? */
export function isSame(one: Claim, other: Claim | undefined): boolean {
  return one.since === other?.since && one.peer === other.peer;
}

/** The way of commands to one device: which of its live sessions has it. */
export class CommandWay<C extends Claim> {
  leader: C | undefined;
  /** When it moved last between live sessions, monotonic ms. */
  movedAt = Number.NEGATIVE_INFINITY;

  /** Decides between all live sessions; true when the way has moved from one of them to another. `now`: monotonic ms. */
  decide(claims: readonly C[], now: number): boolean {
    const before = claims.find((claim) => isSame(claim, this.leader));
    const next = leaderOf(claims);
    const moves = before !== undefined && next !== undefined && !isSame(next, before);
    const isNextPort = before?.transport === 'udp' && next?.transport === 'udp';
    const settles = moves && !isNextPort && now - this.movedAt < SETTLE_MS;
    this.leader = settles ? before : next;
    if (!moves || settles) return false;
    this.movedAt = now;
    return true;
  }

  /** The worker that has all of these has decided. */
  follow(claims: readonly C[], now: number): void {
    const before = this.leader;
    this.leader = claims.find(({ leads }) => leads === true) ?? leaderOf(claims);
    const isLive = claims.some((claim) => isSame(claim, before));
    if (isLive && this.leader !== undefined && !isSame(this.leader, before)) this.movedAt = now;
  }
}
