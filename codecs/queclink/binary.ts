import { ascii, type Bytes, bcd, epochMs, i16be, i32be, u16be, u32be } from '../../src/base/wire/index.ts';
import { eventIndex, FrameKind, type FrameResult, RowFlag, unknownEvent } from '../../src/codec/index.ts';
import { oweBinary } from './answer.ts';
import { A } from './attributes.ts';
import { crc16Ccitt } from './crc.ts';
import { triple } from './frame.ts';
import { modelByCode } from './model.ts';
import { Reason } from './reason.ts';
import { BY_NAME, Head, type Report, Special } from './report.ts';
import type { QueclinkState } from './state.ts';
import { isMoving, readState, saysIgnition } from './status.ts';
import { readTrack } from './track.ts';

/**
 * The binary format "HEX" of vehicle units (protocol.md sections 10.1 to 10.3):
 *
 *     +RSP   type 1   mask 4   length 2   device type 1   protocol 2   firmware 2   id 8   … by mask   positions   … by mask   send time 7   count 2   CRC 2   0D0A
 *     +HBD   mask 1   length 1   device type 1   protocol 2   firmware 2   id 8   send time 7   count 2   CRC 2   0D0A
 *     +ACK   type 1   mask 1   length 1   device type 1   protocol 2   firmware 2   id 8   sub id 1   serial 2   send time 7   count 2   CRC 2   0D0A
 */
const HEADER = 4;
/** CRC and 0D0A. */
const END = 4;

/** Names of the types of +RSP and +EVT. */
export const RSP: Readonly<Record<number, string>> = {
  1: 'TOW',
  3: 'LBC',
  4: 'EPS',
  5: 'DIS',
  6: 'IOB',
  7: 'FRI',
  8: 'GEO',
  9: 'SPD',
  10: 'SOS',
  11: 'RTL',
  12: 'DOG',
  15: 'HBM',
  16: 'IGL',
  17: 'IDA',
  18: 'ERI',
};
const EVT: Readonly<Record<number, string>> = {
  6: 'BPL',
  9: 'STT',
  13: 'IGN',
  14: 'IGF',
  21: 'GSS',
  23: 'CRA',
  25: 'DOS',
  31: 'GPJ',
};
/** Numbers that differ by model. */
export const EVT_GB100: Readonly<Record<number, string>> = { ...EVT, 45: 'VGN', 46: 'VGF' };
export const EVT_OTHERS: Readonly<Record<number, string>> = { ...EVT, 32: 'RMD', 34: 'JDS', 50: 'VGN', 51: 'VGF' };
const COMPRESSED = 100;
const JAMMING = eventIndex('jamming');
const MOVEMENT = eventIndex('movement');
const IGNITION_ON = eventIndex('ignition_on');
const IGNITION_OFF = eventIndex('ignition_off');
const GB100 = 0x45;

export function decodeBinary(bytes: Bytes, start: number, end: number, state: QueclinkState, out: FrameResult): void {
  const head = ascii(bytes, start + 1, start + 4);
  out.name = head;
  if (end - start < 20) {
    out.malformed(Reason.Short);
    return;
  }
  if (u16be(bytes, end - END) !== crc16Ccitt(bytes, start + HEADER, end - END)) {
    if (state.verify) {
      out.malformed(Reason.Checksum);
      return;
    }
    out.damaged = Reason.Checksum;
  }
  switch (head) {
    case 'RSP':
    case 'EVT':
    case 'BSP':
    case 'BVT':
      reported(bytes, start, end, state, out);
      break;
    case 'HBD':
      if (end - start < 32 || !identify(bytes, start + 11, state, out)) break;
      state.readModel(modelByCode(bytes[start + 6]!));
      out.kind = FrameKind.Heartbeat;
      oweBinary(u16be(bytes, end - 6), true, out);
      break;
    case 'ACK':
      acknowledgement(bytes, start, end, state, out);
      break;
    case 'LGN':
      if (end - start < 38 || !identify(bytes, start + 15, state, out)) break;
      out.kind = FrameKind.Login;
      if (state.answers) oweBinary(u16be(bytes, end - 6), false, out);
      break;
    default:
      unread(bytes, start, end, state, out);
  }
}

