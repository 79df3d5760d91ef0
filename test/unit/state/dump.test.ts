import { expect, it } from 'vitest';
import { isKey } from '../../../src/state/dump.ts';

it.each([
  ['of one character', 'a', true],
  ['of every printable character', Array.from({ length: 94 }, (_, n) => String.fromCharCode(33 + n)).join(''), true],
  ['with spaces inside', 'd-1 1788220800000', true],
  ['of the greatest length', 'x'.repeat(200), true],
  ['that is longer', 'x'.repeat(201), false],
  ['of nothing', '', false],
  ['of a space', ' ', false],
  ['that begins with a space', ' a', false],
  ['that ends with a space', 'a ', false],
  ['with a line break', 'a\nb', false],
  ['that ends with a line break', 'a\n', false],
  ['beyond ASCII', 'å', false],
  ['with DEL', 'a\x7f', false],
])('a key %s is one of the store: %j, %s', (_what, key, is) => {
  expect(isKey(key)).toBe(is);
});
