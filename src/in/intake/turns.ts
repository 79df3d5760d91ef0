import type { Origin } from '../../journal/entry.ts';
import type { Known } from '../../registry/known.ts';
import type { Bytes } from '../../wire/index.ts';
import type { Settle } from '../ack/settle.ts';
import { Meter } from '../session/meter.ts';
import { Reader } from '../session/reader.ts';
import { type Line, Session } from '../session/session.ts';
import type { Terms } from '../session/terms.ts';
import type { Cutter } from './cutter.ts';
import type { IntakeHost } from './host.ts';

/**
 * Whose turn it is on one connection. When another device is named, the turn before ends and one begins: `end`, then `begin`. Between
 * them frames are read as on a new connection, and belong to no device.
 */
export class Turns {
  readonly #host: IntakeHost;
  readonly #line: Line;
  readonly #cutter: Cutter;
  readonly #settle: Settle;
  #reader: Reader;
  #session: Session | undefined;
  #last: Origin | undefined;
  #shared = false;

  constructor(host: IntakeHost, line: Line, cutter: Cutter, settle: Settle, reader: Reader) {
    this.#host = host;
    this.#line = line;
    this.#cutter = cutter;
    this.#settle = settle;
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
  reopens(device: string): boolean {
    const options = this.#host.options(this.#line.codec, device);
    if (device === this.#session?.device || (this.#last === undefined && options === this.#reader.options)) return false;
    this.#shared = this.#last !== undefined;
    this.end(options);
    return true;
  }

  /** Ends the turn before the frame in hand; what comes belongs to no device until `begin`. */
  end(options = this.#host.options(this.#line.codec, '')): void {
    this.#session?.end();
    this.#session = undefined;
    this.#line.throttle(0);
    this.#reader = new Reader(this.#line.codec, this.#line.transport, options, this.#host.log);
    this.#cutter.follow(this.#reader.state);
    this.#pay(this.#last === undefined ? this.#settle.meter : new Meter(undefined));
  }

  /** The device has the turn, from the frame in hand on. `now`: monotonic ms. */
  begin(known: Known, terms: Terms, origin: Origin, now: number): void {
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

  /** The frame in hand is of a device that is refused by its state or plan: that costs as much as any other. */
  charge(origin: Origin): void {
    this.#pay(this.#host.meters.open(origin));
  }

  /** The device of the frame in hand was refused: what comes behind it without a name is read as on a new connection. */
  pass(): void {
    this.#reader = new Reader(this.#line.codec, this.#line.transport, this.#host.options(this.#line.codec, ''), this.#host.log);
    this.#cutter.follow(this.#reader.state);
    this.#settle.inherit(this.#reader, this.#settle.meter);
  }

  /** The session's device has another record. */
  renewed(session: Session, known: Known, origin: Origin): void {
    session.renewed(known, origin);
    this.#last = origin;
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

  /** The frame in hand, and what comes behind it, is metered there; of the first turn of a connection also what came before. */
  #pay(meter: Meter): void {
    if (this.#last === undefined) this.#settle.inherit(this.#reader, meter);
    else this.#settle.turn(this.#reader, meter, this.#cutter.rest, this.#cutter.chunkBytes);
  }
}
