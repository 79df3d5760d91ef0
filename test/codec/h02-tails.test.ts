import { describe, expect, it } from 'vitest';
import { batteryPercent, isCharging } from '../../codecs/h02/field.ts';
import h02 from '../../codecs/h02/index.ts';
import { RecordFeed } from '../helpers/fixtures.ts';

/**
 * A text position is a fix whatever follows its status word, and a tail of no known shape is neither a cell nor an attribute (codecs/h02/protocol.md
 * section 5). What the fields of texts may hold, at its limits.
 */

const DEVICE = '4106011660';
const GROUP = '124552,A,5035.3129,N,00431.8211,E,000.20,090,131116,FFFFFBFF';
const FIX = { kind: 'fix', device: DEVICE, time: Date.UTC(2016, 10, 13, 12, 45, 52), valid: true, course_deg: 90 };
const LONGEST = 24;

function read(text: string): Record<string, unknown>[] {
  const connection = new RecordFeed(h02, 'tcp', {});
  connection.feed.push(Buffer.from(text));
  return connection.records.flat();
}

describe('a position with n fields behind its status word', () => {
  it.each(['V1', 'V5', 'V6', 'V8', 'VI2', 'ABC'])('of type %s', (type) => {
    for (const filler of ['', '0', '1', 'GH', '460', 'ffffff', '-5', '7.25'])
      for (let n = 0; n <= LONGEST; n++) {
        const text = `*HQ,${DEVICE},${type},${GROUP}${`,${filler}`.repeat(n)}#`;
        const records = read(text);
        expect(records[0], text).toMatchObject(FIX);
        expect(records[0]?.['lat'], text).toBeCloseTo(50.588548, 5);
        expect(records[0]?.['lon'], text).toBeCloseTo(4.530352, 5);
        expect(records, text).toHaveLength(1);
        // No network has a number that these could be.
        if (filler !== '460') expect(records[0]?.['cells'], text).toBeUndefined();
      }
  });

  it('keeps the tail as it came', () => {
    for (let n = 1; n <= LONGEST; n++) {
      const [record] = read(`*HQ,${DEVICE},V1,${GROUP}${',GH'.repeat(n)}#`);
      expect(JSON.stringify(record?.['attrs']), String(n)).toContain(Array(n).fill('GH').join(','));
    }
  });
});

describe('behind a cell', () => {
  const CELL = '460,00,10342,4283';
  it.each([
    ['V1', '', undefined],
    ['V1', ',0', undefined],
    ['V1', ',6', undefined],
    ['V5', ',2921283', '2921283'],
    ['V5', ',1000,125', '1000,125'],
    ['V1', ',5,12.6', '5,12.6'],
    ['V6', ',89610000000000000001F', undefined],
    ['V6', ',89610000000000000001F,', undefined],
    ['V6', ',89610000000000000001F,85', '85'],
  ])('%s with%s: what is not known of it is kept', (type, tail, extra) => {
    const [record = {}] = read(`*HQ,${DEVICE},${type},${GROUP},${CELL}${tail}#`);
    expect(record['cells']).toEqual([{ mcc: 460, mnc: 0, lac: 10342, cid: 4283 }]);
    expect(Object(record['attrs'])['extra']).toEqual(extra);
    expect(Object(record['attrs'])['iccid']).toEqual(tail.startsWith(',8961') ? '89610000000000000001' : undefined);
  });
});

