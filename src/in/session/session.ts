import type { Clock } from '../../base/clock.ts';
import type { Metrics } from '../../base/metrics/catalog.ts';
import type { Bytes } from '../../base/wire/index.ts';
import { addressOf } from '../../base/wire/network.ts';
import type { Codec, FrameResult, Transport } from '../../codec/index.ts';
import { withClockOffset } from '../../codec/options.ts';
import type { Delivery } from '../../fleet/command/delivery.ts';
import type { Treatment } from '../../fleet/plan/treatment.ts';
import type { Device } from '../../fleet/registry/device.ts';
import type { DeviceCache } from '../../fleet/registry/device-cache.ts';
import type { DeviceLookup } from '../../fleet/registry/device-lookup.ts';
import type { Standings } from '../../fleet/registry/standing.ts';
import type { Marks, Origin } from '../../journal/entry.ts';
import { Sight } from '../../live/sights.ts';
import type { Tap, Traces } from '../../live/traces.ts';
import type { ProfileStore } from '../../state/profile.ts';
import type { Clocks } from './clocks.ts';
import { CommandPort } from './command-port.ts';
import type { EntrySink } from './entry-sink.ts';
import { Interval } from './interval.ts';
import type { Meter, Meters } from './meter.ts';
import { Motion } from './motion.ts';
import { journalEvent } from './notices.ts';
import { SessionProfile } from './profile.ts';
import type { Reader } from './reader.ts';
import type { Sightings } from './sightings.ts';
import type { LiveSession, SessionTable } from './table.ts';
import type { PlanService, Terms } from './terms.ts';
import { unitOf } from './unit-reader.ts';

/**
 * One device's turn on a connection: made by `begin`, ended by `end`.
 *
 * 9. Nothing of one device's turn is left in the turn of the next: not what it has taught, nor its options, record, rate, way of
 *    commands or profile. All of that is in this object, and only here; what outlives it is stored under the device's own id.
 * 13. A device that reports under its own id and under aliases has one turn.
 */

