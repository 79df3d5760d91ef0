import { join } from 'node:path';
import { type Erased, isErased } from '../../base/erased.ts';
import { AppError, systemCode } from '../../base/errors.ts';
import { nodeStorage, OpenMode, readAll, replaceFile, type Storage } from '../../base/files.ts';
import { Definition, isOptions, type KeptOptions, type Transport } from '../../journal/definition.ts';
import { EntryKind, EntryView, entrySize, keepBytes, Origin, writeEntry } from '../../journal/entry.ts';
import { Batch, type Sink, tokenOf } from '../sink/sink.ts';
import type { Decoder } from './decoder.ts';
import { takeEntry } from './take.ts';

/** An entry that was set aside, as its line in `parked/<sink>.jsonl` has it. `received` is epoch ms, `hex` the entry's bytes. */
export interface Parked {
  readonly kind: string;
  readonly slot: string;
  readonly sequence: number;
  readonly received: number;
  readonly codec: string;
  readonly transport: string;
  readonly device: string;
  /** Which it is read under; absent in lines of earlier versions: those configured now. */
  readonly options?: KeptOptions;
  readonly account?: string;
  /** Of the journal; absent in lines from before format 3. */
  readonly format?: number;
  readonly memo: number;
  readonly accepted: number;
  /** The keep mask in hex; absent: all are kept. */
  readonly keep?: string;
  readonly reason: string;
  readonly hex: string;
  /** How often a retry was refused by the sink. */
  readonly tries: number;
}

const KINDS: Readonly<Record<string, EntryKind>> = { event: EntryKind.Event, usage: EntryKind.Usage, audit: EntryKind.Audit };

/** A shipper that is just adding to the file has finished by then. */
const SETTLE_MS = 1000;

/** Lines set aside for the sink, those of an interrupted retry first. Throws JOURNAL_FAILED for a line that is not a parked entry. */
export async function listParked(directory: string, sink: string, storage: Storage = nodeStorage): Promise<Parked[]> {
  return [...(await readParked(storage, retryPath(directory, sink))), ...(await readParked(storage, join(directory, `${sink}.jsonl`)))];
}

export interface RetryOptions {
  readonly storage?: Storage | undefined;
  readonly erased?: Erased | undefined;
  /** Of one entry, `<slot>.<sequence>`. */
  readonly only?: string | undefined;
}

/**
 * Gives what was set aside to the sink once more, entry by entry; what it still refuses stays set aside, with the new reason.
 *
 * 1. May run beside the server, and be killed at any moment: an entry leaves the file behind its delivery, and the sink
 *    remembers each one delivered under a position of its own, so that it is not delivered twice.
 * 2. The sink must have been made for this: with the instance `<instance>.parked`, so that it stands nowhere in the
 *    server's way.
 * 3. What is from before its device was erased is neither delivered nor kept.
 */
export async function retryParked(
  directory: string,
  sink: Sink,
  decoder: Decoder,
  instance: string,
  { storage = nodeStorage, erased = new Map(), only }: RetryOptions = {},
): Promise<{ delivered: number; refused: number }> {
  const lines = new Map((await claim(directory, sink.name, storage)).map((parked) => [`${parked.slot}.${parked.sequence}`, parked]));
  const keep = (): Promise<void> => writeParked(storage, retryPath(directory, sink.name), [...lines.values()]);
  const position = await sink.open();
  const batch = new Batch();
  let delivered = 0;
  try {
    for (const [key, parked] of lines) {
      if (only !== undefined && key !== only) continue;
      if (isErased(erased.get(parked.device) ?? [], parked.account ?? '', parked.received)) {
        lines.delete(key);
        continue;
      }
      const place = `${key}.${parked.tries}`;
      let reason = '';
      if (position.delivered(place) === 0) {
        batch.clear();
        batch.instance = instance;
        reason = takeEntry(batch, parked.slot, viewOf(parked), decoder, instance, erased.get(parked.device));
        batch.ranges = { [place]: { from: 1, to: 1 } };
        batch.token = tokenOf(`${instance}.parked`, batch.ranges);
        if (reason !== '') lines.set(key, { ...parked, reason });
        else
          await sink.deliver(batch, async (_slot, _sequence, why) => {
            reason = why;
            // The sink's position moves behind a refused entry, too: the next try needs another place.
            lines.set(key, { ...parked, reason, tries: parked.tries + 1 });
            await keep();
          });
      }
      if (reason !== '') continue;
      lines.delete(key);
      delivered++;
    }
  } finally {
    await keep();
  }
  return { delivered, refused: only === undefined ? lines.size : Number(lines.has(only)) };
}

