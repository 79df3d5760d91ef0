import { expect, it } from 'vitest';
import { Newcomers } from '../../../src/fleet/registry/newcomers.ts';

const address = (n: number): string => `192.0.2.${n}`;

it.each([
  ['one worker has all of both rates', 1, [4, 10]],
  ['each of several has its share', 2, [2, 5]],
  ['rounded up', 3, [2, 4]],
  ['and admits one at least', 100, [1, 1]],
])('%s', (_, workers, expected) => {
  const newcomers = (): Newcomers => new Newcomers({ address: 4, total: 10, exempt: [] }, workers, () => 0);
  const [one, all] = [newcomers(), newcomers()];
  const of = (verdicts: string[]): number => verdicts.filter((verdict) => verdict === 'admitted').length;
  expect([
    of(Array.from({ length: 20 }, () => one.admit(address(1)))),
    of(Array.from({ length: 20 }, (_, n) => all.admit(address(n)))),
  ]).toEqual(expected);
});

it('the first refusal of an address, and the first over all, is news; a minute later all begins anew', () => {
  let now = 0;
  const newcomers = new Newcomers({ address: 2, total: 3, exempt: ['10.0.0.0/8'] }, 1, () => now);
  const verdicts = (...from: readonly number[]): string[] => from.map((n) => newcomers.admit(address(n)));
  expect(verdicts(1, 1, 1, 1)).toEqual(['admitted', 'admitted', 'excess_news', 'excess']);
  expect(verdicts(2, 2, 3, 1)).toEqual(['admitted', 'excess_news', 'excess', 'excess']);
  expect([newcomers.size, newcomers.admit('10.1.1.1')]).toEqual([2, 'admitted']);
  now = 59_999;
  expect(verdicts(1)).toEqual(['excess']);
  now = 60_000;
  expect(verdicts(1, 1, 1, 2, 2)).toEqual(['admitted', 'admitted', 'excess_news', 'admitted', 'excess_news']);
});
