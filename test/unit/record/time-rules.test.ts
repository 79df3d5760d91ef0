import { describe, expect, test } from 'vitest';
import { ROW_FLAG_NAMES, RowFlag } from '../../../src/codec/index.ts';
import { JUDGED, judgeTime } from '../../../src/out/record/time-rules.ts';

const MINUTE = 60_000;
const DAY = 86_400_000;
/** What a receiver that counts weeks in ten bits loses. */
const ERA = 1024 * 7 * DAY;

const RECEIVED = Date.UTC(2026, 9, 1, 12);
const EARLIEST = Date.UTC(2010, 0, 1);

interface Judged {
  readonly time: number;
  readonly deviceTime: number;
  readonly flags: readonly string[];
}

function judged(raw: number, received = RECEIVED, flags = 0): Judged {
  judgeTime(raw, received, flags);
  return { time: JUDGED.time, deviceTime: JUDGED.deviceTime, flags: ROW_FLAG_NAMES.filter((_, bit) => (JUDGED.flags >> bit) & 1) };
}

const kept = (time: number, ...flags: string[]): Judged => ({ time, deviceTime: Number.NaN, flags });
const replaced = (raw: number, flag: string, received = RECEIVED): Judged => ({ time: received, deviceTime: raw, flags: [flag] });

describe('a believable time stays, and its flag says how old or how far ahead it is', () => {
  test.each([
    ['now', 0, []],
    ['five minutes old', -5 * MINUTE, []],
    ['a millisecond older', -5 * MINUTE - 1, ['buffered']],
    ['ten years old', -3653 * DAY, ['buffered']],
    ['five minutes ahead', 5 * MINUTE, []],
    ['a millisecond further ahead', 5 * MINUTE + 1, ['future']],
    ['24 hours ahead', DAY, ['future']],
  ])('%s', (_, offset, flags) => {
    expect(judged(RECEIVED + offset)).toEqual(kept(RECEIVED + offset, ...flags));
  });

  test('the first millisecond of 2010', () => {
    expect(judged(EARLIEST)).toEqual(kept(EARLIEST, 'buffered'));
  });
});

describe('an unusable time gives way to the time of receipt and is kept aside', () => {
  test('more than 24 hours ahead', () => {
    expect(judged(RECEIVED + DAY + 1)).toEqual(replaced(RECEIVED + DAY + 1, 'future'));
    expect(judged(Date.UTC(2106, 1, 7))).toEqual(replaced(Date.UTC(2106, 1, 7), 'future'));
  });

  test('before 2010', () => {
    expect(judged(EARLIEST - 1)).toEqual(replaced(EARLIEST - 1, 'no_time'));
    expect(judged(0)).toEqual(replaced(0, 'no_time'));
    expect(judged(-DAY)).toEqual(replaced(-DAY, 'no_time'));
  });

  test('none at all leaves nothing to keep aside', () => {
    expect(judged(Number.NaN)).toEqual(kept(RECEIVED, 'no_time'));
  });
});

describe('a time that fell back by 1024 weeks is repaired', () => {
  test.each([
    ['now', 0, ['rollover']],
    ['five minutes old', -5 * MINUTE, ['rollover']],
    ['a millisecond older', -5 * MINUTE - 1, ['buffered', 'rollover']],
    ['a millisecond less than 30 days old', -30 * DAY + 1, ['buffered', 'rollover']],
    ['five minutes ahead', 5 * MINUTE, ['rollover']],
  ])('%s', (_, offset, flags) => {
    expect(judged(RECEIVED + offset - ERA)).toEqual(kept(RECEIVED + offset, ...flags));
  });

  test('not when the result would be older than 30 days or ahead', () => {
    for (const offset of [-30 * DAY, 5 * MINUTE + 1]) {
      const raw = RECEIVED + offset - ERA;
      expect(judged(raw)).toEqual(replaced(raw, 'no_time'));
    }
  });

  test('also when what was fallen back to is after 2010', () => {
    const received = Date.UTC(2030, 0, 1);
    expect(received - ERA).toBeGreaterThan(EARLIEST);
    expect(judged(received - ERA, received)).toEqual(kept(received, 'rollover'));
  });
});

test('flags of the codec stay', () => {
  const own = RowFlag.Buffered;
  expect(judged(RECEIVED, RECEIVED, own).flags).toEqual(['buffered']);
  expect(judged(RECEIVED + DAY, RECEIVED, own).flags).toEqual(['buffered', 'future']);
  expect(judged(RECEIVED - ERA, RECEIVED, own).flags).toEqual(['buffered', 'rollover']);
  expect(judged(RECEIVED + 2 * DAY, RECEIVED, own).flags).toEqual(['buffered', 'future']);
  expect(judged(0, RECEIVED, own).flags).toEqual(['buffered', 'no_time']);
  expect(judged(Number.NaN, RECEIVED, own).flags).toEqual(['buffered', 'no_time']);
});

test('no device’s clock, and no step of ours, makes a partition outside 2010 … a day after receipt', () => {
  const offsets = [0, 1, -1, DAY, -DAY, 400 * DAY, -400 * DAY, ERA, -ERA, 2 * ERA, -2 * ERA];
  for (const step of [0, 3_600_000, -3_600_000, 400 * DAY, -400 * DAY]) {
    const received = RECEIVED + step;
    for (const offset of offsets) {
      const { time } = judged(RECEIVED + offset, received);
      expect(time).toBeGreaterThanOrEqual(EARLIEST);
      expect(time).toBeLessThanOrEqual(received + DAY);
    }
  }
});
