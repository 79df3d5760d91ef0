import { describe, expect, it } from 'vitest';
import jt808 from '../../codecs/jt808/index.ts';
import { bytesOf, frameLines, RecordFeed } from '../helpers/fixtures.ts';
import { jt808Frame, jt808Message, jt808Report as report } from '../helpers/jt808.ts';

/** What a connection learns: alarms that are on, and the maker. */

const lines = new Map(frameLines('jt808').map((line) => [line.id, line.hex]));

function connect(settings: { adopt?: number; options?: Record<string, string> } = {}): RecordFeed {
  return new RecordFeed(jt808, 'tcp', settings);
}

function eventOf(connection: RecordFeed, frame: Uint8Array): unknown {
  connection.feed.push(frame);
  return connection.records.at(-1)?.[0]?.['event'];
}

const memoBehind = (connection: RecordFeed): number => jt808.tcp?.memo?.(connection.feed.state) ?? 0;

describe('alarm bits', () => {
  it('are an event when they rise, and again when they come back', () => {
    const connection = connect();
    const events = [0, 0x100, 0x100, 0, 0x100].map((word, n) => eventOf(connection, report(word, '', n)));
    expect(events).toEqual([undefined, 'power_cut', undefined, undefined, 'power_cut']);
  });

  it('are no new ones behind a reconnect', () => {
    const first = connect();
    expect(eventOf(first, report(0x100))).toBe('power_cut');
    const second = connect({ adopt: memoBehind(first) });
    expect(eventOf(second, report(0x101))).toBe('sos');
    expect(eventOf(second, report(0x101))).toBeUndefined();
  });

  it('of stored reports that are older than another are compared with what is known, and change nothing', () => {
    const connection = connect();
    // The stored reports of 2026-11-29 clear it: this connection has told nothing newer.
    expect(eventOf(connection, report(0x100))).toBe('power_cut');
    connection.feed.push(bytesOf(lines.get('j17') ?? ''));
    expect(memoBehind(connection)).toBe(0);
    expect(eventOf(connection, report(0x100))).toBe('power_cut');
    const before = memoBehind(connection);
    connection.feed.push(bytesOf(lines.get('j17') ?? ''));
    expect(memoBehind(connection)).toBe(before);
  });

  it('7 is the battery of a unit that tells its own voltage only', () => {
    expect(eventOf(connect(), report(0x80))).toBe('low_external');
    expect(eventOf(connect(), report(0x80, '69020190'))).toBe('low_battery');
    expect(eventOf(connect(), report(0x80, '690201900104000027100302000a'))).toBe('low_battery');
    expect(eventOf(connect(), report(0x80, '6902019061020500'))).toBe('low_external');
  });

  it('of parts and pre-warnings are events, too, each of its own', () => {
    const connection = connect();
    const words = [0x800, 0x800, 0x1800, 0x1000, 0x1800, 0, 0x4000];
    const events = words.map((word, n) => eventOf(connection, report(word, '', n)));
    expect(events).toEqual(['unknown_11', undefined, 'unknown_12', undefined, 'unknown_11', undefined, 'unknown_14']);
    const behind = connect({ adopt: memoBehind(connection) });
    expect([0x4000, 0x6000].map((word, n) => eventOf(behind, report(word, '', n)))).toEqual([undefined, 'unknown_13']);
  });

  it('of parts are known beside three others over a reconnect, and beside more of them as all', () => {
    const connection = connect();
    const bsj = 'eb29000c00b28988228066613427450900060089ffffffff000600c5ffffffff0004002d0fa5000300a85c';
    eventOf(connection, report(0x80008a01, bsj));
    const memo = memoBehind(connection);
    expect(jt808.tcp?.describeMemo?.(memo)).toEqual({ dialect: 'bsj', alarms: '0x80008a01' });
    const behind = connect({ adopt: memo });
    expect([0x80008a01, 0x80009a01].map((word, n) => eventOf(behind, report(word, '', n)))).toEqual([undefined, 'unknown_12']);
    expect(eventOf(behind, report(0x80009a21))).toBe('gnss_antenna_cut');
    expect(jt808.tcp?.describeMemo?.(memoBehind(behind))).toEqual({ dialect: 'bsj', alarms: '0x8000fe21' });
    expect(eventOf(behind, report(0x8000be21))).toBeUndefined();
  });

  it('29 and 30 are one collision', () => {
    const connection = connect();
    expect([0x40000000, 0x20000000, 0].map((word, n) => eventOf(connection, report(word, '', n)))).toEqual([
      'collision',
      undefined,
      undefined,
    ]);
  });

  it('read from memos of before parts and pre-warnings were told apart as they did', () => {
    // Dialect bsj; power cut (8), vibration (15) and door (31) on.
    const before = 1 | (0x100 << 4) | (0x10001 << 13);
    expect(jt808.tcp?.describeMemo?.(before)).toEqual({ dialect: 'bsj', alarms: '0x80008100' });
    const connection = connect({ adopt: before });
    expect(eventOf(connection, report(0x80008100))).toBeUndefined();
    expect(eventOf(connection, report(0x80008101))).toBe('sos');
    // Bit 30: one of parts and pre-warnings; which one it does not say.
    const grouped = 1 | (1 << 30);
    expect(jt808.tcp?.describeMemo?.(grouped)).toEqual({ dialect: 'bsj', alarms: '0x7e00' });
    expect(eventOf(connect({ adopt: grouped }), report(0x2000))).toBeUndefined();
  });

  it('of a supply that is switched off or a false base station are told once', () => {
    const connection = connect();
    const items = ['eb0800060089fffffffe', 'eb0800060089fffffffe', '', 'eb08000600897fffffff'];
    expect(items.map((item, n) => eventOf(connection, report(0, item, n)))).toEqual(['power_off', undefined, undefined, 'jamming']);
  });

  it('of locks are levels like those of the alarm word', () => {
    const connection = connect();
    const frame = (alarms: string): Uint8Array => {
      const body = `27061008045322332880113555602e050031010000000608000010931435030002${alarms}`;
      return jt808Frame(`5501002370016081800001${body}`);
    };
    const events = ['0001', '0009', '0009', '0000', '0001'].map((alarms) => eventOf(connection, frame(alarms)));
    expect(events).toEqual(['overspeed', 'low_battery', undefined, undefined, 'overspeed']);
  });

  it('come from items that tell the same, once', () => {
    const connection = connect();
    const removed = 'eb0800060089ffffefff';
    expect([1, 2].map((n) => eventOf(connection, report(0, removed, n)))).toEqual(['tamper', undefined]);
    expect(jt808.tcp?.describeMemo?.(memoBehind(connection))).toMatchObject({ dialect: 'bsj' });
  });
});

