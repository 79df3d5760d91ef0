import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { Eraser, type Part } from '../../src/fleet/privacy/eraser.ts';
import { ERASURES } from '../../src/fleet/privacy/erasure.ts';
import { forget } from '../../src/fleet/privacy/forget.ts';
import { type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import { Share } from '../../src/fleet/registry/owners.ts';
import type { ProfileStore } from '../../src/state/profile.ts';
import type { StateStore } from '../../src/state/store.ts';
import { Stores } from '../registry/stores.ts';
import { eventually } from '../support/wait.ts';

const stores = new Stores();
beforeAll(() => stores.start());
afterEach(() => stores.clear());
afterAll(() => stores.stop());

const known: Device = deviceSchema.parse({ id: 'gone', aliases: ['alias'] });

function erasing(store: StateStore, parts: Readonly<Record<string, Part>>, options: { instance?: string; now?: () => number } = {}) {
  const events: object[] = [];
  const eraser = new Eraser({
    store,
    instance: options.instance ?? 'one',
    now: options.now ?? Date.now,
    log: silentLog,
    device: async (id) => (id === 'gone' || id === 'alias' ? known : undefined),
    record: (device, event) => events.push({ device, ...event }),
    parts,
    pauseMs: 20,
  });
  eraser.start();
  onTestFinished(() => eraser.stop());
  return { eraser, events };
}

describe.each(['lmdb', 'redis'] as const)('erasing, with the state in %s', (kind) => {
  test('1, 2: is kept until every part has done it; one that fails is tried again and keeps no other', async () => {
    const store = await stores.open(kind);
    const asked: (readonly [string, unknown])[][] = [];
    let away = true;
    const { eraser, events } = erasing(store, {
      journal: async (_erasure, devices) => {
        asked.push([...devices]);
        return { entries: 3 };
      },
      clickhouse: async () => {
        if (away) throw new Error('it is away');
        return { positions: 7 };
      },
    });
    const { before, device } = await eraser.request('alias', 'somebody', 'keep');
    expect(device).toBe('gone');
    const found = await eventually(async () => {
      const erasure = await eraser.get('gone');
      if (erasure === undefined) throw new Error('it is not kept');
      expect(eraser.progress(erasure)).toEqual({ removed: { journal: { entries: 3 } }, waiting: ['clickhouse'], erased: 0 });
      return erasure;
    });
    expect(asked).toEqual([
      [
        ['gone', [{ from: 0, to: before, until: before }]],
        ['alias', [{ from: 0, to: before, until: before }]],
      ],
    ]);
    expect(events).toEqual([{ device: 'gone', type: 'erase_started', by: 'somebody', before, registry: 'keep' }]);
    expect(found.ids).toEqual(['gone', 'alias']);
    // A server that starts anew carries on, and does not do again what was done.
    await eraser.stop();
    away = false;
    const again = erasing(store, {
      journal: () => Promise.reject(new Error('this was done')),
      clickhouse: async () => ({ positions: 7 }),
    });
    await eventually(async () => {
      const erasure = ERASURES.read(await store.get('erasures', 'gone'));
      expect(erasure?.instances['one']).toEqual({
        removed: { journal: { entries: 3 }, clickhouse: { positions: 7 } },
        erased: expect.any(Number),
      });
    });
    await eventually(() =>
      expect(again.events).toEqual([
        { device: 'gone', type: 'erased', by: 'somebody', removed: { journal: { entries: 3 }, clickhouse: { positions: 7 } } },
      ]),
    );
  });

  test('4: another installation on the same store does its own part of it', async () => {
    const store = await stores.open(kind);
    const done: string[] = [];
    const partOf = (name: string): Record<string, Part> => ({
      journal: async () => {
        done.push(name);
        return {};
      },
    });
    const here = erasing(store, partOf('one'));
    erasing(await stores.open(kind), partOf('two'), { instance: 'two' });
    await here.eraser.request('gone', 'somebody', 'keep');
    await eventually(() => expect(done.sort()).toEqual(['one', 'two']));
    await eventually(async () => expect(Object.keys((await here.eraser.get('gone'))?.instances ?? {}).sort()).toEqual(['one', 'two']));
  });

  test('asked for again while it is running, it is done again, up to the later moment', async () => {
    const store = await stores.open(kind);
    let now = 1000;
    const moments: number[] = [];
    const held = Promise.withResolvers<void>();
    const parts: Record<string, Part> = {
      journal: async (_erasure, devices) => {
        moments.push(devices.get('other')?.[0]?.to ?? 0);
        if (moments.length === 1) await held.promise;
        return { entries: moments.length };
      },
    };
    const { eraser } = erasing(store, parts, { now: () => now });
    await eraser.request('other', 'somebody', 'keep');
    await eventually(() => expect(moments).toEqual([1000]));
    now = 2000;
    await eraser.request('other', 'somebody', 'remove');
    held.resolve();
    await eventually(async () => {
      const erasure = await eraser.get('other');
      expect(erasure).toMatchObject({ before: 2000, registry: 'remove', instances: { one: { removed: { journal: { entries: 2 } } } } });
    });
    expect(moments).toEqual([1000, 2000]);
  });

  test('3: of an account its times with the device are asked for, beside what was erased before; all of it covers them', async () => {
    const store = await stores.open(kind);
    let now = 1000;
    const { eraser } = erasing(store, { journal: async () => ({}) }, { now: () => now });
    const LATE = 60_000;
    const periods = [
      { account: 'acme', from: 10, to: 200_000 },
      { account: 'bolt', from: 200_000, to: 500_000 },
      { account: 'acme', from: 500_000 },
    ];
    const part = (account: string) =>
      eraser.requestPart({ id: 'gone', ids: ['gone', 'alias'], share: new Share('gone', periods, new Set([account])) }, 'desk');
    const own = (account: string, from: number, to: number, until: number) => ({ account, from, to, until });
    const whole = { from: 0, to: 1000, until: 1000 };
    await eraser.request('gone', 'somebody', 'keep');
    now = 300_000;
    expect(await part('acme')).toMatchObject({ account: 'acme', before: now, stretches: [whole, own('acme', 0, 200_000, 260_000), {}] });
    now = 900_000;
    const acme = [own('acme', 0, 200_000, 200_000 + LATE), own('acme', 500_000, now, now)];
    expect((await part('acme')).stretches).toEqual(expect.arrayContaining([whole, ...acme]));
    now = 990_000;
    const last = await eraser.request('alias', 'somebody', 'keep');
    expect([last.before, last.stretches, last.account]).toEqual([now, undefined, undefined]);
  });

  test('3: without an account that had the device nothing is erased', async () => {
    const store = await stores.open(kind);
    const { eraser } = erasing(store, { journal: async () => ({}) }, { now: () => 1000 });
    const periods = [{ account: 'bolt', from: 10 }];
    const part = (account: string) =>
      eraser.requestPart({ id: 'kept', ids: ['kept'], share: new Share('kept', periods, new Set([account])) }, 'desk');
    await expect(part('acme')).rejects.toThrow('no account is named that had the device kept');
    await expect(eraser.requestPart({ id: 'kept', ids: ['kept'], share: undefined }, 'desk')).rejects.toThrow('no account is named');
    expect(await store.get('erasures', 'kept')).toBeUndefined();
    expect(await part('bolt')).toMatchObject({ device: 'kept', account: 'bolt' });
  });

  test('the state store forgets the device, and nothing of another', async () => {
    const store: StateStore & Partial<ProfileStore> = await stores.open(kind);
    if (!isProfileStore(store)) throw new Error('no profiles');
    const command = (created: number): string => JSON.stringify({ id: 'c', state: 'queued', history: [], created });
    for (const id of ['gone', 'alias', 'gone2']) {
      await store.write(Array.from({ length: 700 }, (_, i) => ({ table: 'usage' as const, key: `${id} ${i}`, put: '{"bytes_in":1}' })));
      await store.write([
        { table: 'commands', key: `${id} a`, put: command(1) },
        { table: 'commands', key: `${id} b`, put: command(5000) },
        { table: 'finished', key: `${id} c`, put: command(1) },
        { table: 'settings', key: id, put: '{}' },
        { table: 'quarantine', key: id, put: '{}' },
        { table: 'policies', key: id, put: '{}' },
        { table: 'territory', key: id, put: 'home' },
        { table: 'silent', key: id, put: '{"since":1}' },
        { table: 'excess', key: id, put: '1' },
        { table: 'unit_facts', key: id, put: '{}' },
        { table: 'standing', key: id, put: '{}' },
        { table: 'submitted', key: id, put: 'b' },
        { table: 'service', key: id, put: '{}' },
        { table: 'unknown', key: `${id} d`, put: command(1) },
        { table: 'tests', key: `${id} e`, put: '{}' },
        { table: 'cases', key: `${id} 5`, put: '{}' },
      ]);
      store.remember(id, { codec: 'gt06', memo: 1, updated: 1 });
    }
    await store.write([
      { table: 'devices', key: 'gone', put: JSON.stringify(known) },
      { table: 'devices', key: 'gone2', put: JSON.stringify(deviceSchema.parse({ id: 'gone2' })) },
      { table: 'aliases', key: 'alias', put: 'gone' },
    ]);
    const erasure = { device: 'gone', ids: ['gone', 'alias'], before: 5000, by: 'me', registry: 'keep' as const, instances: {} };
    const ones = {
      settings: 2,
      quarantine: 2,
      policies: 2,
      territory: 2,
      silent: 2,
      excess: 2,
      unit_facts: 2,
      standing: 2,
      submitted: 2,
      profiles: 2,
    };
    const all = { usage: 1400, commands: 6, tests: 2, cases: 2, ...ones };
    expect(await forget(store, erasure)).toEqual(all);
    expect(await store.get('devices', 'gone')).toBeDefined();
    expect((await store.list('commands', { limit: 10 })).map(({ key }) => key)).toEqual(['alias b', 'gone b', 'gone2 a', 'gone2 b']);
    expect(await forget(store, { ...erasure, registry: 'remove' })).toEqual({
      usage: 0,
      commands: 0,
      tests: 0,
      cases: 0,
      settings: 0,
      quarantine: 0,
      policies: 0,
      territory: 0,
      silent: 0,
      excess: 0,
      unit_facts: 0,
      standing: 0,
      submitted: 0,
      profiles: 0,
      devices: 1,
    });
    expect([await store.get('devices', 'gone'), await store.get('aliases', 'alias')]).toEqual([undefined, undefined]);
    expect(await store.list('usage', { limit: 2000 })).toHaveLength(700);
    for (const table of [
      'settings',
      'quarantine',
      'policies',
      'territory',
      'silent',
      'excess',
      'unit_facts',
      'standing',
      'submitted',
      'devices',
      'service',
    ] as const)
      expect((await store.list(table, { limit: 9 })).map(({ key }) => key)).toEqual(['gone2']);
    const kept = await new Promise((resolve) => store.findProfile('gone2', resolve));
    const forgotten = await new Promise((resolve) => store.findProfile('gone', resolve));
    expect([kept, forgotten]).toEqual([{ codec: 'gt06', memo: 1, updated: 1 }, undefined]);
  });
});

function isProfileStore(store: StateStore): store is StateStore & ProfileStore {
  return 'findProfile' in store && 'forget' in store;
}
