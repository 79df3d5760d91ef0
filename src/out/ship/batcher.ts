import { join } from 'node:path';
import type { Erased } from '../../base/erased.ts';
import { AppError, messageOf } from '../../base/errors.ts';
import type { Storage } from '../../base/files.ts';
import { RowFlag } from '../../codec/index.ts';
import { EntryKind, type EntryView } from '../../journal/entry.ts';
import { type Damage, JournalReader } from '../../journal/reader.ts';
import { type Batch, type Range, type Ranges, type Sink, tokenOf } from '../sink/sink.ts';
import type { Decoder } from './decoder.ts';
import type { Parking } from './parking.ts';
import { takeEntry } from './take.ts';
import { type Cut, isSlot } from './watermarks.ts';
import type { ResendWindow } from './window.ts';

/** After so many entries the event loop gets a turn: the other sink's loop lives on it too. */
const BREATH_ENTRIES = 256;
/** A time further ahead is not the device's own any more (time-rules.ts); a clock in another zone is not. */
const DAY_MS = 86_400_000;
/** How far back the window of resends is filled when a loop starts, per slot. */
const WARM_ROWS = 200_000;
const WARM_ENTRIES = 200_000;

/** One slot as one sink reads it. */
interface Tape {
  readonly slot: string;
  readonly reader: JournalReader;
  /** Last sequence in a batch that has been read, so the next batch begins behind it. */
  read: number;
  /** What this batch may read up to, and whether it has. */
  limit: number;
  done: boolean;
  /** The range must be read whole: a piece of it would be delivered in the name of all. */
  whole: boolean;
  /** Sequence and received time (epoch ms) of the entry behind the last batch, 0 when it has not been looked at. */
  next: number;
  nextReceived: number;
}

/** Last sequence delivered from a slot. */
export type Delivered = (slot: string) => number;

export interface BatcherOptions {
  /** Directory of the slots. */
  readonly journal: string;
  readonly storage: Storage;
  readonly instance: string;
  readonly decoder: Decoder;
  readonly parking: Parking;
  /** Null for a sink that takes no records. */
  readonly window: ResendWindow | null;
  readonly takes: Sink['takes'];
  /** Absent: entries of all devices. */
  readonly wants?: ((device: string) => boolean) | undefined;
  /** What of erased devices is left out. Not to change while a batch is read, held, or begun. */
  readonly erased: () => Erased;
  /** The sink takes what is marked relay. */
  readonly relays: boolean;
  /** An entry marked relay is passed and goes nowhere: this sink does not take it, or it could not be read. */
  readonly onRelay: (reason: 'not_taken' | 'unreadable') => void;
  /** An event, which a sink of usage alone does not take. */
  readonly onEvent?: ((slot: string, entry: EntryView) => void) | undefined;
  readonly onDamage: (damage: Damage) => void;
  /** A slot could not be read; the others go on. */
  readonly onTrouble: (slot: string, reason: string) => void;
}

/**
 * Reads the slots side by side, always the entry received first, and turns entries into a batch.
 *
 * 1. A batch is a function of its ranges: what is read up to is fixed before the first entry is, so reading the same
 *    ranges again merges them the same way. A device that moved from one worker to another keeps its order (promise 7).
 * 2. An entry that cannot be read is parked, unless it is marked relay, for that may be kept nowhere; it never stops a batch.
 * 3. Slots are merged by the order of their entries, which no change of the wall clock touches.
 */
export class Batcher {
  readonly #options: BatcherOptions;
  #tapes: Tape[] = [];
  #delivered: Delivered = () => 0;
  /** What came behind it is left for the next batch. */
  #horizon = Number.POSITIVE_INFINITY;

  constructor(options: BatcherOptions) {
    this.#options = options;
  }

  /** From here on, as the sink says. What was read is forgotten. */
  async seek(delivered: Delivered): Promise<void> {
    const tapes = this.#tapes;
    this.#tapes = [];
    for (const tape of tapes) await tape.reader.close();
    this.#delivered = delivered;
    this.#options.parking.drop();
  }

  /** Durable entries that have not been read: an estimate, since numbers may be missing. */
  behind(marks: ReadonlyMap<string, number>): number {
    let entries = 0;
    for (const [slot, mark] of marks) {
      const tape = this.#tapes.find((t) => t.slot === slot);
      const read = tape?.read ?? this.#delivered(slot);
      if (mark <= read) continue;
      entries += Math.max(1, mark - Math.max(tape?.next ?? 0, read + 1) + 1);
    }
    return entries;
  }

