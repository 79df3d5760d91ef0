import { type EventName, eventIndex, type FrameResult, RowFlag } from '../../src/codec/index.ts';
import { Attr } from './attributes.ts';
import type { H02State } from './state.ts';

/**
 * The status word (protocol.md section 6): 32 bits, negative logic. A cleared bit means that the condition is
 * present, except bit 10, where a set bit means that the ignition is on.
 *
 * Alarms stay latched in the device until it is told to forget them, so a cleared bit alone would repeat one alarm in
 * every frame. An event is raised when its bits turn from normal to present; `state.latch` remembers which alarms have
 * been raised. It is part of the memo, and so gives a stored frame the same event when it is decoded alone, and of the device's
 * profile, so that a new connection does not raise it again. When several alarms turn at once, the row has the first in the table
 * below, and each other one a status row of its own behind the frame's rows.
 */

/** What a cleared bit means, by bit number: for people (`explain`) and as the legend of the tables below. */
export const STATUS_BITS: readonly string[] = [
  'theft or illegal door alarm',
  'SOS alarm',
  'overspeed alarm',
  'illegal ignition alarm',
  'geofence entry alarm',
  'GPS antenna open alarm',
  'GPS antenna short alarm',
  'geofence exit alarm',
  'door open',
  'armed',
  'ACC off',
  'reserved (low power, crash)',
  'reserved (battery low or bad)',
  'engine running',
  'user-defined alarm',
  'overspeed state',
  'GPS receiver fault',
  'vibration alarm',
  'reserved (SOS on some makes)',
  'running on backup battery (P1)',
  'external power removed (P2)',
  'GPS antenna open',
  'GPS antenna short',
  'low-level sensor 2 grounded',
  'temperature alarm',
  'tow or movement alarm',
  'stored record or GPRS blocked',
  'fuel or engine cut active',
  'vehicle power-off alarm',
  'high-level sensor 1 high',
  'high-level sensor 2 high',
  'low-level sensor 1 grounded',
];

const bits = (...numbers: readonly number[]): number => numbers.reduce((mask, bit) => mask | (1 << bit), 0);

/** How one family of devices uses the bits. `alarms` in order of importance: the index is the bit of the latch. */
export interface StatusTable {
  /** Bit that marks a record from the device's memory, as a mask; 0 where the family has none. */
  readonly buffered: number;
  /** All bits that any alarm looks at. */
  readonly watched: number;
  readonly masks: readonly number[];
  readonly events: readonly number[];
}

/** The latch has one bit for each of these. The order is stored in memos: append only, at most 14. */
const ORDER: readonly EventName[] = [
  'sos',
  'power_cut',
  'towing',
  'tamper',
  'overspeed',
  'geofence_enter',
  'geofence_exit',
  'ignition_on',
  'vibration',
  'door',
  'gnss_antenna_cut',
  'gnss_antenna_short',
  'temperature',
  'low_battery',
];
const POWER = 1 << ORDER.indexOf('power_cut');
const POWER_RESTORED = eventIndex('power_restored');
export const LATCH_BITS = 14;

/** The alarms that a latch holds, by name. */
export function latched(latch: number): readonly EventName[] {
  return ORDER.filter((_, bit) => ((latch >> bit) & 1) === 1);
}

type Meaning = Partial<Record<EventName, number>>;

/** The SinoTrack reading, from which the other families differ in a few bits. */
const SINOTRACK: Meaning = {
  sos: bits(1),
  power_cut: bits(28, 20, 19),
  towing: bits(25),
  overspeed: bits(2),
  geofence_enter: bits(4),
  geofence_exit: bits(7),
  ignition_on: bits(3),
  vibration: bits(0, 17),
  door: bits(8),
  gnss_antenna_cut: bits(5, 21),
  gnss_antenna_short: bits(6, 22),
  temperature: bits(24),
};

