/**
 * Takes back deduplication tokens whose rows never arrived.
 *
 * The engine notes a block in `deduplication_logs/` and then renames the part into place (seen with strace on
 * chdb 3.4: write of the log, 0.1 ms later the rename). Killed in between, it would answer the retry with "known
 * already", and the rows would be lost. So at start, when the lock is held and nothing runs, every noted part must
 * be there, under its own name or inside a merged one; notes without a part are removed.
 *
 * A log line is `operation TAB part TAB block`, operation 1 for "added" and 2 for "dropped". A part's name is
 * `partition_firstBlock_lastBlock_level[_mutation]`.
 */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeStorage, replaceFile } from '../base/files.ts';

interface BlockRange {
  readonly partition: string;
  readonly first: number;
  readonly last: number;
}

function blockRange(part: string): BlockRange | null {
  const found = /^([^_]+)_(\d+)_(\d+)_\d+(?:_\d+)?$/.exec(part);
  if (found === null) return null;
  const [, partition = '', first, last] = found;
  return { partition, first: Number(first), last: Number(last) };
}

/** The text without the notes of missing parts and without a torn last line, or null if nothing has to change. */
export function keptNotes(log: string, parts: readonly string[]): string | null {
  const ranges: BlockRange[] = [];
  for (const part of parts) {
    const range = blockRange(part);
    if (range !== null) ranges.push(range);
  }
  const lines = log.split('\n');
  const kept = lines.slice(0, -1).filter((line) => {
    const [operation, part = ''] = line.split('\t');
    const noted = blockRange(part);
    if (operation !== '1' || noted === null) return true;
    return ranges.some((range) => range.partition === noted.partition && range.first <= noted.first && noted.last <= range.last);
  });
  const text = kept.length === 0 ? '' : `${kept.join('\n')}\n`;
  return text === log ? null : text;
}

/** The logs of one table that need a change: path to new text. `tablePath` is the table's data directory. */
export async function findOrphanNotes(tablePath: string, parts: readonly string[]): Promise<Map<string, string>> {
  const changes = new Map<string, string>();
  const folder = join(tablePath, 'deduplication_logs');
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    const text = keptNotes(await readFile(path, 'utf8'), parts);
    if (text !== null) changes.set(path, text);
  }
  return changes;
}

/** Replaces files, each all or nothing. */
export async function replaceFiles(changes: ReadonlyMap<string, string>): Promise<void> {
  for (const [path, text] of changes) await replaceFile(nodeStorage, path, text);
}
