import { pages } from '../../state/pages.ts';
import type { StateStore } from '../../state/store.ts';
import { DEVICES, type Device } from '../registry/device.ts';
import type { Step } from './plan.ts';
import { POLICIES } from './steps.ts';
import { ownUsage, readUsage } from './usage.ts';
import { type InForce, inForce, PLANS, UNLIMITED_HISTORY } from './versions.ts';

/**
 * What the devices have used in their cycle, and how near they are to the caps of their plans: computed when it is asked for, kept for KEPT_MS,
 * and for so long that computing it takes no more than a part of the time.
 *
 * 1. Who has used the most is found by the sums alone: of the devices, only the records of those that are given are read, and of a few behind them.
 */
const KEPT_MS = 60_000;
const KEPT_SHARE = 20;
/** Less of a cycle says nothing of its end. */
const LEAST_PART = 0.02;
/** Devices that are read at once. */
const CHUNK = 100;

export interface RankedUsage {
  readonly device: string;
  readonly account: string;
  readonly plan: string;
  /** That count in this cycle. */
  readonly billed_bytes: number;
  readonly records: number;
  /** Shares of the caps, per cent; absent without the cap. */
  readonly bytes_pct?: number;
  readonly records_pct?: number;
  /** At the end of the cycle, if it goes on like this. */
  readonly forecast_pct: number;
  /** Steps of the plan that hold. */
  readonly held: readonly Step[];
  /** From when on that was counted, epoch ms. */
  readonly since: number;
  /** The larger share. */
  readonly pct: number;
}

/** By what the loudest are found. */
export type Loudness = 'billed_bytes' | 'records';

/** What a device has used in a running cycle, at most. */
interface Sum {
  readonly device: string;
  readonly billed_bytes: number;
  readonly records: number;
}

interface Wanted {
  readonly limit: number;
  /** To be asked before anything is read of the device. */
  maySee(device: string): boolean;
  wants(one: RankedUsage): boolean;
}

interface Kept<T> {
  until: number;
  readonly list: Promise<readonly T[]>;
}

export class UsageRanking {
  readonly #store: StateStore;
  readonly #now: () => number;
  readonly #nearest = new Map<'pct', Kept<RankedUsage>>();
  readonly #sums = new Map<Loudness, Kept<Sum>>();

