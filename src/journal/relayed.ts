import { join } from 'node:path';
import { nodeStorage, type Storage } from '../base/files.ts';
import type { EntryView } from './entry.ts';
import { rewriteSegment } from './rewrite.ts';
import { type Damage, listSegments, relayName } from './segment.ts';
import { readDurable } from './watermark.ts';

/**
 * Takes what is marked relay out of one slot's journal once it has been delivered, while the slot is being appended to.
 *
 *  1. Only what every sink that relays has passed goes, and only from segments that are not written any more. What was
 *     appended while this was waiting for its turn has not been passed, and stays.
 *  2. A file beside a segment names those that are looked at. It goes last: after a crash the segment is looked at again.
 */
export interface RelayedOptions {
  /** Of the slot. */
  readonly directory: string;
  readonly storage?: Storage | undefined;
  /** Last sequence that all sinks that relay have passed. */
  readonly delivered: number;
  readonly claim: Claim;
  readonly onDamage: (damage: Damage) => void;
}

/**
 * Keeps other processes from writing to the slot until the returned function is called; null if one writes already.
 * The newest segment of a slot may be touched only meanwhile.
 */
export type Claim = () => Promise<(() => void) | null>;

const NAME = /^[0-9a-f]{16}\.relay$/;

const NOTHING = (): void => {};

/** Returns how many entries went. */
export async function dropRelayed(options: RelayedOptions): Promise<number> {
  const { directory, delivered, claim, onDamage } = options;
  const storage = options.storage ?? nodeStorage;
  const marked = (await storage.list(directory)).filter((name) => NAME.test(name)).sort();
  if (marked.length === 0) return 0;
  const firsts = await listSegments(storage, directory);
  let gone = 0;
  for (const name of marked) {
    const first = Number.parseInt(name.slice(0, 16), 16);
    const next = firsts.find((other) => other > first);
    const last = next === undefined ? await readDurable(directory, storage) : next - 1;
    // Without a watermark that can be trusted, what the newest segment holds is not known to be delivered.
    if (last === 0 || last > delivered) continue;
    const release = next === undefined ? await claim() : NOTHING;
    if (release === null) continue;
    let stay = 0;
    const goes = (entry: EntryView): boolean => {
      if (!entry.relay) return false;
      if (entry.sequence > delivered) stay++;
      return entry.sequence <= delivered;
    };
    try {
      gone += await rewriteSegment({ storage, directory, first, goes, onDamage });
      if (stay === 0) await storage.remove(join(directory, relayName(first)));
    } finally {
      release();
    }
  }
  return gone;
}
