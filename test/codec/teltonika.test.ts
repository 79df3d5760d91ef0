import { describe, expect, it } from 'vitest';
import teltonika from '../../codecs/teltonika/index.ts';
import { decodeSms24, splitDataSms } from '../../codecs/teltonika/sms.ts';
import { ascii, putU32be } from '../../src/base/wire/index.ts';
import { Stop } from '../../src/codec/frame/splitter.ts';
import { checkOptions, MOST_OF_A_MESSAGE } from '../../src/codec/index.ts';
import { Feed, feed } from '../../src/codec/kit/feed.ts';
import { bytesOf, fixtureTests, frameLines, RecordFeed } from '../helpers/fixtures.ts';
import { enveloped, packetAt } from '../helpers/teltonika.ts';
import { vectorTests } from '../helpers/vectors.ts';

fixtureTests(teltonika);

vectorTests(teltonika, {
  attributeMap: {
    // The vectors give the voltage in mV, the records in V.
    tag1Voltage: (value) => ({ name: 'tag_1_battery_v', value: Number(value) / 1000 }),
    driverUniqueId: (value) => ({ name: 'driver_id', value }),
  },
});

function fixture(id: string): Uint8Array {
  const line = frameLines('teltonika').find((candidate) => candidate.id === id);
  if (line === undefined) throw new Error(`no fixture ${id}`);
  return bytesOf(line.hex);
}

describe('teltonika recognise', () => {
  it.each([
    ['000f333536333037303432343431303133', true],
    ['ff000f333536333037303432343431303133', true],
    ['000f3335', undefined],
    ['00', undefined],
    ['ff', undefined],
    ['00000000', true],
    ['003dcafe0105000f333532303933303836343033363535080100', true],
    ['003dcafe0105', undefined],
    ['000f33353a', false],
    ['474554202f20485454502f312e31', false],
    ['160301020001000200', false],
    ['78780d01012345678901234500018cdd0d0a', false],
    ['2a48512c3132333435363738392c56312c', false],
    ['2441060001021704', false],
    ['5353482d322e302d', false],
  ])('%s: %s', (hex, expected) => {
    expect(teltonika.recognise(bytesOf(hex), 0, bytesOf(hex).length)).toBe(expected);
  });

  it('never changes its mind as more bytes arrive', () => {
    for (const line of frameLines('teltonika')) {
      const bytes = bytesOf(line.hex);
      let verdict: boolean | undefined;
      for (let end = 1; end <= bytes.length; end++) {
        const now = teltonika.recognise(bytes, 0, end);
        if (verdict !== undefined) expect(now, `${line.id} at ${end}`).toBe(verdict);
        verdict = now;
      }
    }
  });
});

describe('teltonika stream', () => {
  it.each([
    ['HTTP', '474554202f20485454502f312e310d0a'],
    ['a length of zero', '00000000000000000801'],
    ['a length of 4 GiB', '00000000ffffffff0801'],
    ['a length of one byte more than the longest', '00000000000028010801'],
    ['a preamble that is not zero', '0000000100000036'],
    ['21 digits', `0015${'31'.repeat(21)}`],
  ])('is lost behind %s', (_what, hex) => {
    const connection = feed(teltonika, 'tcp', [bytesOf(hex)]);
    expect([connection.stopped, connection.frames.length]).toEqual([Stop.TooLong, 0]);
  });

  it('waits for the longest data field', () => {
    const connection = feed(teltonika, 'tcp', [bytesOf('00000000000028000801')]);
    expect([connection.stopped, connection.pending]).toEqual([Stop.None, 10]);
  });

  it('reads a record without a fix, whatever came before it on another connection', () => {
    const before = JSON.stringify(feed(teltonika, 'tcp', [fixture('codec-8-smallest')]).frames);
    for (const line of frameLines('teltonika')) {
      feed(teltonika, line.transport, [bytesOf(line.hex)], { options: line.options ?? {} });
      expect(JSON.stringify(feed(teltonika, 'tcp', [fixture('codec-8-smallest')]).frames), `behind ${line.id}`).toBe(before);
    }
  });

  it('gives a record the same bytes of its own on TCP and UDP', () => {
    const own = (id: string, transport: 'tcp' | 'udp'): string => {
      const bytes = fixture(id);
      const [frame] = feed(teltonika, transport, [bytes]).frames;
      const row = frame?.rows[0];
      return Buffer.from(bytes.subarray(row?.from, row?.to)).toString('hex');
    };
    expect(own('codec-8-south-west', 'tcp')).toBe(own('udp-south-west', 'udp'));
    expect(own('codec-8-south-west', 'tcp').length).toBe(2 * 47);
  });

  it('reads a stored frame under the options it arrived with', () => {
    const bad = fixture('bad-checksum');
    const counting = new Feed(teltonika, 'tcp', { options: { integrity: 'count', family: 'fmx6' } });
    counting.push(bad);
    const [frame] = counting.frames;
    expect(frame?.damaged).toBe('checksum');
    const later = new Feed(teltonika, 'tcp', { options: { integrity: 'verify', family: 'fm' }, memo: frame?.memo ?? 0 });
    expect(later.decode(bad, 0, bad.length).rows).toEqual(frame?.rows);
  });
});

