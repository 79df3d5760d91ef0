import { expect, it } from 'vitest';
import { AddressRates } from '../../../src/fleet/registry/address-rates.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

function admitted(rates: AddressRates, address: string, perMinute: number): number {
  let n = 0;
  while (n < 1000 && rates.admit(address, perMinute)) n++;
  return n;
}

it.each([
  ['one worker has all of it', 1, 10, 10],
  ['each of several its share', 4, 8, 2],
  ['rounded up', 4, 10, 3],
  ['and one at least', 4, 1, 1],
])('devices that name themselves from an address in a minute: %s', (_, workers, perMinute, expected) => {
  const clock = new FakeClock();
  const rates = new AddressRates(['10.0.0.0/8'], workers, () => clock.elapsed());
  expect([admitted(rates, '192.0.2.1', perMinute), admitted(rates, '192.0.2.1', perMinute)]).toEqual([expected, 0]);
  expect([admitted(rates, '192.0.2.2', perMinute), admitted(rates, '10.1.2.3', perMinute)]).toEqual([expected, 1000]);
  clock.step(59_999);
  expect(admitted(rates, '192.0.2.1', perMinute)).toBe(0);
  clock.step(1);
  expect(admitted(rates, '192.0.2.1', perMinute)).toBe(expected);
});

it('of IPv6 a network of 64 bits counts as one address', () => {
  const rates = new AddressRates([], 1, () => 0);
  expect([admitted(rates, '2001:db8::1', 3), admitted(rates, '2001:db8::2', 3), admitted(rates, '2001:db8:0:1::1', 3)]).toEqual([3, 0, 3]);
});
