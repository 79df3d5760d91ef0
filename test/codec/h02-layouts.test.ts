import { describe, expect, it } from 'vitest';
import h02 from '../../codecs/h02/index.ts';
import { LAYOUTS, layoutOf } from '../../codecs/h02/layouts.ts';
import type { Bytes } from '../../src/base/wire/index.ts';
import { Feed } from '../../src/codec/kit/index.ts';
import { bytesOf, frameLines, RecordFeed } from '../helpers/fixtures.ts';

/** One note as `explain` gives it. */
interface Noted {
  readonly at: number;
  readonly length: number;
  readonly name: string;
  readonly raw: string;
  readonly value: string | undefined;
}

function notes(bytes: Bytes): Noted[] {
  const list: Noted[] = [];
  const dialect = h02.tcp;
  const state = new Feed(h02, 'tcp').state;
  dialect?.explain?.(bytes, 0, bytes.length, state, (at, length, name, raw, value) => list.push({ at, length, name, raw, value }));
  return list;
}

const lines = frameLines('h02').filter((line) => line.expect.type !== 'malformed');
const binary = lines.filter((line) => line.hex.startsWith('24') || line.hex.startsWith('58'));

describe('h02 layouts', () => {
  it('hold the lengths that the document gives', () => {
    expect(LAYOUTS.map((layout) => layout.bytes)).toEqual([32, 45, 46, 47, 48, 51, 42, 32]);
  });

  it.each(binary)('read $id as the decoder does', (line) => {
    const bytes = bytesOf(line.hex);
    const frame = new Feed(h02, 'tcp', { options: line.options ?? {} }).decode(bytes, 0, bytes.length);
    const row = frame.rows[0];
    const attribute = (name: string): number | string | undefined => {
      const found = row?.attributes.find(({ id }) => h02.attributes.get(id)?.name === name);
      return found?.value;
    };
    const long = frame.deviceId.length === 15;
    const fields = layoutOf(bytes[0] ?? 0, bytes.length, long).parse(bytes, 0);
    const number = (name: string): number => Number(fields[name]);
    const text = (name: string): string => String(fields[name]);

    if (fields['id'] !== undefined) expect(frame.deviceId).toBe(text('id'));
    if (long) expect(frame.deviceId).toBe(text('IMEI, filler').slice(0, 15));
    expect(attribute('status_bits')).toBe(number('status'));

    const latitude = text('latitude DDMMmmmm');
    const longitude = text('longitude DDDMMmmmm, flags');
    const flags = Number.parseInt(longitude.slice(9), 16);
    const degrees = Number(latitude.slice(0, 2)) + Number(latitude.slice(2)) / 600000;
    expect(row?.latitude).toBeCloseTo((flags & 4) === 0 ? -degrees : degrees, 6);
    const meridian = Number(longitude.slice(0, 3)) + Number(longitude.slice(3, 9)) / 600000;
    expect(row?.longitude).toBeCloseTo((flags & 8) === 0 ? -meridian : meridian, 6);
    expect(row?.valid).toBe((flags >> 1) & 1);
    const motion = text('speed, course');
    expect(row?.speedKmh).toBeCloseTo(Number(motion.slice(0, 3)) * 1.852, 6);
    expect(row?.courseDeg).toBe(Number(motion.slice(3)) % 360);
    const time = text('HHMMSS');
    const date = text('DDMMYY');
    const iso = `20${date.slice(4)}-${date.slice(2, 4)}-${date.slice(0, 2)}T${time.slice(0, 2)}:${time.slice(2, 4)}:${time.slice(4)}Z`;
    expect(row?.time).toBe(Date.parse(iso));

    if (fields['CSQ'] !== undefined) {
      expect(attribute('gsm_csq')).toBe(number('CSQ') <= 31 ? number('CSQ') : undefined);
      expect(row?.satellites).toBe(number('satellites') <= 40 ? number('satellites') : -1);
      expect(attribute('mileage')).toBe(number('mileage'));
      const isServed = number('LAC') !== 0 || number('CID') !== 0;
      for (const cell of row?.cells ?? [])
        expect([cell.mcc, cell.mnc, cell.lac, cell.cid]).toEqual([
          number('MCC'),
          number('MNC'),
          isServed ? number('LAC') : -1,
          isServed ? number('CID') : -1,
        ]);
      const supply = number('external voltage');
      expect(attribute('external_v')).toBe(supply >= 50 && supply <= 600 ? supply : undefined);
    }
    if (fields['odometer'] !== undefined) {
      expect(attribute('odometer_m')).toBe(Number(text('odometer')));
      expect(attribute('temperature_c_1')).toBe(number('temperature'));
      expect(row?.altitudeM).toBe(number('altitude'));
    }
    if (fields['record number'] !== undefined && bytes.length !== 37) expect(attribute('record_number')).toBe(number('record number'));
  });
});

