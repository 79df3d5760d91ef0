import type { Bytes } from '../../base/wire/index.ts';
import { addressOf } from '../../base/wire/network.ts';
import type { Codec, Transport } from '../../codec/index.ts';
import type { Tap } from '../../live/traces.ts';
import { NEVER, type Owing, Settle } from '../ack/settle.ts';
import { journalEvent } from '../session/notices.ts';
import { Reader } from '../session/reader.ts';
import type { Line, Session } from '../session/session.ts';
import { Cutter } from './cutter.ts';
import { type Carrier, Frames } from './frames.ts';
import { Gate } from './gate.ts';
import { type IdBounds, type IntakeHost, type Link, UNBOUNDED } from './host.ts';
import { Course, Phase } from './phase.ts';
import { Turns } from './turns.ts';

/**
 * The way in, for one connection or UDP peer, without its socket: what happens to it in which phase (phase.ts draws them). Chunks become
 * frames (cutter.ts), and each frame takes its way (frames.ts). README.md says where each invariant of the way in is kept.
 */
export class Intake implements Carrier, Owing {
  readonly codec: Codec;
  readonly transport: Transport;
  readonly peer: string;
  readonly link: Link;
  readonly out: Settle;
  readonly #host: IntakeHost;
  readonly #cutter: Cutter;
  readonly #gate: Gate;
  readonly #turns: Turns;
  readonly #frames: Frames;
  readonly #course = new Course();
  /** The token that asked for the end. */
  #endedBy = '';

