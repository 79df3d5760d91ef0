import { describe, expect, it } from 'vitest';
import { crc8, crc16Ccitt } from '../../codecs/queclink/crc.ts';
import { crc16Arc, crc16X25, putU16be, putU32be } from '../../src/base/wire/index.ts';
import { BUILTIN_CODECS } from '../../src/codec/builtin.ts';
import { Feed, kitOptions } from '../../src/codec/kit/feed.ts';
import { type CheckSettings, checkCodec, describeFailure, difference, feed, type Sample } from '../../src/codec/kit/index.ts';
import { bytesOf, frameLines, hostileLines, streamLines } from '../helpers/fixtures.ts';
import { REPLY_TEXTS } from '../helpers/reply-texts.ts';
import { rounds } from '../support/thorough.ts';

/**
 * Damaged conversations for each built-in, and where they begin: another seed gives others.
 *
 *   KIT_ROUNDS=1000000 KIT_SEED=2 npx vitest run test/codec/kit.test.ts -t '^gt06 passes'
 */
const ROUNDS = Number(process.env['KIT_ROUNDS'] ?? rounds(600, 5000));
const SEED = Number(process.env['KIT_SEED'] ?? 1);

/** How each built-in repairs a damaged frame, so that the damage is looked at. H02 has neither checksums nor lengths. */
const RESEAL: Readonly<Record<string, CheckSettings['reseal']>> = {
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
function samplesOf(name: string): Sample[] {
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

describe.each(BUILTIN_CODECS.map((codec) => [codec.name, codec] as const))('%s', (name, codec) => {
  it(
    'passes the kit',
    () => {
      const samples = samplesOf(name);
      expect(samples.length).toBeGreaterThan(0);
      const settings = { reseal: RESEAL[name] ?? (() => {}), rounds: ROUNDS, seed: SEED, texts: REPLY_TEXTS[name] ?? [] };
      expect(checkCodec(codec, samples, settings).map(describeFailure)).toEqual([]);
      // The time that a run may take; work that grows with a number in the bytes is found by the kit itself.
    },
    300_000 + 10 * ROUNDS,
  );
  it('reads the same wherever the bytes stand, and nothing behind them', () => {
    const front = 7;
    for (const { name: id, transport, chunks, options } of samplesOf(name)) {
      const dialect = transport === 'udp' ? codec.udp : codec.tcp;
      if (dialect === undefined || transport === 'sms') continue;
      const bytes = chunks.at(-1) ?? new Uint8Array(0);
      const given = kitOptions(codec, options);
      const shifted = new Uint8Array(front + bytes.length);
      shifted.fill(0x31, 0, front).set(bytes, front);
      const verdicts = (all: Uint8Array, start: number, end: number): unknown[] => [
        dialect.frame?.(all, start, end, dialect.open(given, 0)),
        codec.tcp?.salvage?.(all, start, end, codec.tcp.open(given, 0)),
        codec.recognise(all, start, end),
      ];
      const compare = (there: unknown, here: unknown, n: number): void => {
        const problem = difference(there, here);
        if (problem !== '') expect.fail(`${id}, ${n} bytes of it: ${problem}`);
      };
      for (let n = 1; n <= bytes.length; n++) compare(verdicts(shifted, front, front + n), verdicts(bytes.slice(0, n), 0, n), n);
      const notes = (all: Uint8Array, start: number, end: number): unknown[] => {
        const list: unknown[] = [];
        dialect.explain?.(all, start, end, dialect.open(given, 0), (at, ...note) => list.push([at - start, ...note]));
        return list;
      };
      for (let n = 1; n <= bytes.length; n++) compare(notes(shifted, front, front + n), notes(bytes.slice(0, n), 0, n), n);
    }
  });

  it('decodes the same wherever the bytes stand, and nothing in front of them or behind them', () => {
    const front = 1500;
    for (const { name: id, transport, chunks, options } of samplesOf(name)) {
      const bytes = chunks.at(-1) ?? new Uint8Array(0);
      const opened = (): Feed => {
        const connection = new Feed(codec, transport, { options: options ?? {} });
        for (const chunk of chunks.slice(0, -1)) connection.push(chunk);
        return connection;
      };
      const [alone, amid] = [opened(), opened()];
      const shifted = new Uint8Array(front + bytes.length + front).fill(0x31);
      for (let n = 1; n <= bytes.length; n++) {
        const sealed = bytes.slice(0, n);
        RESEAL[name]?.(sealed, transport, true);
        for (const part of [bytes.slice(0, n), sealed]) {
          shifted.set(part, front);
          const { offset: _, ...expected } = alone.decode(part, 0, n);
          const { offset: __, ...frame } = amid.decode(shifted, front, front + n);
          const problem = difference(frame, expected);
          if (problem !== '') expect.fail(`${id}, ${n} bytes of it: ${problem}`);
        }
      }
    }
  });

  const hostile = hostileLines(name);
  it.each(hostile)('survives $id: $about', (line) => {
    const bytes = line.chunks.map(bytesOf);
    const settings = { options: line.options ?? {} };
    const connection = feed(codec, line.transport, bytes, settings);
    if (line.transport === 'udp') return;
    const split = feed(
      codec,
      line.transport,
      bytes.flatMap((chunk) => Array.from(chunk, (byte) => Uint8Array.of(byte))),
      settings,
    );
    expect(difference(connection.frames, split.frames)).toBe('');
  });
});
