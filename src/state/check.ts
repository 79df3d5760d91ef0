import { fork } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../base/errors.ts';

/**
 * Is the state store sound? lmdb maps its file: a process that touches a page which the file has not ends with a bus error, and zeros where
 * a page should be can end it in other ways. So another process reads everything first (`check-main.ts`), and may die of it.
 */

export const DATA_FILE = 'data.mdb';

/** What the other process says at its end. */
export interface Verdict {
  /** Entries by table. */
  readonly entries: Readonly<Record<string, number>>;
  /** '' when everything can be read. */
  readonly damage: string;
}

function isVerdict(message: unknown): message is Verdict {
  return (
    typeof message === 'object' && message !== null && 'entries' in message && 'damage' in message && typeof message.damage === 'string'
  );
}

/**
 * Reads the whole store of a directory. `exclusive`: no other process has it open, so that a write can be tried, too. Never rejects, except when
 * no process can be started.
 */
export function checkStore(directory: string, exclusive: boolean): Promise<Verdict> {
  const file = join(directory, DATA_FILE);
  if (!existsSync(file)) return Promise.resolve({ entries: {}, damage: '' });
  // The library would begin a new one.
  if (statSync(file).size === 0) return Promise.resolve({ entries: {}, damage: 'it is empty' });
  const main = fileURLToPath(new URL(`./check-main${extname(fileURLToPath(import.meta.url))}`, import.meta.url));
  return new Promise((resolve, reject) => {
    const child = fork(main, [directory, ...(exclusive ? ['--exclusive'] : [])], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    let verdict: Verdict | undefined;
    child.on('error', (error) => reject(new Error(`the check of the state store cannot be started: ${messageOf(error)}`)));
    child.on('message', (message) => {
      if (isVerdict(message)) verdict = message;
    });
    child.on('exit', (code, signal) =>
      resolve(verdict ?? { entries: {}, damage: `reading it ends the process (${signal ?? `exit code ${code}`})` }),
    );
  });
}

/** What is wrong and what to do, for a log, an answer of the API, and a person. */
export function damageText(directory: string, damage: string): string {
  return `the state store ${join(directory, DATA_FILE)} is damaged (${damage}); stop the server, then run "fixgate state rebuild", or restore a dump with "fixgate state load --replace"`;
}
