import { createHash } from 'node:crypto';

/**
 * The ClickHouse engine that the tests of a run share (`run-engine.ts` starts it). Each data directory has a database of
 * its own in it, so that a server that continues the data finds its tables.
 */

/** Variables with its URL and its password. */
export const ENGINE_URL = 'TESTED_CLICKHOUSE_URL';
export const ENGINE_PASSWORD = 'TESTED_CLICKHOUSE_PASSWORD';

/** For a server that shall have an embedded engine of its own, as without configuration: what the test is about is the engine, its files, or all processes. */
export const OWN_ENGINE = { FIXGATE_CLICKHOUSE_URL: '' } as const;

const USER = 'default';
const made = new Set<string>();

/** The configuration of a server with this data directory. Empty in a run without the engine. */
export function sharedClickHouse(dataDir: string): Readonly<Record<string, string>> {
  const [url, password] = [process.env[ENGINE_URL], process.env[ENGINE_PASSWORD]];
  if (url === undefined || password === undefined) return {};
  const database = databaseOf(dataDir);
  made.add(database);
  return {
    FIXGATE_CLICKHOUSE_URL: url,
    FIXGATE_CLICKHOUSE_USER: USER,
    FIXGATE_CLICKHOUSE_PASSWORD: password,
    FIXGATE_CLICKHOUSE_DATABASE: database,
  };
}

function databaseOf(dataDir: string): string {
  return `fixgate_${createHash('sha256').update(dataDir).digest('hex').slice(0, 12)}`;
}

/** Drops the database of a data directory that goes. */
export async function dropDatabase(dataDir: string): Promise<void> {
  await drop(databaseOf(dataDir));
}

/** Drops all that this process has had made. */
export async function dropDatabases(): Promise<void> {
  await Promise.all([...made].map(drop));
}

async function drop(database: string): Promise<void> {
  const url = process.env[ENGINE_URL];
  if (url === undefined || !made.delete(database)) return;
  const headers = { 'x-clickhouse-user': USER, 'x-clickhouse-key': process.env[ENGINE_PASSWORD] ?? '' };
  const response = await fetch(url, { method: 'POST', headers, body: `DROP DATABASE IF EXISTS ${database} SYNC` });
  if (!response.ok) throw new Error(await response.text());
}
