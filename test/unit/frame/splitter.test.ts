import { describe, expect, it } from 'vitest';
import type { Bytes } from '../../../src/base/wire/index.ts';
import { hex, u16be } from '../../../src/base/wire/index.ts';
import { Splitter, Stop } from '../../../src/codec/frame/splitter.ts';
import type { StreamDialect } from '../../../src/codec/index.ts';
import { cutRandomly, joined, Random } from '../../../src/codec/kit/mutate.ts';

/**
 * Frames for these tests: A5, length u16 of the whole, body. Anything else is noise. A length of 3 or less makes the A5
 * noise. Salvage takes what is there of a frame whose last byte is E5.
 */
const dialect: StreamDialect = {
  open: () => ({}),
  frame(bytes, start, end) {
    let p = start;
    while (p < end && bytes[p] !== 0xa5) p++;
    if (p > start) return start - p;
    if (end - start < 3) return 0;
    const length = u16be(bytes, start + 1);
    return length > 3 ? length : -1;
  },
  decode() {},
  encodeAck: () => 0,
  salvage(bytes, start, end) {
    for (let p = start; p < end; p++) if (bytes[p] === 0xe5) return p + 1 - start;
    return 0;
  },
};
const MAX = 300;

function frame(length: number, fill = 1): Uint8Array {
  const bytes = new Uint8Array(length).fill(fill);
  bytes.set([0xa5, length >> 8, length]);
  return bytes;
}

const noise = (n: number): Uint8Array => new Uint8Array(n).fill(0x4e);

interface Taken {
  frames: string[];
  noise: number;
  stopped: Stop;
  most: number;
}

function split(chunks: readonly Bytes[], stopAfter = Number.POSITIVE_INFINITY): Taken {
  const frames: string[] = [];
  let most = 0;
  const splitter = new Splitter(dialect, {}, MAX, (bytes, start, end) => {
    frames.push(hex(bytes, start, end));
    return frames.length < stopAfter;
  });
  for (const chunk of chunks) {
    splitter.push(chunk);
    most = Math.max(most, splitter.pending);
  }
  return { frames, noise: splitter.noise, stopped: splitter.stopped, most };
}

/** Frames of all sizes with noise, lying headers and long runs of nothing between them. */
function stream(random: Random): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let n = 1 + random.below(12); n > 0; n--) {
    const kind = random.below(10);
    if (kind < 6) parts.push(frame(4 + random.below(random.once(3) ? MAX - 3 : 20), random.below(256)));
    else if (kind < 8) parts.push(noise(1 + random.below(random.once(4) ? 2 * MAX : 5)));
    else if (kind === 8) parts.push(Uint8Array.of(0xa5, 0, random.below(4)));
    else if (random.once(4)) parts.push(frame(MAX + 1 + random.below(3)));
    else parts.push(Uint8Array.from({ length: random.below(40) }, () => random.below(256)));
  }
  return joined(parts);
}

describe('invariant 1: cuts change nothing', () => {
  it('gives the same frames, noise and stop for every way of cutting', () => {
    const random = new Random(11);
    for (let n = 0; n < 1500; n++) {
      const bytes = stream(random);
      const { most: _most, ...whole } = split([bytes]);
      const ways = [cutRandomly(bytes, 2, random), cutRandomly(bytes, 3 + random.below(20), random)];
      if (n % 10 === 0) ways.push(Array.from(bytes, (byte) => Uint8Array.of(byte)));
      for (const chunks of ways) {
        const { most: _held, ...cut } = split(chunks);
        if (JSON.stringify(cut) !== JSON.stringify(whole))
          expect({ bytes: hex(bytes, 0, bytes.length), cuts: chunks.map((chunk) => chunk.length), ...cut }).toEqual(whole);
      }
    }
  });

  it('finds every frame of a clean stream at every cut', () => {
    const frames = [frame(4), frame(260, 7), frame(5), frame(MAX, 9), frame(20, 3)];
    const bytes = joined(frames);
    const wanted = frames.map((one) => hex(one, 0, one.length));
    for (let cut = 0; cut <= bytes.length; cut++)
      expect(split([bytes.slice(0, cut), bytes.slice(cut)])).toMatchObject({ frames: wanted, noise: 0, stopped: Stop.None });
  });

  it('holds what is not complete and nothing else', () => {
    const splitter = new Splitter(dialect, {}, MAX, () => true);
    splitter.push(joined([frame(10), frame(20).subarray(0, 7)]));
    expect(splitter.pending).toBe(7);
    splitter.push(frame(20).slice(7));
    expect(splitter.pending).toBe(0);
    splitter.push(new Uint8Array(0));
    expect([splitter.pending, splitter.noise]).toEqual([0, 0]);
  });
});

describe('invariant 2: whole frames are not copied', () => {
  it('hands over the chunk itself, and a copy only of a frame that arrived split', () => {
    const homes: Bytes[] = [];
    const splitter = new Splitter(dialect, {}, MAX, (bytes) => {
      homes.push(bytes);
      return true;
    });
    const first = joined([frame(10), frame(40), frame(50).subarray(0, 20)]);
    const second = joined([frame(50).subarray(20), frame(6), frame(7)]);
    splitter.push(first);
    splitter.push(second);
    expect(homes.map((home) => (home === first ? 'first' : home === second ? 'second' : 'copy'))).toEqual([
      'first',
      'first',
      'copy',
      'second',
      'second',
    ]);
  });
});

