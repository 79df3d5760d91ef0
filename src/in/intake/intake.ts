import type { Clock } from '../../clock.ts';
import {
  AckRequest,
  type Codec,
  type DatagramDialect,
  FrameKind,
  FrameResult,
  type Options,
  Settled,
  type StreamDialect,
  type Transport,
} from '../../codec/index.ts';
import { keptOptions } from '../../codec/options.ts';
import type { Contact, Downlink } from '../../command/downlink.ts';
import { AppError } from '../../errors.ts';
import { datagramFrames } from '../../frame/datagram.ts';
import { type OnFrame, Splitter, Stop } from '../../frame/splitter.ts';
import { Definition } from '../../journal/definition.ts';
import { EntryKind, type Marks, Origin } from '../../journal/entry.ts';
import type { Log } from '../../log.ts';
import type { Metrics } from '../../metrics/catalog.ts';
import type { CodecCounters } from '../../metrics/hot-counters.ts';
import type { Treatment } from '../../plan/treatment.ts';
import { attributeView, viewsOf } from '../../record/attribute-view.ts';
import type { Device } from '../../registry/device.ts';
import type { Known } from '../../registry/known.ts';
import type { Newcomers } from '../../registry/newcomers.ts';
import type { Quarantine } from '../../registry/quarantine.ts';
import type { Registry } from '../../registry/registry.ts';
import type { Standings } from '../../registry/standing.ts';
import type { Profile, ProfileStore } from '../../state/profile.ts';
import type { Bytes } from '../../wire/index.ts';
import { addressOf } from '../../wire/network.ts';
import { Outbox } from '../ack/outbox.ts';
import type { EntrySink } from '../session/entry-sink.ts';
import { isDeviceId } from '../session/identity.ts';
import { Interval } from '../session/interval.ts';
import { Meter, type Meters } from '../session/meter.ts';
import { Motion } from '../session/motion.ts';
import type { LiveSession, SessionTable } from '../session/table.ts';
import { Admission, type PlanService } from './admission.ts';
import { Strikes } from './strikes.ts';

/**
 * The way in, for one connection or UDP peer, without its socket: bytes → frame → decode → append → owe an answer.
 *
 * 1. Every frame that carries something is in the journal, raw, before its answer can leave (promise 1); the answer
 *    waits in the outbox for the journal's watermark.
 * 2. Answers leave in the order of the frames (promise 7).
 * 3. Nothing thrown by a codec passes here (promise 6): the frame is counted as malformed and the stream goes on.
 * 4. When the journal refuses (full or sick disk) nothing is answered as stored (promise 5).
 * 5. A frame without a known device is never stored and never answered as stored.
 * 6. A later answer tells a device that what it sent before has arrived, also where the protocol has no answer of its
 *    own. So when the journal refuses such a frame, nothing more is answered on this connection: it is closed when the
 *    journal accepts again, or given up by the device, which then sends again.
 * 7. What earlier connections learned about the device is adopted before the frame behind the one that named it is
 *    decoded, and what this one learns is remembered for the next.
 * 8. A command leaves only when no answer is owed: never between a frame and its answer.
 * 9. Nothing of one device's turn on a connection is left in the turn of the next: not what it has taught, nor its options, record,
 *    rate, way of commands or profile. `#endTurn` ends a turn; while the registry is asked who the next device is, its frames are cut
 *    by a state of their own. The connection itself begins and ends once, with the first and the last device that was served.
 * 10. Every byte of the socket is metered before it is looked at (promise 8). What came before the device was known is its
 *    own; of a connection that switches each device has its frames and the answers to them.
 * 11. Nobody speaks for a device before the registry has said who that is: until then the frame that names it and those behind it
 *     are held, and nothing is stored, answered or promised. Whom the registry does not admit is refused, as far as the protocol can
 *     say so, and nothing of it is stored.
 * 12. What a device's state or plan withholds is answered as the treatment says, and never stored: see plan/treatment.ts. Replies to
 *     commands always pass. Who is refused and comes back at once waits for the refusal, longer each time. A connection that other
 *     devices use goes on.
 * 14. Several sessions may speak for one device, and all are stored. Commands have one way, which the session table decides; a session that is not
 *     it has no contact.
 * 13. A device that reports under its own id and under aliases has one turn.
 * 14. A frame of nothing but records from before its device was erased is answered and not journaled: what was erased does not
 *     come back to the disk from the device's memory. In a frame with newer records, delivery leaves the old ones out.
 */

/** What the intake needs of its socket. */
export interface Link {
  /** Sends answer bytes; they are the link's to keep. */
  send(bytes: Uint8Array): void;
  /** Ends the connection, answers owed or not. `reason` is a label of fixgate_closes_total. */
  close(reason: string): void;
  /** Ends the connection once the answers owed have left. */
  finish(reason: string): void;
  /** The last answer owed has been settled. */
  drained(): void;
  /** Reads no faster than this, bytes per second; 0: as they come. Absent where nothing can be made to wait. */
  throttle?(bytesPerS: number): void;
}

/** How many ids a connection, and an address, may name. */
export interface IdBounds {
  readonly perConnection: number;
  /** Another one has been named from there; false: too many in this minute. */
  admit(address: string): boolean;
}

const UNBOUNDED: IdBounds = { perConnection: Number.POSITIVE_INFINITY, admit: () => true };

