import { createHash } from 'node:crypto';
import { z } from 'zod';
import { rowsOf, TypedTable } from '../../state/table.ts';
import { type Cycle, proration } from './cycle.ts';
import { isSignal, SIGNALS } from './evidence.ts';
import { billed, type Counters, NOTHING } from './overhead.ts';
import { type Plan, planSchema } from './plan.ts';
import { type Period, SERVICE_STATES } from './service.ts';
import { usageOf } from './usage.ts';
import { type PlanHistory, pricedBy } from './versions.ts';

const DAY_MS = 86_400_000;

/**
 * The statement of a closed billing cycle of a device (docs/plans.md): what was used, and by which version of which plan it is priced.
 *
 * 1. It is made once, when all usage of the cycle has arrived, of the rows of the table `usage` in ClickHouse, and is never changed.
 * 2. Its hash is the SHA-256 of its canonical JSON, a line break, and the hash of the account's statement before: a chain per account.
 */
const counters = { bytes_in: z.int(), bytes_out: z.int(), segments: z.int(), datagrams: z.int(), records: z.int() };

const networkSchema = z
  .object({
    mcc: z.int().optional().describe('country code of the network; absent: not known'),
    mnc: z.int().optional(),
    roaming: z.boolean().describe('not one of the home networks that the device had then'),
    ...counters,
  })
  .describe('what was used over one network');
export type NetworkUse = z.infer<typeof networkSchema>;

const stepTaken = z.object({
  action: z.string(),
  at_pct: z.number(),
  from: z.int().describe('epoch ms'),
  to: z.int().optional().describe('absent: to the end of the cycle'),
});

/** What statements of before there was this have not: their hashes are of what they have. */
const later = {
  networks: z.array(networkSchema),
  steps: z.array(stepTaken).describe('steps of the plan that held'),
  commands: z.record(z.string(), z.int()).describe('commands that were sent to the device, by type'),
  days: z.partialRecord(z.enum(SERVICE_STATES), z.number()).describe('in each state, of 24 hours'),
  evidence: z.partialRecord(z.enum(SIGNALS), z.int()).describe('instances of evidence, by kind'),
};
const detail = z.object(later);
export type Detail = z.infer<typeof detail>;

const ownedSchema = z.object({ from: z.int(), to: z.int() });
type Owned = z.infer<typeof ownedSchema>;

export const statementSchema = z.object({
  device: z.string(),
  account: z.string(),
  plan: z.string(),
  plan_version: z.int(),
  time_zone: z.string(),
  start: z.int().describe('epoch ms; the end does not belong to it'),
  end: z.int(),
  ...counters,
  overhead: planSchema.shape.overhead.unwrap(),
  overhead_bytes: z.int().describe('what the overhead and the rounding add to the bytes'),
  billed_bytes: z.int(),
  bytes_cap: z.int().optional(),
  over_bytes: z.int().optional().describe('billed beyond the cap'),
  records_cap: z.int().optional(),
  over_records: z.int().optional(),
  cycle_start: z.int().optional().describe('of the cycle of which this is the part of an account; absent: `start`'),
  cycle_end: z.int().optional(),
  owned: z
    .array(ownedSchema)
    .optional()
    .describe('when the device was of the account; absent: all the time, or it is of before this was noted'),
  units: z
    .array(z.object({ unit: z.string(), from: z.int(), to: z.int() }))
    .optional()
    .describe('which hardware was in the device, and when; absent: the same all the time'),
  ...detail.partial().shape,
});
export type Statement = z.infer<typeof statementSchema>;

export const frozenSchema = z.object({
  statement: statementSchema,
  number: z.int().describe('in the chain of the account, from 1'),
  previous: z.string().describe("hash of the account's statement before; empty for the first"),
  hash: z.string(),
  frozen: z.int().describe('when it was made, epoch ms'),
});
export type Frozen = z.infer<typeof frozenSchema>;

const headSchema = z.object({ number: z.int(), hash: z.string() });
export type Head = z.infer<typeof headSchema>;

/** `account`: of a statement of a part of the cycle, in which others had the device, too. */
export const STATEMENTS = new TypedTable<Frozen, [device: string, start: number, account?: string]>({
  name: 'statements',
  key: (device, start, account) => (account === undefined ? `${device} ${start}` : `${device} ${start} ${digest(account).slice(0, 16)}`),
  parse: rowsOf(frozenSchema),
});
/** The newest statement of each account. */
export const HEADS = new TypedTable<Head, [account: string]>({
  name: 'statement_heads',
  key: digest,
  parse: rowsOf(headSchema),
});

/** What a statement is about. */
export interface Scope {
  readonly account: string;
  readonly plan: PlanHistory;
  readonly from: number;
  readonly to: number;
  readonly activated: number | undefined;
  /** When the device was of the account, where it was of others, too, in the cycle: only what was received as this one's counts. */
  readonly owned: readonly Owned[] | undefined;
  /** In which that was received: usage is noted some seconds after it, and then after the device was passed on. */
  readonly window: Cycle;
}

