import { nodeStorage, OpenMode, type Storage } from '../base/files.ts';
import { ENTRY_HEAD_BYTES, EntryKind, EntryView } from './entry.ts';
import { type Damage, listSegments, relayName, SegmentReader, WINDOW_BYTES } from './segment.ts';
import { readDurable, WatermarkFile } from './watermark.ts';

export interface Recovery {
  /** Sound entries in the segments that were verified: the last one, and any above the old watermark. */
  readonly entries: number;
  /** Bytes of the torn tail that were cut. */
  readonly cutBytes: number;
  /** What the next entry gets. */
  readonly nextSequence: number;
  /** The watermark now: every entry up to it that exists is on disk. */
  readonly durable: number;
  /** Places that hold no sound entry although something follows them. Nothing is cut there. */
  readonly damages: readonly Damage[];
  /** Highest order of an entry that was verified; 0 when there was none. */
  readonly order: number;
  /** The last segment holds entries marked relay. */
  readonly relayed: boolean;
  /** Entries below the old watermark are gone: something other than a crash has been at the files. */
  readonly missing: boolean;
}

/**
 * Makes a slot whole after a crash, before anyone appends or reads: verifies what may be torn, cuts the torn tail of
 * the last segment (never bytes behind which a sound entry stands), synchronises, and sets the watermark to the last entry. Only for a slot that no process appends to.
 * Doing it twice changes nothing. Rejects with AppError JOURNAL_FORMAT, having touched nothing, when a later version
 * wrote one of these segments.
 */
export async function recover(directory: string, storage: Storage = nodeStorage): Promise<Recovery> {
  const before = await readDurable(directory, storage);
  const firsts = await listSegments(storage, directory);
  const damages: Damage[] = [];
  const window = Buffer.allocUnsafeSlow(WINDOW_BYTES);
  const view = new EntryView();

  let begin = firsts.length - 1;
  while (begin > 0 && (firsts[begin] ?? 0) > before) begin--;

  let entries = 0;
  let last = 0;
  let cutBytes = 0;
  let order = 0;
  for (const first of firsts.slice(Math.max(0, begin))) {
    const onDamage = (damage: Damage): void => void damages.push(damage);
    const segment = await SegmentReader.open(storage, directory, first, window, view, onDamage, { raw: true });
    if (segment === null) continue;
    try {
      while (segment.step(0, Number.MAX_SAFE_INTEGER) || (await segment.load(0, Number.MAX_SAFE_INTEGER)) === 'entry') {
        entries++;
        order = Math.max(order, view.order);
        const { at, end, kind, definition } = view;
        // Such an entry keeps its place all the same: its number is taken, and its bytes are evidence.
        if (definition === null && kind !== EntryKind.Void)
          damages.push({ file: segment.path, offset: segment.entryEnd - (end - at), bytes: end - at });
        segment.pass();
      }
      last = Math.max(last, segment.last);
      const size = await segment.size();
      const { soundEnd, format, disordered } = segment;
      const bytes = size - soundEnd;
      // Where sound entries were passed over, what looks like a torn tail is more than that.
      const isTorn = format === undefined ? await segment.isBlank() : !disordered;
      // Entries without a header cannot be read: their numbers are taken all the same.
      if (format === undefined && !isTorn) last = Math.max(last, first + Math.ceil(size / ENTRY_HEAD_BYTES));
      if (bytes > 0 && isTorn && first === firsts.at(-1)) {
        await cut(segment.path, soundEnd, storage);
        cutBytes = bytes;
      } else if (bytes > 0) damages.push({ file: segment.path, offset: soundEnd, bytes });
      await segment.sync();
    } finally {
      await segment.close();
    }
  }
  // `last` of a segment without entries is the number before its name: that one was given out, so it counts.
  const durable = Math.max(last, before);
  if (firsts.length > 0) {
    await writeDurable(directory, durable, storage);
    await storage.syncDirectory(directory);
  }
  const relayed = await isRelayed(directory, storage, firsts.at(-1));
  return { entries, cutBytes, nextSequence: durable + 1, durable, damages, order, relayed, missing: last < before };
}

async function isRelayed(directory: string, storage: Storage, first: number | undefined): Promise<boolean> {
  return first !== undefined && (await storage.list(directory)).includes(relayName(first));
}

async function cut(path: string, size: number, storage: Storage): Promise<void> {
  const file = await storage.open(path, OpenMode.Update);
  try {
    await file.truncate(size);
  } finally {
    await file.close();
  }
}

async function writeDurable(directory: string, value: number, storage: Storage): Promise<void> {
  const file = await WatermarkFile.open(directory, storage);
  try {
    await file.write(value);
    await file.sync();
  } finally {
    await file.close();
  }
}
