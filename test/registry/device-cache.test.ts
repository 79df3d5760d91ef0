import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { DEVICES, deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceCache } from '../../src/fleet/registry/device-cache.ts';
import type { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import { DeviceRecords } from '../../src/fleet/registry/device-records.ts';
import type { StateStore } from '../../src/state/store.ts';
import { interposed } from '../helpers/interposed-store.ts';
import { eventually, remains } from '../support/wait.ts';
import { Stores } from './stores.ts';

/** Numbers quote the invariants of src/fleet/registry/device-cache.ts. */

const stores = new Stores();
const registries: DeviceCache[] = [];
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(async () => {
  for (const registry of registries.splice(0)) registry.close();
  await stores.clear();
});

const NOW = 1_793_491_200_000;

function registryOf(store: StateStore, mode: 'open' | 'closed' = 'open'): DeviceCache {
  const registry = new DeviceCache({ store, mode, now: () => NOW, log: silentLog });
  registries.push(registry);
  return registry;
}

const deviceRecordsOf = (store: StateStore): DeviceRecords => new DeviceRecords({ store, now: () => NOW, record: () => {} });
const lookup = (registry: DeviceCache, id: string): Promise<DeviceLookup> => new Promise((resolve) => registry.lookup(id, resolve));
const device = (id: string, more: object = {}) => deviceSchema.parse({ id, ...more });

describe.each(['lmdb', 'redis'] as const)('the registry in %s', (kind) => {
  it('1: answers with the device, also under an alias, and with none for an unknown device', async () => {
    const store = await stores.open(kind);
    const registry = registryOf(store);
    await deviceRecordsOf(store).create(device('main-1', { aliases: ['alias-1'], account: 'acme' }), 'test');
    const main = await lookup(registry, 'main-1');
    expect(main).toMatchObject({ reported: 'main-1', id: 'main-1', device: { account: 'acme' } });
    expect(await lookup(registry, 'alias-1')).toMatchObject({ reported: 'alias-1', id: 'main-1', device: { account: 'acme' } });
    expect(await lookup(registry, 'other-1')).toMatchObject({ id: 'other-1', device: undefined, unread: false });
    const again: DeviceLookup[] = [];
    registry.lookup('main-1', (known) => again.push(known));
    expect(again).toEqual([main]);
  });

  it('1: asks the store once for an id that many ask about at the same time', async () => {
    let reads = 0;
    const store = interposed(await stores.open(kind), { beforeRead: () => void reads++ });
    const registry = registryOf(store);
    const one = await lookup(registry, 'main-1');
    const readsOfOne = reads;
    const all = await Promise.all([1, 2, 3].map(() => lookup(registry, 'main-2')));
    expect(new Set(all).size).toBe(1);
    expect([one.id, all[0]?.id, reads]).toEqual(['main-1', 'main-2', 2 * readsOfOne]);
  });

  it('2: a change by another process reaches listener and look-up within a second, also through an alias', async () => {
    const [store, other] = [await stores.open(kind), await stores.open(kind)];
    const registry = registryOf(store, 'closed');
    const deviceRecords = deviceRecordsOf(other);
    const changed: (string | undefined)[] = [];
    registry.onChange((id) => changed.push(id));
    expect((await lookup(registry, 'main-1')).refusal('192.0.2.1:1')).toBe('unknown_device');
    expect((await lookup(registry, 'alias-1')).refusal('192.0.2.1:1')).toBe('unknown_device');
    await deviceRecords.create(device('main-1', { aliases: ['alias-1'] }), 'test');
    await eventually(async () => expect((await lookup(registry, 'alias-1')).id).toBe('main-1'));
    expect((await lookup(registry, 'main-1')).refusal('192.0.2.1:1')).toBe('');
    expect(changed).toEqual(expect.arrayContaining(['main-1', 'alias-1']));
    // The alias alone has been asked for lately, the device has not.
    await deviceRecords.patch('main-1', { state: 'suspended' }, 'test');
    await eventually(async () => expect((await lookup(registry, 'alias-1')).device?.state).toBe('suspended'));
    await deviceRecords.patch('main-1', { aliases: null }, 'test');
    await eventually(async () => expect((await lookup(registry, 'alias-1')).refusal('192.0.2.1:1')).toBe('unknown_device'));
  });

  it('2: one change is told once', async () => {
    const store = await stores.open(kind);
    const changed: (string | undefined)[] = [];
    registryOf(store).onChange((id) => changed.push(id));
    const change = (id: string): Promise<unknown> => store.write([DEVICES.put(device(id), id)]);
    let begun = 0;
    await eventually(async () => {
      await change(`begun-${begun++}`);
      expect(changed).toContainEqual(expect.stringMatching(/^begun/));
    });
    for (const id of ['d-1', 'd-2']) await change(id);
    await eventually(() => expect(changed).toContain('d-2'));
    expect(changed.filter((id) => id === 'd-1')).toEqual(['d-1']);
  });

  it('2: many changes at once are told as one, and looked at anew', async () => {
    const store = await stores.open(kind);
    const registry = registryOf(store);
    await lookup(registry, 'd-7');
    const changed: (string | undefined)[] = [];
    registry.onChange((id) => changed.push(id));
    await store.write(Array.from({ length: 1500 }, (_, n) => ({ table: 'devices', key: `d-${n}`, put: JSON.stringify(device(`d-${n}`)) })));
    await eventually(() => expect(changed).toContain(undefined));
    expect((await lookup(registry, 'd-7')).device?.id).toBe('d-7');
  });

  it('notes a new device once, and one that speaks another protocol now', async () => {
    const [store, other] = [await stores.open(kind), await stores.open(kind)];
    const [registry, second] = [registryOf(store), registryOf(other)];
    const events: object[] = [];
    const told = (event: object): number => events.push(event);
    const known = await lookup(registry, 'new-1');
    registry.seen(known, 'h02', 'tcp', told);
    second.seen(await lookup(second, 'new-1'), 'h02', 'tcp', told);
    await eventually(async () => expect((await lookup(registry, 'new-1')).device).toBeDefined());
    expect((await lookup(registry, 'new-1')).device).toMatchObject({ plan: 'default', state: 'active', protocol: 'h02', first_seen: NOW });
    await eventually(() => expect(events).toEqual([{ type: 'device_created', protocol: 'h02', plan: 'default' }]));
    registry.seen(await lookup(registry, 'new-1'), 'gt06', 'tcp', told);
    await eventually(async () => expect(DEVICES.read(await store.get('devices', 'new-1'))?.protocol).toBe('gt06'));
    expect(events).toHaveLength(1);
  });

  it('makes a pending device active at its first contact, but not before its time', async () => {
    const store = await stores.open(kind);
    const registry = registryOf(store);
    const deviceRecords = deviceRecordsOf(store);
    await deviceRecords.create(device('p-1', { state: 'pending' }), 'test');
    await deviceRecords.create(device('p-2', { state: 'pending', activates_at: NOW + 1 }), 'test');
    const before = { state: 'pending', protocol: 'h02', transport: 'tcp' };
    await deviceRecords.create(device('p-3', { ...before, activates_at: NOW }), 'test');
    registry.seen(await lookup(registry, 'p-3'), 'h02', 'tcp', () => {});
    await eventually(async () => expect(DEVICES.read(await store.get('devices', 'p-3'))?.state).toBe('active'));
    const events: object[] = [];
    for (const id of ['p-1', 'p-2']) registry.seen(await lookup(registry, id), 'h02', 'tcp', (event) => events.push(event));
    await eventually(async () => expect(DEVICES.read(await store.get('devices', 'p-1'))?.state).toBe('active'));
    await eventually(async () => expect(DEVICES.read(await store.get('devices', 'p-2'))?.protocol).toBe('h02'));
    expect(DEVICES.read(await store.get('devices', 'p-2'))?.state).toBe('pending');
    await eventually(() => expect(events).toEqual([{ type: 'device_changed', fields: ['state'], state: 'active' }]));
  });

  it('6: knows who reports an IMEI by the IMEI with a zero in front, and makes it an alias', async () => {
    const store = await stores.open(kind);
    const registry = registryOf(store);
    const deviceRecords = deviceRecordsOf(store);
    const [imei, old] = ['356307042441013', '0356307042441013'];
    expect((await lookup(registry, imei)).device).toBeUndefined();
    const changed: (string | undefined)[] = [];
    registry.onChange((id) => changed.push(id));
    await deviceRecords.create(device(old, { account: 'acme' }), 'test');
    await eventually(async () =>
      expect(await lookup(registry, imei)).toMatchObject({ reported: imei, id: old, device: { account: 'acme' } }),
    );
    expect(changed).toContain(imei);
    expect((await deviceRecords.get(imei))?.id).toBe(old);
    const events: object[] = [];
    registry.seen(await lookup(registry, imei), 'teltonika', 'tcp', (event) => events.push(event));
    await eventually(async () => expect(await store.get('aliases', imei)).toBe(old));
    await eventually(() => expect(events).toEqual([{ type: 'device_changed', fields: ['aliases'], aliases: [imei] }]));
    expect(await store.get('devices', imei)).toBeUndefined();
    // Neither form becomes a second device, also in an upload.
    expect(await deviceRecords.create(device(imei), 'test')).toMatchObject({ refused: 'conflict' });
    await deviceRecords.remove(old, 'test');
    await deviceRecords.create(device(imei), 'test');
    const counts = { created: 0, changed: 0, unchanged: 0 };
    const wrong = await deviceRecords.upsert([{ line: 1, id: old, patch: {} }], 'test', counts, new Map());
    expect(wrong).toMatchObject([{ line: 1, problems: [{ field: 'id' }] }]);
    // 16 digits that are no IMEI with a zero stay what they are.
    await deviceRecords.create(device('0356307042441014'), 'test');
    expect(await lookup(registry, '356307042441014')).toMatchObject({ id: '356307042441014', device: undefined });
  });

  it('does not write over a record that cannot be read', async () => {
    const store = await stores.open(kind);
    await store.write([{ table: 'devices', key: 'main-1', put: '{"half' }]);
    const registry = registryOf(store);
    const known = await lookup(registry, 'main-1');
    expect([known.unread, known.refusal('192.0.2.1:1')]).toEqual([true, 'registry_unreachable']);
    const events: object[] = [];
    registry.seen(known, 'h02', 'tcp', (event) => events.push(event));
    await remains(async () => expect([events, await store.get('devices', 'main-1')]).toEqual([[], '{"half']), 300);
  });

  it('does not make a device of what has become an alias meanwhile', async () => {
    const store = await stores.open(kind);
    const registry = registryOf(store);
    const known = await lookup(registry, 'alias-1');
    await deviceRecordsOf(store).create(device('main-1', { aliases: ['alias-1'] }), 'test');
    registry.seen(known, 'h02', 'tcp', () => {});
    await remains(async () => expect(await store.get('devices', 'alias-1')).toBeUndefined(), 300);
  });
});

it('2: a change while the answer of the store is on its way is looked up anew', async () => {
  const store = await stores.open('lmdb');
  await deviceRecordsOf(store).create(device('main-1', { aliases: ['alias-1'] }), 'test');
  for (const reported of ['main-1', 'alias-1']) {
    const held: (() => void)[] = [];
    const slow: StateStore = {
      ...interposed(store, {}),
      find: (table, key, found) =>
        store.find(table, key, (...answer) =>
          table === 'devices' && held.length === 0 ? held.push(() => found(...answer)) : found(...answer),
        ),
    };
    const registry = registryOf(slow);
    const changed: (string | undefined)[] = [];
    registry.onChange((id) => changed.push(id));
    const known = lookup(registry, reported);
    await eventually(() => expect(held).toHaveLength(1));
    await deviceRecordsOf(store).patch('main-1', { name: `for ${reported}` }, 'test');
    await eventually(() => expect(changed).toContain('main-1'));
    held[0]?.();
    expect((await known).device?.name).toBe(`for ${reported}`);
  }
});

describe('networks of a device', () => {
  const known = async (networks: string[]): Promise<DeviceLookup> => {
    const store = await stores.open('lmdb');
    await deviceRecordsOf(store).create(device('net-1', { networks }), 'test');
    return lookup(registryOf(store), 'net-1');
  };

  it.each([
    [[], '203.0.113.9:4000', ''],
    [['10.0.0.0/8', '192.0.2.0/24'], '192.0.2.77:4000', ''],
    [['10.0.0.0/8', '192.0.2.0/24'], '192.0.3.77:4000', 'network_refused'],
    [['10.0.0.0/8'], '::ffff:10.1.2.3:4000', ''],
    [['10.0.0.0/8'], '::ffff:11.1.2.3:4000', 'network_refused'],
    [['2001:db8::/32'], '2001:db8:1::5:4000', ''],
    [['2001:db8::/32'], '2001:db9:1::5:4000', 'network_refused'],
    [['2001:db8::/32'], '10.1.2.3:4000', 'network_refused'],
  ])('%j and %s: "%s"', async (networks, peer, refusal) => {
    expect((await known(networks)).refusal(peer)).toBe(refusal);
  });
});

describe('a registry whose store does not answer', () => {
  it('1, 3, 4: answers in time, keeps what it knows, serves unknown devices when open and says when it has read again', async () => {
    const store = await stores.open('redis');
    const [open, closed] = [registryOf(store), registryOf(store, 'closed')];
    const told = (id: string | undefined): Promise<void> =>
      new Promise((resolve) => open.onChange((changed) => (changed === id ? resolve() : undefined)));
    // The watch begins with telling that anything may have changed.
    await told(undefined);
    const created = told('main-1');
    await deviceRecordsOf(store).create(device('main-1', { aliases: ['alias-1'] }), 'test');
    await created;
    await lookup(open, 'main-1');
    await stores.redis?.kill();
    const [kept, served, refused] = await Promise.all([lookup(open, 'main-1'), lookup(open, 'alias-1'), lookup(closed, 'alias-1')]);
    expect(kept).toMatchObject({ id: 'main-1', unread: false });
    expect([served.id, served.unread, served.refusal('192.0.2.1:1')]).toEqual(['alias-1', true, '']);
    expect(refused.refusal('192.0.2.1:1')).toBe('registry_unreachable');
    await stores.redis?.up('--appendonly', 'yes');
    await told('alias-1');
    await eventually(async () => expect((await lookup(open, 'alias-1')).id).toBe('main-1'));
  });
});
