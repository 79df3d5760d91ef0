import { describe, expect, test } from 'vitest';
import { defineCodec, eventIndex, FrameResult, RowFlag, unknownEvent } from '../../../src/codec/index.ts';
import { Rows } from '../../../src/out/record/rows.ts';

const T = Date.UTC(2026, 9, 1);

const codec = defineCodec({
  name: 'rows',
  about: 'tests',
  maxFrameBytes: 100,
  maxAnswerBytes: 0,
  attributePrefix: 'io_',
  attributes: new Map([
    [1, { name: 'external_v', type: 'number' as const, scale: 0.001 }],
    [2, { name: 'coolant_c', type: 'number' as const, offset: -40 }],
    [3, { name: 'ignition', type: 'boolean' as const }],
    [4, { name: 'vin', type: 'text' as const }],
    [5, { name: 'external_v', type: 'number' as const, scale: 0.1 }],
  ]),
  messages: [],
  reasons: [],
  recognise: () => true,
  tcp: { open: () => ({}), frame: () => 0, decode: () => {}, encodeAck: () => 0 },
});

const BYTES = Buffer.from('some bytes of a frame, for the ids');

function frameWith(fill: (frame: FrameResult) => void): FrameResult {
  const frame = new FrameResult();
  frame.reset(0, 10);
  fill(frame);
  return frame;
}

function rowsOf(frame: FrameResult, accepted = frame.rows, received = T): Rows {
  const rows = new Rows();
  rows.append(frame, codec, 'd1', received, accepted, BYTES);
  return rows;
}

const json = (rows: Rows, row = 0): Record<string, unknown> => JSON.parse(rows.json(row));

describe('json', () => {
  test('of each record has the cells and access points of that record alone', () => {
    const rows = rowsOf(
      frameWith((frame) => {
        for (const macs of [['a', 'b'], [], ['c'], ['d', 'e']]) {
          frame.row();
          for (const mac of macs) {
            frame.wifi(mac.repeat(2), 0);
            frame.cell(246, 1, 2, mac.charCodeAt(0), 0);
          }
        }
      }),
    );
    const wifi = (...macs: string[]): object => macs.map((mac) => ({ mac }));
    const cells = (...cids: number[]): object => cids.map((cid) => ({ mcc: 246, mnc: 1, lac: 2, cid }));
    expect([0, 1, 2, 3].map((row) => [json(rows, row)['wifi'], json(rows, row)['cells']])).toEqual([
      [wifi('aa', 'bb'), cells(97, 98)],
      [undefined, undefined],
      [wifi('cc'), cells(99)],
      [wifi('dd', 'ee'), cells(100, 101)],
    ]);
  });

  test('has everything that is there, in the order of the design', () => {
    const rows = rowsOf(
      frameWith((frame) => {
        const r = frame.row();
        frame.time[r] = T - 400_000;
        frame.latitude[r] = -12.5;
        frame.longitude[r] = 130.25;
        frame.altitudeM[r] = 0;
        frame.speedKmh[r] = 12.3456;
        frame.courseDeg[r] = 0;
        frame.satellites[r] = 0;
        frame.hdop[r] = 0.9;
        frame.valid[r] = 1;
        frame.flags[r] = RowFlag.Rollover | 0xf0;
        frame.event[r] = eventIndex('power_cut');
        frame.attr(1, 13_812);
        frame.attr(2, 125);
        frame.attr(3, 1);
        frame.attrText(4, 'a "b"\n');
        frame.attr(77, 5);
        frame.cell(246, 1, -1, 99, -70);
        frame.wifi('00:11:22:33:44:55', 0);
      }),
    );
    expect(rows.json(0)).toBe(
      `{"kind":"fix","id":"${rows.id(0)}","device":"d1","account":"","protocol":"rows","time":${T - 400_000},"received":${T},"flags":["buffered","rollover"],` +
        '"valid":true,"lat":-12.5,"lon":130.25,"altitude_m":0,"speed_kmh":12.35,"course_deg":0,"satellites":0,"hdop":0.9,"event":"power_cut",' +
        '"cells":[{"mcc":246,"mnc":1,"cid":99,"rssi_dbm":-70}],"wifi":[{"mac":"00:11:22:33:44:55"}],' +
        '"attrs":{"external_v":13.812,"coolant_c":85,"ignition":true,"vin":"a \\"b\\"\\n","io_77":5}}',
    );
  });

  test('has nothing that is not there', () => {
    const rows = rowsOf(frameWith((frame) => frame.row()));
    expect(json(rows)).toEqual({
      kind: 'status',
      id: rows.id(0),
      account: '',
      device: 'd1',
      protocol: 'rows',
      time: T,
      received: T,
      flags: ['no_time'],
      attrs: {},
    });
  });

  test('stays JSON when a codec brings what is no number', () => {
    const rows = rowsOf(
      frameWith((frame) => {
        const r = frame.row();
        frame.latitude[r] = Number.POSITIVE_INFINITY;
        frame.longitude[r] = 1;
        frame.altitudeM[r] = Number.NEGATIVE_INFINITY;
        frame.attr(1, Number.NaN);
        frame.event[r] = unknownEvent(12);
      }),
    );
    expect(json(rows)).toMatchObject({ kind: 'status', event: 'unknown_12', attrs: { external_v: null } });
    expect(json(rows)).not.toHaveProperty('altitude_m');
  });
});

