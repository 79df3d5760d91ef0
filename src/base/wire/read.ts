import type { Bytes } from './bytes.ts';

/**
 * Integers by index and shift. The caller has checked the bounds of the block it reads; a read past the end gives a
 * meaningless number, never an exception. 64-bit values come back as doubles: exact up to 2^53.
 */

export function u16be(bytes: Bytes, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

export function i16be(bytes: Bytes, at: number): number {
  return ((bytes[at]! << 24) >> 16) | bytes[at + 1]!;
}

export function u24be(bytes: Bytes, at: number): number {
  return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
}

export function u32be(bytes: Bytes, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

export function i32be(bytes: Bytes, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

export function u64be(bytes: Bytes, at: number): number {
  return u32be(bytes, at) * 4294967296 + u32be(bytes, at + 4);
}

export function i64be(bytes: Bytes, at: number): number {
  return i32be(bytes, at) * 4294967296 + u32be(bytes, at + 4);
}

export function i8(bytes: Bytes, at: number): number {
  return (bytes[at]! << 24) >> 24;
}

export function u16le(bytes: Bytes, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

export function i16le(bytes: Bytes, at: number): number {
  return ((bytes[at + 1]! << 24) >> 16) | bytes[at]!;
}

export function u32le(bytes: Bytes, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

export function i32le(bytes: Bytes, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

export function u64le(bytes: Bytes, at: number): number {
  return u32le(bytes, at + 4) * 4294967296 + u32le(bytes, at);
}
