import { join } from 'node:path';
import { type Clock, systemClock } from '../../base/clock.ts';
import { type Erased, isErased } from '../../base/erased.ts';
import { AppError, messageOf } from '../../base/errors.ts';
import { nodeStorage, type Storage, watchWrites } from '../../base/files.ts';
import type { Log } from '../../base/log.ts';
import type { Metrics } from '../../base/metrics/catalog.ts';
import type { OptionsOf } from '../../codec/registry.ts';
import type { EntryView } from '../../journal/entry.ts';
import { type Claim, dropRelayed } from '../../journal/relayed.ts';
import { retain } from '../../journal/retention.ts';
import { rewriteSegment } from '../../journal/rewrite.ts';
import { type Damage, listSegments } from '../../journal/segment.ts';
import type { EventJson } from '../record/event.ts';
import type { Codecs, Counts, Sink, SinkHealth } from '../sink/sink.ts';
import { Batcher } from './batcher.ts';
import { Decoder } from './decoder.ts';
import type { Erasures } from './erasures.ts';
import { Loop, type Seen } from './loop.ts';
import { Parking } from './parking.ts';
import { eventOf } from './take.ts';
import { isSlot, Watermarks } from './watermarks.ts';
import { ResendWindow } from './window.ts';

/**
 * The way out (docs/architecture.md): one loop per sink reads every slot's journal, decodes again, delivers, and moves
 * that sink's position.
 *
 * 1. What is above a durable watermark is never delivered.
 * 2. The loops share nothing but the watermarks: a sink that is away delays no other (promise 4).
 * 3. The position moves only with, or after, the rows. After a crash the same ranges are read again, under the same
 *    token (promises 2 and 3).
 * 4. Memory is one batch per sink, however long a sink is away.
 * 5. No entry stops a loop: what cannot be read or stored is parked with its raw bytes, counted, and passed.
 * 6. A segment goes only when every sink has passed it.
 * 7. What is marked relay goes to sinks that relay, and out of the journal when they have it. Without such a sink it goes
 *    nowhere, which is counted and said at start.
 * 8. Erased data of a device is not delivered any more, and is kept out of the stores when the device sends it again.
 */
export interface ShipperOptions {
  /** Holds one directory per slot, named by its number. */
  readonly journalDirectory: string;
  /** Gets one file per sink, `<sink>.jsonl`, when entries have to be parked. */
  readonly parkedDirectory: string;
  /** Identity of this installation, made once and kept with the data directory: it is part of every token and cursor. */
  readonly instance: string;
  readonly sinks: readonly Sink[];
  readonly codecs: Codecs;
  /** What a device's frames are read under: the same as on the way in. */
  readonly optionsOf: OptionsOf;
  /** What the journals give their entries as their order. */
  readonly order: () => number;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly clock?: Clock | undefined;
  readonly storage?: Storage | undefined;
  /** Resolves when it is sure that no other server has taken the data directory; asked before anything is delivered or erased. */
  readonly confirm?: (() => Promise<void>) | undefined;
  /** How long delivered segments are kept, 24 h. */
  readonly keepMs?: number | undefined;
  /** Budget of each slot's journal; above it, delivered segments go before `keepMs` is over. */
  readonly maxBytes?: number | undefined;
  readonly erasures: Erasures;
  /** Each event, once it is durable, when the loop of the sink of usage passes it: soon, but for a state store that is away. */
  readonly onEvent?: ((event: EventJson) => void) | undefined;
  /** Keeps a slot from being written; without it, the newest segment of every slot is left alone. */
  readonly claim?: ((slot: string) => ReturnType<Claim>) | undefined;
}

export interface Shipper {
  /** True when everything that is durable at the time of the call was delivered to every sink within `deadlineMs`. */
  drained(deadlineMs: number): Promise<boolean>;
  /**
   * Takes out of the journal, or of a sink by its name (with what is parked for it), these stretches of devices,
   * and sees to it that no more of it gets there. Waits for a sink that is away. Safe to repeat. Returns how much of what; nothing for a
   * sink that there is not.
   *
   * Of the journal, what is in a segment that is being written stays: rotate it before.
   */
  erase(part: string, devices: Erased): Promise<Counts>;
  /** By sink name. */
  health(): Record<string, SinkHealth>;
  /** Ends after the deliveries under way, and closes the sinks. */
  close(): Promise<void>;
}

const TEND_MS = 2_000;
/** While nothing moves, segments are looked at in one turn of so many. */
const REST_TURNS = 5;
const REPEAT_MS = 60_000;
/** The part of an erasure that concerns the journal. */
export const JOURNAL = 'journal';
const NOTHING = (): void => {};

/** Never rejects for a sink: one that is away is degraded until it is back. */
export function startShipper(options: ShipperOptions): Shipper {
  const shipper = new RunningShipper(options);
  shipper.start();
  return shipper;
}

