import { describe, expect, it } from 'vitest';
import { Content, frame, Header } from '../../codecs/jt808/frame.ts';
import { identityOf, plain } from '../../codecs/jt808/identity.ts';
import jt808 from '../../codecs/jt808/index.ts';
import { kept } from '../../codecs/jt808/state.ts';
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

const byte = (n: number): string => n.toString(16).padStart(2, '0');
/** What the items of a report say: all but the fields that every report here has. */
function said(items: string, options: Record<string, string> = {}): Record<string, unknown> {
  const { status_bits: _bits, ignition: _ignition, ...attrs } = Object(recordOf(items, options)['attrs']);
  const { satellites, hdop, event, cells, wifi } = recordOf(items, options);
  return Object.fromEntries(Object.entries({ ...attrs, satellites, hdop, event, cells, wifi }).filter(([, value]) => value !== undefined));
}
function recordOf(items: string, options: Record<string, string>): Record<string, unknown> {
  const connection = new RecordFeed(jt808, 'tcp', { options });
  connection.feed.push(jt808Report(0, items));
  return connection.records.flat()[0] ?? {};
}
function dialectBehind(items: string): unknown {
  const connection = new RecordFeed(jt808, 'tcp', {});
  connection.feed.push(jt808Report(0, items));
  return jt808.tcp?.describeMemo?.(jt808.tcp.memo?.(connection.feed.state) ?? 0)['dialect'];
}

describe('a field of item E8 2005', () => {
  const item = (id: string, value: string, declared = value.length / 2): string =>
    `e8${byte(value.length / 2 + 6)}2005${byte(value.length / 2 + 3)}${id}${byte(declared)}${value}`;
  const ICCID = '89860012345678901234';
  it.each([
    ['0001', '019f', { battery_v: 4.15 }],
    ['0003', '32', { battery_pct: 50 }],
    ['0004', '00', { charging: true }],
    // The first 19 of its digits.
    ['0005', ICCID, { iccid: ICCID.slice(0, 19) }],
    ['0007', '000c', { hdop: 1.2 }],
    ['2001', '007d', { external_v: 12.5 }],
    ['0006', '01', {}],
  ])('%s is read with its own length only: %s', (id, value, expected) => {
    expect(said(item(id, value))).toEqual(expected);
    for (const other of [value.slice(2), `${value}00`]) expect(said(item(id, other)), other).toEqual({});
    // One that says to be longer than the item is not read, whatever stands behind.
    expect(said(`${item(id, value.slice(2), value.length / 2)}01${byte(4)}00000000`)['odometer_m'], 'behind').toBe(0);
    expect(Object.keys(said(`${item(id, value.slice(2), value.length / 2)}01${byte(4)}00000000`))).toEqual(['odometer_m']);
  });
});

