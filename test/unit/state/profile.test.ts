import { expect, it } from 'vitest';
import { parseProfile } from '../../../src/state/profile.ts';

const profile = { codec: 'h02', memo: 7, updated: 1000 };

it.each<[what: string, text: string, read: object | undefined]>([
  ['as it was written', JSON.stringify({ ...profile, clock: 480 }), { ...profile, clock: 480 }],
  ['with a clock behind', JSON.stringify({ ...profile, clock: -480 }), { ...profile, clock: -480 }],
  ['without a clock', JSON.stringify(profile), profile],
  ['with a clock that is right', JSON.stringify({ ...profile, clock: 0 }), profile],
  ['with a clock that is no number', JSON.stringify({ ...profile, clock: '480' }), profile],
  ['with more than this version knows', JSON.stringify({ ...profile, more: 1 }), profile],
  ['with the least memo', JSON.stringify({ ...profile, memo: 0 }), { ...profile, memo: 0 }],
  ['with the greatest memo', JSON.stringify({ ...profile, memo: 0x7fffffff }), { ...profile, memo: 0x7fffffff }],
  ['with a greater memo', JSON.stringify({ ...profile, memo: 0x80000000 }), undefined],
  ['with a memo below zero', JSON.stringify({ ...profile, memo: -1 }), undefined],
  ['with a part of a memo', JSON.stringify({ ...profile, memo: 0.5 }), undefined],
  ['with a memo that is no number', JSON.stringify({ ...profile, memo: '7' }), undefined],
  ['with a codec that is no text', JSON.stringify({ ...profile, codec: 2 }), undefined],
  ['with a time that is no number', JSON.stringify({ ...profile, updated: '1000' }), undefined],
  ['without a codec', JSON.stringify({ memo: 7, updated: 1000 }), undefined],
  ['without a memo', JSON.stringify({ codec: 'h02', updated: 1000 }), undefined],
  ['without a time', JSON.stringify({ codec: 'h02', memo: 7 }), undefined],
  ['that is a text', '"h02"', undefined],
  ['that is null', 'null', undefined],
  ['that is no JSON', '{', undefined],
])('what is kept of a device, %s', (_what, text, read) => {
  expect(parseProfile(text)).toEqual(read);
});
