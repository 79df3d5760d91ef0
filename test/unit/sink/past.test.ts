import { describe, expect, it } from 'vitest';
import { type TrackRow, thinned } from '../../../src/out/sink/clickhouse/past.ts';

describe('a track that is thinned', () => {
  const row = (minute: number, speedKmh: number | null = 10, event = ''): TrackRow => [
    60_000 * minute,
    1,
    2,
    speedKmh,
    null,
    null,
    event,
    [],
  ];

  it('keeps the first of each bucket, both ends of gaps, events, the fastest and the last, invariant 1', () => {
    const buckets = [
      [row(0), row(9), row(4, 50)],
      [row(10), row(19), row(15, 80)],
      [row(60), row(69), row(61, 20)],
    ] as const;
    const times = thinned(buckets, [row(7, 10, 'sos'), row(60)], 600_000).map(([time]) => time / 60_000);
    expect(times).toEqual([0, 7, 10, 15, 19, 60, 69]);
  });

  type Bucket = readonly [TrackRow, TrackRow, TrackRow];
  const times = (buckets: readonly Bucket[], events: readonly TrackRow[] = []): number[] =>
    thinned(buckets, events, 600_000).map(([time]) => time / 60_000);
  const bucket = (first: number, last: number, fastest: TrackRow = row(first)): Bucket => [row(first), row(last), fastest];

  it.each<[what: string, buckets: readonly Bucket[], kept: readonly number[]]>([
    ['a gap as long as it may be is none', [bucket(0, 5), bucket(15, 20)], [0, 15, 20]],
    ['a longer one has both its ends', [bucket(0, 5), bucket(15.1, 20)], [0, 5, 15.1, 20]],
    ['the fastest of all', [bucket(0, 5, row(1, 50)), bucket(6, 9, row(7, 80)), bucket(10, 12, row(11, 70))], [0, 6, 7, 10, 12]],
    ['the first of two that are as fast', [bucket(0, 5, row(1, 50)), bucket(6, 9, row(7, 50))], [0, 1, 6, 9]],
    ['of one that stands, it stands', [bucket(0, 5, row(1, 0)), bucket(6, 9, row(7, 0))], [0, 1, 6, 9]],
    ['none where no speed is known', [bucket(0, 5, row(1, null))], [0, 5]],
    ['one row once, whatever it is', [[row(0), row(0), row(0)]], [0]],
    ['nothing of nothing', [], []],
  ])('%s', (_what, buckets, kept) => {
    expect(times(buckets)).toEqual(kept);
  });

  it('has its events in their places, and two rows of one moment', () => {
    expect(times([bucket(0, 5), bucket(6, 9)], [row(7, 10, 'sos'), row(0, 10, 'door')])).toEqual([0, 0, 6, 7, 9]);
  });
});
