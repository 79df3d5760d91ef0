import type { Bytes } from '../../base/wire/index.ts';
import { addressOf } from '../../base/wire/network.ts';
import { type Codec, FrameKind, type FrameResult, Settled, type Transport } from '../../codec/index.ts';
import type { DeviceLookup } from '../../fleet/registry/device-lookup.ts';
import type { Tap } from '../../live/traces.ts';
import { NEVER, type Owing, type Receipt, Settle } from '../ack/settle.ts';
import type { CodecCounters } from '../session/counters.ts';
import { isDeviceId } from '../session/identity.ts';
import { journalEvent } from '../session/notices.ts';
import { Reader } from '../session/reader.ts';
import type { Line, Session } from '../session/session.ts';
import { Cutter } from './cutter.ts';
import { Gate } from './gate.ts';
import { type IdBounds, type IntakeHost, type Link, UNBOUNDED } from './host.ts';
import { Phase } from './phase.ts';
import { Outcome, Store } from './store.ts';
import { Entry, Turns } from './turns.ts';

/**
 * The way in, for one connection or UDP peer, without its socket: chunk → frame → decode → gate → keep → append → owe. phase.ts draws
 * the phases; README.md says where each invariant of the way in is kept. Here:
 *
 * 5. A frame without a known device is never stored and never answered as stored.
 * 6. A later answer tells a device that what it sent before has arrived, also where the protocol has no answer of its
 *    own. So when the journal refuses such a frame, nothing more is answered on this connection: it is closed when the
 *    journal accepts again, or given up by the device, which then sends again.
 */
export class Intake implements Line, Owing {
  readonly codec: Codec;
  readonly transport: Transport;
  readonly peer: string;
  readonly link: Link;
  readonly out: Settle;
  readonly #host: IntakeHost;
  readonly #counters: CodecCounters;
  readonly #cutter: Cutter;
  readonly #gate: Gate;
  readonly #turns: Turns;
  readonly #store: Store;
  #malformed = 0;
  /** The token that asked for the end. */
  #endedBy = '';
  #phase: Phase = Phase.Anonymous;
  /** The phase to go on with when the registry has answered. */
  #before: Phase = Phase.Anonymous;
  /** Of the chunk in hand. */
  readonly #receipt: Receipt = { wall: 0, at: 0 };

