import { describe, expect, test } from 'vitest';
import { isPlainText, plainText, visible } from '../../../src/base/wire/index.ts';

describe('plainText', () => {
  test.each([
    ['', ''],
    ['é☂𝄞 \u202e', 'é☂𝄞 \u202e'],
    ['\ud800', '\ufffd'],
    ['a\udc00\ud800b', 'a\ufffd\ufffdb'],
    ['\ud834\udd1e', '𝄞'],
    ['one\r\ntwo\nthree\rfour\tfive', 'one\ntwo\nthree four five'],
    ['\u0000\u0007\u001b\u007f\u0085\u009f', '\ufffd'.repeat(6)],
  ])('%j', (text, plain) => {
    expect(plainText(text)).toBe(plain);
    expect([isPlainText(text), isPlainText(plain)]).toEqual([text === plain, true]);
    expect([plain.isWellFormed(), plainText(plain)]).toEqual([true, plain]);
  });
});

test('on a terminal nothing acts, and nothing is hidden', () => {
  expect(visible('é☂𝄞 a\nb\tc\u001b[31m\u009b1m\u202eevil\u200b\ud800')).toBe(
    'é☂𝄞 a\\nb\\tc\\u{1b}[31m\\u{9b}1m\\u{202e}evil\\u{200b}\\u{d800}',
  );
});
