import { readFileSync, writeFileSync } from 'node:fs';

/**
 * `npm run generate:teltonika` makes `codecs/teltonika/elements.ts` and `values.ts` from the element dictionary beside this file
 * (codecs/teltonika/protocol.md section 8).
 *
 * `elements.jsonl`, first line: `families`, lists of device families. Each further line is an element: its `id` and its `definitions`,
 * the default first. A definition has the vendor's `name` and `title`, `bytes` (1, 2, 4, 8, several of them, or "variable"), `signed` (absent:
 * no), `unit` (absent: none), `scale` (absent: 1), `rawRange`, `encoding`, `families` (a number: which list), `values` (number → meaning), `bits`
 * (bit → meaning) and `special` (raw value → why it is not a measurement).
 *
 * What is ours, and not the dictionary's, stands in the tables below: which standard name (codecs/vocabulary.ts) a vendor's
 * name has, and which elements need more than a number read (`ROLES`).
 */

/** Letters of the device families in elements.ts; the first dictionary family of a list stands for all in it. */
const FAMILY_LETTERS: readonly (readonly [string, readonly string[]])[] = [
  ['F', ['FMx0xx', 'FMx1xx', 'FMx2xx', 'FMx8xx', 'FMx9xx', 'FM30xx', 'FMP100', 'FMT100', 'MSP500', 'MTB100']],
  ['S', ['FMx6xx']],
  ['A', ['TATxxx', 'TMT250', 'GH5200']],
  ['T', ['TFT100']],
  ['K', ['TST100']],
  ['X', ['FTxxxx', 'ATxxxx']],
  ['L', ['FM1100', 'FM3400']],
  ['M', ['FM22xx', 'FM32xx', 'FM4200']],
  ['7', ['GH3000', 'GH4000']],
];

/** Vendor's name (`#` stands for the number in it) → standard name, and the factor from the dictionary's unit to ours. */
const STANDARD: Readonly<Record<string, readonly [name: string, factor: number]>> = {
  ignition: ['ignition', 1],
  movement: ['motion', 1],
  chargerConnected: ['charging', 1],
  roaming: ['roaming', 1],
  canSsfEngineLockActive: ['blocked', 1],
  canSsfFactoryArmed: ['armed', 1],
  externalVoltage: ['external_v', 1],
  extendedExternalVoltage: ['external_v', 1],
  batteryVoltage: ['battery_v', 1],
  batteryLevel: ['battery_pct', 1],
  gsmSignal: ['gsm_level', 1],
  activeGsmOperator: ['operator', 1],
  gnssPdop: ['pdop', 1],
  gnssVdop: ['vdop', 1],
  gnssStatus: ['gnss_status', 1],
  speed: ['gnss_speed_kmh', 1],
  totalOdometer: ['odometer_m', 1],
  tripOdometer: ['trip_m', 1],
  canEngineWorktime: ['engine_hours_s', 60],
  fmsEngineTotalHoursOfOperation: ['engine_hours_s', 3600],
  obdEngineRpm: ['rpm', 1],
  canEngineRpm: ['rpm', 1],
  fmsEngineSpeed: ['rpm', 1],
  obdVehicleSpeed: ['obd_speed_kmh', 1],
  canVehicleSpeed: ['obd_speed_kmh', 1],
  fmsWheelBasedSpeed: ['obd_speed_kmh', 1],
  obdThrottlePosition: ['throttle_pct', 1],
  obdEngineLoad: ['engine_load_pct', 1],
  canEngineLoad: ['engine_load_pct', 1],
  fmsEngineCurrentLoad: ['engine_load_pct', 1],
  obdCoolantTemperature: ['coolant_c', 1],
  canEngineTemperature: ['coolant_c', 1],
  fmsEngineCoolantTemperature: ['coolant_c', 1],
  obdIntakeAirTemperature: ['intake_c', 1],
  obdEngineOilTemperature: ['oil_c', 1],
  obdFuelLevel: ['fuel_pct', 1],
  canFuelLevelPercent: ['fuel_pct', 1],
  fmsFuelLevel: ['fuel_pct', 1],
  canFuelLevelLiters: ['fuel_l', 1],
  obdOemOemFuelLevel: ['fuel_l', 1],
  canFuelConsumed: ['fuel_used_l', 1],
  fmsEngineTotalFuelUsed: ['fuel_used_l', 1],
  obdFuelRate: ['fuel_rate_lph', 1],
  canFuelRate: ['fuel_rate_lph', 1],
  fmsFuelRate: ['fuel_rate_lph', 1],
  'canAxle#Load': ['axle_weight_kg_#', 1],
  'fmsAxleWeight#': ['axle_weight_kg_#', 1],
  'dallasTemperature#': ['temperature_c_#', 1],
  'oneWireHumidity#': ['humidity_pct_#', 1],
  'digitalInput#': ['input_#', 1],
  'digitalOutput#': ['output_#', 1],
  'analogInput#': ['analog_v_#', 1],
  axisX: ['acceleration_x_g', 1],
  axisY: ['acceleration_y_g', 1],
  axisZ: ['acceleration_z_g', 1],
  iButton: ['driver_id', 1],
  rfid: ['driver_id', 1],
  rfidCom2: ['driver_id', 1],
  vin: ['vin', 1],
  canVin: ['vin', 1],
  fmsEcoVinNumber: ['vin', 1],
  iccid: ['iccid', 1],
  imsi: ['imsi', 1],
  dtcCodes: ['dtc', 1],
  canFaultCodes: ['dtc', 1],
  sleepMode: ['sleep_mode', 1],
  'bleTemperature#': ['tag_#_temperature_c', 1],
  'bleHumidity#': ['tag_#_humidity_pct', 1],
  'bleBattery#': ['tag_#_battery_pct', 1],
  'ble#Temperature': ['tag_#_temperature_c', 1],
  'ble#Humidity': ['tag_#_humidity_pct', 1],
  'ble#BatteryVoltage': ['tag_#_battery_pct', 1],
  'eyeBatteryVoltage#': ['tag_#_battery_v', 0.001],
  'eyeTemperature#': ['tag_#_temperature_c', 1],
  'eyeHumidity#': ['tag_#_humidity_pct', 1],
  'eyeMagnet#': ['tag_#_magnet', 1],
  'eyeMovementCount#': ['tag_#_movements', 1],
  'eyePitch#': ['tag_#_pitch_deg', 1],
  'eyeRoll#': ['tag_#_roll_deg', 1],
  'eyeLowBattery#': ['tag_#_low_battery', 1],
};

