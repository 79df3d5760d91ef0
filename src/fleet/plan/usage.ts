import { jsonOf } from '../../base/json.ts';
import type { Op, StateStore } from '../../state/store.ts';
import type { Device } from '../registry/device.ts';
import { type Cycle, proration } from './cycle.ts';
import { billed, type Counters } from './overhead.ts';
import type { Plan } from './plan.ts';
import { SERVICE } from './service.ts';
import { type InForce, inForce, PLANS, UNLIMITED_HISTORY } from './versions.ts';

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
  /** When the device was passed on to another account in this cycle: what was counted before is not in it. */
  readonly passed_at?: number;
  /** The larger of the two; 0 without caps. */
  readonly pct: number;
}

export type Metered = Pick<Device, 'id' | 'activates_at' | 'first_seen'>;

const NAMES = ['bytes_in', 'bytes_out', 'segments', 'datagrams', 'records', 'texts_in', 'texts_out'] as const;
/** Begins the names of what was counted before the device was passed on, beside the sums of the whole cycle. */
export const PASSED = 'passed_';

export function usageKey(device: string, cycle: Cycle): string {
  return `${device} ${cycle.start}`;
}

/** A cycle as far as it has been counted, some seconds ago: of the account that has the device now. */
export async function readUsage(store: StateStore, device: Metered, force: Pick<InForce, 'plan' | 'cycle'>): Promise<Usage> {
  return ownUsage(await store.get('usage', usageKey(device.id, force.cycle)), device, force);
}

/** Of a row of the table: what counts since the device was passed on, if it was in that cycle. */
export function ownUsage(text: string | undefined, device: Metered, { plan, cycle }: Pick<InForce, 'plan' | 'cycle'>): Usage {
  const { passed_at: passed = 0, ...row } = numbersOf(text);
  const own = Object.fromEntries(NAMES.map((name) => [name, (row[name] ?? 0) - (row[PASSED + name] ?? 0)]));
  const since = device.activates_at ?? device.first_seen;
  const used = countersOf(JSON.stringify(own));
  if (passed === 0) return usageOf(used, device, plan, cycle);
  return { ...usageOf(used, { id: device.id, activates_at: Math.max(passed, since ?? 0) }, plan, cycle), passed_at: passed };
}

/** A device is passed on to another account: what it has used in this cycle counts no more against its caps. */
export async function passedOps(
  store: Pick<StateStore, 'get'>,
  now: number,
  before: Device | undefined,
  after: Device | undefined,
): Promise<readonly Op[]> {
  if (after === undefined) return [];
  const last = before ?? (await SERVICE.get(store, after.id))?.periods.at(-1);
  if (last === undefined || (last.account ?? '') === (after.account ?? '')) return [];
  const { cycle } = inForce((await PLANS.get(store, last.plan)) ?? UNLIMITED_HISTORY, now);
  const key = usageKey(after.id, cycle);
  const row = numbersOf(await store.get('usage', key));
  const passed = NAMES.map((name) => [PASSED + name, (row[name] ?? 0) - (row[PASSED + name] ?? 0)]);
  return [{ table: 'usage', key, add: { ...Object.fromEntries(passed), passed_at: now - (row['passed_at'] ?? 0) } }];
}

/** `share`: of the caps. */
export function usageOf(
  counters: Counters,
  device: Metered,
  plan: Plan,
  cycle: Cycle,
  share = proration(plan, cycle, device.activates_at ?? device.first_seen),
): Usage {
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

/** Less of a cycle says nothing of its end. */
const LEAST_PART = 0.02;

/** What will have been used at the end, if it goes on like this. */
export interface Forecast {
  readonly expected_bytes: number;
  readonly expected_records: number;
  /** When a cap that is not reached yet will be, epoch ms; absent: not in this cycle. */
  readonly cap_at?: number;
}

/** `begun`: when the device began to count in the cycle. */
export function forecastOf(
  { billed_bytes, records, bytes_cap = Number.POSITIVE_INFINITY, records_cap = Number.POSITIVE_INFINITY }: Caps,
  begun: number,
  now: number,
  end: number,
): Forecast {
  const time = Math.max(LEAST_PART * (end - begun), now - begun);
  const left = Math.max(0, end - now);
  const reached = [
    [billed_bytes, bytes_cap],
    [records, records_cap],
  ].flatMap(([used = 0, cap = 0]) => (used > 0 && used < cap ? [Math.ceil(now + ((cap - used) * time) / used)] : []));
  const cap_at = Math.min(...reached, end);
  const expected = (used: number): number => Math.round(used + (used * left) / time);
  return { expected_bytes: expected(billed_bytes), expected_records: expected(records), ...(cap_at < end ? { cap_at } : {}) };
}

type Caps = Pick<Usage, 'billed_bytes' | 'records'> & {
  readonly bytes_cap?: number | undefined;
  readonly records_cap?: number | undefined;
};

/** A record of the table `usage`; zeros for none. */
export function countersOf(text: string | undefined): Counters {
  const { bytes_in = 0, bytes_out = 0, segments = 0, datagrams = 0, records = 0, texts_in = 0, texts_out = 0 } = numbersOf(text);
  const texts = { ...(texts_in === 0 ? {} : { texts_in }), ...(texts_out === 0 ? {} : { texts_out }) };
  return { bytes_in, bytes_out, segments, datagrams, records, ...texts };
}

function numbersOf(text: string | undefined): Readonly<Record<string, number>> {
  const value: unknown = jsonOf(text);
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value).filter((field): field is [string, number] => typeof field[1] === 'number'));
}

function against(cap: number | undefined, share: number, used: number): { readonly cap: number; readonly pct: number } | undefined {
  if (cap === undefined) return undefined;
  const prorated = Math.max(1, Math.floor(cap * share));
  return { cap: prorated, pct: (100 * used) / prorated };
}
