import { ascii, type Bytes, crc16Arc, fromHex, putAscii, putU8, putU32be } from '../../src/base/wire/index.ts';
import { type Command, type CommandRule, MOST_OF_A_MESSAGE, type OptionRule, type Options, type Switching } from '../../src/codec/index.ts';
import type { State } from './frame.ts';
import { Codec12, Codec14 } from './message.ts';

/**
 * Downlink commands: text in codec 12, or in codec 14 with the IMEI in front (protocol.md sections 6 and 7).
 *
 * ```
 * 00000000 · L u32 · 0C 01 05 · size u32 ·              text · 01 · CRC u32
 * 00000000 · L u32 · 0E 01 05 · size u32 · IMEI BCD 8 · text · 01 · CRC u32
 * ```
 *
 * 1. Nothing but printable ASCII gets into a text, and never more than 160 characters: devices cut longer ones. Bytes that a
 *    `custom` gives in hexadecimal are sent as they are.
 * 2. A value never carries a separator of the command it stands in.
 * 3. What a family has no documented parameter for is not encoded.
 */
const TYPE_COMMAND = 0x05;
const MAX_TEXT = 160;

const NONE: Readonly<Record<string, OptionRule>> = {};
const OUTPUT: OptionRule = { type: 'number', fallback: 1, min: 1, max: 4, about: 'digital output, 1 to 4' };

export const COMMANDS: readonly CommandRule[] = [
  { type: 'locate', about: 'One position now, as text (getgps)', parameters: NONE, shownBy: 'fix' },
  {
    type: 'record',
    about: 'One position now, as a record of high priority (getrecord); the device does not reply',
    parameters: NONE,
    shownBy: 'contact',
  },
  {
    type: 'set_interval',
    about: 'Seconds between records, and between sendings (setparam 10050, 10055 and their like)',
    families: 'not asset trackers (TAT, TFT, TST), GH and FM22xx',
    parameters: {
      seconds: { type: 'number', min: 1, max: 2_592_000, about: 'seconds between records' },
      motion: { type: 'string', fallback: 'moving', oneOf: ['moving', 'stopped'], about: 'which of the two the seconds are for' },
      network: {
        type: 'string',
        fallback: 'all',
        oneOf: ['all', 'home', 'roaming', 'unknown'],
        about: 'a device without an operator list is always in `unknown`; older families take one network a command',
      },
    },
  },
  { type: 'reboot', about: 'Restart (cpureset); the device does not reply', parameters: NONE, shownBy: 'departure' },
  {
    type: 'engine_stop',
    about: 'Switches the relay on an output on (setdigout)',
    parameters: {
      output: OUTPUT,
      max_speed_kmh: {
        type: 'number',
        fallback: 10,
        min: 0,
        max: 255,
        about: 'above this speed the device waits until it is slower; 0: at once, whatever the speed',
      },
    },
  },
  { type: 'engine_resume', about: 'Switches the relay on an output off (setdigout)', parameters: { output: OUTPUT } },
  {
    type: 'set_output',
    about: 'Switches one digital output (setdigout)',
    parameters: {
      output: OUTPUT,
      on: { type: 'boolean', about: 'on or off' },
      seconds: { type: 'number', fallback: 0, min: 0, max: 86_400, about: 'back again after this time; 0: stays' },
      max_speed_kmh: { type: 'number', fallback: 0, min: 0, max: 255, about: 'waits until the vehicle is slower; 0: at once' },
    },
    switches: (parameters, options) => [switching(number(parameters, 'output'), parameters['on'] === true, options)],
  },
  { type: 'status', about: 'State of firmware, network and GNSS (getinfo)', parameters: NONE },
  { type: 'network', about: 'State of the modem (getstatus)', parameters: NONE },
  { type: 'inputs', about: 'Digital and analog lines (getio)', parameters: NONE },
  { type: 'version', about: 'Firmware, hardware and IMEI (getver)', parameters: NONE },
  {
    type: 'get_parameter',
    about: 'Reads one parameter (getparam)',
    parameters: { id: { type: 'number', min: 1, max: 99_999, about: 'parameter id' } },
  },
  {
    type: 'set_parameter',
    about: 'Writes one parameter (setparam); read it back with get_parameter',
    parameters: {
      id: { type: 'number', min: 1, max: 99_999, about: 'parameter id' },
      value: { type: 'string', about: 'new value, without `;`' },
    },
    actsAs: ({ id }) => (isLink(Number(id)) ? 'set_server' : ''),
  },
  {
    type: 'set_server',
    about: 'Makes the device connect elsewhere (setparam 2004, 2005, 2006); the link drops, often before the reply',
    shownBy: 'departure',
    families: 'not FM11xx, FM22xx and GH',
    parameters: {
      host: { type: 'string', about: 'host name or address, at most 54 characters' },
      port: { type: 'number', min: 1, max: 65_535, about: 'port' },
      protocol: { type: 'string', fallback: 'tcp', oneOf: ['tcp', 'udp'], about: 'transport' },
    },
  },
  {
    type: 'custom',
    about: 'Any command text of the device, or bytes for a serial port behind it',
    parameters: {
      text: { type: 'string', about: 'printable ASCII, at most 160 characters; with `hex` as many bytes in hexadecimal' },
      hex: { type: 'boolean', fallback: false, about: 'the text is hexadecimal and its bytes are sent, whatever they are' },
    },
    switches: outputsIn,
    actsAs,
  },
];

