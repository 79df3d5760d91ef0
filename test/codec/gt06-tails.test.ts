import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import { crc16X25, hex, putU16be, u16be } from '../../src/base/wire/index.ts';
import { bytesOf, type FrameLine, frameLines, RecordFeed } from '../helpers/fixtures.ts';

/** Invariant 2 of codecs/gt06/decode.ts: a position that shows itself is a fix at any length, and what follows it is kept. Values at their limits. */

const LOGIN = '787811010123456789012345270100020001c2c80d0a';
/** 2026-07-15 12:34:56, 12 satellites, 33.86882 S 70.64827 W, 87 km/h, 275°, positioned. */
const GPS18 = '1a070f0c2238cc03a23c24079469a657d913';
const PLACE = { kind: 'fix', time: Date.parse('2026-07-15T12:34:56Z'), lat: -33.86882, lon: -70.64827, valid: true, speed_kmh: 87 };
const LONGEST = 72;
/** What the block begins behind, in the content of a number. */
const IN_FRONT: Readonly<Record<number, string>> = { 52: '00000000', 97: '0123456789012345' };
const SHORT = [
  0x10, 0x11, 0x12, 0x16, 0x17, 0x1a, 0x1e, 0x22, 0x24, 0x25, 0x26, 0x27, 0x2a, 0x2d, 0x31, 0x32, 0x34, 0x36, 0x37, 0x39, 0x61, 0xa0, 0xa3,
  0xa4,
];

function frameOf(number: number, content: string, long: boolean): Uint8Array {
  const body = bytesOf(content);
  const head = long ? 5 : 4;
  const bytes = new Uint8Array(head + body.length + 6);
  bytes.set(long ? [0x79, 0x79] : [0x78, 0x78]);
  if (long) putU16be(bytes, 2, body.length + 5);
  else bytes[2] = body.length + 5;
  bytes[head - 1] = number;
  bytes.set(body, head);
  putU16be(bytes, bytes.length - 6, 7);
  putU16be(bytes, bytes.length - 4, crc16X25(bytes, 2, bytes.length - 4));
  bytes.set([0x0d, 0x0a], bytes.length - 2);
  return bytes;
}

function read(bytes: Uint8Array): { records: Record<string, unknown>[]; answer: string | null | undefined } {
  const connection = new RecordFeed(gt06, 'tcp', {});
  connection.feed.push(bytesOf(LOGIN));
  const [frame] = connection.feed.push(bytes);
  return { records: connection.records.at(-1) ?? [], answer: frame?.answer };
}

/** Tails of n bytes: zeros, and a pattern that is no layout. */
function tails(n: number): string[] {
  const pattern = Uint8Array.from({ length: n }, (_, i) => 0x81 + 7 * i);
  return ['00'.repeat(n), hex(pattern, 0, n)];
}

/** The fix of a frame with this tail; its bytes are explained or kept. */
function expectFix(number: number, tail: string, long = false): void {
  const content = (IN_FRONT[number] ?? '') + GPS18 + tail;
  const { records } = read(frameOf(number, content, long));
  const what = `${number.toString(16)} with ${tail.length / 2} bytes behind the block: ${tail}`;
  expect(records, what).toHaveLength(1);
  const record = records[0] ?? {};
  expect(record, what).toMatchObject({ kind: PLACE.kind, time: PLACE.time, valid: true, speed_kmh: 87 });
  expect(record['lat'], what).toBeCloseTo(PLACE.lat, 5);
  expect(record['lon'], what).toBeCloseTo(PLACE.lon, 5);
}

