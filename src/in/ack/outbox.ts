import { type AckRequest, FrameKind, type FrameResult, Settled } from '../../codec/index.ts';

/**
 * Answers that one connection is owed, in the order of its frames.
 *
 * 1. An answer leaves only when every answer before it has left (promise 7).
 * 2. An answer leaves only when the durable watermark has reached its sequence (promise 1). Sequence 0 waits for no
 *    disk, only for its turn.
 * 3. A frame that gets no answer owes one of length 0: what follows it still waits for its turn, so an answer on the
 *    wire proves that everything before it is durable.
 *
 * ```
 *            tail                     head
 *   ┌───┬─────┬─────┬─────┬─────┬─────┬───┐
 *   │   │ 17  │  0  │ 19  │ 20  │  0  │   │   sequences; watermark 18 releases the first two
 *   └───┴─────┴─────┴─────┴─────┴─────┴───┘
 * ```
 */
const SEQUENCE = 0;
const SETTLED = 1;
const KIND = 2;
const ROWS = 3;
const ACCEPTED = 4;
const TICKET_A = 5;
const TICKET_B = 6;
const TICKET_C = 7;
const RECEIVED_AT = 8;
const BYTES = 9;
const STRIDE = 10;

const EMPTY = new Float64Array(0);
const KINDS = [
  FrameKind.Ignored,
  FrameKind.Records,
  FrameKind.Login,
  FrameKind.Heartbeat,
  FrameKind.Reply,
  FrameKind.Status,
  FrameKind.Malformed,
] as const;
const SETTLEMENTS = [Settled.Stored, Settled.Stored, Settled.Refused, Settled.Failed] as const;

export class Outbox {
  /** Answers owed. */
  count = 0;
  /** Frame bytes behind the answers owed that still wait for the disk. */
  bytes = 0;
  /** `elapsed` time at which the answer taken last was owed. */
  takenReceivedAt = 0;
  #ring: Float64Array = EMPTY;
  #capacity = 0;
  #tail = 0;

  /** Owes the answer to a frame of `bytes` bytes: sequence 0 or the journal's, receipt in monotonic ms. */
  owe(sequence: number, settled: Settled, accepted: number, receivedAt: number, frame: FrameResult, bytes: number): void {
    if (this.count === this.#capacity) this.#grow();
    const ring = this.#ring;
    const at = ((this.#tail + this.count) % this.#capacity) * STRIDE;
    ring[at + SEQUENCE] = sequence;
    ring[at + SETTLED] = settled;
    ring[at + KIND] = frame.kind;
    ring[at + ROWS] = frame.rows;
    ring[at + ACCEPTED] = accepted;
    ring[at + TICKET_A] = frame.ticketA;
    ring[at + TICKET_B] = frame.ticketB;
    ring[at + TICKET_C] = frame.ticketC;
    ring[at + RECEIVED_AT] = receivedAt;
    ring[at + BYTES] = sequence > 0 ? bytes : 0;
    this.count++;
    if (sequence > 0) this.bytes += bytes;
  }

  /** Takes the next answer that `watermark` releases into `request`; false when there is none. */
  take(watermark: number, request: AckRequest): boolean {
    if (this.count === 0) return false;
    const ring = this.#ring;
    const at = this.#tail * STRIDE;
    if ((ring[at + SEQUENCE] ?? 0) > watermark) return false;
    request.settled = SETTLEMENTS[ring[at + SETTLED] ?? 0] ?? Settled.Failed;
    request.kind = KINDS[ring[at + KIND] ?? 0] ?? FrameKind.Ignored;
    request.rows = ring[at + ROWS] ?? 0;
    request.accepted = ring[at + ACCEPTED] ?? 0;
    request.ticketA = ring[at + TICKET_A] ?? 0;
    request.ticketB = ring[at + TICKET_B] ?? 0;
    request.ticketC = ring[at + TICKET_C] ?? 0;
    this.takenReceivedAt = ring[at + RECEIVED_AT] ?? 0;
    this.bytes -= ring[at + BYTES] ?? 0;
    this.#tail = (this.#tail + 1) % this.#capacity;
    this.count--;
    // Most connections are idle most of the time: they keep no ring.
    if (this.count === 0 && this.#capacity > SMALL) this.clear();
    return true;
  }

  /** Is an answer waiting for a sequence in [from, to]? */
  waitsFor(from: number, to: number): boolean {
    for (let k = 0; k < this.count; k++) {
      const sequence = this.#ring[((this.#tail + k) % this.#capacity) * STRIDE + SEQUENCE] ?? 0;
      if (sequence >= from && sequence <= to) return true;
    }
    return false;
  }

  /** An answer that waits for `sequence` waits for its turn only. */
  free(sequence: number): void {
    for (let k = 0; k < this.count; k++) {
      const at = ((this.#tail + k) % this.#capacity) * STRIDE;
      if (this.#ring[at + SEQUENCE] !== sequence) continue;
      this.#ring[at + SEQUENCE] = 0;
      this.bytes -= this.#ring[at + BYTES] ?? 0;
      this.#ring[at + BYTES] = 0;
    }
  }

  /** Forgets everything owed: the connection is gone, or its commit failed. */
  clear(): void {
    this.count = 0;
    this.bytes = 0;
    this.#ring = EMPTY;
    this.#capacity = 0;
    this.#tail = 0;
  }

  #grow(): void {
    const capacity = this.#capacity === 0 ? SMALL : 2 * this.#capacity;
    const ring = new Float64Array(capacity * STRIDE);
    for (let k = 0; k < this.count; k++) {
      const from = ((this.#tail + k) % this.#capacity) * STRIDE;
      ring.set(this.#ring.subarray(from, from + STRIDE), k * STRIDE);
    }
    this.#ring = ring;
    this.#capacity = capacity;
    this.#tail = 0;
  }
}

/** A device with one frame in flight needs one place; a few more cost little. */
const SMALL = 4;
