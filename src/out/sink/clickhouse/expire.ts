import type { ClickHouseClient } from '@clickhouse/client';
import { systemClock } from '../../../base/clock.ts';
import { AppError } from '../../../base/errors.ts';
import { ERASED_TABLES } from './erase.ts';
import { plainError } from './errors.ts';
import { quoteName, quoteText } from './migrate.ts';
import { type ClickHouseAccess, connect } from './sink.ts';

/** Rows of a device and an account that were received before a moment; times in epoch ms. */
interface OldRows {
  readonly table: string;
  readonly device: string;
  readonly account: string;
  readonly oldest: number;
}

interface Cutoff {
  readonly device: string;
  readonly account: string;
  readonly before: number;
  /** The same of events that statements are made of. */
  readonly billed: number;
}

/** Of a table. */
interface Columns {
  readonly received: string;
  readonly account: string;
  /** Not before ClickHouse was reached for the first time. */
  readonly isThere: boolean;
}

const LOOK_MS = 120_000;
const REMOVE_MS = 600_000;
const SETTINGS = { clickhouse_settings: { output_format_json_quote_64bit_integers: 0 } } as const;
/** What statements are made of beside usage (`history.ts`); says nothing of places. */
const IS_BILLED = `(type IN ('plan_step', 'plan_step_ended') OR type = 'command' AND JSONExtractString(data, 'state') = 'sent')`;

/**
 * What has been kept long enough goes from the tables that an erasure goes through (`erase.ts`), by the time of its receipt: the device's clock
 * does not count. Methods reject with AppError.
 */
export class OldTables {
  readonly #access: ClickHouseAccess;
  readonly #database: string;
  readonly #columns = new Map<string, Columns>();

  constructor(access: ClickHouseAccess) {
    this.#access = access;
    this.#database = access.database ?? 'fixgate';
  }

  /** What was received before `before`, undefined: never mind that; and raw frames of evidence that were before `rawBefore`. */
  async old(before: number | undefined, rawBefore: number): Promise<OldRows[]> {
    return this.#with(LOOK_MS, async (client) => {
      const found: OldRows[] = [];
      for (const table of before === undefined ? ['raw'] : ERASED_TABLES) {
        const { received, account, isThere } = await this.#columnsOf(client, table);
        if (!isThere) continue;
        const end = table === 'raw' ? rawBefore : (before ?? 0);
        const rows = await select<[string, string, number]>(
          client,
          `SELECT device, toString(${account}) AS a, toUnixTimestamp64Milli(min(${received})) FROM ${this.#name(table)}
WHERE ${received} < ${moment(end)} GROUP BY device, a ORDER BY device, a`,
        );
        for (const [device, of, oldest] of rows) found.push({ table, device, account: of, oldest });
      }
      return found;
    });
  }

  /**
   * One mutation, which rewrites the parts: what is gone leaves the disk some minutes later. Returns how many rows went. The mutation itself
   * says that it does nothing from `until` on, monotonic ms, by the database's own clock: it may go on, or begin, when no run waits for it any
   * more. A part that is being rewritten then is rewritten to its end.
   */
  async remove(table: string, cutoffs: readonly Cutoff[], until: number): Promise<number> {
    return this.#with(REMOVE_MS, async (client) => {
      const where = conditionOf(cutoffs, table, await this.#columnsOf(client, table));
      const [[rows, theirs] = [0, 0]] = await select<[number, number]>(
        client,
        `SELECT count(), toUnixTimestamp64Milli(now64(3)) FROM ${this.#name(table)} WHERE ${where}`,
      );
      if (rows === 0) return 0;
      const end = moment(theirs + until - systemClock.elapsed());
      await client.command({
        query: `ALTER TABLE ${this.#name(table)} DELETE WHERE now64(3) < ${end} AND (${where})`,
        clickhouse_settings: { mutations_sync: '2', allow_nondeterministic_mutations: 1 },
      });
      if (systemClock.elapsed() >= until)
        throw new AppError('SINK_UNREACHABLE', 'rows that were kept long enough take too long to go; the rest goes with the next run');
      return rows;
    });
  }

  #name(table: string): string {
    return `${quoteName(this.#database)}.${quoteName(table)}`;
  }

  async #columnsOf(client: ClickHouseClient, table: string): Promise<Columns> {
    const known = this.#columns.get(table);
    if (known !== undefined) return known;
    const where = `database = ${quoteText(this.#database)} AND table = ${quoteText(table)}`;
    const names = new Set((await select<[string]>(client, `SELECT name FROM system.columns WHERE ${where}`)).map(([name]) => name));
    const isThere = names.size > 0;
    const columns = { received: names.has('received') ? 'received' : 'time', account: names.has('account') ? 'account' : "''", isThere };
    if (isThere) this.#columns.set(table, columns);
    return columns;
  }

  async #with<T>(requestMs: number, work: (client: ClickHouseClient) => Promise<T>): Promise<T> {
    const client = connect(this.#access, requestMs);
    try {
      return await work(client);
    } catch (error) {
      throw plainError(error, this.#access);
    } finally {
      await client.close();
    }
  }
}

/** Those of one moment together. */
function conditionOf(cutoffs: readonly Cutoff[], table: string, { received, account }: Columns): string {
  const groups = new Map<string, string[]>();
  for (const { device, account: of, before, billed } of cutoffs) {
    const older = `${received} < ${moment(table === 'usage' ? billed : before)}`;
    const key = table === 'events' && billed < before ? `${older} AND (${received} < ${moment(billed)} OR NOT ${IS_BILLED})` : older;
    groups.set(key, [...(groups.get(key) ?? []), `(${quoteText(device)}, ${quoteText(of)})`]);
  }
  return [...groups].map(([key, pairs]) => `(${key} AND (device, toString(${account})) IN (${pairs.join(', ')}))`).join(' OR ');
}

async function select<R>(client: ClickHouseClient, query: string): Promise<R[]> {
  const result = await client.query({ query, format: 'JSONCompactEachRow', ...SETTINGS });
  return result.json<R>();
}

function moment(time: number): string {
  return `fromUnixTimestamp64Milli(toInt64(${Math.max(0, Math.floor(time))}), 'UTC')`;
}