describe('a list of cells behind a position', () => {
  const cell = (lac: number, cid: number, rssi_dbm?: number): object => ({ mcc: 460, mnc: 0, lac, cid, ...(rssi_dbm && { rssi_dbm }) });
  const pairs = (n: number): string => Array.from({ length: n }, (_, k) => `,${k + 1},7`).join('');
  const counted = (n: number): object[] => Array.from({ length: n }, (_, k) => cell(k + 1, 7));
  it.each<readonly [tail: string, cells: object[] | undefined]>([
    // Behind a battery in threes, unless the last two say nothing.
    ['80,2,460,00,1,2,-70,3,4,-71', [cell(1, 2, -70), cell(3, 4, -71)]],
    ['80,2,460,00,1,2,-70,3,0,-71', [cell(1, 2, -70), cell(3, 0, -71)]],
    ['80,2,460,00,1,2,-70,3,4,0', [cell(1, 2, -70), cell(3, 4)]],
    ['80,2,460,00,1,2,3,4,0,0', [cell(1, 2), cell(3, 4)]],
    // Without one in threes, whatever they say.
    ['2,460,00,1,2,-70,3,4,-71', [cell(1, 2, -70), cell(3, 4, -71)]],
    ['2,460,00,1,2,-70,3,0,0', [cell(1, 2, -70), cell(3, 0)]],
    ['2,460,00,1,2,3,4', undefined],
    // As many pairs as are counted, or more of which all are read.
    ['80,2,460,00,1,2,3', undefined],
    ['80,2,460,00,1,2,3,4', [cell(1, 2), cell(3, 4)]],
    ['80,2,460,00,1,2,3,4,5', [cell(1, 2), cell(3, 4)]],
    ['80,1,460,00,1,2,3,4,5,6', [cell(1, 2), cell(3, 4), cell(5, 6)]],
    [`80,16,460,00${pairs(16)}`, counted(16)],
    [`80,1,460,00${pairs(16)}`, counted(16)],
    [`80,1,460,00${pairs(16)},9`, undefined],
    ['80,0,460,00,1,2', undefined],
    ['80,x,460,00,1,2', undefined],
    // In front of the cells no network.
    ...['ED,00', '199,00', '460,1000', '460,x', '0460,00'].map((network) => [`80,2,${network},1,2,3,4`, undefined] as const),
  ])('%s', (tail, cells) => {
    const [record = {}] = read(`*HQ,${DEVICE},V1,${GROUP},${tail}#`);
    const { battery_pct, extra } = Object(record['attrs']);
    const battery = tail.startsWith('80') ? 80 : undefined;
    expect([record['cells'], battery_pct, extra]).toEqual(cells === undefined ? [cells, undefined, tail] : [cells, battery, undefined]);
  });
});

it.each(['460', '460,00', '460,00,10365', ',,7', '0,1'])('a tail of too few fields for a cell is kept: %s', (tail) => {
  const [record] = read(`*HQ,${DEVICE},V1,${GROUP},${tail}#`);
  expect([record?.['cells'], record?.['attrs']]).toMatchObject([undefined, { extra: tail }]);
});

