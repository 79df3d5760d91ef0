import { type Bytes, hex, i8, i16be, u16be } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { A, N } from './attributes.ts';
import type { Content } from './frame.ts';
import { plain, texted } from './identity.ts';
import { mac } from './network.ts';
import { bcdTime } from './time.ts';

/** Items of AOVX trackers (protocol.md section 8.5): each begins with a mask that says which fields follow. */

/** Bytes of the fields of a beacon, by bit of the mask. */
const BEACON = [10, 2, 2, 2, 2, 6, 2, 2] as const;

/** F3: mask 1, n × (MAC 6, RSSI s8, fields). */
export function aovxBeacons(b: Bytes, p: number, q: number, out: FrameResult): void {
  let at = p + 1;
  for (let i = 0; i < N && at + 7 <= q; i++) {
    const mask = b[p]!;
    let size = 7;
    for (let bit = 0; bit < 8; bit++) if (((mask >> bit) & 1) === 1) size += BEACON[bit]!;
    if (at + size > q) return;
    out.attrText(A.TagId + i, mac(b, at));
    out.attr(A.TagRssi + i, i8(b, at + 6));
    beaconFields(b, at + 7, mask, i, out);
    at += size;
  }
}

/** The fields of beacon `i` that the mask names: name 10, 2, battery 2, temperature 2, humidity 2, 6, 2, 2. */
function beaconFields(b: Bytes, at: number, mask: number, i: number, out: FrameResult): void {
  let field = at;
  for (let bit = 0; bit < 8; bit++) {
    if (((mask >> bit) & 1) === 0) continue;
    if (bit === 0) texted(A.TagName + i, plain(b, field, field + 10), out);
    else if (bit === 2) out.attr(A.TagBattery + i, u16be(b, field));
    else if (bit === 3) out.attr(A.TagTemperature + i, i16be(b, field));
    else if (bit === 4) out.attr(A.TagHumidity + i, i16be(b, field));
    field += BEACON[bit]!;
  }
}

/** Pass-through 53: nodes in all 1, n × (index 1, MAC 6, RSSI s8, length 1, data). */
export function aovxNodes(b: Bytes, p: number, q: number, out: FrameResult): void {
  for (let at = p + 1; at + 9 <= q; ) {
    const n = b[at + 8]!;
    const index = b[at]!;
    if (at + 9 + n > q) return;
    if (index < N) {
      out.attrText(A.TagId + index, mac(b, at + 1));
      out.attr(A.TagRssi + index, i8(b, at + 7));
      if (n > 0) out.attrText(A.TagData + index, hex(b, at + 9, at + 9 + n));
    }
    at += 9 + n;
  }
}

/** Pass-through 54: n × (mask 2, time 6, light 2, temperature and humidity 4, external temperature 2, acceleration 6, air pressure 2), a row each. */
export function aovxSamples(c: Content, p: number, q: number, zoneMs: number, out: FrameResult): void {
  const b = c.bytes;
  for (let at = p; at + 8 <= q; ) {
    const mask = u16be(b, at);
    let end = at + 8;
    for (let bit = 0; bit < 5; bit++) if (((mask >> bit) & 1) === 1) end += SAMPLE[bit]!;
    if (end > q) return;
    const r = out.row();
    out.from[r] = c.placeOf(at);
    out.to[r] = c.placeOf(end);
    out.time[r] = bcdTime(b, at + 2, zoneMs);
    let field = at + 8;
    for (let bit = 0; bit < 5; bit++) {
      if (((mask >> bit) & 1) === 0) continue;
      sampled(bit, b, field, out);
      field += SAMPLE[bit]!;
    }
    at = end;
  }
}

const SAMPLE = [2, 4, 2, 6, 2] as const;

function sampled(bit: number, b: Bytes, at: number, out: FrameResult): void {
  if (bit === 0) out.attr(A.Illuminance, u16be(b, at));
  else if (bit === 1) {
    degrees(A.TemperatureDeci, b, at, out);
    humidity(b, at + 2, out);
  } else if (bit === 2) degrees(A.TemperatureDeci + 2, b, at, out);
  else if (bit === 3) acceleration(b, at, out);
  else out.attr(A.AirPressure, u16be(b, at));
}

/** A sensor that is not there gives 8000 or 7FFF. */
function degrees(id: number, b: Bytes, at: number, out: FrameResult): void {
  if (Math.abs(i16be(b, at)) <= 1000) out.attr(id, i16be(b, at));
}

function humidity(b: Bytes, at: number, out: FrameResult): void {
  if (i16be(b, at) >= 0 && i16be(b, at) <= 1000) out.attr(A.HumidityDeci, i16be(b, at));
}

function acceleration(b: Bytes, at: number, out: FrameResult): void {
  out.attr(A.AccelerationX, i16be(b, at));
  out.attr(A.AccelerationY, i16be(b, at + 2));
  out.attr(A.AccelerationZ, i16be(b, at + 4));
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
    else if (bit === 1) degrees(A.TemperatureDeci, b, at, out);
    else if (bit === 2) humidity(b, at, out);
    else if (bit === 3) acceleration(b, at, out);
    else if (bit === 5) out.attr(A.AirPressure, u16be(b, at));
    at += size;
  }
}

/** F9: mask 2: fix age 4, ACC time 4, HDOP × 10 (2), fix time 6, …, external temperature s16/10 and its limits. */
export function aovxMore(b: Bytes, p: number, q: number, out: FrameResult): void {
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
    if (bit === 2) out.hdop[out.rows - 1] = u16be(b, at) / 10;
    else if (bit === 6) degrees(A.TemperatureDeci + 2, b, at, out);
    at += size;
  }
}
