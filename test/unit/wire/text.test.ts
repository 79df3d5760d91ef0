import { describe, expect, it } from 'vitest';
import {
  ascii,
  bcd,
  bcdDigits,
  decimal,
  fraction,
  fromHex,
  hasCheckDigit,
  hex,
  hexDigit,
  hexNumber,
  imeiOf,
  indexOf,
  withZero,
} from '../../../src/base/wire/index.ts';
import { Random } from '../../../src/codec/kit/index.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));
/** Runs a reader over the middle of a buffer whose neighbours would change the result. */
const within = <T>(read: (b: Uint8Array, start: number, end: number) => T, text: string): T => {
  const padded = bytes(`7${text}7`);
  return read(padded, 1, padded.length - 1);
};

describe('text', () => {
  it('shows bytes outside printable ASCII as dots', () => {
    expect(within(ascii, 'A~ \u001f\u007f\u00ff\r\n')).toBe('A~ .....');
  });

  it('turns bytes to hex and back', () => {
    const all = Uint8Array.from({ length: 256 }, (_, n) => n);
    expect(hex(all, 0, 256)).toBe(Buffer.from(all).toString('hex'));
    expect(hex(all, 254, 256)).toBe('feff');
    expect(fromHex(` ${hex(all, 0, 256).toUpperCase()}\n`)).toEqual(all);
    expect(fromHex('fe01')).toEqual(Uint8Array.of(0xfe, 1));
    expect([fromHex('0'), fromHex('0g'), fromHex('')]).toEqual([undefined, undefined, new Uint8Array(0)]);
  });

  it('reads BCD and says no to other nibbles', () => {
    expect([bcd(Uint8Array.of(0x59), 0), bcd(Uint8Array.of(0x5a), 0), bcd(Uint8Array.of(0xa5), 0)]).toEqual([59, -1, -1]);
    expect([bcdDigits(Uint8Array.of(0x01, 0x23), 0, 2), bcdDigits(Uint8Array.of(0x01, 0x2f), 0, 2)]).toEqual(['0123', '']);
  });

  it.each([
    ['356307042441013', true, '356307042441013', '0356307042441013'],
    ['0356307042441013', true, '356307042441013', ''],
    ['356307042441014', false, '356307042441014', ''],
    ['0356307042441014', false, '0356307042441014', ''],
    ['1356307042441013', false, '1356307042441013', ''],
    ['490154203237518', true, '490154203237518', '0490154203237518'],
    ['49015420323751/', false, '49015420323751/', ''],
    ['49015420323751:', false, '49015420323751:', ''],
    ['18', true, '18', ''],
    ['', false, '', ''],
  ])('knows the IMEI in %j by its check digit, with a zero in front or without', (digits, checks, imei, zero) => {
    expect([hasCheckDigit(digits), imeiOf(digits), withZero(digits)]).toEqual([checks, imei, zero]);
  });

  it('reads decimal numbers', () => {
    expect(['0', '007', '999999999999999', '', '1a', '-1', ' 1', '1.0', '\u00b2'].map((text) => within(decimal, text))).toEqual([
      0, 7, 999999999999999, -1, -1, -1, -1, -1, -1,
    ]);
  });

  it('reads hexadecimal numbers', () => {
    expect(['0', 'fFfFfFfF', '1fffffffffffff', '', 'g', '0x1', '-1'].map((text) => within(hexNumber, text))).toEqual([
      0,
      0xffffffff,
      Number.MAX_SAFE_INTEGER,
      -1,
      -1,
      -1,
      -1,
    ]);
    expect([...'09afAF/:`g@G -~'].map((c) => hexDigit(c.charCodeAt(0)))).toEqual([
      0, 9, 10, 15, 10, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    ]);
  });

  it('reads fractions exactly as Number does, up to 15 digits', () => {
    const random = new Random(7);
    for (let n = 0; n < 5000; n++) {
      const digits = String(random.next())
        .padStart(1 + random.below(15), '0')
        .slice(0, 15);
      const point = random.below(digits.length + 1);
      const text = `${['', '-', '+'][random.below(3)]}${digits.slice(0, point)}${random.once(3) ? '' : '.'}${digits.slice(point)}`;
      expect([text, within(fraction, text)]).toEqual([text, Number(text)]);
    }
  });

  it('refuses what is no fraction', () => {
    for (const text of ['', '.', '-', '+', '-.', '1.2.3', '1e3', ' 1', '1 ', '--1', '1-', 'NaN', '1,5'])
      expect([text, within(fraction, text)]).toEqual([text, Number.NaN]);
    expect([within(fraction, '5.'), within(fraction, '.5')]).toEqual([5, 0.5]);
  });

  it('finds a byte inside the range only', () => {
    const text = bytes('#ab#');
    expect([indexOf(text, 0, 4, 35), indexOf(text, 1, 4, 35), indexOf(text, 1, 3, 35), indexOf(text, 2, 2, 98)]).toEqual([0, 3, -1, -1]);
  });
});
