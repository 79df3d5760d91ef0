import { type Bytes, putAscii, putDecimal, putU16be } from '../../src/base/wire/index.ts';
import { type Command, type CommandRule, MOST_OF_A_MESSAGE, type Options, type Switching } from '../../src/codec/index.ts';
import type { H02State } from './state.ts';

/**
 * Downlink commands (protocol.md section 9): `*` maker `,` id `,` CMD `,` HHMMSS [, parameters] `#`.
 *
 * HHMMSS comes back in the V4 answer, so it carries the command's key as a time of the day: a key of 1…86399 comes back
 * as itself. A host that takes keys from the current second of the day (UTC) writes what the document asks for.
 */
const SECONDS_A_DAY = 86400;
/** Characters of a command and its parameters. */
const MOST_TEXT = 200;
const NONE = {};
const RELAY_ON: Switching = { output: 0, on: true, immobilises: true };
const RELAY_OFF: Switching = { output: 0, on: false, immobilises: false };

export const COMMANDS: readonly CommandRule[] = [
  { type: 'locate', about: 'One position now (D1; CR on HuaSunTek)', parameters: NONE, shownBy: 'fix' },
  {
    type: 'set_interval',
    about: 'Seconds between positions (S17, S71, D1 or XT, as model and option `interval` say)',
    parameters: { seconds: { type: 'number', min: 5, max: 65535, about: 'seconds between positions' } },
  },
  {
    type: 'reboot',
    about: 'Cold start; also clears alarms and releases the engine cut (R1; CQ on HuaSunTek)',
    parameters: NONE,
    switches: () => [RELAY_OFF],
    shownBy: 'departure',
  },
  { type: 'engine_stop', about: 'Cuts fuel or ignition (S20,1,1). The measured state is `blocked`', parameters: NONE },
  { type: 'engine_resume', about: 'Restores fuel or ignition (S20,1,0)', parameters: NONE },
  { type: 'status', about: 'Asks for the state (S26; INFO on HuaSunTek)', parameters: NONE },
  {
    type: 'set_server',
    about: 'Makes the device connect elsewhere (S23; IP on HuaSunTek)',
    shownBy: 'departure',
    parameters: {
      host: { type: 'string', about: 'IPv4 address or, where the model can, a host name' },
      port: { type: 'number', min: 1, max: 65535, about: 'TCP or UDP port' },
    },
  },
  { type: 'arm', about: 'Arms the alarm (SCF,0,0; SF on HuaSunTek)', parameters: NONE },
  { type: 'disarm', about: 'Disarms the alarm (SCF,1,1; CF on HuaSunTek)', parameters: NONE },
  {
    type: 'clear_alarms',
    about: 'Ends latched alarms; on SinoTrack also releases the engine cut (R7)',
    parameters: NONE,
    switches: () => [RELAY_OFF],
    shownBy: 'contact',
  },
  {
    type: 'custom',
    about: 'Any command of the protocol, as `CMD` or `CMD,parameter,…`; the time field is put behind CMD',
    parameters: {
      text: { type: 'string', about: 'command and parameters without maker, id and time' },
      timed: { type: 'boolean', fallback: true, about: 'false for the HuaSunTek commands that have no time field' },
    },
    switches: relayIn,
    actsAs,
  },
];

/** Name and fields of a text, in upper case. */
function fieldsOf(parameters: Options): readonly string[] {
  const text = String(parameters['text']).slice(0, MOST_TEXT).toUpperCase();
  return text.split(',').map((field) => field.trim());
}

/**
 * `S20[,HHMMSS],C,t1[,t2 …]`, where a single t1 = 0 restores and everything else cuts (protocol.md section 9.1), and the texts of protocol.md section 10
 * that `CMD` carries: 940 cuts, 941 restores.
 */
function relayIn(parameters: Options): readonly Switching[] {
  const [name, ...rest] = fieldsOf(parameters);
  const fields = parameters['timed'] === false ? rest.slice(1) : rest;
  if (name === 'S20') return [fields.length === 2 && fields[1] === '0' ? RELAY_OFF : RELAY_ON];
  if (name !== 'CMD') return [];
  if (rest.some((field) => field.startsWith('940'))) return [RELAY_ON];
  return rest.some((field) => field.startsWith('941')) ? [RELAY_OFF] : [];
}

/** By name (protocol.md section 9.1), whatever the model: no two of them mean different things by one. `CMD` is apart. */
const ACTS: Readonly<Record<string, string>> = {
  S23: 'set_server',
  IP: 'set_server',
  S24: 'set_server',
  APN: 'set_server',
  S25: 'set_server',
  RESET: 'set_server',
  R1: 'reboot',
  CQ: 'reboot',
  R7: 'clear_alarms',
};

function actsAs(parameters: Options): string {
  const [name = '', ...rest] = fieldsOf(parameters);
  if (name !== 'CMD') return Object.hasOwn(ACTS, name) ? (ACTS[name] ?? '') : '';
  // protocol.md section 10: 804 the server, 803 the access point, 700 SMS in place of GPRS.
  if (rest.some((field) => /^(804|803|700)/.test(field))) return 'set_server';
  return rest.some((field) => field === 'RESTART' || field === 'CQ') ? 'reboot' : '';
}

/** A command, its parameters, and where its time field stands. */
interface Line {
  readonly name: string;
  readonly tail: string;
  readonly time: 'first' | 'last' | 'none';
}

const timed = (name: string, tail = ''): Line => ({ name, tail, time: 'first' });
const plain = (name: string, tail = ''): Line => ({ name, tail, time: 'none' });

