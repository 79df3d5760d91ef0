import jt808 from '../../codecs/jt808/index.ts';
import { fixtureTests } from '../helpers/fixtures.ts';
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
