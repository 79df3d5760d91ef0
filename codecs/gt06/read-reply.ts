import { type Command, type Options, type OptionValue, type Reading, readPosition } from '../../src/codec/index.ts';

/** What the text of a reply means (protocol.md sections 9.3 to 9.6). */

/** In this order, the first that fits (9.3). */
const REFUSED = /error|fail|invalid|not support|no permission/i;
const DEFERRED = /delay|speed limit|unvalued fix|not fixed/i;

export function readReply(command: Command | undefined, text: string): Reading {
  // A state in which the setting was already is what was asked for.
  const already = /already in the state/i.test(text);
  const refused = isRefusal(text);
  const outcome = already ? 'done' : refused ? 'refused' : DEFERRED.test(text) ? 'deferred' : 'done';
  // The device is asked again in its other words (reply.ts): the reply to those counts.
  if (refused && !already && command?.type === 'locate') return { outcome: 'unclear', values: {} };
  return { outcome, values: outcome === 'refused' ? {} : values(text) };
}

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
