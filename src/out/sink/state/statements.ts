import { lookMs, systemClock } from '../../../base/clock.ts';
import { stretchesOf } from '../../../base/erased.ts';
import { messageOf } from '../../../base/errors.ts';
import { jsonOf } from '../../../base/json.ts';
import type { Log } from '../../../base/log.ts';
import { Seldom } from '../../../base/seldom.ts';
import type { Cycle } from '../../../fleet/plan/cycle.ts';
import { MOST_PERIODS, type Period, SERVICE } from '../../../fleet/plan/service.ts';
import { readService, readUnits } from '../../../fleet/plan/service-keeper.ts';
import {
  canonical,
  detailOf,
  type Frozen,
  HEADS,
  hashOf,
  type Scope,
  STATEMENTS,
  type Statement,
  statementOf,
  totalOf,
  type Used,
  unitsWithin,
} from '../../../fleet/plan/statement.ts';
import { partOf, unfrozen } from '../../../fleet/plan/unfrozen.ts';
import { PLANS, type PlanHistory, pricedBy, UNLIMITED_HISTORY } from '../../../fleet/plan/versions.ts';
import { entries, pages } from '../../../state/pages.ts';
import type { StateStore } from '../../../state/store.ts';
import type { UsageHistory } from '../clickhouse/history.ts';
import type { StatementTable, StoredStatement } from '../clickhouse/statements.ts';
import { ANY_CURSOR } from './cursor.ts';

/**
 * Freezes the statements of billing cycles that are over. Runs in the supervisor.
 *
 * 1. A cycle is closed when every server that has counted into the state store has said (`closed <instance>` in the table `cursors`) that all
 *    usage of before its end is in both stores.
 * 2. A statement is frozen once: it and the head of its account's chain are one write, on the condition that neither is there yet.
 * 3. It is copied to ClickHouse at least once; what is to be copied stands in `statement_copies`, made by the same write.
 */
export interface StatementOptions {
  readonly store: StateStore;
  readonly history: UsageHistory;
  readonly table: StatementTable;
  readonly instance: string;
  /** All usage of this server from before that is in both stores, epoch ms; 0: not known now. */
  readonly delivered: () => Promise<number>;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  readonly log: Log;
  readonly everyMs?: number | undefined;
}

const EVERY_MS = 60_000;
/** Copied at once. */
const COPIES = 1_000;
/** Devices of one query. */
const CHUNK = 200;
/** Sums are looked through again at least so often: plans may have changed. */
const LOOK_MS = 3_600_000;
const CLOSED = 'closed ';

interface Due {
  readonly device: string;
  readonly start: number;
  readonly scope: Scope;
  readonly periods: readonly Period[];
  /** When it is over, epoch ms. */
  readonly due: number;
}

const UNUSED: Used = { networks: [], told: [] };

export class StatementKeeper {
  readonly #o: StatementOptions;
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> | undefined;
  /** Up to when usage must have arrived before there is something to freeze, epoch ms. */
  #next = 0;
  readonly #trouble = new Seldom('statements cannot be made; retrying', systemClock);

  constructor(options: StatementOptions) {
    this.#o = options;
  }

  start(): void {
    this.#timer = setInterval(() => void this.#tick(), this.#o.everyMs ?? lookMs(EVERY_MS));
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#working;
    await this.#o.history.close();
    await this.#o.table.close();
  }

  #tick(): Promise<void> {
    this.#working ??= this.freeze()
      .catch((error: unknown) => this.#trouble.warn(this.#o.log, { error: messageOf(error) }))
      .finally(() => {
        this.#working = undefined;
      });
    return this.#working;
  }

  /** Freezes what can be, and copies what is to be copied. */
  async freeze(): Promise<void> {
    const { store, instance, delivered } = this.#o;
    const own = await delivered();
    if (own > 0) await store.write([{ table: 'cursors', key: CLOSED + instance, put: String(own) }]);
    const closed = await this.#closed();
    if (closed > this.#next) this.#next = await this.#freezeAll(closed);
    await this.#copy();
  }

  /** Invariant 1. */
  async #closed(): Promise<number> {
    const { store } = this.#o;
    const instances = new Set<string>();
    for await (const [key] of entries(store, 'cursors', { prefix: ANY_CURSOR })) instances.add(key.split(' ')[1] ?? '');
    const marks = await Promise.all([...instances].map(async (one) => Number((await store.get('cursors', CLOSED + one)) ?? 0)));
    return marks.length === 0 ? 0 : Math.min(...marks);
  }

