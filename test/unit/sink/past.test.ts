import { describe, expect, it } from 'vitest';
import { type TrackRow, thinned } from '../../../src/out/sink/clickhouse/past.ts';

describe('a track that is thinned', () => {
  const row = (minute: number, speedKmh = 10, event = ''): TrackRow => [60_000 * minute, 1, 2, speedKmh, null, null, event, []];

  it('keeps the first of each bucket, both ends of gaps, events, the fastest and the last, invariant 1', () => {
    const buckets = [
      [row(0), row(9), row(4, 50)],
      [row(10), row(19), row(15, 80)],
      [row(60), row(69), row(61, 20)],
    ] as const;
    const times = thinned(buckets, [row(7, 10, 'sos'), row(60)], 600_000).map(([time]) => time / 60_000);
    expect(times).toEqual([0, 7, 10, 15, 19, 60, 69]);
  });
});
