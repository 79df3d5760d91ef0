import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { lockDirectory } from '../base/lock/lock.ts';
import { processLog } from '../base/log-pino.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { checkStore, DATA_FILE, damageText } from '../state/check.ts';
import { dumpLines, entriesOf, isEmpty, putEntries, readDump } from '../state/dump.ts';
import { openState, type State } from '../state/open.ts';
import { rebuildStore, setAside } from '../state/rebuild.ts';
import { EXIT } from './exit-code.ts';
import { io } from './io.ts';
import { stateStore } from './stores.ts';
import { table } from './table.ts';
import { needReadable, writeTo } from './user-file.ts';

export const STATE_HELP = `fixgate state verify|dump|load|rebuild [--config file] [--json]

The state store: devices, plans, usage, commands, tokens, and what codecs have learned.

  verify               reads everything; exit code 1 when something is damaged. The server may run meanwhile
  dump                 everything as text, one JSON object a line (docs/state.md). The server may run meanwhile
    --output <file>    instead of standard output
  load <file>          puts a dump into the store of the configuration, in the data directory or in Redis, which must be empty
    --replace          the store in the data directory is kept aside first; the server must be stopped
  rebuild              makes a new store of what can be read of a damaged one, which is kept aside; the server must be stopped.
                       Exit code 1 when something is lost
    --accept-loss      also when nothing can be read

  --config <file>      YAML or JSON (default: FIXGATE_CONFIG); FIXGATE_DATA_DIR and FIXGATE_STATE_URL name another store
  --json               verify and rebuild as JSON

A dump holds names, phone numbers, replies of devices with places, and hashes of tokens: treat it like the database.
After a rebuild or a load, "fixgate usage rebuild --all" corrects the sums of usage from the history, while the server runs.
`;

export async function state(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      json: { type: 'boolean', default: false },
      output: { type: 'string' },
      replace: { type: 'boolean', default: false },
      'accept-loss': { type: 'boolean', default: false },
    },
  });
  const { config } = loadConfig({ file: values.config, env: io().env });
  const [action = '', file] = positionals;
  if (action === 'verify') return verify(config, values.json);
  if (action === 'dump') return dump(config, values.output);
  if (action === 'load' && file !== undefined) return load(config, file, values.replace);
  if (action === 'rebuild') return rebuild(config, values['accept-loss'], values.json);
  throw new AppError('USAGE', 'usage: fixgate state verify|dump|load <file>|rebuild');
}

function directoryOf(config: Config): string {
  return join(config.dataDir, 'state');
}

async function verify(config: Config, json: boolean): Promise<number> {
  let entries: Readonly<Record<string, number>>;
  let damage = '';
  if (config.state.url === undefined) {
    needStore(config);
    ({ entries, damage } = await checkStore(directoryOf(config), false));
  } else entries = await withStore(config, countEntries);
  if (json) io().out.write(`${JSON.stringify({ entries, damage })}\n`);
  else table(Object.entries(entries).map(([name, count]) => ({ table: name, entries: count })));
  if (damage === '') return EXIT.Ok;
  io().error.write(`fixgate: ${damageText(directoryOf(config), damage)}\n`);
  return EXIT.Found;
}

async function dump(config: Config, output: string | undefined): Promise<number> {
  await needSound(config);
  return withStore(config, async (store) => {
    const lines = Readable.from(dumpLines(store));
    if (output !== undefined) await writeTo(output, lines);
    else await pipeline(lines, io().out, { end: false });
    return EXIT.Ok;
  });
}

async function load(config: Config, file: string, replace: boolean): Promise<number> {
  await needReadable(file);
  const entries = () => readDump(createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY }));
  // Everything is looked at before anything is written.
  for await (const _entry of entries());
  if (replace) {
    if (config.state.url !== undefined)
      throw new AppError(
        'USAGE',
        '--replace is for the store in the data directory; give a store in Redis another redis.prefix, or empty it',
      );
    await exclusively(config, async (directory) => {
      if (existsSync(directory)) io().error.write(`the store that was there is in ${await setAside(directory, systemClock.now())}\n`);
    });
  } else await needSound(config, false);
  return using(openTarget(config), async (store) => {
    if (!(await isEmpty(store)))
      throw new AppError('USAGE', 'the state store is not empty; --replace keeps the one in the data directory aside and makes a new one');
    io().error.write(`${await putEntries(store, entries())} entries\n`);
    return EXIT.Ok;
  });
}

async function rebuild(config: Config, acceptsLoss: boolean, json: boolean): Promise<number> {
  if (config.state.url !== undefined)
    throw new AppError('USAGE', 'rebuild is for the store in the data directory; the configuration names one in Redis');
  needStore(config);
  return exclusively(config, async (directory) => {
    const { tables, aside } = await rebuildStore(directory, systemClock.now(), acceptsLoss);
    if (json) io().out.write(`${JSON.stringify({ tables, aside })}\n`);
    else table(tables.map((one) => ({ ...one })));
    io().error.write(`the damaged store is in ${aside}; start the server, then run "fixgate usage rebuild --all"\n`);
    return tables.some(({ lost }) => lost > 0) ? EXIT.Found : EXIT.Ok;
  });
}

/** Nothing else has the store open: the lock of the data directory is the server's. */
async function exclusively<T>(config: Config, work: (directory: string) => Promise<T>): Promise<T> {
  const lock = await lockDirectory(config.dataDir, 0);
  try {
    return await work(directoryOf(config));
  } finally {
    await lock.close();
  }
}

function needStore(config: Config): void {
  const file = join(directoryOf(config), DATA_FILE);
  if (!existsSync(file))
    throw new AppError('DATA_DIR_UNUSABLE', `there is no state store ${file}; set FIXGATE_DATA_DIR to the server's data directory`);
}

/** What is damaged must not be opened by this process. */
async function needSound(config: Config, must = true): Promise<void> {
  if (config.state.url !== undefined) return;
  if (must) needStore(config);
  const { damage } = await checkStore(directoryOf(config), false);
  if (damage !== '') throw new AppError('STATE_DAMAGED', damageText(directoryOf(config), damage));
}

async function countEntries(store: State): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for await (const { table: name } of entriesOf(store)) counts[name] = 1 + (counts[name] ?? 0);
  return counts;
}

/** What a dump is loaded into need not be there yet. */
function openTarget({ dataDir, redis, state: { url } }: Config): Promise<State> {
  return openState({ url, prefix: `${redis.prefix}:`, directory: join(dataDir, 'state'), log: processLog('error', 'cli') });
}

function withStore<T>(config: Config, work: (store: State) => Promise<T>): Promise<T> {
  return using(stateStore(config), work);
}

async function using<T>(opening: Promise<State>, work: (store: State) => Promise<T>): Promise<T> {
  const store = await opening;
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
