import { type Bytes, putAscii } from '../../src/base/wire/index.ts';
import type { Command, CommandRule, Options, Switching } from '../../src/codec/index.ts';
import type { QueclinkState } from './state.ts';

/**
 * Commands (protocol.md section 11): `AT+GT` name `=` password `,` parameters `,` serial `$`. An empty parameter keeps what it is. The
 * serial, four hex digits, is the key of the command and comes back in +ACK.
 */
const OUTPUT = { type: 'number', min: 1, max: 4, fallback: 1, about: 'number of the output' } as const;

export const COMMANDS: readonly CommandRule[] = [
  { type: 'locate', about: 'One position now (GTRTO 1)', parameters: {}, shownBy: 'fix' },
  {
    type: 'set_interval',
    about: 'Seconds between positions (GTFRI)',
    parameters: { seconds: { type: 'number', min: 5, max: 86_400, about: 'seconds between positions' } },
  },
  { type: 'reboot', about: 'Restart the device (GTRTO 3)', parameters: {} },
  { type: 'engine_stop', about: 'Output 1 on (GTOUT); vehicle units', parameters: {}, families: 'vehicle units' },
  { type: 'engine_resume', about: 'Output 1 off (GTOUT); vehicle units', parameters: {}, families: 'vehicle units' },
  {
    type: 'set_output',
    about: 'Switch an output for good (GTOUT); vehicle units',
    parameters: { output: OUTPUT, on: { type: 'boolean', about: 'true switches it on' } },
    families: 'vehicle units',
  },
  {
    type: 'set_server',
    about: 'Where the device connects to over TCP (GTSRI): it leaves this server',
    shownBy: 'departure',
    parameters: {
      host: { type: 'string', about: 'name or IPv4 address' },
      port: { type: 'number', min: 1, max: 65535, about: 'TCP port' },
    },
  },
  { type: 'version', about: 'Model, firmware and hardware (GTRTO 8)', parameters: {} },
  { type: 'status', about: 'Battery and supply (GTRTO 9)', parameters: {} },
  { type: 'configuration', about: 'All settings (GTRTO 2)', parameters: {} },
  {
    type: 'custom',
    about: 'Any command, as GTxxx=parameters; password and serial are added',
    parameters: { text: { type: 'string', about: 'name and parameters between password and serial, such as GTRTO=7,,,,,' } },
    switches: outputsIn,
    actsAs,
  },
];

/** Between the password and the serial. */
interface Line {
  readonly name: string;
  readonly parameters: string;
}

const LONGEST_TEXT = 400;

export function encodeCommand(command: Command, key: number, state: QueclinkState, out: Bytes, at: number): number {
  const password = state.password === '' ? state.addressed.name.toLowerCase().replace(/[^a-z0-9]/g, '') : state.password;
  const line = lineOf(command, state);
  if (line === undefined || key > 0xffff || !/^[A-Za-z0-9]{1,20}$/.test(password)) return 0;
  if (!/^[A-Z0-9]{3,10}$/.test(line.name) || !/^[\x20-\x7e]*$/.test(line.parameters) || line.parameters.includes('$')) return 0;
  let p = putAscii(out, at, `AT+${line.name}=${password},`);
  p = putAscii(out, p, line.parameters);
  p = putAscii(out, p, `,${key.toString(16).toUpperCase().padStart(4, '0')}$`);
  return p - at;
}

function lineOf(command: Command, state: QueclinkState): Line | undefined {
  const { parameters } = command;
  const real = REAL_TIME[command.type];
  if (real !== undefined) return { name: 'GTRTO', parameters: `${real},,,,,` };
  switch (command.type) {
    case 'set_interval':
      return interval(Number(parameters['seconds']), state);
    case 'engine_stop':
      return output(1, true, state);
    case 'engine_resume':
      return output(1, false, state);
    case 'set_output':
      return output(Number(parameters['output']), parameters['on'] === true, state);
    case 'set_server':
      return server(String(parameters['host']), Number(parameters['port']));
    case 'custom':
      return custom(String(parameters['text']));
    default:
      return undefined;
  }
}

/**
 * GTFRI. Personal units, 21 fields: mode, 5 kept, check, send, 11 kept. Vehicle units, 19 fields: mode, 5 kept, check, send, 9 kept; GV55 and GV500
 * have no check interval.
 */
