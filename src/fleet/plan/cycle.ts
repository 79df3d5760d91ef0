import type { Plan } from './plan.ts';

/**
 * Billing cycles (docs/plans.md): a month long, from the plan's anchor day to the next, in the plan's time zone.
 *
 * 1. A cycle begins at the first moment of its anchor day; in a month without that day, of the month's last one. Where the
 *    clocks skip midnight that is the moment they go to, where midnight comes twice the first one, and where a whole day
 *    is skipped the beginning of the next.
 * 2. Cycles tile the time line: each moment lies in exactly one, and each cycle ends where the next begins.
 */

/** `[start, end)`, epoch ms. */
export interface Cycle {
  readonly start: number;
  readonly end: number;
}

export type CycleRule = Pick<Plan, 'anchor_day' | 'time_zone'>;

const HOUR_MS = 3_600_000;
/** No zone is further from UTC, and none has changed its clocks twice within three of these. */
const REACH_MS = 36 * HOUR_MS;
/** Rules of which the last cycle is remembered: what is asked is nearly always about now. */
const MAX_RULES = 1000;

const last = new Map<string, Cycle>();
const formats = new Map<string, Intl.DateTimeFormat>();

/** The cycle that contains `time`, epoch ms. */
export function cycleOf(plan: CycleRule, time: number): Cycle {
  const key = `${plan.anchor_day} ${plan.time_zone}`;
  const known = last.get(key);
  if (known !== undefined && time >= known.start && time < known.end) return known;
  const found = find(plan, time);
  if (last.size >= MAX_RULES) last.clear();
  last.set(key, found);
  return found;
}

/**
 * What part of the cycle a device that was activated in it has, 0 to 1, and no less than the plan's floor: 1 for any other cycle, and when the
 * plan does not prorate. `until`: it was passed on then.
 */
export function proration(
  { prorate, prorate_floor_pct }: Pick<Plan, 'prorate' | 'prorate_floor_pct'>,
  { start, end }: Cycle,
  activated: number | undefined,
  until = end,
): number {
  if (!prorate || activated === undefined || activated >= end) return 1;
  return Math.max(prorate_floor_pct / 100, (Math.min(until, end) - Math.max(activated, start)) / (end - start));
}

function find(plan: CycleRule, time: number): Cycle {
  const local = new Date(time + offsetAt(plan.time_zone, time));
  let month = 12 * local.getUTCFullYear() + local.getUTCMonth();
  let start = beginning(plan, month);
  let end = beginning(plan, month + 1);
  // The local date may lie behind a beginning that has passed already, when clocks were set back over midnight.
  for (; time >= end; month++) {
    start = end;
    end = beginning(plan, month + 2);
  }
  for (; time < start; month--) {
    end = start;
    start = beginning(plan, month - 1);
  }
  return { start, end };
}

/** When the cycle of a month begins; months are counted from year 0. */
function beginning({ anchor_day, time_zone }: CycleRule, month: number): number {
  const year = Math.floor(month / 12);
  const lastDay = new Date(Date.UTC(year, (month % 12) + 1, 0)).getUTCDate();
  return firstMoment(time_zone, Date.UTC(year, month % 12, Math.min(anchor_day, lastDay)));
}

/** The first moment at which clocks in the zone show `local` or later; `local` as if they showed UTC. */
export function firstMoment(zone: string, local: number): number {
  const from = local - REACH_MS;
  const to = local + REACH_MS;
  // Before and behind a change of the clocks: the earlier moment with that reading, if there is one.
  const candidates = [from, to].map((moment) => local - offsetAt(zone, moment));
  const [first] = candidates.filter((moment) => moment + offsetAt(zone, moment) === local).sort((a, b) => a - b);
  if (first !== undefined) return first;
  // The clocks skip it: where they do is where they are before it no more.
  let before = from;
  let behind = to;
  while (behind - before > 1) {
    const middle = Math.floor((before + behind) / 2);
    if (middle + offsetAt(zone, middle) >= local) behind = middle;
    else before = middle;
  }
  return behind;
}

/** What clocks in the zone show more than UTC, ms. */
function offsetAt(zone: string, time: number): number {
  const second = 1000 * Math.floor(time / 1000);
  let [year = 0, month = 1, day = 1, hour = 0, minute = 0, s = 0]: number[] = [];
  for (const { type, value } of formatOf(zone).formatToParts(second)) {
    if (type === 'year') year = Number(value);
    else if (type === 'month') month = Number(value);
    else if (type === 'day') day = Number(value);
    else if (type === 'hour') hour = Number(value);
    else if (type === 'minute') minute = Number(value);
    else if (type === 'second') s = Number(value);
  }
  return Date.UTC(year, month - 1, day, hour, minute, s) - second;
}

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(zone, format);
  }
  return format;
}