describe('the maker', () => {
  it('is learned from a sure sign, stays, and is known behind a reconnect', () => {
    const connection = connect();
    connection.feed.push(bytesOf(lines.get('j30') ?? ''));
    expect(jt808.tcp?.describeMemo?.(memoBehind(connection))).toMatchObject({ dialect: 'jimi' });
    connection.feed.push(report(0, 'eb0800060089ffffefff'));
    expect(jt808.tcp?.describeMemo?.(memoBehind(connection))).toMatchObject({ dialect: 'jimi' });
    const again = connect({ adopt: memoBehind(connection) });
    expect(jt808.tcp?.describeMemo?.(memoBehind(again))).toMatchObject({ dialect: 'jimi' });
  });

  const dialectBehind = (frame: Uint8Array): string => {
    const connection = connect();
    connection.feed.push(frame);
    return jt808.tcp?.describeMemo?.(memoBehind(connection))['dialect'] ?? '';
  };
  it.each([
    ['JC371', 'jimi'],
    ['VL502', 'jimi'],
    ['VL402', ''],
    ['XJC371', ''],
    ['XVL502', ''],
    ['BSJ-A6', 'bsj'],
    ['XBSJ-A6', ''],
    ['C5', 'c5'],
    ['C5L', 'c5'],
    ['C5LX', ''],
    ['XC5', ''],
    ['W15L', 'seeworld'],
    ['W15L-A', 'seeworld'],
    ['W15', ''],
    ['XW15L', ''],
    ['G10LS', 'g10ls'],
    ['XG10LS', ''],
    ['G-360P', 'padlock'],
    ['G508P', 'padlock'],
    ['G-361P', ''],
    ['XG-360P', ''],
    ['MV710G', 'mv'],
    ['MV810G', 'mv'],
    ['MV910G', ''],
    ['XMV710G', ''],
  ])('is told by the model %s: "%s"', (model, dialect) => {
    const name = Buffer.from(model.padEnd(20, '\0')).toString('hex');
    const register = `002c012c3730313131${name}${Buffer.from('A000001').toString('hex')}00${'00'.repeat(4)}`;
    expect(dialectBehind(jt808Message('0100', register))).toBe(dialect);
  });

  it.each([
    ['6102000bf30101', 'g10ls'],
    ['6102000bf4020001', 'g10ls'],
    ['f30101', ''],
    ['f4020001', ''],
    ['6102000bf303010203', ''],
    ['6102000bf407aabbccddeeffc4', ''],
  ])('is told by items that only a G10LS sends together: %s: "%s"', (items, dialect) => {
    expect(dialectBehind(report(0, items))).toBe(dialect);
  });

  const none = { mode: undefined, charging: undefined };
  it.each([
    ['g10ls', 'f60405000001', { mode: 5, charging: true }],
    ['g10ls', 'f60405000002', { mode: 5, charging: false }],
    ['g10ls', 'f603050000', none],
    ['g10ls', 'f6050500000100', none],
    ['standard', 'f60405000001', none],
    ['bsj', 'f60405000001', none],
    ['aovx', 'f604020100c8', { ...none, event_code: 2, motion: true }],
    ['standard', 'f6020064', { ...none, air_pressure: 100 }],
  ])('changes what F6 means: %s, %s: %j', (dialect, items, expected) => {
    const connection = connect({ options: { dialect } });
    connection.feed.push(report(0, items));
    const attrs: Record<string, unknown> = { ...Object(connection.records.at(-1)?.[0]?.['attrs']) };
    expect(Object.fromEntries(Object.keys(expected).map((name) => [name, attrs[name]]))).toEqual(expected);
  });

  it('named by the operator is not learned over, and is in no memo', () => {
    const connection = connect({ options: { dialect: 'g10ls' } });
    connection.feed.push(bytesOf(lines.get('j30') ?? ''));
    expect(memoBehind(connection) & 15).toBe(0);
  });
});

