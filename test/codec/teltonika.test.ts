import { describe, expect, it } from 'vitest';
import teltonika from '../../codecs/teltonika/index.ts';
import { decodeSms24, splitDataSms } from '../../codecs/teltonika/sms.ts';
import { ascii } from '../../src/base/wire/index.ts';
import { Stop } from '../../src/codec/frame/splitter.ts';
import { Feed, feed } from '../../src/codec/kit/feed.ts';
import { bytesOf, fixtureTests, frameLines } from '../helpers/fixtures.ts';
import { vectorTests } from '../helpers/vectors.ts';

fixtureTests(teltonika);

vectorTests(teltonika, {
  attributeMap: {
    // The vectors give the voltage in mV, the records in V.
    tag1Voltage: (value) => ({ name: 'tag_1_battery_v', value: Number(value) / 1000 }),
    driverUniqueId: (value) => ({ name: 'driver_id', value }),
  },
});

function fixture(id: string): Uint8Array {
  const line = frameLines('teltonika').find((candidate) => candidate.id === id);
  if (line === undefined) throw new Error(`no fixture ${id}`);
  return bytesOf(line.hex);
}

describe('teltonika recognise', () => {
  it.each([
    ['000f333536333037303432343431303133', true],
    ['ff000f333536333037303432343431303133', true],
    ['000f3335', undefined],
    ['00', undefined],
    ['ff', undefined],
    ['00000000', true],
    ['003dcafe0105000f333532303933303836343033363535080100', true],
    ['003dcafe0105', undefined],
    ['000f33353a', false],
    ['474554202f20485454502f312e31', false],
    ['160301020001000200', false],
    ['78780d01012345678901234500018cdd0d0a', false],
    ['2a48512c3132333435363738392c56312c', false],
    ['2441060001021704', false],
    ['5353482d322e302d', false],
  ])('%s: %s', (hex, expected) => {
    expect(teltonika.recognise(bytesOf(hex), 0, bytesOf(hex).length)).toBe(expected);
  });

  it('never changes its mind as more bytes arrive', () => {
    for (const line of frameLines('teltonika')) {
      const bytes = bytesOf(line.hex);
      let verdict: boolean | undefined;
      for (let end = 1; end <= bytes.length; end++) {
        const now = teltonika.recognise(bytes, 0, end);
        if (verdict !== undefined) expect(now, `${line.id} at ${end}`).toBe(verdict);
        verdict = now;
      }
    }
  });
});

describe('teltonika stream', () => {
  it.each([
    ['HTTP', '474554202f20485454502f312e310d0a'],
    ['a length of zero', '00000000000000000801'],
    ['a length of 4 GiB', '00000000ffffffff0801'],
    ['a preamble that is not zero', '0000000100000036'],
    ['21 digits', `0015${'31'.repeat(21)}`],
  ])('is lost behind %s', (_what, hex) => {
    const connection = feed(teltonika, 'tcp', [bytesOf(hex)]);
    expect([connection.stopped, connection.frames.length]).toEqual([Stop.TooLong, 0]);
  });

  it('reads a record without a fix, whatever came before it on another connection', () => {
    const before = JSON.stringify(feed(teltonika, 'tcp', [fixture('codec-8-smallest')]).frames);
    for (const line of frameLines('teltonika')) {
      feed(teltonika, line.transport, [bytesOf(line.hex)], { options: line.options ?? {} });
      expect(JSON.stringify(feed(teltonika, 'tcp', [fixture('codec-8-smallest')]).frames), `behind ${line.id}`).toBe(before);
    }
  });

  it('gives a record the same bytes of its own on TCP and UDP', () => {
    const own = (id: string, transport: 'tcp' | 'udp'): string => {
      const bytes = fixture(id);
      const [frame] = feed(teltonika, transport, [bytes]).frames;
      const row = frame?.rows[0];
      return Buffer.from(bytes.subarray(row?.from, row?.to)).toString('hex');
    };
    expect(own('codec-8-south-west', 'tcp')).toBe(own('udp-south-west', 'udp'));
    expect(own('codec-8-south-west', 'tcp').length).toBe(2 * 47);
  });

  it('reads a stored frame under the options it arrived with', () => {
    const bad = fixture('bad-checksum');
    const counting = new Feed(teltonika, 'tcp', { options: { integrity: 'count', family: 'fmx6' } });
    counting.push(bad);
    const [frame] = counting.frames;
    expect(frame?.damaged).toBe('checksum');
    const later = new Feed(teltonika, 'tcp', { options: { integrity: 'verify', family: 'fm' }, memo: frame?.memo ?? 0 });
    expect(later.decode(bad, 0, bad.length).rows).toEqual(frame?.rows);
  });
});

