import { type Command, type Options, type OptionValue, type Reading, readPosition } from '../../src/codec/index.ts';

/** What the text of a reply means (protocol.md sections 9.3 to 9.6). */

/** In this order, the first that fits (9.3). */
const REFUSED = /error|fail|invalid|not support|no permission/i;
const DEFERRED = /delay|speed limit|unvalued fix|not fixed/i;

/** A text without the form that replies to the command have is the reply when no other comes. */
export function readReply(command: Command | undefined, text: string): Reading | undefined {
  const form = command === undefined ? undefined : FORMS.get(command.type);
  if (form?.other?.test(text) === true && !REFUSED.test(text)) return undefined;
  // A state in which the setting was already is what was asked for.
  const already = /already in the state/i.test(text);
  const refused = isRefusal(text);
  const outcome = already ? 'done' : refused ? 'refused' : DEFERRED.test(text) ? 'deferred' : 'done';
  // The device is asked again in its other words (reply.ts): the reply to those counts.
  if (refused && !already && command?.type === 'locate') return { outcome: 'unclear', values: {} };
  const isKnown = form === undefined || SUCCESS.test(text) || form.of.test(text);
  return { outcome: outcome === 'done' && !already && !isKnown ? 'unclear' : outcome, values: outcome === 'refused' ? {} : values(text) };
}

const SUCCESS = /\b(ok|success\w*)\b|_OK\b/i;

interface Form {
  readonly of: RegExp;
  /** What replies to the opposite command say. */
  readonly other?: RegExp;
}

/** What the replies hold, where the protocol says so (9.4 to 9.6). */
const FORMS: ReadonlyMap<string, Form> = new Map<string, Form>([
  ['set_interval', { of: /\bTIMER\b/i }],
  ['reboot', { of: /\bRESET\b|\brestart\b/i }],
  ['engine_stop', { of: /\bDYD\b|\bRELAY\b|fuel supply/i, other: /\bHFYD=|^Restore fuel|fuel supply to resume|fuel supply is on/i }],
  ['engine_resume', { of: /\bHFYD\b|\bRELAY\b|fuel supply/i, other: /\bDYD=|^Cut off the fuel|fuel supply cut off/i }],
  ['status', { of: /\b(Battery|GPRS|GPS|GSM[\w ]{0,20}|ACC|Defense|IMEI)[:=]/i }],
  ['version', { of: /\[VERSION\]|\bV(ER(SION)?)?[:=_ ]?\d|\d[._]\d/i }],
  ['set_server', { of: /\bSERVER\b/i }],
  ['set_time_zone', { of: /\bGMT\b/i }],
  ['locate', { of: /\bLat:|\bq=|^(Current|Last) position/i }],
]);

/** Does the device say that it cannot or will not? */
export function isRefusal(text: string): boolean {
  return (REFUSED.test(text) || (/password/i.test(text) && /wrong/i.test(text))) && !isReport(text);
}

/** The texts of `STATUS#` and `PARAM#`: what fails in them is not the command. */
function isReport(text: string): boolean {
  return /^(Battery|IMEI):/i.test(text) || /^\[VERSION\]/i.test(text);
}

function values(text: string): Options {
  const found: Record<string, OptionValue> = {};
  const number = (name: string, form: RegExp): void => {
    const value = form.exec(text)?.[1];
    if (value !== undefined) found[name] = Number(value);
  };
  const words = (name: string, form: RegExp): void => {
    const value = form.exec(text)?.[1]?.trim();
    if (value !== undefined && value !== '') found[name] = value;
  };
  const onOff = (name: string, form: RegExp): void => {
    const value = form.exec(text)?.[1];
    if (value !== undefined) found[name] = /^(ON|1)$/i.test(value);
  };
  // STATUS#
  number('battery_v', /\bBattery:(\d{1,2}\.\d{1,3})V/);
  words('gprs', /\bGPRS:([^;]+)/);
  words('gsm_signal', /\bGSM Signal Level:([^;]+)/);
  words('gnss_status', /\bGPS:([^;,]+)/);
  number('satellites', /\bSVS Used in fix:(\d{1,2})/);
  number('satellites_visible', /\bSVS Used in fix:\d{1,2}\((\d{1,2})\)/);
  onOff('ignition', /\bACC:(ON|OFF)\b/);
  onOff('armed', /\bDefense:(ON|OFF)\b/);
  // PARAM#, TIMER#, RELAY#, VERSION#
  words('imei', /\bIMEI:(\d{14,16})\b/);
  number('interval', /\bTIMER(?: ACC ON)?:(\d{1,5})/);
  number('interval_off', /\bTIMER(?::\d{1,5},| ACC ON:\d{1,5}s?, ?ACC OFF:)(\d{1,5})/);
  onOff('blocked', /^RELAY:([01])\b/i);
  words('firmware', /\[VERSION\]([^[]+)/);
  words('build', /\[BUILD\]([^[]+)/);
  number('odometer_m', /\bTotal Mileage:(\d{1,9})km/);
  if (found['odometer_m'] !== undefined) found['odometer_m'] = Number(found['odometer_m']) * 1000;
  const zone = /\bTimeZone:([EW]),(\d{1,2}),(\d{1,2})\b/.exec(text);
  if (zone !== null) found['time_zone'] = (zone[1] === 'W' ? -1 : 1) * (Number(zone[2]) * 60 + Number(zone[3]));
  return { ...found, ...position(text) };
}

/** WHERE#, DWXX#, URL# (9.5); the date is in the device's own zone. */
function position(text: string): Options {
  const found = readPosition(text);
  if (found === undefined) return {};
  const { latitude, longitude, valid, courseDeg, speedKmh, localMs } = found;
  return {
    valid,
    lat: latitude,
    lon: longitude,
    ...(Number.isNaN(courseDeg) ? {} : { course_deg: courseDeg }),
    ...(Number.isNaN(speedKmh) ? {} : { speed_kmh: speedKmh }),
    ...(Number.isNaN(localMs) ? {} : { local_time: localMs }),
  };
}
