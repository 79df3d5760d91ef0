import { randomUUID } from 'node:crypto';
import { lookMs, systemClock } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import { jsonOf } from '../../base/json.ts';
import type { Log } from '../../base/log.ts';
import { Seldom } from '../../base/seldom.ts';
import { entries } from '../../state/pages.ts';
import type { StateStore, Table } from '../../state/store.ts';
import { Share } from '../registry/owners.ts';
import { Claims } from './claims.ts';
import type { Eraser } from './eraser.ts';
import { ERASURES, stretchesIn } from './erasure.ts';
import { DAY_MS, type Rule, Rules } from './retention-rules.ts';

/**
 * Removes what has been kept long enough, once a day (docs/privacy.md); in the supervisor.
 *
 * 1. What was received before `keep_days` ago goes from the tables of devices, and what has ended before it from the state store: commands,
 *    installation tests, cases of recovery, results of campaigns. Raw frames of evidence go after `rawDays` at the latest, whatever rule there is.
 * 2. A hold wins: what is under one stays, and is counted. Rows are removed only under a claim (`claims.ts`), and what is asked of ClickHouse
 *    does nothing any more before the claim has run out: a run may be stopped, and a mutation may wait, for as long as they like.
 * 3. What a statement is still to be made of stays until it is frozen; what of the usage was removed stands in `retained`.
 * 4. So long after the end of a service or an account, or after the device went to another account, what is of that time is erased as by
 *    request (`eraser.ts`).
 * 5. Doing it twice does no harm. Installations that share a state store each do their part.
 */
export interface RetentionOptions {
  readonly store: StateStore;
  readonly instance: string;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  readonly log: Log;
  readonly everyMs: number;
  /** How long raw frames of evidence are kept at most, days. */
  readonly rawDays: number;
  /** Of plans, as they are in force. */
  readonly plans: () => Promise<ReadonlyMap<string, Rule>>;
  readonly tables: OldTables;
  readonly eraser: Pick<Eraser, 'requestPart'>;
  /** When the device's service has ended, epoch ms; undefined: it has not. */
  readonly ended: (device: string) => Promise<number | undefined>;
  /** Forgets the last position of devices, received before these moments, epoch ms. */
  readonly forgetLast: (devices: ReadonlyMap<string, number>) => Promise<void>;
  /** Journals an event of no device. */
  readonly record: (event: object) => void;
  readonly count: (table: string, rows: number) => void;
  readonly held: (devices: number) => void;
}

/** Rows of a device and an account that were received before a moment. */
export interface OldRows {
  readonly table: string;
  readonly device: string;
  /** '' where they have none. */
  readonly account: string;
  /** Received, epoch ms. */
  readonly oldest: number;
}

/** What of these goes. */
export interface Cutoff {
  readonly device: string;
  readonly account: string;
  /** What was received before, epoch ms. */
  readonly before: number;
  /** Of what statements are made of: what was received before. */
  readonly billed: number;
}

interface OldTables {
  /**
   * What was received before `before`, of the table `raw` before `rawBefore`; undefined: of that table only. Rejects with AppError when the
   * database does not answer.
   */
  old(before: number | undefined, rawBefore: number): Promise<readonly OldRows[]>;
  /** How many rows went. From `until` on, monotonic ms, none goes any more, also of what was asked for before. */
  remove(table: string, cutoffs: readonly Cutoff[], until: number): Promise<number>;
}

/** What is to go of a device. */
interface Due {
  readonly cutoffs: Map<string, Cutoff[]>;
  readonly keys: { readonly table: Table; readonly key: string }[];
  /** Usage from before goes; 0: none. */
  usage: number;
}

/** One time through everything. */
interface Run {
  readonly claims: Claims;
  /** How much of what went. */
  readonly removed: Record<string, number>;
}

/** Devices of one step. */
const CHUNK = 500;
const LOOK_MS = 60_000;
/** Tables of the state store whose rows are old some time after their `ended`. */
const OLD_STATE = ['finished', 'tests', 'cases'] as const;

export class Retention {
  readonly #o: RetentionOptions;
  readonly #key: string;
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<unknown> | undefined;
  #stopped = false;
  readonly #trouble = new Seldom('what has been kept long enough cannot be removed; retrying', systemClock);

  constructor(options: RetentionOptions) {
    this.#o = options;
    this.#key = `retention ${options.instance}`;
  }

  start(): void {
    const { everyMs } = this.#o;
    this.#timer = setInterval(() => this.#tick(), Math.min(lookMs(LOOK_MS), everyMs)).unref();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#working;
  }