/** The first record of a connection that is sent this, its attributes beside its fields. */
function read(frame: Uint8Array): Record<string, unknown> {
  const connection = new RecordFeed(teltonika, 'tcp', {});
  connection.feed.push(frame);
  const [record = {}] = connection.records.flat();
  return { ...record, ...Object(record['attrs']) };
}

describe('teltonika values at their limits', () => {
  it.each([
    [90, 180, true],
    [-90, -180, true],
    [90.0000001, 0, false],
    [-90.0000001, 0, false],
    [0, 180.0000001, false],
    [0, -180.0000001, false],
    [0, 0, false],
    [0, 0.0000001, false],
    [0, 0.0000002, true],
  ])('%d, %d is a place: %s', (lat, lon, isPlace) => {
    const record = read(packetAt(lat, lon, Date.UTC(2026, 9, 1)));
    expect([record['lat'], record['lon']]).toEqual(isPlace ? [lat, lon] : [undefined, undefined]);
  });

  it.each([
    [0xfffe, 65_534],
    [0xffff, undefined],
  ])('a speed of %d is %s km/h', (sent, speed) => {
    expect(read(packetAt(59, 18, Date.UTC(2026, 9, 1), sent))['speed_kmh']).toBe(speed);
  });

  /** Time, priority, place, satellites and speed of a record. */
  const HEAD = '0000019a1b2c3d4e000ac50420235cee8800000000090000';
  /** A record with an operator, an area and a cell. */
  const cell = (operator: number): Record<string, unknown> => {
    const number = (value: number): string => {
      const bytes = new Uint8Array(4);
      putU32be(bytes, 0, value);
      return Buffer.from(bytes).toString('hex');
    };
    return read(enveloped(bytesOf(`0801${HEAD}00030002cd0001ce000201f1${number(operator)}0001`)));
  };
  it.each([
    [19_999, { lac: 2, cid: 1 }],
    [20_000, { mcc: 200, mnc: 0, lac: 2, cid: 1 }],
    [24_001, { mcc: 240, mnc: 1, lac: 2, cid: 1 }],
    [99_999, { mcc: 999, mnc: 99, lac: 2, cid: 1 }],
    [100_000, { lac: 2, cid: 1 }],
    [199_999, { lac: 2, cid: 1 }],
    [200_000, { mcc: 200, mnc: 0, lac: 2, cid: 1 }],
    [310_260, { mcc: 310, mnc: 260, lac: 2, cid: 1 }],
    [999_999, { mcc: 999, mnc: 999, lac: 2, cid: 1 }],
    [1_000_000, { lac: 2, cid: 1 }],
  ])('operator %d', (operator, expected) => {
    const record = cell(operator);
    expect(record['cells']).toEqual([expected]);
    expect(record['operator']).toBe(String(operator));
  });

  const byte = (n: number): string => n.toString(16).padStart(2, '0');
  /** What a record says of tags with these lists of them, which are not by distance. */
  const tags = (...lists: readonly string[]): Record<string, unknown> => tagsOf('0224', ...lists);
  const tagsOf = (id: string, ...lists: readonly string[]): Record<string, unknown> => {
    const fields = Object.entries(elementsOf(id, ...lists.map((list) => `00${list}`)));
    return Object.fromEntries(fields.filter(([name]) => name.startsWith('tag_')));
  };
  /** The attributes of a record with elements of this id and these values. */
  const elementsOf = (id: string, ...values: readonly string[]): Record<string, unknown> => {
    const word = (n: number): string => n.toString(16).padStart(4, '0');
    const elements = values.map((value) => `${id}${word(value.length / 2)}${value}`).join('');
    const count = word(values.length);
    const fields = read(enveloped(bytesOf(`8e01${HEAD}0000${count}0000000000000000${count}${elements}01`)));
    const { priority: _, ...attrs } = Object(fields['attrs']);
    return attrs;
  };
  it.each([
    ['0100', '', {}],
    ['0100', '2020', {}],
    ['0100', '00', {}],
    ['0100', '57565757', { vin: 'WVWW' }],
    ['0100', '5756572000', { vin: 'WVW' }],
    ['0100', '5720562000', { vin: 'W V' }],
    ['0181', '', {}],
    ['0224', '', {}],
    ['ff01', '', {}],
    ['ff01', '00', { io_65281: '00' }],
  ])('an element %s of "%s": %j', (id, value, attrs) => {
    expect(elementsOf(id, value)).toEqual(attrs);
  });

  /** A record with one tag, of which this is said, in the list of those that are near. */
  const tag = (values: string): Record<string, unknown> => tagsOf('2a4c', `${byte(values.length / 2)}${values}`);
  /** The name of the list itself. */
  const TAGS = 'advanced_beacon_list';
  const EDDYSTONE = '00112233445566778899aabbccddeeff';
  const IBEACON = `${EDDYSTONE}01020304`;
  const told: readonly (readonly [values: string, attrs: Readonly<Record<string, unknown>>])[] = [
    ['0001c4', { tag_1_rssi_dbm: -60 }],
    ['0106aabbccddeeff', { tag_1_id: 'aa:bb:cc:dd:ee:ff' }],
    ['0f06aabbccddeeff', { tag_1_id: 'aa:bb:cc:dd:ee:ff' }],
    [`0110${EDDYSTONE}`, { tag_1_id: '00112233445566778899:aabbccddeeff' }],
    [`0114${IBEACON}`, { tag_1_id: '00112233445566778899aabbccddeeff:0102:0304' }],
    ['05024142', { tag_1_name: 'AB' }],
    ['0602ff06', { tag_1_temperature_c: -2.5 }],
    ['070132', { tag_1_humidity_pct: 50 }],
    ['080100', { tag_1_magnet: false }],
    ['080102', { tag_1_magnet: true }],
    ['090100', { tag_1_motion: false }],
    ['090102', { tag_1_motion: true }],
    ['0a020005', { tag_1_movements: 5 }],
    ['0b01f6', { tag_1_pitch_deg: -10 }],
    ['0c02ff9c', { tag_1_roll_deg: -100 }],
    ['0d0100', { tag_1_low_battery: false }],
    ['0d0102', { tag_1_low_battery: true }],
    ['0e020bb8', { tag_1_battery_v: 3 }],
    // Another length, another type.
    ...[
      '0002c4c4',
      '0105aabbccddee',
      `010f${EDDYSTONE.slice(2)}`,
      `0113${IBEACON.slice(2)}`,
      '0100',
      '0200',
      '0500',
      '060119',
      '07020032',
      '08020001',
      '09020001',
      '0a0105',
      '0b0200f6',
      '0c019c',
      '0d020001',
      '0e010b',
      '030132',
      '100132',
    ].map((value) => [value, {}] as const),
  ];
  it.each(told)('a tag that says %s: %j', (values, attrs) => {
    expect(tag(values)).toEqual({ tag_1_proximity: 'near', ...attrs });
  });

  it.each([
    // Flags 1: a temperature.
    [['ff9a08010109c4'], { temperature_c: 25 }],
    [['094142', 'ff9a08010109c4'], { name: 'AB', temperature_c: 25 }],
    [['ff9a08010109c4', '094142'], { name: 'AB', temperature_c: 25 }],
    [['084142', 'ff9a080100'], { name: 'AB' }],
    [['0a4142', 'ff9a08010109c4'], { temperature_c: 25 }],
    // Another maker, another version, another type.
    [['ff9b08010109c4'], {}],
    [['ff9a09010109c4'], {}],
    [['ff9a08020109c4'], {}],
    [['fe9a08010109c4', '094142'], { name: 'AB' }],
    // What stands behind is neither its version nor its flags nor its temperature.
    ...['ff', 'ff9a', 'ff9a08', 'ff9a0801', 'ff9a080101', 'ff9a08010109'].map((cut) => [[cut, '094142'], { name: 'AB' }] as const),
    [['ff9a08', '01010101010101'], {}],
    // Flags that say all: no magnet, a low battery.
    [['ff9a080144'], { magnet: false, low_battery: true }],
    // Its length reads as flags that account for every byte: it is no advertisement unless it is a maker's.
    [['ff9a08'], {}],
    [['094142'], { temperature_c: 23.69, humidity_pct: 66 }],
    [['ff9a0801', '0101010101'], {}],
    [['09'], {}],
    [['09', '094142'], { name: 'AB' }],
    [['09414200'], { name: 'AB' }],
    [['0900'], {}],
    // One without a type ends what is an advertisement.
    [['', 'ff9a08010109c4'], {}],
  ] as const)('a tag with the advertisement %j: %j', (structures, attrs) => {
    const list = structures.map((one) => byte(one.length / 2) + one).join('');
    const said = Object.entries(attrs).map(([name, value]) => [`tag_1_${name}`, value]);
    expect(tag(`02${byte(list.length / 2)}${list}`)).toEqual({ tag_1_proximity: 'near', ...Object.fromEntries(said) });
  });

  /** What a sensor says of itself, behind its flags. */
  const EYE = [
    [1, 'ff06', { temperature_c: -2.5 }],
    [2, '32', { humidity_pct: 50 }],
    [4, '', { magnet: false }],
    [8, '', {}],
    [12, '', { magnet: true }],
    [16, '8005', { motion: true, movements: 5 }],
    [16, '7fff', { motion: false, movements: 0x7fff }],
    [32, 'f6ff9c', { pitch_deg: -10, roll_deg: -100 }],
    [64, '', { low_battery: true }],
    [128, '64', { battery_v: 3 }],
    [3, 'ff0632', { temperature_c: -2.5, humidity_pct: 50 }],
    [0xff, 'ff0632' + '8005' + 'f6ff9c' + '64', undefined],
  ] as const;
  const ALL = Object.assign({}, ...[0, 1, 4, 5, 7, 8, 9].map((k) => EYE[k]?.[2]), EYE[9]?.[2]);
  it.each(EYE)('a sensor with flags %d and %j: %j, if all of it is there', (flags, data, expected) => {
    const said = Object.entries(expected ?? ALL).map(([name, value]) => [`tag_1_${name}`, value]);
    const attrs = { tag_1_proximity: 'near', ...Object.fromEntries(said) };
    const structure = (text: string): string => `ff9a0801${byte(flags)}${text}`;
    const list = (text: string): string => byte(structure(text).length / 2) + structure(text);
    const values = [list(data), list(`${data}01`)];
    for (const value of values) expect(tag(`02${byte(value.length / 2)}${value}`), value).toEqual(attrs);
    // As the value itself: its first byte is no length of a structure there.
    if (flags > 127) expect(tag(`02${byte(data.length / 2 + 1)}${byte(flags)}${data}`)).toEqual(attrs);
    if (data === '') return;
    const cut = list(data.slice(2));
    expect(tag(`02${byte(cut.length / 2)}${cut}070132`), 'cut').toEqual({ tag_1_proximity: 'near', tag_1_humidity_pct: 50 });
  });

  it('what is behind an advertisement is not of it, and one that does not end where its value does is none', () => {
    const advertisement = '07ff9a08010109c4';
    // Behind it a value of another type, which as a structure would be a name.
    expect(tag(`0208${advertisement}0309414243444546474849`)).toEqual({ tag_1_proximity: 'near', tag_1_temperature_c: 25 });
    // Flags 7, a temperature, a humidity, no magnet.
    for (const over of ['0209', '0309', '0509'])
      expect(tag(`020a${advertisement}${over}`), over).toEqual({
        ...{ tag_1_proximity: 'near', tag_1_temperature_c: -1.02, tag_1_humidity_pct: 8, tag_1_magnet: false },
      });
  });

  /** What a beacon says: flags, and what follows its id. */
  const BEACONS = [
    [0, '', {}],
    [1, 'c4', { rssi_dbm: -60 }],
    [2, '0bb8', { battery_v: 3 }],
    [4, '0019', { temperature_raw: 25 }],
    [3, 'c40bb8', { rssi_dbm: -60, battery_v: 3 }],
    [5, 'c40019', { rssi_dbm: -60, temperature_raw: 25 }],
    [6, '0bb80019', { battery_v: 3, temperature_raw: 25 }],
    [7, 'c40bb80019', { rssi_dbm: -60, battery_v: 3, temperature_raw: 25 }],
  ] as const;
  it.each(
    BEACONS.flatMap(([flags, data, said]) => [
      [flags, EDDYSTONE, '00112233445566778899:aabbccddeeff', data, said] as const,
      [flags | 32, IBEACON, '00112233445566778899aabbccddeeff:0102:0304', data, said] as const,
    ]),
  )('beacons with flags %d say %s: each of the list, until one is cut off', (flags, id, text, data, said) => {
    const beacon = (rest: string): string => byte(flags) + id + rest;
    const attrs = (n: number): object =>
      Object.fromEntries([['id', text], ...Object.entries(said)].map(([name, value]) => [`beacon_${n}_${name}`, value]));
    const list = `11${beacon(data)}${beacon(data)}`;
    expect(elementsOf('0181', list)).toEqual({ ...attrs(1), ...attrs(2) });
    const cut = list.slice(0, -2);
    expect(elementsOf('0181', cut)).toEqual({ ...attrs(1), beacon_list: cut });
    const longer = `${list}00`;
    expect(elementsOf('0181', longer)).toEqual({ ...attrs(1), ...attrs(2), beacon_list: longer });
  });

  it('a list of beacons has 255 of them, whatever the lists before it had; a longer one stays as it is', () => {
    const list = (n: number): string => `11${`00${EDDYSTONE}`.repeat(n)}`;
    const names = (...lists: readonly number[]): string[] => Object.keys(elementsOf('0181', ...lists.map(list)));
    const all = Array.from({ length: 255 }, (_, k) => `beacon_${k + 1}_id`);
    expect(names(255)).toEqual(all);
    expect(names(256)).toEqual([...all, 'beacon_list']);
    expect(names(200, 100)).toEqual([...all, 'beacon_list']);
    expect(names(2)).toEqual(all.slice(0, 2));
  });

  it.each([
    ['11', {}],
    ['12', { beacon_part: 1, beacon_parts: 2 }],
    ['f3', { beacon_part: 15, beacon_parts: 3 }],
    ['10', {}],
  ])('a list of beacons that begins with %s: %j', (head, attrs) => {
    expect(elementsOf('0181', head)).toEqual(attrs);
  });

  it('of a list of tags that cannot be read to its end the bytes stay', () => {
    const read = { tag_1_humidity_pct: 50 };
    expect(elementsOf('0224', '0003070132')).toEqual(read);
    // Its last value has no bytes; one over its tag, one without a length, a tag over the list.
    expect(elementsOf('0224', '0005070132' + '0600')).toEqual(read);
    for (const list of ['0005070132' + '0601', '0004070132' + '06', '0003070132' + '04070132'])
      expect(elementsOf('0224', list), list).toEqual({ ...read, [TAGS]: list });
    const many = `00${'03070132'.repeat(256)}`;
    expect(elementsOf('0224', many)[TAGS]).toBe(many);
    expect(elementsOf('0224', many.slice(0, -8))).not.toHaveProperty(TAGS);
  });

  it.each<[what: string, list: string, attrs: Readonly<Record<string, unknown>>]>([
    ['two tags', '04' + '0602ff06' + '03' + '070132', { tag_1_temperature_c: -2.5, tag_2_humidity_pct: 50 }],
    ['a tag of which nothing is said', '00' + '03' + '070132', { tag_1_humidity_pct: 50 }],
    ['values of which nothing is said', '05' + '0600' + '070132', { tag_1_humidity_pct: 50 }],
    ['a value that runs over its tag into the next', '03' + '0602ff' + '03' + '070132', {}],
    ['a value that begins in its tag and has no length', '04' + '070132' + '06' + '02' + 'ff06', { tag_1_humidity_pct: 50 }],
    ['a tag that runs over the list', '04' + '0602ff06' + '04' + '070132', { tag_1_temperature_c: -2.5 }],
    ['a value that runs over the list', '03' + '0602ff', {}],
  ])('a list of %s gives what was read to there', (_what, list, attrs) => {
    expect(tags(list)).toEqual(attrs);
  });

  it('a list of tags has 255 of them, whatever the lists before it had', () => {
    const numbers = (...lists: readonly number[]): unknown[] => Object.values(tags(...lists.map((n) => '03070132'.repeat(n))));
    expect(numbers(255)).toHaveLength(255);
    expect(numbers(256)).toEqual(numbers(255));
    expect(numbers(200, 100)).toEqual(numbers(255));
    // In the next record they are numbered anew.
    expect(numbers(2)).toHaveLength(2);
  });
});

