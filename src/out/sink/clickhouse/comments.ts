/** Comments of the columns, as migration 6 sets them; a later column has its own in its migration. */

const IDENTITY = {
  device: 'id under which the device is stored',
  time: 'when it was measured, or received where the time of the device is unusable',
  id: 'the same when it comes again',
  received: 'when the frame arrived',
  account: 'whose the device was when the frame arrived; empty for none',
};

const RECORD = {
  ...IDENTITY,
  device_time: 'own time of the device, where time replaces or corrects it',
  protocol: 'name of the codec',
  flags: 'buffered: more than 5 minutes old; future, no_time: unusable time; rollover: moved by 1024 weeks',
  event: 'alarm or event of the record, docs/vocabulary.md; empty for none',
  altitude_m: 'm',
  speed_kmh: 'km/h',
  course_deg: 'degrees, clockwise from north',
  satellites: 'satellites used',
  hdop: 'horizontal dilution of precision',
  ignition: 'ignition or ACC line is on',
  motion: 'movement detection of the device',
  external_v: 'vehicle supply, V',
  battery_v: 'internal battery, V',
  battery_pct: 'internal battery, 0 to 100',
  fuel_pct: 'fuel level, 0 to 100',
  odometer_m: 'distance driven, m',
  gsm_level: 'bars, 0 to 5',
  driver_id: 'driver or tag; empty for none',
  mcc: 'country code of the serving cell',
  mnc: 'network code of the serving cell',
  lac: 'area code of the serving cell',
  cid: 'id of the serving cell',
  cells: 'all cells, where the columns do not say everything',
  wifi: 'access points in range',
  attrs: 'all other numbers and booleans (0, 1) by name, docs/vocabulary.md',
  texts: 'all other texts by name',
};

const COMMENTS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  positions: { ...RECORD, valid: 'the device calls it a real GNSS fix', lat: 'degrees, WGS 84', lon: 'degrees, WGS 84' },
  statuses: RECORD,
  events: {
    ...IDENTITY,
    time: 'when it happened',
    received: 'when it was journaled',
    protocol: 'over what it came; empty where that does not apply',
    type: 'what happened, docs/events.md',
    data: 'own fields of the type, JSON',
    version: 'of the envelope',
  },
  usage: {
    device: IDENTITY.device,
    time: 'when they were counted',
    id: IDENTITY.id,
    account: IDENTITY.account,
    bytes_in: 'payload from the device',
    bytes_out: 'payload to the device',
    segments: 'reads and writes on TCP connections',
    datagrams: 'UDP datagrams, both ways',
    records: 'records stored',
    instance: 'installation that counted',
    slot: 'slot of its journal',
    sequence: 'place in that slot',
    hour: 'hour of time',
  },
  last_positions: {
    device: IDENTITY.device,
    time: 'of the newest valid fix; read the table with FINAL',
    received: IDENTITY.received,
    lat: 'degrees, WGS 84',
    lon: 'degrees, WGS 84',
    speed_kmh: RECORD.speed_kmh,
    course_deg: RECORD.course_deg,
  },
};

/** Of the table `audit`, which came later. */
export const AUDIT: Readonly<Record<string, string>> = {
  device: 'whose data it is about; empty for none in particular',
  time: 'of the call',
  id: 'of the entry; the outcome of a change has that of its first entry, and replaces it',
  received: 'when it was journaled',
  account: 'whose the device was; empty for none',
  protocol: 'empty',
  type: 'change, read or refused',
  data: 'the other fields as JSON, docs/audit.md',
  version: 'of the envelope',
  status: 'of the answer; 0 while it is not known',
  by: 'name of the token; empty for none that is known',
  address: 'of the caller',
  operation: 'method and path',
  object: 'what was changed or looked at',
  count: 'calls that the entry stands for',
};

/** Of the table `raw`, which came later. */
export const RAW: Readonly<Record<string, string>> = {
  device: IDENTITY.device,
  time: 'when the frame arrived',
  id: 'of its place in the journal',
  account: IDENTITY.account,
  protocol: 'name of the codec',
  transport: 'tcp, udp or sms',
  peer: 'address and port of the device',
  frame: 'its bytes, hex',
  sha256: 'of its bytes',
};

/** A statement for each table. */
export function commentStatements(database: string): string[] {
  return Object.entries(COMMENTS).map(([table, columns]) => commentsOf(database, table, columns));
}

export function commentsOf(database: string, table: string, columns: Readonly<Record<string, string>>): string {
  const comments = Object.entries(columns).map(([column, comment]) => `COMMENT COLUMN IF EXISTS ${column} '${comment}'`);
  return `ALTER TABLE ${database}.${table} ${comments.join(', ')}`;
}
