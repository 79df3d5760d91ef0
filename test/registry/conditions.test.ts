import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createToken, listTokens, revokeToken } from '../../src/api/tokens.ts';
import { silentLog } from '../../src/base/log.ts';
import { planSchema } from '../../src/fleet/plan/plan.ts';
import { PlanRecords } from '../../src/fleet/plan/plan-records.ts';
import { Eraser } from '../../src/fleet/privacy/eraser.ts';
import { forget } from '../../src/fleet/privacy/forget.ts';
import { DEVICES, type Device } from '../../src/fleet/registry/device.ts';
import { DeviceRecords } from '../../src/fleet/registry/device-records.ts';
import { QuarantineList } from '../../src/fleet/registry/quarantine-list.ts';
import type { ProfileStore } from '../../src/state/profile.ts';
import type { Op, StateStore } from '../../src/state/store.ts';
import { Stores } from './stores.ts';

/** What a decision was made upon still holds when it is written: a condition travels with each write. */

const stores = new Stores();
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(() => stores.clear());

const GOLD = planSchema.parse({ name: 'gold' });

/** The store, with something that happens between looking and writing, before the first write of this table. */
function interposed(store: StateStore & ProfileStore, table: Op['table'], between: () => Promise<unknown>, times = 1): StateStore {
  let left = times;
  const before = async (tables: readonly string[]): Promise<void> => {
    if (!tables.includes(table) || left <= 0) return;
    left--;
    await between();
  };
  return {
    mayBeAway: store.mayBeAway,
    find: (...args) => store.find(...args),
    get: (...args) => store.get(...args),
    list: (...args) => store.list(...args),
    watch: (...args) => store.watch(...args),
    close: () => store.close(),
    async write(ops, until) {
      await before(ops.map((op) => op.table));
      return store.write(ops, until);
    },
    async update(...args) {
      await before([args[0]]);
      return store.update(...args);
    },
  };
}