describe('invariant 3: never more than the longest frame is held', () => {
  it('stops at a header that announces more, before anything is held', () => {
    const splitter = new Splitter(dialect, {}, MAX, () => true);
    expect(splitter.push(frame(MAX + 1).slice(0, 3))).toBe(false);
    expect([splitter.stopped, splitter.pending]).toEqual([Stop.TooLong, 0]);
  });

  it('takes a frame of exactly the longest', () => {
    expect(split(cutRandomly(frame(MAX), 9, new Random(1)))).toMatchObject({ frames: [hex(frame(MAX), 0, MAX)], stopped: Stop.None });
  });

  it('stops when the length stays unknown for as long as a frame may be', () => {
    const mute: StreamDialect = { ...dialect, frame: () => 0 };
    const splitter = new Splitter(mute, {}, MAX, () => true);
    for (let n = 1; n < MAX; n++) expect([n, splitter.push(Uint8Array.of(1))]).toEqual([n, true]);
    expect(splitter.pending).toBe(MAX - 1);
    expect(splitter.push(Uint8Array.of(1))).toBe(false);
    expect([splitter.stopped, splitter.pending]).toEqual([Stop.TooLong, 0]);
  });

  it('holds no more for any stream', () => {
    const random = new Random(12);
    let most = 0;
    for (let n = 0; n < 500; n++) most = Math.max(most, split(cutRandomly(stream(random), 8, random)).most);
    expect(most).toBeLessThanOrEqual(MAX);
    expect(most).toBeGreaterThan(MAX / 2);
  });
});

describe('invariant 4: order, and an end at the word of the consumer', () => {
  it('hands nothing over behind a stop, now or later', () => {
    const bytes = joined([frame(4, 1), frame(5, 2), frame(6, 3), frame(7, 4)]);
    const wanted = [hex(frame(4, 1), 0, 4), hex(frame(5, 2), 0, 5)];
    for (const chunks of [[bytes], Array.from(bytes, (byte) => Uint8Array.of(byte)), cutRandomly(bytes, 4, new Random(3))]) {
      expect(split([...chunks, frame(8)], 2)).toMatchObject({ frames: wanted, stopped: Stop.Consumer });
    }
  });

  it('says so from push and quiet, and keeps saying so', () => {
    const splitter = new Splitter(dialect, {}, MAX, () => false);
    expect([splitter.push(frame(4)), splitter.push(frame(4)), splitter.quiet(), splitter.stopped]).toEqual([
      false,
      false,
      false,
      Stop.Consumer,
    ]);
  });
});

describe('invariant 5: noise is counted once', () => {
  it('counts runs, lying headers and what lies between frames', () => {
    const bytes = joined([noise(500), frame(9), noise(3), Uint8Array.of(0xa5, 0, 1), frame(4), noise(1)]);
    for (const parts of [1, 2, 7, bytes.length]) expect(split(cutRandomly(bytes, parts, new Random(parts))).noise).toBe(500 + 3 + 3 + 1);
  });

  it('counts no more than a dialect was given, whatever it says', () => {
    const liar: StreamDialect = { ...dialect, frame: () => -1000 };
    const splitter = new Splitter(liar, {}, MAX, () => true);
    splitter.push(noise(7));
    expect([splitter.noise, splitter.pending]).toEqual([7, 0]);
  });
});

describe('quiet', () => {
  it('lets the dialect take part of what is held, and goes on behind it', () => {
    const frames: string[] = [];
    const splitter = new Splitter(dialect, {}, MAX, (bytes, start, end) => {
      frames.push(hex(bytes, start, end));
      return true;
    });
    const cut = Uint8Array.of(0xa5, 0, 100, 1, 2, 0xe5);
    splitter.push(joined([cut, frame(5), noise(2), frame(9).subarray(0, 4)]));
    expect(frames).toEqual([]);
    splitter.quiet();
    expect(frames).toEqual([hex(cut, 0, 6), hex(frame(5), 0, 5)]);
    expect([splitter.noise, splitter.pending]).toEqual([2, 4]);
    splitter.push(frame(9).slice(4));
    expect(frames.at(-1)).toBe(hex(frame(9), 0, 9));
  });

  it('lets the dialect take all that is held', () => {
    let length = 0;
    const splitter = new Splitter(dialect, {}, MAX, (_bytes, start, end) => {
      length = end - start;
      return true;
    });
    splitter.push(Uint8Array.of(0xa5, 0, 100, 1, 0xe5));
    expect([splitter.quiet(), length, splitter.pending]).toEqual([true, 5, 0]);
  });

  it('takes nothing when the dialect finds nothing', () => {
    const splitter = new Splitter(dialect, {}, MAX, () => true);
    splitter.push(frame(50).slice(0, 20));
    expect([splitter.quiet(), splitter.pending, splitter.stopped]).toEqual([true, 20, Stop.None]);
  });

  it('does not believe a salvage of more than is held', () => {
    const greedy: StreamDialect = { ...dialect, salvage: (_bytes, start, end) => end - start + 1 };
    let frames = 0;
    const splitter = new Splitter(greedy, {}, MAX, () => ++frames > 0);
    splitter.push(frame(50).slice(0, 20));
    splitter.quiet();
    expect([frames, splitter.pending]).toEqual([0, 20]);
  });
});
