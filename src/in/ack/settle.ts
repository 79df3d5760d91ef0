import type { Clock } from '../../base/clock.ts';
import type { Metrics } from '../../base/metrics/catalog.ts';
import type { Bytes } from '../../base/wire/index.ts';
import type { AckRequest, Codec, FrameResult, Transport } from '../../codec/index.ts';
import { Settled } from '../../codec/index.ts';
import type { Tap } from '../../live/traces.ts';
import type { CodecCounters } from '../session/counters.ts';
import { Meter, type Meters } from '../session/meter.ts';
import type { Reader } from '../session/reader.ts';
import { Outbox } from './outbox.ts';

/**
 * What one connection owes to which device: answers are encoded and released here, and bytes are metered.
 *
 * 2. Answers leave in the order of the frames (promise 7): see outbox.ts. An answer is encoded by the reader of the turn that earned
 *    it, also when another device has the turn by then.
 * 10. Every byte of the socket is metered before it is looked at (promise 8), in the meter of one turn. What came before the first
 *    device was known is its own; of a connection that switches each device has its frames and the answers to them. What a frame
 *    without a known device cost belongs to no device.
 */

/** No journal comes so far: such an answer waits for a call of its own. */
export const NEVER = Number.MAX_SAFE_INTEGER;

export interface SettleHost {
  readonly meters: Meters;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Used within one call. */
  readonly scratch: { readonly request: AckRequest; readonly answers: Uint8Array };
  /** Connections that owe answers. */
  readonly owing: Set<Owing>;
}

/** A connection that owes answers, as the owner of the journal sees it. */
export interface Owing {
  /** The watermark has moved. */
  release(watermark: number): void;
  /** A commit failed. */
  failed(from: number, to: number): void;
}

/** Receipt of what is in hand. */
export interface Receipt {
  /** Epoch ms. */
  wall: number;
  /** Monotonic ms. */
  at: number;
}

/** Whose frames came last, or came earlier and are owed answers. */
interface Turn {
  readonly reader: Reader;
  readonly meter: Meter;
  owed: number;
}

export class Settle {
  readonly outbox = new Outbox();
  bytesOut = 0;
  /** A client of the API looks at the connection. */
  tap: Tap | null = null;
  readonly #host: SettleHost;
  readonly #counters: CodecCounters;
  readonly #codec: Codec;
  readonly #transport: Transport;
  readonly #link: { send(bytes: Uint8Array): void };
  readonly #owner: Owing;
  #turn: Turn;
  readonly #earlier: Turn[] = [];

  constructor(
    host: SettleHost,
    counters: CodecCounters,
    codec: Codec,
    transport: Transport,
    link: { send(bytes: Uint8Array): void },
    owner: Owing,
    reader: Reader,
  ) {
    this.#host = host;
    this.#counters = counters;
    this.#codec = codec;
    this.#transport = transport;
    this.#link = link;
    this.#owner = owner;
    this.#turn = { reader, meter: new Meter(undefined), owed: 0 };
  }

  get meter(): Meter {
    return this.#turn.meter;
  }

  /** Where a command is written before `send`. */
  get room(): Bytes {
    return this.#host.scratch.answers;
  }

