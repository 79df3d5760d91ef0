import { beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../src/base/log.ts';
import { FrameResult } from '../../../src/codec/index.ts';
import { type Located, type Place, Places, type Surroundings } from '../../../src/in/session/places.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

/** 18: where a device is that sends cells or access points and no position; the locator answers when the test says so. */

const WALL = Date.UTC(2026, 10, 1);
const PLACE: Place = { lat: 22.5, lon: 113.9, accuracy_m: 800 };
type Cell = readonly [mcc: number, mnc: number, lac: number, cid: number, rssi: number];
const CELL: Cell = [460, 0, 10, 20, -70];

interface Question {
  readonly around: Surroundings;
  readonly answer: (place: Place | undefined) => void;
  readonly fail: () => void;
}

let clock: FakeClock;
let asked: Question[];
let outcomes: string[];
let warnings: object[];
let events: object[];
let places: Places;

beforeEach(() => {
  [clock, asked, outcomes, warnings, events] = [new FakeClock(), [], [], [], []];
  places = new Places(
    {
      locate: (around) => {
        const { promise, resolve, reject } = Promise.withResolvers<Place | undefined>();
        asked.push({ around, answer: resolve, fail: () => reject(new Error('away')) });
        return promise;
      },
    },
    Object.assign(Object.create(silentLog), { warn: (fields: object) => warnings.push(fields) }),
    () => clock.elapsed(),
    (outcome) => outcomes.push(outcome),
  );
});

/** All that follows from an answer has happened. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function session(device: string, treatment = { relay: false }): Located {
  return { device, treatment, event: (event) => events.push({ device, ...event }) };
}

interface Row {
  readonly cells?: readonly Cell[];
  readonly wifi?: readonly (readonly [mac: string, rssi: number])[];
  readonly time?: number;
  readonly lat?: number;
}

function frameOf(...rows: readonly Row[]): FrameResult {
  const frame = new FrameResult();
  frame.reset(0, 1);
  for (const { cells = [], wifi = [], time = Number.NaN, lat = Number.NaN } of rows) {
    const row = frame.row();
    [frame.time[row], frame.latitude[row], frame.longitude[row]] = [time, lat, lat];
    for (const cell of cells) frame.cell(...cell);
    for (const one of wifi) frame.wifi(...one);
  }
  return frame;
}

const saw = (device: string, ...rows: readonly Row[]): void => places.saw(session(device), frameOf(...rows), WALL);
const cell = (cid: number): Row => ({ cells: [[460, 0, 10, cid, -70]] });

describe('a locator is asked', () => {
  const named = { mcc: 460, mnc: 0, lac: 10, cid: 20, rssi: -70 };
  it.each<[what: string, rows: readonly Row[], around: Surroundings | undefined]>([
    ['about a cell', [{ cells: [CELL] }], { cells: [named], wifi: [] }],
    ['about a cell in the area 0', [{ cells: [[460, 0, 0, 20, -70]] }], { cells: [{ ...named, lac: 0 }], wifi: [] }],
    [
      'about two access points',
      [
        {
          wifi: [
            ['a', -1],
            ['b', 0],
          ],
        },
      ],
      {
        cells: [],
        wifi: [
          { mac: 'a', rssi: -1 },
          { mac: 'b', rssi: 0 },
        ],
      },
    ],
    ['not about one, which moves about', [{ wifi: [['a', -1]] }], undefined],
    ['about one beside a cell', [{ cells: [CELL], wifi: [['a', -1]] }], { cells: [named], wifi: [{ mac: 'a', rssi: -1 }] }],
    ['not about nothing', [{}], undefined],
    ['not about a cell without a country', [{ cells: [[-1, 0, 10, 20, 0]] }], undefined],
    ['not about a cell without a network', [{ cells: [[460, -1, 10, 20, 0]] }], undefined],
    ['not about a cell without an area', [{ cells: [[460, 0, -1, 20, 0]] }], undefined],
    ['not about a cell without a number', [{ cells: [[460, 0, 10, -1, 0]] }], undefined],
    ['about the cells that are whole', [{ cells: [[460, -1, 1, 1, 0], CELL] }], { cells: [named], wifi: [] }],
    ['about the last record', [cell(1), { cells: [CELL] }], { cells: [named], wifi: [] }],
    ['not when the last record has nothing', [cell(1), {}], undefined],
    ['not when the last record has a place', [{ ...cell(1), lat: 0 }], undefined],
    ['when an earlier one had a place', [{ lat: 5 }, { cells: [CELL] }], { cells: [named], wifi: [] }],
  ])('%s', (_what, rows, around) => {
    saw('d-1', ...rows);
    expect(asked.map((question) => question.around)).toEqual(around === undefined ? [] : [around]);
  });

  it('not about a device whose data is relayed, and what it answers then is not told', async () => {
    places.saw(session('d-1', { relay: true }), frameOf(cell(1)), WALL);
    expect(asked).toEqual([]);
    const treatment = { relay: false };
    places.saw(session('d-1', treatment), frameOf(cell(1)), WALL);
    treatment.relay = true;
    asked[0]?.answer(PLACE);
    await settled();
    expect([events, outcomes]).toEqual([[], ['found']]);
  });

  it('four times at once, and then as others are answered', async () => {
    for (const cid of [1, 2, 3, 4, 5, 6]) saw(`d-${cid}`, cell(cid));
    expect(asked).toHaveLength(4);
    asked[2]?.answer(PLACE);
    await settled();
    expect(asked.map(({ around }) => around.cells[0]?.cid)).toEqual([1, 2, 3, 4, 5]);
    asked[0]?.answer(undefined);
    await settled();
    expect(asked).toHaveLength(6);
  });

  it('about a thousand more that wait at most; the next is dropped, and asked about when the device speaks again', async () => {
    for (let n = 1; n <= 1_005; n++) saw(`d-${n}`, cell(n));
    expect(outcomes).toEqual(['dropped']);
    asked[0]?.answer(undefined);
    await settled();
    saw('d-1005', cell(1_005));
    saw('d-1', cell(2_000));
    expect(outcomes).toEqual(['dropped', 'unknown', 'dropped']);
  });

  it('again when a device hears something else, and not for other signals, or the same in another order', async () => {
    const both = { cells: [CELL, [460, 0, 10, 21, 0]], wifi: [['a', -1]] } as const;
    saw('d-1', both);
    asked[0]?.answer(PLACE);
    await settled();
    saw('d-1', {
      cells: [
        [460, 0, 10, 21, -90],
        [460, 0, 10, 20, -50],
      ],
      wifi: [['a', -9]],
    });
    expect([asked.length, events.length]).toEqual([1, 1]);
    saw('d-1', { ...both, wifi: [['b', -1]] });
    expect(asked).toHaveLength(2);
  });
});

describe('what it knows', () => {
  it.each<[what: string, row: Row, source: string, time: number]>([
    ['of a cell, at the time of receipt', { cells: [CELL] }, 'cells', WALL],
    ['of a cell, at the time of the record', { cells: [CELL], time: 5 }, 'cells', 5],
    ['of one access point beside a cell', { cells: [CELL], wifi: [['a', 0]] }, 'cells', WALL],
    [
      'of two access points',
      {
        cells: [CELL],
        wifi: [
          ['a', 0],
          ['b', 0],
        ],
      },
      'wifi',
      WALL,
    ],
  ])('is an event: %s', async (_what, row, source, time) => {
    saw('d-1', row);
    asked[0]?.answer(PLACE);
    await settled();
    expect(events).toEqual([{ device: 'd-1', type: 'located', time, valid: false, source, ...PLACE }]);
    expect(outcomes).toEqual(['found']);
  });

  it('is told of other devices without asking, and so is that it knows nothing', async () => {
    saw('d-1', cell(1));
    saw('d-2', cell(2));
    asked[0]?.answer(PLACE);
    asked[1]?.answer(undefined);
    await settled();
    saw('d-3', cell(1));
    saw('d-3', cell(2));
    saw('d-1', cell(2));
    saw('d-1', cell(1));
    expect(events.map((event) => Reflect.get(event, 'device'))).toEqual(['d-1', 'd-3', 'd-1']);
    expect([asked.length, outcomes]).toEqual([2, ['found', 'unknown']]);
  });
});

describe('a question that fails', () => {
  it('is followed by none for half a minute, those that wait included, and said once', async () => {
    for (const cid of [1, 2, 3, 4, 5]) saw(`d-${cid}`, cell(cid));
    asked[0]?.fail();
    asked[1]?.fail();
    await settled();
    expect([asked.length, outcomes, warnings]).toEqual([4, ['failed', 'failed', 'dropped'], [{ pauseMs: 30_000 }]]);
    clock.step(29_999);
    saw('d-1', cell(1));
    expect([asked.length, outcomes.at(-1)]).toEqual([4, 'dropped']);
    clock.step(1);
    saw('d-1', cell(1));
    expect(asked).toHaveLength(5);
    asked[4]?.fail();
    await settled();
    expect(warnings).toHaveLength(2);
  });

  it('is asked again of the same device', async () => {
    saw('d-1', cell(1));
    asked[0]?.fail();
    await settled();
    clock.step(30_000);
    saw('d-1', cell(1));
    asked[1]?.answer(PLACE);
    await settled();
    expect(events).toHaveLength(1);
  });
});
