import { z } from 'zod';
import { jsonOf } from '../../base/json.ts';
import { byId, TypedTable } from '../../state/table.ts';
import { type Cycle, cycleOf } from './cycle.ts';
import { type Plan, planName, planSchema, UNLIMITED } from './plan.ts';

/**
 * The versions of a plan (docs/plans.md): the table `plans`, by name.
 *
 * 1. Versions are in force one after the other, each from its moment to the next one's; the first from the beginning.
 * 2. Cycles tile the time line also over versions whose cycles begin on other days: at the moment of such a version one ends and one begins.
 *    A version with the same cycles divides none.
 * 3. A cycle is priced by the version in force at its end. Only a version that was wanted at once begins within a cycle of the one before:
 *    any other has been in force from the cycle's start.
 */
const time = z.number();

const versionSchema = z.object({
  version: z.int().min(1),
  /** In force from then on, epoch ms. */
  from: time,
  /** When it was made, and the token that made it. */
  made: time,
  by: z.string(),
  plan: planSchema,
  /** That it is in force is still to be announced; with the installation that does so, and until when others leave it to that one. */
  notice: z.object({ by: z.string(), until: time }).optional(),
});
export type PlanVersion = z.infer<typeof versionSchema>;

const historySchema = z.object({
  name: planName,
  /** The highest number given so far: those of versions that never came into force are not given again. */
  last: z.int(),
  versions: z.array(versionSchema).min(1),
});
export type PlanHistory = z.infer<typeof historySchema>;

/** A plan at some moment: what holds, and the cycle that contains the moment. */
export interface InForce {
  readonly plan: Plan;
  readonly version: number;
  readonly cycle: Cycle;
}

export const PLANS = new TypedTable<PlanHistory>({ name: 'plans', key: byId, parse: parseHistory });

export const UNLIMITED_HISTORY = firstOf(UNLIMITED, 0, '');

/** A plan with one version, in force from the beginning. */
export function firstOf(plan: Plan, made: number, by: string): PlanHistory {
  return { name: plan.name, last: 1, versions: [{ version: 1, from: 0, made, by, plan }] };
}

/** What is in force at `at`, epoch ms. Invariants 1 and 2. */
export function inForce({ versions }: PlanHistory, at: number): InForce {
  let index = versions.length - 1;
  while (index > 0 && (versions[index]?.from ?? 0) > at) index--;
  const { plan, version } = versions[index] ?? { plan: UNLIMITED, version: 0 };
  const cycle = cycleOf(plan, at);
  if (versions.length === 1) return { plan, version, cycle };
  let first = index;
  while (first > 0 && hasSameCycles(versions[first - 1]?.plan, plan)) first--;
  let next = index + 1;
  while (next < versions.length && hasSameCycles(versions[next]?.plan, plan)) next++;
  const start = first === 0 ? cycle.start : Math.max(cycle.start, versions[first]?.from ?? 0);
  const end = Math.min(cycle.end, versions[next]?.from ?? cycle.end);
  return { plan, version, cycle: { start, end } };
}

/** What the cycle that contains `at` is priced by. Invariant 3. */
export function pricedBy(history: PlanHistory, at: number): InForce {
  const { cycle } = inForce(history, at);
  return { ...inForce(history, cycle.end - 1), cycle };
}

function hasSameCycles(one: Plan | undefined, other: Plan): boolean {
  return one !== undefined && one.anchor_day === other.anchor_day && one.time_zone === other.time_zone;
}

/** A row of before there were versions is the plan itself. */
function parseHistory(text: string): PlanHistory | undefined {
  const value: unknown = jsonOf(text);
  if (typeof value !== 'object' || value === null) return undefined;
  if ('versions' in value) return historySchema.safeParse(value).data;
  const plan = planSchema.safeParse(value).data;
  return plan === undefined ? undefined : firstOf(plan, 0, '');
}