/**
 * Of the device's periods, one for each account that had it in the cycle that begins then, the first one first; none if no plan of the device
 * had such a cycle. The part of the cycle in which the device was on the plan: another plan with other cycles ends it, or begins it later.
 */
export function scopesOf(periods: readonly Period[], plans: ReadonlyMap<string, PlanHistory>, start: number): Scope[] {
  let whole: Scope | undefined;
  for (const [at, period] of periods.entries()) {
    const plan = plans.get(period.plan);
    if (plan === undefined) continue;
    const { cycle } = pricedBy(plan, start);
    // What was counted before the device was known counts for its first plan.
    const from = at === 0 ? cycle.start : Math.max(period.from, cycle.start);
    const to = Math.min(periods[at + 1]?.from ?? cycle.end, cycle.end);
    if (cycle.start !== start || to <= from) continue;
    const activated = periods.find(({ state }) => state === 'active')?.from;
    const begun: number = whole?.from ?? from;
    whole = { account: period.account, plan, from: begun, to, activated, owned: undefined, window: { start: begun, end: to } };
  }
  if (whole === undefined) return [];
  const owned = new Map<string, Owned[]>();
  for (const [at, { account, from: since }] of periods.entries()) {
    const from = at === 0 ? whole.from : Math.max(since, whole.from);
    const to = Math.min(periods[at + 1]?.from ?? whole.to, whole.to);
    const spans = owned.get(account) ?? [];
    const last = spans.at(-1);
    if (to <= from) continue;
    owned.set(account, last?.to === from ? [...spans.slice(0, -1), { ...last, to }] : [...spans, { from, to }]);
  }
  if (owned.size <= 1) return [whole];
  const { plan, activated, window } = whole;
  return [...owned].map(([account, spans]) => ({
    account,
    plan,
    from: spans[0]?.from ?? 0,
    to: spans.at(-1)?.to ?? 0,
    activated,
    owned: spans,
    window,
  }));
}

/** An event that a statement tells of. */
export interface Told {
  readonly type: string;
  /** Epoch ms. */
  readonly at: number;
  readonly action: string;
  readonly at_pct: number;
  readonly command: string;
  /** Of the command. */
  readonly id: string;
  /** Of the receiver that lost its position. */
  readonly reason: string;
}

/** What the tables have of a device in a time. */
export interface Used {
  readonly networks: readonly NetworkUse[];
  /** By time. */
  readonly told: readonly Told[];
}

export function totalOf(networks: readonly Counters[]): Counters {
  return networks.reduce<Counters>(
    (sum, one) => ({
      bytes_in: sum.bytes_in + one.bytes_in,
      bytes_out: sum.bytes_out + one.bytes_out,
      segments: sum.segments + one.segments,
      datagrams: sum.datagrams + one.datagrams,
      records: sum.records + one.records,
    }),
    NOTHING,
  );
}

export function detailOf({ networks, told }: Used, periods: readonly Period[], scope: TimesOf): Detail {
  return { networks: [...networks], ...toldOf(told), days: daysOf(periods, scope) };
}

function toldOf(told: readonly Told[]): Pick<Detail, 'steps' | 'commands' | 'evidence'> {
  const evidence: Detail['evidence'] = {};
  const steps: z.infer<typeof stepTaken>[] = [];
  const sent = new Map<string, Set<string>>();
  for (const { type, at, action, at_pct, command, id, reason } of told) {
    if (isSignal(type, { reason })) evidence[type] = (evidence[type] ?? 0) + 1;
    const open = steps.findIndex((one) => one.to === undefined && one.action === action && one.at_pct === at_pct);
    const held = steps[open];
    if (type === 'command') sent.set(command, (sent.get(command) ?? new Set()).add(id));
    // A server that is killed while it says something says it again.
    else if (type === 'plan_step' && held === undefined) steps.push({ action, at_pct, from: at });
    else if (type === 'plan_step_ended' && held !== undefined) steps[open] = { ...held, to: at };
  }
  return { steps, commands: Object.fromEntries([...sent].map(([type, ids]) => [type, ids.size])), evidence };
}

/** The units of a device in a time, if there was more than one. */
export function unitsWithin(
  periods: readonly { readonly unit: string; readonly from: number; readonly to?: number | undefined }[],
  { from, to, owned = [{ from, to }] }: TimesOf,
): Pick<Statement, 'units'> {
  const found = periods.flatMap((period) =>
    owned.flatMap((span) => {
      const [begin, end] = [Math.max(from, span.from, period.from), Math.min(to, span.to, period.to ?? to)];
      return begin < end ? [{ unit: period.unit, from: begin, to: end }] : [];
    }),
  );
  return new Set(found.map(({ unit }) => unit)).size > 1 ? { units: found } : {};
}

type TimesOf = { readonly from: number; readonly to: number; readonly owned?: readonly Owned[] | undefined };

