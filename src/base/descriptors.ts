import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { devNull } from 'node:os';
import { systemCode } from './errors.ts';

/** File descriptors of this process, as Linux shows them in /proc. Elsewhere these functions find nothing and change nothing. */

const OWN = '/proc/self/fd';
/** Standard input, output and error are meant to be inherited. */
const STANDARD = 2;
/** O_CLOEXEC in the octal flags of fdinfo: Node sets it on each descriptor that it opens, and none that has it survives an exec. */
const CLOEXEC = 0o2000000;
/** Descriptors that are not for connections. A worker with the customary eight listeners uses about 50. */
const RESERVED = 128;

/**
 * Closes the files that were open in the parent and that this process has inherited: lmdb opens its data file without
 * O_CLOEXEC, and a child must not hold what it has no business with. For the start of a child. Returns their paths.
 */
export function closeInherited(): string[] {
  return numbers().flatMap((fd) => {
    if (fd <= STANDARD || isCloseOnExec(fd)) return [];
    const path = pathOf(fd);
    // The channel to the parent and other pipes have no path.
    if (path === undefined || !path.startsWith('/') || path.startsWith('/dev/')) return [];
    closeSync(fd);
    return [path];
  });
}

/** How many descriptors this process may have open; infinite where that is not limited or not known. Node raises it to the hard limit. */
export function descriptorLimit(): number {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
    return limit === null ? Number.POSITIVE_INFINITY : Number(limit[1]);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** `wanted` connections, or as many as the limit of descriptors allows. At least half of a small limit is for connections. */
export function connectionsWithin(wanted: number, descriptors: number): number {
  return Math.max(1, Math.min(wanted, Math.max(descriptors - RESERVED, Math.floor(descriptors / 2))));
}

/** What a process says of itself once a second. Never throws: reading it takes a descriptor, and there may be none left. */
export class Vitals {
  /** Resident memory when it was read last. */
  memoryBytes = 0;
  /** No descriptor is left. */
  exhausted = false;

  take(): this {
    try {
      this.memoryBytes = process.memoryUsage.rss();
      this.exhausted = false;
    } catch (error) {
      this.exhausted = isExhausted(error);
    }
    return this;
  }
}

/** Whether the error says that this process, or the whole system, has no descriptor left. */
export function isExhausted(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'EMFILE' || code === 'ENFILE';
}

/** Held back for the files without which no device can be answered: segments of the journal, and who owns the data directory. */
const HELD_BACK = 4;
const heldBack: number[] = [];

/** Does the work; when it fails for want of a descriptor, once more with those that were held back. */
export async function withReserve<T>(work: () => Promise<T>): Promise<T> {
  holdBack();
  try {
    return await work();
  } catch (error) {
    if (!isExhausted(error)) throw error;
    for (const fd of heldBack.splice(0)) closeSync(fd);
    try {
      return await work();
    } finally {
      holdBack();
    }
  }
}

function holdBack(): void {
  try {
    while (heldBack.length < HELD_BACK) heldBack.push(openSync(devNull, 'r'));
  } catch {
    // As many as there are.
  }
}

function numbers(): number[] {
  try {
    return readdirSync(OWN).map(Number);
  } catch {
    return [];
  }
}

function isCloseOnExec(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'));
    return flags === null || (Number.parseInt(flags[1] ?? '', 8) & CLOEXEC) !== 0;
  } catch {
    return true;
  }
}

/** Undefined once it is closed, as is the one that was read from. */
function pathOf(fd: number): string | undefined {
  try {
    return readlinkSync(`${OWN}/${fd}`);
  } catch {
    return undefined;
  }
}
