import { describe, expect, it } from 'vitest';
import { crc8, crc16Ccitt } from '../../codecs/queclink/crc.ts';
import { splitFields, textOf, timeAt } from '../../codecs/queclink/fields.ts';
import queclink from '../../codecs/queclink/index.ts';
import { modelByCode, modelOf } from '../../codecs/queclink/model.ts';
import { BY_NAME } from '../../codecs/queclink/report.ts';
import { putU16be, putU32be } from '../../src/base/wire/index.ts';
import { KIT_NOW } from '../../src/codec/kit/index.ts';
import { bytesOf, fixtureTests, frameLines, hostileLines, RecordFeed } from '../helpers/fixtures.ts';
import { type ExpectedValue, type VectorValue, vectorTests } from '../helpers/vectors.ts';

function named(name: string, convert: (value: VectorValue) => unknown = (value) => value): (value: VectorValue) => ExpectedValue {
  return (value) => ({ name, value: value === null ? undefined : convert(value) });
}

/** Event names by the vectors' words. */
const ALARMS: Readonly<Record<string, string>> = { hardCornering: 'harsh_cornering' };

fixtureTests(queclink);

vectorTests(queclink, {
  attributeMap: {
    data: named('data'),
    batteryLevel: named('battery_pct'),
    /** A fuel sensor on the serial line: hexadecimal in GTERI, text in GTDTT. */
    fuel: (value) => (value === 479 ? { name: 'fuel_sensor_1_raw', value } : { name: 'fuel_sensor', value }),
    alarm: named('event', (value) => ALARMS[String(value)]),
    adBlueLevel: named('adblue_pct'),
    ignition: named('ignition'),
    accessoryVoltage: named('tag_1_battery_v'),
    warningType: named('warning_type'),
    power: named('external_v'),
    adc3: named('analog_v_3'),
  },
});

describe('the model', () => {
  it('that a binary frame says is not that of the text behind it, whose version came before', () => {
    const connection = new RecordFeed(queclink, 'tcp', {});
    const text = new TextEncoder().encode(
      '+RESP:GTFRI,2C0402,867995030082104,,0,0,1,1,4.3,92,70.0,121.354335,31.222073,20260214013254,0460,0000,18d8,6141,204.7,92,20260214013300,11F0$',
    );
    // The heartbeat of a GV300CAN: codecs/queclink/protocol.md section 10.3.
    const heartbeat = bytesOf('2b484244ef204b03060319564f5f0300520a0407e3041a082d010455d37b0d0a');
    for (const chunk of [text, heartbeat, text]) connection.feed.push(chunk);
    const reports = connection.records.flat().map((record) => record['attrs']);
    expect(reports).toMatchObject([{ battery_pct: 92 }, { battery_pct: 92 }]);
  });
});

describe('an identity that is none', () => {
  it('is not taken for the last one when it comes again', () => {
    const connection = new RecordFeed(queclink, 'tcp', {});
    const line = hostileLines('queclink').find(({ id }) => id === 'identity-damaged-twice');
    for (const chunk of line?.chunks ?? []) connection.feed.push(bytesOf(chunk));
    expect(connection.feed.frames.map(({ kind, reason }) => `${kind} ${reason}`)).toEqual([
      'records ',
      'malformed bad_id',
      'malformed bad_id',
    ]);
  });
});

const LINES = new Map(frameLines('queclink').map((line) => [line.id, line.hex]));

/** A fixture in which these bytes stand at this place, sealed anew. */
function patched(id: string, at: number, bytes: string): Uint8Array {
  const frame = bytesOf(LINES.get(id) ?? '');
  frame.set(bytesOf(bytes), at);
  return sealed(frame);
}

/** With its length and its checksum (codecs/queclink/protocol.md section 10). */
function sealed(frame: Uint8Array): Uint8Array {
  const end = frame.length;
  if (frame[1] === 0 || frame[1] === 0x10) frame[end - 2] = crc8(frame, 0, end - 2);
  else putU16be(frame, end - 4, crc16Ccitt(frame, 4, end - 4));
  return frame;
}

/** The first record of a connection that is sent this, its attributes beside its fields. */
function read(frame: Uint8Array): Record<string, unknown> {
  const connection = new RecordFeed(queclink, 'tcp', {});
  connection.feed.push(frame);
  const [record = {}] = connection.records.flat();
  return { ...record, ...Object(record['attrs']) };
}

const report = (name: string, fields: string, version = '2F0101'): Uint8Array =>
  Buffer.from(`+RESP:GT${name},${version},135790246811220,,${fields}20260214013300,0123$`);

describe('the view of satellites (GTGSV)', () => {
  const names = ['gnss_level', 'jamming_level', 'satellites_visible'] as const;
  it.each([
    ['0,0,0', [0, 0, 0]],
    ['3,255,99', [3, 255, 99]],
    ['3,256,100', [3, undefined, undefined]],
    [',,', [undefined, undefined, undefined]],
    ['x,-1,12', [undefined, undefined, 12]],
  ])('%s', (fields, values) => {
    const record = read(report('GSV', `${fields},44,24,`));
    expect(names.map((name) => record[name])).toEqual(values);
  });
});

describe('a place at the limits of the globe', () => {
  const word = (degrees: number): string => {
    const bytes = new Uint8Array(4);
    putU32be(bytes, 0, Math.round(degrees * 1e6) >>> 0);
    return Buffer.from(bytes).toString('hex');
  };
  const text = (lon: number, lat: number): Uint8Array =>
    report('FRI', `0,0,1,1,4.3,92,70.0,${lon.toFixed(6)},${lat.toFixed(6)},20260214013254,0460,0000,18d8,6141,204.7,92,`, '2C0402');
  const FORMS = {
    text,
    binary: (lon: number, lat: number) => patched('binary-fri-fix', 39, word(lon) + word(lat)),
    track: (lon: number, lat: number) => patched('binary-track', 34, word(lon) + word(lat)),
    pro: (lon: number, lat: number) => patched('pro-record', 31, word(lon) + word(lat)),
  };
  const cases = Object.entries(FORMS).flatMap(([form, make]) =>
    [
      [180, 90, true],
      [-180, -90, true],
      [180.000001, 0, false],
      [-180.000001, 0, false],
      [0, 90.000001, false],
      [0, -90.000001, false],
      [0, 0.000001, true],
      [0.000001, 0, true],
    ].map(([lon, lat, isPlace]) => [form, Number(lon), Number(lat), isPlace, make] as const),
  );
  it.each(cases)('%s: %d, %d is one: %s', (_, lon, lat, isPlace, make) => {
    // Of a track a point without a place is none.
    const record = read(make(lon, lat));
    const found = [record['lon'], record['lat']];
    if (isPlace) expect(found).toEqual([lon, lat]);
    else expect(found).not.toEqual([lon, lat]);
    expect(Math.abs(Number(record['lat'] ?? 0))).toBeLessThanOrEqual(90);
  });

  it.each(['text', 'binary', 'track', 'pro'] as const)('%s: zeros are none', (form) => {
    const record = read(FORMS[form](0, 0));
    expect([record['lon'], record['lat']]).not.toEqual([0, 0]);
    if (form !== 'track') expect([record['lon'], record['lat']]).toEqual([undefined, undefined]);
  });
});

describe('a value of a binary report at its limits', () => {
  it.each([
    ['battery_pct', 24, '64', 100],
    ['battery_pct', 24, '65', undefined],
    ['satellites', 28, '1f', 15],
    ['speed_kmh', 32, '03e709', 999.9],
    ['speed_kmh', 32, '03e80a', undefined],
    ['speed_kmh', 32, '03e800', undefined],
    ['speed_kmh', 32, '00000a', undefined],
    ['course_deg', 35, '0168', 360],
    ['course_deg', 35, '0169', undefined],
    ['time', 47, '07da01010000', Date.UTC(2010, 0, 1, 0, 0, 42)],
    ['cells', 54, '0200', [{ mcc: 200, mnc: 3, lac: 6300, cid: 6853 }]],
    ['cells', 54, '0799', [{ mcc: 799, mnc: 3, lac: 6300, cid: 6853 }]],
    ['cells', 54, '0199', undefined],
    ['cells', 54, '0800', undefined],
    ['cells', 54, '020a', undefined],
    ['cells', 54, '02a0', undefined],
    ['cells', 56, '000a', undefined],
    ['cells', 58, '0000', undefined],
    ['cells', 58, 'ffff', undefined],
    ['cells', 60, '0000', undefined],
    ['cells', 60, 'ffff', undefined],
    ['odometer_m', 66, '0000000109', 1900],
    ['odometer_m', 66, '000000010a', undefined],
    ['engine_hours_s', 74, '000000013b3b', 7199],
    ['engine_hours_s', 74, '000000013c00', undefined],
    ['engine_hours_s', 74, '00000001003c', undefined],
  ])('%s at byte %d from %s: %j', (name, at, bytes, value) => {
    expect(read(patched('binary-fri-fix', at, bytes))[name]).toEqual(value);
  });

  it('a year before 2010 is no time', () => {
    expect(read(patched('binary-fri-fix', 47, '07d9'))['flags']).toEqual(['no_time']);
  });
});