/**
 * What a name ends in, by the dictionary's unit, and the factor from that unit to ours. A unit that depends on the sensor behind the
 * element ("l or ml") is not here: its name has none.
 */
export const UNITS: Readonly<Record<string, readonly [suffix: string, factor: number]>> = {
  '%': ['pct', 1],
  '%RH': ['pct', 1],
  '°C': ['c', 1],
  '°': ['deg', 1],
  m: ['m', 1],
  km: ['km', 1],
  cm: ['cm', 1],
  mm: ['mm', 1],
  m2: ['m2', 1],
  m3: ['m3', 1],
  s: ['s', 1],
  ms: ['ms', 1],
  min: ['min', 1],
  h: ['h', 1],
  d: ['d', 1],
  'unix s': ['unix_s', 1],
  l: ['l', 1],
  ml: ['ml', 1],
  kg: ['kg', 1],
  g: ['g', 1],
  mg: ['g', 0.001],
  t: ['t', 1],
  V: ['v', 1],
  mV: ['v', 0.001],
  A: ['a', 1],
  mA: ['a', 0.001],
  Ah: ['ah', 1],
  mAh: ['ah', 0.001],
  W: ['w', 1],
  kW: ['kw', 1],
  Wh: ['wh', 1],
  kWh: ['kwh', 1],
  N: ['n', 1],
  kPa: ['kpa', 1],
  Hz: ['hz', 1],
  lx: ['lx', 1],
  dB: ['db', 1],
  dBm: ['dbm', 1],
  BPM: ['bpm', 1],
  rpm: ['rpm', 1],
  'km/h': ['kmh', 1],
  'm/s': ['mps', 1],
  'l/h': ['lph', 1],
  'g/s': ['g_per_s', 1],
  'g/m2': ['g_per_m2', 1],
  'm2/h': ['m2_per_h', 1],
  'km/l': ['km_per_l', 1],
  'Wh/km': ['wh_per_km', 1],
  'l/100km': ['l_per_100km', 1],
  'kWh/100km': ['kwh_per_100km', 1],
};
/** Units without one meaning. */
export const UNCLEAR_UNITS: ReadonlySet<string> = new Set(['kvants or l', 'l or ml', 'g or rad/s']);
/** The dictionary writes these ranges in the physical unit, not in raw numbers; so do all whose scale is not a power of ten. */
const PHYSICAL_RANGES: ReadonlySet<string> = new Set(['obdRelativeFuelRailPressure', 'reeferInboxBattery']);

