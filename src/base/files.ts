import fs from 'node:fs';
import { dirname, resolve as resolvePath } from 'node:path';
import { withReserve } from './descriptors.ts';
import { systemCode } from './errors.ts';

/**
 * The file port of the journal: everything it asks of a disk, so that a test can put a failing one in its place.
 * All of it is asynchronous: a disk that hangs holds a thread of the pool, never the event loop. Every call rejects
 * with the system's own error (`systemCode` reads its code).
 */
export interface Storage {
  /** Creates the directory and its parents, so that they survive a power cut; nothing happens if it exists. */
  makeDirectory(path: string): Promise<void>;
  /** Names in the directory, unsorted; none if it does not exist. */
  list(directory: string): Promise<string[]>;
  open(path: string, mode: OpenMode): Promise<StorageFile>;
  /** Nothing happens if it does not exist. */
  remove(path: string): Promise<void>;
  /** Replaces `to` in one step. */
  rename(from: string, to: string): Promise<void>;
  /** Size in bytes and time of the last write, epoch ms; null if it does not exist. */
  stat(path: string): Promise<FileStat | null>;
  /** Sets the time of the last write, epoch ms. */
  setModified(path: string, modified: number): Promise<void>;
  /** Bytes that this user may still write on the file system that holds the directory. */
  freeBytes(directory: string): Promise<number>;
  /** Makes names created, renamed or removed in the directory survive a power cut. */
  syncDirectory(directory: string): Promise<void>;
}

export interface StorageFile {
  /** Up to `length` bytes at `position` into `target` from `at` on; 0 at the end of the file. */
  read(target: Uint8Array, at: number, length: number, position: number): Promise<number>;
  /** Bytes written, which may be fewer than asked for. */
  write(bytes: Uint8Array, start: number, end: number, position: number): Promise<number>;
  /** `fdatasync`: resolves when the data, and the size needed to read it, are on the disk. */
  sync(): Promise<void>;
  truncate(size: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

interface FileStat {
  readonly bytes: number;
  readonly modified: number;
}

/**
 * - `read`: must exist.
 * - `update`: read and write, created when missing, content kept.
 * - `replace`: write, created when missing, emptied (same inode) when not.
 */
export const OpenMode = { Read: 'read', Update: 'update', Replace: 'replace' } as const;
export type OpenMode = (typeof OpenMode)[keyof typeof OpenMode];

const FLAGS: Record<OpenMode, number> = {
  read: fs.constants.O_RDONLY,
  update: fs.constants.O_RDWR | fs.constants.O_CREAT,
  replace: fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_TRUNC,
};

/** Location is private (promise 10): only the owner may read what the journal holds. */
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** A plain descriptor with callbacks: a `FileHandle` costs a little more per call and gives nothing here. */
class NodeFile implements StorageFile {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  read(target: Uint8Array, at: number, length: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(this.#fd, target, at, length, position, (error, count) => (error === null ? resolve(count) : reject(error)));
    });
  }

  write(bytes: Uint8Array, start: number, end: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.write(this.#fd, bytes, start, end - start, position, (error, count) => (error === null ? resolve(count) : reject(error)));
    });
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.#fd, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  truncate(size: number): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.ftruncate(this.#fd, size, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.#fd, (error, stat) => (error === null ? resolve(stat.size) : reject(error)));
    });
  }

  close(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.close(this.#fd, (error) => (error == null ? resolve() : reject(error)));
    });
  }
}

export const nodeStorage: Storage = {
  async makeDirectory(path) {
    const first = await fs.promises.mkdir(path, { recursive: true, mode: DIRECTORY_MODE });
    if (first === undefined) return;
    // The name of each new directory is kept by the one above it.
    for (let made = resolvePath(path); ; made = dirname(made)) {
      await nodeStorage.syncDirectory(dirname(made));
      if (made === resolvePath(first)) return;
    }
  },

  async list(directory) {
    try {
      return await withReserve(() => fs.promises.readdir(directory));
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return [];
      throw error;
    }
  },

  open(path, mode) {
    return withReserve(
      () =>
        new Promise((resolve, reject) => {
          fs.open(path, FLAGS[mode], FILE_MODE, (error, fd) => (error === null ? resolve(new NodeFile(fd)) : reject(error)));
        }),
    );
  },

  async remove(path) {
    await fs.promises.rm(path, { force: true });
  },

  async rename(from, to) {
    await fs.promises.rename(from, to);
  },

  async stat(path) {
    try {
      const stat = await fs.promises.stat(path);
      return { bytes: stat.size, modified: stat.mtimeMs };
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return null;
      throw error;
    }
  },

  async setModified(path, modified) {
    await fs.promises.utimes(path, modified / 1000, modified / 1000);
  },

  async freeBytes(directory) {
    const stat = await fs.promises.statfs(directory);
    return stat.bavail * stat.bsize;
  },

  async syncDirectory(directory) {
    const handle = await withReserve(() => fs.promises.open(directory, 'r'));
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

/**
 * Calls `written` when the file has been written to, by whatever process, until what is returned is called. Best effort: some file
 * systems never say it, and a system that is out of watches does not either.
 */
export function watchWrites(path: string, written: () => void): () => void {
  try {
    const watcher = fs.watch(path, { persistent: false }, written);
    watcher.on('error', () => watcher.close());
    return () => watcher.close();
  } catch {
    return () => {};
  }
}

/** Whether the error says that there is no room: it passes by itself once there is. */
export function isNoSpace(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/**
 * Replaces a file in one step, or creates it: the old content is there or the new one, whatever happens in between, and once this has
 * resolved, the new one. `content` is the bytes, or writes them. `modified`, epoch ms, is the time of the last write to set.
 */
export async function replaceFile(
  storage: Storage,
  path: string,
  content: Uint8Array | string | ((file: StorageFile) => Promise<void>),
  modified?: number,
): Promise<void> {
  const next = `${path}.new`;
  const file = await storage.open(next, OpenMode.Replace);
  try {
    if (typeof content === 'function') await content(file);
    else {
      const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
      await writeAll(file, bytes, 0, bytes.length, 0);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  if (modified !== undefined) await storage.setModified(next, modified);
  await storage.rename(next, path);
  await storage.syncDirectory(dirname(path));
}

/** Writes all of `bytes[start, end)` at `position`, however many calls that takes. */
export async function writeAll(file: StorageFile, bytes: Uint8Array, start: number, end: number, position: number): Promise<void> {
  let at = start;
  while (at < end) {
    const count = await file.write(bytes, at, end, position + at - start);
    if (count <= 0) throw Object.assign(new Error('the disk took none of the bytes'), { code: 'EIO' });
    at += count;
  }
}

/** Reads until `length` bytes or the end of the file; returns how many. */
export async function readAll(file: StorageFile, target: Uint8Array, at: number, length: number, position: number): Promise<number> {
  let got = 0;
  while (got < length) {
    const count = await file.read(target, at + got, length - got, position + got);
    if (count <= 0) break;
    got += count;
  }
  return got;
}
