import { type Bytes, CIVIL, civilFromEpochMs, putAscii, putDecimal, putU16be } from '../../src/base/wire/index.ts';
import { type AckRequest, type FrameResult, Settled } from '../../src/codec/index.ts';
import { DUTIES, Duty, MESSAGES, Message } from './messages.ts';
import { Answers, type H02State } from './state.ts';

/**
 * Answers (protocol.md section 8). What is owed is settled by decode and left in the tickets, so that an answer
 * never depends on frames that came later:
 *
 *     ticketA  form | message << 4
 *     ticketB  identity as a number
 *     ticketC  maker letters | number of digits << 16
 */
const Form = { Silence: 0, Echo: 1, Confirm: 2, R12: 3 } as const;
type Form = (typeof Form)[keyof typeof Form];

/** Longest: `*HQ,` 15 digits `,V4,ICCID,` 14 digits `#`. */
export const MAX_ANSWER = 64;

/** Leaves the tickets for the answer to `message`. A frame without an identity of its own gets none. */
export function oweAnswer(message: Message, state: H02State, out: FrameResult): void {
  const form = formOf(message, state);
  if (form === Form.Silence) return;
  out.ticketA = form | (message << 4);
  out.ticketB = state.idNumber;
  out.ticketC = state.maker | (state.idLength << 16);
}

/** Section 8.2 and the profiles of 8.3. */
function formOf(message: Message, state: H02State): Form {
  const profile = state.answers === Answers.Auto ? (state.wantsR12 ? Answers.R12 : Answers.V1) : state.answers;
  if (profile === Answers.None) return Form.Silence;
  switch (DUTIES[message] ?? Duty.Never) {
    case Duty.Echo:
      return Form.Echo;
    case Duty.Confirm:
      return Form.Confirm;
    case Duty.Position:
      return profile === Answers.R12 ? Form.R12 : profile === Answers.V4All ? Form.Confirm : Form.Silence;
    case Duty.State:
      return profile === Answers.V4All ? Form.Confirm : Form.Silence;
    case Duty.Never:
      return Form.Silence;
  }
}

/** `*` maker `,` id `,` … `#` with no line break (protocol.md section 8.1). */
export function encodeAck(request: AckRequest, out: Bytes, at: number): number {
  const form = request.ticketA & 15;
  if (form === Form.Silence || request.settled !== Settled.Stored) return 0;
  // An echo says "I hear you"; the other forms say "stored", which must hold for every record of the frame.
  if (form !== Form.Echo && request.accepted < request.rows) return 0;
  const message = request.ticketA >> 4;
  out[at] = 0x2a;
  let p = putU16be(out, at + 1, request.ticketC & 0xffff);
  out[p] = 0x2c;
  p = putDecimal(out, p + 1, request.ticketB, request.ticketC >> 16);
  out[p++] = 0x2c;
  if (form === Form.Echo) p = putAscii(out, p, MESSAGES[message] ?? '');
  else {
    civilFromEpochMs(request.now);
    if (form === Form.R12) p = putAscii(out, p, 'R12,');
    else {
      // A server that confirms every position counts a binary one as V5.
      p = putAscii(out, p, 'V4,');
      p = putAscii(out, p, message === Message.Binary ? 'V5' : (MESSAGES[message] ?? ''));
      out[p++] = 0x2c;
      p = putDecimal(out, p, CIVIL.year, 4);
      p = putDecimal(out, p, CIVIL.month, 2);
      p = putDecimal(out, p, CIVIL.day, 2);
    }
    p = putDecimal(out, p, CIVIL.hour, 2);
    p = putDecimal(out, p, CIVIL.minute, 2);
    p = putDecimal(out, p, CIVIL.second, 2);
  }
  out[p++] = 0x23;
  return p - at;
}
