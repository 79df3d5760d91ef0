import { describe, expect, it } from 'vitest';
import { dbm } from '../../codecs/gt06/blocks.ts';
import gt06 from '../../codecs/gt06/index.ts';
import { crc16X25, putU16be } from '../../src/base/wire/index.ts';
import { bytesOf, frameLines, RecordFeed } from '../helpers/fixtures.ts';

/** Cells, places and phones at their limits (codecs/gt06/protocol.md sections 4 and 6). */

const LINES = frameLines('gt06');
const LOGIN = '787811010123456789012345270100020001c2c80d0a';

function frameOf(number: number, content: string): Uint8Array {
  const body = bytesOf(content);
  const bytes = new Uint8Array(body.length + 10);
  bytes.set([0x78, 0x78, body.length + 5, number]);
  bytes.set(body, 4);
  putU16be(bytes, bytes.length - 6, 7);
  putU16be(bytes, bytes.length - 4, crc16X25(bytes, 2, bytes.length - 4));
  bytes.set([0x0d, 0x0a], bytes.length - 2);
  return bytes;
}

/** The first record of this message, its attributes beside its fields, and the answer to it. */
function read(number: number, content: string, options: Record<string, string> = {}): Record<string, unknown> {
  const connection = new RecordFeed(gt06, 'tcp', { options });
  connection.feed.push(bytesOf(LOGIN));
  const [frame] = connection.feed.push(frameOf(number, content));
  const [record = {}] = connection.records.at(-1) ?? [];
  return { ...record, ...Object(record['attrs']), answer: frame?.answer };
}

const TIME = '1a070f0c2238';
/** 33.86882 S 70.64827 W, 87 km/h, 275°, positioned. */
const GPS12 = 'cc03a23c24079469a657d913';

describe('the cell of a location', () => {
  const none = { cells: undefined, operator: undefined };
  const alone = (operator: string): object => ({ operator, cells: undefined });
  const one = (lac: number | undefined, cid: number): object => ({
    operator: undefined,
    cells: [{ mcc: 240, mnc: 1, ...(lac === undefined ? {} : { lac }), cid }],
  });
  it.each([
    ['00f0' + '01' + '0001' + '000001', one(1, 1)],
    ['00f0' + '01' + 'fffe' + 'fffffe', one(0xfffe, 0xfffffe)],
    // With a half of it, it is still one.
    ['00f0' + '01' + '0001' + 'ffffff', one(1, 0xffffff)],
    ['00f0' + '01' + 'ffff' + '000001', one(0xffff, 1)],
    ['00f0' + '01' + '0000' + '000001', one(0, 1)],
    ['00f0' + '01' + '0001' + '000000', none],
    // Zeros or ones: the network alone is known.
    ['00f0' + '01' + '0000' + '000000', alone('24001')],
    ['00f0' + '01' + 'ffff' + 'ffffff', alone('24001')],
    ['00f0' + '01' + '0000' + 'ffffff', alone('24001')],
    ['00f0' + '01' + 'ffff' + '000000', alone('24001')],
    ['00c8' + '01' + '0000' + '000000', alone('20001')],
    ['031f' + '01' + '0000' + '000000', alone('79901')],
    // No country has these codes.
    ['00c7' + '01' + '0000' + '000000', none],
    ['0320' + '01' + '0000' + '000000', none],
    ['0000' + '01' + '0001' + '000001', none],
    // Two bytes of MNC.
    ['80f0' + '0001' + '0001' + '000001', one(1, 1)],
    ['80f0' + '03e7' + '0000' + '000000', alone('240999')],
    ['80f0' + '03e8' + '0000' + '000000', none],
  ])('%s', (cell, expected) => {
    const { cells, operator } = read(0x12, TIME + GPS12 + cell);
    expect({ cells, operator }).toEqual(expected);
  });

  it.each([
    ['00000001' + '0000000000000001', one(1, 1)],
    // 36 bits are the longest identity.
    ['00000001' + '0000000fffffffff', one(1, 0xfffffffff)],
    ['00000001' + '0000001000000000', none],
    ['7fffffff' + '0000000000000001', one(0x7fffffff, 1)],
    ['80000000' + '0000000000000001', one(undefined, 1)],
    ['00000000' + '0000000000000000', alone('24001')],
    ['ffffffff' + 'ffffffffffffffff', alone('24001')],
    ['00000000' + '00000000ffffffff', alone('24001')],
  ])('of 4G, %s', (cell, expected) => {
    const { cells, operator } = read(0xa0, `${TIME}${GPS12}00f001${cell}`);
    expect({ cells, operator }).toEqual(expected);
  });

  it('has a signal where its byte looks like one', () => {
    expect([0, 29, 30, 120, 121, 255].map((signal) => dbm(signal))).toEqual([0, 0, -30, -120, 0, 0]);
  });
});

