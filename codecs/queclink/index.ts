import type { Bytes } from '../../src/base/wire/index.ts';
import { type DatagramDialect, defineCodec, type Note, type StreamDialect } from '../../src/codec/index.ts';
import { encodeAck, MAX_ANSWER_BYTES } from './answer.ts';
import { ATTRIBUTES } from './attributes.ts';
import { COMMANDS, encodeCommand } from './command.ts';
import { decode } from './decode.ts';
import { explain } from './explain.ts';
import { frame, frameDatagram, LONGEST, recognise, salvage } from './frame.ts';
import { MESSAGES } from './messages.ts';
import { readReply } from './read-reply.ts';
import { REASONS } from './reason.ts';
import { sms } from './sms.ts';
import { adopt, describeMemo, memoOf, OPTIONS, open, type QueclinkState } from './state.ts';

/**
 * Queclink @Track: text, and two binary formats, which may be mixed on one connection.
 *
 * 1. Where a frame ends is decided from its own bytes; only a text without an end waits for silence.
 * 2. A position is found by its own form; what stands around it is read by the report's table, and left out where it does not fit.
 * 3. A heartbeat is always answered, other frames only where the unit waits for it: it repeats what is not answered, or its settings say so.
 * 4. A stored report is the same record as the live one: its bytes from the name on.
 * 5. The time of a record is that of its fix. A send time is used only where the device's zone is known.
 */
const shared = {
  open,
  memo: memoOf,
  adopt,
  describeMemo,
  decode,
  encodeAck: (request: Parameters<typeof encodeAck>[0], _state: QueclinkState, out: Bytes, at: number): number =>
    encodeAck(request, out, at),
  guessesAcks: ({ sack }: QueclinkState): boolean => sack === 'auto',
  encodeCommand,
  explain: (bytes: Bytes, start: number, end: number, _state: QueclinkState, note: Note): void => explain(bytes, start, end, note),
};
const tcp: StreamDialect<QueclinkState> = { ...shared, frame, salvage };
const udp: DatagramDialect<QueclinkState> = { ...shared, frame: frameDatagram };

export default defineCodec<QueclinkState>({
  name: 'queclink',
  about: 'Queclink @Track: GL200, GL300, GL300W (AM-GL300W), GL500, GV55, GV200, GV300, GV500, GV600, GMT100, GB100 and others',
  maxFrameBytes: LONGEST + 1,
  maxAnswerBytes: MAX_ANSWER_BYTES,
  replies: 'echoed',
  highestKey: 0xffff,
  options: OPTIONS,
  attributes: ATTRIBUTES,
  commands: COMMANDS,
  replyMs: 60_000,
  readReply,
  layouts: [],
  messages: MESSAGES,
  reasons: REASONS,
  recognise,
  tcp,
  udp,
  sms,
});
