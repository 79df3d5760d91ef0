import { expect, it } from 'vitest';
import { accountSum, canonical, type Statement } from '../../../src/fleet/plan/statement.ts';

const ONE: Statement = {
  device: 'd-1',
  account: 'acme',
  plan: 'default',
  plan_version: 1,
  time_zone: 'UTC',
  start: 0,
  end: 1,
  bytes_in: 1,
  bytes_out: 2,
  segments: 3,
  datagrams: 4,
  records: 5,
  overhead: { segment_bytes: 0, datagram_bytes: 0, round_bytes: 1 },
  overhead_bytes: 0,
  billed_bytes: 3,
};
const frozen = { ...ONE, provisional: false, number: 1, hash: 'a' };
const open = { ...ONE, device: 'd-2', provisional: true };

it.each([
  ['all statements of a cycle that is over', [frozen, { ...frozen, number: 2, hash: 'b' }], true, false],
  ['one of several is still to be made', [frozen, open], true, true],
  ['none is made', [open], true, true],
  ['another may come', [frozen], false, true],
])('the sum of an account is final, and has a hash, only when every statement is: %s', (_, all, isWhole, provisional) => {
  const sum = accountSum(all, isWhole);
  expect([sum.provisional, 'hash' in sum]).toEqual([provisional, !provisional]);
  expect(sum).toMatchObject({ records: 5 * all.length, billed_bytes: 3 * all.length });
});

it('the sum of an account has a network once, with what all devices used there, and apart from what they used of it roaming', () => {
  const used = (n: number) => ({ bytes_in: n, bytes_out: 0, segments: 0, datagrams: 0, records: 1 });
  const home = { mcc: 262, mnc: 1, roaming: false };
  const sum = accountSum(
    [
      {
        ...frozen,
        networks: [
          { ...home, ...used(1) },
          { ...home, mnc: 2, ...used(2) },
        ],
      },
      {
        ...frozen,
        networks: [
          { ...home, ...used(4) },
          { ...home, roaming: true, ...used(8) },
        ],
      },
    ],
    true,
  );
  expect(sum.networks).toHaveLength(3);
  expect(sum.networks).toEqual(
    expect.arrayContaining([
      { ...home, ...used(5), records: 2 },
      { ...home, mnc: 2, ...used(2) },
      { ...home, roaming: true, ...used(8) },
    ]),
  );
});

it('a statement is hashed with its names in order and without what it does not have', () => {
  const text = '{"a":[1,{"b":null,"c":"é"}],"z":1}';
  expect(canonical({ z: 1, y: undefined, a: [1, { c: 'é', b: null, d: undefined }] })).toBe(text);
  expect(canonical(JSON.parse(text))).toBe(text);
});