describe.each(['lmdb', 'redis'] as const)('conditions travel with the write in %s', (kind) => {
  const record = (): void => {};
  const plansOf = (store: StateStore): PlanRecords => new PlanRecords({ store, now: Date.now, record });
  const deviceRecordsOf = (store: StateStore): DeviceRecords => new DeviceRecords({ store, now: Date.now, record });

  it('a plan is not removed when a device is put on it meanwhile', async () => {
    const store = await stores.open(kind);
    const deviceRecords = deviceRecordsOf(store);
    await plansOf(store).put(GOLD, 'test', 'now');
    await deviceRecords.create({ ...blank('d-1') }, 'test');
    const slow = interposed(store, 'plans', () => deviceRecords.patch('d-1', { plan: 'gold' }, 'test'));
    expect(await plansOf(slow).remove('gold', 'test', () => deviceRecords.isOnPlan('gold'))).toBe('used');
    expect(await store.get('plans', 'gold')).toBeDefined();
  });

  it('nor is its running cycle changed, unless that was said, when a device is put on it meanwhile', async () => {
    const store = await stores.open(kind);
    const deviceRecords = deviceRecordsOf(store);
    await plansOf(store).put(GOLD, 'test', 'now');
    await deviceRecords.create({ ...blank('d-1') }, 'test');
    const slow = interposed(store, 'plans', () => deviceRecords.patch('d-1', { plan: 'gold' }, 'test'));
    const change = await plansOf(slow).put({ ...GOLD, bytes_cap: 5 }, 'test', () => deviceRecords.isOnPlan('gold'));
    if (change === 'past') throw new Error('no version');
    expect(change.version.from).toBeGreaterThan(Date.now());
    expect(await plansOf(store).get('gold')).not.toHaveProperty('bytes_cap');
  });

  it('nor when the device came by a new record, a replaced one, an upload or from quarantine', async () => {
    const store = await stores.open(kind);
    const deviceRecords = deviceRecordsOf(store);
    await store.write([{ table: 'quarantine', key: 'd-4', put: STRANGER }]);
    const plans = plansOf(store);
    await plans.put(GOLD, 'test', 'now');
    const counts = { created: 0, changed: 0, unchanged: 0 };
    const ways: Readonly<Record<string, () => Promise<unknown>>> = {
      'd-1': () => deviceRecords.create({ ...blank('d-1'), plan: 'gold' }, 'test'),
      'd-2': () => deviceRecords.replace({ ...blank('d-2'), plan: 'gold' }, 'test'),
      'd-3': () => deviceRecords.upsert([{ line: 1, id: 'd-3', patch: { plan: 'gold' } }], 'test', counts, new Map()),
      'd-4': () => deviceRecords.adopt('d-4', { plan: 'gold' }, 'test'),
    };
    for (const [id, way] of Object.entries(ways)) {
      const slow = interposed(store, 'plans', way);
      expect(await plansOf(slow).remove('gold', 'test', () => deviceRecords.isOnPlan('gold'))).toBe('used');
      expect(DEVICES.read(await store.get('devices', id))?.plan).toBe('gold');
      await deviceRecords.remove(id, 'test');
    }
    expect(await plans.remove('gold', 'test', () => deviceRecords.isOnPlan('gold'))).toBe('removed');
  });

  it('no device is put on a plan that is removed meanwhile', async () => {
    const store = await stores.open(kind);
    const plans = plansOf(store);
    const slow = interposed(store, 'devices', () => plans.remove('gold', 'test', async () => false), 5);
    const deviceRecords = deviceRecordsOf(slow);
    await store.write([{ table: 'quarantine', key: 'd-4', put: STRANGER }]);
    const counts = { created: 0, changed: 0, unchanged: 0 };
    const ways: readonly (() => Promise<unknown>)[] = [
      () => deviceRecords.create({ ...blank('d-1'), plan: 'gold' }, 'test'),
      () => deviceRecords.replace({ ...blank('d-2'), plan: 'gold' }, 'test'),
      () => deviceRecords.adopt('d-4', { plan: 'gold' }, 'test'),
      () => deviceRecords.upsert([{ line: 1, id: 'd-3', patch: { plan: 'gold' } }], 'test', counts, new Map()),
    ];
    for (const way of ways) {
      await plans.put(GOLD, 'test', 'now');
      expect(JSON.stringify(await way())).toContain('does not exist');
    }
    expect(await store.list('devices', { limit: 10 })).toEqual([]);
  });

  it('of 30 races between the two, each leaves no device on a plan that there is not', async () => {
    const store = await stores.open(kind);
    const [deviceRecords, other] = [deviceRecordsOf(store), await stores.open(kind)];
    const plans = plansOf(other);
    for (let round = 0; round < 30; round++) {
      const id = `d-${round}`;
      await plans.put(GOLD, 'test', 'now');
      await deviceRecords.create(blank(id), 'test');
      const [change, removed] = await Promise.all([
        deviceRecords.patch(id, { plan: 'gold' }, 'test'),
        plans.remove('gold', 'test', () => deviceRecordsOf(other).isOnPlan('gold')),
      ]);
      expect('refused' in change).toBe(removed === 'removed');
      await deviceRecords.remove(id, 'test');
    }
  });

  it('one whose record changes all the time is refused after a bounded number of tries', async () => {
    const store = await stores.open(kind);
    await deviceRecordsOf(store).create(blank('d-1'), 'test');
    let n = 0;
    const slow = interposed(
      store,
      'devices',
      () => store.write([{ table: 'devices', key: 'd-1', put: JSON.stringify({ ...blank('d-1'), first_seen: n++ }) }]),
      Number.POSITIVE_INFINITY,
    );
    expect(await deviceRecordsOf(slow).patch('d-1', { account: 'acme' }, 'test')).toMatchObject({ refused: 'busy' });
    const joined = (): Promise<boolean> => store.write([{ table: 'plan_joins', key: 'gold', add: { joined: 1 } }]);
    const plans = plansOf(interposed(store, 'plan_joins', joined, Number.POSITIVE_INFINITY));
    await plansOf(store).put(GOLD, 'test', 'now');
    await expect(plans.remove('gold', 'test', async () => false)).rejects.toMatchObject({ code: 'STATE_BUSY' });
  });

  it('an alias that is the device already, though its record does not say so, can be given to it', async () => {
    const store = await stores.open(kind);
    const deviceRecords = deviceRecordsOf(store);
    await deviceRecords.create(blank('d-1'), 'test');
    await store.write([{ table: 'aliases', key: 'a-1', put: 'd-1' }]);
    expect(await deviceRecords.patch('d-1', { aliases: ['a-1'] }, 'test')).toMatchObject({ after: { aliases: ['a-1'] } });
  });

  it('an unknown device is adopted or forgotten, not both', async () => {
    const store = await stores.open(kind);
    const list = new QuarantineList({ store, most: 10, log: silentLog, count: () => {} });
    await store.write([{ table: 'quarantine', key: 's-1', put: STRANGER }]);
    const slow = interposed(store, 'devices', () => list.remove('s-1'));
    expect(await deviceRecordsOf(slow).adopt('s-1', {}, 'test')).toMatchObject({ refused: 'unknown' });
    await store.write([{ table: 'quarantine', key: 's-1', put: STRANGER }]);
    const both = await Promise.all([list.remove('s-1'), list.remove('s-1')]);
    expect(both.filter(Boolean)).toHaveLength(1);
  });

  it('one that is noted while its record is made does not stay in quarantine', async () => {
    const store = await stores.open(kind);
    const slow = interposed(store, 'devices', () => store.write([{ table: 'quarantine', key: 's-1', put: STRANGER }]));
    await deviceRecordsOf(slow).create(blank('s-1'), 'test');
    expect(await store.get('quarantine', 's-1')).toBeUndefined();
  });

  it('of tokens made at once one has the name, and each is revoked once', async () => {
    const store = await stores.open(kind);
    const make = (): Promise<string> => createToken(store, { name: 'me', scopes: ['read'], created: 1 });
    const made = await Promise.allSettled(Array.from({ length: 5 }, make));
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(await listTokens(store)).toHaveLength(1);
    const revoked = await Promise.all([revokeToken(store, 'me'), revokeToken(store, 'me')]);
    expect(revoked.toSorted()).toEqual([0, 1]);
    expect(await make()).toMatch(/^fg_/);
  });

  it('a token of an earlier version, which has no entry for its name, keeps it', async () => {
    const store = await stores.open(kind);
    await store.write([{ table: 'tokens', key: 'a'.repeat(64), put: JSON.stringify({ name: 'me', scopes: ['read'], created: 1 }) }]);
    await expect(createToken(store, { name: 'me', scopes: ['read'], created: 1 })).rejects.toMatchObject({ code: 'USAGE' });
    expect(await revokeToken(store, 'me')).toBe(1);
    expect(await createToken(store, { name: 'me', scopes: ['read'], created: 1 })).toMatch(/^fg_/);
  });

  it('of erasures asked for at once none is lost: the record goes when one of them wants it, and the time is the latest', async () => {
    const store = await stores.open(kind);
    const eraser = new Eraser({
      store,
      instance: 'one',
      now: () => 1000,
      log: silentLog,
      device: async () => undefined,
      record,
      parts: { never: async () => ({}) },
    });
    const asked = await Promise.all([
      eraser.request('d-1', 'one', 'remove'),
      eraser.request('d-1', 'two', 'keep'),
      eraser.request('d-1', 'three', 'keep'),
    ]);
    expect(asked.map(({ before }) => before).toSorted((a, b) => a - b)).toEqual([1000, 1001, 1002]);
    const last = asked.find(({ before }) => before === 1002);
    expect(await eraser.get('d-1')).toEqual(last);
    expect(asked.some(({ registry, before }) => registry === 'remove' && before === 1002)).toBe(true);
  });

  it('erasing a record leaves an alias that stands for another device by now', async () => {
    const store = await stores.open(kind);
    const deviceRecords = deviceRecordsOf(store);
    await deviceRecords.create({ ...blank('d-2'), aliases: ['a-1'] }, 'test');
    await deviceRecords.create({ ...blank('d-1'), aliases: ['a-2'] }, 'test');
    const erasure = { device: 'd-1', ids: ['d-1', 'a-1', 'a-2'], before: 1, by: 'test', registry: 'remove' as const, instances: {} };
    expect(await forget(store, erasure)).toMatchObject({ devices: 1 });
    expect([await store.get('aliases', 'a-1'), await store.get('aliases', 'a-2')]).toEqual(['d-2', undefined]);
  });
});

const STRANGER = JSON.stringify({ first_seen: 1, last_seen: 2, count: 1, protocol: 'toy', transport: 'tcp', frames: [] });

function blank(id: string): Device {
  const device = DEVICES.read(JSON.stringify({ id }));
  if (device === undefined) throw new Error(`${id} is no device`);
  return device;
}
