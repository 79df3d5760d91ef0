import type { Attribute } from '../../src/codec/index.ts';
import { ELEMENTS } from './elements.ts';
import { EVENT_RULES, type EventRule, UNNAMED_EVENTS } from './event-rules.ts';

/**
 * Attribute ids and what they mean.
 *
 * ```
 * bits 19…16        15…0
 * 0                 element id     its default definition, or an element that the dictionary does not know
 * 1…9               element id     definition of another device family, in the order of elements.ts
 * 12                n << 5 | field Bluetooth: field of beacon or tag n
 * 13                element id     a raw number: beyond the definition's limits, or of a width that no definition has: `io_<id>`
 * 14                element id     bytes where the definition says number, or no definition: `io_<id>` as hex
 * 15                see OWN        values that decode puts together
 * ```
 */
const BLUETOOTH = 12 << 16;
/** Added to an element id: its raw number under `io_<id>`. */
export const NUMBER = 13 << 16;
/** Added to an element id: its bytes in hex under `io_<id>`. */
export const TEXT = 14 << 16;
const OWN_BASE = 15 << 16;

const OWN_LIST = [
  ['priority', 'number'],
  ['event_code', 'number'],
  ['generation_type', 'number'],
  ['operator', 'text'],
  ['iccid', 'text'],
  ['vin', 'text'],
  ['driver_id', 'text'],
  ['driver_2_id', 'text'],
  ['vehicle_registration', 'text'],
  ['geofence', 'text'],
  ['door', 'boolean'],
  ['alcohol_permille', 'number', 0.001],
  ['alcohol_test_active', 'boolean'],
  ['eco_maximum_x_g', 'number', 0.001],
  ['eco_maximum_y_g', 'number', 0.001],
  ['eco_maximum_z_g', 'number', 0.001],
  ['eco_average_x_g', 'number', 0.001],
  ['eco_average_y_g', 'number', 0.001],
  ['eco_average_z_g', 'number', 0.001],
  ['imei', 'text'],
  ['model', 'text'],
  ['firmware', 'text'],
  ['reply', 'text'],
  ['message', 'text'],
  ['message_hex', 'text'],
  ['message_type', 'number'],
  ['gsm_csq', 'number'],
  ['beacon_part', 'number'],
  ['beacon_parts', 'number'],
  ['odometer_m', 'number'],
  ['odometer_source', 'text'],
  ['transport', 'text'],
] as const;
type OwnName = (typeof OWN_LIST)[number][0];

/** Attribute id of a value that is not an element of its own. */
export function own(name: OwnName): number {
  return OWN_BASE + OWN_LIST.findIndex(([known]) => known === name);
}

const BLUETOOTH_FIELDS = [
  ['beacon_#_id', 'text'],
  ['beacon_#_rssi_dbm', 'number'],
  ['beacon_#_battery_v', 'number', 0.001],
  ['beacon_#_temperature_raw', 'number'],
  ['tag_#_id', 'text'],
  ['tag_#_name', 'text'],
  ['tag_#_rssi_dbm', 'number'],
  ['tag_#_battery_v', 'number', 0.001],
  ['tag_#_low_battery', 'boolean'],
  ['tag_#_temperature_c', 'number', 0.01],
  ['tag_#_humidity_pct', 'number'],
  ['tag_#_magnet', 'boolean'],
  ['tag_#_motion', 'boolean'],
  ['tag_#_movements', 'number'],
  ['tag_#_pitch_deg', 'number'],
  ['tag_#_roll_deg', 'number'],
  ['tag_#_proximity', 'text'],
] as const;
type BluetoothField = (typeof BLUETOOTH_FIELDS)[number][0];

/** Offset of a field from `bluetooth(n)`. */
export function bluetoothField(name: BluetoothField): number {
  return BLUETOOTH_FIELDS.findIndex(([known]) => known === name);
}

/** Attribute id of beacon or tag `n`, 1…2047, to which a field is added. */
export function bluetooth(n: number): number {
  return BLUETOOTH + (n << 5);
}

