/**
 * Who may use the embedded ClickHouse: who can read `<directory>/secret`. The file is made at the first start, with a
 * random text that only its owner can read; without it the port answers nothing. Deleting it and starting again makes
 * a new one. Beside it, `address` says where a running engine listens.
 */

import { randomBytes, randomUUID } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, messageOf, systemCode } from '../base/errors.ts';
import { Secret } from '../base/secret.ts';

const SECRET_FILE = 'secret';
const ADDRESS_FILE = 'address';
const SHAPE = /^[0-9a-f]{64}$/;

export function secretPath(directory: string): string {
  return join(directory, SECRET_FILE);
}

/** The secret of the engine in `directory`, made if there is none. @throws AppError DATA_DIR_UNUSABLE. */
export async function clickHouseSecret(directory: string): Promise<Secret> {
  const path = secretPath(directory);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const found = await readSecret(directory);
    if (found !== undefined) return found;
    // Another process may be doing the same: the first link stays, and both read that.
    await placeFile(directory, SECRET_FILE, `${randomBytes(32).toString('hex')}\n`, link);
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('DATA_DIR_UNUSABLE', `cannot make the secret of the embedded ClickHouse, ${path}: ${messageOf(error)}`, error);
  }
  const made = await readSecret(directory);
  if (made === undefined) throw new AppError('DATA_DIR_UNUSABLE', `${path} was removed while it was made; start again`);
  return made;
}

/** Undefined when no engine was ever started in `directory`. @throws AppError DATA_DIR_UNUSABLE. */
export async function readSecret(directory: string): Promise<Secret | undefined> {
  const path = secretPath(directory);
  let text: string;
  try {
    text = (await readFile(path, 'utf8')).trim();
    // Copied or restored with other rights.
    if (((await stat(path)).mode & 0o077) !== 0) await chmod(path, 0o600);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    const remedy = 'run this as the user that the server runs as';
    throw new AppError(
      'DATA_DIR_UNUSABLE',
      `cannot read the secret of the embedded ClickHouse, ${path}: ${messageOf(error)}; ${remedy}`,
      error,
    );
  }
  if (SHAPE.test(text)) return new Secret(text);
  throw new AppError('DATA_DIR_UNUSABLE', `${path} is damaged: remove it, and the server makes a new one when it starts`);
}

/** Where an engine listens. */
export interface Address {
  /** For other programs. */
  readonly url: string;
  /** For this server's own processes: the path of a socket that only its owner reaches. */
  readonly socket: string;
}

/** Notes where the engine of `directory` listens. */
export async function writeAddress(directory: string, { url, socket }: Address): Promise<void> {
  await placeFile(directory, ADDRESS_FILE, `${url}\n${socket}\n`, rename);
}

export async function removeAddress(directory: string): Promise<void> {
  await rm(join(directory, ADDRESS_FILE), { force: true });
}

/** Where the engine of `directory` listens, or did when it was killed; undefined: it does not run. Never rejects. */
export async function readAddress(directory: string): Promise<Address | undefined> {
  const text = await readFile(join(directory, ADDRESS_FILE), 'utf8').catch(() => '');
  const [, url, socket] = /^(http:\/\/(?:127\.\d+\.\d+\.\d+|localhost|\[::1\]):\d+)\n(\/.+)\n$/.exec(text) ?? [];
  return url === undefined || socket === undefined ? undefined : { url, socket };
}

/** Writes a file that is there whole or not at all, also after a power cut; `place` moves it to its name. */
async function placeFile(directory: string, name: string, text: string, place: (from: string, to: string) => Promise<void>): Promise<void> {
  const fresh = join(directory, `.${name}-${randomUUID()}`);
  try {
    const file = await open(fresh, 'wx', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await place(fresh, join(directory, name)).catch((error: unknown) => {
      if (systemCode(error) !== 'EEXIST') throw error;
    });
  } finally {
    await rm(fresh, { force: true });
  }
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
