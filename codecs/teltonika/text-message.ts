import { type DatagramDialect, readTextMessage } from '../../src/codec/index.ts';
import { own } from './attributes.ts';
import { encodeText } from './command.ts';
import { open, type State, TEXT_MESSAGE } from './frame.ts';

const REPLY = own('reply');
const TRANSPORT = own('transport');

/** Text messages (protocol.md section 10.1): the words of getgps, links, and what events are set to write. */
export const sms: DatagramDialect<State> = {
  open,
  decode(bytes, start, end, _state, out) {
    readTextMessage(bytes, { start, end }, out, { name: TEXT_MESSAGE, reply: REPLY, transport: TRANSPORT });
  },
  encodeAck: () => 0,
  encodeCommand: encodeText,
};
