import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { type Bytes, hex } from '../../base/wire/index.ts';
import type { Transport } from '../../codec/index.ts';
import { attempt, CONTENDED } from '../../state/attempt.ts';
import type { StateStore } from '../../state/store.ts';
import { QUARANTINE, type UnknownDevice } from './unknown-device.ts';

/**
 * Notes unknown devices that a closed registry refuses, and those beyond the rates of an open one; in each worker.
 *
 * 1. A flood costs no write per frame: what is noted gathers for a second, and of so many ids only.
 * 2. A device that has been adopted meanwhile does not come back to the list.
 * 3. What cannot be written is dropped: the device comes again.
 */
const GATHER_MS = 1_000;
const MOST_WAITING = 500;
const SAMPLES = 3;
const SAMPLE_BYTES = 256;

export interface QuarantineOptions {
  readonly store: StateStore;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  readonly log: Log;
  /** Told of an id that was not on the list. */
  readonly added: (id: string, unknownDevice: UnknownDevice) => void;
}

export class Quarantine {
  readonly #o: QuarantineOptions;
  #waiting = new Map<string, UnknownDevice>();
  /** Those among them that are known already. */
  #quiet = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: QuarantineOptions) {
    this.#o = options;
  }

  /** The device was refused for bytes[start, end). For the byte path: waits for nothing, never throws. `quiet`: `added` is not told. */
  noted(id: string, protocol: string, transport: Transport, bytes: Bytes, start: number, end: number, quiet = false): void {
    const before = this.#waiting.get(id);
    if (before === undefined && this.#waiting.size >= MOST_WAITING) return;
    if (quiet) this.#quiet.add(id);
    const now = this.#o.now();
    const frame = before !== undefined && before.frames.length >= SAMPLES ? '' : hex(bytes, start, Math.min(end, start + SAMPLE_BYTES));
    this.#waiting.set(id, {
      first_seen: before?.first_seen ?? now,
      last_seen: now,
      count: (before?.count ?? 0) + 1,
      protocol,
      transport,
      frames: samples(before?.frames ?? [], frame),
    });
    this.#timer ??= setTimeout(() => void this.flush(), GATHER_MS);
  }

  /** Writes what waits. Does not reject. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = this.#waiting;
    const quiet = this.#quiet;
    this.#waiting = new Map();
    this.#quiet = new Set();
    this.#writing = this.#writing.then(() => this.#write(waiting, quiet));
    return this.#writing;
  }

  async #write(waiting: ReadonlyMap<string, UnknownDevice>, quiet: ReadonlySet<string>): Promise<void> {
    const written = await Promise.allSettled([...waiting].map(([id, unknownDevice]) => this.#merge(id, unknownDevice, quiet.has(id))));
    const failed = written.find((one) => one.status === 'rejected');
    if (failed !== undefined)
      this.#o.log.warn({ error: messageOf(failed.reason) }, 'quarantine cannot be written; devices are listed at their next contact');
  }

  async #merge(id: string, unknownDevice: UnknownDevice, quiet: boolean): Promise<void> {
    const { store, added } = this.#o;
    return attempt(`the unknown device ${id}`, async () => {
      const text = await store.get('quarantine', id);
      const before = QUARANTINE.read(text);
      const after: UnknownDevice =
        before === undefined
          ? unknownDevice
          : {
              ...unknownDevice,
              first_seen: before.first_seen,
              count: before.count + unknownDevice.count,
              frames: unknownDevice.frames.reduce(samples, before.frames),
            };
      const written = await store.write([
        // Invariant 2.
        { table: 'devices', key: id, expect: undefined },
        { table: 'aliases', key: id, expect: undefined },
        { table: 'quarantine', key: id, expect: text },
        { table: 'quarantine', key: id, put: JSON.stringify(after) },
      ]);
      if (!written) return CONTENDED;
      if (before === undefined && !quiet) added(id, after);
      return;
    });
  }
}

/** At most so many different ones. */
function samples(before: readonly string[], frame: string): string[] {
  return frame === '' || before.length >= SAMPLES || before.includes(frame) ? [...before] : [...before, frame];
}
