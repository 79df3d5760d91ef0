import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { silentLog } from '../../src/base/log.ts';
import { loadConfig } from '../../src/config/load.ts';
import { Holds } from '../../src/fleet/privacy/hold.ts';
import { RETAINED } from '../../src/fleet/privacy/retained.ts';
import { type Cutoff, type OldRows, Retention } from '../../src/fleet/privacy/retention.ts';
import type { Rule } from '../../src/fleet/privacy/retention-rules.ts';
import { ACCOUNTS, accountSchema } from '../../src/fleet/registry/account.ts';
import { DEVICES, deviceSchema } from '../../src/fleet/registry/device.ts';
import { OWNERS } from '../../src/fleet/registry/owners.ts';
import type { StateStore, Table } from '../../src/state/store.ts';
import { interposed, times } from '../helpers/interposed-store.ts';
import { Stores } from '../registry/stores.ts';
import { eventually, remains } from '../support/wait.ts';

const stores = new Stores();
beforeAll(() => stores.start());
afterEach(() => stores.clear());
afterAll(() => stores.stop());

const DAY = 86_400_000;
const NOW = 1_796_000_000_000;
const CASE = { reference: 'AZ 1', reason: 'court order' };

/** What a run has asked the tables and the eraser for. */
interface Asked {
  /** Before when: of all tables, and of `raw`. */
  readonly looked: (readonly [before: number | undefined, rawBefore: number])[];
  readonly removed: { table: string; cutoffs: readonly Cutoff[] }[];
  readonly erased: { id: string; account: string }[];
  readonly events: object[];
  readonly last: string[];
  held: number;
}

function retaining(
  store: StateStore,
  old: readonly OldRows[],
  {
    plans = {},
    ended = {},
    now = () => NOW,
    remove = async () => {},
    forgetLast = async () => {},
    instance = 'one',
    refuses = false,
    everyMs = DAY,
  }: {
    plans?: Readonly<Record<string, Rule>>;
    ended?: Readonly<Record<string, number>>;
    now?: () => number;
    remove?: (table: string) => Promise<void>;
    forgetLast?: () => Promise<void>;
    instance?: string;
    refuses?: boolean;
    everyMs?: number;
  } = {},
): { retention: Retention; asked: Asked } {
  const asked: Asked = { looked: [], removed: [], erased: [], events: [], last: [], held: 0 };
  const retention = new Retention({
    store,
    instance,
    now,
    log: silentLog,
    everyMs,
    rawDays: loadConfig({ env: {} }).config.evidence.keepDays,
    plans: async () => new Map(Object.entries(plans)),
    tables: {
      async old(...before) {
        asked.looked.push(before);
        return old;
      },
      async remove(table, cutoffs) {
        await remove(table);
        asked.removed.push({ table, cutoffs });
        return cutoffs.length;
      },
    },
    eraser: {
      async requestPart({ id, share }, by) {
        if (refuses) throw new AppError('UNDER_HOLD', 'held');
        const [account = ''] = share?.accounts ?? [];
        asked.erased.push({ id, account });
        return { device: id, ids: [id], before: NOW, by, registry: 'keep', instances: {} };
      },
    },
    ended: async (device) => ended[device],
    async forgetLast(devices) {
      await forgetLast();
      asked.last.push(...devices.keys());
    },
    record: (event) => void asked.events.push(event),
    count: () => {},
    held(devices) {
      asked.held = devices;
    },
  });
  return { retention, asked };
}

const row = (table: string, device: string, account: string, days: number): OldRows => ({
  table,
  device,
  account,
  oldest: NOW - days * DAY,
});

async function fleet(store: StateStore): Promise<void> {
  await store.write([
    ACCOUNTS.put(accountSchema.parse({ id: 'acme', retention: { keep_days: 30, erase_after_end_days: 10 } }), 'acme'),
    ACCOUNTS.put(accountSchema.parse({ id: 'bolt' }), 'bolt'),
    DEVICES.put(deviceSchema.parse({ id: 'car', account: 'bolt', plan: 'gold', first_seen: 1 }), 'car'),
    DEVICES.put(deviceSchema.parse({ id: 'van', account: 'acme', plan: 'gold', first_seen: 1 }), 'van'),
    OWNERS.put(
      [
        { account: 'acme', from: 1, to: NOW - 20 * DAY },
        { account: 'bolt', from: NOW - 20 * DAY },
      ],
      'car',
    ),
  ]);
}

