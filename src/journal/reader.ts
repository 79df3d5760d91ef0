import { AppError } from '../base/errors.ts';
import { nodeStorage, type Storage } from '../base/files.ts';
import { EntryView } from './entry.ts';
import { type Damage, listSegments, SegmentReader, WINDOW_BYTES } from './segment.ts';
import { readDurable } from './watermark.ts';

export type { Damage } from './segment.ts';
export { readDurable } from './watermark.ts';

/** How often in a row a segment may be removed between being listed and being opened. */
const OPEN_ATTEMPTS = 8;

export interface JournalReaderOptions {
  /** Last sequence to read, for reading a range again; without it, there is no end. */
  readonly to?: number | undefined;
  /** Known to be durable up to here, whatever the watermark file says: after a power cut it may be older than the entries. */
  readonly durable?: number | undefined;
  /** Bytes without a sound entry were passed over. Called from within `fill`, once per place. */
  readonly onDamage?: ((damage: Damage) => void) | undefined;
}

/**
 * Entries of one slot in order, from a sequence on, across segments, never above the durable watermark. It works on
 * the files alone: the writer is another process, which appends, rotates, and may die meanwhile.
 *
 *     while (await reader.fill()) {
 *       for (let entry = reader.peek(); entry !== null; entry = reader.peek()) { …; reader.advance(); }
 *     }
 *
 * `fill` is the only call that reads files; run one at a time. The entry and its bytes are good until `advance` or
 * `fill`. Memory: one window (1 MiB), from the first segment opened until `close`.
 */
export class JournalReader {
  /** The next entry has this sequence or a higher one. */
  position: number;
  /** The watermark as last read, or what was known before. */
  durable: number;
  /** Places passed over because no sound entry was there. */
  damages = 0;
  readonly #directory: string;
  readonly #storage: Storage;
  readonly #to: number;
  readonly #onDamage: (damage: Damage) => void;
  readonly #view = new EntryView();
  #window: Buffer | null = null;
  #segment: SegmentReader | null = null;
  /** The segment whose tail has been reported. */
  #tailed: SegmentReader | null = null;
  /** What may be read: the watermark from before the loaded bytes were read, so that none of them is provisional. */
  #limit = 0;
  /** The limit up to which nothing is left to find; spares reading the same files again until it moves. */
  #barren = 0;

  constructor(directory: string, storage: Storage = nodeStorage, fromSequence = 1, options: JournalReaderOptions = {}) {
    this.#directory = directory;
    this.#storage = storage;
    this.position = fromSequence;
    this.#to = options.to ?? Number.MAX_SAFE_INTEGER;
    this.durable = options.durable ?? 0;
    const report = options.onDamage;
    this.#onDamage = (damage) => {
      this.damages++;
      report?.(damage);
    };
  }

  /** Whether everything up to the end of the range has been read. Never true without `to`. */
  get exhausted(): boolean {
    return this.position > this.#to;
  }

  /**
   * The position lies above everything this slot ever held: these are not the files that the position was taken
   * from. Valid after `fill`, for a slot that has been recovered.
   */
  get ahead(): boolean {
    return this.position > this.durable + 1;
  }

  /** The watermark has been read already, and stood here: it need not be read again to get so far. */
  knows(durable: number): void {
    if (durable > this.durable) this.durable = durable;
  }

  /** The current entry; null when `fill` has to look for one. */
  peek(): EntryView | null {
    const segment = this.#segment;
    if (segment === null || this.position > this.#limit) return null;
    return segment.step(this.position, this.#limit) ? this.#view : null;
  }

  /** Moves past the entry that `peek` gave. */
  advance(): void {
    const entry = this.peek();
    if (entry === null || this.#segment === null) return;
    this.position = entry.sequence + 1;
    this.#segment.pass();
  }

  /**
   * Whether an entry is there to peek at, having looked for one in the files if need be. False: nothing more is
   * durable now, or the range is exhausted. Rejects with AppError JOURNAL_FORMAT, or with the system's error when the
   * files cannot be read; it may be called again then.
   */
  async fill(): Promise<boolean> {
    if (this.peek() !== null) return true;
    if (this.exhausted) return false;
    if (this.position > this.durable || this.#barren === Math.min(this.durable, this.#to))
      this.durable = Math.max(this.durable, await readDurable(this.#directory, this.#storage));
    this.#limit = Math.min(this.durable, this.#to);
    if (this.position > this.#limit || this.#barren === this.#limit) return false;
    for (;;) {
      const place = await this.#segment?.load(this.position, this.#limit);
      if (place === 'entry') return true;
      if (await this.#nextSegment()) continue;
      this.#barren = this.#limit;
      // An entry that is durable is not there, and something is: in the last segment nothing else will ever say so.
      if (place === 'end' && this.#segment !== null) this.#tailOf(this.#segment, this.#segment.tail);
      if (this.durable >= this.#to) this.position = this.#to + 1;
      return false;
    }
  }

  async close(): Promise<void> {
    const segment = this.#segment;
    this.#segment = null;
    this.#window = null;
    this.#limit = 0;
    this.#barren = 0;
    await segment?.close();
  }

  /**
   * Opens the segment that may hold the position: without one, the last that begins at or below it, else the next
   * one there is. Only one that begins at or below the limit, for then all that is durable in the current one has been
   * read.
   */
  async #nextSegment(): Promise<boolean> {
    for (let attempt = 0; attempt < OPEN_ATTEMPTS; attempt++) {
      const current = this.#segment;
      const firsts = await listSegments(this.#storage, this.#directory);
      const next = current === null ? this.#locate(firsts) : firsts.find((first) => first > current.first);
      if (next === undefined || next > this.#limit) return false;
      const tail = current?.tail ?? 0;
      this.#window ??= Buffer.allocUnsafeSlow(WINDOW_BYTES);
      const segment = await SegmentReader.open(this.#storage, this.#directory, next, this.#window, this.#view, this.#onDamage);
      if (segment === null) continue;
      this.#segment = segment;
      if (current !== null) this.#tailOf(current, tail);
      await current?.close();
      return true;
    }
    throw new AppError('JOURNAL_FAILED', `${this.#directory}: segments vanish while they are being opened`);
  }

  /** Reports, once, what stands behind the last sound entry of a segment. */
  #tailOf(segment: SegmentReader, bytes: number): void {
    if (bytes === 0 || this.#tailed === segment) return;
    this.#tailed = segment;
    this.#onDamage({ file: segment.path, offset: segment.tailOffset, bytes });
  }

  #locate(firsts: readonly number[]): number | undefined {
    return firsts.findLast((first) => first <= this.position) ?? firsts[0];
  }
}
