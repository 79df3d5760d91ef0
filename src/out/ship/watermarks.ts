import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { OpenMode, type Storage, type StorageFile, type watchWrites } from '../../base/files.ts';
import type { Log } from '../../base/log.ts';
import { DURABLE_FILE, readWatermark, watermarkBuffer } from '../../journal/watermark.ts';

/**
 * How far every slot's journal is durable. The workers are other processes, so their watermark files are looked at. When the system says
 * that one was written, those who wait are woken, and have it looked at when they are about to read: what is written meanwhile costs no look
 * of its own. One look is a read or two of a few bytes per slot. While nothing moves, files are looked at, and slots looked for, each
 * `REST_MS`; the system says that there is a new one.
 *
 * Where the system does not say it (some network file systems), what has moved is found by the look of each second; after three such
 * finds in a row files are looked at every 10 ms while something moves, every 25 ms when nothing does.
 *
 * A device that moves from one worker to another must not have its later entry seen and its earlier one not: they would be delivered
 * in that order (promise 7). The earlier one was durable, its mark written, before the device was answered, and so before the later
 * one was appended. So every mark is read behind a moment, the horizon, and what was appended behind that moment is left for the next look.
 */
const PACE_MS = 10;
const IDLE_MS = 25;
const IDLE_AFTER_MS = 250;
/** How often files are opened again in case they were replaced, and new slots looked for when nothing moves. */
const LIST_MS = 1_000;
const REST_MS = 10_000;
/** Nothing has moved for so long. */
const REST_AFTER_MS = 5_000;
/** So many moves that nothing was said of: the system does not say them. */
const MOST_UNSAID = 3;

/** How far the journals may be read. */
export interface Cut {
  /** Highest durable sequence by slot. */
  readonly marks: ReadonlyMap<string, number>;
  /** Highest order of an entry. */
  readonly horizon: number;
}

export interface WatermarkOptions {
  readonly storage: Storage;
  readonly clock: Clock;
  /** What the journals give their entries as their order. */
  readonly order: () => number;
  readonly log: Log;
  /** Absent: nothing says that a file was written. */
  readonly watch?: typeof watchWrites | undefined;
}

/** A watermark file that is open. */
interface Mark {
  readonly file: StorageFile;
  /** Ends its watch. */
  readonly unwatch: () => void;
}

export class Watermarks {
  /** Highest durable sequence by slot; only slots that have one. */
  readonly durable = new Map<string, number>();
  readonly #directory: string;
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #order: () => number;
  readonly #log: Log;
  readonly #watch: typeof watchWrites;
  readonly #files = new Map<string, Mark>();
  readonly #bytes = watermarkBuffer();
  readonly #listeners: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #listed = Number.NEGATIVE_INFINITY;
  #moved: number;
  #horizon = 0;
  #looking: Promise<void> | null = null;
  /** When the last look began. */
  #looked = Number.NEGATIVE_INFINITY;
  /** Something was written since. */
  #told = false;
  /** Moves in a row that nothing was said of. */
  #unsaid: number;
  #closed = false;
  #unwatch: () => void = ignore;
  /** Looks at a slot that have failed. */
  #faults = 0;
  /** What was said last, by slot; '' is their directory. */
  readonly #troubles = new Map<string, string>();

  constructor(directory: string, { storage, clock, order, log, watch }: WatermarkOptions) {
    this.#directory = directory;
    this.#storage = storage;
    this.#clock = clock;
    this.#order = order;
    this.#log = log;
    this.#watch = watch ?? unwatched;
    this.#unsaid = watch === undefined ? MOST_UNSAID : 0;
    this.#moved = clock.elapsed();
  }

