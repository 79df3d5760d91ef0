import { ascii, type Bytes, imeiOf, putU8, putU32be, u16be, u32be } from '../../src/base/wire/index.ts';
import { type AckRequest, FrameKind, type FrameResult, Settled, type StreamDialect } from '../../src/codec/index.ts';
import { encodeCommand } from './command.ts';
import { explainTcp as explain } from './explain.ts';
import { checksumFits, ENVELOPE, measure, memoOf, open, Reason, readData, reopen, type State } from './frame.ts';

/**
 * TCP (protocol.md sections 1 and 2).
 *
 * ```
 * ping    FF                                              between frames, never answered
 * login   length u16 (1…20) · IMEI ASCII                  → 01 or 00
 * data    00000000 · L u32 · data field (L) · CRC u32     → u32 records accepted, nothing for messages
 * ```
 */
export const MAX_FRAME = 10_240 + ENVELOPE;
const MAX_IMEI = 20;
const PING = 0xff;
/** A length beyond any frame: what follows is not this protocol, and nothing tells where it would resume (protocol.md section 1.4). */
const LOST = 0x7fffffff;

function frame(bytes: Bytes, start: number, end: number, state: State): number {
  if (bytes[start] === PING) return 1;
  if (end - start < 2) return bytes[start] === 0 ? 0 : LOST;
  const w = u16be(bytes, start);
  if (w !== 0) return w > MAX_IMEI ? LOST : 2 + w;
  if (end - start < 4) return 0;
  if (u16be(bytes, start + 2) !== 0) return LOST;
  if (end - start < 8) return 0;
  const length = u32be(bytes, start + 4);
  if (length >= 3) return ENVELOPE + length;
  if (!state.counts) return LOST;
  const n = measure(bytes, start, end, 4);
  return n < 0 ? LOST : n;
}

/** A length that is too long leaves a whole frame waiting: its records tell where it ends. */
function salvage(bytes: Bytes, start: number, end: number, state: State): number {
  if (!state.counts || end - start < 8 || u32be(bytes, start) !== 0) return 0;
  return Math.max(0, measure(bytes, start, end, 0));
}

function decode(bytes: Bytes, start: number, end: number, state: State, out: FrameResult): void {
  if (end - start === 1 && bytes[start] === PING) {
    out.kind = FrameKind.Heartbeat;
    out.name = 'ping';
    return;
  }
  if (end - start < 3) {
    out.malformed(Reason.Short);
    return;
  }
  if (u16be(bytes, start) !== 0) {
    readImei(bytes, start, end, state, out);
    return;
  }
  if (end - start < ENVELOPE) {
    out.malformed(Reason.Short);
    return;
  }
  const length = u32be(bytes, start + 4);
  const exact = end - start === ENVELOPE + length;
  if (!exact) {
    if (!state.counts) {
      out.malformed(Reason.Length);
      return;
    }
    out.damaged = Reason.Length;
  } else if (!checksumFits(bytes, start, length)) {
    if (!state.counts) {
      out.malformed(Reason.Checksum);
      return;
    }
    out.damaged = Reason.Checksum;
  }
  readData(bytes, start + 8, exact ? end - 4 : end, exact, state, out);
}

function readImei(bytes: Bytes, start: number, end: number, state: State, out: FrameResult): void {
  out.name = 'imei';
  if (end - start !== 2 + u16be(bytes, start) || !isDigits(bytes, start + 2, end)) {
    out.malformed(Reason.Imei);
    return;
  }
  out.kind = FrameKind.Login;
  out.deviceId = imeiOf(ascii(bytes, start + 2, end));
  state.imei = out.deviceId;
}

export function isDigits(bytes: Bytes, at: number, end: number): boolean {
  for (let p = at; p < end; p++) if (bytes[p]! < 48 || bytes[p]! > 57) return false;
  return end > at;
}

function encodeAck(request: AckRequest, _state: State, out: Bytes, at: number): number {
  if (request.settled === Settled.Failed) return 0;
  const refused = request.settled === Settled.Refused;
  if (request.kind === FrameKind.Login) return putU8(out, at, refused ? 0 : 1) - at;
  const promises = request.kind === FrameKind.Records || request.kind === FrameKind.Ignored;
  if (!promises || request.ticketA < 0) return 0;
  return putU32be(out, at, refused ? 0 : answered(request)) - at;
}

/** All that the frame named once every row is settled, else the leading rows that are. */
export function answered(request: AckRequest): number {
  return request.accepted === request.rows ? request.ticketA : request.accepted;
}

export const tcp: StreamDialect<State> = { open, reopen, memo: memoOf, frame, salvage, decode, encodeAck, encodeCommand, explain };