describe('a teltonika record of codec 7', () => {
  /** Of 2015-11-10 21:51:47, with a GPS element of this mask and these fields (codecs/teltonika/protocol.md section 5). */
  const gps = (mask: string, fields: string): Record<string, unknown> => {
    const seconds = (Date.UTC(2015, 10, 10, 21, 51, 47) - Date.UTC(2007, 0, 1)) / 1000;
    const time = new Uint8Array(4);
    putU32be(time, 0, 0x40000000 + seconds);
    const connection = new RecordFeed(teltonika, 'tcp', {});
    connection.feed.push(enveloped(bytesOf(`0701${Buffer.from(time).toString('hex')}01${mask}${fields}01`)));
    const [record = {}] = connection.records.flat();
    return { ...record, ...Object(record['attrs']) };
  };
  const PLACE = '42332a4d' + '4193d69b';
  it.each([
    ['01', PLACE, { kind: 'fix', valid: true, satellites: 3, speed_kmh: undefined }],
    ['09', `${PLACE}fe`, { kind: 'fix', valid: true, speed_kmh: 254 }],
    ['09', `${PLACE}ff`, { valid: false, speed_kmh: undefined }],
    ['09', `${PLACE}00`, { kind: 'fix', valid: true, speed_kmh: 0 }],
    ['11', `${PLACE}00`, { valid: false, satellites: 0 }],
    ['11', `${PLACE}01`, { valid: true, satellites: 1 }],
    ['05', `${PLACE}80`, { course_deg: 180 }],
    ['40', '1f', { kind: 'status', gsm_csq: 31 }],
    ['40', '20', { gsm_csq: undefined }],
    ['40', '00', { gsm_csq: 0 }],
    ['20', '00010002', { cells: [{ lac: 1, cid: 2 }] }],
    ['20', '00000000', { cells: undefined }],
    ['e0', '000100021a0000552b', { cells: [{ mcc: 218, mnc: 3, lac: 1, cid: 2 }], gsm_csq: 26, operator: '21803' }],
    ['80', '0000552b', { cells: [{ mcc: 218, mnc: 3 }], operator: '21803' }],
    ['80', '00000000', { cells: undefined, operator: undefined }],
  ])('with GPS %s %s: %j', (mask, fields, expected) => {
    const record = gps(mask, fields);
    expect(Object.fromEntries(Object.keys(expected).map((name) => [name, record[name]]))).toEqual(expected);
  });
});

