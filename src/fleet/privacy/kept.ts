import type { ProfileStore } from '../../state/profile.ts';
import type { StateStore } from '../../state/store.ts';
import type { Device } from '../registry/device.ts';
import type { StoredRows } from './stored-rows.ts';

/** Tables of ClickHouse with rows of devices. */
const DATA_TABLES = ['positions', 'statuses', 'events', 'usage'];
const BY_DEVICE = ['usage', 'commands', 'finished', 'tests', 'cases'] as const;
const ONE_EACH = ['settings', 'quarantine', 'policies', 'territory', 'silent', 'erasures'] as const;

/**
 * Is anything kept of the device? One without a record may have sent before its record was removed. Rejects with AppError when the answer
 * depends on a ClickHouse that does not answer.
 */
export async function isKept(
  store: StateStore & ProfileStore,
  open: () => StoredRows,
  id: string,
  device: Device | undefined,
): Promise<boolean> {
  if (device !== undefined) return true;
  for (const table of ONE_EACH) if ((await store.get(table, id)) !== undefined) return true;
  for (const table of BY_DEVICE) if ((await store.list(table, { prefix: `${id} `, limit: 1 })).length > 0) return true;
  if (await new Promise((resolve) => store.findProfile(id, (profile) => resolve(profile !== undefined)))) return true;
  const rows = open();
  try {
    for (const table of DATA_TABLES) if ((await rows.pages(table, [id]).next()).done !== true) return true;
    return false;
  } finally {
    await rows.close();
  }
}
