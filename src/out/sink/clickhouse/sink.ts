import type { Agent } from 'node:http';
import { hostname } from 'node:os';
import { Readable } from 'node:stream';
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import type { Erased } from '../../../base/erased.ts';
import { AppError } from '../../../base/errors.ts';
import type { Storage } from '../../../base/files.ts';
import type { Secret, SecretUrl } from '../../../base/secret.ts';
import { Cursor } from '../../../journal/cursor.ts';
import type { Batch, BatchLimits, Counts, Park, Position, Sink } from '../sink.ts';
import { BlockEncoder, type Pick } from './encode.ts';
import { eraseFromTables } from './erase.ts';
import { blamesRows, plainError } from './errors.ts';
import { checkVersion, migrate, quoteName } from './migrate.ts';

/** Where a ClickHouse is, and who asks. */
export interface ClickHouseAccess {
  /** `http://host:8123` or `https://…`. */
  readonly url: SecretUrl;
  readonly username?: string | undefined;
  readonly password?: Secret | undefined;
  /** Created if absent; `fixgate` by default. */
  readonly database?: string | undefined;
  /** Makes the connections, so many at most, in place of `url`. */
  readonly agent?: ((connections: number) => Agent) | undefined;
}

/**
 * ClickHouse tables `positions`, `statuses`, `events`, `usage` and `audit` (README.md beside this file).
 *
 * 1. A batch is announced in the cursor file before anything is sent; after a crash exactly those ranges are sent again.
 * 2. Every insert carries the batch's token and its table: the server stores it once, however often it is sent.
 * 3. The cursor moves when all inserts were answered, and the server answers when they are on its disk.
 * 4. Rows that the server refuses are found by halving and parked; when it refuses everything, the table is at fault
 *    and not the rows, and nothing is parked; nor are those that it takes when they are sent once more behind the others.
 * 5. The server need not be there: tables are migrated when it first answers.
 */
export interface ClickHouseOptions extends ClickHouseAccess {
  /** The sink's position, a file of its own. */
  readonly cursorPath: string;
  readonly storage?: Storage | undefined;
  /** A batch closes at so many rows, 50 000, … */
  readonly batchRows?: number | undefined;
  /** … or when its first entry is so old, 1000 ms. */
  readonly batchAgeMs?: number | undefined;
}

const CONNECTIONS = 2;
const REQUEST_MS = 60_000;
const ERASE_MS = 600_000;
/** The server starts after this look, and devices wait for it. */
const LOOK_MS = 3_000;
/** Those that are sent, as of an event; the others are made of `data`. */
const AUDIT_COLUMNS = ' (device, time, id, received, account, protocol, type, data, version)';
/** So many rows refused and not one taken: it is not the rows. */
const REFUSED_ROWS = 16;

/** Nothing is connected or read before `open`. */
export function createClickHouseSink(options: ClickHouseOptions): Sink {
  return new ClickHouseSink(options);
}

/**
 * Whether a server, if it answers at all, can be used: null, or the AppError CLICKHOUSE_OLD or CLICKHOUSE_REFUSED that
 * a person should see at once. A server that does not answer is no reason not to start.
 */
export async function checkClickHouse(options: ClickHouseAccess): Promise<AppError | null> {
  const client = connect(options, LOOK_MS);
  try {
    await checkVersion(client);
    return null;
  } catch (error) {
    const plain = plainError(error, options);
    return plain.code === 'SINK_UNREACHABLE' ? null : plain;
  } finally {
    await client.close();
  }
}

export function connect(options: ClickHouseAccess, requestMs: number): ClickHouseClient {
  const agent = options.agent?.(CONNECTIONS);
  return createClient({
    ...(agent === undefined ? {} : { http_agent: agent }),
    url: options.url.reveal(),
    username: options.username ?? 'default',
    password: options.password?.reveal() ?? '',
    application: 'fixgate',
    request_timeout: requestMs,
    max_open_connections: CONNECTIONS,
    // Its log would print statements and errors twice, past our own.
    log: { level: ClickHouseLogLevel.OFF },
    clickhouse_settings: {
      // An answer means stored (promise 2), whatever the user's profile says.
      async_insert: 0,
      insert_deduplicate: 1,
      // Replaced rows of one insert go when parts are merged, as those of two do: readers use FINAL in any case (docs/clickhouse.md).
      optimize_on_insert: 0,
      // Devices bring years of months when their clocks are wrong; refusing them would hold up all others.
      max_partitions_per_insert_block: '0',
    },
  });
}

