import { describe, expect, it } from 'vitest';
import { BUILTIN_CODECS } from '../../src/codec/builtin.ts';
import { Feed, kitOptions } from '../../src/codec/kit/feed.ts';
import { checkCodec, describeFailure, difference, feed } from '../../src/codec/kit/index.ts';
import { bytesOf, hostileLines } from '../helpers/fixtures.ts';
import { REPLY_TEXTS } from '../helpers/reply-texts.ts';
import { RESEAL, samplesOf } from '../helpers/samples.ts';
import { rounds } from '../support/thorough.ts';

/**
 * Damaged conversations for each built-in, and where they begin: another seed gives others.
 *
 *   KIT_ROUNDS=1000000 KIT_SEED=2 npx vitest run test/codec/kit.test.ts -t '^gt06 passes'
 */
const ROUNDS = Number(process.env['KIT_ROUNDS'] ?? rounds(400, 5000));
const SEED = Number(process.env['KIT_SEED'] ?? 1);

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
      // The end of a frame like this one: what stands in front of most.
      shifted.fill(0x31, 0, front).set(bytes.slice(-front), Math.max(0, front - bytes.length));
      shifted.set(bytes, front);
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
