import { describe, expect, it } from 'vitest';
import { frame, LONGEST, LONGEST_TEXT } from '../../codecs/jt808/frame.ts';
import jt808 from '../../codecs/jt808/index.ts';
import { bytesOf, fixtureTests, RecordFeed } from '../helpers/fixtures.ts';
import { jt808Frame, jt808Message, jt808Report } from '../helpers/jt808.ts';
import { type ExpectedValue, type VectorValue, vectorTests } from '../helpers/vectors.ts';

/** Event names by the vectors' words; of several alarms in one record the first in the protocol document's order. */
const ALARMS: Readonly<Record<string, string>> = {
  removing: 'tamper',
  tampering: 'tamper',
  'lowBattery,removing': 'tamper',
  vibration: 'vibration',
  door: 'door',
  movement: 'movement',
};

function named(name: string, convert: (value: VectorValue) => unknown = (value) => value): (value: VectorValue) => ExpectedValue {
  return (value) => ({ name, value: value === null ? undefined : convert(value) });
}

fixtureTests(jt808);

vectorTests(jt808, {
  // Item 60: read there from one byte earlier, so that the card begins with the last byte of the lock's id (codecs/jt808/protocol.md section 19).
  later: ['jt808-g2-036'],
  attributeMap: {
    alarm: named('event', (value) => ALARMS[String(value)]),
    sat: named('satellites'),
    power: named('external_v'),
    battery: named('battery_v'),
    batteryLevel: named('battery_pct'),
    charge: named('charging'),
    cardCode: named('driver_id'),
    driverUniqueId: named('driver_id'),
    rpm: named('rpm'),
    videoAlarm: named('video_alarm_bits', (value) => Number(value)),
    motion: named('motion'),
    tire1Pressure: named('tyre_1_pressure_bar'),
    temp1: named('temperature_c_1'),
    temp3: named('temperature_c_3'),
    iccid: named('iccid'),
    imei: named('imei'),
    lock2Battery: named('lock_2_battery_v'),
    result: named('reply'),
    alarmLabel: named('alarm_label'),
    steps: named('steps'),
  },
  options: (vector) => {
    const model = String(vector.config?.['model'] ?? '');
    return model.startsWith('MV') ? { dialect: 'mv' } : model.startsWith('AL') ? { dialect: 'aovx' } : {};
  },
});

type Attributes = Readonly<Record<string, unknown>>;

/** The first record of a connection that is sent this frame. */
function recordOf(frame: Uint8Array, options: Record<string, string> = {}): Record<string, unknown> {
  const connection = new RecordFeed(jt808, 'tcp', { options });
  connection.feed.push(frame);
  return connection.records[0]?.[0] ?? {};
}

/** What the status word of every report here says. */
const STATUS = { ignition: true, status_bits: 3 };

