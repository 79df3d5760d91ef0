import { type DatagramDialect, MOST_OF_A_MESSAGE, readTextMessage, SMS } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import { encodeCommand } from './command.ts';
import { decode } from './decode.ts';
import { TEXT_MESSAGE } from './messages.ts';
import { memoOf, open, type QueclinkState } from './state.ts';

const PLUS = 0x2b;

/** Text messages (protocol.md section 11.7): reports as on a connection, and links for people. */
export const sms: DatagramDialect<QueclinkState> = {
  open,
  memo: memoOf,
  decode(bytes, start, end, state, out) {
    if (bytes[start] !== PLUS) {
      readTextMessage(bytes, { start, end }, out, { name: TEXT_MESSAGE, reply: A.Reply, transport: A.Transport });
      return;
    }
    decode(bytes, start, end, state, out);
    if (out.rows > 0) out.attrText(A.Transport, SMS);
  },
  encodeAck: () => 0,
  encodeCommand(command, key, state, out, at) {
    const length = encodeCommand(command, key, state, out, at);
    return length > MOST_OF_A_MESSAGE ? 0 : length;
  },
};
