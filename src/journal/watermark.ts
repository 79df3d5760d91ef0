import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { systemCode } from '../base/errors.ts';
import { nodeStorage, OpenMode, readAll, type Storage, type StorageFile, writeAll } from '../base/files.ts';
import { putU32le, putU64le, u32le, u64le } from '../base/wire/index.ts';

/**
 * The durable watermark of a slot: the highest sequence on disk. A file in the slot's directory, 16 bytes, little-endian,
 * overwritten in place by every commit and read by other processes meanwhile:
 *
 *      0  8  watermark
 *      8  4  0
 *     12  4  CRC-32 of bytes 0…11
 *
 * A file of 8 bytes is of a version without the checksum, and is the watermark alone.
 */
export const DURABLE_FILE = 'durable';
const WATERMARK_BYTES = 16;

/** Where a watermark is read into or written from; one for each that does so at a time. */
export function watermarkBuffer(): Buffer {
  return Buffer.alloc(WATERMARK_BYTES);
}

/** Overwrites the watermark in `file`; without a sync. */
export function writeWatermark(file: StorageFile, buffer: Buffer, watermark: number): Promise<void> {
  putU64le(buffer, 0, watermark);
  putU32le(buffer, 8, 0);
  putU32le(buffer, 12, crc32(buffer.subarray(0, 12)));
  return writeAll(file, buffer, 0, WATERMARK_BYTES, 0);
}

/** Undefined when none is there, or it is damaged, or torn: read while it was written. */
export async function readWatermark(file: StorageFile, buffer: Buffer): Promise<number | undefined> {
  const got = await readAll(file, buffer, 0, WATERMARK_BYTES, 0);
  if (got !== 8 && (got < WATERMARK_BYTES || crc32(buffer.subarray(0, 12)) !== u32le(buffer, 12))) return undefined;
  const watermark = u64le(buffer, 0);
  return Number.isSafeInteger(watermark) ? watermark : undefined;
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
