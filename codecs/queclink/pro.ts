import { type Bytes, bcdDigits, i32be, u16be, u24be, u32be } from '../../src/base/wire/index.ts';
import { FrameKind, type FrameResult, RowFlag } from '../../src/codec/index.ts';
import { crc8 } from './crc.ts';
import { modelByCode } from './model.ts';
import { Reason } from './reason.ts';
import type { QueclinkState } from './state.ts';

/**
 * The binary format "Pro" (protocol.md section 10.4):
 *
 *     2B | 2D   00   length 2   flags 1   [packet 2]   IMEI 8   device type 2   protocol 2   custom 1   n 1, n bytes   records   count 2   check 1   24
 *     2B 10 18  IMEI 8   device type 2   protocol 2   custom 1   time 4   count 2   check 1   24
 *
 * A record: length (two bytes from 80 hex on, counting itself), time 4, number 2, id 1, event 1, items of id, length, data.
 */
const MINUS = 0x2d;
const PACKETS = 0x80;
const TAIL = 4;
const POSITION = 0x52;
const POSITION_BYTES = 22;

export function decodePro(bytes: Bytes, start: number, end: number, state: QueclinkState, out: FrameResult): void {
  const isHeartbeat = bytes[start + 1] === 0x10;
  out.name = isHeartbeat ? 'heartbeat' : 'record';
  if (end - start < 24) {
    out.malformed(Reason.Short);
    return;
  }
  if (bytes[end - 2] !== crc8(bytes, start, end - 2)) {
    if (state.verify) {
      out.malformed(Reason.Checksum);
      return;
    }
    out.damaged = Reason.Checksum;
  }
  let p = start + 3;
  if (!isHeartbeat) p += 2 + ((bytes[start + 4]! & PACKETS) !== 0 ? 2 : 0);
  const stop = end - TAIL;
  if (p + 14 > stop) {
    out.malformed(Reason.Short);
    return;
  }
  if (!identify(bytes, p, state)) {
    out.malformed(Reason.BadId);
    return;
  }
  out.deviceId = state.id;
  state.readModel(modelByCode(u16be(bytes, p + 8)));
  if (isHeartbeat) {
    out.kind = FrameKind.Heartbeat;
    return;
  }
  out.kind = FrameKind.Status;
  p += 14 + bytes[p + 13]!;
  while (p < stop) {
    const wide = bytes[p]! >= 0x80;
    const length = wide ? u16be(bytes, p) & 0x7fff : bytes[p]!;
    const body = p + (wide ? 2 : 1);
    if (length < 9 || p + length > stop) break;
    record(bytes, p, body, p + length, bytes[start] === MINUS, out);
    p += length;
  }
  for (let r = 0; r < out.rows; r++) if (!Number.isNaN(out.latitude[r]!)) out.kind = FrameKind.Records;
}

/** BCD with a 0 in front. */
function identify(bytes: Bytes, at: number, state: QueclinkState): boolean {
  if (state.knows(bytes, at, at + 8)) return true;
  const digits = bcdDigits(bytes, at, at + 8);
  if (!digits.startsWith('0')) return false;
  state.keep(bytes, at, at + 8, digits.slice(1));
  return true;
}

function record(bytes: Bytes, from: number, body: number, to: number, buffered: boolean, out: FrameResult): void {
  const r = out.row();
  out.from[r] = from;
  out.to[r] = to;
  out.time[r] = seconds(bytes, body);
  if (buffered) out.flags[r] = RowFlag.Buffered;
  let p = body + 8;
  while (p + 2 <= to) {
    const length = bytes[p + 1]!;
    if (p + 2 + length > to) return;
    if (bytes[p] === POSITION && length >= POSITION_BYTES) position(bytes, p + 2, out, r);
    p += 2 + length;
  }
}

/** flags 1, longitude 4, latitude 4, time 4, speed 2, HDOP 1, course 2, altitude 3, satellites 1 */
function position(bytes: Bytes, p: number, out: FrameResult, r: number): void {
  const longitude = i32be(bytes, p + 1) / 1e6;
  const latitude = i32be(bytes, p + 5) / 1e6;
  if (Math.abs(longitude) > 180 || Math.abs(latitude) > 90 || (longitude === 0 && latitude === 0)) return;
  out.longitude[r] = longitude;
  out.latitude[r] = latitude;
  const time = seconds(bytes, p + 9);
  if (!Number.isNaN(time)) out.time[r] = time;
  out.valid[r] = ((bytes[p]! >> 2) & 3) === 2 && !Number.isNaN(time) ? 1 : 0;
  out.speedKmh[r] = u16be(bytes, p + 13) / 10;
  if (bytes[p + 15]! > 0) out.hdop[r] = bytes[p + 15]! / 10;
  if (u16be(bytes, p + 16) <= 360) out.courseDeg[r] = u16be(bytes, p + 16);
  const altitude = (u24be(bytes, p + 18) << 8) >> 8;
  if (Math.abs(altitude) <= 200_000) out.altitudeM[r] = altitude / 10;
  if (bytes[p + 21]! <= 64) out.satellites[r] = bytes[p + 21]!;
}

/** 2010: no unit has had a fix before. */
const FIRST_SECOND = 1_262_304_000;

function seconds(bytes: Bytes, p: number): number {
  const value = u32be(bytes, p);
  return value < FIRST_SECOND ? Number.NaN : value * 1000;
}
