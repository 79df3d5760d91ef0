import { join } from 'node:path';
import { AppError } from '../base/errors.ts';
import { OpenMode, type Storage, writeAll } from '../base/files.ts';
import type { Rotation } from './rotation.ts';
import { listSegments, segmentName } from './segment.ts';
import type { JournalStats } from './stats.ts';

const PROBE_FILE = 'probe';
const PROBE_BYTES = 64 * 1024;

export interface SpaceOptions {
  readonly directory: string;
  readonly storage: Storage;
  /** Room on the file system that is left alone. */
  readonly minFreeBytes: number;
  /** Budget of the directory. */
  readonly maxBytes: number;
  readonly rotation: Rotation;
  /** Gets what is found. */
  readonly stats: JournalStats;
}

/** Room for a journal: on the disk, and within its budget. */
export class Space {
  readonly #o: SpaceOptions;
  /** Sizes of the segments that do not change any more. */
  #sizes = new Map<number, number>();

  constructor(options: SpaceOptions) {
    this.#o = options;
  }

  /** Why there is no room, for people; '' when there is. Rejects as the storage does. */
  async look(): Promise<string> {
    const { directory, storage, minFreeBytes, maxBytes, stats } = this.#o;
    stats.freeBytes = await storage.freeBytes(directory);
    stats.directoryBytes = await this.#measure();
    if (stats.freeBytes < minFreeBytes) return `${stats.freeBytes} bytes free on the disk, ${minFreeBytes} are kept in reserve`;
    if (stats.directoryBytes > maxBytes) return `${stats.directoryBytes} bytes of segments, the budget is ${maxBytes}`;
    return '';
  }

  /** Rejects unless the disk takes, synchronises and gives back a file. */
  async probe(): Promise<void> {
    const { directory, storage } = this.#o;
    const path = join(directory, PROBE_FILE);
    const file = await storage.open(path, OpenMode.Replace);
    try {
      await writeAll(file, Buffer.alloc(PROBE_BYTES), 0, PROBE_BYTES, 0);
      await file.sync();
    } finally {
      await file.close();
      await storage.remove(path);
    }
  }

  /** Sum of the segments. Only the newest can still grow, so only its size, and those not known yet, are asked for. */
  async #measure(): Promise<number> {
    const { directory, storage, rotation } = this.#o;
    const current = rotation.segment;
    const firsts = await listSegments(storage, directory);
    if (current !== null && current === rotation.segment && !rotation.renew && !firsts.includes(current.first)) {
      rotation.renew = true;
      throw new AppError('JOURNAL_FAILED', `${current.path} was removed while it was being written`);
    }
    const sizes = new Map<number, number>();
    const newest = firsts.at(-1);
    let sum = 0;
    for (const first of firsts) {
      let size = this.#sizes.get(first);
      if (size === undefined) {
        const stat = await storage.stat(join(directory, segmentName(first)));
        if (stat === null) continue;
        size = stat.bytes;
      }
      if (first !== newest) sizes.set(first, size);
      sum += size;
    }
    this.#sizes = sizes;
    return sum;
  }
}
