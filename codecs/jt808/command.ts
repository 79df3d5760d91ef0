import { type Bytes, putAscii, putU8, putU16be, putU32be } from '../../src/base/wire/index.ts';
import type { Command, CommandRule, Options, Switching } from '../../src/codec/index.ts';
import { bcdTime, encodeMessage, putParameter } from './answer.ts';
import type { Jt808State } from './state.ts';

/** Commands (protocol.md section 11.5). The key is the serial, which the terminal's universal reply returns; both have 16 bits. */
export const COMMANDS: readonly CommandRule[] = [
  { type: 'locate', about: 'ask for the position (0x8201)', parameters: {}, shownBy: 'fix' },
  {
    type: 'set_interval',
    about: 'seconds between positions (parameters 0x0029 and 0x0027)',
    parameters: {
      seconds: { type: 'number', min: 1, max: 86_400, about: 'seconds' },
      off_seconds: {
        type: 'number',
        fallback: -1,
        min: -1,
        max: 86_400,
        about: 'asleep; -1: unchanged (Jimi: the same). Not on Huabao and AOVX',
      },
    },
  },
  { type: 'reboot', about: 'restart the device (0x8105 04)', parameters: {}, shownBy: 'departure' },
  { type: 'engine_stop', about: 'cut fuel or electricity', parameters: {} },
  { type: 'engine_resume', about: 'restore fuel or electricity', parameters: {} },
  { type: 'status', about: 'all parameters (0x8104)', parameters: {} },
  {
    type: 'get_parameter',
    about: 'one parameter (0x8106), or several',
    parameters: {
      id: { type: 'number', min: 1, max: 0xffff, about: 'number of the parameter: 41 for 0x0029' },
      more: { type: 'string', fallback: '', pattern: /^(\d{1,5}(,\d{1,5}){0,15})?$/, about: 'numbers of others, with commas between them' },
    },
  },
  {
    type: 'set_parameter',
    about: 'one parameter (0x8103); read it back with get_parameter',
    parameters: {
      id: { type: 'number', min: 1, max: 0xffff, about: 'number of the parameter: 41 for 0x0029' },
      value: { type: 'string', about: 'a whole number, or a text of at most 200 printable ASCII characters' },
      as: { type: 'string', fallback: 'dword', oneOf: ['dword', 'word', 'byte', 'text'], about: 'how the value is sent' },
    },
    actsAs: ({ id }) => (isLink(Number(id)) ? 'set_server' : ''),
  },
  {
    type: 'track',
    about: 'more positions for a while (0x8202)',
    parameters: {
      seconds: { type: 'number', min: 0, max: 65_535, about: 'between positions; 0 ends it' },
      duration: { type: 'number', fallback: 600, min: 1, max: 86_400, about: 'seconds that it lasts' },
    },
  },
  {
    type: 'confirm_alarm',
    about: 'the alarm has been seen (0x8203): the device clears it',
    parameters: {
      serial: { type: 'number', fallback: 0, min: 0, max: 65_535, about: 'serial of the message; 0: all alarms of these kinds' },
      alarms: { type: 'number', fallback: 1, min: 1, max: 0x18700009, about: 'the kinds as bits of the alarm word: 1 is SOS' },
    },
  },
  {
    type: 'resend_packages',
    about: 'packages of a message that have not come, once more (0x8003)',
    shownBy: 'contact',
    parameters: {
      first: { type: 'number', min: 0, max: 65_535, about: 'serial of the first package' },
      packages: {
        type: 'string',
        pattern: /^[1-9]\d{0,4}(,[1-9]\d{0,4}){0,15}$/,
        about: 'numbers of the packages, from 1, with commas between them',
      },
    },
  },
  { type: 'lock_doors', about: 'lock the doors (0x8500)', parameters: {} },
  { type: 'unlock_doors', about: 'unlock the doors (0x8500)', parameters: {} },
  {
    type: 'set_output',
    about: 'switch an output (0x8105 23)',
    families: 'AOVX',
    parameters: {
      output: { type: 'number', min: 0, max: 9, about: 'number of the output' },
      on: { type: 'boolean', about: 'true switches it on' },
    },
  },
  {
    type: 'start_video',
    about: 'send live video to a video server (0x9101)',
    families: 'JT/T 1078 cameras',
    parameters: {
      host: { type: 'string', about: 'name or IPv4 address of the video server' },
      port: { type: 'number', min: 1, max: 65_535, about: 'TCP port' },
      udp: { type: 'number', fallback: 0, min: 0, max: 65_535, about: 'UDP port; 0: none' },
      channel: { type: 'number', fallback: 1, min: 1, max: 255, about: 'camera' },
      sound: { type: 'boolean', fallback: false, about: 'true sends the sound as well' },
      small: { type: 'boolean', fallback: false, about: 'true sends the smaller stream' },
    },
  },
  {
    type: 'stop_video',
    about: 'end live video (0x9102)',
    families: 'JT/T 1078 cameras',
    parameters: { channel: { type: 'number', fallback: 1, min: 1, max: 255, about: 'camera' } },
  },
  {
    type: 'set_time_zone',
    about: 'zone of the dates that the device sends (GMT)',
    families: 'Jimi',
    parameters: { minutes: { type: 'number', min: -720, max: 765, about: 'minutes ahead of UTC, a multiple of 15' } },
  },
  { type: 'version', about: 'model, firmware and SIM card (0x8107)', parameters: {} },
  {
    type: 'set_server',
    about: 'where the device connects to (parameters 0x0013, 0x0018): it leaves this server',
    shownBy: 'departure',
    parameters: {
      host: { type: 'string', about: 'name or IPv4 address' },
      port: { type: 'number', min: 1, max: 65535, about: 'TCP port' },
    },
  },
  {
    type: 'custom',
    about: 'a text command, in the words of the maker',
    parameters: { text: { type: 'string', about: 'printable ASCII, at most 200 characters' } },
    switches: relayIn,
    actsAs,
  },
];

