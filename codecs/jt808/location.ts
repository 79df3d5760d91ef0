import { type Bytes, i16be, u16be, u32be } from '../../src/base/wire/index.ts';
import { type EventName, eventIndex, type FrameResult, RowFlag, unknownEvent } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import type { Content } from './frame.ts';
import { items } from './items.ts';
import { ITEMS } from './said.ts';
import { type Jt808State, kept, SWITCHED } from './state.ts';
import { bcdTime } from './time.ts';

/** Fixed part of a location body. */
export const LOCATION = 28;

/** Events of the alarm word (protocol.md section 6.2); what has no name stays `unknown_<bit>`. */
const ALARMS: ReadonlyArray<readonly [number, EventName]> = [
  [0, 'sos'],
  [1, 'overspeed'],
  [5, 'gnss_antenna_cut'],
  [6, 'gnss_antenna_short'],
  [7, 'low_external'],
  [8, 'power_cut'],
  [15, 'vibration'],
  [16, 'tamper'],
  [17, 'tamper'],
  [18, 'low_battery'],
  [20, 'geofence_enter'],
  [21, 'geofence_enter'],
  [23, 'geofence_exit'],
  [25, 'fuel_drop'],
  [28, 'movement'],
  [29, 'collision'],
  [30, 'power_off'],
  [31, 'door'],
];
const EVENT_OF = Int32Array.from({ length: 32 }, (_, bit) => {
  const name = ALARMS.find((row) => row[0] === bit)?.[1];
  return name === undefined ? unknownEvent(bit) : eventIndex(name);
});
/** The alarms by their weight: the first that is new is the event of the record. These stand before an event of an item. */
const GRAVE = [0, 29, 8] as const;
const OTHERS = [30, 17, 16, 28, 15, 31, 1, 20, 21, 23, 7, 18, 25, 5, 6, 2, 3, 4, 9, 10, 11, 12, 13, 14, 19, 22, 24, 26, 27] as const;
const EXIT = eventIndex('geofence_exit');
const IDLE = eventIndex('idle');
const JAMMING = eventIndex('jamming');
const LOW_BATTERY = eventIndex('low_battery');
const MOVEMENT = eventIndex('movement');
const TAMPER = eventIndex('tamper');
const VIBRATION = eventIndex('vibration');
/** Alarms of vehicles in the 2019 edition: tyre pressure, blind spot, driving time. Trackers of 2013 mean removal and a low battery by them. */
const OF_2019 = (1 << 16) | (1 << 17) | (1 << 18);
/** The alarms of AOVX trackers that are the standard's: others are set without a reason. */
const OF_AOVX = 0x181 | (1 << 16);
const OF_LOCKS = 0x13;

/**
 * One location body (protocol.md section 6.1) at content[p, q) as a row: alarm flags 4 | status 4 | latitude 4 | longitude 4 | altitude 2 | speed 2 |
 * course 2 | time BCD 6 | items. The caller has checked that the fixed part is there. (0, 0) is a row without a place. Its alarms are owed: `raise`.
 */
export function locationRow(c: Content, p: number, q: number, buffered: boolean, state: Jt808State, out: FrameResult): number {
  const b = c.bytes;
  const r = out.row();
  out.from[r] = c.placeOf(p);
  out.to[r] = c.placeOf(q);
  const alarms = u32be(b, p) | 0;
  const status = u32be(b, p + 4);
  if (buffered) out.flags[r] = RowFlag.Buffered;
  place(u32be(b, p + 8), u32be(b, p + 12), status, out, r);
  out.altitudeM[r] = i16be(b, p + 16);
  out.speedKmh[r] = u16be(b, p + 18) / 10;
  const course = u16be(b, p + 20);
  if (course < 360) out.courseDeg[r] = course;
  if (alarms !== 0) out.attr(A.AlarmBits, alarms >>> 0);
  out.attr(A.StatusBits, status);
  out.attr(A.Ignition, status & 1);
  if ((status & 0x400) !== 0) out.attr(A.Blocked, 1);
  if ((status & 0x04000000) !== 0) out.attr(A.Charging, 1);
  if (state.is2019 && (status & 0x400000) !== 0) out.attr(A.Motion, 1);
  states(status, state, out);
  ITEMS.reset();
  items(b, p + LOCATION, q, state, out);
  out.time[r] = bcdTime(b, p + 22, Number.isNaN(ITEMS.zoneMs) ? state.zoneMs : ITEMS.zoneMs);
  if (ITEMS.buffered) out.flags[r] = RowFlag.Buffered;
  ITEMS.alarms = meant(alarms);
  return r;
}

/** Bits of the status word that are rare, or mean something with some makers only. */
function states(status: number, state: Jt808State, out: FrameResult): void {
  const load = (status >> 8) & 3;
  if (load !== 0) out.attr(A.LoadLevel, load);
  const systems = (status >> 18) & 15;
  if (systems !== 0) out.attr(A.GnssSystems, systems);
  if (state.is('g10ls')) out.attr(A.Armed, (status >> 6) & 1);
  else if (state.is('mv') && (status & 0x10000) !== 0) out.attr(A.Door, 1);
}

/** The alarm word with 30, another collision, as 29: its place means something else. */
function meant(alarms: number): number {
  return (alarms & (1 << 30)) === 0 ? alarms : (alarms & ~(1 << 30)) | (1 << 29);
}

