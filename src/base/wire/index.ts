/** Public subpath `/wire`: integers, text, checksums and calendars for codecs. Pure functions over lent bytes. */
export type { Bytes } from './bytes.ts';
export { CIVIL, civilFromEpochMs, daysFromCivil, daysInMonth, epochMs } from './calendar.ts';
export { crc16Arc, crc16X25, xorSum } from './crc.ts';
export { HASH, hash64 } from './hash.ts';
export { i8, i16be, i16le, i32be, i32le, i64be, u16be, u16le, u24be, u32be, u32le, u64be, u64le } from './read.ts';
export {
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
  isPlainText,
  plainText,
  visible,
  withZero,
} from './text.ts';
export { putAscii, putBcd, putDecimal, putU8, putU16be, putU16le, putU32be, putU32le, putU64be, putU64le } from './write.ts';