/** Outputs that the relay of an engine may hang on. */
export const ENGINE_OUTPUTS: OptionRule = {
  type: 'string',
  fallback: '1234',
  about: 'digital outputs that can keep the vehicle from driving, like 1 or 12: switching them on waits until it stands; - for none',
};

function switching(output: number, on: boolean, options: Options): Switching {
  const engine = options['engine_outputs'] ?? ENGINE_OUTPUTS.fallback;
  return { output, on, immobilises: on && String(engine).includes(String(output)) };
}

/** Of the text of `custom`, in lower case. */
function wordsIn(parameters: Options): string[] {
  const given = String(parameters['text']);
  const bytes = parameters['hex'] === true ? fromHex(given) : undefined;
  // A line end separates as a blank does; `ascii` makes it a point.
  const text = bytes === undefined ? given : ascii(bytes, 0, bytes.length).replaceAll('.', ' ');
  return text.slice(0, MAX_TEXT).toLowerCase().split(' ');
}

/** `setdigout` and `setigndigout`: one character an output, 0, 1 or `?` (protocol.md section 7.1). */
function outputsIn(parameters: Options, options: Options): readonly Switching[] {
  const words = wordsIn(parameters);
  const found: Switching[] = [];
  let states = '1111';
  for (const word of words.reverse()) {
    if (word.endsWith('digout'))
      for (const [line, state] of [...states.slice(0, 4)].entries())
        if (state !== '?') found.push(switching(line + 1, state !== '0', options));
    if (word !== '') states = word;
  }
  return found.reverse();
}

/**
 * Parameters of the link: GPRS, access point, servers, TLS and the FOTA server, after a change of which the device may not come back. Of
 * all families, since which one a device is of may not be known: protocol.md section 7.3, and 7.4 for FM11xx (1240 to 1247, second SIM 202 to
 * 209), FM22xx (231, 240 to 246) and FMB630 (x240 to x242).
 */
function isLink(id: number): boolean {
  const last = id % 1000;
  if ((id >= 2000 && id <= 2010) || (id >= 13_000 && id <= 13_003)) return true;
  if ([202, 204, 205, 206, 209, 231, 2016, 2020, 2021, 2025].includes(id)) return true;
  return id < 10_000 && last >= 240 && last <= 247;
}

/** Words may stand in front, as in an SMS (protocol.md section 7.1). */
function actsAs(parameters: Options): string {
  const words = wordsIn(parameters);
  const has = (name: string): boolean => words.some((word) => word.endsWith(name));
  if (has('defaultcfg') || has('flush') || has('web_connect')) return 'set_server';
  const at = words.findIndex((word) => word.endsWith('setparam'));
  const pairs =
    at < 0
      ? []
      : words
          .slice(at + 1)
          .join(' ')
          .split(';');
  if (pairs.some((pair) => isLink(Number.parseInt(pair, 10)))) return 'set_server';
  return has('cpureset') ? 'reboot' : '';
}

/** First digits of the acquisition parameters (protocol.md section 7.3), by network: parked, moving. */
const PROFILES: Readonly<Record<string, readonly [stopped: number, moving: number]>> = {
  home: [10_000, 10_050],
  roaming: [10_100, 10_150],
  unknown: [10_200, 10_250],
};
/** The same of FM11xx and FM36xx (protocol.md section 7.4). */
const OLD_PROFILES: Readonly<Record<string, readonly [stopped: number, moving: number]>> = {
  home: [1540, 1550],
  roaming: [1560, 1570],
  unknown: [1580, 1590],
};
/** Send period, from the first digits. */
const SEND = 5;

export function encodeCommand(command: Command, _key: number, state: State, out: Bytes, at: number): number {
  const data = dataOf(command, state.familyName);
  if (data === undefined || data.length === 0 || data.length > MAX_TEXT) return 0;
  if (state.addressed && !/^\d{1,15}$/.test(state.imei)) return 0;
  const size = data.length + (state.addressed ? 8 : 0);
  let p = putU32be(out, at, 0);
  p = putU32be(out, p, 8 + size);
  p = putU8(out, p, state.addressed ? Codec14 : Codec12);
  p = putU8(out, p, 1);
  p = putU8(out, p, TYPE_COMMAND);
  p = putU32be(out, p, size);
  if (state.addressed) {
    const digits = state.imei.padStart(16, '0');
    for (let k = 0; k < 16; k += 2) p = putU8(out, p, (Number(digits[k]) << 4) | Number(digits[k + 1]));
  }
  out.set(data, p);
  p = putU8(out, p + data.length, 1);
  return putU32be(out, p, crc16Arc(out, at + 8, p)) - at;
}