/** Where the identity stands in frames whose layout differs by model. */
const ID_PLACES = [11, 12, 13, 14, 15, 16, 18, 20] as const;

/** +INF, +CRD and what was stored of them, +CAN, +DAT, +ATI: kept raw; who sent it, and the count in front of the end, are found by their form. */
function unread(bytes: Bytes, start: number, end: number, state: QueclinkState, out: FrameResult): void {
  out.kind = FrameKind.Status;
  const r = out.row();
  out.from[r] = start + HEADER;
  if (bytes[start + 1] === LETTER_B) out.flags[r] = RowFlag.Buffered;
  for (const at of ID_PLACES) {
    if (start + at + 8 > end - END - 2) return;
    if (!isImei(bytes, start + at)) continue;
    identify(bytes, start + at, state, out);
    if (state.answers) oweBinary(u16be(bytes, end - 6), false, out);
    return;
  }
}

/** Two digits a byte, the first of a body that gives numbers to these makers (35 or 86), and the check digit. */
function isImei(bytes: Bytes, at: number): boolean {
  let sum = 0;
  for (let k = 0; k < 8; k++) {
    const value = bytes[at + k]!;
    if (value > (k === 7 ? 9 : 99)) return false;
    const doubled = 2 * (value % 10);
    sum += k === 7 ? value : Math.floor(value / 10) + (doubled > 9 ? doubled - 9 : doubled);
  }
  return (bytes[at] === 35 || bytes[at] === 86) && sum % 10 === 0;
}

/** Two decimal digits a byte, as numbers; the last byte has one. False when the bytes are a name, as a mask may ask for. */
function identify(bytes: Bytes, at: number, state: QueclinkState, out: FrameResult): boolean {
  if (!state.knows(bytes, at, at + 8)) {
    let digits = '';
    for (let k = 0; k < 8; k++) {
      const value = bytes[at + k]!;
      if (value > (k === 7 ? 9 : 99)) return false;
      digits += k < 7 && value < 10 ? `0${value}` : String(value);
    }
    state.keep(bytes, at, at + 8, digits);
  }
  out.deviceId = state.id;
  return true;
}

function acknowledgement(bytes: Bytes, start: number, end: number, state: QueclinkState, out: FrameResult): void {
  if (end - start < 36 || !identify(bytes, start + 12, state, out)) return;
  state.readModel(modelByCode(bytes[start + 7]!));
  out.row();
  out.kind = FrameKind.Reply;
  const serial = u16be(bytes, start + 21);
  out.replyKey = serial === 0 || serial === 0xffff ? -1 : serial;
  out.replyText = `ACK ${bytes[start + 4]!},${bytes[start + 20]!} ok`;
  out.attrText(A.Reply, out.replyText);
  if (state.answers) oweBinary(u16be(bytes, end - 6), false, out);
}

/** Bits of the mask of a report; the bits of a position and of the tail, and the bytes that they stand for. */
const Mask = { SendTime: 0x10, Count: 0x20, Name: 0x40, Speed: 1, Azimuth: 2, Altitude: 4, Cell: 8 } as const;
const FRONT: ReadonlyArray<readonly [bit: number, bytes: number]> = [
  [8, 1],
  [9, 2],
  [10, 2],
];
const LINES: ReadonlyArray<readonly [bit: number, bytes: number]> = [
  [11, 1],
  [12, 2],
  [14, 2],
  [15, 2],
  [16, 2],
  [17, 2],
  [18, 1],
  [19, 1],
];
const MILEAGES: ReadonlyArray<readonly [bit: number, bytes: number]> = [
  [20, 3],
  [21, 5],
  [22, 3],
  [23, 6],
];

/** Send time and count. */
const SENT: ReadonlyArray<readonly [bit: number, bytes: number]> = [
  [4, 7],
  [5, 2],
];

function has(mask: number, bit: number): boolean {
  return ((mask >>> bit) & 1) === 1;
}

