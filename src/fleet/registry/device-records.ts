import { isDeepStrictEqual } from 'node:util';
import { messageOf } from '../../base/errors.ts';
import { imeiOf, withZero } from '../../base/wire/index.ts';
import type { CheckRecordOptions } from '../../codec/registry.ts';
import { attempt, CONTENDED, isBusy } from '../../state/attempt.ts';
import { entries, pages } from '../../state/pages.ts';
import type { Op, StateStore } from '../../state/store.ts';
import { DEVICES, type Device, deviceSchema, patched, reasoned, settled } from './device.ts';
import { type FieldProblem, problemsOf } from './field-problem.ts';
import { ownedOps } from './owners.ts';
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
 * 4. Whose a device was, and when, is noted in the same write (`owners.ts`). Settings of an account go with it.
 * 5. Every change is an event of the device, with the names of the fields and who has made it.
 */
/** Devices looked at together, and steps of one write: a store serves no other client meanwhile. */
const BATCH = 200;
const MOST_STEPS = 1_000;

/** What a change came to. */
export type Change =
  | { readonly before: Device | undefined; readonly after: Device | undefined }
  | { readonly refused: 'unknown' | 'exists' | 'conflict' | 'invalid' | 'busy'; readonly problems: readonly FieldProblem[] };

export interface DeviceFilter {
  readonly account?: string | undefined;
  readonly plan?: string | undefined;
  readonly state?: string | undefined;
  /** Part of the id, of an alias or of the account, in capitals or not. */
  readonly q?: string | undefined;
}

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
  /** What a change means for the service of the device, as steps of the same write. */
  readonly service?: (before: Device | undefined, after: Device | undefined, by: string) => Promise<readonly Op[]>;
  /** Journals an event of a device. */
  readonly record: (device: string, event: object) => void;
  /** The device is not of this account any more. */
  readonly left?: (device: string, account: string) => void;
}

/** What a change makes of a record: the new one, undefined to remove it, or why not. */
type Made = { readonly device: unknown } | { readonly remove: true } | { readonly refused: 'unknown' | 'exists' };

