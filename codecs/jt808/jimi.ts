import { type Bytes, hex, u16be } from '../../src/base/wire/index.ts';
import { type EventName, eventIndex, type FrameResult, unknownEvent } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import { iccid } from './identity.ts';
import { battery, external, ITEMS } from './said.ts';
import type { Jt808State } from './state.ts';

/** Alarms of item E8 (protocol.md section 8.4). */
const ALARMS: ReadonlyMap<number, EventName> = new Map<number, EventName>([
  [0x0400, 'harsh_acceleration'],
  [0x0412, 'harsh_acceleration'],
  [0x0401, 'harsh_braking'],
  [0x0413, 'harsh_braking'],
  [0x0402, 'harsh_cornering'],
  [0x0414, 'harsh_cornering'],
  [0x0403, 'overspeed'],
  [0x0405, 'collision'],
  [0x0416, 'collision'],
  [0x0417, 'collision'],
  [0x0406, 'vibration'],
  [0x0407, 'towing'],
  [0x0408, 'geofence_enter'],
  [0x0409, 'geofence_exit'],
  [0x040c, 'door'],
  [0x0c01, 'sos'],
  [0x0c02, 'low_external'],
  [0x0c03, 'ignition_on'],
  [0x0c04, 'ignition_off'],
  [0x0c0e, 'power_cut'],
  [0x0c0f, 'low_battery'],
  [0x0c10, 'power_off'],
  [0x0c12, 'tamper'],
]);

/** Item E8 of Jimi cameras: type 2, length 1, content. Other makers have other things under this id. */
export function jimi(b: Bytes, p: number, q: number, state: Jt808State, out: FrameResult): void {
  const type = u16be(b, p);
  const at = p + 3;
  if (type === 0x2002 && at + 2 <= q) {
    out.attr(A.UploadMode, b[at]!);
    if (b[at + 1] === 1) ITEMS.buffered = true;
  } else if (type === 0x2003 && at + 7 <= q) supply(b, at, out);
  else if (type === 0x2005) fields(b, at, q, out);
  else if (type >= 1 && type <= 0x0fff) {
    const name = ALARMS.get(type);
    ITEMS.tell(name === undefined ? unknownEvent(type) : eventIndex(name), type, at + 16 <= q ? hex(b, at, at + 16) : '');
  } else return;
  state.learn('jimi');
}

/** charging 1, level 0–6, battery 0.01 V 2, signal 1, external 0.01 V 2 */
function supply(b: Bytes, at: number, out: FrameResult): void {
  out.attr(A.Charging, b[at] === 0 ? 0 : 1);
  if (b[at + 1]! >= 1 && b[at + 1]! <= 6) out.attr(A.BatteryPct, Math.round((b[at + 1]! * 100) / 6));
  battery(A.BatteryCenti, u16be(b, at + 2), out);
  if (b[at + 4]! <= 31) out.attr(A.GsmCsq, b[at + 4]!);
  external(A.ExternalCenti, u16be(b, at + 5), out);
}

/** (id 2, length 1, value)… */
function fields(b: Bytes, p: number, q: number, out: FrameResult): void {
  for (let at = p; at + 3 <= q; ) {
    const n = b[at + 2]!;
    const value = at + 3;
    if (value + n > q) return;
    field(u16be(b, at), b, value, n, out);
    at = value + n;
  }
}

function field(id: number, b: Bytes, p: number, n: number, out: FrameResult): void {
  switch (id) {
    case 0x0001:
      if (n === 2) battery(A.BatteryCenti, u16be(b, p), out);
      return;
    case 0x0003:
      if (n === 1 && b[p]! <= 100) out.attr(A.BatteryPct, b[p]!);
      return;
    case 0x0004:
      if (n === 1) out.attr(A.Charging, b[p] === 0 ? 1 : 0);
      return;
    case 0x0005:
      if (n === 10) out.attrText(A.Iccid, iccid(b, p).slice(0, 19));
      return;
    case 0x0007:
      if (n === 2) out.hdop[out.rows - 1] = u16be(b, p) / 10;
      return;
    case 0x2001:
      if (n === 2) external(A.ExternalDeci, u16be(b, p), out);
      return;
    default:
  }
}
