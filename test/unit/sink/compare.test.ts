import { describe, expect, it } from 'vitest';
import { FrameResult, RowFlag } from '../../../src/codec/index.ts';
import { Rows } from '../../../src/out/record/rows.ts';
import { compare, rowKey, type StoredRow, storedRecord, type TableName } from '../../../src/out/sink/clickhouse/compare.ts';
import { attributeId, rowsCodec, T } from '../../support/record-rows.ts';

/** Numbers quote the invariants of src/out/sink/clickhouse/compare.ts. */

type Fill = (frame: FrameResult, row: number) => unknown;

const ATTR = {
  ignition: attributeId('ignition', 'boolean'),
  external_v: attributeId('external_v', 'number'),
  odometer_m: attributeId('odometer_m', 'number'),
  driver_id: attributeId('driver_id', 'text'),
  vin: attributeId('vin', 'text'),
  rpm: attributeId('rpm', 'number'),
  door: attributeId('door', 'boolean'),
};

/** Records of a frame each, that `bytes` name. */
function rowsOf(records: readonly { readonly account?: string; readonly bytes?: string; readonly fill?: Fill }[]): Rows {
  const rows = new Rows();
  for (const { account = '', bytes = 'one', fill } of records) {
    const frame = new FrameResult();
    const named = Buffer.from(bytes);
    frame.reset(0, named.length);
    const row = frame.row();
    frame.time[row] = T;
    fill?.(frame, row);
    rows.append(frame, rowsCodec, 'd-1', T, 1, named, -1, [], '', 0, account);
  }
  return rows;
}

const place: Fill = (frame, row) => {
  [frame.latitude[row], frame.longitude[row], frame.valid[row]] = [52.5, 13.25, 1];
};

const all = (): boolean => true;
/** Columns that every stored row has: as ClickHouse gives a row in which nothing is known. */
const EMPTY = {
  account: '',
  protocol: 'rows',
  event: '',
  device_time: null,
  altitude_m: null,
  speed_kmh: null,
  course_deg: null,
  satellites: null,
  hdop: null,
  flags: [],
  cells: [],
  wifi: [],
  mcc: null,
  mnc: null,
  lac: null,
  cid: null,
  ignition: null,
  odometer_m: null,
  driver_id: '',
  attrs: {},
  texts: {},
};

/** The row of the table for this record, with what is given in place of nothing. */
function storedOf(rows: Rows, columns: StoredRow, row = 0, table: TableName = rowKey(rows, row).table) {
  const { device, time, id } = rowKey(rows, row);
  const given = { ...EMPTY, device, time: String(time), id, received: String(rows.received[row]), ...columns };
  return storedRecord(table, { ...given, time, received: rows.received[row] });
}

/** What has changed of one record, that was stored with these columns: undefined, nothing; else [was, now]. */
function changeOf(fill: Fill, columns: StoredRow, account = ''): unknown {
  const rows = rowsOf([{ account, fill }]);
  const { changes, same } = compare(rows, all, [storedOf(rows, columns)]);
  expect(same + changes.length).toBe(1);
  const [change] = changes;
  return change === undefined ? undefined : [change.change, change.was, change.now];
}

const fround = Math.fround;
const attr =
  (id: number, value: number): Fill =>
  (frame) =>
    frame.attr(id, value);
const attrText =
  (id: number, value: string): Fill =>
  (frame) =>
    frame.attrText(id, value);
const placed = { valid: true, lat: 52.5, lon: 13.25 };

