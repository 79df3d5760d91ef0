import { ascii, type Bytes, decimal } from '../../src/base/wire/index.ts';
import { eventIndex, FrameKind, type FrameResult, RowFlag, unknownEvent } from '../../src/codec/index.ts';
import { isCount, oweHeartbeat, oweSack } from './answer.ts';
import { A } from './attributes.ts';
import { decodeBinary } from './binary.ts';
import { obdBlock } from './can.ts';
import { extended } from './extended.ts';
import {
  count,
  dropFields,
  fieldFrom,
  fieldTo,
  hexadecimal,
  isDigits,
  isHex,
  splitFields,
  textOf,
  timeAt,
  whole,
  width,
} from './fields.ts';
import { Format, formatAt } from './frame.ts';
import { HEAD, readHead } from './head.ts';
import { information, query } from './information.ts';
import { accessoryReport, canReport, cellReport, dataReport, outputReport, transparent, wifiReport } from './message.ts';
import { BLOCK, block, findPlace, isPlace, LONGITUDE, trailer } from './position.ts';
import { decodePro } from './pro.ts';
import { Reason } from './reason.ts';
import { acknowledgement, configuration } from './reply.ts';
import { BY_NAME, Head, Kind, type Report, Special, UNKNOWN_REPORT } from './report.ts';
import type { QueclinkState } from './state.ts';
import { tail, vehicle } from './tail.ts';

/** One frame of any of the formats. */
export function decode(bytes: Bytes, start: number, end: number, state: QueclinkState, out: FrameResult): void {
  switch (formatAt(bytes, start, end)) {
    case Format.Text:
      decodeText(bytes, start, end, state, out);
      break;
    case Format.Binary:
      decodeBinary(bytes, start, end, state, out);
      break;
    case Format.Pro:
    case Format.ProHeartbeat:
      decodePro(bytes, start, end, state, out);
      break;
    default:
      out.malformed(Reason.NoFrame);
  }
}

const DOLLAR = 0x24;
const BUFFERED = 0x42;
const LETTER_A = 0x41;
const LETTER_N = 0x4e;

/**
 * What the text says of itself:
 *
 *     start            at                   last                      end
 *     +RESP:           GTFRI,ver,IMEI,name  … send time, count        $ or NUL or line end
 *                      └──────── fields, `count` of them ────┘
 */
function decodeText(bytes: Bytes, start: number, end: number, state: QueclinkState, out: FrameResult): void {
  const last = fieldsEnd(bytes, start, end);
  let at = start + 4;
  while (at < last && bytes[at] !== 0x3a) at++;
  at += 3;
  splitFields(bytes, at - 2, last);
  const name = triple3(bytes, at);
  const report = BY_NAME.get(name) ?? UNKNOWN_REPORT;
  out.name = report.name;
  if (count < 4) {
    out.malformed(Reason.Short);
    return;
  }
  if (isDigits(bytes, 1, 15) && identify(bytes, 1, state)) {
    out.deviceId = state.id;
    oldDialect(bytes, report, out);
    return;
  }
  if (!identify(bytes, 2, state)) {
    out.malformed(Reason.BadId);
    return;
  }
  out.deviceId = state.id;
  state.readVersion(bytes, fieldFrom(1), fieldTo(1));
  const counted = count > 4 && width(count - 1) === 4 && isCount(bytes, fieldFrom(count - 1));
  const first = bytes[start + 1];
  if (report.kind === Kind.Heartbeat) {
    out.kind = FrameKind.Heartbeat;
    if (counted) oweHeartbeat(bytes, fieldFrom(count - 1), fieldFrom(1), fieldTo(1), out);
    return;
  }
  if (counted) {
    if (first !== LETTER_A && first !== LETTER_N) state.watchRepeats(name, bytes, start, last);
    if (state.answers) oweSack(bytes, fieldFrom(count - 1), out);
  }
  if (first === LETTER_A || first === LETTER_N) {
    out.name = first === LETTER_A ? 'ACK' : 'NACK';
    acknowledgement(bytes, first === LETTER_N, out);
    return;
  }
  const sent = counted ? timeAt(bytes, count - 2) : Number.NaN;
  const behind = counted ? count - 2 : truncatedEnd(bytes);
  dropFields(behind);
  read(report, bytes, behind, sent, state, out);
  if (out.rows === 0) return;
  finishRows(at, last, first === BUFFERED, state.utc(sent), out);
  finishReport(report, bytes, at, out);
}

/** Offset behind the last field: without `$`, NUL and line end. */
function fieldsEnd(bytes: Bytes, start: number, end: number): number {
  let last = end;
  while (last > start && (bytes[last - 1]! <= 0x20 || bytes[last - 1] === DOLLAR)) last--;
  return last;
}