it.each([
  ['speed_kmh', 0x01, 32, 3],
  ['course_deg', 0x02, 35, 2],
  ['altitude_m', 0x04, 37, 2],
  ['cells', 0x08, 54, 9],
] as const)('a binary report whose mask has no %s has the rest in its place', (name, bit, at, bytes) => {
  const whole = patched('binary-fri-fix', 32, '0001' + '05' + '0002' + '0003');
  const frame = Uint8Array.from([...whole.subarray(0, at), ...whole.subarray(at + bytes)]);
  frame[8] = 0xbf & ~bit;
  putU16be(frame, 9, frame.length);
  const { id: _, [name]: without, ...rest } = read(whole);
  expect(without).toBeDefined();
  expect(read(sealed(frame))).toEqual({ ...rest, id: expect.any(String) });
});

describe('a value of another report at its limits', () => {
  const fix = (block: string, version = '2C0402'): Uint8Array => report('FRI', `0,0,1,1,${block},92,`, version);
  const PLACE = '121.354335,31.222073,20260214013254';
  it.each([
    ['speed_kmh', fix(`2000,92,70.0,${PLACE},0460,0000,18d8,6141,204.7`), 2000],
    ['speed_kmh', fix(`2001,92,70.0,${PLACE},0460,0000,18d8,6141,204.7`), undefined],
    ['speed_kmh', fix(`-1,92,70.0,${PLACE},0460,0000,18d8,6141,204.7`), 0],
    ['course_deg', fix(`4.3,360,70.0,${PLACE},0460,0000,18d8,6141,204.7`), 360],
    ['course_deg', fix(`4.3,361,70.0,${PLACE},0460,0000,18d8,6141,204.7`), undefined],
    ['altitude_m', fix(`4.3,92,-20000,${PLACE},0460,0000,18d8,6141,204.7`), -20_000],
    ['altitude_m', fix(`4.3,92,20001,${PLACE},0460,0000,18d8,6141,204.7`), undefined],
    ['cells', fix(`4.3,92,70.0,${PLACE},0200,0999,7fffffff,ffffffe,204.7`), [{ mcc: 200, mnc: 999, lac: 0x7fffffff, cid: 0xffffffe }]],
    ['cells', fix(`4.3,92,70.0,${PLACE},0199,0000,18d8,6141,204.7`), undefined],
    ['cells', fix(`4.3,92,70.0,${PLACE},0799,0000,18d8,6141,204.7`), [{ mcc: 799, mnc: 0, lac: 6360, cid: 24897 }]],
    ['cells', fix(`4.3,92,70.0,${PLACE},0800,0000,18d8,6141,204.7`), undefined],
    ['cells', fix(`4.3,92,70.0,${PLACE},0460,1000,18d8,6141,204.7`), undefined],
    ['cells', fix(`4.3,92,70.0,${PLACE},0460,0000,ffff,6141,204.7`), undefined],
    ['satellites', fix(`4.3,92,70.0,${PLACE},0460,0000,18d8,6141,01,64,204.7`, '2F0101'), 64],
    ['satellites', fix(`4.3,92,70.0,${PLACE},0460,0000,18d8,6141,01,65,204.7`, '2F0101'), undefined],
    ['speed_kmh', patched('pro-record', 43, '0001'), 0.1],
    ['speed_kmh', patched('pro-record', 43, '03e8'), 100],
    ['course_deg', patched('pro-record', 46, '0168'), 360],
    ['course_deg', patched('pro-record', 46, '0169'), undefined],
    ['altitude_m', patched('pro-record', 48, '030d40'), 20_000],
    ['altitude_m', patched('pro-record', 48, '030d41'), undefined],
    ['altitude_m', patched('pro-record', 48, 'fcf2c0'), -20_000],
    ['satellites', patched('pro-record', 51, '40'), 64],
    ['satellites', patched('pro-record', 51, '41'), undefined],
    ['hdop', patched('pro-record', 45, '01'), 0.1],
    ['hdop', patched('pro-record', 45, '00'), undefined],
  ])('%s (%#)', (name, frame, value) => {
    expect(read(frame)[name]).toEqual(value);
  });
});

describe('what an event has in front of its positions', () => {
  /** An event of this type and device, with this in front of the number of positions. */
  const event = (type: number, device: string, insert: string): Record<string, unknown> => {
    const bytes = bytesOf(LINES.get('binary-ignition') ?? '');
    const frame = Uint8Array.from([...bytes.subarray(0, 29), ...bytesOf(insert), ...bytes.subarray(36)]);
    frame[4] = type;
    putU16be(frame, 9, frame.length);
    frame.set(bytesOf(device), 11);
    return read(sealed(frame));
  };
  it.each([
    ['IGN', 13, '4b', 4],
    ['IGF', 14, '4b', 4],
    ['VGN', 50, '4b', 7],
    ['VGF', 51, '4b', 7],
    ['VGN', 45, '45', 7],
    ['VGF', 46, '45', 7],
  ])('%s (%d of %s): a duration where there are %d bytes', (name, type, device, needed) => {
    for (let n = 0; n <= 8; n++) {
      const record = event(type, device, '02'.repeat(n));
      expect(record, `${name} with ${n}`).toMatchObject({ kind: 'fix', lat: 39.611162 });
      expect(record['previous_state_s'], `${name} with ${n}`).toBe(n < needed ? undefined : 0x02020202);
    }
  });

  it.each([
    [6, '4b', '09c3', { battery_v: undefined }],
    [6, '4b', '09c4', { battery_v: 2.5 }],
    [6, '4b', '1388', { battery_v: 5 }],
    [6, '4b', '1389', { battery_v: undefined }],
    [6, '4b', '0f', { battery_v: undefined }],
    [25, '4b', '0201', { output_number: 2, output_on: true }],
    [25, '4b', '0200', { output_number: 2, output_on: false }],
    [25, '4b', '0202', { output_number: 2, output_on: undefined }],
    [25, '4b', '02', { output_number: undefined, output_on: undefined }],
    [32, '4b', '00', { roaming: false }],
    [32, '4b', '01', { roaming: true }],
    [32, '4b', '02', { roaming: undefined }],
    [32, '4b', '', { roaming: undefined }],
    [34, '4b', '02', { event: 'jamming' }],
    [34, '4b', '03', { event: undefined }],
    [31, '4b', '0003', { event: 'jamming' }],
    [31, '4b', '0002', { event: undefined }],
    [31, '4b', '03', { event: undefined }],
  ])('%d of %s with %s: %j', (type, device, insert, expected) => {
    const record = event(type, device, insert);
    expect(Object.fromEntries(Object.keys(expected).map((name) => [name, record[name]]))).toEqual(expected);
  });
});

describe('a binary message of a unit that waits for +SACK', () => {
  it.each(['binary-fri-fix', 'binary-ignition', 'binary-track', 'binary-information', 'binary-ack', 'binary-login'])('%s', (id) => {
    const frame = bytesOf(LINES.get(id) ?? '');
    const count = Buffer.from(frame.subarray(-6, -4)).toString('hex').toUpperCase();
    const answer = (options: Record<string, string>): string | null | undefined =>
      new RecordFeed(queclink, 'tcp', { options }).feed.push(frame)[0]?.answer;
    expect(answer({ sack: 'on' })).toBe(Buffer.from(`+SACK:${count}$`).toString('hex'));
    expect(answer({ sack: 'off' })).toBeNull();
  });
});

