import { OpenMode, type Storage, type StorageFile } from '../base/files.ts';
import type { Tenure } from '../base/lock/tenure.ts';

/**
 * The journal's files in the hands of the server that owns the data directory: nothing is written, cut, renamed or removed
 * unless it was sure at most a second before that no other server has taken the directory.
 */
export function ownedStorage(storage: Storage, tenure: Tenure): Storage {
  const confirmed = (): Promise<void> | undefined => (tenure.sure ? undefined : tenure.confirm());
  return {
    makeDirectory: (path) => storage.makeDirectory(path),
    list: (directory) => storage.list(directory),
    stat: (path) => storage.stat(path),
    freeBytes: (directory) => storage.freeBytes(directory),
    syncDirectory: (directory) => storage.syncDirectory(directory),
    async open(path, mode) {
      if (mode === OpenMode.Read) return storage.open(path, mode);
      await confirmed();
      return new OwnedFile(await storage.open(path, mode), tenure);
    },
    async remove(path) {
      await confirmed();
      await storage.remove(path);
    },
    async rename(from, to) {
      await confirmed();
      await storage.rename(from, to);
    },
    async setModified(path, modified) {
      await confirmed();
      await storage.setModified(path, modified);
    },
  };
}

class OwnedFile implements StorageFile {
  readonly #file: StorageFile;
  readonly #tenure: Tenure;

  constructor(file: StorageFile, tenure: Tenure) {
    this.#file = file;
    this.#tenure = tenure;
  }

  read(target: Uint8Array, at: number, length: number, position: number): Promise<number> {
    return this.#file.read(target, at, length, position);
  }

  write(bytes: Uint8Array, start: number, end: number, position: number): Promise<number> {
    if (this.#tenure.sure) return this.#file.write(bytes, start, end, position);
    return this.#tenure.confirm().then(() => this.#file.write(bytes, start, end, position));
  }

  sync(): Promise<void> {
    return this.#file.sync();
  }

  async truncate(size: number): Promise<void> {
    await this.#tenure.confirm();
    await this.#file.truncate(size);
  }

  size(): Promise<number> {
    return this.#file.size();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
