import { closeSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** File descriptors of this process, as Linux shows them in /proc. Elsewhere these functions find nothing and change nothing. */

const OWN = '/proc/self/fd';
/** Standard input, output and error are meant to be inherited. */
const STANDARD = 2;
/** O_CLOEXEC in the octal flags of fdinfo: Node sets it on each descriptor that it opens, and none that has it survives an exec. */
const CLOEXEC = 0o2000000;

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