function triple3(bytes: Bytes, at: number): number {
  return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
}

/** IMEI of 15 digits or MEID of 14 hex digits in field k. */
function identify(bytes: Bytes, k: number, state: QueclinkState): boolean {
  const n = width(k);
  const from = fieldFrom(k);
  const to = fieldTo(k);
  if (n !== 15 && n !== 14) return false;
  if (state.knows(bytes, from, to)) return true;
  if (n === 15 ? decimal(bytes, from, to) < 0 : !isHex(bytes, k, 14)) return false;
  state.keep(bytes, from, to, ascii(bytes, from, to));
  return true;
}

/** A text that was cut off has no count; its last field may be the half of a time. */
function truncatedEnd(bytes: Bytes): number {
  return width(count - 1) >= 8 && whole(bytes, count - 1) >= 0 ? count - 1 : count;
}

/** Fields of the report: from behind the name up to `end`. */
function read(report: Report, bytes: Bytes, end: number, sent: number, state: QueclinkState, out: FrameResult): void {
  const base = state.model.vin || looksLikeVin(bytes, 3, state) ? 5 : 4;
  switch (report.kind) {
    case Kind.Position:
    case Kind.Extended:
      position(report, bytes, base, end, state, out);
      break;
    case Kind.Can:
      canReport(bytes, base, end, state, out);
      break;
    case Kind.Obd:
      obd(bytes, base, end, out);
      break;
    case Kind.Information:
      information(bytes, base, end, state, out);
      break;
    case Kind.Cells:
      cellReport(bytes, 4, end, true, out);
      break;
    case Kind.CellsShort:
      cellReport(bytes, 12, end, false, out);
      break;
    case Kind.WiFi:
      wifiReport(bytes, end, out);
      break;
    case Kind.Data:
      dataReport(bytes, end, state, out);
      break;
    case Kind.Transparent:
      transparent(bytes, end, state, out);
      break;
    case Kind.Accessory:
      accessoryReport(report, bytes, base, end, state, out);
      break;
    case Kind.Output:
      outputReport(bytes, base, end, state, out);
      break;
    case Kind.Updated:
      out.row();
      if (end > 4 && whole(bytes, 4) >= 0) out.attr(A.UpcCommand, whole(bytes, 4));
      if (end > 5 && whole(bytes, 5) >= 0) out.attr(A.UpcResult, whole(bytes, 5));
      break;
    case Kind.Query:
      query(report, bytes, end, out);
      break;
    case Kind.Configuration:
      configuration(report, bytes, end, state, out);
      break;
    default: {
      out.row();
      const reason = end > 4 ? whole(bytes, 4) : -1;
      if (reason >= 0) out.attr(A.SendReason, reason);
    }
  }
  if (base === 5 && out.rows > 0 && width(3) === 17) out.attrText(A.Vin, ascii(bytes, fieldFrom(3), fieldTo(3)));
  if (!Number.isNaN(sent) && out.rows > 0 && out.valid[out.rows - 1] === 1 && report.special === Special.Periodic)
    state.learnZone(sent, out.time[out.rows - 1]!);
}

/** 17 characters without I, O and Q are a VIN on models that are not known. */
function looksLikeVin(bytes: Bytes, k: number, state: QueclinkState): boolean {
  if (width(k) !== 17 || state.model.family !== '') return false;
  for (let p = fieldFrom(k); p < fieldTo(k); p++) {
    const c = bytes[p]!;
    const isFine = (c >= 0x30 && c <= 0x39) || (c >= 0x41 && c <= 0x5a && c !== 0x49 && c !== 0x4f && c !== 0x51);
    if (!isFine) return false;
  }
  return true;
}

/** The head of the report, its position blocks, and the tail, which belongs to the last of them. */
function position(report: Report, bytes: Bytes, base: number, end: number, state: QueclinkState, out: FrameResult): void {
  const usual = base + report.head.length + LONGITUDE;
  const place = usual + 2 < end && isPlace(bytes, usual) ? usual : findPlace(bytes, base + LONGITUDE, end);
  let b = place < 0 ? base + report.head.length : place - LONGITUDE;
  const head = b;
  const number = report.head.at(-1) === Head.Number ? whole(bytes, b - 1) : 1;
  let r = out.row();
  if (place < 0 && report === UNKNOWN_REPORT) return;
  b = trailer(bytes, block(bytes, b, place >= 0, out, r), state, out, r);
  // Of a unit without a fix the blocks that were announced are there, and empty.
  for (let n = 1; ; n++) {
    if (b + LONGITUDE + 2 < end && isPlace(bytes, b + LONGITUDE)) {
      r = out.row();
      out.from[r] = fieldFrom(b);
      b = trailer(bytes, block(bytes, b, true, out, r), state, out, r);
    } else if (n < number && b + BLOCK <= end && width(b + LONGITUDE) + width(b + LONGITUDE + 1) === 0) b += BLOCK;
    else break;
  }
  readHead(report, bytes, base, head, out, r);
  if (report.kind === Kind.Extended) {
    const s = state.model.family === 'gl5' ? -1 : vehicle(bytes, b, end, state, out);
    if (s < 0) tail(bytes, b, end, state, out);
    else extended(bytes, Math.max(0, HEAD.mask), s, end, state, out);
  } else tail(bytes, b, end, state, out);
}

