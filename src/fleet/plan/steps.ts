import { z } from 'zod';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';
import { type Plan, type Step, stepSchema } from './plan.ts';

/**
 * Which steps of a plan hold for a device: the table `policies`, by device id. The supervisor writes it, workers act on it.
 */
const policySchema = z.object({
  /** Start of the billing cycle that it is about, and of the next one; epoch ms. */
  cycle: z.number(),
  cycle_end: z.number(),
  /** Share of the cap that was used when this was written, per cent. */
  used_pct: z.number(),
  held: z.array(stepSchema),
  /** The interval that a `slow` step or recovery mode has asked for, and the one to go back to, s; absent where that is not known. */
  slowed: z.object({ interval_s: z.number(), before_s: z.number().optional() }).optional(),
  /** Steps that have begun or ended with this, and are not announced yet. */
  news: z.array(z.object({ step: stepSchema, begins: z.boolean() })).default([]),
  /** The installation that announces them, and until when others leave that to it, epoch ms; absent: none does. */
  announcing: z.object({ by: z.string(), until: z.number() }).optional(),
});
export type Policy = z.infer<typeof policySchema>;

export const POLICIES = new TypedTable<Policy>({ name: 'policies', key: byId, parse: rowsOf(policySchema) });

/** The steps that hold at this usage, by rising threshold. One that held before goes on until usage is clearly below it. */
export function stepsHeld(plan: Plan, usedPct: number, before: readonly Step[]): Step[] {
  return plan.steps
    .filter((step) => {
      const held = before.some(({ action, at_pct }) => action === step.action && at_pct === step.at_pct);
      return usedPct >= step.at_pct - (held ? plan.hysteresis_pct : 0);
    })
    .sort((a, b) => a.at_pct - b.at_pct);
}

export function isSame(a: Step, b: Step): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
