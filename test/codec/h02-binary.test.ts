import { describe, expect, it } from 'vitest';
import { Attr } from '../../codecs/h02/attributes.ts';
import { coordinate } from '../../codecs/h02/field.ts';
import h02 from '../../codecs/h02/index.ts';
import { Feed, type FrameSnapshot, feed, type RowSnapshot } from '../../src/codec/kit/index.ts';
import { bytesOf } from '../helpers/fixtures.ts';

/** Fields of binary frames one by one, each changed in a sound frame (codecs/h02/protocol.md sections 2.3, 3 and 5). */

/** 32 bytes; 45 bytes, with a radio block; 42 bytes, with a long id; X. */
const SHORT = bytesOf('2441060116601245431311165035313006004318210e000000fffffbffff0024');
const RADIO = bytesOf('2491700001230815300502263352129206151125580A027084FFFFFBFFFF0016090000303901F901123456782D');
const LONG = bytesOf('2435248308419329301047591808172627335900074412294E024138FEFFFFFFFF01120064BA73005ECC');
const X = bytesOf('5800009814991024031101175540227006012321670c000095fffffbffff0033');
const bytes = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
const V1 = bytes('*HQ,4106011660,V1,124552,A,5035.3129,N,00431.8211,E,000.20,000,131116,FFFFFBFF#');

type Change = Readonly<Record<number, number>>;

function changed(bytes: Uint8Array, change: Change): Uint8Array {
  const copy = bytes.slice();
  for (const [at, value] of Object.entries(change)) copy[Number(at)] = value;
  return copy;
}

/** The frame alone, on a connection whose device is known. */
function decoded(bytes: Uint8Array): FrameSnapshot {
  return new Feed(h02, 'tcp', { options: { device: '4106011660' } }).decode(bytes, 0, bytes.length);
}

function rowOf(bytes: Uint8Array, change: Change = {}): RowSnapshot {
  const { rows, reason } = decoded(changed(bytes, change));
  const [row] = rows;
  if (row === undefined) throw new Error(`no record: ${reason}`);
  return row;
}

const attribute = (row: RowSnapshot, wanted: number): unknown => row.attributes.find(({ id }) => id === wanted)?.value;

describe('the battery code', () => {
  it.each([
    [0x00, undefined, undefined],
    [0x01, 0, undefined],
    [0x03, 20, undefined],
    [0x04, 60, undefined],
    [0x06, 100, undefined],
    [0x07, 7, undefined],
    [100, 100, undefined],
    [101, undefined, undefined],
    [0xf0, undefined, undefined],
    [0xf1, 0, 1],
    [0xf6, 100, 1],
    [0xf7, undefined, undefined],
    [0xff, undefined, undefined],
  ])('%d is %s %%, charging %s', (code, percent, charging) => {
    for (const [frame, at] of [
      [SHORT, 16],
      [RADIO, 16],
      [LONG, 19],
    ] as const) {
      const row = rowOf(frame, { [at]: code });
      expect([attribute(row, Attr.BatteryPct), attribute(row, Attr.Charging)]).toEqual([percent, charging]);
    }
  });
});

describe('the place', () => {
  const noLatitude = { 12: 0, 13: 0, 14: 0, 15: 0 };
  const noLongitude = { 17: 0, 18: 0, 19: 0, 20: 0, 21: 0x0e };

  it('is none when both coordinates are 0, and is on the equator or the first meridian when one is', () => {
    expect(rowOf(SHORT, { ...noLatitude, ...noLongitude })).toMatchObject({ latitude: Number.NaN, longitude: Number.NaN, valid: 0 });
    expect(rowOf(SHORT, noLatitude)).toMatchObject({ latitude: 0, longitude: 4.53035, valid: 1 });
    expect(rowOf(SHORT, noLongitude)).toMatchObject({ latitude: 50.58855, longitude: 0, valid: 1 });
  });

  it.each([
    [0x0e, 1, 1, 1],
    [0x0a, 1, -1, 1],
    [0x06, 1, 1, -1],
    [0x02, 1, -1, -1],
    [0x0c, 0, 1, 1],
  ])('has its hemispheres and its validity in the flags %d', (flags, valid, north, east) => {
    const row = rowOf(SHORT, { 21: 0x10 | flags });
    expect([row.valid, Math.sign(row.latitude), Math.sign(row.longitude)]).toEqual([valid, north, east]);
  });

  it('without a time that exists has none, and says so', () => {
    // 31 February.
    const row = rowOf(SHORT, { 9: 0x31, 10: 0x02 });
    expect(row).toMatchObject({ time: Number.NaN, latitude: 50.58855 });
    expect(row.flags).not.toBe(rowOf(SHORT).flags);
  });
});

describe('the radio block', () => {
  const mcc = (value: number): Change => ({ 37: value >> 8, 38: value & 255 });

  it.each([
    [199, false],
    [200, true],
    [799, true],
    [800, false],
    [0, false],
  ])('has a serving cell when its country is one: %d', (country, isOne) => {
    const { cells } = rowOf(RADIO, mcc(country));
    expect(cells).toMatchObject(isOne ? [{ mcc: country, mnc: 1, lac: 0x1234, cid: 0x5678 }] : []);
  });

  it.each([
    [31, 31],
    [32, undefined],
    [99, undefined],
    [0, 0],
  ])('has a signal of 0 to 31: %d', (csq, signal) => {
    expect(attribute(rowOf(RADIO, { 31: csq }), Attr.GsmCsq)).toBe(signal);
  });

  it('has up to 40 satellites, and its record number at its end', () => {
    expect([rowOf(RADIO, { 32: 40 }).satellites, rowOf(RADIO, { 32: 41 }).satellites]).toEqual([40, -1]);
    expect(attribute(rowOf(RADIO, { 44: 200 }), Attr.RecordNumber)).toBe(200);
  });
});

