import type { Plan, Step } from './plan.ts';
import type { Policy } from './steps.ts';

/** What of a device record decides how it is served. Times in epoch ms. */
export interface Served {
  readonly state: 'pending' | 'active' | 'suspended' | 'terminated';
  readonly activates_at?: number | undefined;
  readonly suspends_at?: number | undefined;
  readonly expires_at?: number | undefined;
  readonly recovery?: { readonly until: number } | undefined;
  readonly privacy: 'store' | 'relay';
  readonly unit_since?: number | undefined;
}

export const TREATMENTS = ['keep', 'decimate', 'discard', 'refuse', 'terminate'] as const;
/** States and actions for which records are withheld, alarms passed, and connections ended. */
export const TREATED_WHY = ['suspended', 'pending', 'expired', 'decimate', 'discard', 'refuse', 'terminated'] as const;

/**
 * How a device's data is treated (docs/plans.md).
 *
 * - `keep`: stored and answered.
 * - `decimate`: answered; one record per `keepEveryS` is stored, and every alarm.
 * - `discard`: answered; nothing is stored but what is exempt. Of a device that is not in service, nothing at all.
 * - `refuse`: refused in the protocol's own way; what is exempt is stored and answered.
 * - `terminate`: refused, whatever it is.
 */
export interface Treatment {
  readonly mode: (typeof TREATMENTS)[number];
  /** Label of metrics and of the reason why a connection ends: a state or an action. */
  readonly why: '' | 'recovery' | (typeof TREATED_WHY)[number];
  readonly inService: boolean;
  readonly keepEveryS: number;
  /** Bytes per second that are read from its socket; 0: as they come. */
  readonly bytesPerS: number;
  /** To the stream only. */
  readonly relay: boolean;
  /** What was measured before this is of another device, epoch ms; 0: nothing is. */
  readonly since: number;
  /** Exempt events. */
  readonly exempt: readonly string[];
  /** When it has to be looked at again, epoch ms. */
  readonly until: number;
}

/** Of devices without anything special, one for each plan: there are many. */
const plain = new WeakMap<Plan, Treatment>();

export function treatmentOf(device: Served | undefined, plan: Plan, policy: Policy | undefined, now: number): Treatment {
  if (policy !== undefined || !isPlain(device)) return decide(device, plan, policy, now);
  let treatment = plain.get(plan);
  if (treatment === undefined) {
    treatment = decide(undefined, plan, undefined, now);
    plain.set(plan, treatment);
  }
  return treatment;
}

function isPlain(device: Served | undefined): boolean {
  if (device === undefined) return true;
  const { state, privacy, activates_at, suspends_at, expires_at, recovery, unit_since } = device;
  const dated = activates_at !== undefined || suspends_at !== undefined || expires_at !== undefined || recovery !== undefined;
  return !dated && unit_since === undefined && privacy === 'store' && (state === 'active' || state === 'pending');
}

function decide(device: Served | undefined, plan: Plan, policy: Policy | undefined, now: number): Treatment {
  const {
    activates_at: from = 0,
    suspends_at: pause = Number.POSITIVE_INFINITY,
    expires_at: to = Number.POSITIVE_INFINITY,
    recovery,
  } = device ?? {};
  const recovering = recovery !== undefined && now < recovery.until;
  const next = (...times: number[]): number => Math.min(...times.filter((time) => time > now), Number.POSITIVE_INFINITY);
  const as: Treatment = {
    mode: 'keep',
    why: '',
    inService: true,
    keepEveryS: 0,
    bytesPerS: 0,
    relay: device?.privacy === 'relay',
    since: device?.unit_since ?? 0,
    exempt: plan.exempt_events,
    until: next(from, pause, to, recovery?.until ?? 0, policy?.cycle_end ?? 0),
  };
  if (device?.state === 'terminated') return { ...as, mode: 'terminate', why: 'terminated', inService: false };
  if (recovering) return { ...as, why: 'recovery' };
  const idle = device?.state === 'suspended' || now >= pause ? 'suspended' : now < from ? 'pending' : now >= to ? 'expired' : '';
  if (idle !== '') return { ...as, mode: 'discard', why: idle, inService: false };
  // A cycle that is over has no steps, even before the supervisor has noticed.
  const held: readonly Step[] = policy === undefined || now >= policy.cycle_end ? [] : policy.held;
  const bytesPerS = held.reduce(
    (least, step) => (step.action === 'throttle' ? Math.min(least || step.bytes_per_s, step.bytes_per_s) : least),
    0,
  );
  const keepEveryS = held.reduce((most, step) => (step.action === 'decimate' ? Math.max(most, step.keep_every_s) : most), 0);
  const has = (action: Step['action']): boolean => held.some((step) => step.action === action);
  const mode = has('refuse') ? 'refuse' : has('discard') ? 'discard' : keepEveryS > 0 ? 'decimate' : 'keep';
  return { ...as, mode, why: mode === 'keep' ? '' : mode, keepEveryS, bytesPerS };
}
