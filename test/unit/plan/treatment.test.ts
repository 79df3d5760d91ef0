import { describe, expect, it } from 'vitest';
import { type Plan, planSchema, type Step } from '../../../src/fleet/plan/plan.ts';
import type { Policy } from '../../../src/fleet/plan/steps.ts';
import { type Served, treatmentOf } from '../../../src/fleet/plan/treatment.ts';

const plan: Plan = planSchema.parse({ name: 'p', exempt_events: ['sos', 'collision'] });
const active: Served = { state: 'active', privacy: 'store' };
const NOW = 1_000_000;
const holding = (...held: Step[]): Policy => ({ cycle: 0, cycle_end: 2 * NOW, used_pct: 100, held, news: [] });
const treated = (device: Served | undefined, policy?: Policy): string => {
  const { mode, why, inService } = treatmentOf(device, plan, policy, NOW);
  return `${mode} ${why} ${inService}`;
};

describe('how a device is treated', () => {
  it('goes by its state and its dates', () => {
    expect(treated(undefined)).toBe('keep  true');
    expect(treated(active)).toBe('keep  true');
    expect(treated({ ...active, state: 'suspended' })).toBe('discard suspended false');
    expect(treated({ ...active, activates_at: NOW + 1 })).toBe('discard pending false');
    expect(treated({ ...active, activates_at: NOW })).toBe('keep  true');
    expect(treated({ ...active, expires_at: NOW })).toBe('discard expired false');
    expect(treated({ ...active, expires_at: NOW + 1 })).toBe('keep  true');
    expect(treated({ ...active, state: 'terminated' })).toBe('terminate terminated false');
  });

  it('goes by the gravest step, and by the narrowest of each kind', () => {
    const decimate = (keep_every_s: number): Step => ({ action: 'decimate', at_pct: 100, keep_every_s });
    const throttle = (bytes_per_s: number): Step => ({ action: 'throttle', at_pct: 90, bytes_per_s });
    expect(treated(active, holding({ action: 'notify', at_pct: 80 }))).toBe('keep  true');
    expect(treated(active, holding(decimate(60), { action: 'discard', at_pct: 120 }))).toBe('discard discard true');
    expect(treated(active, holding({ action: 'discard', at_pct: 120 }, { action: 'refuse', at_pct: 150 }))).toBe('refuse refuse true');
    expect(treatmentOf(active, plan, holding(decimate(60), decimate(300)), NOW)).toMatchObject({ mode: 'decimate', keepEveryS: 300 });
    expect(treatmentOf(active, plan, holding(throttle(100), throttle(40), throttle(80)), NOW)).toMatchObject({
      mode: 'keep',
      bytesPerS: 40,
    });
  });

  it('knows no caps in recovery mode, which ends by itself, and does not bring back a terminated device', () => {
    const recovery = { until: NOW + 5 };
    const policy = holding({ action: 'refuse', at_pct: 100 });
    expect(treated({ ...active, recovery }, policy)).toBe('keep recovery true');
    expect(treated({ ...active, state: 'suspended', recovery })).toBe('keep recovery true');
    expect(treated({ ...active, recovery: { until: NOW } }, policy)).toBe('refuse refuse true');
    expect(treated({ ...active, state: 'terminated', recovery })).toBe('terminate terminated false');
  });

  it('drops the steps with the end of their cycle', () => {
    expect(treated(active, { ...holding({ action: 'discard', at_pct: 100 }), cycle_end: NOW })).toBe('keep  true');
  });

  it('says when to look again', () => {
    const device = { ...active, activates_at: NOW - 5, expires_at: NOW + 50, recovery: { until: NOW + 20 } };
    expect(treatmentOf(device, plan, holding(), NOW).until).toBe(NOW + 20);
    expect(treatmentOf(active, plan, undefined, NOW).until).toBe(Number.POSITIVE_INFINITY);
  });

  it('tells what is exempt, and what is only relayed', () => {
    expect(treatmentOf({ ...active, privacy: 'relay' }, plan, undefined, NOW)).toMatchObject({ relay: true, exempt: ['sos', 'collision'] });
  });
});
