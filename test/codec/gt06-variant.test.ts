import { describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import { Gt06State, memoOf, open, Variant } from '../../codecs/gt06/state.ts';
import { crc16X25, hex, putU16be } from '../../src/base/wire/index.ts';
import { kitOptions } from '../../src/codec/kit/feed.ts';
import { bytesOf, frameLines, RecordFeed } from '../helpers/fixtures.ts';

/** Which family a device is of: learned from several frames, kept, carried by the memo, set by the operator. */

const frames = new Map(frameLines('gt06').map((line) => [line.id, line.hex]));
const text = (id: string): string => frames.get(id) ?? '';
const HEARTBEAT = text('heartbeat-manual');
const R11 = text('heartbeat-r11');

function attrsOf(connection: RecordFeed, chunk: string): Record<string, unknown> {
  const before = connection.records.length;
  connection.feed.push(bytesOf(chunk));
  const attrs = connection.records[before]?.[0]?.['attrs'];
  return typeof attrs === 'object' && attrs !== null ? Object.fromEntries(Object.entries(attrs)) : {};
}

function connect(options: Record<string, string> = {}, memoValue = 0): RecordFeed {
  const connection = new RecordFeed(gt06, 'tcp', { options, memo: memoValue });
  connection.feed.push(bytesOf(text('login-utc')));
  return connection;
}

function spoilt(frame: string): string {
  const bytes = bytesOf(frame);
  bytes[bytes.length - 3] = (bytes[bytes.length - 3] ?? 0) ^ 1;
  return hex(bytes, 0, bytes.length);
}

describe('a variant', () => {
  it('is believed after three frames that only it explains, not after one', () => {
    const connection = connect();
    for (let n = 0; n < 3; n++) expect(attrsOf(connection, R11)['external_v']).toBeUndefined();
    expect(attrsOf(connection, R11)['external_v']).toBe(12.58);
  });

  it.each([
    ['12-4', 'vxt01'],
    ['16-2', 'vxt01'],
    ['12-5', 'benway'],
    ['location-seeworld', 'seeworld'],
    ['alarm-seeworld', 'seeworld'],
    ['heartbeat-seeworld', 'seeworld'],
    ['heartbeat-seeworld-long', 'seeworld'],
    ['a2-1', 'lw'],
    ['16-4', 'trx16i'],
    ['36-trx16i', 'trx16i'],
    ['heartbeat-r11', 'r11'],
    ['location-22-manual', undefined],
  ])('is learned from %s: %s', (id, variant) => {
    const connection = connect();
    for (let n = 0; n < 3; n++) attrsOf(connection, text(id));
    const learned = gt06.tcp?.describeMemo?.(gt06.tcp.memo?.(connection.feed.state) ?? 0)['variant'];
    expect(learned).toBe(variant);
  });

  it('is not learned from frames with a wrong checksum', () => {
    const connection = connect();
    for (let n = 0; n < 5; n++) attrsOf(connection, spoilt(R11));
    expect(attrsOf(connection, R11)['external_v']).toBeUndefined();
  });

  it('reads what a frame alone does not tell, once other frames told the family', () => {
    const connection = connect();
    const heartbeat = seal('78780a13460604000200010000 0d0a'.replace(' ', ''));
    expect(attrsOf(connection, heartbeat)['external_v']).toBeUndefined();
    for (let n = 0; n < 3; n++) attrsOf(connection, text('location-seeworld'));
    expect(attrsOf(connection, seal('78780a1346063e0c02000100000d0a'))['external_v']).toBe(12);
  });

  it('set by the operator is never learned over', () => {
    const connection = connect({ variant: 'standard' });
    for (let n = 0; n < 6; n++) attrsOf(connection, R11);
    expect(attrsOf(connection, R11)['external_v']).toBeUndefined();
    expect(attrsOf(connect({ variant: 'r11' }), R11)['external_v']).toBe(12.58);
  });

  it('is not given up for another that came between its own frames', () => {
    const connection = connect();
    for (let n = 0; n < 3; n++) attrsOf(connection, text('location-seeworld'));
    const learned = (): string | undefined => gt06.tcp?.describeMemo?.(gt06.tcp.memo?.(connection.feed.state) ?? 0)['variant'];
    const other = text('16-4');
    for (const frame of [other, other, text('location-seeworld'), other]) attrsOf(connection, frame);
    expect(learned()).toBe('seeworld');
    for (let n = 0; n < 2; n++) attrsOf(connection, other);
    expect(learned()).toBe('trx16i');
  });

  it('stays with its own connection when two are interleaved', () => {
    const r11 = connect();
    const plain = connect();
    for (let n = 0; n < 3; n++) {
      attrsOf(r11, R11);
      attrsOf(plain, HEARTBEAT);
    }
    expect(attrsOf(r11, text('heartbeat-r11-28v'))['external_v']).toBe(28.34);
    expect(attrsOf(plain, text('heartbeat-r11-28v'))['external_v']).toBeUndefined();
  });

  it('is there again after a reconnect, through the memo', () => {
    const first = connect();
    for (let n = 0; n < 3; n++) attrsOf(first, R11);
    const kept = gt06.tcp?.memo?.(first.feed.state) ?? 0;
    expect(kept).toBeGreaterThan(0);
    expect(attrsOf(connect({}, kept), R11)['external_v']).toBe(12.58);
  });

  it('changes what alarm codes mean', () => {
    const alarm = seal('787825160b0b0f0e241dcf027ac8870c4657e60014020901cc00287d001f726506042801003600000d0a');
    const eventOf = (options: Record<string, string>): unknown => {
      const connection = connect(options);
      connection.feed.push(bytesOf(alarm));
      return connection.records.at(-1)?.[0]?.['event'];
    };
    expect(eventOf({})).toBe('harsh_braking');
    expect(eventOf({ variant: 'vl103' })).toBe('power_off');
    expect(eventOf({ variant: 'seeworld' })).toBe('harsh_cornering');
  });
});

describe('the identity of a record', () => {
  const idOf = (frame: string): unknown => {
    const connection = connect();
    connection.feed.push(bytesOf(frame));
    return connection.records.at(-1)?.[0]?.['id'];
  };
  const change = (frame: string, at: number, value: number): string => {
    const bytes = bytesOf(frame);
    bytes[at] = value;
    return seal(hex(bytes, 0, bytes.length));
  };
  const fix = text('location-22-manual');

  it('is the same when the fix is sent again under another serial, and with the re-upload flag turned', () => {
    expect(idOf(change(fix, 34, 0x77))).toBe(idOf(fix));
    expect(idOf(change(fix, 32, 0))).toBe(idOf(fix));
  });
  it('is another one for another fix', () => {
    expect(idOf(change(fix, 9, 6))).not.toBe(idOf(fix));
    expect(idOf(change(fix, 31, 1))).not.toBe(idOf(fix));
  });
  it('tells two equal heartbeats apart by their serial: they have no time', () => {
    expect(idOf(change(HEARTBEAT, 10, 0x77))).not.toBe(idOf(HEARTBEAT));
  });
});

describe('the memo', () => {
  it('is 0 for a fresh connection and carries every combination', () => {
    const options = kitOptions(gt06, {});
    expect(memoOf(open(options, 0))).toBe(0);
    for (const zone of [Number.NaN, 0, -720, 345, 840])
      for (const variant of Object.values(Variant))
        for (const lock of [false, true]) {
          const state = new Gt06State(options, 0);
          if (!Number.isNaN(zone)) state.setZone(zone);
          state.variant = variant;
          state.lock = lock;
          const again = open(options, memoOf(state));
          expect([again.zone, again.variant, again.lock, again.localMs]).toEqual([zone, variant, lock, state.localMs]);
        }
  });
});

describe('the zone', () => {
  const timeOf = (connection: RecordFeed, id: string): unknown => {
    connection.feed.push(bytesOf(text(id)));
    return connection.records.at(-1)?.[0]?.['time'];
  };

  it('of PARAM# holds for later dates where the login gave none', () => {
    const connection = new RecordFeed(gt06, 'tcp', {});
    connection.feed.push(bytesOf(text('login-without-zone')));
    const before = timeOf(connection, 'location-12-manual');
    connection.feed.push(bytesOf(command('TimeZone:E,8,0;')));
    expect(timeOf(connection, 'location-12-manual')).toBe(Number(before) - 8 * 3600_000);
    // A zone word that is none gave none, and takes none away.
    const untold = new RecordFeed(gt06, 'tcp', { memo: 1024 + 60 });
    untold.feed.push(bytesOf(seal('787811010123456789012345270103d0000100000d0a')));
    expect(timeOf(untold, 'location-12-manual')).toBe(Number(before) - 3600_000);
    untold.feed.push(bytesOf(command('TimeZone:E,8,0;')));
    expect(timeOf(untold, 'location-12-manual')).toBe(Number(before) - 8 * 3600_000);
    // The login's zone wins.
    const told = connect();
    told.feed.push(bytesOf(command('TimeZone:E,8,0;')));
    expect(timeOf(told, 'location-12-manual')).toBe(before);
  });

  it.each(['somewhere', '+25:00', '+8:60', '8', ''])('an option that is no zone is refused: %j', (time_zone) => {
    expect(() => connect({ time_zone })).toThrow(/time_zone: .* is not like this: .*offset such as \+08:00/);
  });
});

/** Sets the checksum of a short frame. */
function seal(frame: string): string {
  const bytes = bytesOf(frame);
  putU16be(bytes, bytes.length - 4, crc16X25(bytes, 2, bytes.length - 4));
  return hex(bytes, 0, bytes.length);
}

/** 0x21 with an ASCII text. */
function command(reply: string): string {
  const bytes = new Uint8Array(16 + reply.length);
  bytes.set([0x79, 0x79, 0, 10 + reply.length, 0x21, 0, 0, 0, 1, 1]);
  for (let i = 0; i < reply.length; i++) bytes[10 + i] = reply.charCodeAt(i);
  bytes.set([0x0d, 0x0a], bytes.length - 2);
  return seal(hex(bytes, 0, bytes.length));
}