/** What all intakes of one worker share. */
export interface IntakeHost {
  readonly journal: EntrySink;
  readonly sessions: SessionTable<Intake>;
  readonly profiles: ProfileStore;
  readonly registry: Pick<Registry, 'lookup' | 'seen'>;
  readonly quarantine: Pick<Quarantine, 'noted'>;
  /** Where devices have spoken from. */
  readonly standings: Pick<Standings, 'find' | 'note' | 'contest'>;
  /** How many ids that are not known may become devices. */
  readonly newcomers: Pick<Newcomers, 'admit'>;
  /** Gets commands to the devices. */
  readonly downlink: Pick<Downlink, 'attached' | 'detached' | 'ready' | 'replied' | 'fixed' | 'poke' | 'contradicted'>;
  /** What devices use. */
  readonly meters: Meters;
  /** Plans, and which of their steps hold. */
  readonly service: PlanService;
  readonly metrics: Metrics;
  counters(codec: Codec): CodecCounters;
  /** The codec's options for a device, '' for one not known yet; the same object each time. */
  options(codec: Codec, device: string): Options;
  readonly clock: Clock;
  readonly log: Log;
  /** Intakes that owe answers; the owner of the journal calls `release` on them when the watermark moves. */
  readonly owing: Set<Intake>;
}

/** Used only inside one synchronous decode or release: intakes of a process take turns. */
const FRAME = new FrameResult();
const REQUEST = new AckRequest();
const ANSWERS = new Uint8Array(65536);
const ENCODER = new TextEncoder();
/** Not a memo: those have 31 bits. */
const UNKNOWN = -1;
/** How often the session table hears of a device that several sessions speak for. */
const SPOKE_MS = 1_000;
/** A session that nothing contradicted for so long is where the device is. */
const SETTLED_MS = 600_000;
/** For a device whose data goes to the stream only. */
const RELAY: Marks = { keep: null, relay: true };
/** No journal comes so far: such an answer waits for a call of its own. */
const NEVER = Number.MAX_SAFE_INTEGER;
/** Bytes of frames that are held while the registry is asked. */
const MOST_HELD = 262_144;

/** Frames that wait for the registry. */
interface Held {
  readonly frames: Bytes[];
  bytes: number;
}

/** A device that spoke earlier on the connection and is owed answers. */
interface Earlier {
  readonly meter: Meter;
  owed: number;
}

export class Intake implements LiveSession {
  readonly codec: Codec;
  readonly transport: Transport;
  readonly peer: string;
  /** The device's own id; '' until a frame has told, and the registry has. */
  device = '';
  /** Its record, as it is now; undefined when it has none, or that cannot be read. */
  record: Device | undefined;
  readonly outbox = new Outbox();
  bytesIn = 0;
  bytesOut = 0;
  framesIn = 0;
  /** When the turn of the device began, monotonic ms. */
  since = 0;
  /** The device has spoken from here before. */
  standing = false;
  #contested = false;
  /** That is being written. */
  #contesting = false;
  /** Other sessions speak for the device, now and in this turn. */
  #crowded = false;
  #wasCrowded = false;
  #leads = false;
  #interval = new Interval();
  /** The table has heard of a crowded session last, monotonic ms. */
  #spokeAt = 0;
  /** Of the device; of nobody until a frame has told. */
  meter = new Meter(undefined);
  readonly #host: IntakeHost;
  readonly #counters: CodecCounters;
  readonly #link: Link;
  readonly #bounds: IdBounds;
  /** Ids that the connection has named, once there are two. */
  #named: Set<string> | undefined;
  readonly #dialect: StreamDialect | DatagramDialect;
  #options: Options;
  #state: object;
  /** The memo looked at last. */
  #memo = UNKNOWN;
  /** The durable part of a memo that the store holds for the device; UNKNOWN until the store has answered. */
  #kept = UNKNOWN;
  readonly #onFrame: OnFrame;
  readonly #splitter: Splitter | undefined;
  readonly #strikes = new Strikes();
  #origin: Origin | undefined;
  /** Of the device that was served last: the connection is its, as far as it is anybody's. */
  #served: Origin | undefined;
  /** More than one device has been named. */
  #shared = false;
  /** What its frames are read under, as the journal keeps it, and the options that it was made for. */
  #definition: Definition | undefined;
  #definedFor: Options | undefined;
  /** What the registry says of the id that frames carry: the device's, or an alias. */
  #known: Known | undefined;
  #held: Held | undefined;
  /** What the registry has answered late, while frames go on that were held. */
  #answered: Known | undefined;
  #noise = 0;
  /** Receipt of the chunk being pushed: wall clock ms, and monotonic ms for the latency. */
  #received = 0;
  #receivedAt = 0;
  /** The link was told to close: nothing more is read or answered, whenever it says that it has. */
  #closing = false;
  /** A frame without an answer of its own was refused: see invariant 6. */
  #muted = false;
  /** A frame of nobody was dropped: until somebody logs in, a heartbeat's answer would say that it had arrived. */
  #dropped = false;
  #closed = false;
  #admission: Admission | undefined;
  /** Refused, and kept waiting for the answer. */
  #penalty: NodeJS.Timeout | undefined;
  /** The device's side of the downlink. */
  #contact: Contact | undefined;
  /** A command waits until no answer is owed. */
  #waits = false;
  #motion = new Motion();
  /** Length of the chunk being pushed, and of all frames so far: what lies behind a frame is counted from them. */
  #chunkBytes = 0;
  #frameBytes = 0;
  readonly #earlier: Earlier[] = [];
  /** Who spoke last was not admitted: what it sent is not the next device's. */
  #refused = false;

