import { defineCodec, FrameResult } from '../../src/codec/index.ts';
import { Rows } from '../../src/out/record/rows.ts';

export const T = Date.UTC(2026, 9, 1);

/** Attributes by id: those with a column of their own, others, and some of a type that the column of their name cannot hold. */
const ATTRIBUTES = [
  [1, 'ignition', 'boolean'],
  [2, 'motion', 'boolean'],
  [3, 'external_v', 'number'],
  [4, 'battery_v', 'number'],
  [5, 'battery_pct', 'number'],
  [6, 'fuel_pct', 'number'],
  [7, 'gsm_level', 'number'],
  [8, 'odometer_m', 'number'],
  [9, 'driver_id', 'text'],
  [10, 'vin', 'text'],
  [11, 'door', 'boolean'],
  [12, 'rpm', 'number'],
  [13, 'motion', 'number'],
  [14, 'external_v', 'boolean'],
  [15, 'driver_id', 'number'],
  [16, 'battery_v', 'text'],
  [17, 'mode', 'text'],
] as const;
const IDS = new Map<string, number>(ATTRIBUTES.map(([id, name, type]) => [`${name} ${type}`, id]));

/** The codec of these records. */
export const rowsCodec = defineCodec({
  name: 'rows',
  about: 'tests',
  maxFrameBytes: 100,
  maxAnswerBytes: 0,
  attributePrefix: 'io_',
  attributes: new Map(ATTRIBUTES.map(([id, name, type]) => [id, { name, type }])),
  messages: [],
  reasons: [],
  recognise: () => true,
  tcp: { open: () => ({}), frame: () => 0, decode: () => {}, encodeAck: () => 0 },
});

/** Of a name without its own, as `io_99`, the number in it. */
export function attributeId(name: string, type: string): number {
  return IDS.get(`${name} ${type}`) ?? Number(name.slice(3));
}

type Cell = readonly [mcc: number, mnc: number, lac: number, cid: number, rssiDbm: number];

/** What a record says; all that is left out is unknown. A record without `at` is a status. */
export interface Said {
  readonly device?: string;
  readonly account?: string;
  readonly time?: number;
  readonly received?: number;
  readonly at?: readonly [lat: number, lon: number];
  readonly valid?: boolean;
  readonly columns?: Partial<Record<'altitudeM' | 'speedKmh' | 'courseDeg' | 'hdop' | 'satellites', number>>;
  readonly flags?: number;
  readonly event?: number;
  readonly attrs?: Readonly<Record<string, string | number | boolean>>;
  readonly cells?: readonly Cell[];
  readonly wifi?: readonly (readonly [mac: string, rssiDbm: number])[];
  /** What makes it the record that it is. */
  readonly bytes?: string;
}

/** Rows of these records, as decoding makes them. An attribute is the one of its name and of its value's type. */
export function recordRows(records: readonly Said[], rows = new Rows()): Rows {
  for (const record of records) {
    const bytes = Buffer.from(record.bytes ?? 'bytes');
    const frame = new FrameResult();
    frame.reset(0, bytes.length);
    const r = frame.row();
    frame.time[r] = record.time ?? T;
    [frame.latitude[r], frame.longitude[r]] = record.at ?? [Number.NaN, Number.NaN];
    frame.valid[r] = record.valid === true ? 1 : 0;
    for (const [name, value] of Object.entries(record.columns ?? {})) Reflect.get(frame, name)[r] = value;
    frame.flags[r] = record.flags ?? 0;
    frame.event[r] = record.event ?? 0;
    for (const [name, value] of Object.entries(record.attrs ?? {})) {
      const id = attributeId(name, typeof value === 'string' ? 'text' : typeof value);
      if (typeof value === 'string') frame.attrText(id, value);
      else frame.attr(id, Number(value));
    }
    for (const cell of record.cells ?? []) frame.cell(...cell);
    for (const wifi of record.wifi ?? []) frame.wifi(...wifi);
    const { device = 'd1', received = T + 1_000, account = '' } = record;
    rows.append(frame, rowsCodec, device, received, 1, bytes, -1, [], '', 0, account);
  }
  return rows;
}
