import { z } from 'zod';
import { every } from '../../base/beat.ts';
import { messageOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { type Following, follow, followKeys } from '../../state/follow.ts';
import { entries } from '../../state/pages.ts';
import type { StateStore, Table } from '../../state/store.ts';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';
import { DEVICES, type Device } from '../registry/device.ts';
import { inForce, PLANS, type PlanHistory, UNLIMITED_HISTORY } from './versions.ts';

/**
 * Tells of devices that are silent longer than their plan says (`silent_after_s`), and of their return. Runs in the supervisor.
 *
 * 1. Any traffic is a sign of life: a device has spoken when its usage has changed. One that is in service and has spoken once is watched.
 *    After a start each has its whole time again.
 * 2. A silence is told once, and its end once, also by several servers on one store and over a restart: it stands in the table `silent`
 *    from the one to the other, and is put there and taken out on the condition that no other did it.
 */
const SWEEP_MS = 1_000;

const silence = z.object({ since: z.number() });
type Silence = z.infer<typeof silence>;
/** Device id → since when it is silent, epoch ms. */
const SILENT = new TypedTable<Silence>({ name: 'silent', key: byId, parse: rowsOf(silence) });

export interface SilenceKeeperOptions {
  readonly store: StateStore;
  /** Journals an event of a device. */
  readonly record: (device: string, event: object) => void;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  /** Monotonic ms. */
  readonly elapsed: () => number;
  readonly log: Log;
}

interface Watched {
  readonly afterMs: number;
  /** When it has spoken last, monotonic ms. */
  heardAt: number;
}

export class SilenceKeeper {
  readonly #o: SilenceKeeperOptions;
  #plans: ReadonlyMap<string, PlanHistory> = new Map();
  readonly #watched = new Map<string, Watched>();
  readonly #silent = new Map<string, Silence>();
  /** Devices whose record has changed, and whether any may have. */
  readonly #changed = new Set<string>();
  #anyChanged = true;
  /** Silent devices that have spoken. */
  readonly #spoke = new Set<string>();
  #followings: Following[] = [];
  #unwatch: () => void = () => {};
  #stop: (() => void) | undefined;
  #work: Promise<void> = Promise.resolve();
  #busy = false;

  constructor(options: SilenceKeeperOptions) {
    this.#o = options;
  }

  start(): void {
    const { store, log } = this.#o;
    const planned = (plans: ReadonlyMap<string, PlanHistory>): void => {
      this.#plans = plans;
      this.#anyChanged = true;
    };
    this.#followings = [
      follow(
        store,
        PLANS,
        { all: planned, changed: (key, plan) => planned(new Map([...this.#plans, [key, plan ?? UNLIMITED_HISTORY]])) },
        log,
      ),
      follow(
        store,
        SILENT,
        {
          all: (rows) => {
            this.#silent.clear();
            for (const [device, row] of rows) this.#silent.set(device, row);
          },
          changed: (device, row) => {
            if (row === undefined) this.#silent.delete(device);
            else this.#silent.set(device, row);
          },
        },
        log,
      ),
    ];
    this.#unwatch = followKeys(store, ['devices', 'usage'], (table, key) => this.#seen(table, key), log);
    this.#stop = every(SWEEP_MS, () => this.#tick());
  }

  async stop(): Promise<void> {
    this.#stop?.();
    this.#unwatch();
    await Promise.all(this.#followings.map((one) => one.stop()));
    await this.#work;
  }

  #seen(table: Table, key: string | undefined): void {
    if (table === 'devices') {
      if (key === undefined) this.#anyChanged = true;
      else this.#changed.add(key);
      return;
    }
    // When any may have spoken, none is called silent for what was missed.
    const spoke = key === undefined ? [...this.#watched.keys()] : [key.slice(0, key.lastIndexOf(' '))];
    for (const device of spoke) {
      const watched = this.#watched.get(device);
      if (watched !== undefined) watched.heardAt = this.#o.elapsed();
      if (key !== undefined && this.#silent.has(device)) this.#spoke.add(device);
    }
  }

  #tick(): void {
    if (this.#busy) return;
    this.#busy = true;
    this.#work = this.#look()
      .catch((error: unknown) => this.#o.log.warn({ error: messageOf(error) }, 'silent devices cannot be looked for; retried'))
      .finally(() => (this.#busy = false));
  }

  async #look(): Promise<void> {
    await this.#read();
    for (const device of this.#spoke) {
      this.#spoke.delete(device);
      await this.#back(device);
    }
    const elapsed = this.#o.elapsed();
    for (const [device, { heardAt, afterMs }] of this.#watched)
      if (elapsed - heardAt >= afterMs && !this.#silent.has(device)) await this.#fellSilent(device, elapsed - heardAt, afterMs);
  }

  /** Which devices are watched. */
  async #read(): Promise<void> {
    const { store } = this.#o;
    const changed = [...this.#changed];
    this.#changed.clear();
    if (this.#anyChanged) {
      this.#anyChanged = false;
      const before = new Set(this.#watched.keys());
      if ([...this.#plans.values()].some(({ versions }) => versions.some(({ plan }) => plan.silent_after_s !== undefined)))
        for await (const [id, text] of entries(store, 'devices')) {
          before.delete(id);
          this.#watch(id, DEVICES.read(text));
        }
      for (const id of before) this.#watched.delete(id);
    }
    for (const id of changed) this.#watch(id, DEVICES.read(await store.get('devices', id)));
  }

  #watch(id: string, device: Device | undefined): void {
    const history = device === undefined ? undefined : this.#plans.get(device.plan);
    const plan = history === undefined ? undefined : inForce(history, this.#o.now()).plan;
    const afterMs = 1000 * (plan?.silent_after_s ?? 0);
    const isServed =
      device?.state === 'active' &&
      device.first_seen !== undefined &&
      Math.min(device.suspends_at ?? Infinity, device.expires_at ?? Infinity) > this.#o.now();
    if (afterMs === 0 || !isServed) this.#watched.delete(id);
    else this.#watched.set(id, { afterMs, heardAt: this.#watched.get(id)?.heardAt ?? this.#o.elapsed() });
  }

  async #fellSilent(device: string, silentMs: number, afterMs: number): Promise<void> {
    const { store, record, now } = this.#o;
    const since = Math.round(now() - silentMs);
    const isOurs = await store.write([
      { table: 'silent', key: device, expect: undefined },
      { table: 'silent', key: device, put: JSON.stringify({ since }) },
    ]);
    this.#silent.set(device, { since });
    if (isOurs) record(device, { type: 'device_silent', since, after_s: afterMs / 1000 });
  }

  async #back(device: string): Promise<void> {
    const { store, record, now } = this.#o;
    const text = await store.get('silent', device);
    const row = SILENT.read(text);
    const isOurs = await store.write([
      { table: 'silent', key: device, expect: text },
      { table: 'silent', key: device, remove: true },
    ]);
    if (isOurs || text === undefined) this.#silent.delete(device);
    else this.#spoke.add(device);
    if (isOurs && row !== undefined)
      record(device, { type: 'device_back', since: row.since, silent_s: Math.round((now() - row.since) / 1000) });
  }
}
