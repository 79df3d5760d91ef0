import { describe, expect, it } from 'vitest';
import { Content, frame, Header } from '../../codecs/jt808/frame.ts';
import jt808 from '../../codecs/jt808/index.ts';
import { bytesOf, frameLines, RecordFeed } from '../helpers/fixtures.ts';
import { jt808Frame, jt808Message, jt808Report } from '../helpers/jt808.ts';

/** Values of messages, locks, dates and signals at their limits (codecs/jt808/protocol.md sections 6 to 10). */

/** The first record of a connection that is sent this, its attributes beside its fields. */
function read(bytes: Uint8Array): Record<string, unknown> {
  const connection = new RecordFeed(jt808, 'tcp', {});
  connection.feed.push(bytes);
  const [record = {}] = connection.records.flat();
  return { ...record, ...Object(record['attrs']) };
}

describe('a percentage and a signal', () => {
  const card = (code: string): string => `6011${code}${'00'.repeat(7)}${Buffer.from('CARD0001').toString('hex')}`;
  const cases: readonly [what: string, frame: Uint8Array, expected: Readonly<Record<string, unknown>>][] = [
    ['heartbeat', jt808Message('0002', '641f00'), { battery_pct: 100, gsm_csq: 31, mode: 0 }],
    ['heartbeat', jt808Message('0002', '652001'), { battery_pct: undefined, gsm_csq: undefined, mode: 1 }],
    ['heartbeat', jt808Message('0002', '641f0100'), { battery_pct: 100, mode: undefined }],
    ['heartbeat', jt808Message('0002', '64'), { battery_pct: undefined }],
    ['0210', jt808Message('0210', '64261001080000'), { battery_pct: 100 }],
    ['0210', jt808Message('0210', '65261001080000'), { kind: 'status', battery_pct: undefined }],
    ['E8 2003', jt808Report(0, 'e80a20030701010190' + '1f04b0'), { battery_pct: 17, gsm_csq: 31, external_v: 12 }],
    ['E8 2003', jt808Report(0, 'e80a20030700000190' + '2004b0'), { battery_pct: undefined, gsm_csq: undefined, charging: false }],
    ['E8 2003', jt808Report(0, 'e80a20030701060190' + '0004b0'), { battery_pct: 100, gsm_csq: 0, charging: true }],
    ['E8 2003', jt808Report(0, 'e80a20030701070190' + '0004b0'), { battery_pct: undefined }],
    ['E8 2005', jt808Report(0, 'e807200504' + '00030164'), { battery_pct: 100 }],
    ['E8 2005', jt808Report(0, 'e807200504' + '00030165'), { battery_pct: undefined }],
    ['E8 2005', jt808Report(0, 'e807200504' + '00040100'), { charging: true }],
    ['E8 2005', jt808Report(0, 'e807200504' + '00040101'), { charging: false }],
    ['E8 alarm', jt808Report(0, 'e80400010100'), { event: 'unknown_1', event_code: 1 }],
    ['E8 alarm', jt808Report(0, 'e8040fff0100'), { event: 'unknown_4095', event_code: 0xfff }],
    ['E8 alarm', jt808Report(0, 'e80400000100'), { event: undefined, event_code: undefined }],
    ['E8 alarm', jt808Report(0, 'e80410000100'), { event: undefined, event_code: undefined }],
    ['80 list', jt808Report(0, '80010056020064'), { battery_pct: 100 }],
    ['80 list', jt808Report(0, '80010056020065'), { battery_pct: undefined }],
    ['D5', jt808Report(0, 'd50e010102030405a1a2a3a4a5640000'), { lock_1_battery_pct: 100, lock_1_locked: true, lock_1_id: '0102030405' }],
    ['D5', jt808Report(0, 'd50e010102030405a1a2a3a4a5650020'), { lock_1_battery_pct: undefined, lock_1_locked: false }],
    ['60', jt808Report(0, card('0060')), { event_code: 0x60, driver_id: undefined }],
    ['60', jt808Report(0, card('0061')), { event_code: 0x61, driver_id: 'CARD0001' }],
    ['60', jt808Report(0, card('0066')), { event_code: 0x66, driver_id: 'CARD0001' }],
    ['60', jt808Report(0, card('0067')), { event_code: 0x67, driver_id: undefined }],
    ['FE 7C', jt808Report(0, 'fe087c01040000000164'), { event: 'harsh_acceleration', battery_pct: 100 }],
    ['FE 7C', jt808Report(0, 'fe087c01040000000265'), { event: 'harsh_braking', battery_pct: undefined }],
    ['FE 7C', jt808Report(0, 'fe087c02040000000164'), { event: undefined, battery_pct: 100 }],
    ['EB 00C5', jt808Report(0, 'eb08000600c5fe7fffff'), { motion: true }],
    ['EB 00C5', jt808Report(0, 'eb08000600c5feffffff'), { motion: false }],
    ['EB 00C5', jt808Report(0, 'eb08000600c5ffffffff'), { motion: undefined }],
    ['F4', jt808Report(0, 'f407aabbccddeeff3c'), { wifi: [{ mac: 'aa:bb:cc:dd:ee:ff', rssi_dbm: -60 }] }],
    ['F4', jt808Report(0, 'f407aabbccddeeffc4'), { wifi: [{ mac: 'aa:bb:cc:dd:ee:ff', rssi_dbm: -60 }] }],
  ];
  it.each(cases)('%s (%#)', (_, bytes, expected) => {
    const record = read(bytes);
    expect(Object.fromEntries(Object.keys(expected).map((name) => [name, record[name]]))).toEqual(expected);
  });

  it.each([
    ['00', undefined],
    ['01', -111],
    ['1f', -51],
    ['20', -32],
    ['7f', -127],
    ['80', -128],
    ['ff', -1],
  ])('of a cell, as it comes: %s', (signal, rssi_dbm) => {
    expect(read(jt808Report(0, `53090101cc00287d1f71${signal}`))['cells']).toEqual([{ mcc: 460, mnc: 0, lac: 10365, cid: 8049, rssi_dbm }]);
  });
});