/** Days in each state, to the thousandth. */
export function daysOf(periods: readonly Period[], { from, to, owned = [{ from, to }] }: TimesOf): Detail['days'] {
  const times: Partial<Record<Period['state'], number>> = {};
  for (const [at, period] of periods.entries())
    for (const span of owned) {
      const time = Math.min(to, span.to, periods[at + 1]?.from ?? to) - Math.max(span.from, period.from);
      if (time > 0) times[period.state] = (times[period.state] ?? 0) + time;
    }
  return Object.fromEntries(Object.entries(times).map(([state, time]) => [state, Math.round(time / (DAY_MS / 1000)) / 1000]));
}

export function statementOf(
  device: string,
  { account, plan: history, from, to, activated, owned, window }: Scope,
  start: number,
  used: Counters,
  more?: Partial<Pick<Statement, 'units' | keyof Detail>>,
): Statement {
  const { plan, version, cycle } = pricedBy(history, start);
  const share = owned === undefined ? proration(plan, cycle, activated) : shareOf(plan, cycle, activated ?? 0, owned);
  const { bytes_cap, records_cap } = usageOf(used, { id: device }, plan, cycle, share);
  const billed_bytes = billed(plan, used);
  return {
    device,
    account,
    plan: plan.name,
    plan_version: version,
    time_zone: plan.time_zone,
    start: from,
    end: to,
    ...(owned === undefined ? {} : { cycle_start: window.start, cycle_end: window.end, owned: [...owned] }),
    ...used,
    overhead: plan.overhead,
    overhead_bytes: billed_bytes - used.bytes_in - used.bytes_out,
    billed_bytes,
    ...(bytes_cap === undefined ? {} : { bytes_cap, over_bytes: Math.max(0, billed_bytes - bytes_cap) }),
    ...(records_cap === undefined ? {} : { records_cap, over_records: Math.max(0, used.records - records_cap) }),
    ...more,
  };
}

/** What the statements of an account's devices come to. `isWhole`: no further cycle can begin that belongs to them. */
export function accountSum(
  all: readonly (Statement & { readonly provisional: boolean; readonly number?: number | undefined; readonly hash?: string | undefined })[],
  isWhole: boolean,
): AccountSum {
  const sum = (of: (one: Statement) => number | undefined): number => all.reduce((total, one) => total + (of(one) ?? 0), 0);
  const named = (of: (one: Statement) => Readonly<Record<string, number>> | undefined): Record<string, number> => {
    const sums = new Map<string, number>();
    for (const one of all) for (const [name, n] of Object.entries(of(one) ?? {})) sums.set(name, (sums.get(name) ?? 0) + n);
    return Object.fromEntries([...sums].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, n]) => [name, Math.round(1000 * n) / 1000]));
  };
  const networks = new Map<string, NetworkUse>();
  for (const one of all.flatMap(({ networks: some = [] }) => some)) {
    const { mcc, mnc, roaming } = one;
    const key = `${mcc} ${mnc} ${roaming}`;
    const before = networks.get(key);
    networks.set(key, before === undefined ? one : { ...one, ...totalOf([before, one]) });
  }
  const provisional = !isWhole || all.some((one) => one.provisional);
  const chain = all.map(({ number, hash }) => ({ number, hash })).sort((a, b) => (a.number ?? 0) - (b.number ?? 0));
  const sealed = provisional ? {} : { hash: digest(canonical(chain)) };
  return {
    provisional,
    devices: new Set(all.map(({ device }) => device)).size,
    ...totalOf(all),
    overhead_bytes: sum((one) => one.overhead_bytes),
    billed_bytes: sum((one) => one.billed_bytes),
    over_bytes: sum((one) => one.over_bytes),
    over_records: sum((one) => one.over_records),
    networks: [...networks].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one),
    commands: named((one) => one.commands),
    days: named((one) => one.days),
    evidence: named((one) => one.evidence),
    ...sealed,
  };
}

export interface AccountSum extends Counters {
  readonly provisional: boolean;
  readonly devices: number;
  readonly overhead_bytes: number;
  readonly billed_bytes: number;
  readonly over_bytes: number;
  readonly over_records: number;
  readonly networks: readonly NetworkUse[];
  readonly commands: Readonly<Record<string, number>>;
  readonly days: Readonly<Record<string, number>>;
  readonly evidence: Readonly<Record<string, number>>;
  /** Of the numbers and hashes of the statements. */
  readonly hash?: string;
}

/** Of the caps, for the account that had the device so long. */
function shareOf(plan: Plan, cycle: Cycle, activated: number, owned: readonly Owned[]): number {
  if (!plan.prorate) return 1;
  const shares = owned.map(({ from, to }) => proration({ ...plan, prorate_floor_pct: 0 }, cycle, Math.max(from, activated), to));
  return Math.max(
    plan.prorate_floor_pct / 100,
    Math.min(
      1,
      shares.reduce((sum, share) => sum + Math.max(0, share), 0),
    ),
  );
}

/** Invariant 2. */
export function hashOf(statement: Statement, previous: string): string {
  return createHash('sha256')
    .update(`${canonical(statement)}\n${previous}`)
    .digest('hex');
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** JSON with the names of each object in order. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, one]) => one !== undefined);
  return `{${fields
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, one]) => `${JSON.stringify(name)}:${canonical(one)}`)
    .join(',')}}`;
}
