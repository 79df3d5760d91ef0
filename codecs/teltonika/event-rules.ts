import { type EventName, eventIndex } from '../../src/codec/index.ts';

/**
 * What an event element says, by attribute name (protocol.md section 8.4 "Events"). An event id whose element has
 * no rule only says which value changed: the value itself is among the attributes, and `event_code` names the trigger.
 */
export interface EventRule {
  /** Event index by raw value; 0 for values that are not an event (the end of something, a trace of an earlier event). */
  readonly byValue: readonly number[];
  /** For values beyond `byValue`. */
  readonly beyond: number;
  /** When the element itself is not among the record's: legal (protocol.md section 3.8). */
  readonly absent: number;
}

function rule(values: Readonly<Record<number, EventName>>, beyond?: EventName, absent?: EventName): EventRule {
  const last = Math.max(-1, ...Object.keys(values).map(Number));
  return {
    byValue: Array.from({ length: last + 1 }, (_, value) => indexOf(values[value])),
    beyond: indexOf(beyond),
    absent: indexOf(absent),
  };
}

function indexOf(name: EventName | undefined): number {
  return name === undefined ? 0 : eventIndex(name);
}

/** Value 1 is the event, and its mere mention too. */
function on(name: EventName): EventRule {
  return rule({ 1: name }, undefined, name);
}

/** Any value but 0 is the event. */
function any(name: EventName): EventRule {
  return { byValue: [0], beyond: indexOf(name), absent: indexOf(name) };
}

const DOORS = ['front_left_door_open', 'front_right_door_open', 'rear_left_door_open', 'rear_right_door_open', 'trunk_door_open'];

export const EVENT_RULES: ReadonlyMap<string, EventRule> = new Map([
  ['ignition', rule({ 0: 'ignition_off', 1: 'ignition_on' })],
  ['driving_state', rule({ 1: 'ignition_on', 3: 'ignition_off' })],
  ['motion', rule({ 1: 'movement' })],
  ['unplug', rule({ 0: 'power_restored', 1: 'power_cut' }, undefined, 'power_cut')],
  ['towing', on('towing')],
  // 1 and 6 are the crash; 2 to 5 mark the records that carry its trace.
  ['crash_detection', rule({ 1: 'collision', 6: 'collision' }, undefined, 'collision')],
  ['jamming', on('jamming')],
  ['gnss_jamming', rule({ 1: 'jamming', 2: 'jamming' }, undefined, 'jamming')],
  ['green_driving_type', rule({ 1: 'harsh_acceleration', 2: 'harsh_braking', 3: 'harsh_cornering' })],
  ['over_speeding_kmh', any('overspeed')],
  ['geofence_zone_over_speeding', any('overspeed')],
  ['geofence_zone', rule({ 0: 'geofence_exit', 1: 'geofence_enter', 3: 'overspeed' })],
  ['auto_geofence', rule({ 0: 'geofence_exit', 1: 'geofence_enter' })],
  ['idling', on('idle')],
  ['alarm', on('sos')],
  ['sos', on('sos')],
  ['man_down', on('fall_down')],
  ['motorcycle_fall_detection', on('fall_down')],
  ['immobilizer', rule({ 1: 'driver_identified', 2: 'driver_identified' })],
  // A text: that it is there, is the event.
  ['driver_id', { byValue: [], beyond: indexOf('driver_identified'), absent: 0 }],
  ['tamper_record_event', any('tamper')],
  ['can_door_status', any('door')],
  ...DOORS.map((door): [string, EventRule] => [`can_ssf_${door}`, rule({ 1: 'door' })]),
]);

/** Elements that are events in their own right, and have no standard name: their records say `unknown_<id>`. */
export const UNNAMED_EVENTS: ReadonlySet<string> = new Set([
  'trip',
  'data_limit_hit',
  'camera_image_generated',
  'custom_scenario_1',
  'custom_scenario_2',
  'custom_scenario_3',
  'custom_scenario_4',
  'amber_alert_timer_value_s',
  'recovery_mode_alarm',
  'ble_lost_beacon',
]);
