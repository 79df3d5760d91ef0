import { describe, expect, it } from 'vitest';
import queclink from '../../codecs/queclink/index.ts';
import { bytesOf, fixtureTests, hostileLines, RecordFeed } from '../helpers/fixtures.ts';
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