describe('values of a vehicle bus', () => {
  const can = (mask: string, fields: string): Record<string, unknown> => read(report('CAN', `0,1,${mask},${fields}`));
  it.each([
    ['00000004', 'H123.5,', { can_odometer_m: 12_350 }],
    ['00000004', 'I123,', {}],
    ['00000004', 'H,', {}],
    ['00000004', 'H-1,', {}],
    ['00000080', 'L/H1.5,', { fuel_rate_lph: 1.5 }],
    ['00000080', 'M12,', { fuel_consumption: 12 }],
    ['00000080', 'L12,', {}],
    ['00000080', 'X12,', {}],
    ['00000100', 'P50,', { fuel_pct: 50 }],
    ['00000100', 'L50,', { fuel_l: 50 }],
    ['00000100', 'X50,', {}],
    ['00000002', '0,', { ignition: false }],
    ['00000002', '2,', { ignition: true }],
    ['00000002', '3,', {}],
    // Fewer fields than bits: neither the position nor the send time and the count are one of them.
    ['00000012', '2,1,4.3,92,70.0,121.354335,31.222073,20260214013254,0460,0000,18d8,6141,00,', { ignition: true }],
    [
      '00000016',
      '2,H123,1,4.3,92,70.0,121.354335,31.222073,20260214013254,0460,0000,18d8,6141,00,',
      { ignition: true, can_odometer_m: 12_300 },
    ],
    ['00000012', '2,', { ignition: true }],
    ['00000032', '2,', { ignition: true }],
    ['00000010', '', {}],
    ['20000002', '2,00008001,P55.5,', { ignition: true, adblue_pct: 55.5 }],
    ['20000002', '2,00000001,X55.5,', { ignition: true }],
  ])('CAN %s with %s: %j', (mask, fields, attrs) => {
    expect(can(mask, fields)['attrs']).toEqual({ can_state: 1, ...attrs });
  });

  const PLACE = '1,4.3,92,70.0,121.354335,31.222073,20260214013254,0460,0000,18d8,6141,00,';
  const VIN = '1HGCM82633A004352';

  it.each([
    [3, 'fuel_used_l', 1],
    [4, 'rpm', 1],
    [5, 'obd_speed_kmh', 1],
    [6, 'coolant_c', 1],
    [9, 'range_m', 100],
    [10, 'accelerator_pct', 1],
    [11, 'can_engine_hours_s', 3600],
    [12, 'driving_s', 3600],
    [13, 'idle_s', 3600],
    [14, 'idle_fuel_l', 1],
    [15, 'axle_weight_kg_2', 1],
    [20, 'overspeed_time', 1],
    [21, 'engine_overspeed_time', 1],
  ])('CAN bit %d is the number %s', (bit, name, scale) => {
    const mask = (2 ** bit + 2).toString(16).padStart(8, '0');
    for (const [field, value] of [
      ['7.5', 7.5],
      ['0', 0],
    ] as const)
      expect(can(mask, `2,${field},`)['attrs']).toEqual({ can_state: 1, ignition: true, [name]: value * scale });
    for (const none of ['', 'x', 'nan', '7.5x']) expect(can(mask, `2,${none},`)['attrs'], none).toEqual({ can_state: 1, ignition: true });
  });

  it.each([
    ['00010000', 'AB,', { tachograph_bits: 0xab }],
    ['00020000', '0,', { indicator_bits: 0 }],
    ['00040000', '1F,', { light_bits: 31 }],
    ['00080000', '03,', { door_bits: 3 }],
    ['00010000', 'xy,', {}],
    ['00010000', ',', {}],
    ['00000001', `${VIN},`, { vin: VIN }],
    ['00000001', `${VIN}0,`, {}],
    ['00000001', `${VIN.slice(1)},`, {}],
    ['00000002', 'x,', {}],
    ['00000002', ',', {}],
    ['00000004', 'H0,', { can_odometer_m: 0 }],
    ['00000004', 'Hx,', {}],
    ['00000080', 'M0,', { fuel_consumption: 0 }],
    ['00000080', 'L/H0,', { fuel_rate_lph: 0 }],
    ['00000080', 'Mx,', {}],
    ['00000080', 'M-1,', {}],
    ['00000080', 'L/H-1,', {}],
    ['00000080', 'L/Hx,', {}],
    ['00000080', 'L1234,', {}],
    ['00000080', 'X/H5,', {}],
    ['00000100', 'P0,', { fuel_pct: 0 }],
    ['00000100', 'Px,', {}],
    ['00000100', 'L-1,', {}],
    ['00000100', ',', {}],
    // Bits 22 to 28 differ by model: what looks like the second mask within eight fields is it, where bit 29 says that there is one.
    ['00000002', '2,00000001,P55.5,', { ignition: true }],
    ['20000002', `2,${'1,'.repeat(7)}00000001,P55.5,`, { ignition: true, adblue_pct: 55.5 }],
    ['20000002', `2,${'1,'.repeat(8)}00000001,P55.5,`, { ignition: true }],
    ['20000000', '00000001,P0,', { adblue_pct: 0 }],
    ['20000000', '00000001,P-1,', {}],
    ['20000000', '00000001,Px,', {}],
    ['20000000', '00000002,P50,', {}],
    ['20000000', '0000000F,P5,1,3,4,', { adblue_pct: 5, axle_weight_kg_1: 1, axle_weight_kg_3: 3, axle_weight_kg_4: 4 }],
    ['20000000', '00000006,5571,8688,', { axle_weight_kg_1: 5571, axle_weight_kg_3: 8688 }],
    ['20000000', '00000006,x,8688,', { axle_weight_kg_3: 8688 }],
    ['20000000', `00000006,5571,${PLACE}`, { axle_weight_kg_1: 5571 }],
    // Tachograph and analogue input have no meaning of ours, and take their place.
    ['20000000', '000003F0,1,2,3,4,5.5,6.5,', { engine_braking_factor: 5.5, pedal_braking_factor: 6.5 }],
    [
      '20000000',
      '00007C00,1,2,3,4,5,',
      { kick_downs: 1, effective_engine_speed_s: 7200, cruise_control_s: 10_800, kick_down_s: 14_400, brake_applications: 5 },
    ],
    [
      '20000000',
      '000F8000,D1, D2 ,A B,C,X 1,',
      { driver_id: 'D1', driver_2_id: 'D2', driver_name: 'A B', driver_2_name: 'C', plate: 'X 1' },
    ],
    ['20000000', `00018000,,${'x'.repeat(64)},`, { driver_2_id: 'x'.repeat(64) }],
    ['20000000', `00018000,${'x'.repeat(65)},D2,`, { driver_2_id: 'D2' }],
  ])('CAN %s with %s: %j', (mask, fields, attrs) => {
    expect(can(mask, fields)['attrs']).toEqual({ can_state: 1, ...attrs });
  });

  it('CAN has its state in front of its mask, which is one of the first five fields', () => {
    const sent = (fields: string): Record<string, unknown> => read(report('CAN', fields));
    expect(sent('0,x,00000002,2,')['attrs']).toEqual({ ignition: true });
    expect(sent('0,0,00000002,2,')['attrs']).toEqual({ can_state: 0, ignition: true });
    expect(sent('0,0,0,3,00000002,2,')['attrs']).toEqual({ can_state: 3, ignition: true });
    expect(sent('0,0,0,0,3,00000002,2,')['attrs']).toEqual({});
    expect(sent(`0,0,0,0,3,00000002,2,${PLACE}`)).toMatchObject({ kind: 'fix', lat: 31.222073, attrs: {} });
    expect(sent('0,1,0000002,2,')['attrs']).toEqual({});
    expect(sent('0,1,00000000,')['attrs']).toEqual({ can_state: 1 });
  });

  it('CAN without a place has its cell at its end, where bit 31 says that there is one', () => {
    const cells = [{ mcc: 460, mnc: 0, lac: 0x18d8, cid: 0x6141 }];
    const behind = ',,,,,,,0460,0000,18d8,6141,00,';
    for (const mask of ['80000002', 'C0000002']) expect(can(mask, `2,${behind}`)).toMatchObject({ kind: 'status', ignition: true, cells });
    expect(can('80000000', behind)['cells']).toEqual(cells);
    expect(can('40000002', `2,${behind}`)['cells']).toBeUndefined();
  });

  it.each([
    ['000001', `${VIN},`, { vin: VIN }],
    ['000001', `${VIN}0,`, {}],
    ['000002', '0,', { obd_connected: false }],
    ['000002', '5,', { obd_connected: true }],
    ['000002', 'x,', {}],
    ['000002', ',', {}],
    ['000400', '0,', { mil: false }],
    ['000400', '1,', { mil: true }],
    ['000400', 'x,', {}],
    // The list of PIDs, and bits that are none.
    ['060008', '12345678,1,2,', {}],
    [
      '0003F4',
      '12500,800,50,90,7.5,1,2,',
      {
        ...{ obd_v: 12.5, rpm: 800, obd_speed_kmh: 50, coolant_c: 90, fuel_consumption: 7.5 },
        ...{ dtc_cleared_distance_m: 1000, mil_distance_m: 2000 },
      },
    ],
    ['0003F4', '12500,,nan,90,Inf,x,2,', { obd_v: 12.5, coolant_c: 90, mil_distance_m: 2000 }],
    ['09E800', '3,1,2,4,6,7,', { dtc_count: 3, throttle_pct: 1, engine_load_pct: 2, fuel_pct: 4, obd_protocol: 6, obd_odometer_m: 7000 }],
    ['001000', '030043008001C1AB,', { dtc: 'P0300,C0300,B0001,U01AB' }],
    ['001000', 'c1ab,', { dtc: 'U01AB' }],
    ['001000', '01234,', {}],
    ['001000', '012x,', {}],
    ['001000', 'x123,', {}],
    ['001000', ',', {}],
    ['001000', `${'0301'.repeat(100)},`, { dtc: new Array(100).fill('P0301').join(',') }],
    ['001000', `${'0301'.repeat(101)},`, {}],
  ])('OBD %s with %s: %j.', (mask, fields, attrs) => {
    expect(read(report('OBD', `0,${mask},${fields}`))['attrs']).toEqual(attrs);
  });

  it.each([
    ['000012', '1,', { obd_connected: true }],
    ['000012', '1,800,', { obd_connected: true, rpm: 800 }],
    // Bit 20 stands for a position: not the send time and the count.
    ['100012', '1,800,', { obd_connected: true, rpm: 800 }],
  ])('OBD %s with %s: %j', (mask, fields, attrs) => {
    const record = read(report('OBD', `0,${mask},${fields}`));
    expect(record['attrs']).toEqual(attrs);
    expect([record['speed_kmh'], record['course_deg'], record['altitude_m']]).toEqual([undefined, undefined, undefined]);
  });
});

it.each([
  ['040101', ''],
  ['1F0101', '11,11,'],
])('a report of the version %s with a head of too few fields, %j, has none of those in front of it', (version, head) => {
  const place = '1,4.3,92,70.0,121.354335,31.222073,20260214013254,0460,0000,18d8,6141,';
  expect(read(report('FRI', head + place, version))).toMatchObject({ kind: 'fix', lat: 31.222073, attrs: {} });
  expect(read(report('FRI', head + place, version))['attrs']).toEqual({});
});

