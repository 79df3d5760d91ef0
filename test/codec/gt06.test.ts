import { expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import { crc16X25, putU16be } from '../../src/base/wire/index.ts';
import { bytesOf, fixtureTests, frameLines, RecordFeed } from '../helpers/fixtures.ts';
import { type ExpectedValue, type VectorValue, vectorTests } from '../helpers/vectors.ts';

/** Event names by the vectors' words. */
const ALARMS: Readonly<Record<string, string>> = {
  sos: 'sos',
  tampering: 'tamper',
  removing: 'tamper',
  lowBattery: 'low_battery',
  hardAcceleration: 'harsh_acceleration',
  hardBraking: 'harsh_braking',
  accident: 'collision',
  // The vector has no word for event 01 of the cameras; the document says SOS (codecs/gt06/protocol.md section 6.11).
  general: 'sos',
};

function named(name: string, convert: (value: VectorValue) => unknown = (value) => value): (value: VectorValue) => ExpectedValue {
  return (value) => ({ name, value: value === null ? undefined : convert(value) });
}

fixtureTests(gt06);

vectorTests(gt06, {
  attributeMap: {
    alarm: named('event', (value) => ALARMS[String(value)]),
    driverUniqueId: named('driver_id'),
    result: named('external_data'),
    tag1Temp: named('tag_1_temperature_c'),
    steps: named('steps'),
    temp1: named('temperature_c_1'),
    battery: named('battery_v'),
    batteryLevel: named('battery_pct'),
    power: named('external_v'),
    drivingTime: named('driving_time'),
    adc1: named('analog_v_1'),
    hours: named('engine_hours_s', (value) => Number(value) / 1000),
  },
  options: (vector) => {
    const model = vector.config?.['model'];
    if (model === 'R11') return { variant: 'r11' };
    if (typeof model === 'string' && model.startsWith('LW')) return { variant: 'lw' };
    return model === 'VL103' ? { variant: 'vl103' } : {};
  },
  command: (vector) => {
    if (vector.expect.command !== 'engineStop') return undefined;
    return { command: { type: 'engine_stop', parameters: {} }, key: 0 };
  },
});

it('no message is read over the end of its content, wherever that is', () => {
  const byId = new Map(frameLines('gt06').map((line) => [line.id, line.hex]));
  const sealed = (head: Uint8Array, content: Uint8Array, serial: number): Uint8Array => {
    const bytes = Uint8Array.from([...head, ...content, 0, 0, 0, 0, 0x0d, 0x0a]);
    if (head.length === 5) putU16be(bytes, 2, content.length + 5);
    else bytes[2] = content.length + 5;
    putU16be(bytes, bytes.length - 6, serial);
    putU16be(bytes, bytes.length - 4, crc16X25(bytes, 2, bytes.length - 4));
    return bytes;
  };
  for (const { id, hex, needs = [], options = {}, transport } of frameLines('gt06')) {
    const whole = bytesOf(hex);
    if (transport === 'sms' || whole.length < 10 || (whole[0] !== 0x78 && whole[0] !== 0x79)) continue;
    const head = whole.subarray(0, whole[0] === 0x79 ? 5 : 4);
    const content = whole.subarray(head.length, -6);
    const recordsOf = (bytes: Uint8Array): unknown => {
      const connection = new RecordFeed(gt06, 'tcp', { options, device: '123456789012345' });
      for (const needed of needs) connection.feed.push(bytesOf(byId.get(needed) ?? ''));
      connection.feed.decode(bytes, 0, bytes.length);
      return connection.records.at(-1)?.map(({ id: _, ...record }) => record);
    };
    for (let n = 0; n <= content.length; n++) {
      // What stands behind: serial number and checksum.
      const [one, other] = [0x0101, 0xf7e6].map((serial) => recordsOf(sealed(head, content.subarray(0, n), serial)));
      expect(one, `${id}, ${n} bytes of ${content.length}`).toEqual(other);
    }
  }
});
