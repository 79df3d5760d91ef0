import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { AppError, messageOf, systemCode } from '../base/errors.ts';
import { nodeStorage, replaceFile } from '../base/files.ts';
import type { Log } from '../base/log.ts';
import { NO_DEFINITION } from '../journal/definition.ts';
import { EntryKind, Origin } from '../journal/entry.ts';
import type { Journal } from '../journal/journal.ts';
import { JournalReader } from '../journal/reader.ts';
import { listSegments } from '../journal/segment.ts';

/**
 * The installation's name: cursors and tokens in shared stores are under it, and ids of events are made of it. It lives in the
 * journal that those speak of: every entry of the supervisor's slot carries it where others have a peer. The file `instance` in the
 * data directory is a copy, and was the only place before.
 */
export const SUPERVISOR_SLOT = '1000';
const NO_BYTES = new Uint8Array(0);
const NAME = /^[0-9a-f]{16}$/;
const PEER = /^instance ([0-9a-f]{16})$/;
/** Entries of a segment that are looked at: those of earlier versions carry nothing. */
const LOOKED_AT = 1_000;

export function instancePeer(instance: string): string {
  return `instance ${instance}`;
}

/** So that a segment has it from the beginning. Durable soon after. */
export function journalInstance(journal: Journal, instance: string): void {
  journal.append(new Origin(NO_DEFINITION, '', instancePeer(instance)), EntryKind.Identity, systemClock.now(), 0, 0, NO_BYTES, 0, 0);
}

/** Makes one where there is none. To be called when the journal has been recovered. Throws AppError DATA_DIR_UNUSABLE. */
export async function openInstance(dataDir: string, log: Log): Promise<string> {
  const journaled = await inJournal(dataDir);
  const copy = await inFile(dataDir);
  const instance = journaled ?? copy ?? randomBytes(8).toString('hex');
  if (journaled !== undefined && journaled !== copy)
    log.warn({ instance, file: pathOf(dataDir) }, 'identity file missing or invalid; restored from the journal');
  if (instance !== copy) await replaceFile(nodeStorage, pathOf(dataDir), `${instance}\n`);
  return instance;
}

/** Undefined where no server has run yet. */
export async function findInstance(dataDir: string): Promise<string | undefined> {
  return (await inJournal(dataDir)) ?? inFile(dataDir);
}

function pathOf(dataDir: string): string {
  return join(dataDir, 'instance');
}

async function inFile(dataDir: string): Promise<string | undefined> {
  try {
    const found = (await readFile(pathOf(dataDir), 'utf8')).trim();
    return NAME.test(found) ? found : undefined;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw new AppError('DATA_DIR_UNUSABLE', `cannot read ${pathOf(dataDir)}: ${messageOf(error)}`, error);
  }
}

/** The newest segment first: what is written is never removed from it. */
async function inJournal(dataDir: string): Promise<string | undefined> {
  const directory = join(dataDir, 'journal', SUPERVISOR_SLOT);
  if ((await nodeStorage.stat(directory)) === null) return undefined;
  const firsts = await listSegments(nodeStorage, directory);
  for (const [index, first] of [...firsts.entries()].reverse()) {
    const to = (firsts[index + 1] ?? Number.MAX_SAFE_INTEGER) - 1;
    const reader = new JournalReader(directory, nodeStorage, first, { to });
    try {
      for (let looked = 0; looked < LOOKED_AT && (await reader.fill()); looked++, reader.advance()) {
        const found = PEER.exec(reader.peek()?.peer ?? '')?.[1];
        if (found !== undefined) return found;
      }
    } finally {
      await reader.close();
    }
  }
  return undefined;
}