  constructor(host: IntakeHost, codec: Codec, transport: Transport, peer: string, link: Link, bounds: IdBounds = UNBOUNDED) {
    this.#bounds = bounds;
    const dialect = codec[transport];
    if (dialect === undefined) throw new AppError('CONFIG_INVALID', `codec ${codec.name} does not speak ${transport}`);
    this.#host = host;
    this.#counters = host.counters(codec);
    this.codec = codec;
    this.transport = transport;
    this.peer = peer;
    this.#dialect = dialect;
    this.#link = link;
    this.#options = host.options(codec, '');
    this.#state = dialect.open(this.#options, 0);
    this.#onFrame = (bytes, start, end) => this.#frame(bytes, start, end);
    this.#splitter =
      transport === 'tcp' && codec.tcp !== undefined ? new Splitter(codec.tcp, this.#state, codec.maxFrameBytes, this.#onFrame) : undefined;
  }

  /** Answers are owed, or may be once the registry has answered. */
  get owes(): boolean {
    return this.outbox.count > 0 || this.#held !== undefined;
  }

  /** Bytes of an unfinished frame. */
  get pending(): number {
    return this.#splitter?.pending ?? 0;
  }

  /** Takes one chunk of a stream, or one whole datagram. */
  push(chunk: Bytes): void {
    if (this.#closed) return;
    this.#count(chunk.length, 1);
    if (!this.#closing) {
      this.bytesIn += chunk.length;
      this.#chunkBytes = chunk.length;
      this.#push(chunk);
    }
    this.#noted();
  }

  /** Counts what passed the socket and is not, or will be later, pushed: `reads` chunks or datagrams with so many bytes in all. */
  passed(bytes: number, reads: number): void {
    if (this.#closed) return;
    this.#count(bytes, reads);
    this.#noted();
  }

  #push(chunk: Bytes): void {
    if (this.#muted) {
      if (this.#host.journal.accepting) this.#close('journal_refused');
      return;
    }
    this.#received = this.#host.clock.now();
    this.#receivedAt = this.#host.clock.elapsed();
    this.#interval.saw(this.#receivedAt);
    if (this.#crowded) this.#spoke();
    const splitter = this.#splitter;
    try {
      if (splitter === undefined) {
        const noise = datagramFrames(this.#dialect, this.#state, chunk, this.codec.maxFrameBytes, this.#onFrame);
        this.#noiseSeen(this.#noise + noise);
      } else {
        splitter.push(chunk);
        this.#streamSeen(splitter);
      }
    } catch (error) {
      this.#lost(error);
    }
    this.release(this.#host.journal.durable);
    if (this.#waits) this.#proceed();
  }

  /** The peer fell quiet in the middle of a frame: what is held becomes a frame if the dialect can tell. */
  quiet(): void {
    const splitter = this.#splitter;
    if (this.#closed || this.#closing || splitter === undefined || splitter.pending === 0) return;
    this.#received = this.#host.clock.now();
    this.#receivedAt = this.#host.clock.elapsed();
    try {
      splitter.quiet();
      this.#streamSeen(splitter);
    } catch (error) {
      this.#lost(error);
    }
    this.release(this.#host.journal.durable);
    this.#noted();
  }

  /** Sends every answer that the watermark allows, in one write. */
  release(watermark: number): void {
    const outbox = this.outbox;
    if (outbox.count === 0 || this.#closed) return;
    let at = 0;
    let answers = 0;
    const now = this.#host.clock.now();
    const elapsed = this.#host.clock.elapsed();
    while (outbox.take(watermark, REQUEST)) {
      REQUEST.now = now;
      const n = this.#answer(at);
      this.#answerSent(n);
      if (n === 0) continue;
      at += n;
      answers++;
      this.#host.metrics.answerSeconds.observe((elapsed - outbox.takenReceivedAt) / 1000);
      // On UDP each answer is its own datagram.
      if (this.transport === 'udp' || at > ANSWERS.length - this.codec.maxAnswerBytes) {
        this.#send(at);
        at = 0;
      }
    }
    if (at > 0) this.#send(at);
    if (answers > 0) this.#counters.answers.inc(answers);
    if (outbox.count > 0) return;
    this.#host.owing.delete(this);
    if (!this.owes) this.#link.drained();
    if (this.#waits) this.#proceed();
  }

  /** A commit failed: no answer for anything in it, nor for what came behind it; the device asks again on a new connection. */
  failed(from: number, to: number): void {
    if (this.#closed || !this.outbox.waitsFor(from, to)) return;
    this.#close('journal_failed');
  }

  isHeard(): boolean {
    return this.#host.clock.elapsed() - this.#receivedAt <= 2 * this.#interval.ms;
  }

  lead(leads: boolean): void {
    this.#leads = leads;
    if (!leads || this.#origin === undefined) this.#detach();
    else if (this.#contact === undefined) {
      this.#contact = this.#contactOf(this.device, this.#origin);
      this.#host.downlink.attached(this.#contact);
    }
  }

  crowd(crowded: boolean): void {
    this.#crowded = crowded;
    this.#wasCrowded ||= crowded;
  }

  contradicted(peer: string): void {
    if (this.#contact !== undefined) this.#host.downlink.contradicted(this.#contact, peer);
  }

  #spoke(): void {
    if (this.#receivedAt - this.#spokeAt < SPOKE_MS) return;
    this.#spokeAt = this.#receivedAt;
    this.#host.sessions.spoke(this.device, this);
  }

  /** What is known of where the device speaks from may have changed. */
  reviewStanding(): void {
    const turn = this.#origin;
    if (turn === undefined || this.#closed) return;
    this.#host.standings.find(this.device, this.transport, addressOf(this.peer), ({ known, contested }) => {
      if (this.#origin !== turn || this.#closed) return;
      const holds = contested || this.#contesting;
      const isNews = known !== this.standing || holds !== this.#contested;
      this.standing = known;
      this.#contested = holds;
      if (!isNews || !this.#host.sessions.of(this.device).includes(this)) return;
      this.#host.sessions.changed(this.device);
      this.#host.downlink.poke(this.device);
    });
  }

  /** Invariant 14. */
  #contest(origin: Origin, peer: string): void {
    const addresses = [addressOf(this.peer), addressOf(peer)];
    this.#contested = true;
    this.#contesting = true;
    this.#host.metrics.contested.inc();
    void this.#host.standings.contest(this.device, this.transport, addresses).then(() => {
      this.#contesting = false;
      this.reviewStanding();
    });
    this.#journalEvent(origin, JSON.stringify({ type: 'identity_contested', addresses, transport: this.transport }));
  }

  /**
   * A newer connection of the same device took over. On UDP that is a device whose address has changed; two connections
   * are worth an event: a device that lost its network, or two devices with one id.
   */
  supersede(): void {
    this.#host.metrics.superseded.inc({ transport: this.transport });
    if (this.transport === 'tcp') {
      const quietMs = Math.round(this.#host.clock.elapsed() - this.#receivedAt);
      this.#event(`{"type":"duplicate_connection","protocol":"${this.codec.name}","quiet_ms":${quietMs}}`);
    }
    this.#detach();
    this.#link.finish('superseded');
  }

  /** The link is gone. Journals the end of the session and forgets what was owed. */
  closed(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#held = undefined;
    clearTimeout(this.#penalty);
    this.#host.owing.delete(this);
    this.outbox.clear();
    this.#meterLast();
    if (this.#origin !== undefined) this.#learnedLast();
    // A long connection is no short appearance.
    if (this.#origin !== undefined && this.#known?.device?.provisional === true) this.#seen(this.#known, this.#origin);
    this.#endTurn();
    const counts = `"bytes_in":${this.bytesIn},"bytes_out":${this.bytesOut},"frames":${this.framesIn}`;
    if (this.#served !== undefined) this.#journalEvent(this.#served, `{"type":"disconnected","reason":"${reason}",${counts}}`);
  }

  /** The registry has something else to say about the device, or about the id that it reports. */
  reconsider(): void {
    if (this.#known !== undefined && !this.#closed && !this.#closing)
      this.#host.registry.lookup(this.#known.reported, (known) => this.#reconsidered(known));
  }

  #reconsidered(known: Known): void {
    const before = this.#known;
    if (this.#closed || this.#closing || this.#origin === undefined || known.reported !== before?.reported) return;
    // What cannot be read now is no news.
    if (known.unread) return;
    const reason = known.id === this.device ? known.refusal(this.peer) || (before.unread ? this.#excess(known) : '') : 'alias_changed';
    if (reason !== '') {
      this.#detach();
      this.#link.finish(reason);
      return;
    }
    this.#known = known;
    this.record = known.device;
    if (accountOf(known) !== this.#origin.definition.account) {
      this.#origin = this.#originOf(known);
      this.#served = this.#origin;
      this.#host.meters.turn(this.meter, this.#origin);
    }
    this.planChanged();
    if (this.treatment?.mode === 'terminate') {
      this.#detach();
      this.#link.finish('terminated');
      return;
    }
    if (before.unread) this.#seen(known, this.#origin);
  }

  #seen(known: Known, origin: Origin): void {
    const told = (event: object): void => this.#journalEvent(origin, JSON.stringify(event));
    this.#host.registry.seen(known, this.codec.name, this.transport, told);
  }

  #frame(bytes: Bytes, start: number, end: number): boolean {
    const counters = this.#counters;
    if (this.#held !== undefined) return this.#hold(this.#held, bytes, start, end);
    let memo = this.#readMemo();
    if (memo !== this.#memo) this.#learned(memo);
    this.#decode(bytes, start, end);
    let known: Known | undefined;
    if (this.#names()) {
      known = this.#lookup(FRAME.deviceId);
      if (known === undefined) {
        this.#waitForRegistry(bytes, start, end, memo);
        return this.#held === undefined || this.#hold(this.#held, bytes, start, end);
      }
      if (this.#reopens(known.id)) {
        memo = this.#readMemo();
        this.#decode(bytes, start, end);
      }
    }
    this.framesIn++;
    this.#frameBytes += end - start;
    counters.frame(FRAME.kind);
    if (FRAME.kind === FrameKind.Malformed) {
      counters.malformed(FRAME.reason);
      return this.#bad();
    }
    if (FRAME.damaged !== '') counters.damaged(FRAME.damaged);
    if (FRAME.deviceId !== '' && FRAME.deviceId !== this.#known?.reported) {
      if (known === undefined) {
        // What follows without a name is not of the device before.
        this.#endTurn();
        counters.malformed('device_id');
        return this.#bad();
      }
      const reason = known.refusal(this.peer) || this.#outOfService(known) || this.#tooMany(known) || this.#excess(known);
      const rest = this.bytesIn - (this.#splitter?.noise ?? this.#noise) - this.#frameBytes + end - start;
      if (reason !== '') return this.#refuse(reason, known, bytes, start, end, rest);
      // Invariant 13.
      if (known.id === this.device) this.#known = known;
      else this.#identify(known, rest);
    }
    const origin = this.#origin;
    const promises = FRAME.kind !== FrameKind.Login && FRAME.kind !== FrameKind.Heartbeat;
    if (!promises && FRAME.rows === 0) {
      if (this.#dropped && origin === undefined && FRAME.kind === FrameKind.Heartbeat) return this.#bad();
      this.#strikes.good(this.#noise);
      this.#owe(0, Settled.Stored, 0, end - start);
      return !this.#closing;
    }
    if (origin === undefined) {
      this.#dropped = true;
      counters.malformed('unidentified');
      return this.#bad();
    }
    this.#strikes.good(this.#noise);
    const accepted = FRAME.rows;
    const treatment = this.#admission?.at(this.#received);
    const isReply = FRAME.kind === FrameKind.Reply;
    // Invariant 14.
    if (this.#admission?.isErased(FRAME, this.#received) === true) {
      this.#host.metrics.withheld.inc({ reason: 'erased' }, accepted);
      this.#owe(0, Settled.Stored, accepted, end - start);
      return !this.#closing;
    }
    let marks = treatment?.relay === true ? RELAY : undefined;
    let kept = accepted;
    if (treatment !== undefined && treatment.mode !== 'keep' && !isReply) {
      kept = this.#admission?.select(FRAME, treatment, this.#received) ?? accepted;
      if (kept < accepted) this.#host.metrics.withheld.inc({ reason: treatment.why }, accepted - kept);
      const passed = this.#admission?.passed ?? 0;
      if (passed > 0) this.#host.metrics.alarmsPassed.inc({ reason: treatment.why }, passed);
      if (kept === 0) return this.#withhold(treatment, promises, end - start);
      if (kept < accepted) marks = { keep: this.#admission?.mask ?? null, relay: treatment.relay };
    }
    const sequence = this.#host.journal.append(origin, EntryKind.Frame, this.#received, memo, accepted, bytes, start, end, marks);
    if (sequence < 0) {
      if (promises && this.#isSilent()) return this.#mute();
      this.#owe(0, promises ? Settled.Failed : Settled.Stored, 0, end - start);
    } else {
      if (kept > 0) counters.records.inc(kept);
      this.meter.records += kept;
      if (isReply) this.#replied();
      this.#noticed();
      this.#owe(promises ? sequence : 0, Settled.Stored, accepted, end - start);
    }
    return !this.#closing;
  }

  /** What the frame just decoded says beside what is stored of it. */
  #noticed(): void {
    if (FRAME.rows === 0) return;
    if (this.#motion.saw(FRAME, this.#received, this.#receivedAt) && this.#contact?.wantsMotion === true)
      this.#host.downlink.poke(this.device);
    if (this.#contact?.wantsFix === true) this.#fixed(this.#contact);
    this.#admission?.watch(FRAME, this.#received, this);
  }

  /** Nothing of the frame just decoded is kept: the documented exception to promise 1, or a refusal. */
  #withhold(treatment: Treatment, promises: boolean, bytes: number): boolean {
    const refuses = treatment.mode === 'refuse' || treatment.mode === 'terminate';
    this.#noticed();
    const ends = refuses && promises && !this.#shared;
    // Where logins are refused, the penalty is there.
    const isFirst = ends && this.transport === 'tcp' && this.#host.service.alarmsPass && this.#penalty === undefined;
    const penaltyMs = isFirst ? this.#penaltyMs(this.device) : 0;
    if (penaltyMs > 0) this.#penalise(treatment.why, penaltyMs);
    // An alarm that comes behind a refusal that waits is stored all the same.
    const sequence = ends && this.#penalty !== undefined ? NEVER : 0;
    this.#owe(sequence, promises && refuses ? Settled.Refused : Settled.Stored, refuses ? 0 : FRAME.rows, bytes);
    if (!ends || this.#penalty !== undefined) return !this.#closing;
    this.#closing = true;
    this.#link.finish(treatment.why);
    return false;
  }

  /** Has the connection, or its address, named too many? */
  #tooMany({ id }: Known): '' | 'ids_per_connection' | 'ids_per_address' {
    if (id === this.device) return '';
    if (!this.#bounds.admit(addressOf(this.peer))) return 'ids_per_address';
    if (this.#served === undefined || this.#named?.has(id) === true) return '';
    this.#named ??= new Set([this.#served.device]);
    if (this.#named.size >= this.#bounds.perConnection) return this.#named.has(id) ? '' : 'ids_per_connection';
    this.#named.add(id);
    return '';
  }

  /** Is the device new, and one too many? */
  #excess(known: Known): '' | 'new_id_rate' {
    if (!known.isNew) return '';
    const address = addressOf(this.peer);
    const verdict = this.#host.newcomers.admit(address);
    if (verdict === 'excess_news')
      this.#journalEvent(this.#originOf(known, known.reported), JSON.stringify({ type: 'new_ids_limited', address }));
    return verdict === 'admitted' ? '' : 'new_id_rate';
  }

  /** Why the device is turned away at the door, by its state or its plan; '' when it is not. */
  #outOfService(known: Known): '' | 'terminated' | 'refuse' {
    const { service, clock } = this.#host;
    const { mode } = new Admission(service, known.id, known.device, clock.now()).at(clock.now());
    if (mode === 'terminate') return 'terminated';
    // Behind a refused login no alarm could come: its frames are refused instead.
    return mode === 'refuse' && FRAME.kind === FrameKind.Login && !service.alarmsPass ? 'refuse' : '';
  }

  /** The steps that hold for the device, or its plan, have changed. */
  planChanged(): void {
    this.#admission?.changed(this.record, this.#host.clock.now());
    this.#link.throttle?.(this.treatment?.bytesPerS ?? 0);
  }

  /** How the device is treated; undefined while nobody knows whose the connection is. */
  get treatment(): Treatment | undefined {
    return this.#admission?.at(this.#host.clock.now());
  }

  /** Refused, and still to be told so. */
  get turnedAway(): boolean {
    return this.#penalty !== undefined;
  }

  #owe(sequence: number, settled: Settled, accepted: number, bytes: number): void {
    this.outbox.owe(sequence, settled, accepted, this.#receivedAt, FRAME, bytes);
    this.#host.owing.add(this);
  }

  /** A codec that throws is caught here, once (STYLE.md, Errors and options). */
  #decode(bytes: Bytes, start: number, end: number): void {
    this.#decodeWith(bytes, start, end, this.#state);
  }

  #decodeWith(bytes: Bytes, start: number, end: number, state: object): void {
    FRAME.reset(start, end);
    try {
      this.#dialect.decode(bytes, start, end, state, FRAME);
    } catch (error) {
      this.#threw(error);
      FRAME.malformed('codec_error');
    }
  }

  /** Would the frame just decoded get no answer even when stored? */
  #isSilent(): boolean {
    REQUEST.settled = Settled.Stored;
    REQUEST.kind = FRAME.kind;
    REQUEST.rows = FRAME.rows;
    REQUEST.accepted = FRAME.rows;
    REQUEST.ticketA = FRAME.ticketA;
    REQUEST.ticketB = FRAME.ticketB;
    REQUEST.ticketC = FRAME.ticketC;
    REQUEST.now = this.#received;
    return this.#answer(0) === 0;
  }

  /** Invariant 6. */
  #mute(): false {
    this.#muted = true;
    this.#host.metrics.rejects.inc({ reason: 'journal_refused' });
    return false;
  }

  #answer(at: number): number {
    try {
      return this.#dialect.encodeAck(REQUEST, this.#state, ANSWERS, at);
    } catch (error) {
      this.#threw(error);
      return 0;
    }
  }

  /** `frame` or `salvage` threw: without a length there is no next frame. */
  #lost(error: unknown): void {
    this.#threw(error);
    this.#close('codec_error');
  }

  #close(reason: string): void {
    this.#closing = true;
    this.outbox.clear();
    this.#host.owing.delete(this);
    this.#link.close(reason);
  }

  #threw(error: unknown): void {
    const stack = error instanceof Error ? error.stack : String(error);
    this.#host.log.error({ codec: this.codec.name, stack }, 'a codec threw an exception: a defect in the codec, please report it');
  }

  /**
   * Learns who is talking; a connection that carries several devices switches between them. `rest`: bytes from the frame's
   * beginning on.
   */
  #identify(known: Known, rest: number): void {
    const { sessions } = this.#host;
    const { id: device, reported } = known;
    const first = this.#served === undefined;
    const origin = this.#originOf(known);
    this.device = device;
    this.record = known.device;
    this.#known = known;
    this.#origin = origin;
    this.#served = origin;
    this.#admission = new Admission(this.#host.service, device, known.device, this.#host.clock.now());
    this.#link.throttle?.(this.treatment?.bytesPerS ?? 0);
    this.#meterFor(this.#host.meters.open(origin), rest);
    const alias = reported === device ? '' : `,"alias":"${reported}"`;
    if (first) this.#event(`{"type":"connected","transport":"${this.transport}","protocol":"${this.codec.name}"${alias}}`);
    this.#recall(origin);
    this.#seen(known, origin);
    this.since = this.#receivedAt;
    this.reviewStanding();
    sessions.claim(device, this);
  }

  #originOf(known: Known, id = known.id): Origin {
    const account = accountOf(known);
    let definition = this.#definition;
    if (definition === undefined || definition.account !== account || this.#definedFor !== this.#options) {
      definition = new Definition(this.codec.name, this.transport, keptOptions(this.codec, this.#options), account);
      this.#definition = definition;
      this.#definedFor = this.#options;
    }
    return new Origin(definition, id, this.peer);
  }

  /** Invariant 9: after this nothing is left of the device that spoke. Whose the bytes are is decided by who comes next. */
  #endTurn(): void {
    // A network is the device's when nothing contradicted it.
    if (this.#leads && !this.#wasCrowded && this.#receivedAt - this.since >= SETTLED_MS)
      this.#host.standings.note(this.device, this.transport, addressOf(this.peer));
    this.#detach();
    if (this.device !== '') this.#host.sessions.leave(this.device, this);
    this.device = '';
    this.since = 0;
    this.standing = false;
    this.#contested = false;
    this.#contesting = false;
    this.#crowded = false;
    this.#wasCrowded = false;
    this.#leads = false;
    this.#interval = new Interval();
    this.#spokeAt = 0;
    this.record = undefined;
    this.#known = undefined;
    this.#origin = undefined;
    this.#admission = undefined;
    this.#motion = new Motion();
    this.#memo = UNKNOWN;
    this.#kept = UNKNOWN;
    this.#dropped = true;
    if (this.#closed) return;
    this.#link.throttle?.(0);
    this.#options = this.#host.options(this.codec, '');
    this.#stateIs(this.#dialect.open(this.#options, 0));
  }

  /** Who reports under this id? Undefined: the registry answers later, and frames are held from now on. */
  #lookup(reported: string): Known | undefined {
    if (this.#answered?.reported === reported) return this.#answered;
    let answer: Known | undefined;
    let held: Held | undefined;
    this.#host.registry.lookup(reported, (known) => {
      if (held === undefined) answer = known;
      else this.#resume(held, known);
    });
    if (answer === undefined) {
      held = { frames: [], bytes: 0 };
      this.#held = held;
    }
    return answer;
  }

  /** The frame just decoded names a device that is not known yet: until it is, the state is as it was before, with `memo`. */
  #waitForRegistry(bytes: Bytes, start: number, end: number, memo: number): void {
    this.#state = this.#dialect.open(this.#options, memo);
    // The first device of a connection goes on with what the connection has taught.
    if (this.#splitter === undefined || this.#served === undefined) return;
    this.#splitter.state = this.#dialect.open(this.#host.options(this.codec, ''), 0);
    this.#decodeWith(bytes, start, end, this.#splitter.state);
  }

  /** Invariant 11. */
  #hold(held: Held, bytes: Bytes, start: number, end: number): boolean {
    held.bytes += end - start;
    if (held.bytes > MOST_HELD) {
      this.#close('registry_slow');
      return false;
    }
    // A copy, also of a Buffer: the bytes are lent.
    held.frames.push(new Uint8Array(bytes.subarray(start, end)));
    return true;
  }

  /** The registry has answered: what was held goes on, the first frame read as if nothing had been. */
  #resume(held: Held, known: Known): void {
    if (this.#held !== held || this.#closed || this.#closing) return;
    this.#held = undefined;
    this.#answered = known;
    this.#received = this.#host.clock.now();
    this.#receivedAt = this.#host.clock.elapsed();
    this.#stateIs(this.#state);
    for (const frame of held.frames) if (!this.#frame(frame, 0, frame.length)) break;
    this.#answered = undefined;
    this.release(this.#host.journal.durable);
    this.#noted();
    if (!this.owes) this.#link.drained();
    if (this.#waits) this.#proceed();
    this.#noted();
  }

  /** Not admitted: the answer says so where the protocol can, and the connection ends unless it is there for others, too. */
  #refuse(reason: string, known: Known, bytes: Bytes, start: number, end: number, rest: number): boolean {
    const { metrics, meters, quarantine, clock } = this.#host;
    metrics.rejects.inc({ reason });
    if (reason === 'unknown_device' || reason === 'new_id_rate')
      quarantine.noted(known.reported, this.codec.name, this.transport, bytes, start, end, reason === 'new_id_rate');
    else if (reason === 'network_refused' && known.isNews(clock.elapsed()))
      this.#journalEvent(this.#originOf(known), `{"type":"${reason}"}`);
    const shared = this.#served !== undefined;
    // Who is turned away by state or plan spends all the same; an id that is not known, or comes from elsewhere, is nobody's.
    const outOfService = reason === 'terminated' || reason === 'refuse';
    if (outOfService) this.#meterFor(meters.open(this.#originOf(known)), rest);
    else if (shared) {
      this.#meterFor(new Meter(undefined), rest);
      this.#refused = true;
    }
    const penaltyMs = outOfService ? this.#penaltyMs(known.id) : 0;
    // A datagram can be left without an answer; a connection that is closed at once is back at once.
    if (penaltyMs === 0) this.#owe(0, Settled.Refused, 0, end - start);
    else if (this.transport === 'tcp' && !shared) return this.#refuseLater(reason, penaltyMs, end - start);
    this.#endTurn();
    if (shared) return true;
    this.#closing = true;
    this.#link.finish(reason);
    return false;
  }

  #refuseLater(reason: string, penaltyMs: number, bytes: number): false {
    this.#closing = true;
    this.#penalise(reason, penaltyMs);
    this.#owe(NEVER, Settled.Refused, 0, bytes);
    return false;
  }

  /** How long a refused device is kept waiting for the refusal: longer each time. */
  #penaltyMs(device: string): number {
    return this.#host.service.seen(device).penalty(this.#host.clock.elapsed());
  }

  #penalise(reason: string, penaltyMs: number): void {
    this.#penalty = setTimeout(() => {
      this.#penalty = undefined;
      this.#closing = true;
      this.outbox.free(NEVER);
      this.#link.finish(reason);
      this.release(this.#host.journal.durable);
    }, penaltyMs);
  }

  #contactOf(device: string, origin: Origin): Contact {
    const isClear = (): boolean => !this.owes && !this.#closed && !this.#closing;
    const isRelay = (): boolean => this.treatment?.relay === true;
    const isContested = (): boolean => this.#contested;
    const hasStanding = (): boolean => this.standing;
    const isMoving = (): boolean | undefined => this.#motion.at(this.#host.clock.elapsed());
    return {
      device,
      codec: this.codec,
      transport: this.transport,
      get clear() {
        return isClear();
      },
      get relay() {
        return isRelay();
      },
      get moving() {
        return isMoving();
      },
      get contested() {
        return isContested();
      },
      get standing() {
        return hasStanding();
      },
      contest: (peer) => this.#contest(origin, peer),
      wantsFix: false,
      wantsMotion: false,
      wait: () => {
        this.#waits = true;
        // On UDP the way is open right behind an uplink only.
        if (this.transport === 'tcp') this.#proceed();
      },
      transmit: (type, parameters, key) => this.#transmit(type, parameters, key),
      // What a device has replied may be where it is.
      event: (event) => {
        // The device may have got another account meanwhile, and the connection another device.
        const from = this.#origin?.device === device ? this.#origin : origin;
        this.#journalEvent(from, JSON.stringify(event), isRelay() ? RELAY : undefined);
      },
    };
  }

  #detach(): void {
    if (this.#contact !== undefined) this.#host.downlink.detached(this.#contact);
    this.#contact = undefined;
    this.#waits = false;
  }

  /** Invariant 8. */
  #proceed(): void {
    if (this.#contact === undefined || !this.#contact.clear) return;
    this.#waits = false;
    this.#host.downlink.ready(this.#contact);
  }

  #transmit(type: string, parameters: Options, key: number): boolean {
    try {
      const length = this.#dialect.encodeCommand?.({ type, parameters }, key, this.#state, ANSWERS, 0) ?? 0;
      if (length === 0) return false;
      this.meter.out += length;
      this.#send(length);
      return true;
    } catch (error) {
      this.#threw(error);
      return false;
    }
  }

  /** The frame just decoded is a reply, and in the journal. */
  #replied(): void {
    if (this.#contact === undefined) return;
    const values: Record<string, string | number | boolean> = {};
    const views = viewsOf(this.codec);
    const end = FRAME.rows === 0 ? 0 : (FRAME.attrEnd[0] ?? 0);
    for (let a = 0; a < end; a++) {
      const view = attributeView(this.codec, views, FRAME.attrId[a] ?? 0);
      const raw = FRAME.attrNum[a] ?? 0;
      if (view.name === 'reply') continue;
      if (view.type === 'text') values[view.name] = FRAME.texts[raw] ?? '';
      else if (view.type === 'boolean') values[view.name] = raw !== 0;
      else values[view.name] = (raw * view.multiply) / view.divide + view.offset;
    }
    this.#host.downlink.replied(this.#contact, FRAME.replyKey, FRAME.replyText, values);
  }

  /** Tells of the newest position in the frame just decoded. */
  #fixed(contact: Contact): void {
    const row = FRAME.rows - 1;
    const [lat = Number.NaN, lon = Number.NaN, time = Number.NaN] = [FRAME.latitude[row], FRAME.longitude[row], FRAME.time[row]];
    if (row < 0 || Number.isNaN(lat) || Number.isNaN(lon) || Number.isNaN(time)) return;
    const speed = FRAME.speedKmh[row] ?? Number.NaN;
    const more = Number.isNaN(speed) ? {} : { speed_kmh: speed };
    this.#host.downlink.fixed(contact, { time, valid: FRAME.valid[row] === 1, lat, lon, ...more });
  }

  /** Has the frame just decoded named a device, other than the one before? */
  #names(): boolean {
    const { deviceId, kind } = FRAME;
    return deviceId !== '' && deviceId !== this.#known?.reported && kind !== FrameKind.Malformed && isDeviceId(deviceId);
  }

  /**
   * Invariant 9: another device ends the turn before, and a device with options of its own is read under them from its first frame.
   * False: nothing has changed.
   */
  #reopens(device: string): boolean {
    const options = this.#host.options(this.codec, device);
    if (device === this.device || (this.#served === undefined && options === this.#options)) return false;
    this.#shared = this.#served !== undefined;
    this.#endTurn();
    this.#options = options;
    this.#stateIs(this.#dialect.open(options, 0));
    return true;
  }

  #stateIs(state: object): void {
    this.#state = state;
    if (this.#splitter !== undefined) this.#splitter.state = state;
  }

  /** Invariant 7: asks for the device's profile, which comes at once or later. */
  #recall(turn: Origin): void {
    this.#kept = UNKNOWN;
    if (this.#dialect.adopt === undefined) return;
    this.#host.profiles.findProfile(turn.device, (profile) => {
      if (!this.#closed && this.#origin === turn) this.#adopt(profile);
    });
  }

  #adopt(profile: Profile | undefined): void {
    const memo = profile?.codec === this.codec.name ? profile.memo : 0;
    try {
      if (memo !== 0) this.#dialect.adopt?.(this.#state, memo);
      this.#kept = this.#durablePart(memo);
    } catch (error) {
      this.#threw(error);
    }
    // What was learned until now is compared with what is kept when the next frame comes.
    this.#memo = UNKNOWN;
  }

  /** The memo has changed: when the part that outlives the connection has, it is remembered for the device. */
  #learned(memo: number): void {
    this.#memo = memo;
    if (this.#kept === UNKNOWN) return;
    try {
      const durable = this.#durablePart(memo);
      if (durable === this.#kept) return;
      this.#kept = durable;
      this.#host.profiles.remember(this.device, { codec: this.codec.name, memo: durable, updated: this.#host.clock.now() });
      const learned = this.#dialect.describeMemo?.(durable);
      if (learned !== undefined) this.#event(JSON.stringify({ type: 'profile', protocol: this.codec.name, learned }));
    } catch (error) {
      this.#threw(error);
    }
  }

  /** What the last frame taught. */
  #learnedLast(): void {
    try {
      this.#learned(this.#readMemo());
    } catch (error) {
      this.#threw(error);
    }
  }

  /** What a new connection would adopt of a memo. */
  #durablePart(memo: number): number {
    const state = this.#dialect.open(this.#options, 0);
    this.#dialect.adopt?.(state, memo);
    return this.#dialect.memo?.(state) ?? 0;
  }

  #readMemo(): number {
    return this.#dialect.memo?.(this.#state) ?? 0;
  }

  #event(json: string): void {
    if (this.#origin !== undefined) this.#journalEvent(this.#origin, json);
  }

  /** Journals an event of the device. */
  event(event: object): void {
    this.#event(JSON.stringify(event));
  }

  #journalEvent(origin: Origin, json: string, marks?: Marks): void {
    const bytes = ENCODER.encode(json);
    this.#host.journal.append(origin, EntryKind.Event, this.#host.clock.now(), 0, 0, bytes, 0, bytes.length, marks);
  }

  /** Whose bytes they are has been counted. */
  #send(length: number): void {
    this.bytesOut += length;
    this.#count(0, 1);
    this.#noted();
    this.#link.send(ANSWERS.slice(0, length));
  }

  #count(bytes: number, pieces: number): void {
    this.meter.in += bytes;
    if (this.transport === 'tcp') this.meter.segments += pieces;
    else this.meter.datagrams += pieces;
  }

  #noted(): void {
    if (!this.#closed) this.#host.meters.noted(this.meter);
  }

  /** Invariant 10. `rest`: bytes of the frame that named the device and of what came behind it. */
  #meterFor(meter: Meter, rest: number): void {
    const before = this.meter;
    this.meter = meter;
    const refused = this.#refused;
    this.#refused = false;
    if (before.origin === undefined && !refused) {
      meter.add(before);
      return;
    }
    // What has been journaled already stays where it is.
    const moved = Math.min(rest, before.in);
    before.in -= moved;
    meter.in += moved;
    if (rest >= this.#chunkBytes) {
      const piece = this.transport === 'tcp' ? 'segments' : 'datagrams';
      const pieces = Math.min(1, before[piece]);
      before[piece] -= pieces;
      meter[piece] += pieces;
    }
    const owed = this.outbox.count - this.#earlier.reduce((sum, earlier) => sum + earlier.owed, 0);
    if (owed > 0) this.#earlier.push({ meter: before, owed });
    else this.#leaveMeter(before);
  }

  /** An answer of so many bytes has been taken from the outbox: whose was it? */
  #answerSent(bytes: number): void {
    const earlier = this.#earlier[0];
    if (earlier === undefined) {
      this.meter.out += bytes;
      return;
    }
    earlier.meter.out += bytes;
    this.#host.meters.noted(earlier.meter);
    if (--earlier.owed > 0) return;
    this.#earlier.shift();
    this.#leaveMeter(earlier.meter);
  }

