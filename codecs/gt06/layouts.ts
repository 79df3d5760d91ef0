import { defineLayout, type Field, type Layout } from '../../src/codec/index.ts';
import { zoneMinutes } from './login.ts';

/**
 * The fixed blocks in the vendor's field names: the readable specification. `explain` walks a message with them, tests compare
 * them with the fast readers.
 */
const DOCUMENT = 'protocol.md section';

const bits =
  (names: readonly string[]) =>
  (raw: number): string => {
    const set = names.filter((name, i) => name !== '' && ((raw >> i) & 1) === 1);
    return set.length === 0 ? 'none' : set.join(', ');
  };

const DATE: readonly Field[] = [
  { name: 'year', type: 'u8', show: (raw) => String(2000 + raw) },
  { name: 'month', type: 'u8' },
  { name: 'day', type: 'u8' },
  { name: 'hour', type: 'u8' },
  { name: 'minute', type: 'u8' },
  { name: 'second', type: 'u8' },
];

function course(raw: number): string {
  const acc = (raw & 0x4000) === 0 ? '' : (raw & 0x8000) === 0 ? ', ACC off' : ', ACC on';
  const fix = (raw & 0x1000) === 0 ? 'not positioned' : 'positioned';
  const mode = (raw & 0x2000) === 0 ? '' : ', differential';
  return `${raw & 0x3ff}°, ${fix}${mode}, ${(raw & 0x400) === 0 ? 'south' : 'north'}, ${(raw & 0x800) === 0 ? 'east' : 'west'}${acc}`;
}

const GPS: readonly Field[] = [
  { name: 'gps_information', type: 'u8', show: (raw) => `${raw & 15} satellites` },
  { name: 'latitude', type: 'u32', scale: 1 / 1800000, unit: '°' },
  { name: 'longitude', type: 'u32', scale: 1 / 1800000, unit: '°' },
  { name: 'speed', type: 'u8', unit: 'km/h' },
  { name: 'course_and_status', type: 'u16', show: course },
];

const ALARM_BITS = ['none', 'vibration', 'power cut', 'low battery', 'SOS', 'power off', 'fence', 'removal'] as const;
const TERM_NAMES = bits(['armed', 'ACC on', 'charging', '', '', '', 'GPS on', 'fuel cut']);
const term = (raw: number): string => `${TERM_NAMES(raw)}; alarm: ${ALARM_BITS[(raw >> 3) & 7] ?? ''}`;
const VOLTS = ['no power', 'extremely low', 'very low', 'low', 'medium', 'high', 'full'] as const;
const GSM = ['none', 'extremely weak', 'weak', 'good', 'strong'] as const;
const language = (raw: number): string =>
  raw === 0 ? 'no reply needed' : (raw & 15) === 1 ? 'Chinese' : (raw & 15) === 2 ? 'English' : 'other';

function zone(raw: number): string {
  const minutes = zoneMinutes(raw);
  const ahead = Number.isNaN(minutes) ? 'no time zone' : `${minutes} min ahead of UTC`;
  return `${ahead}${(raw & 2) !== 0 ? ', English' : (raw & 1) !== 0 ? ', Chinese' : ''}`;
}

const TERM: Field = { name: 'terminal_information', type: 'u8', show: term };
const VOLT: Field = { name: 'voltage_level', type: 'u8', show: (raw) => VOLTS[raw] ?? `${raw} %` };
const SIGNAL: Field = { name: 'GSM_signal', type: 'u8', show: (raw) => GSM[raw] ?? String(raw) };
const ALARM: Field = { name: 'alarm', type: 'u8' };
const LANGUAGE: Field = { name: 'language', type: 'u8', show: language };
const MODE_NAMES = [
  'time interval',
  'distance interval',
  'corner',
  'ACC change',
  'last point when turning static',
  'last valid point after the network came back',
  'forced while refreshing ephemeris',
  'key pressed',
  'power on',
  'unused',
  'static, time updated',
  'from Wi-Fi',
  'answer to LJDW#',
  'static',
  'GPSDUP',
  'leaving tracking mode',
] as const;

const mcc: Field = { name: 'MCC', type: 'u16', show: (raw) => String(raw & 0x7fff) };

