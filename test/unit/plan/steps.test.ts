import { describe, expect, it } from 'vitest';
import { type Plan, planSchema } from '../../../src/fleet/plan/plan.ts';
import { POLICIES, stepsHeld } from '../../../src/fleet/plan/steps.ts';

const plan: Plan = planSchema.parse({
  name: 'p',
  bytes_cap: 1000,
  records_cap: 10,
  steps: [
    { action: 'discard', at_pct: 120 },
    { action: 'notify', at_pct: 80 },
    { action: 'slow', at_pct: 90, interval_s: 600 },
    { action: 'decimate', at_pct: 100, keep_every_s: 60 },
  ],
});
const actions = (pct: number, before = plan.steps.slice(0, 0)): string[] => stepsHeld(plan, pct, before).map(({ action }) => action);

describe('steps of a plan', () => {
  it('hold from their threshold on, in the order of thresholds', () => {
    expect([79.9, 80, 90, 100, 119.9, 120, 1000].map((pct) => actions(pct))).toEqual([
      [],
      ['notify'],
      ['notify', 'slow'],
      ['notify', 'slow', 'decimate'],
      ['notify', 'slow', 'decimate'],
      ['notify', 'slow', 'decimate', 'discard'],
      ['notify', 'slow', 'decimate', 'discard'],
    ]);
  });

  it('end when usage is clearly below it, as it is when a cap is raised or a cycle begins', () => {
    const before = stepsHeld(plan, 100, []);
    expect(actions(98.1, before)).toEqual(['notify', 'slow', 'decimate']);
    expect(actions(97.9, before)).toEqual(['notify', 'slow']);
    expect(actions(0, before)).toEqual([]);
    expect(actions(98.1)).toEqual(['notify', 'slow']);
  });

  it('of one action are told apart by their thresholds', () => {
    const two = planSchema.parse({
      ...plan,
      steps: [
        { action: 'notify', at_pct: 80 },
        { action: 'notify', at_pct: 90 },
      ],
    });
    const held = (pct: number, before: Plan['steps']): number[] => stepsHeld(two, pct, before).map(({ at_pct }) => at_pct);
    expect(held(89, two.steps.slice(0, 1))).toEqual([80]);
    expect(held(89, two.steps)).toEqual([80, 90]);
    expect(held(79, two.steps.slice(1))).toEqual([]);
  });

  it('are read back as they were written, and not from anything else', () => {
    const policy = { cycle: 1, cycle_end: 2, used_pct: 81.5, held: stepsHeld(plan, 120, []), slowed: { interval_s: 600, before_s: 30 } };
    expect(POLICIES.read(JSON.stringify(policy))).toEqual({ ...policy, news: [] });
    expect([POLICIES.read(undefined), POLICIES.read('{}'), POLICIES.read('[]')]).toEqual([undefined, undefined, undefined]);
  });
});
