import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import type { StateStore } from '../state/store.ts';
import { parseStranger, type Stranger } from './stranger.ts';

/**
 * The unknown devices, for whoever decides about them; in the supervisor, which keeps their number bounded: beyond it, the longest
 * silent are forgotten.
 */
const PAGE = 1_000;
/** Changes are looked at together. */
const GATHER_MS = 300;

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
  readonly #lastSeen = new Map<string, number>();
  #changed = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #unwatch: () => void = () => {};
  #work: Promise<void> = Promise.resolve();

  constructor(options: QuarantineListOptions) {
    this.#o = options;
  }

  start(): void {
    this.#unwatch = this.#o.store.watch((table, key) => {
      if (table !== 'quarantine') return;
      if (key === undefined) this.#step(() => this.#readAll());
      else this.#changed.add(key);
      this.#timer ??= setTimeout(() => this.#look(), GATHER_MS);
    });
    this.#step(() => this.#readAll());
  }

  async stop(): Promise<void> {
    this.#unwatch();
    clearTimeout(this.#timer);
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
    let wasThere = false;
    await this.#o.store.update('quarantine', id, (text) => {
      wasThere = text !== undefined;
      return undefined;
    });
    return wasThere;
  }

  #look(): void {
    this.#timer = undefined;
    const changed = this.#changed;
    this.#changed = new Set();
    this.#step(() => this.#read(changed));
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
    for (const [id, lastSeen] of found) this.#lastSeen.set(id, lastSeen);
    await this.#bound();
  }

  async #read(ids: ReadonlySet<string>): Promise<void> {
    for (const id of ids) {
      const stranger = await this.get(id);
      if (stranger === undefined) this.#lastSeen.delete(id);
      else this.#lastSeen.set(id, stranger.last_seen);
    }
    await this.#bound();
  }

  async #bound(): Promise<void> {
    const tooMany = this.#lastSeen.size - this.#o.most;
    const gone = tooMany <= 0 ? [] : [...this.#lastSeen].sort((a, b) => a[1] - b[1]).slice(0, tooMany);
    for (let at = 0; at < gone.length; at += PAGE) {
      const page = gone.slice(at, at + PAGE);
      await this.#o.store.write(page.map(([key]) => ({ table: 'quarantine', key, remove: true })));
      for (const [id] of page) this.#lastSeen.delete(id);
    }
    this.#o.count(this.#lastSeen.size);
  }
}