describe('a position in a message of any length', () => {
  it.each(SHORT)('of number %d', (number) => {
    // 34 is something else at one length, whatever the bytes say: cells of an SL4X.
    for (let n = 0; n <= LONGEST; n++)
      for (const tail of tails(n)) {
        const size = GPS18.length / 2 + n + (IN_FRONT[number] ?? '').length / 2;
        if (number === 0x34 && size === 50) continue;
        expectFix(number, tail);
      }
  });

  it.each([0x38, 0x39, 0x22])('of number %d in a long frame', (number) => {
    for (let n = 0; n <= LONGEST; n++) for (const tail of tails(n)) expectFix(number, tail, true);
  });

  it('of locks, where only the lengths of the blocks do not fit', () => {
    for (let n = 0; n <= LONGEST; n++)
      for (const tail of tails(n)) {
        const [record = {}] = read(frameOf(0x32, `${GPS18.slice(0, 12)}0c${GPS18.slice(12)}${tail}`, true)).records;
        expect(record, tail).toMatchObject({ kind: 'fix', time: PLACE.time });
      }
  });

  it('of locks, up to whatever block it goes, keeps what is behind it where the blocks do not end in front of a status', () => {
    const cell = '01cc00287d001f7146';
    const lock = (gps: string, main: string, near: string, wifi: string, behind: string): Record<string, unknown> => {
      const content = `${GPS18.slice(0, 12)}${gps}${GPS18.slice(12)}${main}${cell}${near}${wifi}aabbccddeeffc4${behind}`;
      const [record = {}] = read(frameOf(0x32, content, true)).records;
      return Object(record['attrs'] ?? {});
    };
    expect(lock('0c', '09', '00', '07', '0200')).toMatchObject({ status: 2 });
    expect(lock('0c', '09', '00', '07', '02')).toMatchObject({ status: 2 });
    expect(lock('0c', '09', '00', '07', '0200')['extra']).toBeUndefined();
    for (const [main, near, wifi, behind] of [
      ['09', '00', '07', ''],
      ['09', '00', '09', '0200'],
      ['09', '00', '0a', '0200'],
      ['09', '09', '07', '0200'],
      ['09', 'ff', '07', '0200'],
      ['14', '00', '07', '0200'],
      ['ff', '00', '07', '0200'],
      ['08', '00', '07', '0200'],
      ['01', '00', '07', '0200'],
    ] as const) {
      const attrs = lock('0c', main, near, wifi, behind);
      expect(attrs['status'], `${main} ${near} ${wifi} ${behind}`).toBeUndefined();
      expect(attrs['extra'], `${main} ${near} ${wifi} ${behind}`).toBe(`${main}${cell}${near}${wifi}aabbccddeeffc4${behind}`);
    }
    expect(lock('0b', '09', '00', '07', '0200')).toEqual({});
  });

  it('keeps what no layout explains', () => {
    for (const number of [0x16, 0x26, 0x31, 0x32, 0x1a, 0x2a, 0x24, 0x37]) {
      const [record = {}] = read(frameOf(number, `${GPS18}0102030405`, false)).records;
      expect(record['attrs'], number.toString(16)).toMatchObject({ extra: '0102030405' });
    }
    const [long = {}] = read(frameOf(0x26, `${GPS18}00${'a5'.repeat(200)}`, false)).records;
    expect(JSON.stringify(long['attrs'])).toContain('a5'.repeat(150));
  });

  it('is none without a date or a place', () => {
    for (const block of [
      `000000000000${GPS18.slice(12)}`,
      `1a0d0f0c2238${GPS18.slice(12)}`,
      `1a021e0c2238${GPS18.slice(12)}`,
      `${GPS18.slice(0, 12)}cc000000000000000057d913`,
      `${GPS18.slice(0, 12)}cc0aa23c24079469a657d913`,
      `${GPS18.slice(0, 12)}cc03a23c24f79469a657d913`,
    ])
      for (const number of [0x31, 0x32, 0x24, 0x1a, 0x2a]) {
        const { records, answer } = read(frameOf(number, `${block}0102030405`, false));
        expect(records, block).toEqual([]);
        // It is stored raw and answered as its number is.
        expect(answer === null, block).toBe(number === 0x1a || number === 0x2a);
      }
  });
});

describe('a date of any day', () => {
  const timeOf = (year: number, month: number, day: number, clock: string): unknown => {
    const two = (n: number): string => n.toString(16).padStart(2, '0');
    const [record] = read(frameOf(0x22, two(year - 2000) + two(month) + two(day) + clock + GPS18.slice(12), false)).records;
    // A time of its own, or the one under which it was rejected.
    return record?.['device_time'] ?? (record?.['flags'] === 'no_time' ? undefined : record?.['time']);
  };

  it('is the day that the calendar has, at every edge of a month and a year', () => {
    for (let year = 2012; year <= 2026; year++)
      for (let month = 1; month <= (year === 2026 ? 10 : 12); month++) {
        const last = new Date(Date.UTC(year, month, 0)).getUTCDate();
        expect(timeOf(year, month, 1, '000000')).toBe(Date.UTC(year, month - 1, 1));
        expect(timeOf(year, month, last, '173b3b')).toBe(Date.UTC(year, month - 1, last, 23, 59, 59));
      }
  });

  it('in the zone of the device, is the day before or behind it in UTC', () => {
    const timeBehind = (login: string, content: string, number: number): unknown => {
      const connection = new RecordFeed(gt06, 'tcp', {});
      connection.feed.push(bytesOf(login));
      connection.feed.push(frameOf(number, content, number === 0x21));
      return connection.records.at(-1)?.[0]?.['time'];
    };
    const place = GPS18.slice(12);
    const text = (date: string): string => {
      const said = `Current position! Lat:S33.86882,Lon:W70.64827,Course:275.00,Speed:0.00Km/h,DateTime:${date}`;
      return `0000000001${[...said].map((c) => c.charCodeAt(0).toString(16).padStart(2, '0')).join('')}`;
    };
    const east = hex(frameOf(0x01, '012345678901234527013202', false), 0, 22);
    const west = hex(frameOf(0x01, '0123456789012345270112ca', false), 0, 22);
    // UTC+8 and UTC−3, local messages and the text of a reply, two digits of a year and four.
    expect(timeBehind(east, `1a0101000000${place}`, 0x12)).toBe(Date.UTC(2025, 11, 31, 16));
    expect(timeBehind(west, `190c1f173b3b${place}`, 0x12)).toBe(Date.UTC(2026, 0, 1, 2, 59, 59));
    expect(timeBehind(east, text('2024-03-01 07:59:59'), 0x21)).toBe(Date.UTC(2024, 1, 29, 23, 59, 59));
    expect(timeBehind(west, text('23-12-31  23:00:00'), 0x21)).toBe(Date.UTC(2024, 0, 1, 2));
  });

  it('in BCD, as in the Wi-Fi messages of Topin', () => {
    const timeOf = (date: string): unknown => {
      const connection = new RecordFeed(gt06, 'tcp', {});
      connection.feed.push(bytesOf('78780d010359339075005244340d0a'));
      connection.feed.push(bytesOf(`78780017${date}0100cc080c4e2fa5640d0a`));
      return connection.records.at(-1)?.[0]?.['time'];
    };
    expect(timeOf('240229235959')).toBe(Date.UTC(2024, 1, 29, 23, 59, 59));
    expect(timeOf('251231235959')).toBe(Date.UTC(2025, 11, 31, 23, 59, 59));
    expect(timeOf('260101000000')).toBe(Date.UTC(2026, 0, 1));
  });
});

