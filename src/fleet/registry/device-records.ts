import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../../base/errors.ts';
import { withZero } from '../../base/wire/index.ts';
import type { CheckRecordOptions } from '../../codec/registry.ts';
import { attempt, CONTENDED, isBusy } from '../../state/attempt.ts';
import { entries, pages } from '../../state/pages.ts';
import type { Op, StateStore } from '../../state/store.ts';
import { DEVICES, type Device, deviceSchema, patched, reasoned, settled } from './device.ts';
import { type DeviceFilter, idOps, isApart, isMatch, newIds, othersOf, wrongIds } from './device-ids.ts';
import { type FieldProblem, problemsOf } from './field-problem.ts';
import { ownedOps } from './owners.ts';
import { removedOps, type Swap, swapOf, type Wanted } from './units.ts';
import { QUARANTINE } from './unknown-device.ts';

/**
 * The device records and how they change: what the API and the command intake do with them, in the supervisor.
 *
 * 1. A record, its aliases and its entry in quarantine change in one write, on the condition that they are as they were read.
 *    A write that fails is tried again with a new look, up to a bound.
 * 2. An id stands for one device: none is the alias of two, nor an alias and a device. An IMEI with a zero in front is the IMEI.
 * 3. What is written is a device in the sense of the schema, with options that its codec takes, on a plan that there is: putting a device on a plan depends on
 *    the plan's record, and counts in `plan_joins`, on which removing the plan depends.
 *    None is terminated and in recovery: a terminated device is not served.
 * 4. Whose a device was, and when, is noted in the same write (`owners.ts`). Settings and the recovery of an account go with it.
 * 5. Every change is an event of the device, with the names of the fields and who has made it.
 */
/** Devices looked at together, and steps of one write: a store serves no other client meanwhile. */
const BATCH = 200;
const MOST_STEPS = 1_000;

/** What a change came to. */
export type Change =
  | { readonly before: Device | undefined; readonly after: Device | undefined }
  | { readonly refused: 'unknown' | 'exists' | 'conflict' | 'invalid' | 'busy'; readonly problems: readonly FieldProblem[] };

/** One device of many that are brought in together. */
export interface Upsert {
  readonly line: number;
  readonly id: string;
  readonly patch: Readonly<Record<string, unknown>>;
}

export interface UpsertCounts {
  created: number;
  changed: number;
  unchanged: number;
}

export interface DeviceRecordsOptions {
  readonly store: StateStore;
  /** Checks the options of a device that speaks `protocol`, as far as that is known. Absent: they are taken as they are. */
  readonly checkOptions?: CheckRecordOptions;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  /** What a change means for the service and the cases of the device, as steps of the same write. */
  readonly service?: (before: Device | undefined, after: Device | undefined, by: string) => Promise<readonly Op[]>;
  /** Journals an event of a device. */
  /** `account`: whose event it is; absent: of who has the device now. */
  readonly record: (device: string, event: object, account?: string) => void;
  /** The device is not of this account any more. */
  readonly left?: (device: string, account: string) => void;
  /** Does the plan include recovery mode? Absent: every plan does. */
  readonly recovers?: (plan: string) => Promise<boolean>;
  /** The device has another unit. */
  readonly swapped?: (device: string) => Promise<void>;
}

/** What a change makes of a record: the new one, undefined to remove it, or why not. */
type Made =
  | { readonly device: unknown; readonly swap?: Swap }
  | { readonly remove: true }
  | { readonly refused: 'unknown' | 'exists' | 'conflict'; readonly problems?: readonly FieldProblem[] };

const TERMINATED: FieldProblem = {
  field: 'state',
  problem: 'is terminated and not served; activate it first',
};
const SWAPPED: FieldProblem = { field: 'unit', problem: 'is another one than the device has; POST …/replace puts it in' };
type Make = (before: Device | undefined) => Made | Promise<Made>;

interface Step {
  readonly change: Change;
  readonly ops: readonly Op[];
  /** The plan on which the device is put, with the text of its record. */
  readonly joins: { readonly plan: string; readonly text: string | undefined } | undefined;
}

/** Plans that were found, by name, with the text of their records. */
export type PlanTexts = Map<string, string>;

