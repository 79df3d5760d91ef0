import { crc32 } from 'node:zlib';
import { AppError, messageOf, systemCode } from '../../../base/errors.ts';
import { nodeStorage, OpenMode, readAll, type StorageFile, writeAll } from '../../../base/files.ts';
import { jsonOf } from '../../../base/json.ts';

/**
 * How far the slots had been delivered to the streams, and the last entry of each stream at that time. Redis keeps the cursor;
 * should it lose that key and not the entries, this says from where to go on.
 *
 * A file of two places of 64 KiB that are written in turn, so that one is whole: each `<CRC-32 of the JSON, hex> <JSON>\n`. It is not
 * synchronised: after a power cut it may be older than the streams, and then some entries are delivered twice, none is missing.
 */
const PLACE_BYTES = 65_536;
const VERSION = 1;

/** An entry of a stream: its id and a checksum of its data, since ids begin anew after a failover. */
export interface StreamEntry {
  readonly id: string;
  readonly sum: number;
}

export class Witness {
  /** Last sequence delivered, by slot. */
  readonly delivered = new Map<string, number>();
  /** Last entry by key of the stream; streams without one are left out. */
  readonly last = new Map<string, StreamEntry>();
  readonly #file: StorageFile | undefined;
  #turn = 0;

  private constructor(file: StorageFile | undefined) {
    this.#file = file;
  }

  /** Without a path it knows what it is told, and forgets it with the process. Throws AppError JOURNAL_FAILED. */
  static async open(path: string | undefined, instance: string): Promise<Witness> {
    if (path === undefined) return new Witness(undefined);
    try {
      const file = await openFile(path);
      const witness = new Witness(file);
      const bytes = Buffer.alloc(2 * PLACE_BYTES);
      const got = await readAll(file, bytes, 0, bytes.length, 0);
      for (const at of [0, PLACE_BYTES]) witness.#take(parse(bytes.toString('utf8', at, Math.min(got, at + PLACE_BYTES)), instance));
      return witness;
    } catch (error) {
      throw new AppError('JOURNAL_FAILED', `${path}: ${messageOf(error)}`, error);
    }
  }

  async write(instance: string): Promise<void> {
    if (this.#file === undefined) return;
    const turn = this.#turn + 1;
    const value = { version: VERSION, instance, turn, delivered: Object.fromEntries(this.delivered), last: Object.fromEntries(this.last) };
    const json = JSON.stringify(value);
    const bytes = Buffer.from(`${crc32(json).toString(16).padStart(8, '0')} ${json}\n`, 'utf8');
    if (bytes.length > PLACE_BYTES) return;
    await writeAll(this.#file, bytes, 0, bytes.length, PLACE_BYTES * (turn % 2));
    this.#turn = turn;
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }

  #take(place: Place | undefined): void {
    if (place === undefined || place.turn <= this.#turn) return;
    this.#turn = place.turn;
    this.delivered.clear();
    this.last.clear();
    for (const [slot, sequence] of place.delivered) this.delivered.set(slot, sequence);
    for (const [stream, entry] of place.last) this.last.set(stream, entry);
  }
}

export function streamEntry(id: string, data: string): StreamEntry {
  return { id, sum: crc32(data) };
}

interface Place {
  readonly turn: number;
  readonly delivered: readonly (readonly [string, number])[];
  readonly last: readonly (readonly [string, StreamEntry])[];
}

async function openFile(path: string): Promise<StorageFile> {
  try {
    return await nodeStorage.open(path, OpenMode.Update);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return nodeStorage.open(path, OpenMode.Replace);
  }
}

/** Undefined for a place that holds none, a torn one, or one of another installation. */
function parse(text: string, instance: string): Place | undefined {
  const line = text.slice(0, Math.max(0, text.indexOf('\n')));
  const json = line.slice(9);
  if (json === '' || Number.parseInt(line.slice(0, 8), 16) !== crc32(json)) return undefined;
  const value: unknown = jsonOf(json);
  if (!isRecord(value) || value['version'] !== VERSION || value['instance'] !== instance) return undefined;
  const { turn, delivered, last } = value;
  if (typeof turn !== 'number' || !isRecord(delivered) || !isRecord(last)) return undefined;
  return {
    turn,
    delivered: Object.entries(delivered).flatMap(([slot, sequence]) => (typeof sequence === 'number' ? [[slot, sequence] as const] : [])),
    last: Object.entries(last).flatMap(([stream, entry]) => (isEntry(entry) ? [[stream, entry] as const] : [])),
  };
}

function isEntry(value: unknown): value is StreamEntry {
  return isRecord(value) && typeof value['id'] === 'string' && typeof value['sum'] === 'number';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
