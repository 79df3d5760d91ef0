import type { Bytes } from '../../src/base/wire/index.ts';
import { type DatagramDialect, defineCodec, type FrameResult, type Note, type StreamDialect } from '../../src/codec/index.ts';
import { encodeAck, MAX_ANSWER } from './answer.ts';
import { ATTRIBUTES } from './attributes.ts';
import { COMMANDS, encodeCommand } from './command.ts';
import { BAD_HEADER, decodeBinary, decodeX, SHORT, X_OVER_UDP } from './decode-binary.ts';
import { BAD_ID, decodeText, NOT_TEXT } from './decode-text.ts';
import { explain } from './explain.ts';
import { frameDatagram, frameStream, MAX_TEXT, recognise, salvage } from './frame.ts';
import { LAYOUTS } from './layouts.ts';
import { MESSAGES } from './messages.ts';
import { readReply } from './read-reply.ts';
import { sms } from './sms.ts';
import { ANSWER_PROFILES, adopt, describeMemo, H02State, memoOf, reopen } from './state.ts';
import { STATUS_FAMILIES } from './status.ts';

/**
 * H02: `*HQ,…#` text, `$` and `X` binary, mixed on one connection.
 *
 * 1. Text ends at `#`; the length of a `$` frame is decided from content (frame.ts), never from how much has arrived.
 * 2. A cleared status bit raises its event once, when it turns; the latch that knows this travels in the memo.
 * 3. A frame without an identity of its own belongs to the connection's device and is never answered.
 * 4. What a frame is owed as an answer is settled by decode; an answer that says "stored" covers every record of it.
 * 5. No place, no time: a record keeps what the frame does say (`no_time`, or a status instead of a fix).
 */
const shared = {
  open: (options: Readonly<Record<string, string | number | boolean>>, memo: number): H02State => new H02State(options, memo),
  reopen,
  memo: memoOf,
  adopt,
  describeMemo,
  encodeAck: (request: Parameters<typeof encodeAck>[0], _state: H02State, out: Bytes, at: number): number => encodeAck(request, out, at),
  // Reports are answered where a unit repeats itself; one that does not wait takes any later answer for proof.
  guessesAcks: (): boolean => true,
  encodeCommand,
  explain: (bytes: Bytes, start: number, end: number, _state: H02State, note: Note): void => explain(bytes, start, end, note),
};

const tcp: StreamDialect<H02State> = {
  ...shared,
  frame: frameStream,
  salvage,
  decode(bytes, start, end, state, out) {
    if (bytes[start] === 0x58) decodeX(bytes, start, end, state, out);
    else decode(bytes, start, end, state, out);
  },
};

const udp: DatagramDialect<H02State> = {
  ...shared,
  frame: frameDatagram,
  decode(bytes, start, end, state, out) {
    if (bytes[start] === 0x58) out.malformed(X_OVER_UDP);
    else decode(bytes, start, end, state, out);
  },
};

function decode(bytes: Bytes, start: number, end: number, state: H02State, out: FrameResult): void {
  if (bytes[start] === 0x24) decodeBinary(bytes, start, end, state, out);
  else decodeText(bytes, start, end, state, out);
}

export default defineCodec<H02State>({
  name: 'h02',
  about: 'SinoTrack ST-90x, TK103/TK905 clones, TKSTAR and LKGPS relays, Cantrack, HuaSunTek',
  maxFrameBytes: MAX_TEXT,
  maxAnswerBytes: MAX_ANSWER,
  replies: 'echoed',
  options: {
    answers: {
      type: 'string',
      fallback: 'auto',
      oneOf: ANSWER_PROFILES,
      decodes: false,
      about:
        'which frames are answered: none, v1 (the defaults), r12 (ST-90xL and sisters), v4-all, or auto (v1 until the unit repeats itself, then r12)',
    },
    binaryLength: { type: 'number', fallback: 0, min: 0, max: 255, about: 'bytes of a `$` frame; 0 decides from content' },
    timeOffset: { type: 'number', fallback: 0, min: -840, max: 840, about: 'minutes that the device clock is ahead of UTC' },
    status: { type: 'string', fallback: 'sinotrack', oneOf: STATUS_FAMILIES, about: 'whose reading of the disputed status bits applies' },
    model: {
      type: 'string',
      fallback: 'sinotrack',
      oneOf: ['sinotrack', 'huasuntek', 'cantrack'],
      decodes: false,
      about: 'whose commands are sent',
    },
    interval: {
      type: 'string',
      fallback: 'auto',
      oneOf: ['auto', 's17', 's71', 'd1'],
      decodes: false,
      about: 'command that sets the reporting interval; auto takes S17, below its 30 s S71',
    },
    sms_password: { type: 'string', fallback: '0000', decodes: false, secret: true, about: 'password of commands by text message' },
    device: { type: 'string', fallback: '', decodes: false, about: 'identity for commands before the device has spoken' },
    maker: { type: 'string', fallback: 'HQ', decodes: false, about: 'maker letters for commands before the device has spoken' },
  },
  zoneOption: 'timeOffset',
  attributes: ATTRIBUTES,
  commands: COMMANDS,
  replyMs: 60_000,
  readReply,
  layouts: LAYOUTS,
  messages: MESSAGES,
  reasons: [SHORT, BAD_HEADER, X_OVER_UDP, BAD_ID, NOT_TEXT],
  recognise,
  tcp,
  udp,
  sms,
});
