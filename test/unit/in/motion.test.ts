import { describe, expect, it } from 'vitest';
import { FrameResult, RowFlag } from '../../../src/codec/index.ts';
import { Motion } from '../../../src/in/session/motion.ts';

const NOW = Date.UTC(2026, 0, 2);

interface Row {
  readonly ageMs?: number;
  readonly speedKmh?: number;
  readonly valid?: number;
  readonly flags?: number;
  readonly latitude?: number;
}

function frameOf(...rows: readonly Row[]): FrameResult {
  const frame = new FrameResult();
  frame.reset(0, 1);
  for (const { ageMs = 0, speedKmh = 0, valid = 1, flags = 0, latitude = 59 } of rows) {
    const row = frame.row();
    frame.time[row] = NOW - ageMs;
    frame.latitude[row] = latitude;
    frame.longitude[row] = 18;
    frame.speedKmh[row] = speedKmh;
    frame.valid[row] = valid;
    frame.flags[row] = flags;
  }
  return frame;
}

/** What is known after these rows came in one frame. */
function movesAfter(...rows: readonly Row[]): boolean | undefined {
  const motion = new Motion();
  motion.saw(frameOf(...rows), NOW, 0);
  return motion.at(0);
}

describe('whether a vehicle moves', () => {
  it('is what its last live position says: up to 5 km/h it stands', () => {
    expect([movesAfter({ speedKmh: 0 }), movesAfter({ speedKmh: 5 }), movesAfter({ speedKmh: 5.1 }), movesAfter({ speedKmh: 90 })]).toEqual(
      [false, false, true, true],
    );
  });

  it.each<[string, Row]>([
    ['is not valid', { valid: 0 }],
    ['has no place', { latitude: Number.NaN }],
    ['has no speed', { speedKmh: Number.NaN }],
    ['has no time', { ageMs: Number.NaN }],
    ['was held back, says the device', { flags: RowFlag.Buffered }],
    ['is older than a minute at its receipt', { ageMs: 60_001 }],
    ['is from the future', { ageMs: -60_001 }],
  ])('is not known from a position that %s', (_, row) => expect(movesAfter(row)).toBeUndefined());

  it('is known from one a minute old, for two minutes', () => {
    const motion = new Motion();
    expect(motion.saw(frameOf({ ageMs: 60_000 }), NOW, 5)).toBe(true);
    expect([motion.at(5), motion.at(120_005), motion.at(120_006)]).toEqual([false, false, undefined]);
  });

  it('is what the latest of several positions says, wherever it stands, and whenever it comes', () => {
    expect(movesAfter({ ageMs: 0, speedKmh: 50 }, { ageMs: 10_000, speedKmh: 0 })).toBe(true);
    expect(movesAfter({ ageMs: 40_000_000, speedKmh: 0 }, { speedKmh: 50 })).toBe(true);
    const motion = new Motion();
    motion.saw(frameOf({ ageMs: 1000, speedKmh: 50 }), NOW, 0);
    expect([motion.saw(frameOf({ ageMs: 20_000, speedKmh: 0 }), NOW, 10), motion.at(10)]).toEqual([false, true]);
    expect([motion.saw(frameOf({ ageMs: 0, speedKmh: 0 }), NOW, 20), motion.at(20)]).toEqual([true, false]);
  });

  it('is not said by positions of the frame before', () => {
    const frame = frameOf({ ageMs: 2000 }, { speedKmh: 50 });
    const motion = new Motion();
    const [stale] = [frame.time[1]];
    frame.reset(0, 1);
    const row = frame.row();
    frame.time[row] = NOW - 2000;
    [frame.latitude[row], frame.longitude[row], frame.speedKmh[row], frame.valid[row]] = [59, 18, 0, 1];
    expect([frame.time[1], motion.saw(frame, NOW, 0), motion.at(0)]).toEqual([stale, true, false]);
  });

  it('is said by a receiver whose week has rolled over, too', () => expect(movesAfter({ ageMs: 1024 * 7 * 86_400_000 })).toBe(false));
});

describe('what a frame says', () => {
  it.each<[what: string, rows: readonly Row[], isNews: boolean]>([
    ['of a vehicle that goes on', [{ speedKmh: 60 }], false],
    ['of one that stands now', [{ speedKmh: 0 }], true],
    ['from its memory', [{ speedKmh: 0, flags: RowFlag.Buffered }], false],
    ['without a position', [{ valid: 0 }], false],
    ['of nothing', [], false],
  ])('%s is news: %s', (_what, rows, isNews) => {
    const motion = new Motion();
    motion.saw(frameOf({ speedKmh: 50 }), NOW, 0);
    expect(motion.saw(frameOf(...rows), NOW, 1)).toBe(isNews);
  });

  it('of an earlier time counts again when the one before speaks no more', () => {
    const motion = new Motion();
    motion.saw(frameOf({ speedKmh: 50 }), NOW, 0);
    expect([motion.saw(frameOf({ ageMs: 10_000 }), NOW, 120_001), motion.at(120_001)]).toEqual([true, false]);
  });
});

it('a position is told once, and the next one when so long has passed, whichever way the clock was set', () => {
  const motion = new Motion();
  expect(motion.news(0)).toBeUndefined();
  motion.saw(frameOf({ ageMs: 1000 }), NOW, 0);
  expect(motion.news(60_000)).toEqual({ lat: 59, lon: 18, time: NOW - 1000, received: NOW });
  expect(motion.news(0)).toBeUndefined();
  motion.saw(frameOf({ ageMs: -30_000 }), NOW + 30_000, 30_000);
  expect([motion.news(30_001), motion.news(30_000)?.received, motion.news(0)]).toEqual([undefined, NOW + 30_000, undefined]);
  motion.saw(frameOf({ ageMs: 600_000 }), NOW - 600_000, 300_000);
  expect(motion.news(60_000)?.received).toBe(NOW - 600_000);
});
