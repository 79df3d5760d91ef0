import { parseArgs } from 'node:util';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { ascii, type Bytes, hex } from '../base/wire/index.ts';
import { nearest } from '../config/nearest.ts';
import { EXIT } from './exit-code.ts';
import { io } from './io.ts';
import { checkedTexts, codecNamed, deviceOf, installed, optionsOf, transportOf } from './protocol.ts';

export const ENCODE_HELP = `fixgate encode --protocol <codec> --type <command> [options]

Shows the bytes of a command as the server would send them to a device.

  --protocol <codec>    teltonika, gt06, h02, jt808, queclink (fixgate codecs lists them)
  --type <command>      locate, set_interval, reboot, … (fixgate codecs <codec> lists them with their parameters)
  --set name=value      a parameter of the command; may be repeated
  --device <id>         the device, for protocols whose commands carry it
  --key <n>             number by which the reply is found, where the protocol echoes one (default 0: none waits)
  --transport tcp|udp|sms   default tcp; sms: the text of a message
  --option k=v          an option of the codec; may be repeated
  --config <file>       configuration with codec packages and options (default: FIXGATE_CONFIG)
  --json                {"hex":"…","text":"the command's text, or null when it has none"}

  fixgate encode --protocol gt06 --type reboot --json
`;

/** Larger than any command frame. */
const ROOM = 4096;

export async function encode(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      protocol: { type: 'string' },
      type: { type: 'string' },
      set: { type: 'string', multiple: true, default: [] },
      device: { type: 'string' },
      key: { type: 'string', default: '0' },
      transport: { type: 'string' },
      option: { type: 'string', multiple: true, default: [] },
      config: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const known = await installed(values.config);
  const codec = codecNamed(values.protocol, known);
  const dialect = codec[transportOf(values.transport, codec)];
  const types = codec.commands.map(({ type }) => type);
  if (dialect?.encodeCommand === undefined || types.length === 0)
    throw new AppError('USAGE', `${codec.name} has no commands on this transport`);
  if (values.type === undefined) throw new AppError('USAGE', `--type must be given: ${types.join(', ')}`);
  const rule = codec.commands.find(({ type }) => type === values.type);
  if (rule === undefined) {
    const close = nearest(values.type, types);
    throw new AppError(
      'USAGE',
      `${codec.name} has no command "${values.type}"; ${close === undefined ? `it has ${types.join(', ')}` : `did you mean ${close}?`}`,
    );
  }
  const key = Number(values.key);
  if (!Number.isInteger(key) || key < 0 || key > 0x7fffffff)
    throw new AppError('USAGE', `--key must be a whole number from 0 to 2147483647, not "${values.key}"`);
  const device = deviceOf(values.device);
  const identity = device !== '' && 'device' in codec.options ? [`device=${device}`] : [];
  const state = dialect.open(optionsOf(codec, known, [...identity, ...values.option]), 0);
  const command = { type: rule.type, parameters: checkedTexts('--set', rule.parameters, values.set, {}) };
  const out = new Uint8Array(ROOM);
  const length = dialect.encodeCommand(command, key, state, out, 0, systemClock.now());
  if (length === 0)
    throw new AppError(
      'USAGE',
      `${codec.name} cannot encode ${rule.type} like this; ${device === '' ? 'give --device, or ' : ''}check --set and --option`,
    );
  const bytes = hex(out, 0, length);
  const text = textOf(out, length);
  io().out.write(values.json ? `${JSON.stringify({ hex: bytes, text })}\n` : `${bytes}\n${text === null ? '' : `${text}\n`}`);
  return EXIT.Ok;
}

/** The longest run of printable characters, when it is one a person would take for text. */
function textOf(bytes: Bytes, length: number): string | null {
  let best = '';
  for (let start = 0; start < length; start++) {
    let end = start;
    while (end < length && (bytes[end] ?? 0) >= 32 && (bytes[end] ?? 0) < 127) end++;
    if (end - start > best.length) best = ascii(bytes, start, end);
    start = Math.max(start, end);
  }
  return best.length >= 3 ? best : null;
}