const LONGEST_TEXT = 200;

/** Name and fields of a text, in upper case. The makers' texts are those of their GT06 units. */
function fieldsOf(parameters: Options): string[] {
  const text = String(parameters['text']).slice(0, LONGEST_TEXT).replaceAll('#', '').toUpperCase();
  return text.split(',').map((field) => field.trim());
}

/** A name without a value is a query. */
function actsAs(parameters: Options): string {
  const [name = '', ...fields] = fieldsOf(parameters);
  if (name === 'RESET' || name === 'RESTART') return 'reboot';
  if (name === 'FACTORY') return 'set_server';
  const isSet = fields.some((field) => field !== '');
  return isSet && (name === 'SERVER' || name === 'APN' || name === 'ASETAPN') ? 'set_server' : '';
}

/** The relay commands; a password may stand in front of the state. */
function relayIn(parameters: Options): readonly Switching[] {
  const [name = '', ...fields] = fieldsOf(parameters);
  if (name === 'HFYD') return [RELAY_OFF];
  if (name === 'DYD') return [RELAY_ON];
  if ((name !== 'RELAY' && name !== 'PRELAY') || fields.length === 0) return [];
  const state = fields.at(-1);
  return [state === '0' || state === 'OFF' ? RELAY_OFF : RELAY_ON];
}

const RELAY_ON: Switching = { output: 0, on: true, immobilises: true };
const RELAY_OFF: Switching = { output: 0, on: false, immobilises: false };