  /** Received time of the first entry behind the last batch, epoch ms; 0 when none was seen. */
  oldest(): number {
    let oldest = 0;
    for (const tape of this.#tapes) {
      if (tape.nextReceived > 0 && (oldest === 0 || tape.nextReceived < oldest)) oldest = tape.nextReceived;
    }
    return oldest;
  }

  /**
   * Fills `batch` from what lies between the position and the cut, until it is full. False when there is nothing.
   * With `exactly`, those ranges and nothing else, however large; rejects when they cannot be read whole.
   */
  async fill(
    batch: Batch,
    { marks, horizon }: Cut,
    limits: { readonly rows: number; readonly bytes: number },
    exactly: Ranges | null = null,
  ): Promise<boolean> {
    batch.clear();
    batch.instance = this.#options.instance;
    this.#aim(exactly === null ? marks : limitsOf(exactly, marks), exactly !== null);
    this.#horizon = exactly === null ? horizon : Number.POSITIVE_INFINITY;
    const started = new Map(this.#tapes.map((tape) => [tape.slot, tape.read]));
    const maxRows = exactly === null ? limits.rows : Number.POSITIVE_INFINITY;
    const maxBytes = exactly === null ? limits.bytes : Number.POSITIVE_INFINITY;
    while (batch.rows.count + batch.events.count + batch.usage.count + batch.audit.count < maxRows && batch.bytes < maxBytes) {
      const tape = await this.#first();
      if (tape === null) break;
      const entry = tape.reader.peek();
      if (entry === null) break;
      this.#take(batch, tape.slot, entry);
      tape.read = entry.sequence;
      tape.reader.advance();
      if (batch.entries % BREATH_ENTRIES === 0) await breath();
    }
    for (const tape of this.#tapes) {
      const entry = tape.reader.peek();
      tape.next = entry?.sequence ?? 0;
      tape.nextReceived = entry?.received ?? 0;
    }
    batch.ranges = exactly ?? this.#ranges(started);
    batch.token = tokenOf(this.#options.instance, batch.ranges);
    return Object.keys(batch.ranges).length > 0;
  }

  /**
   * Fills the window with what was delivered last, so that a resend of it is known. From the segments alone: after a power
   * cut the watermark files may be old, or empty, until the workers have recovered their slots.
   */
  async warm(scratch: Batch): Promise<void> {
    const { window, storage, journal } = this.#options;
    if (window === null) return;
    window.clear();
    for (const slot of (await storage.list(journal)).filter(isSlot)) {
      try {
        await this.#warmSlot(slot, window, scratch);
      } catch (error) {
        this.#options.onTrouble(slot, messageOf(error));
      }
    }
    scratch.clear();
  }

  async #warmSlot(slot: string, window: ResendWindow, scratch: Batch): Promise<void> {
    const delivered = this.#delivered(slot);
    // How many records an entry holds is in its head: one look finds where the last rows begin, another decodes them.
    let skip = -WARM_ROWS;
    await this.#readBack(slot, delivered, (entry) => {
      skip += entry.accepted;
    });
    await this.#readBack(slot, delivered, (entry) => {
      skip -= entry.accepted;
      if (skip > 0 || entry.kind !== EntryKind.Frame || entry.accepted === 0 || (entry.relay && !this.#options.relays)) return;
      if (this.#options.wants?.(entry.device) === false) return;
      scratch.rows.clear();
      this.#options.decoder.decode(entry, scratch.rows, slot);
      for (let row = 0; row < scratch.rows.count; row++) seen(window, scratch, row, this.#options.decoder.reading);
    });
  }

  async close(): Promise<void> {
    await this.seek(() => 0);
  }

  async #readBack(slot: string, delivered: number, visit: (entry: EntryView) => void): Promise<void> {
    const { journal, storage } = this.#options;
    if (delivered < 1) return;
    const reader = new JournalReader(join(journal, slot), storage, Math.max(1, delivered - WARM_ENTRIES), {
      to: delivered,
      durable: delivered,
    });
    try {
      let count = 0;
      while (await reader.fill()) {
        for (let entry = reader.peek(); entry !== null; entry = reader.peek()) {
          visit(entry);
          reader.advance();
          if (++count % BREATH_ENTRIES === 0) await breath();
        }
      }
    } finally {
      await reader.close();
    }
  }

  /** Sets how far this batch may read, opening readers for slots that are new. */
  #aim(limits: ReadonlyMap<string, number>, whole: boolean): void {
    const { journal, storage, onDamage } = this.#options;
    for (const slot of limits.keys()) {
      if (this.#tapes.some((tape) => tape.slot === slot)) continue;
      const read = this.#delivered(slot);
      const reader = new JournalReader(join(journal, slot), storage, read + 1, { onDamage });
      this.#tapes.push({ slot, reader, read, limit: 0, done: true, whole: false, next: 0, nextReceived: 0 });
    }
    this.#tapes.sort((a, b) => Number(a.slot) - Number(b.slot));
    for (const tape of this.#tapes) {
      tape.limit = limits.get(tape.slot) ?? 0;
      tape.reader.knows(tape.limit);
      tape.done = tape.read >= tape.limit;
      tape.whole = whole;
    }
  }

