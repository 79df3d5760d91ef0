import { beforeEach, describe, expect, it } from 'vitest';
import h02 from '../../codecs/h02/index.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import type { Codec, Options } from '../../src/codec/index.ts';
import type { IntakeHost } from '../../src/in/intake/host.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { bytesOf, frameLines, RecordFeed } from '../helpers/fixtures.ts';
import { MemoryProfiles } from '../helpers/memory-profiles.ts';
import { type Entry, intakeHost, MemoryJournal, RecordedLink } from '../support/intake-rig.ts';

/** Devices whose data is refused (intake invariant 16), and what the first frame of a connection says (invariant 7). */

const lines = new Map(frameLines('teltonika').map((line) => [line.id, line.hex]));
const LOGIN = bytesOf(lines.get('imei') ?? '');
const BAD = bytesOf(lines.get('bad-checksum') ?? '');
const GOOD = bytesOf(lines.get('codec-8-smallest') ?? '');
const DEVICE = '356307042441013';

let journal: MemoryJournal;
let clock: FakeClock;
let link: RecordedLink;
let host: IntakeHost;

beforeEach(() => {
  journal = new MemoryJournal(Number.MAX_SAFE_INTEGER - 1);
  clock = new FakeClock();
  host = hostWith({});
});

function hostWith(options: Options): IntakeHost {
  return intakeHost({ journal, clock, profiles: new MemoryProfiles(), options: () => options });
}

function connect(codec: Codec = teltonika): Intake {
  link = new RecordedLink();
  return new Intake(host, codec, 'tcp', '192.0.2.1:4000', link);
}

function stuck(): object[] {
  return journal.entries
    .map(({ payload }) => payload)
    .filter((text) => text.includes('device_stuck'))
    .map((text): object => JSON.parse(text));
}

function frames(): string[] {
  return journal.frames.map(({ payload }) => payload);
}

describe('16: a device that repeats what is refused', () => {
  it('is told the third time, over connections, and what can be read is stored and answered', () => {
    for (const round of [1, 2]) {
      const intake = connect();
      intake.push(LOGIN);
      intake.push(BAD);
      expect([round, frames().length, stuck().length]).toEqual([round, 0, 0]);
      intake.closed('peer');
    }
    const third = connect();
    third.push(LOGIN);
    link.sent.length = 0;
    third.push(BAD);
    expect(stuck()).toEqual([{ type: 'device_stuck', protocol: 'teltonika', reason: 'checksum', times: 3, reads_damaged: true }]);
    expect(link.sent).toEqual(['00000001']);
    const [entry] = journal.frames;
    expect([entry?.device, entry?.options]).toEqual([DEVICE, expect.objectContaining({ integrity: 'count' })]);
    // Read alone, as the shipper does.
    const alone = new RecordFeed(teltonika, 'tcp', { memo: entry?.memo ?? 0, options: { integrity: 'verify' }, device: DEVICE });
    const read = alone.feed.decode(BAD, 0, BAD.length);
    expect([read.damaged, read.rows.length]).toEqual(['checksum', 1]);
    // The connection goes on, and so do later ones, without a second event.
    third.push(GOOD);
    third.closed('peer');
    const fourth = connect();
    fourth.push(LOGIN);
    fourth.push(BAD);
    expect([frames().length, stuck().length]).toEqual([3, 1]);
  });

  it('is read as before when it has not been stuck for an hour', () => {
    const intake = connect();
    intake.push(LOGIN);
    for (let n = 0; n < 3; n++) intake.push(BAD);
    expect(frames().length).toBe(1);
    intake.closed('peer');
    clock.step(3_600_001);
    const later = connect();
    later.push(LOGIN);
    later.push(BAD.map((byte, at) => (at === BAD.length - 1 ? byte ^ 1 : byte)));
    expect(frames().length).toBe(1);
  });

  it('is not told for frames that differ, nor for another device', () => {
    const other = bytesOf(`000f${Buffer.from('352093081452251').toString('hex')}`);
    const changed = BAD.map((byte, at) => (at === BAD.length - 1 ? byte ^ 1 : byte));
    const first = connect();
    first.push(LOGIN);
    first.push(BAD);
    first.push(changed);
    first.push(BAD);
    first.push(changed);
    const second = connect();
    second.push(other);
    second.push(changed);
    second.push(changed);
    expect([stuck(), frames()]).toEqual([[], []]);
  });

  it('is only told where the option is strict', () => {
    host = hostWith({ integrity: 'strict' });
    const intake = connect();
    intake.push(LOGIN);
    for (let n = 0; n < 4; n++) intake.push(BAD);
    expect(stuck()).toMatchObject([{ reason: 'checksum', times: 3, reads_damaged: false }]);
    expect(frames()).toEqual([]);
  });

  it('is told, too, when its connections end because they cannot be read, unless something was stored between', () => {
    const lost = bytesOf('00000000ffffffff0801');
    const attempt = (...more: Uint8Array[]): void => {
      const intake = connect();
      intake.push(LOGIN);
      for (const bytes of more) intake.push(bytes);
      intake.push(lost);
      intake.closed('peer');
    };
    attempt();
    attempt();
    attempt(GOOD);
    attempt();
    expect(stuck()).toEqual([]);
    attempt();
    expect(stuck()).toMatchObject([{ reason: 'frame_too_long', times: 3 }]);
  });

  it('is told of a codec that cannot read damaged frames', () => {
    const { integrity: _, ...options } = teltonika.options;
    const strict: Codec = { ...teltonika, options };
    const intake = connect(strict);
    intake.push(LOGIN);
    for (let n = 0; n < 3; n++) intake.push(BAD);
    expect(stuck()).toMatchObject([{ times: 3, reads_damaged: false }]);
  });
});

describe('7: the frame that names the device', () => {
  const v1 = (second: number, status: string): Uint8Array =>
    Buffer.from(`*HQ,4106011660,V1,1245${second},A,5035.3129,N,00431.8211,E,000.20,000,131116,${status}#`);
  const events = (entry: Entry | undefined): unknown[] => {
    const alone = new RecordFeed(h02, 'tcp', { memo: entry?.memo ?? 0, device: entry?.device ?? '' });
    const bytes = bytesOf(entry?.payload ?? '');
    alone.feed.decode(bytes, 0, bytes.length);
    return alone.records[0]?.map((record) => record['event'] ?? null) ?? [];
  };

  it('is read under the profile: a latched alarm is no new event at each connection', () => {
    const first = connect(h02);
    first.push(v1(10, 'FFE7FBFD'));
    first.push(v1(11, 'FFE7FBFD'));
    first.closed('peer');
    const second = connect(h02);
    second.push(v1(12, 'FFE7FBFD'));
    second.push(v1(13, 'FFFFFBFD'));
    second.closed('peer');
    const third = connect(h02);
    third.push(v1(14, 'FFFFFBFF'));
    third.push(v1(15, 'FFFFFBFD'));
    expect(journal.frames.map(events)).toEqual([['sos', 'power_cut'], [null], [null], ['power_restored'], [null], ['sos']]);
    expect(journal.frames.map(({ accepted }) => accepted)).toEqual([2, 1, 1, 1, 1, 1]);
  });
});
