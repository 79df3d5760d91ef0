import { describe, expect, it } from 'vitest';
import { declared, frame, MAX_FRAME_BYTES, salvage } from '../../codecs/gt06/frame.ts';
import gt06 from '../../codecs/gt06/index.ts';
import { crc16X25, hex, putU16be } from '../../src/base/wire/index.ts';
import { Feed } from '../../src/codec/kit/feed.ts';
import { Random } from '../../src/codec/kit/mutate.ts';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';

/** The numbered invariants of codecs/gt06/frame.ts. */

const HEARTBEAT = '78780a1346040400020002b0a20d0a';
const LOGIN = '787811010123456789012345270100020001c2c80d0a';
/** A connection that has shown no dialect yet. */
const PLAIN = { topin: false };
const TRAP = '787822221a070f0c2238c90339f5b00d0a78783c145a01cc00287d001f710100000d0a80550d0a';

function lengths(text: string): { frames: number[]; noise: number; pending: number } {
  const feed = new Feed(gt06, 'tcp');
  feed.push(bytesOf(text));
  return { frames: feed.frames.map((f) => f.length), noise: feed.noise, pending: feed.pending };
}

/** A frame built from number and content. */
function sealed(number: number, content: string): string {
  const body = bytesOf(content);
  const bytes = new Uint8Array(10 + body.length);
  bytes.set([0x78, 0x78, 5 + body.length, number]);
  bytes.set(body, 4);
  bytes[bytes.length - 5] = 9;
  putU16be(bytes, bytes.length - 4, crc16X25(bytes, 2, bytes.length - 4));
  bytes.set([0x0d, 0x0a], bytes.length - 2);
  return hex(bytes, 0, bytes.length);
}

describe('invariant 1: cut by length, never by stop bytes', () => {
  it('stop bytes and a start pair inside the content', () => {
    expect(lengths(TRAP + HEARTBEAT)).toEqual({ frames: [39, 15], noise: 0, pending: 0 });
  });
  it('stop bytes in the serial, and a checksum that ends in 0D', () => {
    expect(lengths(`78780a1346040400020d0a8c920d0a${HEARTBEAT}`).frames).toEqual([15, 15]);
    expect(lengths(`797900079b0201001e730d0d0a${HEARTBEAT}`).frames).toEqual([13, 15]);
  });
});

describe('invariant 2: the earliest certainty decides', () => {
  it('a false header in front of a frame (document, stream test 9)', () => {
    expect(lengths('7878787805130002db6a0d0a')).toEqual({ frames: [10], noise: 2, pending: 0 });
  });
  it('a false header that begins any number of bytes before the frame', () => {
    for (let n = 0; n < 12; n++) {
      const text = `787864${'01'.repeat(n)}${HEARTBEAT}`;
      expect(lengths(text), text).toEqual({ frames: [15], noise: 3 + n, pending: 0 });
    }
  });
  it('garbage whose last byte makes a false pair (stream test 3)', () => {
    expect(lengths(`ff0078${HEARTBEAT}`)).toEqual({ frames: [15], noise: 3, pending: 0 });
  });
  it('a frame cut short, then the whole one (stream test 4)', () => {
    expect(lengths(`78780a1346${HEARTBEAT}`)).toEqual({ frames: [15], noise: 5, pending: 0 });
  });
  it('a LEN that is too small is found once stop bytes and checksum say so', () => {
    expect(lengths('787808134606020002044dc5050d0a').frames).toEqual([15]);
    expect(lengths('787808134b040300010011061f0d0a').frames).toEqual([15]);
  });
  it('a LEN that is too large is found when the next frame is there', () => {
    const large = `78780b1346040400020002${crcHex('0b1346040400020002')}0d0a`;
    expect(lengths(large)).toEqual({ frames: [], noise: 0, pending: 15 });
    expect(lengths(large + HEARTBEAT).frames).toEqual([15, 15]);
  });
  it('a whole frame with a right checksum inside a frame with a wrong one that ends in the same place', () => {
    const outer = `78780e22${HEARTBEAT}`;
    expect(lengths(outer)).toEqual({ frames: [15], noise: 4, pending: 0 });
  });
  it('a wrong checksum at the right place is still a frame', () => {
    expect(lengths('78780a1346040400020002b0a30d0a').frames).toEqual([15]);
  });
});

function crcHex(text: string): string {
  const bytes = bytesOf(text);
  return crc16X25(bytes, 0, bytes.length).toString(16).padStart(4, '0');
}