describe('a teltonika command', () => {
  /** Its text for a family, over TCP or as a text message; null where there is none. */
  const told = (
    type: string,
    given: Record<string, string | number | boolean>,
    family = 'fm',
    transport: 'tcp' | 'sms' = 'tcp',
  ): unknown => {
    const rule = teltonika.commands.find((candidate) => candidate.type === type);
    const problems: string[] = [];
    const parameters = checkOptions(rule?.parameters ?? {}, given, problems);
    if (problems.length > 0) return problems;
    const out = new Uint8Array(512);
    const { state } = new Feed(teltonika, transport, { options: { family } });
    const n = teltonika[transport]?.encodeCommand?.({ type, parameters }, 1, state, out, 0, 0) ?? 0;
    return n === 0 ? null : Buffer.from(transport === 'tcp' ? out.subarray(15, n - 5) : out.subarray(0, n)).toString('latin1');
  };
  it.each([
    ['set_output', { output: 1, on: true }, 'setdigout 1'],
    ['set_output', { output: 2, on: false }, 'setdigout ?0'],
    ['set_output', { output: 4, on: true }, 'setdigout ???1'],
    ['set_output', { output: 1, on: true, seconds: 30 }, 'setdigout 1 30'],
    ['set_output', { output: 2, on: true, max_speed_kmh: 20 }, 'setdigout ?1 ? ? ? 20'],
    ['set_output', { output: 1, on: true, seconds: 1, max_speed_kmh: 1 }, 'setdigout 1 1 1'],
    ['set_parameter', { id: 10_050, value: '60' }, 'setparam 10050:60'],
    ['set_parameter', { id: 10_050, value: '' }, null],
    ['set_parameter', { id: 10_050, value: '1;2' }, null],
    ['set_server', { host: 'a'.repeat(54), port: 5027 }, `setparam 2004:${'a'.repeat(54)};2005:5027;2006:0`],
    ['set_server', { host: 'a'.repeat(55), port: 5027 }, null],
    ['set_server', { host: 'a b', port: 5027 }, null],
    ['set_server', { host: 'a.b', port: 1, protocol: 'udp' }, 'setparam 2004:a.b;2005:1;2006:1'],
    ['custom', { text: 'a'.repeat(160) }, 'a'.repeat(160)],
    ['custom', { text: 'a'.repeat(161) }, null],
    ['custom', { text: '' }, null],
    ['custom', { text: '00ff', hex: true }, '\x00\xff'],
    ['custom', { text: '00f', hex: true }, null],
    ['custom', { text: '', hex: true }, null],
    ['custom', { text: 'aa'.repeat(160), hex: true }, '\xaa'.repeat(160)],
    ['custom', { text: 'aa'.repeat(161), hex: true }, null],
  ])('%s %j: %j', (type, given, text) => {
    expect(told(type, given)).toEqual(text);
  });

  it('says where the records go, and how often they come, in the families whose parameters are known', () => {
    const families = ['fm', 'fmx6', 'asset', 'tft', 'tst', 'ft', 'fm11', 'fm22', 'gh'];
    const those = (type: string, given: Record<string, string | number>): string[] =>
      families.filter((family) => told(type, given, family) !== null);
    expect(those('set_server', { host: 'a.b', port: 1 })).toEqual(['fm', 'fmx6', 'asset', 'tft', 'tst', 'ft']);
    expect(those('set_interval', { seconds: 60, network: 'home' })).toEqual(['fm', 'fmx6', 'ft', 'fm11']);
    expect(those('set_interval', { seconds: 60, network: 'unknown' })).toEqual(['fm', 'fmx6', 'fm11']);
  });

  it('is as long as a text message, behind two blanks where there is no password', () => {
    const sms = (given: Record<string, string | boolean>): unknown => told('custom', given, 'fm', 'sms');
    expect(sms({ text: 'a'.repeat(MOST_OF_A_MESSAGE - 2) })).toBe(`  ${'a'.repeat(MOST_OF_A_MESSAGE - 2)}`);
    expect(sms({ text: 'a'.repeat(MOST_OF_A_MESSAGE - 1) })).toBeNull();
    expect(sms({ text: 'aa', hex: true })).toBeNull();
    expect(sms({ text: '' })).toBeNull();
  });
});

