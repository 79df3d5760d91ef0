import { join } from 'node:path';
import { AppError, systemCode } from '../base/errors.ts';
import { OpenMode, readAll, type Storage, type StorageFile } from '../base/files.ts';
import { Definition, NO_DEFINITION } from './definition.ts';
import {
  checkEntry,
  EntryKind,
  EntryView,
  FORMAT_VERSION,
  HEADER_COPIES,
  HEADER_COPY_BYTES,
  isHeader,
  MAX_ENTRY_BYTES,
  oldFormat,
  peekSequence,
  readFormat,
  SEGMENT_HEADER_BYTES,
  type SegmentFormat,
} from './entry.ts';

/** One file of the journal, as it is read; `segment-writer.ts` writes it, and `entry.ts` specifies what is in it. */

const NAME = /^[0-9a-f]{16}\.seg$/;

export function segmentName(first: number): string {
  return `${first.toString(16).padStart(16, '0')}.seg`;
}

/**
 * An empty file beside a segment that holds entries marked relay: it is there before the first of them is readable, and goes
 * when they have gone (`relayed.ts`).
 */
export function relayName(first: number): string {
  return `${first.toString(16).padStart(16, '0')}.relay`;
}

/** First sequences of the segments in a directory, ascending. Other files are passed over. */
export async function listSegments(storage: Storage, directory: string): Promise<number[]> {
  const names = await storage.list(directory);
  const firsts = names.filter((name) => NAME.test(name)).map((name) => Number.parseInt(name.slice(0, 16), 16));
  return firsts.filter(Number.isSafeInteger).sort((a, b) => a - b);
}

/** Bytes `[offset, offset + bytes)` of a segment that hold no sound entry, or one whose definition is lost. */
export interface Damage {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
}

/** A place in a segment: on an entry, before one above the limit, or behind the last. */
export type Place = 'entry' | 'beyond' | 'end';

/** Bytes a reader holds at a time: room for the largest entry, and large reads. */
export const WINDOW_BYTES = MAX_ENTRY_BYTES;

export interface SegmentOptions {
  /** Also entries whose definition is lost: `view.definition` is null then. Otherwise they are damage. */
  readonly raw?: boolean;
  /** A definition that is missing is not looked for further on. */
  readonly learns?: boolean;
}

/**
 * Reads one segment in large chunks through a lent window.
 *
 *        #offset       #offset+#at          #offset+#end
 *     file  ├──── consumed ────┼──── loaded ───────┤ … not loaded yet
 *     window 0                #at                 #end
 *
 * Where no sound entry follows another, it looks for the next one byte by byte: a bad sector costs the entries in it,
 * not the rest of the file. What it passes over is reported once, when it is over. Definitions are learned on the way, and looked
 * for further on when one is missing.
 */
export class SegmentReader {
  readonly path: string;
  readonly first: number;
  /** Undefined when the header is missing, torn or damaged: the entries are not readable then, unless the segment is an old one. */
  readonly format: SegmentFormat | undefined;
  /** False when the header is missing, torn or damaged. */
  readonly headed: boolean;
  /** Highest sequence seen. */
  last: number;
  /** File offset behind the last sound entry or definition; that of the first entry while there was none. */
  soundEnd: number;
  /** Sound entries were passed over because their sequences were not above that of one before them. */
  disordered = false;
  readonly #file: StorageFile;
  readonly #window: Buffer;
  readonly #view: EntryView;
  readonly #onDamage: (damage: Damage) => void;
  readonly #options: SegmentOptions;
  readonly #definitions = new Map<number, Definition>();
  /** Numbers that are nowhere in the segment. */
  readonly #lost = new Set<number>();
  /** The definitions of an old segment, by what stands in the entries. */
  readonly #old = new Map<string, Definition>();
  /** The same segment once more, to look for definitions. */
  readonly #reopen: () => Promise<SegmentReader | null>;
  #offset: number;
  #at = 0;
  #end = 0;
  /** Size of the entry the view is on; 0 when on none. */
  #size = 0;
  /** File offset where the bytes that are being passed over begin; -1 when there are none. */
  #damageAt = -1;

