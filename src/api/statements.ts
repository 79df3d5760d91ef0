import { z } from 'zod';
import { systemClock } from '../base/clock.ts';
import { readService, readUnits } from '../fleet/plan/service-keeper.ts';
import {
  accountSum,
  daysOf,
  detailOf,
  frozenSchema,
  type Scope,
  STATEMENTS,
  scopesOf,
  statementOf,
  statementSchema,
  totalOf,
  unitsWithin,
} from '../fleet/plan/statement.ts';
import { countersOf, forecastOf } from '../fleet/plan/usage.ts';
import type { PlanHistory } from '../fleet/plan/versions.ts';
import { accountId } from '../fleet/registry/account.ts';
import { DEVICES, deviceId } from '../fleet/registry/device.ts';
import { OWNERS, type Share } from '../fleet/registry/owners.ts';
import { expected } from './devices.ts';
import type { ApiOffice } from './office.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

const statement = statementSchema
  .extend({
    provisional: z.boolean().describe('it may still change: the cycle runs, or not all of its usage has arrived'),
    ...frozenSchema.omit({ statement: true }).partial().shape,
    ...expected,
  })
  .meta({ id: 'statement' });
type Shown = z.infer<typeof statement>;
const ofAccount = statementSchema
  .pick({
    account: true,
    bytes_in: true,
    bytes_out: true,
    segments: true,
    datagrams: true,
    records: true,
    networks: true,
    commands: true,
    days: true,
    evidence: true,
  })
  .extend({
    cycle: z.string().describe('month in which the cycles of the devices begin'),
    provisional: z.boolean(),
    devices: z.int(),
    overhead_bytes: z.int(),
    billed_bytes: z.int(),
    over_bytes: z.int(),
    over_records: z.int(),
    hash: z.string().optional().describe('SHA-256 of the numbers and hashes of the statements; absent while it is provisional'),
    statements: z.array(statement).describe('of the devices, which it is the sum of'),
  })
  .meta({ id: 'account_statement' });
const month = z.string().regex(/^\d{4}-(0[1-9]|1[0-2])$/, 'must be a month: YYYY-MM');
export const day = z
  .string()
  .regex(/^\d{4}-\d\d(-\d\d)?$/, 'must be the month or the day on which the cycle begins: YYYY-MM or YYYY-MM-DD');
/** Clocks of some zone show the first of the month so much earlier, or later, than UTC. */
const ZONES_MS = 14 * 3_600_000;

/** Of all cycles with usage, newest first; those that are not frozen are computed of the sums, or of the rows where accounts share a cycle. */
export async function statementsOf(office: ApiOffice, id: string, share?: Share): Promise<Shown[]> {
  const now = systemClock.now();
  const periods = (await readService(office.state, id, now))?.periods ?? [];
  const replaced = await readUnits(office.state, id);
  const plans = new Map<string, PlanHistory>();
  for (const { plan } of periods) if (!plans.has(plan)) plans.set(plan, await office.plans.history(plan));
  const found = new Map<string, Shown>();
  for await (const [key, { statement: frozen, ...rest }] of STATEMENTS.entries(office.state, { prefix: `${id} ` }))
    found.set(key, { ...frozen, provisional: false, ...rest });
  for (const { key, value } of await office.state.list('usage', { prefix: `${id} `, limit: 1000 })) {
    if (found.has(key)) continue;
    const start = Number(key.slice(id.length + 1));
    for (const scope of scopesOf(periods, plans, start)) {
      const own = STATEMENTS.key(id, start, scope.owned === undefined ? undefined : scope.account);
      if (found.has(own) || share?.accounts.has(scope.account) === false) continue;
      const to = Math.min(scope.to, now);
      const days = daysOf(periods, { ...scope, to });
      const units = unitsWithin(replaced, { ...scope, to });
      const counted =
        scope.owned === undefined
          ? statementOf(id, scope, start, totalOf([countersOf(value)]), { days })
          : await partOf(office, id, scope, start, to);
      const made = { ...counted, ...units };
      const begun = Math.max(scope.from, scope.activated ?? 0);
      const forecast = scope.to > now && begun < now ? forecastOf(made, begun, now, scope.to) : {};
      found.set(own, { ...made, provisional: true, ...forecast });
    }
  }
  return [...found.values()].filter((one) => share === undefined || isOwn(one, share)).sort((a, b) => b.start - a.start);
}

/** The sums do not tell accounts apart. */
async function partOf(office: ApiOffice, id: string, scope: Scope, start: number, to: number): Promise<z.infer<typeof statementSchema>> {
  const periods = (await readService(office.state, id, to))?.periods ?? [];
  const used = (await office.history.used([id], scope.window, scope.account)).get(id) ?? { networks: [], told: [] };
  return statementOf(id, scope, start, totalOf(used.networks), detailOf(used, periods, { ...scope, to }));
}

