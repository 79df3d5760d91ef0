import type { Command, Options, OptionValue, Reading } from '../../src/codec/index.ts';
import { epochMs } from '../../src/wire/index.ts';

/** What the text of a reply means (protocol.md sections 9.3 to 9.6). */

/** In this order, the first that fits (9.3). */
const REFUSED = /error|fail|invalid|not support|no permission/i;
const DEFERRED = /delay|speed limit|unvalued fix|not fixed/i;

export function readReply(_command: Command | undefined, text: string): Reading {
  // A state in which the setting was already is what was asked for.
  const already = /already in the state/i.test(text);
  const refused = REFUSED.test(text) || (/password/i.test(text) && /wrong/i.test(text));
  const outcome = already ? 'done' : refused && !isReport(text) ? 'refused' : DEFERRED.test(text) ? 'deferred' : 'done';
  return { outcome, values: outcome === 'refused' ? {} : values(text) };
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

/** WHERE# and DWXX# (9.5): hemisphere letter and degrees, or degrees and minutes; the date is in the device's own zone. */
function position(text: string): Options {
  const place = /Lat:([NS])(\d{1,2})(?:\.(\d{1,12})|d([\d.]{1,12})m),Lon:([EW])(\d{1,3})(?:\.(\d{1,12})|d([\d.]{1,12})m)/.exec(text);
  if (place === null) return {};
  const degrees = (whole = '', decimals: string | undefined, minutes: string | undefined): number =>
    minutes === undefined ? Number(`${whole}.${decimals ?? ''}`) : Number(whole) + Number(minutes) / 60;
  const lat = (place[1] === 'S' ? -1 : 1) * degrees(place[2], place[3], place[4]);
  const lon = (place[5] === 'W' ? -1 : 1) * degrees(place[6], place[7], place[8]);
  const course = /Course:([\d.]{1,12})/.exec(text)?.[1];
  const speed = /Speed:([\d.]{1,12})/.exec(text)?.[1];
  const date = /DateTime:(\d{2,4})-(\d{1,2})-(\d{1,2})\s{1,4}(\d{1,2}):(\d{2}):(\d{2})/.exec(text)?.slice(1).map(Number);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = date ?? [];
  const local = epochMs(year < 100 ? 2000 + year : year, month, day, hour, minute, second);
  return {
    valid: !/^Last position/i.test(text),
    lat,
    lon,
    ...(course === undefined ? {} : { course_deg: Number(course) }),
    ...(speed === undefined ? {} : { speed_kmh: Number(speed) }),
    ...(date === undefined || Number.isNaN(local) ? {} : { local_time: local }),
  };
}