describe('a value of a text at its limits', () => {
  const cases: readonly [text: string, name: string, value: unknown][] = [
    ['HTBT,0', 'battery_pct', 0],
    ['HTBT,100', 'battery_pct', 100],
    ['V4,INFO,80,192.0.2.1,5013,60,1,cmnet,0,0', 'battery_pct', 0],
    ['LINK,180902,0,0,0,0,0,240517,FFFFFBFF', 'satellites', 0],
    ['LINK,180902,0,0,0,0,0,240517,FFFFFBFF', 'battery_pct', 0],
    ['LINK,180902,0,0,0,0,0,240517,FFFFFBFF', 'steps', 0],
    ['SMS,VOLT:0V', 'external_v', 0],
    ['SMS,GPS:V-0-0', 'satellites_visible', 0],
    ['SMS,GPS:V-0-0', 'satellites', 0],
    ['SMS,GPS:V-x-0', 'satellites_visible', undefined],
    ['SMS,GPS:V-0-x', 'satellites', undefined],
    ['SMS,GT06N_10\nVOLT:12V', 'firmware', 'GT06N_10'],
    ['SMS,\nVOLT:12V', 'firmware', undefined],
    ['SMS,VOLT:12V\nGT06N_10', 'firmware', undefined],
    ['ICCID,8961000000000000000FF?', 'iccid', '8961000000000000000'],
    ['ICCID,FFFF', 'iccid', undefined],
    ['ICCID,', 'iccid', undefined],
    [`V8,${GROUP},460,00,1,2,0,0,600,0`, 'satellites', 0],
    [`V8,${GROUP},460,00,1,2,0,0,600,0`, 'gsm_csq', 0],
    [`V1,${GROUP},0,20,0.0,-999,1,2`, 'odometer_m', 0],
    [`V1,${GROUP},0,20,0.0,-999,1,2`, 'fuel_pct', 0],
    [`V1,${GROUP},0,20,0.0,-999,1,2`, 'altitude_m', -999],
    [`V1,${GROUP},-1,20,-0.1,-1000,1,2`, 'odometer_m', undefined],
    [`V1,${GROUP},-1,20,-0.1,-1000,1,2`, 'fuel_pct', undefined],
    [`V1,${GROUP},-1,20,-0.1,-1000,1,2`, 'altitude_m', undefined],
    [`V1,${GROUP},0,1,460,00,1,2`, 'battery_pct', 0],
    [`V1,${GROUP},98,1,460,00,1,2`, 'battery_pct', 98],
    [`V1,${GROUP},99,1,460,00,1,2`, 'battery_pct', 100],
    [`V1,${GROUP},101,1,460,00,1,2`, 'battery_pct', undefined],
    [`V1,${GROUP},x,1,460,00,1,2`, 'battery_pct', undefined],
    ['V1,124552,A,0000.0000,N,00000.0001,E,0,0,131116,FFFFFBFF', 'speed_kmh', 0],
    ['V1,124552,A,0000.0000,N,00000.0001,E,-1,-1,131116,FFFFFBFF', 'speed_kmh', undefined],
    ['V1,124552,A,0000.0000,N,00000.0001,E,-1,-1,131116,FFFFFBFF', 'course_deg', undefined],
    ['V3,124552,46000,1,10342,4283,15,-75,0000,0,X,131116,FFFFFBFF', 'battery_v', undefined],
    ['V3,124552,46000,1,10342,4283,15,-75,0292,0,X,131116,FFFFFBFF', 'battery_v', 3.6],
    ['V5,01,A1B2C3D4E5F6,-120,0,050226,FFFFFBFF', 'battery_pct', 0],
    ['V5,01,A1B2C3D4E5F6,-120,100,050226,FFFFFBFF', 'battery_pct', 100],
    ['V5,01,A1B2C3D4E5F6,-120,101,050226,FFFFFBFF', 'battery_pct', undefined],
    ['V5,01,A1B2C3D4E5F6,-120,85,050226,FFFFFBFF', 'wifi', [{ mac: 'a1:b2:c3:d4:e5:f6', rssi_dbm: -120 }]],
    ['V5,01,A1B2C3D4E5F6,-121,85,050226,FFFFFBFF', 'wifi', [{ mac: 'a1:b2:c3:d4:e5:f6' }]],
    [`V1,${GROUP},16,460,00${',1,2,0'.repeat(16)}`, 'cells', Array(16).fill({ mcc: 460, mnc: 0, lac: 1, cid: 2 })],
    [`V1,${GROUP},17,460,00${',1,2,0'.repeat(17)}`, 'cells', undefined],
    ['LINK,180902,0,x,100,0,0,240517,FFFFFBFF', 'satellites', undefined],
    ['LINK,180902,0,,100,0,0,240517,FFFFFBFF', 'satellites', undefined],
    [`V8,${GROUP},460,00,1,2,x,31,600,0`, 'satellites', undefined],
    [`V8,${GROUP},460,00,1,2,-1,31,600,0`, 'satellites', undefined],
    ['V4,S32,0.0,000001', 'odometer_m', 0],
    ['V4,S32,-1.0,000001', 'odometer_m', undefined],
    ['HTBT,101', 'battery_pct', undefined],
    ['XT,1,101', 'battery_pct', undefined],
    ['LINK,180902,0,40,100,0,0,240517,FFFFFBFF', 'gsm_csq', 0],
    ['LINK,180902,31,40,100,0,0,240517,FFFFFBFF', 'gsm_csq', 31],
    ['LINK,180902,32,40,100,0,0,240517,FFFFFBFF', 'signal_pct', 32],
    ['LINK,180902,100,40,100,0,0,240517,FFFFFBFF', 'signal_pct', 100],
    ['LINK,180902,101,40,100,0,0,240517,FFFFFBFF', 'signal_pct', undefined],
    ['LINK,180902,0,40,100,0,0,240517,FFFFFBFF', 'satellites', 40],
    ['LINK,180902,0,41,100,0,0,240517,FFFFFBFF', 'satellites', undefined],
    ['LINK,180902,0,40,100,0,0,240517,FFFFFBFF', 'battery_pct', 100],
    ['LINK,180902,0,40,101,0,0,240517,FFFFFBFF', 'battery_pct', undefined],
    ['V4,INFO,80,192.0.2.1,5013,60,1,cmnet,0,100', 'battery_pct', 100],
    ['V4,INFO,80,192.0.2.1,5013,60,1,cmnet,0,101', 'battery_pct', undefined],
    ['SMS,VOLT:60.0V', 'external_v', 60],
    ['SMS,VOLT:60.1V', 'external_v', undefined],
    ['SMS,VOLT:-1V', 'external_v', undefined],
    ['SMS,GSM:0', 'gsm_csq', 0],
    ['SMS,GSM:31', 'gsm_csq', 31],
    ['SMS,GSM:32', 'gsm_csq', undefined],
    ['SMS,GSM:x', 'gsm_csq', undefined],
    ['SMS,GPS:A-99-99', 'satellites_visible', 99],
    ['SMS,GPS:A-100-99', 'satellites_visible', undefined],
    ['SMS,GPS:A-99-99', 'satellites', 99],
    ['SMS,GPS:A-99-100', 'satellites', undefined],
    [`V8,${GROUP},460,00,1,2,40,31,600,0`, 'satellites', 40],
    [`V8,${GROUP},460,00,1,2,41,31,600,0`, 'satellites', undefined],
    [`V8,${GROUP},460,00,1,2,40,31,600,0`, 'gsm_csq', 31],
    [`V8,${GROUP},460,00,1,2,40,32,600,0`, 'gsm_csq', undefined],
    [`V8,${GROUP},460,00,1,2,40,31,600,0`, 'external_v', 60],
    [`V8,${GROUP},460,00,1,2,40,31,601,0`, 'external_v', undefined],
    [`V8,${GROUP},460,00,1,2,40,31,50,0`, 'external_v', 5],
    [`V8,${GROUP},460,00,1,2,40,31,49,0`, 'external_v', undefined],
    [`V1,${GROUP},1000,-128,100.0,19999,1,2`, 'temperature_c_1', -128],
    [`V1,${GROUP},1000,-129,100.0,19999,1,2`, 'temperature_c_1', undefined],
    [`V1,${GROUP},1000,127,100.0,19999,1,2`, 'temperature_c_1', 127],
    [`V1,${GROUP},1000,128,100.0,19999,1,2`, 'temperature_c_1', undefined],
    [`V1,${GROUP},1000,20,100.0,19999,1,2`, 'fuel_pct', 100],
    [`V1,${GROUP},1000,20,100.1,19999,1,2`, 'fuel_pct', undefined],
    [`V1,${GROUP},1000,20,100.0,19999,1,2`, 'altitude_m', 19999],
    [`V1,${GROUP},1000,20,100.0,20000,1,2`, 'altitude_m', undefined],
    [`V1,${GROUP},200,00,1,2`, 'cells', [{ mcc: 200, mnc: 0, lac: 1, cid: 2 }]],
    [`V1,${GROUP},799,999,1,2`, 'cells', [{ mcc: 799, mnc: 999, lac: 1, cid: 2 }]],
    [`V1,${GROUP},800,00,1,2`, 'cells', undefined],
    ['V1,124552,A,9000.0000,N,18000.0000,E,0,360,131116,FFFFFBFF', 'lat', 90],
    ['V1,124552,A,9000.0000,N,18000.0000,E,0,360,131116,FFFFFBFF', 'lon', 180],
    ['V1,124552,A,9000.0000,N,18000.0000,E,0,360,131116,FFFFFBFF', 'course_deg', 0],
    ['V1,124552,A,9000.0000,N,18000.0000,E,0,361,131116,FFFFFBFF', 'course_deg', undefined],
    ['V1,124552,A,9000.0000,N,18000.0000,E,999,0,131116,FFFFFBFF', 'speed_kmh', 1850.15],
    ['V1,124552,A,9000.0000,N,18000.0000,E,1000,0,131116,FFFFFBFF', 'speed_kmh', undefined],
    ['V1,124552,A,9000.0001,N,18000.0000,E,0,0,131116,FFFFFBFF', 'lat', undefined],
    ['V1,124552,A,9000.0000,N,18000.0001,E,0,0,131116,FFFFFBFF', 'lon', undefined],
    ['V1,124552,A,5060.0000,N,00431.8211,E,0,0,131116,FFFFFBFF', 'lat', undefined],
    ['V1,124552,A,5059.9999,N,00431.8211,E,0,0,131116,FFFFFBFF', 'lat', 50.9999983],
  ];
  it.each(cases)('%s: %s %j', (text, name, value) => {
    const [record = {}] = read(`*HQ,${DEVICE},${text}#`);
    expect({ ...record, ...Object(record['attrs']) }[name]).toEqual(value);
  });

  it.each([
    ['000000', 0],
    ['000001', 1],
    ['235959', 86_399],
    ['240000', -1],
    ['126000', -1],
    ['120060', -1],
    ['12000', -1],
    ['12000a', -1],
  ])('the time of a command, %s: key %d', (time, key) => {
    const connection = new RecordFeed(h02, 'tcp', {});
    const [frame] = connection.feed.push(Buffer.from(`*HQ,${DEVICE},V4,S20,${time},1,1#`));
    expect(frame).toMatchObject({ kind: 'reply', replyKey: key });
  });
});

