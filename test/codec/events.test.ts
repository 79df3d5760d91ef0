import { describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import h02 from '../../codecs/h02/index.ts';
import jt808 from '../../codecs/jt808/index.ts';
import queclink from '../../codecs/queclink/index.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import { crc16Arc, crc16X25, putU16be } from '../../src/base/wire/index.ts';
import type { Codec } from '../../src/codec/index.ts';
import { Random } from '../../src/codec/kit/index.ts';
import { bytesOf, frameLines, RecordFeed } from '../helpers/fixtures.ts';
import { jt808Frame } from '../helpers/jt808.ts';

/**
 * Every alarm that rises is told at once by exactly one event, whatever else rises with it; two that mean the same are told by one. Words of
 * alarms are drawn from a seed; what a bit means is what it gives when it rises alone.
 */

const ROUNDS = 300;
const hex = (n: number, width: number): string => (n >>> 0).toString(16).padStart(width, '0');
const sorted = (events: readonly unknown[]): string[] => events.map(String).toSorted();

class Connection {
  readonly #feed: RecordFeed;

  constructor(codec: Codec, options: Record<string, string> = {}, first: readonly Uint8Array[] = []) {
    this.#feed = new RecordFeed(codec, 'tcp', { options });
    for (const frame of first) this.#feed.feed.push(frame);
  }

  /** Events of the frame, all records of which are different ones. */
  events(frame: Uint8Array): unknown[] {
    const before = this.#feed.records.length;
    this.#feed.feed.push(frame);
    const records = this.#feed.records.slice(before).flat();
    expect(records.length).toBeGreaterThan(0);
    expect(new Set(records.map(({ id }) => id)).size).toBe(records.length);
    return records.flatMap(({ event }) => (event === undefined ? [] : [event]));
  }
}

/** Some of these bits, few or many. */
function draw(random: Random, bits: readonly number[]): number {
  const most = random.below(4);
  return bits.reduce((word, bit) => (random.below(4) <= most ? word | (1 << bit) : word), 0);
}

/** Sends words and expects of each the events of the bits that it has and the one before had not. */
function expectEdges(seed: number, bits: readonly number[], open: () => Connection, frame: (word: number, n: number) => Uint8Array): void {
  const name = new Map(bits.map((bit) => [bit, open().events(frame(1 << bit, 0))[0]]));
  const random = new Random(seed);
  const connection = open();
  let before = 0;
  for (let n = 1; n <= ROUNDS; n++) {
    const word = draw(random, bits);
    const fresh = bits.filter((bit) => ((word & ~before) >>> bit) & 1);
    const expected = new Set(fresh.flatMap((bit) => (name.get(bit) === undefined ? [] : [name.get(bit)])));
    expect(sorted(connection.events(frame(word, n))), `${hex(before, 8)} → ${hex(word, 8)}`).toEqual(sorted([...expected]));
    before = word;
  }
}

describe('JT/T 808: alarms that rise together', () => {
  /** A body of 2026-10-01, the n-th second of the day. */
  const body = (alarms: number, n: number, items = ''): string => {
    const time = [n / 3600, (n / 60) % 60, n % 60].map((part) => String(Math.floor(part)).padStart(2, '0')).join('');
    return `${hex(alarms, 8)}000000030311f0c80001f338001000000000261001${time}${items}`;
  };
  const message = (id: string, content: string): Uint8Array => jt808Frame(`${id}${hex(content.length / 2, 4)}0138123456780001${content}`);
  const report = (word: number, n: number): Uint8Array => message('0200', body(word, n));
  /** 9 to 14 share one bit of the memo; 30 means the same as 29. */
  const BITS = Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => bit < 9 || (bit > 14 && bit !== 30));

  it.each(['auto', 'g10ls', 'aovx', 'padlock', 'obd', 'bsj'])('are all told, of a unit of %s', (dialect) => {
    expectEdges(1, BITS, () => new Connection(jt808, { dialect }), report);
  });

  it('are all told in the 2019 edition', () => {
    expectEdges(
      2,
      BITS,
      () => new Connection(jt808),
      (word, n) => jt808Frame(`0200401c01000000000138123456780001${body(word, n)}`),
    );
  });

  it('are all told in a message of the maker with several positions', () => {
    expectEdges(
      3,
      BITS,
      () => new Connection(jt808),
      (word, n) => message('0210', `1c${body(word, n)}`),
    );
  });

  it('are all told by a lock', () => {
    // Behind its fixed part: product 3, status 2.
    const frame = (word: number, n: number): Uint8Array =>
      jt808Frame(`550100257001608180000127061008045${n % 10}22332880113555602e050031010000000608000010931435030002${hex(word, 4)}`);
    expectEdges(4, [0, 1, 2, 3, 5, 6], () => new Connection(jt808), frame);
  });

  it('faults of parts and pre-warnings are told one by one', () => {
    const connection = new Connection(jt808);
    expect(connection.events(report(0x600, 1))).toEqual(['unknown_9', 'unknown_10']);
    expect(connection.events(report(0xe00, 2))).toEqual(['unknown_11']);
    expect(connection.events(report(0xe00, 3))).toEqual([]);
  });

  it('the gravest is the event of the position; the others have status records of its time', () => {
    const feed = new RecordFeed(jt808, 'tcp', {});
    feed.feed.push(report(0x80000103, 5));
    const told = feed.records.flat().map(({ event, kind, time }) => [event, kind, time]);
    const time = Date.UTC(2026, 8, 30, 16, 0, 5);
    expect(told).toEqual([
      ['sos', 'fix', time],
      ['power_cut', 'status', time],
      ['door', 'status', time],
      ['overspeed', 'status', time],
    ]);
  });

  it('and all that items name, each once', () => {
    const connection = new Connection(jt808);
    // 57: acceleration and braking; E8: the supply is cut, as bit 8 says, and two collisions.
    const alarm = (type: string): string => `e813${type}10${'31'.repeat(16)}`;
    const items = `57080300000000000000${alarm('0c0e')}${alarm('0405')}${alarm('0416')}`;
    expect(connection.events(message('0200', body(0x101, 1, items)))).toEqual([
      'sos',
      'power_cut',
      'harsh_acceleration',
      'harsh_braking',
      'collision',
      'collision',
    ]);
    expect(connection.events(message('0200', body(0x101, 2)))).toEqual([]);
  });

  it('an alarm that lasts through a batch is one event, and through the next', () => {
    const batch = (type: number, from: number, words: readonly number[]): Uint8Array =>
      message('0704', `${hex(words.length, 4)}${hex(type, 2)}${words.map((word, n) => `001c${body(word, from + n)}`).join('')}`);
    const connection = new Connection(jt808);
    expect(connection.events(batch(1, 10, [0, 2, 2, 0x102, 0x100]))).toEqual(['overspeed', 'power_cut']);
    expect(connection.events(batch(1, 20, [0x100, 0x100, 0, 2, 2]))).toEqual(['overspeed']);
    expect(connection.events(report(0x102, 30))).toEqual(['power_cut']);
    // Older than the report: told again, for what was known then is not known any more; and nothing of it stays.
    expect(connection.events(batch(1, 1, [1, 1, 0]))).toEqual(['sos']);
    expect(connection.events(report(0x103, 31))).toEqual(['sos']);
  });
});