describe('an item of a location, at the limits of its values', () => {
  const cases: readonly [items: string, attrs: Attributes][] = [
    ['300100', { gsm_csq: 0 }],
    ['30011f', { gsm_csq: 31 }],
    ['300120', { gsm_level_raw: 32 }],
    ['6a011f', { gsm_csq: 31 }],
    ['6a0120', {}],
    ['ee061f2ee00fa00c', { gsm_csq: 31, external_v: 12, battery_v: 4 }],
    ['ee06202ee00fa00c', { external_v: 12, battery_v: 4 }],
    ['060164', { battery_pct: 100 }],
    ['060165', {}],
    ['0603640000', {}],
    ['d40164', { battery_pct: 100 }],
    ['d40165', {}],
    ['d401ff', { charging: true }],
    ['e90100', { battery_pct: 0 }],
    ['e10165', {}],
    ['fe0164', { battery_pct: 100 }],
    ['fe0165', {}],
    ['e40200fe', { charging: true }],
    ['e4020164', { battery_pct: 100 }],
    ['e30400640190', { battery_pct: 100, battery_v: 4 }],
    ['e30400650190', { battery_v: 4 }],
    ['56020a00', { battery_pct: 100 }],
    ['56020501', { battery_pct: 1 }],
    ['56020564', { battery_pct: 100 }],
    ['56020565', { battery_pct: 50 }],
    ['56020b00', {}],
    ['e20400004e20', { fuel_l: 2000 }],
    ['e20400004e21', {}],
    ['02028064', { fuel_pct: 100 }],
    ['02027fff', { fuel_l: 3276.7 }],
    ['06028005', { temperature_c_1: -5 }],
    ['2a0200ff', { sleep_mode: 3 }],
    ['2b0400000000', {}],
    ['f70400000fa0', { battery_v: 4 }],
    // State and percent of a battery: 2 and 3 are charging.
    ...[0, 1, 2, 3, 4].map((state): [string, Attributes] => [
      `f70500000fa00${state}`,
      { battery_v: 4, charging: state === 2 || state === 3 },
    ]),
    ['f70600000fa00164', { battery_v: 4, charging: false, battery_pct: 100 }],
    ['f70600000fa00165', { battery_v: 4, charging: false }],
    // Sensors of the environment: an id and a length of their own decide.
    ['ea0501130200c8', { illuminance: 200 }],
    ['ea0501140203e8', { air_pressure: 1000 }],
    ['ea050115020258', { humidity_pct_1: 60 }],
    ['ea0501160202ee', { temperature_c_1: 25 }],
    ['ea0501120202ee', {}],
    ['ea0501170202ee', {}],
    ['ea04011601ee', {}],
    ['ea0601160302ee00', {}],
    ['ea0501160402ee', {}],
    // The number of an area, with a kind of place only.
    ['11050100000007', { geofence: '7' }],
    ['11050000000007', {}],
  ];
  it.each(cases)('%s: %j', (items, attrs) => {
    expect(recordOf(jt808Report(0, items))['attrs']).toEqual({ ...STATUS, ...attrs });
  });

  it('satellites', () => {
    expect(recordOf(jt808Report(0, '31010c'))['satellites']).toBe(12);
    expect(recordOf(jt808Report(0, 'ee061f2ee00fa00d'))['satellites']).toBe(13);
  });
});

describe('an item of another length than its own', () => {
  /** Ids that have one length, or all lengths from one on. */
  const LENGTHS: Readonly<Record<string, number>> = {
    ...{ '01': 4, '02': 2, '03': 2, '04': 2, '05': 30, '11': 5, '12': 6, '13': 7, '14': 4, '15': 4, '16': 4, '17': 2, '25': 4, '2a': 2 },
    ...{ '2b': 4, '30': 1, '31': 1, '52': 1, '56': 2, '57': 8, '61': 2, '68': 2, '69': 2, '6a': 1, '6c': 15, '71': 20, '82': 2, a7: 4 },
    ...{ ac: 4, cc: 20, d0: 4, d3: 2, da: 3, e2: 4, e4: 2, e5: 1, e7: 8, ee: 6, fc: 1, ff: 12 },
  };
  const EXACT = Object.entries(LENGTHS).flatMap(([id, n]) => [n - 1, n + 1].map((length) => [id, length] as const));
  const SHORT = Object.entries({ '18': 2, '60': 2, '64': 32, '65': 32, '66': 44, '67': 30, '70': 6, '91': 23 });
  it.each([...EXACT, ...SHORT.map(([id, n]) => [id, n - 1] as const)])('%s of %d is not read', (id, length) => {
    const record = recordOf(jt808Report(0, `${id}${length.toString(16).padStart(2, '0')}${'01'.repeat(length)}`));
    expect([record['attrs'], record['satellites'], record['event'], record['cells']]).toEqual([STATUS, undefined, undefined, undefined]);
  });
});

describe('a cell', () => {
  const eb = (text: string): string => {
    const value = Buffer.from(text).toString('hex');
    const size = value.length / 2 + 4;
    return `eb${size.toString(16).padStart(2, '0')}${(size - 2).toString(16).padStart(4, '0')}0024${value}`;
  };
  it.each([
    ['460;00;10369;48488910', [{ mcc: 460, mnc: 0, lac: 10369, cid: 48488910 }]],
    ['200;0;1;0', [{ mcc: 200, mnc: 0, lac: 1, cid: 0 }]],
    ['799;999;0;1', [{ mcc: 799, mnc: 999, lac: 0, cid: 1 }]],
    ['199;0;1;1', undefined],
    ['800;0;1;1', undefined],
    ['460;0;0;0', undefined],
    // 28 bits are the most that a cell of 4G has.
    ['460;0;268435455;268435455', [{ mcc: 460, mnc: 0, lac: 268435455, cid: 268435455 }]],
    ['460;0;1;268435456', undefined],
    ['460;0;268435456;1', undefined],
    ['460;0;1;-1', undefined],
    ['460;0;1;1.5', undefined],
    ['460;0;1;x', undefined],
  ])('as text %s', (text, cells) => {
    expect(recordOf(jt808Report(0, eb(text)))['cells']).toEqual(cells);
  });
});