class RunningShipper implements Shipper {
  readonly #o: ShipperOptions;
  readonly #clock: Clock;
  readonly #storage: Storage;
  readonly #watermarks: Watermarks;
  readonly #loops: Loop[];
  readonly #parkings = new Map<string, Parking>();
  #timer: NodeJS.Timeout | undefined;
  #tending: Promise<void> = Promise.resolve();
  /** Turns of tending in which segments were not looked at, and what was found in them before. */
  #rested = 0;
  #progressed = true;
  #seen: Seen = { at: 0, earliest: 0, isWhole: false };
  /** What is being done to the files of the journal: one thing at a time. */
  #chores: Promise<unknown> = Promise.resolve();
  #closed = false;
  #progress: (() => void) | null = null;
  readonly #alarms = new Map<string, number>();
  /** Marks of slots that lie below what has been delivered, as first seen. */
  readonly #below = new Map<string, number>();

  constructor(options: ShipperOptions) {
    this.#o = options;
    this.#clock = options.clock ?? systemClock;
    this.#storage = options.storage ?? nodeStorage;
    this.#watermarks = new Watermarks(options.journalDirectory, {
      storage: this.#storage,
      clock: this.#clock,
      order: options.order,
      log: options.log,
      watch: watchWrites,
    });
    this.#loops = options.sinks.map((sink, index) => this.#loop(sink, index === 0));
  }

  start(): void {
    this.#watermarks.start();
    if (!this.#o.sinks.some(({ relays }) => relays))
      this.#o.log.info({}, 'no Redis stream is configured: data of devices with privacy relay is acknowledged and dropped');
    for (const loop of this.#loops) loop.start();
    const tend = (): void => {
      this.#tending = this.#tend().finally(() => {
        if (!this.#closed) this.#timer = setTimeout(tend, TEND_MS);
      });
    };
    this.#timer = setTimeout(tend, TEND_MS);
  }

  async drained(deadlineMs: number): Promise<boolean> {
    const end = this.#clock.elapsed() + deadlineMs;
    await this.#watermarks.look(true);
    const marks = new Map(this.#watermarks.durable);
    for (const loop of this.#loops) loop.hurry(true);
    try {
      for (;;) {
        if (this.#loops.every((loop) => loop.isSlow || [...marks].every(([slot, mark]) => loop.delivered(slot) >= mark))) return true;
        const left = end - this.#clock.elapsed();
        if (left <= 0 || this.#closed) return false;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, left);
          this.#progress = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
    } finally {
      for (const loop of this.#loops) loop.hurry(false);
    }
  }

  async erase(part: string, devices: Erased): Promise<Counts> {
    if (part === JOURNAL) return this.#eraseJournal(devices);
    const loop = this.#loops.find(({ name }) => name === part);
    const parking = this.#parkings.get(part);
    if (loop === undefined || parking === undefined) return {};
    const parked = await loop.between(async () => {
      await this.#o.erasures.add(part, devices);
      return parking.erase(devices);
    });
    await this.#o.confirm?.();
    const counts = await this.#o.sinks.find(({ name }) => name === part)?.erase?.(devices);
    return { ...counts, parked };
  }

  health(): Record<string, SinkHealth> {
    return Object.fromEntries(this.#loops.map((loop) => [loop.name, loop.health]));
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#progress?.();
    for (const sink of this.#o.sinks) sink.ending?.();
    await Promise.all(this.#loops.map((loop) => loop.stop()));
    await this.#tending;
    await this.#chores.catch(() => undefined);
    await this.#watermarks.close();
    await Promise.all(this.#o.sinks.map((sink) => sink.close()));
  }

  #loop(sink: Sink, first: boolean): Loop {
    const { journalDirectory, parkedDirectory, instance, codecs, optionsOf, metrics, log } = this.#o;
    const parking = new Parking(join(parkedDirectory, `${sink.name}.jsonl`), journalDirectory, this.#storage, (reason) => {
      metrics.parked.inc({ sink: sink.name });
      this.#alarm(
        `${sink.name} ${reason}`,
        { sink: sink.name, reason, file: parking.path },
        'entries were parked; fixgate journal parked lists them',
      );
    });
    this.#parkings.set(sink.name, parking);
    const batcher = new Batcher({
      journal: journalDirectory,
      storage: this.#storage,
      instance,
      decoder: new Decoder(codecs, optionsOf),
      parking,
      window: sink.takes === 'usage' ? null : new ResendWindow(),
      takes: sink.takes,
      wants: sink.wants?.bind(sink),
      erased: () => this.#o.erasures.of(sink.name),
      relays: sink.relays,
      onRelay: (reason) => {
        if (reason === 'unreadable') metrics.relayDropped.inc({ reason });
        else if (first && !this.#o.sinks.some(({ relays }) => relays)) metrics.relayDropped.inc({ reason: 'no_stream' });
      },
      onEvent: (slot, entry) => {
        const event = this.#o.onEvent === undefined ? undefined : eventOf(slot, entry, instance);
        if (event !== undefined) this.#o.onEvent?.(event);
      },
      onDamage: (damage) => {
        if (first) this.#damaged(damage);
      },
      onTrouble: (slot, reason) => {
        this.#alarm(`${slot} ${reason}`, { slot, reason }, 'a journal slot cannot be read; the other slots are delivered');
      },
    });
    return new Loop({
      sink,
      batcher,
      parking,
      watermarks: this.#watermarks,
      metrics,
      clock: this.#clock,
      log,
      first,
      confirm: this.#o.confirm,
      onProgress: () => {
        this.#progressed = true;
        this.#progress?.();
      },
    });
  }

  /** Removes what all sinks have, and measures what they have not. */
  async #tend(): Promise<void> {
    const now = this.#clock.now();
    if (this.#progressed || !this.#watermarks.isStill || ++this.#rested >= REST_TURNS) {
      this.#rested = 0;
      this.#progressed = false;
      this.#seen = await this.#lookAtSegments(now);
    }
    for (const loop of this.#loops) loop.measure(now, this.#seen);
  }

  async #lookAtSegments(now: number): Promise<Seen> {
    const { journalDirectory, keepMs, maxBytes, metrics } = this.#o;
    let isWhole = await this.#watermarks.look(true);
    let size = 0;
    let earliest = 0;
    for (const slot of this.#watermarks.durable.keys()) {
      this.#compare(slot);
      try {
        const directory = join(journalDirectory, slot);
        const report = await this.#exclusive(async () => {
          // Looked at when its turn has come: a store may have gone back to an older position meanwhile.
          const delivered = Math.min(this.#mark(slot), ...this.#loops.map((loop) => loop.delivered(slot)));
          const done = await retain({ directory, storage: this.#storage, delivered, now, keepMs, maxBytes });
          await this.#dropRelayed(slot, directory);
          return done;
        });
        size += report.bytes;
        if (report.oldestUndelivered > 0 && (earliest === 0 || report.oldestUndelivered < earliest)) earliest = report.oldestUndelivered;
      } catch (error) {
        isWhole = false;
        this.#alarm(`retain ${slot}`, { slot, reason: messageOf(error) }, 'delivered segments cannot be removed');
      }
    }
    metrics.journalSize.set(size);
    return { at: now, earliest, isWhole };
  }

  async #dropRelayed(slot: string, directory: string): Promise<void> {
    const relaying = this.#loops.filter(({ relays }) => relays);
    const delivered = Math.min(Number.MAX_SAFE_INTEGER, ...relaying.map((loop) => loop.delivered(slot)));
    const claim = async () => (await this.#o.claim?.(slot)) ?? null;
    await dropRelayed({ directory, storage: this.#storage, delivered, claim, onDamage: (damage) => this.#damaged(damage) });
  }

  async #eraseJournal(devices: Erased): Promise<Counts> {
    let entries = 0;
    const goes = (entry: EntryView): boolean => isErased(devices.get(entry.device) ?? [], entry.account, entry.received);
    for (const slot of (await this.#storage.list(this.#o.journalDirectory)).filter(isSlot)) {
      const directory = join(this.#o.journalDirectory, slot);
      const firsts = await listSegments(this.#storage, directory);
      for (const first of firsts) {
        if (this.#closed) throw new AppError('SINK_UNREACHABLE', 'the shipper is ending');
        const release = first === firsts.at(-1) ? await this.#o.claim?.(slot) : NOTHING;
        if (release === null || release === undefined) continue;
        const onDamage = (damage: Damage): void => this.#damaged(damage);
        try {
          entries += await this.#exclusive(() => rewriteSegment({ storage: this.#storage, directory, first, goes, onDamage }));
        } finally {
          release();
        }
      }
    }
    return { entries };
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#chores.then(work, work);
    this.#chores = done.catch(() => undefined);
    return done;
  }

  #damaged(damage: Damage): void {
    this.#o.metrics.badEntries.inc();
    this.#o.log.error({ ...damage }, 'unreadable bytes in the journal');
  }

  #mark(slot: string): number {
    return this.#watermarks.durable.get(slot) ?? 0;
  }

  /**
   * A journal that ends below its cursor was replaced by another: what is in it would look delivered. Both are read in one
   * step: a mark from before an await lies below what has been delivered since.
   */
  #compare(slot: string): void {
    const mark = this.#mark(slot);
    const delivered = Math.max(0, ...this.#loops.map((loop) => loop.delivered(slot)));
    const before = this.#below.get(slot);
    if (delivered <= mark) this.#below.delete(slot);
    // After a power cut the watermark file may be old until the slot's worker has recovered: that is one step.
    else if (before === undefined) this.#below.set(slot, mark);
    else if (before !== mark) {
      const said = 'a journal slot ends before its cursor: not the same journal; it is not delivered';
      this.#alarm(`below ${slot}`, { slot, durable: mark, delivered }, said);
    }
  }

  #alarm(key: string, fields: object, message: string): void {
    const now = this.#clock.now();
    if (now - (this.#alarms.get(key) ?? 0) < REPEAT_MS) return;
    if (this.#alarms.size > 1000) this.#alarms.clear();
    this.#alarms.set(key, now);
    this.#o.log.error(fields, message);
  }
}
