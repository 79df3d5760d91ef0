import type { Bytes } from '../../src/base/wire/index.ts';
import { defineCodec, type Note } from '../../src/codec/index.ts';
import { encodeAck, MAX_ANSWER_BYTES } from './answer.ts';
import { ATTRIBUTES } from './attributes.ts';
import { COMMANDS, encodeCommand } from './command.ts';
import { decode, REASONS } from './decode.ts';
import { explain } from './explain.ts';
import { frame, LONGEST, recognise } from './frame.ts';
import { MESSAGES } from './messages.ts';
import { readReply } from './read-reply.ts';
import { adopt, describeMemo, type Jt808State, memoOf, OPTIONS, open, reopen } from './state.ts';

/** Frames are the same over both transports; a datagram may hold several (protocol.md section 4.4). */
const dialect = {
  open,
  reopen,
  memo: memoOf,
  adopt,
  describeMemo,
  frame,
  decode,
  encodeAck,
  encodeCommand,
  explain: (bytes: Bytes, start: number, end: number, _state: Jt808State, note: Note): void => explain(bytes, start, end, note),
};

export default defineCodec<Jt808State>({
  name: 'jt808',
  about: 'JT/T 808 of 2011, 2013 and 2019 in the dialects of Jimi, SeeWorld, AOVX, BSJ, Huabao and others',
  maxFrameBytes: LONGEST + 1,
  maxAnswerBytes: MAX_ANSWER_BYTES,
  replies: 'echoed',
  highestKey: 0xffff,
  options: OPTIONS,
  zoneOption: 'time_zone',
  attributes: ATTRIBUTES,
  attributePrefix: 'item_',
  commands: COMMANDS,
  replyMs: 30_000,
  readReply,
  layouts: [],
  messages: MESSAGES,
  reasons: REASONS,
  recognise,
  tcp: dialect,
  udp: dialect,
});