  constructor(host: IntakeHost, codec: Codec, transport: Transport, peer: string, link: Link, bounds: IdBounds = UNBOUNDED) {
    this.codec = codec;
    this.transport = transport;
    this.peer = peer;
    this.link = link;
    this.#host = host;
    const counters = host.counters(codec);
    const reader = new Reader(codec, transport, host.options(codec, ''), host.log);
    this.#cutter = new Cutter(codec, transport, counters, reader.state, (bytes, start, end) => this.#frames.take(bytes, start, end));
    this.#gate = new Gate(host, codec, transport, peer, bounds);
    this.out = new Settle(host, counters, codec, transport, link, this, reader);
    this.out.tap = host.traces.of('', addressOf(peer));
    this.#turns = new Turns(host, this, this.#cutter, this.out, this.#gate, reader);
    const stations = { course: this.#course, counters, cutter: this.#cutter, gate: this.#gate, out: this.out, turns: this.#turns };
    this.#frames = new Frames(host, this, stations, (frames) => this.#replay(frames));
  }

  get phase(): Phase {
    return this.#course.phase;
  }

  /** Whose turn it is. */
  get session(): Session | undefined {
    return this.#turns.session;
  }

  /** A device has been served here. */
  get identified(): boolean {
    return this.#turns.last !== undefined;
  }

  /** A refusal waits. */
  get turnedAway(): boolean {
    return this.#gate.delays;
  }

  /** Answers are owed, or may be once the registry has answered. */
  get owes(): boolean {
    return this.out.outbox.count > 0 || this.#gate.holds;
  }

  get clear(): boolean {
    return !this.owes && this.#course.phase !== Phase.Closing;
  }

  get framesIn(): number {
    return this.#cutter.framesIn;
  }

  /** Bytes of an unfinished frame. */
  get pending(): number {
    return this.#cutter.pending;
  }

  get tap(): Tap | null {
    return this.out.tap;
  }

  set tap(tap: Tap | null) {
    this.out.tap = tap;
  }

  get traffic(): Line['traffic'] {
    const { bytesIn, framesIn } = this.#cutter;
    return {
      bytes_in: bytesIn,
      bytes_out: this.out.bytesOut,
      frames: framesIn,
      malformed: this.#frames.malformed,
      owed: this.out.outbox.count,
    };
  }

  /** Takes one chunk of a stream, or one whole datagram. */
  push(chunk: Bytes): void {
    if (this.#course.phase !== Phase.Closed) this.out.count(chunk.length, 1);
    switch (this.#course.phase) {
      case Phase.Anonymous:
      case Phase.Unowned:
      case Phase.Asking:
      case Phase.Served:
      case Phase.Refusing:
        this.#read(chunk);
        break;
      case Phase.Muted:
        this.#cutter.skipped(chunk.length);
        if (this.#host.journal.accepting) this.#frames.close('journal_refused');
        break;
      case Phase.TurnedAway:
      case Phase.Closing:
      case Phase.Closed:
    }
    this.#noted();
  }

  /** Counts what passed the socket and is not, or will be later, pushed: `reads` chunks or datagrams with so many bytes in all. */
  passed(bytes: number, reads: number): void {
    if (this.#course.phase !== Phase.Closed) this.out.count(bytes, reads);
    this.#noted();
  }

  /** The peer fell quiet in the middle of a frame: what is held becomes a frame if the dialect can tell. */
  quiet(): void {
    if (this.#course.phase !== Phase.Closed && this.#course.phase !== Phase.Closing && this.pending > 0) this.#read(undefined);
    this.#noted();
  }

  /** Sends every answer that the watermark allows. */
  release(watermark: number): void {
    if (this.out.outbox.count === 0 || this.#course.phase === Phase.Closed) return;
    this.out.release(watermark);
    if (!this.owes) this.link.drained();
    this.session?.proceed();
  }

  /** A commit failed: no answer for anything in it, nor for what came behind it; the device asks again on a new connection. */
  failed(from: number, to: number): void {
    if (this.#course.phase !== Phase.Closed && this.out.outbox.waitsFor(from, to)) this.#frames.close('journal_failed');
  }

  /** Ends the connection in order: nothing more is read, and the answers owed leave. */
  finish(reason: string, by = ''): void {
    if (this.#course.phase === Phase.Closing || this.#course.phase === Phase.Closed) return;
    this.#endedBy = by;
    this.#course.phase = Phase.Closing;
    this.#gate.close();
    this.out.outbox.free(NEVER);
    this.link.finish(reason);
  }

  review(session: Session): void {
    this.#host.registry.lookup(session.reported, (known) => {
      const reason = this.#turns.review(session, known);
      if (reason !== '') this.finish(reason);
    });
  }

  /** The link is gone. Journals the end of the session and forgets what was owed. */
  closed(reason: string): void {
    if (this.#course.phase === Phase.Closed) return;
    this.#course.phase = Phase.Closed;
    this.#gate.close();
    this.#turns.close();
    const { last } = this.#turns;
    const counts = { bytes_in: this.#cutter.bytesIn, bytes_out: this.out.bytesOut, frames: this.framesIn };
    const by = this.#endedBy === '' ? {} : { by: this.#endedBy };
    if (last !== undefined) journalEvent(this.#host, last, { type: 'disconnected', reason, ...by, ...counts });
  }

  /** A chunk; undefined: none follows for now. */
  #read(chunk: Bytes | undefined): void {
    this.#received();
    if (chunk !== undefined && this.#course.phase !== Phase.Asking) this.session?.heard(this.#course.receipt.at);
    const { noise } = this.#cutter;
    try {
      const trouble = chunk === undefined ? this.#cutter.quiet() : this.#cutter.push(chunk);
      if (trouble !== '') this.#frames.close(trouble);
    } catch (error) {
      this.#lost(error);
    }
    const { session } = this;
    if (this.#cutter.noise > noise) session?.terms.unread(this.#cutter.noise - noise, this.#course.receipt.wall, session);
    this.#settled();
  }

  /** The registry has answered: what was held goes on, the first frame read as if nothing had been. */
  #replay(frames: readonly Bytes[]): void {
    this.#course.phase = this.#course.before;
    this.#received();
    this.#turns.resume();
    try {
      for (const frame of frames) if (!this.#frames.take(frame, 0, frame.length)) break;
    } catch (error) {
      this.#lost(error);
    }
    this.#settled();
    if (!this.owes) this.link.drained();
    this.#noted();
  }

  /** `memo`, `frame` or `salvage` threw: without a length there is no next frame. */
  #lost(error: unknown): void {
    this.#turns.reader.threw(error);
    this.#frames.close('codec_error');
  }

  #received(): void {
    this.#course.receipt.wall = this.#host.clock.now();
    this.#course.receipt.at = this.#host.clock.elapsed();
  }

  #settled(): void {
    this.release(this.#host.journal.durable);
    this.session?.proceed();
  }

  #noted(): void {
    if (this.#course.phase !== Phase.Closed) this.out.noted();
  }
}
