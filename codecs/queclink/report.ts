import { type EventName, eventIndex } from '../../src/codec/index.ts';
import { triple } from './frame.ts';

/**
 * Reports by name (protocol.md sections 5 to 7): what stands between the name of the device and the position, and what event it is.
 * A head that is longer or shorter on some models is read from its last field; a value that does not look like its field is left out.
 */
export const Head = {
  Skip: 0,
  /** Of general reports: the three fields power or report id, report type, number of positions. */
  Power: 1,
  Type: 2,
  Number: 3,
  Duration: 4,
  State: 5,
  BatteryV: 6,
  Caller: 7,
  FenceMode: 8,
  Radius: 9,
  CheckInterval: 10,
  FenceOn: 11,
  AlarmType: 12,
  Temperature: 13,
  LightType: 14,
  LightState: 15,
  TamperState: 16,
  JammingState: 17,
  Antenna: 18,
  Roaming: 19,
  DriverId: 20,
  Authorised: 21,
  GnssOk: 22,
  Satellites: 23,
  WarningType: 24,
  BatteryPct: 25,
  ReportId: 26,
  EriMask: 27,
  SupplyMv: 28,
  AnalogMv: 29,
  Counter: 30,
  FatigueDegree: 31,
} as const;
export type Head = (typeof Head)[keyof typeof Head];

/** Vendor's names, for people. */
export const HEAD_NAMES: Readonly<Record<Head, string>> = {
  [Head.Skip]: 'reserved',
  [Head.Power]: 'external power mV or report ID',
  [Head.Type]: 'report ID/type',
  [Head.Number]: 'number',
  [Head.Duration]: 'duration of the previous state, s',
  [Head.State]: 'state',
  [Head.BatteryV]: 'battery voltage',
  [Head.Caller]: 'caller number',
  [Head.FenceMode]: 'geofence mode',
  [Head.Radius]: 'radius, m',
  [Head.CheckInterval]: 'check interval, s',
  [Head.FenceOn]: 'geofence on',
  [Head.AlarmType]: 'alarm type',
  [Head.Temperature]: 'temperature, °C',
  [Head.LightType]: 'type',
  [Head.LightState]: 'light state',
  [Head.TamperState]: 'tamper state',
  [Head.JammingState]: 'jamming state',
  [Head.Antenna]: 'antenna state',
  [Head.Roaming]: 'roaming state',
  [Head.DriverId]: 'driver id',
  [Head.Authorised]: 'authorised',
  [Head.GnssOk]: 'GPS signal',
  [Head.Satellites]: 'satellites',
  [Head.WarningType]: 'warning type',
  [Head.BatteryPct]: 'battery %',
  [Head.ReportId]: 'report ID',
  [Head.EriMask]: 'ERI mask',
  [Head.SupplyMv]: 'supply, mV',
  [Head.AnalogMv]: 'analogue input, mV',
  [Head.Counter]: 'counter',
  [Head.FatigueDegree]: 'degree of fatigue',
};

