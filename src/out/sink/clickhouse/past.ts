import type { ClickHouseClient } from '@clickhouse/client';
import { jsonOf } from '../../../base/json.ts';
import { EVENT_VERSION, type EventJson } from '../../record/event.ts';
import { plainError } from './errors.ts';
import { quoteName, quoteText } from './migrate.ts';
import { type ClickHouseAccess, connect } from './sink.ts';

/**
 * What people ask of the past: tracks and events. Rejects with AppError, at the first row: 503 while ClickHouse is away.
 *
 * 1. A track that is thinned keeps the first row of each bucket, both ends of each gap between buckets, every row with an event up to
 *    MOST_EVENTS, the fastest and the last.
 */

/** [time, lat, lon, speed_kmh, course_deg, altitude_m, event, flags] */
export type TrackRow = readonly [
  time: number,
  lat: number,
  lon: number,
  speedKmh: number | null,
  courseDeg: number | null,
  altitudeM: number | null,
  event: string,
  flags: readonly string[],
];

export interface Track {
  readonly rows: readonly TrackRow[];
  /** How many there are. */
  readonly total: number;
}

/** What of the rows some accounts may see, epoch ms: those of theirs that were received in one of the spans. */
export interface Limit {
  readonly accounts: ReadonlySet<string>;
  readonly spans: readonly { readonly from: number; readonly to: number; readonly measured: number }[];
}

export interface EventQuery {
  readonly device?: string | undefined;
  /** Of a device that is named. */
  readonly limit_to?: Limit | undefined;
  /** Only rows that carry one of these accounts. */
  readonly accounts?: ReadonlySet<string> | undefined;
  readonly types: readonly string[];
  readonly from: number;
  readonly to: number;
  /** Only what comes behind it, newest first. */
  readonly before?: { readonly time: number; readonly id: string } | undefined;
  readonly limit: number;
}

const REQUEST_MS = 60_000;
const MOST_EVENTS = 20_000;
/** A shorter silence counts as no gap. */
const GAP_MS = 300_000;
/** Nor does one of fewer mean intervals. */
const GAP_INTERVALS = 3;
const ROW = 'toUnixTimestamp64Milli(time), lat, lon, speed_kmh, course_deg, altitude_m, toString(event), flags';

export class Past {
  readonly #access: ClickHouseAccess;
  readonly #database: string;

  constructor(access: ClickHouseAccess) {
    this.#access = access;
    this.#database = quoteName(access.database ?? 'fixgate');
  }

  /** About so many rows of `[from, to]`, epoch ms. */
  async track(device: string, from: number, to: number, points: number, limit?: Limit): Promise<Track> {
    return this.#with(async (client) => {
      const where = this.#where(device, from, to, limit);
      const [[total = 0] = []] = await rowsOf<[number]>(client, `SELECT count() FROM ${this.#database}.positions FINAL WHERE ${where}`);
      if (total <= points) return { rows: await rowsOf<TrackRow>(client, this.#all(where)), total };
      const bucketMs = Math.max(1, Math.ceil((to - from + 1) / points));
      const bucket = `intDiv(toUnixTimestamp64Milli(time) - ${from}, ${bucketMs})`;
      const kept = (choice: string): string => `${choice}((${ROW}), time)`;
      const buckets = await rowsOf<[TrackRow, TrackRow, TrackRow]>(
        client,
        `SELECT ${kept('argMin')}, ${kept('argMax')}, argMax((${ROW}), ifNull(speed_kmh, -1)) FROM ${this.#database}.positions FINAL
WHERE ${where} GROUP BY ${bucket} AS bucket ORDER BY bucket`,
      );
      const events = await rowsOf<TrackRow>(client, `${this.#all(`${where} AND event != ''`)} LIMIT ${MOST_EVENTS}`);
      const span = (buckets.at(-1)?.[1][0] ?? 0) - (buckets[0]?.[0][0] ?? 0);
      return { rows: thinned(buckets, events, Math.max(GAP_MS, (GAP_INTERVALS * span) / total)), total };
    });
  }