export function encodeCommand(command: Command, key: number, state: H02State, out: Bytes, at: number): number {
  if (state.id === '') return 0;
  const line = lineOf(command, state);
  if (line === undefined || !isPlain(line.name) || !isPlain(line.tail) || line.name.length + line.tail.length > MOST_TEXT) return 0;
  out[at] = 0x2a;
  let p = putU16be(out, at + 1, state.maker);
  out[p++] = 0x2c;
  p = putAscii(out, p, state.id);
  out[p++] = 0x2c;
  p = putAscii(out, p, line.name);
  if (line.time === 'first') p = putTime(out, p, key);
  if (line.tail !== '') {
    out[p++] = 0x2c;
    p = putAscii(out, p, line.tail);
  }
  if (line.time === 'last') p = putTime(out, p, key);
  out[p++] = 0x23;
  return p - at;
}

/** `,HHMMSS` */
function putTime(out: Bytes, at: number, key: number): number {
  const second = key % SECONDS_A_DAY;
  out[at] = 0x2c;
  let p = putDecimal(out, at + 1, Math.floor(second / 3600), 2);
  p = putDecimal(out, p, Math.floor(second / 60) % 60, 2);
  return putDecimal(out, p, second % 60, 2);
}

function lineOf(command: Command, state: H02State): Line | undefined {
  const hua = state.model === 'huasuntek';
  switch (command.type) {
    case 'locate':
      return hua ? plain('CR') : timed('D1', '30,1');
    case 'set_interval':
      return interval(Number(command.parameters['seconds']), state);
    case 'reboot':
      return hua ? plain('CQ') : timed('R1');
    case 'engine_stop':
      return timed('S20', '1,1');
    case 'engine_resume':
      return timed('S20', '1,0');
    case 'status':
      return hua ? plain('INFO') : timed('S26', state.model === 'cantrack' ? '0' : '');
    case 'set_server':
      return server(String(command.parameters['host']), Number(command.parameters['port']), state);
    case 'arm':
      return hua ? plain('SF') : timed('SCF', '0,0');
    case 'disarm':
      return hua ? plain('CF') : timed('SCF', '1,1');
    case 'clear_alarms':
      return timed('R7');
    case 'custom':
      return custom(String(command.parameters['text']), command.parameters['timed'] !== false);
    default:
      return undefined;
  }
}

/** The command as a text message, in the words of SinoTrack (protocol.md section 10). */
export function encodeText(command: Command, _key: number, state: H02State, out: Bytes, at: number): number {
  const text = textOf(command, state);
  if (text.length > MOST_OF_A_MESSAGE || !/^[\x20-\x7e]*$/.test(text)) return 0;
  return putAscii(out, at, text) - at;
}

function textOf({ type, parameters }: Command, { model, smsPassword: password }: H02State): string {
  if (type === 'custom') return String(parameters['text']);
  if (model !== 'sinotrack') return '';
  const seconds = Number(parameters['seconds']);
  const host = String(parameters['host']);
  switch (type) {
    case 'locate':
      return `669${password}`;
    case 'set_interval':
      return Number.isInteger(seconds) && seconds >= 10 ? `805${password} ${seconds}` : '';
    case 'set_server':
      return /^[A-Za-z0-9.-]{1,64}$/.test(host) && Number.isInteger(parameters['port'])
        ? `804${password} ${host} ${parameters['port']}`
        : '';
    case 'engine_stop':
      return `940${password}`;
    case 'engine_resume':
      return `941${password}`;
    case 'reboot':
      return 'RESTART';
    case 'status':
      return 'RCONF';
    default:
      return '';
  }
}

/** S17 cannot express less than 30 s; units that obey S71 instead take shorter ones too (protocol.md section 9.1). */
function interval(seconds: number, state: H02State): Line | undefined {
  if (!Number.isInteger(seconds)) return undefined;
  if (state.model === 'huasuntek') return seconds <= 3600 ? plain('XT', String(seconds)) : undefined;
  const form = state.interval === 'auto' ? (state.model === 'cantrack' ? 'd1' : seconds < 30 ? 's71' : 's17') : state.interval;
  if (form === 's71') return timed('S71', `22,${seconds}`);
  if (form === 'd1') return timed('D1', String(seconds));
  return seconds >= 30 ? timed('S17', String(seconds)) : undefined;
}

function server(host: string, port: number, state: H02State): Line | undefined {
  if (!/^[A-Za-z0-9.-]{1,64}$/.test(host) || !Number.isInteger(port)) return undefined;
  const octets = /^\d{1,3}(\.\d{1,3}){3}$/.test(host) ? host.split('.').map(Number) : [];
  const numeric = octets.length === 4 && octets.every((octet) => octet < 256);
  if (state.model === 'cantrack') return numeric ? timed('S23', `${octets.join(',')},${port}`) : undefined;
  if (state.model !== 'huasuntek') return timed('S23', `${host}:${port}`);
  // 1 the address first, 2 the domain first; address and port are hexadecimal.
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  const address = numeric ? octets.map((octet) => hex(octet, 2)).join('') : '00000000';
  return { name: 'IP', tail: `${numeric ? 1 : 2},${address},${hex(port, 4)},${numeric ? '' : host}`, time: 'last' };
}

function custom(text: string, withTime: boolean): Line | undefined {
  const comma = text.indexOf(',');
  const name = comma < 0 ? text : text.slice(0, comma);
  const tail = comma < 0 ? '' : text.slice(comma + 1);
  return name === '' ? undefined : withTime ? timed(name, tail) : plain(name, tail);
}

/** Nothing that could end the frame or begin another. */
function isPlain(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 32 || c > 126 || c === 0x23 || c === 0x2a || c === 0x3b) return false;
  }
  return true;
}
