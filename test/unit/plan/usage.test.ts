import { expect, it } from 'vitest';
import { NOTHING } from '../../../src/fleet/plan/overhead.ts';
import { type Plan, planSchema } from '../../../src/fleet/plan/plan.ts';
import { forecastOf, ownUsage, usageOf } from '../../../src/fleet/plan/usage.ts';

const cycle = { start: 0, end: 1000 };
const plan = (more: object): Plan => planSchema.parse({ name: 'p', ...more });
const pct = (of: Plan, bytes_in: number, records: number, activates_at?: number): number =>
  usageOf({ ...NOTHING, bytes_in, records }, { id: 'd01', activates_at, first_seen: 0 }, of, cycle).pct;

it('usage goes by the cap that has less left', () => {
  const both = plan({ bytes_cap: 1000, records_cap: 10 });
  expect([pct(both, 500, 1), pct(both, 500, 9), pct(both, 2000, 1)]).toEqual([50, 90, 200]);
  expect(pct(plan({}), 500, 9)).toBe(0);
});

it('usage names the caps that the plan has, and how much of each is used', () => {
  const counters = { ...NOTHING, bytes_in: 500, records: 2 };
  const shown = (more: object): string => JSON.stringify(usageOf(counters, { id: 'd01', first_seen: 0 }, plan(more), cycle));
  const caps = (text: string): unknown =>
    Object.fromEntries(Object.entries(JSON.parse(text)).filter(([name]) => /_(cap|pct)$|^pct$/.test(name)));
  expect(caps(shown({}))).toEqual({ pct: 0 });
  expect(caps(shown({ bytes_cap: 1000 }))).toEqual({ bytes_cap: 1000, bytes_pct: 50, pct: 50 });
  expect(caps(shown({ records_cap: 8 }))).toEqual({ records_cap: 8, records_pct: 25, pct: 25 });
  expect(caps(shown({ bytes_cap: 1000, records_cap: 2 }))).toEqual({
    bytes_cap: 1000,
    bytes_pct: 50,
    records_cap: 2,
    records_pct: 100,
    pct: 100,
  });
});

it('caps are smaller in a cycle that began late, where the plan says so', () => {
  expect(pct(plan({ bytes_cap: 1000, prorate: true }), 500, 0, 500)).toBe(100);
  expect(pct(plan({ bytes_cap: 1000 }), 500, 0, 500)).toBe(50);
  expect(pct(plan({ bytes_cap: 1000, prorate: true }), 100, 0, 999)).toBe(100);
});

it('the forecast goes on as it was, and says when the nearer cap is reached', () => {
  const used = { billed_bytes: 100, records: 4 };
  expect(forecastOf(used, 0, 250, 1000)).toEqual({ expected_bytes: 400, expected_records: 16 });
  expect(forecastOf({ ...used, bytes_cap: 300, records_cap: 8 }, 0, 250, 1000)).toMatchObject({ cap_at: 500 });
  expect(forecastOf({ ...used, bytes_cap: 100, records_cap: 400 }, 0, 250, 1000)).not.toHaveProperty('cap_at');
  expect(forecastOf({ billed_bytes: 0, records: 0, bytes_cap: 1 }, 0, 250, 1000)).toEqual({ expected_bytes: 0, expected_records: 0 });
  // The first minutes of a cycle say little of it.
  expect(forecastOf(used, 0, 1, 1000)).toMatchObject({ expected_bytes: 5095 });
});

it.each([
  ['since it was passed on', {}, 2000],
  ['since it is in service, where that is later', { activates_at: Date.UTC(2026, 5, 21) }, 1000],
  ['since it was passed on, where it was in service before', { activates_at: Date.UTC(2026, 5, 2) }, 2000],
])('of a device that was passed on what counts is used, against a part of the cap: %s', (_, more, cap) => {
  const plan = planSchema.parse({ name: 'basic', bytes_cap: 3000, prorate: true });
  const cycle = { start: Date.UTC(2026, 5, 1), end: Date.UTC(2026, 6, 1) };
  const passed_at = Date.UTC(2026, 5, 11);
  const row = { bytes_in: 700, passed_bytes_in: 200, bytes_out: 5, records: 9, passed_records: 9, passed_at };
  const usage = ownUsage(JSON.stringify(row), { id: 'd-1', first_seen: Date.UTC(2026, 4, 1), ...more }, { plan, cycle });
  expect(usage).toMatchObject({ bytes_in: 500, bytes_out: 5, records: 0, billed_bytes: 505, bytes_cap: cap, passed_at });
});

it('a forecast just after a device began to count goes by at least a fiftieth of its time', () => {
  const begun = Date.UTC(2026, 5, 1);
  expect(forecastOf({ billed_bytes: 10, records: 0 }, begun, begun + 1, begun + 100_001)).toEqual({
    expected_bytes: 510,
    expected_records: 0,
  });
});
