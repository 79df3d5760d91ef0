/**
 * Which events are evidence of what a device does (docs/evidence.md). Each is one instance; its figures are the event's own fields.
 */
const SIGNALS = [
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
type Signal = (typeof SIGNALS)[number];

/** A receiver without a position is in a garage; one that repeats a position while it moves is not. */
export function isSignal(type: string, data: unknown): type is Signal {
  const known: readonly string[] = SIGNALS;
  return known.includes(type) && (type !== 'gnss_lost' || Reflect.get(Object(data), 'reason') === 'stuck');
}
