import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { codeBlocks } from '../../tools/docs/code-blocks.ts';
import { ClickHouseDatabase } from '../ship/rig.ts';

/** The queries of docs/formats/tables.md, on three devices that have driven for three days, and the statements of other documents. */

const document = readFileSync('docs/formats/tables.md', 'utf8');
const QUERIES = [...document.slice(document.indexOf('## Queries')).matchAll(/^(.+):\n\n```sql\n([^`]+)\n```$/gm)].map(
  ([, about = '', sql = '']) => ({
    about,
    sql,
  }),
);

/** A record each 30 s; of each hour, 50 minutes are driven, and the last is silent. */
const SECONDS = 3 * 86_400;
const DRIVE = `
  SELECT toString(356307042441013 + n % 3) AS device, now64(3) - toIntervalSecond(${SECONDS} - intDiv(n, 3) * 30) AS time,
    lower(hex(sipHash64(n))) AS id, time + INTERVAL 1 SECOND AS received, 'teltonika' AS protocol,
    if(n % 997 = 0, ['future'], []) AS flags, if(n % 50 = 0, 'harsh_braking', '') AS event,
    true AS valid, toMinute(time) < 50 AS drives, 59.33 + 0.0001 * (intDiv(n, 3) % 3000) AS lat, 18.07 AS lon,
    if(drives, if(n % 100 = 1, 130, 60), 0) AS speed_kmh, toMinute(time) < 55 AS ignition, 11.5 AS external_v, 100. * n AS odometer_m,
    map('temperature_1_c', 4.5) AS attrs
  FROM (SELECT number AS n FROM numbers(${(3 * (SECONDS - 7200)) / 30}))`;
const COLUMNS = 'device, time, id, received, protocol, flags, event, valid, lat, lon, speed_kmh, ignition, external_v, odometer_m, attrs';

let tables: ClickHouseDatabase;
beforeAll(async () => {
  // As the documents name it.
  tables = await ClickHouseDatabase.make('fixgate');
  const event = (type: string, data: object): string =>
    `INSERT INTO fixgate.events (device, time, id, received, type, data) SELECT 'd1', now64(3), '${type.padEnd(16, '0').slice(0, 16)}', now64(3), '${type}', '${JSON.stringify(data)}'`;
  for (const query of [
    `INSERT INTO fixgate.positions (${COLUMNS}) SELECT ${COLUMNS} FROM (${DRIVE})`,
    event('disconnected', { reason: 'idle', bytes_in: 1, bytes_out: 2, frames: 3 }),
    event('command', { id: 'c1', command: 'locate', state: 'answered', final: true, attempts: 1, requester: 'desk' }),
    "INSERT INTO fixgate.usage (device, time, id, account, bytes_in, bytes_out) SELECT 'd1', now64(3), '00000000000000aa', 'acme', 5, 6",
  ])
    await tables.client.command({ query });
});
afterAll(() => tables.drop());

describe('the queries', () => {
  it('are twenty and more', () => {
    expect(QUERIES.length).toBeGreaterThanOrEqual(20);
    expect(document.match(/^```sql$/gm)).toHaveLength(QUERIES.length);
  });

  const rowsOf = (sql: string): Promise<Record<string, unknown>[]> =>
    tables.client.query({ query: sql, format: 'JSONEachRow' }).then((answer) => answer.json<Record<string, unknown>>());

  it.each(QUERIES)('$about', async ({ sql }) => {
    expect((await rowsOf(sql)).length).toBeGreaterThan(0);
  });

  it.each(codeBlocks().filter(({ language, file }) => language === 'sql' && file !== 'docs/formats/tables.md'))('$at', async ({ text }) => {
    expect(await rowsOf(text)).toBeInstanceOf(Array);
  });

  it('find what was driven', async () => {
    const found = async (about: string): Promise<Record<string, unknown>[]> =>
      rowsOf(QUERIES.find((one) => one.about.startsWith(about))?.sql ?? '');
    // One an hour for each device: 70 hours, of which the first and the last may be cut.
    for (const about of ['Trips', 'Stops']) {
      const trips = await found(about);
      expect(new Set(trips.map(({ device }) => device)).size).toBe(3);
      expect(trips.length / 3).toBeGreaterThanOrEqual(69);
      expect(trips.length / 3).toBeLessThanOrEqual(72);
    }
    // 55 minutes of each hour of a whole day.
    const shares = (await found('Utilisation')).map(({ pct }) => Number(pct));
    expect(Math.max(...shares)).toBeGreaterThan(90);
    expect(Math.max(...shares)).toBeLessThan(93);
    expect(await found('Silent')).toHaveLength(3);
  });
});