/** What the sessions of one worker share. */
export interface SessionHost {
  readonly journal: EntrySink;
  readonly sessions: SessionTable<Session>;
  readonly profiles: ProfileStore;
  readonly registry: Pick<DeviceCache, 'lookup' | 'seen'>;
  /** Where devices have spoken from. */
  readonly standings: Pick<Standings, 'find' | 'note' | 'contest'>;
  /** Gets commands to the devices. */
  readonly delivery: Pick<Delivery, 'attached' | 'detached' | 'ready' | 'replied' | 'fixed' | 'poke' | 'contradicted'>;
  /** What live records say of the devices' clocks. */
  readonly clocks: Clocks;
  /** Tells where connections speak from. */
  readonly sightings: Sightings;
  /** What devices use. */
  readonly meters: Meters;
  /** Plans, and which of their steps hold. */
  readonly service: PlanService;
  /** Connections that clients of the API look at. */
  readonly traces: Traces;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

/** What is shown of a session. Times in epoch ms. */
export interface SessionFacts {
  /** Of the worker that has it. */
  readonly number: number;
  readonly device: string;
  /** Address and port. */
  readonly peer: string;
  readonly transport: Transport;
  readonly protocol: string;
  readonly since: number;
  readonly received: number;
  /** Of the connection. */
  readonly bytes_in: number;
  readonly bytes_out: number;
  readonly frames: number;
  readonly malformed: number;
  /** Answers that are owed. */
  readonly owed: number;
  /** Commands go here. */
  readonly leads: boolean;
  readonly contested: boolean;
}

/** What a session needs of its connection. */
export interface Line {
  readonly codec: Codec;
  readonly transport: Transport;
  /** Address and port. */
  readonly peer: string;
  /** The socket. */
  readonly link: {
    /** Reads no faster than this, bytes per second; 0: as they come. Absent where nothing can be made to wait. */
    throttle?(bytesPerS: number): void;
  };
  /** Where commands leave. */
  readonly out: {
    /** Where a command is written before `send`. */
    readonly room: Bytes;
    /** Sends the first bytes of `room`, which are metered. */
    send(length: number): void;
  };
  /** Where its frames are copied to; null: nowhere. */
  tap: Tap | null;
  /** What has passed on the connection so far, and how many answers are owed. */
  readonly traffic: Pick<SessionFacts, 'bytes_in' | 'bytes_out' | 'frames' | 'malformed' | 'owed'>;
  /** No answer is owed, and the connection is not about to end. */
  readonly clear: boolean;
  /** Ends the connection once the answers owed have left. `by`: the token that asked. */
  finish(reason: string, by?: string): void;
  /** The registry has something else to say about the device of the session, or about the id that it reports. */
  review(session: Session): void;
}

/** How often the session table hears of a device that several sessions speak for. */
const SPOKE_MS = 1_000;
/** A session that nothing contradicted for so long is where the device is. */
const SETTLED_MS = 600_000;

let numbers = 0;

export class Session implements LiveSession {
  /** Of this worker's sessions; rises. */
  readonly number = ++numbers;
  readonly device: string;
  readonly transport: Transport;
  readonly peer: string;
  /** When the turn of the device began, monotonic ms. */
  readonly since: number;
  readonly meter: Meter;
  readonly terms: Terms;
  readonly profile: SessionProfile;
  /** What is shown of the device. */
  readonly sight: Sight = new Sight(this);
  readonly #host: SessionHost;
  readonly #line: Line;
  readonly #interval = new Interval();
  /** Undefined until a frame has records. */
  #motion: Motion | undefined;
  #reader: Reader;
  #known: DeviceLookup;
  #origin: Origin;
  #port: CommandPort | undefined;
  #heardAt: number;
  #standing = false;
  #contested = false;
  /** That is being written. */
  #contesting = false;
  /** Other sessions speak for the device, now and in this turn. */
  #crowded = false;
  #wasCrowded = false;
  #leads = false;
  /** The table has heard of a crowded session last, monotonic ms. */
  #spokeAt = 0;
  #ended = false;

  /** `now`: monotonic ms. The session is announced by `begin`. */
  constructor(host: SessionHost, line: Line, reader: Reader, terms: Terms, known: DeviceLookup, origin: Origin, now: number) {
    this.device = known.id;
    this.transport = line.transport;
    this.peer = line.peer;
    this.since = now;
    this.#reader = reader;
    this.meter = host.meters.open(origin);
    this.terms = terms;
    this.#host = host;
    this.#line = line;
    this.#known = known;
    this.#origin = origin;
    this.#heardAt = now;
    this.profile = new SessionProfile(host, reader, line.codec, known.unit, this);
    this.#interval.saw(now);
  }

  /** The device has its turn from now on. */
  begin(): void {
    this.retrace();
    this.#throttle();
    this.profile.recall();
    this.#seen();
    this.reviewStanding();
    this.#host.sessions.claim(this.device, this);
  }

