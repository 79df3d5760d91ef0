import { join } from 'node:path';
import { EntryKind, EntryView, Origin, SEGMENT_HEADER_BYTES, segmentHeader, writeEntry } from './entry.ts';
import { type Damage, SegmentReader, segmentName, WINDOW_BYTES } from './segment.ts';
import { replaceFile, type Storage, type StorageFile, writeAll } from './storage.ts';

/**
 * Takes entries out of a segment that is not written any more: a file without them takes its place.
 *
 * 1. The old file is there or the new one, whatever happens in between; who is reading the old one reads on, undisturbed.
 * 2. The last sequence and order of the segment stay: where its last entry goes, a void one stands for it. After a power cut
 *    the watermark may be older, and recovery must not give the same numbers to others.
 * 3. The file keeps its time, so that it is kept no longer than it would have been.
 */

const NOBODY = new Origin('', 'tcp', '', '');
const NO_BYTES = new Uint8Array(0);
/** After so many entries the event loop gets a turn. */
const BREATH_ENTRIES = 256;

export interface Rewriting {
  readonly storage: Storage;
  /** Of the slot. */
  readonly directory: string;
  /** First sequence of the segment. */
  readonly first: number;
  /** Is the entry to go? The view is lent. Asked twice. */
  readonly goes: (entry: EntryView) => boolean;
  /** Bytes that hold no sound entry: they are left out of the new file. */
  readonly onDamage: (damage: Damage) => void;
}

/** Returns how many entries went: with 0, nothing has been touched. */
export async function rewriteSegment(options: Rewriting): Promise<number> {
  const { storage, directory, first, goes } = options;
  const path = join(directory, segmentName(first));
  const stat = await storage.stat(path);
  if (stat === null) return 0;
  let gone = 0;
  await visit({ ...options, onDamage: () => {} }, (entry) => {
    if (entry.kind !== EntryKind.Void && goes(entry)) gone++;
  });
  if (gone === 0) return 0;
  await replaceFile(storage, path, (file) => copy(options, file), stat.modified);
  return gone;
}

async function copy(options: Rewriting, file: StorageFile): Promise<void> {
  const { first, goes } = options;
  const out = Buffer.allocUnsafeSlow(WINDOW_BYTES);
  let filled = 0;
  let written = 0;
  const flush = async (): Promise<void> => {
    await writeAll(file, out, 0, filled, written);
    written += filled;
    filled = 0;
  };
  filled = segmentHeader(first).copy(out);
  // What stands for the last entry, should that be one that goes.
  const last = { sequence: 0, received: 0, order: 0 };
  await visit(options, async (entry) => {
    if (entry.kind !== EntryKind.Void && goes(entry)) {
      last.sequence = entry.sequence;
      last.received = entry.received;
      last.order = entry.order;
      return;
    }
    last.sequence = 0;
    const size = entry.end - entry.at;
    if (filled + size > out.length) await flush();
    // The window that the entry lies in is as large as the largest entry, and so is this.
    filled += entry.bytes.copy(out, filled, entry.at, entry.end);
  });
  await flush();
  if (last.sequence === 0) return;
  const { sequence, received, order } = last;
  filled = writeEntry(out, 0, sequence, NOBODY, EntryKind.Void, received, order, 0, 0, NO_BYTES, 0, 0);
  await flush();
}

/** Visits every sound entry in order. */
async function visit(options: Rewriting, each: (entry: EntryView) => Promise<void> | void): Promise<void> {
  const { storage, directory, first, onDamage } = options;
  const view = new EntryView();
  const segment = await SegmentReader.open(storage, directory, first, Buffer.allocUnsafeSlow(WINDOW_BYTES), view, onDamage);
  if (segment === null) return;
  const limit = Number.MAX_SAFE_INTEGER;
  try {
    for (let count = 1; segment.step(0, limit) || (await segment.load(0, limit)) === 'entry'; segment.pass(), count++) {
      await each(view);
      if (count % BREATH_ENTRIES === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    if (segment.tail > 0 && segment.tailOffset >= SEGMENT_HEADER_BYTES)
      onDamage({ file: segment.path, offset: segment.tailOffset, bytes: segment.tail });
  } finally {
    await segment.close();
  }
}
