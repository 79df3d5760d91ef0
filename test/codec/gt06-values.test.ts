import { describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import { crc16X25, hex, putU16be } from '../../src/base/wire/index.ts';
import { bytesOf, RecordFeed } from '../helpers/fixtures.ts';

/** What the fields of a message mean, and where they end (codecs/gt06/protocol.md sections 6 and 9). */

const LOGIN = '787811010123456789012345270100020001c2c80d0a';

/** A frame with this content, its length and its checksum. */
function frameOf(number: number, content: string, long = false): Uint8Array {
  const body = bytesOf(content);
  const head = long ? 5 : 4;
  const bytes = new Uint8Array(head + body.length + 6);
  bytes.fill(long ? 0x79 : 0x78, 0, 2);
  if (long) putU16be(bytes, 2, body.length + 5);
  else bytes[2] = body.length + 5;
  bytes[head - 1] = number;
  bytes.set(body, head);
  putU16be(bytes, bytes.length - 6, 0x0701);
  putU16be(bytes, bytes.length - 4, crc16X25(bytes, 2, bytes.length - 4));
  bytes.set([0x0d, 0x0a], bytes.length - 2);
  return bytes;
}

/** The first record of this frame behind a login, its attributes beside its fields; these frames came before it. */
function read(frame: Uint8Array, options: Record<string, string> = {}, before: readonly Uint8Array[] = []): Record<string, unknown> {
  const connection = new RecordFeed(gt06, 'tcp', { options });
  connection.feed.push(bytesOf(LOGIN));
  for (const one of before) connection.feed.push(one);
  connection.feed.push(frame);
  const [record = {}] = connection.records.at(-1) ?? [];
  return { ...record, ...Object(record['attrs']) };
}

/** The values of these names alone. */
function picked(record: Record<string, unknown>, expected: object): object {
  return Object.fromEntries(Object.keys(expected).map((name) => [name, record[name]]));
}

describe('a module of message 70', () => {
  const module = (id: string, data: string): string => id + (data.length / 2).toString(16).padStart(4, '0') + data;
  it.each([
    ['002a', '00', { door: false, tamper: false }],
    ['002a', '01', { door: true, tamper: false }],
    ['002a', '08', { door: true, tamper: false }],
    ['002a', '10', { door: false, tamper: true }],
    ['002a', '80', { door: false, tamper: true }],
    ['002a', '11', { door: true, tamper: true }],
    ['002a', '0100', { door: undefined, tamper: undefined }],
    ['002c', '6a1e3f24', { time: 0x6a1e3f24 * 1000 }],
    ['002c', '00000000', { flags: ['no_time'] }],
    ['0034', '106a1e3f24', { event: 'door', time: 0x6a1e3f24 * 1000 }],
    ['0034', '1000000000', { event: 'door', flags: ['no_time'] }],
    ['0034', '026a1e3f24', { event: undefined, upload_mode: 2, time: 0x6a1e3f24 * 1000 }],
    ['0034', '0200000000', { event: undefined, upload_mode: 2, flags: ['no_time'] }],
  ])('%s with %s: %j', (id, data, expected) => {
    expect(picked(read(frameOf(0x70, module(id, data), true)), expected)).toEqual(expected);
  });

  it('has a time of its own only where none came in front of it', () => {
    const times = ['6a1e3f24', '6a1e3f60'].map((time) => module('002c', time));
    expect(read(frameOf(0x70, times.join(''), true))['time']).toBe(0x6a1e3f24 * 1000);
    expect(read(frameOf(0x70, module('002c', '00000000') + times[1], true))['time']).toBe(0x6a1e3f60 * 1000);
  });
});

describe('an item of message F2', () => {
  const battery = { external_battery_pct: 88, charging: true, external_battery_cycles: 515 };
  const none = { external_battery_pct: undefined, charging: undefined, external_battery_cycles: undefined };
  it.each([
    ['000c' + '04' + '58010203', battery],
    ['000c' + '0a' + '58010203000000000000', battery],
    ['000c' + '04' + '58000203', { ...battery, charging: false }],
    ['000c' + '03' + '580102', { ...battery, external_battery_cycles: undefined }],
    ['000c' + '02' + '5801', { ...battery, external_battery_cycles: undefined }],
    ['000c' + '01' + '58', none],
    ['000d' + '04' + '58010203', none],
    // A peripheral that is too short for one, and what is behind it.
    ['000a' + '0008' + '0158010203040506', { ...none, tag_1_id: undefined }],
    ['000a' + '0008' + '0158010203040506' + '000c' + '04' + '58010203', battery],
    ['000d' + '02' + 'aaaa' + '000c' + '04' + '58010203', battery],
    ['000c' + '05' + '58010203', none],
  ])('%s: %j', (item, expected) => {
    expect(picked(read(frameOf(0xf2, `6a1e3f24${item}`, true)), expected)).toEqual(expected);
  });
});

describe('the text of a reply', () => {
  const flag = '00000001';
  const utf16 = hex(Buffer.from('OK!', 'utf16le').swap16(), 0, 6);
  const ascii = hex(Buffer.from('OK!'), 0, 3);
  it.each([
    ['15', 'with its length', `07${flag}${ascii}0002`, 'OK!'],
    ['15', 'with its length, over a NUL in it', `08${flag}4f004b210002`, 'O K!'],
    ['15', 'without a length ends at a NUL', `00${flag}4f4b00210002`, 'OK'],
    ['15', 'without a length and a NUL ends in front of the language', `00${flag}${ascii}0002`, 'OK!'],
    ['15', 'with two bytes a character', `0a${flag}${utf16}0002`, 'OK!'],
    ['15', 'with two bytes a character and without a length', `00${flag}${utf16}0002`, 'OK!'],
    ['15', 'with a length that is too short for its flag', `03${flag}4f004b0002`, 'O K'],
    ['15', 'with a length that is over its end', `20${flag}${ascii}0002`, 'OK!'],
    ['21', 'in ASCII', `${flag}01${ascii}`, 'OK!'],
    ['21', 'in UTF-16', `${flag}02${utf16}`, 'OK!'],
  ])('%s %s', (number, _, content, said) => {
    expect(read(frameOf(Number.parseInt(number, 16), content))['reply']).toBe(said);
  });
});

describe('a heartbeat with a signal that is none', () => {
  const beat = (volt: string, signal: string, more = '0002'): Uint8Array => frameOf(0x13, `45${volt}${signal}${more}`);
  const none = { gsm_level: undefined, gsm_csq: undefined, gsm_pct: undefined };
  it.each([
    // 12.77 V of an R11: no signal and no level of a battery.
    ['04', 'fd', '0002', { ...none, battery_pct: undefined, heartbeat_alarm: undefined }],
    ['27', '65', '0002', { ...none, battery_pct: undefined }],
    ['04', '64', '0002', { ...none, gsm_pct: 100, battery_pct: 66 }],
    ['04', '04', '0102', { ...none, gsm_level: 4, battery_pct: 66, heartbeat_alarm: 1 }],
    // Of another length it is of another device: what is known of it is said.
    ['04', 'fd', '000200', { ...none, battery_pct: 66 }],
    ['04', 'fd', '', { ...none, battery_pct: 66 }],
    ['28', 'fd', '0002', { ...none, battery_pct: 40 }],
  ])('%s%s%s: %j', (volt, signal, more, expected) => {
    expect(picked(read(beat(volt, signal, more)), expected)).toEqual(expected);
  });

  it('comes several times: its voltage is that of an R11', () => {
    const frame = beat('04', 'fd', '1502');
    expect(read(frame)['external_v']).toBeUndefined();
    expect(
      read(
        frame,
        {},
        Array.from({ length: 8 }, () => frame),
      ),
    ).toMatchObject({ external_v: 12.77, gsm_csq: 21 });
    // Of a device whose variant is set nothing is learned.
    expect(
      read(
        frame,
        { variant: 'vl103' },
        Array.from({ length: 8 }, () => frame),
      )['external_v'],
    ).toBeUndefined();
  });
});

describe('a frame whose length lies', () => {
  /** A heartbeat whose checksum is not looked at: what its length says, its content, and what is missing of its end. */
  const taken = (length: string, content: string, missing: number, options: Record<string, string> = {}): object => {
    const connection = new RecordFeed(gt06, 'tcp', { options });
    connection.feed.push(bytesOf(LOGIN));
    const bytes = bytesOf(`7878${length}13${content}070112340d0a`);
    connection.feed.decode(bytes, 0, bytes.length - missing);
    const { kind, reason, damaged } = connection.feed.frames.at(-1) ?? {};
    return { kind, reason, damaged, terminal: Object(connection.records.at(-1)?.[0]?.['attrs'])['status_bits'] };
  };
  const beat = (terminal: number | undefined): object => ({ kind: 'heartbeat', reason: '', damaged: 'length', terminal });
  const none = { kind: 'malformed', reason: 'length', damaged: '', terminal: undefined };
  it.each([
    ['07', '45', 0, beat(0x45)],
    ['05', '45', 0, beat(0x45)],
    // The stop bytes did not come.
    ['06', '45', 1, beat(0x45)],
    ['06', '45', 2, beat(0x45)],
    ['06', '45', 3, none],
    ['05', '', 1, beat(undefined)],
    ['05', '', 3, none],
    ['20', '45', 1, none],
  ])('%s with "%s", %d bytes missing', (length, content, missing, expected) => {
    expect(taken(length, content, missing)).toEqual(expected);
    expect(taken(length, content, missing, { integrity: 'verify' })).toEqual(none);
  });

  it.each([
    ['is 04', '7878048a070112340d0a'],
    ['is 06', '7878068a070112340d0a'],
    ['is ff', '7878ff8a070112340d0a'],
    ['is right, of which a byte of the checksum is lost', '7878058a0701120d0a'],
  ])('and that has no content is one: a request of the time whose length %s', (_, text) => {
    const connection = new RecordFeed(gt06, 'tcp', {});
    connection.feed.push(bytesOf(LOGIN));
    const bytes = bytesOf(text);
    connection.feed.decode(bytes, 0, bytes.length);
    const frame = connection.feed.frames.at(-1);
    expect([frame?.name, frame?.damaged, frame?.answer?.slice(0, 8)]).toEqual(['time-request', 'length', '78780b8a']);
  });
});

describe('a list of access points (2C)', () => {
  const POINT = ['aabbccddee01c4', 'aabbccddee02c0', 'aabbccddee03ba'];
  const ALL = POINT.map((_, k) => `aa:bb:cc:dd:ee:0${k + 1}`);
  it.each([
    ['00', '', []],
    ['03', POINT.join(''), ALL],
    ['02', POINT.slice(0, 2).join(''), ALL.slice(0, 2)],
    // It says more than there are.
    ['03', POINT.slice(0, 2).join(''), ALL.slice(0, 2)],
    ['03', POINT.join('').slice(0, -2), ALL.slice(0, 2)],
    // With names behind them, of which the last may be missing.
    ['03', POINT.map((point) => `${point}02abcd`).join(''), ALL],
    ['03', POINT.map((point) => `${point}00`).join(''), ALL],
    ['02', `${POINT[0]}02abcd${POINT[1]}`, ALL.slice(0, 2)],
    ['03', `${POINT[0]}02abcd${POINT[1]}ff${POINT[2]}`, ALL.slice(0, 2)],
  ])('%s of %s', (count, list, expected) => {
    const content = `1a070f0c2238${'00f001'}${'00010000012c'.repeat(7)}ff${count}${list}`;
    const points = read(frameOf(0x2c, content))['wifi'];
    expect(Array.isArray(points) ? points.map((point) => Object(point).mac) : []).toEqual(expected);
  });
});

describe('explain of a reply', () => {
  const notes = (content: string, long = false): [string, string][] => {
    const list: [string, string][] = [];
    const frame = frameOf(0x15, content, long);
    const { state } = new RecordFeed(gt06, 'tcp', {}).feed;
    gt06.tcp?.explain?.(frame, 0, frame.length, state, (_at, _length, name, raw) => list.push([name, raw]));
    return list.filter(([name]) => ['text', 'language', 'content'].includes(name));
  };
  it.each([
    [
      'has its text and its language',
      '06000000014f4b0002',
      [
        ['text', '4f4b'],
        ['language', '0002'],
      ],
    ],
    ['has no text where there is none', '04000000010002', [['language', '0002']]],
    ['has its text to the end where there is no language', '06000000014f4b', [['text', '4f4b']]],
    [
      'has its text in front of the language where the length is none',
      '00000000014f4b0002',
      [
        ['text', '4f4b'],
        ['language', '0002'],
      ],
    ],
    ['has one byte that is no text and no language', '0000000001ff', [['content', 'ff']]],
  ])('%s', (_, content, expected) => {
    expect(notes(content)).toEqual(expected);
  });
});

it.each([
  ['Wrong password!', 'refused'],
  ['The password is wrong', 'refused'],
  ['PASSWORD WRONG', 'refused'],
  ['The password is set, OK', 'done'],
  ['Wrong day, OK', 'done'],
  ['Command error!', 'refused'],
  // A report tells of faults that are not the command's.
  ['Battery:4.20V,NORMAL; GPRS:Fail; the password is wrong', 'done'],
  ['IMEI:868120145233604; GPS: error', 'done'],
  ['[VERSION]NT06L_invalid', 'done'],
  ['The Battery: error', 'refused'],
])('a device that says "%s" has it %s', (said, outcome) => {
  expect(gt06.readReply?.({ type: 'custom', parameters: { text: 'X#' } }, said)?.outcome).toBe(outcome);
});
