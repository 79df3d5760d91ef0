import type { Bytes } from '../../base/wire/index.ts';
import type { EntryKind, Marks, Origin } from '../../journal/entry.ts';

/** The part of the journal that the way in needs. */
export interface EntrySink {
  /** The entry's sequence, or -1 while nothing is accepted. */
  append(
    origin: Origin,
    kind: EntryKind,
    received: number,
    memo: number,
    accepted: number,
    bytes: Bytes,
    start: number,
    end: number,
    marks?: Marks,
  ): number;
  readonly durable: number;
  /** False while every append is refused. */
  readonly accepting: boolean;
}