describe('a lock', () => {
  const BODY =
    '270610080453' +
    '22332880' +
    '113555602' +
    'e' +
    '05' +
    '00' +
    '1f' +
    '01' +
    '00000006' +
    '64' +
    '000060800001' +
    '01' +
    '0931' +
    '0000';
  /** A report in which these digits stand at this digit. */
  const lock = (at: number, digits: string): Record<string, unknown> =>
    read(jt808Frame(`5501002370016081800001${BODY.slice(0, at)}${digits}${BODY.slice(at + digits.length)}`));
  it.each([
    ['lat', 12, '90000000', 90],
    ['lat', 12, '90000001', undefined],
    ['lat', 12, '00000000', 0],
    ['lon', 20, '180000000', 180],
    ['lon', 20, '180000001', undefined],
    ['lon', 12, '00000000000000001', 1 / 600_000],
    ['lon', 12, '00000000000000000', undefined],
    ['course_deg', 32, 'b4', 360],
    ['course_deg', 32, 'b5', undefined],
    ['gsm_csq', 34, '1f', 31],
    ['gsm_csq', 34, '20', undefined],
    ['battery_pct', 46, '64', 100],
    ['battery_pct', 46, '65', undefined],
    ['charging', 46, 'aa', true],
    ['charging', 46, 'ab', true],
    ['charging', 46, 'ac', undefined],
    ['speed_kmh', 30, '99', 183.35],
    ['speed_kmh', 30, '9a', undefined],
  ])('%s at digit %d from %s: %j', (name, at, digits, value) => {
    const found = lock(at, digits)[name];
    if (typeof value === 'number') expect(found).toBeCloseTo(value, 2);
    else expect(found).toBe(value);
  });
});

