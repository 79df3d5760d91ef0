import { expect, it } from 'vitest';
import { deviceSchema } from '../../../src/fleet/registry/device.ts';
import { type DeviceFilter, idOps, isApart, isMatch, newIds, othersOf } from '../../../src/fleet/registry/device-ids.ts';

const device = deviceSchema.parse({
  ...{ id: 'van-1', aliases: ['Old-1'], unit: '351608080779146', phone: '+46701234567' },
  ...{ account: 'Acme', name: 'Plate 7', plan: 'gold', state: 'suspended' },
});
const bare = deviceSchema.parse({ id: 'car-2' });

it.each<[filter: DeviceFilter, first: boolean, second: boolean]>([
  [{}, true, true],
  [{ account: 'Acme' }, true, false],
  [{ account: 'acme' }, false, false],
  [{ plan: 'gold' }, true, false],
  [{ plan: 'default' }, false, true],
  [{ state: 'suspended' }, true, false],
  [{ state: 'active' }, false, true],
  [{ account: 'Acme', plan: 'default' }, false, false],
  [{ q: '' }, true, true],
  [{ q: 'VAN' }, true, false],
  [{ q: 'car' }, false, true],
  [{ q: 'old-1' }, true, false],
  [{ q: '80779' }, true, false],
  [{ q: '+4670' }, true, false],
  [{ q: 'acm' }, true, false],
  [{ q: 'plate' }, true, false],
  [{ q: 'nothing' }, false, false],
  [{ q: 'van', state: 'active' }, false, false],
])('devices are found by %j', (filter, first, second) => {
  expect([isMatch(device, filter), isMatch(bare, filter)]).toEqual([first, second]);
});

it.each<[what: string, rows: readonly [id: string, patch: Record<string, unknown>][], apart: boolean]>([
  [
    'other devices',
    [
      ['d-1', {}],
      ['d-2', {}],
      ['d-3', { aliases: null, unit: 'u-1', phone: 'none' }],
    ],
    true,
  ],
  [
    'the same twice',
    [
      ['d-1', {}],
      ['d-1', {}],
    ],
    false,
  ],
  [
    'an alias of an earlier line',
    [
      ['d-1', { aliases: ['a-1', 'd-2'] }],
      ['d-2', {}],
    ],
    false,
  ],
  [
    'an alias of a later line',
    [
      ['d-2', {}],
      ['d-1', { aliases: ['d-2'] }],
    ],
    false,
  ],
  [
    'the same alias',
    [
      ['d-1', { aliases: ['a-1'] }],
      ['d-2', { aliases: ['a-1'] }],
    ],
    false,
  ],
  [
    'the unit of another',
    [
      ['d-1', { unit: 'd-2' }],
      ['d-2', {}],
    ],
    false,
  ],
  [
    'the same number, written otherwise',
    [
      ['d-1', { phone: '+46701234567' }],
      ['d-2', { phone: '0046 70 123 45 67' }],
    ],
    false,
  ],
  [
    'other numbers',
    [
      ['d-1', { phone: '+46701234567' }],
      ['d-2', { phone: '+46701234568' }],
    ],
    true,
  ],
])('lines of a file speak of each other: %s', (_, rows, apart) => {
  expect(isApart(rows.map(([id, patch]) => ({ id, patch })))).toBe(apart);
});

it('a device has the ids of its unit, its aliases and its number beside its own', () => {
  expect([othersOf(undefined), othersOf(bare), othersOf(device)]).toEqual([[], [], ['351608080779146', 'Old-1', '+46701234567']]);
  expect(newIds(undefined, bare)).toEqual(['car-2']);
  expect(newIds(bare, { ...bare, aliases: ['a-1'] })).toEqual(['a-1']);
  expect(newIds({ ...bare, aliases: ['a-1'] }, { ...bare, aliases: ['a-2', 'a-1'] })).toEqual(['a-2']);
});

it('a new device is not one that is there with its IMEI written in the other way; a change does not ask', () => {
  const imei = deviceSchema.parse({ id: '356307042441013' });
  const conditions = (before: typeof imei | undefined) =>
    idOps(['text', before, imei], new Set()).flatMap((op) => ('expect' in op ? [`${op.table} ${op.key} ${op.expect}`] : []));
  expect(conditions(undefined)).toEqual([
    'devices 356307042441013 text',
    'aliases 356307042441013 undefined',
    'devices 0356307042441013 undefined',
  ]);
  expect(conditions(imei)).toEqual(['devices 356307042441013 text']);
});

it('aliases that a device has no more are free again, and new ones must not be those of another device', () => {
  const ops = idOps(['text', { ...bare, aliases: ['a-1', 'a-2'] }, { ...bare, aliases: ['a-2', 'a-3', 'a-4'] }], new Set(['a-4']));
  expect(ops.slice(2)).toEqual([
    { table: 'aliases', key: 'a-3', expect: undefined },
    { table: 'devices', key: 'a-3', expect: undefined },
    { table: 'aliases', key: 'a-3', put: 'car-2' },
    { table: 'aliases', key: 'a-4', expect: 'car-2' },
    { table: 'devices', key: 'a-4', expect: undefined },
    { table: 'aliases', key: 'a-4', put: 'car-2' },
    { table: 'aliases', key: 'a-1', remove: true },
  ]);
});
