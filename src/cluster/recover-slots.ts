import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { nodeStorage, type Storage } from '../base/files.ts';
import { lockDirectory } from '../base/lock/lock.ts';
import { type Recovery, recover } from '../journal/recovery.ts';

/** How long the process that had a slot before may take to end. */
const PREDECESSOR_WAIT_MS = 5000;

/**
 * Recovers every slot below `journals` before anything reads or appends, slots without a worker included (fewer workers
 * than before): their entries are delivered, too. All of them first, because after a power cut watermarks are old: with one
 * slot recovered and another not, a device that has moved between the two would have its later records delivered first.
 * Returns the highest order that an entry has, 0 without any.
 */
export async function recoverSlots(journals: string, storage: Storage = nodeStorage): Promise<number> {
  let order = 0;
  for (const name of await readdir(journals))
    if (/^\d+$/.test(name)) order = Math.max(order, (await recoverSlot(join(journals, name), storage)).order);
  return order;
}

/** Recovers one slot, when no other process has it any more. */
export async function recoverSlot(slot: string, storage: Storage): Promise<Recovery> {
  // A worker that outlived its supervisor may still be appending.
  const lock = await lockDirectory(slot, PREDECESSOR_WAIT_MS);
  try {
    return await recover(slot, storage);
  } finally {
    await lock.close();
  }
}