describe('h02 binary values at their limits', () => {
  /** A frame of 47 bytes in which these bytes stand at this place. */
  const read = (at: number, bytes: string): Record<string, unknown> => {
    const frame = bytesOf('2491700001230815300502263352129206151125580a027084ffffffffff0016090000303901f90112345678007d2c');
    frame.set(bytesOf(bytes), at);
    const connection = new RecordFeed(h02, 'tcp', { options: { binaryLength: 47 } });
    connection.feed.push(frame);
    const [record = {}] = connection.records.flat();
    return { ...record, ...Object(record['attrs']) };
  };

  it.each([
    ['external_v', 44, '0031', undefined],
    ['external_v', 44, '0032', 5],
    ['external_v', 44, '0258', 60],
    ['external_v', 44, '0259', undefined],
    ['gsm_csq', 31, '00', 0],
    ['gsm_csq', 31, '1f', 31],
    ['gsm_csq', 31, '20', undefined],
    ['satellites', 32, '28', 40],
    ['satellites', 32, '29', undefined],
    ['cells', 37, '00c7', undefined],
    ['cells', 37, '00c8', [{ mcc: 200, mnc: 1, lac: 4660, cid: 22136 }]],
    ['cells', 37, '031f', [{ mcc: 799, mnc: 1, lac: 4660, cid: 22136 }]],
    ['cells', 37, '0320', undefined],
    // Degrees, minutes, and the flags north, east and valid behind the longitude.
    ['lat', 12, '90000000', -90],
    ['lat', 12, '90000001', undefined],
    ['lat', 12, '89599999', -89.9999983],
    ['lon', 17, '180000000a', 180],
    ['lon', 17, '180000001a', undefined],
    ['lon', 17, '179599999a', 179.9999983],
    ['lon', 17, '1800000002', -180],
    ['course_deg', 22, '000360', 0],
    ['course_deg', 22, '000359', 359],
  ])('%s at byte %d from %s: %j', (name, at, bytes, value) => {
    expect(read(at, bytes)[name]).toEqual(value);
  });

  it('neither latitude nor longitude is one', () => {
    const record = read(12, '00000000060000000002');
    expect([record['lat'], record['lon'], record['kind']]).toEqual([undefined, undefined, 'status']);
  });
});

