import { type Codec, FrameKind, type FrameResult, Settled, type Transport } from '../../codec/index.ts';
import { EntryKind, type Origin } from '../../journal/entry.ts';
import type { CodecCounters } from '../../metrics/hot-counters.ts';
import type { Treatment } from '../../plan/treatment.ts';
import type { Known } from '../../registry/known.ts';
import type { Bytes } from '../../wire/index.ts';
import type { Outbox } from '../ack/outbox.ts';
import { NEVER, Settle } from '../ack/settle.ts';
import { isDeviceId } from '../session/identity.ts';
import { journalEvent } from '../session/notices.ts';
import { Reader } from '../session/reader.ts';
import type { Line, Session } from '../session/session.ts';
import { Terms } from '../session/terms.ts';
import { Cutter } from './cutter.ts';
import { Gate, type Refusal } from './gate.ts';
import { type IdBounds, type IntakeHost, type Link, type Owing, UNBOUNDED } from './host.ts';
import { Verdict } from './keep.ts';
import { Phase } from './phase.ts';
import { Turns } from './turns.ts';

/**
 * The way in, for one connection or UDP peer, without its socket: chunk → frame → decode → gate → keep → append → owe. What happens
 * to a chunk or a frame depends on the phase: see phase.ts.
 *
 * Invariants have one number over all files of `src/in`, and stand where they are kept:
 *
 * 1. Every frame that carries something is in the journal, raw, before its answer can leave (promise 1); the answer
 *    waits in the outbox for the journal's watermark.
 * 2. The order of answers: ack/settle.ts.
 * 3. Codecs that throw: session/reader.ts.
 * 4. When the journal refuses (full or sick disk) nothing is answered as stored (promise 5).
 * 5. A frame without a known device is never stored and never answered as stored.
 * 6. A later answer tells a device that what it sent before has arrived, also where the protocol has no answer of its
 *    own. So when the journal refuses such a frame, nothing more is answered on this connection: it is closed when the
 *    journal accepts again, or given up by the device, which then sends again.
 * 7. What a codec learns: session/profile.ts.
 * 8. When a command leaves: session/command-port.ts.
 * 9. Devices that take turns: session/session.ts.
 * 10. Whose bytes they are: ack/settle.ts.
 * 11. Who may speak: gate.ts.
 * 12. What is withheld: keep.ts. It is answered as the treatment says. A connection that other devices use goes on.
 * 13. Aliases: session/session.ts.
 * 14. Several sessions of one device: session/command-port.ts.
 * 15. What was erased: keep.ts.
 */
export class Intake implements Line, Owing {
  readonly codec: Codec;
  readonly transport: Transport;
  readonly peer: string;
  readonly #host: IntakeHost;
  readonly #link: Link;
  readonly #counters: CodecCounters;
  readonly #frame: FrameResult;
  readonly #cutter: Cutter;
  readonly #gate: Gate;
  readonly #settle: Settle;
  readonly #turns: Turns;
  #phase: Phase = Phase.Anonymous;
  /** The phase to go on with when the registry has answered. */
  #before: Phase = Phase.Anonymous;
  /** Receipt of the chunk in hand: wall clock ms, and monotonic ms. */
  #received = 0;
  #receivedAt = 0;

  constructor(host: IntakeHost, codec: Codec, transport: Transport, peer: string, link: Link, bounds: IdBounds = UNBOUNDED) {
    this.codec = codec;
    this.transport = transport;
    this.peer = peer;
    this.#host = host;
    this.#link = link;
    this.#counters = host.counters(codec);
    this.#frame = host.scratch.frame;
    const reader = new Reader(codec, transport, host.options(codec, ''), host.log);
    this.#cutter = new Cutter(codec, transport, this.#counters, reader.state, (bytes, start, end) => this.#take(bytes, start, end));
    this.#gate = new Gate(host, codec, transport, peer, bounds);
    this.#settle = new Settle(host, this.#counters, codec, transport, link, reader);
    this.#turns = new Turns(host, this, this.#cutter, this.#settle, reader);
  }

  get phase(): Phase {
    return this.#phase;
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
    return this.#settle.outbox.count > 0 || this.#gate.holds;
  }

  get clear(): boolean {
    return !this.owes && this.#phase !== Phase.Closing;
  }

  get outbox(): Outbox {
    return this.#settle.outbox;
  }

  get framesIn(): number {
    return this.#cutter.framesIn;
  }

  /** Bytes of an unfinished frame. */
  get pending(): number {
    return this.#cutter.pending;
  }

  get room(): Uint8Array {
    return this.#host.scratch.answers;
  }

