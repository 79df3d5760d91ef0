import { join } from 'node:path';
import { nodeStorage, type Storage } from '../../base/files.ts';
import { EntryKind, type EntryView } from '../../journal/entry.ts';
import { JournalReader } from '../../journal/reader.ts';
import { listSegments, segmentName } from '../../journal/segment.ts';
import { Rows } from '../record/rows.ts';
import type { Decoder } from './decoder.ts';
import { isSlot } from './watermarks.ts';

/**
 * Frames of the journal that were received in a span of time, decoded again, in pieces (docs/operations.md).
 *
 * 1. Only what the sink has passed: what is behind its cursor is still to be delivered.
 * 2. Entries of a device that were received in the same millisecond are in the same piece.
 * 3. What is marked relay or was voided is passed over.
 */
export interface ReplayOptions {
  /** Directory of the slots. */
  readonly journal: string;
  readonly decoder: Decoder;
  /** Epoch ms, both included. */
  readonly from: number;
  readonly to: number;
  /** '': all. */
  readonly device: string;
  /** Last sequence that the sink has of a slot. */
  readonly delivered: (slot: string) => number;
  readonly storage?: Storage | undefined;
  /** A piece is full with so many rows, 20 000. */
  readonly rows?: number | undefined;
}

/** Where a frame is in the journal, and whose it is. */
export interface FramePlace {
  readonly device: string;
  readonly received: number;
  readonly slot: string;
  readonly sequence: number;
}

/** How many frames, and of `same` to `resent` and `kept`, rows. */
export interface ReplayCounts {
  frames: number;
  same: number;
  added: number;
  changed: number;
  removed: number;
  /** Stored where they were received first. */
  resent: number;
  unreadable: number;
  erased: number;
  held: number;
  closed: number;
  /** Not removed, because the journal is damaged beside them. */
  kept: number;
}

export function noCounts(): ReplayCounts {
  const counts = { frames: 0, same: 0, added: 0, changed: 0, removed: 0, resent: 0 };
  return { ...counts, unreadable: 0, erased: 0, held: 0, closed: 0, kept: 0 };
}

/** What a stored row and the frames that it may be of have in common. */
export function placeKey(device: string, received: number): string {
  return `${received} ${device}`;
}

/** A piece. What it holds is good until the next one is read. */
export class ReplayPiece {
  readonly rows = new Rows();
  /** Of each row. */
  slot: string[] = [];
  sequence: number[] = [];
  /** Frames by `placeKey`; of several, the first. */
  readonly places = new Map<string, FramePlace>();
  /** Frames that today's code does not read, with the reason. */
  unreadable: (FramePlace & { readonly reason: string })[] = [];
  frames = 0;
  /** Bytes of the journal could not be read: frames may be missing here. */
  isDamaged = false;
  /** Least and greatest time of receipt. */
  from = 0;
  to = 0;

  clear(): void {
    this.rows.clear();
    this.slot = [];
    this.sequence = [];
    this.places.clear();
    this.unreadable = [];
    this.frames = 0;
    this.isDamaged = false;
    this.from = Number.POSITIVE_INFINITY;
    this.to = 0;
  }
}

const PIECE_ROWS = 20_000;
const PIECE_FRAMES = 50_000;
/** Behind the end of the span, entries of so much are looked at: the wall clock may have been set back. */
const CLOCK_MS = 600_000;

interface Tape {
  readonly slot: string;
  readonly reader: JournalReader;
}

export class Replay {
  readonly #o: ReplayOptions;
  #tapes: Tape[] | null = null;
  #damaged = false;

  constructor(options: ReplayOptions) {
    this.#o = options;
  }

  /** Fills the piece; false when nothing is left. */
  async next(piece: ReplayPiece): Promise<boolean> {
    piece.clear();
    this.#tapes ??= await this.#open();
    const full = this.#o.rows ?? PIECE_ROWS;
    for (;;) {
      const tape = await this.#first();
      const entry = tape?.reader.peek();
      if (tape === undefined || entry == null) break;
      const isFull = piece.rows.count >= full || piece.frames >= PIECE_FRAMES;
      if (isFull && entry.received !== piece.to) break;
      this.#take(piece, tape.slot, entry);
      tape.reader.advance();
    }
    piece.isDamaged = this.#damaged;
    this.#damaged = false;
    return piece.frames > 0;
  }

  #take(piece: ReplayPiece, slot: string, entry: EntryView): void {
    const { from, to, device: wanted, decoder } = this.#o;
    const { device, received, sequence, kind } = entry;
    if (kind !== EntryKind.Frame || entry.relay || device === '' || received < from || received > to) return;
    if (wanted !== '' && device !== wanted) return;
    piece.frames++;
    piece.from = Math.min(piece.from, received);
    piece.to = Math.max(piece.to, received);
    const place = { device, received, slot, sequence };
    const before = piece.rows.count;
    const reason = decoder.decode(entry, piece.rows, slot);
    if (reason !== '') piece.unreadable.push({ ...place, reason });
    const key = placeKey(device, received);
    if (!piece.places.has(key)) piece.places.set(key, place);
    for (let row = before; row < piece.rows.count; row++) {
      piece.slot.push(slot);
      piece.sequence.push(sequence);
    }
  }

  /** The tape whose next entry comes first. */
  async #first(): Promise<Tape | undefined> {
    let first: Tape | undefined;
    let order = 0;
    for (const tape of [...(this.#tapes ?? [])]) {
      const entry = tape.reader.peek() ?? ((await tape.reader.fill()) ? tape.reader.peek() : null);
      if (entry === null || entry.received > this.#o.to + CLOCK_MS) {
        await tape.reader.close();
        this.#tapes = this.#tapes?.filter((other) => other !== tape) ?? null;
      } else if (first === undefined || entry.order < order) {
        first = tape;
        order = entry.order;
      }
    }
    return first;
  }

  async #open(): Promise<Tape[]> {
    const { journal, delivered, storage = nodeStorage } = this.#o;
    const tapes: Tape[] = [];
    for (const slot of (await storage.list(journal)).filter(isSlot)) {
      const to = delivered(slot);
      const first = await this.#begin(join(journal, slot), storage);
      if (first === undefined || first > to) continue;
      const onDamage = (): void => {
        this.#damaged = true;
      };
      tapes.push({ slot, reader: new JournalReader(join(journal, slot), storage, first, { to, durable: to, onDamage }) });
    }
    return tapes;
  }

  /** The first segment that was written after the beginning of the span. */
  async #begin(directory: string, storage: Storage): Promise<number | undefined> {
    for (const first of await listSegments(storage, directory)) {
      const modified = (await storage.stat(join(directory, segmentName(first))))?.modified ?? 0;
      if (modified >= this.#o.from) return first;
    }
    return undefined;
  }
}
