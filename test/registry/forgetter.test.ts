import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { readService } from '../../src/fleet/plan/service-keeper.ts';
import { hasUnfrozen } from '../../src/fleet/plan/unfrozen.ts';
import { DEVICES, deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceCache } from '../../src/fleet/registry/device-cache.ts';
import type { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import { DeviceRecords } from '../../src/fleet/registry/device-records.ts';
import { Forgetter } from '../../src/fleet/registry/forgetter.ts';
import type { ProfileStore } from '../../src/state/profile.ts';
import type { StateStore } from '../../src/state/store.ts';
import { interposed, times } from '../helpers/interposed-store.ts';
import { eventually } from '../support/wait.ts';
import { Stores } from './stores.ts';

/** Numbers quote the invariants of src/fleet/registry/forgetter.ts. */

const stores = new Stores();
const registries: DeviceCache[] = [];
const DAY = 86_400_000;
const START = 1_793_491_200_000;
let now = START;
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(async () => {
  for (const registry of registries.splice(0)) registry.close();
  await stores.clear();
  now = START;
});

const lookup = (registry: DeviceCache, id: string): Promise<DeviceLookup> => new Promise((resolve) => registry.lookup(id, resolve));

function rig(store: StateStore & ProfileStore) {
  const registry = new DeviceCache({ store, mode: 'open', now: () => now, log: silentLog });
  registries.push(registry);
  const connected = new Set<string>();
  const events: unknown[] = [];
  const record = (device: string, event: object): void => {
    events.push({ device, ...event });
  };
  const forgetter = new Forgetter({
    store,
    afterMs: 30 * DAY,
    isConnected: (device) => connected.has(device),
    isCounted: async (id) => hasUnfrozen(store, id, (await readService(store, id, now))?.periods ?? []),
    record,
    now: () => now,
    log: silentLog,
  });
  const contact = async (id: string): Promise<void> => {
    registry.seen(await lookup(registry, id), 'h02', 'tcp', () => {});
  };
  const read = async (id: string) => DEVICES.read(await store.get('devices', id));
  return {
    registry,
    connected,
    events,
    forgetter,
    contact,
    read,
    deviceRecords: new DeviceRecords({ store, now: () => now, record: () => {} }),
  };
}

describe.each(['lmdb', 'redis'] as const)('devices that came once, in %s', (kind) => {
  it('1: are forgotten after their time, with their profile; what they used stays', async () => {
    const store = await stores.open(kind);
    const { forgetter, contact, read, events } = rig(store);
    await contact('once-1');
    await eventually(async () => expect(await read('once-1')).toMatchObject({ provisional: true, first_seen: START }));
    store.remember('once-1', { codec: 'h02', memo: 1, updated: now });
    await store.write([{ table: 'usage', key: `once-1 ${START}`, add: { bytes_in: 5 } }]);
    now += 30 * DAY;
    expect(await forgetter.sweep()).toBe(0);
    now++;
    // Its cycle is over or not: the statement is still to be made of it.
    expect(await forgetter.sweep()).toBe(0);
    now += 30 * DAY;
    expect(await forgetter.sweep()).toBe(0);
    await store.write([{ table: 'statements', key: `once-1 ${START}`, put: '{}' }]);
    expect(await forgetter.sweep()).toBe(1);
    expect([await read('once-1'), events]).toEqual([undefined, [{ device: 'once-1', type: 'device_removed', by: 'registry.forgetAfter' }]]);
    expect(await new Promise((resolve) => store.findProfile('once-1', resolve))).toBeUndefined();
    expect(await store.get('usage', `once-1 ${START}`)).toBe('{"bytes_in":5}');
  });

  it('1: stay when they have come back, or somebody has changed them, or made them, or waits for them, or they are connected', async () => {
    const store = await stores.open(kind);
    const { registry, forgetter, contact, read, deviceRecords, connected } = rig(store);
    for (const id of ['back-1', 'noted-1', 'waits-1', 'unsure-1', 'here-1']) {
      await contact(id);
      await eventually(async () => expect(await read(id)).toMatchObject({ provisional: true }));
    }
    await deviceRecords.create(deviceSchema.parse({ id: 'made-1' }), 'test');
    await contact('made-1');
    await eventually(async () => expect(await read('made-1')).toMatchObject({ first_seen: START }));
    // A record of an earlier version says nothing of how it came.
    await store.write([{ table: 'devices', key: 'old-1', put: JSON.stringify(deviceSchema.parse({ id: 'old-1', first_seen: START })) }]);
    await deviceRecords.patch('noted-1', { account: 'acme' }, 'test');
    await deviceRecords.patch('noted-1', { account: null }, 'test');
    await store.write([{ table: 'commands', key: 'waits-1 c1', put: '{}' }]);
    await store.write([{ table: 'unknown', key: 'unsure-1 c1', put: '{}' }]);
    connected.add('here-1');
    now += 3_600_000;
    // The worker has learned of the record that its contact has made.
    await eventually(async () => expect((await lookup(registry, 'back-1')).device?.provisional).toBe(true));
    await contact('back-1');
    await eventually(async () => expect(await read('back-1')).not.toHaveProperty('provisional'));
    now += 60 * DAY;
    expect(await forgetter.sweep()).toBe(0);
  });

  it('2: stay when a hold is set or a command handed in while they are looked at', async () => {
    const store = await stores.open(kind);
    for (const [id, table, key] of [
      ['held-1', 'holds', 'held-1'],
      ['asked-1', 'submitted', 'asked-1'],
    ] as const) {
      const came = times(1, 'devices', () => store.write([{ table, key, put: '{}' }]));
      const { forgetter, contact, read } = rig(
        interposed(store, { beforeWrite: (tables) => (tables.includes('standing') ? came(tables) : undefined) }),
      );
      await contact(id);
      await eventually(async () => expect(await read(id)).toMatchObject({ provisional: true }));
      now += 31 * DAY;
      expect([id, await forgetter.sweep()]).toEqual([id, 0]);
      await store.write([{ table: 'devices', key: id, remove: true }]);
    }
  });

  it('leave the quarantine when they are admitted', async () => {
    const store = await stores.open(kind);
    const { contact, read } = rig(store);
    await store.write([{ table: 'quarantine', key: 'late-1', put: '{}' }]);
    await contact('late-1');
    await eventually(async () => expect(await read('late-1')).toBeDefined());
    expect(await store.get('quarantine', 'late-1')).toBeUndefined();
  });
});

describe('the search', () => {
  afterEach(() => vi.useRealTimers());

  /** Searches so far; the third one meets a store that is away. */
  async function searching(afterMs: number): Promise<{ readonly forgetter: Forgetter; readonly searches: () => number }> {
    let searches = 0;
    const store = interposed(await stores.open('lmdb'), {
      beforeRead(table, key) {
        if (table !== 'devices' || key !== undefined) return;
        searches++;
        if (searches === 3) throw new Error('the store is away');
      },
    });
    const options = { store, afterMs, isConnected: () => false, isCounted: async () => false, record: () => {}, now: () => now };
    return { forgetter: new Forgetter({ ...options, log: silentLog }), searches: () => searches };
  }

  it('is made ten minutes after the start and then each hour, also after one that failed, until it is stopped', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { forgetter, searches } = await searching(30 * DAY);
    forgetter.start();
    await vi.advanceTimersByTimeAsync(599_999);
    expect(searches()).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    for (const count of [1, 2, 3, 4]) {
      await eventually(() => expect(searches()).toBe(count));
      // The next one is planned when this one is over.
      await eventually(() => expect(vi.getTimerCount()).toBeGreaterThan(0));
      await vi.advanceTimersByTimeAsync(3_599_999);
      expect(searches()).toBe(count);
      await vi.advanceTimersByTimeAsync(1);
    }
    await eventually(() => expect(searches()).toBe(5));
    await forgetter.stop();
    await vi.advanceTimersByTimeAsync(36_000_000);
    expect(searches()).toBe(5);
  });

  it('comes after as short a time as devices are kept, and never where they are kept for good', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const [short, never] = [await searching(60_000), await searching(0)];
    for (const { forgetter } of [short, never]) forgetter.start();
    await vi.advanceTimersByTimeAsync(59_999);
    expect(short.searches()).toBe(0);
    await vi.advanceTimersByTimeAsync(1);
    await eventually(() => expect(short.searches()).toBe(1));
    for (const { forgetter } of [short, never]) await forgetter.stop();
    expect(never.searches()).toBe(0);
  });
});
