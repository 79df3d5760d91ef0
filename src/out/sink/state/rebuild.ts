import { AppError } from '../../../base/errors.ts';
import { type Cycle, firstMoment } from '../../../fleet/plan/cycle.ts';
import type { DevicePlans } from '../../../fleet/plan/device-plans.ts';
import { type Counters, NOTHING } from '../../../fleet/plan/overhead.ts';
import { countersOf, usageKey } from '../../../fleet/plan/usage.ts';
import { pages } from '../../../state/pages.ts';
import type { Found, Op, StateStore, Table } from '../../../state/store.ts';
import type { Place, UsageHistory } from '../clickhouse/history.ts';
import { ANY_CURSOR, parseCursor } from './cursor.ts';

/**
 * The sums of billing cycles once more, from the history in ClickHouse, while the server counts on.
 *
 * 1. What is compared is the same usage: sums are read between two looks at the cursors of counting that show the same,
 *    and the history up to just there.
 * 2. What is written is the difference, added: what is counted meanwhile stays counted.
 * 3. Two rebuilds at once do not add the difference twice: the write expects that no other has rebuilt.
 */
export interface RebuildOptions {
  readonly store: StateStore;
  readonly plans: DevicePlans;
  readonly history: UsageHistory;
  readonly devices: readonly string[];
  /** Midnight of a day in the cycle, as if it were UTC, epoch ms; undefined: the cycle of `now`. */
  readonly date: number | undefined;
  readonly now: number;
  /** Compares only. */
  readonly dryRun: boolean;
  /** How long ClickHouse may take to get what has been counted, 30 s. */
  readonly patienceMs?: number | undefined;
}

export interface Rebuilt {
  readonly device: string;
  readonly cycle: Cycle;
  readonly before: Counters;
  readonly history: Counters;
  readonly differs: boolean;
}

/** Of one query and one look. */
const CHUNK = 200;
const ATTEMPTS = 20;
const LOOK_MS = 500;
/** Usage of a slot that counting knows nothing of is counted no more when it is as old. */
const SETTLED_MS = 600_000;
/** No cycle is longer. */
const LONGEST_MS = 33 * 86_400_000;
const REBUILDS: { readonly table: Table; readonly key: string } = { table: 'cursors', key: 'rebuild' };

/** Devices that may have usage in a cycle around `time`, epoch ms: in the history, or in the sums. */
export async function meteredDevices(store: StateStore, history: UsageHistory, time: number): Promise<string[]> {
  const devices = new Set(await history.devices(time - LONGEST_MS, time + LONGEST_MS));
  for (const { key } of await all(store, 'usage', '')) devices.add(key.slice(0, key.indexOf(' ')));
  return [...devices].sort();
}

export async function* rebuildUsage(options: RebuildOptions): AsyncGenerator<Rebuilt> {
  const { plans, devices, date, now } = options;
  const groups = new Map<string, { readonly cycle: Cycle; readonly devices: string[] }>();
  for (const device of devices) {
    const current = await plans.of(device, now);
    const { cycle } = date === undefined ? current : await plans.of(device, firstMoment(current.plan.time_zone, date));
    const key = `${cycle.start} ${cycle.end}`;
    const group = groups.get(key) ?? { cycle, devices: [] };
    groups.set(key, group);
    group.devices.push(device);
  }
  for (const { cycle, devices: those } of groups.values())
    for (let at = 0; at < those.length; at += CHUNK) yield* await rebuildChunk(options, cycle, those.slice(at, at + CHUNK));
}

async function rebuildChunk(options: RebuildOptions, cycle: Cycle, devices: readonly string[]): Promise<Rebuilt[]> {
  const { store, history, now, dryRun } = options;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const rebuilds = await store.get(REBUILDS.table, REBUILDS.key);
    const look = await lookAt(store, cycle, devices);
    if (look === undefined) continue;
    await arrived(
      options,
      look.places.filter(({ time }) => time >= cycle.start),
    );
    const upTo = look.places.map(({ instance, slot, delivered }) => ({ instance, slot, sequence: delivered }));
    const sums = await history.sums(devices, cycle, upTo, now - SETTLED_MS);
    const found = devices.map((device, i) => compared(device, cycle, look.sums[i] ?? NOTHING, sums.get(device) ?? NOTHING));
    const ops = found.filter(({ differs }) => differs).map(correction);
    if (dryRun || ops.length === 0) return found;
    const counted = { ...REBUILDS, put: String(Number(rebuilds ?? 0) + 1) };
    if (await store.write([{ ...REBUILDS, expect: rebuilds }, counted, ...ops])) return found;
  }
  throw new AppError('STATE_UNREACHABLE', 'the sums of usage changed during every comparison; retry when the server is less busy');
}

interface Look {
  readonly places: readonly (Place & { readonly delivered: number })[];
  readonly sums: readonly Counters[];
}

/** Invariant 1; undefined when something was counted meanwhile. */
async function lookAt(store: StateStore, cycle: Cycle, devices: readonly string[]): Promise<Look | undefined> {
  const before = await all(store, 'cursors', ANY_CURSOR);
  const sums = await Promise.all(devices.map(async (device) => countersOf(await store.get('usage', usageKey(device, cycle)))));
  const behind = await all(store, 'cursors', ANY_CURSOR);
  if (JSON.stringify(before) !== JSON.stringify(behind)) return undefined;
  const places = before.flatMap(({ key, value }) => {
    const [, instance = '', slot = ''] = key.split(' ');
    const { delivered, usage: sequence, time } = parseCursor(key, value);
    // Entries that were parked and delivered later do not count for a slot.
    return /^\d+$/.test(slot) ? [{ instance, slot, sequence, time, delivered }] : [];
  });
  return { places, sums };
}

/** Waits until ClickHouse has what has been counted. */
async function arrived({ history, patienceMs = 30_000 }: RebuildOptions, places: readonly Place[]): Promise<void> {
  for (let waited = 0; ; waited += LOOK_MS) {
    const missing = await history.missing(places);
    if (missing === undefined) return;
    if (waited >= patienceMs)
      throw new AppError(
        'SINK_UNREACHABLE',
        `ClickHouse lacks usage that was already counted (slot ${missing.slot} of ${missing.instance}, entry ${missing.sequence}): wait until fixgate_sink_oldest_undelivered_seconds is small, and retry`,
      );
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function compared(device: string, cycle: Cycle, before: Counters, history: Counters): Rebuilt {
  const differs = Object.values(differenceOf(before, history)).some((difference) => difference !== 0);
  return { device, cycle, before, history, differs };
}

function correction({ device, cycle, before, history }: Rebuilt): Op {
  return { table: 'usage', key: usageKey(device, cycle), add: differenceOf(before, history) };
}

function differenceOf(before: Counters, history: Counters): Record<string, number> {
  return {
    bytes_in: history.bytes_in - before.bytes_in,
    bytes_out: history.bytes_out - before.bytes_out,
    segments: history.segments - before.segments,
    datagrams: history.datagrams - before.datagrams,
    records: history.records - before.records,
  };
}

async function all(store: StateStore, table: Table, prefix: string): Promise<Found[]> {
  const found: Found[] = [];
  for await (const page of pages(store, table, { prefix })) found.push(...page);
  return found;
}
