import { describe, expect, it } from 'vitest';
import { eventIndex } from '../../../src/codec/index.ts';
import type { Rows } from '../../../src/out/record/rows.ts';
import { BlockEncoder } from '../../../src/out/sink/clickhouse/encode.ts';
import { CELLS_TYPE, FLAGS_TYPE, WIFI_TYPE } from '../../../src/out/sink/clickhouse/schema.ts';
import { EventRows, UsageRows } from '../../../src/out/sink/sink.ts';
import { type Block, readBlock } from '../../support/native-block.ts';
import { recordRows, type Said, T } from '../../support/record-rows.ts';

const encoder = new BlockEncoder();
type Range = readonly [from: number, to: number];

function blockOf(table: 'positions' | 'statuses', rows: Rows, list: readonly number[], [from, to]: Range = [0, list.length]): Block {
  for (const _ of encoder[table](rows, { list: Int32Array.from(list), from, to }));
  return readBlock(encoder.writer.written());
}

/** The only row of a block, as `statuses` has it, or `positions` when it is placed. */
function rowOf(said: Said): Readonly<Record<string, unknown>> {
  return blockOf(said.at === undefined ? 'statuses' : 'positions', recordRows([said]), [0]).rows[0] ?? {};
}

const EMPTY = {
  device: 'd1',
  time: T,
  id: expect.stringMatching(/^[0-9a-f]{16}$/),
  received: T + 1_000,
  device_time: null,
  account: '',
  protocol: 'rows',
  flags: [],
  event: '',
  altitude_m: null,
  speed_kmh: null,
  course_deg: null,
  satellites: null,
  hdop: null,
  ignition: null,
  motion: null,
  external_v: null,
  battery_v: null,
  battery_pct: null,
  fuel_pct: null,
  gsm_level: null,
  odometer_m: null,
  driver_id: '',
  mcc: null,
  mnc: null,
  lac: null,
  cid: null,
  cells: [],
  wifi: [],
  attrs: {},
  texts: {},
};

describe('a record', () => {
  const typed = { ignition: true, motion: false, external_v: 12.5, battery_v: 0, battery_pct: 50, fuel_pct: 99.5, gsm_level: 4 };
  const full: Said = {
    account: 'acme',
    at: [-12.5, 130.25],
    valid: true,
    columns: { altitudeM: -3.5, speedKmh: 12.25, courseDeg: 0, satellites: 0, hdop: 0.5 },
    flags: 0b1011,
    event: eventIndex('power_cut'),
    attrs: { ...typed, odometer_m: 123_456_789.125, driver_id: 'Zoë', vin: 'W', door: true, rpm: 900, io_99: 0, mode: '' },
    cells: [[246, 1, 70_000, 2 ** 40, -70]],
    wifi: [
      ['00:11:22:33:44:55', -60],
      ['00:11:22:33:44:66', 0],
    ],
  };

  it('has each value in its column', () => {
    const rows = recordRows([full]);
    const [row] = blockOf('positions', rows, [0]).rows;
    expect(row).toEqual({
      ...EMPTY,
      id: rows.id(0),
      account: 'acme',
      flags: ['buffered', 'future', 'no_time'],
      event: 'power_cut',
      valid: true,
      lat: -12.5,
      lon: 130.25,
      altitude_m: -3.5,
      speed_kmh: 12.25,
      course_deg: 0,
      satellites: 0,
      hdop: 0.5,
      ...typed,
      odometer_m: 123_456_789.125,
      driver_id: 'Zoë',
      mcc: 246,
      mnc: 1,
      lac: 70_000,
      cid: 2 ** 40,
      cells: [{ mcc: 246, mnc: 1, lac: 70_000, cid: 2 ** 40, rssi_dbm: -70 }],
      wifi: [
        { mac: '00:11:22:33:44:55', rssi_dbm: -60 },
        { mac: '00:11:22:33:44:66', rssi_dbm: 0 },
      ],
      attrs: { door: 1, rpm: 900, io_99: 0 },
      texts: { vin: 'W', mode: '' },
    });
  });

  it('that says nothing is empty', () => {
    expect(rowOf({})).toEqual(EMPTY);
    expect(rowOf({ at: [1, 2] })).toEqual({ ...EMPTY, valid: false, lat: 1, lon: 2 });
  });

  it.each<[what: string, said: Said, has: object]>([
    ['more satellites than its column holds', { columns: { satellites: 300 } }, { satellites: 255 }],
    ['as many satellites as its column holds', { columns: { satellites: 255 } }, { satellites: 255 }],
    ['a number that is no number', { attrs: { rpm: Number.NaN, io_5000: Number.POSITIVE_INFINITY, external_v: Number.NaN } }, {}],
    ['an endless number with a column', { attrs: { odometer_m: Number.POSITIVE_INFINITY } }, {}],
    [
      'attributes that do not fit the column of their name',
      { attrs: { motion: 2, external_v: true, driver_id: 7, battery_v: 'low' } },
      { attrs: { motion: 2, external_v: 1, driver_id: 7 }, texts: { battery_v: 'low' } },
    ],
    [
      'a number that only its own column keeps exactly',
      { attrs: { odometer_m: 0.1, fuel_pct: 0.1 } },
      { odometer_m: 0.1, fuel_pct: Math.fround(0.1) },
    ],
    ['a cell without a signal', { cells: [[1, 2, 3, 4, 0]] }, { mcc: 1, mnc: 2, lac: 3, cid: 4 }],
    ['a cell of which only a part is known', { cells: [[-1, 0, -1, 4, 0]] }, { mnc: 0, cid: 4 }],
    [
      'two cells, of which nothing else is known',
      {
        cells: [
          [1, 2, 3, 4, 0],
          [-1, -1, -1, -1, 0],
        ],
      },
      {
        ...{ mcc: 1, mnc: 2, lac: 3, cid: 4 },
        cells: [
          { mcc: 1, mnc: 2, lac: 3, cid: 4, rssi_dbm: 0 },
          { mcc: -1, mnc: -1, lac: -1, cid: -1, rssi_dbm: 0 },
        ],
      },
    ],
    ['the largest codes that have a column', { cells: [[0xffff, 0xffff, 0, 0, 0]] }, { mcc: 0xffff, mnc: 0xffff, lac: 0, cid: 0 }],
    ['codes that have none', { cells: [[0x10000, 0x10000, 0, 0, 0]] }, { lac: 0, cid: 0 }],
    ['a time of its own that was not believed', { time: 0 }, { time: T + 1_000, device_time: 0, flags: ['no_time'] }],
    ['a time that was corrected', { time: -86_400_000.4 }, { time: T + 1_000, device_time: -86_400_000, flags: ['no_time'] }],
    [
      'the first time that its column holds',
      { time: -2_208_988_800_000 },
      { time: T + 1_000, device_time: -2_208_988_800_000, flags: ['no_time'] },
    ],
    ['a time before that', { time: -2_208_988_800_001 }, { time: T + 1_000, flags: ['no_time'] }],
    [
      'the last time that its column holds',
      { time: 10_413_791_999_999 },
      { time: T + 1_000, device_time: 10_413_791_999_999, flags: ['future'] },
    ],
    ['a time behind that', { time: 10_413_792_000_000 }, { time: T + 1_000, flags: ['future'] }],
  ])('with %s', (_what, said, has) => {
    expect(rowOf(said)).toEqual({ ...EMPTY, ...has });
  });
});

