import type { Bytes } from '../../src/base/wire/index.ts';
import { defineCodec } from '../../src/codec/index.ts';
import { encodeAck, MAX_ANSWER_BYTES } from './answer.ts';
import { ATTRIBUTES } from './attributes.ts';
import { COMMANDS, encodeCommand } from './command.ts';
import { decode, REASONS } from './decode.ts';
import { explain } from './explain.ts';
import { frame, MAX_FRAME_BYTES, salvage } from './frame.ts';
import { LAYOUTS } from './layouts.ts';
import { MESSAGES } from './messages.ts';
import { readReply } from './read-reply.ts';
import { sms } from './sms.ts';
import { adopt, describeMemo, type Gt06State, memoOf, OPTIONS, open } from './state.ts';

/** Frames are the same over both transports; a datagram may hold several (protocol.md section 13). */
const dialect = {
  open,
  memo: memoOf,
  adopt,
  describeMemo,
  frame,
  decode,
  encodeAck,
  guessesAcks: ({ acknowledges, fixedAcknowledge }: Gt06State): boolean => acknowledges && !fixedAcknowledge,
  encodeCommand,
  explain,
};

export default defineCodec<Gt06State>({
  name: 'gt06',
  about: 'GT06, Concox, Jimi and their many relatives, with the Topin dialect',
  maxFrameBytes: MAX_FRAME_BYTES,
  maxAnswerBytes: MAX_ANSWER_BYTES,
  replies: 'echoed',
  options: OPTIONS,
  zoneOption: 'time_zone',
  attributes: ATTRIBUTES,
  attributePrefix: 'module_',
  commands: COMMANDS,
  replyMs: 30_000,
  readReply,
  layouts: LAYOUTS,
  messages: MESSAGES,
  reasons: REASONS,
  recognise,
  tcp: { ...dialect, salvage },
  udp: dialect,
  sms,
});

/** Every frame begins with one of the two pairs. */
function recognise(bytes: Bytes, start: number, end: number): boolean | undefined {
  if (end - start < 1) return undefined;
  const first = bytes[start]!;
  if (first !== 0x78 && first !== 0x79) return false;
  return end - start < 2 ? undefined : bytes[start + 1]! === first;
}
