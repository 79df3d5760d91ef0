import { parseCommand } from '../command/command.ts';
import type { ProfileStore } from '../state/profile.ts';
import type { Op, StateStore, Table } from '../state/store.ts';
import type { Erasure } from './erasure.ts';

/**
 * Takes a device out of the state store: sums of usage and which steps of its plan hold by them, whether it roams, commands handed in
 * before, settings, what its codec learned, and its place in quarantine; its record only where that was asked for. Returns how much
 * of what.
 */
const PAGE = 500;
const ONE_EACH = ['settings', 'quarantine', 'policies', 'territory'] as const;

export async function forget(store: StateStore & ProfileStore, erasure: Erasure): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const id of erasure.ids) {
    add(counts, 'usage', await removeAll(store, 'usage', id, () => true));
    const isOld = (text: string): boolean => (parseCommand(text)?.created ?? 0) < erasure.before;
    add(counts, 'commands', await removeAll(store, 'commands', id, isOld));
    add(counts, 'commands', await removeAll(store, 'finished', id, isOld));
    for (const table of ONE_EACH) add(counts, table, await removeOne(store, table, id));
    add(counts, 'profiles', await store.forget(id));
  }
  if (erasure.registry === 'remove') {
    add(counts, 'devices', await removeOne(store, 'devices', erasure.device));
    for (const id of erasure.ids) if (id !== erasure.device) await removeOne(store, 'aliases', id);
  }
  return counts;
}

function add(counts: Record<string, number>, name: string, count: number): void {
  counts[name] = (counts[name] ?? 0) + count;
}

async function removeOne(store: StateStore, table: Table, key: string): Promise<number> {
  if ((await store.get(table, key)) === undefined) return 0;
  await store.write([{ table, key, remove: true }]);
  return 1;
}

/** Of the keys that begin with the device's id and a space. */
async function removeAll(store: StateStore, table: Table, id: string, goes: (value: string) => boolean): Promise<number> {
  let removed = 0;
  for (let after: string | undefined; ; ) {
    const page = await store.list(table, { prefix: `${id} `, limit: PAGE, ...(after === undefined ? {} : { after }) });
    const ops = page.filter(({ value }) => goes(value)).map(({ key }): Op => ({ table, key, remove: true }));
    if (ops.length > 0) await store.write(ops);
    removed += ops.length;
    after = page.at(-1)?.key;
    if (page.length < PAGE) return removed;
  }
}
