import { z } from 'zod';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';
import type { Device } from '../registry/device.ts';

/**
 * Life of a device's service (docs/plans.md): in which state it was from when on, on which plan and whose, and the events that say so. The table
 * `service`, by device id.
 *
 * 1. Periods follow one another, each from its moment to the next one's; none is changed afterwards.
 * 2. An event follows from what the service was (`mark`) and the state that comes: `EDGES` has them all. A device that has not been in service
 *    yet is not suspended or ended by anything.
 * 3. A date that passes takes effect at the date, however late it is noticed, and each in its turn.
 * 4. Events stand in the row as news until they have been announced (`service-keeper.ts`).
 */
export const SERVICE_STATES = ['pending', 'active', 'suspended', 'expired', 'terminated', 'removed'] as const;
export type ServiceState = (typeof SERVICE_STATES)[number];

const periodSchema = z.object({
  state: z.enum(SERVICE_STATES),
  /** Epoch ms; to the next period's. */
  from: z.number(),
  plan: z.string(),
  account: z.string(),
  /** The token, `time` for a date, `device` for a first contact. */
  by: z.string(),
  reason: z.string(),
});
export type Period = z.infer<typeof periodSchema>;

const marks = ['new', 'running', 'paused', 'ended'] as const;
type Mark = (typeof marks)[number];

const serviceSchema = z.object({
  mark: z.enum(marks),
  periods: z.array(periodSchema).min(1),
  /** The end of which `service_ending` has been said, epoch ms. */
  ending: z.number().optional(),
  news: z.array(z.record(z.string(), z.union([z.string(), z.number()]))).default([]),
  /** The installation that announces the news, and until when others leave that to it; absent: none does. */
  announcing: z.object({ by: z.string(), until: z.number() }).optional(),
});
export type ServiceRow = z.infer<typeof serviceSchema>;

export const SERVICE = new TypedTable<ServiceRow>({ name: 'service', key: byId, parse: rowsOf(serviceSchema) });
/** Key of the row that says that devices of before there was this table have their rows. */
export const SETTLED_KEY = '*';

/** Periods that are kept of a device. */
export const MOST_PERIODS = 500;

type Kind = 'in' | 'waits' | 'out';
const KINDS: Readonly<Record<ServiceState, Kind>> = {
  pending: 'waits',
  active: 'in',
  suspended: 'waits',
  expired: 'out',
  terminated: 'out',
  removed: 'out',
};

/** Invariant 2: the event, and what the service is then. */
const EDGES: Readonly<Record<Mark, Readonly<Record<Kind, readonly [event: string, mark: Mark]>>>> = {
  new: { in: ['service_started', 'running'], waits: ['', 'new'], out: ['', 'new'] },
  running: { in: ['', 'running'], waits: ['service_suspended', 'paused'], out: ['service_ended', 'ended'] },
  paused: { in: ['service_resumed', 'running'], waits: ['', 'paused'], out: ['service_ended', 'ended'] },
  ended: { in: ['service_reactivated', 'running'], waits: ['', 'ended'], out: ['', 'ended'] },
};

/** Why something changes: `by` and `reason` of the events; '' for what the state itself says. */
interface Cause {
  readonly by: string;
  readonly reason: string;
}

/** The state at `at`, epoch ms; of a device whose record is not there: removed. */
function serviceState(device: Device | undefined, at: number): ServiceState {
  if (device === undefined) return 'removed';
  const { state, activates_at, expires_at, first_seen } = device;
  if (state === 'terminated') return 'terminated';
  if (expires_at !== undefined && at >= expires_at) return 'expired';
  if (activates_at === undefined ? first_seen === undefined || at < first_seen : at < activates_at) return 'pending';
  return state === 'suspended' ? 'suspended' : 'active';
}

/** When the state will change by time alone, epoch ms; Infinity: never. */
export function nextChange(device: Device | undefined, now: number): number {
  const { activates_at = 0, expires_at = 0 } = device ?? {};
  return Math.min(...[activates_at, expires_at].filter((at) => at > now), Number.POSITIVE_INFINITY);
}