function sizeOf(mask: number, parts: ReadonlyArray<readonly [number, number]>): number {
  let n = 0;
  for (const [bit, size] of parts) if (has(mask, bit)) n += size;
  return n;
}

function positionBytes(mask: number): number {
  const { Speed, Azimuth, Altitude, Cell } = Mask;
  return (
    16 +
    ((mask & Speed) !== 0 ? 3 : 0) +
    ((mask & Azimuth) !== 0 ? 2 : 0) +
    ((mask & Altitude) !== 0 ? 2 : 0) +
    ((mask & Cell) !== 0 ? 9 : 0)
  );
}

/** Letters of the header: B in front is stored before, S behind it a report, V an event. */
const LETTER_B = 0x42;
const LETTER_S = 0x53;

/** +RSP, +EVT, and +BSP, +BVT of what was stored before. */
function reported(bytes: Bytes, start: number, end: number, state: QueclinkState, out: FrameResult): void {
  const isReport = bytes[start + 2] === LETTER_S;
  const type = bytes[start + 4]!;
  const mask = u32be(bytes, start + 5);
  let p = start + 11;
  const id = p + sizeOf(mask, FRONT);
  const lines = id + 8;
  const body = lines + sizeOf(mask, LINES);
  const tail = end - END - sizeOf(mask, SENT) - sizeOf(mask, MILEAGES);
  if (body > tail) {
    out.malformed(Reason.Short);
    return;
  }
  const device = has(mask, 8) ? bytes[p]! : 0;
  if (!sender(bytes, device, id, mask, state, out)) {
    out.malformed(Reason.BadId);
    return;
  }
  const name = nameOf(isReport, type, device);
  const report = name === undefined ? undefined : BY_NAME.get(triple(name));
  out.name = report?.name ?? out.name;
  if (has(mask, 5) && state.answers) oweBinary(u16be(bytes, end - END - 2), false, out);
  if (isReport && type === COMPRESSED) compressed(bytes, body, tail, end, mask, out);
  const track = out.rows > 0;
  const size = positionBytes(mask);
  const first = type === COMPRESSED ? -1 : firstPosition(bytes, body, tail, size);
  if (first >= 0) for (p = first; p < tail; p += size) position(bytes, p, mask, end, out);
  if (out.rows === 0) out.row();
  // The first record has the head of the frame in its identity.
  if (!track) out.from[0] = start + HEADER;
  const r = out.rows - 1;
  out.to[r] = end - END;
  out.kind = first >= 0 || track ? FrameKind.Records : FrameKind.Status;
  if (bytes[start + 1] === LETTER_B) out.flags.fill(RowFlag.Buffered, 0, out.rows);
  const motion = readLines(bytes, lines, mask, out, r);
  readMileages(bytes, tail, mask, out);
  if (!isReport && first >= 0) insert(bytes, body, first - 1 - body, name ?? '', out, r);
  if (report !== undefined) raise(report, isReport ? idAndTypeAt(bytes, body, first, report) : -1, motion, out, r);
  else if (!track) out.attr(A.EventCode, type);
}

/** Model and identity; false when what stands for the identity is none. A unit that is set to send its name sends no identity. */
function sender(bytes: Bytes, device: number, id: number, mask: number, state: QueclinkState, out: FrameResult): boolean {
  if (device !== 0) state.readModel(modelByCode(device));
  return (mask & Mask.Name) !== 0 || identify(bytes, id, state, out);
}

/** The report's name by its number; undefined for a number that is not listed. */
function nameOf(isReport: boolean, type: number, device: number): string | undefined {
  if (isReport) return RSP[type];
  return (device === GB100 ? EVT_GB100 : EVT_OTHERS)[type];
}

/** Report ID and type in front of the number of positions, of the reports that have them; -1: none. */
function idAndTypeAt(bytes: Bytes, body: number, first: number, report: Report): number {
  return report.head.includes(Head.Type) && first >= body + 2 ? bytes[first - 2]! : -1;
}

