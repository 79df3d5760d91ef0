import type { ClickHouseClient } from '@clickhouse/client';
import { jsonOf } from '../../../base/json.ts';
import { EVENT_VERSION } from '../../record/event.ts';
import { plainError } from './errors.ts';
import { quoteName, quoteText } from './migrate.ts';
import { type ClickHouseAccess, connect } from './sink.ts';

export type Row = Readonly<Record<string, unknown>>;

/** Of the time of a row, epoch ms; `to` is not in it. */
interface Span {
  readonly from: number;
  readonly to: number;
}

/** Rows of one query: what a reader holds at a time. */
const PAGE = 2_000;
const REQUEST_MS = 60_000;

/**
 * All that a table has of a device, in the order of time, as records are elsewhere: times in epoch ms, what is absent left out.
 * Methods reject with AppError.
 */
export class DeviceRows {
  readonly #access: ClickHouseAccess;
  readonly #database: string;
  readonly #client: ClickHouseClient;
  readonly #columns = new Map<string, Promise<{ name: string; isTime: boolean }[]>>();

  constructor(options: ClickHouseAccess) {
    this.#access = options;
    this.#database = options.database ?? 'fixgate';
    this.#client = connect(options, REQUEST_MS);
  }

  /** Pages of rows; none where the table is not there. */
  async *pages(table: string, devices: readonly string[], span?: Span): AsyncGenerator<Row[]> {
    const columns = await this.columns(table);
    if (columns.length === 0) return;
    const within = span === undefined ? '' : ` AND time >= ${moment(span.from)} AND time < ${moment(span.to)}`;
    const list = columns.map(({ name, isTime }) => (isTime ? `toUnixTimestamp64Milli(${name}) AS ${name}` : name)).join(', ');
    for (const device of devices) {
      for (let after = ''; ; ) {
        const where = `device = ${quoteText(device)}${within}${after}`;
        const inner = `SELECT * FROM ${quoteName(this.#database)}.${quoteName(table)} FINAL WHERE ${where} ORDER BY time, id LIMIT ${PAGE}`;
        const rows = await this.#select(`SELECT ${list} FROM (${inner}) ORDER BY time, id`);
        if (rows.length > 0) yield rows.map(present);
        const last = rows.at(-1);
        if (last === undefined || rows.length < PAGE) break;
        const time = moment(Number(last['time']));
        after = ` AND time >= ${time} AND (time, id) > (${time}, ${quoteText(String(last['id']))})`;
      }
    }
  }

  /** Pages of events, each as the stream has it, also one from before the envelope, whose data holds the type as well. */
  async *events(devices: readonly string[], span?: Span): AsyncGenerator<object[]> {
    for await (const page of this.pages('events', devices, span)) yield page.map(eventOf);
  }

  /** None where the table is not there. Looked up once. */
  columns(table: string): Promise<{ name: string; isTime: boolean }[]> {
    const known = this.#columns.get(table) ?? this.#columnsOf(table);
    this.#columns.set(table, known);
    return known;
  }

  async #columnsOf(table: string): Promise<{ name: string; isTime: boolean }[]> {
    const where = `database = ${quoteText(this.#database)} AND table = ${quoteText(table)} AND default_kind != 'ALIAS'`;
    const rows = await this.#select(`SELECT name, type LIKE '%DateTime64%' AS time FROM system.columns WHERE ${where} ORDER BY position`);
    return rows.map((row) => ({ name: quoteName(String(row['name'])), isTime: Number(row['time']) === 1 }));
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  async #select(query: string): Promise<Row[]> {
    try {
      const settings = { output_format_json_quote_64bit_integers: 0 } as const;
      const result = await this.#client.query({ query, format: 'JSONEachRow', clickhouse_settings: settings });
      return await result.json<Row>();
    } catch (error) {
      throw plainError(error, this.#access);
    }
  }
}

function moment(time: number): string {
  return `fromUnixTimestamp64Milli(toInt64(${Math.floor(time)}))`;
}

/** Without what is absent: null, '', an empty list or map. */
function present(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row).filter(([, value]) => {
      if (value === null || value === '') return false;
      return typeof value !== 'object' || Object.keys(value).length > 0;
    }),
  );
}

function eventOf(row: Row): object {
  const { id, device, account = '', time, received = time, protocol = '', type } = row;
  const value = jsonOf(String(row['data'] ?? '{}'));
  const { type: _, ...data }: { type?: unknown } = typeof value === 'object' && value !== null ? value : {};
  return { version: EVENT_VERSION, id, kind: 'event', device, account, time, received, protocol, type, data };
}