describe('a field of the list in item EB', () => {
  const entry = (id: string, value: string): string => `${(value.length / 2 + 2).toString(16).padStart(4, '0')}${id}${value}`;
  const item = (list: string): string => `eb${byte(list.length / 2)}${list}`;
  const cell = { mcc: 460, mnc: 0, lac: 10365, cid: 8049 };
  const digits = (n: number): string => '31'.repeat(n);
  /** Id, a byte that fills it, the lengths that are read, and those by which the maker is known. */
  const LENGTHS: readonly (readonly [id: string, fill: string, lengths: readonly number[], sure: readonly number[]])[] = [
    ['0001', '01', [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23], []],
    ['0023', '31', [6], []],
    ['002d', '0f', [2, 4], [2, 4]],
    ['0030', '01', [1], []],
    ['0031', '01', [1], []],
    ['0089', '00', [], [4]],
    ['0089', '01', [4], [4]],
    ['00b2', '11', [10], [10]],
    ['00c5', '00', [4], [4]],
    ['00fb', '31', [19, 20, 21, 22], []],
  ];
  const ALL = Array.from({ length: 24 }, (_, n) => n);
  it.each(LENGTHS)('%s of %s is read, and names the maker, with its own lengths', (id, fill, lengths, sure) => {
    const of = (n: number): string => item(entry(id, fill.repeat(n)));
    expect(ALL.filter((n) => Object.keys(said(of(n))).length > 0)).toEqual(lengths);
    expect(ALL.filter((n) => dialectBehind(of(n)) === 'bsj')).toEqual(sure);
  });
  it.each([
    ['0024', '01', []],
    ['00a8', '01', ALL.slice(1)],
    ['00b9', '01', []],
    ['00c6', '03', [1]],
    ['00ce', '01', [2]],
    ['00d5', '31', [15]],
    ['00d8', '01', [9, 12]],
    ['00e1', '01', ALL.slice(1)],
  ] as const)('%s of %s names the maker with every length', (id, fill, lengths) => {
    const of = (n: number): string => item(entry(id, fill.repeat(n)));
    expect(ALL.filter((n) => Object.keys(said(of(n))).length > 0)).toEqual(lengths);
    expect(ALL.filter((n) => dialectBehind(of(n)) !== 'bsj')).toEqual([]);
  });

  it.each([
    ['0001', '0064', { fuel_l: 10 }],
    ['002d', '00002ee0', { external_v: 12 }],
    ['002d', '0fa5', { battery_v: 4.005 }],
    ['0030', '1f', { gsm_csq: 31 }],
    ['0030', '20', {}],
    ['00a3', '41423b3b', { firmware: 'AB' }],
    ['00c6', '02', {}],
    ['00c6', '03', { event: 'low_battery' }],
    ['00c6', '04', { event: 'low_battery' }],
    ['00c6', '05', {}],
    ['00d5', digits(15), { imei: '1'.repeat(15) }],
    ['00d8', '01cc00287d00001f71', { cells: [cell] }],
    ['00d8', '01cc000001287d00001f7180', { cells: [{ ...cell, rssi_dbm: -128 }] }],
    ['00d8', '01cc000002287d00001f7180', {}],
    ['00d8', '01cc000000', {}],
    ['00b9', `00${Buffer.from('aa:bb:cc:dd:ee:ff,-60').toString('hex')}`, { wifi: [{ mac: 'aa:bb:cc:dd:ee:ff', rssi_dbm: -60 }] }],
    [
      '00b9',
      `00${Buffer.from('aabbccddee01, -60, AA BB CC DD EE 02, -61').toString('hex')}`,
      {
        wifi: [
          { mac: 'aa:bb:cc:dd:ee:01', rssi_dbm: -60 },
          { mac: 'aa:bb:cc:dd:ee:02', rssi_dbm: -61 },
        ],
      },
    ],
    ['00b9', `00${Buffer.from('AABBCCDDEEFF,-128').toString('hex')}`, { wifi: [{ mac: 'aa:bb:cc:dd:ee:ff', rssi_dbm: -128 }] }],
    ['00b9', `00${Buffer.from('aabbccddeeff,-129').toString('hex')}`, { wifi: [{ mac: 'aa:bb:cc:dd:ee:ff' }] }],
    ['00b9', `00${Buffer.from('aabbccddeeff,0').toString('hex')}`, { wifi: [{ mac: 'aa:bb:cc:dd:ee:ff' }] }],
    ['00b9', `00${Buffer.from('aabbccddeeff').toString('hex')}`, {}],
  ])('%s %s: %j', (id, value, expected) => {
    expect(said(item(entry(id, value)))).toEqual(expected);
  });

  it('is one wherever the item stands, as are cells and the zone', () => {
    for (let front = 0; front < 6; front++) {
      const before = `7b${byte(front)}${'00'.repeat(front)}`;
      expect(said(`${before}${item(entry('00c6', '03'))}`), 'list').toEqual({ event: 'low_battery' });
      expect(said(`${before}${item('01cc00287d1f7180')}`), 'cells').toEqual({ cells: [{ ...cell, rssi_dbm: -128 }] });
      expect(said(`${before}${item(Buffer.from('UTC+08:00').toString('hex'))}`), 'zone').toEqual({ time_zone: '+08:00' });
      expect(said(`${before}${item(Buffer.from('UTC +08:00 ').toString('hex'))}`), 'zone').toEqual({ time_zone: '+08:00' });
    }
  });

  it('is not read over the end of the item', () => {
    const whole = entry('00a8', '32');
    for (let n = 0; n < whole.length / 2; n++)
      expect(said(`eb${byte(n)}${whole.slice(0, 2 * n)}${'320432'.repeat(2)}`)['battery_pct'], `${n} bytes`).toBeUndefined();
    expect(dialectBehind(`eb04${'000200a8'}`), 'without a value').toBe('bsj');
    expect(said(item(`${whole}0003`)), 'one and a half').toEqual({ battery_pct: 50 });
    // A list whose first length is below 2, and a list whose first number is 200, are no cells.
    expect(said(item(`0001${'00a832'}`))).toEqual({});
    expect(said(item(`00c800287d1f7180`))).toEqual({});
    expect(said(item(`00c900287d1f7180`))).toEqual({ cells: [{ ...cell, mcc: 201, rssi_dbm: -128 }] });
  });
});