describe('invariant 3: after quiet', () => {
  const quiet = (text: string) => {
    const feed = new Feed(gt06, 'tcp');
    feed.push(bytesOf(text));
    feed.quiet();
    return { frames: feed.frames.map((f) => [f.length, f.kind, f.damaged || f.reason]), noise: feed.noise };
  };
  it('a LEN that is too large', () => {
    expect(quiet(`78780b1346040400020002${crcHex('0b1346040400020002')}0d0a`)).toEqual({ frames: [[15, 'heartbeat', 'length']], noise: 0 });
  });
  it('a last byte that never came', () => {
    expect(quiet(HEARTBEAT.slice(0, -2)).frames).toEqual([[14, 'heartbeat', 'length']]);
    expect(quiet(HEARTBEAT.slice(0, -4)).frames).toEqual([[13, 'heartbeat', 'length']]);
  });
  it('half a frame stays half a frame', () => {
    expect(quiet(HEARTBEAT.slice(0, 20))).toEqual({ frames: [], noise: 0 });
    expect(quiet(TRAP.slice(0, 60))).toEqual({ frames: [], noise: 0 });
  });
  it('a false start gives way to the frame behind it, though its checksum is wrong', () => {
    expect(quiet('7979030012780a130078780a1346040400020002b0a30d0a').frames).toEqual([
      [9, 'malformed', 'length'],
      [15, 'heartbeat', 'checksum'],
    ]);
  });
});

describe('the Topin dialect', () => {
  it('its login is told from a login whose serial and checksum look like its end', () => {
    expect(lengths('78780d010359339075005244340d0a').frames).toEqual([15]);
    const ambiguous = new Uint8Array(bytesOf('78780d01012345678901234500000000000d0a').subarray(0, 18));
    // Looks for a serial xx0D whose checksum begins with 0A.
    let found = '';
    for (let high = 0; high < 256 && found === ''; high++)
      for (let last = 0; last < 256 && found === ''; last++) {
        ambiguous.set([last, high, 0x0d], 11);
        const crc = crc16X25(ambiguous, 2, 14);
        if (crc >> 8 !== 0x0a) continue;
        putU16be(ambiguous, 14, crc);
        ambiguous.set([0x0d, 0x0a], 16);
        found = hex(ambiguous, 0, 18);
      }
    expect(found).not.toBe('');
    expect(lengths(found).frames).toEqual([18]);
  });
  const DATE = '261029173110';
  /** Access points and cells of this size, and so many bytes behind them. */
  const network = (number: string, points: number, cells: number, cell: string, behind = 0): string =>
    `78780${points}${number}${DATE}${'aabbccddeeff50'.repeat(points)}${cells.toString(16).padStart(2, '0')}01cc00${cell.repeat(cells)}${'00'.repeat(behind)}0d0a`;
  it.each([
    ['17', '0001000250', 0],
    ['69', '0001000250', 0],
    // Longer cells come with up to three bytes behind them.
    ['1a', '000000010000000250', 3],
    ['1b', '000000010000000250', 3],
  ])('of %s the length follows from its counts', (number, cell, slack) => {
    for (const points of [0, 1, 4])
      for (const cells of [0, 1, 32]) {
        const sizes = [0, 1, 2, 3, 4].map((behind) => lengths(network(number, points, cells, cell, behind)).frames);
        const least = 16 + 7 * points + (cell.length / 2) * cells;
        expect(sizes, `${points}, ${cells}`).toEqual([0, 1, 2, 3, 4].map((behind) => (behind <= slack ? [least + behind] : [])));
      }
    expect(lengths(network(number, 0, 33, cell)).frames).toEqual([]);
  });

  it.each([
    ['08', [6]],
    ['10', [24]],
    ['11', [24]],
    ['13', Array.from({ length: 35 }, (_, k) => 6 + k)],
    ['30', Array.from({ length: 35 }, (_, k) => 6 + k)],
    ['57', Array.from({ length: 35 }, (_, k) => 6 + k)],
    ['12', []],
  ])('a frame %s without a login has the lengths of its number', (number, expected) => {
    const sizes = Array.from({ length: 40 }, (_, k) => 5 + k);
    const framed = (size: number): boolean =>
      lengths(`787804${number}${'01'.repeat(size)}`.slice(0, 2 * size - 4) + '0d0a').frames.includes(size);
    expect(sizes.filter(framed)).toEqual(expected);
  });

  it('a status that never ends is dropped', () => {
    expect(lengths(`78780413${'01'.repeat(60)}`).frames).toEqual([]);
    expect(lengths(`78780413${'01'.repeat(60)}${HEARTBEAT}`).frames).toEqual([15]);
  });
});

