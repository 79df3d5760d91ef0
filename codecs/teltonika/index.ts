import { type Bytes, u16be } from '../../src/base/wire/index.ts';
import { defineCodec } from '../../src/codec/index.ts';
import { ATTRIBUTES, FAMILIES } from './attributes.ts';
import { COMMANDS, ENGINE_OUTPUTS } from './command.ts';
import { MESSAGES, Reason, type State } from './frame.ts';
import { LAYOUTS } from './layouts.ts';
import { readReply } from './read-reply.ts';
import { isDigits, MAX_FRAME, tcp } from './tcp.ts';
import { sms } from './text-message.ts';
import { udp } from './udp.ts';

/** Teltonika telematics devices: codecs 7, 8, 8 Extended and 16, message codecs 12 to 15, on TCP and UDP. */
export default defineCodec<State>({
  name: 'teltonika',
  about: 'Teltonika FMB, FMC, FMM, FMx6xx, TAT, TMT, FTC and older FM and GH devices',
  maxFrameBytes: MAX_FRAME,
  maxAnswerBytes: 12,
  replies: 'in-order',
  options: {
    integrity: {
      type: 'string',
      fallback: 'verify',
      oneOf: ['verify', 'count', 'strict'],
      about:
        'a wrong length, checksum or second count: `verify` refuses the frame, until the device has repeated it three times; `count` reads what can be read and counts it; `strict` always refuses it',
    },
    family: {
      type: 'string',
      fallback: 'fm',
      oneOf: FAMILIES.map(([name]) => name),
      about: 'which meaning an element id has that device families use differently',
    },
    commands: {
      type: 'string',
      fallback: 'codec_12',
      oneOf: ['codec_12', 'codec_14'],
      decodes: false,
      about: 'codec 14 names the device in every command: for links that a proxy shares out; FM firmware 03.25.04 and newer',
    },
    engine_outputs: ENGINE_OUTPUTS,
    sms_login: { type: 'string', fallback: '', decodes: false, secret: true, about: 'login of commands by text message (parameter 3003)' },
    sms_password: {
      type: 'string',
      fallback: '',
      decodes: false,
      secret: true,
      about: 'password of commands by text message (parameter 3004)',
    },
  },
  commands: COMMANDS,
  replyMs: 60_000,
  readReply,
  layouts: LAYOUTS,
  attributes: ATTRIBUTES,
  attributePrefix: 'io_',
  messages: MESSAGES,
  reasons: Object.values(Reason),
  recognise,
  tcp,
  udp,
  sms,
});

/** An IMEI packet (behind any pings), a data frame, or a datagram with an IMEI in it. */
function recognise(bytes: Bytes, start: number, end: number): boolean | undefined {
  let p = start;
  while (p < end && bytes[p] === 0xff) p++;
  if (end - p < 2) return p === end || bytes[p] === 0 ? undefined : bytes[p]! <= MAX_FRAME >> 8 ? undefined : false;
  const w = u16be(bytes, p);
  if (w === 0) return end - p < 4 ? undefined : u16be(bytes, p + 2) === 0;
  if (w <= 20) return allDigits(bytes, p + 2, end, w);
  if (w > MAX_FRAME) return false;
  if (end - p < 8) return undefined;
  const digits = u16be(bytes, p + 6);
  return digits >= 1 && digits <= 20 && allDigits(bytes, p + 8, end, digits);
}

function allDigits(bytes: Bytes, at: number, end: number, count: number): boolean | undefined {
  const have = Math.min(end, at + count);
  if (have === at) return undefined;
  if (!isDigits(bytes, at, have)) return false;
  return have === at + count ? true : undefined;
}