describe('append', () => {
  test('takes the leading accepted rows with what belongs to each', () => {
    const frame = frameWith((f) => {
      for (let i = 0; i < 3; i++) {
        const r = f.row();
        f.time[r] = T + i;
        for (let k = 0; k <= i; k++) f.attr(100 + k, i);
        f.cell(1, 1, 1, i, 0);
      }
    });
    const rows = rowsOf(frame, 2);
    rows.append(frame, codec, 'd2', T, 9, BYTES);
    expect(rows.count).toBe(5);
    expect(rows.device).toEqual(['d1', 'd1', 'd2', 'd2', 'd2']);
    expect(json(rows, 1)).toMatchObject({ time: T + 1, attrs: { io_100: 1, io_101: 1 }, cells: [{ cid: 1 }] });
    expect(json(rows, 4)).toMatchObject({ time: T + 2, attrs: { io_100: 2, io_101: 2, io_102: 2 }, cells: [{ cid: 2 }] });
  });

  test.each([3, 200])('invariant 3: a name stands once, the last value wins, among %i attributes', (count) => {
    const rows = rowsOf(
      frameWith((frame) => {
        frame.row();
        frame.attr(1, 1000);
        for (let i = 0; i < count; i++) frame.attr(1000 + i, i);
        frame.attr(5, 20);
        frame.attr(1000, -1);
      }),
    );
    const attrs = json(rows)['attrs'];
    expect(attrs).toMatchObject({ external_v: 2, io_1000: -1, io_1001: 1 });
    expect(Object.keys(attrs ?? {}).length).toBe(count + 1);
    expect(rows.attrs).toBe(count + 1);
  });

  test('the id is of the device and the record’s own bytes, wherever they lie', () => {
    const frame = frameWith((f) => {
      for (const [from, to] of [
        [2, 8],
        [3, 9],
      ] as const) {
        const r = f.row();
        f.from[r] = from;
        f.to[r] = to;
      }
    });
    const rows = new Rows();
    const first = Buffer.from('..abcdef....');
    const moved = Buffer.from('...abcdef...');
    rows.append(frame, codec, 'd', T, 1, first);
    rows.append(frame, codec, 'd', T, 2, moved);
    rows.append(frame, codec, 'e', T, 1, first);
    expect(rows.id(0)).toMatch(/^[0-9a-f]{16}$/);
    expect(rows.id(2)).toBe(rows.id(0));
    expect(new Set([0, 1, 3].map((row) => rows.id(row))).size).toBe(3);
  });

  test('invariant 2: nor do attributes of rows that had more of them', () => {
    const many = frameWith((frame) => {
      for (let i = 0; i < 600; i++) {
        frame.row();
        frame.attr(1, i);
        frame.attr(2, i);
        frame.attrText(4, `text ${i}`);
      }
    });
    const few = frameWith((frame) => {
      for (let i = 0; i < 3; i++) {
        frame.row();
        frame.attr(3, i & 1);
        if (i === 1) frame.attr(2, 7);
      }
    });
    const rows = rowsOf(many);
    rows.clear();
    rows.append(few, codec, 'd1', T, few.rows, BYTES);
    const fresh = rowsOf(few);
    expect([0, 1, 2].map((row) => rows.json(row))).toEqual([0, 1, 2].map((row) => fresh.json(row)));
    expect(rows.attrs).toBe(4);
  });

  test('invariant 2: reused columns leave nothing behind', () => {
    const fill = (frame: FrameResult): void => {
      const r = frame.row();
      frame.time[r] = T - 2 * 86_400_000;
      frame.latitude[r] = 1;
      frame.longitude[r] = 2;
      frame.valid[r] = 1;
      frame.altitudeM[r] = 3;
      frame.speedKmh[r] = 4;
      frame.courseDeg[r] = 5;
      frame.hdop[r] = 6;
      frame.satellites[r] = 7;
      frame.attrText(4, 'text');
      frame.cell(1, 2, 3, 4, 5);
      frame.wifi('aa:aa:aa:aa:aa:aa', -1);
    };
    const busy = frameWith((frame) => {
      frame.correct(60_000);
      for (let i = 0; i < 600; i++) fill(frame);
    });
    const alone = frameWith((frame) => {
      frame.correct(60_000);
      fill(frame);
    });
    const plain = frameWith((frame) => frame.row());
    const rows = rowsOf(busy);
    expect(rows.json(599)).toBe(rowsOf(alone).json(0));
    expect(json(rows, 599)).toMatchObject({ satellites: 7, cells: [{ rssi_dbm: 5 }], wifi: [{ rssi_dbm: -1 }], attrs: { vin: 'text' } });
    rows.clear();
    rows.append(plain, codec, 'd1', T, 1, BYTES);
    expect(rows.json(0)).toBe(rowsOf(plain).json(0));
  });
});