function table(meaning: Meaning, buffered: number): StatusTable {
  const masks = ORDER.map((event) => meaning[event] ?? 0);
  return { buffered, watched: masks.reduce((all, mask) => all | mask, 0), masks, events: ORDER.map(eventIndex) };
}

/** By the value of the option `status`. The document's protocol.md section 6 gives the variants in its remarks column. */
const TABLES: Readonly<Record<string, StatusTable>> = {
  sinotrack: table(SINOTRACK, bits(26)),
  huasuntek: table({ ...SINOTRACK, towing: 0, tamper: bits(25), vibration: bits(0) }, 0),
  cantrack: table({ ...SINOTRACK, sos: bits(1, 18), tamper: bits(26), low_battery: bits(12) }, 0),
  mt1: table({ ...SINOTRACK, vibration: bits(0), low_battery: bits(17) }, 0),
  oldest: table({ ...SINOTRACK, sos: bits(1, 26), temperature: 0, tamper: bits(24), low_battery: bits(11, 12) }, 0),
};

export const STATUS_FAMILIES: readonly string[] = Object.keys(TABLES);

export function statusTable(family: string): StatusTable {
  return TABLES[family] ?? table(SINOTRACK, bits(26));
}

/** Events that the row being read has beside its own, as bits of the latch; `addEvents` makes rows of them. */
let further = 0;
let restored = false;

/** Applies the status word to the last row: attributes, event, stored-record flag. `word` is 32 bits, signed or not. */
export function applyStatus(word: number, row: number, state: H02State, out: FrameResult): void {
  out.attr(Attr.StatusBits, word >>> 0);
  out.attr(Attr.Ignition, (word >>> 10) & 1);
  out.attr(Attr.Blocked, (~word >>> 27) & 1);
  out.attr(Attr.Armed, (~word >>> 9) & 1);
  out.attr(Attr.Door, (~word >>> 8) & 1);
  if ((word & 0x2000) === 0) out.attr(Attr.EngineRunning, 1);
  state.heard = true;
  const use = state.status;
  if ((~word & use.buffered) !== 0) out.flags[row] = (out.flags[row] ?? 0) | RowFlag.Buffered;
  const present = ~word & use.watched;
  if (present === 0 && state.latch === 0) return;
  raise(present, row, state, out);
}

function raise(present: number, row: number, state: H02State, out: FrameResult): void {
  const { masks, events } = state.status;
  let active = 0;
  for (let k = 0; k < masks.length; k++) if ((present & (masks[k] ?? 0)) !== 0) active |= 1 << k;
  const fresh = active & ~state.latch;
  // The power alarm leaves the latch when its end is reported.
  state.latch &= active | POWER;
  restored = (state.latch & POWER & ~active) !== 0;
  if (restored) state.latch &= ~POWER;
  if (fresh !== 0) {
    const first = fresh & -fresh;
    out.event[row] = events[31 - Math.clz32(first)] ?? 0;
    state.latch |= fresh;
    further = fresh & ~first;
  } else if (restored) {
    out.event[row] = POWER_RESTORED;
    restored = false;
  }
}

/** The message itself names the row's event: an alarm of the status word that was there gets a row of its own. */
export function setEvent(event: number, row: number, state: H02State, out: FrameResult): void {
  const { events } = state.status;
  const before = out.event[row] ?? 0;
  out.event[row] = event;
  further &= ~(1 << events.indexOf(event));
  if (before === 0 || before === event) return;
  if (before === POWER_RESTORED) restored = true;
  else further |= 1 << events.indexOf(before);
}

/**
 * Owed behind each point that was read, once nothing more is added to its row: the events that row `row` could not carry.
 */
export function addEvents(row: number, state: H02State, out: FrameResult): void {
  if (further === 0 && !restored) return;
  const { events } = state.status;
  let nth = 0;
  for (let k = 0; k < events.length; k++) if (((further >> k) & 1) === 1) out.beside(row, ++nth, events[k] ?? 0);
  if (restored) out.beside(row, ++nth, POWER_RESTORED);
  further = 0;
  restored = false;
}
