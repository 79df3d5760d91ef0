import { beforeEach, describe, expect, it, vi } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import h02 from '../../codecs/h02/index.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import { crc16X25, hex, putU16be } from '../../src/base/wire/index.ts';
import { type Codec, defineCodec } from '../../src/codec/index.ts';
import type { IntakeHost } from '../../src/in/intake/host.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { bytesOf, frameLines, RecordFeed } from '../helpers/fixtures.ts';
import { MemoryProfiles } from '../helpers/memory-profiles.ts';
import toy, { toyAlive, toyDefinition, toyDialect, toyFixes, toyLogin } from '../helpers/toy-codec.ts';
import { type Entry, intakeHost, MemoryJournal, RecordedLink } from '../support/intake-rig.ts';

/** What a codec has learned about a device outlives the connection (intake invariants 7 and 8). */

let journal: MemoryJournal;
let profiles: MemoryProfiles;
let host: IntakeHost;

beforeEach(() => {
  journal = new MemoryJournal();
  profiles = new MemoryProfiles();
  host = intakeHost({ journal, profiles });
});

function connect(codec: Codec = gt06, transport: 'tcp' | 'udp' = 'tcp'): Intake {
  return new Intake(host, codec, transport, '192.0.2.1:4000', new RecordedLink());
}

/** The first record of a stored frame, read alone as the shipper reads it. */
function read(entry: Entry | undefined, codec: Codec = gt06): Record<string, unknown> {
  const connection = new RecordFeed(codec, 'tcp', { memo: entry?.memo ?? 0, device: entry?.device ?? '' });
  const bytes = bytesOf(entry?.payload ?? '');
  connection.feed.decode(bytes, 0, bytes.length);
  return connection.records[0]?.[0] ?? {};
}

const lines = new Map(frameLines('gt06').map((line) => [line.id, line.hex]));
const fixture = (id: string): Uint8Array => bytesOf(lines.get(id) ?? '').slice();
const R11 = fixture('heartbeat-r11');
const LOCATION = fixture('location-12-manual');
const FIRST = '123456789012345';
const SECOND = '752533678900242';
/** Of a mask of 0123, which only the variant BENWAY reads. */
const ANALOG = 'analog_1';

/** A login without zone, type or language. */
function loginOf(imei: string): Uint8Array {
  return sealed(`78780d010${imei}0001`);
}

const { adopt: _adopt, ...plainDialect } = toyDialect;

let second = 0;

/** A new location with the mask that only BENWAY sends. */
function benway(mask: string): Uint8Array {
  second = (second + 1) % 60;
  return sealed(`78782112${hex(LOCATION, 4, 9)}${second.toString(16).padStart(2, '0')}${hex(LOCATION, 10, 30)}${mask}0001`);
}

function sealed(text: string): Uint8Array {
  const frame = bytesOf(`${text}00000d0a`).slice();
  putU16be(frame, frame.length - 4, crc16X25(frame, 2, frame.length - 4));
  return frame;
}

const attrOf = (entry: Entry | undefined, name: string): unknown => Reflect.get(Object(read(entry)['attrs']), name);

