import { crc8, crc16Ccitt } from '../../codecs/queclink/crc.ts';
import { crc16Arc, crc16X25, putU16be, putU32be } from '../../src/base/wire/index.ts';
import type { CheckSettings, Sample } from '../../src/codec/kit/index.ts';
import { bytesOf, frameLines, streamLines } from './fixtures.ts';

/** How each built-in repairs a damaged frame, so that the damage is looked at. H02 has neither checksums nor lengths. */
export const RESEAL: Readonly<Record<string, CheckSettings['reseal']>> = {
  /** 00000000 · length u32 · data · 0000 CRC-16/ARC of the data over TCP; length u16 in front over UDP. */
  teltonika(bytes, transport, length) {
    if (bytes.length < 13 || (transport === 'tcp' && (bytes[0] !== 0 || bytes[2] !== 0))) return;
    if (transport === 'udp') {
      if (length) putU16be(bytes, 0, bytes.length - 2);
      return;
    }
    if (length) putU32be(bytes, 4, bytes.length - 12);
    putU32be(bytes, bytes.length - 4, crc16Arc(bytes, 8, bytes.length - 4));
  },
  /** 7878 length u8, or 7979 length u16 · … · CRC-16/X.25 from the length on · 0D0A. */
  gt06(bytes, _transport, length) {
    if (bytes.length < 6 || (bytes[0] !== 0x78 && bytes[0] !== 0x79)) return;
    if (length && bytes[0] === 0x78) bytes[2] = bytes.length - 5;
    if (length && bytes[0] === 0x79) putU16be(bytes, 2, bytes.length - 6);
    if (bytes.length >= 10) putU16be(bytes, bytes.length - 4, crc16X25(bytes, 2, bytes.length - 4));
    bytes[bytes.length - 2] = 0x0d;
    bytes[bytes.length - 1] = 0x0a;
  },
  h02: undefined,
  /** 7E · content · exclusive or of the content · 7E, where the last byte and the new one need no escape. */
  jt808(bytes) {
    const last = bytes.length - 2;
    if (last < 2 || bytes[0] !== 0x7e || bytes[last - 1] === 0x7d) return;
    bytes[last + 1] = 0x7e;
    let sum = 0;
    for (let p = 1; p < last; p++) {
      const isEscape = bytes[p] === 0x7d && (bytes[p + 1] === 1 || bytes[p + 1] === 2);
      sum ^= isEscape ? 0x7c + (bytes[++p] ?? 0) : (bytes[p] ?? 0);
    }
    if (sum !== 0x7d && sum !== 0x7e) bytes[last] = sum;
  },
  /** 2B 00 · length u16 · … · CRC-8 · 24, its heartbeat 2B 10; +XXX · … · CRC-16 · 0D0A. Text has neither. */
  queclink(bytes, _transport, length) {
    const end = bytes.length;
    if (end < 24) return;
    if (bytes[1] === 0 || bytes[1] === 0x10) {
      if (length && bytes[1] === 0) putU16be(bytes, 2, end);
      bytes[end - 2] = crc8(bytes, 0, end - 2);
    } else if (bytes[0] === 0x2b && bytes[4] !== 0x3a && bytes[5] !== 0x3a) {
      putU16be(bytes, end - 4, crc16Ccitt(bytes, 4, end - 4));
      putU16be(bytes, end - 2, 0x0d0a);
    }
  },
};

/** Every frame behind those it needs, and every conversation. */
export function samplesOf(name: string): Sample[] {
  const lines = frameLines(name);
  const byId = new Map(lines.map((line) => [line.id, line.hex]));
  const frames = lines.map((line) => ({
    name: line.id,
    transport: line.transport,
    chunks: [...(line.needs ?? []).map((id) => byId.get(id) ?? ''), line.hex].map(bytesOf),
    options: line.options ?? {},
  }));
  const streams = streamLines(name).map((line) => ({
    name: line.id,
    transport: line.transport,
    chunks: line.steps.flatMap((step) => ('in' in step ? [bytesOf(step.in)] : [])),
    options: line.options ?? {},
  }));
  return [...frames, ...streams];
}
