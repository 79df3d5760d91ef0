import { existsSync, readdirSync } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AppError, messageOf, systemCode } from '../base/errors.ts';
import { nodeStorage } from '../base/files.ts';
import { lockParked } from '../base/lock/parked-lock.ts';
import { processLog } from '../base/log-pino.ts';
import { findInstance } from '../cluster/instance.ts';
import { codecOptions, loadCodecs } from '../codec/registry.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { DevicePlans } from '../fleet/plan/device-plans.ts';
import { RecipientRoutes } from '../fleet/registry/recipient-routes.ts';
import { EntryKind, type EntryView } from '../journal/entry.ts';
import { type Damage, JournalReader, readDurable } from '../journal/reader.ts';
import { listSegments, relayName, segmentName } from '../journal/segment.ts';
import { Rows } from '../out/record/rows.ts';
import { Decoder } from '../out/ship/decoder.ts';
import { Erasures, erasuresPath } from '../out/ship/erasures.ts';
import { listParked, retryParked } from '../out/ship/parked.ts';
import { createClickHouseSink } from '../out/sink/clickhouse/sink.ts';
import { createRedisStreamSink } from '../out/sink/redis-stream/sink.ts';
import type { Sink } from '../out/sink/sink.ts';
import { createStateSink } from '../out/sink/state/sink.ts';
import { EXIT } from './exit-code.ts';
import { io } from './io.ts';
import { clickHouseAccess, stateStore } from './stores.ts';
import { table } from './table.ts';

export const JOURNAL_HELP = `fixgate journal ls|verify|dump|parked [--config file] [--json]

Looks into the journal of a data directory: what devices sent and was answered, even if it was not delivered. Nothing
here changes the journal, and the server may run meanwhile.

  ls                  slots, segments, sequences and times; relay: holds entries that leave it when the stream has them
  verify              reads every durable entry; exit code 1 when some cannot be read back. thinned: entries of which not all
                      records are kept (the plan's decimation); relayed: entries that go to the stream only
  dump                entries, one JSON object a line; kept: indexes of the records that are, where it is not all of them
    --slot <n>        of one slot only
    --from <sequence> --to <sequence>
    --device <id>     of one device only
    --decode          with the records; without, frames are hex
  parked              entries that a sink refused, with the reason, from <data directory>/parked
    --retry           gives them to the sink again (after a repair, or with a newer version); what it still refuses stays, and so does what dlt has refused

  --config <file>     YAML or JSON (default: FIXGATE_CONFIG); FIXGATE_DATA_DIR names another data directory
  --json              ls, verify and parked as JSON

dump shows where devices were: treat what it prints like the database.
`;

const KINDS: Readonly<Record<number, string>> = {
  [EntryKind.Frame]: 'frame',
  [EntryKind.Event]: 'event',
  [EntryKind.Usage]: 'usage',
  [EntryKind.Identity]: 'identity',
  [EntryKind.Audit]: 'audit',
};

const SINKS = ['clickhouse', 'redis', 'state', 'dlt'];
/** What an authority has refused is looked at by a person. */
const NOT_RETRIED = 'dlt';

interface Options {
  readonly json: boolean;
  readonly slot: string | undefined;
  readonly from: number;
  readonly to: number | undefined;
  readonly device: string | undefined;
  readonly decode: boolean;
  readonly retry: boolean;
}

export async function journal(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      json: { type: 'boolean', default: false },
      slot: { type: 'string' },
      from: { type: 'string' },
      to: { type: 'string' },
      device: { type: 'string' },
      decode: { type: 'boolean', default: false },
      retry: { type: 'boolean', default: false },
    },
  });
  const { config } = loadConfig({ file: values.config, env: io().env });
  const { json, slot, device, decode, retry } = values;
  const to = values.to === undefined ? undefined : sequenceOf('--to', values.to);
  const options: Options = { json, slot, device, decode, retry, from: sequenceOf('--from', values.from ?? '1'), to };
  switch (positionals[0]) {
    case 'ls':
      return list(config, options);
    case 'verify':
      return verify(config, options);
    case 'dump':
      return dump(config, options);
    case 'parked':
      return parked(config, options);
    default:
      throw new AppError('USAGE', `fixgate journal ${positionals[0] ?? ''}: expected ls, verify, dump or parked`);
  }
}