  /** Called when any watermark has moved, or may have: see `refresh`. */
  onMove(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** As of the last look. */
  cut(): Cut {
    return { marks: new Map(this.durable), horizon: this.#horizon };
  }

  start(): void {
    this.#unwatch = this.#watch(this.#directory, this.#wake);
    this.#turn();
  }

  /** Resolves when every slot has been read after the call; with `anew`, slots that are new too. False when one could not be. */
  async look(anew = false): Promise<boolean> {
    while (this.#looking !== null) await this.#looking;
    if (anew) this.#listed = Number.NEGATIVE_INFINITY;
    const before = this.#faults;
    this.#looking = this.#look();
    try {
      await this.#looking;
    } finally {
      this.#looking = null;
    }
    return this.#faults === before;
  }

  /** Nothing has moved for some seconds. */
  get isStill(): boolean {
    return this.#clock.elapsed() - this.#moved > REST_AFTER_MS;
  }

  /** A watermark was written since the last look. */
  get told(): boolean {
    return this.#told;
  }

  /** The same, where one was written since the last look. */
  async refresh(): Promise<void> {
    while (this.#looking !== null) await this.#looking;
    if (this.#told) await this.look();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#unwatch();
    while (this.#looking !== null) await this.#looking;
    await this.#release();
  }

  readonly #turn = (): void => {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.look().then(() => this.#next(), ignore);
  };

  /** Sets the time of the next look. */
  #next(): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#turn, Math.max(0, this.#looked + this.#waitMs() - this.#clock.elapsed()));
  }

  #waitMs(): number {
    if (this.#unsaid < MOST_UNSAID) return this.isStill ? REST_MS : LIST_MS;
    return this.#clock.elapsed() - this.#moved > IDLE_AFTER_MS ? IDLE_MS : PACE_MS;
  }

  /** Something has been written after a time of rest, or there may be a new slot. */
  readonly #wake = (): void => {
    this.#moved = this.#clock.elapsed();
    this.#next();
  };

  readonly #written = (): void => {
    this.#unsaid = 0;
    if (this.#told) return;
    this.#told = true;
    if (this.isStill) this.#wake();
    for (const listener of this.#listeners) listener();
  };

  async #look(): Promise<void> {
    const now = this.#clock.elapsed();
    const told = this.#told;
    this.#told = false;
    this.#looked = now;
    if (now - this.#listed >= LIST_MS) {
      this.#listed = now;
      await this.#release();
      await this.#discover();
    }
    const horizon = this.#order();
    const known = [...this.#files];
    const moved = await this.#read(known);
    if (moved.size > 0) {
      // A slot that is new may be where a device was before it went to the one that has moved.
      await this.#discover();
      for (const [slot, mark] of await this.#read([...this.#files].slice(known.length))) moved.set(slot, mark);
    }
    for (const [slot, mark] of moved) this.durable.set(slot, mark);
    this.#horizon = horizon;
    if (moved.size === 0) return;
    this.#moved = now;
    if (!told && !this.#told) this.#unsaid++;
    for (const listener of this.#listeners) listener();
  }

  /** The marks that have moved. */
  async #read(files: readonly (readonly [string, Mark])[]): Promise<Map<string, number>> {
    const moved = new Map<string, number>();
    for (const [slot, { file }] of files) {
      await this.#guard(slot, async () => {
        const mark = await readWatermark(file, this.#bytes);
        this.#troubles.delete(slot);
        if (mark !== undefined && mark > (this.durable.get(slot) ?? 0)) moved.set(slot, mark);
      });
    }
    return moved;
  }

  /** Opens the watermark files that are not open. */
  #discover(): Promise<void> {
    return this.#guard('', async () => {
      const names = await this.#storage.list(this.#directory);
      this.#troubles.delete('');
      for (const slot of names.filter(isSlot)) {
        if (this.#files.has(slot)) continue;
        await this.#guard(slot, async () => {
          const path = join(this.#directory, slot, DURABLE_FILE);
          if ((await this.#storage.stat(path)) === null) return;
          const file = await this.#storage.open(path, OpenMode.Read);
          this.#files.set(slot, { file, unwatch: this.#watch(path, this.#written) });
        });
      }
    });
  }

  /** One slot's trouble is not another's, and is said once until it is over; '' is that of the list of slots. */
  async #guard(slot: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#faults++;
      const reason = messageOf(error);
      if (this.#troubles.get(slot) === reason) return;
      this.#troubles.set(slot, reason);
      this.#log.error({ slot, reason }, 'a journal watermark cannot be read; delivery of its slot waits');
    }
  }

  async #release(): Promise<void> {
    const files = [...this.#files.values()];
    this.#files.clear();
    for (const { file, unwatch } of files) {
      unwatch();
      await file.close().catch(ignore);
    }
  }
}

/** Whether a directory of this name is that of a slot. */
export function isSlot(name: string): boolean {
  return /^\d{1,9}$/.test(name);
}

function ignore(): void {}

function unwatched(): () => void {
  return ignore;
}
