import { type Claim, leaderOf } from './claim.ts';

/** What the table needs of a device's live session. */
export interface LiveSession extends Claim {
  /** Heard within two of the device's reporting intervals. */
  isHeard(): boolean;
  /** Another session of the same device took over, and this one has not been heard for long: finish what is owed and close. */
  supersede(): void;
  /** Commands for the device go here from now on, or not any more. */
  lead(leads: boolean): void;
  /** Others speak for the same device, or not any more: `SessionTable.spoke` wants to know of its frames. */
  crowd(crowded: boolean): void;
  /** Another session, at this address, has spoken while this one has the commands. */
  contradicted(peer: string): void;
}

export interface SessionTableOptions {
  /** Told of each device whose sessions here have changed; none: it has left. */
  readonly moved?: (device: string, claims: readonly Claim[]) => void;
  /** A session here has spoken, and other workers have sessions of the device. */
  readonly spoke?: (device: string, peer: string) => void;
  /** The way of commands has moved from one live session to another. */
  readonly takenOver?: () => void;
  /** Monotonic ms. */
  readonly now?: () => number;
}

/** Of one device. */
interface Place<S> {
  readonly sessions: S[];
  /** Sessions on other workers. */
  rivals: readonly Claim[];
  leader: S | undefined;
  /** When the way of commands moved last between live sessions, monotonic ms. */
  movedAt: number;
}

/** Sessions that one device may have on one worker. */
const MOST_SESSIONS = 4;
/** Between live sessions the way of commands moves at most once in that time: two that take turns do not get it by turns. */
const SETTLE_MS = 30_000;
const NONE: readonly Claim[] = [];

/**
 * Device to its live sessions, within one worker; the supervisor's directory does the same across workers.
 *
 * 1. A session that was heard within two reporting intervals stays when another speaks for the same device: both are stored. One that was not heard
 *    for longer is half-open, and is closed when another comes or speaks. A datagram closes no connection.
 * 2. Commands go to one of them, as in/session/claim.ts says, on whichever worker it is.
 * 3. Bounded: sessions of one device, and how often the way of commands moves between live ones.
 */
export class SessionTable<S extends LiveSession> {
  readonly #places = new Map<string, Place<S>>();
  readonly #o: SessionTableOptions;

  constructor(options: SessionTableOptions = {}) {
    this.#o = options;
  }

  /** Devices. */
  get size(): number {
    return this.#places.size;
  }

  /** The session that gets the commands, if it is here. */
  get(device: string): S | undefined {
    return this.#places.get(device)?.leader;
  }

  /** All sessions of the device here. */
  of(device: string): readonly S[] {
    return this.#places.get(device)?.sessions ?? [];
  }

  *[Symbol.iterator](): Generator<S> {
    for (const { sessions } of this.#places.values()) yield* sessions;
  }

  /** The session speaks for the device. */
  claim(device: string, session: S): void {
    let place = this.#places.get(device);
    if (place === undefined) {
      place = { sessions: [], rivals: NONE, leader: undefined, movedAt: Number.NEGATIVE_INFINITY };
      this.#places.set(device, place);
    }
    if (place.sessions.includes(session)) return;
    this.#sweep(place, session);
    if (place.sessions.length >= MOST_SESSIONS) {
      // The way of commands stays. A device behind a NAT that gives each datagram another port has many sessions.
      const rest = place.sessions.filter((one) => one !== place.leader);
      const gone = rest.find((one) => !one.standing) ?? rest[0];
      if (gone !== undefined) this.#supersede(place, gone);
    }
    place.sessions.push(session);
    this.#tell(device, place);
    this.#decide(place);
    if (place.leader !== undefined && place.leader !== session) place.leader.contradicted(session.peer);
  }

  leave(device: string, session: S): void {
    const place = this.#places.get(device);
    const at = place?.sessions.indexOf(session) ?? -1;
    if (place === undefined || at < 0) return;
    place.sessions.splice(at, 1);
    if (place.sessions.length === 0) this.#places.delete(device);
    this.#tell(device, place);
    this.#decide(place);
  }

  /** A crowded session has spoken. */
  spoke(device: string, session: S): void {
    const place = this.#places.get(device);
    if (place === undefined) return;
    if (place.rivals.length > 0) this.#o.spoke?.(device, session.peer);
    this.#heard(device, place, session, session.peer);
  }

  /** A session of the device on another worker, at this address, has spoken. */
  heard(device: string, peer: string): void {
    const place = this.#places.get(device);
    if (place !== undefined) this.#heard(device, place, undefined, peer);
  }

  /** Sessions of the device on other workers, all of them. */
  rivals(device: string, claims: readonly Claim[]): void {
    const place = this.#places.get(device);
    if (place === undefined) return;
    const before = place.rivals;
    place.rivals = claims;
    // Half-open ones give way to what has come after them.
    const newest = Math.max(...claims.filter(({ transport }) => transport === 'tcp').map(({ since }) => since));
    this.#drop(device, place, (one) => one.since < newest && !one.isHeard());
    this.#decide(place);
    for (const { peer } of claims) if (!before.some((claim) => claim.peer === peer)) place.leader?.contradicted(peer);
  }

  /** What a session says of itself has changed. */
  changed(device: string): void {
    const place = this.#places.get(device);
    if (place === undefined) return;
    this.#tell(device, place);
    this.#decide(place);
  }

  #heard(device: string, place: Place<S>, session: S | undefined, peer: string): void {
    if (session?.transport !== 'udp') this.#drop(device, place, (one) => one !== session && !one.isHeard());
    this.#decide(place);
    if (place.leader !== undefined && place.leader !== session) place.leader.contradicted(peer);
  }

  /** Invariant 1. */
  #sweep(place: Place<S>, newer: S): void {
    const gone = place.sessions.filter((one) => !one.isHeard() && (newer.transport === 'tcp' || one.transport === 'udp'));
    for (const one of gone) this.#supersede(place, one);
  }

  #drop(device: string, place: Place<S>, isGone: (session: S) => boolean): void {
    const gone = place.sessions.filter(isGone);
    if (gone.length === 0) return;
    for (const one of gone) this.#supersede(place, one);
    if (place.sessions.length === 0) this.#places.delete(device);
    this.#tell(device, place);
  }

  #supersede(place: Place<S>, session: S): void {
    place.sessions.splice(place.sessions.indexOf(session), 1);
    if (place.leader === session) place.leader = undefined;
    session.lead(false);
    session.crowd(false);
    session.supersede();
  }

  /** Invariant 2. */
  #decide(place: Place<S>): void {
    const { sessions, rivals } = place;
    const crowded = sessions.length + rivals.length > 1;
    for (const session of sessions) session.crowd(crowded);
    const leader = leaderOf<Claim>([...sessions, ...rivals]);
    const next = sessions.find((session) => session === leader);
    const before = place.leader;
    if (next === before) return;
    const isLive = before !== undefined && sessions.includes(before);
    if (isLive && next !== undefined) {
      const now = this.#o.now?.() ?? 0;
      const isNextPort = before.transport === 'udp' && next.transport === 'udp';
      if (!isNextPort && now - place.movedAt < SETTLE_MS) return;
      place.movedAt = now;
      this.#o.takenOver?.();
    }
    place.leader = next;
    if (isLive) before.lead(false);
    next?.lead(true);
  }

  #tell(device: string, { sessions }: Place<S>): void {
    this.#o.moved?.(
      device,
      sessions.map(({ since, transport, standing, peer }) => ({ since, transport, standing, peer })),
    );
  }
}