describe('time', () => {
  const HOUR = 3_600_000;
  const DAY = 24 * HOUR;
  const ROLLOVER = 1024 * 7 * DAY;
  const cases: [string, number, { time: number; device_time?: number; flags?: string[] }][] = [
    ['now', T, { time: T }],
    ['five minutes ago', T - 300_000, { time: T - 300_000 }],
    ['longer ago', T - 300_001, { time: T - 300_001, flags: ['buffered'] }],
    ['a little ahead', T + 300_000, { time: T + 300_000 }],
    ['further ahead', T + 300_001, { time: T + 300_001, flags: ['future'] }],
    ['a day ahead', T + DAY, { time: T + DAY, flags: ['future'] }],
    ['more than a day ahead', T + DAY + 1, { time: T, device_time: T + DAY + 1, flags: ['future'] }],
    ['2010-01-01', 1_262_304_000_000, { time: 1_262_304_000_000, flags: ['buffered'] }],
    ['before 2010', 1_262_303_999_999, { time: T, device_time: 1_262_303_999_999, flags: ['no_time'] }],
    ['none', Number.NaN, { time: T, flags: ['no_time'] }],
    ['1024 weeks ago', T - ROLLOVER, { time: T, flags: ['rollover'] }],
    ['1024 weeks and an hour ago', T - ROLLOVER - HOUR, { time: T - HOUR, flags: ['buffered', 'rollover'] }],
  ];
  test.each(cases)('%s', (_, raw, expected) => {
    const rows = rowsOf(
      frameWith((frame) => {
        frame.time[frame.row()] = raw;
      }),
    );
    const { time, device_time, flags } = json(rows);
    expect({ time, ...(device_time === undefined ? {} : { device_time }), ...(flags === undefined ? {} : { flags }) }).toEqual(expected);
  });

  test('of a clock that is wrong by a known time is put right, and what the device said is kept', () => {
    const rows = rowsOf(
      frameWith((frame) => {
        frame.time[frame.row()] = T;
        frame.row();
        frame.correct(HOUR);
      }),
    );
    expect(json(rows)).toMatchObject({ time: T - HOUR, device_time: T, flags: ['buffered'] });
    expect(json(rows, 1)).toMatchObject({ time: T, flags: ['no_time'] });
    expect(json(rows, 1)).not.toHaveProperty('device_time');
  });
});