  /** The tape whose next entry comes first (invariant 3); null when all have been read up to their limits. */
  async #first(): Promise<Tape | null> {
    let first: Tape | null = null;
    let order = 0;
    for (const tape of this.#tapes) {
      // Looking for more, the reader would open and read two files to find that there is nothing it may give.
      if (tape.read >= tape.limit) tape.done = true;
      if (tape.done) continue;
      const entry = tape.reader.peek() ?? (await this.#load(tape));
      if (entry === null) continue;
      if (entry.sequence > tape.limit) {
        tape.done = true;
        tape.read = tape.limit;
      } else if (entry.order > this.#horizon) {
        tape.done = true;
      } else if (first === null || entry.order < order) {
        first = tape;
        order = entry.order;
      }
    }
    return first;
  }

  async #load(tape: Tape): Promise<EntryView | null> {
    try {
      if (await tape.reader.fill()) return tape.reader.peek();
      // Nothing up to the limit is left to find: numbers may be missing at the end.
      if (tape.reader.durable >= tape.limit) tape.read = tape.limit;
    } catch (error) {
      if (tape.whole) throw error;
      this.#options.onTrouble(tape.slot, messageOf(error));
    }
    tape.done = true;
    return null;
  }

  #take(batch: Batch, slot: string, entry: EntryView): void {
    if (batch.entries === 0) batch.oldest = entry.received;
    batch.entries++;
    batch.bytes += entry.end - entry.start;
    const { decoder, parking, window, takes, erased, instance, relays, onRelay } = this.#options;
    if (takes === (entry.kind === EntryKind.Usage ? 'records' : 'usage')) {
      if (entry.kind === EntryKind.Event && !entry.relay) this.#options.onEvent?.(slot, entry);
      return;
    }
    if (entry.relay && !relays) {
      onRelay('not_taken');
      return;
    }
    if (this.#options.wants?.(entry.device) === false) return;
    const before = batch.rows.count;
    const eventsBefore = batch.events.count;
    const list = erased();
    const reason = takeEntry(batch, slot, entry, decoder, instance, list.size === 0 ? undefined : list.get(entry.device));
    if (reason !== '' && entry.relay) onRelay('unreadable');
    else if (reason !== '') parking.add(slot, entry, reason);
    if (entry.relay) {
      for (let row = before; row < batch.rows.count; row++) batch.relayedRows.add(row);
      for (let event = eventsBefore; event < batch.events.count; event++) batch.relayedEvents.add(event);
    }
    if (window === null) return;
    for (let row = before; row < batch.rows.count; row++) if (!seen(window, batch, row, decoder.reading)) batch.resent[row] = 1;
  }

  #ranges(started: ReadonlyMap<string, number>): Ranges {
    const ranges: Record<string, Range> = {};
    for (const tape of this.#tapes) {
      const from = (started.get(tape.slot) ?? 0) + 1;
      if (tape.read >= from) ranges[tape.slot] = { from, to: tape.read };
    }
    return ranges;
  }
}

/** Remembers the row; false when it had been seen. Only a device's own time tells a resend from a new record. */
function seen(window: ResendWindow, batch: Batch, row: number, reading: number): boolean {
  const { rows } = batch;
  const isFarAhead = (rows.deviceTime[row] ?? Number.NaN) - (rows.time[row] ?? 0) > DAY_MS;
  const replaced = ((rows.flags[row] ?? 0) & RowFlag.NoTime) !== 0 || isFarAhead;
  return replaced || window.add(rows.idHigh[row] ?? 0, rows.idLow[row] ?? 0, rows.time[row] ?? 0, reading);
}

/** The ends of the ranges. A slot that is gone has nothing to read; one that has not been recovered is waited for. */
function limitsOf(ranges: Ranges, marks: ReadonlyMap<string, number>): Map<string, number> {
  const limits = new Map<string, number>();
  for (const [slot, { to }] of Object.entries(ranges)) {
    const mark = marks.get(slot);
    if (mark === undefined) continue;
    if (mark < to)
      throw new AppError('JOURNAL_FAILED', `the journal of slot ${slot} is durable up to ${mark}, a batch up to ${to} was begun`);
    limits.set(slot, to);
  }
  return limits;
}

function breath(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
