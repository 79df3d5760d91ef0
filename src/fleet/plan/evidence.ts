/**
 * Which events are evidence of what a device does (docs/evidence.md). Each is one instance; its figures are the event's own fields.
 */
export const SIGNALS = [
  'tamper_rate',
  'over_cap',
  'other_bytes',
  'clone',
  'sim_changed',
  'unit_changed',
  'settings_drift',
  'device_silent',
  'device_back',
  'reboot_storm',
  'gnss_lost',
] as const;
export type Signal = (typeof SIGNALS)[number];

/** A receiver without a position is in a garage; one that repeats a position while it moves is not. */
export function isSignal(type: string, data: unknown): type is Signal {
  const known: readonly string[] = SIGNALS;
  return known.includes(type) && (type !== 'gnss_lost' || Reflect.get(Object(data), 'reason') === 'stuck');
}

/** Of what goes on for long, the frames of the last hour are kept. */
const LONGEST_MS = 3_600_000;
/** Something that a frame has said is told of a moment later. */
const MOMENT_MS = 60_000;
/** What rests on no single frames. */
const FRAMELESS: ReadonlySet<Signal> = new Set(['over_cap', 'device_silent', 'device_back', 'settings_drift']);

/** When the frames were received that an instance rests on, both ends included, epoch ms; undefined: it rests on none. */
export function windowOf(type: Signal, figures: object, time: number): { readonly from: number; readonly to: number } | undefined {
  if (FRAMELESS.has(type)) return undefined;
  const since: unknown = Reflect.get(figures, 'since');
  const from = typeof since === 'number' && since <= time ? since : time - MOMENT_MS;
  return { from: Math.max(from, time - LONGEST_MS), to: time };
}
