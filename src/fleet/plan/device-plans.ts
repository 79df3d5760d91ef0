import type { Log } from '../../base/log.ts';
import { followKeys } from '../../state/follow.ts';
import type { StateStore, Table } from '../../state/store.ts';
import { DEVICES } from '../registry/device.ts';
import { UNLIMITED } from './plan.ts';
import { type InForce, inForce, PLANS, type PlanHistory, UNLIMITED_HISTORY } from './versions.ts';

interface Terms {
  readonly plan: string;
  readonly account: string;
}

/** Devices whose plan is remembered. */
const MAX_DEVICES = 100_000;

/**
 * Which plan holds for a device: read once, and again when the registry says that something has changed, which takes up to
 * a second. A device that is not registered has the plan `default`; a plan that is not there has no caps. A damaged row counts as none: usage
 * is counted all the same.
 */
export class DevicePlans {
  readonly #store: StateStore;
  readonly #devices = new Map<string, Terms>();
  readonly #plans = new Map<string, PlanHistory>();
  readonly #unwatch: () => void;
  /** Counts changes: what was read while one came is not remembered. */
  #changes = 0;

  constructor(store: StateStore, log: Log) {
    this.#store = store;
    this.#unwatch = followKeys(store, ['devices', 'plans'], (table, key) => this.#changed(table, key), log);
  }

  /** What is in force for the device at `at`, epoch ms. Rejects when the store cannot be read. */
  async of(device: string, at: number): Promise<InForce> {
    return inForce(await this.historyOf(device), at);
  }

  /** All versions of the device's plan. Rejects when the store cannot be read. */
  async historyOf(device: string): Promise<PlanHistory> {
    return this.#plan((await this.#terms(device)).plan);
  }

  /** Whose the device is; '' for no account. Rejects when the store cannot be read. */
  async accountOf(device: string): Promise<string> {
    return (await this.#terms(device)).account;
  }

  /** What is in force is read again: what is remembered may be older than a row that was read meanwhile. */
  forget(device: string): void {
    this.#changes++;
    const known = this.#devices.get(device);
    if (known !== undefined) this.#plans.delete(known.plan);
    this.#devices.delete(device);
  }

  close(): void {
    this.#unwatch();
  }

  async #terms(device: string): Promise<Terms> {
    const known = this.#devices.get(device);
    if (known !== undefined) return known;
    const changes = this.#changes;
    const { plan = UNLIMITED.name, account = '' } = DEVICES.read(await this.#store.get('devices', device)) ?? {};
    if (this.#devices.size >= MAX_DEVICES) this.#devices.clear();
    if (changes === this.#changes) this.#devices.set(device, { plan, account });
    return { plan, account };
  }

  async #plan(name: string): Promise<PlanHistory> {
    const known = this.#plans.get(name);
    if (known !== undefined) return known;
    const changes = this.#changes;
    const text = await this.#store.get('plans', name);
    const plan = PLANS.read(text) ?? UNLIMITED_HISTORY;
    if (changes === this.#changes) this.#plans.set(name, plan);
    return plan;
  }

  #changed(table: Table, key: string | undefined): void {
    const known = table === 'devices' ? this.#devices : this.#plans;
    this.#changes++;
    if (key === undefined) known.clear();
    else known.delete(key);
  }
}