/** +RSP of type 100: a track, and behind it the cell. */
function compressed(bytes: Bytes, body: number, tail: number, end: number, mask: number, out: FrameResult): void {
  const hasCell = has(mask, 3);
  if (!readTrack(bytes, body, tail - (hasCell ? CELL_BYTES : 0), end - END, out)) return;
  out.name = 'GTFRI';
  if (hasCell) cell(bytes, tail - CELL_BYTES, out);
}

/** The number of positions stands in front of them: the smallest that says as many as there is room for behind it. -1: none. */
function firstPosition(bytes: Bytes, body: number, tail: number, size: number): number {
  for (let n = 1; n <= 15 && tail - n * size - 1 >= body; n++) if (bytes[tail - n * size - 1] === n) return tail - n * size;
  return -1;
}

/** accuracy 1, speed 2 and tenths 1, azimuth 2, altitude 2, longitude 4, latitude 4, UTC 7, MCC 2, MNC 2, LAC 2, cell 2, reserved 1 */
function position(bytes: Bytes, at: number, mask: number, end: number, out: FrameResult): void {
  const r = out.row();
  out.from[r] = at;
  out.to[r] = end - END;
  let p = at;
  const accuracy = bytes[p++]!;
  if (accuracy > 0) out.hdop[r] = accuracy;
  if ((mask & Mask.Speed) !== 0) {
    if (bytes[p + 2]! < 10 && u16be(bytes, p) < 1000) out.speedKmh[r] = (u16be(bytes, p) * 10 + bytes[p + 2]!) / 10;
    p += 3;
  }
  if ((mask & Mask.Azimuth) !== 0) {
    if (u16be(bytes, p) <= 360) out.courseDeg[r] = u16be(bytes, p);
    p += 2;
  }
  if ((mask & Mask.Altitude) !== 0) {
    out.altitudeM[r] = i16be(bytes, p);
    p += 2;
  }
  const longitude = i32be(bytes, p) / 1e6;
  const latitude = i32be(bytes, p + 4) / 1e6;
  out.time[r] = timeAt(bytes, p + 8);
  if (Math.abs(longitude) <= 180 && Math.abs(latitude) <= 90 && (longitude !== 0 || latitude !== 0)) {
    out.longitude[r] = longitude;
    out.latitude[r] = latitude;
    out.valid[r] = accuracy > 0 && !Number.isNaN(out.time[r]!) ? 1 : 0;
  }
  p += 15;
  if ((mask & Mask.Cell) !== 0) cell(bytes, p, out);
}

/** MCC 2, MNC 2, LAC 2, cell 2, reserved 1 */
const CELL_BYTES = 9;

function cell(bytes: Bytes, p: number, out: FrameResult): void {
  const mcc = bcdWord(bytes, p);
  const mnc = bcdWord(bytes, p + 2);
  const lac = u16be(bytes, p + 4);
  const cid = u16be(bytes, p + 6);
  if (mcc >= 200 && mcc <= 799 && mnc >= 0 && lac !== 0 && lac !== 0xffff && cid !== 0 && cid !== 0xffff) out.cell(mcc, mnc, lac, cid, 0);
}

function bcdWord(bytes: Bytes, p: number): number {
  const high = bcd(bytes, p);
  const low = bcd(bytes, p + 1);
  return high < 0 || low < 0 ? -1 : high * 100 + low;
}

/** year 2, month, day, hour, minute, second */
function timeAt(bytes: Bytes, p: number): number {
  const year = u16be(bytes, p);
  if (year < 2010) return Number.NaN;
  return epochMs(year, bytes[p + 2]!, bytes[p + 3]!, bytes[p + 4]!, bytes[p + 5]!, bytes[p + 6]!);
}