describe('the event of a teltonika record', () => {
  const word = (n: number): string => n.toString(16).padStart(4, '0');
  /** Of codec 8E, with this priority, event and elements of one byte and of eight. */
  const record = (priority: number, event: number, ones: readonly string[], eights: readonly string[] = []): string => {
    const groups = [ones, [], [], eights, []].map((group) => word(group.length) + group.join('')).join('');
    return `0000019a1b2c3d4e0${priority}0ac50420235cee8800000000090000${word(event)}${word(ones.length + eights.length)}${groups}`;
  };
  const eventsOf = (...records: readonly string[]): unknown[] => {
    const connection = new RecordFeed(teltonika, 'tcp', {});
    connection.feed.push(enveloped(bytesOf(`8e0${records.length}${records.join('')}0${records.length}`)));
    return connection.records.flat().map(({ event }) => event);
  };
  const TOWING = 246;
  const at = (value: string): string => word(TOWING) + value;
  const states = {
    'is not there': [record(1, TOWING, []), 'towing'],
    'is 1': [record(1, TOWING, [at('01')]), 'towing'],
    'is 0': [record(1, TOWING, [at('00')]), undefined],
    'is no measurement': [record(1, TOWING, [at('02')]), undefined],
    'is eight bytes': [record(1, TOWING, [], [at('0000000000000001')]), undefined],
  } as const;
  const pairs = Object.keys(states).flatMap((first) => Object.keys(states).map((second) => [first, second] as const));
  it.each(pairs as [keyof typeof states, keyof typeof states][])(
    'whose element %s, in front of one whose element %s, is its own',
    (first, second) => {
      const [[one, event], [other, otherEvent]] = [states[first], states[second]];
      expect([eventsOf(one), eventsOf(other)]).toEqual([[event], [otherEvent]]);
      expect(eventsOf(one, other)).toEqual([event, otherEvent]);
    },
  );

  const input = (priority: number, id: number, value: number): unknown => eventsOf(record(priority, id, [`${word(id)}0${value}`]))[0];
  it.each([1, 2, 3, 4])('of input %d is a panic button when it is on and sent with panic priority', (id) => {
    expect([0, 1, 2].map((priority) => input(priority, id, 1))).toEqual([undefined, undefined, 'sos']);
    expect(input(2, id, 0)).toBeUndefined();
    expect(eventsOf(record(2, id, []))).toEqual([undefined]);
  });
  it('of another element is none, whatever its priority', () => {
    expect([0, 1, 2].map((priority) => input(priority, 5, 1))).toEqual([undefined, undefined, undefined]);
  });
});

