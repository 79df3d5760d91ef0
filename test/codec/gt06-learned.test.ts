import { describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import { Gt06State, memoOf } from '../../codecs/gt06/state.ts';
import { crc16X25, hex, putU16be } from '../../src/base/wire/index.ts';
import { difference, Feed, KIT_NOW, kitOptions } from '../../src/codec/kit/feed.ts';
import { bytesOf, frameLines, RecordFeed, streamLines } from '../helpers/fixtures.ts';

/** What a connection learns of its device: how its frames are cut, which alarms are on, what it wants to be answered and asked. */

const lines = new Map(frameLines('gt06').map((line) => [line.id, line.hex]));
const text = (id: string): string => lines.get(id) ?? '';
const LOGIN = text('login-utc');
const TOPIN = text('login-topin');

function seal(frame: string): string {
  const bytes = bytesOf(frame);
  putU16be(bytes, bytes.length - 4, crc16X25(bytes, 2, bytes.length - 4));
  return hex(bytes, 0, bytes.length);
}

/** The same frame under another serial. */
function numbered(frame: string, serial: number): string {
  const bytes = bytesOf(frame);
  putU16be(bytes, bytes.length - 6, serial);
  return seal(hex(bytes, 0, bytes.length));
}

const heartbeat = (term: number, serial = 1): string =>
  numbered(`78780a13${term.toString(16).padStart(2, '0')}0404000200010000 0d0a`.replace(' ', ''), serial);

function connect(settings: { memo?: number; adopt?: number; options?: Record<string, string> } = {}, login = LOGIN): RecordFeed {
  const connection = new RecordFeed(gt06, 'tcp', settings);
  connection.feed.push(bytesOf(login));
  return connection;
}

function memoBehind(connection: RecordFeed): number {
  return gt06.tcp?.memo?.(connection.feed.state) ?? 0;
}

function eventOf(connection: RecordFeed, frame: string): unknown {
  connection.feed.push(bytesOf(frame));
  return connection.records.at(-1)?.[0]?.['event'];
}

describe('invariant 4 of frame.ts: every cut of a stream under everything that may have been learned', () => {
  /** Conversations: one of every frame of a dialect, each of the stream fixtures. */
  const streams = [
    TOPIN +
      frameLines('gt06')
        .flatMap((line) => (line.needs?.includes('login-topin') === true ? [line.hex] : []))
        .join(''),
    text('topin-wifi-wide-cells') + text('topin-status-long') + text('13-1') + TOPIN + text('topin-sos') + LOGIN + text('13-1'),
    LOGIN + text('22-1') + TOPIN + text('topin-fix-long') + text('topin-status-signal'),
    ...streamLines('gt06').map((line) => line.steps.flatMap((step) => ('in' in step ? [step.in] : [])).join('')),
  ];
  const learned = [0, (1 << 17) | (3 << 20), (1 << 16) | (1 << 18) | (1 << 19) | (9 << 11) | 1504];

  it('gives the frames of the whole', () => {
    for (const stream of streams)
      for (const memo of learned) {
        const bytes = bytesOf(stream);
        const outcome = (chunks: readonly Uint8Array[]): object => {
          const feed = new Feed(gt06, 'tcp', { memo });
          for (const chunk of chunks) feed.push(chunk.slice());
          return { frames: feed.frames, noise: feed.noise, pending: feed.pending };
        };
        const whole = outcome([bytes]);
        for (let cut = 1; cut < bytes.length; cut++)
          expect(difference(whole, outcome([bytes.subarray(0, cut), bytes.subarray(cut)])), `${stream} at ${cut}, memo ${memo}`).toBe('');
      }
  });

  it('the Topin dialect is known from its login to the next, over connections', () => {
    const connection = connect({}, TOPIN);
    const memo = memoBehind(connection);
    expect(gt06.tcp?.describeMemo?.(memo)).toEqual({ dialect: 'topin' });
    const again = new RecordFeed(gt06, 'tcp', { adopt: memo });
    expect(again.feed.push(bytesOf(text('topin-status-long')))[0]?.name).toBe('status');
    // The same device number with other firmware.
    connection.feed.push(bytesOf(LOGIN));
    expect(memoBehind(connection) & (1 << 17)).toBe(0);
    expect(connection.feed.push(bytesOf(text('topin-sos')))).toEqual([]);
  });

  it('a Topin frame without stop bytes is dropped, and what follows is found', () => {
    const { feed } = connect({}, TOPIN);
    feed.push(bytesOf(`787805b3${'01'.repeat(600)}${text('topin-sos')}`));
    expect(feed.frames.at(-1)?.name).toBe('alarm');
  });
});

describe('an alarm in the heartbeats', () => {
  it('is an event once until it ends', () => {
    const connection = connect();
    expect(eventOf(connection, heartbeat(0x46))).toBeUndefined();
    expect(eventOf(connection, heartbeat(0x56, 2))).toBe('power_cut');
    expect(eventOf(connection, heartbeat(0x56, 3))).toBeUndefined();
    expect(eventOf(connection, heartbeat(0x46, 4))).toBeUndefined();
    expect(eventOf(connection, heartbeat(0x56, 5))).toBe('power_cut');
  });

  it('lasts behind a shock or a call for help that comes in between', () => {
    const connection = connect();
    const events = [0x50, 0x48, 0x50, 0x48, 0x58, 0x60, 0x58].map((term, n) => eventOf(connection, heartbeat(term, n)));
    expect(events).toEqual(['power_cut', 'vibration', undefined, 'vibration', 'low_battery', 'sos', undefined]);
  });

  it('of the codes that no manual has is none, and ends nothing', () => {
    const connection = connect();
    expect([0x50, 0x68, 0x70, 0x78, 0x50].map((term, n) => eventOf(connection, heartbeat(term, n)))).toEqual([
      'power_cut',
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('is no new one behind a reconnect, nor behind the alarm message that told it', () => {
    const first = connect();
    expect(eventOf(first, heartbeat(0x56))).toBe('power_cut');
    const memo = memoBehind(first);
    expect(gt06.tcp?.describeMemo?.(memo)).toMatchObject({ alarms: 'power_cut' });
    expect(eventOf(connect({ adopt: memo }), heartbeat(0x56, 2))).toBeUndefined();
    const told = connect();
    expect(eventOf(told, text('alarm-16-manual'))).toBe('sos');
    expect(eventOf(told, heartbeat(0x65))).toBeUndefined();
    // Another alarm than the one in TERM was told.
    const other = connect();
    expect(eventOf(other, text('26-2'))).toBe('tamper');
    expect(eventOf(other, heartbeat(0x50))).toBe('power_cut');
  });

  it('reads the same when its frame is decoded alone', () => {
    const connection = connect();
    connection.feed.push(bytesOf(heartbeat(0x56) + heartbeat(0x56, 2)));
    for (const frame of connection.feed.frames.slice(-2)) {
      const alone = new Feed(gt06, 'tcp', { memo: frame.memo }).decode(bytesOf(heartbeat(0x56)), 0, 15);
      expect(alone.rows[0]?.event).toBe(frame.rows[0]?.event);
    }
  });
});

describe('a location that is repeated until it is answered', () => {
  const FIX = text('location-22-manual');
  const LATER = seal(FIX.replace('0f0c1d0233', '0f0c1d0333'));
  const answers = (connection: RecordFeed, frames: readonly string[]): (string | null)[] =>
    frames.map((frame) => connection.feed.push(bytesOf(frame))[0]?.answer ?? null);

  it('teaches to answer, under whatever serial it comes', () => {
    const connection = connect();
    const four = [1, 2, 3, 4].map((serial) => numbered(FIX, serial));
    expect(answers(connection, four).map((answer) => answer !== null)).toEqual([false, false, false, true]);
    const memo = memoBehind(connection);
    expect(gt06.tcp?.describeMemo?.(memo)).toMatchObject({ acknowledge: 'all' });
    // From the first one on, when the device connects again.
    expect(answers(connect({ adopt: memo }), [LATER])).not.toEqual([null]);
  });

  it('in a burst that is repeated as a whole, too', () => {
    const connection = connect();
    const burst = [10, 20, 30].map((second) => seal(FIX.replace('0f0c1d023305', `0f0c1d0233${second.toString(16).padStart(2, '0')}`)));
    const round = (): boolean[] => answers(connection, burst).map((answer) => answer !== null);
    expect([round(), round(), round(), round()].at(-1)).toEqual([true, true, true]);
  });

  it('is told from new locations, stored ones, and a standing device that says the same again', () => {
    const connection = connect();
    for (let n = 0; n < 50; n++) {
      const fix = seal(FIX.replace('0f0c1d0233', `0f0c1d02${(49 - n).toString(16).padStart(2, '0')}`));
      expect(answers(connection, [fix, fix])).toEqual([null, null]);
    }
    const standing = seal(`${FIX.slice(0, 62)}0d${FIX.slice(64)}`);
    expect(
      answers(
        connect(),
        Array.from({ length: 9 }, (_, n) => numbered(standing, n)),
      ),
    ).toEqual(Array(9).fill(null));
  });

  it('teaches nothing where the operator has said what is answered', () => {
    const nine = Array.from({ length: 9 }, (_, n) => numbered(FIX, n));
    expect(answers(connect({ options: { acknowledge: 'document' } }), nine)).toEqual(Array(9).fill(null));
    expect(answers(connect({ options: { acknowledge: 'all' } }), nine)).not.toContain(null);
  });
});

describe('a unit without LJDW#', () => {
  const locate = (connection: RecordFeed, key: number): string => {
    const out = new Uint8Array(1024);
    const n = gt06.tcp?.encodeCommand?.({ type: 'locate', parameters: {} }, key, connection.feed.state, out, 0, KIT_NOW) ?? 0;
    return new TextDecoder().decode(out.subarray(0, n));
  };
  const reply = (said: string, flag: number): Uint8Array => {
    const bytes = new Uint8Array(16 + said.length);
    bytes.set([0x79, 0x79, 0, 10 + said.length, 0x21, 0, 0, 0, flag, 1]);
    for (let i = 0; i < said.length; i++) bytes[10 + i] = said.charCodeAt(i);
    bytes.set([0x0d, 0x0a], bytes.length - 2);
    return bytesOf(seal(hex(bytes, 0, bytes.length)));
  };

  it.each([7, 0])('that refuses it (flag %d) is asked by WHERE# at once, and from then on', (flag) => {
    const connection = connect();
    expect(locate(connection, 7)).toContain('LJDW#');
    const answer = connection.feed.push(reply('Command error!', flag))[0]?.answer ?? '';
    // WHERE# with the key of the command.
    expect(answer).toBe(seal('787810800a0000000757484552452300070000' + '0d0a'));
    expect(gt06.readReply?.({ type: 'locate', parameters: {} }, 'Command error!')?.outcome).toBe('unclear');
    expect(locate(connection, 8)).toContain('WHERE#');
    const memo = memoBehind(connection);
    expect(gt06.tcp?.describeMemo?.(memo)).toMatchObject({ locate: 'where' });
    expect(locate(connect({ adopt: memo }), 9)).toContain('WHERE#');
  });

  it('is not one that refuses something else, or takes it', () => {
    const connection = connect();
    connection.feed.push(reply('Command error!', 7));
    expect(locate(connection, 7)).toContain('LJDW#');
    expect(connection.feed.push(reply('Command error!', 6))[0]?.answer).toBeNull();
    expect(connection.feed.push(reply('OK!', 7))[0]?.answer).toBeNull();
    expect(connection.feed.push(reply('Command error!', 7))[0]?.answer).toBeNull();
    expect(locate(connection, 8)).toContain('LJDW#');
  });

  it('can be named by the operator', () => {
    expect(locate(connect({ options: { locate: 'where' } }), 1)).toContain('WHERE#');
    const named = connect({ options: { locate: 'ljdw' } });
    locate(named, 7);
    expect(named.feed.push(reply('Command error!', 7))[0]?.answer).toBeNull();
    expect(locate(named, 8)).toContain('LJDW#');
  });
});

describe('the memo', () => {
  it.each([
    ['login-utc', '+00:00'],
    ['login-east-8', '+08:00'],
    ['login-without-zone', undefined],
  ])('says the zone of the dates: %s', (login, zone) => {
    expect(gt06.tcp?.describeMemo?.(memoBehind(connect({}, text(login))))['time_zone']).toBe(zone);
  });
  it('keeps everything that is learned, and only that', () => {
    const options = kitOptions(gt06, {});
    for (let n = 0; n < 1 << 8; n++) {
      const memo = n << 16;
      const state = new Gt06State(options, memo);
      expect(memoOf(state)).toBe(memo);
      const adopted = new Gt06State(options, 0);
      gt06.tcp?.adopt?.(adopted, memo);
      expect(memoOf(adopted)).toBe(memo);
    }
    const said = new Gt06State(kitOptions(gt06, { acknowledge: 'all', locate: 'where', variant: 'lock' }), 0);
    expect(memoOf(said)).toBe(0);
  });
});
