import gt06 from '../../codecs/gt06/index.ts';
import { fixtureTests } from '../helpers/fixtures.ts';
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
