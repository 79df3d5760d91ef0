import type { ClickHouseClient } from '@clickhouse/client';
import type { Erased } from '../../../base/erased.ts';
import { jsonOf } from '../../../base/json.ts';
import { isSignal, SIGNALS, type Signal } from '../../../fleet/plan/evidence.ts';
import { eraseFromTables } from './erase.ts';
import { plainError } from './errors.ts';
import { quoteName, quoteText } from './migrate.ts';
import { type ClickHouseAccess, connect } from './sink.ts';

/** Something that a device did (docs/evidence.md); times in epoch ms. */
export interface Instance {
  readonly id: string;
  readonly device: string;
  readonly account: string;
  readonly type: Signal;
  readonly time: number;
  /** What the event says of it. */
  readonly figures: Readonly<Record<string, unknown>>;
}

/** A frame as it arrived; a row of the table `raw`. */
export interface RawFrame {
  readonly device: string;
  /** Of its receipt, epoch ms. */
  readonly time: number;
  /** 16 hex digits, by its place in the journal. */
  readonly id: string;
  readonly account: string;
  readonly protocol: string;
  readonly transport: string;
  readonly peer: string;
  /** Hex. */
  readonly frame: string;
  readonly sha256: string;
}

/** A raw frame without its bytes. */
export interface FrameHash {
  readonly device: string;
  readonly account: string;
  readonly received: number;
  readonly bytes: number;
  readonly sha256: string;
}

const REQUEST_MS = 60_000;
const ERASE_MS = 600_000;
const SETTINGS = { clickhouse_settings: { output_format_json_quote_64bit_integers: 0 } } as const;
/** Condition of the table `events`. */
export const IS_SIGNAL = `type IN (${SIGNALS.map(quoteText).join(', ')}) AND (type != 'gnss_lost' OR JSONExtractString(data, 'reason') = 'stuck')`;

/** Evidence in the tables `events` and `raw`. The same data gives the same, in the same order. Methods reject with AppError. */
export class Evidence {
  readonly #access: ClickHouseAccess;
  readonly #database: string;

  constructor(access: ClickHouseAccess) {
    this.#access = access;
    this.#database = quoteName(access.database ?? 'fixgate');
  }

  /** Of the devices, or of all, in `[from, to)`, epoch ms; by time. */
  async instances(devices: readonly string[] | undefined, from: number, to: number): Promise<Instance[]> {
    const rows = await this.#rows<[string, string, string, string, number, string]>(
      `SELECT toString(id), device, toString(account), toString(type), toUnixTimestamp64Milli(time), data FROM ${this.#database}.events FINAL
WHERE ${of(devices)} AND ${within(from, to)} AND ${IS_SIGNAL} ORDER BY time, id`,
    );
    return rows.flatMap(([id, device, account, type, time, data]) => {
      const { type: _, ...figures }: Record<string, unknown> = Object(jsonOf(data));
      return isSignal(type, figures) ? [{ id, device, account, type, time, figures }] : [];
    });
  }

  /** Of raw frames received in `[from, to]`, by time. */
  async hashes(devices: readonly string[], from: number, to: number): Promise<FrameHash[]> {
    const rows = await this.#rows<[string, string, number, number, string]>(
      `SELECT device, toString(account), toUnixTimestamp64Milli(time), intDiv(length(frame), 2), sha256 FROM ${this.#database}.raw FINAL
WHERE ${of(devices)} AND ${within(from, to + 1)} ORDER BY time, id`,
    );
    return rows.map(([device, account, received, bytes, sha256]) => ({ device, account, received, bytes, sha256 }));
  }

  /** The same again is the same row. */
  async add(frames: readonly RawFrame[]): Promise<void> {
    // A number has to be whole; a text may have a fraction.
    const values = frames.map((frame) => ({ ...frame, time: (frame.time / 1000).toFixed(3) }));
    await this.#with(REQUEST_MS, (client) => client.insert({ table: `${this.#database}.raw`, values, format: 'JSONEachRow' }));
  }

  /** Removes frames of these stretches of devices. */
  async erase(devices: Erased): Promise<void> {
    await this.#with(ERASE_MS, (client) => eraseFromTables(client, this.#access.database ?? 'fixgate', devices, ['raw']));
  }

  async #rows<R>(query: string): Promise<R[]> {
    return this.#with(REQUEST_MS, async (client) => {
      const result = await client.query({ query, format: 'JSONCompactEachRow', ...SETTINGS });
      return result.json<R>();
    });
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

function of(devices: readonly string[] | undefined): string {
  return devices === undefined ? '1' : `device IN (${devices.map(quoteText).join(', ')})`;
}

function within(from: number, to: number): string {
  return `time >= ${moment(from)} AND time < ${moment(to)}`;
}

function moment(time: number): string {
  return `fromUnixTimestamp64Milli(toInt64(${Math.floor(time)}), 'UTC')`;
}