describe('a reply in either kind of frame', () => {
  const text = Buffer.from('Battery:4.10V; ACC:ON').toString('hex');
  const flag = '00000007';
  const length = text.length / 2 + 4;
  const two = length.toString(16).padStart(2, '0');

  it.each([
    ['15 in a short frame', 0x15, false, `${two}${flag}${text}0002`],
    ['15 in a long frame, a length of one byte', 0x15, true, `${two}${flag}${text}0002`],
    ['15 in a long frame, a length of two bytes', 0x15, true, `00${two}${flag}${text}0002`],
    ['81 in a long frame, a length of two bytes and no language', 0x81, true, `00${two}${flag}${text}`],
    ['21 in a long frame', 0x21, true, `${flag}01${text}`],
    ['21 in a short frame', 0x21, false, `${flag}01${text}`],
  ])('%s', (_, number, long, content) => {
    const connection = new RecordFeed(gt06, 'tcp', {});
    connection.feed.push(bytesOf(LOGIN));
    const [frame] = connection.feed.push(frameOf(number, content, long));
    expect(frame).toMatchObject({ kind: 'reply', replyKey: 7, replyText: 'Battery:4.10V; ACC:ON' });
  });

  it.each([
    ['ends at its first NUL without a length', '00', '4f4b00414243', '0002', 'OK'],
    ['ends in front of LANG without a length and a NUL', '00', '4f4b414243', '0002', 'OKABC'],
    ['shows a NUL as a space within its length', '0a', '4f4b00414243', '0002', 'OK ABC'],
    ['is UTF-16 also without a length', '00', '004f004b', '0002', 'OK'],
  ])('%s', (_, size, said, language, expected) => {
    const connection = new RecordFeed(gt06, 'tcp', {});
    connection.feed.push(bytesOf(LOGIN));
    expect(connection.feed.push(frameOf(0x15, size + flag + said + language, false))[0]).toMatchObject({ replyText: expected });
  });

  it('a text longer than a short frame', () => {
    const long = 'AB'.repeat(300);
    const content = `${(long.length + 4).toString(16).padStart(4, '0')}${flag}${Buffer.from(long).toString('hex')}0001`;
    const connection = new RecordFeed(gt06, 'tcp', {});
    connection.feed.push(bytesOf(LOGIN));
    expect(connection.feed.push(frameOf(0x15, content, true))[0]).toMatchObject({ kind: 'reply', replyKey: 7, replyText: long });
  });
});