  constructor(host: IntakeHost, codec: Codec, transport: Transport, peer: string, link: Link, bounds: IdBounds = UNBOUNDED) {
    this.codec = codec;
    this.transport = transport;
    this.peer = peer;
    this.link = link;
    this.#host = host;
    this.#counters = host.counters(codec);
    const reader = new Reader(codec, transport, host.options(codec, ''), host.log);
    this.#cutter = new Cutter(codec, transport, this.#counters, reader.state, (bytes, start, end) => this.#take(bytes, start, end));
    this.#gate = new Gate(host, codec, transport, peer, bounds);
    this.out = new Settle(host, this.#counters, codec, transport, link, this, reader);
    this.out.tap = host.traces.of('', addressOf(peer));
    this.#turns = new Turns(host, this, this.#cutter, this.out, this.#gate, reader);
    this.#store = new Store(host, this.out, this.#counters);
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
    return this.out.outbox.count > 0 || this.#gate.holds;
  }

  get clear(): boolean {
    return !this.owes && this.#phase !== Phase.Closing;
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
    return { bytes_in: bytesIn, bytes_out: this.out.bytesOut, frames: framesIn, malformed: this.#malformed, owed: this.out.outbox.count };
  }

  /** Takes one chunk of a stream, or one whole datagram. */
  push(chunk: Bytes): void {
    if (this.#phase !== Phase.Closed) this.out.count(chunk.length, 1);
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
      case Phase.Closed:
    }
    this.#noted();
  }

  /** Counts what passed the socket and is not, or will be later, pushed: `reads` chunks or datagrams with so many bytes in all. */
  passed(bytes: number, reads: number): void {
    if (this.#phase !== Phase.Closed) this.out.count(bytes, reads);
    this.#noted();
  }

  /** The peer fell quiet in the middle of a frame: what is held becomes a frame if the dialect can tell. */
  quiet(): void {
    if (this.#phase !== Phase.Closed && this.#phase !== Phase.Closing && this.pending > 0) this.#read(undefined);
    this.#noted();
  }

  /** Sends every answer that the watermark allows. */
  release(watermark: number): void {
    if (this.out.outbox.count === 0 || this.#phase === Phase.Closed) return;
    this.out.release(watermark);
    if (!this.owes) this.link.drained();
    this.session?.proceed();
  }

  /** A commit failed: no answer for anything in it, nor for what came behind it; the device asks again on a new connection. */
  failed(from: number, to: number): void {
    if (this.#phase !== Phase.Closed && this.out.outbox.waitsFor(from, to)) this.#close('journal_failed');
  }

  /** Ends the connection in order: nothing more is read, and the answers owed leave. */
  finish(reason: string, by = ''): void {
    if (this.#phase === Phase.Closing || this.#phase === Phase.Closed) return;
    this.#endedBy = by;
    this.#phase = Phase.Closing;
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
    if (this.#phase === Phase.Closed) return;
    this.#phase = Phase.Closed;
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
    if (chunk !== undefined && this.#phase !== Phase.Asking) this.session?.heard(this.#receipt.at);
    try {
      const trouble = chunk === undefined ? this.#cutter.quiet() : this.#cutter.push(chunk);
      if (trouble !== '') this.#close(trouble);
    } catch (error) {
      this.#lost(error);
    }
    this.#settled();
  }

  /** Takes one frame; false: none behind it is read. */
  #take(bytes: Bytes, start: number, end: number): boolean {
    if (this.#phase === Phase.Asking) return this.#hold(bytes, start, end);
    const turns = this.#turns;
    const { frame } = this.#host.scratch;
    let memo = turns.reader.memo();
    const profile = turns.session?.profile;
    profile?.learned(memo);
    if (profile?.clockMoved === true && turns.reread()) memo = turns.reader.memo();
    turns.reader.decode(bytes, start, end, frame);
    const known = this.#names(frame) && isDeviceId(frame.deviceId) ? this.#ask(frame.deviceId, bytes, start, end, memo) : undefined;
    if (known === null) return this.#hold(bytes, start, end);
    this.#cutter.counted(end - start);
    if (known !== undefined && turns.reopens(known)) {
      this.#phase = Phase.Unowned;
      memo = turns.reader.memo();
      turns.reader.decode(bytes, start, end, frame);
    }
    if (frame.kind === FrameKind.Malformed && this.#relents(bytes, start, end, frame.reason)) {
      memo = turns.reader.memo();
      turns.reader.decode(bytes, start, end, frame);
    }
    this.#counters.frame(frame.kind);
    if (frame.kind === FrameKind.Malformed) {
      this.out.tap?.frame(this, bytes, start, end, memo, turns.reader.options);
      return this.#bad(frame.reason);
    }
    if (frame.damaged !== '') this.#counters.damaged(frame.damaged);
    if (!this.#names(frame)) return this.#keep(frame, memo, bytes, start, end);
    if (!this.#entered(known, bytes, start, end)) return this.#reads;
    if (frame.rows > 0 && turns.recalls(memo)) return this.#again(bytes, start, end);
    if (frame.rows === 0) turns.reread();
    return this.#keep(frame, memo, bytes, start, end);
  }

  /** The frame in hand is read again, and kept. */
  #again(bytes: Bytes, start: number, end: number): boolean {
    const { reader } = this.#turns;
    const { frame } = this.#host.scratch;
    const memo = reader.memo();
    reader.decode(bytes, start, end, frame);
    return frame.kind === FrameKind.Malformed ? this.#bad(frame.reason) : this.#keep(frame, memo, bytes, start, end);
  }

  /** Is the frame, which is refused, to be read again, for the device is stuck with it? Invariant 16. */
  #relents(bytes: Bytes, start: number, end: number, reason: string): boolean {
    const { session } = this;
    if (session === undefined || !this.#host.refusals.refused(session, this.codec, bytes, start, end, reason)) return false;
    return this.#turns.reread();
  }

  /** Does the frame name a device that has not the turn, or has it under another id? */
  #names({ deviceId, kind }: FrameResult): boolean {
    return deviceId !== '' && kind !== FrameKind.Malformed && deviceId !== this.session?.reported;
  }

  /** Who is that? Null: the registry answers later, and frames are held until then. */
  #ask(device: string, bytes: Bytes, start: number, end: number, memo: number): DeviceLookup | null {
    const known = this.#gate.ask(device, (frames) => this.#replay(frames));
    if (known !== undefined) return known;
    this.#before = this.#phase;
    this.#phase = Phase.Asking;
    this.#turns.suspend(bytes, start, end, memo);
    return null;
  }

  #hold(bytes: Bytes, start: number, end: number): boolean {
    if (this.#gate.hold(bytes, start, end)) return true;
    this.#close('registry_slow');
    return false;
  }

  /** The registry has answered: what was held goes on, the first frame read as if nothing had been. */
  #replay(frames: readonly Bytes[]): void {
    this.#phase = this.#before;
    this.#received();
    this.#turns.resume();
    try {
      for (const frame of frames) if (!this.#take(frame, 0, frame.length)) break;
    } catch (error) {
      this.#lost(error);
    }
    this.#settled();
    if (!this.owes) this.link.drained();
    this.#noted();
  }

  /** The frame names a device. False: it is not served, and the frame is dropped. `known`: undefined when the id is impossible. */
  #entered(known: DeviceLookup | undefined, bytes: Bytes, start: number, end: number): boolean {
    if (known === undefined) {
      // What follows without a name is not of the device before.
      this.#turns.end();
      this.#phase = Phase.Unowned;
      this.#bad('device_id');
      return false;
    }
    switch (this.#turns.enter(known, bytes, start, end, this.#receipt)) {
      case Entry.Served:
        if (this.#phase !== Phase.Refusing) this.#phase = Phase.Served;
        return true;
      case Entry.Passed:
        this.#phase = Phase.Unowned;
        return false;
      case Entry.Waits:
        this.#delay(Phase.TurnedAway, this.#turns.penaltyMs, this.#turns.reason);
        return false;
      case Entry.Ends:
        this.finish(this.#turns.reason);
        return false;
    }
  }

  #keep(frame: FrameResult, memo: number, bytes: Bytes, start: number, end: number): boolean {
    const { session } = this.#turns;
    this.out.tap?.frame(this, bytes, start, end, memo, this.#turns.reader.options);
    if (!frame.promises && frame.rows === 0) {
      if (this.#phase === Phase.Unowned && frame.kind === FrameKind.Heartbeat) return this.#strike();
      this.#cutter.good();
      this.out.owe(0, Settled.Stored, 0, this.#receipt.at, frame, end - start);
    } else if (session === undefined) {
      // Invariant 5.
      this.#phase = Phase.Unowned;
      return this.#bad('unidentified');
    } else {
      this.#cutter.good();
      const outcome = this.#store.take(session, memo, bytes, start, end, this.#receipt);
      if (outcome === Outcome.Refused) this.#refused(session, frame, end - start);
      else if (outcome === Outcome.Silent) this.#mute();
    }
    return this.#reads;
  }

  /** The session's device is refused by its state or plan; a connection that other devices use goes on. */
  #refused(session: Session, frame: FrameResult, bytes: number): void {
    const { why } = session.treatment;
    const isShared = this.#turns.shared;
    // Where logins are refused, the penalty is there. An alarm that comes behind a refusal that waits is stored all the same.
    if (!isShared && this.#phase === Phase.Served && this.transport === 'tcp' && this.#host.service.alarmsPass)
      this.#delay(Phase.Refusing, this.#gate.penaltyMs(session.device), why);
    const waits = this.#phase === Phase.Refusing;
    this.out.owe(waits ? NEVER : 0, Settled.Refused, 0, this.#receipt.at, frame, bytes);
    if (!isShared && !waits) this.finish(why);
  }

  /** The refusal waits so long, and then the connection ends. 0: it does not wait. */
  #delay(phase: Phase, penaltyMs: number, reason: string): void {
    if (penaltyMs === 0) return;
    this.#phase = phase;
    this.#gate.delay(penaltyMs, () => {
      this.finish(reason);
      this.release(this.#host.journal.durable);
    });
  }

  /** Invariant 6. */
  #mute(): void {
    this.#phase = Phase.Muted;
    this.#host.metrics.rejects.inc({ reason: 'journal_refused' });
  }

  /** Frames are read on. */
  get #reads(): boolean {
    const phase = this.#phase;
    return phase === Phase.Served || phase === Phase.Unowned || phase === Phase.Anonymous || phase === Phase.Refusing;
  }

  #bad(reason: string): boolean {
    this.#malformed++;
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

  /** Ends the connection; nothing that is owed is answered. */
  #close(reason: string): void {
    this.#phase = Phase.Closing;
    if (this.session !== undefined) this.#host.refusals.ended(this.session, this.codec, reason);
    this.#gate.close();
    this.out.clear();
    this.link.close(reason);
  }

  #received(): void {
    this.#receipt.wall = this.#host.clock.now();
    this.#receipt.at = this.#host.clock.elapsed();
  }

  #settled(): void {
    this.release(this.#host.journal.durable);
    this.session?.proceed();
  }

  #noted(): void {
    if (this.#phase !== Phase.Closed) this.out.noted();
  }
}
