import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { secretUrl } from '../../src/base/secret.ts';
import { planSchema } from '../../src/fleet/plan/plan.ts';
import { PlanCache } from '../../src/fleet/plan/plan-cache.ts';
import { openState } from '../../src/state/open.ts';
import type { Changed, StateStore } from '../../src/state/store.ts';
import { RedisServer } from '../ship/rig.ts';
import { eventually } from '../support/wait.ts';

let directory = '';
let redis: RedisServer | undefined;
let store: StateStore | undefined;
let service: PlanCache | undefined;

afterEach(async () => {
  await service?.close();
  await store?.close();
  await redis?.stop();
  redis = undefined;
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

async function open(kind: string): Promise<StateStore> {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-service-'));
  if (kind === 'Redis') redis = await RedisServer.start();
  store = await openState({ url: secretUrl(redis?.url ?? ''), prefix: 'fixgate:', directory, log: silentLog });
  return store;
}

const policy = (used_pct: number): string =>
  JSON.stringify({ cycle: 1, cycle_end: 2, used_pct, held: [{ action: 'discard', at_pct: 100 }], news: [] });

it('a table that is read while another is read anew keeps what changed meanwhile', async () => {
  const state = await open('lmdb');
  const basic = planSchema.parse({ name: 'basic', bytes_cap: 5 });
  await state.write([{ table: 'plans', key: 'basic', put: JSON.stringify(basic) }]);
  const read = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const listeners: Changed[] = [];
  const slow: StateStore = {
    mayBeAway: state.mayBeAway,
    find: (...args) => state.find(...args),
    get: (...args) => state.get(...args),
    write: (...args) => state.write(...args),
    update: (...args) => state.update(...args),
    close: () => state.close(),
    watch: (listener) => {
      listeners.push(listener);
      return state.watch(listener);
    },
    list: async (table, page) => {
      const found = await state.list(table, page);
      if (table === 'plans') {
        read.resolve();
        await release.promise;
      }
      return found;
    },
  };
  service = new PlanCache(slow, silentLog);
  const at = service;
  let tables = 0;
  at.onChange((device) => {
    if (device === undefined) tables++;
  });
  await read.promise;
  // Policies and settings; plans are held up.
  await eventually(() => expect(tables).toBe(2));
  for (const listener of listeners) listener('policies', undefined);
  await eventually(() => expect(tables).toBe(3));
  await state.write([{ table: 'plans', key: 'basic', put: JSON.stringify({ ...basic, bytes_cap: 7 }) }]);
  const before = tables;
  release.resolve();
  await eventually(() => expect(tables).toBeGreaterThan(before));
  await eventually(() => expect(at.plan('basic').bytes_cap).toBe(7));
});

describe.each(['lmdb', 'Redis'])('plans at hand, on %s', (kind) => {
  it('are read at the start, and follow every change', async () => {
    const state = await open(kind);
    const basic = planSchema.parse({ name: 'basic', bytes_cap: 5 });
    await state.write([
      { table: 'plans', key: 'basic', put: JSON.stringify(basic) },
      { table: 'policies', key: 'd01', put: policy(100) },
    ]);
    const told: (string | undefined)[] = [];
    service = new PlanCache(state, silentLog);
    service.onChange((device) => told.push(device));
    const at = service;
    await eventually(() => expect([at.plan('basic').bytes_cap, at.policy('d01')?.used_pct]).toEqual([5, 100]));
    // While tables are read for the first time, a change is told as one of everything.
    let probe = 0;
    await eventually(async () => {
      await state.write([{ table: 'policies', key: 'd00', put: policy(probe++) }]);
      expect(told).toContain('d00');
    });
    expect([at.plan('other').bytes_cap, at.plan(undefined).name, at.policy('d02')]).toEqual([undefined, 'default', undefined]);
    await state.write([
      { table: 'plans', key: 'basic', put: JSON.stringify({ ...basic, bytes_cap: 7 }) },
      { table: 'policies', key: 'd02', put: policy(120) },
      { table: 'policies', key: 'd01', remove: true },
    ]);
    await eventually(() => expect([at.plan('basic').bytes_cap, at.policy('d02')?.used_pct, at.policy('d01')]).toEqual([7, 120, undefined]));
    // Redis tells a new watcher once that anything may have changed: from then on it is by device.
    let used = 120;
    await eventually(async () => {
      await state.write(['d01', 'd02'].map((key) => ({ table: 'policies', key, put: policy(++used) })));
      expect(told).toEqual(expect.arrayContaining([undefined, 'd01', 'd02']));
    });
  });

  it('know how often a device is to report: as a command asked for, once that is confirmed', async () => {
    const state = await open(kind);
    const settings = (desired: object, reported: object): string => JSON.stringify({ desired, reported, pending: {} });
    const write = (id: string, text: string): Promise<boolean> => state.write([{ table: 'settings', key: id, put: text }]);
    await write('slowed', settings({ interval: 600 }, { interval: 600 }));
    await write('asked', settings({ interval: 600 }, {}));
    await write('hurried', settings({ interval: 10 }, { interval: 60 }));
    await write('zoned', settings({ time_zone: 60 }, { interval: 5 }));
    service = new PlanCache(state, silentLog);
    const at = service;
    const known = (usual: number): number[] => ['slowed', 'asked', 'hurried', 'zoned', 'other'].map((id) => at.programmed(id, usual));
    await eventually(() => expect(known(60)).toEqual([600, 60, 10, 60, 60]));
    expect(known(0)).toEqual([600, 600, 10, 0, 0]);
    await write('asked', settings({ interval: 600 }, { interval: 600 }));
    await state.write([{ table: 'settings', key: 'slowed', remove: true }]);
    await eventually(() => expect(known(60)).toEqual([60, 600, 10, 60, 60]));
  });

  it('remember what a device says of its card and firmware, and tell of what changes', async () => {
    const state = await open(kind);
    service = new PlanCache(state, silentLog);
    const at = service;
    const news: string[] = [];
    const say = (device: string, message: string, iccid: string, firmware = 'A'): void =>
      at.said(
        device,
        [
          { field: 'iccid', message, value: iccid },
          { field: 'firmware', message, value: firmware },
        ],
        ({ type, what, before, value }) => news.push(`${device} ${type} ${what} ${before} ${value}`),
      );
    const [one, two] = ['8949020000200000001', '8949020000200000002'];
    say('d01', 'login', one);
    say('d01', 'login', one);
    // Another message may write it another way.
    say('d01', 'info', `${one}F`, 'A (2026)');
    say('d02', 'login', '0000000000000000000', '');
    await eventually(async () => expect(await state.get('unit_facts', 'd01')).toContain('info'));
    say('d01', 'login', two);
    await eventually(() => expect(news).toEqual([`d01 sim_changed iccid ${one} ${two}`]));
    // One with two cards is told of once.
    say('d01', 'login', one);
    say('d01', 'login', two, 'B');
    await eventually(() => expect(news).toHaveLength(2));
    expect(news[1]).toBe('d01 unit_changed firmware A B');
    expect(await state.get('unit_facts', 'd02')).toBeUndefined();
    // Also another worker knows.
    const other = new PlanCache(state, silentLog);
    const told: unknown[] = [];
    other.said('d01', [{ field: 'iccid', message: 'login', value: two }], (one_) => told.push(one_));
    other.said('d01', [{ field: 'iccid', message: 'login', value: '8949020000200000003' }], (one_) => told.push(one_));
    await eventually(() => expect(told).toHaveLength(1));
    await other.close();
  });

  it('know up to when a device was erased, by each of its ids', async () => {
    const state = await open(kind);
    const erasure = (before: number): string => JSON.stringify({ device: 'd01', ids: ['d01', 'a01'], before });
    await state.write([{ table: 'erasures', key: 'd01', put: erasure(5) }]);
    service = new PlanCache(state, silentLog);
    const at = service;
    const known = (): unknown[] => ['d01', 'a01', 'd02'].map((id) => at.erased(id)?.[0]?.to ?? 0);
    await eventually(() => expect(known()).toEqual([5, 5, 0]));
    await state.write([{ table: 'erasures', key: 'd01', put: erasure(7) }]);
    await eventually(() => expect(known()).toEqual([7, 7, 0]));
    // Of another device's row with the same alias, and of an account's time only.
    const part = { from: 8, to: 9, until: 9, account: 'acme' };
    await state.write([
      { table: 'erasures', key: 'd02', put: JSON.stringify({ device: 'd02', ids: ['d02', 'a01'], before: 10, stretches: [part] }) },
    ]);
    await eventually(() => expect(at.erased('a01')).toEqual([{ from: 0, to: 7, until: 7 }, part]));
  });

  it('miss no change of many at once', async () => {
    const state = await open(kind);
    service = new PlanCache(state, silentLog);
    const at = service;
    const devices = Array.from({ length: 3_000 }, (_, n) => `d${String(n).padStart(5, '0')}`);
    for (const round of [101, 102])
      for (let from = 0; from < devices.length; from += 1_500)
        await state.write(devices.slice(from, from + 1_500).map((key) => ({ table: 'policies', key, put: policy(round) }) as const));
    await eventually(() => expect(devices.filter((device) => at.policy(device)?.used_pct !== 102)).toEqual([]));
  });

  it('remember where a device was roaming', async () => {
    const state = await open(kind);
    service = new PlanCache(state, silentLog);
    service.seen('d01');
    service.roams('d01', true);
    await eventually(async () => expect(await state.get('territory', 'd01')).toBe('roaming'));
    const next = new PlanCache(state, silentLog);
    const seen = next.seen('d01');
    await eventually(() => expect(seen.territory?.roaming).toBe(true));
    await next.close();
  });

  it('know where a device that they have seen before was with another', async () => {
    const state = await open(kind);
    service = new PlanCache(state, silentLog);
    const next = new PlanCache(state, silentLog);
    const seen = [service.seen('d01'), next.seen('d01')];
    const sides = (): unknown[] => seen.map(({ territory }) => territory?.roaming);
    await eventually(() => expect(sides()).toEqual([false, false]));
    for (const [one, roaming] of [
      [service, true],
      [next, false],
    ] as const) {
      one.roams('d01', roaming);
      await eventually(() => expect(sides()).toEqual([roaming, roaming]));
    }
    await next.close();
  });
});
