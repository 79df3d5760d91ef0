import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { learnedOf, noteUnit } from '../../src/fleet/registry/unit-facts.ts';
import { Stores } from './stores.ts';

/** What devices say of their hardware and card, in both stores. */

const stores = new Stores();
beforeAll(() => stores.start());
afterAll(() => stores.stop());
afterEach(() => stores.clear());

const ICCID = '89461177000000000123';
const said = (field: 'iccid' | 'imsi' | 'firmware' | 'model', value: string, message = 'm') => [{ field, message, value }];

describe.each(['lmdb', 'redis'] as const)('in %s', (kind) => {
  it('a value that differs from the last one of the same message is told, once; one that was there before is not', async () => {
    const store = await stores.open(kind);
    const note = (...args: Parameters<typeof said>) => noteUnit(store, 'd-1', said(...args));
    expect(await note('firmware', '1.0')).toEqual([]);
    expect(await note('firmware', '1.0')).toEqual([]);
    expect(await note('firmware', '1.0 build 7', 'other')).toEqual([]);
    expect(await note('firmware', ' 1.1 ')).toEqual([{ type: 'unit_changed', what: 'firmware', before: '1.0', value: '1.1' }]);
    expect(await note('firmware', '1.0')).toEqual([]);
    expect(await note('iccid', ICCID)).toEqual([]);
    expect(await note('iccid', '89461177000000000999')).toEqual([
      { type: 'sim_changed', what: 'iccid', before: ICCID.slice(0, 19), value: '8946117700000000099' },
    ]);
    expect(await note('imsi', '240010000000001')).toEqual([]);
    expect(await note('imsi', '240020000000002')).toMatchObject([{ type: 'sim_changed', what: 'imsi' }]);
    expect(await learnedOf(store, 'd-1')).toEqual({ firmware: '1.0 build 7', iccid: '8946117700000000099', imsi: '240020000000002' });
    expect(await learnedOf(store, 'd-2')).toEqual({});
  });

  it('what was said last is what is known, though it was said before, and what a later version noted is left out', async () => {
    const store = await stores.open(kind);
    for (const value of ['a', 'b', 'c', 'b']) await noteUnit(store, 'd-1', said('model', value));
    await store.update('unit_facts', 'd-1', (text) => JSON.stringify({ ...JSON.parse(text ?? ''), 'colour m': ['red'] }));
    expect(await learnedOf(store, 'd-1')).toEqual({ model: 'b' });
  });

  it('four values of a message are kept, and 32 messages', async () => {
    const store = await stores.open(kind);
    const note = (value: string, message = 'm') => noteUnit(store, 'd-1', said('model', value, message));
    for (const value of ['a', 'b', 'c', 'd']) await note(value);
    expect(await note('a')).toEqual([]);
    // It was the oldest again, behind b.
    expect(await note('e')).toMatchObject([{ before: 'a', value: 'e' }]);
    expect(await note('c')).toEqual([]);
    expect(await note('b')).toMatchObject([{ before: 'c', value: 'b' }]);
    for (let n = 1; n < 32; n++) await note(`of ${n}`, `m${n}`);
    await note('too many', 'm32');
    expect(Object.keys(JSON.parse((await store.get('unit_facts', 'd-1')) ?? ''))).toHaveLength(32);
    expect(await note('of 31, changed', 'm31')).toHaveLength(1);
    expect(await learnedOf(store, 'd-1')).toEqual({ model: 'of 31, changed' });
  });

  it.each([
    ['iccid', '00000000000000000000', ''],
    ['iccid', '8946117700000', ''],
    ['iccid', '89461177000000', '89461177000000'],
    ['iccid', '8946-1177 0000-0000 0123F', '8946117700000000012'],
    ['imsi', 'none', ''],
    ['model', `${'x'.repeat(63)}yz`, `${'x'.repeat(63)}y`],
    ['firmware', '  ', ''],
  ] as const)('%s %j is kept as %j', async (field, value, kept) => {
    const store = await stores.open(kind);
    await noteUnit(store, 'd-1', said(field, value));
    expect(await learnedOf(store, 'd-1')).toEqual(kept === '' ? {} : { [field]: kept });
  });
});
