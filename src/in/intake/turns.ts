import type { Bytes } from '../../base/wire/index.ts';
import { type Options, Settled } from '../../codec/index.ts';
import { withClockOffset } from '../../codec/options.ts';
import type { DeviceLookup } from '../../fleet/registry/device-lookup.ts';
import type { Origin } from '../../journal/entry.ts';
import { NEVER, type Receipt, type Settle } from '../ack/settle.ts';
import { Meter } from '../session/meter.ts';
import { Reader } from '../session/reader.ts';
import { type Line, Session } from '../session/session.ts';
import { Terms } from '../session/terms.ts';
import type { Cutter } from './cutter.ts';
import type { Gate, Refusal } from './gate.ts';
import type { IntakeHost } from './host.ts';

/** What comes of naming a device. */
export const Entry = {
  /** It has the turn. */
  Served: 0,
  /** It is refused, and the connection goes on: other devices use it. */
  Passed: 1,
  /** It is refused, and the connection ends when the refusal has waited. */
  Waits: 2,
  /** It is refused, and the connection ends. */
  Ends: 3,
} as const;
export type Entry = (typeof Entry)[keyof typeof Entry];

/**
 * Whose turn it is on one connection. When another device is named, the turn before ends and one begins: `end`, then `#begin`. Between
 * them frames are read as on a new connection, and belong to no device.
 */
export class Turns {
  readonly #host: IntakeHost;
  readonly #line: Line;
  readonly #cutter: Cutter;
  readonly #settle: Settle;
  readonly #gate: Gate;
  #reader: Reader;
  #session: Session | undefined;
  #last: Origin | undefined;
  #shared = false;
  /** Of the device refused last: why, and how long it is to wait for the refusal, ms. */
  reason: Refusal = '';
  penaltyMs = 0;

  constructor(host: IntakeHost, line: Line, cutter: Cutter, settle: Settle, gate: Gate, reader: Reader) {
    this.#host = host;
    this.#line = line;
    this.#cutter = cutter;
    this.#settle = settle;
    this.#gate = gate;
    this.#reader = reader;
  }

  /** Of the turn that goes on, which is the session's or of no device. */
  get reader(): Reader {
    return this.#reader;
  }

  get session(): Session | undefined {
    return this.#session;
  }

  /** The device that was served last: the connection is its, as far as it belongs to one. */
  get last(): Origin | undefined {
    return this.#last;
  }

  /** More than one device has been named behind one that was served. */
  get shared(): boolean {
    return this.#shared;
  }

