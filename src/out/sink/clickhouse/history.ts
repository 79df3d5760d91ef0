import type { ClickHouseClient } from '@clickhouse/client';
import type { Cycle } from '../../../fleet/plan/cycle.ts';
import type { Counters } from '../../../fleet/plan/overhead.ts';
import type { NetworkUse, Told, Used } from '../../../fleet/plan/statement.ts';
import { plainError } from './errors.ts';
import { IS_SIGNAL } from './evidence.ts';
import { quoteName, quoteText } from './migrate.ts';
import { type ClickHouseAccess, connect } from './sink.ts';

/** A place in the journal of a slot. */
export interface Place {
  readonly instance: string;
  readonly slot: string;
  /** Of a usage entry; 0: there was none. */
  readonly sequence: number;
  /** When it was noted, epoch ms. */
  readonly time: number;
}

const REQUEST_MS = 300_000;
const SUMS = 'sum(bytes_in) AS i, sum(bytes_out) AS o, sum(segments) AS s, sum(datagrams) AS d, sum(records) AS r';

/** What the table `usage` says. Methods reject with AppError. */
export class UsageHistory {
  readonly #access: ClickHouseAccess;
  readonly #client: ClickHouseClient;
  readonly #table: string;
  readonly #events: string;

  constructor(options: ClickHouseAccess) {
    this.#access = options;
    this.#client = connect(options, REQUEST_MS);
    this.#table = `${quoteName(options.database ?? 'fixgate')}.usage`;
    this.#events = `${quoteName(options.database ?? 'fixgate')}.events`;
  }

  /** Devices with usage in `[from, to)`, epoch ms. */
  async devices(from: number, to: number): Promise<string[]> {
    const rows = await this.#select(`SELECT DISTINCT device FROM ${this.#table} WHERE ${within({ start: from, end: to })}`);
    return rows.map((row) => String(row['device']));
  }

  /** The first of the places that is not there yet, nor anything behind it; undefined: all are. */
  async missing(places: readonly Place[]): Promise<Place | undefined> {
    const open = places.filter(({ sequence }) => sequence > 0);
    if (open.length === 0) return undefined;
    const since = Math.min(...open.map(({ time }) => time));
    const rows = await this.#select(
      `SELECT instance, slot, max(sequence) AS newest FROM ${this.#table} WHERE time >= ${moment(since)} GROUP BY instance, slot`,
    );
    const newest = new Map(rows.map((row) => [`${String(row['instance'])} ${String(row['slot'])}`, Number(row['newest'])]));
    return open.find(({ instance, slot, sequence }) => (newest.get(`${instance} ${slot}`) ?? 0) < sequence);
  }

  /**
   * Sums of the devices in the cycle, up to and with the places; where a slot has no place, of what is older than `settled`,
   * epoch ms.
   */
  async sums(
    devices: readonly string[],
    cycle: Cycle,
    places: readonly Omit<Place, 'time'>[],
    settled: number,
  ): Promise<Map<string, Counters>> {
    const known = places.map(({ instance, slot, sequence }) => `(${quoteText(instance)}, ${Number(slot)}, ${sequence})`);
    const list = known.length === 0 ? '' : `arrayFirst(p -> p.1 = instance AND p.2 = slot, [${known.join(', ')}]).3 AS place,`;
    const rows = await this.#select(
      `SELECT device, ${SUMS} FROM (
        SELECT *, ${list === '' ? '0 AS place' : list.slice(0, -1)} FROM ${this.#table} FINAL
        WHERE device IN (${devices.map(quoteText).join(', ')}) AND ${within(cycle)}
      ) WHERE if(place = 0, time < ${moment(settled)}, sequence <= place) GROUP BY device`,
    );
    return new Map(rows.map((row) => [String(row['device']), countersOf(row)]));
  }

  /**
   * What the statements of the devices rest on: usage by network, and of the events those of steps, of commands that were sent, and of evidence. `account`:
   * what was received while the device was of it; undefined: all.
   */
  async used(devices: readonly string[], cycle: Cycle, account?: string): Promise<Map<string, Used>> {
    const found = new Map<string, { networks: NetworkUse[]; told: Told[] }>();
    for (const device of devices) found.set(device, { networks: [], told: [] });
    const of = account === undefined ? '' : ` AND account = ${quoteText(account)}`;
    const where = `device IN (${devices.map(quoteText).join(', ')}) AND ${within(cycle)}${of}`;
    const rows = await this.#select(
      `SELECT device, ifNull(mcc, -1) AS c, ifNull(mnc, -1) AS n, roaming AS away, ${SUMS} FROM ${this.#table} FINAL
      WHERE ${where} GROUP BY device, c, n, away ORDER BY device, c, n, away`,
    );
    for (const row of rows) {
      const [mcc, mnc] = [Number(row['c']), Number(row['n'])];
      const network = { ...(mcc < 0 ? {} : { mcc }), ...(mnc < 0 ? {} : { mnc }), roaming: row['away'] === true };
      found.get(String(row['device']))?.networks.push({ ...network, ...countersOf(row) });
    }
    const events = await this.#select(
      `SELECT device, toUnixTimestamp64Milli(time) AS at, type, JSONExtractString(data, 'action') AS action,
        JSONExtractFloat(data, 'at_pct') AS pct, JSONExtractString(data, 'command') AS command, JSONExtractString(data, 'id') AS number,
        JSONExtractString(data, 'reason') AS reason
      FROM ${this.#events} FINAL
      WHERE ${where} AND (type IN ('plan_step', 'plan_step_ended') OR type = 'command' AND JSONExtractString(data, 'state') = 'sent' OR ${IS_SIGNAL})
      ORDER BY device, time, id`,
    );
    for (const row of events) {
      const text = (name: string): string => String(row[name]);
      const what = { type: text('type'), action: text('action'), command: text('command'), id: text('number'), reason: text('reason') };
      found.get(text('device'))?.told.push({ ...what, at: Number(row['at']), at_pct: Number(row['pct']) });
    }
    return found;
  }

  /** Time of the oldest row, epoch ms; Infinity without any. */
  async oldest(): Promise<number> {
    const [row] = await this.#select(`SELECT count() AS rows, toUnixTimestamp64Milli(min(time)) AS oldest FROM ${this.#table}`);
    return Number(row?.['rows'] ?? 0) === 0 ? Number.POSITIVE_INFINITY : Number(row?.['oldest']);
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  async #select(query: string): Promise<Record<string, unknown>[]> {
    try {
      const result = await this.#client.query({ query, format: 'JSONEachRow' });
      return await result.json<Record<string, unknown>>();
    } catch (error) {
      throw plainError(error, this.#access);
    }
  }
}

function countersOf(row: Record<string, unknown>): Counters {
  const [bytes_in, bytes_out, segments, datagrams, records] = ['i', 'o', 's', 'd', 'r'].map((name) => Number(row[name]));
  return { bytes_in: bytes_in ?? 0, bytes_out: bytes_out ?? 0, segments: segments ?? 0, datagrams: datagrams ?? 0, records: records ?? 0 };
}

function within({ start, end }: Cycle): string {
  return `time >= ${moment(start)} AND time < ${moment(end)}`;
}

function moment(time: number): string {
  return `fromUnixTimestamp64Milli(toInt64(${Math.floor(time)}), 'UTC')`;
}