/** What decode does with an element; packed above the attribute id in a family's table. */
export const Role = {
  Uint: 0,
  Int: 1,
  Bool: 36,
  Hex: 4,
  Ascii: 5,
  Digits: 6,
  Gnss: 7,
  Hdop: 8,
  Operator: 9,
  Cell: 10,
  WideCell: 11,
  Lac: 12,
  /** Eight bytes that are joined with others: the slot is `role - Part`. */
  Part: 16,
  Xyz: 32,
  Alcohol: 33,
  Beacons: 34,
  Tags: 35,
  Doors: 37,
  /** A number of a neighbour cell: the slot is `role - Near`, three numbers a cell. */
  Near: 40,
  /** A vehicle's total distance: its source is `role - Odometer`, see ODOMETERS. */
  Odometer: 64,
  /** A number with raw limits, error codes or a "not available": they are `LIMITS[role - Limited]`. */
  Limited: 72,
} as const;

/** Sources of `odometer_m` where the device itself counts none, the best one first, and how many metres one of theirs has. */
export const ODOMETERS = [
  ['can', 1],
  ['can', 1000],
  ['tachograph', 1],
  ['obd', 1000],
] as const;
const ODOMETER_WORDS = ['odometer_can', 'odometer_can_km', 'odometer_tachograph', 'odometer_obd_km'];

/** What a raw number must be to be a measurement. Raw numbers that are not stay under `io_<id>`. */
export interface Limits {
  readonly signed: boolean;
  readonly low: number;
  readonly high: number;
  /** All ones of the width, when they mean "not available"; else NaN. As an unsigned number. */
  readonly ones: number;
  readonly codes: readonly number[];
}
/** `read` is the raw number with its sign, `unsigned` the same bytes without. */
export function isMeasurement(limits: Limits, read: number, unsigned: number): boolean {
  return (
    read >= limits.low && read <= limits.high && unsigned !== limits.ones && (limits.codes.length === 0 || !limits.codes.includes(read))
  );
}

/** By `role - Role.Limited`; each once. */
export const LIMITS: Limits[] = [];
const INT_MAX = 0x7fffffff;
/** By role, for the byte path: an unsigned number up to this is a measurement without another look; -1: look closer. */
export const UP_TO = new Int32Array(4096).fill(-1);
UP_TO[Role.Uint] = INT_MAX;
UP_TO[Role.Bool] = 1;
/** The same for numbers with a sign, from and to; the empty range of most roles: look closer. */
export const FROM = new Int32Array(4096).fill(INT_MAX);
export const TO = new Int32Array(4096).fill(-1);
FROM[Role.Int] = -INT_MAX - 1;
TO[Role.Int] = INT_MAX;
const limitNumbers = new Map<string, number>();

function limitedRole(limits: Limits): number {
  const key = JSON.stringify([limits.signed, limits.low, limits.high, String(limits.ones), limits.codes]);
  const known = limitNumbers.get(key);
  if (known !== undefined) return Role.Limited + known;
  limitNumbers.set(key, LIMITS.length);
  if (!limits.signed && limits.low <= 0 && limits.codes.length === 0)
    UP_TO[Role.Limited + LIMITS.length] = Math.min(limits.high, Number.isNaN(limits.ones) ? INT_MAX : limits.ones - 1, INT_MAX);
  if (limits.signed && limits.codes.length === 0 && Number.isNaN(limits.ones)) {
    FROM[Role.Limited + LIMITS.length] = Math.max(limits.low, -INT_MAX - 1);
    TO[Role.Limited + LIMITS.length] = Math.min(limits.high, INT_MAX);
  }
  return Role.Limited + LIMITS.push(limits) - 1;
}

/** Parts of joined texts, by slot: which two or three make one text is in avl.ts. */
const PARTS = [
  'iccid_1',
  'iccid_2',
  'ccid_1',
  'ccid_2',
  'ccid_3',
  'vin_1',
  'vin_2',
  'vin_3',
  'plate_1',
  'plate_2',
  'card_1a',
  'card_1b',
  'card_2a',
  'card_2b',
];

export function partSlot(name: string): number {
  return PARTS.indexOf(name);
}

/** Slot of a word `near_<network>_<number>_<cell>`, or -1: four cells of two networks with area, id and network code. */
function nearSlot(word: string): number {
  const [near, network, number, cell] = word.split('_');
  if (near !== 'near') return -1;
  return 3 * ((network === 'lte' ? 4 : 0) + Number(cell) - 1) + ['lac', 'id', 'mnc'].indexOf(number ?? '');
}

