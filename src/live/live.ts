import { every } from '../base/beat.ts';
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { EventJson } from '../out/record/event.ts';
import type { StateStore } from '../state/store.ts';
import { Feed } from './feed.ts';
import { Positions, type StoredRow } from './positions.ts';
import { RecentEvents } from './recent-events.ts';
import { Roster, type RosterOptions } from './roster.ts';
import type { SightRow, WhoRow } from './sights.ts';
import type { DeviceCounts } from './status.ts';

/**
 * What the supervisor knows of devices while it happens: their last places, and the feed of what changes.
 *
 * 1. Places come from the workers, and show what is on the disk though every store is away. What was known before the start comes
 *    from the database, as soon as it answers.
 * 2. Where several servers share a state store, the places of the others' devices come from the database, every SHARED_MS.
 */
export interface LiveOptions {
  readonly store: Pick<StateStore, 'watch' | 'list' | 'get'>;
  readonly clock: Clock;
  readonly log: Log;
  isConnected(device: string): boolean;
  /** Asks the workers to tell each second. */
  watch(): void;
  status(): object;
  /** All devices of the registry have been counted. */
  counted: RosterOptions['counted'];
  /** Pages of the last places in the database, of those received since, epoch ms. */
  stored(since: number): AsyncIterable<readonly StoredRow[]>;
  /** Other servers deliver into the same database. */
  readonly shared: boolean;
}

const TICK_MS = 1_000;
const RETRY_MS = 30_000;
const FIRST_RETRY_MS = 1_000;
const SHARED_MS = 15_000;
/** Delivery takes its time. */
const OVERLAP_MS = 300_000;

export class Live {
  readonly positions: Positions;
  readonly feed: Feed;
  readonly roster: Roster;
  readonly recent = new RecentEvents();
  /** The places from before the start have been read. */
  hydrated = false;
  readonly #o: LiveOptions;
  readonly #stop: () => void;
  #hydration: NodeJS.Timeout | undefined;
  #hydrating: Promise<void> = Promise.resolve();
  #since = 0;
  #retryMs = FIRST_RETRY_MS;
  #stopped = false;

  constructor(options: LiveOptions) {
    this.#o = options;
    const { store, clock, log } = options;
    this.feed = new Feed(options.watch, options.status);
    this.roster = new Roster({
      store,
      clock,
      log,
      described: (device, record) =>
        this.positions.describe(device, record?.account ?? '', record?.plan ?? 'default', record?.interval_s ?? 0),
      hidden: (device, erased) => {
        this.recent.remove(device);
        const account = this.positions.get(device)?.account ?? '';
        if (this.positions.remove(device)) this.feed.gone(device, erased, account);
      },
      capped: (device) => this.positions.touch(device),
      counted: options.counted,
    });
    this.positions = new Positions({
      now: () => clock.now(),
      isConnected: (device) => options.isConnected(device),
      isOverCap: (device) => this.roster.isOverCap(device),
      isRelay: (device) => this.roster.isRelay(device),
      erasedBefore: (device) => this.roster.erasedBefore(device),
      ownedSince: (device) => this.roster.ownedSince(device),
      passedOn: (device, from) => this.feed.gone(device, false, from),
      changed: (row) => this.feed.changed(row),
    });
    this.#stop = every(TICK_MS, () => {
      this.positions.sweep();
      this.feed.tick();
    });
    this.#hydrateAfter(FIRST_RETRY_MS);
  }

  /** What a worker has told. */
  seen(rows: readonly SightRow[], who: readonly WhoRow[]): void {
    this.positions.seen(rows, who);
  }

  /** Events that are on the disk. */
  events(events: readonly EventJson[]): void {
    for (const event of events) {
      const isHidden = this.roster.isRelay(event.device) || event.time < this.roster.erasedBefore(event.device);
      if (!isHidden && this.recent.add(event)) this.feed.event(event);
    }
  }

  /** Sessions of the device have come or gone. */
  moved(device: string): void {
    this.positions.touch(device);
  }

  counts(): DeviceCounts {
    const { positions, roster } = this;
    return { known: roster.known, silent: positions.silent, over_cap: roster.overCap, alarms_1h: positions.alarms };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stop();
    clearTimeout(this.#hydration);
    this.feed.close();
    await this.roster.stop();
    await this.#hydrating;
  }

  #hydrateAfter(ms: number): void {
    if (this.#stopped) return;
    this.#hydration = setTimeout(() => {
      this.#hydrating = this.#hydrate();
    }, ms).unref();
  }

  async #hydrate(): Promise<void> {
    const { clock, log, shared } = this.#o;
    const began = clock.now();
    try {
      if (!this.roster.isReady) return this.#hydrateAfter(FIRST_RETRY_MS);
      for await (const page of this.#o.stored(this.#since)) {
        if (this.#stopped) return;
        this.positions.restored(page);
      }
      this.hydrated = true;
      this.#since = began - OVERLAP_MS;
      if (shared) this.#hydrateAfter(SHARED_MS);
    } catch (error) {
      if (this.#stopped) return;
      if (this.#retryMs === RETRY_MS) log.warn({ error: messageOf(error) }, 'last positions cannot be read from ClickHouse; retrying');
      // At a start the tables are being made.
      this.#retryMs = Math.min(RETRY_MS, 2 * this.#retryMs);
      this.#hydrateAfter(this.#retryMs);
    }
  }
}