describe('a place', () => {
  it.each([
    ['055d4a80', '0aba9500', 3, [90, 180]],
    ['055d4a80', '0aba9500', 15, [-90, -180]],
    ['055d4a81', '00000000', 3, [undefined, undefined]],
    ['00000000', '0aba9501', 3, [undefined, undefined]],
    ['00000000', '00000000', 3, [undefined, undefined]],
    ['00000000', '00000001', 3, [0, 0.000001]],
  ])('of latitude %s and longitude %s with status %d', (latitude, longitude, status, place) => {
    const { lat, lon } = recordOf(
      jt808Message('0200', `000000000000000${status.toString(16)}${latitude}${longitude}000000000000261001080000`),
    );
    expect([lat, lon]).toEqual(place);
  });

  it.each([
    ['0167', 359],
    ['0168', undefined],
  ])('with a course of %s', (course, degrees) => {
    expect(recordOf(jt808Message('0200', `00000000000000030311f0c80001f33800000000${course}261001080000`))['course_deg']).toBe(degrees);
  });

  it.each(['2a1001080000', '261a01080000', '26100a080000', '26101a080000', '261001a80000', '26100108a000', '2610010800a0', '2610010800fa'])(
    'whose time has the digits %s has none',
    (time) => {
      expect(recordOf(jt808Message('0200', `00000000000000030311f0c80001f3380000000000a6${time}`))['flags']).toEqual(['no_time']);
    },
  );

  it('of a lock is none with a digit above 9', () => {
    const lock = (longitude: string): unknown =>
      recordOf(jt808Frame(`550100257001608180000127061008045322332880${longitude}e0500310100000006080000109314350300020000`))['lon'];
    expect(lock('113555602')).toBeCloseTo(113.926003, 5);
    for (const digits of ['11355560a', '11355560f', '1135556a2', 'a13555602']) expect(lock(digits), digits).toBeUndefined();
  });
});

describe('what two items name', () => {
  const ACCELERATION = '57080100000000000000';
  const events = (items: string): unknown[] => {
    const connection = new RecordFeed(jt808, 'tcp', {});
    connection.feed.push(jt808Report(0, items));
    return connection.records.flat().map(({ event, attrs }) => [event, Object(attrs)['event_code']]);
  };
  it.each([
    ['the one without a number behind', `7006000000000001${ACCELERATION}`, [['harsh_acceleration', 1]]],
    ['the one without a number in front', `${ACCELERATION}7006000000000001`, [['harsh_acceleration', 1]]],
    ['both without a number', `${ACCELERATION}${ACCELERATION}`, [['harsh_acceleration', undefined]]],
    [
      'both with a number',
      'e804041201007006000000000001',
      [
        ['harsh_acceleration', 1042],
        ['harsh_acceleration', 1],
      ],
    ],
  ])('is told once, unless each has a number of its own: %s', (_, items, told) => {
    expect(events(items)).toEqual(told);
  });
});

describe('a C5', () => {
  const FRONT = 'e4020150e50101e60101';
  const memoBehind = (items: string): unknown => {
    const connection = new RecordFeed(jt808, 'tcp', {});
    connection.feed.push(jt808Report(0, items));
    return jt808.tcp?.describeMemo?.(jt808.tcp.memo?.(connection.feed.state) ?? 0);
  };
  it('is known by the items in front of its E7, and by nothing less', () => {
    const e7 = 'e7080000000000000000';
    expect(memoBehind(`${FRONT}${e7}`)).toEqual({ dialect: 'c5' });
    for (const front of [
      'e4020150e50101',
      'e3020150e50101e60101',
      'e4020150e60101e60101',
      'e4020150e50101e50101',
      // One item of a length that takes the next one in.
      'e4050150e50101e60101',
      'e4020150e50401e60101',
    ])
      expect(memoBehind(`${front}${e7}`), front).toEqual({});
    expect(memoBehind(`${FRONT}e50101${e7}`)).toEqual({});
  });
});