describe('h02 explain', () => {
  it('names every field of a V1 line and every bit of its status word', () => {
    const line = '*HQ,9170000123,V1,081530,A,3352.1292,S,15112.5580,E,027.00,084,050226,F7FFFBFF,505,01,4660,22136,6#';
    const list = notes(Uint8Array.from(line, (c) => c.charCodeAt(0)));
    const fields = list.filter((note) => !note.name.startsWith('status bit'));
    expect(fields.map((note) => [note.name, note.value ?? note.raw])).toEqual([
      ['maker', '*HQ'],
      ['id', '9170000123'],
      ['type', 'V1'],
      ['time', '08:15:30 UTC'],
      ['validity', 'GPS fix'],
      ['latitude', '33.868820°'],
      ['N or S', 'S'],
      ['longitude', '151.209300°'],
      ['E or W', 'E'],
      ['speed', '50.0 km/h'],
      ['course', '84°'],
      ['date', '2026-02-05'],
      ['status', 'ACC off, fuel or engine cut active'],
      ['MCC', '505'],
      ['MNC', '01'],
      ['LAC', '4660'],
      ['CID', '22136'],
      ['battery', '100 %'],
      ['end', '#'],
    ]);
    const bits = list.filter((note) => note.name.startsWith('status bit'));
    expect(bits.map((note) => note.name)).toEqual(Array.from({ length: 32 }, (_, k) => `status bit ${31 - k}`));
    expect(bits.filter((note) => note.raw === '0').map((note) => note.value)).toEqual(['fuel or engine cut active', 'ACC off']);
    // Each bit stands at the hex digit that holds it.
    const at = line.indexOf('F7FFFBFF');
    for (const note of bits) {
      const bit = Number(note.name.slice('status bit '.length));
      const digit = Number.parseInt(line.charAt(note.at), 16);
      expect(note.at - at).toBe(7 - Math.floor(bit / 4));
      expect(String((digit >> (bit % 4)) & 1)).toBe(note.raw);
    }
  });

  it.each([
    [
      'BS,,2d4,a,1b63,1969,26,1b63,10b2,31,,ffffffff,60',
      'time, MCC, MNC, LAC 1, CID 1, level 1, LAC 2, CID 2, level 2, empty, status, battery',
    ],
    ['BASE,101112,0,0,0,0,130721,FFFFFBFF', 'time, MCC, MNC, LAC, CID, date, status'],
    ['V5,091233,2,A0B1C2D3E4F567,00112233445580,85,051219,FFFFFFFF', 'time, count, access points, access points, battery %, date, status'],
    ['V5,02,A1B2C3D4E5F6,-71,0A0B0C0D0E0F,83,050226,FFFFFBFF', 'count, access points, signal, access points, signal, date, status'],
    [
      'BC,104500,9,A,2235.1777,N,11357.8913,E,10.00,235,13100000,FFFFFFFF;V,2235.1777,N,11357.8913,E,10.00,235,13100100,FFFFFBFF,1cc,0,24a0,2154;',
      'time, length, validity, latitude, N or S, longitude, E or W, speed, course, day and time, status; validity, latitude, N or S, longitude, E or W, speed, course, day and time, status, MCC, MNC, LAC, CID',
    ],
    ['I1,101112,10,1', 'extra 3, extra 4, extra 5'],
    ['PWM,1,2', 'extra 3, extra 4'],
    [
      'VI1,100220,1,5238.26259,N,00507.33983,E,0.25,0,280917,FFFFFFFF,cc,28,db,d75b,6,db-d75c-30',
      'time, validity, latitude, N or S, longitude, E or W, speed, course, date, status, MCC, MNC, LAC, CID, battery, cells',
    ],
    [
      'V1,000000,V,0.0,0,0.0,0,0.00,0.00,000000,ffffffff',
      'time, validity, latitude, N or S, longitude, E or W, speed, course, date, status',
    ],
  ])('names the fields of %s as they are read', (line, names) => {
    const list = notes(Uint8Array.from(`*HQ,9170000123,${line}#`, (c) => c.charCodeAt(0)));
    const fields = list.filter(({ name }) => !name.startsWith('status bit')).map(({ name }) => name);
    expect(fields.slice(3, -1).join(', ')).toBe(names);
  });

  const B8 = '2421305109380127171003170520046500100286297e003085ffffdfffff03440069129344006400001151415a20';
  const B10 = '2491700001230815300502263352129206151125580a027084ffffffffff0016090000303901f90112345678007d2c';
  const B14 = '5800009814991024031101175540227006012321670c000095fffffbffff0033';
  it.each([
    ['odometer', B8, 32, '0069129344', '69129344'],
    ['odometer', B8, 32, '0000000000', '0'],
    ['odometer', B8, 32, '9999999999', '9999999999'],
    ['odometer', B8, 32, '00691293a4', undefined],
    ['mileage', B14, 1, '0000981499', '981499'],
    // A binary number is its own text.
    ['mileage', B10, 33, '00003039', undefined],
    ['mileage', B10, 33, '00000000', undefined],
  ])('says what the digits of an %s mean, and nothing of what is no digits', (name, frame, at, bytes, meaning) => {
    const whole = bytesOf(frame);
    whole.set(bytesOf(bytes), at);
    const note = notes(whole).find((one) => one.name === name);
    expect(note).toMatchObject({ at, length: bytes.length / 2, value: meaning });
  });

  it('puts each bit of a binary status word at its byte', () => {
    const bytes = bytesOf('24410600082621532131081504419390060740418306000000fffffbfdff0015060000002c02dc0c000000001f');
    for (const note of notes(bytes).filter(({ name }) => name.startsWith('status bit'))) {
      const bit = Number(note.name.slice('status bit '.length));
      expect(String(((bytes[note.at] ?? 0) >> (bit % 8)) & 1)).toBe(note.raw);
    }
  });

  it.each(lines)('has one note for each byte of $id, beside those of the status bits', (line) => {
    const bytes = bytesOf(line.hex);
    let next = 0;
    for (const note of notes(bytes).filter(({ name }) => !name.startsWith('status bit'))) {
      expect(note.at, `gap or overlap before ${note.name}`).toBe(next);
      next = note.at + note.length;
    }
    expect(next).toBe(bytes.length);
  });
});
