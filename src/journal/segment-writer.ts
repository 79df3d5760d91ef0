import { dirname, join } from 'node:path';
import { OpenMode, type Storage, type StorageFile, writeAll } from '../base/files.ts';
import type { Definition } from './definition.ts';
import { definitionSize, newFormat, type SegmentFormat, sealEntries, segmentHeader, writeDefinition } from './entry.ts';
import { relayName, segmentName } from './segment.ts';

/** The file of the journal that is appended to, and the definitions in it. */

/** A definition as one journal numbers it. */
export class Numbered {
  readonly definition: Definition;
  readonly number: number;
  /** First sequence of the segment that it was written to last, and the size from which on it is written to that again. */
  segment = -1;
  again = 0;

  constructor(definition: Definition, number: number) {
    this.definition = definition;
    this.number = number;
  }
}

/** Copies of a definition that stand in front of the first entry that refers to it: a flipped bit must not cost more than it hits. */
const COPIES = 2;
/** Bytes behind which a definition is written again, into another sector; from then on at four times the size each time. */
const AGAIN_BYTES = 4096;
const AGAIN_GROWTH = 4;
const NOTHING = Buffer.alloc(0);

/** The segment that is appended to. */
export class SegmentWriter {
  readonly path: string;
  readonly first: number;
  /** Bytes that are written and synchronised. */
  size: number;
  /** May hold entries marked relay. */
  relayed = false;
  /** Bytes of entries, definitions not counted. */
  filled = 0;
  readonly #format: SegmentFormat;
  readonly #storage: Storage;
  readonly #file: StorageFile;

  private constructor(path: string, format: SegmentFormat, storage: Storage, file: StorageFile) {
    this.path = path;
    this.first = format.first;
    this.size = format.begin;
    this.#format = format;
    this.#storage = storage;
    this.#file = file;
  }

  /**
   * Header and name are on the disk when it resolves: entries without a header could not be read. A file of that name is emptied: it can
   * only be one that never got an entry, since no sequence is used twice.
   */
  static async create(storage: Storage, directory: string, first: number): Promise<SegmentWriter> {
    const path = join(directory, segmentName(first));
    const format = newFormat(first);
    const file = await storage.open(path, OpenMode.Replace);
    try {
      await writeAll(file, segmentHeader(format), 0, format.begin, 0);
      await file.sync();
      await storage.syncDirectory(directory);
    } catch (error) {
      await file.close().catch(() => undefined);
      await storage.remove(path).catch(() => undefined);
      throw error;
    }
    return new SegmentWriter(path, format, storage, file);
  }

  /**
   * Appends the entries in bytes[0, end), which `writeEntry` has left there, with the definitions that they refer to in front where
   * need be. `from` is the sequence of the first one. Resolves when all is on the disk. After a rejection the segment is only good for
   * `cut` and `seal`.
   */
  async append(bytes: Uint8Array, end: number, from: number, used: ReadonlySet<Numbered>): Promise<void> {
    const definitions = dueDefinitions(used, from, this.#format, this.size);
    const entriesAt = this.size + definitions.length;
    sealEntries(bytes, end, this.#format, entriesAt);
    if (definitions.length > 0) await writeAll(this.#file, definitions, 0, definitions.length, this.size);
    await writeAll(this.#file, bytes, 0, end, entriesAt);
    await this.#file.sync();
    this.size = entriesAt + end;
    this.filled += end;
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
    // sound entries that were not answered, which is harmless.
    await this.#file.sync().catch(() => undefined);
  }

  async seal(): Promise<void> {
    await this.#file.close().catch(() => undefined);
  }
}

/**
 * What has to be written at file offset `size` of a segment before entries from sequence `from` on that refer to these definitions:
 * those that are not in the segment yet, and those that are due again.
 */
export function dueDefinitions(used: Iterable<Numbered>, from: number, format: SegmentFormat, size: number): Buffer {
  let out = NOTHING;
  for (const one of used) {
    const isNew = one.segment !== format.first;
    if (!isNew && size < one.again) continue;
    const piece = Buffer.alloc((isNew ? COPIES : 1) * definitionSize(one.definition));
    for (let at = 0; at < piece.length; )
      at += writeDefinition(piece, at, from, one.number, one.definition, format, size + out.length + at);
    one.again = isNew ? size + AGAIN_BYTES : AGAIN_GROWTH * size;
    one.segment = format.first;
    out = Buffer.concat([out, piece]);
  }
  return out;
}
