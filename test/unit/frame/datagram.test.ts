import { describe, expect, it } from 'vitest';
import type { Bytes } from '../../../src/base/wire/index.ts';
import { hex } from '../../../src/base/wire/index.ts';
import { datagramFrames } from '../../../src/codec/frame/datagram.ts';
import type { DatagramDialect } from '../../../src/codec/index.ts';
import { bytesOf } from '../../helpers/fixtures.ts';

const plain: DatagramDialect = { open: () => ({}), decode() {}, encodeAck: () => 0 };
/** Frames of A5, length u8 of the whole; anything else is noise. */
const several: DatagramDialect = {
  ...plain,
  frame(bytes, start, end) {
    if (bytes[start] !== 0xa5) return -1;
    return end - start < 2 ? 0 : (bytes[start + 1] ?? 0);
  },
};

function frames(dialect: DatagramDialect, text: string, stopAfter = 100): { frames: string[]; noise: number } {
  const found: string[] = [];
  const noise = datagramFrames(dialect, {}, bytesOf(text), 8, (bytes: Bytes, start, end) => {
    found.push(hex(bytes, start, end));
    return found.length < stopAfter;
  });
  return { frames: found, noise };
}

describe('datagramFrames', () => {
  it('takes a whole datagram as the frame where the dialect does not look for several', () => {
    expect(frames(plain, '0102')).toEqual({ frames: ['0102'], noise: 0 });
    expect(frames(plain, '0102030405060708')).toEqual({ frames: ['0102030405060708'], noise: 0 });
    expect(frames(plain, '010203040506070809')).toEqual({ frames: [], noise: 9 });
    expect(frames(plain, '')).toEqual({ frames: [], noise: 0 });
  });

  it('finds several frames and counts the noise between them', () => {
    expect(frames(several, 'a5030100a50401020d0a')).toEqual({ frames: ['a50301', 'a5040102'], noise: 3 });
    expect(frames(several, 'a5030100a50401a5a508010203040506')).toEqual({ frames: ['a50301', 'a50401a5', 'a508010203040506'], noise: 1 });
  });

  it.each([
    ['cut short', 'a50301a50401', 3],
    ['too short for a header', 'a50301a5', 1],
    ['longer than any frame', 'a50301a50901020304050607', 9],
  ])('drops the rest behind a frame that is %s: nothing follows in a datagram', (_what, text, noise) => {
    expect(frames(several, text)).toEqual({ frames: ['a50301'], noise });
  });

  it('stops when the consumer says so', () => {
    expect(frames(several, 'a502a50301a502', 2)).toEqual({ frames: ['a502', 'a50301'], noise: 0 });
  });

  it('drops no more than there is, whatever the dialect says', () => {
    const liar = { ...several, frame: (bytes: Bytes, start: number) => (bytes[start] === 0xa5 ? 2 : -1000) };
    expect(frames(liar, 'a502010203')).toEqual({ frames: ['a502'], noise: 3 });
  });
});