describe('a long frame of a number that has a short one', () => {
  it('of an alarm is the alarm, and is answered in its kind', () => {
    const tail = '0901cc00287d001f713c04040302';
    const short = read(frameOf(0x26, GPS18 + tail, false));
    const long = read(frameOf(0x26, GPS18 + tail, true));
    expect(short.records[0]).toMatchObject({ event: 'vibration' });
    expect(long.records.map(({ id: _, ...rest }) => rest)).toEqual(short.records.map(({ id: _, ...rest }) => rest));
    expect([short.answer?.slice(0, 4), long.answer?.slice(0, 4)]).toEqual(['7878', '7979']);
  });

  it('of a heartbeat is a heartbeat', () => {
    const { answer } = read(frameOf(0x13, '460404000201'.slice(0, 10), true));
    expect(answer?.slice(0, 10)).toBe('7979000513');
  });

  it('of every number is read as in a short one', () => {
    // Numbers that are something else in a long frame: locks, information with a sub-type.
    const other = new Set([0x32, 0x33, 0x94]);
    const lines = frameLines('gt06').filter(({ hex: text, expect: { damaged, reason, records } }) => {
      const bytes = bytesOf(text);
      const end = bytes.length;
      const isWhole = end === (bytes[2] ?? 0) + 5 && end > 10 && crc16X25(bytes, 2, end - 4) === u16be(bytes, end - 4);
      return (
        bytes[0] === 0x78 && isWhole && damaged === undefined && reason === undefined && records !== undefined && !other.has(bytes[3] ?? 0)
      );
    });
    const byId = new Map(frameLines('gt06').map((line) => [line.id, line.hex]));
    const recordsOf = (line: FrameLine, bytes: Uint8Array): unknown => {
      const connection = new RecordFeed(gt06, 'tcp', { options: line.options ?? {} });
      for (const id of line.needs ?? []) connection.feed.push(bytesOf(byId.get(id) ?? ''));
      connection.feed.push(bytes);
      return connection.records.at(-1)?.map(({ id: _, ...rest }) => rest);
    };
    const numbers = new Set<number>();
    for (const line of lines) {
      const bytes = bytesOf(line.hex);
      const number = bytes[3] ?? 0;
      numbers.add(number);
      expect(recordsOf(line, frameOf(number, hex(bytes, 4, bytes.length - 6), true)), line.id).toEqual(recordsOf(line, bytes));
    }
    for (const number of [0x12, 0x13, 0x16, 0x18, 0x19, 0x1a, 0x22, 0x28, 0x29, 0x2c, 0x95, 0xa0, 0xa1, 0xa2, 0xa5])
      expect([...numbers]).toContain(number);
  });
});

/** The record of a frame, its attributes beside its fields. */
function flat(number: number, content: string, long = false): Record<string, unknown> {
  const [record = {}] = read(frameOf(number, content, long)).records;
  return { ...record, ...Object(record['attrs']) };
}

describe('a value at its limits', () => {
  const block = (place: string, word = 'd913'): string => `${GPS18.slice(0, 14)}${place}57${word}`;
  it.each([
    ['09a7ec80134fd900', [90, -180]],
    ['09a7ec8100000000', [undefined, undefined]],
    ['00000000134fd901', [undefined, undefined]],
    ['0000000000000000', [undefined, undefined]],
    ['0000000000000001', [0, -1 / 1_800_000]],
  ])('place %s', (place, expected) => {
    const { lat, lon } = flat(0x22, block(place, 'dd13'));
    expect([lat, lon]).toEqual(expected);
  });

  it.each([
    ['d900', 256],
    ['d968', 360],
    ['d969', undefined],
    ['dbff', undefined],
  ])('course %s', (word, degrees) => {
    expect(flat(0x22, block('03a23c24079469a6', word))['course_deg']).toBe(degrees);
  });

  it.each([
    ['00', { gsm_level: 0 }],
    ['04', { gsm_level: 4 }],
    ['05', { gsm_csq: 5 }],
    ['1f', { gsm_csq: 31 }],
    ['20', { gsm_pct: 32 }],
    ['64', { gsm_pct: 100 }],
    ['65', {}],
  ])('signal %s', (signal, expected) => {
    const { gsm_level, gsm_csq, gsm_pct } = flat(0x23, `460fa0${signal}0002`);
    expect({ gsm_level, gsm_csq, gsm_pct }).toEqual(expected);
  });

  it.each([
    ['00', 0],
    ['06', 100],
    ['07', 7],
    ['64', 100],
    ['65', undefined],
  ])('voltage level %s', (level, percent) => {
    expect(flat(0x13, `46${level}040002`)['battery_pct']).toBe(percent);
  });

  it.each([
    // MCC 2, MNC 1, LAC 4, cell 8: a cell of 5G has 36 bits at most.
    ['01cc01000000010000000fffffffff', [{ mcc: 460, mnc: 1, lac: 1, cid: 0xfffffffff }]],
    ['01cc01000000010000001000000000', undefined],
    ['01cc017fffffff0000000000000001', [{ mcc: 460, mnc: 1, lac: 0x7fffffff, cid: 1 }]],
  ])('cell %s', (cell, cells) => {
    expect(flat(0xa0, GPS18 + cell)['cells']).toEqual(cells);
  });
});

