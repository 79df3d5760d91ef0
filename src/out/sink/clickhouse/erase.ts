import type { ClickHouseClient } from '@clickhouse/client';
import type { Erased, Stretch } from '../../../base/erased.ts';
import type { Counts } from '../sink.ts';
import { quoteName, quoteText } from './migrate.ts';

/**
 * Removes stretches of devices from the tables that say where they were, or what they did: `ERASED_TABLES`. Every other
 * table of ours stands in `KEPT_TABLES`, with the reason; tables that others have made in the database are theirs.
 *
 * 1. A mutation that rewrites the parts, not a mask over them: what is gone is gone from the disk when ClickHouse removes the old
 *    parts, some minutes later.
 * 2. It is done when no such row is left and no mutation that names one of the devices is under way, whichever process began it: one
 *    whose answer was lost is waited for and not begun again.
 */
export const ERASED_TABLES: readonly string[] = ['positions', 'statuses', 'events', 'usage', 'last_positions', 'raw'];
export const KEPT_TABLES: Readonly<Record<string, string>> = {
  migrations: 'says nothing of a device',
  audit: 'who did and saw what, without coordinates: what is erased may have to be accounted for',
  statements: 'what was billed, frozen and without coordinates',
};

const LOOK_MS = 500;
/** Devices of one mutation. */
const CHUNK = 100;

interface Table {
  readonly name: string;
  /** Rows of the stretches. */
  where(devices: readonly (readonly [string, readonly Stretch[]])[]): string;
}

/** `names`: only from these. */
export async function eraseFromTables(client: ClickHouseClient, database: string, devices: Erased, names = ERASED_TABLES): Promise<Counts> {
  const counts: Record<string, number> = {};
  const all = [...devices];
  for (const table of await tables(client, database, names)) {
    counts[table.name] = 0;
    for (let at = 0; at < all.length; at += CHUNK)
      counts[table.name] = (counts[table.name] ?? 0) + (await eraseFromTable(client, database, table, all.slice(at, at + CHUNK)));
  }
  return counts;
}

async function eraseFromTable(
  client: ClickHouseClient,
  database: string,
  table: Table,
  devices: readonly (readonly [string, readonly Stretch[]])[],
): Promise<number> {
  const name = `${quoteName(database)}.${quoteName(table.name)}`;
  const where = table.where(devices);
  const rows = await count(client, `${name} FINAL WHERE ${where}`);
  const about = devices.map(([device]) => `position(command, ${quoteText(quoteText(device))}) > 0`).join(' OR ');
  const inQuestion = `system.mutations WHERE database = ${quoteText(database)} AND table = ${quoteText(table.name)} AND NOT is_done AND (${about})`;
  for (;;) {
    if ((await count(client, inQuestion)) > 0) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    else if ((await count(client, `${name} WHERE ${where}`)) === 0) return rows;
    else await client.command({ query: `ALTER TABLE ${name} DELETE WHERE ${where}`, clickhouse_settings: { mutations_sync: '2' } });
  }
}

async function tables(client: ClickHouseClient, database: string, wanted: readonly string[]): Promise<Table[]> {
  const columns = await select(
    client,
    `SELECT table, groupArray(name) AS names FROM system.columns WHERE database = ${quoteText(database)} AND table IN ` +
      `(${wanted.map(quoteText).join(', ')}) GROUP BY table ORDER BY table`,
  );
  return columns.map(({ table, names }) => {
    const has = (name: string): boolean => Array.isArray(names) && names.includes(name);
    const received = has('received') ? 'received' : 'time';
    const account = has('account') ? 'account' : "''";
    return {
      name: String(table),
      where: (devices) =>
        devices
          .map(([device, stretches]) => {
            const anyOf = stretches.map((stretch) => `(${erasedIn(stretch, received, account)})`).join(' OR ');
            return `(device = ${quoteText(device)} AND (${anyOf === '' ? '0' : anyOf}))`;
          })
          .join(' OR '),
    };
  });
}

/** `isErased` (base/erased.ts) as a condition. */
function erasedIn({ from, to, until, account: of }: Stretch, received: string, account: string): string {
  const within = (column: string, end: number): string => `${column} >= ${moment(from)} AND ${column} < ${moment(end)}`;
  if (of === undefined) return `${received} < ${moment(to)} OR time < ${moment(to)}`;
  const isOf = `${account} = ${quoteText(of)}`;
  return `${isOf} AND ${within(received, until)} OR ${account} = '' AND ${within(received, to)} OR ${within('time', to)} AND (${isOf} OR ${account} = '' OR ${received} >= ${moment(to)})`;
}

function moment(time: number): string {
  return `fromUnixTimestamp64Milli(toInt64(${Math.floor(time)}))`;
}

async function count(client: ClickHouseClient, from: string): Promise<number> {
  const [row] = await select(client, `SELECT count() AS rows FROM ${from}`);
  return Number(row?.['rows'] ?? 0);
}

async function select(client: ClickHouseClient, query: string): Promise<Record<string, unknown>[]> {
  const result = await client.query({ query, format: 'JSONEachRow' });
  return result.json<Record<string, unknown>>();
}