/** Standard names that are booleans, whatever the dictionary says of their range. */
const BOOLEAN = /^(ignition|motion|charging|roaming|blocked|armed|input_\d+|output_\d+|tag_\d+_(magnet|low_battery))$/;

/** Vendor's names of elements that mean more than their number: how elements.ts marks them for decode. */
const ROLES: Readonly<Record<string, string>> = {
  gnssStatus: 'gnss',
  gnssHdop: 'hdop',
  activeGsmOperator: 'operator',
  gsmCellId: 'cell',
  umtsLteCellId: 'wide_cell',
  lteCellId: 'wide_cell',
  gsmAreaCode: 'lac',
  iccid1: 'iccid_1',
  iccid2: 'iccid_2',
  ccidPart1: 'ccid_1',
  ccidPart2: 'ccid_2',
  ccidPart3: 'ccid_3',
  tachoVehicleIdentificationNumberPart1: 'vin_1',
  tachoVehicleIdentificationNumberPart2: 'vin_2',
  tachoVehicleIdentificationNumberPart3: 'vin_3',
  tachoVehicleRegistrationNumberPart1: 'plate_1',
  tachoVehicleRegistrationNumberPart2: 'plate_2',
  tachoDriver1IdMsb: 'card_1a',
  tachoDriver1IdLsb: 'card_1b',
  tachoDriver2IdMsb: 'card_2a',
  tachoDriver2IdLsb: 'card_2b',
  canDriver1IdHigh: 'card_1a',
  canDriver1IdLow: 'card_1b',
  canDriver2IdHigh: 'card_2a',
  canDriver2IdLow: 'card_2b',
  imsi: 'digits',
  canTotalMileage: 'odometer_can',
  tachoOdometer: 'odometer_tachograph',
  canTachographTotalVehicleDistance: 'odometer_tachograph',
  obdOemOemTotalMileage: 'odometer_obd_km',
  j1939TotalVehicleDistance: 'odometer_can_km',
  scooterTotalMileage: 'odometer_can',
  boschTotalDistance: 'odometer_can_km',
  ecoMaximum: 'xyz',
  ecoAverage: 'xyz',
  bloodAlcoholContent: 'alcohol',
  canDoorStatus: 'doors',
  beaconList: 'beacons',
  advancedBeaconList: 'tags',
  bleAdvertisementData: 'tags',
  eyeProximityNear: 'tags',
  eyeProximityAway: 'tags',
  eyeProximityFarAway: 'tags',
  eyeProximityLost: 'tags',
  eyeSensorList: 'tags',
  driverName: 'ascii',
  iso6709Coordinates: 'ascii',
};

/** Cells around the serving one, 1 to 4 of each network, as asset trackers list them (codecs/teltonika/protocol.md section 8.5). */
const NEIGHBOUR = /^(gsm|lte)Cell(Lac|Id|Mnc)([1-4])$/;

