import { type Claim, CommandWay, isSame } from './claim.ts';

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
  /** Each device that `moved` tells of is answered by `rivals`: no session of it here gets commands before. */
  readonly confirms?: boolean;
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
  /** As decided here, or told. */
  readonly way: CommandWay<Claim>;
  /** The first session began then, monotonic ms; the place is confirmed when that is known to the directory. */
  readonly since: number;
  isConfirmed: boolean;
}

/** What is known, and decided, of a device over all workers: see cluster/directory.ts. */
export interface Told {
  readonly claims: readonly Claim[];
  readonly known: number;
  readonly leader: Claim | undefined;
  readonly movedAt: number;
}

/** Sessions that one device may have on one worker. */
const MOST_SESSIONS = 4;
const NONE: readonly Claim[] = [];

/**
 * Device to its live sessions, within one worker; the supervisor's directory does the same across workers.
 *
 * 1. A session that was heard within two reporting intervals stays when another speaks for the same device: both are stored. One that was not heard
 *    for longer is half-open, and is closed when another comes or speaks. A datagram closes no connection.
 * 2. Commands go to one of them, as claim.ts says, on whichever worker it is. While other workers have sessions of the device the
 *    directory decides; a device that is new here gets no command before the directory has said whether there are others.
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
      const isConfirmed = this.#o.confirms !== true;
      place = { sessions: [], rivals: NONE, leader: undefined, way: new CommandWay(), since: session.since, isConfirmed };
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
    this.#decide(place);
    this.#tell(device, place);
    if (place.leader !== undefined && place.leader !== session) place.leader.contradicted(session.peer);
  }

  leave(device: string, session: S): void {
    const place = this.#places.get(device);
    const at = place?.sessions.indexOf(session) ?? -1;
    if (place === undefined || at < 0) return;
    place.sessions.splice(at, 1);
    if (place.sessions.length === 0) this.#places.delete(device);
    this.#decide(place);
    this.#tell(device, place);
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

  /** What is known of the device over all workers. */
  rivals(device: string, { claims, known, leader, movedAt }: Told): void {
    const place = this.#places.get(device);
    if (place === undefined) return;
    const before = place.rivals;
    place.rivals = claims;
    if (known >= place.since) place.isConfirmed = true;
    const { way } = place;
    if (claims.length > 0 && leader !== undefined && !isSame(leader, way.leader)) {
      if (movedAt > way.movedAt && place.sessions.some((one) => isSame(one, leader))) this.#o.takenOver?.();
      way.leader = leader;
    }
    way.movedAt = Math.max(movedAt, way.movedAt);
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
    this.#decide(place);
    this.#tell(device, place);
  }

  #heard(device: string, place: Place<S>, session: S | undefined, peer: string): void {
    if (session?.transport !== 'udp') this.#drop(device, place, (one) => one !== session && !one.isHeard());
    if (this.#decide(place)) this.#tell(device, place);
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

  /** Invariant 2. True: another session here has the commands, or none has. */
  #decide(place: Place<S>): boolean {
    const { sessions, rivals, way } = place;
    const crowded = sessions.length + rivals.length > 1;
    for (const session of sessions) session.crowd(crowded);
    if (rivals.length === 0 && place.isConfirmed && way.decide(sessions, this.#o.now?.() ?? 0)) this.#o.takenOver?.();
    const next = place.isConfirmed ? sessions.find((session) => isSame(session, way.leader)) : undefined;
    const before = place.leader;
    if (next === before) return false;
    place.leader = next;
    if (before !== undefined && sessions.includes(before)) before.lead(false);
    next?.lead(true);
    return true;
  }

  #tell(device: string, { sessions, leader }: Place<S>): void {
    this.#o.moved?.(
      device,
      sessions.map((one) => ({
        since: one.since,
        transport: one.transport,
        standing: one.standing,
        peer: one.peer,
        leads: one === leader,
      })),
    );
  }
}
