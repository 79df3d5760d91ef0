import type { ClickHouseClient } from '@clickhouse/client';
import { AppError } from '../../../base/errors.ts';
import { clickHouseCode } from './errors.ts';
import { MIGRATIONS, type Migration } from './schema.ts';

/**
 * Brings a database up to date. Migrations run in order, under a lock, each recorded in `<database>.migrations` when it
 * is through; a statement may run twice without harm, so a crash between the two costs nothing.
 *
 * ClickHouse has no locks to hold, but creating a table succeeds for exactly one: `migration_lock` is that table, and its
 * comment says whose it is. One that is older than a minute, or our own, was left behind by a crash.
 */
const OLDEST_MAJOR = 24;
const OLDEST_MINOR = 8;
const STALE_SECONDS = 60;
const TABLE_EXISTS = 57;

/**
 * `holder` names the caller in a way that only it, and what it was before a crash, shares.
 * @throws AppError CLICKHOUSE_OLD, CLICKHOUSE_REFUSED (migrated by a later version), SINK_UNREACHABLE (another is migrating); else the client's.
 */
export async function migrate(client: ClickHouseClient, database: string, holder: string, staleSeconds = STALE_SECONDS): Promise<void> {
  await checkVersion(client);
  const name = quoteName(database);
  // Asked first: a user may have a database and not the right to make one.
  if (!(await exists(client, `DATABASE ${name}`))) await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${name}` });
  if (!(await exists(client, `TABLE ${name}.migrations`))) {
    await client.command({
      query: `CREATE TABLE IF NOT EXISTS ${name}.migrations (number UInt32, about String, applied DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY number SETTINGS fsync_after_insert = 1, fsync_part_directory = 1`,
    });
  }
  if ((await waiting(client, name)).length === 0) return;
  if (!(await lock(client, name, holder))) {
    const left = await breakLock(client, database, name, holder, staleSeconds);
    if (!left || !(await lock(client, name, holder)))
      throw new AppError('SINK_UNREACHABLE', `another process is migrating the ClickHouse database ${database}`);
  }
  try {
    for (const migration of await waiting(client, name)) {
      for (const query of migration.statements(name)) await client.command({ query });
      const values = `(${migration.number}, ${quoteText(migration.about)})`;
      await client.command({ query: `INSERT INTO ${name}.migrations (number, about) VALUES ${values}` });
    }
  } finally {
    await client.command({ query: `DROP TABLE IF EXISTS ${name}.migration_lock` });
  }
}

async function exists(client: ClickHouseClient, what: string): Promise<boolean> {
  const [row] = await select(client, `EXISTS ${what}`);
  return Number(row?.['result'] ?? 0) === 1;
}

/** @throws AppError CLICKHOUSE_OLD. */
export async function checkVersion(client: ClickHouseClient): Promise<void> {
  const [row] = await select(client, 'SELECT version() AS version');
  const version = String(row?.['version'] ?? '');
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > OLDEST_MAJOR || (major === OLDEST_MAJOR && minor >= OLDEST_MINOR)) return;
  throw new AppError(
    'CLICKHOUSE_OLD',
    `ClickHouse ${version} is older than ${OLDEST_MAJOR}.${OLDEST_MINOR}, the oldest supported version: upgrade the server, or unset FIXGATE_CLICKHOUSE_URL to use the embedded one`,
  );
}

async function waiting(client: ClickHouseClient, name: string): Promise<readonly Migration[]> {
  const applied = new Set((await select(client, `SELECT number FROM ${name}.migrations`)).map((row) => Number(row['number'])));
  const newest = MIGRATIONS.at(-1)?.number ?? 0;
  const unknown = [...applied].filter((number) => number > newest);
  if (unknown.length > 0)
    throw new AppError(
      'CLICKHOUSE_REFUSED',
      `the ClickHouse database was migrated by a later version (migration ${Math.max(...unknown)}): start that version`,
    );
  return MIGRATIONS.filter((migration) => !applied.has(migration.number));
}

async function lock(client: ClickHouseClient, name: string, holder: string): Promise<boolean> {
  try {
    await client.command({ query: `CREATE TABLE ${name}.migration_lock (unused UInt8) ENGINE = Memory COMMENT ${quoteText(holder)}` });
    return true;
  } catch (error) {
    if (clickHouseCode(error) === TABLE_EXISTS) return false;
    throw error;
  }
}

/** Removes a lock whose holder is gone; false if a holder may still exist. */
async function breakLock(client: ClickHouseClient, database: string, name: string, holder: string, seconds: number): Promise<boolean> {
  const [row] = await select(
    client,
    `SELECT comment = ${quoteText(holder)} OR metadata_modification_time <= now() - ${seconds} AS left_behind FROM system.tables WHERE database = ${quoteText(database)} AND name = 'migration_lock'`,
  );
  if (Number(row?.['left_behind'] ?? 0) !== 1) return false;
  await client.command({ query: `DROP TABLE IF EXISTS ${name}.migration_lock` });
  return true;
}

async function select(client: ClickHouseClient, query: string): Promise<Record<string, unknown>[]> {
  const result = await client.query({ query, format: 'JSONEachRow' });
  return result.json<Record<string, unknown>>();
}

export function quoteName(name: string): string {
  return `\`${name.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``;
}

export function quoteText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
