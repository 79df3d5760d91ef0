import type { Bytes } from '../../base/wire/index.ts';
import { datagramFrames } from '../../codec/frame/datagram.ts';
import { type OnFrame, Splitter, Stop } from '../../codec/frame/splitter.ts';
import type { Codec, DatagramDialect, Transport } from '../../codec/index.ts';
import type { CodecCounters } from '../session/counters.ts';
import { Strikes } from './strikes.ts';

/** Cuts the chunks of one connection, or the datagrams of one peer, into frames; counts them, and noise, and bad frames. */
export class Cutter {
  framesIn = 0;
  bytesIn = 0;
  /** Length of the chunk in hand. */
  chunkBytes = 0;
  readonly #codec: Codec;
  readonly #counters: CodecCounters;
  readonly #onFrame: OnFrame;
  readonly #splitter: Splitter | undefined;
  /** Where there is no splitter. */
  readonly #datagrams: DatagramDialect | undefined;
  readonly #strikes = new Strikes();
  #state: object;
  /** Bytes that were in no frame, as counted last. */
  #noise = 0;
  /** Bytes of all frames before the one in hand, and its own. */
  #frameBytes = 0;
  #inHand = 0;

  constructor(codec: Codec, transport: Transport, counters: CodecCounters, state: object, onFrame: OnFrame) {
    this.#codec = codec;
    this.#counters = counters;
    this.#onFrame = onFrame;
    this.#state = state;
    this.#splitter =
      transport === 'tcp' && codec.tcp !== undefined ? new Splitter(codec.tcp, state, codec.maxFrameBytes, onFrame) : undefined;
    this.#datagrams = codec.udp;
  }

  /** Bytes of an unfinished frame. */
  get pending(): number {
    return this.#splitter?.pending ?? 0;
  }

  /** Bytes that have come from the frame in hand on. */
  get rest(): number {
    return this.bytesIn - (this.#splitter?.noise ?? this.#noise) - this.#frameBytes;
  }

  /** Bytes that were in no frame, so far. */
  get noise(): number {
    return this.#noise;
  }

  /** Frames are cut by this state from the next one on. */
  follow(state: object): void {
    this.#state = state;
    if (this.#splitter !== undefined) this.#splitter.state = state;
  }

  /** Hands over the frames of a chunk or a datagram. Why the connection must end, or ''; throws what the codec throws. */
  push(chunk: Bytes): string {
    this.bytesIn += chunk.length;
    this.chunkBytes = chunk.length;
    if (this.#splitter !== undefined) {
      this.#splitter.push(chunk);
      return this.#seen(this.#splitter);
    }
    if (this.#datagrams === undefined) return '';
    const noise = datagramFrames(this.#datagrams, this.#state, chunk, this.#codec.maxFrameBytes, this.#onFrame);
    return this.#noiseSeen(this.#noise + noise);
  }

  /** The peer fell quiet: what is held becomes a frame if the dialect can tell. As `push`. */
  quiet(): string {
    const splitter = this.#splitter;
    if (splitter === undefined) return '';
    splitter.quiet();
    return this.#seen(splitter);
  }

  /** A frame of so many bytes is in hand now. */
  counted(bytes: number): void {
    this.framesIn++;
    this.#frameBytes += this.#inHand;
    this.#inHand = bytes;
  }

  /** A chunk that nothing looks at. */
  skipped(bytes: number): void {
    this.bytesIn += bytes;
  }

  good(): void {
    // Up to this frame: more of it may be in the same chunk.
    this.#strikes.good(this.#splitter?.noise ?? this.#noise);
  }

  /** True when that was one bad frame too many. */
  bad(): boolean {
    return this.#strikes.bad();
  }

  #seen(splitter: Splitter): string {
    const reason = this.#noiseSeen(splitter.noise);
    return splitter.stopped === Stop.TooLong ? 'frame_too_long' : reason;
  }

  #noiseSeen(noise: number): string {
    if (noise === this.#noise) return '';
    this.#counters.noiseBytes.inc(noise - this.#noise);
    this.#noise = noise;
    return this.#strikes.noisy(noise) ? 'noise' : '';
  }
}