it.each([
  ['6 digits in BCD', '013812345678', '13812345678'],
  ['an IMEI without its check digit, as a number', '2005ce55946d', '352093086403655'],
  ['the greatest of 14 digits', '5af3107a3fff', '999999999999994'],
  ['one more', '5af3107a4000', '5af3107a4000'],
  ['10 bytes of BCD', '00000000013812345678', '13812345678'],
  ['10 bytes with another digit', '0000000001381234567f', '0000000001381234567f'],
  ['zeros', '000000000000', ''],
])('the identity in a phone field of %s', (_, field, expected) => {
  // Other bytes around it are none of it.
  const bytes = bytesOf(`99${field}99`);
  expect(identityOf(bytes, 1, field.length / 2)).toBe(expected);
});

it.each([
  ['TAG 1', 'TAG 1'],
  ['  TAG  1\0\0 ', 'TAG  1'],
  ['\x7fT\0A\x1fG\xff', 'TAG'],
  ['!~', '!~'],
  ['\0\0', ''],
])('a text of %j is %j', (text, expected) => {
  const bytes = Buffer.from(`9${text}9`, 'latin1');
  expect(plain(bytes, 1, bytes.length - 1)).toBe(expected);
});

it('values of the OBD of a vehicle may have blanks around them', () => {
  const attrs = (text: string): unknown => read(jt808Message('0900', `41${Buffer.from(text).toString('hex')}`))['attrs'];
  const values = { external_v: 14.2, rpm: 800, obd_speed_kmh: 60, throttle_pct: 12.5, engine_load_pct: 80, coolant_c: 90 };
  expect(attrs(' $OBD-RT, 14.2, 800 ,60, 12.5,80 , 90, ,7.5 ')).toEqual({ ...values, fuel_consumption: 7.5 });
  expect(attrs('$OBD-RT,14.2,800,60,12.5,80,90,,7.5')).toEqual({ ...values, fuel_consumption: 7.5 });
});

