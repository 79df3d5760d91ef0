import { type Bytes, putAscii } from '../../src/base/wire/index.ts';
import { type Command, type CommandRule, MOST_OF_A_MESSAGE, type Options, type Switching } from '../../src/codec/index.ts';
import { encodeText } from './answer.ts';
import type { Gt06State } from './state.ts';

/**
 * Text commands (protocol.md section 9): frame 0x80 with length 1 (4 + text) | server flag 4 | text | language 2, if asked for.
 * The device returns the flag with its reply: it is the key of the command. Serial and flag are the same number.
 */
const HOST = '^[A-Za-z0-9.-]{1,64}$';
/** Beyond it the inner length byte would overflow. */
const LONG_TEXT = 251;

export const COMMANDS: readonly CommandRule[] = [
  {
    type: 'locate',
    about:
      'ask for a fresh fix (LJDW#): it comes as a location with upload mode 12; units without it are asked by WHERE# and reply with a text',
    parameters: {},
    shownBy: 'fix',
  },
  {
    type: 'set_interval',
    about: 'seconds between fixes (TIMER): 0 or 5 to 18000; off seconds: with the ignition off',
    parameters: {
      seconds: { type: 'number', min: 0, max: 18000, about: 'with the ignition on; 0 switches time reports off' },
      off_seconds: { type: 'number', min: -1, max: 18000, fallback: -1, about: 'with the ignition off; -1: the same' },
    },
  },
  { type: 'reboot', about: 'restart the device (RESET#)', parameters: {}, shownBy: 'departure' },
  { type: 'engine_stop', about: 'cut fuel or electricity by the relay', parameters: {} },
  { type: 'engine_resume', about: 'release the relay', parameters: {} },
  { type: 'status', about: 'battery, GPRS, GSM, GPS, ACC as text (STATUS#)', parameters: {} },
  { type: 'version', about: 'firmware version as text (VERSION#)', parameters: {} },
  {
    type: 'set_server',
    about: 'where the device connects to (SERVER): it leaves this server',
    shownBy: 'departure',
    parameters: {
      host: { type: 'string', about: 'name or IPv4 address' },
      port: { type: 'number', min: 1, max: 65535, about: 'port' },
      transport: { type: 'string', oneOf: ['tcp', 'udp'], fallback: 'tcp', about: 'transport' },
    },
  },
  {
    type: 'set_time_zone',
    about: 'zone of the dates that the device sends (GMT); 0 is the recommended setting',
    parameters: { minutes: { type: 'number', min: -720, max: 765, about: 'minutes ahead of UTC, a multiple of 15' } },
  },
  {
    type: 'custom',
    about: 'any text command; the closing # is added where it is missing',
    parameters: { text: { type: 'string', about: 'printable ASCII without ; and without # but at the end' } },
    switches: relayIn,
    actsAs,
  },
];

/** Name and fields of a text, in upper case. */
function fieldsOf(parameters: Options): string[] {
  const text = String(parameters['text']).slice(0, LONG_TEXT).replaceAll('#', '').toUpperCase();
  return text.split(',').map((field) => field.trim());
}

/** protocol.md section 9.4. A name without a value is a query. */
function actsAs(parameters: Options): string {
  const [name = '', ...fields] = fieldsOf(parameters);
  if (name === 'RESET' || name === 'RESTART') return 'reboot';
  if (name === 'FACTORY') return 'set_server';
  const isSet = fields.some((field) => field !== '');
  return isSet && (name === 'SERVER' || name === 'APN' || name === 'ASETAPN') ? 'set_server' : '';
}

/** The relay commands of protocol.md section 9.4, in any case; a password may stand in front of the state. */
function relayIn(parameters: Options): readonly Switching[] {
  const [name = '', ...fields] = fieldsOf(parameters);
  if (name === 'HFYD') return [RELAY_OFF];
  if (name === 'DYD') return [RELAY_ON];
  // The name alone is a query.
  if ((name !== 'RELAY' && name !== 'PRELAY') || fields.length === 0) return [];
  const state = fields.at(-1);
  return [state === '0' || state === 'OFF' ? RELAY_OFF : RELAY_ON];
}

const LOCATE = 'LJDW#';

const RELAY_ON: Switching = { output: 0, on: true, immobilises: true };
const RELAY_OFF: Switching = { output: 0, on: false, immobilises: false };

/** The text of a command, '' when its parameters do not make one. */
function commandText(command: Command, state: Gt06State): string {
  const { parameters } = command;
  switch (command.type) {
    case 'locate':
      return state.where ? 'WHERE#' : LOCATE;
    case 'set_interval':
      return timer(Number(parameters['seconds']), Number(parameters['off_seconds'] ?? -1));
    case 'reboot':
      return 'RESET#';
    case 'engine_stop':
      return state.relayByName ? 'Relay,1#' : 'DYD#';
    case 'engine_resume':
      return state.relayByName ? 'Relay,0#' : 'HFYD#';
    case 'status':
      return 'STATUS#';
    case 'version':
      return 'VERSION#';
    case 'set_server':
      return server(String(parameters['host']), Number(parameters['port']), parameters['transport'] === 'udp');
    case 'set_time_zone':
      return zone(Number(parameters['minutes']));
    case 'custom':
      return custom(String(parameters['text']));
    default:
      return '';
  }
}

export function encodeCommand(command: Command, key: number, state: Gt06State, out: Bytes, at: number): number {
  const text = commandText(command, state);
  if (text === '' || text.length > LONG_TEXT) return 0;
  if (text === LOCATE && !state.fixedLocate) state.locateKey = key;
  return encodeText(text, key, state.commandLanguage, out, at);
}

/** The same as a text message; where the device is, is asked for in words: the answer to LJDW# comes over the connection. */
export function encodeTextMessage(command: Command, _key: number, state: Gt06State, out: Bytes, at: number): number {
  const text = command.type === 'locate' ? 'WHERE#' : commandText(command, state);
  return text.length > MOST_OF_A_MESSAGE ? 0 : putAscii(out, at, text) - at;
}

function timer(on: number, off: number): string {
  const offSeconds = off < 0 ? on : off;
  return allowed(on) && allowed(offSeconds) ? `TIMER,${on},${offSeconds}#` : '';
}

function allowed(seconds: number): boolean {
  return Number.isInteger(seconds) && (seconds === 0 || (seconds >= 5 && seconds <= 18000));
}

function server(host: string, port: number, udp: boolean): string {
  if (!new RegExp(HOST).test(host) || !Number.isInteger(port)) return '';
  const address = /^\d{1,3}(\.\d{1,3}){3}$/.test(host);
  return `SERVER,${address ? 0 : 1},${host},${port},${udp ? 1 : 0}#`;
}

function zone(minutes: number): string {
  if (!Number.isInteger(minutes) || minutes % 15 !== 0) return '';
  const side = minutes < 0 ? 'W' : 'E';
  return `GMT,${side},${Math.floor(Math.abs(minutes) / 60)},${Math.abs(minutes) % 60}#`;
}

function custom(text: string): string {
  const body = text.endsWith('#') ? text.slice(0, -1) : text;
  return /^[\x20-\x7e]+$/.test(body) && !/[#;]/.test(body) ? `${body}#` : '';
}