/** Mixtures of frames, halves of frames, noise, pairs and stop bytes. */
function mixture(random: Random, parts: readonly string[]): Uint8Array {
  let text = '';
  for (let n = 1 + random.below(5); n > 0; n--) {
    const part = parts[random.below(parts.length)] ?? '';
    const kind = random.below(8);
    if (kind < 4) text += part;
    else if (kind === 4) text += part.slice(0, 2 * random.below(part.length / 2));
    else if (kind === 5) text += ['78', '7878', '7979', '0d0a', '787800', '79790100', '78780d01'][random.below(7)];
    else if (kind === 6) text += random.below(65536).toString(16).padStart(4, '0');
    else {
      const bytes = bytesOf(part);
      if (bytes.length > 3) bytes[2] = (bytes[2] ?? 0) + random.below(7) - 3;
      text += hex(bytes, 0, bytes.length);
    }
  }
  return bytesOf(text);
}

describe('invariant 2, for any bytes', () => {
  const parts = frameLines('gt06').map((line) => line.hex);
  it('every prefix gives 0 or the one final verdict, and no verdict reaches behind what it needs', () => {
    const random = new Random(20);
    for (let round = 0; round < 1500; round++) {
      const bytes = mixture(random, parts);
      for (let start = 0; start < bytes.length; ) {
        let verdict = 0;
        for (let end = start + 1; end <= bytes.length; end++) {
          const n = frame(bytes, start, end, PLAIN);
          if (verdict === 0) verdict = n;
          else if (n !== verdict) throw new Error(`${verdict} then ${n} at ${start} with ${end} of ${hex(bytes, 0, bytes.length)}`);
          if (Math.abs(n) > end - start) throw new Error(`${n} of ${end - start} bytes`);
        }
        if (verdict === 0) {
          const n = salvage(bytes, start, bytes.length, PLAIN);
          expect(n).toBeGreaterThanOrEqual(0);
          expect(n).toBeLessThanOrEqual(bytes.length - start);
          break;
        }
        start += Math.abs(verdict);
      }
    }
  });
  it('never waits for more than the splitter holds', () => {
    const random = new Random(7);
    for (let round = 0; round < 300; round++) {
      const bytes = new Uint8Array(MAX_FRAME_BYTES);
      for (let p = 0; p < bytes.length; p++) bytes[p] = random.once(3) ? 0x79 : random.below(256);
      bytes.set([0x79, 0x79, random.below(9), random.below(256)]);
      expect(frame(bytes, 0, bytes.length, PLAIN)).not.toBe(0);
    }
  });
});

describe('invariant 4: bounded work', () => {
  it('headers and stop bytes without end cost little each', () => {
    // 64 KiB that look like frames inside frames: without the bounds this takes minutes.
    const bytes = new Uint8Array(65536);
    for (let p = 0; p < bytes.length; p += 6) bytes.set([0x79, 0x79, 0x07, 0xf0, 0x0d, 0x0a].slice(0, bytes.length - p), p);
    const feed = new Feed(gt06, 'tcp');
    feed.push(bytes);
    expect(feed.frames.length + feed.noise).toBeGreaterThan(0);
  });
  it('takes a LEN of 2048 as one, and none above it', () => {
    const long = (length: number): string => {
      const bytes = new Uint8Array(length + 6).fill(0x30);
      bytes.set([0x79, 0x79, length >> 8, length & 0xff, 0x94]);
      putU16be(bytes, length + 2, crc16X25(bytes, 2, length + 2));
      bytes.set([0x0d, 0x0a], length + 4);
      return hex(bytes, 0, bytes.length);
    };
    expect(lengths(long(2048) + HEARTBEAT)).toEqual({ frames: [2054, 15], noise: 0, pending: 0 });
    expect(lengths(long(2049) + HEARTBEAT)).toEqual({ frames: [15], noise: 2055, pending: 0 });
  });
  it('declares no length for what cannot be one', () => {
    expect(declared(bytesOf('78780413'), 0, 4)).toBe(0);
    expect(declared(bytesOf('7979080113'), 0, 5)).toBe(0);
    expect(declared(bytesOf(LOGIN), 0, 22)).toBe(22);
    expect(lengths(sealed(0x22, '00'.repeat(18))).frames).toEqual([28]);
  });
});