  /** Takes one chunk of a stream, or one whole datagram. */
  push(chunk: Bytes): void {
    if (this.#phase === Phase.Closed) return;
    this.#settle.count(chunk.length, 1);
    switch (this.#phase) {
      case Phase.Anonymous:
      case Phase.Unowned:
      case Phase.Asking:
      case Phase.Served:
      case Phase.Refusing:
        this.#read(chunk);
        break;
      case Phase.Muted:
        this.#cutter.skipped(chunk.length);
        if (this.#host.journal.accepting) this.#close('journal_refused');
        break;
      case Phase.TurnedAway:
      case Phase.Closing:
    }
    this.#noted();
  }

  /** Counts what passed the socket and is not, or will be later, pushed: `reads` chunks or datagrams with so many bytes in all. */
  passed(bytes: number, reads: number): void {
    if (this.#phase === Phase.Closed) return;
    this.#settle.count(bytes, reads);
    this.#noted();
  }

  /** The peer fell quiet in the middle of a frame: what is held becomes a frame if the dialect can tell. */
  quiet(): void {
    if (this.#phase === Phase.Closed || this.#phase === Phase.Closing || this.pending === 0) return;
    this.#read(undefined);
    this.#noted();
  }

  /** Sends every answer that the watermark allows. */
  release(watermark: number): void {
    const { outbox } = this.#settle;
    if (outbox.count === 0 || this.#phase === Phase.Closed) return;
    this.#settle.release(watermark);
    if (outbox.count > 0) return;
    this.#host.owing.delete(this);
    if (!this.owes) this.#link.drained();
    this.session?.proceed();
  }

  /** A commit failed: no answer for anything in it, nor for what came behind it; the device asks again on a new connection. */
  failed(from: number, to: number): void {
    if (this.#phase !== Phase.Closed && this.#settle.outbox.waitsFor(from, to)) this.#close('journal_failed');
  }

  send(length: number): void {
    this.#settle.send(length);
  }

  throttle(bytesPerS: number): void {
    this.#link.throttle?.(bytesPerS);
  }

  finish(reason: string): void {
    this.#link.finish(reason);
  }

  review(session: Session): void {
    this.#host.registry.lookup(session.reported, (known) => {
      const ends = this.#phase === Phase.Closing || this.#phase === Phase.Closed;
      if (ends || session !== this.session || known.reported !== session.reported || known.unread) return;
      const reason = this.#gate.reviewed(session, known);
      if (reason !== '') {
        this.#finish(reason);
        return;
      }
      this.#turns.renewed(session, known, this.#gate.originOf(known, session.reader.options, session.origin));
      if (session.treatment.mode === 'terminate') this.#finish('terminated');
    });
  }

  /** The link is gone. Journals the end of the session and forgets what was owed. */
  closed(reason: string): void {
    if (this.#phase === Phase.Closed) return;
    this.#phase = Phase.Closed;
    this.#gate.close();
    this.#host.owing.delete(this);
    this.#turns.close();
    const counts = { bytes_in: this.#cutter.bytesIn, bytes_out: this.#settle.bytesOut, frames: this.#cutter.framesIn };
    const { last } = this.#turns;
    if (last !== undefined) journalEvent(this.#host, last, { type: 'disconnected', reason, ...counts });
  }

  /** A chunk; undefined: none follows for now. */
  #read(chunk: Bytes | undefined): void {
    this.#received = this.#host.clock.now();
    this.#receivedAt = this.#host.clock.elapsed();
    if (chunk !== undefined && this.#phase !== Phase.Asking) this.session?.heard(this.#receivedAt);
    try {
      const trouble = chunk === undefined ? this.#cutter.quiet() : this.#cutter.push(chunk);
      if (trouble !== '') this.#close(trouble);
    } catch (error) {
      this.#lost(error);
    }
    this.release(this.#host.journal.durable);
    this.session?.proceed();
  }

  /** Takes one frame; false: none behind it is read. */
  #take(bytes: Bytes, start: number, end: number): boolean {
    if (this.#phase === Phase.Asking) return this.#hold(bytes, start, end);
    const frame = this.#frame;
    const turns = this.#turns;
    let memo = turns.reader.memo();
    turns.session?.profile.learned(memo);
    turns.reader.decode(bytes, start, end, frame);
    let known: Known | undefined;
    if (this.#names(frame) && isDeviceId(frame.deviceId) && frame.kind !== FrameKind.Malformed) {
      known = this.#gate.ask(frame.deviceId, (frames) => this.#replay(frames));
      if (known === undefined) return this.#ask(bytes, start, end, memo);
    }
    this.#cutter.counted(end - start);
    if (known !== undefined && turns.reopens(known.id)) {
      this.#unowned();
      memo = turns.reader.memo();
      turns.reader.decode(bytes, start, end, frame);
    }
    this.#counters.frame(frame.kind);
    if (frame.kind === FrameKind.Malformed) return this.#bad(frame.reason);
    if (frame.damaged !== '') this.#counters.damaged(frame.damaged);
    if (!this.#names(frame)) return this.#store(bytes, start, end, memo);
    if (known !== undefined) return this.#admits(known, bytes, start, end) ? this.#store(bytes, start, end, memo) : this.#reads;
    // What follows without a name is not of the device before.
    turns.end();
    this.#unowned();
    return this.#bad('device_id');
  }

  /** Does the frame name a device that has not the turn, or has it under another id? */
  #names(frame: FrameResult): boolean {
    return frame.deviceId !== '' && frame.deviceId !== this.session?.reported;
  }

  /** The registry answers later. */
  #ask(bytes: Bytes, start: number, end: number, memo: number): boolean {
    this.#before = this.#phase;
    this.#phase = Phase.Asking;
    this.#turns.suspend(bytes, start, end, memo);
    return this.#hold(bytes, start, end);
  }

  #hold(bytes: Bytes, start: number, end: number): boolean {
    if (!this.#gate.hold(bytes, start, end)) this.#close('registry_slow');
    return this.#phase === Phase.Asking;
  }

  /** The registry has answered: what was held goes on, the first frame read as if nothing had been. */
  #replay(frames: readonly Bytes[]): void {
    this.#phase = this.#before;
    this.#received = this.#host.clock.now();
    this.#receivedAt = this.#host.clock.elapsed();
    this.#turns.resume();
    try {
      for (const frame of frames) if (!this.#take(frame, 0, frame.length)) break;
    } catch (error) {
      this.#lost(error);
    }
    this.release(this.#host.journal.durable);
    this.#noted();
    if (!this.owes) this.#link.drained();
    this.session?.proceed();
    this.#noted();
  }

  /** False: the device of the frame in hand is refused. */
  #admits(known: Known, bytes: Bytes, start: number, end: number): boolean {
    const { session, reader, last } = this.#turns;
    const origin = this.#gate.originOf(known, reader.options);
    const terms = new Terms(this.#host.service, known.id, known.device, this.#received);
    const isAlias = known.id === session?.device;
    const reason = this.#gate.refusal(known, terms, this.#frame.kind, origin, isAlias, last);
    if (reason !== '') this.#refuse(reason, known, origin, bytes, start, end);
    else if (isAlias) session?.named(known);
    else {
      this.#phase = Phase.Served;
      this.#turns.begin(known, terms, origin, this.#receivedAt);
    }
    return reason === '';
  }

  /** The answer says so where the protocol can, and the connection ends unless it is there for others, too. */
  #refuse(reason: Refusal, known: Known, origin: Origin, bytes: Bytes, start: number, end: number): void {
    this.#gate.refused(reason, known, origin, bytes, start, end);
    if (this.session !== undefined) this.#turns.end();
    this.#unowned();
    const isOnly = this.#turns.last === undefined;
    // A device that is turned away by its state or plan spends all the same; an id that is not known, or comes from elsewhere, is no device.
    const spends = reason === 'terminated' || reason === 'refuse';
    if (spends) this.#turns.charge(origin);
    const penaltyMs = spends ? this.#gate.penaltyMs(known.id) : 0;
    // A datagram can be left without an answer; a connection that is closed at once is back at once.
    if (penaltyMs === 0) this.#owe(0, Settled.Refused, 0, end - start);
    else if (this.transport === 'tcp' && isOnly) {
      this.#phase = Phase.TurnedAway;
      this.#gate.delay(penaltyMs, () => this.#delayed(reason));
      this.#owe(NEVER, Settled.Refused, 0, end - start);
      return;
    }
    if (isOnly) this.#finish(reason);
    else this.#turns.pass();
  }

  /** The device of the turn has another one behind it, or none: what was made to wait for it waits no longer. */
  #unowned(): void {
    this.#phase = Phase.Unowned;
    this.#gate.release();
    this.#settle.outbox.free(NEVER);
  }

  /** Journals the frame in hand, if anything of it is kept, and owes its answer. False: no frame behind it is read. */
  #store(bytes: Bytes, start: number, end: number, memo: number): boolean {
    const frame = this.#frame;
    const { session } = this.#turns;
    const size = end - start;
    const promises = frame.kind !== FrameKind.Login && frame.kind !== FrameKind.Heartbeat;
    if (!promises && frame.rows === 0) {
      if (this.#phase === Phase.Unowned && frame.kind === FrameKind.Heartbeat) return this.#strike();
      this.#cutter.good();
      this.#owe(0, Settled.Stored, 0, size);
      return this.#reads;
    }
    // Invariant 5.
    if (session === undefined) {
      this.#phase = Phase.Unowned;
      return this.#bad('unidentified');
    }
    this.#cutter.good();
    const { keep } = this.#host.scratch;
    const treatment = session.terms.at(this.#received);
    const verdict = keep.judge(frame, session.terms, treatment, this.#received, this.#host.metrics);
    if (verdict === Verdict.Store) return this.#append(session, promises, bytes, start, end, memo);
    if (verdict === Verdict.Withhold) return this.#withhold(session, treatment, promises, size);
    this.#owe(0, Settled.Stored, frame.rows, size);
    return this.#reads;
  }

  /** Invariants 1 and 4. */
  #append(session: Session, promises: boolean, bytes: Bytes, start: number, end: number, memo: number): boolean {
    const frame = this.#frame;
    const { journal, scratch } = this.#host;
    const { kept, marks } = scratch.keep;
    const sequence = journal.append(session.origin, EntryKind.Frame, this.#received, memo, frame.rows, bytes, start, end, marks);
    if (sequence < 0) {
      if (promises && this.#settle.isSilent(frame, this.#received)) return this.#mute();
      this.#owe(0, promises ? Settled.Failed : Settled.Stored, 0, end - start);
      return this.#reads;
    }
    if (kept > 0) this.#counters.records.inc(kept);
    session.meter.records += kept;
    if (frame.kind === FrameKind.Reply) session.replied(frame);
    session.noticed(frame, this.#received, this.#receivedAt);
    this.#owe(promises ? sequence : 0, Settled.Stored, frame.rows, end - start);
    return this.#reads;
  }

  /** Invariant 12: nothing of the frame in hand is kept. That is the documented exception to promise 1, or a refusal. */
  #withhold(session: Session, treatment: Treatment, promises: boolean, bytes: number): boolean {
    const refuses = treatment.mode === 'refuse' || treatment.mode === 'terminate';
    session.noticed(this.#frame, this.#received, this.#receivedAt);
    const ends = refuses && promises && !this.#turns.shared;
    // Where logins are refused, the penalty is there.
    if (ends && this.transport === 'tcp' && session.terms.service.alarmsPass && this.#phase === Phase.Served) {
      const penaltyMs = this.#gate.penaltyMs(session.device);
      if (penaltyMs > 0) {
        this.#phase = Phase.Refusing;
        this.#gate.delay(penaltyMs, () => this.#delayed(treatment.why));
      }
    }
    // An alarm that comes behind a refusal that waits is stored all the same.
    const waits = ends && this.#phase === Phase.Refusing;
    this.#owe(waits ? NEVER : 0, promises && refuses ? Settled.Refused : Settled.Stored, refuses ? 0 : this.#frame.rows, bytes);
    if (ends && !waits) this.#finish(treatment.why);
    return this.#reads;
  }

  /** The refusal has waited long enough. */
  #delayed(reason: string): void {
    this.#finish(reason);
    this.release(this.#host.journal.durable);
  }

  /** Invariant 6. */
  #mute(): false {
    this.#phase = Phase.Muted;
    this.#host.metrics.rejects.inc({ reason: 'journal_refused' });
    return false;
  }

  #owe(sequence: number, settled: Settled, accepted: number, bytes: number): void {
    this.#settle.owe(sequence, settled, accepted, this.#receivedAt, this.#frame, bytes);
    this.#host.owing.add(this);
  }

  get #reads(): boolean {
    const phase = this.#phase;
    return phase === Phase.Served || phase === Phase.Unowned || phase === Phase.Anonymous || phase === Phase.Refusing;
  }

  #bad(reason: string): boolean {
    this.#counters.malformed(reason);
    return this.#strike();
  }

  #strike(): boolean {
    if (this.#cutter.bad()) this.#close('strikes');
    return this.#reads;
  }

  /** `memo`, `frame` or `salvage` threw: without a length there is no next frame. */
  #lost(error: unknown): void {
    this.#turns.reader.threw(error);
    this.#close('codec_error');
  }

  /** Ends the connection in order. */
  #finish(reason: string): void {
    this.#phase = Phase.Closing;
    this.#gate.close();
    this.#settle.outbox.free(NEVER);
    this.#link.finish(reason);
  }

  /** Ends the connection; nothing that is owed is answered. */
  #close(reason: string): void {
    this.#phase = Phase.Closing;
    this.#gate.close();
    this.#settle.outbox.clear();
    this.#host.owing.delete(this);
    this.#link.close(reason);
  }

  #noted(): void {
    if (this.#phase !== Phase.Closed) this.#settle.noted();
  }
}
