import { type Bytes, u16be } from '../../src/base/wire/index.ts';
import { eventIndex, type FrameResult } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import { SWITCHED } from './state.ts';

/**
 * What the items of one location body say beyond attributes: what the event and the time of the record depend on. One object is reused.
 *
 * `levels`: alarms that items tell, as the bits of the alarm word that mean the same.
 */
class Said {
  levels = 0;
  /** An event that an item names, 0 for none. */
  event = 0;
  /** ms ahead of UTC, NaN when no item says. */
  zoneMs = Number.NaN;
  buffered = false;
  ownBattery = false;
  external = false;
  /** What `Level.Switched` stands for: a false base station, or the supply. */
  jammed = false;
  /** The body has item 61: with F3 or F4 of certain lengths it is a G10LS. */
  sixtyOne = false;
  /** Item 12: the area or route was left. */
  leaves = false;
  /** The body has a sensor of the environment: F8 is a temperature, not steps. */
  environment = false;

  reset(): void {
    this.levels = 0;
    this.event = 0;
    this.zoneMs = Number.NaN;
    this.buffered = false;
    this.ownBattery = false;
    this.external = false;
    this.jammed = false;
    this.sixtyOne = false;
    this.leaves = false;
    this.environment = false;
  }
}
export const ITEMS = new Said();

export const Level = {
  Sos: 1,
  LowExternal: 0x80,
  PowerCut: 0x100,
  Vibration: 0x8000,
  Tamper: 0x20000,
  LowBattery: 0x40000,
  Switched: SWITCHED,
  Door: 1 << 31,
} as const;

export const EVENTS_OF_ITEMS = {
  acceleration: eventIndex('harsh_acceleration'),
  braking: eventIndex('harsh_braking'),
  cornering: eventIndex('harsh_cornering'),
  collision: eventIndex('collision'),
  tamper: eventIndex('tamper'),
} as const;

export function external(id: number, value: number, out: FrameResult): void {
  ITEMS.external = true;
  out.attr(id, value);
}

export function battery(id: number, value: number, out: FrameResult): void {
  ITEMS.ownBattery = true;
  out.attr(id, value);
}

export function percent(value: number, out: FrameResult): void {
  if (value <= 100) out.attr(A.BatteryPct, value);
}

export function percentOrCharging(value: number, out: FrameResult): void {
  if (value === 0xff) out.attr(A.Charging, 1);
  else percent(value, out);
}

/** Bit 15 is the sign, the rest the size. */
export function signed15(b: Bytes, at: number): number {
  const value = u16be(b, at);
  return (value & 0x8000) !== 0 ? -(value & 0x7fff) + 0 : value;
}
