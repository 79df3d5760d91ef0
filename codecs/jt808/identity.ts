import { type Bytes, bcdDigits, hex, u16be, u32be } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { A } from './attributes.ts';

/**
 * Identity of a phone field (protocol.md section 3.3): decimal digits without leading zeros; a field with other digits is the first 14 digits of
 * an IMEI as a 48-bit number, and beyond that hexadecimal text. '' when it is all zero.
 */
export function identityOf(bytes: Bytes, at: number, n: number): string {
  const digits = bcdDigits(bytes, at, at + n);
  if (digits !== '') return digits.replace(/^0+/, '');
  if (n !== 6) return hex(bytes, at, at + n);
  const value = u16be(bytes, at) * 4294967296 + u32be(bytes, at + 2);
  if (value >= 1e14) return hex(bytes, at, at + n);
  const body = String(value).padStart(14, '0');
  return body + checkDigit(body);
}

/** Luhn digit of 14 digits. */
function checkDigit(digits: string): string {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[i]) * (i % 2 === digits.length % 2 ? 1 : 2);
    sum += digit > 9 ? digit - 9 : digit;
  }
  return String((10 - (sum % 10)) % 10);
}

/** Text in GBK up to the first NUL, blanks off. */
export function gbk(bytes: Bytes, at: number, end: number): string {
  let to = at;
  while (to < end && bytes[to] !== 0) to++;
  return GBK.decode(copied(bytes, at, to)).trim();
}

/** Texts are rare: each is decoded from a copy of its own. */
function copied(bytes: Bytes, at: number, end: number): Uint8Array {
  return Uint8Array.from({ length: end - at }, (_, i) => bytes[at + i]!);
}

const GBK = new TextDecoder('gbk');
const UTF16 = new TextDecoder('utf-16be');

export function utf16(bytes: Bytes, at: number, end: number): string {
  return UTF16.decode(copied(bytes, at, end - ((end - at) % 2)))
    .replaceAll('\0', '')
    .trim();
}

/** ASCII without the blanks around it, and NULs and filler wherever they are. */
export function plain(bytes: Bytes, at: number, end: number): string {
  let text = '';
  for (let p = at; p < end; p++) if (bytes[p]! >= 32 && bytes[p]! < 127) text += String.fromCharCode(bytes[p]!);
  return text.trim();
}

/** A text, where there is one. */
export function texted(id: number, value: string, out: FrameResult): void {
  if (value !== '') out.attrText(id, value);
}

/** An IMEI in a body: it names the device where the phone field is all zero. */
export function imei(text: string, out: FrameResult): void {
  out.attrText(A.Imei, text);
  if (out.deviceId === '' && /^\d{14,16}$/.test(text)) out.deviceId = text;
}

/** 15 digits behind a zero in 8 bytes, '' for anything else. */
export function imeiBcd(bytes: Bytes, at: number): string {
  const digits = bcdDigits(bytes, at, at + 8);
  return digits.startsWith('0') && digits[1] !== '0' ? digits.slice(1) : '';
}

/** ICCID in 10 bytes, filler off. */
export function iccid(bytes: Bytes, at: number): string {
  return hex(bytes, at, at + 10).replace(/f+$/, '');
}