/** Reports with a reader of their own. */
export const Kind = {
  Position: 0,
  /** GTERI: a position, then blocks by mask. */
  Extended: 1,
  Can: 2,
  Obd: 3,
  Information: 4,
  Cells: 5,
  WiFi: 6,
  CellsShort: 7,
  Data: 8,
  Transparent: 9,
  Accessory: 10,
  /** Nothing but times, and a reason on some models. */
  Plain: 11,
  /** Answers to a query. */
  Query: 12,
  Configuration: 13,
  Heartbeat: 14,
  Output: 15,
  /** GTUPC. */
  Updated: 16,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

/** Reports whose values mean something of their own. */
export const Special = { None: 0, Periodic: 1, Geofence: 2, Input: 3, Harsh: 4, Motion: 5, Charging: 6, Charged: 7 } as const;
export type Special = (typeof Special)[keyof typeof Special];
const SPECIAL: Readonly<Record<string, Special>> = {
  FRI: Special.Periodic,
  GEO: Special.Geofence,
  DIS: Special.Input,
  HBM: Special.Harsh,
  STT: Special.Motion,
  BTC: Special.Charging,
  STC: Special.Charged,
};

export interface Report {
  /** `GTFRI`; the name of every row that it makes. */
  readonly name: string;
  readonly special: Special;
  readonly kind: Kind;
  readonly head: readonly Head[];
  /** Of vehicle units where personal ones have a longer head under the same name, and of units before a field was added. */
  readonly shortHead: readonly Head[] | undefined;
  /** Always, or by the number that the report says (type, state): index of the event, 0 none. */
  readonly event: number;
  readonly byValue: readonly number[] | undefined;
}

/** Heads that have another length on some models. */
const SHORT: Readonly<Record<string, readonly Head[]>> = { STR: [Head.Skip, Head.Duration], CRA: [], JDS: [Head.JammingState] };

type Events = EventName | '' | readonly (EventName | '')[];

const GENERAL = [Head.Power, Head.Type, Head.Number] as const;

function report(name: string, kind: Kind, head: readonly Head[], events: Events = ''): Report {
  const index = (event: EventName | ''): number => (event === '' ? 0 : eventIndex(event));
  return {
    name: `GT${name}`,
    special: SPECIAL[name] ?? Special.None,
    kind,
    head,
    shortHead: SHORT[name],
    event: typeof events === 'string' ? index(events) : 0,
    byValue: typeof events === 'string' ? undefined : events.map(index),
  };
}

const at = (name: string, head: readonly Head[], events: Events = ''): Report => report(name, Kind.Position, head, events);
const general = (name: string, events: Events = ''): Report => at(name, GENERAL, events);
const of = (kind: Kind, name: string, events: Events = ''): Report => report(name, kind, [], events);

const HARSH: Events = ['harsh_braking', 'harsh_acceleration', 'harsh_cornering', 'harsh_braking', 'harsh_acceleration'];

export const REPORTS: readonly Report[] = [
  general('FRI'),
  general('GEO', ['geofence_exit', 'geofence_enter']),
  general('SPD', 'overspeed'),
  general('SOS', 'sos'),
  general('RTL'),
  general('PNL'),
  general('PFL'),
  general('NMR', ['', 'movement']),
  general('DIS'),
  general('IOB'),
  general('DOG'),
  general('TOW', 'towing'),
  general('IGL', ['ignition_on', 'ignition_off']),
  general('VGL', ['ignition_on', 'ignition_off']),
  general('HBM', HARSH),
  at('EPS', [Head.SupplyMv, Head.Type, Head.Number], 'low_external'),
  at('AIS', [Head.AnalogMv, Head.Type, Head.Number]),
  at('MAI', [Head.AnalogMv, Head.Type, Head.Number]),
  at('LBC', [Head.Caller]),
  at('GCR', [Head.FenceMode, Head.Radius, Head.CheckInterval]),
  at('EPN', [], 'power_restored'),
  at('EPF', [], 'power_cut'),
  at('MPN', [], 'power_restored'),
  at('MPF', [], 'power_cut'),
  at('BTC', []),
  at('STC', [Head.BatteryV]),
  at('BPL', [Head.BatteryV], 'low_battery'),
  at('STT', [Head.State]),
  at('SWG', [Head.FenceOn]),
  at('IGN', [Head.Duration], 'ignition_on'),
  at('IGF', [Head.Duration], 'ignition_off'),
  at('VGN', [Head.Duration], 'ignition_on'),
  at('VGF', [Head.Duration], 'ignition_off'),
  at('TEM', [Head.AlarmType, Head.Temperature], 'temperature'),
  at('TMP', [Head.ReportId, Head.Temperature, Head.Number], 'temperature'),
  at('LSW', [Head.LightType, Head.LightState]),
  at('TSW', [Head.LightType, Head.TamperState]),
  at('JDR', [], 'jamming'),
  at('JDS', [Head.JammingState, Head.Skip], ['', '', 'jamming']),
  at('GPJ', [Head.Skip, Head.JammingState], ['', '', '', 'jamming']),
  at('CRA', [Head.Counter], 'collision'),
  at('ANT', [Head.Antenna], ['', 'gnss_antenna_cut', 'gnss_antenna_short']),
  at('RMD', [Head.Roaming]),
  at('FLA', [], 'fuel_drop'),
  at('GSS', [Head.GnssOk, Head.Satellites, Head.Skip, Head.Skip]),
  at('IDN', [Head.Skip, Head.Skip], 'idle'),
  at('IDF', [Head.Skip, Head.Duration]),
  at('STP', [Head.Skip, Head.Duration]),
  at('LSP', [Head.Skip, Head.Duration]),
  at('IDA', [Head.Skip, Head.DriverId, Head.Authorised, Head.Number], 'driver_identified'),
  at('STR', [Head.ReportId, Head.Type, Head.State, Head.Temperature, Head.BatteryPct]),
  at('CTN', [Head.ReportId, Head.Type, Head.State, Head.Temperature, Head.BatteryPct]),
  at('DAR', [Head.WarningType, Head.FatigueDegree, Head.Skip, Head.Skip]),
  report('ERI', Kind.Extended, [Head.EriMask, ...GENERAL]),
  of(Kind.Can, 'CAN'),
  of(Kind.Obd, 'OBD'),
  of(Kind.Information, 'INF'),
  of(Kind.Cells, 'GSM'),
  of(Kind.WiFi, 'WIF'),
  of(Kind.CellsShort, 'LBS'),
  of(Kind.Data, 'DAT'),
  of(Kind.Transparent, 'DTT'),
  of(Kind.Accessory, 'BID'),
  of(Kind.Accessory, 'BAA'),
  of(Kind.Plain, 'PNA', 'power_on'),
  of(Kind.Plain, 'PFA', 'power_off'),
  of(Kind.Plain, 'PDP'),
  of(Kind.Updated, 'UPC'),
  of(Kind.Output, 'DOS'),
  of(Kind.Query, 'GPS'),
  of(Kind.Query, 'CID'),
  of(Kind.Query, 'CSQ'),
  of(Kind.Query, 'VER'),
  of(Kind.Query, 'BAT'),
  of(Kind.Query, 'TMZ'),
  of(Kind.Query, 'GSV'),
  of(Kind.Query, 'IOS'),
  of(Kind.Query, 'AIF'),
  of(Kind.Configuration, 'ALL'),
  of(Kind.Configuration, 'ALS'),
  of(Kind.Heartbeat, 'HBD'),
];

/** By the three letters behind `GT`. */
export const BY_NAME: ReadonlyMap<number, Report> = new Map(REPORTS.map((entry) => [triple(entry.name.slice(2)), entry]));

export const UNKNOWN_REPORT: Report = {
  name: 'unknown',
  special: Special.None,
  kind: Kind.Position,
  head: [],
  shortHead: undefined,
  event: 0,
  byValue: undefined,
};
