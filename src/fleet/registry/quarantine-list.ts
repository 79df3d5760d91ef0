import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { type Following, follow } from '../../state/follow.ts';
import type { Op, StateStore } from '../../state/store.ts';
import { byId, TypedTable } from '../../state/table.ts';
import { QUARANTINE, type UnknownDevice } from './unknown-device.ts';

/**
 * The unknown devices, for the API; in the supervisor, which keeps their number bounded: beyond it, the longest
 * silent are forgotten.
 */

/** Devices removed by one write, of two steps each. */
const PAGE = 500;
/** Changes are looked at together. */
const GATHER_MS = 300;

/** When each was seen last, epoch ms. A damaged row takes a place like any other, and is the first to go. */
const LAST_SEEN = new TypedTable<number>({ name: 'quarantine', key: byId, parse: (text) => QUARANTINE.read(text)?.last_seen ?? 0 });

export interface QuarantineListOptions {
  readonly store: StateStore;
  /** How many are kept. */
  readonly most: number;
  readonly log: Log;
  /** Told how many there are. */
  readonly count: (devices: number) => void;
}

export class QuarantineList {
  readonly #o: QuarantineListOptions;
  /** When each was seen last. */
  #lastSeen: Map<string, number> = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #following: Following | undefined;
  #stopped = false;
  #work: Promise<void> = Promise.resolve();

  constructor(options: QuarantineListOptions) {
    this.#o = options;
  }

  start(): void {
    const { store, log } = this.#o;
    const all = (rows: ReadonlyMap<string, number>): void => {
      this.#lastSeen = new Map(rows);
      this.#soon();
    };
    const changed = (id: string, lastSeen: number | undefined): void => {
      if (lastSeen === undefined) this.#lastSeen.delete(id);
      else this.#lastSeen.set(id, lastSeen);
      this.#soon();
    };
    this.#following = follow(store, LAST_SEEN, { all, changed }, log);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#following?.stop();
    clearTimeout(this.#timer);
    await this.#work;
  }

  /** By id, behind `after`. `next`: where the following page begins, when there is one. */
  async list(after: string | undefined, limit: number): Promise<{ devices: (UnknownDevice & { id: string })[]; next: string | undefined }> {
    const devices: (UnknownDevice & { id: string })[] = [];
    for await (const [id, unknownDevice] of QUARANTINE.entries(this.#o.store, { after, size: limit + 1 })) {
      if (devices.length === limit) return { devices, next: devices.at(-1)?.id };
      devices.push({ id, ...unknownDevice });
    }
    return { devices, next: undefined };
  }

  async get(id: string): Promise<UnknownDevice | undefined> {
    return QUARANTINE.get(this.#o.store, id);
  }

  /** False when it is not there. A device that comes again is noted again. */
  async remove(id: string): Promise<boolean> {
    let wasThere = false;
    await this.#o.store.update('quarantine', id, (text) => {
      wasThere = text !== undefined;
      return undefined;
    });
    return wasThere;
  }

  /** Changes are counted together. */
  #soon(): void {
    if (this.#stopped) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#work = this.#work
        .then(() => this.#bound())
        .catch((error: unknown) => {
          this.#o.log.warn({ error: messageOf(error) }, 'the quarantine cannot be written; its bound is kept once it can be');
          this.#soon();
        });
    }, GATHER_MS);
  }

  async #bound(): Promise<void> {
    const tooMany = this.#lastSeen.size - this.#o.most;
    const gone = tooMany <= 0 ? [] : [...this.#lastSeen].sort((a, b) => a[1] - b[1]).slice(0, tooMany);
    for (let at = 0; at < gone.length; at += PAGE) await this.#remove(gone.slice(at, at + PAGE));
    this.#o.count(this.#lastSeen.size);
  }

  /** A device that has come again meanwhile stays. */
  async #remove(silent: readonly (readonly [id: string, lastSeen: number])[]): Promise<void> {
    const { store } = this.#o;
    const removed: string[] = [];
    const ops: Op[] = [];
    for (const [id, lastSeen] of silent) {
      const text = await store.get('quarantine', id);
      if ((LAST_SEEN.read(text) ?? 0) > lastSeen) continue;
      ops.push(LAST_SEEN.expect(text, id), LAST_SEEN.remove(id));
      removed.push(id);
    }
    if (ops.length === 0) return;
    if (await store.write(ops)) for (const id of removed) this.#lastSeen.delete(id);
    // Its new row has been or will be announced.
    else this.#soon();
  }
}