describe('a record is the same as what is stored (2)', () => {
  it.each<[what: string, fill: Fill, columns: StoredRow]>([
    ['with nothing in it', () => {}, {}],
    ['with a place', place, placed],
    ['in single precision: altitude', (f, r) => (f.altitudeM[r] = 1.1), { altitude_m: fround(1.1) }],
    ['in single precision: speed', (f, r) => (f.speedKmh[r] = 12.34), { speed_kmh: fround(12.34) }],
    ['in single precision: course', (f, r) => (f.courseDeg[r] = 0.1), { course_deg: fround(0.1) }],
    ['in single precision: dilution', (f, r) => (f.hdop[r] = 0.7), { hdop: fround(0.7) }],
    ['in single precision: an attribute with a column', attr(ATTR.external_v, 13.8), { external_v: fround(13.8) }],
    ['with more satellites than the column holds', (f, r) => (f.satellites[r] = 300), { satellites: 255 }],
    ['with as many as it holds', (f, r) => (f.satellites[r] = 255), { satellites: 255 }],
    ['with a boolean in its column', attr(ATTR.ignition, 1), { ignition: true }],
    ['with a boolean in the map of numbers', attr(ATTR.door, 1), { attrs: { door: 1 } }],
    ['with false in the map of numbers', attr(ATTR.door, 0), { attrs: { door: 0 } }],
    ['with a text', attrText(ATTR.vin, 'W1'), { texts: { vin: 'W1' } }],
    ['with a driver', attrText(ATTR.driver_id, 'X1'), { driver_id: 'X1' }],
    ['without a driver, which it says', attrText(ATTR.driver_id, ''), {}],
    ['with an empty text', attrText(ATTR.vin, ''), { texts: { vin: '' } }],
    ['with a number that is none', attr(ATTR.rpm, Number.POSITIVE_INFINITY), {}],
    ['with flags', (f, r) => (f.flags[r] = RowFlag.Buffered), { flags: ['buffered'] }],
    ['with an odometer', attr(ATTR.odometer_m, 1.1), { odometer_m: 1.1 }],
    ['with one cell, in its columns, numbers as text', (f) => f.cell(262, 1, 7, 9, 0), { mcc: 262, mnc: 1, lac: 7, cid: '9' }],
    ['with one cell of which little is known', (f) => f.cell(262, -1, -1, -1, 0), { mcc: 262 }],
    ['with one cell of which nothing is known', (f) => f.cell(-1, -1, -1, -1, 0), {}],
    [
      'with one cell and its signal',
      (f) => f.cell(262, -1, 7, 9, -70),
      { mcc: 262, lac: 7, cid: 9, cells: [{ mcc: 262, mnc: -1, lac: 7, cid: 9, rssi_dbm: -70 }] },
    ],
    [
      'with two cells, of the second no signal',
      (f) => {
        f.cell(262, 1, 7, 9, -70);
        f.cell(262, 1, 7, 0, 0);
      },
      {
        mcc: 262,
        cells: [
          { mcc: 262, mnc: 1, lac: 7, cid: 9, rssi_dbm: -70 },
          { mcc: 262, mnc: 1, lac: 7, cid: 0, rssi_dbm: 0 },
        ],
      },
    ],
    [
      'with WLANs',
      (f) => {
        f.wifi('aa:bb', -50);
        f.wifi('cc:dd', 0);
      },
      {
        wifi: [
          { mac: 'aa:bb', rssi_dbm: -50 },
          { mac: 'cc:dd', rssi_dbm: 0 },
        ],
      },
    ],
  ])('%s', (_what, fill, columns) => {
    expect(changeOf(fill, columns)).toBeUndefined();
  });

  it('with its account', () => {
    expect(changeOf(() => {}, { account: 'acme' }, 'acme')).toBeUndefined();
  });
});

