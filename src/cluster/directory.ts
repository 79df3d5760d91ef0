import { type Claim, CommandWay } from '../in/session/claim.ts';
import type { SessionMove } from './messages.ts';

/** What a worker is told of a device that it has sessions of. */
export interface Verdict {
  /** Sessions on all other workers. */
  readonly claims: readonly Claim[];
  /** The latest `since` of its own sessions that is known here, monotonic ms. */
  readonly known: number;
  /** Which of all has the commands. */
  readonly leader: Claim | undefined;
  /** When they moved last from one live session to another, monotonic ms. */
  readonly movedAt: number;
}

interface Place {
  /** By worker. */
  readonly sessions: Map<number, readonly Claim[]>;
  readonly way: CommandWay<Claim>;
}

/**
 * Device to the workers that have sessions of it.
 *
 * 1. A worker decides among its own sessions (in/session/claim.ts). When several workers have sessions of a device, it is decided here,
 *    by the same rule, and each is told: a way of commands that moves is slowed over all workers.
 * 2. A worker is told of each device that it has not had sessions of before: until then it sends no command there.
 */
export class Directory {
  readonly #places = new Map<string, Place>();
  readonly #tell: (slot: number, device: string, verdict: Verdict) => void;
  readonly #now: () => number;

  /** `now`: monotonic ms. */
  constructor(tell: (slot: number, device: string, verdict: Verdict) => void, now: () => number) {
    this.#tell = tell;
    this.#now = now;
  }

  /** How many devices have a session. */
  get size(): number {
    return this.#places.size;
  }

  /** Where commands for the device go; undefined when it is not connected. */
  slotOf(device: string): number | undefined {
    const place = this.#places.get(device);
    if (place === undefined) return undefined;
    const { leader } = place.way;
    for (const [slot, claims] of place.sessions)
      if (claims.some(({ since, peer }) => since === leader?.since && peer === leader.peer)) return slot;
    return undefined;
  }

  /** A session of the device on this worker has spoken. Returns the other workers that have sessions of it. */
  spoke(slot: number, device: string): readonly number[] {
    const place = this.#places.get(device);
    if (place === undefined || place.sessions.size < 2) return [];
    if (place.way.decide([...place.sessions.values()].flat(), this.#now())) this.#tellAll(device, place);
    return [...place.sessions.keys()].filter((other) => other !== slot);
  }

  /** What a worker has reported, in its order. */
  moved(slot: number, moves: readonly SessionMove[]): void {
    for (const [device, claims] of moves) this.#moved(slot, device, claims);
  }

  /** The worker has ended, and its connections with it. */
  forget(slot: number): void {
    for (const [device, { sessions }] of this.#places) if (sessions.has(slot)) this.#moved(slot, device, []);
  }

  #moved(slot: number, device: string, claims: readonly Claim[]): void {
    const place = this.#places.get(device) ?? { sessions: new Map<number, readonly Claim[]>(), way: new CommandWay<Claim>() };
    const { sessions, way } = place;
    const isNew = !sessions.has(slot);
    const wasShared = sessions.size > 1;
    if (claims.length > 0) sessions.set(slot, claims);
    else sessions.delete(slot);
    if (sessions.size === 0) {
      this.#places.delete(device);
      return;
    }
    this.#places.set(device, place);
    const all = [...sessions.values()].flat();
    if (sessions.size === 1 && !wasShared) way.follow(all, this.#now());
    else way.decide(all, this.#now());
    if (sessions.size > 1 || wasShared || isNew) this.#tellAll(device, place);
  }

  #tellAll(device: string, { sessions, way }: Place): void {
    for (const [slot, own] of sessions) {
      const claims = [...sessions].flatMap(([other, theirs]) => (other === slot ? [] : theirs));
      const known = own.reduce((latest, { since }) => Math.max(latest, since), Number.NEGATIVE_INFINITY);
      this.#tell(slot, device, { claims, known, leader: way.leader, movedAt: way.movedAt });
    }
  }
}