describe('another value at its limits', () => {
  it.each([
    ['1d', undefined],
    ['1e', -30],
    ['78', -120],
    ['79', undefined],
  ])('level of a cell %s', (level, rssi_dbm) => {
    const near = '000000000000'.repeat(6);
    expect(flat(0x28, `1a070f0c223801cc00287d001f71${level}${near}000002`)['cells']).toEqual([
      { mcc: 460, mnc: 0, lac: 10365, cid: 8049, rssi_dbm },
    ]);
  });

  it.each([
    ['1a070f173b3b', Date.UTC(2026, 6, 15, 23, 59, 59)],
    ['1a070f180000', undefined],
    ['1a070f003c00', undefined],
    ['1a070f00003c', undefined],
  ])('date %s', (date, time) => {
    const record = flat(0x22, date + GPS18.slice(12));
    expect(String(record['flags']).includes('no_time') ? undefined : record['time']).toBe(time);
  });

  it.each([
    ['64', 100],
    ['65', undefined],
  ])('percentage %s', (percent, value) => {
    // Heartbeats of LEN 13 and 15, an alarm of SEEWORLD, a tag of 0x70.
    expect(flat(0x13, `4000000000${percent}0104b000003c0000`)['battery_pct']).toBe(value);
    expect(flat(0x13, `4000000000${percent}0104b0000001003c8000`)['battery_pct']).toBe(value);
    expect(flat(0x16, `${GPS18}0901cc00287d00001f7146${percent}040102`)['battery_pct']).toBe(value);
    expect(flat(0x16, `${GPS18}0901cc00287d00001f714640${percent}0102`)['gsm_pct']).toBe(value);
    expect(flat(0x70, `007f000ec4a8284100010bb8${percent}012201dc00`, true)['tag_1_battery_pct']).toBe(value);
  });
});

describe('an alarm without a cell', () => {
  const STATUS = '4605040302';
  const TOLD = { kind: 'fix', event: 'vibration', battery_pct: 83, gsm_level: 4, event_code: 3, alarm_language: 'en', gps_on: true };
  it.each([
    [0x26, '00', '', {}],
    [0x26, '00', '07', { extra: '07' }],
    [0x27, '00', 'ff', {}],
    [0x26, `00${'00'.repeat(45)}`, '', {}],
  ] as const)('%d has its status behind a length of 0: %s, %s', (number, filler, tail, more) => {
    const record = flat(number, GPS18 + filler + STATUS + tail);
    const { cells, extra, geofence, odometer_m } = record;
    expect(record).toMatchObject(TOLD);
    expect({ cells, extra, geofence, odometer_m }).toEqual(more);
  });

  it('names its fence', () => {
    expect(flat(0x27, `${GPS18}00460504040207`)).toMatchObject({ event: 'geofence_enter', geofence: '7' });
    expect(flat(0x27, `${GPS18}004605040402ff`)['geofence']).toBeUndefined();
  });

  it('has one where the length 0 stands in front of a cell', () => {
    expect(flat(0x26, `${GPS18}0001cc00287d001f71${STATUS}`)).toMatchObject({
      ...TOLD,
      cells: [{ mcc: 460, mnc: 0, lac: 10365, cid: 8049 }],
    });
  });
});

describe('a heartbeat of SEEWORLD', () => {
  it('has its battery as a level in the short form, in percent in the long one', () => {
    expect(flat(0xa3, '460001030c0c02')).toMatchObject({ battery_pct: 50, gsm_csq: 12, external_v: 12 });
    const long = (percent: string): Record<string, unknown> => flat(0xa3, `460001030c0c02010200002580${percent}0000000000`);
    expect(long('64')).toMatchObject({ battery_pct: 100, steps: 0x2580, charging: false, motion: false });
    expect(long('65')['battery_pct']).toBeUndefined();
  });
});

describe('an item of F1', () => {
  const UNIX = '6a5780f0';
  it.each([
    ['00010100', { motion_state: 0, motion: false }],
    ['00010101', { motion_state: 1, motion: false }],
    ['00010102', { motion_state: 2, motion: true }],
    ['00010103', { motion_state: 3, motion: false }],
    ['00010104', { motion_state: 4, motion: true }],
    ['00010105', { motion_state: 5, motion: false }],
    ['00020100', { armed: false }],
    ['00020102', { armed: true }],
    ['00040100', { ignition: false }],
    ['00040102', { ignition: true }],
    ['0005020531', { external_v: 13.29 }],
    ['00070100', { charging: false }],
    ['00070102', { charging: true }],
    ['000a020578', { charger_v: 14 }],
    ['000b0200fa', { device_temperature_c: 25 }],
    ['00030101', {}],
    // What does not fit ends the list.
    ['00070201', {}],
  ])('%s: %j', (item, attrs) => {
    const [record] = read(frameOf(0xf1, UNIX + item, true)).records;
    expect(record?.['attrs']).toEqual(attrs);
  });
});

describe('a module', () => {
  const module = (id: string, n: number, fill = '01'): string => `${id}${n.toString(16).padStart(2, '0')}${fill.repeat(n)}`;
  const attrsOf = (text: string): unknown => read(frameOf(0x37, `${GPS18}01cc00287d001f71000000${text}`, false)).records[0]?.['attrs'];
  const PLAIN = { ignition: false, upload_mode: 0 };

  it.each([
    [0, {}],
    [1, { module_291: 0x01 }],
    [6, { module_291: 0x010101010101 }],
    [7, {}],
  ])('that is not known is a number of up to six bytes: %d', (n, attrs) => {
    expect(attrsOf(module('0123', n))).toEqual({ ...PLAIN, ...attrs });
  });

  it.each([
    ['0016', 1],
    ['0018', 2],
    ['0027', 2],
    ['002e', 4],
    ['0032', 1],
    ['0037', 2],
    ['0038', 2],
    ['003b', 2],
    ['006a', 1],
    ['0001', 8],
  ])('%s has %d bytes, or is not read', (id, n) => {
    expect(Object.keys(Object(attrsOf(module(id, n))))).toHaveLength(3);
    for (const other of [n - 1, n + 1]) expect(attrsOf(module(id, other))).toEqual(PLAIN);
  });

  it('of a percentage is one', () => {
    expect(attrsOf('006a0164')).toEqual({ ...PLAIN, battery_pct: 100 });
    expect(attrsOf('006a0165')).toEqual(PLAIN);
  });
});