describe('a time', () => {
  const timeOf = (clock: string): unknown => {
    const record = read(jt808Message('0200', `00000000000000030311f0c80001f338000000000000260909${clock}`));
    return record['flags'] === undefined || !String(record['flags']).includes('no_time') ? record['time'] : undefined;
  };
  it.each(['000000', '090909', '191919', '235959'])('%s is one', (clock) => {
    const [hour, minute, second] = [0, 2, 4].map((k) => Number(clock.slice(k, k + 2)));
    expect(timeOf(clock)).toBe(Date.UTC(2026, 8, 9, hour, minute, second) - 8 * 3_600_000);
  });
  it.each(['240000', '006000', '000060', '0a0000', '000a00', '00000a', 'a00000', '00a000', '0000a0'])('%s is none', (clock) => {
    expect(timeOf(clock)).toBeUndefined();
  });
});

describe('the first point of a history', () => {
  const point = (latitude: string, longitude: string, course = '005a'): Record<string, unknown> =>
    read(jt808Message('0900', `ff261029173110${latitude}${longitude}0019012c${course}`));
  it.each([
    ['055d4a80', '0aba9500', [90, 180]],
    ['faa2b580', 'f5456b00', [-90, -180]],
    ['055d4a81', '00000000', [undefined, undefined]],
    ['faa2b57f', '00000000', [undefined, undefined]],
    ['00000001', 'ffffffff', [0.000001, -0.000001]],
  ])('%s, %s', (latitude, longitude, place) => {
    const { lat, lon } = point(latitude, longitude);
    expect([lat, lon]).toEqual(place);
  });
  it('has a course below 360', () => {
    expect(['0167', '0168'].map((course) => point('00000001', '00000001', course)['course_deg'])).toEqual([359, undefined]);
  });
});

it('a sentence begins with a digit', () => {
  for (const [text, length] of [
    ['(0)', 3],
    ['(9)', 3],
    ['(/)', -1],
    ['(:)', -1],
    ['(', 0],
    ['(0', 0],
  ] as const)
    expect(frame(Buffer.from(text), 0, text.length), text).toBe(length);
});

it.each([
  ['12345', 'malformed'],
  ['123456', 'heartbeat'],
  ['12345678901234', 'heartbeat'],
  ['123456789012345', 'heartbeat'],
  ['1234567890123456', 'malformed'],
  ['1234a6', 'malformed'],
])('a sentence says who it is from: %s is %s', (phone, kind) => {
  const [frame] = new RecordFeed(jt808, 'tcp', {}).feed.push(Buffer.from(`(${phone},1,001,BASE,2,TIME)`));
  expect(frame).toMatchObject({ kind, reason: kind === 'malformed' ? 'short' : '' });
});

it.each([
  [undefined, ''],
  [undefined, '7e'],
  [undefined, '7e0002'],
  [undefined, `7e${'00'.repeat(2098)}`],
  [false, `7e${'00'.repeat(2099)}`],
  [true, `7e${'00'.repeat(13)}7e`],
  [false, `7e${'00'.repeat(12)}7e`],
  [false, `7e${'00'.repeat(12)}017e`],
  [false, 'e7'],
  [false, `e7${'00'.repeat(13)}e7`],
  [false, '2831323334353629'],
  [false, '00'],
])('whether a stream is of this codec: %s (%#)', (expected, hex) => {
  expect(jt808.recognise(bytesOf(hex), 0, hex.length / 2)).toBe(expected);
});

it.each([
  ['0104', '0007', 'ignored'],
  ['0104', '000700', 'reply'],
  ['0702', '', 'ignored'],
  ['0702', '02', 'status'],
  ['0704', '', 'malformed'],
  ['0704', '0001', 'malformed'],
])('a message %s of %j is as much as its body has room for: %s', (number, body, kind) => {
  expect(new RecordFeed(jt808, 'tcp', {}).feed.push(jt808Message(number, body))[0]?.kind).toBe(kind);
});

it.each([
  ['6006', '', undefined],
  ['6006', '00', ''],
  ['6006', '004f4b', 'OK'],
  ['6006', '01004f004b', 'OK'],
  ['1300', '00', undefined],
  ['1300', '0007', ''],
  ['1300', '0007004f004b', 'OK'],
  ['0701', '00000000', undefined],
  ['0701', '000000024f4b', 'OK'],
  ['0701', '000000024f08', undefined],
])('a text in %s is as long as its body: %j', (number, body, text) => {
  expect(read(jt808Message(number, body))['reply']).toBe(text);
});