function sequenceOf(option: string, text: string): number {
  const sequence = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(sequence))
    throw new AppError('USAGE', `${option} "${text}" is not a sequence; fixgate journal ls lists them`);
  return sequence;
}

/** Slots in order of their number. */
function slotsOf(config: Config, only: string | undefined): string[] {
  const directory = join(config.dataDir, 'journal');
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw new AppError('DATA_DIR_UNUSABLE', `cannot read ${directory}: ${messageOf(error)}`, error);
    throw new AppError('DATA_DIR_UNUSABLE', `${config.dataDir} holds no journal; set FIXGATE_DATA_DIR to the server's data directory`);
  }
  const slots = names.filter((name) => /^\d+$/.test(name)).sort((a, b) => Number(a) - Number(b));
  if (only === undefined) return slots;
  if (!slots.includes(only)) throw new AppError('USAGE', `unknown slot ${only}; slots are ${slots.join(', ') || 'none'}`);
  return [only];
}

async function list(config: Config, { json, slot: only }: Options): Promise<number> {
  const found: object[] = [];
  for (const slot of slotsOf(config, only)) {
    const directory = join(config.dataDir, 'journal', slot);
    const durable = await readDurable(directory);
    for (const first of await listSegments(nodeStorage, directory)) {
      const file = await stat(join(directory, segmentName(first)));
      const relay = existsSync(join(directory, relayName(first)));
      found.push({
        slot: Number(slot),
        segment: segmentName(first),
        first,
        bytes: file.size,
        changed: file.mtime.toISOString(),
        durable,
        relay,
      });
    }
  }
  if (json) io().out.write(`${JSON.stringify(found)}\n`);
  else table(found);
  return EXIT.Ok;
}

async function verify(config: Config, { json, slot: only }: Options): Promise<number> {
  const found: object[] = [];
  let bad = 0;
  for (const slot of slotsOf(config, only)) {
    const damages: Damage[] = [];
    const reader = new JournalReader(join(config.dataDir, 'journal', slot), nodeStorage, 1, { onDamage: (damage) => damages.push(damage) });
    let entries = 0;
    let thinned = 0;
    let relayed = 0;
    let problem = '';
    try {
      for (; await reader.fill(); reader.advance()) {
        const entry = reader.peek();
        entries++;
        if (entry?.relay === true) relayed++;
        if (entry !== null && entry.keepAt >= 0) thinned++;
      }
    } catch (error) {
      problem = messageOf(error);
    } finally {
      await reader.close();
    }
    if (problem !== '' || damages.length > 0) bad++;
    const places = damages.map(({ file, offset, bytes }) => `${bytes} bytes at ${offset} of ${file}`);
    found.push({ slot: Number(slot), entries, thinned, relayed, durable: reader.durable, damages: places, problem });
  }
  if (json) io().out.write(`${JSON.stringify(found)}\n`);
  else table(found);
  return bad === 0 ? EXIT.Ok : EXIT.Found;
}

async function dump(config: Config, options: Options): Promise<number> {
  const decoder = await decoderOf(config);
  const rows = new Rows();
  for (const slot of slotsOf(config, options.slot)) {
    const reader = new JournalReader(join(config.dataDir, 'journal', slot), nodeStorage, options.from, { to: options.to });
    try {
      for (; await reader.fill(); reader.advance()) {
        const entry = reader.peek();
        if (entry === null || (options.device !== undefined && entry.device !== options.device)) continue;
        const text = `${JSON.stringify(described(slot, entry)).slice(0, -1)},${content(slot, entry, options.decode ? decoder : undefined, rows)}}\n`;
        if (!io().out.write(text)) await new Promise((resolve) => io().out.once('drain', resolve));
      }
    } finally {
      await reader.close();
    }
  }
  return EXIT.Ok;
}

function described(slot: string, entry: EntryView): object {
  const { sequence, received, codec, transport, device, peer, memo, accepted } = entry;
  const kind = KINDS[entry.kind] ?? entry.kind;
  const options = entry.definition?.options ?? null;
  const marks = { ...(entry.relay ? { relay: true } : {}), ...(entry.keepAt < 0 ? {} : { kept: keptOf(entry) }) };
  const under = { ...(entry.account === '' ? {} : { account: entry.account }), ...(options === null ? {} : { options }) };
  return { slot: Number(slot), sequence, received, kind, codec, transport, device, peer, ...under, memo, accepted, ...marks };
}