it('no report takes its send time or its count for a value, however short it is', () => {
  const wrong: string[] = [];
  for (const name of [...BY_NAME.values()].map((known) => known.name.slice(2)))
    for (const version of ['2F0101', '2C0402', '110101', '1F0101', '040101', '990101'])
      for (const fill of ['', '11'])
        for (let n = 0; n <= 24; n++) {
          const record = JSON.stringify(read(report(name, `${fill},`.repeat(n), version)));
          // As a number, as a text, and as a hexadecimal number.
          if (/[:"](123|0123|291|20260214013300)[,"}]/.test(record)) wrong.push(`${name} ${version} ${n} x ${fill}: ${record}`);
        }
  expect(wrong).toEqual([]);
});

describe('where a text ends', () => {
  it.each(['RESP', 'BUFF', 'NACK', 'ACK'])('is in front of the next +%s:GT, and nowhere else', (next) => {
    const front = '+RESP:GTFRI,2F0101,135790246811220,,1,';
    const inside = (text: string): number => {
      const bytes = Buffer.from(`${front}${text},20260214013300,0123$`);
      const whole = queclink.tcp?.frame(bytes, 0, bytes.length, {}) ?? 0;
      return whole === bytes.length ? 0 : whole;
    };
    expect(inside(`+${next}:GTFRI,1`)).toBe(front.length);
    for (const none of [
      `+${next}:GO,1234567`,
      `+${next}:HTFRI,12`,
      `+${next}:GXFRI,12`,
      `+${next}:GTF I,12`,
      `+${next}:GTFRIX12`,
      `+${next}:gtfri,1234`,
      `+${next} GTFRI,1`,
      `+${next}`,
    ])
      expect(inside(none), none).toBe(0);
  });
});

it('a text ends at its NUL, whatever stands behind', () => {
  const text = '+RESP:GTFRI,2F0101,135790246811220,,1,20260214013300,0123';
  for (const behind of ['', '\r\n', '$', '+RESP:GTFRI,', `${text}$`]) {
    const bytes = Buffer.from(`${text}\0${behind}`);
    expect(queclink.tcp?.frame(bytes, 0, bytes.length, {}), JSON.stringify(behind)).toBe(text.length + 1);
  }
});

it('the name of a unit is not its count number', () => {
  const answer = (text: string): string | null | undefined =>
    new RecordFeed(queclink, 'tcp', { options: { sack: 'on' } }).feed.push(Buffer.from(text))[0]?.answer;
  const sack = (count: string): string => Buffer.from(`+SACK:${count}$`).toString('hex');
  for (const name of ['FRI', 'INF', 'RTL']) {
    expect(answer(`+RESP:GT${name},2F0101,135790246811220,0123$`), name).toBeNull();
    expect(answer(`+RESP:GT${name},2F0101,135790246811220,,0123$`), name).toBe(sack('0123'));
    expect(answer(`+RESP:GT${name},2F0101,135790246811220,,012G$`), name).toBeNull();
  }
  expect(answer('+ACK:GTHBD,2F0101,135790246811220,0123$')).toBeNull();
  expect(answer('+ACK:GTHBD,2F0101,135790246811220,,0123$')).not.toBeNull();
});

describe('the identity in a binary message that is kept raw', () => {
  const deviceOf = (at: number, length: number): string | undefined => {
    const frame = new Uint8Array(length);
    frame.set(Buffer.from('+INF'));
    frame.set(bytesOf('5600000000011709'), at);
    const connection = new RecordFeed(queclink, 'tcp', {});
    connection.feed.decode(sealed(frame), 0, length);
    return connection.feed.frames[0]?.device;
  };
  it.each([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21])('at byte %d ends in front of the count', (at) => {
    const isPlace = ![10, 17, 19, 21].includes(at);
    // Identity 8, count 2, CRC 2, end 2.
    expect([0, 1, 5].map((more) => deviceOf(at, at + 14 + more))).toEqual(new Array(3).fill(isPlace ? '860000000001239' : ''));
    expect(deviceOf(at, at + 13)).toBe('');
  });
});

describe('the battery at the end of a short report', () => {
  it.each([
    ['0', 0],
    ['100', 100],
    ['101', undefined],
    ['999', undefined],
    ['0100', undefined],
    ['', undefined],
  ])('%j: %j', (field, value) => {
    const place = '121.354335,31.222073,20260214013254,0460,0000,18d8,6141';
    expect(read(report('FRI', `0,0,1,1,4.3,92,70.0,${place},204.7,${field},`, '2C0402'))['battery_pct']).toBe(value);
  });
});

describe('the hour meter', () => {
  it.each([
    ['0:00:01', undefined],
    ['00:00:01', 1],
    ['01138:30:24', 4_098_624],
    ['9999999:59:59', (9_999_999 * 60 + 59) * 60 + 59],
    ['99999999:59:59', undefined],
    ['01138:30.24', undefined],
    ['01138.30:24', undefined],
    ['0x138:30:24', undefined],
    ['01138:3x:24', undefined],
    ['01138:30:x4', undefined],
    ['', undefined],
  ])('%j: %j', (field, value) => {
    const place = '121.354335,31.222073,20260214013254,0460,0000,18d8,6141';
    expect(read(report('FRI', `,10,1,1,4.3,92,70.0,${place},00,2000.0,${field},,,80,220100,,,,`))['engine_hours_s']).toBe(value);
  });
});

