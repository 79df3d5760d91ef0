import type { Bytes } from '../../base/wire/index.ts';
import { FrameKind, type FrameResult, Settled } from '../../codec/index.ts';
import type { DeviceLookup } from '../../fleet/registry/device-lookup.ts';
import { NEVER, type Settle } from '../ack/settle.ts';
import type { CodecCounters } from '../session/counters.ts';
import { isDeviceId } from '../session/identity.ts';
import type { Line, Session } from '../session/session.ts';
import type { Cutter } from './cutter.ts';
import type { Gate } from './gate.ts';
import type { IntakeHost, Link } from './host.ts';
import { type Course, Phase } from './phase.ts';
import { Outcome, Store } from './store.ts';
import { Entry, type Turns } from './turns.ts';

/** The connection that frames come on. */
export interface Carrier extends Line {
  /** Whose turn it is. */
  readonly session: Session | undefined;
  readonly link: Link;
  /** Sends every answer that the watermark allows. */
  release(watermark: number): void;
}

/** What the frames of one connection pass. */
export interface Stations {
  readonly course: Course;
  readonly counters: CodecCounters;
  readonly cutter: Cutter;
  readonly gate: Gate;
  readonly out: Settle;
  readonly turns: Turns;
}

/**
 * The way of each frame of a connection: decode → who is that → gate → keep → append → owe.
 *
 * 5. A frame without a known device is never stored and never answered as stored.
 * 6. A later answer tells a device that what it sent before has arrived, also where the protocol has no answer of its
 *    own. So when the journal refuses such a frame, nothing more is answered on this connection: it is closed when the
 *    journal accepts again, or given up by the device, which then sends again.
 */
export class Frames {
  readonly #host: IntakeHost;
  readonly #carrier: Carrier;
  readonly #course: Course;
  readonly #counters: CodecCounters;
  readonly #cutter: Cutter;
  readonly #gate: Gate;
  readonly #out: Settle;
  readonly #turns: Turns;
  readonly #store: Store;
  readonly #replay: (frames: readonly Bytes[]) => void;
  malformed = 0;

  /** `replay`: the registry has answered, and what was held goes on. */
  constructor(
    host: IntakeHost,
    carrier: Carrier,
    { course, counters, cutter, gate, out, turns }: Stations,
    replay: (frames: readonly Bytes[]) => void,
  ) {
    this.#host = host;
    this.#carrier = carrier;
    this.#course = course;
    this.#counters = counters;
    this.#cutter = cutter;
    this.#gate = gate;
    this.#out = out;
    this.#turns = turns;
    this.#replay = replay;
    this.#store = new Store(host, out, counters);
  }

