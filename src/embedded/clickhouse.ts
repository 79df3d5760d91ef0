/**
 * The embedded ClickHouse: the engine of the package `chdb` behind the part of ClickHouse's HTTP interface that
 * `@clickhouse/client`, curl and Grafana use. A default for one machine, not a product (docs/clickhouse.md).
 *
 * 1. It listens on a loopback address only, and answers nothing, `/ping` included, without the secret of its directory
 *    (`secret.ts`) in a header. The secret is the only boundary: who has it can read and write the files of this
 *    process's user (`file()`, `INTO OUTFILE`). A request that a browser made for a page is refused even with it.
 * 2. A 200 to an INSERT means that its parts are on disk (fsync), also for tables that say nothing about it.
 * 3. The same `insert_deduplication_token` twice stores the rows once, whatever was killed in between, and a token
 *    never stands for rows that are not there.
 * 4. Memory is bounded: rows on their way in are in a file, requests beyond the queue are answered 503, texts,
 *    results and the engine have limits, which no statement can raise.
 * 5. The event loop never waits for the engine: `/ping` answers while queries run, and slow reads cannot hold up
 *    inserts, which have a lane of their own, as has the parsing of statements.
 * 6. One directory has one process. What a crash left behind is cleaned at the next start.
 *
 * <directory>/secret     who may ask
 *            /address    where it listens, while it does
 *            /socket     where this server's own processes ask (`socket.ts`)
 *            /engine     the engine's own files
 *            /config     written at every start
 *            /incoming   bodies of running inserts
 */

import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, deflate, gzip, zstdCompress } from 'node:zlib';
import { AppError, type ErrorCode, messageOf, systemCode } from '../base/errors.ts';
import type { Secret } from '../base/secret.ts';
import { Engine, type EngineResult } from './engine.ts';
import { digest, header, isLoopback, refusalOf } from './entrance.ts';
import { type Exception, engineException, exception } from './exception.ts';
import { type Incoming, prepareIncoming, Refusal, receive } from './incoming.ts';
import { Lane } from './lane.ts';
import { clickHouseSecret, removeAddress, writeAddress } from './secret.ts';
import { listenPrivately, removeSocket } from './socket.ts';
import { quoteName, quoteText, readStatement } from './statement.ts';

export interface EmbeddedOptions {
  /** Holds everything, and nothing is written outside. Created if absent. */
  readonly directory: string;
  /** A loopback address. Default 127.0.0.1. */
  readonly host?: string;
  /** 0 takes a free one. Default 8123. */
  readonly port?: number;
  /** Requests that may run or wait; more are answered 503. Default 64. */
  readonly maxRequests?: number;
  /** Largest body of one INSERT, unpacked, in bytes. Default 256 MiB. */
  readonly maxInsertBytes?: number;
  /** Largest result of one query, in bytes as the engine counts them. Default 128 MiB. */
  readonly maxResultBytes?: number;
}

export interface EmbeddedClickHouse {
  /** For `@clickhouse/client`. */
  readonly url: string;
  /** Password of the user `default`. */
  readonly secret: Secret;
  /** Refuses new requests, stops running reads, and releases the directory. */
  close(): Promise<void>;
}

/** What the child process (`main.ts`) tells its parent over IPC. */
export type EmbeddedMessage =
  | { readonly type: 'ready'; readonly url: string }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string };

const DEFAULT_PORT = 8123;
/** Threads that statements may occupy; `main.ts` sizes the pool so that file work always finds a thread beside them. */
const INSERT_WIDTH = 2;
const QUERY_WIDTH = 2;
const PARSE_WIDTH = 1;
const STOP_READS_MS = 250;
/** Statements whose normal form is remembered, and how long they may be. */
const KNOWN_TEXTS = 100;
const KNOWN_TEXT = 1000;
const MAX_QUERY_BYTES = 1024 * 1024;

/**
 * Starts the engine and its HTTP interface.
 * @throws AppError PORT_DENIED (not a loopback address, or not permitted), PORT_IN_USE, CLICKHOUSE_MISSING, DATA_DIR_UNUSABLE.
 */
