import { z } from 'zod';
import { every } from '../../base/beat.ts';
import { systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
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
 * 3. While this process was stopped, or the store was away, it has heard nothing: each device has its whole time again.
 * 4. A device is not silent before its usage is counted: a worker or shipper that was stopped, or waits for a disk or the store,
 *    makes no device silent.
 * 5. The usage of a device is looked at twice, further apart than a change takes to get here, and a silence is written on the condition that it
 *    has not grown. It stands in the row: what is heard late, of before the silence, does not end it.
 */
const SWEEP_MS = 1_000;
/** Between two looks: this process was stopped. */
const STOPPED_MS = 5_000;
/** A change of the store gets here within a second. */
const CERTAIN_MS = 2_000;

const silence = z.object({
  since: z.number(),
  heard: z.string().optional().describe('what the device had sent by then, of its newest cycle; absent in rows of earlier versions'),
});
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
  /** All usage of this server from before that is in the store, epoch ms; 0: not known now. Absent: it always is. */
  readonly counted?: (() => Promise<number>) | undefined;
  /** Monotonic ms, by which the looks themselves are timed; that of the machine. */
  readonly pulse?: (() => number) | undefined;
  readonly log: Log;
  readonly everyMs?: number | undefined;
}

/** What a device has sent in its newest cycle. */
interface Heard {
  /** Undefined: it has no usage. */
  readonly key: string | undefined;
  readonly text: string | undefined;
  readonly what: string;
}

interface Watched {
  readonly afterMs: number;
  /** When it has spoken last, monotonic ms. */
  heardAt: number;
  /** What it had sent when it was silent for long enough at first, and when that was, by the pulse. */
  doubt: { readonly heard: Heard; readonly at: number } | undefined;
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
  /** End of the last look that did not fail, by the pulse. */
  #lookedAt: number;

  constructor(options: SilenceKeeperOptions) {
    this.#o = options;
    this.#lookedAt = this.#pulse();
  }

  start(): void {
    const { store, log } = this.#o;
    this.#lookedAt = this.#pulse();
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
    this.#stop = every(this.#o.everyMs ?? SWEEP_MS, () => this.#tick());
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
      if (watched !== undefined) this.#hear(watched);
      if (key !== undefined && this.#silent.has(device)) this.#spoke.add(device);
    }
  }

  #pulse(): number {
    return (this.#o.pulse ?? systemClock.elapsed)();
  }

  #hear(watched: Watched): void {
    watched.heardAt = this.#o.elapsed();
    watched.doubt = undefined;
  }

  #tick(): void {
    if (this.#busy) return;
    this.#busy = true;
    this.#work = this.#look()
      .catch((error: unknown) => this.#o.log.warn({ error: messageOf(error) }, 'silent devices cannot be looked for; retried'))
      .finally(() => (this.#busy = false));
  }

  async #look(): Promise<void> {
    this.#catchUp();
    await this.#read();
    for (const device of this.#spoke) {
      this.#spoke.delete(device);
      await this.#back(device);
    }
    // Asked for once a look, and only where a device seems silent.
    let counted: Promise<number> | undefined;
    const ask = (): Promise<number> => (counted ??= this.#o.counted?.() ?? Promise.resolve(Number.POSITIVE_INFINITY));
    for (const [device, watched] of this.#watched) {
      // This process may have been stopped since.
      if (this.#catchUp()) break;
      if (!this.#silent.has(device)) await this.#doubt(device, watched, ask);
    }
    this.#lookedAt = this.#pulse();
  }

  /** Invariant 3. True: it was stopped, or has failed for as long. */
  #catchUp(): boolean {
    const at = this.#pulse();
    if (at - this.#lookedAt < STOPPED_MS) return false;
    this.#lookedAt = at;
    for (const watched of this.#watched.values()) this.#hear(watched);
    return true;
  }

  /** Invariants 4 and 5. */
  async #doubt(device: string, watched: Watched, counted: () => Promise<number>): Promise<void> {
    const { elapsed, now } = this.#o;
    const { heardAt, afterMs, doubt } = watched;
    const silentMs = elapsed() - heardAt;
    if (silentMs < afterMs || (await counted()) < now() - silentMs + afterMs || watched.heardAt !== heardAt) return;
    if (doubt === undefined) {
      const heard = await this.#heard(device);
      // It may have spoken meanwhile.
      if (watched.heardAt === heardAt) watched.doubt = { heard, at: this.#pulse() };
    } else if (this.#pulse() - doubt.at >= CERTAIN_MS) await this.#fellSilent(device, watched, doubt.heard);
  }

  async #heard(device: string): Promise<Heard> {
    let found: Heard = { key: undefined, text: undefined, what: '' };
    for await (const [key, text] of entries(this.#o.store, 'usage', { prefix: `${device} ` })) {
      const { bytes_in = 0, texts_in = 0 } = Object(jsonOf(text));
      const isSent = Number(bytes_in) + Number(texts_in) > 0;
      found = { key, text, what: isSent ? `${key.slice(device.length + 1)} ${bytes_in} ${texts_in}` : found.what };
    }
    return found;
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
    else this.#watched.set(id, { heardAt: this.#o.elapsed(), doubt: undefined, ...this.#watched.get(id), afterMs });
  }

  async #fellSilent(device: string, watched: Watched, { key, text, what }: Heard): Promise<void> {
    const { store, record, now, elapsed } = this.#o;
    const { heardAt, afterMs } = watched;
    const row: Silence = { since: Math.round(now() - (elapsed() - heardAt)), heard: what };
    watched.doubt = undefined;
    const isOurs = await store.write([
      ...(key === undefined ? [] : [{ table: 'usage', key, expect: text } as const]),
      SILENT.expect(undefined, device),
      SILENT.put(row, device),
    ]);
    const there = isOurs ? row : await SILENT.get(store, device);
    if (there !== undefined) this.#silent.set(device, there);
    if (isOurs) record(device, { type: 'device_silent', since: row.since, after_s: afterMs / 1000 });
  }

  async #back(device: string): Promise<void> {
    const { store, record, now } = this.#o;
    const text = await store.get('silent', device);
    const row = SILENT.read(text);
    if (row?.heard !== undefined && (await this.#heard(device)).what === row.heard) return;
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