describe('a list of GTERI', () => {
  /** Behind the type of the serial device (codecs/queclink/protocol.md section 6.5). */
  const eri = (mask: string, blocks: string): Record<string, unknown> => {
    const place = '121.354335,31.222073,20260214013254,0460,0000,18d8,6141';
    return read(report('ERI', `${mask},27822,10,1,1,0.0,92,70.0,${place},00,0.0,01138:30:24,,,83,220104,2,${blocks}`, '060502'));
  };
  const numbered = (record: Record<string, unknown>, name: RegExp): [string, unknown][] =>
    Object.entries(record).filter(([key]) => name.test(key));
  const many = (n: number, text: (k: number) => string): string => Array.from({ length: n }, (_, k) => text(k + 1)).join('');

  it.each([
    ['0394,', { fuel_sensor_1_raw: 0x394 }],
    ['00,', { fuel_sensor_1_raw: 0 }],
    ['0,', {}],
    ['1,1,01DF,', { fuel_sensor_1_raw: 0x1df }],
    ['2,1,01DF,1,0200,', { fuel_sensor_1_raw: 0x1df, fuel_sensor_2_raw: 0x200 }],
    // Two fields in front of each value.
    ['1,1,1,01DF,', { fuel_sensor_1_raw: 0x1df }],
    ['2,1,1,01DF,1,2,0200,', { fuel_sensor_1_raw: 0x1df, fuel_sensor_2_raw: 0x200 }],
    ['1,1,,01,', { fuel_sensor_1_raw: 1 }],
    ['1,1,F,', { fuel_sensor_1_raw: 15 }],
    ['1,1,,', {}],
    ['1,1,xyz,', {}],
    ['xyz,', {}],
    ['F,', {}],
    [',', {}],
    ['2,1,01,12,02,', { fuel_sensor_1_raw: 1, fuel_sensor_2_raw: 2 }],
    ['2,1,01DF,12,0200,', { fuel_sensor_1_raw: 0x1df, fuel_sensor_2_raw: 0x200 }],
  ])('fuel sensors %s %j, and what is behind them', (block, expected) => {
    const record = eri('00000009', `${block}1,4,99.5,`);
    expect(Object.fromEntries(numbered(record, /^fuel_sensor_\d+_raw$/))).toEqual(expected);
    expect(numbered(record, /^fuel_sensor_\d+_pct$/)).toEqual([['fuel_sensor_1_pct', 99.5]]);
  });

  /** What blocks add to the attributes of the report. */
  const added = (mask: string, blocks: string): Record<string, unknown> => {
    const before = new Set(Object.keys(Object(eri('00000000', '')['attrs'])));
    return Object.fromEntries(Object.entries(Object(eri(mask, blocks)['attrs'])).filter(([name]) => !before.has(name)));
  };
  /** An accessory with a voltage. */
  const tag = (mv: number): string => `00,6,2,,0008,${mv},`;

  it.each([
    ['FADC', -82.25],
    ['8000', -2048],
    ['7FFF', 2047.9375],
    ['0000', 0],
    ['FFFF', -0.0625],
    ['190', undefined],
    ['00190', undefined],
    ['wxyz', undefined],
    ['', undefined],
  ])('a probe says %j: %j', (data, temperature) => {
    const expected = temperature === undefined ? {} : { temperature_c_2: temperature };
    expect(added('00000002', `2,A,2,0190,B,1,${data},`)).toEqual({ sensor_1_id: 'A', sensor_2_id: 'B', ...expected });
  });

  it('an id of a probe has one to sixteen characters', () => {
    const id = '28FF000000000001';
    const value = { temperature_c_1: 25, temperature_c_2: 25, temperature_c_3: 25 };
    expect(added('00000002', `3,,1,0190,${id},1,0190,${id}2,1,0190,`)).toEqual({ sensor_2_id: id, ...value });
  });

  it.each([
    ['00000001', '2,1,01DF,', { fuel_sensor_1_raw: 0x1df }],
    ['00000002', '2,A,1,0190,B,1,', { sensor_1_id: 'A', temperature_c_1: 25 }],
    ['00000002', '2,A,1,0190,B,', { sensor_1_id: 'A', temperature_c_1: 25 }],
    ['00000002', '999999999999999,A,1,0190,', { sensor_1_id: 'A', temperature_c_1: 25 }],
    ['00000008', '2,4,99.5,', { fuel_sensor_1_pct: 99.5 }],
    ['00000018', '2,4,99.5,120,4,', { fuel_sensor_1_pct: 99.5, fuel_sensor_1_volume: 120 }],
    ['00000018', '999999999999999,4,99.5,120,', { fuel_sensor_1_pct: 99.5, fuel_sensor_1_volume: 120 }],
    ['00000100', `2,${tag(2934)}`, { tag_1_battery_v: 2.934 }],
    ['00000100', `2,${tag(2934)}00,6,2,0102,`, { tag_1_battery_v: 2.934 }],
    ['00000100', `999999999999999,${tag(2934)}`, { tag_1_battery_v: 2.934 }],
  ])('that says it has more than is there, %s %s, gives what is there', (mask, blocks, expected) => {
    expect(added(mask, blocks)).toEqual(expected);
  });

  it.each([
    ['fuel sensors', '00000008', '17,', '4,99.5,', 'fuel_sensor', 'pct'],
    ['volumes', '00000010', '17,', '4,99.5,', 'fuel_sensor', 'volume'],
    ['probes', '00000002', '17,', ',1,0190,', 'temperature_c', ''],
    ['accessories', '00000100', '17,', tag(2934), 'tag', 'battery_v'],
  ])('of 17 %s gives 16, and nothing of the last under another name', (_, mask, number, one, first, last) => {
    const names = Array.from({ length: 16 }, (__, k) => [first, k + 1, last].filter((part) => part !== '').join('_'));
    expect(Object.keys(added(mask, number + one.repeat(17)))).toEqual(names);
  });

  it('is not searched for behind what is not known: a block without a mask, one of another bit, a report without a status', () => {
    const VOLTS = { tag_1_battery_v: 2.934 };
    expect(added('00000100', `1,${tag(2934)}`)).toEqual(VOLTS);
    // The block of the vehicle's bus begins with two fields, of which the second is a mask.
    expect(added('00000104', `2,00000000,1,${tag(2934)}`)).toEqual(VOLTS);
    // Where the second mask of the bus ends, too.
    expect(added('00000104', `2,20000000,00000001,P55.5,1,${tag(2934)}`)).toEqual({ adblue_pct: 55.5, ...VOLTS });
    for (const none of ['0', '', '0000000', '0000000x', '000000000']) expect(added('00000104', `2,${none},1,${tag(2934)}`)).toEqual({});
    for (const bit of ['00000120', '00000140', '00000180']) expect(added(bit, `1,${tag(2934)}`)).toEqual({});
    // Accessories that the mask does not name.
    expect(added('00000008', `1,4,99.5,1,${tag(2934)}`)).toEqual({ fuel_sensor_1_pct: 99.5 });
    const place = '121.354335,31.222073,20260214013254,0460,0000,18d8,6141';
    const behind = (status: string): Record<string, unknown> =>
      read(report('ERI', `00000001,27822,10,1,1,0.0,92,70.0,${place},00,0.0,01138:30:24,,,83,${status},2,0394,,`, '060502'));
    expect(behind('220104')).toMatchObject({ fuel_sensor_1_raw: 0x394, uart_type: 2 });
    for (const name of ['fuel_sensor_1_raw', 'uart_type']) expect(behind('990104')).not.toHaveProperty(name);
  });

  it('has of each accessory its raw data, and as many accessories as it says', () => {
    const data = (n: number): string => `0${n},6,2,0102030${n},0008,293${n},`;
    expect(added('00000100', `3,${data(1)}${data(2)}${data(3)}`)).toEqual({
      ...{ tag_1_data: '01020301', tag_1_battery_v: 2.931, tag_2_data: '01020302', tag_2_battery_v: 2.932 },
      ...{ tag_3_data: '01020303', tag_3_battery_v: 2.933 },
    });
    expect(added('00000100', `1,${data(1)}${data(2)}`)).toEqual({ tag_1_data: '01020301', tag_1_battery_v: 2.931 });
  });

  it.each([1, 16, 17, 40])('has %d probes, of which 16 are read, and what is behind them', (n) => {
    const record = eri('0000000A', `${n},${many(n, (k) => `28FF0000000000${String(k).padStart(2, '0')},1,0190,`)}1,4,99.5,`);
    const ids = numbered(record, /^sensor_\d+_id$/);
    expect([ids.length, ids.at(-1)?.[1]]).toEqual([Math.min(n, 16), `28FF0000000000${String(Math.min(n, 16)).padStart(2, '0')}`]);
    expect(numbered(record, /^temperature_c_\d+$/)).toHaveLength(Math.min(n, 16));
    expect(record['fuel_sensor_1_pct']).toBe(99.5);
  });

  it.each([1, 16, 17, 40])('has %d fuel sensors, of which 16 are read, and what is behind them', (n) => {
    const TAG = '1,00,6,2,,0008,2934,';
    for (const [mask, fields, expected] of [
      ['00000108', (k: number) => `${k},`, { pct: 16 }],
      ['00000110', (k: number) => `${k}.5,`, { volume: 16.5 }],
      ['00000118', (k: number) => `${k},${k}.5,`, { pct: 16, volume: 16.5 }],
    ] as const) {
      const record = eri(mask, `${n},${many(n, (k) => `4,${fields(k)}`)}${TAG}`);
      const last = Math.min(n, 16);
      for (const [name, value] of Object.entries({ pct: undefined, volume: undefined, ...expected })) {
        const found = numbered(record, new RegExp(`^fuel_sensor_\\d+_${name}$`));
        expect([found.length, found.at(-1)?.[1]], `${mask} ${name}`).toEqual(
          value === undefined ? [0, undefined] : [last, value - 16 + last],
        );
      }
      expect(record['tag_1_battery_v'], mask).toBe(2.934);
    }
  });
});

describe('accessories', () => {
  /** Of each everything that is read of one: name, address, voltage, temperature, humidity, the same temperature with a fraction, magnet, percentage. */
  const everything = (n: number): string =>
    Array.from(
      { length: n },
      (_, k) => `0,383B,T${k},AABBCCDDEE0${k % 10},${2000 + k},-${k},5${k},-${k}.5,1,${k},${k % 2},${60 + k},`,
    ).join('');
  it('are 16, of which all is read, and no more', () => {
    const attrs = (n: number): unknown => read(report('BID', `${n},${everything(n)}${PLACE}`, 'C20105'))['attrs'];
    const expected = Array.from({ length: 16 }, (_, k) => ({
      [`tag_${k + 1}_name`]: `T${k}`,
      [`tag_${k + 1}_id`]: `aabbccddee0${k % 10}`,
      [`tag_${k + 1}_battery_v`]: (2000 + k) / 1000,
      [`tag_${k + 1}_temperature_c`]: -k - 0.5,
      [`tag_${k + 1}_humidity_pct`]: Number(`5${k}`),
      [`tag_${k + 1}_magnet`]: k % 2 === 1,
      [`tag_${k + 1}_battery_pct`]: 60 + k,
    }));
    for (const n of [1, 16, 17, 33]) expect(attrs(n), `${n}`).toEqual(Object.assign({}, ...expected.slice(0, n)));
  });

  const PLACE = '1,4.3,92,70.0,121.354335,31.222073,20260214013254,0460,0000,18d8,6141,00,';
  const NO_FIX = ',,,,,,,0460,0000,18d8,6141,00,';
  const volts = (fields: string): unknown[] => {
    const record = read(report('BID', fields, 'C20105'));
    return Object.entries(record)
      .filter(([name]) => /^tag_\d+_battery_v$/.test(name))
      .map(([, value]) => value);
  };
  /** Of each the voltage, and in front of or behind it the fields of its inputs and outputs: three, or on some units one. */
  const listed = (n: number, lines: string): string => `${n},${`0,0088,2934,${lines},`.repeat(n)}`;
  it.each([1, 2, 15, 16, 17, 40])('of which there are %d have one field for a bit, or several: what ends where the place begins', (n) => {
    // Without a place nothing says where they end: they have several.
    for (const [lines, behind] of [
      ['5', PLACE],
      ['1,2,3', PLACE],
      ['1,2,3', NO_FIX],
    ] as const) {
      const fields = `${listed(n, lines)}${behind}`;
      const record = read(report('BID', fields, 'C20105'));
      expect(volts(fields), fields).toEqual(new Array(Math.min(n, 16)).fill(2.934));
      expect(record['cells'], fields).toEqual([{ mcc: 460, mnc: 0, lac: 0x18d8, cid: 0x6141 }]);
      expect(record['lat'], fields).toBe(behind === PLACE ? 31.222073 : undefined);
    }
  });

  const attrs = (fields: string): unknown => read(report('BID', fields, 'C20105'))['attrs'];

  it('give of each field what it can be', () => {
    for (const [mask, fields, expected] of [
      ['0001', 'T 1', { tag_1_name: 'T 1' }],
      ['0001', '', {}],
      ['0002', 'AABBCCDDEEFF', { tag_1_id: 'aabbccddeeff' }],
      ['0002', 'AABBCCDDEEF', {}],
      ['0002', 'AABBCCDDEEFG', {}],
      ['0004', '1', {}],
      ['0008', '0', { tag_1_battery_v: 0 }],
      ['0008', 'x', {}],
      ['0010', '-24', { tag_1_temperature_c: -24 }],
      ['0010', '', {}],
      ['0020', '33', { tag_1_humidity_pct: 33 }],
      ['0800', '24.58', { tag_1_temperature_c: 24.58 }],
      ['0810', '24,24.58', { tag_1_temperature_c: 24.58 }],
      // A finer one that is not there does not take the other away.
      ['0810', '24,', { tag_1_temperature_c: 24 }],
      ['1000', '1,5,0', { tag_1_magnet: false }],
      ['1000', '1,5,1', { tag_1_magnet: true }],
      ['1000', '1,5,7', { tag_1_magnet: true }],
      ['1000', '1,5,x', {}],
      ['1000', '1,5,', {}],
      ['2000', '88', { tag_1_battery_pct: 88 }],
      ['C7C4', '1,2,3,4,5,6,7,8,9,10,11', {}],
    ] as const)
      expect(attrs(`1,0,${mask},${fields},${PLACE}`), `${mask} ${fields}`).toEqual(expected);
  });

  it('that have no mask, or an empty one, say nothing of themselves, and do not move the others', () => {
    expect(volts(`3,0,,0,0088,2934,5,0,0088,2950,5,${PLACE}`)).toEqual([2.934, 2.95]);
    expect(volts(`3,0,,0,0088,2934,1,2,5,0,0088,2950,1,2,5,${PLACE}`)).toEqual([2.934, 2.95]);
    expect(volts(`3,0,0000,0,0088,2934,5,0,0088,2950,5,${PLACE}`)).toEqual([2.934, 2.95]);
  });

  it('whose fields end in the middle have nothing of the place behind them', () => {
    expect(attrs(`1,0,003B,T1,AABBCCDDEEFF,2934,${PLACE}`)).toEqual({
      ...{ tag_1_name: 'T1', tag_1_id: 'aabbccddeeff', tag_1_battery_v: 2.934 },
    });
    expect(attrs(`1,0,003B,${PLACE}`)).toEqual({});
  });

  it('with a mask that is none say nothing of where they end: without a place nothing behind them is read', () => {
    for (const mask of ['xyz1', '08', '00888'])
      for (const [behind, expected] of [
        [PLACE, [{ mcc: 460, mnc: 0, lac: 0x18d8, cid: 0x6141 }]],
        [NO_FIX, undefined],
      ] as const)
        expect(read(report('BID', `1,0,${mask},2934,1,2,3,${behind}`, 'C20105'))['cells'], mask + behind).toEqual(expected);
  });

  it('have several fields where both end there', () => {
    // With one field the third of the first would be the mask of the second.
    expect(volts(`2,0,0080,1,0,0007,0,0008,2934,${PLACE}`)).toEqual([2.934]);
  });
});