export class DeviceRecords {
  readonly #o: DeviceRecordsOptions;

  constructor(options: DeviceRecordsOptions) {
    this.#o = options;
  }

  /** The device of this id, or whose alias it is. */
  async get(id: string): Promise<Device | undefined> {
    const { store } = this.#o;
    const own = await DEVICES.get(store, id);
    if (own !== undefined) return own;
    const main = (await store.get('aliases', id)) ?? withZero(id);
    return main === '' ? undefined : DEVICES.get(store, main);
  }

  /** The own id of a device that may have been called by an alias. */
  async idOf(id: string): Promise<string> {
    return (await this.get(id))?.id ?? id;
  }

  /** By id, behind `after`. `next`: where the following page begins, when there may be one. */
  async list(
    filter: DeviceFilter,
    after: string | undefined,
    limit: number,
    also: (device: Device) => boolean = () => true,
  ): Promise<{ devices: Device[]; next: string | undefined }> {
    const devices: Device[] = [];
    for await (const device of this.all(after)) {
      if (!isMatch(device, filter) || !also(device)) continue;
      if (devices.length >= limit) return { devices, next: devices.at(-1)?.id };
      devices.push(device);
    }
    return { devices, next: undefined };
  }

  async *all(after?: string): AsyncGenerator<Device> {
    for await (const [, value] of entries(this.#o.store, 'devices', { after })) {
      const device = DEVICES.read(value);
      if (device !== undefined) yield device;
    }
  }

  /** Is any device on the plan? Looks through all when none is. */
  async isOnPlan(plan: string): Promise<boolean> {
    const mark = `"plan":${JSON.stringify(plan)}`;
    for await (const page of pages(this.#o.store, 'devices'))
      if (page.some(({ value }) => value.includes(mark) && DEVICES.read(value)?.plan === plan)) return true;
    return false;
  }

  create(device: Device, by: string): Promise<Change> {
    return this.#change(device.id, (before) => (before === undefined ? { device } : { refused: 'exists' }), by);
  }

  /** Makes the record or replaces it. What the server has learned or been told apart (protocol, recovery, …) stays when it is not given. */
  replace(device: Device, by: string): Promise<Change> {
    return this.#change(device.id, (before) => ({ device: { ...kept(before), ...device } }), by);
  }

  /** A field that is null is removed. */
  patch(id: string, patch: Readonly<Record<string, unknown>>, by: string): Promise<Change> {
    return this.#change(
      id,
      (before) => (before === undefined ? { refused: 'unknown' } : { device: patched(before, { ...patch, id }, this.#o.now()) }),
      by,
    );
  }

  remove(id: string, by: string): Promise<Change> {
    return this.#change(id, (before) => (before === undefined ? { refused: 'unknown' } : { remove: true }), by);
  }

  /** Makes the record of a device that waits in quarantine; `unknown` when it does not. */
  adopt(id: string, fields: Readonly<Record<string, unknown>>, by: string): Promise<Change> {
    const make = async (before: Device | undefined): Promise<Made> => {
      const unknownDevice = QUARANTINE.read(await this.#o.store.get('quarantine', id));
      if (unknownDevice === undefined) return { refused: 'unknown' };
      if (before !== undefined) return { refused: 'exists' };
      const { protocol, transport, first_seen } = unknownDevice;
      return { device: patched(undefined, { protocol, transport, first_seen, ...fields, id }) };
    };
    return this.#change(id, make, by, 'device_adopted');
  }

  /** Puts another unit into the device (`units.ts`). */
  async swap(id: string, wanted: Wanted, by: string): Promise<Change> {
    const { store, now, record, swapped } = this.#o;
    let gone: Device | undefined;
    const make = async (before: Device | undefined): Promise<Made> => {
      if (before === undefined) return { refused: 'unknown' };
      const swap = await swapOf(store, before, wanted, by, now());
      gone = 'problems' in swap ? undefined : swap.gone;
      return 'problems' in swap ? { refused: 'conflict', problems: swap.problems } : { device: swap.device, swap };
    };
    const change = await this.#change(id, make, by);
    if (!('refused' in change) && change.before !== undefined && change.after !== undefined) {
      const { aliases, options = {} } = change.before;
      const dropped = Object.keys(options).filter((name) => change.after?.options?.[name] !== options[name]);
      const { unit, reason = '' } = wanted;
      const was = change.before.unit ?? id;
      if (gone !== undefined) record(gone.id, { type: 'device_removed', by });
      record(id, { type: 'unit_replaced', unit, before: was, by, reason, dropped_aliases: aliases, dropped_options: dropped });
      await swapped?.(id);
    }
    return change;
  }

  /**
   * Creates or changes many. Returns what is wrong, by line; the others are done. `plans`: kept from call to call of one upload. `each` is
   * told of every device that has changed.
   */
  async upsert(
    rows: readonly Upsert[],
    by: string,
    counts: UpsertCounts,
    plans: PlanTexts,
    each?: (before: Device | undefined, after: Device) => void,
  ): Promise<{ line: number; problems: readonly FieldProblem[] }[]> {
    const wrong: { line: number; problems: readonly FieldProblem[] }[] = [];
    const done = (row: Upsert, change: Change): void => {
      if ('refused' in change) wrong.push({ line: row.line, problems: change.problems });
      else {
        counted(counts, change);
        if (change.after !== undefined && !isDeepStrictEqual(change.before, change.after)) each?.(change.before, change.after);
      }
    };
    for (let at = 0; at < rows.length; at += BATCH) {
      const batch = rows.slice(at, at + BATCH);
      // A line about the same device as an earlier one, or its aliases, must see what that has done.
      const alone = isApart(batch) ? await this.#together(batch, by, plans, done) : batch;
      for (const row of alone) done(row, await this.#change(row.id, (before) => madeOf(before, row), by, '', plans));
    }
    return wrong;
  }

  /** Returns the rows that are still to do, for something came between. */
  async #together(batch: readonly Upsert[], by: string, plans: PlanTexts, done: (row: Upsert, change: Change) => void): Promise<Upsert[]> {
    // Nothing in quarantine, nothing to take out.
    const trusting = (await this.#o.store.list('quarantine', { limit: 1 })).length === 0;
    const planned = await Promise.all(
      batch.map(async (row) => ({ row, ...(await this.#plan(row.id, (before) => madeOf(before, row), plans, by, trusting)) })),
    );
    const left: Upsert[] = [];
    for (let at = 0; at < planned.length; ) {
      const from = at;
      const ops: Op[] = [];
      // One device fits in any case.
      for (let next = planned[at]; next !== undefined && (at === from || ops.length + next.ops.length <= MOST_STEPS); next = planned[at]) {
        ops.push(...next.ops);
        at++;
      }
      const piece = planned.slice(from, at);
      const written = await this.#write(ops, piece, plans);
      for (const { row, change } of piece) {
        if (!written) left.push(row);
        else {
          if (!('refused' in change)) this.#said(change, by, '');
          done(row, change);
        }
      }
    }
    return left;
  }

  /** Invariant 1. */
  async #change(id: string, make: Make, by: string, event = '', plans: PlanTexts = new Map()): Promise<Change> {
    try {
      const change = await attempt(`the record of device ${id}`, async () => {
        const step = await this.#plan(id, make, plans, by);
        return (await this.#write(step.ops, [step], plans)) ? step.change : CONTENDED;
      });
      if (!('refused' in change)) this.#said(change, by, event);
      return change;
    } catch (error) {
      if (!isBusy(error)) throw error;
      // One line of many in an upload: the others are done all the same.
      return refusal('busy', [{ field: 'id', problem: messageOf(error) }]);
    }
  }

  /** False when something has changed meanwhile. Invariant 3. */
  async #write(ops: readonly Op[], steps: readonly Pick<Step, 'joins'>[], plans: PlanTexts): Promise<boolean> {
    if (ops.length === 0) return true;
    const joined = new Map<string, string | undefined>();
    for (const { joins } of steps) if (joins !== undefined) joined.set(joins.plan, joins.text);
    const conditions = [...joined].flatMap(([key, text]): Op[] => [
      { table: 'plans', key, expect: text },
      { table: 'plan_joins', key, add: { joined: 1 } },
    ]);
    const written = await this.#o.store.write([...ops, ...conditions]);
    // What was known of the plans may be why.
    if (!written) plans.clear();
    return written;
  }

  /**
   * What a change would come to, and the write that makes it so if nothing has changed by then. `trusting`: what only the write itself
   * must know is not looked up; when it fails, the change is tried again with a look.
   */
  async #plan(id: string, make: Make, plans: PlanTexts, by: string, trusting = false): Promise<Step> {
    const { store } = this.#o;
    const text = await store.get('devices', id);
    const before = DEVICES.read(text);
    const nothing = (change: Change): Step => ({ change, ops: [], joins: undefined });
    const made = await make(before);
    // One that is damaged is not unknown; only replacing it is possible.
    if ('refused' in made && made.refused === 'unknown') DEVICES.parse(id, text);
    if ('refused' in made) return nothing(refusal(made.refused, made.problems ?? []));
    if ('remove' in made) return this.#removal(id, [text, before], by);
    const checked = this.#checked(before, made.device);
    if ('refused' in checked) return nothing(checked);
    const { after } = checked;
    if (before !== undefined && isDeepStrictEqual(before, after)) return nothing({ before, after });
    const { swap } = made;
    if (before !== undefined && swap === undefined && isSwap(before, after)) return nothing(refusal('conflict', [SWAPPED]));
    const own = new Set<string>();
    const problems = [
      ...(await this.#wrongPlan(after.plan, plans)),
      ...(await this.#wrongRecovery(before, after)),
      ...(trusting ? [] : await wrongIds(store, before, after, own, swap?.there)),
    ];
    if (problems.length > 0) return nothing(refusal(problems.some(({ field }) => field === 'plan') ? 'invalid' : 'conflict', problems));
    const ops = [...idOps([text, before, after], own, swap?.there), ...(await ownedOps(store, id, before, after, this.#o.now()))];
    ops.push(...(swap?.ops ?? []));
    if (swap?.gone !== undefined) ops.push(...((await this.#o.service?.(swap.gone, undefined, by)) ?? []));
    for (const key of newIds(before, after)) {
      const unknownDevice = trusting ? undefined : await store.get('quarantine', key);
      ops.push({ table: 'quarantine', key, expect: unknownDevice });
      if (unknownDevice !== undefined) ops.push({ table: 'quarantine', key, remove: true });
    }
    ops.push(...((await this.#o.service?.(before, after, by)) ?? []));
    const isPut = after.plan !== 'default' && after.plan !== before?.plan;
    return { change: { before, after }, ops, joins: isPut ? { plan: after.plan, text: plans.get(after.plan) } : undefined };
  }

  async #removal(id: string, [text, before]: readonly [string | undefined, Device | undefined], by: string): Promise<Step> {
    const { store, now, service } = this.#o;
    const ops: Op[] = [
      DEVICES.expect(text, id),
      DEVICES.remove(id),
      ...othersOf(before).map((key): Op => ({ table: 'aliases', key, remove: true })),
      ...((await service?.(before, undefined, by)) ?? []),
      ...(await ownedOps(store, id, before, undefined, now())),
      ...(await removedOps(store, before, now())),
    ];
    return { change: { before, after: undefined }, ops, joins: undefined };
  }

  /** Invariant 3, as far as the record alone says it. */
  #checked(before: Device | undefined, made: unknown): { readonly after: Device } | Extract<Change, { refused: unknown }> {
    const checked = deviceSchema.safeParse(made);
    if (!checked.success) return refusal('invalid', problemsOf(checked.error.issues));
    const given = checked.data.options ?? {};
    const { options, problems } = this.#o.checkOptions?.(checked.data.protocol, given) ?? { options: given, problems: [] };
    const wrong = problems.map(({ name, problem }) => ({ field: `options.${name}`, problem }));
    if (wrong.length > 0) return refusal('invalid', wrong);
    const after = endedWithService(before, endedWithAccount(before, reasoned(before, settled(withOptions(checked.data, options)))));
    return after === undefined ? refusal('conflict', [TERMINATED]) : { after };
  }

  /** Invariant 3. `known`: plans that have been found. */
  async #wrongPlan(plan: string, known: PlanTexts): Promise<FieldProblem[]> {
    if (plan === 'default' || known.has(plan)) return [];
    const text = await this.#o.store.get('plans', plan);
    if (text === undefined) return [{ field: 'plan', problem: `"${plan}" does not exist; create it first or choose another` }];
    known.set(plan, text);
    return [];
  }

  async #wrongRecovery(before: Device | undefined, { plan, recovery }: Device): Promise<FieldProblem[]> {
    if (recovery === undefined || before?.recovery !== undefined) return [];
    const isIncluded = (await this.#o.recovers?.(plan)) ?? true;
    return isIncluded ? [] : [{ field: 'recovery', problem: `is not included in the plan "${plan}" of the device; choose another plan` }];
  }

  /** Invariant 5. */
  #said(change: { before: Device | undefined; after: Device | undefined }, by: string, event: string): void {
    const { before, after } = change;
    const { record } = this.#o;
    const id = after?.id ?? before?.id ?? '';
    if (after === undefined) record(id, { type: 'device_removed', by });
    else if (before === undefined) record(id, { type: event === '' ? 'device_created' : event, plan: after.plan, by });
    else {
      const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
      const fields = names.filter((name) => !isDeepStrictEqual(Reflect.get(before, name), Reflect.get(after, name)));
      const values = fields.includes('options') ? { options: after.options ?? {} } : {};
      if (fields.length > 0) record(id, { type: 'device_changed', fields, ...values, by });
    }
    const account = before?.account ?? '';
    if (account !== '' && after?.account !== account) this.#o.left?.(id, account);
    const recovery = after?.recovery;
    if (recovery !== undefined && before?.recovery === undefined)
      record(id, { type: 'recovery_started', case: String(recovery.started), reason: recovery.reason, until: recovery.until, by });
    if (recovery === undefined && before?.recovery !== undefined)
      record(id, { type: 'recovery_ended', case: String(before.recovery.started), by }, before.account);
  }
}

/** The device without a recovery that its termination ends; undefined when a recovery is wanted of one that is terminated. */
function endedWithService(before: Device | undefined, after: Device): Device | undefined {
  if (after.state !== 'terminated' || after.recovery === undefined) return after;
  if (!isDeepStrictEqual(before?.recovery, after.recovery)) return undefined;
  const { recovery: _, ...rest } = after;
  return rest;
}

/** The device without a recovery of an account that it leaves. */
function endedWithAccount(before: Device | undefined, after: Device): Device {
  if (before?.account === undefined || before.account === after.account) return after;
  const { recovery, ...rest } = after;
  return recovery === undefined || recovery.started !== before.recovery?.started ? after : rest;
}

function isSwap(before: Device, after: Device): boolean {
  return before.unit !== after.unit || before.unit_since !== after.unit_since;
}

function withOptions(device: Device, given: NonNullable<Device['options']>): Device {
  const { options, ...rest } = device;
  return Object.keys(given).length === 0 ? rest : { ...rest, options: given };
}

/** What a replacement leaves alone unless it says otherwise. */
function kept(before: Device | undefined): Partial<Device> {
  if (before === undefined) return {};
  const { protocol, transport, first_seen, recovery, unit, unit_since } = before;
  return {
    ...(unit === undefined ? {} : { unit }),
    ...(unit_since === undefined ? {} : { unit_since }),
    ...(protocol === undefined ? {} : { protocol }),
    ...(transport === undefined ? {} : { transport }),
    ...(first_seen === undefined ? {} : { first_seen }),
    ...(recovery === undefined ? {} : { recovery }),
  };
}

function refusal(
  refused: 'unknown' | 'exists' | 'conflict' | 'invalid' | 'busy',
  problems: readonly FieldProblem[],
): Extract<Change, { refused: unknown }> {
  return { refused, problems };
}

function madeOf(before: Device | undefined, { id, patch }: Upsert): Made {
  return { device: patched(before, { ...patch, id }) };
}

function counted(counts: UpsertCounts, { before, after }: { before: Device | undefined; after: Device | undefined }): void {
  if (before === undefined) counts.created++;
  else if (isDeepStrictEqual(before, after)) counts.unchanged++;
  else counts.changed++;
}
