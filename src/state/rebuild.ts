import { existsSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError } from '../base/errors.ts';
import { silentLog } from '../base/log.ts';
import { checkStore, DATA_FILE } from './check.ts';
import { type DumpEntry, isKey, PROFILES, putEntries } from './dump.ts';
import { PageFile } from './lmdb-salvage.ts';
import { openState } from './open.ts';
import { TABLES } from './store.ts';

/** What became of one table. */
interface RebuiltTable {
  readonly table: string;
  /** Entries in the new store. */
  readonly kept: number;
  /** Entries that the damaged store says it had, and that cannot be read. */
  readonly lost: number;
}

export interface Rebuilt {
  readonly tables: readonly RebuiltTable[];
  /** Where the damaged store is now. */
  readonly aside: string;
}

/**
 * Makes a new store of what can be read of a damaged one, which is kept aside. No process may have it open. Throws AppError STATE_DAMAGED
 * when nothing at all can be read, except when that is accepted.
 */
export async function rebuildStore(directory: string, now: number, acceptsLoss: boolean): Promise<Rebuilt> {
  const file = join(directory, DATA_FILE);
  const fresh = `${directory}.new`;
  await rm(fresh, { recursive: true, force: true });
  const pages = new PageFile(file);
  const kept = new Map<string, number>();
  try {
    const store = await openState({ url: undefined, prefix: '', directory: fresh, log: silentLog });
    try {
      await putEntries(store, salvaged(pages, kept));
    } finally {
      await store.close();
    }
  } finally {
    pages.close();
  }
  const { expected } = pages.counts;
  if (expected.size === 0 && !acceptsLoss) {
    await rm(fresh, { recursive: true, force: true });
    throw new AppError(
      'STATE_DAMAGED',
      `nothing can be read of ${file}: restore a dump with "fixgate state load --replace", or make an empty store with --accept-loss; then devices, plans, usage, commands and tokens are gone, and with them who is relayed or blocked`,
    );
  }
  const { damage } = await checkStore(fresh, true);
  if (damage !== '') throw new AppError('STATE_DAMAGED', `the new store in ${fresh} is damaged (${damage}); check the disk`);
  const aside = await setAside(directory, now);
  await rename(fresh, directory);
  await syncDirectory(dirname(directory));
  const tables = [...TABLES, PROFILES].map((table) => {
    const found = kept.get(table) ?? 0;
    return { table, kept: found, lost: Math.max(0, (expected.get(table) ?? 0) - found) };
  });
  return { tables, aside };
}

/** Gives the store's directory a name with the time; returns it. */
export async function setAside(directory: string, now: number): Promise<string> {
  const aside = `${directory}.damaged-${new Date(now).toISOString().replaceAll(':', '-')}`;
  if (existsSync(aside)) throw new AppError('DATA_DIR_UNUSABLE', `${aside} is there already; try again`);
  await rename(directory, aside);
  await syncDirectory(dirname(directory));
  return aside;
}

/** What looks like an entry: a page may be damaged without ceasing to be one. */
function* salvaged(pages: PageFile, kept: Map<string, number>): Generator<DumpEntry> {
  for (const { table: name, key, value } of pages.entries([...TABLES, PROFILES])) {
    const table = name === PROFILES ? PROFILES : TABLES.find((one) => one === name);
    if (table === undefined || !isKey(key) || value.includes('\ufffd') || value.includes('\0')) continue;
    kept.set(table, 1 + (kept.get(table) ?? 0));
    yield { table, key, value };
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