/** Coordinates × 10^6, signs and validity in the status word. */
export function place(latitude: number, longitude: number, status: number, out: FrameResult, r: number): void {
  if (latitude > 90_000_000 || longitude > 180_000_000 || latitude + longitude === 0) return;
  out.latitude[r] = (status & 4) !== 0 ? 0 - latitude / 1e6 : latitude / 1e6;
  out.longitude[r] = (status & 8) !== 0 ? 0 - longitude / 1e6 : longitude / 1e6;
  // Bit 1 located, bit 5 coordinates encrypted.
  out.valid[r] = (status & 0x22) === 2 ? 1 : 0;
}

/** A date and coordinates that can be: is this a location body at all? */
export function isPlausible(b: Bytes, p: number): boolean {
  return u32be(b, p + 8) <= 90_000_000 && u32be(b, p + 12) <= 180_000_000 && !Number.isNaN(bcdTime(b, p + 22, 0));
}

/** A location and its events. */
export function location(c: Content, p: number, q: number, buffered: boolean, state: Jt808State, out: FrameResult): void {
  raise(state.is2019, state, out, locationRow(c, p, q, buffered, state, out));
}

/**
 * The events of a row that is otherwise complete. Alarm bits are levels: one is an event when it was not on before, those of a frame in their order.
 * The row has the gravest, each other one a status row behind it; of two that mean the same there is one. Stored records are older than what
 * is known, unless this connection has sent nothing newer: then what is on behind them is on.
 */
export function raise(is2019: boolean, state: Jt808State, out: FrameResult, r: number): void {
  const on = ITEMS.alarms | ITEMS.levels;
  let fresh = on & ~state.chain;
  // What a maker sets without a reason is known without an event: what is on does not depend on the maker, who may be learned later.
  if (state.is('aovx')) fresh &= OF_AOVX | ITEMS.levels;
  if (fresh !== 0 || ITEMS.events.length > 0) {
    TOLD.length = 0;
    tellBits(fresh, GRAVE, is2019, state, out, r);
    tellItems(out, r);
    tellBits(fresh, OTHERS, is2019, state, out, r);
  }
  state.chain = kept(on);
  const time = out.time[r]!;
  if ((out.flags[r]! & RowFlag.Buffered) !== 0 && !(time > state.newest)) return;
  if (time > state.newest) state.newest = time;
  state.alarms = state.chain;
  state.alarmsTold = true;
}

/** The events that items named, of a row that is otherwise complete. */
export function tellAll(out: FrameResult, r: number): void {
  TOLD.length = 0;
  tellItems(out, r);
}

/** Events of the row in hand, as told. */
const TOLD: number[] = [];

function tell(event: number, code: number, label: string, out: FrameResult, r: number): void {
  if (TOLD.length === 0) out.event[r] = event;
  else out.beside(r, TOLD.length, event);
  if (code >= 0) out.attr(A.EventCode, code);
  if (label !== '') out.attrText(A.AlarmLabel, label);
  TOLD.push(event);
}

/** Those that have a name first: one of them is the event of the row if any is. */
function tellItems(out: FrameResult, r: number): void {
  const { events, codes, labels } = ITEMS;
  for (let k = 0; k < events.length; k++) if (events[k]! > 0) tell(events[k]!, codes[k]!, labels[k]!, out, r);
  for (let k = 0; k < events.length; k++) if (events[k]! < 0) tell(events[k]!, codes[k]!, labels[k]!, out, r);
}

/** The alarms of this word, in the order given. What an item names as well is told with what that says. */
function tellBits(fresh: number, order: readonly number[], is2019: boolean, state: Jt808State, out: FrameResult, r: number): void {
  const { events, codes, labels } = ITEMS;
  for (const bit of order) {
    if ((fresh & (1 << bit)) === 0) continue;
    const event = eventOf(bit, is2019, state);
    if (TOLD.includes(event)) continue;
    const item = events.indexOf(event);
    if (item < 0) tell(event, event < 0 ? bit : -1, '', out, r);
    else {
      tell(event, codes[item]!, labels[item]!, out, r);
      events[item] = 0;
    }
  }
}

function eventOf(bit: number, is2019: boolean, state: Jt808State): number {
  const mask = 1 << bit;
  if ((ITEMS.levels & mask) !== 0) return mask === SWITCHED && ITEMS.jammed ? JAMMING : EVENT_OF[bit]!;
  if (state.dialect !== 0) {
    const event = eventOfMaker(bit, mask, state);
    if (event !== 0) return event;
  }
  if (bit === 7 && ITEMS.ownBattery && !ITEMS.external) return LOW_BATTERY;
  if ((bit === 20 || bit === 21) && ITEMS.leaves) return EXIT;
  return is2019 && (mask & OF_2019) !== 0 ? unknownEvent(bit) : EVENT_OF[bit]!;
}

/** What a bit means to a maker that means something else by it, 0 when it does not (protocol.md section 6.2). */
function eventOfMaker(bit: number, mask: number, state: Jt808State): number {
  if (bit === 16 && state.is('aovx')) return MOVEMENT;
  if (bit === 13 && state.is('obd')) return IDLE;
  if (state.is('padlock')) return (mask & OF_LOCKS) !== 0 ? TAMPER : 0;
  if (!state.is('g10ls')) return 0;
  return bit === 15 ? LOW_BATTERY : bit === 16 ? VIBRATION : 0;
}