export async function startEmbeddedClickHouse(options: EmbeddedOptions): Promise<EmbeddedClickHouse> {
  const host = options.host ?? '127.0.0.1';
  const port = options.port ?? DEFAULT_PORT;
  if (!isLoopback(host)) {
    throw new AppError(
      'PORT_DENIED',
      `the embedded ClickHouse listens on loopback only, not on ${host}: ` +
        'use 127.0.0.1, or run a ClickHouse server and set FIXGATE_CLICKHOUSE_URL',
    );
  }
  const directory = resolve(options.directory);
  // The engine reads these as patterns in the names of files it is given.
  if (/[*?{}]/.test(directory)) {
    throw new AppError('DATA_DIR_UNUSABLE', `the embedded ClickHouse cannot use a path with *, ?, { or } in it: ${directory}`);
  }

  let service: Service | null = null;
  const secret = await clickHouseSecret(directory);
  const allowed = digest(secret.reveal());
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const refused = refusalOf(request, allowed);
    if (refused !== null) refuse(request, response, refused);
    else if (service === null) refuse(request, response, exception(210, 'NETWORK_ERROR', 'The embedded ClickHouse is starting'));
    else service.answer(request, response).catch(() => response.destroy());
  };
  // The port comes first: it is the commonest failure and the cheapest to find.
  const open = httpServer(answer);
  const url = await listen(open, host, port);
  const own = httpServer(answer);
  const servers = [open, own];
  // A connection that cannot be accepted, for want of descriptors, must not end the process.
  open.on('error', () => {});
  try {
    const socket = await listenPrivately(own, directory);
    own.on('error', () => {});
    const engine = await Engine.open({ directory, resultBytes: options.maxResultBytes ?? 128 * 1024 * 1024 });
    // Only now, with the engine's lock held, is it certain that no other process is still writing there.
    await engine.repair();
    const folder = await prepareIncoming(directory);
    const serving = new Service(engine, folder, options.maxRequests ?? 64, options.maxInsertBytes ?? 256 * 1024 * 1024);
    await writeAddress(directory, { url, socket });
    service = serving;
    return {
      url,
      secret,
      async close(): Promise<void> {
        await removeAddress(directory);
        await stop(servers, engine, serving);
        await removeSocket(socket);
      },
    };
  } catch (error) {
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
    if (error instanceof AppError) throw error;
    throw new AppError('DATA_DIR_UNUSABLE', `the embedded ClickHouse cannot use ${directory}: ${messageOf(error)}`, error);
  }
}

function listen(server: Server, host: string, port: number): Promise<string> {
  return new Promise((done, fail) => {
    server.once('error', (error) => {
      const inUse = systemCode(error) === 'EADDRINUSE';
      fail(
        inUse
          ? new AppError(
              'PORT_IN_USE',
              `port ${port} on ${host} is taken, the embedded ClickHouse cannot have it: set FIXGATE_CLICKHOUSE_PORT to a free port`,
              error,
            )
          : new AppError('PORT_DENIED', `the embedded ClickHouse may not listen on ${host}:${port}: ${messageOf(error)}`, error),
      );
    });
    server.listen(port, host, () => {
      const address = server.address();
      const taken = typeof address === 'object' && address !== null ? address.port : port;
      done(`http://${host.includes(':') ? `[${host}]` : host}:${taken}`);
    });
  });
}

function httpServer(answer: (request: IncomingMessage, response: ServerResponse) => void): Server {
  const server = createServer({ maxHeaderSize: 256 * 1024, keepAliveTimeout: 30_000, requestTimeout: 600_000 }, answer);
  server.maxConnections = 256;
  return server;
}

async function stop(servers: readonly Server[], engine: Engine, service: Service): Promise<void> {
  const closed = servers.map((server) => new Promise<void>((done) => server.close(() => done())));
  await service.settle();
  await engine.close();
  for (const server of servers) server.closeAllConnections();
  await Promise.all(closed);
}

/** Parameters of the URL that are not settings of the engine: the interface's own, and those without meaning here. */
const NOT_SETTINGS = new Set([
  'query',
  'query_id',
  'database',
  'default_format',
  'user',
  'password',
  'quota_key',
  'role',
  'session_id',
  'session_timeout',
  'session_check',
  'close_session',
  'stacktrace',
  'client_protocol_version',
  'buffer_size',
  // The whole result is ready before the first byte leaves.
  'wait_end_of_query',
  'send_progress_in_http_headers',
  'http_headers_progress_interval_ms',
  'http_response_buffer_size',
  'http_wait_end_of_query',
  'http_write_exception_in_output_format',
  'http_zlib_compression_level',
  'enable_http_compression',
  'cancel_http_readonly_queries_on_client_close',
  // Every insert is stored when it is answered.
  'async_insert',
  'wait_for_async_insert',
  'async_insert_busy_timeout_ms',
  'async_insert_deduplicate',
  'async_insert_max_data_size',
]);

