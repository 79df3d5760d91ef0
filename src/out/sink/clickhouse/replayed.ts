import { Readable } from 'node:stream';
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client';
import { systemClock } from '../../../base/clock.ts';
import { AppError } from '../../../base/errors.ts';
import type { Rows } from '../../record/rows.ts';
import { keyOf, type StoredRecord, storedRecord, type TableName } from './compare.ts';
import { BlockEncoder } from './encode.ts';
import { plainError } from './errors.ts';
import { quoteName, quoteText } from './migrate.ts';
import { type ClickHouseAccess, connect } from './sink.ts';

/**
 * What is stored of frames that are read anew, and its replacement. Asks with one thread and behind others. Methods reject with AppError.
 *
 * 1. New rows are written before old ones are removed: an end in between leaves both, and the next replay removes the old ones.
 * 2. What is removed is gone from the disk, as when a device is erased.
 * 3. Nothing is begun from `until` on, monotonic ms, and a mutation that ClickHouse comes to later does nothing, by its own clock: a hold may
 *    have been set.
 */
export type RowKey = Pick<StoredRecord, 'table' | 'device' | 'time' | 'id'>;

const TABLES: readonly TableName[] = ['positions', 'statuses'];
const REQUEST_MS = 300_000;
const ERASE_MS = 600_000;
/** Devices that are named in a query; of more, all are asked for. */
const MOST_NAMED = 200;
/** Keys of one statement. */
const CHUNK = 500;
const COLUMNS =
  'device, time, id, received, device_time, account, protocol, flags, event, altitude_m, speed_kmh, course_deg, satellites, hdop, ignition, motion, external_v, battery_v, battery_pct, fuel_pct, odometer_m, gsm_level, driver_id, mcc, mnc, lac, cid, cells, wifi, attrs, texts';
const PLACE = ', valid, lat, lon';
const LAST = 'device, time, received, lat, lon, speed_kmh, course_deg';

export class ReplayTables {
  readonly #access: ClickHouseAccess;
  readonly #database: string;
  readonly #client: ClickHouseClient;
  readonly #encoder = new BlockEncoder();

  constructor(access: ClickHouseAccess) {
    this.#access = access;
    this.#database = quoteName(access.database ?? 'fixgate');
    this.#client = connect(access, Math.max(REQUEST_MS, ERASE_MS));
  }

  /** All rows of these devices that were received in `[from, to]`, epoch ms; perhaps of others as well. */
  async stored(devices: ReadonlySet<string>, from: number, to: number): Promise<StoredRecord[]> {
    const named = devices.size > MOST_NAMED ? '' : ` AND device IN (${[...devices].map(quoteText).join(', ')})`;
    const within = `received BETWEEN ${moment(from)} AND ${moment(to)}${named}`;
    const found: StoredRecord[] = [];
    for (const table of TABLES) {
      const columns = (COLUMNS + (table === 'positions' ? PLACE : '')).split(', ');
      const shown = columns.map((name) =>
        ['time', 'received', 'device_time'].includes(name) ? `toUnixTimestamp64Milli(${name}) AS ${name}` : name,
      );
      // The keys by the index of `received`, without FINAL, and with it only those.
      const keys = `SELECT device, time FROM ${this.#database}.${table} WHERE ${within}`;
      const inner = `SELECT ${columns.join(', ')} FROM ${this.#database}.${table} FINAL WHERE (device, time) IN (${keys}) AND ${within}`;
      const rows = await this.#select(`SELECT ${shown.join(', ')} FROM (${inner})`);
      for (const row of rows) found.push(storedRecord(table, row));
    }
    return found;
  }