  #tick(): void {
    this.#working ??= this.#due()
      .catch((error: unknown) => this.#trouble.warn(this.#o.log, { error: messageOf(error) }))
      .finally(() => {
        this.#working = undefined;
      });
  }

  async #due(): Promise<void> {
    const { store, now, everyMs } = this.#o;
    if (now() < Number((await store.get('cursors', this.#key)) ?? 0) + everyMs) return;
    await this.run();
    await store.write([{ table: 'cursors', key: this.#key, put: String(now()) }]);
  }

  /** Once through everything. */
  async run(): Promise<void> {
    const { store, instance, plans, now, record, log, held: count } = this.#o;
    const rules = await Rules.read(store, await plans());
    const due = await this.#dueOf(rules);
    // What a run that was killed or failed has asked ClickHouse for may go on: its claims are not this one's.
    const claims = new Claims({ store, by: `${instance} ${randomUUID()}`, now, main: (id) => rules.device(id)?.id });
    const run: Run = { claims, removed: {} };
    const { removed } = run;
    const held: string[] = [];
    const devices = [...due.keys()];
    for (let at = 0; at < devices.length && !this.#stopped; at += CHUNK)
      held.push(...(await this.#step(new Map(devices.slice(at, at + CHUNK).map((id) => [id, due.get(id) ?? NOTHING_DUE])), run)));
    const { erasing, held: more } = rules.hasEnds ? await this.#ends(rules) : { erasing: 0, held: [] };
    const all = new Set([...held, ...more]);
    count(all.size);
    if (all.size > 0) log.info({ devices: [...all].slice(0, 100), count: all.size }, 'retention leaves what is under a hold');
    if (Object.values(removed).some((rows) => rows > 0) || erasing > 0 || all.size > 0)
      record({ type: 'retention', removed, devices: devices.length, held: all.size, erasing, until: now() });
  }

  async #dueOf(rules: Rules): Promise<Map<string, Due>> {
    const { now, rawDays, tables } = this.#o;
    const at = now();
    const { shortest } = rules;
    const due = new Map<string, Due>();
    const first = shortest === undefined ? undefined : at - shortest * DAY_MS;
    const raw = at - rawDays * DAY_MS;
    const of = (id: string): Due => {
      const one = due.get(id) ?? { cutoffs: new Map<string, Cutoff[]>(), keys: [], usage: 0 };
      due.set(id, one);
      return one;
    };
    for (const { table, device, account, oldest } of await tables.old(first, Math.max(raw, first ?? raw))) {
      const ruled = rules.cutoff(device, account === '' ? rules.accountAt(device, oldest) : account, at);
      const before = table === 'raw' ? Math.max(raw, ruled) : ruled;
      if (oldest >= before) continue;
      const billed = table === 'usage' || table === 'events' ? Math.min(before, await this.#billedUntil(device)) : before;
      if (table === 'usage' && oldest >= billed) continue;
      const one = of(device);
      if (table === 'usage') one.usage = Math.max(one.usage, billed);
      one.cutoffs.set(table, [...(one.cutoffs.get(table) ?? []), { device, account, before, billed }]);
    }
    if (first === undefined) return due;
    for await (const [table, key, time] of this.#oldState()) {
      const device = table === 'campaign_devices' ? key.slice(key.indexOf(' ') + 1) : key.slice(0, key.lastIndexOf(' '));
      if (time < rules.cutoff(device, rules.accountAt(device, time), at)) of(device).keys.push({ table, key });
    }
    return due;
  }

  /** Rows of the state store, with the time at which they ended. */
  async *#oldState(): AsyncGenerator<[table: Table, key: string, time: number]> {
    const { store } = this.#o;
    for (const table of OLD_STATE)
      for await (const [key, value] of entries(store, table)) {
        const time = Number(Reflect.get(Object(jsonOf(value)), 'ended') ?? 0);
        if (time > 0) yield [table, key, time];
      }
    for await (const [id, value] of entries(store, 'campaigns')) {
      const ended = Number(Reflect.get(Object(jsonOf(value)), 'ended') ?? 0);
      if (ended > 0)
        for await (const [key] of entries(store, 'campaign_devices', { prefix: `${id} ` })) yield ['campaign_devices', key, ended];
    }
  }

  /** Invariant 3: start of the first cycle that has no frozen statement. */
  async #billedUntil(device: string): Promise<number> {
    const { store } = this.#o;
    for await (const [key] of entries(store, 'usage', { prefix: `${device} ` }))
      if ((await store.list('statements', { prefix: key, limit: 1 })).length === 0) return Number(key.slice(device.length + 1));
    return Number.POSITIVE_INFINITY;
  }

  /** Returns those that are under a hold. */
  async #step(due: ReadonlyMap<string, Due>, run: Run): Promise<string[]> {
    const { tables, count, forgetLast } = this.#o;
    const { claims } = run;
    let { free, held, until } = await claims.take([...due.keys()]);
    const claimed = free;
    // Invariant 3.
    const usage = new Map([...due].map(([id, one]) => [id, one.usage]));
    // The claim may run out while ClickHouse is busy: a hold that is set then wins.
    const renew = async (table?: string): Promise<void> => {
      const again = await claims.take(free, table === 'usage' ? usage : undefined);
      ({ free, until } = again);
      held = [...held, ...again.held];
    };
    const add = (table: string, rows: number): void => {
      run.removed[table] = (run.removed[table] ?? 0) + rows;
      if (rows > 0) count(table, rows);
    };
    const cutoffs = byTable(due, free);
    const last = new Map((cutoffs.get('last_positions') ?? []).map(({ device, before }) => [device, before]));
    for (const [table, list] of cutoffs) {
      await renew(table);
      const still = new Set(free);
      const those = list.filter(({ device }) => still.has(device));
      if (those.length > 0) add(table, await tables.remove(table, those, until));
    }
    await renew();
    for (const id of held) last.delete(id);
    if (last.size > 0) await forgetLast(last);
    // What is old in the state store goes with the claims.
    const keys = (id: string): Due['keys'] => due.get(id)?.keys ?? [];
    const kept = await claims.end(claimed, (id) => keys(id).map(({ table, key }) => ({ table, key, remove: true })));
    for (const { table } of claimed.filter((id) => !kept.includes(id)).flatMap(keys)) add(table, 1);
    return [...held, ...kept];
  }

  /** Invariant 4. */
  async #ends(rules: Rules): Promise<{ erasing: number; held: string[] }> {
    const { store, eraser, plans } = this.#o;
    let erasing = 0;
    const held: string[] = [];
    for (const id of rules.devices) {
      if (this.#stopped) break;
      for (const account of new Set(rules.periods(id).map((period) => period.account))) {
        if ((await this.#overSince(rules, id, account)) === undefined) continue;
        // The run may have taken long: the account was reopened meanwhile, or has the device again.
        const latest = await Rules.readOne(store, await plans(), id, account);
        const end = await this.#overSince(latest, id, account);
        if (end === undefined) continue;
        const erasure = await ERASURES.get(store, id);
        if (erasure !== undefined && stretchesIn(erasure).some(({ account: of, until }) => (of ?? account) === account && until >= end))
          continue;
        const ids = [id, ...(latest.device(id)?.aliases ?? [])];
        try {
          await eraser.requestPart({ id, ids, share: new Share(id, latest.periods(id), new Set([account])) }, 'retention');
          erasing++;
        } catch (error) {
          if (!isUnderHold(error)) throw error;
          held.push(id);
        }
      }
    }
    return { erasing, held };
  }

  /** When the account's time with the device ended, epoch ms, if that is so long ago that what is of it goes. */
  async #overSince(rules: Rules, id: string, account: string): Promise<number | undefined> {
    const days = rules.of(id, account, 'erase_after_end_days');
    const end = days === undefined ? undefined : await this.#endOf(rules, id, account);
    return days === undefined || end === undefined || this.#o.now() < end + days * DAY_MS ? undefined : end;
  }

  /** When the account's time with the device ended, epoch ms; undefined: it goes on. */
  async #endOf(rules: Rules, id: string, account: string): Promise<number | undefined> {
    const last = rules.periods(id).findLast((period) => period.account === account);
    // The device has no record any more, and none was noted to have had it.
    if (last === undefined) return undefined;
    if (last.to !== undefined) return last.to;
    const owner = rules.account(account);
    const ends = [owner?.state === 'closed' ? owner.since : undefined, await this.#o.ended(id)].filter((end) => end !== undefined);
    return ends.length === 0 ? undefined : Math.min(...ends);
  }
}

function byTable(due: ReadonlyMap<string, Due>, ids: readonly string[]): Map<string, Cutoff[]> {
  const cutoffs = new Map<string, Cutoff[]>();
  for (const id of ids)
    for (const [table, list] of due.get(id)?.cutoffs ?? []) cutoffs.set(table, [...(cutoffs.get(table) ?? []), ...list]);
  return cutoffs;
}

const NOTHING_DUE: Due = { cutoffs: new Map(), keys: [], usage: 0 };

function isUnderHold(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'UNDER_HOLD';
}
