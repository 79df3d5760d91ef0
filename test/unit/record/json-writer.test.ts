import { describe, expect, it } from 'vitest';
import { asciiBytes, JsonWriter } from '../../../src/out/record/json-writer.ts';
import { Random } from '../../../src/simulate/random.ts';
import { rounds } from '../../support/thorough.ts';

/** As in the sinks, one for all. */
const out = new JsonWriter();
const written = (write: (out: JsonWriter) => void): string => {
  out.at = 0;
  write(out);
  return out.textFrom(0);
};

describe('JSON as bytes', () => {
  it.each([
    0,
    -0,
    1,
    -1,
    9,
    10,
    99,
    100,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32,
    2 ** 53 - 1,
    2 ** 53,
    999_999_999_999_999,
    1e15,
    1e21,
    -1e21,
    0.1,
    -0.1,
    0.5,
    1e-6,
    0.000001,
    0.0000009,
    1e-7,
    1.0000001,
    179.9999999,
    -179.9999999,
    90,
    0.1 + 0.2,
    1 / 3,
    99_999_999.1234567,
    100_000_000.1234567,
    13.8,
    4.35,
    1.005,
    5e-324,
    Number.MAX_VALUE,
    Number.MIN_SAFE_INTEGER,
    1_793_491_200_123,
  ])('the number %d', (value) => {
    expect(written((out) => out.number(value))).toBe(String(value));
  });

  it('any number is as JavaScript writes it', () => {
    const random = new Random(11);
    for (let round = 0; round < rounds(20_000, 200_000); round++) {
      const scale = 10 ** random.int(9);
      const size = [1, 100, 1e4, 1e8, 1e12][random.int(5)] ?? 1;
      const value = Math.round((random.between(-1, 1) * size * scale) / 1) / scale;
      const near = round % 3 === 0 ? value + Number.EPSILON * value * random.int(3) : value;
      if (written((out) => out.number(near)) !== String(near)) expect(written((out) => out.number(near))).toBe(String(near));
    }
  });

  it.each([
    '',
    'a',
    '356307042441013',
    'x'.repeat(64),
    'x'.repeat(65),
    'x'.repeat(200_000),
    '"',
    '\\',
    'tab\there',
    '\u0000',
    '\u007f',
    'ä',
    'Łódź',
    '😀',
    '\ud800',
    'a\udc00b',
    `${'x'.repeat(63)}"`,
    '\u2028',
  ])('the text %j', (text) => {
    expect(written((out) => out.text(text))).toBe(JSON.stringify(text));
  });

  it('goes on where it was, whatever the buffer holds', () => {
    const random = new Random(12);
    const out = new JsonWriter();
    let wanted = '';
    while (out.at < 300_000) {
      const [number, text] = [random.int(1e9) / 1000, 'é"'.repeat(random.int(40))];
      out.raw(asciiBytes('{"n":'));
      out.number(number);
      const key = 't'.repeat(1 + random.int(100));
      out.ascii(`,"${key}":`);
      out.text(text);
      out.hex8(number);
      out.utf8('}ß');
      wanted += `{"n":${number},"${key}":${JSON.stringify(text)}${(number >>> 0).toString(16).padStart(8, '0')}}ß`;
    }
    expect(out.textFrom(0)).toBe(wanted);
  });
});