/** Indexes of the accepted records that are kept. */
function keptOf(entry: EntryView): number[] {
  return Array.from({ length: entry.accepted }, (_, index) => index).filter((index) => entry.keeps(index));
}

/** The last member of the line. */
function content(slot: string, entry: EntryView, decoder: Decoder | undefined, rows: Rows): string {
  if (entry.kind !== EntryKind.Frame) return `"data":${JSON.stringify(entry.bytes.toString('utf8', entry.start, entry.end))}`;
  const hex = `"hex":"${entry.bytes.toString('hex', entry.start, entry.end)}"`;
  if (decoder === undefined) return hex;
  rows.clear();
  const reason = decoder.decode(entry, rows, slot);
  const records = Array.from({ length: rows.count }, (_, row) => rows.json(row)).join(',');
  return `${hex},"records":[${records}]${reason === '' ? '' : `,"reason":${JSON.stringify(reason)}`}`;
}

async function decoderOf(config: Config): Promise<Decoder> {
  const codecs = await loadCodecs(config.codecs.packages);
  return new Decoder(codecs, codecOptions(codecs, config.codecs.options, config.devices));
}

async function parked(config: Config, { json, retry }: Options): Promise<number> {
  const directory = join(config.dataDir, 'parked');
  if (!retry) {
    const found: object[] = [];
    for (const sink of SINKS)
      for (const { reason, kind, slot, sequence, device, codec, received, hex } of await listParked(directory, sink))
        found.push({ sink, kind, slot: Number(slot), sequence, device, codec, received: new Date(received).toISOString(), reason, hex });
    if (json) io().out.write(`${JSON.stringify(found)}\n`);
    else table(found);
    return found.length === 0 ? EXIT.Ok : EXIT.Found;
  }
  if (!existsSync(directory)) return retryParkedEntries(config, json);
  const lock = await lockParked(directory);
  try {
    return await retryParkedEntries(config, json);
  } finally {
    await lock.close();
  }
}

async function retryParkedEntries(config: Config, json: boolean): Promise<number> {
  const directory = join(config.dataDir, 'parked');
  const decoder = await decoderOf(config);
  const erasures = await Erasures.load(erasuresPath(config.dataDir), nodeStorage);
  const instance = await instanceOf(config);
  const cursorPath = join(config.dataDir, 'cursor', 'parked-clickhouse.json');
  const results: { sink: string; delivered: number; refused: number }[] = [];
  for (const name of SINKS) {
    if (name === NOT_RETRIED || (await listParked(directory, name)).length === 0) continue;
    const store = name === 'clickhouse' ? undefined : await stateStore(config);
    const sink =
      store === undefined
        ? await clickHouse(config, cursorPath)
        : name === 'state'
          ? createStateSink({ store, plans: new DevicePlans(store, processLog('error', 'cli')), instance: `${instance}.parked` })
          : redis(config, instance, new RecipientRoutes(store, processLog('error', 'cli')));
    try {
      results.push({ sink: name, ...(await retryParked(directory, sink, decoder, instance, { erased: erasures.of(name) })) });
    } finally {
      await sink.close();
      await store?.close();
    }
    if (name === 'clickhouse') await rm(cursorPath, { force: true });
  }
  if (json) io().out.write(`${JSON.stringify(results)}\n`);
  else table(results);
  return results.some(({ refused }) => refused > 0) ? EXIT.Found : EXIT.Ok;
}

async function instanceOf({ dataDir }: Config): Promise<string> {
  const instance = await findInstance(dataDir);
  if (instance === undefined)
    throw new AppError('DATA_DIR_UNUSABLE', `no server has run in ${dataDir}: the first start creates its identity`);
  return instance;
}

async function clickHouse(config: Config, cursorPath: string): Promise<Sink> {
  return createClickHouseSink({ ...(await clickHouseAccess(config)), cursorPath });
}

function redis(config: Config, instance: string, recipients: RecipientRoutes): Sink {
  const { url, prefix, maxLength } = config.redis;
  if (url === undefined)
    throw new AppError('CONFIG_INVALID', 'entries are parked for Redis and redis.url is not set; set FIXGATE_REDIS_URL');
  return createRedisStreamSink({ url, instance: `${instance}.parked`, prefix: `${prefix}:`, maxLength, recipients });
}
