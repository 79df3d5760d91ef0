import { type Bytes, i8, i16be, u16be } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { A, N } from './attributes.ts';
import { plain } from './identity.ts';
import { mac } from './network.ts';

/** Items of AOVX trackers (protocol.md section 8.5): each begins with a mask that says which fields follow. */

/** Bytes of the fields of a beacon, by bit of the mask. */
const BEACON = [10, 2, 2, 2, 2, 6, 2, 2] as const;

/** F3: mask 1, n × (MAC 6, RSSI s8, fields). */
export function aovxBeacons(b: Bytes, p: number, q: number, out: FrameResult): void {
  if (q - p < 8) return;
  const mask = b[p]!;
  let at = p + 1;
  for (let i = 0; i < N && at + 7 <= q; i++) {
    let size = 7;
    for (let bit = 0; bit < 8; bit++) if (((mask >> bit) & 1) === 1) size += BEACON[bit]!;
    if (at + size > q) return;
    out.attrText(A.TagId + i, mac(b, at));
    out.attr(A.TagRssi + i, i8(b, at + 6));
    let field = at + 7;
    for (let bit = 0; bit < 8; bit++) {
      if (((mask >> bit) & 1) === 0) continue;
      if (bit === 0) out.attrText(A.TagName + i, plain(b, field, field + 10));
      else if (bit === 2) out.attr(A.TagBattery + i, u16be(b, field));
      else if (bit === 3) out.attr(A.TagTemperature + i, i16be(b, field));
      else if (bit === 4) out.attr(A.TagHumidity + i, i16be(b, field));
      field += BEACON[bit]!;
    }
    at += size;
  }
}

/** F6: event 1, mask 1: light 2, temperature s16/10, humidity s16/10, x y z s16 mg, thresholds 10, air pressure 2. */
export function aovxSensors(b: Bytes, p: number, q: number, out: FrameResult): void {
  if (q - p < 2) return;
  if (b[p] !== 0) out.attr(A.EventCode, b[p]!);
  if (b[p] === 2) out.attr(A.Motion, 1);
  const mask = b[p + 1]!;
  let at = p + 2;
  for (let bit = 0; bit < 6; bit++) {
    if (((mask >> bit) & 1) === 0) continue;
    const size = bit === 3 ? 6 : bit === 4 ? 10 : 2;
    if (at + size > q) return;
    if (bit === 0) out.attr(A.Illuminance, u16be(b, at));
    else if (bit === 1 && Math.abs(i16be(b, at)) <= 1000) out.attr(A.TemperatureDeci, i16be(b, at));
    else if (bit === 2 && i16be(b, at) >= 0 && i16be(b, at) <= 1000) out.attr(A.HumidityDeci, i16be(b, at));
    else if (bit === 3) {
      out.attr(A.AccelerationX, i16be(b, at));
      out.attr(A.AccelerationY, i16be(b, at + 2));
      out.attr(A.AccelerationZ, i16be(b, at + 4));
    } else if (bit === 5) out.attr(A.AirPressure, u16be(b, at));
    at += size;
  }
}

/** F9: mask 2: fix age 4, ACC time 4, HDOP × 10 (2), fix time 6, …, external temperature s16/10 and its limits. */
export function aovxMore(b: Bytes, p: number, q: number, out: FrameResult, r: number): void {
  const mask = u16be(b, p);
  let at = p + 2;
  for (const [bit, size] of [
    [0, 4],
    [1, 4],
    [2, 2],
    [3, 6],
    [5, 8],
    [6, 6],
  ] as const) {
    if (((mask >> bit) & 1) === 0) continue;
    if (at + size > q) return;
    if (bit === 2) out.hdop[r] = u16be(b, at) / 10;
    else if (bit === 6 && Math.abs(i16be(b, at)) <= 1000) out.attr(A.TemperatureDeci + 2, i16be(b, at));
    at += size;
  }
}