describe('an AOVX', () => {
  const read = (items: string): unknown => recordOf(jt808Report(0, items), { dialect: 'aovx' })['attrs'];
  it('has its own fields for each beacon', () => {
    const beacon = (mac: string, name: string, tail: string): string => `${mac}c4${Buffer.from(name).toString('hex')}0102${tail}`;
    const first = beacon('aabbccddee01', 'beacon-one', '0bb800fa0258');
    const second = beacon('aabbccddee02', 'beacon-two', '0c1cff060259');
    expect(read(`f3${((first.length + second.length) / 2 + 1).toString(16)}1f${first}${second}`)).toEqual({
      ...STATUS,
      tag_1_id: 'aa:bb:cc:dd:ee:01',
      tag_1_rssi_dbm: -60,
      tag_1_name: 'beacon-one',
      tag_1_battery_v: 3,
      tag_1_temperature_c: 25,
      tag_1_humidity_pct: 60,
      tag_2_id: 'aa:bb:cc:dd:ee:02',
      tag_2_rssi_dbm: -60,
      tag_2_name: 'beacon-two',
      tag_2_battery_v: 3.1,
      tag_2_temperature_c: -25,
      tag_2_humidity_pct: 60.1,
    });
  });

  it.each([
    ['f604000203e8', { temperature_c_1: 100 }],
    ['f604000203e9', {}],
    ['f6040002fc18', { temperature_c_1: -100 }],
    ['f6040002fc17', {}],
    ['f60400028000', {}],
    ['f60400027fff', {}],
    ['f604000403e8', { humidity_pct_1: 100 }],
    ['f604000403e9', {}],
    ['f6040004ffff', {}],
    ['f6040201000a', { illuminance: 10, event_code: 2, motion: true }],
    ['f906000400000000', {}],
    ['f90800400064ffff0000', { temperature_c_3: 10 }],
  ])('has sensors: %s', (items, attrs) => {
    expect(read(items)).toEqual({ ...STATUS, ...attrs });
  });
});

describe('a pass-through', () => {
  const AOVX = '0000000302df9d3000f9d82800aa012c000a261029173110';
  const OBD = 'f0261029173110';
  const LOCATED = '0000000302df9d3000f9d828';

  it('of samples has each sensor in its place', () => {
    const connection = new RecordFeed(jt808, 'tcp', {});
    const sample = (mask: string, fields: string): string => `${mask}261029173000${fields}`;
    const samples = [sample('001f', '012300fb0258ff38000100020003' + '03e8'), sample('0004', '00c8'), sample('0006', '03e903e9' + 'fc17')];
    connection.feed.push(jt808Message('0900', `54${AOVX}${samples.join('')}`));
    expect(connection.records[0]?.slice(1).map(({ attrs }) => attrs)).toEqual([
      {
        illuminance: 291,
        temperature_c_1: 25.1,
        humidity_pct_1: 60,
        temperature_c_3: -20,
        acceleration_x_g: 0.001,
        acceleration_y_g: 0.002,
        acceleration_z_g: 0.003,
        air_pressure: 1000,
      },
      { temperature_c_3: 20 },
      {},
    ]);
  });

  it.each([
    ['f0', 'reply', 'Speed:10', { reply: 'Speed:10' }],
    ['41', 'status', '', { external_data: 'Speed:10' }],
    ['42', 'status', '', { external_data: 'Speed:10' }],
    ['400008', 'status', '', { external_data: 'Speed:10' }],
  ])('of a text of type %s is a %s', (type, kind, replyText, attrs) => {
    const connection = new RecordFeed(jt808, 'tcp', {});
    const [frame] = connection.feed.push(jt808Message('0900', `${type}${Buffer.from('Speed:10').toString('hex')}`));
    expect(frame).toMatchObject({ kind, replyText });
    expect(connection.records[0]?.[0]?.['attrs']).toEqual(attrs);
  });

  it.each([
    ['one with a text', '000100000001000150303130000000010003616263', { dtc: 'P010', ...STATUS }],
    ['none', '0000', STATUS],
    ['a system without any', '0001000000010000', STATUS],
    ['a text that ends where the frame does', '00010000000100015030313000000001000f616263', { dtc: 'P010' }],
    ['a text that ends a byte behind the frame', '000100000001000150303130000000010010616263', {}],
    ['a text that is far longer', '000100000001000150303130000000010100616263', {}],
    ['more than there are', '0001000000010003' + '50303130000000010003616263', {}],
    ['more systems than there are', '000300000001000150303130000000010003616263', {}],
  ])('of trouble codes: %s', (_, codes, attrs) => {
    expect(recordOf(jt808Message('0900', `${OBD}000002${codes}${LOCATED}`))['attrs']).toEqual(attrs);
  });

  it.each([
    [
      '0202001a00',
      [
        ['power_cut', 2],
        ['harsh_acceleration', 26],
      ],
    ],
    [
      '0226002700',
      [
        ['collision', 38],
        ['collision', 39],
      ],
    ],
    [
      '0200000000',
      [
        ['unknown_0', 0],
        ['unknown_0', 0],
      ],
    ],
  ])('of alarms %s tells each with its number', (alarms, told) => {
    const connection = new RecordFeed(jt808, 'tcp', {});
    connection.feed.push(jt808Message('0900', `${OBD}000003${alarms}${LOCATED}`));
    expect(connection.records.flat().map(({ event, attrs }) => [event, Object(attrs)['event_code']])).toEqual(told);
  });
});

