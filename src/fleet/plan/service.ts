import { z } from 'zod';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';
import type { AccountStep } from '../registry/account.ts';
import type { Device } from '../registry/device.ts';

/**
 * Life of a device's service (docs/plans.md): in which state it was from when on, on which plan and whose, and the events that say so. The table
 * `service`, by device id.
 *
 * 1. Periods follow one another, each from its moment to the next one's; none is changed afterwards.
 * 2. An event follows from what the service was (`mark`) and the state that comes: `EDGES` has them all. A device that has not been in service
 *    yet is not suspended or ended by anything.
 * 3. A date that passes takes effect at the date, however late it is noticed, and each in its turn.
 * 4. What its account is counts as well, from the moment on when it became so; the stricter of the two holds. A change of the account is the cause
 *    of what it changes of the device.
 * 5. Events stand in the row as news until they have been announced (`service-keeper.ts`).
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

/** What the account of a device has been. */
export interface Holder {
  /** Oldest first. */
  readonly steps: readonly AccountStep[];
  /** End of the cycle of the device's plan that contains a moment, epoch ms. */
  readonly cycleEnd: (at: number) => number;
}
export const UNOWNED: Holder = { steps: [], cycleEnd: () => Number.POSITIVE_INFINITY };

/** A device, as far as it is there, and whose it is. */
export interface Subject {
  readonly device: Device | undefined;
  readonly holder: Holder;
}

/** What the account is at `at`; `ends`: of service, epoch ms. */
function accountAt(
  { steps, cycleEnd }: Holder,
  at: number,
): { readonly isSuspended: boolean; readonly isClosed: boolean; readonly ends: number } {
  let state: AccountStep['state'] = 'active';
  let ends = Number.POSITIVE_INFINITY;
  for (const one of steps) {
    if (one.at > at) break;
    if (one.state === 'ending') ends = cycleEnd(one.at);
    else state = one.state;
    if (one.state === 'active') ends = Number.POSITIVE_INFINITY;
  }
  return { isSuspended: state === 'suspended', isClosed: state === 'closed', ends };
}

/** The state at `at`, epoch ms; of a device whose record is not there: removed. */
function serviceState({ device, holder }: Subject, at: number): ServiceState {
  if (device === undefined) return 'removed';
  const { state, activates_at, suspends_at = Number.POSITIVE_INFINITY, expires_at, first_seen } = device;
  const { isSuspended, isClosed, ends } = accountAt(holder, at);
  if (state === 'terminated' || isClosed) return 'terminated';
  if (at >= Math.min(ends, expires_at ?? Number.POSITIVE_INFINITY)) return 'expired';
  if (activates_at === undefined ? first_seen === undefined || at < first_seen : at < activates_at) return 'pending';
  return state === 'suspended' || isSuspended || at >= suspends_at ? 'suspended' : 'active';
}

/** When the service ends by a date that is set now, epoch ms; Infinity: at none. */
export function endOf({ device, holder }: Subject, now: number): number {
  return Math.min(accountAt(holder, now).ends, device?.expires_at ?? Number.POSITIVE_INFINITY);
}

/** When the state will change by time alone, epoch ms; Infinity: never. */
export function nextChange(subject: Subject, now: number): number {
  const { activates_at = 0, suspends_at = 0 } = subject.device ?? {};
  const steps = subject.holder.steps.map(({ at }) => at);
  return Math.min(...[activates_at, suspends_at, endOf(subject, now), ...steps].filter((at) => at > now), Number.POSITIVE_INFINITY);
}

/** What has happened by itself between two moments, in its turn. Invariant 3. */
function happenings(subject: Subject, since: number, now: number): (Cause & { readonly at: number })[] {
  const { activates_at, suspends_at, expires_at, first_seen } = subject.device ?? {};
  const time = (at: number | undefined, reason = ''): (Cause & { at: number })[] => (at === undefined ? [] : [{ at, by: 'time', reason }]);
  const found = [
    ...(activates_at === undefined && first_seen !== undefined ? [{ at: first_seen, by: 'device', reason: '' }] : time(activates_at)),
    ...time(suspends_at),
    ...time(expires_at),
    ...subject.holder.steps.flatMap(({ at, state, by, reason }) =>
      state === 'ending'
        ? time(subject.holder.cycleEnd(at), 'account_ending')
        : [{ at, by: by === '' ? 'time' : by, reason: reason || `account_${WORDS[state]}` }],
    ),
  ];
  return found.filter(({ at }) => at > since && at <= now).sort((a, b) => a.at - b.at);
}
const WORDS = { active: 'resumed', suspended: 'suspended', closed: 'closed' } as const;