  /** Returns when the next cycle ends, epoch ms. */
  async #freezeAll(closed: number): Promise<number> {
    const { store } = this.#o;
    const plans = new Map<string, PlanHistory>([['default', UNLIMITED_HISTORY]]);
    for await (const [name, plan] of PLANS.entries(store)) plans.set(name, plan);
    let next = closed + LOOK_MS;
    for await (const page of pages(store, 'usage', { size: CHUNK })) {
      const groups = new Map<string, Due[]>();
      for (const { key } of page)
        for await (const due of this.#dueOf(key, plans, closed)) {
          const { start, end } = due.scope.window;
          const of = `${start} ${end} ${partOf(due.scope) ?? ''}`;
          if (closed < due.due) next = Math.min(next, due.due);
          else groups.set(of, [...(groups.get(of) ?? []), due]);
        }
      for (const due of groups.values()) if (!(await this.#freezeTogether(due))) next = 0;
    }
    return next;
  }

  /** What is not frozen of a cycle that has sums. */
  async *#dueOf(key: string, plans: ReadonlyMap<string, PlanHistory>, closed: number): AsyncGenerator<Due> {
    const { store, now } = this.#o;
    const at = key.lastIndexOf(' ');
    const [device, start] = [key.slice(0, at), Number(key.slice(at + 1))];
    if (start >= closed || (await store.get('statements', key)) !== undefined) return;
    const periods = (await readService(store, device, now()))?.periods ?? [];
    for await (const scope of unfrozen(store, [device, start], periods, plans)) {
      // A part is frozen with the rest of its cycle: its account may have the device again.
      const due = partOf(scope) === undefined ? scope.to : pricedBy(scope.plan, start).cycle.end;
      yield { device, start, scope, periods, due };
    }
  }

  /** False when another server came between. */
  async #freezeTogether(due: readonly Due[]): Promise<boolean> {
    const [first] = due;
    if (first === undefined) return true;
    const devices = due.map(({ device }) => device);
    const used = await this.#o.history.used(devices, first.scope.window, partOf(first.scope));
    let all = true;
    for (const one of due) all = (await this.#freezeOne(one, used.get(one.device) ?? UNUSED)) && all;
    return all;
  }

  /** Invariant 2. */
  async #freezeOne({ device, start, scope, periods }: Due, used: Used): Promise<boolean> {
    const { store, now } = this.#o;
    const part = partOf(scope);
    const units = unitsWithin(await readUnits(store, device), scope);
    const statement = statementOf(device, scope, start, totalOf(used.networks), {
      ...detailOf(used, periods, scope),
      ...units,
    });
    const text = await store.get('statement_heads', HEADS.key(scope.account));
    const head = HEADS.parse(HEADS.key(scope.account), text);
    const previous = head?.hash ?? '';
    const frozen: Frozen = { statement, number: (head?.number ?? 0) + 1, previous, hash: hashOf(statement, previous), frozen: now() };
    return store.write([
      STATEMENTS.expect(undefined, device, start, part),
      HEADS.expect(text, scope.account),
      STATEMENTS.put(frozen, device, start, part),
      HEADS.put({ number: frozen.number, hash: frozen.hash }, scope.account),
      { table: 'statement_copies', key: STATEMENTS.key(device, start, part), put: '1' },
    ]);
  }

  /** Invariant 3. */
  async #copy(): Promise<void> {
    const { store, table } = this.#o;
    for await (const page of pages(store, 'statement_copies', { size: COPIES })) {
      const rows: Frozen[] = [];
      for (const { key } of page) {
        const frozen = STATEMENTS.parse(key, await store.get('statements', key));
        if (frozen !== undefined) rows.push(frozen);
      }
      if (rows.length > 0) await table.add(rows);
      await store.write(page.map(({ key }) => ({ table: 'statement_copies', key, remove: true }) as const));
    }
  }
}

export interface Finding {
  readonly account: string;
  readonly number: number;
  readonly device: string;
  /** `usage`: the rows say something else; `erased`, `expired`: rows are gone, which is not a fault; the rest is one of the chain. */
  readonly what: 'usage' | 'erased' | 'expired' | 'hash' | 'chain' | 'missing';
  readonly about: string;
}

