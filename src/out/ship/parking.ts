import { basename, dirname, join } from 'node:path';
import { type Erased, isErased } from '../../base/erased.ts';
import { OpenMode, type Storage, writeAll } from '../../base/files.ts';
import { EntryKind, type EntryView, keepBytes } from '../../journal/entry.ts';
import { JournalReader } from '../../journal/reader.ts';
import { parkedPaths, readParked, writeParked } from './parked.ts';

const KINDS: Readonly<Record<number, string>> = { [EntryKind.Event]: 'event', [EntryKind.Usage]: 'usage', [EntryKind.Audit]: 'audit' };

/**
 * Entries that cannot be delivered, kept for people and for a later replay: one JSON object a line,
 * `{"kind","slot","sequence","received","codec","transport","device","memo","accepted","reason","hex"}`; `options` and `account`
 * as the journal has them (journal/definition.ts), `keep`, the mask in hex, where not all of its records are kept, and `format`,
 * the version of the journal's format.
 * An entry may stand there twice when a crash came between parking it and moving on.
 */
export class Parking {
  readonly path: string;
  readonly #journal: string;
  readonly #storage: Storage;
  readonly #onParked: (reason: string) => void;
  #waiting: { readonly line: string; readonly reason: string }[] = [];

  /** `journal` is the directory of the slots. `onParked` is called once per entry, when it is on disk. */
  constructor(path: string, journal: string, storage: Storage, onParked: (reason: string) => void) {
    this.path = path;
    this.#journal = journal;
    this.#storage = storage;
    this.#onParked = onParked;
  }

  /** Takes a copy of the entry; it is kept when `flush` resolves. */
  add(slot: string, entry: EntryView, reason: string): void {
    const line = JSON.stringify({
      kind: KINDS[entry.kind] ?? 'frame',
      format: entry.version,
      slot,
      sequence: entry.sequence,
      received: entry.received,
      codec: entry.codec,
      transport: entry.transport,
      ...(entry.definition?.options == null ? {} : { options: entry.definition.options }),
      ...(entry.account === '' ? {} : { account: entry.account }),
      device: entry.device,
      memo: entry.memo,
      accepted: entry.accepted,
      ...(entry.keepAt < 0 ? {} : { keep: entry.bytes.toString('hex', entry.keepAt, entry.keepAt + keepBytes(entry.accepted)) }),
      reason,
      hex: entry.bytes.toString('hex', entry.start, entry.end),
    });
    this.#waiting.push({ line, reason });
  }

  /** The same for an entry that has been passed: it is read again. */
  async addAgain(slot: string, sequence: number, reason: string): Promise<void> {
    const reader = new JournalReader(join(this.#journal, slot), this.#storage, sequence, { to: sequence });
    try {
      if (!(await reader.fill())) return;
      const entry = reader.peek();
      if (entry !== null) this.add(slot, entry, reason);
    } finally {
      await reader.close();
    }
  }

  async flush(): Promise<void> {
    if (this.#waiting.length === 0) return;
    const bytes = Buffer.from(this.#waiting.map(({ line }) => `${line}\n`).join(''), 'utf8');
    const directory = dirname(this.path);
    const created = (await this.#storage.stat(this.path)) === null;
    await this.#storage.makeDirectory(directory);
    const file = await this.#storage.open(this.path, OpenMode.Update);
    try {
      await writeAll(file, bytes, 0, bytes.length, await file.size());
      await file.sync();
    } finally {
      await file.close();
    }
    if (created) await this.#storage.syncDirectory(directory);
    const parked = this.#waiting;
    this.#waiting = [];
    for (const { reason } of parked) this.#onParked(reason);
  }

  /**
   * Takes out what was erased of devices, also of what a retry holds; returns how many entries. To be
   * called while nothing is added.
   */
  async erase(devices: Erased): Promise<number> {
    let gone = 0;
    for (const path of parkedPaths(dirname(this.path), basename(this.path, '.jsonl'))) {
      const lines = await readParked(this.#storage, path);
      const left = lines.filter(({ device, account, received }) => !isErased(devices.get(device) ?? [], account ?? '', received));
      if (left.length < lines.length) await writeParked(this.#storage, path, left);
      gone += lines.length - left.length;
    }
    return gone;
  }

  /** Forgets what was added and not flushed: its batch will be read again. */
  drop(): void {
    this.#waiting = [];
  }
}