/** Every file that may hold entries set aside for the sink. */
export function parkedPaths(directory: string, sink: string): string[] {
  return [join(directory, `${sink}.jsonl`), takenPath(directory, sink), retryPath(directory, sink)];
}

function takenPath(directory: string, sink: string): string {
  return join(directory, `${sink}.taken.jsonl`);
}

function retryPath(directory: string, sink: string): string {
  return join(directory, `${sink}.retry.jsonl`);
}

/** Moves what the shipper has set aside behind what an earlier retry has left. */
async function claim(directory: string, sink: string, storage: Storage): Promise<Parked[]> {
  const file = join(directory, `${sink}.jsonl`);
  const taken = takenPath(directory, sink);
  if ((await storage.stat(taken)) === null && (await storage.stat(file)) !== null) {
    await storage.rename(file, taken);
    await storage.syncDirectory(directory);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  }
  const earlier = await readParked(storage, retryPath(directory, sink));
  const known = new Set(earlier.map(({ slot, sequence }) => `${slot} ${sequence}`));
  const all = [...earlier];
  for (const parked of await readParked(storage, taken)) {
    const key = `${parked.slot} ${parked.sequence}`;
    if (known.has(key)) continue;
    known.add(key);
    all.push(parked);
  }
  await writeParked(storage, retryPath(directory, sink), all);
  await storage.remove(taken).catch(ignoreMissing);
  await storage.syncDirectory(directory);
  return all;
}

/** Throws JOURNAL_FAILED for a line that is not a parked entry. */
export async function readParked(storage: Storage, path: string): Promise<Parked[]> {
  if ((await storage.stat(path)) === null) return [];
  const file = await storage.open(path, OpenMode.Read);
  try {
    const bytes = Buffer.alloc(await file.size());
    await readAll(file, bytes, 0, bytes.length, 0);
    return bytes
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line, at) => parse(line, `${path}:${at + 1}`));
  } finally {
    await file.close();
  }
}

function parse(line: string, where: string): Parked {
  try {
    const value: unknown = JSON.parse(line);
    if (isParked(value)) return { ...value, kind: value.kind ?? 'frame', tries: value.tries ?? 0 };
  } catch {
    // Said below.
  }
  throw new AppError('JOURNAL_FAILED', `${where} is not a parked entry; remove the line and retry`);
}

function isParked(value: unknown): value is Omit<Parked, 'kind' | 'tries'> & { kind?: string; tries?: number } {
  if (typeof value !== 'object' || value === null) return false;
  const is = (name: string, type: string): boolean => typeof Reflect.get(value, name) === type;
  return (
    (!('keep' in value) || is('keep', 'string')) &&
    (!('format' in value) || is('format', 'number')) &&
    (!('account' in value) || is('account', 'string')) &&
    (!('options' in value) || isOptions(value.options)) &&
    ['slot', 'codec', 'transport', 'device', 'reason', 'hex'].every((name) => is(name, 'string')) &&
    ['sequence', 'received', 'memo', 'accepted'].every((name) => is(name, 'number'))
  );
}

export async function writeParked(storage: Storage, path: string, lines: readonly Parked[]): Promise<void> {
  if (lines.length === 0) {
    await storage.remove(path).catch(ignoreMissing);
    return;
  }
  await replaceFile(storage, path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
}

/** The journal entry that the line was made from. */
function viewOf(parked: Parked): EntryView {
  const bytes = Buffer.from(parked.hex, 'hex');
  const definition = new Definition(parked.codec, transportOf(parked.transport), parked.options ?? null, parked.account ?? '');
  const origin = new Origin(definition, parked.device, '');
  const kind = KINDS[parked.kind] ?? EntryKind.Frame;
  const { sequence, received, memo, accepted } = parked;
  const keep = parked.keep === undefined ? null : Buffer.from(parked.keep, 'hex');
  const out = Buffer.alloc(entrySize(origin, bytes.length, keep === null ? 0 : keepBytes(accepted)));
  const marks = { keep, relay: false };
  const size = writeEntry(out, 0, sequence, origin, 0, kind, received, 1000 * received, memo, accepted, bytes, 0, bytes.length, marks);
  const view = new EntryView();
  view.aim(out, 0, size);
  view.definition = definition;
  view.version = parked.format ?? 2;
  return view;
}

function transportOf(text: string): Transport {
  return text === 'udp' || text === 'sms' ? text : 'tcp';
}

function ignoreMissing(error: unknown): void {
  if (systemCode(error) !== 'ENOENT') throw error;
}