describe('reports that are not a head, a position and a tail', () => {
  const PLACE = '1,4.3,92,70.0,121.354335,31.222073,20260214013254,0460,0000,18d8,6141,00,';
  const attrs = (name: string, fields: string): unknown => read(report(name, fields))['attrs'];
  const withPlace = (name: string, fields: string): unknown => {
    const { kind, lat, lon, attrs: said } = read(report(name, fields + PLACE));
    expect([kind, lat, lon], fields).toEqual(['fix', 31.222073, 121.354335]);
    return said;
  };

  it.each([
    ['3,1,', { output_number: 3, output_on: true }],
    ['0,0,', { output_number: 0, output_on: false }],
    ['12,1,', { output_number: 12, output_on: true }],
    ['123,1,', { output_on: true }],
    ['x,1,', { output_on: true }],
    [',1,', { output_on: true }],
    ['3,2,', { output_number: 3 }],
    ['3,x,', { output_number: 3 }],
    ['3,', {}],
    ['', {}],
  ])('GTDOS %s: %j', (fields, said) => {
    expect(attrs('DOS', fields)).toEqual(said);
    if (fields.length > 3) expect(withPlace('DOS', fields)).toEqual(said);
  });

  it.each([
    ['abc,', 'abc'],
    ['a,b,c,d,e,', 'a,b,c,d,e'],
    ['', undefined],
    [',', undefined],
  ])('GTDAT %s: %j', (fields, data) => {
    expect(attrs('DAT', fields)).toEqual(data === undefined ? {} : { data });
  });
  it('GTDAT with a place has its data in front of it, behind three fields where there are so many', () => {
    expect(withPlace('DAT', 'abc,')).toEqual({ data: 'abc' });
    expect(withPlace('DAT', 'a,b,c,')).toEqual({ data: 'a,b,c' });
    expect(withPlace('DAT', '0,,,abc,')).toEqual({ data: 'abc' });
    expect(withPlace('DAT', '0,,,a,b,')).toEqual({ data: 'a,b' });
    expect(withPlace('DAT', '0,,,,')).toEqual({});
  });

  const hexOf = (text: string): string => Buffer.from(text).toString('hex');
  const COMB = 'COMB,0,94.0,-1.0,';
  it.each([
    // Three reserved fields, the type, and the length of the data: as they are, or in hex.
    [',,,0,5,hello,', { data: 'hello' }],
    [',,,0,5,a,b,c,', { data: 'a,b,c' }],
    [`,,,0,5,${hexOf('hello')},`, { data: 'hello' }],
    [`,,,0,3,${hexOf(' ~\n')},`, { data: '~' }],
    // Not text: the digits.
    [`,,,0,2,${hexOf('a\x1f')},`, { data: '611f' }],
    [`,,,0,2,${hexOf('a\x7f')},`, { data: '617f' }],
    [`,,,0,2,xyzw,`, { data: 'xyzw' }],
    [`,,,0,${COMB.length},${COMB},`, { data: COMB, fuel_sensor: 94 }],
    [`,,,0,${COMB.length},${hexOf(COMB)},`, { data: COMB, fuel_sensor: 94 }],
    [`,,,0,${COMB.length + 4},${hexOf(`a\r\n${COMB}\n`)},`, { data: `a\n${COMB}`, fuel_sensor: 94 }],
    // Of another length: all that is behind the type of the data.
    [',,,0,6,hello,', { data: '0,6,hello' }],
    [',,,0,0,,', { data: '0,0,' }],
    [`,,,0,99,${COMB}`, { data: `0,99,${COMB.slice(0, -1)}` }],
    // Reserved fields that differ in number.
    [',0,5,hello,', { data: 'hello' }],
    [',,,,,0,5,hello,', { data: 'hello' }],
    ['', {}],
    [',,,', {}],
  ])('GTDTT %j: %j', (fields, said) => {
    expect(attrs('DTT', fields)).toEqual(said);
    if (fields.endsWith('hello,') || fields.endsWith('7f,')) expect(withPlace('DTT', fields)).toEqual(said);
  });

  const CELLS = [
    { mcc: 460, mnc: 0, lac: 0x18d8, cid: 0x6141, rssi_dbm: -80 },
    { mcc: 460, mnc: 1, lac: 0x18d9, cid: 0x6142, rssi_dbm: -70 },
    { mcc: 460, mnc: 2, lac: 0x18da, cid: 0x6143, rssi_dbm: -60 },
  ];
  const [A, B, C] = ['0460,0000,18d8,6141,30,', '0460,0001,18d9,6142,40,', '0460,0002,18da,6143,50,'];
  it('GTLBS has trigger, type, battery, motion and the cells, the serving one first', () => {
    const lbs = (fields: string, cells: string): Record<string, unknown> => read(report('LBS', `${fields}${cells}`));
    expect(lbs('SOS,1,92,,22,,,,', `${A},${B},${C},`)).toMatchObject({
      attrs: { trigger: 'SOS', report_type: 1, battery_pct: 92, ignition: true, motion: true },
      cells: CELLS,
    });
    for (const [motion, said] of [
      ['0', { motion: false }],
      ['1', { motion: true }],
      ['2', {}],
      ['41', { motion: false }],
      ['11', { ignition: false, motion: false }],
      ['99', {}],
      ['', {}],
    ] as const)
      expect(lbs(`,x,,,${motion},,,,`, `${A},`)['attrs'], motion).toEqual(said);
    for (const [trigger, said] of [
      ['12345678', { trigger: '12345678' }],
      ['123456789', {}],
      ['', {}],
    ] as const)
      expect(lbs(`${trigger},,,,,,,,`, '')['attrs'], trigger).toEqual(said);
  });

  it('GTGSM has its trigger where others have a name, and the serving cell last', () => {
    const gsm = (trigger: string, cells: string): Record<string, unknown> =>
      read(Buffer.from(`+RESP:GTGSM,2F0101,135790246811220,${trigger},${cells}20260214013300,0123$`));
    expect(gsm('SOS', `${B},${C},${A},`)).toMatchObject({ kind: 'status', attrs: { trigger: 'SOS' }, cells: CELLS });
    expect(gsm('123456789', `${A},`)).toMatchObject({ attrs: {}, cells: CELLS.slice(0, 1) });
    expect(gsm('', '')['attrs']).toEqual({});
  });

  it('GTWIF has access points, and the battery at its end', () => {
    const wif = (fields: string): Record<string, unknown> => read(report('WIF', fields));
    const points = '2,aabbccddee01,-60,,,,AABBCCDDEE02,-151,,,,';
    const wifi = [{ mac: 'aa:bb:cc:dd:ee:01', rssi_dbm: -60 }, { mac: 'aa:bb:cc:dd:ee:02' }];
    expect(wif(`${points},92,`)).toMatchObject({ attrs: { battery_pct: 92 }, wifi });
    expect(wif(`${points}92,`)).toMatchObject({ attrs: { battery_pct: 92 }, wifi });
    expect(wif(`${points},101,`)['attrs']).toEqual({});
    // What ends with an access point has no battery there.
    expect(wif('1,aabbccddee01,-60,,,92,')).toMatchObject({ attrs: {}, wifi: wifi.slice(0, 1) });
    expect(wif('0,')['attrs']).toEqual({});
  });

  it('GTBAA says which alarm it is', () => {
    for (const [code, said] of [
      ['00', { event_code: 0 }],
      ['0A', { event_code: 10 }],
      ['xy', {}],
      ['', {}],
    ] as const)
      expect(withPlace('BAA', `7,6,2,${code},0008,2980,`), code).toEqual({ ...said, tag_1_battery_v: 2.98 });
  });
});

