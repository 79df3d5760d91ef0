import { join } from 'node:path';
import { replaceFile, type Storage, type StorageFile, writeAll } from '../base/files.ts';
import { EntryKind, EntryView, placeEntry, type SegmentFormat, segmentHeader, writeVoid } from './entry.ts';
import { type Damage, SegmentReader, segmentName, WINDOW_BYTES } from './segment.ts';
import { dueDefinitions, Numbered } from './segment-writer.ts';

/**
 * Takes entries out of a segment that is not written any more: a file without them takes its place.
 *
 * 1. The old file is there or the new one, whatever happens in between; who is reading the old one reads on, undisturbed.
 * 2. The last sequence and order of the segment stay: where its last entry goes, a void one stands for it. After a power cut
 *    the watermark may be older, and recovery must not give the same numbers to others.
 * 3. The file keeps its time, so that it is kept no longer than it would have been.
 * 4. Key, salt and version stay, so sums do. Of the definitions, those stay that an entry still refers to.
 */

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
  /** Bytes that hold no sound entry: they are left out of the new file. One whose definition is lost stays. */
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
  const { goes } = options;
  const out = Buffer.allocUnsafeSlow(WINDOW_BYTES);
  const definitions = new Map<number, Numbered>();
  let filled = 0;
  let written = 0;
  const flush = async (): Promise<void> => {
    await writeAll(file, out, 0, filled, written);
    written += filled;
    filled = 0;
  };
  // What stands for the last entry, should that be one that goes.
  const last = { sequence: 0, received: 0, order: 0 };
  const format = await visit(
    options,
    async (entry, its) => {
      if (entry.kind !== EntryKind.Void && goes(entry)) {
        last.sequence = entry.sequence;
        last.received = entry.received;
        last.order = entry.order;
        return;
      }
      last.sequence = 0;
      const size = entry.end - entry.at;
      const due = dueDefinitions(definitionsOf(entry, definitions), entry.sequence, its, written + filled);
      if (filled + due.length + size > out.length) await flush();
      if (due.length > 0) {
        await flush();
        await writeAll(file, due, 0, due.length, written);
        written += due.length;
      }
      // The window that the entry lies in is as large as the largest entry, and so is this.
      entry.bytes.copy(out, filled, entry.at, entry.end);
      placeEntry(out, filled, size, its, written + filled);
      filled += size;
    },
    (its) => {
      filled = segmentHeader(its).copy(out);
    },
  );
  await flush();
  if (last.sequence === 0 || format === undefined) return;
  filled = writeVoid(out, format, written, last.sequence, last.received, last.order);
  await flush();
}

/** The one that the entry refers to, if there is one. */
function definitionsOf({ number, definition }: EntryView, known: Map<number, Numbered>): Numbered[] {
  if (number === 0 || definition === null) return [];
  let numbered = known.get(number);
  if (numbered === undefined) {
    numbered = new Numbered(definition, number);
    known.set(number, numbered);
  }
  return [numbered];
}

/** Visits every sound entry in order, and gives the format of the segment; undefined when its entries cannot be read. */
async function visit(
  options: Rewriting,
  each: (entry: EntryView, format: SegmentFormat) => Promise<void> | void,
  begin: (format: SegmentFormat) => void = () => {},
): Promise<SegmentFormat | undefined> {
  const { storage, directory, first, onDamage } = options;
  const view = new EntryView();
  const window = Buffer.allocUnsafeSlow(WINDOW_BYTES);
  const segment = await SegmentReader.open(storage, directory, first, window, view, onDamage, { raw: true });
  const format = segment?.format;
  if (segment === null || format === undefined) {
    await segment?.close();
    return undefined;
  }
  const limit = Number.MAX_SAFE_INTEGER;
  try {
    begin(format);
    for (let count = 1; segment.step(0, limit) || (await segment.load(0, limit)) === 'entry'; segment.pass(), count++) {
      await each(view, format);
      if (count % BREATH_ENTRIES === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    if (segment.tail > 0) onDamage({ file: segment.path, offset: segment.tailOffset, bytes: segment.tail });
  } finally {
    await segment.close();
  }
  return format;
}