const TERMINATED: FieldProblem = {
  field: 'state',
  problem: 'is terminated and not served; activate it first',
};
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
      (before) => (before === undefined ? { refused: 'unknown' } : { device: patched(before, { ...patch, id }) }),
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
    if ('refused' in made) return nothing(refusal(made.refused, []));
    if ('remove' in made) {
      const aliases = (before?.aliases ?? []).map((key): Op => ({ table: 'aliases', key, remove: true }));
      const service = (await this.#o.service?.(before, undefined, by)) ?? [];
      const owned = await ownedOps(store, id, before, undefined, this.#o.now());
      const ops: Op[] = [DEVICES.expect(text, id), DEVICES.remove(id), ...aliases, ...service, ...owned];
      return { change: { before, after: undefined }, ops, joins: undefined };
    }
    const checked = deviceSchema.safeParse(made.device);
    if (!checked.success) return nothing(refusal('invalid', problemsOf(checked.error.issues)));
    const given = checked.data.options ?? {};
    const { options, problems: wrong } = this.#o.checkOptions?.(checked.data.protocol, given) ?? { options: given, problems: [] };
    if (wrong.length > 0)
      return nothing(
        refusal(
          'invalid',
          wrong.map(({ name, problem }) => ({ field: `options.${name}`, problem })),
        ),
      );
    const after = endedWithService(before, reasoned(before, settled(withOptions(checked.data, options))));
    if (after === undefined) return nothing(refusal('conflict', [TERMINATED]));
    if (before !== undefined && isDeepStrictEqual(before, after)) return nothing({ before, after });
    const own = new Set<string>();
    const problems = [...(await this.#wrongPlan(after.plan, plans)), ...(trusting ? [] : await this.#wrongIds(before, after, own))];
    if (problems.length > 0) return nothing(refusal(problems.some(({ field }) => field === 'plan') ? 'invalid' : 'conflict', problems));
    const ops = [...opsOf(text, before, after, own), ...(await ownedOps(store, id, before, after, this.#o.now()))];
    for (const key of newIds(before, after)) {
      const unknownDevice = trusting ? undefined : await store.get('quarantine', key);
      ops.push({ table: 'quarantine', key, expect: unknownDevice });
      if (unknownDevice !== undefined) ops.push({ table: 'quarantine', key, remove: true });
    }
    ops.push(...((await this.#o.service?.(before, after, by)) ?? []));
    const isPut = after.plan !== 'default' && after.plan !== before?.plan;
    return { change: { before, after }, ops, joins: isPut ? { plan: after.plan, text: plans.get(after.plan) } : undefined };
  }

  /** Invariant 3. `known`: plans that have been found. */
  async #wrongPlan(plan: string, known: PlanTexts): Promise<FieldProblem[]> {
    if (plan === 'default' || known.has(plan)) return [];
    const text = await this.#o.store.get('plans', plan);
    if (text === undefined) return [{ field: 'plan', problem: `"${plan}" does not exist; create it first or choose another` }];
    known.set(plan, text);
    return [];
  }

  /** Invariant 2. `own` gets aliases that are the device's already though its record does not say so. */
  async #wrongIds(before: Device | undefined, after: Device, own: Set<string>): Promise<FieldProblem[]> {
    const { store } = this.#o;
    const problems: FieldProblem[] = [];
    const main = before === undefined ? await store.get('aliases', after.id) : undefined;
    if (main !== undefined) problems.push({ field: 'id', problem: `is an alias of ${main}; remove it there first` });
    const same = before === undefined ? sameImei(after.id) : '';
    if (same !== '' && (await store.get('devices', same)) !== undefined)
      problems.push({ field: 'id', problem: `is the IMEI of device ${same}; give it as an alias there` });
    for (const [i, alias] of after.aliases.entries()) {
      const field = `aliases.${i}`;
      if (alias === after.id) problems.push({ field, problem: 'must not be the id itself' });
      else if (after.aliases.indexOf(alias) < i) problems.push({ field, problem: 'is there twice' });
      if (before?.aliases.includes(alias) === true) continue;
      const other = await store.get('aliases', alias);
      if (other === after.id) own.add(alias);
      if (other !== undefined && other !== after.id) problems.push({ field, problem: `is an alias of ${other}; remove it there first` });
      else if (alias !== after.id && (await store.get('devices', alias)) !== undefined)
        problems.push({ field, problem: `is a device of its own; remove device ${alias} first` });
    }
    return problems;
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
      record(id, { type: 'recovery_started', reason: recovery.reason, until: recovery.until, by });
    if (recovery === undefined && before?.recovery !== undefined) record(id, { type: 'recovery_ended', by });
  }
}

/** The device without a recovery that its termination ends; undefined when a recovery is wanted of one that is terminated. */
function endedWithService(before: Device | undefined, after: Device): Device | undefined {
  if (after.state !== 'terminated' || after.recovery === undefined) return after;
  if (!isDeepStrictEqual(before?.recovery, after.recovery)) return undefined;
  const { recovery: _, ...rest } = after;
  return rest;
}

function withOptions(device: Device, given: NonNullable<Device['options']>): Device {
  const { options, ...rest } = device;
  return Object.keys(given).length === 0 ? rest : { ...rest, options: given };
}

/** What a replacement leaves alone unless it says otherwise. */
function kept(before: Device | undefined): Partial<Device> {
  if (before === undefined) return {};
  const { protocol, transport, first_seen, recovery } = before;
  return {
    ...(protocol === undefined ? {} : { protocol }),
    ...(transport === undefined ? {} : { transport }),
    ...(first_seen === undefined ? {} : { first_seen }),
    ...(recovery === undefined ? {} : { recovery }),
  };
}

function refusal(refused: 'unknown' | 'exists' | 'conflict' | 'invalid' | 'busy', problems: readonly FieldProblem[]): Change {
  return { refused, problems };
}

function isMatch(device: Device, filter: DeviceFilter): boolean {
  return (
    (filter.account === undefined || device.account === filter.account) &&
    (filter.plan === undefined || device.plan === filter.plan) &&
    (filter.state === undefined || device.state === filter.state) &&
    (filter.q === undefined || [device.id, device.account ?? '', ...device.aliases].some((text) => holds(text, filter.q)))
  );
}

function holds(text: string, part = ''): boolean {
  return text.toLowerCase().includes(part.toLowerCase());
}

/** Does no line speak of what another one does? */
function isApart(rows: readonly Upsert[]): boolean {
  const seen = new Set<string>();
  for (const { id, patch } of rows) {
    const aliases = Array.isArray(patch['aliases']) ? patch['aliases'] : [];
    for (const name of [id, ...aliases.map(String)]) {
      if (seen.has(name)) return false;
      seen.add(name);
    }
  }
  return true;
}

/** The record and its aliases; fails if an alias belongs to another device by now. */
function opsOf(text: string | undefined, before: Device | undefined, after: Device, own: ReadonlySet<string>): Op[] {
  const { id } = after;
  const ops: Op[] = [
    { table: 'devices', key: id, expect: text },
    { table: 'devices', key: id, put: JSON.stringify(after) },
  ];
  if (before === undefined) ops.push({ table: 'aliases', key: id, expect: undefined });
  const same = before === undefined ? sameImei(id) : '';
  if (same !== '') ops.push({ table: 'devices', key: same, expect: undefined });
  for (const key of newIds(before, after))
    if (key !== id)
      ops.push(
        { table: 'aliases', key, expect: own.has(key) ? id : undefined },
        { table: 'devices', key, expect: undefined },
        { table: 'aliases', key, put: id },
      );
  for (const key of before?.aliases ?? []) if (!after.aliases.includes(key)) ops.push({ table: 'aliases', key, remove: true });
  return ops;
}

/** The other form of an IMEI, with a zero in front or without; '' if there is none. */
function sameImei(id: string): string {
  const imei = imeiOf(id);
  return imei === id ? withZero(id) : imei;
}

/** Ids and aliases that the device has not had before. */
function newIds(before: Device | undefined, after: Device): string[] {
  const had = before?.aliases ?? [];
  return [...(before === undefined ? [after.id] : []), ...after.aliases.filter((alias) => !had.includes(alias))];
}

function madeOf(before: Device | undefined, { id, patch }: Upsert): Made {
  return { device: patched(before, { ...patch, id }) };
}

function counted(counts: UpsertCounts, { before, after }: { before: Device | undefined; after: Device | undefined }): void {
  if (before === undefined) counts.created++;
  else if (isDeepStrictEqual(before, after)) counts.unchanged++;
  else counts.changed++;
}