describe('a block', () => {
  const names = [...'abcdef'];
  /** Each with attributes, cells and networks of its own, so that a neighbour's would show. */
  const rows = recordRows(
    names.map((name, k) => ({
      device: `d-${name}`,
      account: `a-${name}`,
      at: [k, -k],
      valid: k % 2 === 0,
      time: T + k,
      columns: { altitudeM: k, satellites: k },
      flags: k,
      attrs: { driver_id: `dr-${name}`, vin: `v-${name}`, rpm: k, fuel_pct: k, ignition: k % 2 === 0, [`io_${100 + k}`]: k },
      cells: [
        [k, k, k, k, -1 - k],
        [k, k, k, k, -1 - k],
      ],
      wifi: [[`mac-${name}`, -1 - k]],
      bytes: name,
    })),
  );
  const has = (k: number): object => ({
    ...EMPTY,
    ...{ device: `d-${names[k]}`, id: rows.id(k), account: `a-${names[k]}`, time: T + k },
    flags: ['buffered', 'future', 'rollover', 'no_time'].filter((_, bit) => (k >> bit) & 1),
    ...{ lat: k, lon: -k, valid: k % 2 === 0, altitude_m: k, satellites: k, ignition: k % 2 === 0, fuel_pct: k },
    ...{ driver_id: `dr-${names[k]}`, mcc: k, mnc: k, lac: k, cid: k },
    cells: [0, 0].map(() => ({ mcc: k, mnc: k, lac: k, cid: k, rssi_dbm: -1 - k })),
    wifi: [{ mac: `mac-${names[k]}`, rssi_dbm: -1 - k }],
    attrs: { rpm: k, [`io_${100 + k}`]: k },
    texts: { vin: `v-${names[k]}` },
  });

  it.each<[what: string, list: readonly number[], range: Range | undefined, rows: readonly number[]]>([
    ['of all rows', [0, 1, 2, 3, 4, 5], undefined, [0, 1, 2, 3, 4, 5]],
    ['of some, in another order', [5, 1, 3], undefined, [5, 1, 3]],
    ['of the middle of a list', [0, 2, 3, 5], [1, 3], [2, 3]],
    ['of the end of a list', [4, 0, 2, 3, 5], [3, 5], [3, 5]],
    ['of none', [0, 1], [1, 1], []],
  ])('%s has those', (_what, list, range, expected) => {
    expect(blockOf('positions', rows, list, range).rows).toEqual(expected.map(has));
  });

  it('names its columns and types as the tables have them', () => {
    const { columns } = blockOf('positions', rows, [0]);
    const rest = columns.filter(([name]) => !['valid', 'lat', 'lon'].includes(name));
    expect(blockOf('statuses', rows, [0]).columns).toEqual(rest);
    expect(Object.fromEntries(columns)).toMatchObject({
      device: 'String',
      time: "DateTime64(3, 'UTC')",
      id: 'FixedString(16)',
      device_time: "Nullable(DateTime64(3, 'UTC'))",
      account: 'LowCardinality(String)',
      flags: FLAGS_TYPE,
      valid: 'Bool',
      lat: 'Float64',
      satellites: 'Nullable(UInt8)',
      hdop: 'Nullable(Float32)',
      motion: 'Nullable(Bool)',
      external_v: 'Nullable(Float32)',
      odometer_m: 'Nullable(Float64)',
      mcc: 'Nullable(UInt16)',
      lac: 'Nullable(UInt32)',
      cid: 'Nullable(UInt64)',
      cells: CELLS_TYPE,
      wifi: WIFI_TYPE,
      attrs: 'Map(LowCardinality(String), Float64)',
      texts: 'Map(LowCardinality(String), String)',
    });
  });

  it('grows with its rows, their attributes and their names, and a small one after it has nothing of it', () => {
    const own = new BlockEncoder();
    const said = (k: number): Said => ({
      device: `device-${k}`,
      account: `account-${k}`,
      attrs: { [`io_${1_000 + k}`]: k, io_900: -1 - k, external_v: k, vin: `vin-${k}`, driver_id: `driver-${k}` },
      cells: Array.from({ length: 40 }, () => [k, 0, 0, 0, -1] as const),
      bytes: `${k}`,
    });
    const read = (count: number): Block['rows'] => {
      const many = recordRows(Array.from({ length: count }, (_, k) => said(k)));
      for (const _ of own.statuses(many, { list: Int32Array.from({ length: count }, (_, k) => k), from: 0, to: count }));
      return readBlock(own.writer.written()).rows;
    };
    const has = (k: number): object => ({
      ...EMPTY,
      ...{ device: `device-${k}`, account: `account-${k}`, external_v: k, driver_id: `driver-${k}`, mcc: k, mnc: 0, lac: 0, cid: 0 },
      cells: Array.from({ length: 40 }, () => ({ mcc: k, mnc: 0, lac: 0, cid: 0, rssi_dbm: -1 })),
      attrs: { [`io_${1_000 + k}`]: k, io_900: -1 - k },
      texts: { vin: `vin-${k}` },
    });
    // More names than an index of one byte has, and more numbers and bytes than there is room for at first.
    for (const count of [3, 1_400, 2, 4, 257, 256]) expect(read(count)).toEqual(Array.from({ length: count }, (_, k) => has(k)));
  });
});