describe('an item of an AOVX', () => {
  const read = (items: string): Record<string, unknown> => said(items, { dialect: 'aovx' });
  const tag = { tag_1_id: 'aa:bb:cc:dd:ee:01', tag_1_rssi_dbm: -60 };
  const BEACON = 'aabbccddee01c4';
  it.each([
    ['', {}],
    ['00', {}],
    [`00${BEACON.slice(2)}`, {}],
    [`00${BEACON}`, tag],
    [`00${BEACON}${BEACON.slice(2)}`, tag],
    [`04${BEACON}0b`, {}],
    [`04${BEACON}0bb8`, { ...tag, tag_1_battery_v: 3 }],
    // What has no meaning of ours takes its place: version 2, acceleration 6, and two of 2.
    [`e6${BEACON}01020bb8${'11'.repeat(10)}`, { ...tag, tag_1_battery_v: 3 }],
    [`e6${BEACON}01020bb8${'11'.repeat(9)}`, {}],
  ])('F3 of "%s": %j', (value, expected) => {
    expect(read(`f3${byte(value.length / 2)}${value}`)).toEqual(expected);
    // What stands behind is another item.
    expect(read(`f3${byte(value.length / 2)}${value}310104${'300104'}`)).toEqual({ ...expected, satellites: 4, gsm_csq: 4 });
  });

  it('F3 says of each beacon what the mask names', () => {
    const name = (n: number): string => Buffer.from(`Tag ${n}`).toString('hex').padEnd(20, '0');
    const beacon = (n: number): string => `aabbccddee0${n}c${n}${name(n)}0bb${n}ff9${n}01f${n}`;
    const said = (n: number): object => ({
      ...{ [`tag_${n}_id`]: `aa:bb:cc:dd:ee:0${n}`, [`tag_${n}_rssi_dbm`]: -64 + n, [`tag_${n}_name`]: `Tag ${n}` },
      ...{
        [`tag_${n}_battery_v`]: (0xbb0 + n) / 1000,
        [`tag_${n}_temperature_c`]: (n - 112) / 10,
        [`tag_${n}_humidity_pct`]: (0x1f0 + n) / 10,
      },
    });
    expect(read(`f3${byte(1 + 3 * 23)}1d${[1, 2, 3].map(beacon).join('')}`)).toEqual({ ...said(1), ...said(2), ...said(3) });
    const cut = `${beacon(1)}${beacon(2)}`.slice(0, -2);
    expect(read(`f3${byte(1 + cut.length / 2)}1d${cut}`)).toEqual(said(1));
  });

  it('F3 has 16 beacons', () => {
    const beacons = (n: number): Record<string, unknown> => read(`f3${byte(1 + 7 * n)}00${BEACON.repeat(n)}`);
    expect(Object.keys(beacons(16)).filter((name) => name.endsWith('_id'))).toHaveLength(16);
    expect(beacons(17)).toEqual(beacons(16));
  });

  const AXES = { acceleration_x_g: 0.001, acceleration_y_g: -0.002, acceleration_z_g: 1 };
  it.each([
    ['', {}],
    ['02', {}],
    ['0200', { event_code: 2, motion: true }],
    ['0300', { event_code: 3 }],
    ['000100', {}],
    ['0001000a', { illuminance: 10 }],
    ['00080001fffe03e8', AXES],
    ['00080001fffe03', {}],
    [`0038${'0001fffe03e8'}${'11'.repeat(10)}03e8`, { ...AXES, air_pressure: 1000 }],
    [`0030${'11'.repeat(10)}03`, {}],
    ['0020', {}],
    ['00040000', { humidity_pct_1: 0 }],
    ['000403e8', { humidity_pct_1: 100 }],
    ['000403e9', {}],
    ['0004ffff', {}],
    // Bits 6 and 7 are none.
    ['00c003e8', {}],
  ])('F6 of "%s": %j', (value, expected) => {
    expect(read(`f6${byte(value.length / 2)}${value}310104${'300104'}`)).toEqual({ ...expected, satellites: 4, gsm_csq: 4 });
  });

  it.each([
    ['0004000c', { hdop: 1.2 }],
    ['000400', {}],
    ['0007000000000000000000' + '0c', { hdop: 1.2 }],
    [`002c000c${'11'.repeat(6)}${'22'.repeat(8)}`, { hdop: 1.2 }],
    [`006c000c${'11'.repeat(6)}${'22'.repeat(8)}00c800000000`, { hdop: 1.2, temperature_c_3: 20 }],
    [`006c000c${'11'.repeat(6)}${'22'.repeat(8)}00c8000000`, { hdop: 1.2 }],
    ['00', {}],
  ])('F9 of "%s": %j', (value, expected) => {
    expect(read(`f9${byte(value.length / 2)}${value}310104${'300104'}`)).toEqual({ ...expected, satellites: 4, gsm_csq: 4 });
  });
});