describe('7: what a device has taught', () => {
  it('stays with it when two devices of different variants are interleaved on one worker, and across a reconnect of both', () => {
    for (const round of [1, 2]) {
      const first = connect();
      const second = connect();
      first.push(loginOf(FIRST));
      second.push(loginOf(SECOND));
      for (let n = 0; n < 4; n++) {
        first.push(R11);
        second.push(benway('9010'));
      }
      // Only the variant tells what these say.
      first.push(benway('0123'));
      second.push(benway('0123'));
      first.push(fixture('heartbeat-r11-28v'));
      second.push(fixture('heartbeat-r11-28v'));
      const of = (device: string): Entry[] => journal.frames.filter((entry) => entry.device === device);
      expect(of(FIRST).map((entry) => attrOf(entry, 'external_v'))).toEqual(
        round === 1 ? [undefined, undefined, undefined, 12.58, undefined, 28.34] : [12.58, 12.58, 12.58, 12.58, undefined, 28.34],
      );
      expect(of(SECOND).map((entry) => attrOf(entry, 'external_v'))).toEqual(Array(6).fill(undefined));
      expect(attrOf(of(FIRST)[4], ANALOG)).toBeUndefined();
      expect(attrOf(of(SECOND)[4], ANALOG)).toBe(29.1);
      first.closed('device');
      second.closed('device');
      journal.entries.length = 0;
    }
    expect(gt06.tcp?.describeMemo?.(profiles.kept.get(FIRST)?.memo ?? 0)).toMatchObject({ variant: 'r11' });
    expect(gt06.tcp?.describeMemo?.(profiles.kept.get(SECOND)?.memo ?? 0)).toMatchObject({ variant: 'benway' });
    // Once for each device, whatever came after.
    expect(profiles.writes).toBe(2);
  });

  it('reads the first location of a new connection, and of a device over UDP that learned over TCP', () => {
    const before = connect();
    before.push(loginOf(FIRST));
    for (let n = 0; n < 4; n++) before.push(benway('9010'));
    before.closed('device');
    for (const transport of ['tcp', 'udp'] as const) {
      journal.entries.length = 0;
      const after = connect(gt06, transport);
      after.push(Buffer.concat([loginOf(FIRST), benway('0123')]));
      expect(attrOf(journal.frames[0], ANALOG)).toBe(29.1);
    }
  });

  it('gives the time zone to a login that states none, and gives way to one that does', () => {
    const east8 = fixture('login-east-8');
    const first = connect();
    first.push(east8);
    first.push(LOCATION);
    const silent = connect();
    silent.push(loginOf(SECOND));
    silent.push(LOCATION);
    expect(gt06.tcp?.describeMemo?.(profiles.kept.get(SECOND)?.memo ?? 0)).toEqual({ time_zone: '+08:00' });
    const utc = fixture('login-utc');
    utc.set(bytesOf(`0${SECOND}`), 4);
    putU16be(utc, utc.length - 4, crc16X25(utc, 2, utc.length - 4));
    const told = connect();
    told.push(utc);
    told.push(LOCATION);
    const [atEast8, atSilent, atUtc] = journal.frames.map((entry) => Number(read(entry)['time']));
    expect(atSilent).toBe(atEast8);
    expect(atUtc).toBe(Number(atEast8) + 8 * 3600_000);
    told.closed('device');
    expect(gt06.tcp?.describeMemo?.(profiles.kept.get(SECOND)?.memo ?? 0)).toEqual({ time_zone: '+00:00' });
  });

  it('is remembered when the last frame of a connection taught it', () => {
    const intake = connect(toy);
    intake.push(toyLogin('12345678', true));
    expect(profiles.kept.size).toBe(0);
    intake.closed('device');
    expect(profiles.kept.get('12345678')).toMatchObject({ codec: 'toy', memo: 1 });
  });

  it('is not written when nothing was learned, nor again when nothing new was', () => {
    const plain = connect(toy);
    plain.push(Buffer.concat([toyLogin('12345678', false), toyFixes(2, 1), toyAlive(3)]));
    plain.closed('device');
    expect(profiles.writes).toBe(0);
    for (let n = 0; n < 3; n++) {
      const knots = connect(toy);
      knots.push(Buffer.concat([toyLogin('12345678', true), toyFixes(2, 1), toyAlive(3)]));
      knots.closed('device');
    }
    expect(profiles.writes).toBe(1);
  });

  it.each([
    ['a protocol that learns', toyDialect, '', 1],
    ['one that has an option for the zone of its clock', plainDialect, 'integrity', 1],
    ['no other', plainDialect, '', 0],
  ])('is asked for by %s', (_what, tcp, zoneOption, times) => {
    const asked = vi.spyOn(profiles, 'findProfile');
    connect(defineCodec({ ...toyDefinition, zoneOption, tcp })).push(toyLogin('12345678', false));
    expect(asked).toHaveBeenCalledTimes(times);
  });

  it('is ignored when another codec learned it', () => {
    profiles.kept.set('12345678', { codec: 'other', memo: 1, updated: 0 });
    const asking = silentToy();
    const intake = connect(asking);
    intake.push(Buffer.concat([toyLogin('12345678', false), toyFixes(2, 1)]));
    expect(journal.frames).toMatchObject([{ memo: 0 }]);
  });

  it('may come late: it is adopted when it comes, and overwrites nothing that is known by then', () => {
    profiles.kept.set('12345678', { codec: 'toy', memo: 1, updated: 0 });
    profiles.late = true;
    const intake = connect(silentToy());
    intake.push(Buffer.concat([toyLogin('12345678', false), toyFixes(2, 1)]));
    expect(profiles.writes).toBe(0);
    profiles.answer();
    intake.push(toyFixes(3, 1));
    expect(journal.frames.map((entry) => entry.memo)).toEqual([0, 1]);
    const gone = connect(silentToy());
    gone.push(toyLogin('12345678', false));
    gone.closed('device');
    profiles.answer();
    expect(profiles.writes).toBe(0);
  });

  it('costs a frame nothing when the codec throws at it', () => {
    profiles.kept.set('12345678', { codec: 'toy', memo: 1, updated: 0 });
    const throwing = defineCodec({
      ...toyDefinition,
      tcp: {
        ...toyDialect,
        adopt() {
          throw new Error('defect');
        },
      },
    });
    const intake = connect(throwing);
    intake.push(Buffer.concat([toyLogin('12345678', false), toyFixes(2, 1)]));
    expect(journal.frames).toHaveLength(1);
  });

  it('in H02 is the length of binary frames, and the alarms that the device holds, which are no news of their own', () => {
    const sample = frameLines('h02').find((line) => line.hex.startsWith('24') && line.hex.length === 90);
    const binary = bytesOf(sample?.hex ?? '');
    const intake = connect(h02);
    intake.push(Buffer.concat([binary, binary]));
    intake.closed('device');
    const [kept] = [...profiles.kept.values()];
    expect(h02.tcp?.describeMemo?.(kept?.memo ?? 0)).toEqual({ binaryLength: '45' });
    const state = h02.tcp?.open({}, 0);
    if (state !== undefined) h02.tcp?.adopt?.(state, 0x7fffffff);
    expect(state !== undefined && h02.tcp?.describeMemo?.(h02.tcp.memo?.(state) ?? 0)).toEqual({
      answers: 'r12',
      alarms: expect.stringContaining('sos, power_cut'),
    });
    const alarmed = connect(h02);
    alarmed.push(Buffer.from('*HQ,4106011660,V1,124552,A,5035.3129,N,00431.8211,E,000.20,000,131116,FFFFFBFD#'));
    alarmed.closed('device');
    expect(h02.tcp?.describeMemo?.(profiles.kept.get('4106011660')?.memo ?? 0)).toEqual({ alarms: 'sos' });
    expect(journal.entries.filter(({ payload }) => payload.includes('"profile"')).map(({ device }) => device)).not.toContain('4106011660');
    expect(h02.tcp?.describeMemo?.((5 << 23) | (9 << 18) | (1 << 17) | 3)).toEqual({
      answers: 'r12',
      alarms: 'sos, power_cut',
      last_date: '2020-06-09',
    });
  });

  it('in Teltonika is nothing: its memo holds settings of the server only', () => {
    expect([teltonika.tcp?.adopt, teltonika.udp?.adopt]).toEqual([undefined, undefined]);
  });
});