  /** Keys of these rows that are stored. */
  async present(keys: readonly RowKey[]): Promise<Set<string>> {
    const found = new Set<string>();
    for (const [table, chunk] of chunks(keys)) {
      const columns = 'device, toUnixTimestamp64Milli(time) AS at, toString(id) AS of';
      const inner = `SELECT device, time, id FROM ${this.#database}.${table} FINAL WHERE ${among(chunk)}`;
      for (const row of await this.#select(`SELECT ${columns} FROM (${inner})`))
        found.add(keyOf({ table, device: String(row['device']), time: Number(row['at']), id: String(row['of']) }));
    }
    return found;
  }

  /** Invariants 1 and 3. `token` names the write: the same is made once. `list`: numbers of rows. */
  async write(rows: Rows, list: readonly number[], token: string, until: number): Promise<void> {
    for (const table of TABLES) {
      const some = Int32Array.from(list.filter((row) => rows.isFix(row) === (table === 'positions')));
      if (some.length === 0) continue;
      const pick = { list: some, from: 0, to: some.length };
      const encoding = table === 'positions' ? this.#encoder.positions(rows, pick) : this.#encoder.statuses(rows, pick);
      for (const _ of encoding);
      inTime(until);
      await this.#plain(async () => {
        const answer = await this.#client.exec({
          query: `INSERT INTO ${this.#database}.${table} FORMAT Native`,
          values: Readable.from([this.#encoder.writer.written()], { objectMode: false }),
          clickhouse_settings: { insert_deduplication_token: `${token} ${table}`, max_execution_time: REQUEST_MS / 1000 },
        });
        for await (const _ of answer.stream);
      });
    }
  }

  async remove(keys: readonly RowKey[], until: number): Promise<void> {
    for (const [table, chunk] of chunks(keys)) await this.#mutate(`${this.#database}.${table}`, among(chunk), until);
  }

  /** What the newest position of a device was made of was among these fixes: it is made anew. */
  async renewLast(keys: readonly RowKey[], until: number): Promise<void> {
    const last = `${this.#database}.last_positions`;
    const isLast = 'valid AND time <= received + INTERVAL 5 MINUTE';
    for (const [table, chunk] of chunks(keys)) {
      if (table !== 'positions') continue;
      const at = `(device, time) IN (${chunk.map(({ device, time }) => `(${quoteText(device)}, ${moment(time)})`).join(', ')})`;
      const rows = await this.#select(`SELECT DISTINCT device FROM ${last} WHERE ${at}`);
      if (rows.length === 0) continue;
      const devices = rows.map((row) => quoteText(String(row['device']))).join(', ');
      await this.#mutate(last, at, until);
      const newest = `SELECT device, argMax((time, received, lat, lon, speed_kmh, course_deg), time) AS l FROM ${this.#database}.positions FINAL
WHERE ${isLast} AND device IN (${devices}) GROUP BY device`;
      await this.#command(`INSERT INTO ${last} (${LAST}) SELECT device, l.1, l.2, l.3, l.4, l.5, l.6 FROM (${newest})`, {});
    }
  }

  async #select(query: string): Promise<Record<string, unknown>[]> {
    return this.#plain(async () => {
      const settings = {
        output_format_json_quote_64bit_integers: 0,
        output_format_json_named_tuples_as_objects: 1,
        max_threads: 1,
        priority: '10',
      } as const;
      const result = await this.#client.query({ query, format: 'JSONEachRow', clickhouse_settings: settings });
      return result.json<Record<string, unknown>>();
    });
  }

  /** Invariant 3. */
  async #mutate(table: string, where: string, until: number): Promise<void> {
    inTime(until);
    const [{ theirs = 0 } = {}] = await this.#select('SELECT toUnixTimestamp64Milli(now64(3)) AS theirs');
    const end = moment(Number(theirs) + until - systemClock.elapsed());
    const settings = { mutations_sync: '2', allow_nondeterministic_mutations: 1 } as const;
    await this.#command(`ALTER TABLE ${table} DELETE WHERE now64(3) < ${end} AND (${where})`, settings);
    inTime(until);
  }

  async #command(query: string, settings: ClickHouseSettings): Promise<void> {
    await this.#plain(() => this.#client.command({ query, clickhouse_settings: settings }));
  }

  async #plain<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw plainError(error, this.#access);
    }
  }
}

function inTime(until: number): void {
  if (systemClock.elapsed() >= until)
    throw new AppError('SINK_UNREACHABLE', 'ClickHouse takes too long to write what was read anew; repeat it for the rest');
}

function* chunks(keys: readonly RowKey[]): Generator<readonly [TableName, readonly RowKey[]]> {
  for (const table of TABLES) {
    const own = keys.filter((key) => key.table === table);
    for (let at = 0; at < own.length; at += CHUNK) yield [table, own.slice(at, at + CHUNK)];
  }
}

function among(keys: readonly RowKey[]): string {
  const all = keys.map(({ device, time, id }) => `(${quoteText(device)}, ${moment(time)}, ${quoteText(id)})`);
  // The first part is what the index knows.
  const times = [...new Set(keys.map(({ device, time }) => `(${quoteText(device)}, ${moment(time)})`))];
  return `(device, time) IN (${times.join(', ')}) AND (device, time, toString(id)) IN (${all.join(', ')})`;
}

function moment(time: number): string {
  return `fromUnixTimestamp64Milli(toInt64(${Math.round(time)}), 'UTC')`;
}
