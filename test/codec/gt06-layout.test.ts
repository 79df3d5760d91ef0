import { describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import * as layouts from '../../codecs/gt06/layouts.ts';
import { crc16X25, hex, u16be } from '../../src/base/wire/index.ts';
import type { Layout } from '../../src/codec/index.ts';
import { Feed } from '../../src/codec/kit/feed.ts';
import { bytesOf, frameLines, RecordFeed, readLines } from '../helpers/fixtures.ts';

/** The declared layouts against the fast readers, on every frame at hand, and `explain` on an alarm. */

const LOGIN = '787811010123456789012345270100020001c2c80d0a';

function samples(): string[] {
  const list = frameLines('gt06').map((line) => line.hex);
  for (const line of readLines('../shared/vectors/gt06.jsonl') ?? []) {
    const found = /"hex":"([0-9a-f]+)"/.exec(JSON.stringify(line));
    if (found?.[1] !== undefined) list.push(found[1]);
  }
  return list;
}

function whole(bytes: Uint8Array): boolean {
  const long = bytes[0] === 0x79;
  if (bytes.length < 10 || (!long && bytes[0] !== 0x78)) return false;
  const length = long ? u16be(bytes, 2) + 6 : (bytes[2] ?? 0) + 5;
  return length === bytes.length && crc16X25(bytes, 2, bytes.length - 4) === u16be(bytes, bytes.length - 4);
}

const field = (parsed: Record<string, unknown>, name: string): number => Number(parsed[name]);
const bigField = (parsed: Record<string, unknown>, name: string): number =>
  typeof parsed[name] === 'string' ? Number.parseInt(String(parsed[name]), 16) : Number(parsed[name]);

/** Fields by their vendor's names, from the layouts of a message with GPS18 and LBS. */
function expected(bytes: Uint8Array, at: number, lbs: Layout | undefined, lbsAt: number) {
  const date = layouts.DT6.parse(bytes, at);
  const gps = layouts.GPS12.parse(bytes, at + 6);
  const word = field(gps, 'course_and_status');
  const cell = lbs?.parse(bytes, lbsAt);
  return {
    time: Date.UTC(
      2000 + field(date, 'year'),
      field(date, 'month') - 1,
      field(date, 'day'),
      field(date, 'hour'),
      field(date, 'minute'),
      field(date, 'second'),
    ),
    lat: ((word & 0x400) === 0 ? -1 : 1) * (field(gps, 'latitude') / 1800000),
    lon: ((word & 0x800) === 0 ? 1 : -1) * (field(gps, 'longitude') / 1800000),
    valid: (word & 0x1000) !== 0,
    speed_kmh: field(gps, 'speed'),
    course_deg: word & 0x3ff,
    satellites: field(gps, 'gps_information') & 15,
    cell:
      cell === undefined
        ? undefined
        : { mcc: field(cell, 'MCC') & 0x7fff, mnc: field(cell, 'MNC'), lac: field(cell, 'LAC'), cid: bigField(cell, 'cell_id') },
  };
}

/** Numbers whose content begins with GPS18; where LBS begins, and whether it is the wide one. */
const LOCATED = new Map([
  [0x12, { lbs: 18, wide: false, sizes: [26, 27, 30] }],
  [0x22, { lbs: 18, wide: false, sizes: [29, 30, 33, 34] }],
  [0xa0, { lbs: 18, wide: true, sizes: [36, 37, 40, 41] }],
  [0x16, { lbs: 19, wide: false, sizes: [32] }],
  [0x26, { lbs: 19, wide: false, sizes: [32, 33] }],
  [0x27, { lbs: 19, wide: false, sizes: [33, 34] }],
  [0xa4, { lbs: 19, wide: true, sizes: [40, 41] }],
]);

describe('layouts', () => {
  it('give what the fast reader gives', () => {
    let compared = 0;
    for (const text of samples()) {
      const bytes = bytesOf(text);
      const kind = LOCATED.get(bytes[3] ?? 0);
      if (!whole(bytes) || bytes[0] !== 0x78 || kind === undefined || !kind.sizes.includes(bytes.length - 10)) continue;
      const narrow = ((bytes[4 + kind.lbs] ?? 0) & 0x80) === 0;
      const lbs = kind.wide ? (narrow ? layouts.LBS15 : layouts.LBS16) : narrow ? layouts.LBS8 : layouts.LBS9;
      const want = expected(bytes, 4, lbs, 4 + kind.lbs);
      const connection = new RecordFeed(gt06, 'tcp', {});
      connection.feed.push(bytesOf(LOGIN));
      connection.feed.push(bytes);
      const got = connection.records.at(-1)?.[0] ?? {};
      if (got['kind'] !== 'fix') continue;
      const { cell, ...fix } = want;
      expect(got, text).toMatchObject(fix);
      // All ones: the unit knows its network and no cell.
      const isCell = cell !== undefined && cell.cid !== 0 && cell.mcc !== 0 && cell.lac !== 0xffffffff;
      if (isCell) expect(got['cells'], text).toMatchObject([cell]);
      compared++;
    }
    expect(compared).toBeGreaterThan(20);
  });

  it.each([
    [layouts.STATUS, '4606040301', { language: 'Chinese', voltage_level: 'full', GSM_signal: 'strong' }],
    [layouts.STATUS, '0007050302', { language: 'English', voltage_level: '7 %', GSM_signal: '5' }],
    [layouts.STATUS, '0000000312', { language: 'English', voltage_level: 'no power', GSM_signal: 'none' }],
    [layouts.STATUS, '0000000300', { language: 'no reply needed', terminal_information: 'none; alarm: none' }],
    [layouts.STATUS, 'bf00000303', { language: 'other', terminal_information: 'armed, ACC on, charging, fuel cut; alarm: removal' }],
    [layouts.HEARTBEAT_VOLTAGE, '050f92040001', { language: 'Chinese', voltage: '39.86 V' }],
    [layouts.ZONE, '3200', { time_zone_and_language: '480 min ahead of UTC' }],
    [layouts.ZONE, '3201', { time_zone_and_language: '480 min ahead of UTC, Chinese' }],
    [layouts.ZONE, '3202', { time_zone_and_language: '480 min ahead of UTC, English' }],
    [layouts.ZONE, '12ca', { time_zone_and_language: '-180 min ahead of UTC, English' }],
    [layouts.ZONE, '03d0', { time_zone_and_language: 'no time zone' }],
    [layouts.UPLOAD, '000001', { ACC: 'off', upload_mode: 'time interval', re_upload: 'stored' }],
    [layouts.UPLOAD, '010f00', { ACC: 'on', upload_mode: 'leaving tracking mode', re_upload: 'live' }],
    [layouts.UPLOAD, '011000', { ACC: 'on', upload_mode: 'unknown' }],
    [layouts.FENCE, 'ff', { fence_number: 'none' }],
    [layouts.FENCE, '00', { fence_number: '0' }],
    [layouts.LBS9, '81cc0002287d001f71', { MCC: '460' }],
    [
      layouts.GPS12,
      'cc03a23c24079469a657d913',
      { gps_information: '12 satellites', course_and_status: '275°, positioned, south, west, ACC on' },
    ],
    [layouts.GPS12, 'c003a23c24079469a6576413', { course_and_status: '19°, not positioned, differential, north, east, ACC off' }],
  ])('say what their bytes mean: %o', (layout, bytes, expected) => {
    const shown: Record<string, string | undefined> = {};
    layout.explain(bytesOf(bytes), 0, (_at, _length, name, _raw, value) => {
      shown[name] = value;
    });
    expect(shown).toMatchObject(expected);
  });

  it('of status, heartbeat and login agree too', () => {
    const bytes = bytesOf('787825160b0b0f0e241dcf027ac8870c4657e60014020901cc00287d001f726506040101003656a40d0a');
    expect(layouts.STATUS.parse(bytes, 31)).toEqual({ terminal_information: 0x65, voltage_level: 6, GSM_signal: 4, alarm: 1, language: 1 });
    expect(layouts.ZONE.parse(bytesOf('3200'), 0)).toEqual({ time_zone_and_language: 0x3200 });
    expect(layouts.IMEI.parse(bytesOf(LOGIN), 4)).toEqual({ IMEI: '0123456789012345' });
    expect(layouts.HEARTBEAT_VOLTAGE.parse(bytesOf('050f92040002'), 0)).toEqual({
      terminal_information: 5,
      voltage: 0x0f92,
      GSM_signal: 4,
      language: 2,
    });
  });
});

describe('explain', () => {
  const notes = (text: string): { at: number; length: number; name: string; raw: string; value: string | undefined }[] => {
    const bytes = bytesOf(text);
    const list: { at: number; length: number; name: string; raw: string; value: string | undefined }[] = [];
    const feed = new Feed(gt06, 'tcp');
    gt06.tcp?.explain?.(bytes, 0, bytes.length, feed.state, (at, length, name, raw, value) => list.push({ at, length, name, raw, value }));
    return list;
  };

  it('annotates an alarm with its LBS and status bits', () => {
    const list = notes('787825160b0b0f0e241dcf027ac8870c4657e60014020901cc00287d001f726506040101003656a40d0a');
    const named = new Map(list.map((note) => [note.name, note]));
    expect(named.get('MCC')?.value).toBe('460');
    expect(named.get('cell_id')?.raw).toBe('001f72');
    expect(named.get('terminal_information')?.value).toBe('armed, charging, GPS on; alarm: SOS');
    expect(named.get('latitude')?.value).toBe('23.111755 °');
    expect(named.get('course_and_status')?.value).toBe('2°, positioned, north, east');
    expect(named.get('CRC')?.value).toBe('right');
    expect([named.get('year')?.value, named.get('month')?.raw]).toEqual(['2011', '11']);
  });

  it('has one note for each byte of every frame, which shows it', () => {
    for (const text of samples()) {
      const bytes = bytesOf(text);
      let next = 0;
      for (const { at, length, name, raw, value } of notes(text)) {
        expect(at, `gap or overlap before ${name} of ${text}`).toBe(next);
        next = at + length;
        const digits = hex(bytes, at, next);
        const shown = [digits, String(BigInt(`0x${digits}`)), new TextDecoder('ascii').decode(bytes.subarray(at, next))];
        expect(shown, `${name} of ${text}`).toContain(raw);
        expect(value, name).not.toBe('undefined');
      }
      expect(next, text).toBe(bytes.length);
    }
  });

  const GPS18 = '1a070f0c2238cc03a23c24079469a657d913';
  /** Names behind the position, and the bytes of each. */
  const behind = (number: number, content: string, long = false): string[] => {
    const [head, size] = long
      ? ['7979', (content.length / 2 + 5).toString(16).padStart(4, '0')]
      : ['7878', (content.length / 2 + 5).toString(16).padStart(2, '0')];
    const list = notes(`${head}${size}${number.toString(16).padStart(2, '0')}${content}000100000d0a`);
    return list.slice(3, -3).flatMap(({ name, length }) => (POSITION.has(name) ? [] : [`${name} ${length}`]));
  };
  const POSITION = new Set([
    'year',
    'month',
    'day',
    'hour',
    'minute',
    'second',
    'gps_information',
    'latitude',
    'longitude',
    'speed',
    'course_and_status',
  ]);
  const STATUS = ['terminal_information 1', 'voltage_level 1', 'GSM_signal 1', 'alarm 1', 'language 1'];
  const CELLS = ['LAC 2', 'cell_id 3', 'RSSI 1', 'LAC 2', 'cell_id 3', 'RSSI 1', 'LAC 2', 'cell_id 3', 'RSSI 1'];
  const LBS = ['LBS_length 1', 'MCC 2', 'MNC 1', 'LAC 2', 'cell_id 3'];
  it.each([
    [0x26, '0901cc00287d001f714605040302', [...LBS, ...STATUS]],
    [0x26, '0901cc00287d001f7146050403020001e240', [...LBS, ...STATUS, 'mileage 4']],
    [0x27, '0901cc00287d001f714605040302ff', [...LBS, ...STATUS, 'fence_number 1']],
    [0x26, '004605040302', ['LBS_length 1', ...STATUS]],
    [0x27, '004605040302ff', ['LBS_length 1', ...STATUS, 'fence_number 1']],
    [0x16, `00${'00'.repeat(45)}4605040302`, ['LBS_length 1', 'filler 45', ...STATUS]],
    // The standard alarm and RFID 8; VXT01; SEEWORLD; a length of none.
    [0x16, '0801cc00287d001f714605040302000001453f920100', [...LBS, ...STATUS, 'content 8']],
    [0x16, '02d40a0f5e00a1b24604b04a00', ['content 13']],
    [0x16, '0901cc00287d0012345646503e0102', ['content 15']],
    [0x26, '0901cc0000', ['content 23']],
    [0x26, '0901cc00287d001f71', ['content 9']],
    // A byte of the status is missing, of each form of the cell.
    [0x26, '0901cc00287d001f7146050403', ['content 13']],
    [0x27, '0981cc0001287d001f7146050403', ['content 14']],
    [0x26, '0901cc00287d001f71460504', ['content 12']],
    [0xa4, `0901cc00${'0000287d'}${'0000000000001f71'}46050403`, ['content 20']],
    [
      0xa4,
      `0901cc00${'0000287d'}${'0000000000001f71'}4605040302ff`,
      ['LBS_length 1', 'MCC 2', 'MNC 1', 'LAC 4', 'cell_id 8', ...STATUS, 'fence_number 1'],
    ],
  ])('of an alarm %d with %s behind the position names what decode reads', (number, tail, expected) => {
    expect(behind(number, GPS18 + tail)).toEqual(expected);
  });

  it.each([
    // The cell of a SEEWORLD has four bytes; NT and QH302R begin otherwise.
    [0x22, `${GPS18}01cc00287d00001f71${'00'.repeat(15)}`, ['content 24']],
    [0x22, `01${'0123456789012345'}${'00'.repeat(46)}`, ['content 55']],
    [0x12, `${'81'.repeat(34)}`, ['content 34']],
    [0x12, `${GPS18}01cc00287d001f71${'00'.repeat(8)}`, ['MCC 2', 'MNC 1', 'LAC 2', 'cell_id 3', 'content 8']],
    // The first manual: one area, cells of three bytes. Six bytes of a date, then a network.
    [0x18, `${GPS18.slice(0, 12)}01cc00287d${'1f7146'.repeat(7)}`, ['MCC 2', 'MNC 1', 'content 23']],
    // LW4G.
    [0xa2, `${GPS18}01cc000000287d0000000000001f71${'00'.repeat(26)}`, ['MCC 2', 'MNC 1', 'LAC 4', 'cell_id 8', 'content 26']],
    // A position with a card.
    [0x17, `${GPS18}01cc00287d001f71${'00'.repeat(9)}`, ['MCC 2', 'MNC 1', 'LAC 2', 'cell_id 3', 'content 9']],
    [0x17, `${GPS18}01cc00287d001f71${'00'.repeat(8)}`, ['MCC 2', 'MNC 1', 'LAC 2', 'cell_id 3', 'content 8']],
    // Cell and status; a byte less; the SPACE10X.
    [0x19, '01cc00287d001f714605040302', ['MCC 2', 'MNC 1', 'LAC 2', 'cell_id 3', ...STATUS]],
    [0x19, '01cc00287d001f7146050403', ['content 12']],
    [0x19, `01cc00287d001f714605040302${'00'.repeat(5)}`, ['content 18']],
    [0xa5, `01cc000000287d0000000000001f714605040302`, ['MCC 2', 'MNC 1', 'LAC 4', 'cell_id 8', ...STATUS]],
    // The standard layouts in the same lengths.
    [0x22, `${GPS18}01cc00287d001f71${'00'.repeat(29)}`, ['MCC 2', 'MNC 1', 'LAC 2', 'cell_id 3', 'content 29']],
    [0x12, `${GPS18}01cc00287d001f71${'00'.repeat(16)}`, ['MCC 2', 'MNC 1', 'LAC 2', 'cell_id 3', 'content 16']],
    [0x12, `${'81'.repeat(55)}`, ['MCC 2', 'MNC 2', 'LAC 2', 'cell_id 3', 'content 28']],
    [0x2d, `${GPS18}01cc00287d00001f71${'00'.repeat(15)}`, ['content 24']],
    [
      0x28,
      `${GPS18.slice(0, 12)}01cc00${'287d001f7146'.repeat(3)}${'00'.repeat(5)}`,
      ['MCC 2', 'MNC 1', ...CELLS, 'timing advance 1', 'language 2', 'content 2'],
    ],
    [0x19, `01cc00287d001f714605040302${'00'.repeat(4)}`, ['MCC 2', 'MNC 1', 'LAC 2', 'cell_id 3', ...STATUS, 'content 4']],
  ])('of a message %d with a layout of a family names no other: %s', (number, content, expected) => {
    expect(behind(number, content)).toEqual(expected);
  });

  it.each([
    [0x15, false, `07${'00000007'}4f4b210002`, ['length 1', 'server_flag 4', 'text 3', 'language 2']],
    [0x15, true, `07${'00000007'}4f4b210002`, ['length 1', 'server_flag 4', 'text 3', 'language 2']],
    [0x15, true, `0007${'00000007'}4f4b210002`, ['length 2', 'server_flag 4', 'text 3', 'language 2']],
    [0x81, true, `0007${'00000007'}4f4b21`, ['length 2', 'server_flag 4', 'text 3']],
    [0x15, false, `00${'00000007'}4f4b210002`, ['length 1', 'server_flag 4', 'text 3', 'language 2']],
    [0x15, false, `09${'00000007'}4f4b210002`, ['length 1', 'server_flag 4', 'text 5']],
    [0x15, false, `0a${'00000007'}4f4b210002`, ['length 1', 'server_flag 4', 'text 3', 'language 2']],
    [0x15, false, `03${'00000007'}4f4b210002`, ['length 1', 'server_flag 4', 'text 3', 'language 2']],
    [0x15, true, `ffff${'00000007'}4f4b210002`, ['length 1', 'server_flag 4', 'text 4', 'language 2']],
  ])('of a reply %d names what decode reads: %s %s', (number, long, content, expected) => {
    expect(behind(number, content, long)).toEqual(expected);
  });

  const VOLTAGE = ['voltage 2'];
  const IDENTITIES = ['IMEI 8', 'IMSI 8', 'ICCID 10'];
  it.each([
    ['00', '0531', VOLTAGE],
    ['00', '053101', [...VOLTAGE, 'content 1']],
    ['0a', '00'.repeat(26), IDENTITIES],
    ['0a', '00'.repeat(25), ['content 25']],
    ['0b', '00'.repeat(26), ['content 26']],
    ['09', '00'.repeat(26), ['content 26']],
    ['04', Buffer.from('ALM1=45').toString('hex'), ['content 7']],
  ])('of information %s %s names the fields of its sub-type', (type, data, expected) => {
    expect(behind(0x94, type + data, true)).toEqual(['sub-type 1', ...expected]);
  });

  it('of information in a short frame names its voltage', () => {
    expect(behind(0x94, '0531')).toEqual(VOLTAGE);
  });
});
