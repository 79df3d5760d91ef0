import { isDeepStrictEqual } from 'node:util';
import { attempt, CONTENDED } from '../../state/attempt.ts';
import type { Op, StateStore } from '../../state/store.ts';
import { firstMoment } from './cycle.ts';
import { type Plan, UNLIMITED } from './plan.ts';
import { firstOf, inForce, PLANS, type PlanHistory, type PlanVersion, UNLIMITED_HISTORY } from './versions.ts';

/**
 * The service plans and their versions; every change is an event. `default` is always there, without caps until it is changed.
 *
 * 1. A change is a new version. It is in force from the end of the running cycle, or from the beginning of the first cycle that begins on
 *    or after a date; within a running cycle only if `now` is said, or if no device is on the plan.
 * 2. A new version withdraws those that were to come into force at its moment or later. What was in force is never changed.
 * 3. That a version was made is an event at once (`plan_changed`); that one comes into force later, another then (`notices.ts`).
 */
export interface PlanRecordsOptions {
  readonly store: StateStore;
  /** Journals an event; '' for one of no device. */
  readonly record: (device: string, event: object) => void;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
}

/** When a version comes into force: `date`, as midnight of a day as if it were UTC, epoch ms. */
export type Effective = 'now' | 'next_cycle' | { readonly date: number };

/** Versions that are kept of a plan; the oldest go. */
const MOST_VERSIONS = 200;

export interface PlanChange {
  readonly made: boolean;
  readonly version: PlanVersion;
}

export class PlanRecords {
  readonly #o: PlanRecordsOptions;

  constructor(options: PlanRecordsOptions) {
    this.#o = options;
  }

  /** What is in force now. */
  async get(name: string): Promise<Plan | undefined> {
    const history = await PLANS.get(this.#o.store, name);
    if (history === undefined && name !== UNLIMITED.name) return undefined;
    return inForce(history ?? UNLIMITED_HISTORY, this.#o.now()).plan;
  }

  /** All versions; those of a plan without caps for one that is not there. */
  async history(name: string): Promise<PlanHistory> {
    return (await PLANS.get(this.#o.store, name)) ?? UNLIMITED_HISTORY;
  }

  /** What is in force now. */
  async list(): Promise<Plan[]> {
    const plans: Plan[] = [];
    for await (const [, history] of PLANS.entries(this.#o.store)) plans.push(inForce(history, this.#o.now()).plan);
    return plans.some(({ name }) => name === UNLIMITED.name) ? plans : [UNLIMITED, ...plans];
  }

  /**
   * Makes a plan, or a version of it; 'past' when the date has begun already. `effective`: or is any device on the plan? Then from its next
   * cycle on, else at once; a device that is put on it meanwhile counts. Rejects with AppError STATE_BUSY as `attempt` does.
   */
  async put(plan: Plan, by: string, effective: Effective | (() => Promise<boolean>)): Promise<PlanChange | 'past'> {
    const { store, record } = this.#o;
    return attempt(`the plan "${plan.name}"`, async () => {
      const now = this.#o.now();
      const text = await store.get('plans', plan.name);
      const stored = PLANS.read(text);
      const before = stored ?? (plan.name === UNLIMITED.name ? UNLIMITED_HISTORY : undefined);
      const { moment, unless } = await this.#momentOf(plan.name, effective);
      const from = before === undefined ? 0 : momentOf(before, moment, now);
      if (from < 0) return 'past';
      const after = before === undefined ? firstOf(plan, now, by) : withVersion(before, plan, { from, made: now, by }, now);
      const [version] = after.versions.slice(-1);
      if (version === undefined || (after === before && stored !== undefined)) return { made: false, version: lastOf(before ?? after) };
      const written = await store.write([...unless, PLANS.expect(text, plan.name), PLANS.put(after, plan.name)]);
      if (!written) return CONTENDED;
      const fields = changedFields(before === undefined ? undefined : lastOf(before).plan, plan);
      if (after !== before)
        record('', { type: 'plan_changed', plan: plan.name, fields, version: version.version, effective: version.from || now, by });
      return { made: stored === undefined, version };
    });
  }

  /** `unless`: a device was put on the plan meanwhile. */
  async #momentOf(
    plan: string,
    effective: Effective | (() => Promise<boolean>),
  ): Promise<{ readonly moment: Effective; readonly unless: readonly Op[] }> {
    if (typeof effective !== 'function') return { moment: effective, unless: [] };
    const joins = await this.#o.store.get('plan_joins', plan);
    return { moment: (await effective()) ? 'next_cycle' : 'now', unless: [{ table: 'plan_joins', key: plan, expect: joins }] };
  }

  /**
   * `used`: is any device on the plan? It is asked, and the plan is removed only if no device was put on it since. Throws AppError
   * STATE_BUSY when devices are put on it, and taken off again, all the time.
   */
  async remove(name: string, by: string, used: () => Promise<boolean>): Promise<'removed' | 'unknown' | 'used'> {
    const { store, record } = this.#o;
    return attempt(`the plan "${name}"`, async () => {
      const text = await store.get('plans', name);
      if (text === undefined) return 'unknown';
      const joins = await store.get('plan_joins', name);
      // Without its record, `default` has no caps.
      if (name !== UNLIMITED.name && (await used())) return 'used';
      const removed = await store.write([
        { table: 'plan_joins', key: name, expect: joins },
        { table: 'plans', key: name, expect: text },
        { table: 'plans', key: name, remove: true },
      ]);
      if (!removed) return CONTENDED;
      record('', { type: 'plan_removed', plan: name, by });
      return 'removed';
    });
  }
}

function changedFields(old: Plan | undefined, plan: Plan): string[] {
  return Object.keys({ ...old, ...plan }).filter((name) => !isDeepStrictEqual(old && Reflect.get(old, name), Reflect.get(plan, name)));
}

/** Invariant 1; -1: the date has begun. */
function momentOf(history: PlanHistory, effective: Effective, now: number): number {
  if (effective === 'now') return now;
  if (effective === 'next_cycle') return inForce(history, now).cycle.end;
  const moment = firstMoment(inForce(history, now).plan.time_zone, effective.date);
  if (moment <= now) return -1;
  const { cycle } = inForce(history, moment);
  return cycle.start === moment ? moment : cycle.end;
}

/** Invariant 2. The same history if nothing changes. */
function withVersion(before: PlanHistory, plan: Plan, made: Pick<PlanVersion, 'from' | 'made' | 'by'>, now: number): PlanHistory {
  const until = before.versions.filter(({ from }, at) => at === 0 || from <= made.from);
  if (isDeepStrictEqual(until.at(-1)?.plan, plan)) return until.length < before.versions.length ? { ...before, versions: until } : before;
  const stay = until.filter(({ from }, at) => at === 0 || from < made.from);
  const version = before.last + 1;
  const notice = made.from > now ? { notice: { by: '', until: 0 } } : {};
  return { ...before, last: version, versions: [...stay, { version, ...made, plan, ...notice }].slice(-MOST_VERSIONS) };
}

function lastOf({ versions }: PlanHistory): PlanVersion {
  const [last] = versions.slice(-1);
  if (last === undefined) throw new RangeError('a plan without versions');
  return last;
}