/**
 * The row once the device is as it is at `now`: the same object if nothing has changed. `isSilent`: of a device from before there were rows, no
 * events.
 */
export function advance(
  row: ServiceRow | undefined,
  subject: Subject,
  now: number,
  cause: Cause,
  isSilent = false,
): ServiceRow | undefined {
  if (row === undefined && subject.device === undefined) return undefined;
  const since = row?.periods.at(-1)?.from ?? Number.NEGATIVE_INFINITY;
  let moved = row;
  // What a caller has changed holds from now on, also when it is a date that lies behind.
  if (cause.by === 'time') for (const { at, ...own } of happenings(subject, since, now)) moved = step(moved, subject, at, own);
  moved = step(moved, subject, Math.max(now, since), moved === row ? cause : { by: 'time', reason: '' });
  return isSilent && moved !== undefined && row === undefined ? { ...moved, news: [] } : moved;
}

/** Is this all that is known of a device that a first contact made, that never came back, and that was removed? Its row goes with it. */
export function isForgotten({ periods }: ServiceRow): boolean {
  return periods.at(-1)?.state === 'removed' && periods.every(({ state, reason }) => state === 'removed' || reason === 'provisional');
}

/** The row with the news that the service ends at a date, if that is near and was not said. */
export function withEnding(row: ServiceRow | undefined, subject: Subject, now: number, noticeMs: number): ServiceRow | undefined {
  const end = endOf(subject, now);
  if (row === undefined || !Number.isFinite(end) || row.ending === end) return row;
  if ((row.mark !== 'running' && row.mark !== 'paused') || noticeMs === 0 || now < end - noticeMs || now >= end) return row;
  const reason = end === subject.device?.expires_at ? 'expires_at' : 'account_ending';
  return { ...row, ending: end, news: [...row.news, { type: 'service_ending', by: 'time', reason, effective: end }] };
}

function step(row: ServiceRow | undefined, subject: Subject, at: number, cause: Cause): ServiceRow {
  const { device } = subject;
  const last = row?.periods.at(-1);
  const state = serviceState(subject, at);
  const plan = device?.plan ?? last?.plan ?? '';
  const account = device?.account ?? (device === undefined ? (last?.account ?? '') : '');
  const isBack = last?.reason === 'provisional' && device?.provisional !== true;
  if (row !== undefined && last?.state === state && last.plan === plan && last.account === account && !isBack) return row;
  const { by } = cause;
  const reason = cause.reason || reasonOf(state, by, at, device);
  const periods = [...(row?.periods ?? []), { state, from: at, plan, account, by, reason }].slice(-MOST_PERIODS);
  const before = row ?? { mark: 'new' as const, news: [] };
  if (last?.state === state) return { ...before, periods };
  const [event, mark] = EDGES[before.mark][KINDS[state]];
  const after = event === 'service_reactivated' ? { after: endedBy(row?.periods ?? []) } : {};
  const news = event === '' ? [] : [{ type: event, by, reason, effective: at, ...after }];
  const dated = state === 'expired' ? ['device_expired'] : state === 'active' && isDated(last?.state, device) ? ['device_activated'] : [];
  return { ...before, mark, periods, news: [...before.news, ...news, ...dated.map((type) => ({ type }))] };
}

function isDated(before: ServiceState | undefined, device: Device | undefined): boolean {
  return before === 'expired' || (before === 'pending' && device?.activates_at !== undefined);
}

/** What ended the service last. */
function endedBy(periods: readonly Period[]): string {
  return periods.findLast(({ state }) => KINDS[state] === 'out')?.state ?? '';
}

function reasonOf(state: ServiceState, by: string, at: number, device: Device | undefined): string {
  if (state === 'suspended' && device?.state !== 'suspended')
    return device?.suspends_at !== undefined && at >= device.suspends_at ? 'suspends_at' : 'account_suspended';
  if (state === 'terminated' && device?.state !== 'terminated') return 'account_closed';
  if (state === 'pending') return device?.activates_at === undefined ? 'no_contact' : 'activates_at';
  if (state !== 'active') return state;
  if (device?.provisional === true) return 'provisional';
  return by === 'device' ? 'first_contact' : by === 'time' ? 'activates_at' : 'active';
}
