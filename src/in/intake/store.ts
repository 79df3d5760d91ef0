import type { Bytes } from '../../base/wire/index.ts';
import { FrameKind, Settled } from '../../codec/index.ts';
import { EntryKind } from '../../journal/entry.ts';
import type { Receipt, Settle } from '../ack/settle.ts';
import type { CodecCounters } from '../session/counters.ts';
import type { Session } from '../session/session.ts';
import type { IntakeHost } from './host.ts';
import { Verdict } from './keep.ts';

/** What becomes of a connection behind a frame of its session. */
export const Outcome = {
  /** It goes on; the answer is owed. */
  Settled: 0,
  /** The device is refused by its state or plan; the refusal is to be owed. */
  Refused: 1,
  /** The journal refuses a frame that has no answer of its own (intake invariant 6). */
  Silent: 2,
} as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/**
 * Keeps the frames of one connection, and owes their answers.
 *
 * 1. Every frame that carries something is in the journal, raw, before its answer can leave (promise 1); the answer waits in the
 *    outbox for the journal's watermark. What is withheld or was erased (keep.ts) is the documented exception.
 * 4. When the journal refuses (full or sick disk) nothing is answered as stored (promise 5).
 */
export class Store {
  readonly #host: IntakeHost;
  readonly #settle: Settle;
  readonly #counters: CodecCounters;

  constructor(host: IntakeHost, settle: Settle, counters: CodecCounters) {
    this.#host = host;
    this.#settle = settle;
    this.#counters = counters;
  }

  /** The frame decoded last is bytes[start, end), read under `memo`; it says more than that the session's device is there. */
  take(session: Session, memo: number, bytes: Bytes, start: number, end: number, receipt: Receipt): Outcome {
    const { frame, keep } = this.#host.scratch;
    const treatment = session.terms.at(receipt.wall);
    switch (keep.judge(frame, session.terms, treatment, receipt.wall, this.#host.metrics)) {
      case Verdict.Store:
        return this.#append(session, memo, bytes, start, end, receipt);
      case Verdict.Erased:
        this.#settle.owe(0, Settled.Stored, frame.rows, receipt.at, frame, end - start);
        return Outcome.Settled;
      case Verdict.Withhold: {
        session.noticed(frame, receipt);
        const refuses = treatment.mode === 'refuse' || treatment.mode === 'terminate';
        if (refuses && frame.promises) return Outcome.Refused;
        this.#settle.owe(0, Settled.Stored, refuses ? 0 : frame.rows, receipt.at, frame, end - start);
        return Outcome.Settled;
      }
    }
  }

  #append(session: Session, memo: number, bytes: Bytes, start: number, end: number, receipt: Receipt): Outcome {
    const { frame, keep } = this.#host.scratch;
    const { rows, promises } = frame;
    const { kept } = keep;
    const sequence = this.#host.journal.append(session.origin, EntryKind.Frame, receipt.wall, memo, rows, bytes, start, end, keep.marks);
    if (sequence < 0) {
      if (promises && this.#settle.isSilent(frame, receipt.wall)) return Outcome.Silent;
      this.#settle.owe(0, promises ? Settled.Failed : Settled.Stored, 0, receipt.at, frame, end - start);
      return Outcome.Settled;
    }
    if (kept > 0) this.#counters.records.inc(kept);
    session.meter.records += kept;
    this.#host.refusals.good(session.device);
    if (frame.kind === FrameKind.Reply) session.replied(frame);
    session.noticed(frame, receipt);
    if (rows > 0 && keep.marks?.relay !== true) {
      this.#host.sights.saw(session.sight, frame, keep.marks?.keep ?? null, receipt.wall, sequence);
      this.#host.places?.saw(session, frame, receipt.wall);
    }
    this.#settle.owe(promises ? sequence : 0, Settled.Stored, rows, receipt.at, frame, end - start);
    return Outcome.Settled;
  }
}