  /** So many bytes have come, in so many chunks or datagrams; `noted` is to be called behind the last. */
  count(bytes: number, pieces: number): void {
    const { meter } = this.#turn;
    meter.in += bytes;
    if (this.#transport === 'tcp') meter.segments += pieces;
    else meter.datagrams += pieces;
  }

  noted(): void {
    this.#host.meters.noted(this.#turn.meter);
  }

  /** What came until now belongs to the first device of the connection, or is read by another reader. */
  inherit(reader: Reader, meter: Meter): void {
    const before = this.#turn;
    if (meter !== before.meter) meter.add(before.meter);
    this.#turn = { reader, meter, owed: before.owed };
  }

  /** The turn goes on with another reader: what it owes is encoded by the one before. */
  reread(reader: Reader): void {
    const { meter, owed } = this.#turn;
    if (owed > 0) {
      meter.users++;
      this.#earlier.push(this.#turn);
    }
    this.#turn = { reader, meter, owed: 0 };
  }

  /**
   * Another turn begins. `rest`: bytes of it that have come, from the frame on that began it. `chunk`: length of the chunk in hand, which
   * is counted there when all of it is of this turn.
   */
  turn(reader: Reader, meter: Meter, rest: number, chunk: number): void {
    const before = this.#turn;
    this.#turn = { reader, meter, owed: 0 };
    // What has been journaled already stays where it is.
    const moved = Math.min(rest, before.meter.in);
    before.meter.in -= moved;
    meter.in += moved;
    if (rest >= chunk) {
      const piece = this.#transport === 'tcp' ? 'segments' : 'datagrams';
      const pieces = Math.min(1, before.meter[piece]);
      before.meter[piece] -= pieces;
      meter[piece] += pieces;
    }
    if (before.owed > 0) this.#earlier.push(before);
    else this.#leave(before.meter);
  }

  /** Owes the answer to the frame decoded last, of the turn that goes on: sequence 0, the journal's, or NEVER. */
  owe(sequence: number, settled: Settled, accepted: number, receivedAt: number, frame: FrameResult, bytes: number): void {
    this.outbox.owe(sequence, settled, accepted, receivedAt, frame, bytes);
    this.#turn.owed++;
    this.#host.owing.add(this.#owner);
  }

  /** Would this frame get no answer even when stored? `now`: epoch ms. */
  isSilent(frame: FrameResult, now: number): boolean {
    const { request, answers } = this.#host.scratch;
    request.settled = Settled.Stored;
    request.kind = frame.kind;
    request.rows = frame.rows;
    request.accepted = frame.rows;
    request.ticketA = frame.ticketA;
    request.ticketB = frame.ticketB;
    request.ticketC = frame.ticketC;
    request.now = now;
    const { reader } = this.#turn;
    return reader.guessesAcks || reader.encodeAck(request, answers, 0) === 0;
  }

  /** Sends every answer that the watermark allows, in one write where the transport allows it. */
  release(watermark: number): void {
    const { outbox } = this;
    const { request, answers: bytes } = this.#host.scratch;
    const { clock, metrics } = this.#host;
    const now = clock.now();
    const elapsed = clock.elapsed();
    let at = 0;
    let answers = 0;
    while (outbox.take(watermark, request)) {
      request.now = now;
      const n = this.#encode(request, bytes, at);
      if (n === 0) continue;
      at += n;
      answers++;
      metrics.answerSeconds.observe((elapsed - outbox.takenReceivedAt) / 1000);
      // On UDP each answer is its own datagram.
      if (this.#transport === 'udp' || at > bytes.length - this.#codec.maxAnswerBytes) {
        this.send(at);
        at = 0;
      }
    }
    if (at > 0) this.send(at);
    if (answers > 0) this.#counters.answers.inc(answers);
    if (outbox.count === 0) this.#host.owing.delete(this.#owner);
  }

  /** Sends the first bytes of `room`; whose they are has been counted. */
  send(length: number): void {
    this.bytesOut += length;
    this.count(0, 1);
    this.noted();
    this.tap?.sent(this.#codec, this.#transport, this.#host.scratch.answers, length);
    this.#link.send(this.#host.scratch.answers.slice(0, length));
  }

  /** Nothing more is answered. */
  clear(): void {
    this.outbox.clear();
    this.#host.owing.delete(this.#owner);
  }

  /** The connection ends. `journal`: what its device has used is journaled now; else that is left to the timer. */
  close(journal: boolean): void {
    this.clear();
    for (const { meter } of this.#earlier) this.#leave(meter);
    this.#earlier.length = 0;
    const { meter } = this.#turn;
    this.noted();
    if (journal) this.#host.meters.journal(meter);
    this.#leave(meter);
  }

  /** The answer taken from the outbox is of the turn that has waited longest. */
  #encode(request: AckRequest, bytes: Bytes, at: number): number {
    const turn = this.#earlier[0] ?? this.#turn;
    const n = turn.reader.encodeAck(request, bytes, at);
    turn.meter.out += n;
    turn.owed--;
    if (turn === this.#turn) return n;
    this.#host.meters.noted(turn.meter);
    if (turn.owed === 0) {
      this.#earlier.shift();
      this.#leave(turn.meter);
    }
    return n;
  }

  /** Nothing more of this connection goes there. */
  #leave(meter: Meter): void {
    const { meters, metrics } = this.#host;
    if (meter.origin !== undefined) {
      // What came in the chunk in hand is noted behind it, and for the turn that goes on alone.
      meters.noted(meter);
      meters.close(meter);
    } else if (meter.in + meter.out > 0) metrics.unidentifiedBytes.inc({ transport: this.#transport }, meter.in + meter.out);
  }
}
