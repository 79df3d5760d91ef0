import { chmod, lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../base/errors.ts';
import type { Log } from '../base/log.ts';

/**
 * Only the owner of the data directory may read what is in it: places, command replies, secrets. New files are made so by
 * the umask of the process (`main.ts`); this looks after what an older version, a copy or a restore has left wider.
 */

/** Everything that the server puts into its data directory, and the directories below each. */
export const DATA_NAMES: readonly string[] = [
  'journal',
  'state',
  'cursor',
  'parked',
  'forwarded',
  'clickhouse',
  'instance',
  'lock',
  'owner',
];
/** Made and removed by others, and no reason to believe that the directory serves another purpose. */
const IGNORED: readonly string[] = ['lost+found'];

const GROUP_AND_OTHERS = 0o077;

/**
 * Takes the rights of group and others from the server's files, and from the directory itself where it holds nothing else: a
 * data directory that is a user's home stays as it is. What belongs to another user is named in one warning and stays.
 */
export async function ownerOnly(directory: string, log: Log): Promise<void> {
  const kept: string[] = [];
  const names = await readdir(directory);
  const foreign = names.filter((name) => !DATA_NAMES.includes(name.replace(/\..*$/, '')) && !IGNORED.includes(name));
  if (foreign.length === 0) await tighten(directory, kept);
  for (const name of names) if (!foreign.includes(name) && !IGNORED.includes(name)) await tightenAll(join(directory, name), kept);
  if (kept.length > 0)
    log.warn(
      { files: kept.length, first: kept[0] },
      'files in the data directory can be read by other users and belong to another one; change their owner or their mode',
    );
}

async function tightenAll(path: string, kept: string[]): Promise<void> {
  const isDirectory = await tighten(path, kept);
  if (!isDirectory) return;
  for (const name of await readdir(path).catch(() => [])) await tightenAll(join(path, name), kept);
}

/** Says whether it is a directory. A symbolic link is not followed. */
async function tighten(path: string, kept: string[]): Promise<boolean> {
  try {
    const found = await lstat(path);
    if (found.isSymbolicLink()) return false;
    if ((found.mode & GROUP_AND_OTHERS) !== 0) await chmod(path, found.mode & ~GROUP_AND_OTHERS & 0o7777);
    return found.isDirectory();
  } catch (error) {
    // Gone meanwhile: the engine removes parts on its own.
    if (systemCode(error) !== 'ENOENT') kept.push(path);
    return false;
  }
}
