import { describe, expect, it } from 'vitest';
import { Bursts } from '../../../src/fleet/plan/burst.ts';
import { Pace } from '../../../src/fleet/plan/pace.ts';
import { Territory } from '../../../src/fleet/plan/territory.ts';

const T0 = Date.UTC(2026, 0, 1);

const LIMIT = { rate_factor: 4, rate_window_s: 3600 };

describe('a device that measures faster than programmed', () => {
  const said = (pace: Pace, everyS: number, count: number, from = T0): object[] =>
    Array.from({ length: count }, (_, k) => {
      const time = from + 1000 * everyS * k;
      return pace.saw(time, time + 500, 20, 60, LIMIT);
    }).filter((news) => news !== undefined);

  it('is noticed once in a window, with what was seen and what is allowed', () => {
    const pace = new Pace();
    const figures = { type: 'tamper_rate', programmed_s: 60, window_s: 3600, allowed: 240, seen: 241, bytes: 241 * 20 };
    expect(said(pace, 5, 720)).toEqual([{ ...figures, interval_s: 5, since: T0 + 500 }]);
    expect(said(pace, 10, 360, T0 + 3_600_000)).toEqual([{ ...figures, interval_s: 10, since: T0 + 3_600_500 }]);
  });

  it('may be watched more closely, and always has a few', () => {
    const seen = (limit: typeof LIMIT, programmedS: number, count: number): number[] => {
      const pace = new Pace();
      return Array.from({ length: count }, (_, k) => pace.saw(T0 + 1000 * k, T0, 20, programmedS, limit)?.seen ?? 0).filter((n) => n > 0);
    };
    expect(seen({ rate_factor: 1.5, rate_window_s: 600 }, 10, 100)).toEqual([91]);
    expect(seen(LIMIT, 3600, 30)).toEqual([]);
    expect(seen(LIMIT, 3600, 100)).toEqual([31]);
  });

  it('is not one that reports in its interval, or extra now and then', () => {
    expect(said(new Pace(), 60, 500)).toEqual([]);
    expect(said(new Pace(), 20, 500)).toEqual([]);
  });

  it('is not one that reports in bends', () => {
    const pace = new Pace();
    expect([90, 90, 101, 105, 115, 359, 5, 9.5, 9.5].map((course) => pace.turns(course, 40))).toEqual([
      false,
      false,
      true,
      false,
      true,
      true,
      false,
      false,
      false,
    ]);
    expect([100, 200].map((course) => pace.turns(course, 3))).toEqual([false, false]);
    expect(pace.turns(Number.NaN, 40)).toBe(false);
  });

  it('is not fooled by a backlog, resends, a backlog behind live data, or a clock that is years ahead', () => {
    const pace = new Pace();
    // Two hundred records of the last hours, whenever they come: the times are a minute apart.
    expect(said(pace, 60, 200)).toEqual([]);
    expect(said(pace, 60, 200)).toEqual([]);
    for (let k = 0; k < 200; k++) {
      expect(pace.saw(T0 + 60_000 * (200 + k), T0 + 60_000 * (200 + k), 20, 60, LIMIT)).toBeUndefined();
      expect(pace.saw(T0 + 30_000 + 60_000 * k, T0 + 60_000 * (200 + k), 20, 60, LIMIT)).toBeUndefined();
    }
    expect(pace.saw(Number.NaN, T0, 20, 60, LIMIT)).toBeUndefined();
    expect(pace.saw(T0 + 4e12, T0 + 60_000 * 400, 20, 60, LIMIT)).toBeUndefined();
    expect(said(pace, 5, 720, T0 + 86_400_000)).toHaveLength(1);
  });
});

describe('what comes in bursts', () => {
  it('is told once within an hour of the first, when there is more than is allowed', () => {
    const bursts = new Bursts();
    const told = [0, 10, 20, 30, 40, 61, 62, 63, 64].map((minute) => bursts.saw(T0 + 60_000 * minute, T0 + 60_000 * minute, 2, 6)?.seen);
    expect(told).toEqual([undefined, undefined, undefined, 8, undefined, undefined, undefined, undefined, 8]);
    expect(Array.from({ length: 50 }, () => new Bursts().saw(T0, T0, 100, 0))).not.toContainEqual(expect.anything());
  });
});

describe('the country of a device', () => {
  it('changes when it has been seen for a while', () => {
    const territory = new Territory(false);
    const seen = [262, 260, 262, 260, 260, 260, 260, 260, 262, 260, 262, 262, 262].map((mcc, k) =>
      territory.saw(mcc, T0 + 30_000 * k, [262]),
    );
    expect(seen.flatMap((changed, k) => (changed ? [k] : []))).toEqual([5, 12]);
    expect(territory.roaming).toBe(false);
  });

  it('takes time, not only records', () => {
    const territory = new Territory(false);
    expect(Array.from({ length: 20 }, () => territory.saw(260, T0, [262]))).not.toContain(true);
    expect(territory.saw(260, T0 + 60_000, [262])).toBe(true);
  });

  it('is home everywhere for a device without home networks', () => {
    const territory = new Territory(true);
    expect([0, 60_000, 120_000].map((ms) => territory.saw(260, T0 + ms, []))).toEqual([false, false, true]);
    expect(territory.roaming).toBe(false);
  });
});

describe('a country that is told by another worker', () => {
  const HOME = [240];
  const away = (territory: Territory, minutes: readonly number[]): boolean[] =>
    minutes.map((minute) => territory.saw(310, T0 + 60_000 * minute, HOME));

  it('counts from then on, and what was seen of the other side before counts no more', () => {
    const territory = new Territory(false);
    expect(away(territory, [0, 1])).toEqual([false, false]);
    territory.told(true);
    expect(territory.roaming).toBe(true);
    territory.told(false);
    expect(away(territory, [2, 3, 4])).toEqual([false, false, true]);
  });

  it('changes nothing when it is what was said here', () => {
    const territory = new Territory(false);
    expect(away(territory, [0, 1])).toEqual([false, false]);
    territory.told(false);
    expect(away(territory, [2])).toEqual([true]);
  });
});