export function encodeCommand(command: Command, key: number, state: Jt808State, out: Bytes, at: number, now: number): number {
  if (key > 0xffff || !state.hasPhone()) return 0;
  const send = (id: number, write: (out: Bytes, at: number) => number): number => encodeMessage(id, key, state, write, out, at);
  const { parameters } = command;
  switch (command.type) {
    case 'locate':
      return send(0x8201, empty);
    case 'set_interval':
      return interval(Number(parameters['seconds']), Number(parameters['off_seconds'] ?? -1), state, send);
    case 'reboot':
      if (state.is('jimi')) return custom('RESET#', state, send);
      if (state.is('huabao')) return send(0x0310, (o, p) => putU8(o, putU8(o, putU8(o, putU8(o, p, 1), 0x23), 1), 3));
      return send(0x8105, (o, p) => putU8(o, p, 4));
    case 'engine_stop':
    case 'engine_resume':
      return engine(command.type === 'engine_stop', now, state, send);
    case 'status':
      return state.is('jimi') ? custom('STATUS#', state, send) : send(0x8104, empty);
    case 'version':
      return state.is('jimi') ? custom('VERSION#', state, send) : send(0x8107, empty);
    case 'set_server':
      return server(String(parameters['host']), Number(parameters['port']), state, send);
    case 'get_parameter':
      return getParameters([Number(parameters['id']), ...numbers(String(parameters['more'] ?? ''))], send);
    case 'set_parameter':
      return setParameter(parameters, send);
    case 'track': {
      const seconds = Number(parameters['seconds']);
      return send(0x8202, (o, p) =>
        seconds === 0 ? putU16be(o, p, 0) : putU32be(o, putU16be(o, p, seconds), Number(parameters['duration'])),
      );
    }
    case 'confirm_alarm':
      return send(0x8203, (o, p) => putU32be(o, putU16be(o, p, Number(parameters['serial'])), Number(parameters['alarms'])));
    case 'resend_packages':
      return resend(Number(parameters['first']), numbers(String(parameters['packages'])), state, send);
    case 'lock_doors':
    case 'unlock_doors':
      return doors(command.type === 'lock_doors', state, send);
    case 'set_output':
      if (!state.is('aovx')) return 0;
      return send(0x8105, (o, p) => putAscii(o, putU8(o, p, 0x23), `${Number(parameters['output'])};${parameters['on'] === true ? 1 : 0}`));
    case 'start_video':
      return startVideo(parameters, send);
    case 'stop_video':
      // Control 0 ends the transmission, of picture and sound, of the main stream.
      return send(0x9102, (o, p) => putU8(o, putU16be(o, putU8(o, p, Number(parameters['channel'])), 0), 0));
    case 'set_time_zone':
      return state.is('jimi') ? zone(Number(parameters['minutes']), state, send) : 0;
    case 'custom':
      return custom(String(parameters['text']), state, send);
    default:
      return 0;
  }
}

type Send = (id: number, write: (out: Bytes, at: number) => number) => number;

function empty(_out: Bytes, at: number): number {
  return at;
}

/** Seconds between positions, in the maker's words: some report by distance until parameter 0x0020 says by time. */
function interval(seconds: number, asleep: number, state: Jt808State, send: Send): number {
  if (state.is('jimi')) return custom(`TIMER,${seconds},${asleep >= 0 ? asleep : seconds}#`, state, send);
  if (asleep >= 0) {
    if (state.is('huabao') || state.is('aovx')) return 0;
    return send(0x8103, (o, p) => {
      const strategy = putParameter(o, putU8(o, p, 3), 0x0020, 0);
      return putParameter(o, putParameter(o, strategy, 0x0029, seconds), 0x0027, asleep);
    });
  }
  if (state.is('huabao')) return send(0x0310, (o, p) => putU32be(o, putU8(o, putU8(o, putU8(o, p, 1), 0x06), 4), seconds));
  if (state.is('g10ls') || state.is('seeworld'))
    return send(0x8103, (o, p) => putParameter(o, putParameter(o, putU8(o, p, 2), 0x0020, 0), 0x0029, seconds));
  return send(0x8103, (o, p) => putParameter(o, putU8(o, p, 1), 0x0029, seconds));
}

function numbers(text: string): number[] {
  return text === '' ? [] : text.slice(0, LONGEST_TEXT).split(',', MOST_PARAMETERS).map(Number);
}

/** Parameters that one message asks for. */
const MOST_PARAMETERS = 16;

function getParameters(ids: readonly number[], send: Send): number {
  if (ids.some((id) => !(id >= 1 && id <= 0xffff))) return 0;
  return send(0x8106, (o, at) => {
    let p = putU8(o, at, ids.length);
    for (const id of ids) p = putU32be(o, p, id);
    return p;
  });
}

/** Serial of the first package 2, count 1 (2019: 2), numbers 2 each. */
function resend(first: number, packages: readonly number[], state: Jt808State, send: Send): number {
  if (packages.some((number) => !(number >= 1 && number <= 0xffff))) return 0;
  return send(0x8003, (o, at) => {
    const begin = putU16be(o, at, first);
    let p = state.is2019 ? putU16be(o, begin, packages.length) : putU8(o, begin, packages.length);
    for (const number of packages) p = putU16be(o, p, number);
    return p;
  });
}

/** Host length 1, host, TCP port 2, UDP port 2, channel 1, type 1 (0 with sound, 1 without), stream 1. */
function startVideo(parameters: Options, send: Send): number {
  const host = String(parameters['host']);
  if (!isHost(host)) return 0;
  return send(0x9101, (o, at) => {
    const p = putAscii(o, putU8(o, at, host.length), host);
    const channel = putU8(
      o,
      putU16be(o, putU16be(o, p, Number(parameters['port'])), Number(parameters['udp'])),
      Number(parameters['channel']),
    );
    return putU8(o, putU8(o, channel, parameters['sound'] === true ? 0 : 1), parameters['small'] === true ? 1 : 0);
  });
}