describe('a place of a location', () => {
  // 90 and 180 degrees; bit 10 north, bit 11 west.
  it.each([
    ['09a7ec80', '134fd900', '1400', 90, 180],
    ['09a7ec80', '134fd900', '1800', -90, -180],
    ['09a7ec81', '00000001', '1400', undefined, undefined],
    ['00000001', '134fd901', '1400', undefined, undefined],
    ['00000000', '00000000', '1400', undefined, undefined],
    ['001b7740', '001b7740', '1400', 1, 1],
    ['00000000', '001b7740', '1400', 0, 1],
    ['001b7740', '00000000', '1400', 1, 0],
  ])('%s %s %s: %s %s', (latitude, longitude, word, lat, lon) => {
    const record = read(0x12, `${TIME}cc${latitude}${longitude}57${word}`);
    expect([record['lat'], record['lon']]).toEqual([lat, lon]);
  });

  it.each([
    ['1168', 360],
    ['1169', undefined],
    ['1000', 0],
  ])('has the course of word %s: %s', (word, course) => {
    expect(read(0x12, `${TIME}cc001b7740001b774057${word}`)['course_deg']).toBe(course);
  });
});

describe('the phone that asks for an address', () => {
  const asked = (phone: string, language = '0001', options = { address: 'coordinates' }): Record<string, unknown> =>
    read(0x1a, `${TIME}${GPS12}${Buffer.from(phone).toString('hex').padEnd(42, '0')}${language}`, options);
  const said = (phone: string): string | undefined => {
    const { answer } = asked(phone);
    if (typeof answer !== 'string') return undefined;
    const bytes = Buffer.from(answer, 'hex').toString('latin1');
    return bytes.slice(bytes.lastIndexOf('&&') + 2, bytes.lastIndexOf('##')).replace(/\0+$/, '');
  };
  // In the answer it stands as it came, with one zero in front of it at most.
  it.each([
    ['13800138000', '13800138000'],
    ['013800138000', '013800138000'],
    ['0', '0'],
    ['10', '10'],
    ['9007199254740991', '9007199254740991'],
    ['0013800138000', undefined],
    ['9007199254740993', undefined],
    ['+13800138000', undefined],
    ['1380013800x', undefined],
    ['', undefined],
  ])('%s is answered as %s', (phone, answered) => {
    expect(said(phone)).toBe(answered);
    expect(asked(phone)['phone']).toBe(phone === '' ? undefined : phone);
  });

  it('is answered in the message of its language, and not at all where coordinates are not asked for', () => {
    expect([String(asked('1')['answer']).slice(6, 8), String(asked('1', '0002')['answer']).slice(8, 10)]).toEqual(['17', '97']);
    expect(asked('1', '0001', { address: 'none' })['answer']).toBeNull();
  });

  it('is answered with the place, to five decimals', () => {
    const bytes = Buffer.from(String(asked('1')['answer']), 'hex')
      .toString('latin1')
      .replaceAll('\0', '');
    expect(bytes).toContain('ADDRESS&&-33.86882,-70.64827&&1##');
  });
});

it('no message is read over the end of its content, wherever that is', () => {
  for (const { id, hex, transport, needs = [], options = {} } of LINES) {
    const whole = bytesOf(hex);
    const head = whole[0] === 0x79 ? 5 : 4;
    if (transport !== 'tcp' || whole.length < head + 6 || whole[head - 1] === 1 || needs.length > 0) continue;
    const content = whole.subarray(head, -6);
    const recordsOf = (n: number, serial: number): unknown => {
      const bytes = new Uint8Array(head + n + 6);
      bytes.set(whole.subarray(0, head));
      bytes.set(content.subarray(0, n), head);
      if (head === 4) bytes[2] = n + 5;
      else putU16be(bytes, 2, n + 5);
      putU16be(bytes, head + n, serial);
      putU16be(bytes, head + n + 2, crc16X25(bytes, 2, head + n + 2));
      bytes.set([0x0d, 0x0a], head + n + 4);
      const connection = new RecordFeed(gt06, 'tcp', { options, device: '123456789012345' });
      connection.feed.decode(bytes, 0, bytes.length);
      return connection.records.at(-1)?.map(({ id: _, ...record }) => record);
    };
    for (let n = content.length % 3; n <= content.length; n += 3)
      expect(recordsOf(n, 0x0101), `${id}, ${n} bytes of ${content.length}`).toEqual(recordsOf(n, 0xf6e5));
  }
});
