import { type Bytes, i16be, u16be, u32be } from '../../src/base/wire/index.ts';
import type { FrameResult } from '../../src/codec/index.ts';
import { type Family, own, Role, Width } from './attributes.ts';
import { place, special } from './avl.ts';
import { finishJoined, servingCell } from './joined.ts';

/**
 * Codec 7 of GH3000 and GH4000 (protocol.md section 5).
 *
 * ```
 * head   u32: bits 31…30 priority (1 periodical, 2 alarm), bits 29…0 seconds since 2007-01-01
 * mask   u8: 0 GPS element · 1, 2, 3 elements of 1, 2, 4 bytes
 * GPS    mask u8: 0 latitude f32, longitude f32 · 1 altitude i16 · 2 angle u8 × 360 / 256 · 3 speed u8, 255 no fix
 *                 4 satellites u8 · 5 cell: LAC u16, id u16 · 6 signal u8 · 7 operator u32
 * group  count u8 · count × (id u8, value)
 * ```
 */
export const Codec7 = 0x07;

/** 2007-01-01T00:00:00Z */
const EPOCH = 1167609600000;
/** Bytes of the GPS fields, by bit of the GPS mask. */
const GPS_BYTES = [8, 2, 1, 1, 1, 4, 1, 4];
const NO_FIX = 255;
/** CSQ; 99 and 255 are not available. */
const MOST_SIGNAL = 31;

const PRIORITY = own('priority');
const SIGNAL = own('gsm_csq');
const ALARM = 2;
/** Index of `sos` in the event table: the only alarm that these devices send. */
const SOS = 1;

/** Offset behind the record at `start`, or -1 when it leads beyond `end`. */
export function codec7End(bytes: Bytes, start: number, end: number): number {
  let p = start + 5;
  if (p > end) return -1;
  const mask = bytes[start + 4]!;
  if ((mask & 1) !== 0) {
    if (p >= end) return -1;
    const fields = bytes[p++]!;
    for (let bit = 0; bit < 8; bit++) if ((fields >> bit) & 1) p += GPS_BYTES[bit]!;
  }
  for (let bit = 1; bit <= 3; bit++) {
    if (((mask >> bit) & 1) === 0) continue;
    if (p >= end) return -1;
    p += 1 + bytes[p]! * (1 + (1 << (bit - 1)));
  }
  return p > end ? -1 : p;
}

/** Reads the record at `start` into a new row; returns the offset behind it, or -1, and then no row is opened. */
export function readCodec7(bytes: Bytes, start: number, end: number, family: Family, out: FrameResult): number {
  const next = codec7End(bytes, start, end);
  if (next < 0) return -1;
  const r = out.row();
  out.from[r] = start;
  out.to[r] = next;
  const word = u32be(bytes, start);
  out.time[r] = EPOCH + (word & 0x3fffffff) * 1000;
  // 1 periodical and 2 alarm are 0 low and 2 panic elsewhere.
  const alarm = word >>> 30 === ALARM;
  out.attr(PRIORITY, alarm ? 2 : 0);
  if (alarm) out.event[r] = SOS;
  const mask = bytes[start + 4]!;
  let p = start + 5;
  if ((mask & 1) !== 0) p = gps(bytes, p, r, out);
  if ((mask & 2) !== 0) p = group(bytes, p, 1, Width.One, family, out);
  if ((mask & 4) !== 0) p = group(bytes, p, 2, Width.Two, family, out);
  const fourFrom = out.attrs;
  if ((mask & 8) !== 0) group(bytes, p, 4, Width.Four, family, out);
  finishJoined(out, fourFrom);
  return next;
}

function gps(bytes: Bytes, at: number, r: number, out: FrameResult): number {
  const mask = bytes[at]!;
  let p = at + 1;
  let latitude = Number.NaN;
  let longitude = Number.NaN;
  let satellites = -1;
  let fix = true;
  if ((mask & 1) !== 0) {
    latitude = float(bytes, p);
    longitude = float(bytes, p + 4);
    satellites = 3;
    p += 8;
  }
  if ((mask & 2) !== 0) {
    out.altitudeM[r] = i16be(bytes, p);
    p += 2;
  }
  if ((mask & 4) !== 0) out.courseDeg[r] = (bytes[p++]! * 360) / 256;
  if ((mask & 8) !== 0) {
    const speed = bytes[p++]!;
    fix = speed !== NO_FIX;
    if (fix) out.speedKmh[r] = speed;
  }
  if ((mask & 16) !== 0) satellites = bytes[p++]!;
  place(latitude, longitude, satellites, r, out);
  if (!fix) out.valid[r] = 0;
  return network(bytes, p, mask, out);
}

function network(bytes: Bytes, at: number, mask: number, out: FrameResult): number {
  let p = at;
  const hasCell = (mask & 32) !== 0;
  const lac = hasCell ? u16be(bytes, p) : -1;
  const cid = hasCell ? u16be(bytes, p + 2) : -1;
  if (hasCell) p += 4;
  if ((mask & 64) !== 0) {
    const signal = bytes[p++]!;
    if (signal <= MOST_SIGNAL) out.attr(SIGNAL, signal);
  }
  let operator = 0;
  if ((mask & 128) !== 0) {
    operator = u32be(bytes, p);
    p += 4;
  }
  servingCell(operator, lac, cid, out);
  return p;
}

function group(bytes: Bytes, at: number, width: number, table: number, family: Family, out: FrameResult): number {
  let p = at + 1;
  for (let n = bytes[at]!; n > 0; n--) {
    const entry = family.table[table | bytes[p]!]!;
    const value = width === 1 ? bytes[p + 1]! : width === 2 ? u16be(bytes, p + 1) : u32be(bytes, p + 1);
    if (entry >>> 20 === Role.Uint) out.attr(entry & 0xfffff, value);
    else special(bytes, p + 1, width, entry, value, out);
    p += 1 + width;
  }
  return p;
}

/** IEEE 754 single, rounded to the seven decimals that it can carry. Scratch used inside this call only. */
const FLOAT = new DataView(new ArrayBuffer(4));
function float(bytes: Bytes, at: number): number {
  FLOAT.setUint32(0, u32be(bytes, at));
  return Math.round(FLOAT.getFloat32(0) * 1e6) / 1e6;
}
