import { createHash } from 'node:crypto';
import { z } from 'zod';
import { rowsOf, TypedTable } from '../../state/table.ts';
import { billed, type Counters } from './overhead.ts';
import { planSchema } from './plan.ts';
import type { Period } from './service.ts';
import { usageOf } from './usage.ts';
import { type PlanHistory, pricedBy } from './versions.ts';

/**
 * The statement of a closed billing cycle of a device (docs/plans.md): what was used, and by which version of which plan it is priced.
 *
 * 1. It is made once, when all usage of the cycle has arrived, of the rows of the table `usage` in ClickHouse, and is never changed.
 * 2. Its hash is the SHA-256 of its canonical JSON, a line break, and the hash of the account's statement before: a chain per account.
 */
const counters = { bytes_in: z.int(), bytes_out: z.int(), segments: z.int(), datagrams: z.int(), records: z.int() };

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

export const STATEMENTS = new TypedTable<Frozen, [device: string, start: number]>({
  name: 'statements',
  key: (device, start) => `${device} ${start}`,
  parse: rowsOf(frozenSchema),
});
/** The newest statement of each account. */
export const HEADS = new TypedTable<Head, [account: string]>({
  name: 'statement_heads',
  key: (account) => createHash('sha256').update(account).digest('hex'),
  parse: rowsOf(headSchema),
});

/** What a statement is about, of the device's periods: undefined if no plan of the device had a cycle that begins then. */
export interface Scope {
  readonly account: string;
  readonly plan: PlanHistory;
  readonly from: number;
  readonly to: number;
  readonly activated: number | undefined;
}

/** The part of the cycle in which the device was on the plan: another plan with other cycles ends it, or begins it later. */
export function scopeOf(periods: readonly Period[], plans: ReadonlyMap<string, PlanHistory>, start: number): Scope | undefined {
  let found: Scope | undefined;
  for (const [at, period] of periods.entries()) {
    const plan = plans.get(period.plan);
    if (plan === undefined) continue;
    const { cycle } = pricedBy(plan, start);
    // What was counted before the device was known counts for its first plan.
    const from = at === 0 ? cycle.start : Math.max(period.from, cycle.start);
    const to = Math.min(periods[at + 1]?.from ?? cycle.end, cycle.end);
    if (cycle.start !== start || to <= from) continue;
    const activated = periods.find(({ state }) => state === 'active')?.from;
    found = { account: period.account, plan, from: found?.from ?? from, to, activated };
  }
  return found;
}

export function statementOf(
  device: string,
  { account, plan: history, from, to, activated }: Scope,
  start: number,
  used: Counters,
): Statement {
  const { plan, version, cycle } = pricedBy(history, start);
  const metered = { id: device, ...(activated === undefined ? {} : { activates_at: activated }) };
  const { bytes_cap, records_cap } = usageOf(used, metered, plan, cycle);
  const billed_bytes = billed(plan, used);
  return {
    device,
    account,
    plan: plan.name,
    plan_version: version,
    time_zone: plan.time_zone,
    start: from,
    end: to,
    ...used,
    overhead: plan.overhead,
    overhead_bytes: billed_bytes - used.bytes_in - used.bytes_out,
    billed_bytes,
    ...(bytes_cap === undefined ? {} : { bytes_cap, over_bytes: Math.max(0, billed_bytes - bytes_cap) }),
    ...(records_cap === undefined ? {} : { records_cap, over_records: Math.max(0, used.records - records_cap) }),
  };
}

/** Invariant 2. */
export function hashOf(statement: Statement, previous: string): string {
  return createHash('sha256')
    .update(`${canonical(statement)}\n${previous}`)
    .digest('hex');
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