/** What some events have in front of the number of positions. */
function insert(bytes: Bytes, at: number, n: number, name: string, out: FrameResult, r: number): void {
  if ((name === 'IGN' || name === 'IGF') && n >= 4) out.attr(A.DurationS, u32be(bytes, at));
  else if ((name === 'VGN' || name === 'VGF') && n >= 7) out.attr(A.DurationS, u32be(bytes, at + 3));
  else if (name === 'BPL' && n >= 2 && u16be(bytes, at) >= 2500 && u16be(bytes, at) <= 5000) out.attr(A.BatteryV, u16be(bytes, at) / 1000);
  else if (name === 'DOS' && n >= 2) {
    out.attr(A.OutputId, bytes[at]!);
    if (bytes[at + 1]! <= 1) out.attr(A.OutputOn, bytes[at + 1]!);
  } else if (name === 'RMD' && n >= 1 && bytes[at]! <= 1) out.attr(A.Roaming, bytes[at]!);
  else if (name === 'CRA' && n >= 1) out.attr(A.Counter, bytes[at]!);
  else if (name === 'JDS' && n >= 1) jamming(bytes[at]!, 2, out, r);
  else if (name === 'GPJ' && n >= 2) jamming(bytes[at + 1]!, 3, out, r);
}

function jamming(level: number, began: number, out: FrameResult, r: number): void {
  out.attr(A.Jamming, level);
  if (level === began) out.event[r] = JAMMING;
}

/** battery % 1, external mV 2, analogue mV 2 each, digital in 1 and out 1, motion state 1, antenna and satellites 1; returns the motion state, 0: none */
function readLines(bytes: Bytes, at: number, mask: number, out: FrameResult, r: number): number {
  let motion = 0;
  let p = at;
  for (const [bit, size] of LINES) {
    if (!has(mask, bit)) continue;
    switch (bit) {
      case 11:
        if (bytes[p]! <= 100) out.attr(A.BatteryPct, bytes[p]!);
        break;
      case 12:
        out.attr(A.ExternalMv, u16be(bytes, p));
        break;
      case 17:
        out.attr(A.Inputs, bytes[p]!);
        out.attr(A.Outputs, bytes[p + 1]!);
        break;
      case 18:
        motion = bytes[p]!;
        readState(motion, out);
        break;
      case 19:
        out.satellites[r] = bytes[p]! & 15;
        break;
      default:
        out.attr(A.Analog + bit - 14, u16be(bytes, p));
    }
    p += size;
  }
  return motion;
}

/** current mileage km 2 and tenths 1, total km 4 and tenths 1, current hour meter 3, total hours 4, minutes 1, seconds 1 */
function readMileages(bytes: Bytes, at: number, mask: number, out: FrameResult): void {
  let p = at + (has(mask, 20) ? 3 : 0);
  if (has(mask, 21)) {
    if (bytes[p + 4]! < 10) out.attr(A.OdometerKm, (u32be(bytes, p) * 10 + bytes[p + 4]!) / 10);
    p += 5;
  }
  p += has(mask, 22) ? 3 : 0;
  if (has(mask, 23) && bytes[p + 4]! < 60 && bytes[p + 5]! < 60)
    out.attr(A.EngineHoursS, (u32be(bytes, p) * 60 + bytes[p + 4]!) * 60 + bytes[p + 5]!);
}

/** What the name of a report, its id and type and its motion state say, as in the text that it stands for. */
function raise(report: Report, idAndType: number, motion: number, out: FrameResult, r: number): void {
  const id = idAndType >> 4;
  const type = idAndType & 15;
  if (idAndType >= 0) {
    if (report.special === Special.Geofence) out.attrText(A.Geofence, String(id));
    else if (report.special === Special.Input && id > 0 && type <= 1) out.attr(A.Input + id - 1, type);
    if (id > 0) out.attr(A.ReportId, id);
    out.attr(A.ReportType, type);
  }
  if (report.byValue === undefined) out.event[r] = report.event;
  else if (idAndType >= 0) out.event[r] = report.byValue[type] ?? (report.special === Special.Harsh ? unknownEvent(type) : 0);
  if (report.special === Special.Motion && isMoving(motion)) out.event[r] = MOVEMENT;
  if (saysIgnition(motion)) return;
  if (out.event[r] === IGNITION_ON) out.attr(A.Ignition, 1);
  else if (out.event[r] === IGNITION_OFF) out.attr(A.Ignition, 0);
}