describe('a field', () => {
  it('of a time has digits only', () => {
    const time = '20260214013254';
    const at = (text: string): number => {
      const bytes = Buffer.from(text);
      splitFields(bytes, 0, bytes.length);
      return timeAt(bytes, 0);
    };
    expect(at(time)).toBe(Date.UTC(2026, 1, 14, 1, 32, 54));
    for (let k = 0; k < time.length; k++)
      for (const wrong of ['/', ':', ' ', '-', 'A', '~'])
        expect(at(time.slice(0, k) + wrong + time.slice(k + 1)), `${wrong} at ${k}`).toBeNaN();
    for (const none of [
      '20261314013254',
      '20260230013254',
      '20260214240000',
      '20260214016000',
      '20260214010060',
      '20091231235959',
      '20200101000000',
    ])
      expect(at(none), none).toBeNaN();
  });

  it('as text has points for what is not printable', () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, k) => (k === 0x2c ? 0x2b : k));
    splitFields(bytes, 0, bytes.length);
    const text = textOf(bytes, 0, 1);
    expect(text.slice(0, 0x20)).toBe('.'.repeat(0x20));
    expect(text.slice(0x20, 0x7f)).toBe(Buffer.from(bytes.subarray(0x20, 0x7f)).toString());
    expect(text.slice(0x7f)).toBe('.'.repeat(0x81));
  });
});

describe('the model of a binary frame', () => {
  it.each(['02', '0F', '1A', '2f', '4B', '45', 'FC', '8203'])('%s is that of a text with this type', (prefix) => {
    expect(modelByCode(Number.parseInt(prefix, 16)).name).toBe(modelOf(`${prefix}0101`).name);
    expect(modelOf(`${prefix}0101`).name).not.toBe('');
  });
});

describe('a frame of the format Pro', () => {
  it.each([
    [23, false],
    [24, true],
    [4096, true],
    [4097, false],
  ])('has 24 to 4096 bytes: %d', (length, fits) => {
    const bytes = Uint8Array.of(0x2b, 0, length >> 8, length & 255, 0, 0);
    expect(queclink.recognise(bytes, 0, bytes.length)).toBe(fits);
    expect(queclink.tcp?.frame(bytes, 0, bytes.length, {})).toBe(fits ? length : -6);
  });

  const behind = (frame: Uint8Array): string => {
    const connection = new RecordFeed(queclink, 'tcp', {});
    connection.feed.decode(sealed(frame), 0, frame.length);
    return connection.feed.frames.map(({ kind, reason }) => `${kind} ${reason}`).join();
  };
  it('that ends within its head is short', () => {
    const heartbeat = bytesOf(LINES.get('pro-heartbeat') ?? '');
    expect(behind(heartbeat)).toBe('heartbeat ');
    // Flags that announce a packet number, in 24 bytes and in 25.
    const record = (bytes: number): Uint8Array => {
      const frame = new Uint8Array(bytes);
      frame.set([0x2b, 0, 0, bytes, 0x80, 0, 0, 0x01, 0x23, 0x45, 0x67, 0x89, 0x01, 0x23, 0x45]);
      frame[bytes - 1] = 0x24;
      return frame;
    };
    expect([23, 24, 25].map((bytes) => behind(record(bytes)))).toEqual(['malformed short', 'malformed short', 'status ']);
  });

  it.each(['1135790246811220', '0a35790246811220', '013579024681122f', 'ffffffffffffffff'])(
    'has an identity of digits behind a 0: not %s',
    (id) => {
      expect(behind(patched('pro-heartbeat', 3, id))).toBe('malformed bad_id');
    },
  );
});

describe('a command', () => {
  const encoded = (key: number, password: string): string => {
    const out = new Uint8Array(256);
    const state = new RecordFeed(queclink, 'tcp', { options: { password, model: 'gv300' } }).feed.state;
    const length = queclink.tcp?.encodeCommand?.({ type: 'locate', parameters: {} }, key, state, out, 0, KIT_NOW) ?? 0;
    return Buffer.from(out.subarray(0, length)).toString();
  };
  it.each([
    [1, 'abc', 'AT+GTRTO=abc,1,,,,,,0001$'],
    [0xffff, '', 'AT+GTRTO=gv300,1,,,,,,FFFF$'],
    [0x10000, 'abc', ''],
    [1, 'a'.repeat(20), `AT+GTRTO=${'a'.repeat(20)},1,,,,,,0001$`],
    [1, 'a'.repeat(21), ''],
    [1, 'a,b', ''],
  ])('has a serial of four digits and a password of letters and digits: %d %s', (key, password, text) => {
    expect(encoded(key, password)).toBe(text);
  });
});

describe('a unit that repeats itself', () => {
  it.each([
    ['auto', { sack: 'on' }],
    ['on', {}],
    ['off', {}],
  ])('is remembered to wait for +SACK where that is not set: %s', (sack, remembered) => {
    const connection = new RecordFeed(queclink, 'tcp', { options: { sack } });
    const first = report('FRI', '0,0,1,1,4.3,92,70.0,121.354335,31.222073,20260214013254,0460,0000,18d8,6141,204.7,92,', '2C0402');
    const second = report('FRI', '0,0,1,1,4.3,92,70.0,121.354335,31.222073,20260214013354,0460,0000,18d8,6141,204.7,92,', '2C0402');
    second.set(Buffer.from('0124'), second.length - 5);
    for (const chunk of [first, first, second]) connection.feed.push(chunk);
    expect(queclink.tcp?.describeMemo?.(queclink.tcp.memo?.(connection.feed.state) ?? 0)).toEqual(remembered);
  });
});

describe('explain', () => {
  const notes = (bytes: Uint8Array): [name: string, raw: string, value: string | undefined][] => {
    const list: [string, string, string | undefined][] = [];
    let next = 0;
    queclink.tcp?.explain?.(bytes, 0, bytes.length, new RecordFeed(queclink, 'tcp', {}).feed.state, (at, length, name, raw, value) => {
      expect(at, `gap or overlap before ${name}`).toBe(next);
      next = at + length;
      list.push([name, raw, value]);
    });
    expect(next).toBe(bytes.length);
    return list;
  };

  it('has one note for each byte of every frame at hand', () => {
    for (const { hex } of frameLines('queclink')) notes(bytesOf(hex));
  });

  it.each([
    ['q23', ['report', 'protocol version', 'IMEI', 'device name', 'field 4', 'serial number', 'send time', 'count number', 'end']],
    ['ack-interval', ['report', 'protocol version', 'IMEI', 'device name', 'serial number', 'send time', 'count number', 'end']],
    ['refused', ['report', 'protocol version', 'IMEI', 'device name', 'field 4', 'serial number', 'send time', 'count number', 'end']],
    ['q22', ['report', 'protocol version', 'IMEI', 'device name', 'send time', 'count number', 'end']],
    ['binary-fri', ['header', 'body']],
    ['pro-heartbeat', ['header', 'body']],
  ])('names the fields of %s', (id, names) => {
    expect(notes(bytesOf(LINES.get(id) ?? '')).map(([name]) => name)).toEqual(names);
  });

  it('says what the fields of a report mean', () => {
    const list = notes(report('FRI', '0,0,1,1,4.3,92,70.0,121.354335,31.222073,20260214013254,0460,0000,18d8,6141,204.7,92,', '2C0402'));
    const named = new Map(list.map(([name, raw, value]) => [name, value ?? raw]));
    expect(named.get('protocol version')).toBe('GL300W');
    expect(named.get('longitude')).toBe('121.354335');
    expect(named.get('GPS UTC time')).toBe('2026-02-14T01:32:54.000Z');
    expect(named.get('send time')).toBe('2026-02-14T01:33:00.000Z');
    expect(named.get('count number')).toBe('0123');
  });
});