/** Computes all statements again from the usage rows, and follows the chains. */
export async function* verifyStatements(
  store: StateStore,
  history: UsageHistory,
  table: StatementTable,
): AsyncGenerator<Finding | StoredStatement> {
  const copied = new Map((await table.list()).map((row) => [`${row.account}\n${row.number}`, row]));
  const heads = new Map<string, { number: number; hash: string }>();
  const stored: StoredStatement[] = [];
  for await (const [, { statement, ...rest }] of STATEMENTS.entries(store))
    stored.push({ ...rest, statement, account: statement.account, device: statement.device });
  stored.sort((a, b) => (a.account < b.account ? -1 : a.account > b.account ? 1 : a.number - b.number));
  let used = new Map<StoredStatement, Used>();
  for (const [at, row] of stored.entries()) {
    const { account, number, device, previous, hash, statement } = row;
    const finding = (what: Finding['what'], about: string): Finding => ({ account, number, device, what, about });
    const before = heads.get(account) ?? { number: 0, hash: '' };
    heads.set(account, { number, hash });
    if (number !== before.number + 1 || previous !== before.hash) yield finding('chain', `does not follow number ${before.number}`);
    if (statement === undefined || hashOf(statement, previous) !== hash) {
      yield finding('hash', 'the statement was changed: its hash is another');
      continue;
    }
    const copy = copied.get(`${account}\n${number}`);
    if (copy?.hash !== hash || copy.statement === undefined || hashOf(copy.statement, copy.previous) !== hash)
      yield finding('missing', 'ClickHouse has no such statement, or another one');
    if (!used.has(row)) used = await usedTogether(history, stored.slice(at, at + CHUNK));
    const differs = await differences(store, statement, used.get(row) ?? UNUSED);
    if (differs === '') yield row;
    else yield await explained(store, history, statement, statement.start, finding('usage', differs));
  }
  for (const [account, head] of heads) {
    const last = HEADS.read(await store.get('statement_heads', HEADS.key(account)));
    if (last?.hash !== head.hash)
      yield {
        account,
        number: last?.number ?? 0,
        device: '',
        what: 'chain',
        about: `the chain ends at ${head.number}, its head is another`,
      };
  }
}

/** What the rows say of the first of these statements, and of those behind it that are of the same cycle: what is frozen together has numbers in a row. */
async function usedTogether(history: UsageHistory, rows: readonly StoredStatement[]): Promise<Map<StoredStatement, Used>> {
  const [first] = rows;
  if (first?.statement === undefined) return new Map();
  const window = windowOf(first.statement);
  const part = partOf(first.statement);
  const isOther = ({ statement }: StoredStatement): boolean =>
    statement === undefined || partOf(statement) !== part || canonical(windowOf(statement)) !== canonical(window);
  const until = rows.findIndex(isOther);
  const same = until < 0 ? rows : rows.slice(0, until);
  const found = await history.used(
    same.map(({ device }) => device),
    window,
    part,
  );
  return new Map(same.map((row) => [row, found.get(row.device) ?? UNUSED]));
}

function windowOf({ start, end, cycle_start = start, cycle_end = end }: Statement): Cycle {
  return { start: cycle_start, end: cycle_end };
}

/** What of the statement is something else by the rows, the life of the service and the units of the device; '' if nothing is. */
async function differences(store: StateStore, statement: Statement, used: Used): Promise<string> {
  const { device, start, end, owned } = statement;
  const periods = (await SERVICE.get(store, device))?.periods ?? [];
  const times = { from: start, to: end, owned };
  const units = unitsWithin(await readUnits(store, device), times);
  const computed: Partial<Statement> = { ...totalOf(used.networks), ...detailOf(used, periods, times), ...units };
  // The life of a service goes with the record of an erased device, and its oldest periods when there are very many.
  const first = periods[0]?.from ?? end;
  if (first >= end || (first > start && periods.length >= MOST_PERIODS)) delete computed.days;
  return Object.entries(computed)
    .filter(([name, value]) => Reflect.get(statement, name) !== undefined && canonical(Reflect.get(statement, name)) !== canonical(value))
    .map(([name, value]) => `${name} ${canonical(Reflect.get(statement, name))}, rows ${canonical(value)}`)
    .join('; ');
}

/** Rows that were erased, or have all expired, are not faults. */
async function explained(
  store: StateStore,
  history: UsageHistory,
  { device, account, end }: Pick<Statement, 'device' | 'account' | 'end'>,
  start: number,
  found: Finding,
): Promise<Finding> {
  const { before, stretches = before }: { before?: unknown; stretches?: unknown } = Object(jsonOf(await store.get('erasures', device)));
  const own = (stretchesOf(stretches) ?? []).filter(({ account: of, from, to }) => (of ?? account) === account && from < end && to > start);
  if (own.length > 0) {
    const to = new Date(Math.max(...own.map((one) => one.to))).toISOString();
    return { ...found, what: 'erased', about: `usage from before ${to} was erased` };
  }
  const { usage = 0 }: { usage?: unknown } = Object(jsonOf(await store.get('retained', device)));
  if (Number(usage) > start)
    return {
      ...found,
      what: 'expired',
      about: `usage from before ${new Date(Number(usage)).toISOString()} was kept long enough and removed`,
    };
  const oldest = await history.oldest();
  if (oldest <= start) return found;
  const since = Number.isFinite(oldest) ? `the oldest usage row is of ${new Date(oldest).toISOString()}` : 'there are no usage rows';
  return oldest >= end ? { ...found, what: 'expired', about: since } : { ...found, about: `${found.about}; ${since}` };
}
