import { describe, expect, it } from 'vitest';
import { Pace } from '../../../src/fleet/plan/pace.ts';
import { Territory } from '../../../src/fleet/plan/territory.ts';

const T0 = Date.UTC(2026, 0, 1);

describe('a device that measures faster than programmed', () => {
  const said = (pace: Pace, everyS: number, count: number, from = T0): number[] =>
    Array.from({ length: count }, (_, k) => pace.saw(from + 1000 * everyS * k, 60)).filter((mean) => mean > 0);

  it('is noticed once', () => {
    const pace = new Pace();
    expect(said(pace, 5, 200)).toEqual([5]);
    expect(said(pace, 5, 800, T0 + 1_000_000)).toEqual([5]);
  });

  it('is not one that reports in its interval, or extra in bends', () => {
    expect(said(new Pace(), 60, 500)).toEqual([]);
    expect(said(new Pace(), 20, 500)).toEqual([]);
  });

  it('is not fooled by a backlog, resends, or a backlog behind live data', () => {
    const pace = new Pace();
    // Two hundred records of the last hours, whenever they come: the times are a minute apart.
    expect(said(pace, 60, 200)).toEqual([]);
    expect(said(pace, 60, 200)).toEqual([]);
    for (let k = 0; k < 200; k++) {
      expect(pace.saw(T0 + 60_000 * (200 + k), 60)).toBe(0);
      expect(pace.saw(T0 + 30_000 + 60_000 * k, 60)).toBe(0);
    }
    expect(pace.saw(Number.NaN, 60)).toBe(0);
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