describe('teltonika SMS (codecs/teltonika/protocol.md section 10)', () => {
  /** Bits, the least significant of each byte first, as the document orders them. */
  function pack(fields: readonly (readonly [value: number, bits: number])[]): Uint8Array {
    const bits = fields.flatMap(([value, count]) => Array.from({ length: count }, (_, k) => Math.floor(value / 2 ** k) % 2));
    const out = new Uint8Array(Math.ceil(bits.length / 8));
    bits.forEach((bit, k) => {
      out[k >> 3] = (out[k >> 3] ?? 0) | (bit << (k & 7));
    });
    return out;
  }
  const longitude = (degrees: number): number => Math.round(((degrees + 180) / 360) * (2 ** 21 - 1));
  const latitude = (degrees: number): number => Math.round(((degrees + 90) / 180) * (2 ** 20 - 1));

  const head: [number, number][] = [
    [4, 8],
    [788918400, 35],
    [3, 5],
  ];
  const elements: [number, number][] = [
    [1, 1],
    [0, 1],
    [longitude(25.3), 21],
    [latitude(54.7), 20],
    [50, 8],
    [0, 1],
    [1, 1],
    [1, 1],
    [100 + 2 ** 13 - 1, 14],
    [2 ** 13 - 1 - 40, 14],
    [60, 8],
  ];
  const used = [...head, ...elements].reduce((sum, [, bits]) => sum + bits, 0);
  const bytes = pack([...head, ...elements, [0, (8 - (used % 8)) % 8], [356307042441013, 64]]);

  it('reads absolute, missing and differential positions', () => {
    const sms = decodeSms24(bytes);
    expect(sms?.imei).toBe('356307042441013');
    expect(sms?.positions.map(({ time, speedKmh }) => [new Date(time).toISOString(), speedKmh])).toEqual([
      ['2024-12-30T22:00:00.000Z', 50],
      ['2024-12-31T00:00:00.000Z', 60],
    ]);
    expect(sms?.positions[0]?.latitude).toBeCloseTo(54.7, 3);
    expect(sms?.positions[0]?.longitude).toBeCloseTo(25.3, 3);
    // Previous less current: 100 steps west, 40 steps north.
    expect(sms?.positions[1]?.longitude).toBeCloseTo(25.3 - (100 * 360) / 2 ** 21, 3);
    expect(sms?.positions[1]?.latitude).toBeCloseTo(54.7 + (40 * 180) / 2 ** 20, 3);
  });

  it('refuses what is cut short or something else', () => {
    expect(decodeSms24(bytes.subarray(0, bytes.length - 1))).toBeUndefined();
    expect(decodeSms24(Uint8Array.of(8, 0, 0))).toBeUndefined();
    expect(decodeSms24(new Uint8Array(0))).toBeUndefined();
  });

  it('parts a data SMS into data field and IMEI', () => {
    const frame = fixture('codec-8-smallest');
    const data = frame.subarray(8, frame.length - 4);
    const sms = new Uint8Array(data.length + 8);
    sms.set(data);
    new DataView(sms.buffer).setBigUint64(data.length, 356307042441013n);
    expect(splitDataSms(sms)).toEqual({ imei: '356307042441013', end: data.length });
    expect(splitDataSms(data.subarray(0, 5))).toBeUndefined();
  });
});

describe('teltonika names', () => {
  it('are bounded sets, in printable ASCII', () => {
    for (const name of [...teltonika.messages, ...teltonika.reasons]) {
      expect(name).toMatch(/^[a-z0-9_]+$/);
      expect(ascii(Buffer.from(name), 0, name.length)).toBe(name);
    }
  });
});
