import { dirname, join } from 'node:path';
import { type Erased, merged, type Stretch, stretchesOf } from '../../base/erased.ts';
import { AppError, messageOf } from '../../base/errors.ts';
import { OpenMode, readAll, replaceFile, type Storage } from '../../base/files.ts';

/**
 * What was erased of devices: what was received then, or measured then (a device sends again what it has in its memory), is not delivered
 * any more. A file of JSON, `{"version":1,"sinks":{sink:{device:before}}}`, replaced as a whole; version 2, once a part of a device was erased,
 * has a list of stretches in place of `before`.
 *
 * 1. What a batch leaves out is decided before its first entry is read, and is the same when it is read again after a crash: an
 *    erasure begins to hold for a sink while nothing of that sink's is under way, and is on disk before it does.
 * 2. It holds for good, and for each sink on its own: one that is away delays no other.
 */
const VERSION = 1;
const WITH_PARTS = 2;

/** Beside the cursors, for like them it is part of what a batch is. */
export function erasuresPath(dataDir: string): string {
  return join(dataDir, 'cursor', 'erased.json');
}

export class Erasures {
  readonly path: string;
  readonly #storage: Storage;
  #sinks: ReadonlyMap<string, Erased>;
  #writing: Promise<void> = Promise.resolve();

  /** Without `sinks`, one that says nothing yet. */
  constructor(path: string, storage: Storage, sinks: ReadonlyMap<string, Erased> = new Map()) {
    this.path = path;
    this.#storage = storage;
    this.#sinks = sinks;
  }

  /** A file that does not exist says that nothing was erased. AppError JOURNAL_FAILED when it is not what it should be. */
  static async load(path: string, storage: Storage): Promise<Erasures> {
    if ((await storage.stat(path)) === null) return new Erasures(path, storage);
    try {
      const file = await storage.open(path, OpenMode.Read);
      try {
        const bytes = Buffer.alloc(await file.size());
        const got = await readAll(file, bytes, 0, bytes.length, 0);
        return new Erasures(path, storage, parse(bytes.toString('utf8', 0, got)));
      } finally {
        await file.close();
      }
    } catch (error) {
      throw new AppError(
        'JOURNAL_FAILED',
        `the list of erased devices ${path} cannot be read (${messageOf(error)}): restore it from a backup; without it, records that erased devices send again would be stored`,
        error,
      );
    }
  }

  /** What holds for a sink. */
  of(sink: string): Erased {
    return this.#sinks.get(sink) ?? NONE;
  }

  /** Adds to what holds for a sink. Resolves when that is on disk. */
  add(sink: string, devices: Erased): Promise<void> {
    // One after the other: each write is of all.
    this.#writing = this.#writing.catch(() => undefined).then(() => this.#add(sink, devices));
    return this.#writing;
  }

  async #add(sink: string, devices: Erased): Promise<void> {
    const all = new Map(this.of(sink));
    for (const [device, stretches] of devices) all.set(device, merged(all.get(device) ?? [], stretches));
    const sinks = new Map(this.#sinks).set(sink, all);
    const hasParts = [...sinks.values()].some((list) => [...list.values()].some(isPart));
    const lists = [...sinks].map(([name, list]) => [
      name,
      Object.fromEntries([...list].map(([id, one]) => [id, isPart(one) ? one : one[0]?.to])),
    ]);
    const version = hasParts ? WITH_PARTS : VERSION;
    await this.#storage.makeDirectory(dirname(this.path));
    await replaceFile(this.#storage, this.path, `${JSON.stringify({ version, sinks: Object.fromEntries(lists) })}\n`);
    this.#sinks = sinks;
  }
}

const NONE: Erased = new Map();

function parse(text: string): Map<string, Erased> {
  const value: unknown = JSON.parse(text);
  if (!isRecord(value) || (value['version'] !== VERSION && value['version'] !== WITH_PARTS) || !isRecord(value['sinks']))
    throw new Error(`it is not version ${VERSION} or ${WITH_PARTS}`);
  const sinks = new Map<string, Erased>();
  for (const [sink, list] of Object.entries(value['sinks'])) {
    if (!isRecord(list)) throw new Error(`the entry of ${sink} is not a list`);
    const devices = new Map<string, readonly Stretch[]>();
    for (const [device, one] of Object.entries(list)) {
      const stretches = stretchesOf(one);
      if (stretches === undefined) throw new Error(`the entry of ${sink} has a device without a time`);
      devices.set(device, stretches);
    }
    sinks.set(sink, devices);
  }
  return sinks;
}

function isPart(stretches: readonly Stretch[]): boolean {
  return stretches.some(({ account }) => account !== undefined);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