describe('H02: alarms that rise together', () => {
  it('are all told', () => {
    // Bit 10 is the ignition, 26 marks a stored record, 9, 13 and 27 are states. Several bits of one alarm are one.
    const bits = [1, 2, 3, 4, 7, 8, 24, 25, 5, 6, 17];
    const frame = (word: number, n: number): Uint8Array =>
      Uint8Array.from(
        `*HQ,4106011660,V1,${String(n % 24).padStart(2, '0')}${String(n % 60).padStart(2, '0')}${String(n % 59).padStart(2, '0')},A,5035.3129,N,00431.8211,E,000.20,000,131116,${hex(~word, 8).toUpperCase()}#`,
        (c) => c.charCodeAt(0),
      );
    expectEdges(5, bits, () => new Connection(h02), frame);
  });
});

describe('GT06: alarms of the terminal byte', () => {
  const frame = (content: string): Uint8Array => {
    const bytes = bytesOf(`7878${hex(content.length / 2 + 4, 2)}${content}000100000d0a`);
    putU16be(bytes, bytes.length - 4, crc16X25(bytes, 2, bytes.length - 4));
    return bytes;
  };
  const LOGIN = bytesOf('787811010123456789012345270100020001c2c80d0a');

  it('each change to another one is one event; what lasts behind a short one is none again', () => {
    const connection = new Connection(gt06, {}, [LOGIN]);
    const told = [0, 4, 2, 1, 2, 4, 4, 3, 0, 3].map((alarm) => connection.events(frame(`13${hex(alarm << 3, 2)}04040002`)));
    expect(told).toEqual([[], ['sos'], ['power_cut'], ['vibration'], [], ['sos'], [], ['low_battery'], [], ['low_battery']]);
  });

  it('a module with another alarm beside it is told, too', () => {
    const connection = new Connection(gt06, {}, [LOGIN]);
    const beat = (term: number, code: number): Uint8Array => frame(`36${hex(term, 2)}04040002001f01${hex(code, 2)}`);
    expect(connection.events(beat(0x10, 3))).toEqual(['power_cut', 'vibration']);
    expect(connection.events(beat(0x10, 3))).toEqual(['vibration']);
    expect(connection.events(beat(0, 2))).toEqual(['power_cut']);
    expect(connection.events(beat(0x10, 2))).toEqual(['power_cut']);
  });
});

describe('Teltonika: elements that change together', () => {
  /** Ignition, towing, crash, jamming, unplug, idling, harsh braking: all in every record, each of which says which one changed. */
  const ELEMENTS: ReadonlyArray<readonly [id: number, value: number, event: string]> = [
    [239, 1, 'ignition_on'],
    [246, 1, 'towing'],
    [247, 1, 'collision'],
    [249, 1, 'jamming'],
    [252, 1, 'power_cut'],
    [251, 1, 'idle'],
    [253, 2, 'harsh_braking'],
  ];

  it('each record tells the one that made it', () => {
    const io = ELEMENTS.map(([id, value]) => hex(id, 2) + hex(value, 2)).join('');
    const n = hex(ELEMENTS.length, 2);
    const rows = ELEMENTS.map(([id], k) => `0000018bcfe568${hex(k, 2)}01${'00'.repeat(15)}${hex(id, 2)}${n}${n}${io}000000`);
    const data = bytesOf(`08${n}${rows.join('')}${n}`);
    const frame = new Uint8Array(12 + data.length);
    frame.set(data, 8);
    const view = new DataView(frame.buffer);
    view.setUint32(4, data.length);
    view.setUint32(8 + data.length, crc16Arc(data, 0, data.length));
    const connection = new Connection(teltonika, {}, [bytesOf('000f333536333037303432343431303133')]);
    expect(connection.events(frame)).toEqual(ELEMENTS.map(([, , event]) => event));
  });
});

describe('Queclink: a report', () => {
  it('tells one event at most, however many positions it has', () => {
    for (const line of frameLines('queclink')) {
      const feed = new RecordFeed(queclink, 'tcp', {});
      feed.feed.push(bytesOf(line.hex));
      const told = feed.records.flat().filter(({ event }) => event !== undefined);
      expect(told.length, line.id).toBeLessThanOrEqual(1);
    }
  });
});
