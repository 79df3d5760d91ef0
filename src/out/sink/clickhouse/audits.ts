import { jsonOf } from '../../../base/json.ts';
import { plainError } from './errors.ts';
import { quoteName, quoteText } from './migrate.ts';
import { type ClickHouseAccess, connect } from './sink.ts';

/** An entry of the audit as people get it (docs/audit.md); times in epoch ms. */
export interface AuditJson {
  readonly id: string;
  readonly time: number;
  readonly type: string;
  readonly device: string;
  readonly account: string;
  readonly [field: string]: unknown;
}

export interface AuditQuery {
  readonly device?: string | undefined;
  readonly account?: string | undefined;
  /** Name of the token. */
  readonly by?: string | undefined;
  readonly type?: string | undefined;
  readonly from: number;
  readonly to: number;
  /** Only what comes behind it, newest first. */
  readonly before?: { readonly time: number; readonly id: string } | undefined;
  readonly limit: number;
}

/** What a caller has read of a device; of none in particular: ''. */
export interface Exposed {
  readonly device: string;
  readonly accounts: readonly string[];
  readonly operations: readonly string[];
  readonly first: number;
  readonly last: number;
  readonly count: number;
}

/** Whose entries. */
export type AuditOf = { readonly device: string } | { readonly account: string };

const REQUEST_MS = 60_000;
const PAGE = 1_000;

/** Reads the table `audit`. Rejects with AppError. */
export class Audits {
  readonly #access: ClickHouseAccess;
  readonly #table: string;

  constructor(access: ClickHouseAccess) {
    this.#access = access;
    this.#table = `${quoteName(access.database ?? 'fixgate')}.audit`;
  }

  /** Newest first. */
  async list({ device, account, by, type, from, to, before, limit }: AuditQuery): Promise<AuditJson[]> {
    const wheres = [`time BETWEEN ${moment(from)} AND ${moment(to)}`];
    for (const [name, value] of Object.entries({ device, account, by, type }))
      if (value !== undefined) wheres.push(`${name} = ${quoteText(value)}`);
    if (before !== undefined)
      wheres.push(`time <= ${moment(before.time)} AND (time, id) < (${moment(before.time)}, ${quoteText(before.id)})`);
    const rows = await this.#rows<[string, number, string, string, string, string]>(
      `SELECT toString(id), toUnixTimestamp64Milli(time), toString(type), device, toString(account), data FROM ${this.#table} FINAL
WHERE ${wheres.join(' AND ')} ORDER BY time DESC, id DESC LIMIT ${limit}`,
    );
    return rows.map(([id, at, kind, of, owner, data]) => ({
      ...Object(jsonOf(data)),
      id,
      time: at,
      type: kind,
      device: of,
      account: owner,
    }));
  }

  /** All entries up to now, epoch ms, newest first. */
  async *pages(of: AuditOf, now: number): AsyncGenerator<AuditJson[]> {
    for (let last: AuditJson | undefined; ; ) {
      const page = await this.list({ ...of, from: 0, to: now, before: last, limit: PAGE });
      if (page.length === 0) return;
      yield page;
      last = page.at(-1);
    }
  }

  /** By device. */
  async exposure(by: string, from: number, to: number): Promise<Exposed[]> {
    const rows = await this.#rows<[string, string[], string[], number, number, number]>(
      `SELECT device, arraySort(groupUniqArray(toString(account))), arraySort(groupUniqArray(toString(operation))),
toUnixTimestamp64Milli(min(time)), toUnixTimestamp64Milli(max(time)), sum(count) FROM ${this.#table} FINAL
WHERE (type = 'read' OR operation = 'POST /v1/disclosures' AND device != '' AND status < 400) AND by = ${quoteText(by)} AND time BETWEEN ${moment(from)} AND ${moment(to)} GROUP BY device ORDER BY device`,
    );
    return rows.map(([device, accounts, operations, first, last, count]) => ({ device, accounts, operations, first, last, count }));
  }

  async #rows<R>(query: string): Promise<R[]> {
    const client = connect(this.#access, REQUEST_MS);
    try {
      const settings = { output_format_json_quote_64bit_integers: 0 } as const;
      const result = await client.query({ query, format: 'JSONCompactEachRow', clickhouse_settings: settings });
      return await result.json<R>();
    } catch (error) {
      throw plainError(error, this.#access);
    } finally {
      await client.close();
    }
  }
}

function moment(time: number): string {
  return `fromUnixTimestamp64Milli(toInt64(${Math.floor(time)}), 'UTC')`;
}