it('a code of the battery is a step, a percentage, or a step while it charges', () => {
  const codes = [0, 1, 3, 4, 6, 7, 100, 101, 0xf0, 0xf1, 0xf3, 0xf4, 0xf6, 0xf7, -1];
  expect(codes.map(batteryPercent)).toEqual([-1, 0, 20, 60, 100, 7, 100, -1, -1, 0, 20, 60, 100, -1, -1]);
  expect([0xf0, 0xf1, 0xf6, 0xf7].map(isCharging)).toEqual([false, true, true, false]);
});

it.each([
  ['1,2', [1, 2]],
  ['16777215,1', [16_777_215, 1]],
  ['16777216,1', undefined],
  ['1,68719476735', [1, 68_719_476_735]],
  ['1,68719476736', undefined],
])('a cell has 24 bits of area and 36 of its own: %s', (cell, expected) => {
  const [record] = read(`*HQ,${DEVICE},VP1,V,470,002,${cell},29#`);
  const [lac, cid] = expected ?? [];
  expect(record?.['cells']).toEqual(expected === undefined ? undefined : [{ mcc: 470, mnc: 2, lac, cid }]);
});

describe('a list of cells', () => {
  const listed = (text: string): { cells: unknown; battery: unknown } => {
    const [record = {}] = read(`*HQ,${DEVICE},V1,${GROUP},${text}#`);
    return { cells: record['cells'], battery: Object(record['attrs'])['battery_pct'] };
  };
  const cell = (lac: number, cid: number, rssi_dbm?: number) => ({ mcc: 460, mnc: 0, lac, cid, rssi_dbm });

  it.each([
    // Area, cell and signal in threes, with a battery in front or without one; signals may be 0, also the last one.
    ['90,2,460,00,11,12,-70,21,22,-80', [cell(11, 12, -70), cell(21, 22, -80)], 90],
    ['90,2,460,00,11,12,0,21,22,0', [cell(11, 12), cell(21, 22)], 90],
    ['2,460,00,11,12,-70,21,22,0', [cell(11, 12, -70), cell(21, 22)], undefined],
    ['2,460,00,11,12,-70,0,0,0', [cell(11, 12, -70)], undefined],
    // In pairs behind a battery, of which the last are unused: also as many fields as threes would be.
    ['90,2,460,00,11,12,21,22', [cell(11, 12), cell(21, 22)], 90],
    ['90,2,460,00,11,12,21,22,0,0', [cell(11, 12), cell(21, 22)], 90],
    ['90,3,460,00,11,12,21,22,31,32,0,0', [cell(11, 12), cell(21, 22), cell(31, 32)], 90],
  ])('%s', (text, cells, battery) => {
    expect(listed(text)).toEqual({ cells, battery });
  });
});

