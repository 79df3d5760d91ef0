import { ABORT, open, type RootDatabase } from 'lmdb';
import { closeInherited } from '../base/descriptors.ts';
import { messageOf } from '../base/errors.ts';
import type { Verdict } from './check.ts';
import { CommitLock } from './commit-lock.ts';
import { MOST_TABLES, TABLES } from './store.ts';

/** The process that reads a whole store: `node check-main.ts <directory> [--exclusive]`. See `check.ts`. */

closeInherited();
const [directory = '', option] = process.argv.slice(2);
const exclusive = option === '--exclusive';
const entries: Record<string, number> = {};

function read(): void {
  const begin = (): RootDatabase => open({ path: directory, noSubdir: false, maxDbs: MOST_TABLES, readOnly: !exclusive });
  const root = exclusive ? begin() : CommitLock.open(directory, begin).opened;
  const names: readonly string[] = [...root.getKeys({})].map(String);
  for (const table of [...TABLES, 'profiles']) {
    if (!names.includes(table)) continue;
    const rows = root.openDB<string, string>({ name: table, encoding: 'string' });
    let count = 0;
    let bytes = 0;
    for (const { key, value } of rows.getRange({})) {
      count++;
      bytes += key.length + value.length;
    }
    if (!Number.isFinite(bytes)) throw new Error(`the table ${table} holds a value that is not text`);
    const stats: object = rows.getStats();
    const said = 'entryCount' in stats ? Number(stats.entryCount) : count;
    if (said !== count) throw new Error(`the table ${table} has ${count} entries, and says ${said}`);
    entries[table] = count;
  }
  if (names.includes('changes'))
    for (const { value } of root.openDB<string, number>({ name: 'changes', encoding: 'string' }).getRange({}))
      if (value === undefined) break;
  if (!exclusive) return;
  // Takes pages from the list of free ones, and gives them back.
  const rows = root.openDB<string, string>({ name: 'changes', encoding: 'string' });
  root.transactionSync(() => {
    rows.putSync('check', 'x'.repeat(65_536));
    return ABORT;
  });
}

function verdict(): Verdict {
  try {
    read();
    return { entries, damage: '' };
  } catch (error) {
    return { entries, damage: messageOf(error) };
  }
}

// Nothing is closed: that would write.
process.send?.(verdict(), undefined, undefined, () => process.exit(0));
