import { dirname, join } from 'node:path';
import { AppError, systemCode } from '../errors.ts';
import {
  checkEntry,
  type EntryView,
  FORMAT_VERSION,
  MAX_ENTRY_BYTES,
  peekSequence,
  SEGMENT_HEADER_BYTES,
  segmentHeader,
  segmentVersion,
} from './entry.ts';
import { OpenMode, readAll, type Storage, type StorageFile, writeAll } from './storage.ts';

/** One file of the journal, from the writer's side and from the reader's. `entry.ts` specifies what is in it. */

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

/** The segment that is appended to. */
export class SegmentWriter {
  readonly path: string;
  readonly first: number;
  /** Bytes that are written and synchronised. */
  size: number;
  /** May hold entries marked relay. */
  relayed = false;
  readonly #storage: Storage;
  readonly #file: StorageFile;

  private constructor(path: string, first: number, storage: Storage, file: StorageFile) {
    this.path = path;
    this.first = first;
    this.size = SEGMENT_HEADER_BYTES;
    this.#storage = storage;
    this.#file = file;
  }

  /**
   * The header reaches the disk with the first append; the name does now. A file of that name is emptied: it can only
   * be one that never got an entry, since no sequence is used twice.
   */
  static async create(storage: Storage, directory: string, first: number): Promise<SegmentWriter> {
    const path = join(directory, segmentName(first));
    const file = await storage.open(path, OpenMode.Replace);
    try {
      await writeAll(file, segmentHeader(first), 0, SEGMENT_HEADER_BYTES, 0);
      await storage.syncDirectory(directory);
    } catch (error) {
      await file.close().catch(() => undefined);
      await storage.remove(path).catch(() => undefined);
      throw error;
    }
    return new SegmentWriter(path, first, storage, file);
  }

  /** Resolves when the bytes are on the disk. After a rejection the segment is only good for `cut` and `seal`. */
  async append(bytes: Uint8Array, end: number): Promise<void> {
    await writeAll(this.#file, bytes, 0, end, this.size);
    await this.#file.sync();
    this.size += end;
  }

  /** To be called before an entry marked relay is appended. */
  async markRelayed(): Promise<void> {
    if (this.relayed) return;
    const directory = dirname(this.path);
    const file = await this.#storage.open(join(directory, relayName(this.first)), OpenMode.Replace);
    await file.close();
    await this.#storage.syncDirectory(directory);
    this.relayed = true;
  }

  /** Removes what a failed append left behind. */
  async cut(): Promise<void> {
    await this.#file.truncate(this.size);
    // The entries are gone for every reader already. Should the disk forget that in a power cut, they come back as
    // sound entries that nobody was told about, which is harmless.
    await this.#file.sync().catch(() => undefined);
  }

  async seal(): Promise<void> {
    await this.#file.close().catch(() => undefined);
  }
}

/** Bytes `[offset, offset + bytes)` of a segment that hold no sound entry. */
export interface Damage {
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
}

/** A place in a segment: on an entry, before one above the limit, or behind the last. */
export type Place = 'entry' | 'beyond' | 'end';

/** Bytes a reader holds at a time: room for the largest entry, and large reads. */
export const WINDOW_BYTES = MAX_ENTRY_BYTES;

/**
 * Reads one segment in large chunks through a lent window.
 *
 *        #offset       #offset+#at          #offset+#end
 *     file  ├──── consumed ────┼──── loaded ───────┤ … not loaded yet
 *     window 0                #at                 #end
 *
 * Where no sound entry follows another, it looks for the next one byte by byte: a bad sector costs the entries in it,
 * not the rest of the file. What it passes over is reported once, when it is over.
 */
export class SegmentReader {
  readonly path: string;
  readonly first: number;
  /** False when the header is missing, torn or damaged. */
  readonly headed: boolean;
  /** Highest sequence seen. */
  last: number;
  readonly #file: StorageFile;
  readonly #window: Buffer;
  readonly #view: EntryView;
  readonly #onDamage: (damage: Damage) => void;
  #offset = SEGMENT_HEADER_BYTES;
  #at = 0;
  #end = 0;
  /** Size of the entry the view is on; 0 when on none. */
  #size = 0;
  /** File offset where the bytes that are being passed over begin; -1 when there are none. */
  #damageAt = -1;

  private constructor(
    path: string,
    first: number,
    headed: boolean,
    file: StorageFile,
    window: Buffer,
    view: EntryView,
    onDamage: (damage: Damage) => void,
  ) {
    this.path = path;
    this.first = first;
    this.headed = headed;
    this.last = first - 1;
    this.#file = file;
    this.#window = window;
    this.#view = view;
    this.#onDamage = onDamage;
  }

  /** Null when the file does not exist (any more). AppError JOURNAL_FORMAT when a later version wrote it. */
  static async open(
    storage: Storage,
    directory: string,
    first: number,
    window: Buffer,
    view: EntryView,
    onDamage: (damage: Damage) => void,
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
      const version = segmentVersion(window, got);
      if (version > FORMAT_VERSION) {
        throw new AppError(
          'JOURNAL_FORMAT',
          `${path} was written in journal format ${version}, this version reads up to ${FORMAT_VERSION}: start the version that wrote it`,
        );
      }
      const reader = new SegmentReader(path, first, version > 0, file, window, view, onDamage);
      // A short header is one that is being written, or never was. A damaged one counts as damage from byte 0.
      if (version === 0 && got === SEGMENT_HEADER_BYTES) reader.#offset = 0;
      return reader;
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

  #step(from: number, limit: number): 'entry' | 'beyond' | 'more' | 'bad' {
    if (this.#size > 0) return 'entry';
    for (;;) {
      const size = checkEntry(this.#window, this.#at, this.#end);
      if (size === 0) return 'more';
      if (size < 0) return 'bad';
      const sequence = peekSequence(this.#window, this.#at);
      if (sequence <= this.last) return 'bad';
      if (sequence > limit) return 'beyond';
      this.#endDamage();
      if (sequence >= from) {
        this.#view.aim(this.#window, this.#at, size);
        this.#size = size;
        return 'entry';
      }
      this.last = sequence;
      this.#at += size;
    }
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

  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close().catch(() => undefined);
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
