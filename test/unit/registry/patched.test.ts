import { expect, it } from 'vitest';
import { deviceSchema, patched } from '../../../src/fleet/registry/device.ts';

const NOW = 1_793_491_200_000;
const device = deviceSchema.parse({
  id: 'd-1',
  account: 'acme',
  name: 'Van 7',
  labels: { depot: 'north' },
  options: { zone: '+08:00', integrity: 'crc' },
});

it.each([
  ['the account that it has', { account: 'acme' }, { account: 'acme', name: 'Van 7', labels: { depot: 'north' } }],
  ['another account: what the one before said of it is gone', { account: 'bolt' }, { account: 'bolt', name: undefined, labels: undefined }],
  ['another account that says something of it', { account: 'bolt', name: 'B 1' }, { account: 'bolt', name: 'B 1', labels: undefined }],
  ['no account any more', { account: null }, { account: undefined, name: undefined, labels: undefined }],
  ['nothing of an account', { interval_s: 60 }, { account: 'acme', name: 'Van 7', interval_s: 60 }],
  ['a field that is taken away', { name: null }, { name: undefined, labels: { depot: 'north' } }],
  ['one option', { options: { zone: 'utc' } }, { options: { zone: 'utc', integrity: 'crc' } }],
  ['no options any more', { options: null }, { options: undefined }],
  ['what are no options, which is left to be refused', { options: 'zone' }, { options: 'zone' }],
  ['a list instead of options', { options: ['zone'] }, { options: ['zone'] }],
  ['an option that is taken away', { options: { zone: null } }, { options: { integrity: 'crc' } }],
])('a device is given %s', (_, patch, expected) => {
  const after = patched(device, patch, NOW);
  for (const [name, value] of Object.entries(expected)) expect([name, after[name]]).toEqual([name, value]);
});

it.each([
  ['a suspension by date that has come', NOW, 'active', false],
  ['one that is still to come', NOW + 1, 'active', true],
  ['one that has come, where the state is not changed', NOW, undefined, true],
  ['one that has come, by a suspension', NOW, 'suspended', true],
])('who activates a device takes back %s', (_, suspends_at, state, stays) => {
  const after = patched({ ...device, suspends_at }, state === undefined ? { interval_s: 5 } : { state }, NOW);
  expect('suspends_at' in after).toBe(stays);
});
