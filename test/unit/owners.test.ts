import { describe, expect, it } from 'vitest';
import { type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import { type Period, periodsOf, Share, transferred } from '../../src/fleet/registry/owners.ts';

/** Numbers quote the invariants of src/fleet/registry/owners.ts. */

const of = (account?: string, more: object = {}): Device =>
  deviceSchema.parse({ id: 'd-1', ...(account === undefined ? {} : { account }), ...more });

describe('periods', () => {
  it('1: are added at the end and closed, through a removal and a new record', () => {
    const first = transferred(undefined, undefined, of('a'), 10);
    expect(first).toEqual([{ account: 'a', from: 10 }]);
    const second = transferred(first, of('a'), of('b'), 20);
    expect(second).toEqual([
      { account: 'a', from: 10, to: 20 },
      { account: 'b', from: 20 },
    ]);
    expect(transferred(second, of('b'), of('b', { plan: 'gold' }), 25)).toBeUndefined();
    const removed = transferred(second, of('b'), undefined, 30);
    expect(removed?.at(-1)).toEqual({ account: 'b', from: 20, to: 30 });
    expect(transferred(removed, undefined, of('a'), 40)?.map(({ account, from, to }) => [account, from, to])).toEqual([
      ['a', 10, 20],
      ['b', 20, 30],
      ['a', 40, undefined],
    ]);
    expect(transferred(second, of('b'), of(), 50)?.at(-1)).toEqual({ account: '', from: 50 });
  });

  it('2: of a device of an earlier version begin when it was seen first; without an account nothing is noted', () => {
    expect(periodsOf(undefined, of('a', { first_seen: 5 }))).toEqual([{ account: 'a', from: 5 }]);
    expect(periodsOf(undefined, undefined)).toEqual([]);
    expect(transferred(undefined, of('a', { first_seen: 5 }), of('b'), 20)).toEqual([
      { account: 'a', from: 5, to: 20 },
      { account: 'b', from: 20 },
    ]);
    expect(transferred(undefined, undefined, of(), 20)).toBeUndefined();
    expect(transferred(undefined, of(), undefined, 20)).toBeUndefined();
  });
});

describe('what of a device is shared', () => {
  const periods: Period[] = [
    { account: 'a', from: 10, to: 20 },
    { account: 'b', from: 20, to: 30 },
    { account: 'a', from: 30 },
  ];
  const share = (...accounts: string[]): Share => new Share('d-1', periods, new Set(accounts));

  it('is what was received in its time, and measured not before the time in which it was somebody else’s', () => {
    const [a, b] = [share('a'), share('b')];
    expect([9, 10, 19, 20, 29, 30, 99].filter((received) => a.sees('', received))).toEqual([10, 19, 30, 99]);
    expect([10, 19, 20, 29, 30].filter((received) => b.sees('', received))).toEqual([20, 29]);
    // No account had it before the first; before the others, another had.
    expect([a.sees('', 12, 3), a.sees('', 35, 29), a.sees('', 35, 30), b.sees('', 25, 19)]).toEqual([true, false, true, false]);
    // What carries the other's name, whenever it came.
    expect([a.sees('b', 12), b.sees('a', 25), b.sees('b', 25)]).toEqual([false, false, true]);
    expect([a.isCurrent, a.since, b.isCurrent, b.since]).toEqual([true, 30, false, Number.POSITIVE_INFINITY]);
  });

  it('is of two times when it was somebody else’s between, for however short', () => {
    const passedOn = [
      { account: 'a', from: 10, to: 20 },
      { account: 'b', from: 20, to: 20 },
      { account: 'a', from: 20 },
    ];
    expect(new Share('d-1', passedOn, new Set(['a'])).spans).toEqual([
      { from: 10, to: 20, measured: 0 },
      { from: 20, to: Number.POSITIVE_INFINITY, measured: 20 },
    ]);
  });

  it('is of two times when the device was removed between', () => {
    const again = [
      { account: 'a', from: 10, to: 20 },
      { account: 'a', from: 30 },
    ];
    const found = new Share('d-1', again, new Set(['a']));
    expect([10, 19, 20, 29, 30].filter((received) => found.sees('a', received))).toEqual([10, 19, 30]);
    expect(found.spans.map(({ measured }) => measured)).toEqual([0, 30]);
  });

  it('is one time for who sees both accounts', () => {
    const both = share('a', 'b');
    expect([both.spans, both.since]).toEqual([[{ from: 10, to: Number.POSITIVE_INFINITY, measured: 0 }], 0]);
    expect(share('c').spans).toEqual([]);
  });
});
