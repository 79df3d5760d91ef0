import { type DatagramDialect, readTextMessage } from '../../src/codec/index.ts';
import { A } from './attributes.ts';
import { encodeTextMessage } from './command.ts';
import { TEXT_MESSAGE } from './messages.ts';
import { words } from './reply.ts';
import { type Gt06State, open } from './state.ts';

/** Text messages (protocol.md section 9.7): replies to commands, locations and alarms. Dates are in the zone of the device. */
export const sms: DatagramDialect<Gt06State> = {
  open,
  decode(bytes, start, end, state, out) {
    const { text } = readTextMessage(bytes, { start, end }, out, {
      name: TEXT_MESSAGE,
      reply: A.Reply,
      transport: A.Transport,
      localMs: state.localMs,
    });
    words(text, state, out);
  },
  encodeAck: () => 0,
  encodeCommand: encodeTextMessage,
};