describe('a location of the NT family', () => {
  it('has the cell of its own layout', () => {
    const content = (cell: string): string => `010123456789012345${'180c06142038'}${GPS18}09${cell}460984284c0102000007000171`;
    expect(flat(0x22, content('01cc00287d001f71'))).toMatchObject({
      cells: [{ mcc: 460, mnc: 0, lac: 10365, cid: 8049 }],
      external_v: 24.36,
      battery_v: 4,
      gsm_pct: 76,
      event: 'sos',
      event_code: 1,
      odometer_m: 7000,
      engine_hours_s: 22140,
    });
  });
});

describe('a message of a single family', () => {
  const LBS8 = '01cc00287d001f71';

  it.each([
    ['0000000012345678', '01', { driver_id: '0000000012345678', card_state: 1 }],
    ['0000000012345678', '', { driver_id: '0000000012345678' }],
    ['1234567800000000', '', { driver_id: '1234567800000000' }],
    ['0000000000000000', '01', { card_state: 1 }],
  ])('17 with the card %s, validity %j', (card, validity, expected) => {
    const { driver_id, card_state } = flat(0x17, GPS18 + LBS8 + card + validity);
    expect({ driver_id, card_state }).toEqual(expected);
  });

  it.each([
    ['00000012d687', '1234567'],
    ['000100000000', '4294967296'],
    ['000000000000', undefined],
  ])('61 with the key %s', (key, driver) => {
    expect(flat(0x61, `0123456789012345${GPS18}01cc00287d00001f71${key}`)['driver_id']).toBe(driver);
  });

  it.each([
    [0, '000a000b', {}],
    [1, '000a000b', { analog_v_1: 0.1 }],
    [2, '000a000b', { analog_v_1: 0.1, analog_v_2: 0.11 }],
    [3, '000a000b', { analog_v_1: 0.1, analog_v_2: 0.11 }],
    [3, '000a000b0c', { analog_v_1: 0.1, analog_v_2: 0.11 }],
  ])('34 of an X1 that counts %d analog values in front of %s', (analogs, tail, expected) => {
    const ports = `00${analogs.toString(16)}00000`;
    const content = `00000000${GPS18}0000${'00000000'}01cc00287d00001f71${'00000000'}019a04d3${ports}0000${tail}`;
    const { analog_v_1, analog_v_2, analog_v_3, driver_id } = flat(0x34, content);
    expect({ analog_v_1, analog_v_2, analog_v_3, driver_id }).toEqual(expected);
  });

  it.each([
    ['00', { kind: 'status', cells: [{ mcc: 460, mnc: 0, lac: 4660, cid: 8049, rssi_dbm: -70 }], timing_advance: 1 }],
    ['01', { kind: 'fix', satellites: 1, speed_kmh: 0x71 }],
  ])('24 of a WanWay whose cell could be a place, when the last byte is %s', (last, expected) => {
    const record = flat(0x24, `${GPS18.slice(0, 12)}0101cc00011234001f7146${'00'.repeat(26)}${last}`);
    expect(record).toMatchObject({ time: PLACE.time, ...expected });
  });
});

it('the serving cell of a module has its MNC in one byte or two, by the length', () => {
  const cellsOf = (cell: string): unknown =>
    flat(0x37, `${GPS18}01cc00287d001f71000000${`0011${(cell.length / 2).toString(16).padStart(2, '0')}${cell}`}`)['cells'];
  const behind = [{ mcc: 460, mnc: 0, lac: 10365, cid: 8049 }];
  const of = (mnc: number): unknown => [...behind, { mcc: 404, mnc, lac: 5102, cid: 24682, rssi_dbm: -52 }];
  expect(cellsOf('01946213ee00606a34')).toEqual(of(0x62));
  expect(cellsOf('0194016213ee00606a34')).toEqual(of(0x162));
  expect(cellsOf('019413ee00606a34')).toEqual(behind);
  expect(cellsOf('0194016213ee00606a3400')).toEqual(behind);
});

it('information of a sub-type alone is a record of it', () => {
  expect(read(frameOf(0x94, '08', true)).records).toMatchObject([{ kind: 'status' }]);
  expect(read(frameOf(0x94, '', true)).records).toEqual([]);
  expect(read(frameOf(0x94, '01', false)).records).toEqual([]);
});

