import { join } from 'node:path';
import type { Clock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { OpenMode, type Storage, type StorageFile } from '../../base/files.ts';
import type { Log } from '../../base/log.ts';
import { DURABLE_FILE, readWatermark, watermarkBuffer } from '../../journal/watermark.ts';

/**
 * How far every slot's journal is durable. The workers are other processes, so their watermark files are looked at:
 * every 5 ms while something moves, every 25 ms when nothing does. One look is a read or two of sixteen bytes per slot.
 *
 * A device that moves from one worker to another must not have its later entry seen and its earlier one not: they would be delivered
 * in that order (promise 7). The earlier one was durable, its mark written, before the device was answered, and so before the later
 * one was appended. So every mark is read behind a moment, the horizon, and what was appended behind that moment is left for the next look.
 */
const BUSY_MS = 5;
const IDLE_MS = 25;
const IDLE_AFTER_MS = 250;
/** How often files are opened again in case they were replaced, and new slots looked for when nothing moves. */
const LIST_MS = 1_000;

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
}

export class Watermarks {
  /** Highest durable sequence by slot; only slots that have one. */
  readonly durable = new Map<string, number>();
  readonly #directory: string;
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #order: () => number;
  readonly #log: Log;
  readonly #files = new Map<string, StorageFile>();
  readonly #bytes = watermarkBuffer();
  readonly #listeners: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #listed = Number.NEGATIVE_INFINITY;
  #moved = 0;
  #horizon = 0;
  #looking: Promise<void> | null = null;
  #closed = false;
  /** What was said last, by slot; '' is their directory. */
  readonly #troubles = new Map<string, string>();

  constructor(directory: string, { storage, clock, order, log }: WatermarkOptions) {
    this.#directory = directory;
    this.#storage = storage;
    this.#clock = clock;
    this.#order = order;
    this.#log = log;
  }

  /** Called when any watermark has moved. */
  onMove(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** As of the last look. */
  cut(): Cut {
    return { marks: new Map(this.durable), horizon: this.#horizon };
  }

  start(): void {
    const turn = (): void => {
      this.look().then(() => {
        if (this.#closed) return;
        const idle = this.#clock.elapsed() - this.#moved > IDLE_AFTER_MS;
        this.#timer = setTimeout(turn, idle ? IDLE_MS : BUSY_MS);
      }, ignore);
    };
    turn();
  }

  /** Resolves when every slot has been read after the call; with `anew`, slots that are new too. */
  async look(anew = false): Promise<void> {
    while (this.#looking !== null) await this.#looking;
    if (anew) this.#listed = Number.NEGATIVE_INFINITY;
    this.#looking = this.#look();
    try {
      await this.#looking;
    } finally {
      this.#looking = null;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    while (this.#looking !== null) await this.#looking;
    await this.#release();
  }

  async #look(): Promise<void> {
    const now = this.#clock.elapsed();
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
    for (const listener of this.#listeners) listener();
  }

  /** The marks that have moved. */
  async #read(files: readonly (readonly [string, StorageFile])[]): Promise<Map<string, number>> {
    const moved = new Map<string, number>();
    for (const [slot, file] of files) {
      await this.#guard(slot, async () => {
        const mark = await readWatermark(file, this.#bytes);
        if (mark !== undefined && mark > (this.durable.get(slot) ?? 0)) moved.set(slot, mark);
      });
    }
    return moved;
  }

  /** Opens the watermark files that are not open. */
  #discover(): Promise<void> {
    return this.#guard('', async () => {
      for (const slot of (await this.#storage.list(this.#directory)).filter(isSlot)) {
        if (this.#files.has(slot)) continue;
        await this.#guard(slot, async () => {
          const path = join(this.#directory, slot, DURABLE_FILE);
          if ((await this.#storage.stat(path)) !== null) this.#files.set(slot, await this.#storage.open(path, OpenMode.Read));
        });
      }
    });
  }

  /** One slot's trouble is not another's, and is said once. */
  async #guard(slot: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const reason = messageOf(error);
      if (this.#troubles.get(slot) === reason) return;
      this.#troubles.set(slot, reason);
      this.#log.error({ slot, reason }, 'a journal watermark cannot be read; delivery of its slot waits');
    }
  }

  async #release(): Promise<void> {
    const files = [...this.#files.values()];
    this.#files.clear();
    for (const file of files) await file.close().catch(ignore);
  }
}

/** Whether a directory of this name is that of a slot. */
export function isSlot(name: string): boolean {
  return /^\d{1,9}$/.test(name);
}

function ignore(): void {}
