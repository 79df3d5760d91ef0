import { describe, expect, it } from 'vitest';
import { RespWriter } from '../../src/out/sink/redis-stream/resp.ts';
import { argumentsOf } from '../support/resp-arguments.ts';

describe('a command of the Redis protocol', () => {
  it('has each argument with its length in bytes, whatever that takes', () => {
    const texts = [
      '',
      'a',
      'x'.repeat(9),
      'x'.repeat(10),
      'ß'.repeat(50),
      'x'.repeat(99),
      'x'.repeat(100),
      'x'.repeat(999),
      'x'.repeat(1000),
      'ß'.repeat(70_000),
    ];
    const out = new RespWriter();
    for (let again = 0; again < 2; again++) {
      out.begin('return 1', ['k1', 'k2'], texts.length + 1);
      const ends: [number, number][] = [];
      for (const text of texts) {
        const start = out.open();
        out.utf8(text);
        ends.push([out.close(start), out.argumentEnd]);
      }
      const [from, to] = ends[4] ?? [0, 0];
      out.copy(out.bytes, from, to);
      expect(argumentsOf(out.written())).toEqual(['EVAL', 'return 1', '2', 'k1', 'k2', ...texts, 'ß'.repeat(50)]);
      for (const [k, [begin, end]] of ends.entries()) expect(out.bytes.toString('utf8', begin, end)).toBe(texts[k]);
    }
  });
});