describe('a registration of 2011 with a long plate', () => {
  const model = (id: string): unknown =>
    recordOf(jt808Message('0100', `002c012f373031313142534a2d4d374220${Buffer.from(id).toString('hex')}01d4c142313233343536373839`))[
      'attrs'
    ];
  it.each(['0000000', '9999999', 'AAAAAAA', 'ZZZZZZZ', 'aaaaaaa', 'zzzzzzz'])('is one with the terminal id %s', (id) => {
    expect(model(id)).toEqual({ model: 'BSJ-M7B', terminal_id: id, plate: '粤B123456789' });
  });
  it.each(['/', ':', '@', '[', '`', '{', ' ', '-'])('is none with a "%s" in the terminal id, wherever that is', (character) => {
    for (let at = 0; at < 7; at++) {
      const id = `${'0'.repeat(at)}${character}`.padEnd(7, '0');
      expect(model(id), id).not.toMatchObject({ model: 'BSJ-M7B' });
    }
  });
});

describe('a text', () => {
  it.each(['9411', 'bc04', 'bd08', 'ed08', 'f204', 'fb0a'])('of blanks and NULs says nothing: item %s', (head) => {
    for (const filler of ['20', '00'])
      expect(recordOf(jt808Report(0, `${head}${filler.repeat(Number.parseInt(head.slice(2), 16))}`))['attrs']).toEqual(STATUS);
  });
});

describe('where a frame ends', () => {
  const measured = (bytes: Uint8Array): number => frame(bytes, 0, bytes.length);
  const text = (n: number): Uint8Array => Buffer.from(`(${'1'.repeat(n - 2)})`);
  const binary = (n: number): Uint8Array => bytesOf(`7e${'01'.repeat(n - 2)}7e`);

  it.each([
    ['a sentence', text, LONGEST_TEXT],
    ['a message', binary, LONGEST],
  ])('%s has a longest form, however much of it is there', (_, make, longest) => {
    expect(measured(make(longest))).toBe(longest);
    expect(measured(make(longest - 1))).toBe(longest - 1);
    expect(measured(make(longest + 1))).toBe(-1);
    expect(measured(make(longest + 1).subarray(0, longest))).toBe(-1);
    expect(measured(make(longest).subarray(0, longest - 1))).toBe(0);
  });
});

describe('the alphabet of E7', () => {
  it('and the standard one: each delimiter and escape byte in two', () => {
    const content = '7d7e3d3ee6e700';
    const sum = '01';
    expect(Buffer.from(jt808Frame(content)).toString('hex')).toBe(`7e7d017d023d3ee6e700${sum}7e`);
    expect(Buffer.from(jt808Frame(content, true)).toString('hex')).toBe(`e77d7e3e023e01e601e60200${sum}e7`);
  });

  it('of each byte that a message may hold is read as it was written', () => {
    for (let byte = 0; byte < 256; byte++) {
      // The answer repeats the serial number.
      const serial = byte.toString(16).padStart(2, '0').repeat(2);
      const connection = new RecordFeed(jt808, 'tcp', {});
      const [first] = connection.feed.push(jt808Frame(`0002000001234567890123${serial}`, true));
      expect(first, serial).toMatchObject({ kind: 'heartbeat', device: '1234567890123', damaged: '' });
      const expected = jt808Frame(`8001000501234567890123${'0000'}${serial}${'0002'}00`, true);
      expect(first?.answer, serial).toBe(Buffer.from(expected).toString('hex'));
    }
  });
});