describe('what an AOVX passes through', () => {
  const PLACE = '0000000302df9d3000f9d82800aa012c000a261029173110';
  const NODE = 'aabbccddee01c4';
  const attrs = (type: string, content: string): Record<string, unknown>[] => {
    const connection = new RecordFeed(jt808, 'tcp', {});
    connection.feed.push(jt808Message('0900', `${type}${PLACE}${content}`));
    return connection.records.flat().map((record) => {
      const { status_bits: _bits, ignition: _ignition, ...rest } = Object(record['attrs']);
      return rest;
    });
  };
  const node = (n: number, data = {}): Record<string, unknown> => ({
    [`tag_${n}_id`]: 'aa:bb:cc:dd:ee:01',
    [`tag_${n}_rssi_dbm`]: -60,
    ...data,
  });
  it.each([
    ['', {}],
    ['01', {}],
    [`0100${NODE}`, {}],
    [`0100${NODE}00`, node(1)],
    [`0100${NODE}01`, {}],
    [`0100${NODE}01ab`, node(1, { tag_1_data: 'ab' })],
    [`0200${NODE}01ab0f${NODE}00`, { ...node(1, { tag_1_data: 'ab' }), ...node(16) }],
    [`0201${NODE}02cdef0f${NODE}01ab`, { ...node(2, { tag_2_data: 'cdef' }), ...node(16, { tag_16_data: 'ab' }) }],
    // More than there are numbers for: the ones behind are read.
    [`0210${NODE}01ab01${NODE}00`, node(2)],
  ])('nodes "%s": %j', (content, expected) => {
    expect(attrs('53', content)).toEqual([expected]);
  });

  const TIME = '261029173000';
  it.each([
    ['', []],
    [`0000${TIME.slice(2)}`, []],
    [`0000${TIME}`, [{}]],
    [`0001${TIME}01`, []],
    [`0001${TIME}0123`, [{ illuminance: 291 }]],
    // 5 fields at most: bits behind are none.
    [`ffe0${TIME}`, [{}]],
    [`0010${TIME}03e80002${TIME}00fb0258`, [{ air_pressure: 1000 }, { temperature_c_1: 25.1, humidity_pct_1: 60 }]],
  ])('samples "%s": %j', (content, expected) => {
    expect(attrs('54', content)).toEqual([{}, ...expected]);
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
  ['0004', true],
  ['0006', true],
  ['7fff', true],
  // From 8000 on they are a platform's, but for the vendors' own.
  ['8000', false],
  ['8888', true],
  ['dfff', false],
  ['e000', true],
  ['efff', true],
  ['f000', false],
])('a message %s is answered: %s', (number, answered) => {
  expect(new RecordFeed(jt808, 'tcp', {}).feed.push(jt808Message(number, '0000'))[0]?.answer !== null).toBe(answered);
});

it('the serial number that a position replies to is whole, whatever stands behind the body', () => {
  const PLACE = '00000000000000030311f0c80001f338001000000000261001080000';
  const keyOf = (body: string, serial: number): unknown =>
    new RecordFeed(jt808, 'tcp', {}).feed.push(jt808Message('0201', body, serial))[0]?.replyKey;
  for (const serial of [1, 2, 3]) {
    expect([keyOf('', serial), keyOf('12', serial)]).toEqual([-1, -1]);
    expect([keyOf(`1234${PLACE}`, serial), keyOf(`0000${PLACE}`, serial)]).toEqual([0x1234, -1]);
  }
});

describe('a picture', () => {
  const HEAD = '0000000700000001';
  const PLACE = '00000000000000030311f0c80001f338001000000000261001080000';
  const pictures = (body: string, serial = 1): { kind: string; bytes: unknown; lat: unknown } => {
    const connection = new RecordFeed(jt808, 'tcp', {});
    const [frame] = connection.feed.push(jt808Message('0801', body, serial));
    const [record = {}] = connection.records.flat();
    return { kind: frame?.kind ?? '', bytes: Object(record['attrs'])['image_bytes'], lat: record['lat'] };
  };
  it('has a place where a whole one stands in front of it', () => {
    expect(pictures(`${HEAD}${PLACE}`)).toEqual({ kind: 'records', bytes: 0, lat: 51.5074 });
    expect(pictures(`${HEAD}${PLACE}ffd8ff`)).toEqual({ kind: 'records', bytes: 3, lat: 51.5074 });
  });
  // With some serial number the checksum behind the body is a second.
  it.each([PLACE, '00'.repeat(28)])('has none where that ends a byte before: %s', (place) => {
    for (let serial = 1; serial < 256; serial++)
      expect(pictures(`${HEAD}${place.slice(0, -2)}`, serial), String(serial)).toEqual({ kind: 'status', bytes: 27, lat: undefined });
  });
  it('is no part of the place in front of it', () => {
    const record = (course: string, picture: string): Record<string, unknown> =>
      read(jt808Message('0801', `${HEAD}${PLACE.slice(0, 40)}${course}${PLACE.slice(44)}${picture}`));
    // What reads as item 31, satellites.
    expect(record('0000', '31010c')['satellites']).toBeUndefined();
    expect(record('0000', '31010c')['id']).toBe(record('0000', 'ffd8ff')['id']);
    expect(record('0000', '31010c')['id']).not.toBe(record('0001', '31010c')['id']);
  });
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

describe('the list of OBD behind item 80', () => {
  const list = (entries: string): Record<string, unknown> => {
    const { odometer_m: _, ...rest } = said(`800100${entries}`);
    return rest;
  };
  it.each([
    ['020200ff', { fuel_l: 25.5 }],
    ['030200ff', { obd_speed_kmh: 25.5 }],
    ['560203ff', {}],
    ['56020364', { battery_pct: 100 }],
    ['610204b0', { external_v: 12 }],
    ['690201a4', { battery_v: 4.2 }],
    ['8001ff', { obd_speed_kmh: 255 }],
    ['81020320', { rpm: 800 }],
    ['8202007d', { external_v: 12.5 }],
    ['830164', { engine_load_pct: 100 }],
    ['840100', { coolant_c: -40 }],
    ['860128', { intake_c: 0 }],
    ['85020007', { fuel_consumption: 7 }],
    ['87020008', { intake_flow: 8 }],
    ['880165', { intake_pressure: 101 }],
    ['89010a', { throttle_pct: 10 }],
    [`8b11${'41'.repeat(17)}`, { vin: 'A'.repeat(17) }],
    ['8d020003', { trip_m: 3000 }],
    ['8e0132', { fuel_pct: 50 }],
    ['a005' + '5030333030', { dtc: 'P0300' }],
    ['a000', {}],
    [`cc14${'38'.repeat(20)}`, { iccid: '8'.repeat(20) }],
    // Another length, another id.
    [`8b10${'41'.repeat(16)}`, {}],
    [`cc13${'38'.repeat(19)}`, {}],
    [`cd14${'38'.repeat(20)}`, {}],
    ['8f0132', {}],
    ['8e020032', {}],
    ['02010a', {}],
    ['8c020001', {}],
    // What is over the end is not there, and what stands in front of it is.
    ['8e01320202' + '00', { fuel_pct: 50 }],
    ['8e013202', { fuel_pct: 50 }],
  ])('%s: %j', (entries, expected) => {
    expect(list(entries)).toEqual(expected);
  });
  it.each(['01', '8c'])('%s is the odometer', (id) => {
    expect(said(`800100${id}0400000064`)['odometer_m']).toBe(10_000);
  });
});

it.each([
  [`005011${'41'.repeat(17)}`, 'A'.repeat(17)],
  [`005010${'41'.repeat(16)}`, undefined],
  [`005111${'41'.repeat(17)}`, undefined],
  [`005011${'41'.repeat(16)}`, undefined],
])('of the list of OBD in item F3, 0050 is the vehicle number where it has 17 characters: %s', (list, vin) => {
  expect(said(`f3${(list.length / 2).toString(16).padStart(2, '0')}${list}`)['vin']).toBe(vin);
});

describe('the alarms of a padlock in item FE', () => {
  it.each([
    ['00000000', undefined],
    ['00000001', 'harsh_acceleration'],
    ['00000002', 'harsh_braking'],
    ['00000004', 'harsh_cornering'],
    ['00000008', 'collision'],
    ['00000010', 'tamper'],
    ['00000020', undefined],
    ['ffffff00', undefined],
  ])('%s: %s', (bits, event) => {
    expect(said(`fe087c0104${bits}32`)).toMatchObject({ battery_pct: 50 });
    expect(said(`fe087c0104${bits}32`)['event']).toBe(event);
    // Of another id or length they are none; the percentage is the last byte.
    for (const other of [`fe087c0204${bits}32`, `fe087c0103${bits}32`, `fe067c01040000${bits.slice(-2)}`])
      expect(said(other)['event'], other).toBeUndefined();
  });
});

it.each([
  [12, 'tamper'],
  [4, 'collision'],
  [8, 'harsh_acceleration'],
  [9, 'harsh_braking'],
  [25, 'harsh_cornering'],
  [0, 'power_off'],
  [30, 'jamming'],
  [31, 'jamming'],
  [1, undefined],
  [5, undefined],
  [13, undefined],
  [24, undefined],
])('bit %d of word 0089, when it is 0, is %s', (bit, event) => {
  const word = ~(1 << bit) >>> 0;
  const list = `00060089${word.toString(16).padStart(8, '0')}`;
  expect(said(`eb08${list}`)['event']).toBe(event);
  expect([said(`eb0800060089${'f'.repeat(8)}`)['event'], said(`eb0800060089${'0'.repeat(8)}`)['event']]).toEqual([undefined, undefined]);
});

it.each([
  ['JC400', 'jimi'],
  ['VL505', 'jimi'],
  ['XJC400', undefined],
  ['BSJ-A6', 'bsj'],
  ['XBSJ', undefined],
  ['C5', 'c5'],
  ['C5L', 'c5'],
  ['C5X', undefined],
  ['C5LX', undefined],
  ['XC5', undefined],
  ['W15L', 'seeworld'],
  ['XW15L', undefined],
  ['G10LS', 'g10ls'],
  ['XG10', undefined],
  ['G360P', 'padlock'],
  ['G-508P', 'padlock'],
  ['XG360P', undefined],
  ['MV710G', 'mv'],
  ['MV810G', 'mv'],
  ['MV910G', undefined],
  ['XMV710G', undefined],
])('a device that registers as %s is of the maker %s', (model, dialect) => {
  const text = (value: string, n: number): string => Buffer.from(value.padEnd(n, '\0')).toString('hex');
  const connection = new RecordFeed(jt808, 'tcp', {});
  connection.feed.push(
    jt808Message('0100', `0001${'0002'}${text('MAKER', 5)}${text(model, 20)}${text('ID00001', 7)}01${text('A12345', 6)}`),
  );
  expect(connection.records.flat()[0]).toMatchObject({ attrs: { model } });
  expect(jt808.tcp?.describeMemo?.(jt808.tcp.memo?.(connection.feed.state) ?? 0)['dialect']).toBe(dialect);
});

describe('what a memo keeps of the alarms that are on', () => {
  // Bits 9 to 14 are faults; the others of the first form are 0 to 8 and 15 to 31.
  const FAULTS = 0x7e00;
  const others = Array.from({ length: 32 }, (_, bit) => 1 << bit).filter((bit) => (bit & FAULTS) === 0);
  it('is all of them where there are no faults, or beside them not more than three', () => {
    expect([0, -1 & ~FAULTS, 0x1ff].map(kept)).toEqual([0, -1 & ~FAULTS, 0x1ff]);
    for (const faults of [0x200, 0x4000, 0x2a00, FAULTS]) {
      expect(kept(faults)).toBe(faults);
      for (const [k, one] of others.entries())
        for (const two of others.slice(k)) {
          const three = faults | one | two | (others[(7 * k) % others.length] ?? 0);
          if (kept(three) !== three) expect.fail(`${three.toString(16)} is kept as ${kept(three).toString(16)}`);
        }
    }
  });
  it('is that there are faults, beside four or more', () => {
    expect(kept(0x200 | 0x0f)).toBe(FAULTS | 0x0f);
    expect(kept(0x4000 | 0x1f)).toBe(FAULTS | 0x1f);
    expect(kept(0x200 | ~FAULTS)).toBe(-1);
  });
});

it.each([
  ['utc', 0],
  ['+08:00', 8],
  ['-03:30', -3.5],
  ['+5', 5],
  ['+14:00', 14],
  ['+05:45', 5.75],
])('dates are of the zone %s', (time_zone, hours) => {
  // The report's date is 2026-10-01 08:00:01.
  expect(recordOf('', { time_zone })['time']).toBe(Date.UTC(2026, 9, 1, 8, 0, 1) - hours * 3_600_000);
});

it('an item of locks has as many as it says, of which 16 are read', () => {
  const lock = (n: number): string => `01020304${byte(n)}a1a2a3a4${byte(n)}${byte(n)}00${n % 2 === 0 ? '20' : '00'}`;
  const all = (n: number): string => Array.from({ length: n }, (_, k) => lock(k + 1)).join('');
  const names = (n: number): string[] =>
    Object.keys(said(`d5${byte(1 + 13 * n)}${byte(n)}${all(n)}`)).filter((name) => name.endsWith('_id'));
  for (const n of [1, 2, 16, 17, 19])
    expect(names(n), String(n)).toEqual(Array.from({ length: Math.min(n, 16) }, (_, k) => `lock_${k + 1}_id`));
  expect(said(`d5${byte(27)}02${all(2)}`)).toEqual({
    ...{ lock_1_id: '0102030401', lock_1_card: 'a1a2a3a401', lock_1_battery_pct: 1, lock_1_locked: true },
    ...{ lock_2_id: '0102030402', lock_2_card: 'a1a2a3a402', lock_2_battery_pct: 2, lock_2_locked: false },
  });
});

describe('cells of an item', () => {
  const cell = { mcc: 460, mnc: 0, lac: 10365, cid: 8049 };
  it.each([
    // 53: count, cells of 8 bytes; 66: country, cells of 9; E1: country, network, cells of 8.
    ['530100', undefined],
    [`530901${'01cc00287d1f7180'}`, [{ ...cell, rssi_dbm: -128 }]],
    [`531102${'01cc00287d1f7180'.repeat(2)}`, new Array(2).fill({ ...cell, rssi_dbm: -128 })],
    [`530901${'00c800287d1f7180'}`, [{ ...cell, mcc: 200, rssi_dbm: -128 }]],
    [`530901${'00c700287d1f7180'}`, undefined],
    [`530901${'031f00287d1f7180'}`, [{ ...cell, mcc: 799, rssi_dbm: -128 }]],
    [`530901${'032000287d1f7180'}`, undefined],
    [`530901${'01cc000000000080'}`, undefined],
    [`530901${'01cc000000000180'}`, [{ ...cell, lac: 0, cid: 1, rssi_dbm: -128 }]],
    [`530901${'01cc000001000080'}`, [{ ...cell, lac: 1, cid: 0, rssi_dbm: -128 }]],
  ])('%s', (items, cells) => {
    expect(said(`${items}300104`)['cells']).toEqual(cells);
    expect(said(`${items}300104`)['gsm_csq']).toBe(4);
  });

  // Country 460 as an id and a length is an item that runs over the end.
  it.each([
    ['53', '01', '01cc00287d1f7180'],
    ['5d', '01', '01cc00287d00001f7180'],
    ['f0', '', '01cc000000001f710000287d80'],
    ['e1', '', '01cc000000287d00001f7180'],
    ['66', '', '01cc800000' + '00001f71287d'],
  ])('%s does not go on behind it', (id, count, one) => {
    const item = `${id}${byte((count.length + one.length) / 2)}${count}${one}`;
    expect(said(`${item}${one}${one}`)['cells']).toEqual([{ ...cell, rssi_dbm: -128 }]);
    // With a byte more it is no list.
    expect(said(`${id}${byte((count.length + one.length) / 2 + 1)}${count}${one}00`)['cells']).toBeUndefined();
  });
});