describe('a list of access points', () => {
  const [ONE, TWO, THREE] = ['a1b2c3d4e5f6', '0a0b0c0d0e0f', '001122334455'];
  const mac = (digits: string): string => digits.replace(/(..)(?=.)/g, '$1:');
  const point = (digits: string, rssi_dbm?: number) => ({ mac: mac(digits), rssi_dbm });

  it.each([
    // Each with its signal in one field, or several in a field: none is read from two fields.
    [`${ONE}71`, [point(ONE, -71)]],
    [`${ONE}00`, [point(ONE)]],
    [`${ONE}7x`, [point(ONE)]],
    // Zeros are an unused place.
    [`${ONE}71,00000000000071`, [point(ONE, -71)]],
    [`${ONE},-71,000000000000,-83`, [point(ONE, -71)]],
    [`${ONE}71,${TWO}83${THREE}90`, [point(ONE, -71), point(TWO, -83), point(THREE, -90)]],
    [`${ONE}71${TWO}83,${THREE}90`, [point(ONE, -71), point(TWO, -83), point(THREE, -90)]],
    [`${ONE}71zzzzzzzzzzzz83${THREE}90`, [point(ONE, -71), point(THREE, -90)]],
    // A MAC in a field of its own, its signal in the next.
    [`${ONE},-71,${TWO},-83`, [point(ONE, -71), point(TWO, -83)]],
    [`${ONE},${TWO},-83`, [point(ONE), point(TWO, -83)]],
    [`${ONE},0,${TWO},120`, [point(ONE), point(TWO, -120)]],
  ])('%s', (list, wifi) => {
    for (const head of ['02', '091233,2']) {
      const [record] = read(`*HQ,${DEVICE},V5,${head},${list},85,050226,FFFFFBFF#`);
      expect(record, head).toMatchObject({ kind: 'status', attrs: { battery_pct: 85 } });
      expect(record?.['wifi'], head).toEqual(wifi);
    }
  });
});
