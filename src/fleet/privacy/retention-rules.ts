import type { StateStore } from '../../state/store.ts';
import { ACCOUNTS, type Account } from '../registry/account.ts';
import { DEVICES, type Device } from '../registry/device.ts';
import { OWNERS, type Period, periodsOf } from '../registry/owners.ts';

/** How long what is kept: of an account or a plan. */
export interface Rule {
  readonly keep_days?: number | undefined;
  readonly erase_after_end_days?: number | undefined;
}

export const DAY_MS = 86_400_000;
const DEFAULT_PLAN = 'default';

/**
 * How long what is kept, as of one moment.
 *
 * 1. For what was received while a device was an account's, the account's number counts; where it has none, the one of the device's plan.
 * 2. A device without a record is on the plan `default`.
 */
export class Rules {
  readonly #plans: ReadonlyMap<string, Rule>;
  readonly #accounts = new Map<string, Account>();
  /** By id and by alias. */
  readonly #devices = new Map<string, Device>();
  readonly #owners = new Map<string, readonly Period[]>();

  private constructor(plans: ReadonlyMap<string, Rule>) {
    this.#plans = plans;
  }

  static async read(store: Pick<StateStore, 'list'>, plans: ReadonlyMap<string, Rule>): Promise<Rules> {
    const rules = new Rules(plans);
    for await (const [id, account] of ACCOUNTS.entries(store)) rules.#accounts.set(id, account);
    for await (const [, device] of DEVICES.entries(store)) for (const id of [device.id, ...device.aliases]) rules.#devices.set(id, device);
    for await (const [id, periods] of OWNERS.entries(store)) rules.#owners.set(id, periods);
    return rules;
  }

  /** What counts for one device and account, as it is now. */
  static async readOne(store: Pick<StateStore, 'get'>, plans: ReadonlyMap<string, Rule>, id: string, account: string): Promise<Rules> {
    const rules = new Rules(plans);
    const [owner, device, periods] = [await ACCOUNTS.get(store, account), await DEVICES.get(store, id), await OWNERS.get(store, id)];
    if (owner !== undefined) rules.#accounts.set(account, owner);
    if (device !== undefined) rules.#devices.set(id, device);
    if (periods !== undefined) rules.#owners.set(id, periods);
    return rules;
  }

  /** The least number of days that anything is kept; undefined: all is. */
  get shortest(): number | undefined {
    const all = [...this.#plans.values(), ...[...this.#accounts.values()].map(({ retention }) => retention)];
    const days = all.flatMap((rule) => rule?.keep_days ?? []);
    return days.length === 0 ? undefined : Math.min(...days);
  }

  get hasEnds(): boolean {
    const all = [...this.#plans.values(), ...[...this.#accounts.values()].map(({ retention }) => retention)];
    return all.some((rule) => rule?.erase_after_end_days !== undefined);
  }

  /** Ids of devices that have a record, or had an account. */
  get devices(): ReadonlySet<string> {
    return new Set([...[...this.#devices.values()].map(({ id }) => id), ...this.#owners.keys()]);
  }

  device(id: string): Device | undefined {
    return this.#devices.get(id);
  }

  account(id: string): Account | undefined {
    return this.#accounts.get(id);
  }

  periods(id: string): readonly Period[] {
    const device = this.#devices.get(id);
    return periodsOf(this.#owners.get(device?.id ?? id), device);
  }

  /** Whose the device was at a time, epoch ms; '' for no account's. */
  accountAt(id: string, time: number): string {
    return this.periods(id).find(({ from, to = Number.POSITIVE_INFINITY }) => time >= from && time < to)?.account ?? '';
  }

  /** Invariants 1 and 2. */
  of(id: string, account: string, name: 'keep_days' | 'erase_after_end_days'): number | undefined {
    return this.#accounts.get(account)?.retention?.[name] ?? this.#plans.get(this.#devices.get(id)?.plan ?? DEFAULT_PLAN)?.[name];
  }

  /** What was received before this has been kept long enough, epoch ms; -Infinity: nothing. */
  cutoff(id: string, account: string, now: number): number {
    const days = this.of(id, account, 'keep_days');
    return days === undefined ? Number.NEGATIVE_INFINITY : now - days * DAY_MS;
  }
}