/** One of before a cycle was divided among its accounts has usage of them all. */
function isOwn({ account, start, end, owned }: Shown, { accounts, spans }: Share): boolean {
  return accounts.has(account) && (owned !== undefined || spans.some((span) => span.measured <= start && span.to >= end));
}

/** Day on which the cycle begins, in its zone. */
export function dayOf({ start, cycle_start = start, time_zone }: Shown): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone: time_zone, dateStyle: 'short' }).format(cycle_start);
}

/** Statements of the account's devices whose cycles begin in the month, by device. */
async function inMonth(office: ApiOffice, account: string, cycle: string): Promise<Shown[]> {
  const first = Date.parse(`${cycle}-01T00:00:00Z`);
  const [year = 0, number = 0] = cycle.split('-').map(Number);
  // A part of a cycle begins with it or later in it.
  const [from, to] = [first - ZONES_MS, Date.UTC(year, number + 1, 2) + ZONES_MS];
  const found: Shown[] = (await office.statements.list({ account, from, to })).flatMap(
    ({ statement: one, number: place, previous, hash, frozen }) =>
      one === undefined ? [] : [{ ...one, provisional: false, number: place, previous, hash, frozen }],
  );
  const known = new Set(found.map(({ number: place }) => place));
  for (const device of await devicesOf(office, account))
    for (const one of await statementsOf(office, device)) if (one.account === account && !known.has(one.number ?? -1)) found.push(one);
  return found
    .filter((one) => dayOf(one).startsWith(cycle))
    .sort((a, b) => (a.device < b.device ? -1 : a.device > b.device ? 1 : a.start - b.start));
}

/** The devices that are or were the account's. */
async function devicesOf({ state }: ApiOffice, account: string): Promise<string[]> {
  const devices = new Set<string>();
  for await (const [id, periods] of OWNERS.entries(state)) if (periods.some((one) => one.account === account)) devices.add(id);
  for await (const [id, device] of DEVICES.entries(state)) if ((device.account ?? '') === account) devices.add(id);
  return [...devices];
}

const away = { about: 'ClickHouse does not answer' };

/** Statements of billing cycles (docs/plans.md). */
export const STATEMENT_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/v1/devices/{id}/statements',
    scope: 'read',
    limits: 'periods',
    audits: 'read',
    about: 'Statements of billing cycles, newest first. Those of closed cycles are frozen, the others provisional.',
    params: z.strictObject({ id: deviceId }),
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the statements', schema: z.object({ device: z.string(), statements: z.array(statement) }) }, 503: away },
    async run({ params, share, office }) {
      const id = await office.deviceRecords.idOf(params.id);
      return { device: id, statements: await statementsOf(office, id, share) };
    },
  }),
  route({
    method: 'GET',
    path: '/v1/devices/{id}/statements/{cycle}',
    scope: 'read',
    limits: 'periods',
    audits: 'read',
    about: 'The statement of one billing cycle.',
    params: z.strictObject({ id: deviceId, cycle: day }),
    query: NOTHING,
    body: NO_BODY,
    answers: { 200: { about: 'the statement', schema: statement }, 404: { about: 'no usage in a cycle that begins then' }, 503: away },
    async run({ params: { id: asked, cycle }, share, office, reply }) {
      const id = await office.deviceRecords.idOf(asked);
      const found = (await statementsOf(office, id, share)).find((one) => dayOf(one).startsWith(cycle));
      return found ?? problem(reply, 404, `device ${id} has no statement of a cycle that begins in ${cycle}`);
    },
  }),
  route({
    method: 'GET',
    path: '/v1/accounts/{id}/statements/{cycle}',
    scope: 'read',
    limits: 'rows',
    audits: 'read',
    about:
      "The statement of an account: the sum of those of its devices whose cycles begin in a month, each for the time in which it was the account's.",
    params: z.strictObject({ id: accountId, cycle: month }),
    query: NOTHING,
    body: NO_BODY,
    answers: {
      200: { about: 'the statement', schema: ofAccount },
      404: { about: 'unknown account, or no usage in cycles that begin then' },
      503: away,
    },
    async run({ params: { id, cycle }, reach, office, reply }) {
      if (reach?.accounts.has(id) === false) return problem(reply, 404, `account ${id} is not known`);
      const statements = await inMonth(office, id, cycle);
      if (statements.length === 0)
        return problem(
          reply,
          404,
          (await office.accounts.get(id)) === undefined ? `account ${id} is not known` : `account ${id} has no statement of ${cycle}`,
        );
      const [year = 0, number = 0] = cycle.split('-').map(Number);
      const isOver = systemClock.now() >= Date.UTC(year, number, 1) + ZONES_MS;
      return { account: id, cycle, ...accountSum(statements, isOver), statements };
    },
  }),
];