describe('a text of a serial port', () => {
  it.each([
    ['40', undefined],
    ['400102', undefined],
    ['40010241', 'A'],
    ['41', undefined],
    ['4141', 'A'],
    ['4241', 'A'],
    ['4341', undefined],
  ])('in %s: %s', (body, text) => {
    const record = read(jt808Message('0900', body));
    expect([record['kind'], record['external_data']]).toEqual([text === undefined ? undefined : 'status', text]);
  });
});

it('the identity of a vehicle stands behind the mark that it is known, and is whole', () => {
  const vin = (mark: string, digits: string): unknown =>
    read(jt808Message('0900', `f026102917311000000b${mark}${Buffer.from(digits).toString('hex')}`))['vin'];
  const whole = 'WVWZZZ1JZXW000001';
  expect([vin('01', whole), vin('ff', whole), vin('00', whole), vin('01', whole.slice(1))]).toEqual([whole, whole, undefined, undefined]);
});

describe('an area or a route', () => {
  // Item 12: kind 1, id 4, direction 1.
  const item = (direction: string): string => `1206${'01'}${'00000007'}${direction}`;
  it.each([
    [0x100000, '', 'geofence_enter'],
    [0x200000, '', 'geofence_enter'],
    [0x100000, item('00'), 'geofence_enter'],
    [0x200000, item('00'), 'geofence_enter'],
    [0x100000, item('01'), 'geofence_exit'],
    [0x200000, item('01'), 'geofence_exit'],
    [0x800000, item('00'), 'geofence_exit'],
    // A direction changes no other alarm.
    [0x2, item('01'), 'overspeed'],
  ])('of alarm word %d with item "%s" is %s', (word, items, event) => {
    expect(read(jt808Report(word, items))['event']).toBe(event);
  });
});

it('the alarm of an assistant is read where its state and its date can be', () => {
  // Id 4, state, speed, altitude 2, place 8, time 6 whose month is the second, vehicle 2, label 16, count, position and alarms of a tyre.
  const tyre = (state: string, month: string, count: string): unknown =>
    read(jt808Report(0, `662c00000001${state}280000${'00'.repeat(8)}26${month}01080000${'0000'}${'00'.repeat(16)}${count}000005`))[
      'tpms_alarm'
    ];
  expect([tyre('00', '01', '01'), tyre('02', '12', '01')]).toEqual([5, 5]);
  expect([tyre('03', '01', '01'), tyre('00', '00', '01'), tyre('00', '13', '01'), tyre('00', '01', '00')]).toEqual(
    new Array(4).fill(undefined),
  );
  const blind = (state: string): unknown => read(jt808Report(0, `671e00000001${state}07${'00'.repeat(24)}`))['bsd_alarm'];
  expect([blind('00'), blind('02'), blind('03')]).toEqual([7, 7, undefined]);
});

it('no message is read over the end of its body, wherever that is', () => {
  for (const { id, hex, options = {} } of frameLines('jt808')) {
    const [content, header] = [new Content(), new Header()];
    const whole = bytesOf(hex);
    content.open(whole, 0, whole.length);
    if (whole[0] === 0x28 || !header.read(content)) continue;
    const head = Array.from(content.bytes.slice(content.p, header.p));
    const body = Array.from(content.bytes.slice(header.p, header.q));
    // The checksum stands behind: it is another with another serial number.
    const recordsOf = (n: number, serial: number): unknown => {
      const bytes = Uint8Array.from([...head, ...body.slice(0, n)]);
      bytes[2] = (bytes[2]! & 0xfc) | (n >> 8);
      bytes[3] = n & 0xff;
      bytes[header.phoneAt - content.p + header.phoneBytes] = serial;
      const connection = new RecordFeed(jt808, 'tcp', { options, device: '13812345678' });
      connection.feed.push(jt808Frame(Buffer.from(bytes).toString('hex'), header.e7));
      return connection.records.at(-1)?.map(({ id: _, ...record }) => record);
    };
    for (let n = 0; n <= body.length; n++) expect(recordsOf(n, 0x01), `${id}, ${n} bytes of ${body.length}`).toEqual(recordsOf(n, 0xf6));
  }
});
