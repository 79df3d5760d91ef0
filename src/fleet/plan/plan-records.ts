import { isDeepStrictEqual } from 'node:util';
import { attempt, CONTENDED } from '../../state/attempt.ts';
import type { StateStore } from '../../state/store.ts';
import { PLANS, type Plan, UNLIMITED } from './plan.ts';

export interface PlanRecordsOptions {
  readonly store: StateStore;
  /** Journals an event; '' for one of no device. */
  readonly record: (device: string, event: object) => void;
}

/** The service plans; every change is an event. `default` is always there, without caps until it is changed. */
export class PlanRecords {
  readonly #o: PlanRecordsOptions;

  constructor(options: PlanRecordsOptions) {
    this.#o = options;
  }

  async get(name: string): Promise<Plan | undefined> {
    return (await PLANS.get(this.#o.store, name)) ?? (name === UNLIMITED.name ? UNLIMITED : undefined);
  }

  async list(): Promise<Plan[]> {
    const plans: Plan[] = [];
    for await (const [, plan] of PLANS.entries(this.#o.store)) plans.push(plan);
    return plans.some(({ name }) => name === UNLIMITED.name) ? plans : [UNLIMITED, ...plans];
  }

  /** Makes or replaces a plan; true when it was made. */
  async put(plan: Plan, by: string): Promise<boolean> {
    let before: Plan | undefined;
    await this.#o.store.update('plans', plan.name, (text) => {
      before = PLANS.read(text);
      return JSON.stringify(plan);
    });
    const fields = Object.keys({ ...before, ...plan }).filter(
      (name) => !isDeepStrictEqual(before && Reflect.get(before, name), Reflect.get(plan, name)),
    );
    if (fields.length > 0) this.#o.record('', { type: 'plan_changed', plan: plan.name, fields, by });
    return before === undefined;
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
