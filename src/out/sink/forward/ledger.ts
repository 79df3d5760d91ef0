import { join } from 'node:path';
import { AppError, messageOf } from '../../../base/errors.ts';
import { nodeStorage, OpenMode, readAll, replaceFile, type Storage, writeAll } from '../../../base/files.ts';
import { jsonOf } from '../../../base/json.ts';
import type { Range } from '../../../journal/cursor.ts';

/**
 * How far forwarding has come, in `<name>.json`, and what the authority answered, in `<name>-<day>.jsonl`.
 *
 * 1. A batch is announced with the numbers that its records get before the first of them is sent, and what of it was taken is written down
 *    after each call. So after a crash exactly the call whose answer was not written down is made again, with the same numbers.
 * 2. The file is replaced as a whole. Neither file holds a place.
 */
interface Written {
  /** Last sequence forwarded, by slot. */
  positions: Record<string, number>;
  /** The batch under way; how many of its records are done with. */
  pending: Range | null;
  done: number;
  /** Number of the last record, by unit: without those of the batch under way. */
  numbers: Record<string, number>;
  /** Hash of what the authority was told of a device, by unit. */
  registered: Record<string, string>;
}

const NOTHING: Written = { positions: {}, pending: null, done: 0, numbers: {}, registered: {} };

export class Ledger {
  readonly #storage: Storage;
  readonly #directory: string;
  readonly #name: string;
  #written: Written;

  private constructor(directory: string, name: string, storage: Storage, written: Written) {
    this.#directory = directory;
    this.#name = name;
    this.#storage = storage;
    this.#written = written;
  }

  /** AppError JOURNAL_FAILED when the file is not what it should be. */
  static async load(directory: string, name: string, storage: Storage = nodeStorage): Promise<Ledger> {
    await storage.makeDirectory(directory);
    const path = join(directory, `${name}.json`);
    if ((await storage.stat(path)) === null) return new Ledger(directory, name, storage, NOTHING);
    const found: unknown = jsonOf(await textOf(path, storage));
    if (typeof Reflect.get(Object(found), 'numbers') !== 'object')
      throw new AppError(
        'JOURNAL_FAILED',
        `${path} is damaged: restore it from a backup, or remove it to forward everything that the journal still holds once more`,
      );
    return new Ledger(directory, name, storage, { ...NOTHING, ...Object(found) });
  }

  get pending(): Range | null {
    return this.#written.pending;
  }

  get done(): number {
    return this.#written.done;
  }

  get registered(): Readonly<Record<string, string>> {
    return this.#written.registered;
  }

  /** Last sequence forwarded, by slot, as of now. */
  get positions(): Readonly<Record<string, number>> {
    return this.#written.positions;
  }

  number(unit: string): number {
    return this.#written.numbers[unit] ?? 0;
  }

  begin(pending: Range): Promise<void> {
    return this.#write({ pending, done: 0 });
  }

  advance(done: number): Promise<void> {
    return this.#write({ done });
  }

  /** The batch is done with; its records had the numbers up to these. */
  commit(numbers: ReadonlyMap<string, number>): Promise<void> {
    const ends = Object.entries(this.#written.pending ?? {}).map(([slot, { to }]) => [slot, to] as const);
    return this.#write({
      positions: { ...this.#written.positions, ...Object.fromEntries(ends) },
      numbers: { ...this.#written.numbers, ...Object.fromEntries(numbers) },
      pending: null,
      done: 0,
    });
  }

  /** `hash` undefined: the authority does not know the unit any more. */
  register(unit: string, hash: string | undefined): Promise<void> {
    const { [unit]: _, ...registered } = this.#written.registered;
    return this.#write({ registered: hash === undefined ? registered : { ...registered, [unit]: hash } });
  }

  /** Adds a line to the evidence of the day. */
  async note(now: number, line: object): Promise<void> {
    const at = new Date(now).toISOString();
    const path = join(this.#directory, `${this.#name}-${at.slice(0, 10)}.jsonl`);
    const isNew = (await this.#storage.stat(path)) === null;
    const bytes = Buffer.from(`${JSON.stringify({ at, ...line })}\n`);
    const file = await this.#storage.open(path, OpenMode.Update);
    try {
      await writeAll(file, bytes, 0, bytes.length, await file.size());
      await file.sync();
    } finally {
      await file.close();
    }
    if (isNew) await this.#storage.syncDirectory(this.#directory);
  }

  async #write(change: Partial<Written>): Promise<void> {
    const written = { ...this.#written, ...change };
    await replaceFile(this.#storage, join(this.#directory, `${this.#name}.json`), `${JSON.stringify({ version: 1, ...written })}\n`);
    this.#written = written;
  }
}

async function textOf(path: string, storage: Storage): Promise<string> {
  try {
    const file = await storage.open(path, OpenMode.Read);
    try {
      const bytes = Buffer.alloc(await file.size());
      return bytes.toString('utf8', 0, await readAll(file, bytes, 0, bytes.length, 0));
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new AppError('JOURNAL_FAILED', `${path} cannot be read: ${messageOf(error)}`, error);
  }
}