/** The bytes behind the size field; undefined when there are none (invariants 1 and 3). */
function dataOf(command: Command, family: State['familyName']): Bytes | undefined {
  if (command.type === 'custom' && command.parameters['hex'] === true) return fromHex(string(command.parameters, 'text'));
  const text = textOf(command.type, command.parameters, family);
  if (text === undefined || !/^[\x20-\x7e]*$/.test(text)) return undefined;
  const bytes = new Uint8Array(text.length);
  putAscii(bytes, 0, text);
  return bytes;
}

/** The command as a text message, behind login and password, which may both be empty (protocol.md section 7). */
export function encodeText(command: Command, _key: number, state: State, out: Bytes, at: number): number {
  if (command.parameters['hex'] === true) return 0;
  const text = `${state.smsLogin} ${state.smsPassword} ${textOf(command.type, command.parameters, state.familyName) ?? ''}`;
  if (text.endsWith(' ') || text.length > MOST_OF_A_MESSAGE || !/^[\x20-\x7e]*$/.test(text)) return 0;
  return putAscii(out, at, text) - at;
}

/** The command's text for a family, or undefined when it has none. */
function textOf(type: string, given: Options, family: State['familyName']): string | undefined {
  switch (type) {
    case 'locate':
      return 'getgps';
    case 'record':
      return 'getrecord';
    case 'reboot':
      return 'cpureset';
    case 'status':
      return 'getinfo';
    case 'network':
      return 'getstatus';
    case 'inputs':
      return 'getio';
    case 'version':
      return 'getver';
    case 'get_parameter':
      return `getparam ${number(given, 'id')}`;
    case 'set_parameter': {
      const value = string(given, 'value');
      return value === '' || value.includes(';') ? undefined : setOne(number(given, 'id'), value, family);
    }
    case 'set_interval':
      return interval(given, family);
    case 'set_server':
      return server(given, family);
    case 'engine_stop':
      return outputText(number(given, 'output'), true, 0, number(given, 'max_speed_kmh'));
    case 'engine_resume':
      return outputText(number(given, 'output'), false, 0, 0);
    case 'set_output':
      return outputText(number(given, 'output'), given['on'] === true, number(given, 'seconds'), number(given, 'max_speed_kmh'));
    case 'custom':
      return string(given, 'text');
    default:
      return undefined;
  }
}

/** FM11xx and FM36xx part id and value by a blank, and take one parameter a command. */
function setOne(id: number, value: string | number, family: State['familyName']): string {
  return family === 'fm11' ? `setparam ${id} ${value}` : `setparam ${id}:${value}`;
}

function interval(given: Options, family: State['familyName']): string | undefined {
  const seconds = number(given, 'seconds');
  const network = string(given, 'network');
  const column = given['motion'] === 'stopped' ? 0 : 1;
  if (family === 'fm11') {
    const base = OLD_PROFILES[network]?.[column];
    return base === undefined ? undefined : setOne(base, seconds, family);
  }
  // Asset trackers are set by schedules whose parameters are not known; FM22xx have one interval for everything.
  if (family === 'asset' || family === 'tft' || family === 'tst' || family === 'gh' || family === 'fm22') return undefined;
  // On FT devices the first group holds for moving as well, and there is no unknown network.
  const isFt = family === 'ft';
  const networks = network === 'all' ? (isFt ? ['home', 'roaming'] : ['home', 'roaming', 'unknown']) : [network];
  if (isFt && networks.includes('unknown')) return undefined;
  const pairs = networks.flatMap((name) => {
    const base = PROFILES[name]?.[isFt ? 0 : column] ?? 0;
    return [`${base}:${seconds}`, `${base + SEND}:${seconds}`];
  });
  return `setparam ${pairs.join(';')}`;
}

function server(given: Options, family: State['familyName']): string | undefined {
  const host = string(given, 'host');
  if (!/^[A-Za-z0-9.-]{1,54}$/.test(host) || family === 'fm11' || family === 'fm22' || family === 'gh') return undefined;
  return `setparam 2004:${host};2005:${number(given, 'port')};2006:${given['protocol'] === 'udp' ? 1 : 0}`;
}

/** `setdigout` states, then a timeout for each output, then a speed for each; `?` leaves one as it is. */
function outputText(line: number, on: boolean, seconds: number, maxSpeedKmh: number): string | undefined {
  if (!(line >= 1 && line <= 4)) return undefined;
  const leave = '? '.repeat(line - 1);
  let text = `setdigout ${'?'.repeat(line - 1)}${on ? 1 : 0}`;
  if (seconds > 0 || maxSpeedKmh > 0) text += ` ${leave}${seconds > 0 ? seconds : '?'}`;
  if (maxSpeedKmh > 0) text += ` ${leave}${maxSpeedKmh}`;
  return text;
}

function number(given: Options, key: string): number {
  const value = given[key];
  return typeof value === 'number' && Number.isInteger(value) ? value : Number.NaN;
}

function string(given: Options, key: string): string {
  const value = given[key];
  return typeof value === 'string' ? value : '';
}
