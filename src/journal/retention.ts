import { join } from 'node:path';
import { nodeStorage, type Storage } from '../base/files.ts';
import { JournalReader } from './reader.ts';
import { listSegments, relayName, segmentName } from './segment.ts';

/**
 * Removes what is no longer needed from one slot, while the slot is being appended to.
 *
 *  1. Only whole segments that every sink has delivered are removed, whatever the budget says (promise 5).
 *  2. They are kept for `keepMs` after their last write, so that history can be replayed; over the budget, they go
 *     earlier, oldest first.
 *  3. The newest segment stays: it may be being written.
 */
export interface RetentionOptions {
  readonly directory: string;
  readonly storage?: Storage | undefined;
  /** The lowest position of all sinks: every entry up to this sequence has been delivered everywhere. */
  readonly delivered: number;
  /** Epoch ms, of the same clock that stamps the files. */
  readonly now: number;
  /** 24 h by default. */
  readonly keepMs?: number | undefined;
  /** Budget of the directory, without one by default. */
  readonly maxBytes?: number | undefined;
}

export interface RetentionReport {
  /** What is left. */
  readonly segments: number;
  readonly bytes: number;
  readonly removedSegments: number;
  readonly removedBytes: number;
  /** Received time of the first entry that some sink still has to get, epoch ms; 0 when there is none. */
  readonly oldestUndelivered: number;
  /** More than the budget is left, all of it undelivered or being written: the journal refuses until that changes. */
  readonly overBudget: boolean;
}

export async function retain(options: RetentionOptions): Promise<RetentionReport> {
  const { directory, delivered, now } = options;
  const storage = options.storage ?? nodeStorage;
  const keepMs = options.keepMs ?? 86_400_000;
  const maxBytes = options.maxBytes ?? Number.POSITIVE_INFINITY;

  const segments: { first: number; bytes: number; modified: number }[] = [];
  let bytes = 0;
  for (const first of await listSegments(storage, directory)) {
    const stat = await storage.stat(join(directory, segmentName(first)));
    if (stat === null) continue;
    segments.push({ first, bytes: stat.bytes, modified: stat.modified });
    bytes += stat.bytes;
  }

  let removedSegments = 0;
  let removedBytes = 0;
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1];
    // Sequences below the next segment's first may be in this one, and none above.
    if (next === undefined || next.first - 1 > delivered) break;
    if (now - segment.modified < keepMs && bytes <= maxBytes) break;
    await storage.remove(join(directory, segmentName(segment.first)));
    await storage.remove(join(directory, relayName(segment.first)));
    removedSegments++;
    removedBytes += segment.bytes;
    bytes -= segment.bytes;
  }

  return {
    segments: segments.length - removedSegments,
    bytes,
    removedSegments,
    removedBytes,
    oldestUndelivered: await oldestAbove(delivered, directory, storage),
    overBudget: bytes > maxBytes,
  };
}

async function oldestAbove(delivered: number, directory: string, storage: Storage): Promise<number> {
  const reader = new JournalReader(directory, storage, delivered + 1);
  try {
    return (await reader.fill()) ? (reader.peek()?.received ?? 0) : 0;
  } finally {
    await reader.close();
  }
}