  private constructor(
    path: string,
    first: number,
    format: SegmentFormat | undefined,
    headed: boolean,
    file: StorageFile,
    window: Buffer,
    view: EntryView,
    onDamage: (damage: Damage) => void,
    options: SegmentOptions,
    reopen: () => Promise<SegmentReader | null>,
  ) {
    this.path = path;
    this.first = first;
    this.format = format;
    this.headed = headed;
    this.last = first - 1;
    this.#file = file;
    this.#window = window;
    this.#view = view;
    this.#onDamage = onDamage;
    this.#options = options;
    this.#reopen = reopen;
    // Behind a damaged header, damage is counted from byte 0 on.
    this.#offset = headed ? (format?.begin ?? 0) : 0;
    this.soundEnd = this.#offset;
  }

  /** Null when the file does not exist (any more). AppError JOURNAL_FORMAT when a later version wrote it. */
  static async open(
    storage: Storage,
    directory: string,
    first: number,
    window: Buffer,
    view: EntryView,
    onDamage: (damage: Damage) => void,
    options: SegmentOptions = {},
  ): Promise<SegmentReader | null> {
    const path = join(directory, segmentName(first));
    let file: StorageFile;
    try {
      file = await storage.open(path, OpenMode.Read);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return null;
      throw error;
    }
    try {
      const got = await readAll(file, window, 0, SEGMENT_HEADER_BYTES, 0);
      const found = readFormat(window, got, first);
      if (found !== undefined && found.version > FORMAT_VERSION) {
        throw new AppError(
          'JOURNAL_FORMAT',
          `${path} was written in journal format ${found.version}, this version reads up to ${FORMAT_VERSION}: start the version that wrote it`,
        );
      }
      if (found !== undefined && found.version >= 3 && got === SEGMENT_HEADER_BYTES)
        for (const at of HEADER_COPIES) if (!isHeader(window, at, got)) onDamage({ file: path, offset: at, bytes: HEADER_COPY_BYTES });
      const format = found ?? guess(window, got, first);
      const reopen = (): Promise<SegmentReader | null> =>
        SegmentReader.open(storage, directory, first, Buffer.allocUnsafeSlow(WINDOW_BYTES), new EntryView(), () => {}, SURVEY);
      return new SegmentReader(path, first, format, found !== undefined, file, window, view, onDamage, options, reopen);
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }

  /** File offset behind the entry the view is on. */
  get entryEnd(): number {
    return this.#offset + this.#at + this.#size;
  }

  /** After `load` found no entry: bytes at the end of the file that hold no sound one. They are not reported as damage. */
  get tail(): number {
    return this.#offset + this.#end - this.tailOffset;
  }

  get tailOffset(): number {
    return this.#damageAt < 0 ? this.#offset + this.#at : this.#damageAt;
  }

  /** Moves behind the entry the view is on. */
  pass(): void {
    if (this.#size === 0) return;
    this.last = this.#view.sequence;
    this.#at += this.#size;
    this.#size = 0;
  }

  /**
   * Aims the view at the next loaded entry with a sequence in `[from, limit]`; false when `load` has to look further.
   * Does nothing if the view is on one.
   */
  step(from: number, limit: number): boolean {
    return this.#step(from, limit) === 'entry';
  }

  #step(from: number, limit: number): 'entry' | 'beyond' | 'more' | 'bad' | 'undefined' {
    if (this.#size > 0) return 'entry';
    const { format } = this;
    if (format === undefined) return this.#at < this.#end ? 'bad' : 'more';
    for (;;) {
      const size = checkEntry(this.#window, this.#at, this.#end, format, this.#offset + this.#at);
      if (size <= 0) return size === 0 ? 'more' : 'bad';
      const sequence = peekSequence(this.#window, this.#at);
      if (sequence <= this.last) {
        this.disordered = true;
        return 'bad';
      }
      if (sequence > limit) return 'beyond';
      const found = this.#pass(size, sequence, from, format);
      if (found !== 'passed') return found;
    }
  }

  /** Goes over the sound entry at `#at`, unless it is one that is asked for ('entry'), or what it needs is not known ('undefined'). */
  #pass(size: number, sequence: number, from: number, format: SegmentFormat): 'entry' | 'undefined' | 'passed' {
    const isDefinition = format.version >= 3 && this.#window[this.#at + KIND_AT] === EntryKind.Definition;
    if (isDefinition || sequence >= from) {
      this.#view.aim(this.#window, this.#at, size, format.version);
      if (isDefinition) this.#learn();
      else if (!this.#define(format)) return 'undefined';
    }
    this.#endDamage();
    this.soundEnd = this.#offset + this.#at + size;
    if (!isDefinition && sequence >= from) {
      if (this.#view.definition !== null || this.#options.raw === true) {
        this.#size = size;
        return 'entry';
      }
      this.#onDamage({ file: this.path, offset: this.#offset + this.#at, bytes: size });
    }
    if (!isDefinition) this.last = sequence;
    this.#at += size;
    return 'passed';
  }

  /**
   * The same as `step`, reading on in the file as far as it takes. What an earlier call had loaded is read again: it
   * may be older than what `limit` now says is there.
   */
  async load(from: number, limit: number): Promise<Place> {
    if (this.#size > 0) return 'entry';
    this.#offset = this.tailOffset;
    this.#damageAt = -1;
    this.#at = 0;
    this.#end = 0;
    let atEnd = false;
    for (;;) {
      const found = this.#step(from, limit);
      if (found === 'entry' || found === 'beyond') return found;
      if (found === 'undefined') {
        await this.#search();
        continue;
      }
      if (found === 'more') {
        if (!atEnd) {
          atEnd = (await this.#read()) === 0;
          continue;
        }
        if (this.#at === this.#end) return 'end';
      }
      if (this.#damageAt < 0) this.#damageAt = this.#offset + this.#at;
      this.#at++;
    }
  }

  size(): Promise<number> {
    return this.#file.size();
  }

  /** Nothing but a header, or part of one, has ever been written to the file. */
  async isBlank(): Promise<boolean> {
    const size = await this.size();
    if (size > SEGMENT_HEADER_BYTES) return false;
    const bytes = Buffer.alloc(size);
    await readAll(this.#file, bytes, 0, size, 0);
    return bytes.subarray(HEADER_COPY_BYTES).every((byte) => byte === 0);
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close().catch(() => undefined);
  }

  /** The view is on a definition. */
  #learn(): void {
    const { bytes, start, end, number } = this.#view;
    const definition = Definition.read(bytes, start, end);
    if (definition !== null && !this.#definitions.has(number)) this.#definitions.set(number, definition);
  }

  /** Gives the view its definition. False: it is to be searched for. */
  #define(format: SegmentFormat): boolean {
    const view = this.#view;
    if (format.version < 3) view.definition = this.#oldDefinition();
    else if (view.number === 0) view.definition = NO_DEFINITION;
    else view.definition = this.#definitions.get(view.number) ?? null;
    return view.definition !== null || this.#lost.has(view.number) || this.#options.learns === false;
  }

  #oldDefinition(): Definition {
    const { codec, transport } = this.#view.oldNames;
    const key = `${transport} ${codec}`;
    let definition = this.#old.get(key);
    if (definition === undefined) {
      definition = new Definition(codec, transport);
      this.#old.set(key, definition);
    }
    return definition;
  }

  /** Looks through the whole segment for the definition that the view is missing. */
  async #search(): Promise<void> {
    const { number } = this.#view;
    const other = await this.#reopen();
    if (other !== null) {
      try {
        const limit = Number.MAX_SAFE_INTEGER;
        while (other.step(0, limit) || (await other.load(0, limit)) === 'entry') other.pass();
        for (const [known, definition] of other.#definitions) this.#definitions.set(known, definition);
      } finally {
        await other.close();
      }
    }
    if (!this.#definitions.has(number)) this.#lost.add(number);
  }

  #endDamage(): void {
    if (this.#damageAt < 0) return;
    this.#onDamage({ file: this.path, offset: this.#damageAt, bytes: this.#offset + this.#at - this.#damageAt });
    this.#damageAt = -1;
  }

  async #read(): Promise<number> {
    this.#window.copyWithin(0, this.#at, this.#end);
    this.#offset += this.#at;
    this.#end -= this.#at;
    this.#at = 0;
    const got = await this.#file.read(this.#window, this.#end, this.#window.length - this.#end, this.#offset + this.#end);
    this.#end += got;
    return got;
  }
}

/** Where the kind of an entry stands. */
const KIND_AT = 32;
const SURVEY: SegmentOptions = { raw: true, learns: false };

/**
 * The format of a segment without a sound header: an old one, when an entry of those stands where its first would. Anything else is
 * not looked through: without key and salt, what a device has written could be taken for an entry.
 */
function guess(bytes: Buffer, length: number, first: number): SegmentFormat | undefined {
  const old = oldFormat(2, first);
  return checkEntry(bytes, old.begin, length, old, old.begin) > 0 ? old : undefined;
}
