import { FrameKind, Settled } from './frame-kind.ts';

/** Reused argument of encodeAck: how one frame was settled, and what decode left for its answer. */
export class AckRequest {
  settled: Settled = Settled.Stored;
  kind: FrameKind = FrameKind.Ignored;
  /** Records in the frame, and how many leading ones were made durable: 0 … rows. */
  rows = 0;
  accepted = 0;
  ticketA = 0;
  ticketB = 0;
  ticketC = 0;
  /** Wall clock in epoch ms, only for answers that must carry the time. */
  now = 0;
}