  /** The turn is over: after this nothing of it is left. */
  end(): void {
    // A network is the device's when nothing contradicted it.
    if (this.#leads && !this.#wasCrowded && this.#heardAt - this.since >= SETTLED_MS)
      this.#host.standings.note(this.device, this.transport, addressOf(this.peer));
    this.#host.sightings.add(this, this.#motion, 0);
    this.#ended = true;
    this.#line.tap = this.#host.traces.of('', addressOf(this.peer));
    this.profile.end();
    this.#detach();
    this.#host.sessions.leave(this.device, this);
  }

  /** The connection is gone, and the turn with it. */
  close(): void {
    try {
      this.profile.learned(this.reader.memo());
    } catch (error) {
      this.reader.threw(error);
    }
    // A long connection is not a short appearance.
    if (this.#known.device?.provisional === true) this.#seen();
    this.end();
  }

  /** The id that the device reports: its own, or an alias. */
  get reported(): string {
    return this.#known.reported;
  }

  get reader(): Reader {
    return this.#reader;
  }

  /** What the registry says of it. */
  get known(): DeviceLookup {
    return this.#known;
  }

  get record(): Device | undefined {
    return this.#known.device;
  }

  get origin(): Origin {
    return this.#origin;
  }

  /** Epoch ms. */
  get now(): number {
    return this.#host.clock.now();
  }

  /** How the device is treated now. */
  get treatment(): Treatment {
    return this.terms.at(this.now);
  }

  /** The device has spoken from here before. */
  get standing(): boolean {
    return this.#standing;
  }

  get contested(): boolean {
    return this.#contested;
  }

  /** Whether its vehicle moves, by its last live position. */
  get moving(): boolean | undefined {
    return this.#motion?.at(this.#host.clock.elapsed());
  }

  /** When a chunk came last, monotonic ms. */
  get heardAt(): number {
    return this.#heardAt;
  }

  /** A chunk has come, monotonic ms. */
  heard(at: number): void {
    this.#heardAt = at;
    this.#interval.saw(at);
    if (!this.#crowded || at - this.#spokeAt < SPOKE_MS) return;
    this.#spokeAt = at;
    this.#host.sessions.spoke(this.device, this);
  }

  isHeard(): boolean {
    return this.#host.clock.elapsed() - this.#heardAt <= 2 * this.#interval.ms;
  }

  /** A trace of the device, or of its address, may have begun. */
  retrace(): void {
    const isRelay = this.record?.privacy === 'relay';
    if (!this.#ended) this.#line.tap = isRelay ? null : this.#host.traces.of(this.device, addressOf(this.peer));
  }

  /** What is shown of it. */
  facts(): SessionFacts {
    const { clock } = this.#host;
    const ahead = clock.now() - clock.elapsed();
    const { number, device, peer, transport } = this;
    return {
      number,
      device,
      peer,
      transport,
      protocol: this.#line.codec.name,
      since: Math.round(this.since + ahead),
      received: Math.round(this.#heardAt + ahead),
      ...this.#line.traffic,
      leads: this.#leads,
      contested: this.#contested,
    };
  }

  /** A caller of the API has asked to end the connection. */
  disconnect(by: string): void {
    this.#line.finish('asked', by);
  }

  /** What a frame of the device means beside what is stored of it. Received at `wall`, epoch ms, and `at`, monotonic ms. */
  noticed(frame: FrameResult, { wall, at }: { readonly wall: number; readonly at: number }): void {
    if (frame.rows === 0) return;
    const port = this.#port;
    this.#motion ??= new Motion();
    if (this.#motion.saw(frame, wall, at) && port?.wantsMotion === true) this.#host.delivery.poke(this.device);
    port?.fixed(frame);
    const offset = this.#host.clocks.saw(this.#line.codec, this.#known.unit, frame, this.#reader.clockOffset, wall);
    if (offset !== undefined) this.#clockFound(offset);
    this.terms.watch(frame, wall, this);
    const network = this.terms.networkOf(frame, wall, this.meter.network);
    if (network !== this.meter.network && network !== undefined) this.#host.meters.roam(this.meter, network);
    if (this.#crowded) this.#host.sightings.add(this, this.#motion, SPOKE_MS);
    if (frame.texts.length === 0) return;
    const said = unitOf(this.#line.codec, frame);
    if (said.length > 0) this.terms.service.said(this.device, said, (news) => this.event(news));
  }

  /** The frame is a reply, and in the journal. */
  replied(frame: FrameResult): void {
    this.#port?.replied(frame);
  }

  /** A command that waits may leave now. */
  proceed(): void {
    this.#port?.proceed();
  }

  lead(leads: boolean): void {
    this.#leads = leads;
    if (!leads) this.#detach();
    else if (this.#port === undefined) {
      this.#port = new CommandPort(this.#host.delivery, this.#line, this);
      this.#host.delivery.attached(this.#port);
    }
  }

  crowd(crowded: boolean): void {
    // Before another speaks.
    if (crowded && !this.#crowded) this.#host.sightings.add(this, this.#motion, 0);
    this.#crowded = crowded;
    this.#wasCrowded ||= crowded;
  }

  contradicted(peer: string): void {
    if (this.#port !== undefined) this.#host.delivery.contradicted(this.#port, peer);
  }

  /**
   * A newer connection of the same device took over. On UDP that is a device whose address has changed; two connections
   * are worth an event: a device that lost its network, or two devices with one id.
   */
  supersede(): void {
    this.#host.metrics.superseded.inc({ transport: this.transport });
    if (this.transport === 'tcp') {
      const quiet_ms = Math.round(this.#host.clock.elapsed() - this.#heardAt);
      this.event({ type: 'duplicate_connection', protocol: this.#line.codec.name, quiet_ms });
    }
    this.#detach();
    this.#line.finish('superseded');
  }

  /** What is known of where the device speaks from may have changed. */
  reviewStanding(): void {
    if (this.#ended) return;
    this.#host.standings.find(this.device, this.transport, addressOf(this.peer), ({ known, contested }) => {
      if (this.#ended) return;
      const holds = contested || this.#contesting;
      const isNews = known !== this.#standing || holds !== this.#contested;
      this.#standing = known;
      this.#contested = holds;
      if (!isNews || !this.#host.sessions.of(this.device).includes(this)) return;
      this.#host.sessions.changed(this.device);
      this.#host.delivery.poke(this.device);
    });
  }

  /** Another session, at this address, has spoken while a critical command waited. */
  contest(peer: string): void {
    const addresses = [addressOf(this.peer), addressOf(peer)];
    this.#contested = true;
    this.#contesting = true;
    this.#host.metrics.contested.inc();
    void this.#host.standings.contest(this.device, this.transport, addresses).then(() => {
      this.#contesting = false;
      this.reviewStanding();
    });
    this.event({ type: 'identity_contested', addresses, transport: this.transport });
  }

  /** The registry has something else to say about the device, or about the id that it reports. */
  reconsider(): void {
    if (!this.#ended) this.#line.review(this);
  }

  /** The device reports under another of its ids. */
  named(known: DeviceLookup): void {
    this.#known = known;
  }

  /** The device is read under other options from now on. */
  reread(reader: Reader, origin: Origin): void {
    this.#reader = reader;
    this.profile.follow(reader);
    this.#moved(origin);
  }

  /** The device has another record. `origin`: the same when nothing in it changed. */
  renewed(known: DeviceLookup, origin: Origin): void {
    const wasUnread = this.#known.unread && !known.unread;
    this.#known = known;
    this.#moved(origin);
    this.planChanged();
    this.retrace();
    if (wasUnread) this.#seen();
  }

  /** The steps that hold for the device, or its plan, have changed. */
  planChanged(): void {
    this.terms.changed(this.record, this.#host.clock.now());
    this.#throttle();
  }

  /** Journals an event of the device. */
  event(event: object, marks?: Marks): void {
    journalEvent(this.#host, this.#origin, event, marks);
  }

  /** Where a zone was set, the device's clock is as the operator says. */
  #clockFound(offset: number): void {
    const { options } = this.#reader;
    const { codec } = this.#line;
    if (offset === 0 || withClockOffset(codec, options, offset, this.record?.options) !== options) this.profile.clockFound(offset);
  }

  #moved(origin: Origin): void {
    if (origin === this.#origin) return;
    this.#origin = origin;
    this.#host.meters.turn(this.meter, origin);
  }

  #seen(): void {
    this.#host.registry.seen(this.#known, this.#line.codec.name, this.transport, (event) => this.event(event));
  }

  #throttle(): void {
    if (!this.#ended) this.#line.link.throttle?.(this.treatment.bytesPerS);
  }

  #detach(): void {
    if (this.#port !== undefined) this.#host.delivery.detached(this.#port);
    this.#port = undefined;
  }
}