describe('a frame of 42 bytes and an X frame', () => {
  it('have their fields behind a longer id, or none', () => {
    expect(decoded(LONG)).toMatchObject({ deviceId: '352483084193293' });
    expect(rowOf(LONG)).toMatchObject({ time: Date.UTC(2017, 7, 18, 10, 47, 59), valid: 1 });
    expect(decoded(X)).toMatchObject({ name: 'X', deviceId: '', rows: [{ time: Date.UTC(2017, 0, 11, 10, 24, 3) }] });
  });

  it.each([
    [0xfd, 0, 0xfd],
    [0xfd, 1, -0xfd],
    [0xfe, 0, undefined],
    [0xff, 1, undefined],
  ])('X: a temperature of %d halves, its sign %d', (half, sign, value) => {
    expect(attribute(rowOf(X, { 16: half, 21: 0x0c | sign }), Attr.TemperatureHalf)).toBe(value);
  });
});

describe('what is not read', () => {
  it.each([
    ['a frame that is too short', SHORT.slice(0, 31), 'short'],
    ['an X that is too short', X.slice(0, 31), 'short'],
    ['a header with a digit that is none', changed(SHORT, { 2: 0xa1 }), 'bad_header'],
    ['an hour that does not exist', changed(SHORT, { 6: 0x24 }), 'bad_header'],
    ['an X with a long header', changed(X, { 6: 0x24 }), 'bad_header'],
  ])('%s has a reason, and no record', (_, bytes, reason) => {
    expect(decoded(bytes)).toMatchObject({ reason, rows: [] });
  });
});

describe('a coordinate in text', () => {
  const read = (text: string, limit = 180): number =>
    coordinate(
      Uint8Array.from(text, (c) => c.charCodeAt(0)),
      0,
      text.length,
      limit,
    );

  it.each([
    ['2235.1777', 22.586295],
    ['37573392', 37.9556533],
    ['7573392', 7.9556533],
    ['573392', Number.NaN],
    ['-23-29.0095', 23.4834917],
    ['-23-29', 23.4833333],
    ['-23', Number.NaN],
    ['-23.5', Number.NaN],
    ['-', Number.NaN],
    ['', Number.NaN],
    ['.5', Number.NaN],
    ['2235,1777', Number.NaN],
    ['2235.17a7', Number.NaN],
    ['2260.0000', Number.NaN],
    ['2259.9999', 22.9999983],
    ['18000.0000', 180],
    ['18000.0001', Number.NaN],
  ])('%s is %d', (text, value) => {
    expect(read(text)).toBe(value);
  });
});

describe('the end of a frame that content leaves open', () => {
  /** Text behind a frame whose length nothing has told. */
  const lengthsOf = (...chunks: Uint8Array[]): number[] => {
    const connection = feed(h02, 'tcp', chunks);
    connection.quiet();
    return connection.frames.map(({ length }) => length);
  };
  /** Nothing in it tells 32 from 45 bytes. */
  const OPEN = changed(SHORT, { 30: 0, 31: 0 });
  it.each(['', '\r\n', '\n', ' '])('is found behind %j and another frame, wherever the stream is cut', (separator) => {
    const stream = Uint8Array.from([...OPEN, ...bytes(separator), ...V1]);
    for (let cut = 1; cut < stream.length; cut++)
      expect([cut, ...lengthsOf(stream.slice(0, cut), stream.slice(cut))]).toEqual([cut, 32, V1.length]);
  });

  it('is not decided by a separator behind which too little has come', () => {
    for (const begun of ['\r\n', '\r\n*', '\r\n*H', '\r\n*HQ']) {
      const connection = feed(h02, 'tcp', [OPEN, bytes(begun)]);
      expect([connection.frames.length, connection.pending]).toEqual([0, 32 + begun.length]);
    }
    const connection = feed(h02, 'tcp', [OPEN, bytes('\r\n*HQ,4106011660,V1,'), bytes('124552')]);
    expect(connection.frames.map(({ length }) => length)).toEqual([32]);
  });
});

describe('what a memo keeps', () => {
  it.each<[number, Record<string, string>]>([
    [0, {}],
    [1 << 14, { binaryLength: '32' }],
    [2 << 14, { binaryLength: '45' }],
    [6 << 14, { binaryLength: '51' }],
    [7 << 14, {}],
    [1 << 17, { answers: 'r12' }],
    [(5 << 18) | (0 << 23), { last_date: '2020-01-05' }],
    [(31 << 18) | (23 << 23), { last_date: '2021-12-31' }],
  ])('%d is said as %o', (memo, said) => {
    expect(h02.tcp?.describeMemo?.(memo)).toEqual(said);
  });

  it('has the alarms that are latched by name', () => {
    const connection = feed(h02, 'tcp', [bytes('*HQ,4106011660,V1,124552,A,5035.3129,N,00431.8211,E,000.20,000,131116,FFFFFBFD#')]);
    const memo = h02.tcp?.memo?.(connection.state) ?? 0;
    expect(h02.tcp?.describeMemo?.(memo)['alarms']).toBe('sos');
  });
});
