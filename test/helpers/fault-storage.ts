import { dirname } from 'node:path';
import { nodeStorage, type OpenMode, type Storage, type StorageFile } from '../../src/base/files.ts';

/** Operations that can be made to fail or to hang. */
export type Operation = 'open' | 'read' | 'write' | 'sync' | 'truncate' | 'remove' | 'rename' | 'stat' | 'free' | 'syncDirectory';

interface Rule {
  readonly operation: Operation;
  readonly path: RegExp;
  readonly code: string;
  left: number;
}

interface Hold {
  readonly operation: Operation;
  readonly path: RegExp;
  readonly released: Promise<void>;
  readonly reached: () => void;
}

interface Disk {
  /** Content as of the last sync of the file. */
  synced: Buffer;
  /** Whether the directory was synchronised since the file was made. */
  named: boolean;
}

/** A disk that has errors, hangs, fills up and loses power, on top of the real one. For what cannot be made otherwise. */
export class FaultStorage implements Storage {
  /** What was asked, in order, as `operation name`. */
  readonly log: string[] = [];
  /** A write takes at most this many bytes. */
  maxWriteBytes = Number.POSITIVE_INFINITY;
  /** Bytes that can still be written; then ENOSPC, after a short write of what was left. */
  roomBytes = Number.POSITIVE_INFINITY;
  /** What `freeBytes` answers; NaN asks the real disk. */
  free = Number.NaN;
  /** Files that were opened and not closed. */
  openFiles = 0;
  /** What failed by `failNth`, as in the log. */
  failed: string | undefined;
  /** Operations until one fails. */
  #untilFailure = Number.POSITIVE_INFINITY;
  #rules: Rule[] = [];
  #holds: Hold[] = [];
  readonly #disk = new Map<string, Disk>();

  /** The next `times` operations on paths that match reject with the code. */
  fail(operation: Operation, path: RegExp, code: string, times = Number.POSITIVE_INFINITY): void {
    this.#rules.push({ operation, path, code, left: times });
  }

  /** Of all operations from now on, the one number `n`, from 0, rejects with EIO. */
  failNth(n: number): void {
    this.#untilFailure = n;
    this.failed = undefined;
  }

  /** No more failures and no end of room. */
  heal(): void {
    this.#rules = [];
    this.roomBytes = Number.POSITIVE_INFINITY;
    this.maxWriteBytes = Number.POSITIVE_INFINITY;
    this.free = Number.NaN;
  }

  /** Operations on paths that match hang until `release`; `reached` resolves when the first does. */
  hold(operation: Operation, path: RegExp): { readonly reached: Promise<void>; readonly release: () => void } {
    const released = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    const hold = { operation, path, released: released.promise, reached: reached.resolve };
    this.#holds.push(hold);
    return {
      reached: reached.promise,
      release: () => {
        this.#holds = this.#holds.filter((other) => other !== hold);
        released.resolve();
      },
    };
  }

  /**
   * What a power cut leaves: synchronised bytes, and of the rest whatever `random` (0…1) picks: some blocks as written,
   * some zeros, some nothing. For files whose user has been abandoned.
   */
  async powerCut(random: () => number): Promise<void> {
    for (const [path, disk] of this.#disk) {
      if ((await nodeStorage.stat(path)) === null) continue;
      if (!disk.named && random() < 0.5) {
        await nodeStorage.remove(path);
        continue;
      }
      const file = await nodeStorage.open(path, 'update');
      const now = Buffer.alloc(await file.size());
      await file.read(now, 0, now.length, 0);
      const { synced } = disk;
      let after = now.length < synced.length && random() < 0.5 ? synced : now;
      if (now.length >= synced.length) {
        after = Buffer.alloc(synced.length + Math.floor(random() * (now.length - synced.length + 1)));
        for (let at = 0; at < after.length; at += 512) {
          const source = random() < 0.6 ? now : synced;
          source.copy(after, at, Math.min(at, source.length), Math.min(at + 512, source.length));
        }
      }
      await file.truncate(after.length);
      await file.write(after, 0, after.length, 0);
      await file.close();
    }
    this.#disk.clear();
  }

