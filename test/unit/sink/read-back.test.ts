import { describe, expect, it } from 'vitest';
import { eventIndex } from '../../../src/codec/index.ts';
import { compare, rowKey, type StoredRecord, storedRecord } from '../../../src/out/sink/clickhouse/compare.ts';
import { BlockEncoder } from '../../../src/out/sink/clickhouse/encode.ts';
import { readBlock } from '../../support/native-block.ts';
import { recordRows, type Said, T } from '../../support/record-rows.ts';

/** Numbers quote the invariants of src/out/sink/clickhouse/compare.ts. */

const encoder = new BlockEncoder();
const RECEIVED = T + 1_000;

/** What the tables have of these records. */
function storedOf(records: readonly Said[]): StoredRecord[] {
  const rows = recordRows(records);
  return Array.from({ length: rows.count }, (_, row) => {
    const { table } = rowKey(rows, row);
    for (const _ of encoder[table](rows, { list: Int32Array.of(row), from: 0, to: 1 }));
    const [stored = {}] = readBlock(encoder.writer.written()).rows;
    return storedRecord(table, stored);
  });
}

describe('what is stored of a record, and its new reading', () => {
  const typed = { external_v: 12.3, battery_v: 4.1, battery_pct: 33.3, fuel_pct: 0.7, gsm_level: 2.2, odometer_m: 0.1 };
  const status: Said = {
    account: 'acme',
    columns: { altitudeM: -3.14, speedKmh: 12.34, courseDeg: 0.01, satellites: 300, hdop: 0.7 },
    flags: 9,
    event: eventIndex('power_cut'),
    attrs: { ...typed, ignition: true, motion: false, driver_id: 'x', vin: '', door: true, rpm: 0.3, io_99: 7 },
    cells: [[246, 1, 2, 3, -70]],
    wifi: [
      ['00:11:22:33:44:55', -60],
      ['00:11:22:33:44:66', 0],
    ],
  };

  it.each<[what: string, said: Said]>([
    ['with all that a record can say', { ...status, at: [-12.345678, 130.254321], valid: true }],
    ['that is a status', status],
    ['that says nothing', {}],
    ['without an account', { at: [1, 2], account: '' }],
    ['with a cell without a signal', { cells: [[1, 2, 3, 4, 0]] }],
    ['with a cell of which nothing is known', { cells: [[-1, -1, -1, -1, 0]] }],
    [
      'with cells of which nothing is known',
      {
        cells: [
          [-1, -1, -1, -1, 0],
          [-1, -1, -1, -1, 0],
        ],
      },
    ],
    ['with a cell of zeros', { cells: [[0, 0, 0, 0, 0]] }],
    ['with a signal of a cell of which nothing is known', { cells: [[-1, -1, -1, -1, -70]] }],
    [
      'with several cells, one of them unknown',
      {
        cells: [
          [1, 2, 3, -1, -70],
          [-1, -1, -1, -1, 0],
          [0, 0, 0, 0, 0],
        ],
      },
    ],
    ['with attributes that are no numbers, or empty', { attrs: { rpm: Number.NaN, fuel_pct: Number.NaN, driver_id: '', vin: '' } }],
    [
      'with attributes that do not fit the column of their name',
      { attrs: { motion: 2, external_v: true, driver_id: 7, battery_v: 'low' } },
    ],
    ['with a time of its own that was not believed', { time: 1_000 }],
    ['with one that the column does not hold', { time: 10_413_792_000_000 }],
    ['with one that the column does not hold, long ago', { time: -2_208_988_800_001 }],
  ])('are the same for one %s (2)', (_what, said) => {
    expect(compare(recordRows([said]), () => true, storedOf([said]))).toEqual({ changes: [], same: 1 });
  });
});

describe('rows of several records', () => {
  const a: Said = { bytes: 'a', attrs: { rpm: 1 } };
  const b: Said = { bytes: 'b', attrs: { rpm: 2 } };
  const c: Said = { bytes: 'c', at: [1, 2] };
  const moved: Said = { ...b, time: T - 5 };

  it.each<[what: string, now: readonly Said[], was: readonly Said[], changes: unknown[], same: number]>([
    ['that are there', [a, b, c], [c, b, a], [], 3],
    ['that are new', [a, b], [b], [['added', 0, undefined]], 1],
    ['that are no more', [a], [a, b], [['removed', -1, T]], 1],
    [
      'that replace each other',
      [a],
      [b],
      [
        ['added', 0, undefined],
        ['removed', -1, T],
      ],
      0,
    ],
    ['of which one has moved', [a, moved], [a, b], [['changed', 1, T]], 1],
    // The same bytes at two times: each is the one of its own time.
    ['of which two have one id', [b, moved], [moved, b], [], 2],
    ['of which two had one id', [moved], [b, moved], [['removed', -1, T]], 1],
    ['of which two have one id now', [b, moved], [b], [['added', 1, undefined]], 1],
    // A frame that holds a record twice: the last stands.
    ['of which one comes twice', [{ ...a, attrs: { rpm: 9 } }, a], [a], [], 1],
    ['of which one comes twice, the last of them new', [a, { ...a, attrs: { rpm: 9 } }], [a], [['changed', 1, T]], 0],
    ['of two devices', [a, { ...a, device: 'd2' }], [a], [['added', 1, undefined]], 1],
  ])('%s', (_what, now, was, changes, same) => {
    const found = compare(recordRows(now), () => true, storedOf(was));
    expect(found.changes.map(({ change, row, old }) => [change, row, old?.time])).toEqual(changes);
    expect(found.same).toBe(same);
  });

  it('keep who and when of what is stored', () => {
    const [record] = storedOf([{ ...c, device: 'd9', time: T - 7 }]);
    expect(record).toMatchObject({
      table: 'positions',
      device: 'd9',
      received: RECEIVED,
      time: T - 7,
      id: recordRows([{ ...c, device: 'd9' }]).id(0),
    });
  });
});
