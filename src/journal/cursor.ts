import { AppError, messageOf, systemCode } from '../base/errors.ts';
import { nodeStorage, OpenMode, readAll, replaceFile, type Storage } from '../base/files.ts';

/** Sequences per slot, first and last included. */
export type Range = Readonly<Record<string, { readonly from: number; readonly to: number }>>;

const VERSION = 1;

/**
 * "Shipped up to here" for a sink that cannot hold its own position. A file of JSON: `{"version":1,"positions":{slot:
 * sequence},"pending":{slot:{"from":n,"to":n}} | null}`, replaced as a whole.
 *
 *  1. A batch is announced with `begin` before it is sent, so that after a crash `pending` is exactly that batch, and
 *     sending it again under the same token adds nothing twice (promise 3).
 *  2. `commit` moves the positions to the end of the batch. Positions only rise.
 *  3. The file holds the old state or the new one, whatever happens between.
 */
export class Cursor {
  readonly path: string;
  readonly #storage: Storage;
  #positions: Map<string, number>;
  #pending: Range | null;

  private constructor(path: string, storage: Storage, positions: Map<string, number>, pending: Range | null) {
    this.path = path;
    this.#storage = storage;
    this.#positions = positions;
    this.#pending = pending;
  }

  /** A file that does not exist is a cursor at the beginning. AppError JOURNAL_FAILED when it is not what it should be. */
  static async load(path: string, storage: Storage = nodeStorage): Promise<Cursor> {
    const text = await readText(path, storage);
    if (text === null) return new Cursor(path, storage, new Map(), null);
    const parsed = parse(text);
    if (typeof parsed === 'string') {
      throw new AppError(
        'JOURNAL_FAILED',
        `the cursor ${path} is damaged (${parsed}): restore it from a backup, or remove it to deliver everything that the journal still holds once more`,
      );
    }
    return new Cursor(path, storage, parsed.positions, parsed.pending);
  }

  /** The batch that was begun and not committed: deliver exactly this first. */
  get pending(): Range | null {
    return this.#pending;
  }

  /** Last sequence delivered from the slot; 0 when none was. */
  position(slot: string): number {
    return this.#positions.get(slot) ?? 0;
  }

  /** Resolves when the batch is announced on disk. Slots that are not in it keep their positions. */
  async begin(range: Range): Promise<void> {
    if (this.#pending !== null) throw new RangeError(`${this.path}: the pending batch has to be committed first`);
    for (const [slot, { from, to }] of Object.entries(range)) {
      if (!(from > this.position(slot) && from <= to))
        throw new RangeError(`${this.path}: ${slot} ${from}…${to} does not follow the position`);
    }
    await this.#replace(this.#positions, range);
  }

  /** The pending batch is delivered. Resolves when that is on disk. */
  async commit(): Promise<void> {
    if (this.#pending === null) throw new RangeError(`${this.path}: no batch is pending`);
    const positions = new Map(this.#positions);
    for (const [slot, { to }] of Object.entries(this.#pending)) positions.set(slot, to);
    await this.#replace(positions, null);
  }

  async #replace(positions: Map<string, number>, pending: Range | null): Promise<void> {
    const text = `${JSON.stringify({ version: VERSION, positions: Object.fromEntries(positions), pending })}\n`;
    await replaceFile(this.#storage, this.path, text);
    this.#positions = positions;
    this.#pending = pending;
  }
}

async function readText(path: string, storage: Storage): Promise<string | null> {
  try {
    const file = await storage.open(path, OpenMode.Read);
    try {
      const bytes = Buffer.alloc(await file.size());
      const got = await readAll(file, bytes, 0, bytes.length, 0);
      return bytes.toString('utf8', 0, got);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw new AppError('JOURNAL_FAILED', `the cursor ${path} cannot be read: ${messageOf(error)}`, error);
  }
}

/** What is wrong with it, when it is a string. */
function parse(text: string): { positions: Map<string, number>; pending: Range | null } | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return text === '' ? 'empty' : 'not JSON';
  }
  if (!isRecord(value)) return 'not an object';
  if (value['version'] !== VERSION) return `version ${String(value['version'])}, this version reads ${VERSION}`;
  const positions = new Map<string, number>();
  if (!isRecord(value['positions'])) return 'no positions';
  for (const [slot, position] of Object.entries(value['positions'])) {
    if (!isSequence(position)) return `position of ${slot}`;
    positions.set(slot, position);
  }
  if (value['pending'] === null) return { positions, pending: null };
  if (!isRecord(value['pending'])) return 'pending batch';
  const pending: Record<string, { from: number; to: number }> = {};
  for (const [slot, range] of Object.entries(value['pending'])) {
    if (!isRecord(range) || !isSequence(range['from']) || !isSequence(range['to']) || range['from'] > range['to']) {
      return `pending batch of ${slot}`;
    }
    pending[slot] = { from: range['from'], to: range['to'] };
  }
  return { positions, pending };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSequence(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
