import { type DatagramDialect, readTextMessage, SMS } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
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
};
