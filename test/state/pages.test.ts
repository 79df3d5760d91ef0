import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { attempt, CONTENDED } from '../../src/state/attempt.ts';
import { entries, pages } from '../../src/state/pages.ts';
import type { Op } from '../../src/state/store.ts';
import { byId, rowsOf, TypedTable } from '../../src/state/table.ts';
import { Stores } from '../registry/stores.ts';

/** Numbers quote the invariants of src/state/pages.ts and src/state/table.ts. */

const stores = new Stores();
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(() => stores.clear());

const keyOf = (n: number): string => `k${String(n).padStart(3, '0')}`;
const row = (n: number): Op => ({ table: 'settings', key: keyOf(n), put: String(n) });

describe.each(['lmdb', 'redis'] as const)('the pages of a table in %s', (kind) => {
  it.each([0, 1, 9, 10, 11, 20, 21])('hold each of %i entries once, in order, in pages of ten', async (count) => {
    const store = await stores.open(kind);
    if (count > 0) await store.write(Array.from({ length: count }, (_, n) => row(n)));
    const sizes: number[] = [];
    for await (const page of pages(store, 'settings', { size: 10 })) sizes.push(page.length);
    const found: (readonly [string, string])[] = [];
    for await (const entry of entries(store, 'settings', { size: 10 })) found.push(entry);
    expect(found).toEqual(Array.from({ length: count }, (_, n) => [keyOf(n), String(n)]));
    expect([sizes.reduce((sum, size) => sum + size, 0), sizes.includes(0)]).toEqual([count, false]);
  });

  it('begin behind a key, and keep to a prefix', async () => {
    const store = await stores.open(kind);
    await store.write(Array.from({ length: 25 }, (_, n) => row(n)));
    const keys: string[] = [];
    for await (const [key] of entries(store, 'settings', { prefix: 'k01', after: keyOf(12), size: 3 })) keys.push(key);
    expect(keys).toEqual([13, 14, 15, 16, 17, 18, 19].map(keyOf));
  });

  it('2: an entry that is there all the time is not missed while others come and go', async () => {
    const [store, other] = [await stores.open(kind), await stores.open(kind)];
    await store.write(Array.from({ length: 40 }, (_, n) => row(n)));
    let churning = true;
    const churn = (async () => {
      while (churning)
        for (const remove of [true, false]) {
          const odd = Array.from({ length: 20 }, (_, n) => 2 * n + 1);
          await other.write(
            odd.map((n) => (remove ? { table: 'settings', key: keyOf(n), remove: true } : row(n))),
            'visible',
          );
        }
    })();
    try {
      for (let round = 0; round < 50; round++) {
        const found: string[] = [];
        for await (const [key] of entries(store, 'settings', { size: 3 })) found.push(key);
        expect(found.filter((key) => Number(key.slice(1)) % 2 === 0)).toEqual(Array.from({ length: 20 }, (_, n) => keyOf(2 * n)));
      }
    } finally {
      churning = false;
      await churn;
    }
  });

  it('a damaged row names its table and key, not its text, and hides no other', async () => {
    const store = await stores.open(kind);
    const table = new TypedTable<{ n: number }>({ name: 'settings', key: byId, parse: rowsOf(NUMBER) });
    await store.write([table.put({ n: 1 }, 'a'), { table: 'settings', key: 'b', put: '{"n":"secret"}' }, table.put({ n: 3 }, 'c')]);
    expect([await table.get(store, 'a'), await table.get(store, 'x')]).toEqual([{ n: 1 }, undefined]);
    await expect(table.get(store, 'b')).rejects.toMatchObject({
      code: 'STATE_ROW_DAMAGED',
      message: expect.stringMatching(/^(?!.*secret).*"b" of the table "settings"/),
    });
    const [found, damaged]: string[][] = [[], []];
    for await (const [key, { n }] of table.entries(store, {}, (bad) => damaged?.push(bad))) found?.push(`${key}=${n}`);
    expect([found, damaged]).toEqual([['a=1', 'c=3'], ['b']]);
  });
});

const NUMBER = {
  safeParse(value: unknown): { data?: { n: number } } {
    const n: unknown = Reflect.get(Object(value), 'n');
    return typeof n === 'number' ? { data: { n } } : {};
  },
};

describe('a conditional write', () => {
  it('is tried until it holds, and a bounded number of times', async () => {
    let tries = 0;
    expect(await attempt('x', async () => (++tries < 3 ? CONTENDED : 'done'))).toBe('done');
    tries = 0;
    const busy = attempt('the record of x', async () => {
      tries++;
      return CONTENDED;
    });
    await expect(busy).rejects.toMatchObject({
      code: 'STATE_BUSY',
      message: expect.stringMatching(/^concurrent change of the record of x/),
    });
    expect(tries).toBe(100);
  });
});
