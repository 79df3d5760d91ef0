import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { StateStore } from '../state/store.ts';
import { parseStranger, type Stranger } from './stranger.ts';

/**
 * The unknown devices, for whoever decides about them; in the supervisor, which keeps their number bounded: beyond it, the longest
 * silent are forgotten.
 */
const PAGE = 1_000;

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
  /** When each was seen last; whoever came last stands last. */
  readonly #lastSeen = new Map<string, number>();
  #unwatch: () => void = () => {};
  #work: Promise<void> = Promise.resolve();

  constructor(options: QuarantineListOptions) {
    this.#o = options;
  }

  start(): void {
    this.#unwatch = this.#o.store.watch((table, key) => {
      if (table === 'quarantine') this.#step(() => (key === undefined ? this.#readAll() : this.#read(key)));
    });
    this.#step(() => this.#readAll());
  }

  async stop(): Promise<void> {
    this.#unwatch();
    await this.#work;
  }

  /** By id, behind `after`. */
  async list(after: string | undefined, limit: number): Promise<(Stranger & { id: string })[]> {
    const found = await this.#o.store.list('quarantine', { limit, ...(after === undefined ? {} : { after }) });
    return found.flatMap(({ key, value }) => {
      const stranger = parseStranger(value);
      return stranger === undefined ? [] : [{ id: key, ...stranger }];
    });
  }

  async get(id: string): Promise<Stranger | undefined> {
    return parseStranger(await this.#o.store.get('quarantine', id));
  }

  /** False when it is not there. A device that comes again is noted again. */
  async remove(id: string): Promise<boolean> {
    if ((await this.#o.store.get('quarantine', id)) === undefined) return false;
    return this.#o.store.write([{ table: 'quarantine', key: id, remove: true }]);
  }

  #step(work: () => Promise<void>): void {
    this.#work = this.#work.then(work).catch((error: unknown) => {
      this.#o.log.warn({ error: messageOf(error) }, 'the quarantine cannot be read; its bound is looked after once it can');
    });
  }

  async #readAll(): Promise<void> {
    const found: [string, number][] = [];
    for (let after: string | undefined; ; ) {
      const page = await this.#o.store.list('quarantine', { limit: PAGE, ...(after === undefined ? {} : { after }) });
      for (const { key, value } of page) found.push([key, parseStranger(value)?.last_seen ?? 0]);
      after = page.at(-1)?.key;
      if (page.length < PAGE) break;
    }
    this.#lastSeen.clear();
    for (const [id, lastSeen] of found.sort((a, b) => a[1] - b[1])) this.#lastSeen.set(id, lastSeen);
    await this.#bound();
  }

  async #read(id: string): Promise<void> {
    const stranger = await this.get(id);
    this.#lastSeen.delete(id);
    if (stranger !== undefined) this.#lastSeen.set(id, stranger.last_seen);
    await this.#bound();
  }

  async #bound(): Promise<void> {
    while (this.#lastSeen.size > this.#o.most) {
      const gone = [...this.#lastSeen.keys()].slice(0, Math.min(PAGE, this.#lastSeen.size - this.#o.most));
      await this.#o.store.write(gone.map((key) => ({ table: 'quarantine', key, remove: true })));
      for (const id of gone) this.#lastSeen.delete(id);
    }
    this.#o.count(this.#lastSeen.size);
  }
}
