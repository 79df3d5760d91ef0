import { describe, expect, it } from 'vitest';
import { SecretUrl } from '../../../src/base/secret.ts';
import { RowFlag } from '../../../src/codec/index.ts';
import { Dlt } from '../../../src/out/sink/forward/dlt.ts';
import { recordRows, type Said, T } from '../../support/record-rows.ts';

/** The form of docs/dlt.md, without its calls. */

const dlt = new Dlt({ url: new SecretUrl('http://127.0.0.1:1'), userFile: '', passwordFile: '', vendor: 7 });
const IMEI = '356307042441013';
const UNIT = '007001200000356307042441013';

describe('the master data of a device', () => {
  it('are its labels, texts as texts and numbers as numbers; what is no number is 0, what is not there is empty', () => {
    const all = {
      dlt: '12',
      dlt_vehicle_id: 'กท 1234',
      dlt_vehicle_type: '10',
      dlt_chassis_no: 'JT1',
      dlt_register_type: '3',
      dlt_card_reader: '2',
      dlt_province_code: '90',
    };
    expect(dlt.subject({ id: IMEI, labels: all })).toEqual({
      unit: UNIT,
      master: {
        vender_id: 7,
        unit_id: UNIT,
        vehicle_id: 'กท 1234',
        vehicle_type: '10',
        vehicle_chassis_no: 'JT1',
        vehicle_register_type: 3,
        card_reader: 2,
        province_code: 90,
      },
    });
    expect(dlt.subject({ id: IMEI, labels: { dlt: '12', dlt_card_reader: 'two' } })?.master).toEqual({
      ...{ vender_id: 7, unit_id: UNIT, vehicle_id: '', vehicle_type: '', vehicle_chassis_no: '' },
      ...{ vehicle_register_type: 0, card_reader: 0, province_code: 0 },
    });
  });

  it('name the unit by its label, else by what is in the device, else by the device; without a model, or a number, there are none', () => {
    const named = (more: object, labels: object): string | undefined =>
      dlt.subject({ id: 'car', ...more, labels: { ...labels } })?.unit.replace(/^00700120*/, '');
    expect(named({ unit: '12' }, { dlt: '12', dlt_imei: '34' })).toBe('34');
    expect(named({ unit: '12' }, { dlt: '12' })).toBe('12');
    expect(named({}, { dlt: '12' })).toBeUndefined();
    expect(named({ id: '5' }, { dlt: '12' })).toBe('5');
    for (const model of ['', '12345', 'x', '1 ']) expect(named({ id: '5' }, { dlt: model })).toBeUndefined();
    expect(dlt.subject({ id: '1234567890'.repeat(2), labels: { dlt: '9999' } })?.unit).toBe('0079999'.concat('1234567890'.repeat(2)));
    expect(dlt.subject({ id: `1${'1234567890'.repeat(2)}`, labels: { dlt: '1' } })).toBeUndefined();
    expect(dlt.subject({ id: '5' })).toBeUndefined();
  });
});

describe('a record', () => {
  const subject = { unit: UNIT, master: {} };
  const FIX: Said = { at: [13.75, 100.5], valid: true };
  const made = (said: readonly Said[], row = said.length - 1): unknown => dlt.record(recordRows(said), row, subject, 4);

  it('says what the device says, and 0 for what it does not say', () => {
    const full: Said = {
      ...{ at: [-90, 180], valid: true, received: T + 1_500 },
      columns: { altitudeM: 12, speedKmh: 54, courseDeg: 90, hdop: 0.8, satellites: 9 },
      attrs: { ignition: true, external_v: 13.8, odometer_m: 1_000, driver_id: 'D1' },
      cells: [
        [520, 1, 77, 8_888, -70],
        [520, 1, 78, 9_999, -80],
      ],
    };
    expect(made([full])).toEqual({
      ...{ driver_id: 'D1', unit_id: UNIT, seq: 4, utc_ts: '2026-10-01T00:00:00.000Z', recv_utc_ts: '2026-10-01T00:00:01.500Z' },
      ...{ lat: -90, lon: 180, alt: 12, speed: 54, engine_status: 1, fix: 1, license: '', course: 90, hdop: 0.8, num_sats: 9 },
      ...{ gsm_cell: 8_888, gsm_loc: 77, gsm_rssi: 0, mileage: 1_000, ext_power: 13.8, ext_power_status: 1 },
      ...{ high_acc_count: 0, high_de_acc_count: 0, over_speed_count: 0, max_speed: 54 },
    });
    expect(made([{ at: [0, 0] }])).toMatchObject({
      ...{ driver_id: '', lat: 0, lon: 0, alt: 0, speed: 0, engine_status: 0, fix: 0, course: 0, hdop: 0, num_sats: 0, max_speed: 0 },
      ...{ gsm_cell: 0, gsm_loc: 0, gsm_rssi: 0, mileage: 0, ext_power: 0, ext_power_status: 0 },
    });
    // Of a type that is not theirs.
    expect(made([{ ...FIX, attrs: { driver_id: 5, external_v: true, ignition: false } }])).toMatchObject({
      ...{ driver_id: '', ext_power: 0, ext_power_status: 0, engine_status: 0 },
    });
  });

  it('has the cell of its own row, or none', () => {
    const cells = (lac: number): Said => ({ ...FIX, cells: [[520, 1, lac, 10 * lac, -70]] });
    expect(made([cells(1), cells(2), cells(3)], 1)).toMatchObject({ gsm_loc: 2, gsm_cell: 20 });
    expect(made([cells(1), FIX, cells(3)], 1)).toMatchObject({ gsm_loc: 0, gsm_cell: 0 });
    expect(made([FIX, cells(2)], 0)).toMatchObject({ gsm_loc: 0, gsm_cell: 0 });
  });

  it('that could not be right is not sent', () => {
    for (const at of [
      [90.1, 0],
      [-90.1, 0],
      [0, 180.1],
      [0, -180.1],
    ] as const)
      expect(made([{ ...FIX, at }])).toBe('not a place');
    expect(made([{}])).toBe('not a place');
    for (const flags of [RowFlag.NoTime, RowFlag.Future])
      expect(made([{ ...FIX, flags }])).toBe('no time of its own, or one that is ahead');
    expect(made([{ ...FIX, flags: RowFlag.Buffered }])).toMatchObject({ seq: 4 });
  });
});
