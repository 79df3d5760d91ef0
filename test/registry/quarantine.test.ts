import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { DeviceRecords } from '../../src/fleet/registry/device-records.ts';
import { Quarantine } from '../../src/fleet/registry/quarantine.ts';
import { QuarantineList } from '../../src/fleet/registry/quarantine-list.ts';
import type { StateStore } from '../../src/state/store.ts';
import { eventually } from '../support/wait.ts';
import { Stores } from './stores.ts';

/** Numbers quote the invariants of src/fleet/registry/quarantine.ts. */

const stores = new Stores();
const lists: QuarantineList[] = [];
let now = 1_793_491_200_000;
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(async () => {
  for (const list of lists.splice(0)) await list.stop();
  await stores.clear();
});

function quarantineOf(store: StateStore) {
  const added: string[] = [];
  return { added, quarantine: new Quarantine({ store, now: () => now, log: silentLog, added: (id) => added.push(id) }) };
}

function listOf(store: StateStore, most: number) {
  const counts: number[] = [];
  const list = new QuarantineList({ store, most, log: silentLog, count: (devices) => counts.push(devices) });
  list.start();
  lists.push(list);
  return { list, counts };
}

const frame = (n: number, length = 3): Uint8Array => new Uint8Array(length).fill(n);

describe.each(['lmdb', 'redis'] as const)('the quarantine in %s', (kind) => {
  it('counts what two workers turn away, keeps three samples cut to 256 bytes, and tells a new one once', async () => {
    const store = await stores.open(kind);
    const [one, two] = [quarantineOf(store), quarantineOf(store)];
    const { list } = listOf(store, 100);
    const first = now;
    one.quarantine.noted('s-1', 'toy', 'tcp', frame(1, 300), 0, 300);
    for (let n = 0; n < 4; n++) two.quarantine.noted('s-1', 'toy', 'udp', frame(n), 1, 3);
    now += 5;
    await Promise.all([one.quarantine.flush(), two.quarantine.flush()]);
    one.quarantine.noted('s-1', 'toy', 'tcp', frame(9), 0, 3);
    await one.quarantine.flush();
    const unknownDevice = await list.get('s-1');
    expect(unknownDevice).toMatchObject({ first_seen: first, last_seen: now, count: 6, transport: 'tcp' });
    expect(unknownDevice?.frames).toHaveLength(3);
    expect(Math.max(...(unknownDevice?.frames ?? []).map(({ length }) => length))).toBeLessThanOrEqual(512);
    expect([...one.added, ...two.added]).toEqual(['s-1']);
  });

  it('has each different sample once, in order, and none of no bytes', async () => {
    const store = await stores.open(kind);
    const { quarantine } = quarantineOf(store);
    const { list } = listOf(store, 100);
    for (const n of [1, 1, 2]) quarantine.noted('s-1', 'toy', 'tcp', frame(n), 0, 2);
    quarantine.noted('s-2', 'toy', 'tcp', frame(1), 2, 2);
    await quarantine.flush();
    for (const n of [2, 3, 4]) quarantine.noted('s-1', 'toy', 'tcp', frame(n), 0, 2);
    await quarantine.flush();
    expect([await list.get('s-1'), await list.get('s-2')]).toMatchObject([
      { count: 6, frames: ['0101', '0202', '0303'] },
      { count: 1, frames: [] },
    ]);
  });

  it('1: a flood is written together, and of so many ids only', async () => {
    const store = await stores.open(kind);
    const { quarantine } = quarantineOf(store);
    for (let n = 0; n < 20_000; n++) quarantine.noted(`s-${n % 2000}`, 'toy', 'tcp', frame(1), 0, 3);
    await quarantine.flush();
    const kept = await store.list('quarantine', { limit: 10_000 });
    expect(kept).toHaveLength(500);
    expect(JSON.parse(kept[0]?.value ?? '{}')).toMatchObject({ count: 10 });
  });

  it('2: who has been adopted meanwhile does not come back', async () => {
    const store = await stores.open(kind);
    const { quarantine } = quarantineOf(store);
    const events: [string, object][] = [];
    const deviceRecords = new DeviceRecords({ store, now: () => now, record: (device, event) => events.push([device, event]) });
    quarantine.noted('s-1', 'toy', 'tcp', frame(1), 0, 3);
    await quarantine.flush();
    quarantine.noted('s-1', 'toy', 'tcp', frame(1), 0, 3);
    expect(await deviceRecords.adopt('s-1', { account: 'acme' }, 'test')).toMatchObject({
      after: { id: 's-1', account: 'acme', plan: 'default' },
    });
    await quarantine.flush();
    expect(await store.list('quarantine', { limit: 10 })).toEqual([]);
    expect(events).toEqual([['s-1', { type: 'device_adopted', plan: 'default', by: 'test' }]]);
  });

  it('is bounded: the longest silent go first', async () => {
    const store = await stores.open(kind);
    const { quarantine } = quarantineOf(store);
    const { list, counts } = listOf(store, 10);
    for (const id of ['old-1', 'old-2', ...Array.from({ length: 10 }, (_, n) => `new-${n}`), 'old-2']) {
      now += 1;
      quarantine.noted(id, 'toy', 'tcp', frame(1), 0, 3);
      await quarantine.flush();
    }
    await eventually(async () => {
      const ids = (await list.list(undefined, 100)).devices.map(({ id }) => id);
      expect(ids).toHaveLength(10);
      expect(ids).toContain('old-2');
      expect(ids).not.toContain('old-1');
      expect(ids).not.toContain('new-0');
    });
    await eventually(() => expect(counts.at(-1)).toBe(10));
    expect(await list.remove('old-2')).toBe(true);
    expect(await list.remove('old-2')).toBe(false);
    await eventually(() => expect(counts.at(-1)).toBe(9));
  });

  it('is listed in pages, of which a damaged entry neither ends one nor hides another', async () => {
    const store = await stores.open(kind);
    const { quarantine } = quarantineOf(store);
    for (const id of ['s-1', 's-2', 's-3', 's-4']) quarantine.noted(id, 'toy', 'tcp', frame(1), 0, 3);
    await quarantine.flush();
    await store.write([{ table: 'quarantine', key: 's-2', put: '{"first_seen":' }]);
    const list = new QuarantineList({ store, most: 10, log: silentLog, count: () => {} });
    const pages: string[] = [];
    for (let after: string | undefined; pages.length < 9; ) {
      const { devices, next } = await list.list(after, 2);
      pages.push(devices.map(({ id }) => id).join());
      if (next === undefined) break;
      after = next;
    }
    expect(pages).toEqual(['s-1,s-3', 's-4']);
    await expect(list.get('s-2')).rejects.toMatchObject({ code: 'STATE_ROW_DAMAGED' });
  });
});
