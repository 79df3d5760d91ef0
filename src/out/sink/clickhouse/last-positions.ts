import { plainError } from './errors.ts';
import { quoteName } from './migrate.ts';
import { type ClickHouseAccess, connect } from './sink.ts';

/** A row of the table `last_positions`; times in epoch ms. */
export interface LastPosition {
  readonly device: string;
  readonly lat: number;
  readonly lon: number;
  readonly speed_kmh: number | null;
  readonly course_deg: number | null;
  readonly time: number;
  readonly received: number;
}

const REQUEST_MS = 60_000;

/** Pages of the last positions of all devices, of those received since, epoch ms. Rejects with AppError. */
export async function* lastPositions(access: ClickHouseAccess, since: number): AsyncGenerator<LastPosition[]> {
  const client = connect(access, REQUEST_MS);
  try {
    const table = `${quoteName(access.database ?? 'fixgate')}.last_positions`;
    const times = ['time', 'received'].map((name) => `toUnixTimestamp64Milli(${name}) AS ${name}`);
    const inner = `SELECT * FROM ${table} FINAL WHERE received >= fromUnixTimestamp64Milli(toInt64(${Math.max(0, Math.floor(since))}))`;
    const result = await client.query({
      query: `SELECT device, lat, lon, speed_kmh, course_deg, ${times.join(', ')} FROM (${inner})`,
      format: 'JSONEachRow',
      clickhouse_settings: { output_format_json_quote_64bit_integers: 0 },
    });
    for await (const rows of result.stream<LastPosition>()) yield rows.map((row) => row.json());
  } catch (error) {
    throw plainError(error, access);
  } finally {
    await client.close();
  }
}
