import { type Bytes, putAscii, putU8, putU16be, putU32be } from '../../src/base/wire/index.ts';
import type { Command, CommandRule, Options, Switching } from '../../src/codec/index.ts';
import { encodeMessage, putParameter } from './answer.ts';
import type { Jt808State } from './state.ts';

/** Commands (protocol.md section 11.5). The key is the serial, which the terminal's universal reply returns; both have 16 bits. */
export const COMMANDS: readonly CommandRule[] = [
  { type: 'locate', about: 'ask for the position (0x8201)', parameters: {}, shownBy: 'fix' },
  {
    type: 'set_interval',
    about: 'seconds between positions (parameter 0x0029)',
    parameters: { seconds: { type: 'number', min: 1, max: 86_400, about: 'seconds' } },
  },
  { type: 'reboot', about: 'restart the device (0x8105 04)', parameters: {}, shownBy: 'departure' },
  { type: 'engine_stop', about: 'cut fuel or electricity', parameters: {} },
  { type: 'engine_resume', about: 'restore fuel or electricity', parameters: {} },
  { type: 'status', about: 'all parameters (0x8104)', parameters: {} },
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

export function encodeCommand(command: Command, key: number, state: Jt808State, out: Bytes, at: number): number {
  if (key > 0xffff || !state.hasPhone()) return 0;
  const send = (id: number, write: (out: Bytes, at: number) => number): number => encodeMessage(id, key, state, write, out, at);
  const { parameters } = command;
  switch (command.type) {
    case 'locate':
      return send(0x8201, empty);
    case 'set_interval':
      return send(0x8103, (o, p) => putParameter(o, putU8(o, p, 1), 0x0029, Number(parameters['seconds'])));
    case 'reboot':
      return send(0x8105, (o, p) => putU8(o, p, 4));
    case 'engine_stop':
    case 'engine_resume':
      return engine(command.type === 'engine_stop', state, send);
    case 'status':
      return send(0x8104, empty);
    case 'version':
      return send(0x8107, empty);
    case 'set_server':
      return server(String(parameters['host']), Number(parameters['port']), send);
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

/** Control words by maker; Jimi's units take a text. E7 units have a message of their own, which carries the time: not offered. */
function engine(stop: boolean, state: Jt808State, send: Send): number {
  if (state.e7) return 0;
  if (state.is('jimi') || state.is('obd')) return custom(stop ? 'RELAY,1#' : 'RELAY,0#', state, send);
  if (state.is('aovx')) return send(0x8105, (o, p) => putAscii(o, putU8(o, p, 0x23), stop ? '0;1' : '0;0'));
  const words = state.is('g10ls') || state.is('seeworld') ? [0x64, 0x65] : [0xf0, 0xf1];
  return send(0x8105, (o, p) => putU8(o, p, words[stop ? 0 : 1] ?? 0));
}

function server(host: string, port: number, send: Send): number {
  if (!/^[A-Za-z0-9.-]{1,64}$/.test(host) || !Number.isInteger(port) || port < 1 || port > 65535) return 0;
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