it('84 is a heartbeat without content only', () => {
  const kindOf = (content: string): unknown => {
    const connection = new RecordFeed(gt06, 'tcp', {});
    return connection.feed.push(frameOf(0x84, content, true))[0]?.kind;
  };
  expect([kindOf(''), kindOf('00')]).toEqual(['heartbeat', 'ignored']);
});

it('the filler behind an ICCID is no part of it, however long', () => {
  const iccidOf = (value: string): unknown => flat(0x94, `04${Buffer.from(`ICCID=${value};`).toString('hex')}`, true)['iccid'];
  expect(['8986011234567890123F', '8986011234567890123f', 'FFFF', ''].map(iccidOf)).toEqual([
    '8986011234567890123',
    '8986011234567890123',
    undefined,
    undefined,
  ]);
});

it('a frame with a wrong length is no Topin one before a login of Topin', () => {
  const read = (text: string): unknown => {
    const feed = new RecordFeed(gt06, 'tcp', {}).feed;
    const bytes = bytesOf(text);
    const { name, kind, damaged } = feed.decode(bytes, 0, bytes.length);
    return { name, kind, damaged };
  };
  for (const number of ['57', '30']) {
    expect(read(`787804${number}01020304050d0a`)).toMatchObject({ damaged: '' });
    expect(read(`787805${number}01020304050d0a`)).toMatchObject({ damaged: 'length' });
  }
});

describe('a temperature with a bit for below zero', () => {
  /** The attribute of a frame as decode gives it: records show no difference between 0 and -0. */
  const decoded = (name: string, number: number, content: string): unknown => {
    const { feed } = new RecordFeed(gt06, 'tcp', {});
    const [frame] = feed.push(frameOf(number, content, false));
    return frame?.rows[0]?.attributes.find(({ id }) => gt06.attributes.get(id)?.name === name)?.value;
  };
  const LBS8 = '01cc00287d001f71';

  it.each([
    ['00', 0],
    ['19', 25],
    ['7f', 127],
    ['80', 0],
    ['99', -25],
    ['ff', -127],
  ])('S5: %s is %d °C', (bits, degrees) => {
    expect(decoded('temperature_c_1', 0x12, `${GPS18}${LBS8}4604d304000abc${bits}00001b58`)).toBe(degrees);
  });

  it.each([
    ['1000', 0],
    ['1019', 25],
    ['11ff', 511],
    ['1200', 0],
    ['1219', -25],
    ['13ff', -511],
  ])('BENWAY: %s is %d °C', (mask, degrees) => {
    expect(decoded('temperature_c_1', 0x12, GPS18 + LBS8 + mask)).toBe(degrees);
    expect(decoded('analog_1', 0x12, GPS18 + LBS8 + mask)).toBeUndefined();
  });

  it.each([
    ['0000', 0],
    ['0020', 32],
    ['7fff', 0x7fff],
    ['8000', 0],
    ['8020', -32],
    ['ffff', -0x7fff],
  ])('SEEWORLD: %s is %d hundredths', (bits, hundredths) => {
    const tail = `01cc00287d00001f71000000${'000025d4'}${'00000e10'}${bits}002d`;
    expect(decoded('temperature_c_1', 0x22, GPS18 + tail)).toBe(hundredths);
  });
});

describe('the mask of a BENWAY', () => {
  it.each([
    ['8123', { ignition: true, input_2: false, analog_1: 29.1 }],
    ['4001', { ignition: false, input_2: true, analog_1: 0.1 }],
    ['c3ff', { ignition: true, input_2: true, analog_1: 102.3 }],
    ['23ff', { ignition: false, input_2: false, analog_1: 1023 }],
    ['d019', { ignition: true, input_2: true, temperature_c_1: 25 }],
  ])('%s has inputs, and a temperature or an analog value', (mask, expected) => {
    const { ignition, input_2, analog_1, temperature_c_1 } = flat(0x12, `${GPS18}01cc00287d001f71${mask}`);
    expect({ ignition, input_2, analog_1, temperature_c_1 }).toEqual(expected);
  });
});

describe('a place in the network that says nothing', () => {
  const cell = (lac: number, cid: number) => [{ mcc: 460, mnc: 0, lac, cid }];
  it.each([
    ['0000', '000000', undefined],
    ['287d', '000000', undefined],
    ['0000', '00ffff', undefined],
    ['0000', 'ffffff', undefined],
    ['ffff', '00ffff', undefined],
    ['ffff', 'ffffff', undefined],
    ['0000', '001f71', cell(0, 0x1f71)],
    ['ffff', '001f71', cell(0xffff, 0x1f71)],
    ['0000', '00fffe', cell(0, 0xfffe)],
    ['0001', '00ffff', cell(1, 0xffff)],
    ['fffe', 'ffffff', cell(0xfffe, 0xffffff)],
  ])('area %s, cell %s', (lac, cid, cells) => {
    expect(flat(0x22, `${GPS18}01cc00${lac}${cid}`)['cells']).toEqual(cells);
  });

  it.each([
    ['0000', 'ffffffff', undefined],
    ['ffff', 'ffffffff', undefined],
    ['0001', 'ffffffff', cell(1, 0xffffffff)],
    ['0000', 'fffffffe', cell(0, 0xfffffffe)],
  ])('area %s, cell of four bytes %s', (lac, cid, cells) => {
    expect(flat(0x31, `${GPS18}01cc0000${lac}${cid}000000`)['cells']).toEqual(cells);
  });
});