/** GTOBD: report type, mask, a field a bit; then accuracy to UTC, cells, mileage (protocol.md section 6.6). */
function obd(bytes: Bytes, base: number, end: number, out: FrameResult): void {
  const r = out.row();
  const k = isHex(bytes, base + 1, 6) ? base + 1 : isHex(bytes, base, 6) ? base : base + 1;
  const mask = Math.max(0, hexadecimal(bytes, k));
  const place = findPlace(bytes, k + 1, end);
  const expected = k + 1 + bitsIn(mask & 0xfffff);
  // A model whose bits stand for something else: its place is known by its form, its values are not.
  if (place >= 0 && place - LONGITUDE !== expected) {
    block(bytes, place - LONGITUDE, true, out, r);
    return;
  }
  let p = obdBlock(bytes, k, end, out);
  if ((mask & 0x100000) !== 0) {
    const next = block(bytes, p, isPlace(bytes, p + LONGITUDE), out, r);
    p = (mask & 0x200000) !== 0 ? next + 1 : p + 7;
  } else if ((mask & 0x200000) !== 0) p += 5;
  if ((mask & 0x400000) !== 0 && p < end) tailMileage(bytes, p, out);
}

function bitsIn(mask: number): number {
  let n = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) n++;
  return n;
}

function tailMileage(bytes: Bytes, k: number, out: FrameResult): void {
  const km = width(k) > 0 ? Number(textOf(bytes, k, k + 1)) : Number.NaN;
  if (km >= 0) out.attr(A.OdometerKm, km);
}

const MOVEMENT = eventIndex('movement');
const IGNITION_ON = eventIndex('ignition_on');
const IGNITION_OFF = eventIndex('ignition_off');

/** What holds for the rows of every report: flags, identity of the records, the send time where no position gave one. */
function finishRows(at: number, last: number, buffered: boolean, sentMs: number, out: FrameResult): void {
  let located = false;
  for (let r = 0; r < out.rows; r++) {
    // A stored report is the same record as the live one.
    if (r === 0) out.from[r] = at - 2;
    out.to[r] = last;
    if (buffered) out.flags[r] = RowFlag.Buffered;
    if (!Number.isNaN(out.latitude[r]!)) located = true;
    else if (Number.isNaN(out.time[r]!)) out.time[r] = sentMs;
  }
  if (out.kind === FrameKind.Ignored) out.kind = located ? FrameKind.Records : FrameKind.Status;
}

/** The event of a report, on its last row, and what its name alone says. */
function finishReport(report: Report, bytes: Bytes, at: number, out: FrameResult): void {
  const r = out.rows - 1;
  if (report === UNKNOWN_REPORT) out.attrText(A.Report, `GT${String.fromCharCode(bytes[at]!, bytes[at + 1]!, bytes[at + 2]!)}`);
  if (report.byValue === undefined) out.event[r] = report.event;
  else if (HEAD.value >= 0) out.event[r] = report.byValue[HEAD.value] ?? (report.special === Special.Harsh ? unknownEvent(HEAD.value) : 0);
  if (report.special === Special.Motion && HEAD.moves) out.event[r] = MOVEMENT;
  if (out.event[r] === IGNITION_ON) out.attr(A.Ignition, 1);
  else if (out.event[r] === IGNITION_OFF) out.attr(A.Ignition, 0);
  if (report.special === Special.Charging) out.attr(A.Charging, 1);
  else if (report.special === Special.Charged) out.attr(A.Charging, 0);
}

/** GT300, GL100: the identity stands where others have the version, there is no name, and a version ends the text. */
function oldDialect(bytes: Bytes, report: Report, out: FrameResult): void {
  out.row();
  out.kind = FrameKind.Status;
  if (report.kind !== Kind.Information) return;
  const card = textOf(bytes, 2, 3);
  if (/^\d{18,20}[0-9a-fA-F]?$/.test(card)) out.attrText(A.Iccid, card.replace(/[fF]+$/, ''));
  const quality = whole(bytes, 3);
  if (quality >= 0 && quality <= 31) out.attr(A.GsmCsq, quality);
}
