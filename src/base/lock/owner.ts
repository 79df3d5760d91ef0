import { type FileHandle, open, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../clock.ts';
import { withReserve } from '../descriptors.ts';
import { systemCode } from '../errors.ts';
import { BOOT_ID, isAlive, type ProcessId, processOf, thisProcess } from './process.ts';

/**
 * The file `owner` of a directory: which process has it. One line of JSON, padded to one size and overwritten in place, so
 * that a disk without room can still take it.
 */
export interface Owner extends ProcessId {
  readonly host: string;
  /** Of the machine's life, see BOOT_ID. */
  readonly boot: string;
  /** ISO time. */
  readonly since: string;
  /** Of a child process: its parent, without which it is an orphan. */
  readonly parent: ProcessId | null;
  /** Name of the installation; '' while it is not known. */
  readonly instance: string;
  /** Tells this taking of the directory from every other. */
  readonly random: string;
  /** ISO time of the last renewal. */
  readonly renewed: string;
  /** The directory was given back in order. */
  readonly ended: boolean;
}

/** `text`: as it stands in the file, to see whether it moves. */
export interface Found {
  readonly text: string;
  /** Null if the file does not hold a record, as during a write or after a power cut. */
  readonly owner: Owner | null;
}

const FILE = 'owner';
const FILE_MODE = 0o600;
const RECORD_BYTES = 1024;
/** None left in the process, or on the machine. */
const NO_DESCRIPTOR: readonly string[] = ['EMFILE', 'ENFILE'];

export function newOwner(random: string, parent: number | null): Owner {
  const since = timeNow();
  const { pid, started } = thisProcess();
  const named = parent === null ? null : processOf(parent);
  return { host: hostname(), boot: BOOT_ID, pid, started, since, parent: named, instance: '', random, renewed: since, ended: false };
}

export function timeNow(): string {
  return new Date(systemClock.now()).toISOString();
}

/** Null when there is no such file. Rejects when it cannot be read. */
export async function readOwner(directory: string): Promise<Found | null> {
  try {
    return parse(await withReserve(() => readFile(join(directory, FILE), 'utf8')));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  }
}

/**
 * Reads the record again and again. Each time by its name, which a file server answers with what is there now; without a descriptor
 * left, through one that was kept.
 */
export class OwnerReader {
  readonly #directory: string;
  #kept: FileHandle | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** As `readOwner`. */
  async read(): Promise<Found | null> {
    try {
      const found = await readOwner(this.#directory);
      if (found !== null) this.#kept ??= await open(join(this.#directory, FILE), 'r');
      return found;
    } catch (error) {
      if (this.#kept === undefined || !NO_DESCRIPTOR.includes(systemCode(error))) throw error;
      const bytes = Buffer.alloc(RECORD_BYTES);
      const { bytesRead } = await this.#kept.read(bytes, 0, RECORD_BYTES, 0);
      return parse(bytes.toString('utf8', 0, bytesRead));
    }
  }

  async close(): Promise<void> {
    await this.#kept?.close();
    this.#kept = undefined;
  }
}

/** Resolves when the record is on the disk. `unless` sees what is in the file before; true: it stays. */
export async function writeOwner(directory: string, owner: Owner, unless: (found: Found) => boolean = () => false): Promise<boolean> {
  const file = await withReserve(() => openForUpdate(join(directory, FILE)));
  try {
    if (unless(parse(await file.readFile('utf8')))) return false;
    const bytes = Buffer.alloc(RECORD_BYTES, ' ');
    bytes.write(JSON.stringify(owner));
    bytes.write('\n', RECORD_BYTES - 1);
    await file.write(bytes, 0, RECORD_BYTES, 0);
    await file.sync();
    return true;
  } finally {
    await file.close();
  }
}

async function openForUpdate(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx+', FILE_MODE);
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
    return open(path, 'r+');
  }
}

/** A child of a process that is gone, on this machine: it must end, and may be ended. */
export function isOrphan(owner: Owner): boolean {
  return owner.parent !== null && isHere(owner) && isAlive(owner) && !isAlive(owner.parent);
}

/** It runs, as far as this machine can know. */
export function isRunning(owner: Owner): boolean {
  return isHere(owner) && isAlive(owner);
}

/** Written in this life of this machine. */
export function isHere(owner: Owner): boolean {
  return owner.boot !== '' && owner.boot === BOOT_ID;
}

export function describe(owner: Owner | null): string {
  return owner === null ? '' : `: process ${owner.pid} on host ${owner.host}, since ${owner.since}`;
}

function parse(text: string): Found {
  try {
    return { text, owner: ownerOf(JSON.parse(text)) };
  } catch {
    return { text, owner: null };
  }
}

function ownerOf(value: unknown): Owner | null {
  const { host, boot, since, parent, instance, random, renewed, ended } = Object(value);
  if (typeof random !== 'string' || random === '') return null;
  return {
    ...processIdOf(value),
    host: String(host),
    boot: String(boot),
    since: String(since),
    parent: typeof parent === 'object' && parent !== null ? processIdOf(parent) : null,
    instance: String(instance),
    random,
    renewed: String(renewed),
    ended: ended === true,
  };
}

function processIdOf(value: unknown): ProcessId {
  const { pid, started } = Object(value);
  return { pid: Number(pid), started: Number(started) };
}
