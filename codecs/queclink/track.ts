import { type Bytes, i32be, u16be, u32be } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';

/**
 * A compressed track (protocol.md section 10.2): number u16, then points a second apart. The first two bits of a point choose:
 *
 *     01       fix 1 bit, speed 12 bits (0.1 km/h), course 9 bits; longitude 4, latitude 4; the first one has its Unix time, 4
 *     10       fix 1 bit; signed differences of speed 7 bits, course 7, longitude 12, latitude 11
 *     00, 11   one byte: a second without a point
 */
const FULL = 1;
const DIFFERENCE = 2;
const DIFFERENCE_BYTES = 5;
const FULL_BYTES = 11;
const TIME_BYTES = 4;

/** Rows of the points in bytes[at, end); false, and none, when they do not end there. Their own bytes go up to `to`. */
export function readTrack(bytes: Bytes, at: number, end: number, to: number, out: FrameResult): boolean {
  if (!fits(bytes, at, end)) return false;
  let time = Number.NaN;
  let speed = 0;
  let course = 0;
  let longitude = 0;
  let latitude = 0;
  let isKnown = false;
  for (let p = at + 2; p < end; time += 1000) {
    const from = p;
    const kind = bytes[p]! >> 6;
    const fix = (bytes[p]! >> 5) & 1;
    if (kind === FULL) {
      speed = ((u16be(bytes, p) & 0x1fff) >> 1) & 0xfff;
      course = ((bytes[p + 1]! & 1) << 8) | bytes[p + 2]!;
      longitude = i32be(bytes, p + 3);
      latitude = i32be(bytes, p + 7);
      p += FULL_BYTES;
      if (!isKnown) {
        time = u32be(bytes, p) * 1000;
        p += TIME_BYTES;
      }
      isKnown = true;
    } else if (kind === DIFFERENCE && isKnown) {
      const low = u32be(bytes, p + 1);
      speed += signed(((bytes[p]! & 31) << 2) | (low >>> 30), 7);
      course += signed((low >>> 23) & 0x7f, 7);
      longitude += signed((low >>> 11) & 0xfff, 12);
      latitude += signed(low & 0x7ff, 11);
      p += DIFFERENCE_BYTES;
    } else {
      p += kind === DIFFERENCE ? DIFFERENCE_BYTES : 1;
      continue;
    }
    // Zeros are a unit that has not had a fix.
    if (Math.abs(longitude) > 180e6 || Math.abs(latitude) > 90e6 || (longitude === 0 && latitude === 0)) continue;
    const r = out.row();
    out.from[r] = from;
    out.to[r] = to;
    out.time[r] = time;
    out.longitude[r] = longitude / 1e6;
    out.latitude[r] = latitude / 1e6;
    out.valid[r] = fix;
    out.speedKmh[r] = Math.max(0, speed) / 10;
    out.courseDeg[r] = ((course % 360) + 360) % 360;
  }
  return true;
}

/** Do as many points as are announced end where the cells begin? */
function fits(bytes: Bytes, at: number, end: number): boolean {
  let p = at + 2;
  let timed = false;
  for (let n = u16be(bytes, at); n > 0 && p < end; n--) {
    const kind = bytes[p]! >> 6;
    if (kind === FULL) {
      p += FULL_BYTES + (timed ? 0 : TIME_BYTES);
      timed = true;
    } else p += kind === DIFFERENCE ? DIFFERENCE_BYTES : 1;
    if (n === 1) return p === end;
  }
  return false;
}

function signed(value: number, bits: number): number {
  return value >= 1 << (bits - 1) ? value - (1 << bits) : value;
}