const ROLE_BY_WORD: Readonly<Record<string, number>> = {
  uint: Role.Uint,
  bool: Role.Bool,
  int: Role.Int,
  hex: Role.Hex,
  ascii: Role.Ascii,
  digits: Role.Digits,
  gnss: Role.Gnss,
  hdop: Role.Hdop,
  operator: Role.Operator,
  cell: Role.Cell,
  wide_cell: Role.WideCell,
  lac: Role.Lac,
  xyz: Role.Xyz,
  alcohol: Role.Alcohol,
  doors: Role.Doors,
  beacons: Role.Beacons,
  tags: Role.Tags,
};

/**
 * Device families (protocol.md section 8.1), by the value of the option `family`, with the letters of elements.ts in
 * the order in which definitions are looked for. `gh` is the codec 7 id space and shares nothing with the others.
 */
export const FAMILIES = [
  ['fm', 'F'],
  ['fmx6', 'S'],
  ['asset', 'A'],
  ['tft', 'TA'],
  ['tst', 'KA'],
  ['ft', 'X'],
  ['fm11', 'L'],
  ['fm22', 'ML'],
  ['gh', '7'],
] as const;
export type FamilyName = (typeof FAMILIES)[number][0];
export const GH = FAMILIES.length - 1;

/** Group of a width in a family's table: 1, 2, 4, 8 bytes, variable. */
export const Width = { One: 0, Two: 1 << 16, Four: 2 << 16, Eight: 3 << 16, Variable: 4 << 16 } as const;
const WIDTHS = ['1', '2', '4', '8', 'x'];

interface Definition {
  readonly id: number;
  readonly attribute: number;
  readonly name: string;
  readonly role: number;
  readonly widths: string;
  readonly families: string;
  /** Raw limits of numbers: NaN for none. */
  readonly low: number;
  readonly high: number;
  /** All ones mean "not available". */
  readonly ones: boolean;
  readonly codes: readonly number[];
}

/** What elements mean for one device family. */
export interface Family {
  /** `table[width + id]` is `role << 20 | attribute id`. */
  readonly table: Int32Array;
  /** Event element id → its rule. Ids that only report a changed value map to undefined; unknown ids are not there. */
  readonly events: ReadonlyMap<number, EventRule | undefined>;
  /** Event element id → number of the geofence it stands for. */
  readonly zones: ReadonlyMap<number, string>;
}

/** Adds the ids that are derived, not listed: unknown elements and Bluetooth fields of any beacon. */
class Attributes extends Map<number, Attribute> {
  override get(id: number): Attribute | undefined {
    const listed = super.get(id);
    if (listed !== undefined) return listed;
    const element = id & 0xffff;
    if (id >> 16 === NUMBER >> 16) return { name: `io_${element}`, type: 'number' };
    if (id >> 16 === TEXT >> 16) return { name: `io_${element}`, type: 'text' };
    if (id >> 16 !== BLUETOOTH >> 16) return undefined;
    const [name, type, scale] = BLUETOOTH_FIELDS[id & 31] ?? BLUETOOTH_FIELDS[0];
    return { name: name.replace('#', String(element >> 5)), type, scale: scale ?? 1 };
  }
}

const all = new Attributes();
const definitions = new Map<number, Definition[]>();

for (const line of ELEMENTS.trim().split('\n')) {
  const [id = '', name = '', word = '', scale = '1', widths = '', families = '', range = '-', codes = ''] = line.split(' ');
  const element = Number(id);
  const list = definitions.get(element) ?? [];
  definitions.set(element, list);
  const attribute = (list.length << 16) | element;
  const role = roleOf(word);
  const [low = Number.NaN, high = Number.NaN] =
    range.startsWith('-!') || range === '-' ? [] : range.replace('!', '').split(':').map(Number);
  list.push({
    id: element,
    attribute,
    name,
    role,
    widths,
    families,
    low,
    high,
    ones: range.endsWith('!'),
    codes: codes === '' ? [] : codes.split(',').map(Number),
  });
  const type = word === 'bool' ? 'boolean' : isTextRole(role) ? 'text' : 'number';
  all.set(attribute, Number(scale) === 1 || type !== 'number' ? { name, type } : { name, type, scale: Number(scale) });
}
OWN_LIST.forEach(([name, type, scale], i) => {
  all.set(OWN_BASE + i, scale === undefined ? { name, type } : { name, type, scale });
});

export const ATTRIBUTES: ReadonlyMap<number, Attribute> = all;
/** Attribute ids of the device's own total distance. */
export const OWN_ODOMETERS = [...definitions.values()].flat().flatMap(({ name, attribute }) => (name === 'odometer_m' ? [attribute] : []));

