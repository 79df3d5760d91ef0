import { epochMs } from '../../src/base/wire/index.ts';
import type { Command, Options, OptionValue, Reading } from '../../src/codec/index.ts';

/** What the text of a reply means (protocol.md sections 7.1 and 7.2). Texts are written `Name:value Name:value …`. */

interface Shape {
  /** What every reply to the command looks like. */
  readonly form: { test(text: string): boolean };
  read?(text: string): Options;
}

const PARAMETERS: Shape = { form: /^(Param ID:|I\/O ID:|New value|WARNING|Error|Invalid)/i, read: parameters };
const OUTPUTS: Shape = { form: /DOUT/i, read: outputs };

const SHAPES: Readonly<Record<string, Shape>> = {
  locate: { form: /^GPS:/i, read: position },
  status: { form: /^(INI|RTC):/i, read: (text) => named(text, INFO) },
  version: { form: { test: isVersion }, read: (text) => named(text, VERSION) },
  network: { form: /^Data Link/i, read: (text) => named(text, STATUS) },
  inputs: { form: /^DI1:/i, read: lines },
  get_parameter: PARAMETERS,
  set_parameter: PARAMETERS,
  set_interval: PARAMETERS,
  set_server: PARAMETERS,
  engine_stop: OUTPUTS,
  engine_resume: OUTPUTS,
  set_output: OUTPUTS,
};

const REFUSED = /^(refused|WARNING|Error|Invalid|unknown command)|doesn't exist/i;

export function readReply(command: Command | undefined, text: string): Reading | undefined {
  const shape = SHAPES[command?.type ?? ''];
  const refused = REFUSED.test(text);
  const said = Object.values(SHAPES).find(({ form }) => form.test(text));
  // Section 7.2: anything else is delivered as it is. The documented reply to another command is none to this one.
  if (shape !== undefined && !refused && !shape.form.test(text)) return said === undefined ? { outcome: 'unclear', values: {} } : undefined;
  return { outcome: refused ? 'refused' : 'done', values: refused ? {} : ((shape ?? said)?.read?.(text) ?? {}) };
}

/** `Ver`, and `IMEI` behind it. Two searches: a pattern would look for the second from each of the first. */
function isVersion(text: string): boolean {
  const words = text.toLowerCase();
  const first = words.indexOf('ver');
  return first >= 0 && words.indexOf('imei', first) > 0;
}

/** Names in the text and ours. */
const INFO = {
  RST: 'restarts',
  ERR: 'errors',
  SR: 'sent_records',
  BR: 'broken_records',
  FG: 'network_failures',
  FL: 'link_failures',
  GPS: 'gps',
  SAT: 'satellites',
  RS: 'reset_source',
  MD: 'data_mode',
};
const VERSION = { Ver: 'firmware', GPS: 'gnss_firmware', Hw: 'model', IMEI: 'imei', Uptime: 'uptime_s', MAC: 'bluetooth_mac' };
const STATUS = {
  'Data Link': 'data_link',
  GPRS: 'gprs',
  OP: 'operator',
  Signal: 'gsm_level',
  Roaming: 'roaming',
  LAC: 'lac',
  'Cell ID': 'cell_id',
};
/** These stay text, whatever their digits: identities. */
const TEXTS = new Set(['firmware', 'gnss_firmware', 'model', 'imei', 'bluetooth_mac', 'operator']);

function named(text: string, names: Readonly<Record<string, string>>): Options {
  const values: Record<string, OptionValue> = {};
  for (const [theirs, ours] of Object.entries(names)) {
    const found = new RegExp(`(?:^|\\s)${theirs}: ?(\\S+)`).exec(text)?.[1];
    if (found !== undefined) values[ours] = TEXTS.has(ours) ? found : numeric(found);
  }
  return values;
}

function numeric(text: string): OptionValue {
  return /^-?\d{1,15}(\.\d{1,10})?$/.test(text) ? Number(text) : text;
}

const GETGPS =
  /^GPS:(\d+) Sat:(\d+) Lat:(-?[\d.]+) Long:(-?[\d.]+) Alt:(-?\d+) Speed:(\d+) Dir:(\d+) Date: ?(\d+)\/(\d+)\/(\d+) Time: ?(\d+):(\d+):(\d+)/i;

function position(text: string): Options {
  const found = GETGPS.exec(text);
  if (found === null) return {};
  const [gps = 0, satellites = 0, lat = 0, lon = 0, altitude = 0, speed = 0, course = 0, ...date] = found.slice(1).map(Number);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = date;
  const time = epochMs(year, month, day, hour, minute, second);
  const at = Number.isNaN(time) ? {} : { time };
  return { valid: gps !== 0, satellites, lat, lon, altitude_m: altitude, speed_kmh: speed, course_deg: course, ...at };
}

/** `DI1:1 DI2:0 … AIN1:0 … DO1:0` */
function lines(text: string): Options {
  const values: Record<string, OptionValue> = {};
  for (const [, kind, line, value] of text.matchAll(/\b(DI|AIN|DO)(\d):(\d{1,6})/g)) {
    if (kind === 'AIN') values[`analog_v_${line}`] = Number(value) / 1000;
    else values[`${kind === 'DI' ? 'input' : 'output'}_${line}`] = value === '1';
  }
  return values;
}

/** `DOUT1:ON Timeout:10s …` */
function outputs(text: string): Options {
  const values: Record<string, OptionValue> = {};
  for (const [, line, state] of text.matchAll(/DOUT(\d):(ON|OFF|1|0)\b/gi)) values[`output_${line}`] = /^(ON|1)$/i.test(state ?? '');
  return values;
}

/** Parameters that are settings of ours: moving and parked, by network (7.3), and of FM11xx and FM36xx (7.4). */
const INTERVALS = new Set([10_050, 10_150, 10_250, 1550, 1570, 1590]);
const PARKED = new Set([10_000, 10_100, 10_200, 1540, 1560, 1580]);

/** `Param ID:10050 Value:60`, `Param ID:13000 Value:a.b;1000:300`, `New value 2001:wap;2002:user`. */
function parameters(text: string): Options {
  const values: Record<string, OptionValue> = {};
  const list = text.replace(/^(?:Param|I\/O) ID:(\d+) Value:/i, '$1:').replace(/^New value /i, '');
  for (const part of list.split(';')) {
    const [, id, value] = /^\s*(\d{1,5}):(.*)$/.exec(part) ?? [];
    if (id === undefined || value === undefined) continue;
    values[`parameter_${id}`] = numeric(value.trim());
    if (INTERVALS.has(Number(id))) values['interval'] = Number(value);
    if (PARKED.has(Number(id))) values['interval_stopped'] = Number(value);
  }
  const host = values['parameter_2004'];
  const port = values['parameter_2005'];
  if (host !== undefined && port !== undefined) values['server'] = `${host}:${port}`;
  return values;
}
