import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Claims } from '../../src/fleet/privacy/claims.ts';
import { Holds } from '../../src/fleet/privacy/hold.ts';
import { RETAINED } from '../../src/fleet/privacy/retained.ts';
import type { StateStore } from '../../src/state/store.ts';
import { interposed, times } from '../helpers/interposed-store.ts';
import { Stores } from '../registry/stores.ts';

/** Numbers quote the invariants of src/fleet/privacy/claims.ts; how retention uses them is in retention.test.ts. */

const stores = new Stores();
beforeAll(() => stores.start());
afterEach(() => stores.clear());
afterAll(() => stores.stop());

const NOW = 1_796_000_000_000;
const CASE = { reference: 'AZ 1', reason: 'court order' };

const claimsOf = (store: StateStore, by: string, now = (): number => NOW, main: Readonly<Record<string, string>> = {}): Claims =>
  new Claims({ store, by, now, main: (id) => main[id] });

const holdsOf = (store: StateStore, now = (): number => NOW): Holds => new Holds({ store, now, device: async () => undefined });

describe.each(['lmdb', 'redis'] as const)('claims, with the state in %s', (kind) => {
  test('1: a hold is set when the last of several has ended, and what is under one is not claimed', async () => {
    const [store, other] = [await stores.open(kind), await stores.open(kind)];
    const [one, two] = [claimsOf(store, 'one'), claimsOf(other, 'two')];
    const holds = holdsOf(other);
    expect(await one.take(['car', 'van'])).toMatchObject({ free: ['car', 'van'], held: [] });
    expect(await two.take(['car'])).toMatchObject({ free: ['car'] });
    expect(await holds.set('car', CASE, 'me')).toBeUndefined();
    await one.end(['car', 'van']);
    expect([await holds.set('car', CASE, 'me'), await holds.set('van', CASE, 'me')]).toMatchObject([undefined, { hold: CASE }]);
    await two.end(['car']);
    expect(await holds.set('car', CASE, 'me')).toMatchObject({ hold: CASE });
    expect(await one.take(['car', 'bus'])).toMatchObject({ free: ['bus'], held: ['car'] });
    expect([await one.isHeld('car'), await one.isHeld('bus')]).toEqual([true, false]);
  });

  test('1: a hold that is set while a claim is written counts', async () => {
    const [store, other] = [await stores.open(kind), await stores.open(kind)];
    const between = (): Promise<unknown> => holdsOf(other).set('car', CASE, 'me');
    const claims = claimsOf(interposed(store, { beforeWrite: times(1, 'retained', between) }), 'one');
    expect(await claims.take(['car'])).toMatchObject({ free: [], held: ['car'] });
  });

  test('1: what is stored under an id that the device has got since the hold is under it', async () => {
    const store = await stores.open(kind);
    await holdsOf(store).set('car', CASE, 'me');
    expect(await claimsOf(store, 'one', () => NOW, { old: 'car' }).take(['old'])).toMatchObject({ free: [], held: ['old'] });
  });

  test('2: that of a run that was killed runs out, and is no more in the way', async () => {
    const store = await stores.open(kind);
    let now = NOW;
    await claimsOf(store, 'killed', () => now).take(['car']);
    const holds = holdsOf(store, () => now);
    now = NOW + 900_000 - 1;
    expect(await holds.set('car', CASE, 'me')).toBeUndefined();
    now++;
    expect(await holds.set('car', CASE, 'me')).toMatchObject({ hold: CASE });
    // What it makes at its end it does not make any more.
    const row = { table: 'finished', key: 'car a', put: '{}' } as const;
    expect(await claimsOf(store, 'killed', () => now).end(['car'], () => [row])).toEqual(['car']);
    expect([await store.get('finished', 'car a'), await RETAINED.get(store, 'car')]).toEqual([undefined, undefined]);
  });

  test('are taken of very many devices, and end without a trace', async () => {
    const store = await stores.open(kind);
    const ids = Array.from({ length: 1_201 }, (_, n) => `d${n}`);
    const claims = claimsOf(store, 'one');
    const { free } = await claims.take(ids);
    expect(free).toEqual(ids);
    expect(await RETAINED.get(store, 'd1200')).toMatchObject({ running: [{ by: 'one' }] });
    expect(await claims.end(ids)).toEqual([]);
    expect(await store.list('retained', { limit: 1 })).toEqual([]);
  });
});
