/**
 * The ClickHouse engine of the optional package `chdb`, opened on one directory.
 *
 * Every request gets a connection of its own (0.1 ms): settings, the current database and query parameters are then
 * the request's alone, and requests run side by side. Calls run on threads of the pool, never on the event loop.
 */

import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { availableParallelism, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { AppError, messageOf, systemCode } from '../base/errors.ts';
import { Places } from './places.ts';
import { findOrphanNotes, replaceFiles } from './repair.ts';
import { type InsertStatement, quoteName, quoteText } from './statement.ts';

/** The part of `chdb` that is used. Declared here because the package may be absent. */
interface Chdb {
  readonly Session: new (path: string, options: { connectionArgs: readonly string[] }) => ChdbSession;
  drainPending(): Promise<void>;
}

interface ChdbSession {
  queryAsync(sql: string, options: { format: string }): Promise<ChdbResult>;
  close(): void;
}

interface ChdbResult {
  readonly elapsed: number;
  readonly rowsRead: number;
  readonly bytesRead: number;
  bytes(): Uint8Array;
}

export interface EngineResult {
  readonly bytes: Uint8Array;
  readonly elapsedNs: number;
  readonly rows: number;
  readonly rowBytes: number;
}

function isChdb(value: unknown): value is Chdb {
  return (
    typeof value === 'object' &&
    value !== null &&
    'Session' in value &&
    typeof value.Session === 'function' &&
    'drainPending' in value &&
    typeof value.drainPending === 'function'
  );
}

/** @throws AppError CLICKHOUSE_MISSING when the package or its binary for this platform is not installed. */
function loadChdb(): Chdb {
  let loaded: unknown;
  try {
    loaded = createRequire(import.meta.url)('chdb');
  } catch (error) {
    const reason = messageOf(error).split('\n')[0];
    throw new AppError(
      'CLICKHOUSE_MISSING',
      `the embedded ClickHouse needs the package chdb: install the optional dependencies (npm ci --include=optional), ` +
        `or set FIXGATE_CLICKHOUSE_URL to a ClickHouse server (${reason})`,
      error,
    );
  }
  if (isChdb(loaded)) return loaded;
  throw new AppError(
    'CLICKHOUSE_MISSING',
    'the installed package chdb has an unknown shape: install the version in package.json, or set FIXGATE_CLICKHOUSE_URL',
  );
}

const MIB = 1024 * 1024;
/** Of a statement that is only parsed: the largest text of a request, quoted. */
const MAX_PARSED_BYTES = 8 * MIB;
/** Longest that a statement may run. */
const MAX_SECONDS = 300;
/** Threads that the engine keeps when they have nothing to do. Each holds three files of /proc open, and its stack. */
const IDLE_THREADS = 8;
/** How long a part that was merged into another stays on disk and in memory. */
const OLD_PARTS_SECONDS = 60;

/**
 * Server settings. Caches are small because an idle server should be; merges keep to the pool sizes chdb starts with. Pools
 * that a server with thousands of parts would need are small too: their threads stay, and are counted by `IDLE_THREADS`.
 */
function serverConfig(memoryBytes: number, usersPath: string): string {
  return xml({
    timezone: 'UTC',
    users_config: usersPath,
    // Programs that tables may run: from a folder that does not exist.
    user_scripts_path: join(dirname(usersPath), 'none'),
    max_server_memory_usage: memoryBytes,
    mark_cache_size: 64 * MIB,
    index_mark_cache_size: 16 * MIB,
    primary_index_cache_size: 32 * MIB,
    uncompressed_cache_size: 0,
    query_condition_cache: { max_size_in_bytes: 8 * MIB },
    compiled_expression_cache_size: 16 * MIB,
    max_thread_pool_free_size: IDLE_THREADS,
    max_active_parts_loading_thread_pool_size: 4,
    max_outdated_parts_loading_thread_pool_size: 2,
    max_unexpected_parts_loading_thread_pool_size: 2,
    max_parts_cleaning_thread_pool_size: 2,
    merge_tree: {
      // A server relies on replicas; one machine alone has only its disk. 200 means: survives a power cut.
      fsync_after_insert: 1,
      fsync_part_directory: 1,
      // Merged parts replace synced ones, so they are synced too, whatever their size.
      min_rows_to_fsync_after_merge: 1,
      // Which is why the parts they replaced need not stay for minutes.
      old_parts_lifetime: OLD_PARTS_SECONDS,
    },
  });
}

/** One user without a password, as on a fresh server, but without what reaches files, hosts and programs: table
 * functions, engines and dictionaries. */
function usersConfig(memoryBytes: number, resultBytes: number): string {
  const threads = availableParallelism();
  const limits = {
    max_memory_usage: Math.floor(memoryBytes / 2),
    // A result is held in memory until it is sent.
    max_result_bytes: resultBytes,
    max_execution_time: MAX_SECONDS,
    max_threads: threads,
    max_insert_threads: threads,
  };
  // 0 would mean: without a limit.
  const constraints = Object.fromEntries(Object.entries(limits).map(([name, max]) => [name, { min: 1, max }]));
  return xml({
    profiles: { default: { ...limits, result_overflow_mode: 'throw', constraints } },
    quotas: { default: '' },
    users: {
      default: {
        password: '',
        networks: { ip: '::/0' },
        profile: 'default',
        quota: 'default',
        grants: {
          query:
            'GRANT SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE TEMPORARY TABLE, DROP, UNDROP TABLE, TRUNCATE, OPTIMIZE, KILL QUERY, SYSTEM MERGES, ' +
            'SYSTEM TTL MERGES, SYSTEM FLUSH, SYSTEM DROP CACHE, dictGet, INTROSPECTION ON *.*',
        },
      },
    },
  });
}

type XmlValue = string | number | { readonly [name: string]: XmlValue };

function xml(value: XmlValue, name = 'clickhouse'): string {
  const inner = typeof value === 'object' ? Object.entries(value).map(([key, child]) => xml(child, key)) : [escapeXml(String(value))];
  return `<${name}>${inner.join('')}</${name}>`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** The machine's memory, or what the cgroup of this process may use of it. */
function availableMemory(): number {
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(totalmem(), constrained) : totalmem();
}

export interface EngineOptions {
  /** Absolute; holds `config/` and `engine/`. */
  readonly directory: string;
  readonly resultBytes: number;
}

/** The process that holds the engine's lock, or 0. The `status` file says so in its first line, and outlives a kill. */
async function lockHolder(path: string): Promise<number> {
  try {
    const pid = Number(/^PID: (\d+)/.exec(await readFile(join(path, 'status'), 'latin1'))?.[1] ?? 0);
    if (pid === 0 || pid === process.pid) return 0;
    process.kill(pid, 0);
    return pid;
  } catch {
    return 0;
  }
}

/** Syncs a file or directory; one that has just gone (a log that was rotated away) needs none. */
async function syncFile(path: string): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw error;
  }
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

const PARAMETER = /^\{\w+:Identifier\}$/;

/** The name as a text for a comparison; one that is a parameter of the request stays that. */
function nameText(name: string): string {
  return PARAMETER.test(name) ? name.replace(':Identifier', ':String') : quoteText(name);
}

export class Engine {
  readonly #chdb: Chdb;
  readonly #path: string;
  readonly #connectionArgs: readonly string[];
  /** Keeps the engine and its lock on the directory while no request is running. */
  readonly #keeper: ChdbSession;
  readonly #places = new Places();

  private constructor(chdb: Chdb, path: string, connectionArgs: readonly string[]) {
    this.#chdb = chdb;
    this.#path = path;
    this.#connectionArgs = connectionArgs;
    this.#keeper = this.#connect();
  }

  /** @throws AppError CLICKHOUSE_MISSING or DATA_DIR_UNUSABLE. */
  static async open(options: EngineOptions): Promise<Engine> {
    const chdb = loadChdb();
    const config = join(options.directory, 'config');
    const path = join(options.directory, 'engine');
    const memoryBytes = Math.min(2048 * MIB, Math.floor(availableMemory() * 0.4));
    await mkdir(config, { recursive: true, mode: 0o700 });
    await mkdir(path, { recursive: true, mode: 0o700 });
    const users = join(config, 'users.xml');
    const server = join(config, 'server.xml');
    await writeFile(users, usersConfig(memoryBytes, options.resultBytes));
    await writeFile(server, serverConfig(memoryBytes, users));
    try {
      // A server wants SELECT spelled out; the engine's local mode does not.
      return new Engine(chdb, path, [`--config-file=${server}`, '--implicit_select=0']);
    } catch (error) {
      // The engine writes its reason to standard error only; who holds the lock is in the lock's file.
      const holder = await lockHolder(path);
      throw new AppError(
        'DATA_DIR_UNUSABLE',
        holder > 0
          ? `process ${holder} is using ${options.directory}: stop it, or set FIXGATE_DATA_DIR to another directory`
          : `the embedded ClickHouse cannot open ${path}: ${messageOf(error).split('\n')[0]}`,
        error,
      );
    }
  }

  /**
   * Takes back tokens whose rows a crash kept from arriving (`repair.ts`). To be called before anything is served.
   * @returns the number of tables that needed it.
   */
  async repair(): Promise<number> {
    let repaired = 0;
    const tables = await this.#rows(
      `SELECT database, name, data_paths[1] FROM system.tables WHERE engine LIKE '%MergeTree' AND NOT is_temporary AND notEmpty(data_paths)`,
    );
    for (const [database = '', table = '', path = ''] of tables) {
      const active = await this.#rows(
        `SELECT name FROM system.parts WHERE active AND database = ${quoteText(database)} AND table = ${quoteText(table)}`,
      );
      const changes = await findOrphanNotes(
        path,
        active.map(([name = '']) => name),
      );
      if (changes.size === 0) continue;
      const full = `${quoteName(database)}.${quoteName(table)}`;
      // A detached table comes back by itself if this is where the next crash happens.
      await this.run(`DETACH TABLE ${full} SYNC`, '', 'Null');
      await replaceFiles(changes);
      await this.run(`ATTACH TABLE ${full}`, '', 'Null');
      repaired++;
    }
    return repaired;
  }

  async #rows(sql: string, setup = ''): Promise<string[][]> {
    const { bytes } = await this.run(sql, setup, 'JSONCompactEachRow');
    const lines = Buffer.from(bytes).toString().split('\n');
    return lines.filter((line) => line !== '').map((line) => Array.from(JSON.parse(line), String));
  }

  #connect(): ChdbSession {
    return new this.#chdb.Session(this.#path, { connectionArgs: this.#connectionArgs });
  }

  /**
   * Runs `sql` after `setup` (SET and USE statements, each with its `;`), on a fresh connection.
   * @throws Error with ClickHouse's message.
   */
  run(sql: string, setup: string, format: string, mark = ''): Promise<EngineResult> {
    return this.#places.around(sql, () => this.#run(sql, setup, format, mark));
  }

  async #run(sql: string, setup: string, format: string, mark: string): Promise<EngineResult> {
    const session = this.#connect();
    try {
      const result = await session.queryAsync(`${setup}${mark}${sql}`, { format });
      return { bytes: result.bytes(), elapsedNs: Math.round(result.elapsed * 1e9), rows: result.rowsRead, rowBytes: result.bytesRead };
    } finally {
      session.close();
    }
  }

  /**
   * The statement in the engine's normal form, not executed.
   * @throws Error with ClickHouse's message unless it is exactly one statement.
   */
  async normalise(text: string): Promise<string> {
    try {
      const { bytes } = await this.run(
        `SELECT formatQuerySingleLine(${quoteText(text)})`,
        `SET max_query_size = ${MAX_PARSED_BYTES};`,
        'RawBLOB',
      );
      return Buffer.from(bytes).toString();
    } catch (error) {
      // It goes on with our own statement around the text.
      throw new Error(messageOf(error).replace(/ ?: In scope SELECT formatQuerySingleLine.*\. \(SYNTAX_ERROR\)/s, ' (SYNTAX_ERROR)'));
    }
  }

  /**
   * Runs an INSERT and syncs what the engine leaves to chance: it syncs a part's files and then renames the part into
   * the table's directory, but syncs neither that directory nor the log of deduplication tokens.
   * @throws Error with ClickHouse's message, or of the file system.
   */
  async insert(sql: string, setup: string, insert: InsertStatement): Promise<EngineResult> {
    const result = await this.run(sql, setup, 'Null');
    for (const path of await this.#pathsOf(insert, setup)) {
      await syncFile(path);
      const logs = join(path, 'deduplication_logs');
      for (const name of await readdir(logs).catch(() => [])) await syncFile(join(logs, name));
    }
    return result;
  }

  /** Directories of the table that an insert names. */
  async #pathsOf({ database, table }: InsertStatement, setup: string): Promise<readonly string[]> {
    const find = async (): Promise<readonly string[]> => {
      const where = `WHERE database = ${database === '' ? 'currentDatabase()' : nameText(database)} AND name = ${nameText(table)}`;
      const rows = await this.#rows(`SELECT arrayJoin(data_paths) FROM system.tables ${where}`, setup);
      return rows.map(([path = '']) => path);
    };
    // What the name means depends on the request.
    if (database === '' || PARAMETER.test(database) || PARAMETER.test(table)) return find();
    return this.#places.of(JSON.stringify([database, table]), find);
  }

  /** A comment that finds a running query again. */
  mark(): string {
    return `/*${randomUUID()}*/`;
  }

  /** Stops the query that was started with this mark. The engine gives queries ids of its own, so the text has to do. */
  async kill(mark: string): Promise<void> {
    await this.#keeper.queryAsync(`KILL QUERY WHERE startsWith(query, '${mark}') ASYNC`, { format: 'Null' });
  }

  /** Stops every query that carries a mark. */
  async killReads(): Promise<void> {
    await this.#keeper.queryAsync(`KILL QUERY WHERE match(query, '^/\\*[0-9a-f-]{36}\\*/') ASYNC`, { format: 'Null' });
  }

  /** Waits for what is running and releases the directory. */
  async close(): Promise<void> {
    await this.#chdb.drainPending();
    this.#keeper.close();
    await this.#chdb.drainPending();
  }
}