it('the text of a reply has spaces for control characters, and every other character', () => {
  const said = (unit: string): unknown => {
    const connection = new RecordFeed(gt06, 'tcp', {});
    return connection.feed.push(frameOf(0x21, `0000000702${`0041${unit}0042`}`, false))[0]?.replyText;
  };
  for (const control of ['0000', '001f', '0020', '007f', '0080', '009f']) expect(said(control), control).toBe('A B');
  for (const character of ['~', '\u00a0', '¡', '中', '￮'])
    expect(said(character.charCodeAt(0).toString(16).padStart(4, '0'))).toBe(`A${character}B`);
});

describe('a message with seconds since 1970', () => {
  /** What a message says of its time, and whether it is the same record when it is sent again under another serial. */
  const told = (number: number, content: string): unknown => {
    const connection = new RecordFeed(gt06, 'tcp', {});
    connection.feed.push(bytesOf(LOGIN));
    for (const serial of [7, 8]) {
      const bytes = frameOf(number, content, true);
      putU16be(bytes, bytes.length - 6, serial);
      putU16be(bytes, bytes.length - 4, crc16X25(bytes, 2, bytes.length - 4));
      connection.feed.push(bytes);
    }
    const [one, other] = connection.records.slice(-2).map(([record = {}]) => record);
    const time = String(one?.['flags']).includes('no_time') ? undefined : one?.['time'];
    return { time, isSame: one?.['id'] === other?.['id'] };
  };

  it.each([
    [0x41, (seconds: string) => `0123456789012345${seconds}${'00'.repeat(14)}01cc00287d001f71${'00'.repeat(13)}`],
    [0xf1, (seconds: string) => `${seconds}00010101`],
  ])('%d has that time, and none where it is 0', (number, content) => {
    expect(told(number, content('6a5780f0'))).toEqual({ time: 0x6a5780f0 * 1000, isSame: true });
    expect(told(number, content('00000001'))).toMatchObject({ isSame: true });
    expect(told(number, content('00000000'))).toEqual({ time: undefined, isSame: false });
  });
});

describe('bytes that are no frame', () => {
  const decoded = (bytes: Uint8Array, start = 0, end = bytes.length): unknown => {
    const { feed } = new RecordFeed(gt06, 'tcp', {});
    const { offset: _, ...frame } = feed.decode(bytes, start, end);
    return frame;
  };

  it('are too short below six bytes', () => {
    for (const text of ['787805010d0a', '797900050d0a', '7878080d0a0d'])
      for (let n = 0; n < 6; n++)
        expect(decoded(bytesOf(text).subarray(0, n)), `${n} bytes of ${text}`).toMatchObject({ kind: 'malformed', reason: 'short' });
  });

  it('do not begin with two equal ones', () => {
    for (const start of ['7879', '7978', '7800', '0078']) {
      const bytes = bytesOf(LOGIN);
      bytes.set(bytesOf(start));
      expect(decoded(bytes), start).toMatchObject({ kind: 'malformed', reason: 'length' });
    }
  });

  it('of several frames in one piece the first is read', () => {
    const first = frameOf(0x22, `${GPS18}01cc00287d001f71000000`, false);
    const alone = decoded(first);
    for (const second of [bytesOf(LOGIN), first, frameOf(0x13, '4604040002', false)]) {
      const frame = decoded(Uint8Array.from([...first, ...second]));
      expect(frame).toEqual({ ...Object(alone), length: first.length + second.length, damaged: 'length' });
    }
  });

  const BEHIND = ['0d0a', '0a0d', '7878'].map((hex) => bytesOf(hex.repeat(20)));
  it('end where the frame ends, whatever its LEN says and whatever stands behind', () => {
    for (const { hex: text, transport } of frameLines('gt06')) {
      const whole = bytesOf(text);
      if (transport === 'sms' || whole.length < 6) continue;
      const lengthAt = whole[0] === 0x79 ? 3 : 2;
      for (let more = -2; more <= 12; more++) {
        const bytes = whole.slice();
        bytes[lengthAt] = (bytes[lengthAt] ?? 0) + more;
        const alone = decoded(bytes);
        for (const behind of BEHIND) {
          const amid = decoded(Buffer.concat([bytes, behind]), 0, bytes.length);
          // An assertion for each of a hundred thousand takes seconds.
          if (!isDeepStrictEqual(amid, alone)) expect(amid, `${text}, LEN + ${more}`).toEqual(alone);
        }
      }
    }
  });
});
