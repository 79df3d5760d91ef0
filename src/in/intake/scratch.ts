import { AckRequest, FrameResult } from '../../codec/index.ts';
import { Keep } from './keep.ts';

/**
 * What the intakes of one worker use in turns: each fills it, and has done with it, within one synchronous call. One a worker, handed
 * in with the host.
 */
export class Scratch {
  /** The frame decoded last. */
  readonly frame = new FrameResult();
  /** The answer being encoded. */
  readonly request = new AckRequest();
  /** Bytes of answers, or of a command, on their way to the socket. */
  readonly answers = new Uint8Array(65536);
  /** What of the frame is kept. */
  readonly keep = new Keep();
}