describe('a record is another than what is stored: only what differs is told', () => {
  const nine = { mcc: 262, mnc: 1, lac: 7, cid: 9 };
  it.each<[what: string, fill: Fill, columns: StoredRow, was: object, now: object]>([
    ['another place, which is kept in full', place, { ...placed, lat: fround(52.1) }, { lat: fround(52.1) }, { lat: 52.5 }],
    ['not valid before', place, { ...placed, valid: false }, { valid: false }, { valid: true }],
    [
      'a number in full precision',
      attr(ATTR.rpm, 1.1),
      { attrs: { rpm: fround(1.1) } },
      { 'attrs.rpm': fround(1.1) },
      { 'attrs.rpm': 1.1 },
    ],
    [
      'a speed beyond single precision',
      (f, r) => (f.speedKmh[r] = 12.35),
      { speed_kmh: fround(12.34) },
      { speed_kmh: fround(12.34) },
      { speed_kmh: 12.35 },
    ],
    ['fewer satellites', (f, r) => (f.satellites[r] = 254), { satellites: 255 }, { satellites: 255 }, { satellites: 254 }],
    ['true and false', attr(ATTR.door, 1), { attrs: { door: 0 } }, { 'attrs.door': 0 }, { 'attrs.door': true }],
    ['a text that was a number', attrText(ATTR.vin, '1'), { attrs: { vin: 1 } }, { 'attrs.vin': 1 }, { 'attrs.vin': '1' }],
    ['a number that was a text', attr(ATTR.rpm, 1), { texts: { rpm: '1' } }, { 'attrs.rpm': '1' }, { 'attrs.rpm': 1 }],
    ['another text', attrText(ATTR.vin, 'W2'), { texts: { vin: 'W1' } }, { 'attrs.vin': 'W1' }, { 'attrs.vin': 'W2' }],
    ['what was not stored', attr(ATTR.rpm, 0), {}, {}, { 'attrs.rpm': 0 }],
    ['what is not read any more', () => {}, { attrs: { rpm: 0 } }, { 'attrs.rpm': 0 }, {}],
    ['a driver that was none', attrText(ATTR.driver_id, 'X1'), {}, {}, { 'attrs.driver_id': 'X1' }],
    ['an account', () => {}, { account: 'acme' }, { account: 'acme' }, {}],
    ['flags', (f, r) => (f.flags[r] = RowFlag.Buffered), {}, {}, { flags: ['buffered'] }],
    ['another cell', (f) => f.cell(262, 1, 7, 9, 0), { ...nine, cid: 8 }, { cells: [{ ...nine, cid: 8 }] }, { cells: [nine] }],
    ['no cell any more', () => {}, nine, { cells: [nine] }, {}],
    ['a signal', (f) => f.cell(262, 1, 7, 9, -70), nine, { cells: [nine] }, { cells: [{ ...nine, rssi_dbm: -70 }] }],
    ['WLANs', (f) => f.wifi('aa:bb', -50), {}, {}, { wifi: [{ mac: 'aa:bb', rssi_dbm: -50 }] }],
    ['an event and a time of the device', () => {}, { event: 'sos', device_time: 5 }, { event: 'sos', device_time: 5 }, {}],
  ])('%s', (_what, fill, columns, was, now) => {
    expect(changeOf(fill, columns)).toEqual(['changed', was, now]);
  });
});

describe('of several records', () => {
  const three = (): Rows => rowsOf([{ bytes: 'one' }, { bytes: 'two' }, { bytes: 'three', fill: place }]);

  it('each is added, changed, removed or the same', () => {
    const rows = three();
    const [two, three_] = [storedOf(rows, { event: 'sos' }, 1), storedOf(rows, placed, 2)];
    const gone = { ...storedOf(rows, { event: 'door' }, 0), id: 'f'.repeat(16) };
    const { changes, same } = compare(rows, all, [gone, two, three_]);
    const kept = { kind: 'status', protocol: 'rows', time: T, received: T };
    expect(changes).toEqual([
      { change: 'added', row: 0, old: undefined, was: {}, now: kept },
      { change: 'changed', row: 1, old: two, was: { event: 'sos' }, now: {} },
      { change: 'removed', row: -1, old: gone, was: { ...kept, event: 'door' }, now: {} },
    ]);
    expect(same).toBe(1);
  });

  it('those that are not taken are not looked at', () => {
    const rows = three();
    expect(compare(rows, (row) => row === 1, []).changes.map(({ row }) => row)).toEqual([1]);
    expect(compare(rows, () => false, [])).toEqual({ changes: [], same: 0 });
  });

  it('of one that a frame holds twice, the last stands', () => {
    const rows = rowsOf([{}, { fill: attr(ATTR.rpm, 5) }]);
    expect(compare(rows, all, []).changes.map(({ row, now }) => [row, now['attrs.rpm']])).toEqual([[1, 5]]);
  });

  it('one that had no place before is changed, not another', () => {
    const rows = rowsOf([{ fill: place }]);
    const { changes, same } = compare(rows, all, [storedOf(rows, {}, 0, 'statuses')]);
    expect([changes.map(({ change, was, now }) => [change, was, now]), same]).toEqual([
      [['changed', { kind: 'status' }, { kind: 'fix', valid: true, lat: 52.5, lon: 13.25 }]],
      0,
    ]);
  });

  it('one that is stored in both tables is compared with that of its own, and the other is removed', () => {
    const rows = rowsOf([{ fill: place }]);
    const [status, fix] = [storedOf(rows, {}, 0, 'statuses'), storedOf(rows, placed)];
    const { changes, same } = compare(rows, all, [status, fix]);
    expect([changes.map(({ change, old }) => [change, old]), same]).toEqual([[['removed', status]], 1]);
  });

  it('a place in a table of those without is not read', () => {
    const rows = rowsOf([{}]);
    expect(compare(rows, all, [storedOf(rows, placed)])).toEqual({ changes: [], same: 1 });
  });
});
