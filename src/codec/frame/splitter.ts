import type { Bytes } from '../../base/wire/bytes.ts';
import type { StreamDialect } from '../index.ts';

/**
 * Cuts a byte stream into frames.
 *
 * 1. The same bytes give the same frames and the same noise count, however they were cut into chunks.
 * 2. A frame that lies whole in a chunk is handed over in place. Only a frame that arrived split is copied, once; while its
 *    length is not known yet, up to 256 bytes behind its head go with it.
 * 3. Never holds more than `maxFrameBytes`; a header that announces more stops the stream before anything is buffered.
 * 4. Frames are handed over in order. When the consumer says stop, nothing more is handed over, now or later.
 * 5. Each noise byte is counted once.
 *
 * ```
 * chunk   ┌──────────┬──────────┬────┐        carry ┌────┬─ ─ ─ ─┐
 *         │ frame    │ frame    │ fr │  ──────────▶ │ fr │ ame   │ ◀── next chunk, up to `want`
 *         └──────────┴──────────┴────┘ kept         └────┴─ ─ ─ ─┘
 * ```
 */

/** Called for each frame bytes[start, end); false stops the stream. The bytes are lent for the call. */
export type OnFrame = (bytes: Bytes, start: number, end: number) => boolean;

/** Why a splitter stopped. */
export const Stop = { None: 0, TooLong: 1, Consumer: 2 } as const;
export type Stop = (typeof Stop)[keyof typeof Stop];

const NOTHING = new Uint8Array(0);
/** How many bytes the carry takes while the length is still unknown: enough for any header, little to scan again. */
const PROBE = 256;

export class Splitter {
  readonly #dialect: StreamDialect;
  /** The dialect's. The consumer may put another in its place while it has a frame: it holds from the next one on. */
  state: object;
  readonly #max: number;
  readonly #onFrame: OnFrame;
  /** Bytes of the frame in progress; empty storage while the connection is between frames. */
  #carry: Uint8Array = NOTHING;
  #have = 0;
  /** Length of the frame in progress, 0 while unknown. */
  #want = 0;
  noise = 0;
  stopped: Stop = Stop.None;

  constructor(dialect: StreamDialect, state: object, maxFrameBytes: number, onFrame: OnFrame) {
    this.#dialect = dialect;
    this.state = state;
    this.#max = maxFrameBytes;
    this.#onFrame = onFrame;
  }

  /** Bytes held of a frame that is not complete. */
  get pending(): number {
    return this.#have;
  }

  /** Takes one chunk. Returns false once the stream is stopped; `stopped` says why. */
  push(chunk: Bytes): boolean {
    if (this.stopped !== Stop.None) return false;
    let p = 0;
    const end = chunk.length;
    while (this.#have > 0 && p < end) {
      const target = this.#want > 0 ? this.#want : Math.min(this.#max, this.#have + PROBE);
      const take = Math.min(target - this.#have, end - p);
      this.#reserve(target);
      this.#carry.set(chunk.subarray(p, p + take), this.#have);
      this.#have += take;
      p += take;
      if (this.#have < this.#want) return true;
      const used = this.#drain(this.#carry, 0, this.#have);
      if (this.stopped !== Stop.None) return this.#discard();
      // Bytes behind the last frame stay in the carry: they may be the head of the next one.
      if (used > 0) {
        this.#carry.copyWithin(0, used, this.#have);
        this.#have -= used;
      }
    }
    if (p < end) {
      p += this.#drain(chunk, p, end);
      if (this.stopped !== Stop.None) return this.#discard();
      if (p < end) {
        this.#reserve(Math.max(end - p, this.#want));
        this.#carry.set(chunk.subarray(p, end), 0);
        this.#have = end - p;
      }
    }
    if (this.#have === 0) this.#carry = NOTHING;
    return true;
  }

  /** The peer fell quiet mid-frame: lets the dialect take what it can of what is held. Returns false when stopped. */
  quiet(): boolean {
    while (this.#have > 0 && this.stopped === Stop.None) {
      const n = this.#dialect.salvage?.(this.#carry, 0, this.#have, this.state) ?? 0;
      if (n <= 0 || n > this.#have) return true;
      if (!this.#onFrame(this.#carry, 0, n)) {
        this.stopped = Stop.Consumer;
        return this.#discard();
      }
      const used = n + this.#drain(this.#carry, n, this.#have);
      if (this.stopped !== Stop.None) return this.#discard();
      this.#carry.copyWithin(0, used, this.#have);
      this.#have -= used;
    }
    if (this.#have === 0) this.#carry = NOTHING;
    return this.stopped === Stop.None;
  }

  #discard(): false {
    this.#carry = NOTHING;
    this.#have = 0;
    this.#want = 0;
    return false;
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#carry.length) return;
    const larger = new Uint8Array(Math.min(this.#max, Math.max(bytes, 2 * this.#carry.length)));
    larger.set(this.#carry.subarray(0, this.#have));
    this.#carry = larger;
  }

  /** Hands over every whole frame in bytes[start, end); returns how many bytes are finished with. Sets `want` for the rest. */
  #drain(bytes: Bytes, start: number, end: number): number {
    let p = start;
    this.#want = 0;
    while (p < end) {
      const n = this.#dialect.frame(bytes, p, end, this.state);
      if (n < 0) {
        const drop = Math.min(-n, end - p);
        this.noise += drop;
        p += drop;
        continue;
      }
      if (n > this.#max || (n === 0 && end - p >= this.#max)) {
        this.stopped = Stop.TooLong;
        return p - start;
      }
      if (n === 0 || n > end - p) {
        this.#want = n;
        return p - start;
      }
      if (!this.#onFrame(bytes, p, p + n)) {
        this.stopped = Stop.Consumer;
        return p - start;
      }
      p += n;
    }
    return p - start;
  }
}
