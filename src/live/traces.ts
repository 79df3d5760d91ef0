import { type Bytes, hex } from '../base/wire/index.ts';
import type { Codec, Options, Transport } from '../codec/index.ts';
import { keptOptions } from '../codec/options.ts';

/**
 * Frames of the sessions that a client of the API looks at, copied in the worker.
 *
 * 1. A session that is not looked at has no tap: one check for a frame.
 * 2. Bounded: RATE frames a second of one trace, the others are counted as lost; MOST_BYTES of a frame; a trace that is not asked for
 *    again ends after LAPSE_MS.
 * 3. Nothing of a device with privacy `relay` is copied: its session has no tap.
 */
export interface TracedFrame {
  /** Epoch ms. */
  readonly at: number;
  readonly direction: 'in' | 'out';
  readonly transport: Transport;
  readonly protocol: string;
  /** Of the session, '' while there is none. */
  readonly device: string;
  /** At most MOST_BYTES of it. */
  readonly hex: string;
  readonly bytes: number;
  /** What it is read under, without secrets. */
  readonly memo: number;
  readonly options: Options;
}

/** Where frames and answers of one connection go. */
export interface Tap {
  frame(line: TappedLine, bytes: Bytes, start: number, end: number, memo: number, options: Options): void;
  sent(codec: Codec, transport: Transport, bytes: Bytes, length: number): void;
}

interface TappedLine {
  readonly codec: Codec;
  readonly transport: Transport;
  readonly session: { readonly device: string } | undefined;
}

const RATE = 100;
const MOST_BYTES = 4_096;
const LAPSE_MS = 15_000;
const SECOND_MS = 1_000;
const NO_OPTIONS: Options = {};

class KeyTap implements Tap {
  readonly #now: () => number;
  until = 0;
  lost = 0;
  frames: TracedFrame[] = [];
  #second = 0;
  #count = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  frame(line: TappedLine, bytes: Bytes, start: number, end: number, memo: number, options: Options): void {
    this.#take(line, 'in', bytes, start, end, memo, keptOptions(line.codec, options));
  }

  sent(codec: Codec, transport: Transport, bytes: Bytes, length: number): void {
    this.#take({ codec, transport, session: undefined }, 'out', bytes, 0, length, 0, NO_OPTIONS);
  }

  #take(
    { codec, transport, session }: TappedLine,
    direction: 'in' | 'out',
    bytes: Bytes,
    start: number,
    end: number,
    memo: number,
    options: Options,
  ): void {
    const at = this.#now();
    if (at > this.until) return;
    const second = Math.floor(at / SECOND_MS);
    if (second !== this.#second) {
      this.#second = second;
      this.#count = 0;
    }
    if (this.#count++ >= RATE) {
      this.lost++;
      return;
    }
    this.frames.push({
      at,
      direction,
      transport,
      protocol: codec.name,
      device: session?.device ?? '',
      hex: hex(bytes, start, Math.min(end, start + MOST_BYTES)),
      bytes: end - start,
      memo,
      options,
    });
  }
}

/** The traces of one worker, by key: `device <id>` or `peer <address>`. */
export class Traces {
  readonly #now: () => number;
  readonly #taps = new Map<string, KeyTap>();

  /** `now`: epoch ms. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Begins a trace, or keeps it on. False: it was on. */
  start(key: string): boolean {
    const known = this.#taps.get(key);
    const tap = known ?? new KeyTap(this.#now);
    tap.until = this.#now() + LAPSE_MS;
    this.#taps.set(key, tap);
    return known === undefined;
  }

  /** Where frames of the device, or of the address, go; '': it is not known. */
  of(device: string, address: string): Tap | null {
    if (this.#taps.size === 0) return null;
    return (device === '' ? undefined : this.#taps.get(`device ${device}`)) ?? this.#taps.get(`peer ${address}`) ?? null;
  }

  /** A trace is on: `tick` is to be called every TICK_MS of the sights, otherwise once a second. */
  get isOn(): boolean {
    return this.#taps.size > 0;
  }

  /** Tells what has come, and forgets traces that have lapsed. */
  tick(tell: (key: string, frames: readonly TracedFrame[], lost: number) => void): void {
    for (const [key, tap] of this.#taps) {
      if (tap.frames.length > 0 || tap.lost > 0) tell(key, tap.frames, tap.lost);
      tap.frames = [];
      tap.lost = 0;
      if (this.#now() > tap.until) this.#taps.delete(key);
    }
  }
}
