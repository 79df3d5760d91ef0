import type { Clock } from '../../base/clock.ts';
import { EntryKind, type Marks, type Origin } from '../../journal/entry.ts';
import type { EntrySink } from './entry-sink.ts';

/** Takes events of one device: JSON objects with a `type`. */
export interface Notices {
  event(event: object): void;
}

const ENCODER = new TextEncoder();

/** Appends an event of the origin's device to the journal. What the journal refuses is not repeated: nothing waits for it. */
export function journalEvent({ journal, clock }: { journal: EntrySink; clock: Clock }, origin: Origin, event: object, marks?: Marks): void {
  const bytes = ENCODER.encode(JSON.stringify(event));
  journal.append(origin, EntryKind.Event, clock.now(), 0, 0, bytes, 0, bytes.length, marks);
}