  /** Nothing more of this connection goes there. */
  #leaveMeter(meter: Meter): void {
    const { meters, metrics } = this.#host;
    if (meter.origin === undefined) metrics.unidentifiedBytes.inc({ transport: this.transport }, meter.in + meter.out);
    else meters.close(meter);
  }

  /** The connection ends. */
  #meterLast(): void {
    for (const { meter } of this.#earlier) this.#leaveMeter(meter);
    this.#earlier.length = 0;
    this.#host.meters.noted(this.meter);
    // One that was turned away is back soon: its entries are left to the timer.
    if (this.#origin !== undefined) this.#host.meters.journal(this.meter);
    this.#leaveMeter(this.meter);
  }

  #bad(): boolean {
    if (!this.#strikes.bad()) return true;
    this.#close('strikes');
    return false;
  }

  #streamSeen(splitter: Splitter): void {
    this.#noiseSeen(splitter.noise);
    if (splitter.stopped === Stop.TooLong) this.#close('frame_too_long');
  }

  #noiseSeen(noise: number): void {
    if (noise === this.#noise) return;
    this.#counters.noiseBytes.inc(noise - this.#noise);
    this.#noise = noise;
    if (this.#strikes.noisy(noise)) this.#close('noise');
  }
}

function accountOf({ device }: Known): string {
  return device?.account ?? '';
}
