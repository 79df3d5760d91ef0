import { jsonOf } from '../../base/json.ts';
import type { StateStore } from '../../state/store.ts';
import { TypedTable } from '../../state/table.ts';
import type { Device } from '../registry/device.ts';
import { type Cycle, proration } from './cycle.ts';
import { billed, type Counters } from './overhead.ts';
import type { Plan } from './plan.ts';
import type { InForce } from './versions.ts';

/** What a device has used in a billing cycle, against the caps of its plan. Times in epoch ms. */
export interface Usage extends Counters {
  readonly cycle: Cycle;
  /** Bytes that count: both ways, with overhead, rounded. */
  readonly billed_bytes: number;
  /** Caps of this cycle, prorated if the plan says so; absent: none. */
  readonly bytes_cap?: number;
  readonly records_cap?: number;
  /** Shares of the caps, in per cent; absent without the cap. */
  readonly bytes_pct?: number;
  readonly records_pct?: number;
  /** The larger of the two; 0 without caps. */
  readonly pct: number;
}

export type Metered = Pick<Device, 'id' | 'activates_at' | 'first_seen'>;

/** Sums of a billing cycle. Whatever else the text is, it has counted nothing. */
const USAGE = new TypedTable<Counters, [device: string, cycle: Cycle]>({ name: 'usage', key: usageKey, parse: countersOf });

export function usageKey(device: string, cycle: Cycle): string {
  return `${device} ${cycle.start}`;
}

/** A cycle as far as it has been counted: some seconds ago. */
export async function readUsage(store: StateStore, device: Metered, { plan, cycle }: Pick<InForce, 'plan' | 'cycle'>): Promise<Usage> {
  return usageOf((await USAGE.get(store, device.id, cycle)) ?? countersOf(undefined), device, plan, cycle);
}

export function usageOf(counters: Counters, device: Metered, plan: Plan, cycle: Cycle): Usage {
  const share = proration(plan, cycle, device.activates_at ?? device.first_seen);
  const billed_bytes = billed(plan, counters);
  const bytes = against(plan.bytes_cap, share, billed_bytes);
  const records = against(plan.records_cap, share, counters.records);
  return {
    ...counters,
    cycle,
    billed_bytes,
    ...(bytes === undefined ? {} : { bytes_cap: bytes.cap, bytes_pct: bytes.pct }),
    ...(records === undefined ? {} : { records_cap: records.cap, records_pct: records.pct }),
    pct: Math.max(bytes?.pct ?? 0, records?.pct ?? 0),
  };
}

/** A record of the table `usage`; zeros for none. */
export function countersOf(text: string | undefined): Counters {
  const value: unknown = jsonOf(text);
  const count = (name: keyof Counters): number => {
    const found: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, name) : 0;
    return typeof found === 'number' ? found : 0;
  };
  return {
    bytes_in: count('bytes_in'),
    bytes_out: count('bytes_out'),
    segments: count('segments'),
    datagrams: count('datagrams'),
    records: count('records'),
    ...(count('texts_in') === 0 ? {} : { texts_in: count('texts_in') }),
    ...(count('texts_out') === 0 ? {} : { texts_out: count('texts_out') }),
  };
}

function against(cap: number | undefined, share: number, used: number): { readonly cap: number; readonly pct: number } | undefined {
  if (cap === undefined) return undefined;
  const prorated = Math.max(1, Math.floor(cap * share));
  return { cap: prorated, pct: (100 * used) / prorated };
}