class ClickHouseSink implements Sink {
  readonly name = 'clickhouse';
  readonly relays = false;
  readonly limits: BatchLimits;
  readonly #o: ClickHouseOptions;
  readonly #database: string;
  readonly #encoder = new BlockEncoder();
  #client: ClickHouseClient;
  #migrated = false;
  #cursor: Cursor | null = null;

  constructor(options: ClickHouseOptions) {
    this.#o = options;
    this.#database = options.database ?? 'fixgate';
    this.#client = connect(options, REQUEST_MS);
    this.limits = { rows: options.batchRows ?? 50_000, bytes: 8 * 1024 * 1024, ageMs: options.batchAgeMs ?? 1_000 };
  }

  async open(): Promise<Position> {
    this.#cursor ??= await Cursor.load(this.#o.cursorPath, this.#o.storage);
    if (!this.#migrated) {
      try {
        await migrate(this.#client, this.#database, `${hostname()} ${this.#o.cursorPath}`);
        this.#migrated = true;
      } catch (error) {
        throw plainError(error, this.#o);
      }
    }
    const cursor = this.#cursor;
    return { delivered: (slot) => cursor.position(slot), pending: cursor.pending };
  }

  async deliver(batch: Batch, park: Park): Promise<void> {
    const cursor = this.#cursor;
    if (cursor === null) throw new AppError('SINK_UNREACHABLE', 'the ClickHouse sink is not open');
    if (cursor.pending === null) await cursor.begin(batch.ranges);
    try {
      await this.#deliver(batch, park);
    } catch (error) {
      // A database that was dropped or restored is migrated again.
      this.#migrated = false;
      throw plainError(error, this.#o);
    }
    await cursor.commit();
  }

  async newestStatus(device: string, since: number): Promise<number> {
    const answer = await this.#client.query({
      query: `SELECT toUnixTimestamp64Milli(max(received)) AS at FROM ${quoteName(this.#database)}.statuses WHERE device = {device:String} AND time >= fromUnixTimestamp64Milli({since:Int64})`,
      query_params: { device, since },
      format: 'JSONEachRow',
    });
    const [row] = await answer.json<{ readonly at: string | number }>();
    return Number(row?.at ?? 0);
  }

  async check(): Promise<void> {
    const answer = await this.#client.ping();
    if (!answer.success) throw plainError(answer.error, this.#o);
  }

  /** On a connection of its own, for a mutation of a large table takes its time. */
  async erase(devices: Erased): Promise<Counts> {
    const client = connect(this.#o, ERASE_MS);
    try {
      return await eraseFromTables(client, this.#database, devices);
    } catch (error) {
      throw plainError(error, this.#o);
    } finally {
      await client.close();
    }
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  async #deliver(batch: Batch, park: Park): Promise<void> {
    const { rows, events, usage, audit, instance } = batch;
    const positions = new Int32Array(rows.count);
    const statuses = new Int32Array(rows.count);
    let placed = 0;
    let others = 0;
    for (let row = 0; row < rows.count; row++) {
      if (batch.resent[row] === 1) continue;
      if (rows.isFix(row)) positions[placed++] = row;
      else statuses[others++] = row;
    }
    const ofRow = (row: number): Origin => ({ slot: batch.slot[row] ?? '', sequence: batch.sequence[row] ?? 0 });
    const ofEvent = (row: number): Origin => ({ slot: events.slot[row] ?? '', sequence: events.sequence[row] ?? 0 });
    const ofUsage = (row: number): Origin => ({ slot: usage.slot[row] ?? '', sequence: usage.sequence[row] ?? 0 });
    const ofAudit = (row: number): Origin => ({ slot: audit.slot[row] ?? '', sequence: audit.sequence[row] ?? 0 });
    const whole = (list: Int32Array, to: number): Pick => ({ list, from: 0, to });
    const allEvents = Int32Array.from({ length: events.count }, (_, i) => i);
    const allUsage = Int32Array.from({ length: usage.count }, (_, i) => i);
    const allAudit = Int32Array.from({ length: audit.count }, (_, i) => i);
    const encoder = this.#encoder;
    await this.#insert('positions', batch.token, (pick) => encoder.positions(rows, pick), whole(positions, placed), ofRow, park);
    await this.#insert('statuses', batch.token, (pick) => encoder.statuses(rows, pick), whole(statuses, others), ofRow, park);
    await this.#insert('events', batch.token, (pick) => encoder.events(events, pick), whole(allEvents, events.count), ofEvent, park);
    await this.#insert('usage', batch.token, (pick) => encoder.usage(usage, instance, pick), whole(allUsage, usage.count), ofUsage, park);
    await this.#insert('audit', batch.token, (pick) => encoder.events(audit, pick), whole(allAudit, audit.count), ofAudit, park);
  }

  /** Inserts what the server takes and parks the entries of what it does not. */
  async #insert(table: string, token: string, encode: Encode, all: Pick, originOf: OriginOf, park: Park): Promise<void> {
    const refused: { pick: Pick; error: unknown }[] = [];
    let taken = 0;
    // A part is named after its first and last row: the same rows have the same token, whatever was left out between.
    const send = (pick: Pick): Promise<void> => {
      const part = pick === all ? '' : ` ${pick.list[pick.from]}-${pick.list[pick.to - 1]}`;
      return this.#send(table, `${token} ${table}${part}`, encode(pick));
    };
    const open: Pick[] = all.to > all.from ? [all] : [];
    for (let pick = open.pop(); pick !== undefined; pick = open.pop()) {
      try {
        await send(pick);
        taken += pick.to - pick.from;
      } catch (error) {
        if (!blamesRows(error)) throw error;
        if (pick.to - pick.from > 1) {
          const middle = (pick.from + pick.to) >> 1;
          open.push({ ...pick, from: middle }, { ...pick, to: middle });
          continue;
        }
        refused.push({ pick, error });
        if (taken === 0 && refused.length >= REFUSED_ROWS) throw error;
      }
    }
    // When the first is taken now, the table was at fault, and was mended in between: the others are asked about once more, too.
    let mended = true;
    const parked = new Set<string>();
    for (const [n, { pick, error }] of refused.entries()) {
      const isTaken: boolean = mended && (await takes(() => send(pick)));
      if (n === 0) mended = isTaken;
      if (isTaken) continue;
      const { slot, sequence } = originOf(pick.list[pick.from] ?? 0);
      if (parked.has(`${slot} ${sequence}`)) continue;
      parked.add(`${slot} ${sequence}`);
      await park(slot, sequence, plainError(error, this.#o).message);
    }
  }

  async #send(table: string, token: string, encoding: Generator<void>): Promise<void> {
    for (const _ of encoding) await breath();
    const block = this.#encoder.writer.written();
    const answer = await this.#client.exec({
      query: `INSERT INTO ${quoteName(this.#database)}.${table}${table === 'audit' ? AUDIT_COLUMNS : ''} FORMAT Native`,
      values: Readable.from([block], { objectMode: false }),
      clickhouse_settings: { insert_deduplication_token: token },
    });
    // The body is empty; reading it to its end frees the connection.
    for await (const _ of answer.stream);
  }
}

interface Origin {
  readonly slot: string;
  readonly sequence: number;
}
type OriginOf = (row: number) => Origin;
type Encode = (pick: Pick) => Generator<void>;

/** False when the server blames the rows. */
async function takes(send: () => Promise<void>): Promise<boolean> {
  try {
    await send();
    return true;
  } catch (error) {
    if (!blamesRows(error)) throw error;
    return false;
  }
}

function breath(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
