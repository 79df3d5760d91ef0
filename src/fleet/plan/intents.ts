import { z } from 'zod';
import { firstMoment } from './cycle.ts';
import { type InForce, inForce, type PlanHistory } from './versions.ts';

/**
 * What is to become of a service on a day, as people say it: `starts`, `suspends` and `ends`. The time zone of the device's plan says when a day begins
 * and ends; what is kept are the moments, `activates_at`, `suspends_at` and `expires_at`.
 *
 * 1. A service that ends on a day is there through that day.
 * 2. `cycle` is the end of the billing cycle that runs now.
 */
const day = z.iso.date().describe('a day: YYYY-MM-DD, in the time zone of the plan');

export const intents = {
  starts: day.nullable().optional().describe('day on which it is active; sets activates_at'),
  suspends: day.nullable().optional().describe('day from which on it is suspended; sets suspends_at'),
  ends: z
    .union([z.literal('cycle'), day])
    .nullable()
    .optional()
    .describe('last day of its service, or `cycle`: the end of the running one; sets expires_at'),
};

const DAY_MS = 86_400_000;
const FIELDS = { starts: 'activates_at', suspends: 'suspends_at', ends: 'expires_at' } as const;

/** The change with moments in place of days. */
export function withMoments(
  given: Readonly<Record<string, unknown>>,
  history: PlanHistory,
  now: number,
): Readonly<Record<string, unknown>> {
  const moments: Record<string, unknown> = {};
  const rest = { ...given };
  for (const [intent, field] of Object.entries(FIELDS)) {
    const wanted = given[intent];
    delete rest[intent];
    if (wanted === null) moments[field] = null;
    else if (typeof wanted === 'string') moments[field] = momentOf(wanted, intent === 'ends', inForce(history, now));
  }
  return { ...rest, ...moments };
}

function momentOf(wanted: string, isLast: boolean, { plan, cycle }: InForce): number {
  return wanted === 'cycle' ? cycle.end : firstMoment(plan.time_zone, Date.parse(`${wanted}T00:00:00Z`) + (isLast ? DAY_MS : 0));
}
