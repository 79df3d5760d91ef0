import { expect, it } from 'vitest';
import { type Device, deviceSchema } from '../../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../../src/fleet/registry/device-lookup.ts';

const PEER = '192.0.2.1:4000';
const anywhere = deviceSchema.parse({ id: 'd-1' });
const here = deviceSchema.parse({ id: 'd-1', networks: ['192.0.2.0/24'] });
const there = deviceSchema.parse({ id: 'd-1', networks: ['198.51.100.0/24'] });

type Given = readonly [what: string, device: Device | undefined, given: { closed?: true; unread?: true; out?: true }, expected: string];

it.each<Given>([
  ['a known device', anywhere, {}, ''],
  ['one of a closed registry', anywhere, { closed: true }, ''],
  ['an unknown device of an open registry', undefined, {}, ''],
  ['an unknown device of a closed one', undefined, { closed: true }, 'unknown_device'],
  ['a device of which a closed registry could not be asked', undefined, { closed: true, unread: true }, 'registry_unreachable'],
  ['a device that comes from one of its networks', here, {}, ''],
  ['a device that comes from elsewhere', there, {}, 'network_refused'],
  ['a device that has another unit, wherever it comes from', here, { out: true }, 'unit_replaced'],
  ['a device that has another unit and comes from elsewhere', there, { out: true }, 'unit_replaced'],
])('%s', (_, device, { closed = false, unread = false, out = false }, expected) => {
  expect(new DeviceLookup('d-1', device, closed, unread, out).refusal(PEER)).toBe(expected);
});

it('an open registry makes a device of what is unknown, was read, and has no other unit', () => {
  const isNew = (...given: ConstructorParameters<typeof DeviceLookup>): boolean => new DeviceLookup(...given).isNew;
  expect([isNew('d-1', undefined, false, false), isNew('d-1', anywhere, false, false), isNew('d-1', undefined, true, false)]).toEqual([
    true,
    false,
    false,
  ]);
  expect([isNew('d-1', undefined, false, true), isNew('d-1', undefined, false, false, true)]).toEqual([false, false]);
});

it('another refusal is worth an event a minute later', () => {
  const lookup = new DeviceLookup('d-1', undefined, true, false);
  expect([5, 5, 60_004, 60_005, 60_006].map((now) => lookup.isNews(now))).toEqual([true, false, false, true, false]);
});