describe('the zone', () => {
  it('is the standard one, the one of the option, or the one that the report says', () => {
    const time = (options: Record<string, string>): unknown => {
      const connection = connect({ options });
      connection.feed.push(report(0));
      return connection.records.at(-1)?.[0]?.['time'];
    };
    expect(time({})).toBe(Date.UTC(2026, 9, 1, 0, 0, 1));
    expect(time({ time_zone: 'utc' })).toBe(Date.UTC(2026, 9, 1, 8, 0, 1));
    expect(time({ time_zone: '-03:30' })).toBe(Date.UTC(2026, 9, 1, 11, 30, 1));
  });
});

describe('explain', () => {
  const notes = (frame: Uint8Array): string[] => {
    const connection = connect();
    const list: string[] = [];
    let next = 0;
    jt808.tcp?.explain?.(frame, 0, frame.length, connection.feed.state, (at, length, name, _raw, value) => {
      expect(at).toBe(next);
      next = at + length;
      list.push(value === undefined ? name : `${name}: ${value}`);
    });
    expect(next).toBe(frame.length);
    return list;
  };

  it('names the fields and items of a location, with escapes, byte by byte', () => {
    expect(notes(bytesOf(lines.get('j12') ?? '')).slice(5, -2)).toEqual([
      'alarm flags',
      'status: bits 0, 1, 2, 3, 18, 19',
      'latitude: 23.550520',
      'longitude: 46.633308',
      'altitude: 760 m',
      'speed: 12.6 km/h',
      'course: 125°',
      'time: 2026-11-29 09:30:00',
      'item 01: mileage, 0.1 km',
      'item 30: signal',
      'item 31: satellites',
      'item 61: external voltage, 0.01 V',
    ]);
  });

  it('leaves no byte out of any frame at hand', () => {
    for (const { hex } of frameLines('jt808')) notes(bytesOf(hex));
  });
});
