import { type DatagramDialect, readTextMessage } from '../../src/codec/index.ts';
import { Attr } from './attributes.ts';
import { encodeText } from './command.ts';
import { MESSAGES, Message } from './messages.ts';
import { readLines } from './reply.ts';
import { H02State } from './state.ts';

/** The text that answers RCONF has lines `KEY:value`, one of them the identity. */
const IS_CONFIGURATION = /\nID: ?\d/;

/** Text messages (protocol.md section 10.1). */
export const sms: DatagramDialect<H02State> = {
  open: (options, memo) => new H02State(options, memo),
  decode(bytes, start, end, state, out) {
    const name = MESSAGES[Message.SMS] ?? '';
    const { text, row } = readTextMessage(bytes, { start, end }, out, {
      name,
      reply: Attr.Reply,
      transport: Attr.Transport,
      localMs: state.timeOffsetMs,
    });
    if (IS_CONFIGURATION.test(text)) readLines(bytes, start, end, row, out);
  },
  encodeAck: () => 0,
  encodeCommand: encodeText,
};
