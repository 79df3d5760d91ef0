import { type Bytes, u16be } from '../../src/base/wire/index.ts';
import { eventIndex, type FrameResult } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import { SWITCHED } from './state.ts';

/**
 * What the items of one location body say beyond attributes: what the event and the time of the record depend on. One object is reused.
 *
 * `alarms`: the alarm word. `levels`: alarms that items tell, as the bits of the alarm word that mean the same.
 */
class Said {
  alarms = 0;
  levels = 0;
  /** Events that items name, in their order; with each the vendor's number of it, -1 for none, and the label of its pictures. */
  readonly events: number[] = [];
  readonly codes: number[] = [];
  readonly labels: string[] = [];
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
    this.alarms = 0;
    this.levels = 0;
    if (this.events.length > 0) {
      this.events.length = 0;
      this.codes.length = 0;
      this.labels.length = 0;
    }
    this.zoneMs = Number.NaN;
    this.buffered = false;
    this.ownBattery = false;
    this.external = false;
    this.jammed = false;
    this.sixtyOne = false;
    this.leaves = false;
    this.environment = false;
  }

  /** Happenings. One that two items name, of which one has no number, is one. */
  tell(event: number, code = -1, label = ''): void {
    const same = this.events.indexOf(event);
    if (same >= 0 && (code < 0 || this.codes[same]! < 0)) {
      if (code >= 0) this.codes[same] = code;
      return;
    }
    this.events.push(event);
    this.codes.push(code);
    this.labels.push(label);
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
  idle: eventIndex('idle'),
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