describe('what is no record', () => {
  const event = (k: number): Parameters<EventRows['push']>[0] => ({
    id: `000000000000000${k}`,
    device: `d-${k}`,
    account: `a-${k}`,
    protocol: `p-${k}`,
    type: `t-${k}`,
    time: T + k,
    received: T + 10 + k,
    data: `{"k":${k}}`,
  });

  it('is an event with its version', () => {
    const events = new EventRows();
    for (const k of [0, 1, 2, 3]) events.push(event(k), 'slot', k);
    for (const _ of encoder.events(events, { list: Int32Array.from([3, 1, 0]), from: 1, to: 3 }));
    expect(readBlock(encoder.writer.written()).rows).toEqual([1, 0].map((k) => ({ ...event(k), version: 1 })));
  });

  it('is traffic, and the network where it is known', () => {
    const usage = new UsageRows();
    const traffic = (k: number) => ({ segments: 30 + k, datagrams: 40 + k, records: 50 + k });
    const networks = [undefined, { mcc: 240, mnc: 0, roaming: true }, { mcc: 0xffff, mnc: 0x10000, roaming: false }, undefined];
    for (const [k, network] of networks.entries())
      usage.push(`d-${k}`, `a-${k}`, `000000000000000${k}`, T + k, { in: 2 ** 33 + k, out: k, ...traffic(k), network }, `${k}`, 60 + k);
    for (const _ of encoder.usage(usage, 'here', { list: Int32Array.from([0, 3, 2, 1]), from: 1, to: 4 }));
    const row = (k: number, mcc: number | null, mnc: number | null, roaming: boolean): object => ({
      ...{ device: `d-${k}`, account: `a-${k}`, id: `000000000000000${k}`, time: T + k },
      ...{ bytes_in: 2 ** 33 + k, bytes_out: k, ...traffic(k), mcc, mnc, roaming, instance: 'here', slot: k, sequence: 60 + k },
    });
    expect(readBlock(encoder.writer.written()).rows).toEqual([
      row(3, null, null, false),
      row(2, 0xffff, null, false),
      row(1, 240, 0, true),
    ]);
  });
});
