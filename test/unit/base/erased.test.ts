import { describe, expect, test } from 'vitest';
import { isErased, merged, ownBefore, type Stretch, stretchesOf, wholeBefore } from '../../../src/base/erased.ts';

const NOW = 10_000_000;
/** Acme's from 1 000 000 to 2 000 000, then bolt's, then acme's again from 3 000 000 on. */
const first = ownBefore('acme', 1_000_000, 2_000_000, NOW);
const last = ownBefore('acme', 3_000_000, Number.POSITIVE_INFINITY, NOW);
const own: readonly Stretch[] = [first, last];

describe('what was erased', () => {
  test('of all from before a moment: what was received or measured before it, whosever it is', () => {
    const all = [wholeBefore(1000)];
    expect([isErased(all, '', 999), isErased(all, 'acme', 1000, 999), isErased(all, 'bolt', 999, 5000)]).toEqual([true, true, true]);
    expect([isErased(all, '', 1000), isErased(all, 'acme', 2000, 1000)]).toEqual([false, false]);
  });

  test.each([
    ['received in its time', 'acme', 1_500_000, 1_500_000, true],
    ['before anything was marked', '', 1_500_000, 1_500_000, true],
    ['by a worker that had not heard yet that it was passed on', 'acme', 2_000_500, 2_000_500, true],
    ['long after it was passed on', 'acme', 2_500_000, 2_500_000, false],
    ['of who had it before, by a worker that had not heard yet', 'bolt', 1_000_500, 1_000_500, false],
    ['of who had it before', 'bolt', 999_000, 999_000, false],
    ['before its time, unmarked', '', 999_000, 999_000, false],
    ['after its time, unmarked', '', 2_000_000, 2_000_000, false],
    ['of the next', 'bolt', 2_500_000, 2_500_000, false],
    ['kept by the device, sent in the time of the next', 'bolt', 2_500_000, 1_500_000, true],
    ['kept by the device, sent the moment it was passed on', 'bolt', 2_000_000, 1_500_000, true],
    ['measured before its time, sent in its time', 'acme', 1_500_000, 500_000, true],
    ['in its second time', 'acme', 3_000_001, 3_000_001, true],
    ['after the request', 'acme', NOW, NOW, false],
    ['kept by the device, sent after the request', 'acme', NOW + 5, NOW - 5, true],
  ])('of an account: %s', (_what, account, received, measured, gone) => {
    expect(isErased(own, account, received, measured)).toBe(gone);
  });

  test('merged, nothing is twice and what is covered is left out', () => {
    expect(merged([wholeBefore(5)], [wholeBefore(7)])).toEqual([wholeBefore(7)]);
    expect(merged(own, [ownBefore('acme', 3_000_000, Number.POSITIVE_INFINITY, NOW + 1)])).toEqual([
      first,
      { from: 3_000_000, to: NOW + 1, until: NOW + 1, account: 'acme' },
    ]);
    expect(merged(own, [wholeBefore(2_500_000)])).toEqual([wholeBefore(2_500_000), last]);
    expect(merged(own, [wholeBefore(first.until)])).toEqual([wholeBefore(first.until), last]);
  });

  test('read from JSON as it was written', () => {
    expect(stretchesOf(JSON.parse(JSON.stringify(own)))).toEqual(own);
    expect([stretchesOf(5), stretchesOf('5')]).toEqual([[wholeBefore(5)], undefined]);
    for (const field of ['from', 'to', 'until']) expect(stretchesOf([{ ...first, [field]: '1' }])).toBeUndefined();
  });
});
