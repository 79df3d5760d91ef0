import { pages } from '../../state/pages.ts';
import type { StateStore } from '../../state/store.ts';
import { DEVICES } from '../registry/device.ts';
import type { Step } from './plan.ts';
import { POLICIES } from './steps.ts';
import { readUsage } from './usage.ts';
import { type InForce, inForce, PLANS, UNLIMITED_HISTORY } from './versions.ts';

/** What the devices have used in their cycle, and how near they are to the caps of their plans: computed when it is asked for, kept for KEPT_MS. */
const KEPT_MS = 60_000;
/** Less of a cycle says nothing of its end. */
const LEAST_PART = 0.02;

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

export class UsageRanking {
  readonly #store: StateStore;
  readonly #now: () => number;
  readonly #kept = new Map<boolean, { readonly at: number; readonly list: Promise<readonly RankedUsage[]> }>();

  /** `now`: epoch ms. */
  constructor(store: StateStore, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /**
   * Those on a plan with a cap, or all, which takes long where most have none; the nearest to a cap first. Rejects as the store does.
   */
  list(isAll: boolean): Promise<readonly RankedUsage[]> {
    const kept = this.#kept.get(isAll);
    if (kept !== undefined && this.#now() - kept.at < KEPT_MS) return kept.list;
    const list = this.#rank(isAll);
    this.#kept.set(isAll, { at: this.#now(), list });
    list.catch(() => this.#kept.delete(isAll));
    return list;
  }

  async #rank(isAll: boolean): Promise<readonly RankedUsage[]> {
    const store = this.#store;
    const now = this.#now();
    const plans = new Map<string, InForce>();
    const unlimited = inForce(UNLIMITED_HISTORY, now);
    for await (const [name, plan] of PLANS.entries(store)) plans.set(name, inForce(plan, now));
    const ranked: RankedUsage[] = [];
    for await (const page of pages(store, 'devices'))
      for (const { value } of page) {
        const device = DEVICES.read(value);
        const force = plans.get(device?.plan ?? '') ?? unlimited;
        const { plan } = force;
        const hasCap = plan.bytes_cap !== undefined || plan.records_cap !== undefined;
        if (device === undefined || !(isAll || hasCap)) continue;
        const { cycle, billed_bytes, records, pct, bytes_pct, records_pct, passed_at = 0 } = await readUsage(store, device, force);
        const policy = POLICIES.read(await store.get('policies', device.id));
        const begun = Math.max(cycle.start, passed_at);
        const part = Math.max(LEAST_PART, (now - begun) / (cycle.end - begun));
        ranked.push({
          device: device.id,
          account: device.account ?? '',
          plan: plan.name,
          billed_bytes,
          records,
          ...(bytes_pct === undefined ? {} : { bytes_pct: tenths(bytes_pct) }),
          ...(records_pct === undefined ? {} : { records_pct: tenths(records_pct) }),
          forecast_pct: tenths(pct / part),
          held: policy === undefined || now >= policy.cycle_end ? [] : policy.held,
          pct,
          since: begun,
        });
      }
    return ranked.sort((a, b) => b.pct - a.pct);
  }
}

function tenths(value: number): number {
  return Math.round(10 * value) / 10;
}
