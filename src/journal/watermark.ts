import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { systemCode } from '../base/errors.ts';
import { nodeStorage, OpenMode, readAll, type Storage, type StorageFile, writeAll } from '../base/files.ts';
import { putU32le, putU64le, u32le, u64le } from '../base/wire/index.ts';

/**
 * The durable watermark of a slot: the highest sequence on disk. A file in the slot's directory, two copies of 16 bytes, little-endian,
 * each overwritten in place by every second commit and read by other processes meanwhile:
 *
 *      0  8  watermark
 *      8  4  0
 *     12  4  CRC-32 of bytes 0…11
 *
 * The higher of those that are sound counts, so a write that is under way, or that a full disk has left half done, leaves what was said
 * before. A file with one copy, or of 8 bytes, the watermark alone, is of an earlier version.
 */
export const DURABLE_FILE = 'durable';
const COPY_BYTES = 16;
const OLDEST_BYTES = 8;
/** Below every watermark. */
const UNSOUND = -1;

/** Where a watermark is read into; one for each that does so at a time. */
export function watermarkBuffer(): Buffer {
  return Buffer.alloc(2 * COPY_BYTES);
}

/** Undefined when none is there, or both copies are damaged. */
export async function readWatermark(file: StorageFile, buffer: Buffer): Promise<number | undefined> {
  const mark = Math.max(...(await readCopies(file, buffer)));
  return mark === UNSOUND ? undefined : mark;
}

async function readCopies(file: StorageFile, buffer: Buffer): Promise<readonly [number, number]> {
  const got = await readAll(file, buffer, 0, buffer.length, 0);
  if (got === OLDEST_BYTES) return [safe(u64le(buffer, 0)), UNSOUND];
  return [copyAt(buffer, 0, got), copyAt(buffer, COPY_BYTES, got)];
}

function copyAt(buffer: Buffer, at: number, got: number): number {
  const isSound = got >= at + COPY_BYTES && crc32(buffer.subarray(at, at + 12)) === u32le(buffer, at + 12);
  return isSound ? safe(u64le(buffer, at)) : UNSOUND;
}

function safe(mark: number): number {
  return Number.isSafeInteger(mark) ? mark : UNSOUND;
}

/** The watermark file of a slot, open for writing. */
export class WatermarkFile {
  readonly #file: StorageFile;
  readonly #bytes = Buffer.alloc(COPY_BYTES);
  /** The copy that the next write may spoil. */
  #at: number;

  private constructor(file: StorageFile, at: number) {
    this.#file = file;
    this.#at = at;
  }

  static async open(directory: string, storage: Storage): Promise<WatermarkFile> {
    const file = await storage.open(join(directory, DURABLE_FILE), OpenMode.Update);
    try {
      const [first, second] = await readCopies(file, watermarkBuffer());
      return new WatermarkFile(file, first > second ? COPY_BYTES : 0);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Without a sync. Where it fails, what was written before still counts. */
  async write(watermark: number): Promise<void> {
    putU64le(this.#bytes, 0, watermark);
    putU32le(this.#bytes, 8, 0);
    putU32le(this.#bytes, 12, crc32(this.#bytes.subarray(0, 12)));
    await writeAll(this.#file, this.#bytes, 0, COPY_BYTES, this.#at);
    this.#at = COPY_BYTES - this.#at;
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** The watermark of a slot; 0 when there is none, and when it cannot be trusted: then recovery finds it again. */
export async function readDurable(directory: string, storage: Storage = nodeStorage): Promise<number> {
  let file: StorageFile;
  try {
    file = await storage.open(join(directory, DURABLE_FILE), OpenMode.Read);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0;
    throw error;
  }
  try {
    return (await readWatermark(file, watermarkBuffer())) ?? 0;
  } finally {
    await file.close();
  }
}
