import type { Bytes } from './bytes.ts';

const HEX = '0123456789abcdef';

/** ASCII of bytes[start, end). Bytes outside printable ASCII become `.`: device text is data, never control. */
export function ascii(bytes: Bytes, start: number, end: number): string {
  let text = '';
  for (let p = start; p < end; p++) {
    const c = bytes[p]!;
    text += c >= 32 && c < 127 ? String.fromCharCode(c) : '.';
  }
  return text;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for.
const UNPLAIN = /[\0-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for.
const CONTROL = /\r\n|[\0-\x09\x0b-\x1f\x7f-\x9f]/g;
/** What a terminal acts upon or shows as something else: control, format and separator characters, lone surrogates. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/**
 * Text from outside as it is kept: well-formed, and of the control characters only the line feed. CR LF is a line feed, a tab
 * or a CR a blank, any other control character and a lone surrogate U+FFFD.
 */
export function plainText(text: string): string {
  if (!UNPLAIN.test(text)) return text;
  return text.toWellFormed().replace(CONTROL, (found) => (found === '\r\n' ? '\n' : found === '\t' || found === '\r' ? ' ' : '\ufffd'));
}

/** Whether `plainText` would leave it as it is. */
export function isPlainText(text: string): boolean {
  return plainText(text) === text;
}

/** Text for a terminal, on one line: what would not be seen or would act on it is written as an escape. */
export function visible(text: string): string {
  return text.replace(UNSEEN, (found) => {
    const short = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[found];
    return short ?? `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`;
  });
}

/** Lower-case hexadecimal of bytes[start, end), two characters a byte. */
export function hex(bytes: Bytes, start: number, end: number): string {
  let text = '';
  for (let p = start; p < end; p++) {
    const c = bytes[p]!;
    text += HEX.charAt(c >> 4) + HEX.charAt(c & 15);
  }
  return text;
}

/** The decimal digits of BCD bytes[start, end), two a byte; '' when a nibble is not a digit. */
export function bcdDigits(bytes: Bytes, start: number, end: number): string {
  let text = '';
  for (let p = start; p < end; p++) {
    const c = bytes[p]!;
    if (c >> 4 > 9 || (c & 15) > 9) return '';
    text += HEX.charAt(c >> 4) + HEX.charAt(c & 15);
  }
  return text;
}

/** An identity as IMEI: 0 and 15 digits whose last one is their check digit (Luhn) stand for those 15; anything else is left as it is. */
export function imeiOf(digits: string): string {
  return digits.length === 16 && digits.startsWith('0') && hasCheckDigit(digits.slice(1)) ? digits.slice(1) : digits;
}

/** An IMEI as some units send it, with a zero in front; '' for what is not an IMEI. */
export function withZero(imei: string): string {
  return imei.length === 15 && hasCheckDigit(imei) ? `0${imei}` : '';
}

/** Is the last of these digits the check digit (Luhn, ISO/IEC 7812-1) of the others? */
export function hasCheckDigit(digits: string): boolean {
  let sum = 0;
  for (let k = digits.length - 1, even = false; k >= 0; k--, even = !even) {
    const digit = digits.charCodeAt(k) - 48;
    if (digit < 0 || digit > 9) return false;
    const doubled = even ? 2 * digit : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return digits !== '' && sum % 10 === 0;
}

/** Two BCD digits as a number 0…99, or -1 when a nibble is not a digit. */
export function bcd(bytes: Bytes, at: number): number {
  const c = bytes[at]!;
  const high = c >> 4;
  const low = c & 15;
  return high > 9 || low > 9 ? -1 : high * 10 + low;
}

/** The unsigned decimal number in ASCII bytes[start, end), or -1 when empty or any character is not a digit. Exact up to 15 digits. */
export function decimal(bytes: Bytes, start: number, end: number): number {
  if (start >= end) return -1;
  let value = 0;
  for (let p = start; p < end; p++) {
    const digit = bytes[p]! - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/** The unsigned hexadecimal number in ASCII bytes[start, end), or -1 when empty or any character is not a hex digit. Exact up to 13 digits. */
export function hexNumber(bytes: Bytes, start: number, end: number): number {
  if (start >= end) return -1;
  let value = 0;
  for (let p = start; p < end; p++) {
    const digit = hexDigit(bytes[p]!);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/**
 * The decimal fraction in ASCII bytes[start, end): optional sign, digits, optional point and digits. NaN for anything
 * else. The value equals what `Number` gives for the same text of up to 15 significant digits.
 */
export function fraction(bytes: Bytes, start: number, end: number): number {
  let p = start;
  const sign = bytes[p] === 45 ? -1 : 1;
  if (p < end && (bytes[p] === 45 || bytes[p] === 43)) p++;
  let value = 0;
  let scale = 1;
  let digits = 0;
  let point = false;
  for (; p < end; p++) {
    const c = bytes[p]!;
    if (c === 46 && !point) {
      point = true;
      continue;
    }
    const digit = c - 48;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = value * 10 + digit;
    if (point) scale *= 10;
    digits++;
  }
  return digits === 0 ? Number.NaN : (sign * value) / scale;
}

/** 0…15 for an ASCII hex digit, -1 for any other byte. */
export function hexDigit(c: number): number {
  if (c >= 48 && c <= 57) return c - 48;
  if (c >= 97 && c <= 102) return c - 87;
  if (c >= 65 && c <= 70) return c - 55;
  return -1;
}

/** Offset of `byte` in bytes[start, end), or -1. */
export function indexOf(bytes: Bytes, start: number, end: number, byte: number): number {
  for (let p = start; p < end; p++) if (bytes[p] === byte) return p;
  return -1;
}

/** Bytes of a hex text (spaces ignored), or undefined when it is not hex. Allocates: for tools and tests. */
export function fromHex(text: string): Uint8Array | undefined {
  const compact = text.replace(/\s+/g, '');
  if (compact.length % 2 !== 0 || /[^0-9a-fA-F]/.test(compact)) return undefined;
  const out = new Uint8Array(compact.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = (hexDigit(compact.charCodeAt(2 * i)) << 4) | hexDigit(compact.charCodeAt(2 * i + 1));
  return out;
}