  /** All rows, as they come. */
  async *rows(device: string, from: number, to: number, limit?: Limit): AsyncGenerator<readonly TrackRow[]> {
    const client = connect(this.#access, REQUEST_MS);
    try {
      const result = await client.query({
        query: this.#all(this.#where(device, from, to, limit)),
        format: 'JSONCompactEachRow',
        ...SETTINGS,
      });
      for await (const page of result.stream<TrackRow>()) yield page.map((row) => row.json());
    } catch (error) {
      throw plainError(error, this.#access);
    } finally {
      await client.close();
    }
  }

  /** Newest first. */
  async events({ device, limit_to, accounts, types, from, to, before, limit }: EventQuery): Promise<EventJson[]> {
    const wheres = [`time BETWEEN ${moment(from)} AND ${moment(to)}`];
    if (device !== undefined) wheres.push(`device = ${quoteText(device)}`);
    if (limit_to !== undefined) wheres.push(limitedTo(limit_to));
    if (accounts !== undefined) wheres.push(`account IN (${listed(accounts)})`);
    if (types.length > 0) wheres.push(`type IN (${types.map(quoteText).join(', ')})`);
    if (before !== undefined)
      wheres.push(`time <= ${moment(before.time)} AND (time, id) < (${moment(before.time)}, ${quoteText(before.id)})`);
    const columns =
      'toString(id), device, toString(account), toUnixTimestamp64Milli(time), toUnixTimestamp64Milli(received), toString(protocol), toString(type), data';
    return this.#with(async (client) => {
      const rows = await rowsOf<[string, string, string, number, number, string, string, string]>(
        client,
        `SELECT ${columns} FROM ${this.#database}.events FINAL WHERE ${wheres.join(' AND ')} ORDER BY time DESC, id DESC LIMIT ${limit}`,
      );
      return rows.map(([id, of, account, time, received, protocol, type, data]) => {
        const { type: _, ...own }: Record<string, unknown> = Object(jsonOf(data));
        return { version: EVENT_VERSION, id, kind: 'event', device: of, account, time, received, protocol, type, data: own };
      });
    });
  }

  #where(device: string, from: number, to: number, limit?: Limit): string {
    const also = limit === undefined ? '' : ` AND ${limitedTo(limit)}`;
    return `device = ${quoteText(device)} AND valid AND time BETWEEN ${moment(from)} AND ${moment(to)}${also}`;
  }

  #all(where: string): string {
    return `SELECT ${ROW} FROM ${this.#database}.positions FINAL WHERE ${where} ORDER BY time`;
  }

  async #with<T>(work: (client: ClickHouseClient) => Promise<T>): Promise<T> {
    const client = connect(this.#access, REQUEST_MS);
    try {
      return await work(client);
    } catch (error) {
      throw plainError(error, this.#access);
    } finally {
      await client.close();
    }
  }
}

const SETTINGS = { clickhouse_settings: { output_format_json_quote_64bit_integers: 0 } } as const;

async function rowsOf<R>(client: ClickHouseClient, query: string): Promise<R[]> {
  const result = await client.query({ query, format: 'JSONCompactEachRow', ...SETTINGS });
  return result.json<R>();
}

function listed(accounts: Iterable<string>): string {
  return [...accounts].map(quoteText).join(', ');
}

/** As `Share.sees` of the registry. */
function limitedTo({ accounts, spans }: Limit): string {
  const within = spans.map(({ from, to, measured }) => {
    const end = to === Number.POSITIVE_INFINITY ? '' : ` AND received < ${moment(to)}`;
    return `(received >= ${moment(from)}${end} AND time >= ${moment(measured)})`;
  });
  return `account IN (${listed(['', ...accounts])}) AND (${within.length === 0 ? '0' : within.join(' OR ')})`;
}

function moment(time: number): string {
  return `fromUnixTimestamp64Milli(toInt64(${Math.floor(time)}), 'UTC')`;
}

/** Invariant 1; `gapMs`: least length of a gap. Each bucket: its first, its last and its fastest row. */
export function thinned(
  buckets: readonly (readonly [first: TrackRow, last: TrackRow, fastest: TrackRow])[],
  events: readonly TrackRow[],
  gapMs: number,
): TrackRow[] {
  const kept: TrackRow[] = [...events];
  let fastest: TrackRow | undefined;
  for (const [i, [first, last, quick]] of buckets.entries()) {
    kept.push(first);
    const next = buckets[i + 1]?.[0];
    if (next === undefined || next[0] - last[0] > gapMs) kept.push(last);
    if (quick[3] !== null && quick[3] > (fastest?.[3] ?? -1)) fastest = quick;
  }
  if (fastest !== undefined) kept.push(fastest);
  kept.sort((a, b) => a[0] - b[0]);
  const seen = new Set<string>();
  return kept.filter((row) => {
    const text = JSON.stringify(row);
    if (seen.has(text)) return false;
    seen.add(text);
    return true;
  });
}
