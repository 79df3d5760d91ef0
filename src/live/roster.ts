import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { Seldom } from '../base/seldom.ts';
import { POLICIES, type Policy } from '../fleet/plan/steps.ts';
import { ERASURES, type Erasure, stretchesIn } from '../fleet/privacy/erasure.ts';
import { DEVICES, type Device } from '../fleet/registry/device.ts';
import { OWNERS, type Period } from '../fleet/registry/owners.ts';
import { type Following, follow, followKeys } from '../state/follow.ts';
import { pages } from '../state/pages.ts';
import type { StateStore } from '../state/store.ts';

/**
 * What the state store says of devices, as far as it decides who is shown: which are relayed, over a cap, erased, and whose they are; and how many there are.
 *
 * 1. Until every record has been read once, and while it is not known whether the store can be read, `isReady` is false: then nothing is
 *    shown that did not come from a worker, which knows for itself.
 * 2. Of devices that are not special nothing is kept but the account.
 */
export interface RosterOptions {
  readonly store: Pick<StateStore, 'watch' | 'list' | 'get'>;
  readonly clock: Clock;
  readonly log: Log;
  /** The record, for what is shown beside a place; undefined: there is none any more. */
  described(device: string, record: Device | undefined): void;
  /** It must not be shown any more, or what came before now must not. */
  hidden(device: string, erased: boolean): void;
  /** Whether it is over a cap may have changed. */
  capped(device: string): void;
  /** All devices have been counted, by state. */
  counted(states: ReadonlyMap<Device['state'], number>): void;
}

/** Pauses between two counts: at least this, and this many times what the last one took. */
const COUNT_MS = 60_000;
const COUNT_SHARE = 100;
const RETRY_MS = 2_000;
/** So many devices are counted in no time. */
const FEW = 10_000;

export class Roster {
  /** Devices in the registry, as of the last count. */
  known = 0;
  isReady = false;
  readonly #o: RosterOptions;
  readonly #relays = new Set<string>();
  readonly #accounts = new Map<string, string>();
  /** Since when devices are of their account that had another before. */
  #since = new Map<string, number>();
  #policies = new Map<string, Policy>();
  #erased = new Map<string, number>();
  readonly #following: readonly Following[];
  readonly #unwatch: () => void;
  readonly #trouble: Seldom;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** A count begins within RETRY_MS. */
  #isSoon = false;
  #counting: Promise<void> = Promise.resolve();

  constructor(options: RosterOptions) {
    this.#o = options;
    const { store, clock, log } = options;
    this.#trouble = new Seldom('the devices of the registry cannot be read; retrying', clock);
    this.#following = [
      follow(
        store,
        POLICIES,
        {
          all: (rows) => {
            const before = this.#policies;
            this.#policies = new Map(rows);
            for (const device of new Set([...before.keys(), ...rows.keys()])) options.capped(device);
          },
          changed: (device, row) => {
            if (row === undefined) this.#policies.delete(device);
            else this.#policies.set(device, row);
            options.capped(device);
          },
        },
        log,
      ),
      follow(
        store,
        ERASURES,
        {
          all: (rows) => {
            this.#erased = new Map();
            for (const row of rows.values()) this.#erase(row);
          },
          changed: (_device, row) => this.#erase(row),
        },
        log,
      ),
      follow(
        store,
        OWNERS,
        {
          all: (rows) => {
            this.#since = new Map([...rows].flatMap(([device, periods]) => (isPassedOn(periods) ? [[device, sinceOf(periods)]] : [])));
          },
          changed: (device, periods) => {
            if (periods !== undefined && isPassedOn(periods)) this.#since.set(device, sinceOf(periods));
            else this.#since.delete(device);
          },
        },
        log,
      ),
    ];
    this.#unwatch = followKeys(store, ['devices'], (_table, key) => (key === undefined ? this.#countAfter(0) : void this.#renew(key)), log);
    this.#countAfter(0);
  }

  isRelay(device: string): boolean {
    return this.#relays.has(device);
  }

  /** A step holds that is more than a notice. */
  isOverCap(device: string): boolean {
    const policy = this.#policies.get(device);
    return policy !== undefined && this.#o.clock.now() < policy.cycle_end && policy.held.some(({ action }) => action !== 'notify');
  }

  get overCap(): number {
    let sum = 0;
    for (const device of this.#policies.keys()) if (this.isOverCap(device)) sum++;
    return sum;
  }

  erasedBefore(device: string): number {
    return this.#erased.get(device) ?? 0;
  }

  /** '' while it is not known, and for none. */
  accountOf(device: string): string {
    return this.#accounts.get(device) ?? '';
  }

  /** What came before this, epoch ms, was of another account; 0: nothing was. */
  ownedSince(device: string): number {
    return this.#since.get(device) ?? 0;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#unwatch();
    await Promise.all([...this.#following.map((one) => one.stop()), this.#counting]);
  }

  #erase(row: Erasure | undefined): void {
    if (row === undefined) return;
    // What was of an account that had the device before is not shown anyway.
    const until = Math.max(
      0,
      ...stretchesIn(row)
        .filter(({ to, until: end }) => to === end)
        .map(({ to }) => to),
    );
    for (const id of [row.device, ...row.ids]) {
      const before = this.#erased.get(id) ?? 0;
      this.#erased.set(id, Math.max(before, until));
      if (until > before) this.#o.hidden(id, true);
    }
  }

  async #renew(device: string): Promise<void> {
    // A few are counted again at once.
    if (this.known < FEW && this.isReady && !this.#isSoon) {
      this.#isSoon = true;
      this.#countAfter(RETRY_MS);
    }
    try {
      this.#take(device, DEVICES.read(await this.#o.store.get('devices', device)));
    } catch {
      // The next count reads it.
      this.#countAfter(RETRY_MS);
    }
  }

  #take(device: string, record: Device | undefined): void {
    if (record?.account === undefined) this.#accounts.delete(device);
    else this.#accounts.set(device, record.account);
    if (record?.privacy === 'relay') {
      const isNews = !this.#relays.has(device);
      this.#relays.add(device);
      if (isNews) this.#o.hidden(device, false);
      return;
    }
    this.#relays.delete(device);
    this.#o.described(device, record);
  }

  #countAfter(ms: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#counting = this.#counting.then(() => this.#count());
    }, ms).unref();
  }

  async #count(): Promise<void> {
    const { clock, log, store } = this.#o;
    const since = clock.elapsed();
    this.#isSoon = false;
    try {
      let known = 0;
      const states = new Map<Device['state'], number>();
      for await (const page of pages(store, 'devices')) {
        if (this.#stopped) return;
        for (const { key, value } of page) {
          const record = DEVICES.read(value);
          this.#take(key, record);
          if (record !== undefined) states.set(record.state, 1 + (states.get(record.state) ?? 0));
        }
        known += page.length;
      }
      this.known = known;
      this.#o.counted(states);
      this.isReady = true;
      this.#countAfter(Math.max(COUNT_MS, COUNT_SHARE * (clock.elapsed() - since)));
    } catch (error) {
      if (this.#stopped) return;
      this.#trouble.warn(log, { error: messageOf(error) });
      this.#countAfter(RETRY_MS);
    }
  }
}

function isPassedOn(periods: readonly Period[]): boolean {
  return periods.length > 1;
}

function sinceOf(periods: readonly Period[]): number {
  const last = periods.at(-1);
  return last?.to ?? last?.from ?? 0;
}