interface Entry {
  readonly name: string;
  readonly role: string;
  readonly scale: number;
  /** '1248', 'x' for variable. */
  readonly widths: string;
  readonly families: string;
  /** Raw limits `low:high`, `-` for none; behind them `!` when all ones mean "not available", whatever the width. */
  readonly range: string;
  /** Raw values that are error codes. */
  readonly codes: string;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/**
 * `geofenceZone06` → `geofence_zone_06`; a number belongs to the word before it unless that is one letter. The dictionary
 * keeps second ids of one thing apart by `Io<id>`: dropped here where it is the same thing.
 */
export function snakeCase(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1_$2')
    .toLowerCase()
    .replace(/([a-z]{2,})(\d)/g, '$1_$2')
    .replace(/^(geofence|lte|modem|alarm)(.*)_io_\d+$/, '$1$2');
}

function entry(definition: Readonly<Record<string, unknown>>): Entry {
  const vendor = text(definition['name']);
  const digits = /\d+/.exec(vendor)?.[0] ?? '';
  const exact = STANDARD[vendor];
  const numbered = digits === '' ? undefined : STANDARD[vendor.replace(digits, '#')];
  const unit = text(definition['unit']);
  const [standard, factor] = exact ?? numbered ?? withUnit(snakeCase(vendor), unit);
  const name = standard.replace('#', String(Number(digits)));
  const given = typeof definition['scale'] === 'number' ? definition['scale'] : 1;
  // Acceleration and voltage names carry g and V; some listings give thousandths of them.
  const isStandard = exact !== undefined || numbered !== undefined;
  const thousandths = isStandard && ((unit === 'mg' && name.startsWith('acceleration_')) || (unit === 'mV' && /_v(_\d+)?$/.test(name)));
  const scale = Number((given * factor * (thousandths ? 0.001 : 1)).toPrecision(6));
  const bytes = definition['bytes'];
  const widths = bytes === 'variable' ? 'x' : (Array.isArray(bytes) ? bytes : [bytes]).join('');
  const listed = Array.isArray(definition['families']) ? definition['families'] : [];
  const families = FAMILY_LETTERS.filter(([, members]) => members.some((member) => listed.includes(member)))
    .map(([letter]) => letter)
    .join('');
  const special = isObject(definition['special']) ? Object.keys(definition['special']) : [];
  return {
    name,
    role: role(definition, vendor, name, widths),
    scale,
    widths,
    families,
    range: range(definition, vendor),
    codes: codes(name, special),
  };
}

/** A vendor's name with its unit behind it, and the factor to that unit. */
function withUnit(name: string, unit: string): readonly [string, number] {
  const known = UNITS[unit];
  if (known === undefined) {
    if (unit !== '' && !UNCLEAR_UNITS.has(unit)) throw new TypeError(`a unit without a suffix: ${unit}`);
    return [name, 1];
  }
  const [suffix, factor] = known;
  const bare = name.replace(/_(percent|proc|liters|kg|rpm|m2)$/, (word) => (LONG_WORDS[word.slice(1)] === suffix ? '' : word));
  return [`${bare}_${suffix}`, factor];
}

/** Words at the end of vendors' names that are the unit already. */
const LONG_WORDS: Readonly<Record<string, string>> = {
  percent: 'pct',
  proc: 'pct',
  liters: 'l',
  kg: 'kg',
  rpm: 'rpm',
  m2: 'm2',
};

/**
 * The raw limits. Without documented ones, a measurement of all ones is "not available" as well, as it is for every element that
 * comes from FMS (SAE J1939-71).
 */
function range(definition: Readonly<Record<string, unknown>>, vendor: string): string {
  const limits = definition['rawRange'];
  const isMeasurement = text(definition['unit']) !== '' && definition['signed'] !== true;
  const coded = definition['values'];
  const isCode = isObject(coded) && !('255' in coded);
  if (!Array.isArray(limits)) return isMeasurement || isCode ? '-!' : '-';
  const scale = typeof definition['scale'] === 'number' ? definition['scale'] : 1;
  const isPhysical = PHYSICAL_RANGES.has(vendor) || !Number.isInteger(Math.log10(scale)) || scale > 1;
  const [low = 0, high = 0] = limits.map((limit) => (isPhysical ? Number(limit) / scale : Number(limit))).sort((a, b) => a - b);
  return `${Math.floor(low)}:${Math.ceil(high)}${/^fms[A-Z]/.test(vendor) ? '!' : ''}`;
}

function role(definition: Readonly<Record<string, unknown>>, vendor: string, name: string, widths: string): string {
  const own = ROLES[vendor];
  if (own !== undefined) return own;
  const neighbour = NEIGHBOUR.exec(vendor);
  if (neighbour !== null) return `near_${neighbour.slice(1).join('_').toLowerCase()}`;
  if (BOOLEAN.test(name)) return 'bool';
  const encoding = text(definition['encoding']);
  if (encoding === 'ascii') return 'ascii';
  if (widths === 'x') return 'hex';
  // Eight bytes without a unit are identifiers or bit masks: a double would round them.
  if (widths === '8' && text(definition['unit']) === '') return 'hex';
  if (definition['signed'] === true) return 'int';
  const raw = definition['rawRange'];
  const isCoded = isObject(definition['values']) || isObject(definition['special']);
  if (widths === '1' && Array.isArray(raw) && raw[0] === 0 && raw[1] === 1 && !isCoded) return 'bool';
  return 'uint';
}

/**
 * Error codes of sensors; newer firmware has its own on top of the listed ones (codecs/teltonika/protocol.md section 8.4). Small numbers
 * are states of the element itself, not errors of a measurement.
 */
function codes(name: string, special: readonly string[]): string {
  if (special.some((code) => Number(code) < 100)) return '';
  const all = /^tag_\d+_temperature_c$/.test(name) && special.length > 0 ? [...special, '32765', '32766', '32767'] : special;
  return [...new Set(all)].sort((a, b) => Number(a) - Number(b)).join(',');
}

function line(id: string, e: Entry): string {
  return [id, e.name, e.role, String(e.scale), e.widths, e.families, e.range, e.codes].join(' ').trimEnd();
}

/** Every definition with its attribute id, in the order of ids and variants. `dictionary`: the text of elements.jsonl. */
function definitionsOf(dictionary: string): { id: string; attribute: number; definition: Readonly<Record<string, unknown>> }[] {
  const [head = '', ...lines] = dictionary.trim().split('\n');
  const sets: unknown = JSON.parse(head);
  const families = isObject(sets) && Array.isArray(sets['families']) ? sets['families'] : [];
  return lines.flatMap((source) => {
    const element: unknown = JSON.parse(source);
    if (!isObject(element) || !Array.isArray(element['definitions'])) throw new TypeError(`no element: ${source}`);
    const id = Number(element['id']);
    return element['definitions'].filter(isObject).map((definition, n) => ({
      id: String(id),
      attribute: (n << 16) | id,
      definition: { ...definition, families: families[Number(definition['families'])] },
    }));
  });
}

/** The text of elements.ts. */
export function elementsSource(dictionary: string): string {
  const lines = definitionsOf(dictionary).map(({ id, definition }) => line(id, entry(definition)));
  return [
    '/**',
    ' * I/O elements: generated by tools/teltonika/generate.ts from the dictionary beside it (codecs/teltonika/protocol.md section 8). Do not edit.',
    ' *',
    ' * One definition a line: id, attribute name, role, scale, widths in bytes (x: variable length), families, raw limits (`!`: all',
    ' * ones mean "not available"), raw values that are error codes. The first line of an id is its default; the letters of families',
    ' * are explained in attributes.ts.',
    ' */',
    'export const ELEMENTS = `',
    ...lines,
    '`;',
    '',
  ].join('\n');
}

/** The text of values.ts: what the numbers of codes and the bits of masks say, definitions with the same table together. */
export function valuesSource(dictionary: string): string {
  const values = new Map<string, string[]>();
  const bits = new Map<string, string[]>();
  for (const { definition, attribute } of definitionsOf(dictionary)) {
    for (const [tables, key] of [
      [values, 'values'],
      [bits, 'bits'],
    ] as const) {
      const table = definition[key];
      if (!isObject(table)) continue;
      const list = Object.entries(table).map(([value, meaning]) => `${value}=${label(text(meaning))}`);
      const together = tables.get(list.join('|')) ?? [];
      tables.set(list.join('|'), together);
      together.push(String(attribute));
    }
  }
  const lines = (tables: ReadonlyMap<string, readonly string[]>): string[] =>
    [...tables].map(([table, attributes]) => `${attributes.join(',')} ${table}`);
  return [
    '/**',
    ' * What the numbers of coded elements say, and the bits of masks: generated by tools/teltonika/generate.ts. Do not edit.',
    ' *',
    ' * A line: attribute ids (attributes.ts), a blank, then `number=meaning` parted by `|`. A bit counts from the least significant',
    ' * one of the big-endian value.',
    ' */',
    'export const VALUES = `',
    ...lines(values),
    '`;',
    'export const BITS = `',
    ...lines(bits),
    '`;',
    '',
  ].join('\n');
}

/** Nothing that would end the template or a meaning in it. */
function label(meaning: string): string {
  return meaning.replace(/[`$\\|\n]/g, ' ').trim();
}

if (import.meta.main) {
  const dictionary = readFileSync(new URL('./elements.jsonl', import.meta.url), 'utf8');
  const codec = new URL('../../codecs/teltonika/', import.meta.url);
  writeFileSync(new URL('elements.ts', codec), elementsSource(dictionary));
  writeFileSync(new URL('values.ts', codec), valuesSource(dictionary));
}