it('no binary message is read over the end of its content, wherever that is', () => {
  for (const [id, text] of LINES) {
    const whole = bytesOf(text);
    const isPro = whole[1] === 0;
    if (whole[0] === 0x2b && (whole[4] === 0x3a || whole[5] === 0x3a)) continue;
    // Count and checksum stand behind.
    const behind = isPro || whole[1] === 0x10 ? 4 : 6;
    const recordsOf = (n: number, count: number): unknown => {
      const frame = Uint8Array.from([...whole.subarray(0, n), ...whole.subarray(-behind)]);
      putU16be(frame, n, count);
      const connection = new RecordFeed(queclink, 'tcp', {});
      connection.feed.decode(sealed(frame), 0, frame.length);
      return connection.records.at(-1)?.map(({ id: _, ...record }) => record);
    };
    for (let n = 16; n <= whole.length - behind; n++) expect(recordsOf(n, 0x0101), `${id}, ${n} bytes`).toEqual(recordsOf(n, 0xf7e6));
  }
});

describe('a list of cells', () => {
  const cell = (n: number, level = String(n)): string => `0460,0001,${(n + 1).toString(16)},a${n},${level},,`;
  const named = (n: number, rssi_dbm: number | null = n - 110): object => ({
    ...{ mcc: 460, mnc: 1, lac: n + 1, cid: 0xa0 + n },
    ...(rssi_dbm === null ? {} : { rssi_dbm }),
  });
  // GTGSM has no name: its trigger stands there, and the serving cell is the last.
  const gsm = (fields: string): unknown =>
    read(Buffer.from(`+RESP:GTGSM,1A0102,135790246811220,FRI,${fields}20260214013300,0123$`))['cells'];
  const lbs = (fields: string): unknown => read(report('LBS', `FRI,0,80,,0,,,,${fields}`, '520102'))['cells'];

  it('has the serving cell first', () => {
    expect(gsm(cell(1) + cell(2) + cell(3))).toEqual([named(3), named(1), named(2)]);
    expect(gsm(cell(1))).toEqual([named(1)]);
    expect(gsm(`,,,,,,${cell(2)}`)).toEqual([named(2)]);
    expect(gsm(`${cell(1)},,,,,,`)).toEqual([named(1)]);
    expect(gsm('')).toBeUndefined();
    expect(lbs(cell(1) + cell(2) + cell(3))).toEqual([named(1), named(2), named(3)]);
    expect(lbs('')).toBeUndefined();
  });

  it('of which the last has no reserved field behind it is read to its end', () => {
    expect(lbs(cell(1) + cell(2).slice(0, -1))).toEqual([named(1), named(2)]);
    // Without a level there is no cell.
    expect(lbs(`${cell(1)}0460,0001,3,a2,`)).toEqual([named(1)]);
  });

  it.each([
    ['0', -110],
    ['63', -47],
    ['64', null],
    ['', null],
    ['x', null],
  ])('has a level of %j', (level, dbm) => {
    expect(gsm(cell(1) + cell(2, level))).toEqual([named(2, dbm), named(1)]);
    expect(lbs(cell(2, level))).toEqual([named(2, dbm)]);
  });

  it.each([
    ['0200,0000,1,1', true],
    ['199,0000,1,1', false],
    ['0799,0999,1,1', true],
    ['0800,0000,1,1', false],
    ['0460,1000,1,1', false],
    ['0460,,1,1', false],
    ['0460,x,1,1', false],
    // Unknown areas and cells.
    ['0460,0001,0,1', false],
    ['0460,0001,1,0', false],
    ['0460,0001,ffff,1', false],
    ['0460,0001,1,FFFF', false],
    ['0460,0001,ffffffff,1', false],
    ['0460,0001,1,FFFFFFFF', false],
    ['0460,0001,,1', false],
    ['0460,0001,1,', false],
    // The greatest, and one more.
    ['0460,0001,7fffffff,fffffffe', true],
    ['0460,0001,80000000,1', false],
    ['0460,0001,1,100000000', false],
  ])('has %s: %s', (fields, known) => {
    const [mcc, mnc, lac, cid] = fields.split(',', 4);
    const numbers = { mcc: Number(mcc), mnc: Number(mnc), lac: Number.parseInt(lac ?? '', 16), cid: Number.parseInt(cid ?? '', 16) };
    expect(lbs(`${fields},40,,`)).toEqual(known ? [{ ...numbers, rssi_dbm: -70 }] : undefined);
  });
});

describe('the time zone of a unit', () => {
  /** A live report with a fix at 12:00 UTC, sent at this time of the device's clock. */
  const sent = (time: string, minute: number): Uint8Array => {
    const at = String(minute).padStart(2, '0');
    const fix = `2026021412${at}00`;
    return Buffer.from(
      `+RESP:GTFRI,2C0402,135790246811220,,0,0,1,1,4.3,92,70.0,121.354335,31.222073,${fix},0460,0000,18d8,6141,204.7,92,${time}${at}00,0123$`,
    );
  };
  const said = (...hours: readonly string[]): unknown => {
    const connection = new RecordFeed(queclink, 'tcp', {});
    for (const [n, hour] of hours.entries()) connection.feed.push(sent(hour, n + 1));
    return queclink.tcp?.describeMemo?.(queclink.tcp.memo?.(connection.feed.state) ?? 0)['time_zone'];
  };
  it.each([
    ['2026021412', '+00:00'],
    ['2026021408', '-04:00'],
    ['2026021420', '+08:00'],
    ['2026021502', '+14:00'],
    ['2026021503', undefined],
  ])('whose clock says %s at 12 is %s, when two reports say so', (hour, zone) => {
    expect(said(hour, hour)).toBe(zone);
    expect(said(hour)).toBeUndefined();
    expect(said(hour, '2026021413', hour)).toBeUndefined();
  });
});

it('of datagrams a text needs no end, and nothing else is taken without one', () => {
  const frames = (bytes: Uint8Array): unknown[] =>
    new RecordFeed(queclink, 'udp', {}).feed.push(bytes).map(({ kind, name }) => `${kind} ${name}`);
  const text = report('FRI', '0,0,1,1,4.3,92,70.0,121.354335,31.222073,20260214013254,0460,0000,18d8,6141,204.7,92,', '2C0402');
  expect(frames(text)).toEqual(['records GTFRI']);
  expect(frames(text.subarray(0, -1))).toEqual(['records GTFRI']);
  for (const id of ['binary-fri-fix', 'pro-record']) {
    const whole = bytesOf(LINES.get(id) ?? '');
    expect(frames(whole), id).toHaveLength(1);
    expect(frames(whole.subarray(0, -1)), id).toEqual([]);
    expect(frames(whole.subarray(0, 3)), id).toEqual([]);
  }
});

it('what a configuration over the air says is a number', () => {
  const attrs = (fields: string): unknown => read(report('UPC', fields, '2C0402'))['attrs'];
  expect([attrs('0,0,'), attrs('7,301,'), attrs('7,'), attrs('x,y,'), attrs('')]).toEqual([
    { ota_command: 0, ota_result: 0 },
    { ota_command: 7, ota_result: 301 },
    { ota_command: 7 },
    {},
    {},
  ]);
});

describe('the name of a unit whose model is not known', () => {
  const PLACE = '0,0,1,1,4.3,92,70.0,121.354335,31.222073,20260214013254,0460,0000,18d8,6141,204.7,92';
  const vinOf = (name: string, version = '7F0101'): unknown =>
    read(Buffer.from(`+RESP:GTFRI,${version},135790246811220,${name},unit,${PLACE},20260214013300,0123$`))['vin'];
  it('is the identity of a vehicle where it has its form', () => {
    for (const vin of ['WVWZZZ1JZXW000001', '09AZHJNPRSTUVWXYZ'.slice(0, 17)]) expect(vinOf(vin), vin).toBe(vin);
    for (const letter of ['I', 'O', 'Q', '/', ':', '@', '[', 'a', ' ']) {
      expect(vinOf(`WVWZZZ1J${letter}XW000001`), letter).toBeUndefined();
      expect(vinOf(`${letter}VWZZZ1JZXW000001`), letter).toBeUndefined();
      expect(vinOf(`WVWZZZ1JZXW00000${letter}`), letter).toBeUndefined();
    }
    expect(vinOf('WVWZZZ1JZXW00001')).toBeUndefined();
  });
  it('is a name where the model is known to have none', () => {
    expect(vinOf('WVWZZZ1JZXW000001', '2C0402')).toBeUndefined();
  });
});

it('the old dialect has a card of 18 to 20 digits and a signal up to 31', () => {
  const attrs = (card: string, signal: string): unknown => {
    const text = `+RESP:GTINF,359464030073766,${card},${signal},99,100,1,0,+2.00,0,20131018084015,00EE,0103090402$`;
    return read(Buffer.from(text))['attrs'];
  };
  const card = '8938003990320469804';
  expect(attrs(`${card}f`, '18')).toEqual({ iccid: card, gsm_csq: 18 });
  expect(attrs(`${card}0F`, '0')).toEqual({ iccid: `${card}0`, gsm_csq: 0 });
  expect(attrs(card.slice(1), '31')).toEqual({ iccid: card.slice(1), gsm_csq: 31 });
  expect(attrs(card.slice(2), '32')).toEqual({});
  expect(attrs(`${card}012`, '')).toEqual({});
});