describe('teltonika salvage, where damaged frames are counted', () => {
  const salvaged = (hex: string, integrity = 'count'): string[] => {
    const connection = new Feed(teltonika, 'tcp', { options: { integrity } });
    connection.push(bytesOf(hex));
    return connection.quiet().map(({ kind, damaged }) => `${kind} ${damaged}`);
  };
  const [head, data] = ['00000000', Buffer.from(fixture('codec-8-smallest').subarray(8)).toString('hex')];
  it('takes a frame whose length is too long, by what its records say', () => {
    expect(salvaged(`${head}000000ff${data}`)).toEqual(['records length']);
    expect(salvaged(`${head}000000ff${data.slice(0, 40)}`)).toEqual([]);
    expect(salvaged(`${head}000000ff${data}`, 'verify')).toEqual([]);
  });
  it('takes nothing out of what has another beginning', () => {
    // A login whose digits read as a codec and a number of records.
    for (const hex of ['000f35363330373008000000', '000f', '00000000', '00000000000000']) expect(salvaged(hex), hex).toEqual([]);
  });
});

describe('teltonika SMS (codecs/teltonika/protocol.md section 10)', () => {
  /** Bits, the least significant of each byte first, as the document orders them. */
  function pack(fields: readonly (readonly [value: number, bits: number])[]): Uint8Array {
    const bits = fields.flatMap(([value, count]) => Array.from({ length: count }, (_, k) => Math.floor(value / 2 ** k) % 2));
    const out = new Uint8Array(Math.ceil(bits.length / 8));
    bits.forEach((bit, k) => {
      out[k >> 3] = (out[k >> 3] ?? 0) | (bit << (k & 7));
    });
    return out;
  }
  const longitude = (degrees: number): number => Math.round(((degrees + 180) / 360) * (2 ** 21 - 1));
  const latitude = (degrees: number): number => Math.round(((degrees + 90) / 180) * (2 ** 20 - 1));

  const head: [number, number][] = [
    [4, 8],
    [788918400, 35],
    [3, 5],
  ];
  const elements: [number, number][] = [
    [1, 1],
    [0, 1],
    [longitude(25.3), 21],
    [latitude(54.7), 20],
    [50, 8],
    [0, 1],
    [1, 1],
    [1, 1],
    [100 + 2 ** 13 - 1, 14],
    [2 ** 13 - 1 - 40, 14],
    [60, 8],
  ];
  const used = [...head, ...elements].reduce((sum, [, bits]) => sum + bits, 0);
  const bytes = pack([...head, ...elements, [0, (8 - (used % 8)) % 8], [356307042441013, 64]]);

  it('reads absolute, missing and differential positions', () => {
    const sms = decodeSms24(bytes);
    expect(sms?.imei).toBe('356307042441013');
    expect(sms?.positions.map(({ time, speedKmh }) => [new Date(time).toISOString(), speedKmh])).toEqual([
      ['2024-12-30T22:00:00.000Z', 50],
      ['2024-12-31T00:00:00.000Z', 60],
    ]);
    expect(sms?.positions[0]?.latitude).toBeCloseTo(54.7, 3);
    expect(sms?.positions[0]?.longitude).toBeCloseTo(25.3, 3);
    // Previous less current: 100 steps west, 40 steps north.
    expect(sms?.positions[1]?.longitude).toBeCloseTo(25.3 - (100 * 360) / 2 ** 21, 3);
    expect(sms?.positions[1]?.latitude).toBeCloseTo(54.7 + (40 * 180) / 2 ** 20, 3);
  });

  it('refuses what is cut short or something else', () => {
    expect(decodeSms24(bytes.subarray(0, bytes.length - 1))).toBeUndefined();
    expect(decodeSms24(Uint8Array.of(8, 0, 0))).toBeUndefined();
    expect(decodeSms24(new Uint8Array(0))).toBeUndefined();
  });

  it('parts a data SMS into data field and IMEI', () => {
    const frame = fixture('codec-8-smallest');
    const data = frame.subarray(8, frame.length - 4);
    const sms = new Uint8Array(data.length + 8);
    sms.set(data);
    new DataView(sms.buffer).setBigUint64(data.length, 356307042441013n);
    expect(splitDataSms(sms)).toEqual({ imei: '356307042441013', end: data.length });
    expect(splitDataSms(data.subarray(0, 5))).toBeUndefined();
  });
});