  /** `now`: epoch ms. */
  constructor(store: StateStore, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** Those on a plan with a cap, the nearest to it first. Rejects as the store does. */
  nearest(): Promise<readonly RankedUsage[]> {
    return this.#keep(this.#nearest, 'pct', () => this.#rank());
  }

  /** Those that have used anything in their cycle, the most first. Invariant 1. Rejects as the store does. */
  async loudest(by: Loudness, { limit, maySee, wants }: Wanted): Promise<readonly RankedUsage[]> {
    const plans = await this.#plans();
    const sums = (await this.#keep(this.#sums, by, () => this.#sum(by))).filter(({ device }) => maySee(device));
    const found = new Map<string, RankedUsage>();
    let list: RankedUsage[] = [];
    for (let at = 0; at < sums.length; at += CHUNK) {
      // Who is behind has used no more than this.
      const most = sums[at]?.[by] ?? 0;
      if (list.length >= limit && (list[limit - 1]?.[by] ?? 0) >= most) break;
      const some = await Promise.all(sums.slice(at, at + CHUNK).map(({ device }) => this.#read(device, plans)));
      for (const one of some) if (one !== undefined && one[by] > 0 && wants(one)) found.set(one.device, one);
      list = [...found.values()].sort((a, b) => b[by] - a[by] || (a.device < b.device ? -1 : 1));
    }
    return list.slice(0, limit);
  }

  #keep<K, T>(all: Map<K, Kept<T>>, key: K, compute: () => Promise<readonly T[]>): Promise<readonly T[]> {
    const before = all.get(key);
    if (before !== undefined && this.#now() < before.until) return before.list;
    const begun = this.#now();
    const kept = { until: Number.POSITIVE_INFINITY, list: compute() };
    all.set(key, kept);
    kept.list.then(
      () => {
        kept.until = begun + Math.max(KEPT_MS, KEPT_SHARE * (this.#now() - begun));
      },
      () => all.delete(key),
    );
    return kept.list;
  }

  async #plans(): Promise<ReadonlyMap<string, InForce>> {
    const now = this.#now();
    const plans = new Map<string, InForce>();
    for await (const [name, plan] of PLANS.entries(this.#store)) plans.set(name, inForce(plan, now));
    return plans;
  }

  async #rank(): Promise<readonly RankedUsage[]> {
    const plans = await this.#plans();
    const ranked: RankedUsage[] = [];
    for await (const page of pages(this.#store, 'devices'))
      for (const { value } of page) {
        const device = DEVICES.read(value);
        const plan = plans.get(device?.plan ?? '')?.plan;
        if (device === undefined || (plan?.bytes_cap === undefined && plan?.records_cap === undefined)) continue;
        ranked.push(await this.#ranked(device, plans));
      }
    return ranked.sort((a, b) => b.pct - a.pct);
  }

  /** Of every cycle that is running for some plan: by the plan that charges the most for it. */
  async #sum(by: Loudness): Promise<readonly Sum[]> {
    const running = new Map<string, InForce[]>();
    const charges = new Set<string>();
    for (const force of [inForce(UNLIMITED_HISTORY, this.#now()), ...(await this.#plans()).values()]) {
      const start = String(force.cycle.start);
      const charge = `${start} ${JSON.stringify(force.plan.overhead)}`;
      if (!charges.has(charge)) running.set(start, [...(running.get(start) ?? []), force]);
      charges.add(charge);
    }
    const sums: Sum[] = [];
    for await (const page of pages(this.#store, 'usage'))
      for (const { key, value } of page) {
        const at = key.lastIndexOf(' ');
        const used = (running.get(key.slice(at + 1)) ?? []).map((force) => ownUsage(value, { id: key.slice(0, at) }, force));
        const [first] = used;
        const billed_bytes = Math.max(0, ...used.map((one) => one.billed_bytes));
        if (first !== undefined && (by === 'records' ? first.records : billed_bytes) > 0)
          sums.push({ device: key.slice(0, at), billed_bytes, records: first.records });
      }
    return sums.sort((a, b) => b[by] - a[by]);
  }

  async #read(id: string, plans: ReadonlyMap<string, InForce>): Promise<RankedUsage | undefined> {
    const device = await DEVICES.get(this.#store, id);
    return device === undefined ? undefined : this.#ranked(device, plans);
  }

  async #ranked(device: Device, plans: ReadonlyMap<string, InForce>): Promise<RankedUsage> {
    const now = this.#now();
    const force = plans.get(device.plan) ?? inForce(UNLIMITED_HISTORY, now);
    const [used, policy] = await Promise.all([readUsage(this.#store, device, force), POLICIES.get(this.#store, device.id)]);
    const { cycle, billed_bytes, records, pct, bytes_pct, records_pct, passed_at = 0 } = used;
    const begun = Math.max(cycle.start, passed_at);
    const part = Math.max(LEAST_PART, (now - begun) / (cycle.end - begun));
    return {
      device: device.id,
      account: device.account ?? '',
      plan: force.plan.name,
      billed_bytes,
      records,
      ...(bytes_pct === undefined ? {} : { bytes_pct: tenths(bytes_pct) }),
      ...(records_pct === undefined ? {} : { records_pct: tenths(records_pct) }),
      forecast_pct: tenths(pct / part),
      held: policy === undefined || now >= policy.cycle_end ? [] : policy.held,
      pct,
      since: begun,
    };
  }
}

function tenths(value: number): number {
  return Math.round(10 * value) / 10;
}