function isHost(text: string): boolean {
  return /^[A-Za-z0-9.-]{1,64}$/.test(text);
}

/** Access points, hosts and ports: a device may not come back behind a change of them. */
function isLink(id: number): boolean {
  return (id >= 0x10 && id <= 0x1d) || id === 0xf030;
}

const SIZES: Readonly<Record<string, readonly [bytes: number, most: number]>> = {
  byte: [1, 0xff],
  word: [2, 0xffff],
  dword: [4, 0xffffffff],
};

function setParameter(parameters: Options, send: Send): number {
  const id = Number(parameters['id']);
  const value = String(parameters['value']);
  const size = SIZES[String(parameters['as'])];
  if (size === undefined) {
    if (!/^[\x20-\x7e]+$/.test(value) || value.length > LONGEST_TEXT) return 0;
    return send(0x8103, (o, p) => putAscii(o, putU8(o, putU32be(o, putU8(o, p, 1), id), value.length), value));
  }
  const [bytes, most] = size;
  const number = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN;
  if (!(number <= most)) return 0;
  return send(0x8103, (o, at) => {
    const p = putU8(o, putU32be(o, putU8(o, at, 1), id), bytes);
    return bytes === 1 ? putU8(o, p, number) : bytes === 2 ? putU16be(o, p, number) : putU32be(o, p, number);
  });
}

/** One flag; 2019: count 2, type 2 (0001 doors), 0 locks. */
function doors(lock: boolean, state: Jt808State, send: Send): number {
  return send(0x8500, (o, p) => (state.is2019 ? putU8(o, putU16be(o, putU16be(o, p, 1), 1), lock ? 0 : 1) : putU8(o, p, lock ? 1 : 0)));
}

/** `GMT,E,8,0#` */
function zone(minutes: number, state: Jt808State, send: Send): number {
  if (minutes % 15 !== 0) return 0;
  const size = Math.abs(minutes);
  return custom(`GMT,${minutes < 0 ? 'W' : 'E'},${Math.floor(size / 60)},${size % 60}#`, state, send);
}

/** Control words by maker; Jimi's units take a text. E7 units have a message of their own: 1 cuts, and the time, in the zone of the dates. */
function engine(stop: boolean, now: number, state: Jt808State, send: Send): number {
  if (state.e7) return send(0xa006, (o, p) => bcdTime(o, putU8(o, p, stop ? 1 : 0), now + state.zoneMs));
  if (state.is('jimi') || state.is('obd')) return custom(stop ? 'RELAY,1#' : 'RELAY,0#', state, send);
  if (state.is('aovx')) return send(0x8105, (o, p) => putAscii(o, putU8(o, p, 0x23), stop ? '0;1' : '0;0'));
  const words = state.is('g10ls') || state.is('seeworld') ? [0x64, 0x65] : [0xf0, 0xf1];
  return send(0x8105, (o, p) => putU8(o, p, words[stop ? 0 : 1] ?? 0));
}

function server(host: string, port: number, state: Jt808State, send: Send): number {
  if (!isHost(host) || !Number.isInteger(port)) return 0;
  if (state.is('jimi')) return custom(`SERVER,1,${host},${port},0#`, state, send);
  return send(0x8103, (o, at) => {
    let p = putU8(o, at, 2);
    p = putAscii(o, putU8(o, putU32be(o, p, 0x0013), host.length), host);
    return putParameter(o, p, 0x0018, port);
  });
}

function custom(text: string, state: Jt808State, send: Send): number {
  if (!/^[\x20-\x7e]+$/.test(text) || text.length > LONGEST_TEXT) return 0;
  if (state.is('jimi') || state.is('obd')) return send(0x8900, (o, p) => putAscii(o, putU8(o, p, 0xf0), text));
  if (state.is('aovx')) return send(0x8103, (o, p) => putAscii(o, putU8(o, putU32be(o, putU8(o, p, 1), 0xf030), text.length), text));
  const flag = state.is('g10ls') ? 2 : 1;
  return send(0x8300, (o, p) => putAscii(o, state.is2019 ? putU16be(o, p, flag * 256 + 2) : putU8(o, p, flag), text));
}