export const DT6 = defineLayout('date', `${DOCUMENT} 4.1`, DATE);
export const GPS12 = defineLayout('gps', `${DOCUMENT} 4.2`, GPS);
export const LBS8 = defineLayout('lbs', `${DOCUMENT} 4.3`, [
  mcc,
  { name: 'MNC', type: 'u8' },
  { name: 'LAC', type: 'u16' },
  { name: 'cell_id', type: 'bytes', length: 3 },
]);
export const LBS9 = defineLayout('lbs, MNC 2', `${DOCUMENT} 4.3`, [
  mcc,
  { name: 'MNC', type: 'u16' },
  { name: 'LAC', type: 'u16' },
  { name: 'cell_id', type: 'bytes', length: 3 },
]);
export const LBS15 = defineLayout('lbs 4G', `${DOCUMENT} 4.3`, [
  mcc,
  { name: 'MNC', type: 'u8' },
  { name: 'LAC', type: 'u32' },
  { name: 'cell_id', type: 'u64' },
]);
export const LBS16 = defineLayout('lbs 4G, MNC 2', `${DOCUMENT} 4.3`, [
  mcc,
  { name: 'MNC', type: 'u16' },
  { name: 'LAC', type: 'u32' },
  { name: 'cell_id', type: 'u64' },
]);
export const LBS_LENGTH = defineLayout('lbs length', `${DOCUMENT} 4.3`, [{ name: 'LBS_length', type: 'u8' }]);
export const STATUS = defineLayout('status', `${DOCUMENT} 6.6`, [TERM, VOLT, SIGNAL, ALARM, LANGUAGE]);
export const UPLOAD = defineLayout('upload', `${DOCUMENT} 4.7`, [
  { name: 'ACC', type: 'u8', show: (raw) => (raw === 0 ? 'off' : 'on') },
  { name: 'upload_mode', type: 'u8', show: (raw) => MODE_NAMES[raw] ?? 'unknown' },
  { name: 're_upload', type: 'u8', show: (raw) => (raw === 0 ? 'live' : 'stored') },
]);
export const MILEAGE = defineLayout('mileage', `${DOCUMENT} 4.7`, [{ name: 'mileage', type: 'u32', unit: 'm' }]);
export const FENCE = defineLayout('fence', `${DOCUMENT} 6.6`, [
  { name: 'fence_number', type: 'u8', show: (raw) => (raw === 255 ? 'none' : String(raw)) },
]);
export const IMEI = defineLayout('imei', `${DOCUMENT} 6.1`, [{ name: 'IMEI', type: 'bytes', length: 8 }]);
export const TYPE = defineLayout('type', `${DOCUMENT} 6.1`, [{ name: 'type_identification', type: 'bytes', length: 2 }]);
export const ZONE = defineLayout('zone', `${DOCUMENT} 6.1`, [
  {
    name: 'time_zone_and_language',
    type: 'u16',
    show: zone,
  },
]);
export const HEARTBEAT = defineLayout('heartbeat', `${DOCUMENT} 6.2`, [TERM, VOLT, SIGNAL, ALARM, LANGUAGE]);
export const HEARTBEAT_VOLTAGE = defineLayout('heartbeat with voltage', `${DOCUMENT} 6.2`, [
  TERM,
  { name: 'voltage', type: 'u16', scale: 0.01, unit: 'V' },
  SIGNAL,
  { name: 'language', type: 'u16', show: language },
]);
export const CELL = defineLayout('cell', `${DOCUMENT} 6.5`, [
  { name: 'LAC', type: 'u16' },
  { name: 'cell_id', type: 'bytes', length: 3 },
  { name: 'RSSI', type: 'u8' },
]);
export const CELL_WIDE = defineLayout('cell 4G', `${DOCUMENT} 6.5`, [
  { name: 'LAC', type: 'u32' },
  { name: 'cell_id', type: 'u64' },
  { name: 'RSSI', type: 'u8' },
]);
export const NETWORK3 = defineLayout('network', `${DOCUMENT} 4.3`, [mcc, { name: 'MNC', type: 'u8' }]);
export const NETWORK4 = defineLayout('network, MNC 2', `${DOCUMENT} 4.3`, [mcc, { name: 'MNC', type: 'u16' }]);
export const ACCESS_POINT = defineLayout('access point', `${DOCUMENT} 6.5`, [
  { name: 'MAC', type: 'bytes', length: 6 },
  { name: 'RSSI', type: 'u8' },
]);
export const PHONE = defineLayout('phone', `${DOCUMENT} 6.8`, [
  { name: 'phone', type: 'ascii', length: 21 },
  { name: 'language', type: 'u16', show: language },
]);
export const IDENTITIES = defineLayout('identities', `${DOCUMENT} 6.7`, [
  { name: 'IMEI', type: 'bytes', length: 8 },
  { name: 'IMSI', type: 'bytes', length: 8 },
  { name: 'ICCID', type: 'bytes', length: 10 },
]);
export const VOLTAGE = defineLayout('voltage', `${DOCUMENT} 6.7`, [{ name: 'voltage', type: 'u16', scale: 0.01, unit: 'V' }]);
export const FLAG = defineLayout('server flag', `${DOCUMENT} 6.9`, [{ name: 'server_flag', type: 'u32' }]);
export const SERIAL = defineLayout('serial', `${DOCUMENT} 2.3`, [{ name: 'serial', type: 'u16' }]);

export const LAYOUTS: readonly Layout[] = [
  DT6,
  GPS12,
  LBS8,
  LBS9,
  LBS15,
  LBS16,
  LBS_LENGTH,
  STATUS,
  UPLOAD,
  MILEAGE,
  FENCE,
  IMEI,
  TYPE,
  ZONE,
  HEARTBEAT,
  HEARTBEAT_VOLTAGE,
  CELL,
  CELL_WIDE,
  NETWORK3,
  NETWORK4,
  ACCESS_POINT,
  PHONE,
  IDENTITIES,
  VOLTAGE,
  FLAG,
  SERIAL,
];
