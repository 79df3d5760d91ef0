import { type Bytes, hexDigit, putAscii, putU8 } from '../../src/base/wire/index.ts';
import { type AckRequest, type FrameResult, Settled } from '../../src/codec/index.ts';

/**
 * Answers (protocol.md section 3). decode leaves in the tickets what an answer copies byte for byte:
 *
 *     ticketA   count number, four characters, + form × 2^32
 *     ticketB   of a heartbeat: the first six characters of the version; ticketC: the others
 */
const Form = { None: 0, Sack: 1, Heartbeat: 2 } as const;

const HIGH = 0x100000000;
/** `+SACK:GTHBD,` version of 12 `,` count `$` */
export const MAX_ANSWER_BYTES = 32;

/** Owes `+SACK:` count `$`; the count stands in bytes[at, at + 4). */
export function oweSack(bytes: Bytes, at: number, out: FrameResult): void {
  out.ticketA = Form.Sack * HIGH + characters(bytes, at, at + 4);
}

/** Owes `+SACK:GTHBD,` version `,` count `$`. */
export function oweHeartbeat(bytes: Bytes, at: number, versionAt: number, versionEnd: number, out: FrameResult): void {
  out.ticketA = Form.Heartbeat * HIGH + characters(bytes, at, at + 4);
  const n = Math.min(versionEnd - versionAt, 12);
  out.ticketB = characters(bytes, versionAt, versionAt + Math.min(n, 6));
  out.ticketC = n > 6 ? characters(bytes, versionAt + 6, versionAt + n) : 0;
}

/** The same of a binary frame, whose count is a number; the answer is text without a version. */
export function oweBinary(count: number, heartbeat: boolean, out: FrameResult): void {
  let value = 0;
  for (let shift = 12; shift >= 0; shift -= 4) value = value * 256 + '0123456789ABCDEF'.charCodeAt((count >> shift) & 15);
  out.ticketA = (heartbeat ? Form.Heartbeat : Form.Sack) * HIGH + value;
}

function characters(bytes: Bytes, from: number, to: number): number {
  let value = 0;
  for (let p = from; p < to; p++) value = value * 256 + bytes[p]!;
  return value;
}

/** Four hex digits at `at`? */
export function isCount(bytes: Bytes, at: number): boolean {
  for (let p = at; p < at + 4; p++) if (hexDigit(bytes[p]!) < 0) return false;
  return true;
}

/** It says that the message is stored, which must hold for every record of it. */
export function encodeAck(request: AckRequest, out: Bytes, at: number): number {
  const form = Math.floor(request.ticketA / HIGH);
  if (form === Form.None || request.settled !== Settled.Stored || request.accepted < request.rows) return 0;
  let p = putAscii(out, at, '+SACK:');
  if (form === Form.Heartbeat) {
    p = putAscii(out, p, 'GTHBD,');
    p = putCharacters(out, p, request.ticketB);
    p = putU8(out, putCharacters(out, p, request.ticketC), 0x2c);
  }
  p = putCharacters(out, p, request.ticketA % HIGH);
  return putU8(out, p, 0x24) - at;
}

/** As many characters as the number holds. */
function putCharacters(out: Bytes, at: number, value: number): number {
  let n = 0;
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) n++;
  for (let k = n - 1, rest = value; k >= 0; k--, rest = Math.floor(rest / 256)) out[at + k] = rest % 256;
  return at + n;
}