test('it is done again and again until it is stopped, which waits for what is under way', async () => {
  const store = await stores.open('lmdb');
  await fleet(store);
  let time = NOW;
  const now = (): number => (time += 10);
  const again = retaining(store, [], { everyMs: 5, now });
  again.retention.start();
  await eventually(() => expect(again.asked.looked.length).toBeGreaterThan(2));
  await again.retention.stop();
  const { length } = again.asked.looked;
  await remains(() => expect(again.asked.looked).toHaveLength(length), 100);

  const [started, removed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const remove = (): Promise<void> => {
    started.resolve();
    return removed.promise;
  };
  // More devices than one step has.
  const many = Array.from({ length: 1_500 }, (_, n) => row('positions', `car-${n}`, 'acme', 31));
  const busy = retaining(store, many, { everyMs: 5, now, remove, instance: 'two' });
  busy.retention.start();
  await started.promise;
  let isStopped = false;
  const stopped = busy.retention.stop().then(() => (isStopped = true));
  await remains(() => expect(isStopped).toBe(false), 50);
  removed.resolve();
  await stopped;
  expect(busy.asked.removed).toHaveLength(1);
  expect(busy.asked.removed[0]?.cutoffs.length).toBeLessThan(many.length);
});

describe.each(['lmdb', 'redis'] as const)('retention, with the state in %s', (kind) => {
  test('1: the number of the account at receipt counts, else that of the plan; without either all is kept', async () => {
    const store = await stores.open(kind);
    await fleet(store);
    const old = [
      row('positions', 'car', 'acme', 31),
      row('positions', 'car', 'bolt', 31),
      row('positions', 'van', 'acme', 29),
      row('last_positions', 'car', '', 40),
      row('positions', 'gone', '', 500),
    ];
    const { retention, asked } = retaining(store, old);
    await retention.run();
    const before = NOW - 30 * DAY;
    expect(asked.removed).toEqual([
      { table: 'positions', cutoffs: [{ device: 'car', account: 'acme', before, billed: before }] },
      { table: 'last_positions', cutoffs: [{ device: 'car', account: '', before, billed: before }] },
    ]);
    expect(asked.last).toEqual(['car']);
    const more = retaining(store, old, { plans: { gold: { keep_days: 7 }, default: { keep_days: 400 } } });
    await more.retention.run();
    expect(more.asked.removed[0]?.cutoffs.map(({ device, account, before: of }) => [device, account, (NOW - of) / DAY])).toEqual([
      ['car', 'acme', 30],
      ['car', 'bolt', 7],
      ['gone', '', 400],
    ]);
    expect(more.asked.events).toMatchObject([{ type: 'retention', removed: { positions: 3, last_positions: 1 }, devices: 2, held: 0 }]);
  });

  test('1: raw frames of evidence go after 400 days where no rule says less, and nothing else is asked for then', async () => {
    const store = await stores.open(kind);
    const old = [row('raw', 'car', 'acme', 401), row('raw', 'van', 'acme', 399)];
    const { retention, asked } = retaining(store, old);
    await retention.run();
    const before = NOW - 400 * DAY;
    expect(asked.looked).toEqual([[undefined, before]]);
    expect(asked.removed).toEqual([{ table: 'raw', cutoffs: [{ device: 'car', account: 'acme', before, billed: before }] }]);
    expect(asked.events).toMatchObject([{ type: 'retention', removed: { raw: 1 }, held: 0 }]);
    // Earlier where a rule says so, and no later where it says more.
    const short = retaining(store, old, { plans: { default: { keep_days: 30 } } });
    await short.retention.run();
    expect(short.asked.looked).toEqual([[NOW - 30 * DAY, NOW - 30 * DAY]]);
    expect(short.asked.removed[0]?.cutoffs.map(({ device }) => device)).toEqual(['car', 'van']);
    const long = retaining(store, old, { plans: { default: { keep_days: 900 } } });
    await long.retention.run();
    expect(long.asked.looked).toEqual([[NOW - 900 * DAY, before]]);
    expect(long.asked.removed[0]?.cutoffs.map(({ device }) => device)).toEqual(['car']);
  });

  test('2: raw frames of what is under a hold stay, and none can be set while they go', async () => {
    const store = await stores.open(kind);
    const holds = new Holds({ store, now: () => NOW, device: async () => undefined });
    await holds.set('van', CASE, 'me');
    const { retention, asked } = retaining(store, [row('raw', 'car', '', 401), row('raw', 'van', '', 401)], {
      remove: async () => expect(await holds.set('car', CASE, 'me')).toBeUndefined(),
    });
    await retention.run();
    expect([asked.removed.flatMap(({ cutoffs }) => cutoffs.map(({ device }) => device)), asked.held]).toEqual([['car'], 1]);
  });

  test('2: what is under a hold stays; while rows go, none can be set', async () => {
    const store = await stores.open(kind);
    await fleet(store);
    const holds = new Holds({ store, now: () => NOW, device: async () => undefined });
    await holds.set('van', CASE, 'me');
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const remove = async (): Promise<void> => {
      begun.resolve();
      await gate.promise;
    };
    const { retention, asked } = retaining(store, [row('positions', 'van', 'acme', 50), row('positions', 'car', 'acme', 50)], { remove });
    const running = retention.run();
    await begun.promise;
    expect(await holds.set('car', CASE, 'me')).toBeUndefined();
    gate.resolve();
    await running;
    expect([asked.removed.flatMap(({ cutoffs }) => cutoffs.map(({ device }) => device)), asked.held]).toEqual([['car'], 1]);
    expect(asked.events).toMatchObject([{ held: 1, removed: { positions: 1 } }]);
    expect(await holds.set('car', CASE, 'me')).toMatchObject({ hold: CASE });
    // One that was killed in between does not keep it for ever.
    await store.write([RETAINED.put({ usage: 0, running: [{ by: 'killed', until: NOW }] }, 'bus')]);
    expect(await holds.set('bus', CASE, 'me')).toMatchObject({ hold: CASE });
  });

  test('2: a hold that was set when a claim had run out, because ClickHouse was busy for long, wins', async () => {
    const store = await stores.open(kind);
    await fleet(store);
    let now = NOW;
    const holds = new Holds({ store, now: () => now, device: async () => undefined });
    const tables = ['positions', 'statuses', 'last_positions'];
    const { retention, asked } = retaining(
      store,
      tables.map((table) => row(table, 'car', 'acme', 50)),
      {
        now: () => now,
        async remove() {
          now += 3_600_000;
          expect(await holds.set('car', CASE, 'me')).toMatchObject({ hold: CASE });
        },
      },
    );
    await retention.run();
    expect([asked.removed, asked.last, asked.held]).toMatchObject([[{ table: 'positions' }], [], 1]);
  });

  test('2: of a hold and a removal at the same moment one waits for the other', async () => {
    const store = await stores.open(kind);
    await fleet(store);
    const holds = new Holds({ store, now: () => NOW, device: async () => undefined });
    for (let round = 0; round < 20; round++) {
      let isHeld = false;
      const { retention, asked } = retaining(store, [row('positions', 'car', 'acme', 50)], {
        remove: async () => {
          expect([round, isHeld]).toEqual([round, false]);
        },
      });
      const setting = holds.set('car', CASE, 'me').then((set) => {
        isHeld = set !== undefined;
      });
      await Promise.all([retention.run(), setting]);
      expect([round, isHeld || asked.removed.length === 1]).toEqual([round, true]);
      await holds.end('car');
    }
  });

  test('2: of several servers on one store, a hold waits for the last', async () => {
    const store = await stores.open(kind);
    await fleet(store);
    const holds = new Holds({ store, now: () => NOW, device: async () => undefined });
    const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const old = [row('positions', 'car', 'acme', 50)];
    const slow = retaining(store, old, {
      async remove() {
        begun.resolve();
        await gate.promise;
      },
    });
    const running = slow.retention.run();
    await begun.promise;
    // Another one begins later and has ended earlier; then so does the same one, killed meanwhile and started anew.
    for (const instance of ['two', 'one']) {
      const quick = retaining(await stores.open(kind), old, { instance });
      await quick.retention.run();
      expect([instance, quick.asked.removed.length, await holds.set('car', CASE, 'me')]).toEqual([instance, 1, undefined]);
    }
    gate.resolve();
    await running;
    expect(await holds.set('car', CASE, 'me')).toMatchObject({ hold: CASE });
    expect(await RETAINED.get(store, 'car')).toBeUndefined();
  });

  test.each(['hold', 'claim'])('2: a %s of somebody else between the look and the claim counts', async (what) => {
    const [store, other] = [await stores.open(kind), await stores.open(kind)];
    await fleet(store);
    const holds = new Holds({ store: other, now: () => NOW, device: async () => undefined });
    const [begun, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const old = [row('positions', 'car', 'acme', 50)];
    const slow = retaining(other, old, {
      instance: 'two',
      async remove() {
        begun.resolve();
        await gate.promise;
      },
    });
    let theirs: Promise<unknown> = Promise.resolve();
    const happens = async (): Promise<void> => {
      if (what === 'hold') {
        await holds.set('car', CASE, 'me');
        return;
      }
      theirs = slow.retention.run();
      await begun.promise;
    };
    const { retention, asked } = retaining(interposed(store, { beforeWrite: times(1, 'retained', happens) }), old);
    await retention.run();
    expect(asked.removed).toHaveLength(what === 'hold' ? 0 : 1);
    if (what === 'claim') expect(await holds.set('car', CASE, 'me')).toBeUndefined();
    gate.resolve();
    await theirs;
    expect(await holds.set('car', CASE, 'me')).toBeDefined();
  });

  test('2: a hold that was set when the claim had run out keeps what is in the state store', async () => {
    const store = await stores.open(kind);
    await fleet(store);
    await store.write([{ table: 'finished', key: 'car a', put: JSON.stringify({ ended: NOW - 50 * DAY }) }]);
    let now = NOW;
    const holds = new Holds({ store, now: () => now, device: async () => undefined });
    const { retention, asked } = retaining(store, [row('last_positions', 'car', 'acme', 50)], {
      now: () => now,
      async forgetLast() {
        now += 3_600_000;
        expect(await holds.set('car', CASE, 'me')).toMatchObject({ hold: CASE });
      },
    });
    await retention.run();
    expect([(await store.list('finished', { limit: 9 })).map(({ key }) => key), asked.held]).toEqual([['car a'], 1]);
    expect(await RETAINED.get(store, 'car')).toBeUndefined();
  });

  test('2: a hold set just before the end of a step keeps what is in the state store', async () => {
    const [store, other] = [await stores.open(kind), await stores.open(kind)];
    await fleet(store);
    await store.write([{ table: 'finished', key: 'car a', put: JSON.stringify({ ended: NOW - 50 * DAY }) }]);
    let now = NOW;
    const holds = new Holds({ store: other, now: () => now, device: async () => undefined });
    const between = async (): Promise<void> => {
      now += 3_600_000;
      expect(await holds.set('car', CASE, 'me')).toMatchObject({ hold: CASE });
    };
    const slow = interposed(store, { beforeWrite: times(1, 'finished', between) });
    const { retention, asked } = retaining(slow, [], { now: () => now });
    await retention.run();
    expect([(await store.list('finished', { limit: 9 })).map(({ key }) => key), asked.held]).toEqual([['car a'], 1]);
  });

  test('2: what was stored under an id that the device has got since the hold stays, too', async () => {
    const store = await stores.open(kind);
    await fleet(store);
    await new Holds({ store, now: () => NOW, device: async () => undefined }).set('van', CASE, 'me');
    await store.write([DEVICES.put(deviceSchema.parse({ id: 'van', aliases: ['old'], account: 'acme', plan: 'gold' }), 'van')]);
    const { retention, asked } = retaining(store, [row('positions', 'old', 'acme', 50), row('positions', 'van', 'acme', 50)]);
    await retention.run();
    expect([asked.removed, asked.held]).toEqual([[], 2]);
  });

  test('3: that usage went is noted before it goes, also where the rest fails', async () => {
    const store = await stores.open(kind);
    await fleet(store);
    await store.write([{ table: 'usage', key: `van ${NOW - 31 * DAY}`, put: '{}' }]);
    const { retention } = retaining(store, [row('usage', 'van', 'acme', 80), row('raw', 'van', 'acme', 80)], {
      async remove(table) {
        if (table === 'raw') throw new AppError('SINK_UNREACHABLE', 'away');
      },
    });
    await expect(retention.run()).rejects.toMatchObject({ code: 'SINK_UNREACHABLE' });
    expect(await RETAINED.get(store, 'van')).toMatchObject({ usage: NOW - 31 * DAY });
  });

  test('a run that finds nothing says nothing', async () => {
    const { retention, asked } = retaining(await stores.open(kind), []);
    await retention.run();
    expect([asked.events, asked.removed]).toEqual([[], []]);
  });

  test('a claim of an earlier version is read', async () => {
    const store = await stores.open(kind);
    await store.write([{ table: 'retained', key: 'car', put: `{"usage":5,"running":{"by":"one","until":${NOW + 1}}}` }]);
    let now = NOW;
    const holds = new Holds({ store, now: () => now, device: async () => undefined });
    expect(await holds.set('car', CASE, 'me')).toBeUndefined();
    now++;
    expect(await holds.set('car', CASE, 'me')).toBeDefined();
  });

  test('3: usage, and events that a statement is made of, stay until it is frozen', async () => {
    const store = await stores.open(kind);
    await fleet(store);
    const [frozen, open] = [NOW - 90 * DAY, NOW - 60 * DAY];
    await store.write([
      { table: 'usage', key: `van ${frozen}`, put: '{}' },
      { table: 'statements', key: `van ${frozen}`, put: '{}' },
      { table: 'usage', key: `van ${open}`, put: '{}' },
    ]);
    const { retention, asked } = retaining(store, [row('usage', 'van', 'acme', 80), row('events', 'van', 'acme', 80)]);
    await retention.run();
    const before = NOW - 30 * DAY;
    const cutoffs = [{ device: 'van', account: 'acme', before, billed: open }];
    expect(asked.removed).toEqual([
      { table: 'usage', cutoffs },
      { table: 'events', cutoffs },
    ]);
    expect(await RETAINED.get(store, 'van')).toEqual({ usage: open });
  });

  test('1: what has ended in the state store goes, and nothing that goes on', async () => {
    const store = await stores.open(kind);
    await fleet(store);
    const ended = (days: number): string => JSON.stringify({ ended: NOW - days * DAY });
    await store.write([
      { table: 'finished', key: 'van a', put: ended(31) },
      { table: 'finished', key: 'van b', put: ended(29) },
      { table: 'tests', key: 'van a', put: ended(31) },
      { table: 'tests', key: 'van b', put: '{"ended":0}' },
      { table: 'cases', key: 'van 5', put: ended(31) },
      { table: 'cases', key: 'car 5', put: ended(15) },
      { table: 'campaigns', key: 'c1', put: ended(31) },
      { table: 'campaign_devices', key: 'c1 van', put: '{}' },
      { table: 'campaign_devices', key: 'c2 van', put: '{}' },
    ]);
    const { retention, asked } = retaining(store, []);
    await retention.run();
    const left = async (table: 'finished' | 'tests' | 'cases' | 'campaign_devices'): Promise<string[]> =>
      (await store.list(table, { limit: 9 })).map(({ key }) => key);
    expect([await left('finished'), await left('tests'), await left('cases'), await left('campaign_devices')]).toEqual([
      ['van b'],
      ['van b'],
      ['car 5'],
      ['c2 van'],
    ]);
    expect(asked.events).toMatchObject([{ removed: { finished: 1, tests: 1, cases: 1, campaign_devices: 1 } }]);
  });

  test('4: so long after the end what is of that time is erased, once; a hold is counted', async () => {
    const store = await stores.open(kind);
    await fleet(store);
    const ended = { van: NOW - 11 * DAY };
    const { retention, asked } = retaining(store, [], { ended });
    await retention.run();
    expect(asked.erased).toEqual([
      { id: 'car', account: 'acme' },
      { id: 'van', account: 'acme' },
    ]);
    const part = { from: 0, to: NOW - 20 * DAY, until: NOW - 19 * DAY, account: 'acme' };
    for (const device of ['car', 'van']) {
      const erasure = { device, ids: [device], before: NOW, stretches: [part], by: 'retention', registry: 'keep', instances: {} };
      await store.write([{ table: 'erasures', key: device, put: JSON.stringify(erasure) }]);
    }
    const again = retaining(store, [], { ended });
    await again.retention.run();
    // What came after the first erasure of the van is of before its end.
    expect(again.asked.erased).toEqual([{ id: 'van', account: 'acme' }]);
    const early = retaining(store, [], { ended: { van: NOW - 9 * DAY } });
    await early.retention.run();
    expect(early.asked.erased).toEqual([]);
    const held = retaining(store, [], { ended, refuses: true });
    await held.retention.run();
    expect([held.asked.held, held.asked.events]).toEqual([1, [expect.objectContaining({ held: 1, erasing: 0 })]]);
    // So long after the account was closed, too.
    const closed = accountSchema.parse({ id: 'bolt', state: 'closed', since: NOW - 5 * DAY, retention: { erase_after_end_days: 5 } });
    await store.write([ACCOUNTS.put(closed, 'bolt')]);
    const over = retaining(store, []);
    await over.retention.run();
    expect(over.asked.erased).toEqual([{ id: 'car', account: 'bolt' }]);
  });

  test('4: so long after the end as the plan says, where the account says nothing', async () => {
    const store = await stores.open(kind);
    await store.write([
      ACCOUNTS.put(accountSchema.parse({ id: 'bolt' }), 'bolt'),
      DEVICES.put(deviceSchema.parse({ id: 'car', account: 'bolt', plan: 'gold', first_seen: 1 }), 'car'),
    ]);
    const ended = { car: NOW - 11 * DAY };
    const { retention, asked } = retaining(store, [], { ended, plans: { gold: { erase_after_end_days: 10 } } });
    await retention.run();
    expect(asked.erased).toEqual([{ id: 'car', account: 'bolt' }]);
    const early = retaining(store, [], { ended, plans: { gold: { erase_after_end_days: 12 } } });
    await early.retention.run();
    expect(early.asked.erased).toEqual([]);
  });

  test('4: a device that is removed while it is looked at is not erased: whose it was is not known any more', async () => {
    const store = await stores.open(kind);
    await store.write([DEVICES.put(deviceSchema.parse({ id: 'bus', first_seen: 1 }), 'bus')]);
    const rule = { ended: { bus: NOW - 20 * DAY }, plans: { default: { erase_after_end_days: 10 } } };
    const beforeRead = async (table: Table, key: string | undefined): Promise<void> => {
      if (table === 'devices' && key === 'bus') await store.write([DEVICES.remove('bus')]);
    };
    const there = retaining(store, [], rule);
    await there.retention.run();
    expect(there.asked.erased).toEqual([{ id: 'bus', account: '' }]);
    const removed = retaining(interposed(store, { beforeRead }), [], rule);
    await removed.retention.run();
    expect([removed.asked.erased, removed.asked.events]).toEqual([[], []]);
  });

  test('4: an account that is reopened while rows are removed keeps what it has', async () => {
    const store = await stores.open(kind);
    await fleet(store);
    const bolt = { id: 'bolt', retention: { keep_days: 30, erase_after_end_days: 5 } };
    await store.write([ACCOUNTS.put(accountSchema.parse({ ...bolt, state: 'closed', since: NOW - 5 * DAY }), 'bolt')]);
    const reopen = async (): Promise<void> => {
      await store.write([ACCOUNTS.put(accountSchema.parse({ ...bolt, state: 'active', since: NOW }), 'bolt')]);
    };
    const { retention, asked } = retaining(store, [row('positions', 'car', 'bolt', 40)], { remove: reopen });
    await retention.run();
    expect([asked.removed.length, asked.erased.filter(({ account }) => account === 'bolt')]).toEqual([1, []]);
  });
});
