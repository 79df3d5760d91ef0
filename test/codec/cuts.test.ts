import { expect, it } from 'vitest';
import { BUILTIN_CODECS } from '../../src/codec/builtin.ts';
import type { Codec, Transport } from '../../src/codec/index.ts';
import { Feed } from '../../src/codec/kit/index.ts';
import { samplesOf } from '../helpers/samples.ts';

/** Longer beginnings say no more about where a frame ends, or whose it is. */
const LONGEST = 48;
const FRONT = 7;

/** Digits, what a frame may begin with, and nothing. */
const OTHERS = [0x31, 0x78, 0];

/** These bytes in a buffer that has others in front of and behind them. */
function placed(bytes: Uint8Array, other = 0): Uint8Array {
  const buffer = new Uint8Array(FRONT + bytes.length + FRONT).fill(other);
  buffer.set(bytes, FRONT);
  return buffer;
}

/** What framing, salvage and the protocol guess say of `bytes`, of which only these are there. */
function said(codec: Codec, transport: Transport, state: object, bytes: Uint8Array, at: number, end: number): unknown[] {
  const dialect = codec[transport];
  return [
    codec.recognise(bytes, at, end),
    dialect?.frame?.(bytes, at, end, state),
    transport === 'tcp' ? codec.tcp?.salvage?.(bytes, at, end, state) : undefined,
  ];
}

it.each(BUILTIN_CODECS.map((codec) => [codec.name, codec] as const))(
  '%s says of a beginning the same wherever it stands and whatever is behind it',
  (name, codec) => {
    const differing: string[] = [];
    for (const { name: id, transport, chunks, options } of samplesOf(name)) {
      const whole = chunks.at(-1) ?? new Uint8Array(0);
      const { state } = new Feed(codec, transport, { options: options ?? {} });
      for (let n = Math.min(LONGEST, whole.length); n > 0; n--) {
        const exact = JSON.stringify(said(codec, transport, state, whole.slice(0, n), 0, n));
        const there = JSON.stringify(said(codec, transport, state, placed(whole.subarray(0, n), OTHERS[n % 3]), FRONT, FRONT + n));
        if (there !== exact) differing.push(`${id}, ${n} bytes: ${there} instead of ${exact}`);
      }
    }
    expect(differing.slice(0, 5)).toEqual([]);
  },
);
