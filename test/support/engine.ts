import { createHash } from 'node:crypto';

/**
 * The ClickHouse engine that the tests of a run share (`run-engine.ts` starts it). Who needs tables has a database of its own
 * in it; that of a server follows from its data directory, so that a server that continues the data finds its tables.
 */

/** Variables with its URL and its password. */
export const ENGINE_URL = 'TESTED_CLICKHOUSE_URL';
export const ENGINE_PASSWORD = 'TESTED_CLICKHOUSE_PASSWORD';
/** A database whose tables are as the migrations made them: to copy them takes a quarter of the time. */
export const TEMPLATE = 'fixgate_template';

/**
 * For a server that shall have an embedded engine of its own, as without configuration: where a test is about the engine, its
 * files, or all processes.
 */
export const OWN_ENGINE = { FIXGATE_CLICKHOUSE_URL: '' } as const;

export interface Engine {
  readonly url: string;
  readonly username: string;
  readonly password: string;
}

/** Undefined in a run without it. */
export function sharedEngine(): Engine | undefined {
  const [url, password] = [process.env[ENGINE_URL], process.env[ENGINE_PASSWORD]];
  return url === undefined || password === undefined ? undefined : { url, username: 'default', password };
}

/** Databases of this process. */
const made = new Set<string>();

/** The configuration of a server with this data directory. */
export function sharedClickHouse(dataDir: string): Readonly<Record<string, string>> {
  const engine = sharedEngine();
  if (engine === undefined) return {};
  const database = databaseOf(dataDir);
  made.add(database);
  return {
    FIXGATE_CLICKHOUSE_URL: engine.url,
    FIXGATE_CLICKHOUSE_USER: engine.username,
    FIXGATE_CLICKHOUSE_PASSWORD: engine.password,
    FIXGATE_CLICKHOUSE_DATABASE: database,
  };
}

export function databaseOf(dataDir: string): string {
  return `fixgate_${createHash('sha256').update(dataDir).digest('hex').slice(0, 12)}`;
}

/** Makes a database with empty tables, unless this process has it. */
export async function makeDatabase(database: string): Promise<void> {
  if (sharedEngine() === undefined || made.has(database)) return;
  made.add(database);
  await run(`CREATE DATABASE ${database}`);
  // A view comes behind its tables.
  const query = `SELECT create_table_query FROM system.tables WHERE database = '${TEMPLATE}' ORDER BY engine = 'MaterializedView'`;
  for (const line of (await run(`${query} FORMAT JSONCompactEachRow`)).split('\n').filter(Boolean)) {
    const [create = ''] = Array.from(JSON.parse(line), String);
    await run(create.replaceAll(`${TEMPLATE}.`, `${database}.`));
  }
  await run(`INSERT INTO ${database}.migrations SELECT * FROM ${TEMPLATE}.migrations`);
}

export async function dropDatabase(database: string): Promise<void> {
  if (made.delete(database)) await run(`DROP DATABASE IF EXISTS ${database} SYNC`);
}

/** Drops all that this process has. */
export async function dropDatabases(): Promise<void> {
  await Promise.all([...made].map(dropDatabase));
}

async function run(sql: string): Promise<string> {
  const { url = '', username = '', password = '' } = sharedEngine() ?? {};
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'x-clickhouse-user': username, 'x-clickhouse-key': password },
    body: sql,
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text;
}
