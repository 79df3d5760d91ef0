import { randomBytes } from 'node:crypto';
import { closeSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { AppError, messageOf, systemCode } from '../errors.ts';
import { describe, isOrphan, isRunning, newOwner, type Owner, readOwner, writeOwner } from './owner.ts';

/**
 * Who has a directory.
 *
 * 1. A directory has one holder, in whatever network namespace or container of the machine it runs. The lock lies in the
 *    directory, and the kernel gives it back when the holder dies, however it dies.
 * 2. Beside the lock stands who holds it: an error names that process.
 * 3. A child whose parent is gone does not keep a lock: a process that needs the directory waits ORPHAN_MS for its end, and
 *    then ends it. A process is told from a later one with the same number by the time at which it was started.
 * 4. Where the file system has no locks, the record of the holder decides, as far as one machine can know. Between machines it
 *    is the record of the data directory, which moves: `ownership.ts`.
 *
 * The lock is an exclusive transaction of SQLite on an empty file: Node has no other way to an advisory lock. The kernel takes
 * it back when its process closes any descriptor of the file, so nothing but SQLite may open the file.
 */
export interface DirectoryLock {
  /** False where the file system has no locks: another machine may hold the same. */
  readonly works: boolean;
  close(): Promise<void>;
}

export interface LockOptions {
  /** Pid of the parent of this process, where this process must not outlive it. */
  readonly parent?: number | undefined;
  /** How a file is locked; a test can put one that does not work in its place. */
  readonly lockFile?: LockFile | undefined;
  /** How long an orphan may take to end by itself. */
  readonly orphanMs?: number | undefined;
}

/** Returns what gives the lock back, or why there is none. `unable`: the file system has no locks. */
export type LockFile = (path: string) => (() => void) | 'held' | 'unable';

const FILE = 'lock';
const FILE_MODE = 0o600;
const RETRY_MS = 50;
const ORPHAN_MS = 5000;
/** An orphan that was ended is gone by then. */
const KILLED_MS = 5000;
/** Of SQLite, in the low byte of its codes: held by another; an error of the lock itself, and of its protocol; no large files. */
const BUSY = 5;
const UNABLE: readonly number[] = [10, 15, 22];

/** Without a reference from here, the collector would close the file and with it give the lock back. */
const held = new Set<object>();

/** Waits up to `waitMs` for another holder to end. Rejects with AppError DATA_DIR_UNUSABLE, which names the holder. */
export async function lockDirectory(directory: string, waitMs: number, options: LockOptions = {}): Promise<DirectoryLock> {
  const { works, release } = await acquire(directory, waitMs, options);
  const owner = newOwner(randomBytes(8).toString('hex'), options.parent ?? null);
  // For people, and for the next holder: a disk that refuses it does not make the lock worse.
  await writeOwner(directory, owner).catch(() => false);
  return {
    works,
    async close(): Promise<void> {
      if (!works) await writeOwner(directory, { ...owner, ended: true }).catch(() => false);
      release();
    },
  };
}

/** The lock without the record. */
export async function acquire(
  directory: string,
  waitMs: number,
  options: LockOptions,
): Promise<{ readonly works: boolean; release(): void }> {
  const { lockFile = sqliteLock, orphanMs = ORPHAN_MS } = options;
  let killed = false;
  for (let waited = 0; ; waited += RETRY_MS) {
    const taken = tryLock(directory, lockFile);
    if (typeof taken === 'function') return kept(true, taken);
    const owner = (await readOwner(directory).catch(() => null))?.owner ?? null;
    const running = owner !== null && !owner.ended && isRunning(owner);
    if (!running && (taken === 'unable' || !locksWork(directory, lockFile))) return kept(false, () => {});
    const orphan = owner !== null && isOrphan(owner);
    if (orphan && waited >= orphanMs) {
      killed = true;
      process.kill(owner.pid, 'SIGKILL');
    }
    // One that is dying looks dead before the last of its threads has let go of the lock.
    const longest = killed ? orphanMs + KILLED_MS : orphan ? Number.POSITIVE_INFINITY : waitMs;
    if (waited >= longest) throw inUse(directory, owner);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** A process of this machine has the directory. */
export async function isHeld(directory: string): Promise<boolean> {
  try {
    (await acquire(directory, 0, {})).release();
    return false;
  } catch (error) {
    if (error instanceof AppError) return true;
    throw error;
  }
}

export function inUse(directory: string, owner: Owner | null): AppError {
  return new AppError(
    'DATA_DIR_UNUSABLE',
    `${directory} is in use by another fixgate${describe(owner)}; stop it or set FIXGATE_DATA_DIR to another directory`,
  );
}

function kept(works: boolean, give: () => void): { readonly works: boolean; release(): void } {
  const lock = {
    works,
    release(): void {
      if (held.delete(lock)) give();
    },
  };
  held.add(lock);
  return lock;
}

function tryLock(directory: string, lockFile: LockFile): ReturnType<LockFile> {
  try {
    return lockFile(join(directory, FILE));
  } catch (error) {
    throw new AppError('DATA_DIR_UNUSABLE', `cannot lock ${directory}: ${messageOf(error)}`, error);
  }
}

/** A file server without locks may say that every lock is held: then a file whose name no other process can know is held, too. */
function locksWork(directory: string, lockFile: LockFile): boolean {
  const path = join(directory, `${FILE}.${randomBytes(8).toString('hex')}`);
  try {
    const probe = lockFile(path);
    if (typeof probe !== 'function') return false;
    probe();
    return true;
  } finally {
    rmSync(path, { force: true });
  }
}

function sqliteLock(path: string): ReturnType<LockFile> {
  createPrivate(path);
  const database = new sqlite.DatabaseSync(path, { timeout: 0 });
  try {
    // Its journal in memory: nothing is ever written, and a kill must leave nothing that the next holder would roll back.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return () => database.close();
  } catch (error) {
    database.close();
    const code = errorNumber(error) & 0xff;
    if (code === BUSY) return 'held';
    if (UNABLE.includes(code)) return 'unable';
    throw error;
  }
}

/** An existing file is not opened: see above. */
function createPrivate(path: string): void {
  try {
    closeSync(openSync(path, 'wx', FILE_MODE));
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  }
}

function errorNumber(error: unknown): number {
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) : 0;
}

/** Some versions of Node warn of the module on standard error. */
const sqlite = quietly(() => process.getBuiltinModule('node:sqlite'));

function quietly<T>(load: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return load();
  } finally {
    process.emitWarning = emitWarning;
  }
}
