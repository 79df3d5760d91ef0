import { ascii, type Bytes, imeiOf, putU8, putU16be, u16be } from '../../src/base/wire/index.ts';
import { type AckRequest, type DatagramDialect, FrameKind, type FrameResult, Settled } from '../../src/codec/index.ts';
import { explainUdp as explain } from './explain.ts';
import { memoOf, open, Reason, readData, type State } from './frame.ts';
import { answered, isDigits } from './tcp.ts';

/**
 * UDP channel (protocol.md section 9).
 *
 * ```
 * datagram   length u16 (of what follows) · packet id u16 · type u8 · AVL packet id u8 · IMEI length u16 · IMEI ASCII · data field
 * answer     0005 · packet id u16 · 01 · AVL packet id u8 · records accepted u8
 * type 0     wants a channel acknowledgement too: 0003 · packet id u16 · 02
 * ```
 * One datagram may hold several of them.
 */
const HEAD = 8;
const MAX_IMEI = 20;

function frame(bytes: Bytes, start: number, end: number): number {
  return end - start < 2 ? 0 : 2 + u16be(bytes, start);
}

function decode(bytes: Bytes, start: number, end: number, state: State, out: FrameResult): void {
  if (end - start < HEAD || 2 + u16be(bytes, start) !== end - start) {
    out.malformed(Reason.Length);
    return;
  }
  const digits = u16be(bytes, start + 6);
  const data = start + HEAD + digits;
  if (digits > MAX_IMEI || data > end || !isDigits(bytes, start + HEAD, data)) {
    out.malformed(Reason.Imei);
    return;
  }
  readData(bytes, data, end, true, state, out);
  if (out.kind === FrameKind.Malformed) return;
  out.deviceId = imeiOf(ascii(bytes, start + HEAD, data));
  out.ticketB = u16be(bytes, start + 2);
  out.ticketC = u16be(bytes, start + 4);
}

function encodeAck(request: AckRequest, _state: State, out: Bytes, at: number): number {
  if (request.settled !== Settled.Stored) return 0;
  const count = request.ticketA < 0 ? 1 : answered(request);
  let p = putU16be(out, at, 5);
  p = putU16be(out, p, request.ticketB);
  p = putU8(out, p, 1);
  p = putU8(out, p, request.ticketC & 0xff);
  p = putU8(out, p, count);
  if (request.ticketC >> 8 !== 0) return p - at;
  p = putU16be(out, p, 3);
  p = putU16be(out, p, request.ticketB);
  return putU8(out, p, 2) - at;
}

export const udp: DatagramDialect<State> = { open, memo: memoOf, frame, decode, encodeAck, explain };
