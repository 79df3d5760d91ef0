import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import type { Draft, Outcome } from '../../src/fleet/command/intake.ts';
import { Shadow } from '../../src/fleet/command/shadow.ts';
import { UnitKeeper } from '../../src/fleet/command/unit-keeper.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceCache } from '../../src/fleet/registry/device-cache.ts';
import type { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import { type Change, DeviceRecords } from '../../src/fleet/registry/device-records.ts';
import { UNITS, unitsOf } from '../../src/fleet/registry/units.ts';
import type { StateStore } from '../../src/state/store.ts';
import { eventually } from '../support/wait.ts';
import { Stores } from './stores.ts';

/** Hardware and the devices that it is in, in both stores. Numbers quote the invariants of src/fleet/registry/units.ts. */

const stores = new Stores();
beforeAll(() => stores.start());
afterAll(() => stores.stop());
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await stores.clear();
});

const PEER = '192.0.2.1:1';
const device = (id: string, more: object = {}) => deviceSchema.parse({ id, ...more });

describe.each(['lmdb', 'redis'] as const)('units in %s', (kind) => {
  let store: StateStore;
  let records: DeviceRecords;
  let events: Record<string, unknown>[];
  let now: number;

  beforeEach(async () => {
    store = await stores.open(kind);
    events = [];
    now = 1000;
    const record = (id: string, event: object): number => events.push({ device: id, ...event });
    records = new DeviceRecords({ store, now: () => now, record });
    await records.create(
      device('van-1', {
        account: 'acme',
        aliases: ['old-2'],
        protocol: 'gt06',
        transport: 'tcp',
        first_seen: 5,
        options: { variant: 'r11' },
      }),
      'me',
    );
    events.length = 0;
    now = 2000;
  });

  const swap = (unit: string, more: object = {}, id = 'van-1'): Promise<Change> => records.swap(id, { unit, ...more }, 'me');
  const registryOf = (on: StateStore, mode: 'open' | 'closed' = 'open'): DeviceCache => {
    const registry = new DeviceCache({ store: on, mode, now: () => now, log: silentLog });
    closing.push(() => registry.close());
    return registry;
  };
  const lookup = (registry: DeviceCache, id: string): Promise<DeviceLookup> => new Promise((resolve) => registry.lookup(id, resolve));
  const refusals = async (registry: DeviceCache, ...ids: string[]): Promise<string[]> =>
    Promise.all(ids.map(async (id) => `${(await lookup(registry, id)).id} ${(await lookup(registry, id)).refusal(PEER)}`));

  it('1, 4: a new unit takes over the device; what was known of the hardware goes, and is told', async () => {
    await store.write([
      { table: 'standing', key: 'van-1', put: '{}' },
      { table: 'unit_facts', key: 'van-1', put: '{}' },
      { table: 'settings', key: 'van-1', put: '{"desired":{"interval":30},"reported":{"interval":60},"pending":{"interval":"c1"}}' },
    ]);
    expect(await swap('new-1', { reason: 'broken' })).toMatchObject({
      after: { id: 'van-1', unit: 'new-1', account: 'acme', aliases: [], first_seen: 5 },
    });
    const after = await records.get('new-1');
    expect(after).toEqual(await records.get('van-1'));
    for (const gone of ['protocol', 'transport', 'options', 'unit_since']) expect(after).not.toHaveProperty(gone);
    expect(events).toEqual([
      { device: 'van-1', type: 'device_changed', fields: expect.arrayContaining(['unit', 'aliases', 'options']), options: {}, by: 'me' },
      {
        device: 'van-1',
        type: 'unit_replaced',
        unit: 'new-1',
        before: 'van-1',
        by: 'me',
        reason: 'broken',
        dropped_aliases: ['old-2'],
        dropped_options: ['variant'],
      },
    ]);
    expect(await UNITS.get(store, 'van-1')).toEqual({
      periods: [
        { unit: 'van-1', from: 5, to: 2000 },
        { unit: 'new-1', from: 2000, by: 'me', reason: 'broken' },
      ],
      fresh: true,
    });
    for (const table of ['standing', 'unit_facts'] as const) expect(await store.get(table, 'van-1')).toBeUndefined();
    expect(await store.get('settings', 'van-1')).toBe('{"desired":{"interval":30},"reported":{},"pending":{}}');
    expect(await records.get('old-2')).toBeUndefined();
  });

  it.each([
    [undefined, undefined, undefined],
    ['{"desired":{},"reported":{"interval":30},"pending":{}}', undefined, '{"desired":{},"reported":{},"pending":{}}'],
    ['"damaged"', undefined, '{"desired":{},"reported":{},"pending":{}}'],
    ['{"desired":{"interval":30},"reported":{},"pending":{}}', true, '{"desired":{"interval":30},"reported":{},"pending":{}}'],
  ])('1: settings %j are to be asked of the next unit: %j', async (before, fresh, after) => {
    if (before !== undefined) await store.write([{ table: 'settings', key: 'van-1', put: before }]);
    await swap('new-1');
    expect([(await UNITS.get(store, 'van-1'))?.fresh, await store.get('settings', 'van-1')]).toEqual([fresh, after]);
  });

  it('1: options stay with a unit of the same protocol, and those given go before them', async () => {
    expect(await swap('new-1', { protocol: 'gt06' })).toMatchObject({ after: { protocol: 'gt06', options: { variant: 'r11' } } });
    expect(await swap('new-2', { protocol: 'gt06', options: { variant: 'jimi' } })).toMatchObject({
      after: { options: { variant: 'jimi' } },
    });
  });

  it('2: what was taken out is a stranger under all its ids, in every process, and the new one is the device', async () => {
    const other = await stores.open(kind);
    const [open, closed] = [registryOf(other), registryOf(other, 'closed')];
    expect(await refusals(open, 'van-1', 'old-2', 'new-1')).toEqual(['van-1 ', 'van-1 ', 'new-1 ']);
    await swap('new-1');
    await eventually(async () =>
      expect(await refusals(open, 'van-1', 'old-2', 'new-1')).toEqual(['van-1 unit_replaced', 'old-2 ', 'van-1 ']),
    );
    await eventually(async () =>
      expect(await refusals(closed, 'van-1', 'old-2', 'new-1')).toEqual(['van-1 unit_replaced', 'old-2 unknown_device', 'van-1 ']),
    );
    expect(await lookup(open, 'new-1')).toMatchObject({ reported: 'new-1', id: 'van-1', unit: 'new-1', device: { account: 'acme' } });
    expect((await lookup(open, 'van-1')).isNew).toBe(false);
    await swap('new-2');
    await eventually(async () => expect(await refusals(closed, 'new-1', 'new-2')).toEqual(['new-1 unknown_device', 'van-1 ']));
    // A contact that was under way changes nothing.
    open.seen(await lookup(open, 'van-1'), 'h02', 'udp', (event) => events.push({ ...event }));
    expect(await records.get('van-1')).toMatchObject({ unit: 'new-2' });
  });

  it('2: a contact of the old unit that is noted late does not make its protocol that of the device', async () => {
    const registry = registryOf(store);
    const before = await lookup(registry, 'van-1');
    await swap('new-1');
    registry.seen(before, 'h02', 'udp', (event) => events.push({ ...event }));
    registry.seen(await lookup(registry, 'new-1'), 'jt808', 'tcp', (event) => events.push({ ...event }));
    await eventually(async () => expect(await records.get('van-1')).toMatchObject({ protocol: 'jt808', transport: 'tcp' }));
  });

  it('3: hardware moves from device to device and back; what it measured before it left is not of the next', async () => {
    await records.create(device('van-2', { account: 'bert' }), 'me');
    await swap('new-1');
    now = 3000;
    const registry = registryOf(store);
    expect(await swap('van-1', {}, 'van-2')).toMatchObject({ after: { id: 'van-2', unit: 'van-1', unit_since: 2000 } });
    expect(await lookup(registry, 'van-1')).toMatchObject({ id: 'van-2', unit: 'van-1' });
    expect(await swap('new-1', {}, 'van-2')).toMatchObject({
      refused: 'conflict',
      problems: [{ field: 'unit', problem: expect.stringMatching(/of device van-1/) }],
    });
    expect(await swap('van-1')).toMatchObject({
      refused: 'conflict',
      problems: [{ field: 'unit', problem: expect.stringMatching(/of device van-2/) }],
    });
    now = 4000;
    await swap('van-2', {}, 'van-2');
    expect(await records.get('van-2')).not.toHaveProperty('unit');
    now = 5000;
    expect(await swap('van-1')).toMatchObject({ after: { unit_since: 4000 } });
    expect(await records.get('van-1')).not.toHaveProperty('unit');
    await eventually(async () => expect(await refusals(registry, 'van-1', 'new-1')).toEqual(['van-1 ', 'new-1 ']));
    expect(await swap('new-1', { since: 4500 })).toMatchObject({ after: { unit_since: 4500 } });
  });

  it('a unit that has reported as a device of its own is taken from there, unless that is more than a first contact made', async () => {
    const registry = registryOf(store);
    await records.create(device('0351608080779146', { aliases: ['351608080779146'], protocol: 'jt808' }), 'me');
    await records.create(device('van-2', { account: 'bert' }), 'me');
    await records.create(device('van-3', { plan: 'default', aliases: ['v-3'] }), 'me');
    await store.write([{ table: 'holds', key: 'van-3', put: '{}' }]);
    events.length = 0;
    expect(await swap('van-2')).toMatchObject({
      refused: 'conflict',
      problems: [{ field: 'unit', problem: expect.stringMatching(/device van-2/) }],
    });
    expect(await swap('van-3')).toMatchObject({ refused: 'conflict' });
    expect(await swap('v-3')).toMatchObject({ refused: 'conflict' });
    expect(events).toEqual([]);
    expect(await swap('0351608080779146')).toMatchObject({
      after: { unit: '0351608080779146', aliases: ['351608080779146'], protocol: 'jt808', unit_since: 2000 },
    });
    expect(events.map(({ device: id, type }) => `${id} ${type}`)).toEqual([
      'van-1 device_changed',
      '0351608080779146 device_removed',
      'van-1 unit_replaced',
    ]);
    for (const id of ['0351608080779146', '351608080779146']) expect(await lookup(registry, id)).toMatchObject({ id: 'van-1' });
    expect((await records.list({}, undefined, 10)).devices.map(({ id }) => id)).toEqual(['van-1', 'van-2', 'van-3']);
  });

  it('a unit is not taken from a device of which anything was said', async () => {
    const said: readonly object[] = [
      ...[{ account: 'acme' }, { plan: 'gold' }, { state: 'suspended' }, { state: 'terminated' }, { phone: '+46701234567' }],
      ...[{ recovery: { reason: 'stolen', interval_s: 10, started: 1, until: 5000 } }, { privacy: 'relay' }, { activates_at: 9000 }],
      ...[{ name: 'Van 3' }, { labels: { depot: 'north' } }, { iccid: '8946117700000000012' }, { model: 'X3' }, { serial: '7' }],
      ...[{ networks: ['192.0.2.0/24'] }, { home_networks: [240] }, { interval_s: 30 }, { options: { zone: 'utc' } }, { reason: 'lent' }],
    ];
    for (const [n, more] of said.entries()) {
      await store.write([{ table: 'devices', key: `van-${n + 2}`, put: JSON.stringify(device(`van-${n + 2}`, more)) }]);
      expect([more, await swap(`van-${n + 2}`)]).toMatchObject([more, { refused: 'conflict', problems: [{ field: 'unit' }] }]);
    }
    const contact = { protocol: 'gt06', transport: 'udp', first_seen: 7, provisional: true, state: 'pending' };
    await store.write([{ table: 'devices', key: 'new-1', put: JSON.stringify(device('new-1', contact)) }]);
    expect(await swap('new-1')).toMatchObject({ after: { unit: 'new-1' } });
  });

  it('an alias that is a device of its own is refused by its place among the aliases, also where there is a unit', async () => {
    await records.create(device('van-2'), 'me');
    await swap('new-1');
    const problems = [{ field: 'aliases.1', problem: expect.stringMatching(/remove device van-2/) }];
    expect(await records.patch('van-1', { aliases: ['old-3', 'van-2'] }, 'me')).toMatchObject({ refused: 'conflict', problems });
  });

  it('the telephone number goes with the unit before; one that is given then stands for the device', async () => {
    await records.patch('van-1', { phone: '+46701234567' }, 'me');
    const registry = registryOf(store);
    expect(await lookup(registry, '+46701234567')).toMatchObject({ id: 'van-1' });
    await swap('new-1');
    await eventually(async () => expect(await lookup(registry, '+46701234567')).toMatchObject({ id: '+46701234567', device: undefined }));
    await records.patch('van-1', { phone: '+46701234568' }, 'me');
    await eventually(async () => expect(await lookup(registry, '+46701234568')).toMatchObject({ id: 'van-1', unit: 'new-1' }));
    expect(await refusals(registry, '+46701234568')).toEqual(['van-1 ']);
  });

  it('what an operator has noted of unit and card goes with the unit, what the account has noted of the device with the account', async () => {
    const noted = { name: 'Van 1', labels: { team: 'north' } };
    await records.patch('van-1', { ...noted, model: 'FMB920', serial: 's1', iccid: '8946012345678901234' }, 'me');
    await swap('new-1');
    const after = await records.get('van-1');
    expect(after).toMatchObject(noted);
    for (const gone of ['model', 'serial', 'iccid']) expect(after).not.toHaveProperty(gone);
    expect((await records.list({ q: 'van 1' }, undefined, 10)).devices).toHaveLength(1);
    await records.patch('van-1', { account: 'bert', name: 'B-1' }, 'me');
    expect(await records.get('van-1')).toMatchObject({ account: 'bert', name: 'B-1' });
    expect(await records.get('van-1')).not.toHaveProperty('labels');
    await records.patch('van-1', { account: null }, 'me');
    expect(await records.get('van-1')).not.toHaveProperty('name');
    expect(await records.get('van-1')).not.toHaveProperty('account');
  });

  it('a unit from quarantine is known by its protocol, and leaves quarantine; other ways to change the unit are refused', async () => {
    const waiting = { first_seen: 3, last_seen: 4, count: 1, protocol: 'h02', transport: 'udp', frames: [] };
    await store.write([{ table: 'quarantine', key: 'new-1', put: JSON.stringify(waiting) }]);
    expect(await swap('new-1')).toMatchObject({ after: { protocol: 'h02' } });
    expect(await store.get('quarantine', 'new-1')).toBeUndefined();
    expect(await swap('new-1')).toMatchObject({ refused: 'conflict' });
    expect(await records.swap('none-1', { unit: 'new-9' }, 'me')).toEqual({ refused: 'unknown', problems: [] });
    for (const unit of ['new-2', null])
      expect(await records.patch('van-1', { unit }, 'me')).toMatchObject({ refused: 'conflict', problems: [{ field: 'unit' }] });
    expect(await records.replace(device('van-1', { account: 'acme' }), 'me')).toMatchObject({ after: { unit: 'new-1' } });
    expect(await records.create(device('van-9', { unit: 'new-1' }), 'me')).toMatchObject({
      refused: 'conflict',
      problems: [{ field: 'unit' }],
    });
    expect(await records.create(device('new-1'), 'me')).toMatchObject({ refused: 'conflict', problems: [{ field: 'id' }] });
    expect(await records.create(device('van-9', { unit: 'new-9' }), 'me')).toMatchObject({ after: { unit: 'new-9' } });
    expect(await records.get('new-9')).toMatchObject({ id: 'van-9' });
  });

  it('a device that is removed frees its unit', async () => {
    await swap('new-1');
    now = 3000;
    await records.remove('van-1', 'me');
    expect((await UNITS.get(store, 'van-1'))?.periods.at(-1)).toMatchObject({ unit: 'new-1', from: 2000, to: 3000 });
    await records.create(device('van-2'), 'me');
    expect(await swap('new-1', {}, 'van-2')).toMatchObject({ after: { unit: 'new-1', unit_since: 3000 } });
    const again = device('van-1', { first_seen: 2500 });
    expect(unitsOf(await UNITS.get(store, 'van-1'), again).at(-1)).toEqual({ unit: 'van-1', from: 3000 });
  });

  it('is asked for the settings of the one before at its first contact; what it cannot take is told, and stays wanted', async () => {
    const shadow = new Shadow(store);
    const desired = { interval: 30, time_zone: 60, server: 'a.example:5023', colour: 'red' };
    await store.write([{ table: 'settings', key: 'van-1', put: JSON.stringify({ desired, reported: {}, pending: {} }) }]);
    const drafts: Draft[] = [];
    const submit = async (draft: Draft): Promise<Outcome> => {
      drafts.push(draft);
      const critical = draft.type === 'set_server' ? draft.permits?.('set_server') : undefined;
      if (critical !== undefined) return { refused: 'forbidden', problems: [critical] };
      if (draft.type === 'set_time_zone') return { refused: 'invalid', problems: [{ field: 'type', problem: 'no such command' }] };
      return { refused: 'conflict', problems: [] };
    };
    const keepers = [store, await stores.open(kind)].map((on) => {
      const record = (id: string, event: object): number => events.push({ device: id, ...event });
      const keeper = new UnitKeeper({ store: on, shadow, device: (id) => records.get(id), submit, record, log: silentLog });
      keeper.start();
      closing.push(() => keeper.stop());
      return keeper;
    });
    expect(keepers).toHaveLength(2);
    await swap('new-1', { protocol: 'h02' });
    const registry = registryOf(store);
    const told = (): object[] => events.filter(({ type }) => type === 'unit_settled');
    expect([drafts, told()]).toEqual([[], []]);
    registry.seen(await lookup(registry, 'new-1'), 'h02', 'tcp', () => {});
    await eventually(() => expect(told()).toHaveLength(1));
    expect(told()).toEqual([
      {
        device: 'van-1',
        type: 'unit_settled',
        unit: 'new-1',
        protocol: 'h02',
        sent: ['interval'],
        refused: [
          { field: 'time_zone', problem: 'no such command' },
          { field: 'server', problem: 'is set by a command that is critical (set_server); send it yourself' },
          { field: 'colour', problem: 'is set by no command' },
        ],
      },
    ]);
    expect(drafts).toContainEqual(expect.objectContaining({ device: 'van-1', type: 'set_interval', parameters: { seconds: 30 } }));
    expect(drafts).toContainEqual(expect.objectContaining({ type: 'set_server', parameters: { host: 'a.example', port: 5023 } }));
    // Both servers ask under the same id.
    expect(new Set(drafts.map(({ id }) => id)).size).toBe(3);
    expect((await shadow.get('van-1')).desired).toEqual(desired);
    expect(await UNITS.get(store, 'van-1')).not.toHaveProperty('fresh');
  });

  it('one that is put in while the one before is asked is asked itself, when it has spoken', async () => {
    await store.write([{ table: 'settings', key: 'van-1', put: '{"desired":{"interval":30},"reported":{},"pending":{}}' }]);
    await swap('new-1', { protocol: 'h02' });
    const registry = registryOf(store);
    registry.seen(await lookup(registry, 'new-1'), 'h02', 'tcp', () => {});
    await eventually(async () => expect(await records.get('van-1')).toMatchObject({ transport: 'tcp' }));
    let looks = 0;
    const keeper = new UnitKeeper({
      ...{ store, shadow: new Shadow(store), log: silentLog, submit: async () => ({ refused: 'conflict', problems: [] }) },
      record: (id, event) => events.push({ device: id, ...event }),
      async device(id) {
        const known = await records.get(id);
        if (looks++ === 0) await swap('new-2', { protocol: 'jt808' });
        return known;
      },
    });
    keeper.start();
    closing.push(() => keeper.stop());
    await eventually(() => expect(looks).toBeGreaterThan(1));
    await eventually(async () => expect(await lookup(registry, 'new-2')).toMatchObject({ id: 'van-1' }));
    registry.seen(await lookup(registry, 'new-2'), 'jt808', 'udp', () => {});
    const told = (): object[] => events.filter(({ type }) => type === 'unit_settled');
    await eventually(() => expect(told()).toHaveLength(1));
    expect(told()).toMatchObject([{ unit: 'new-2', protocol: 'jt808', sent: ['interval'] }]);
  });
});