const CONTENT_TYPES = new Map([
  ['TabSeparated', 'text/tab-separated-values; charset=UTF-8'],
  ['TabSeparatedWithNames', 'text/tab-separated-values; charset=UTF-8'],
  ['TSV', 'text/tab-separated-values; charset=UTF-8'],
  ['CSV', 'text/csv; charset=UTF-8; header=absent'],
  ['CSVWithNames', 'text/csv; charset=UTF-8; header=present'],
  ['Pretty', 'text/plain; charset=UTF-8'],
  ['PrettyCompact', 'text/plain; charset=UTF-8'],
  ['Vertical', 'text/plain; charset=UTF-8'],
]);

function contentType(format: string): string {
  const known = CONTENT_TYPES.get(format);
  if (known !== undefined) return known;
  if (format.endsWith('EachRow') && format.startsWith('JSON')) return 'application/x-ndjson; charset=UTF-8';
  return format.startsWith('JSON') ? 'application/json; charset=UTF-8' : 'application/octet-stream';
}

const compressors = {
  gzip: promisify(gzip),
  deflate: promisify(deflate),
  br: promisify(brotliCompress),
  zstd: promisify(zstdCompress),
};

const ROWS_REMEDY = 'write FORMAT and its name without a comment between them, and put the statement into the parameter `query`';

const STOPPING = exception(236, 'ABORTED', 'The embedded ClickHouse is stopping');

class Service {
  readonly #engine: Engine;
  readonly #folder: string;
  readonly #maxRequests: number;
  readonly #maxInsertBytes: number;
  readonly #inserts = new Lane(INSERT_WIDTH);
  readonly #queries = new Lane(QUERY_WIDTH);
  readonly #parses = new Lane(PARSE_WIDTH);
  readonly #normals = new Map<string, string>();
  #requests = 0;
  #closing = false;
  #idle: (() => void) | null = null;

  constructor(engine: Engine, folder: string, maxRequests: number, maxInsertBytes: number) {
    this.#engine = engine;
    this.#folder = folder;
    this.#maxRequests = maxRequests;
    this.#maxInsertBytes = maxInsertBytes;
  }

