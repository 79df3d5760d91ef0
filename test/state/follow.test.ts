import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { type Following, follow, followKeys } from '../../src/state/follow.ts';
import type { ProfileStore } from '../../src/state/profile.ts';
import type { Op, StateStore } from '../../src/state/store.ts';
import { byId, TypedTable } from '../../src/state/table.ts';
import { interposed, times } from '../helpers/interposed-store.ts';
import { Stores } from '../registry/stores.ts';
import { RedisServer } from '../ship/rig.ts';
import { eventually } from '../support/wait.ts';

/** Numbers quote the invariants of src/state/follow.ts. */

const stores = new Stores();
const following: Following[] = [];
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(async () => {
  for (const one of following.splice(0)) await one.stop();
  await stores.clear();
});

/** A text of digits is a row, everything else is damage. */
const NUMBERS = new TypedTable<number>({
  name: 'settings',
  key: byId,
  parse: (text) => (/^\d+$/.test(text) ? Number(text) : undefined),
  text: String,
});
const put = (key: string, n: number): Op => NUMBERS.put(n, key);

/** What a follower has been told: all that it knows, and each call. */
class Told {
  readonly known = new Map<string, number>();
  readonly calls: string[] = [];
  fails = 0;

  all(rows: ReadonlyMap<string, number>): void {
    this.#mayFail();
    this.calls.push(`all ${[...rows].map(([key, n]) => `${key}=${n}`).join(' ')}`.trim());
    this.known.clear();
    for (const [key, n] of rows) this.known.set(key, n);
  }

  changed(key: string, n: number | undefined): void {
    this.#mayFail();
    this.calls.push(`${key}=${n}`);
    if (n === undefined) this.known.delete(key);
    else this.known.set(key, n);
  }

  #mayFail(): void {
    if (this.fails > 0) {
      this.fails--;
      throw new Error('the follower fails');
    }
  }
}

function told(store: StateStore): Told {
  const one = new Told();
  following.push(follow(store, NUMBERS, one, silentLog));
  return one;
}

const values = (one: Told): Record<string, number> => Object.fromEntries([...one.known].sort(([a], [b]) => (a < b ? -1 : 1)));