function roleOf(word: string): number {
  if (partSlot(word) >= 0) return Role.Part + partSlot(word);
  if (nearSlot(word) >= 0) return Role.Near + nearSlot(word);
  const source = ODOMETER_WORDS.indexOf(word);
  if (source >= 0) return Role.Odometer + source;
  return ROLE_BY_WORD[word] ?? Role.Uint;
}

function isTextRole(role: number): boolean {
  return (role >= Role.Hex && role <= Role.Gnss) || (role >= Role.Part && role <= Role.Tags);
}

const families: (Family | undefined)[] = FAMILIES.map(() => undefined);

/** The family by its number in FAMILIES; built when first asked for. */
export function familyOf(index: number): Family {
  const known = families[index];
  if (known !== undefined) return known;
  const built = build(FAMILIES[index]![1]);
  families[index] = built;
  return built;
}

function build(letters: string): Family {
  const table = new Int32Array(5 << 16);
  for (let id = 0; id < 65536; id++) {
    for (let w = 0; w < 4; w++) table[(w << 16) | id] = id;
    table[Width.Variable | id] = (Role.Hex << 20) | TEXT | id;
  }
  const events = new Map<number, EventRule | undefined>();
  const zones = new Map<number, string>();
  for (const [id, list] of definitions) {
    const mine = candidates(list, letters);
    const [first] = mine;
    if (first === undefined) {
      // The bare id is another family's: its meaning must not be borrowed.
      for (let w = 0; w < 4; w++) table[(w << 16) | id] = NUMBER | id;
      continue;
    }
    WIDTHS.forEach((width, w) => {
      const fitting = mine.find((d) => d.widths.includes(width)) ?? first;
      table[(w << 16) | id] = packed(fitting, width);
    });
    const zone = /^geofence_zone_(\d+)$/.exec(first.name);
    if (zone !== null) zones.set(id, String(Number(zone[1])));
    const rule = EVENT_RULES.get(zone === null ? first.name : 'geofence_zone');
    if (rule !== undefined || !UNNAMED_EVENTS.has(first.name)) events.set(id, rule);
  }
  return { table, events, zones };
}

/** Definitions of one id in the order in which they are tried: the family's own, then the default, then the others. */
function candidates(list: readonly Definition[], letters: string): readonly Definition[] {
  if (letters === '7') return list.filter((d) => d.families.includes('7'));
  const others = list.filter((d) => d.families !== '7');
  const rank = (d: Definition): number => {
    const at = [...letters].findIndex((letter) => d.families.includes(letter));
    return at < 0 ? letters.length + others.indexOf(d) : at;
  };
  return [...others].sort((a, b) => rank(a) - rank(b));
}

/** The table entry of a definition for one width. It holds only for the widths that it is listed with (protocol.md section 3.8). */
function packed(d: Definition, width: string): number {
  const isText = d.role === Role.Hex || d.role === Role.Ascii;
  if (width === 'x') return d.widths.includes('x') && !isPlain(d.role) ? (d.role << 20) | d.attribute : (Role.Hex << 20) | TEXT | d.id;
  if (!d.widths.includes(width) && !(isText && width === '8' && !d.widths.includes('x')))
    // Eight bytes may be text or an identity, which a number would round.
    return width === '8' ? (Role.Hex << 20) | TEXT | d.id : NUMBER | d.id;
  return (limited(d, Number(width)) << 20) | d.attribute;
}

function isPlain(role: number): boolean {
  return role === Role.Uint || role === Role.Int || role === Role.Bool;
}

/** The role of a number: `Limited` unless every value of its width is a measurement. */
function limited(d: Definition, bytes: number): number {
  if (d.role !== Role.Uint && d.role !== Role.Int) return d.role;
  const count = 256 ** bytes;
  const signed = d.role === Role.Int;
  const low = Number.isNaN(d.low) ? Number.NEGATIVE_INFINITY : d.low;
  const high = Number.isNaN(d.high) ? Number.POSITIVE_INFINITY : d.high;
  const narrow = low > (signed ? -count / 2 : 0) || high < (signed ? count / 2 - 1 : count - 1);
  const ones = d.ones && (signed ? low <= -1 && high >= -1 : high >= count - 1) ? count - 1 : Number.NaN;
  if (!narrow && Number.isNaN(ones) && d.codes.length === 0) return d.role;
  return limitedRole({ signed, low, high, ones, codes: d.codes });
}