  /** The engine's form of a statement; those of programs come again and again. */
  async #normal(text: string): Promise<string> {
    const known = this.#normals.get(text);
    if (known !== undefined) return known;
    const normal = await this.#parses.run(
      () => true,
      () => this.#engine.normalise(text),
    );
    if (text.length <= KNOWN_TEXT) {
      if (this.#normals.size >= KNOWN_TEXTS) this.#normals.clear();
      this.#normals.set(text, normal ?? '');
    }
    return normal ?? '';
  }

  /** Refuses what comes from now on, stops the reads, and waits for the inserts. */
  async settle(): Promise<void> {
    this.#closing = true;
    // Again and again: a read may have been on its way into the engine.
    const stopping = setInterval(() => this.#engine.killReads().catch(() => {}), STOP_READS_MS);
    await this.#engine.killReads();
    if (this.#requests > 0) await new Promise<void>((done) => (this.#idle = done));
    clearInterval(stopping);
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (url.pathname === '/ping') return void response.end('Ok.\n');
    if (url.pathname !== '/') return refuse(request, response, { code: 0, status: 404, text: `There is no handle ${url.pathname}` });
    if (this.#closing || this.#requests >= this.#maxRequests) {
      const said = `Too many requests, the limit is ${this.#maxRequests}`;
      return refuse(request, response, this.#closing ? STOPPING : exception(202, 'TOO_MANY_SIMULTANEOUS_QUERIES', said));
    }
    this.#requests++;
    try {
      await this.#query(request, response, url.searchParams);
    } finally {
      this.#requests--;
      if (this.#requests === 0) this.#idle?.();
    }
  }

  async #query(request: IncomingMessage, response: ServerResponse, params: URLSearchParams): Promise<void> {
    response.setHeader('X-ClickHouse-Query-Id', params.get('query_id')?.replaceAll(/[^\x20-\x7e]/g, '') || randomUUID());
    response.setHeader('X-ClickHouse-Timezone', 'UTC');
    let incoming: Incoming | null = null;
    try {
      const limits = { queryBytes: MAX_QUERY_BYTES, insertBytes: this.#maxInsertBytes };
      incoming = await receive(request, params.get('query') ?? '', this.#folder, limits, (text) => this.#normal(text));
      if (incoming.text.trim() === '') {
        if (request.method === 'GET') return void response.end('Ok.\n');
        throw new Refusal(exception(62, 'SYNTAX_ERROR', 'Empty query'));
      }
      await this.#run(request, response, params, incoming);
    } catch (error) {
      refuse(request, response, error instanceof Refusal ? error.exception : engineException(messageOf(error)));
    } finally {
      if (incoming !== null && incoming.file !== '') await rm(incoming.file, { force: true });
    }
  }

  async #run(request: IncomingMessage, response: ServerResponse, params: URLSearchParams, incoming: Incoming): Promise<void> {
    const { insert, text } = incoming;
    const mark = this.#engine.mark();
    let gone = false;
    let running = false;
    response.on('close', () => {
      gone = true;
      // The client has gone: the lane is worth more than the answer. An insert is let finish.
      if (running && insert === null) this.#engine.kill(mark).catch(() => {});
    });
    const setup = setupFor(request, params, incoming.form);
    const asked = header(request, 'x-clickhouse-format') || params.get('default_format') || 'TabSeparated';
    let format = asked;
    let sql = text;
    if (insert !== null) {
      sql = `${insert.target} FROM INFILE ${quoteText(incoming.file)} ${insert.settings} FORMAT ${insert.format}`;
    } else {
      const statement = readStatement(await this.#normal(text));
      if (statement.insert !== null)
        throw new Refusal(exception(62, 'SYNTAX_ERROR', `The rows of this INSERT were not found: ${ROWS_REMEDY}`));
      if (statement.namesFile) throw new Refusal(exception(48, 'NOT_IMPLEMENTED', 'INTO OUTFILE and FROM INFILE do not work over HTTP'));
      if (statement.format !== '') format = statement.format;
    }
    const lane = insert === null ? this.#queries : this.#inserts;
    const result = await lane.run(
      () => !gone && (insert !== null || !this.#closing),
      async () => {
        running = true;
        try {
          return insert === null ? await this.#engine.run(sql, setup, format, mark) : await this.#engine.insert(sql, setup, insert);
        } finally {
          running = false;
        }
      },
    );
    if (gone) return;
    if (result === undefined) throw new Refusal(STOPPING);
    await send(request, response, result, format, insert !== null, params);
  }
}

/** The SET and USE statements that make a fresh connection the request's own. */
function setupFor(request: IncomingMessage, params: URLSearchParams, form: FormData | null): string {
  let setup = '';
  const sets: string[] = [];
  const entries = [...params, ...(form ?? [])];
  for (const [key, value] of entries) {
    if (typeof value !== 'string' || NOT_SETTINGS.has(key) || (key === 'readonly' && request.method !== 'POST')) continue;
    if (!/^\w+$/.test(key)) throw new Refusal(exception(115, 'UNKNOWN_SETTING', `Unknown setting ${key.slice(0, 64)}`));
    if ((key === 'compress' || key === 'decompress') && value !== '0') {
      throw new Refusal(exception(48, 'NOT_IMPLEMENTED', `${key}: use Content-Encoding and Accept-Encoding instead`));
    }
    if (key.startsWith('param_')) setup += `SET ${key} = ${quoteText(value)};`;
    else sets.push(`${key} = ${quoteText(value)}`);
  }
  // ClickHouse treats GET this way: a link must not change anything. Last, so that it stands.
  if (request.method !== 'POST') sets.push('readonly = 2');
  if (sets.length > 0) setup += `SET ${sets.join(', ')};`;
  const database = header(request, 'x-clickhouse-database') || params.get('database') || '';
  return database === '' ? setup : `${setup}USE ${quoteName(database)};`;
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  result: EngineResult,
  format: string,
  inserted: boolean,
  params: URLSearchParams,
): Promise<void> {
  const rows = String(result.rows);
  const bytes = String(result.rowBytes);
  const summary = {
    read_rows: rows,
    read_bytes: bytes,
    written_rows: inserted ? rows : '0',
    written_bytes: inserted ? bytes : '0',
    elapsed_ns: String(result.elapsedNs),
  };
  response.setHeader('X-ClickHouse-Summary', JSON.stringify(summary));
  response.setHeader('X-ClickHouse-Format', format);
  response.setHeader('Content-Type', contentType(format));
  let body = result.bytes;
  if (params.get('enable_http_compression') === '1' && body.length > 0) {
    const accepted = header(request, 'accept-encoding').split(/[\s,;]+/);
    for (const encoding of ['zstd', 'gzip', 'br', 'deflate'] as const) {
      if (!accepted.includes(encoding)) continue;
      body = await compressors[encoding](body);
      response.setHeader('Content-Encoding', encoding);
      break;
    }
  }
  response.end(body);
}

function refuse(request: IncomingMessage, response: ServerResponse, refused: Exception): void {
  if (response.destroyed || response.headersSent) return void response.destroy();
  response.statusCode = refused.status;
  if (refused.code !== 0) response.setHeader('X-ClickHouse-Exception-Code', String(refused.code));
  response.setHeader('Content-Type', 'text/plain; charset=UTF-8');
  if (!request.complete) {
    // The rest of the body is not read: this connection cannot carry another request.
    response.setHeader('Connection', 'close');
    request.resume();
  }
  response.end(`${refused.text}\n`);
}