  async meet(operation: Operation, path: string): Promise<void> {
    this.log.push(`${operation} ${path.slice(path.lastIndexOf('/') + 1)}`);
    for (const hold of this.#holds) {
      if (hold.operation !== operation || !hold.path.test(path)) continue;
      hold.reached();
      await hold.released;
    }
    if (this.#untilFailure-- === 0) {
      this.failed = this.log.at(-1);
      throw systemError('EIO', operation);
    }
    const rule = this.#rules.find((one) => one.operation === operation && one.left > 0 && one.path.test(path));
    if (rule === undefined) return;
    rule.left--;
    throw systemError(rule.code, operation);
  }

  async wasSynced(path: string, file: StorageFile): Promise<void> {
    const content = Buffer.alloc(await file.size());
    await file.read(content, 0, content.length, 0);
    this.#disk.set(path, { synced: content, named: this.#disk.get(path)?.named ?? true });
  }

  makeDirectory(path: string): Promise<void> {
    return nodeStorage.makeDirectory(path);
  }

  list(directory: string): Promise<string[]> {
    return nodeStorage.list(directory);
  }

  async open(path: string, mode: OpenMode): Promise<StorageFile> {
    await this.meet('open', path);
    const there = (await nodeStorage.stat(path)) !== null;
    const file = await nodeStorage.open(path, mode);
    if (mode !== 'read' && !this.#disk.has(path)) {
      this.#disk.set(path, { synced: Buffer.alloc(0), named: there });
      if (there) await this.wasSynced(path, file);
    }
    this.openFiles++;
    return new FaultFile(this, path, file);
  }

  async remove(path: string): Promise<void> {
    await this.meet('remove', path);
    this.#disk.delete(path);
    return nodeStorage.remove(path);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.meet('rename', to);
    await nodeStorage.rename(from, to);
    const disk = this.#disk.get(from);
    this.#disk.delete(from);
    if (disk !== undefined) this.#disk.set(to, { synced: disk.synced, named: true });
  }

  async stat(path: string) {
    await this.meet('stat', path);
    return nodeStorage.stat(path);
  }

  setModified(path: string, modified: number): Promise<void> {
    return nodeStorage.setModified(path, modified);
  }

  async freeBytes(directory: string): Promise<number> {
    await this.meet('free', directory);
    return Number.isNaN(this.free) ? nodeStorage.freeBytes(directory) : this.free;
  }

  async syncDirectory(directory: string): Promise<void> {
    await this.meet('syncDirectory', directory);
    await nodeStorage.syncDirectory(directory);
    for (const [path, disk] of this.#disk) if (dirname(path) === directory) disk.named = true;
  }
}

class FaultFile implements StorageFile {
  readonly #storage: FaultStorage;
  readonly #path: string;
  readonly #file: StorageFile;

  constructor(storage: FaultStorage, path: string, file: StorageFile) {
    this.#storage = storage;
    this.#path = path;
    this.#file = file;
  }

  async read(target: Uint8Array, at: number, length: number, position: number): Promise<number> {
    await this.#storage.meet('read', this.#path);
    return this.#file.read(target, at, length, position);
  }

  async write(bytes: Uint8Array, start: number, end: number, position: number): Promise<number> {
    await this.#storage.meet('write', this.#path);
    // Overwriting in place takes no room.
    const fresh = position >= (await this.#file.size());
    const length = Math.min(end - start, this.#storage.maxWriteBytes, fresh ? this.#storage.roomBytes : Number.POSITIVE_INFINITY);
    if (length <= 0) throw systemError('ENOSPC', 'write');
    if (fresh) this.#storage.roomBytes -= length;
    return this.#file.write(bytes, start, start + length, position);
  }

  async sync(): Promise<void> {
    await this.#storage.meet('sync', this.#path);
    await this.#file.sync();
    await this.#storage.wasSynced(this.#path, this.#file);
  }

  async truncate(size: number): Promise<void> {
    await this.#storage.meet('truncate', this.#path);
    return this.#file.truncate(size);
  }

  size(): Promise<number> {
    return this.#file.size();
  }

  close(): Promise<void> {
    this.#storage.openFiles--;
    return this.#file.close();
  }
}

function systemError(code: string, call: string): Error {
  return Object.assign(new Error(`${code}: ${call}`), { code });
}
