import { describe, expect, it } from 'vitest';
import { withMoments } from '../../../src/fleet/plan/intents.ts';
import { planSchema } from '../../../src/fleet/plan/plan.ts';
import { treatmentOf } from '../../../src/fleet/plan/treatment.ts';
import { firstOf } from '../../../src/fleet/plan/versions.ts';

/** Numbers quote the invariants of src/fleet/plan/intents.ts. */

const berlin = firstOf(planSchema.parse({ name: 'b', time_zone: 'Europe/Berlin', anchor_day: 31 }), 0, '');
const NOW = Date.UTC(2026, 2, 10);

describe('days of a service', () => {
  it.each<[object, object]>([
    [{ starts: '2026-03-30' }, { activates_at: Date.UTC(2026, 2, 29, 22) }],
    [{ suspends: '2026-03-29' }, { suspends_at: Date.UTC(2026, 2, 28, 23) }],
    // The day on which the clocks go on is there to its end.
    [{ ends: '2026-03-29' }, { expires_at: Date.UTC(2026, 2, 29, 22) }],
    [{ ends: '2026-12-31' }, { expires_at: Date.UTC(2026, 11, 31, 23) }],
    [{ ends: 'cycle' }, { expires_at: Date.UTC(2026, 2, 30, 22) }],
    [
      { ends: null, starts: null },
      { expires_at: null, activates_at: null },
    ],
    [
      { account: 'acme', expires_at: 5 },
      { account: 'acme', expires_at: 5 },
    ],
  ])('1, 2: %o', (given, expected) => {
    expect(withMoments({ ...given }, berlin, NOW)).toEqual(expected);
  });

  it('a device is served like a suspended one from its date on', () => {
    const { plan } = berlin.versions[0] ?? {};
    if (plan === undefined) throw new Error('no plan');
    const device = { state: 'active', privacy: 'store', suspends_at: NOW } as const;
    expect(treatmentOf(device, plan, undefined, NOW - 1)).toMatchObject({ mode: 'keep', until: NOW });
    expect(treatmentOf(device, plan, undefined, NOW)).toMatchObject({ mode: 'discard', why: 'suspended', inService: false });
  });
});
