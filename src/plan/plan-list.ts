import { isDeepStrictEqual } from 'node:util';
import type { StateStore } from '../state/store.ts';
import { type Plan, parsePlan, UNLIMITED } from './plan.ts';

export interface PlanListOptions {
  readonly store: StateStore;
  /** Journals an event; '' for one of no device. */
  readonly record: (device: string, event: object) => void;
}

/** The service plans; every change is an event. `default` is always there, without caps until somebody says otherwise. */
export class PlanList {
  readonly #o: PlanListOptions;

  constructor(options: PlanListOptions) {
    this.#o = options;
  }

  async get(name: string): Promise<Plan | undefined> {
    return parsePlan(await this.#o.store.get('plans', name)) ?? (name === UNLIMITED.name ? UNLIMITED : undefined);
  }

  async list(): Promise<Plan[]> {
    const found = await this.#o.store.list('plans', { limit: 100_000 });
    const plans = found.flatMap(({ value }) => parsePlan(value) ?? []);
    return plans.some(({ name }) => name === UNLIMITED.name) ? plans : [UNLIMITED, ...plans];
  }

  /** Makes or replaces a plan; true when it was made. */
  async put(plan: Plan, by: string): Promise<boolean> {
    let before: Plan | undefined;
    await this.#o.store.update('plans', plan.name, (text) => {
      before = parsePlan(text);
      return JSON.stringify(plan);
    });
    const fields = Object.keys({ ...before, ...plan }).filter(
      (name) => !isDeepStrictEqual(before && Reflect.get(before, name), Reflect.get(plan, name)),
    );
    if (fields.length > 0) this.#o.record('', { type: 'plan_changed', plan: plan.name, fields, by });
    return before === undefined;
  }

  /** False when there is no such plan. What holds for devices that are still on it: no caps. */
  async remove(name: string, by: string): Promise<boolean> {
    if ((await this.#o.store.get('plans', name)) === undefined) return false;
    await this.#o.store.write([{ table: 'plans', key: name, remove: true }]);
    this.#o.record('', { type: 'plan_removed', plan: name, by });
    return true;
  }
}
