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
