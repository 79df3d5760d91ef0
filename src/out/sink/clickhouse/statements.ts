import type { ClickHouseClient } from '@clickhouse/client';
import { jsonOf } from '../../../base/json.ts';
import { canonical, type Frozen, type Statement, statementSchema } from '../../../fleet/plan/statement.ts';
import { plainError } from './errors.ts';
import { quoteName, quoteText } from './migrate.ts';
import { type ClickHouseAccess, connect } from './sink.ts';

const REQUEST_MS = 60_000;

/** One row of the table `statements`; `statement` undefined: its text is not one any more. */
export interface StoredStatement {
  readonly account: string;
  readonly number: number;
  readonly device: string;
  readonly statement: Statement | undefined;
  readonly previous: string;
  readonly hash: string;
  /** When it was made, epoch ms. */
  readonly frozen: number;
}

/** The table `statements`. Methods reject with AppError. */
export class StatementTable {
  readonly #access: ClickHouseAccess;
  readonly #client: ClickHouseClient;
  readonly #table: string;

  constructor(access: ClickHouseAccess) {
    this.#access = access;
    this.#client = connect(access, REQUEST_MS);
    this.#table = `${quoteName(access.database ?? 'fixgate')}.statements`;
  }

  /** The same again is the same row. */
  async add(rows: readonly Frozen[]): Promise<void> {
    const values = rows.map(({ statement, number, previous, hash, frozen }) => {
      const { account, device, start, end } = statement;
      return {
        account,
        number,
        device,
        start: seconds(start),
        end: seconds(end),
        statement: canonical(statement),
        previous,
        hash,
        frozen: seconds(frozen),
      };
    });
    try {
      await this.#client.insert({ table: this.#table, values, format: 'JSONEachRow' });
    } catch (error) {
      throw plainError(error, this.#access);
    }
  }

  /** By account and number; `of`: those of an account that begin in `[from, to)`, epoch ms. */
  async list(of?: { readonly account: string; readonly from: number; readonly to: number }): Promise<StoredStatement[]> {
    try {
      const time = (at: number): string => `fromUnixTimestamp64Milli(toInt64(${Math.floor(at)}), 'UTC')`;
      const where =
        of === undefined ? '' : `WHERE account = ${quoteText(of.account)} AND start >= ${time(of.from)} AND start < ${time(of.to)}`;
      const query = `SELECT account, number, device, statement, previous, hash, toUnixTimestamp64Milli(frozen) AS made FROM ${this.#table} FINAL ${where} ORDER BY account, number`;
      const result = await this.#client.query({ query, format: 'JSONEachRow' });
      return (await result.json<Record<string, unknown>>()).map((row) => ({
        account: String(row['account']),
        number: Number(row['number']),
        device: String(row['device']),
        statement: statementSchema.safeParse(jsonOf(String(row['statement']))).data,
        previous: String(row['previous']),
        hash: String(row['hash']),
        frozen: Number(row['made']),
      }));
    } catch (error) {
      throw plainError(error, this.#access);
    }
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}

/** As a text: a number has to be whole. */
function seconds(ms: number): string {
  return (ms / 1000).toFixed(3);
}
