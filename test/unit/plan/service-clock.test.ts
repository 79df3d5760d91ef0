import { describe, expect, it, test } from 'vitest';
import { advance, type ServiceRow, UNOWNED } from '../../../src/fleet/plan/service.ts';
import { type Device, deviceSchema } from '../../../src/fleet/registry/device.ts';

/** A service that starts at a date, when the clock is set back behind that. */

const T = Date.UTC(2026, 10, 1);
const HOUR = 3_600_000;
const BY_TIME = { by: 'time', reason: '' };

const device = (more: object = {}): Device => deviceSchema.parse({ id: 'd-1', plan: 'basic', first_seen: 1, activates_at: T, ...more });
const at = (row: ServiceRow | undefined, now: number, more: object = {}, cause = BY_TIME): ServiceRow => {
  const next = advance(row, { device: device(more), holder: UNOWNED }, now, cause);
  if (next === undefined) throw new Error('no row');
  return next;
};
/** Its news are told. */
const told = (row: ServiceRow): ServiceRow => ({ ...row, news: [] });

test('a service that has no date starts with the first contact', () => {
  const state = (now: number, first_seen: number | undefined): string | undefined =>
    at(undefined, now, { activates_at: undefined, first_seen }).periods.at(-1)?.state;
  expect([state(T, undefined), state(T - 1, T), state(T, T), state(T + 1, T)]).toEqual(['pending', 'pending', 'active', 'active']);
});

describe('a clock that is set back', () => {
  const started = at(told(at(undefined, T - HOUR)), T + 5);

  it('takes no start back and tells none again, also when the date comes once more', () => {
    expect(started.news).toEqual([
      { type: 'service_started', by: 'time', reason: 'activates_at', effective: T },
      { type: 'device_activated' },
    ]);
    const row = told(started);
    for (const now of [T - HOUR, T - 1, T, T + HOUR]) expect(at(row, now)).toBe(row);
  });

  it('puts what a caller changes meanwhile behind the start, not before it', () => {
    const row = at(told(started), T - HOUR, { state: 'suspended' }, { by: 'desk', reason: 'unpaid' });
    expect(row.periods.map(({ state, from }) => [state, from])).toEqual([
      ['pending', T - HOUR],
      ['active', T],
      ['suspended', T],
    ]);
    expect(row.news).toEqual([{ type: 'service_suspended', by: 'desk', reason: 'unpaid', effective: T }]);
    expect(at(told(row), T + HOUR, { state: 'suspended' }).news).toEqual([]);
  });
});