  /**
   * The frame in hand names this device. True: the turn before has ended, and the frame is to be read again, under the device's own
   * options. The first device of a connection goes on with what the connection has taught, unless it has options of its own.
   */
  reopens(known: DeviceLookup): boolean {
    const options = this.#optionsOf(known);
    if (known.id === this.#session?.device || (this.#last === undefined && options === this.#reader.options)) return false;
    this.#shared = this.#last !== undefined;
    this.end(options);
    return true;
  }

  /**
   * The session's device is read under other options than before: its record has changed, or it is stuck (intake invariant 16). True: the
   * turn goes on under them; what the connection has taught stays.
   */
  reread(): boolean {
    const session = this.#session;
    const options = session === undefined ? this.#reader.options : this.#optionsOf(session.known, session.profile.clock);
    if (session !== undefined) session.profile.clockMoved = false;
    if (session === undefined || options === this.#reader.options) return false;
    this.#reader = this.#reader.reopened(options);
    this.#cutter.follow(this.#reader.state);
    this.#settle.reread(this.#reader);
    this.#last = this.#gate.originOf(session.known, options);
    session.reread(this.#reader, this.#last);
    return true;
  }

  /**
   * The frame in hand named the session's device and was read by a reader with this memo. True: the device's profile is known by now and
   * says something else, and the frame is to be read again under it.
   */
  recalls(memo: number): boolean {
    const rereads = this.reread();
    const recalled = this.#session?.profile.recalled ?? 0;
    if (recalled === 0 && !rereads) return false;
    this.#reader.rewind(memo);
    this.#reader.adopt(recalled);
    this.#cutter.follow(this.#reader.state);
    return rereads || this.#reader.memo() !== memo;
  }

  /** Ends the turn before the frame in hand; what comes belongs to no device until another one is admitted. A refusal waits no longer. */
  end(options = this.#host.options(this.#line.codec, '')): void {
    this.#session?.end();
    this.#session = undefined;
    this.#line.link.throttle?.(0);
    this.#gate.release();
    this.#settle.outbox.free(NEVER);
    this.#read(options);
    this.#pay(this.#last === undefined ? this.#settle.meter : new Meter(undefined));
  }

  /** The frame decoded last, bytes[start, end), names this device, which has not the turn or has it under another id. */
  enter(known: DeviceLookup, bytes: Bytes, start: number, end: number, receipt: Receipt): Entry {
    const origin = this.#gate.originOf(known, this.#reader.options);
    const terms = new Terms(this.#host.service, known.id, known.device, receipt.wall);
    const isAlias = known.id === this.#session?.device;
    const { frame } = this.#host.scratch;
    const reason = this.#gate.refusal(known, terms, frame.kind, origin, isAlias, this.#last);
    if (reason === '') {
      if (isAlias) this.#session?.named(known);
      else this.#begin(known, terms, origin, receipt.at);
      return Entry.Served;
    }
    this.reason = reason;
    this.#gate.refused(reason, known, origin, bytes, start, end);
    if (this.#session !== undefined) this.end();
    return this.#refuse(reason, known, origin, end - start, receipt);
  }

  /** Has the registry, which has something else to say about the session's device, a reason to end the connection? '': none. */
  review(session: Session, known: DeviceLookup): string {
    if (session !== this.#session || known.reported !== session.reported || known.unread) return '';
    const reason = this.#gate.reviewed(session, known);
    if (reason !== '') return reason;
    this.#last = this.#gate.originOf(known, session.reader.options, session.origin);
    session.renewed(known, this.#last);
    this.reread();
    return session.treatment.mode === 'terminate' ? 'terminated' : '';
  }

  /**
   * The frame in hand names a device that the registry is asked about: it has not been read, by a reader with this memo. Frames behind
   * it are cut by a state that has read it, which on a shared connection is not that of the device before.
   */
  suspend(bytes: Bytes, start: number, end: number, memo: number): void {
    this.#reader.rewind(memo);
    if (this.#last === undefined) return;
    const options = this.#host.options(this.#line.codec, '');
    const cutting = new Reader(this.#line.codec, this.#line.transport, options, this.#host.log);
    cutting.decode(bytes, start, end, this.#host.scratch.frame);
    this.#cutter.follow(cutting.state);
  }

  /** The registry has answered: frames are cut by the state that they are read by. */
  resume(): void {
    this.#cutter.follow(this.#reader.state);
  }

  /** The connection is gone. */
  close(): void {
    this.#settle.close(this.#session !== undefined);
    this.#session?.close();
    this.#session = undefined;
  }

  #begin(known: DeviceLookup, terms: Terms, origin: Origin, now: number): void {
    const session = new Session(this.#host, this.#line, this.#reader, terms, known, origin, now);
    const isFirst = this.#last === undefined;
    this.#pay(session.meter);
    this.#session = session;
    this.#last = origin;
    const { codec, transport } = this.#line;
    const alias = known.reported === known.id ? {} : { alias: known.reported };
    if (isFirst) session.event({ type: 'connected', transport, protocol: codec.name, ...alias });
    session.begin();
  }

  /** The answer says so where the protocol can, and the connection ends unless it is there for others, too. */
  #refuse(reason: Refusal, known: DeviceLookup, origin: Origin, bytes: number, receipt: Receipt): Entry {
    // A device that is refused by its state or plan spends all the same; an id that is not known, or comes from elsewhere, belongs to no device.
    const spends = reason === 'terminated' || reason === 'refuse';
    if (spends) this.#pay(this.#host.meters.open(origin));
    this.penaltyMs = spends ? this.#gate.penaltyMs(known.id) : 0;
    const isOnly = this.#last === undefined;
    const waits = this.penaltyMs > 0 && isOnly && this.#line.transport === 'tcp';
    // A datagram can be left without an answer; a connection that is closed at once is back at once.
    if (waits || this.penaltyMs === 0) this.#settle.owe(waits ? NEVER : 0, Settled.Refused, 0, receipt.at, this.#host.scratch.frame, bytes);
    if (isOnly) return waits ? Entry.Waits : Entry.Ends;
    // What comes behind it without a name is read as on a new connection.
    this.#read(this.#host.options(this.#line.codec, ''));
    this.#settle.inherit(this.#reader, this.#settle.meter);
    return Entry.Passed;
  }

  /** `clock`: minutes that the device's clock is known to be ahead. */
  #optionsOf({ id, device }: DeviceLookup, clock = 0): Options {
    const { codec } = this.#line;
    const options = this.#host.refusals.options(codec, id, this.#host.options(codec, id, device?.options));
    return withClockOffset(codec, options, clock, device?.options);
  }

  #read(options: Options): void {
    this.#reader = new Reader(this.#line.codec, this.#line.transport, options, this.#host.log);
    this.#cutter.follow(this.#reader.state);
  }

  /** The frame in hand, and what comes behind it, is metered there; of the first turn of a connection also what came before. */
  #pay(meter: Meter): void {
    if (this.#last === undefined) this.#settle.inherit(this.#reader, meter);
    else this.#settle.turn(this.#reader, meter, this.#cutter.rest, this.#cutter.chunkBytes);
  }
}