/**
 * The row once the device is as it is at `now`: the same object if nothing has changed. `isSilent`: of a device from before there were rows, no
 * events.
 */
export function advance(
  row: ServiceRow | undefined,
  device: Device | undefined,
  now: number,
  cause: Cause,
  isSilent = false,
): ServiceRow | undefined {
  if (row === undefined && device === undefined) return undefined;
  const since = row?.periods.at(-1)?.from ?? Number.NEGATIVE_INFINITY;
  const { activates_at, expires_at, first_seen } = device ?? {};
  const start = activates_at ?? first_seen;
  const dates = [start, expires_at].filter((at): at is number => at !== undefined && at > since && at <= now).sort((a, b) => a - b);
  let moved = row;
  // What a caller has changed holds from now on, also when it is a date that lies behind.
  if (cause.by === 'time')
    for (const at of dates)
      moved = step(moved, device, at, { by: at === first_seen && activates_at === undefined ? 'device' : 'time', reason: '' });
  moved = step(moved, device, Math.max(now, since), moved === row ? cause : { by: 'time', reason: '' });
  return isSilent && moved !== undefined && row === undefined ? { ...moved, news: [] } : moved;
}

/** Is this all that is known of a device that a first contact made, that never came back, and that was removed? Its row goes with it. */
export function isForgotten({ periods }: ServiceRow): boolean {
  return periods.at(-1)?.state === 'removed' && periods.every(({ state, reason }) => state === 'removed' || reason === 'provisional');
}

/** The row with the news that the service ends at `expires_at`, if that is near and was not said. */
export function withEnding(row: ServiceRow | undefined, device: Device | undefined, now: number, noticeMs: number): ServiceRow | undefined {
  const end = device?.expires_at;
  if (row === undefined || end === undefined || row.ending === end) return row;
  if ((row.mark !== 'running' && row.mark !== 'paused') || noticeMs === 0 || now < end - noticeMs || now >= end) return row;
  return { ...row, ending: end, news: [...row.news, { type: 'service_ending', by: 'time', reason: 'expires_at', effective: end }] };
}

function step(row: ServiceRow | undefined, device: Device | undefined, at: number, cause: Cause): ServiceRow {
  const last = row?.periods.at(-1);
  const state = serviceState(device, at);
  const plan = device?.plan ?? last?.plan ?? '';
  const account = device?.account ?? (device === undefined ? (last?.account ?? '') : '');
  const isBack = last?.reason === 'provisional' && device?.provisional !== true;
  if (row !== undefined && last?.state === state && last.plan === plan && last.account === account && !isBack) return row;
  const { by } = cause;
  const reason = cause.reason || reasonOf(state, by, device);
  const periods = [...(row?.periods ?? []), { state, from: at, plan, account, by, reason }].slice(-MOST_PERIODS);
  const before = row ?? { mark: 'new' as const, news: [] };
  if (last?.state === state) return { ...before, periods };
  const [event, mark] = EDGES[before.mark][KINDS[state]];
  const after = event === 'service_reactivated' ? { after: endOf(row?.periods ?? []) } : {};
  const news = event === '' ? [] : [{ type: event, by, reason, effective: at, ...after }];
  const dated = state === 'expired' ? ['device_expired'] : state === 'active' && isDated(last?.state, device) ? ['device_activated'] : [];
  return { ...before, mark, periods, news: [...before.news, ...news, ...dated.map((type) => ({ type }))] };
}

function isDated(before: ServiceState | undefined, device: Device | undefined): boolean {
  return before === 'expired' || (before === 'pending' && device?.activates_at !== undefined);
}

/** What ended the service last. */
function endOf(periods: readonly Period[]): string {
  return periods.findLast(({ state }) => KINDS[state] === 'out')?.state ?? '';
}

function reasonOf(state: ServiceState, by: string, device: Device | undefined): string {
  if (state === 'pending') return device?.activates_at === undefined ? 'no_contact' : 'activates_at';
  if (state !== 'active') return state;
  if (device?.provisional === true) return 'provisional';
  return by === 'device' ? 'first_contact' : by === 'time' ? 'activates_at' : 'active';
}