describe.each(['lmdb', 'redis'] as const)('a follower of a table in %s', (kind) => {
  const open = (): Promise<StateStore & ProfileStore> => stores.open(kind);

  it('1: gets all rows, then every change, by this process and others', async () => {
    const [store, other] = [await open(), await open()];
    await store.write([put('a', 1), put('b', 2)]);
    const one = told(store);
    await eventually(() => expect(values(one)).toEqual({ a: 1, b: 2 }));
    await other.write([put('a', 3), put('c', 4), NUMBERS.remove('b')]);
    await eventually(() => expect(values(one)).toEqual({ a: 3, c: 4 }));
    expect(one.calls[0]).toBe('all a=1 b=2');
  });

  it('1: a change between the first reading and the watch is not missed: the watch comes first', async () => {
    const store = await open();
    await store.write([put('a', 1)]);
    const order: string[] = [];
    const slow = interposed(store, {
      beforeWatch: () => order.push('watch'),
      beforeRead: () => order.push('read'),
      afterRead: times(1, 'settings', () => store.write([put('a', 2), put('b', 1)])),
    });
    const one = told(slow);
    await eventually(() => expect(values(one)).toEqual({ a: 2, b: 1 }));
    expect([one.calls[0], order[0]]).toEqual(['all a=1', 'watch']);
  });

  it('1, 2: what changes while a row is read is read again, and never goes back', async () => {
    const store = await open();
    const one = told(interposed(store, { afterRead: times(20, 'settings', () => store.update('settings', 'a', next)) }));
    await eventually(async () => expect(values(one)).toEqual({ a: Number(await store.get('settings', 'a')) }));
    await eventually(() => expect(one.known.get('a')).toBe(20));
    const seen = one.calls.map((call) => Number(/a=(\d+)/.exec(call)?.[1] ?? 0));
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  });

  it('1: all rows are read again when any may have changed', async () => {
    const store = await open();
    await store.write([put('gone', 1)]);
    const one = told(store);
    await eventually(() => expect(values(one)).toEqual({ gone: 1 }));
    const many = Array.from({ length: 1_500 }, (_, n) => put(`k${n}`, n));
    await store.write([...many, NUMBERS.remove('gone')]);
    await eventually(() => expect([one.known.size, one.known.get('k1499'), one.known.has('gone')]).toEqual([1_500, 1_499, false]));
  });

  it('3: readings that fail are repeated, and what was known holds meanwhile', async () => {
    const store = await open();
    await store.write([put('a', 1)]);
    let failing = 2;
    const one = told(
      interposed(store, {
        beforeRead: () => {
          if (failing-- > 0) throw new Error('the store is away');
        },
      }),
    );
    await eventually(() => expect(values(one)).toEqual({ a: 1 }));
    failing = 1;
    await store.write([put('a', 2)]);
    await eventually(() => expect(values(one)).toEqual({ a: 2 }));
    expect(failing).toBeLessThan(0);
  });

  it('3: a follower that throws is called again, for all rows and for one', async () => {
    const store = await open();
    await store.write([put('a', 1)]);
    const one = new Told();
    one.fails = 1;
    following.push(follow(store, NUMBERS, one, silentLog));
    await eventually(() => expect(values(one)).toEqual({ a: 1 }));
    one.fails = 1;
    await store.write([put('a', 2), put('b', 1)]);
    await eventually(() => expect(values(one)).toEqual({ a: 2, b: 1 }));
  });

  it('3: the log has what a follower throws of one row', async () => {
    const store = await open();
    const warned: object[] = [];
    const thrown = { all: () => {}, changed: () => Promise.reject(new Error('this row cannot be taken')) };
    following.push(follow(store, NUMBERS, thrown, { ...silentLog, warn: (fields) => void warned.push(fields) }));
    // Written more than once: what redis says before it is listened to comes with all rows, and not as a change.
    await eventually(async () => {
      await store.write([put('a', 1)]);
      expect(warned).toMatchObject([{ error: 'this row cannot be taken' }]);
    });
  });

  it('4: a damaged row is none, is named in the log, and hides no other', async () => {
    const store = await open();
    await store.write([put('a', 1), { table: 'settings', key: 'bad', put: '{"secret' }]);
    const lines: unknown[] = [];
    const one = new Told();
    following.push(follow(store, NUMBERS, one, { ...silentLog, warn: (fields) => lines.push(fields) }));
    await eventually(() => expect(values(one)).toEqual({ a: 1 }));
    await store.write([{ table: 'settings', key: 'a', put: 'no number' }, put('c', 3)]);
    await eventually(() => expect(values(one)).toEqual({ c: 3 }));
    expect(lines[0]).toMatchObject({ table: 'settings', key: 'bad' });
    expect(JSON.stringify(lines)).not.toContain('secret');
  });

  it('5: after stop() nothing is called any more, also when it is called in the middle of a reading', async () => {
    const store = await open();
    await store.write([put('a', 1)]);
    const reading = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const one = new Told();
    const slow = interposed(store, {
      afterRead: () => {
        reading.resolve();
        return release.promise;
      },
    });
    const ends = follow(slow, NUMBERS, one, silentLog);
    await reading.promise;
    const stopped = ends.stop();
    release.resolve();
    await stopped;
    await store.write([put('a', 2)]);
    const next = told(store);
    await eventually(() => expect(values(next)).toEqual({ a: 2 }));
    expect(one.calls).toEqual([]);
  });

  it('keys: a listener that throws keeps no other from being told', async () => {
    const store = await open();
    const [first, second] = [new Set<string>(), new Set<string>()];
    const unwatch = [
      followKeys(
        store,
        ['settings'],
        (table, key) => {
          first.add(`${table} ${key}`);
          throw new Error('the listener fails');
        },
        silentLog,
      ),
      followKeys(store, ['plans', 'settings'], (table, key) => second.add(`${table} ${key}`), silentLog),
    ];
    await store.write([put('a', 1)]);
    await eventually(() => expect([first, second].map((seen) => /settings (a|undefined)/.test([...seen].join()))).toEqual([true, true]));
    await store.write([{ table: 'plans', key: 'p', put: '{}' }]);
    await eventually(() => expect(/plans (p|undefined)/.test([...second].join())).toBe(true));
    expect([...first].filter((line) => line.startsWith('plans'))).toEqual([]);
    for (const end of unwatch) end();
  });
});

function next(text: string | undefined): string {
  return String(Number(text ?? 0) + 1);
}

it('3: a Redis that drops the connection, and is away for a while, costs no change', async () => {
  const server = await RedisServer.start('--appendonly', 'yes');
  const away = new Stores();
  away.redis = server;
  const [store, other] = [await away.open('redis'), await away.open('redis')];
  const one = told(store);
  try {
    await other.write([put('a', 1)]);
    await eventually(() => expect(values(one)).toEqual({ a: 1 }));
    const client = server.client();
    await client.call('CLIENT', 'KILL', 'TYPE', 'normal');
    await eventually(async () => expect(await other.write([put('a', 2)])).toBe(true));
    await eventually(() => expect(values(one)).toEqual({ a: 2 }));
    client.disconnect();
    await server.kill();
    await expect(other.write([put('a', 3)])).rejects.toMatchObject({ code: 'STATE_UNREACHABLE' });
    await server.up('--appendonly', 'yes');
    await eventually(async () => expect(await other.write([put('a', 4), put('b', 1)])).toBe(true));
    await eventually(() => expect(values(one)).toEqual({ a: 4, b: 1 }));
  } finally {
    for (const follower of following.splice(0)) await follower.stop();
    await store.close();
    await other.close();
    await server.stop();
  }
});