describe('teltonika names', () => {
  it('are bounded sets, in printable ASCII', () => {
    for (const name of [...teltonika.messages, ...teltonika.reasons]) {
      expect(name).toMatch(/^[a-z0-9_]+$/);
      expect(ascii(Buffer.from(name), 0, name.length)).toBe(name);
    }
  });
});

it('no teltonika record is read over the end of its data field, wherever that is', () => {
  for (const { id, hex, transport, options = {} } of frameLines('teltonika')) {
    const whole = bytesOf(hex);
    if (transport !== 'tcp' || whole.length < 15 || !hex.startsWith('00000000')) continue;
    const data = whole.subarray(8, -4);
    const recordsOf = (n: number, behind: number): unknown => {
      const bytes = enveloped(data.subarray(0, n));
      putU32be(bytes, 8 + n, behind);
      const connection = new RecordFeed(teltonika, 'tcp', { options: { ...options, integrity: 'count' } });
      connection.feed.decode(bytes, 0, bytes.length);
      return connection.records.at(-1)?.map(({ id: _, ...record }) => record);
    };
    for (let n = 3; n <= data.length; n++) expect(recordsOf(n, 0x01020304), `${id}, ${n} bytes`).toEqual(recordsOf(n, 0xf7e6d5c4));
  }
});