function interval(seconds: number, state: QueclinkState): Line | undefined {
  if (!Number.isInteger(seconds)) return undefined;
  const { family, name } = state.addressed;
  if (family === '') return undefined;
  if (family !== 'gv') return { name: 'GTFRI', parameters: `1,,,,,,${seconds},${seconds},,,,,,,,,,,` };
  const check = /^GV5[05]/.test(name) ? '' : String(seconds);
  return { name: 'GTFRI', parameters: `1,,,,,,${check},${seconds},,,,,,,,,` };
}

/** Status, duration, toggle times of each output; empty: it stays as it is (protocol.md section 11.5). Personal units have none. */
function output(number: number, on: boolean, state: QueclinkState): Line | undefined {
  const { family, name, gv200 } = state.addressed;
  if (family !== 'gv' || !Number.isInteger(number)) return undefined;
  const value = on ? '1' : '0';
  if (number === 1) {
    if (/^GV55/.test(name)) return { name: 'GTOUT', parameters: `${value},0,0,,,,,,,3,,0,,,,` };
    if (name === 'GMT100') return { name: 'GTOUT', parameters: `${value},0,0,0,,,,,,,,,` };
  }
  if (number < 1 || number > (gv200 ? 4 : 3)) return undefined;
  const fields = Array<string>(16).fill('');
  fields.splice(3 * (number - 1), 3, value, '0', '0');
  return { name: 'GTOUT', parameters: fields.join(',') };
}

/** GTSRI: TCP that stays open, stored reports sent, heartbeat every 10 minutes, +SACK wanted. */
function server(host: string, port: number): Line | undefined {
  if (!/^[A-Za-z0-9.-]{1,60}$/.test(host) || !Number.isInteger(port)) return undefined;
  return { name: 'GTSRI', parameters: `3,,1,${host},${port},,,,10,1,,,,` };
}

function custom(text: string): Line | undefined {
  if (text.length > LONGEST_TEXT) return undefined;
  const equals = text.indexOf('=');
  const name = (equals < 0 ? text : text.slice(0, equals)).replace(/^AT\+/i, '').toUpperCase();
  return { name, parameters: equals < 0 ? '' : text.slice(equals + 1) };
}

/** Name and parameters of a text. */
function partsOf(parameters: Options): readonly [name: string, ...fields: string[]] {
  const line = custom(String(parameters['text']).slice(0, LONGEST_TEXT));
  const fields = (line?.parameters ?? '').split(',').map((field) => field.trim());
  return [line?.name ?? '', ...fields];
}

/** Name and first parameter of what a command is sent as. */
export function sentAs({ type, parameters }: Command): readonly [name: string, first: string] {
  if (type === 'custom') {
    const [name, first = ''] = partsOf(parameters);
    return [name, first.toUpperCase()];
  }
  const real = REAL_TIME[type];
  return real === undefined ? [NAMES[type] ?? '', ''] : ['GTRTO', real];
}

const REAL_TIME: Readonly<Record<string, string>> = { locate: '1', configuration: '2', reboot: '3', version: '8', status: '9' };
const NAMES: Readonly<Record<string, string>> = {
  set_interval: 'GTFRI',
  engine_stop: 'GTOUT',
  engine_resume: 'GTOUT',
  set_output: 'GTOUT',
  set_server: 'GTSRI',
};

const OUTPUTS = 4;

/** `GTOUT=1,0,0,…`: three fields an output. On units that are not of the common form it may switch any of them. */
function outputsIn(parameters: Options): readonly Switching[] {
  const [name, ...fields] = partsOf(parameters);
  if (name !== 'GTOUT') return [];
  const found: Switching[] = [];
  for (let n = 0; n < OUTPUTS; n++) {
    const value = fields[3 * n] ?? '';
    if (value === '' || !/^\d$/.test(value)) continue;
    found.push({ output: n + 1, on: value !== '0', immobilises: value !== '0' });
  }
  return found;
}

/** What may take the unit elsewhere: server, access point, both at once, factory settings, power off. */
function actsAs(parameters: Options): string {
  const [name, sub = ''] = partsOf(parameters);
  if (name === 'GTSRI' || name === 'GTQSS' || name === 'GTBSI') return 'set_server';
  if (name !== 'GTRTO') return '';
  if (sub === '3') return 'reboot';
  return sub === '4' || sub === '5' ? 'set_server' : '';
}
