import { isErased } from '../../base/erased.ts';
import { jsonOf } from '../../base/json.ts';
import { attempt, CONTENDED } from '../../state/attempt.ts';
import { pages } from '../../state/pages.ts';
import type { ProfileStore } from '../../state/profile.ts';
import type { Found, Op, StateStore, Table } from '../../state/store.ts';
import { COMMANDS } from '../command/command.ts';
import { DEVICES } from '../registry/device.ts';
import { type Erasure, stretchesIn } from './erasure.ts';

/**
 * Takes a device out of the state store: sums of usage and which steps of its plan hold by them, whether it roams or is silent, what it said of
 * its card and firmware, networks that it used, commands handed in before, installation tests, cases of recovery,
 * settings, what its codec learned, and its place in quarantine; its record only where that was asked for. Of what an account had in its time,
 * only that: what is kept of the device as it is now is another's, if another has it. Returns how much of what.
 */
const PAGE = 500;
const ONE_EACH = ['settings', 'quarantine', 'policies', 'territory', 'silent', 'excess', 'unit_facts', 'standing', 'submitted'] as const;

/** Of several, together. */
export async function forgetAll(store: StateStore & ProfileStore, erasures: readonly Erasure[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const erasure of erasures) for (const [name, count] of Object.entries(await forget(store, erasure))) add(counts, name, count);
  return counts;
}

export async function forget(store: StateStore & ProfileStore, erasure: Erasure): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const stretches = stretchesIn(erasure);
  const goes = (time: number): boolean => isErased(stretches, '', time);
  const isCurrent = stretches.some(({ to }) => to === erasure.before);
  const unit = DEVICES.read(await store.get('devices', erasure.device))?.unit;
  if (isCurrent && unit !== undefined) add(counts, 'profiles', await store.forget(unit));
  for (const id of erasure.ids) {
    add(counts, 'usage', await removeAll(store, 'usage', id, ({ key }) => goes(Number(key.slice(id.length + 1)))));
    const isOld = ({ value }: Found): boolean => goes(COMMANDS.read(value)?.created ?? 0);
    for (const table of ['commands', 'unknown', 'finished'] as const) add(counts, 'commands', await removeAll(store, table, id, isOld));
    for (const table of ['tests', 'cases'] as const)
      add(
        counts,
        table,
        await removeAll(store, table, id, ({ value }) => goes(Number(Reflect.get(Object(jsonOf(value)), 'started') ?? 0))),
      );
    if (!isCurrent) continue;
    for (const table of ONE_EACH) add(counts, table, await removeOne(store, table, id));
    add(counts, 'profiles', await store.forget(id));
  }
  if (erasure.registry === 'remove') {
    add(counts, 'devices', await removeRecord(store, erasure));
  }
  return counts;
}

function add(counts: Record<string, number>, name: string, count: number): void {
  counts[name] = (counts[name] ?? 0) + count;
}

/** The record with the aliases that are still its own: one that stands for another device by now stays. */
async function removeRecord(store: StateStore, { device, ids }: Erasure): Promise<number> {
  return attempt(`the record of device ${device}`, async () => {
    const text = await store.get('devices', device);
    const ops: Op[] = [{ table: 'devices', key: device, expect: text }];
    if (text !== undefined) ops.push({ table: 'devices', key: device, remove: true });
    for (const key of new Set([device, ...ids])) {
      const service = await store.get('service', key);
      ops.push({ table: 'service', key, expect: service });
      if (service !== undefined) ops.push({ table: 'service', key, remove: true });
    }
    ops.push({ table: 'owners', key: device, remove: true }, { table: 'units', key: device, remove: true });
    const { unit, phone, aliases = [] } = DEVICES.read(text) ?? {};
    for (const key of new Set([...ids, ...aliases, ...[unit, phone].filter((name) => name !== undefined)]))
      if ((await store.get('aliases', key)) === device)
        ops.push({ table: 'aliases', key, expect: device }, { table: 'aliases', key, remove: true });
    if (!(await store.write(ops))) return CONTENDED;
    return text === undefined ? 0 : 1;
  });
}

async function removeOne(store: StateStore, table: Table, key: string): Promise<number> {
  if ((await store.get(table, key)) === undefined) return 0;
  await store.write([{ table, key, remove: true }]);
  return 1;
}

/** Of the keys that begin with the device's id and a space. */
async function removeAll(store: StateStore, table: Table, id: string, goes: (row: Found) => boolean): Promise<number> {
  let removed = 0;
  for await (const page of pages(store, table, { prefix: `${id} `, size: PAGE })) {
    const ops = page.filter(goes).map(({ key }): Op => ({ table, key, remove: true }));
    if (ops.length > 0) await store.write(ops);
    removed += ops.length;
  }
  return removed;
}