describe('8: a connection that switches to another device', () => {
  it('reads it with what that one has taught, and goes back in the same way', () => {
    const intake = connect();
    intake.push(loginOf(FIRST));
    for (let n = 0; n < 4; n++) intake.push(benway('9010'));
    intake.push(loginOf(SECOND));
    intake.push(benway('0123'));
    intake.push(loginOf(FIRST));
    intake.push(benway('0123'));
    expect(journal.frames.slice(4).map((entry) => [entry.device, attrOf(entry, ANALOG)])).toEqual([
      [SECOND, undefined],
      [FIRST, 29.1],
    ]);
    expect([...profiles.kept.keys()]).toEqual([FIRST]);
  });

  it('does not take what comes late for the one before', () => {
    profiles.kept.set('12345678', { codec: 'toy', memo: 1, updated: 0 });
    profiles.late = true;
    const intake = connect(silentToy());
    intake.push(Buffer.concat([toyLogin('12345678', false), toyLogin('87654321', false)]));
    profiles.answer();
    intake.push(toyFixes(2, 1));
    expect(journal.frames).toMatchObject([{ device: '87654321', memo: 0 }]);
  });

  it('cuts the stream with the state that it reads with', () => {
    const cutting = new Set<object>();
    const reading = new Set<object>();
    const watched = defineCodec({
      ...toyDefinition,
      tcp: {
        ...toyDialect,
        frame(bytes, start, end, state) {
          cutting.add(state);
          return toyDialect.frame(bytes, start, end, state);
        },
        decode(bytes, start, end, state, out) {
          reading.add(state);
          toyDialect.decode(bytes, start, end, state, out);
        },
      },
    });
    connect(watched).push(Buffer.concat([toyLogin('12345678', false), toyLogin('87654321', false), toyFixes(2, 1)]));
    expect(cutting.size).toBe(2);
    expect(cutting).toEqual(reading);
  });

  it('keeps what the frame that switched says itself', () => {
    const intake = connect(toy);
    for (const cut of [0, 5]) {
      journal.entries.length = 0;
      const bytes = Buffer.concat([
        toyLogin('12345678', false),
        toyFixes(2, 1),
        toyLogin('87654321', true),
        toyFixes(3, 1),
        toyFixes(4, 1),
      ]);
      intake.push(bytes.subarray(0, cut));
      intake.push(bytes.subarray(cut));
      expect(journal.frames.map(({ device, memo }) => [device, memo])).toEqual([
        ['12345678', 0],
        ['87654321', 1],
        ['87654321', 1],
      ]);
    }
  });
});

/** The toy whose login says nothing of speeds. */
function silentToy(): Codec {
  return defineCodec({
    ...toyDefinition,
    tcp: {
      ...toyDialect,
      decode(bytes, start, end, state, out) {
        const { knots, told } = state;
        toyDialect.decode(bytes, start, end, state, out);
        state.knots = knots;
        state.told = told;
      },
    },
  });
}
