import { createInterface } from 'node:readline';
import { type Readable, Transform, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { StringDecoder } from 'node:string_decoder';
import { parseArgs } from 'node:util';
import { type ClickHouseClient, ClickHouseError, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { AppError } from '../base/errors.ts';
import { loadConfig } from '../config/load.ts';
import { isUnmade, NO_TABLES, plainError } from '../out/sink/clickhouse/errors.ts';
import { EXIT } from './exit-code.ts';
import { io } from './io.ts';
import { type Access, clickHouseAccess } from './stores.ts';

export const SQL_HELP = `fixgate sql [--format <name>] [--write] [--config file] ["<statement>"]

Runs a statement in the ClickHouse of the configuration: the embedded one of the data directory while the server runs,
or the configured server. Prints a table; exit code 1 when ClickHouse refuses the statement.

  --format <name>   any output format of ClickHouse: Vertical, CSVWithNames, JSONEachRow, Parquet, … (default: PrettyCompact);
                    FORMAT in the statement wins
  --write           also statements that change something; without it ClickHouse refuses them
  --config <file>   YAML or JSON (default: FIXGATE_CONFIG)

Without a statement it is read from standard input; on a terminal it asks for one after the other, each ended by a
semicolon. Ctrl-C stops the statement that runs, Ctrl-D ends. Tables need no prefix: the database is that of the
configuration.

  fixgate sql "SELECT device, max(time) FROM positions GROUP BY device"
  fixgate sql --format CSVWithNames "SELECT * FROM positions FINAL WHERE time > now() - INTERVAL 1 HOUR" > positions.csv
`;

const REQUEST_MS = 600_000;

export async function sql(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      format: { type: 'string', default: 'PrettyCompact' },
      write: { type: 'boolean', default: false },
      config: { type: 'string' },
    },
  });
  const [statement, ...rest] = positionals;
  if (rest.length > 0) throw new AppError('USAGE', 'fixgate sql takes one statement: put it in quotes');
  if (!/^\w+$/.test(values.format)) throw new AppError('USAGE', `--format "${values.format}" is not the name of a format, like Vertical`);
  const { config } = loadConfig({ file: values.config, env: io().env });
  const access = await clickHouseAccess(config);
  const { url, username, password, database } = access;
  const agent = access.agent?.(1);
  const client = createClient({
    ...(agent === undefined ? {} : { http_agent: agent }),
    url: url.reveal(),
    username,
    password: password.reveal(),
    database,
    application: 'fixgate-sql',
    request_timeout: REQUEST_MS,
    max_open_connections: 1,
    log: { level: ClickHouseLogLevel.OFF },
  });
  const run: Run = (text, output, signal) => execute(client, access, text, values, output, signal);
  try {
    if (statement === undefined && io().input.isTTY) return await converse(io().input, io().out, run);
    return await tell(run, statement ?? (await textOf(io().input)), io().out, new AbortController().signal);
  } finally {
    await client.close();
  }
}

/** Runs one statement and writes its result. Rejects with AppError, or with `Refused`. */
type Run = (statement: string, output: Writable, signal: AbortSignal) => Promise<void>;

/** ClickHouse does not run the statement: a fault of who wrote it, and neither of the server nor of this program. */
class Refused extends Error {}

async function execute(
  client: ClickHouseClient,
  access: Access,
  statement: string,
  { format, write }: { readonly format: string; readonly write: boolean },
  output: Writable,
  signal: AbortSignal,
): Promise<void> {
  try {
    const { stream } = await client.exec({
      query: statement,
      abort_signal: signal,
      http_headers: { 'X-ClickHouse-Format': format },
      clickhouse_settings: {
        // An error after the first rows would stand among them.
        wait_end_of_query: 1,
        output_format_pretty_color: 0,
        output_format_pretty_row_numbers: 0,
        output_format_pretty_single_large_number_tip_threshold: '0',
        ...(write ? {} : { readonly: '2' as const }),
      },
    });
    if ('isTTY' in output && output.isTTY === true) await pipeline(stream, escapes(), output, { end: false, signal });
    else await pipeline(stream, output, { end: false, signal });
  } catch (error) {
    if (signal.aborted) throw new Refused('stopped');
    if (!(error instanceof ClickHouseError)) throw plainError(error, access);
    const readonly = error.code === READONLY && !write ? '; --write allows statements that change something' : '';
    const remedy = isUnmade(error) ? `; ${NO_TABLES}` : readonly;
    throw new Refused(`${access.url.scrub(error.message.trim())} (${error.type ?? error.code})${remedy}`);
  }
}

const READONLY = '164';

/** Texts of devices are shown on a terminal: what would steer it is written as `\x1b`. */
export function escapes(): Transform {
  const decoder = new StringDecoder('utf8');
  return new Transform({
    transform(chunk, _encoding, done): void {
      done(null, escaped(decoder.write(chunk)));
    },
    flush(done): void {
      done(null, escaped(decoder.end()));
    },
  });
}

function escaped(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
  return text.replaceAll(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, (sign) => `\\x${sign.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

async function tell(run: Run, statement: string, output: Writable, signal: AbortSignal): Promise<number> {
  if (statement.trim() === '') throw new AppError('USAGE', 'missing statement: fixgate sql "SELECT …"');
  try {
    await run(statement, output, signal);
    return EXIT.Ok;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    io().error.write(`fixgate: ${escaped(error.message)}\n`);
    return EXIT.Found;
  }
}

const PROMPT = 'fixgate> ';
const MORE = '      -> ';

/** Asks for statements until there are no more. */
export async function converse(input: Readable, output: Writable, run: Run): Promise<number> {
  const lines = createInterface({ input, output, prompt: PROMPT, terminal: 'isTTY' in output && output.isTTY === true });
  let text = '';
  let ended = false;
  lines.once('close', () => {
    ended = true;
  });
  let running: AbortController | undefined;
  const ask = (prompt: string): void => {
    if (ended) return;
    lines.setPrompt(prompt);
    lines.prompt();
  };
  lines.on('SIGINT', () => {
    if (running !== undefined) running.abort();
    else if (text === '') lines.close();
    else {
      text = '';
      output.write('\n');
      ask(PROMPT);
    }
  });
  // Before the first prompt: what is typed from then on is read.
  const typed = lines[Symbol.asyncIterator]();
  ask(PROMPT);
  for await (const line of typed) {
    text += `${line}\n`;
    if (text.trim() === '') text = '';
    else if (/^\s*(?:exit|quit)\s*;?\s*$/i.test(text)) break;
    else if (!/;\s*$/.test(text)) {
      ask(MORE);
      continue;
    } else {
      const statement = text;
      text = '';
      running = new AbortController();
      try {
        await tell(run, statement, output, running.signal);
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        // The next statement may find the server again.
        io().error.write(`fixgate: ${error.message}\n`);
      } finally {
        running = undefined;
      }
    }
    ask(PROMPT);
  }
  lines.close();
  return EXIT.Ok;
}

async function textOf(input: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of input) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}