  /** Takes one frame; false: none behind it is read. */
  take(bytes: Bytes, start: number, end: number): boolean {
    if (this.#course.phase === Phase.Asking) return this.#hold(bytes, start, end);
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
      this.#course.phase = Phase.Unowned;
      memo = turns.reader.memo();
      turns.reader.decode(bytes, start, end, frame);
    }
    if (frame.kind === FrameKind.Malformed && this.#relents(bytes, start, end, frame.reason)) {
      memo = turns.reader.memo();
      turns.reader.decode(bytes, start, end, frame);
    }
    this.#counters.frame(frame.kind);
    if (frame.kind === FrameKind.Malformed) {
      this.#out.tap?.frame(this.#carrier, bytes, start, end, memo, turns.reader.options);
      turns.session?.terms.unread(end - start, this.#course.receipt.wall, turns.session);
      return this.#bad(frame.reason);
    }
    if (frame.damaged !== '') this.#counters.damaged(frame.damaged);
    if (!this.#names(frame)) return this.#keep(frame, memo, bytes, start, end);
    if (!this.#entered(known, bytes, start, end)) return this.#course.reads;
    if (frame.rows > 0 && turns.recalls(memo)) return this.#again(bytes, start, end);
    if (frame.rows === 0) turns.reread();
    return this.#keep(frame, memo, bytes, start, end);
  }

  /** Ends the connection; nothing that is owed is answered. */
  close(reason: string): void {
    const { session } = this.#turns;
    this.#course.phase = Phase.Closing;
    if (session !== undefined) this.#host.refusals.ended(session, this.#carrier.codec, reason);
    this.#gate.close();
    this.#out.clear();
    this.#carrier.link.close(reason);
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
    const { session } = this.#turns;
    if (session === undefined || !this.#host.refusals.refused(session, this.#carrier.codec, bytes, start, end, reason)) return false;
    return this.#turns.reread();
  }

  /** Does the frame name a device that has not the turn, or has it under another id? */
  #names({ deviceId, kind }: FrameResult): boolean {
    return deviceId !== '' && kind !== FrameKind.Malformed && deviceId !== this.#turns.session?.reported;
  }

  /** Who is that? Null: the registry answers later, and frames are held until then. */
  #ask(device: string, bytes: Bytes, start: number, end: number, memo: number): DeviceLookup | null {
    const known = this.#gate.ask(device, this.#replay);
    if (known !== undefined) return known;
    this.#course.before = this.#course.phase;
    this.#course.phase = Phase.Asking;
    this.#turns.suspend(bytes, start, end, memo);
    return null;
  }

  #hold(bytes: Bytes, start: number, end: number): boolean {
    if (this.#gate.hold(bytes, start, end)) return true;
    this.close('registry_slow');
    return false;
  }

  /** The frame names a device. False: it is not served, and the frame is dropped. `known`: undefined when the id is impossible. */
  #entered(known: DeviceLookup | undefined, bytes: Bytes, start: number, end: number): boolean {
    if (known === undefined) {
      // What follows without a name is not of the device before.
      this.#turns.end();
      this.#course.phase = Phase.Unowned;
      this.#bad('device_id');
      return false;
    }
    switch (this.#turns.enter(known, bytes, start, end, this.#course.receipt)) {
      case Entry.Served:
        if (this.#course.phase !== Phase.Refusing) this.#course.phase = Phase.Served;
        return true;
      case Entry.Passed:
        this.#course.phase = Phase.Unowned;
        return false;
      case Entry.Waits:
        this.#delay(Phase.TurnedAway, this.#turns.penaltyMs, this.#turns.reason);
        return false;
      case Entry.Ends:
        this.#carrier.finish(this.#turns.reason);
        return false;
    }
  }

  #keep(frame: FrameResult, memo: number, bytes: Bytes, start: number, end: number): boolean {
    const { session } = this.#turns;
    this.#out.tap?.frame(this.#carrier, bytes, start, end, memo, this.#turns.reader.options);
    if (!frame.promises && frame.rows === 0) {
      if (this.#course.phase === Phase.Unowned && frame.kind === FrameKind.Heartbeat) return this.#strike();
      this.#cutter.good();
      this.#out.owe(0, Settled.Stored, 0, this.#course.receipt.at, frame, end - start);
    } else if (session === undefined) {
      // Invariant 5.
      this.#course.phase = Phase.Unowned;
      return this.#bad('unidentified');
    } else {
      this.#cutter.good();
      const outcome = this.#store.take(session, memo, bytes, start, end, this.#course.receipt);
      if (outcome === Outcome.Refused) this.#refused(session, frame, end - start);
      else if (outcome === Outcome.Silent) this.#mute();
    }
    return this.#course.reads;
  }

  /** The session's device is refused by its state or plan; a connection that other devices use goes on. */
  #refused(session: Session, frame: FrameResult, bytes: number): void {
    const { why } = session.treatment;
    const isShared = this.#turns.shared;
    // Where logins are refused, the penalty is there. An alarm that comes behind a refusal that waits is stored all the same.
    if (!isShared && this.#course.phase === Phase.Served && this.#carrier.transport === 'tcp' && this.#host.service.alarmsPass)
      this.#delay(Phase.Refusing, this.#gate.penaltyMs(session.device), why);
    const waits = this.#course.phase === Phase.Refusing;
    this.#out.owe(waits ? NEVER : 0, Settled.Refused, 0, this.#course.receipt.at, frame, bytes);
    if (!isShared && !waits) this.#carrier.finish(why);
  }

  /** The refusal waits so long, and then the connection ends. 0: it does not wait. */
  #delay(phase: Phase, penaltyMs: number, reason: string): void {
    if (penaltyMs === 0) return;
    this.#course.phase = phase;
    this.#gate.delay(penaltyMs, () => {
      this.#carrier.finish(reason);
      this.#carrier.release(this.#host.journal.durable);
    });
  }

  /** Invariant 6. */
  #mute(): void {
    this.#course.phase = Phase.Muted;
    this.#host.metrics.rejects.inc({ reason: 'journal_refused' });
  }

  #bad(reason: string): boolean {
    this.malformed++;
    this.#counters.malformed(reason);
    return this.#strike();
  }

  #strike(): boolean {
    if (this.#cutter.bad()) this.close('strikes');
    return this.#course.reads;
  }
}
