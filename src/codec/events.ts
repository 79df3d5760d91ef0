/** Standard names of alarms (docs/vocabulary.md). A FrameResult row carries the index; 0 is "no event". Append only. */
export const EVENTS = [
  '',
  'sos',
  'power_cut',
  'power_restored',
  'low_battery',
  'vibration',
  'movement',
  'overspeed',
  'geofence_enter',
  'geofence_exit',
  'harsh_acceleration',
  'harsh_braking',
  'harsh_cornering',
  'collision',
  'towing',
  'jamming',
  'tamper',
  'door',
  'ignition_on',
  'ignition_off',
  'idle',
  'fuel_drop',
  'temperature',
  'gnss_antenna_cut',
  'gnss_antenna_short',
  'blind_spot_enter',
  'blind_spot_exit',
  'power_on',
  'power_off',
  'low_external',
  'sim_change',
  'fall_down',
  'driver_identified',
] as const;

/** Alarms that a person raises, or that are about a person: they pass what a device's state or plan withholds. */
const PERSONAL_ALARMS: readonly EventName[] = ['sos', 'fall_down'];
const PERSONAL = new Set<number>();

export type EventName = Exclude<(typeof EVENTS)[number], ''>;

/** Index of a standard event; used when a codec builds its tables, not per frame. */
export function eventIndex(name: EventName): number {
  return EVENTS.indexOf(name);
}

for (const name of PERSONAL_ALARMS) PERSONAL.add(eventIndex(name));

/** Is this value of the event column an alarm of a person? */
export function isPersonalAlarm(value: number): boolean {
  return PERSONAL.has(value);
}

/** Value of the event column for a code that has no standard name: the record says `unknown_<code>`. `code` ≥ 0. */
export function unknownEvent(code: number): number {
  return -1 - code;
}

/** Name of a value of the event column, '' for none. */
export function eventName(value: number): string {
  return value < 0 ? `unknown_${-1 - value}` : (EVENTS[value] ?? '');
}
