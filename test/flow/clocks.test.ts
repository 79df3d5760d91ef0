import { beforeEach, describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import h02 from '../../codecs/h02/index.ts';
import { crc16X25, putU16be } from '../../src/base/wire/index.ts';
import { type Codec, FrameResult } from '../../src/codec/index.ts';
import { clockOffset, readingOptions } from '../../src/codec/options.ts';
import { codecOptions } from '../../src/codec/registry.ts';
import { type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import type { IntakeHost } from '../../src/in/intake/host.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';
import { MemoryProfiles } from '../helpers/memory-profiles.ts';
import { type Entry, intakeHost, MemoryJournal, RecordedLink } from '../support/intake-rig.ts';

/** 17: devices whose clock shows the time of a zone that nothing tells. */

const CODECS = new Map<string, Codec>([gt06, h02].map((codec) => [codec.name, codec]));
const DEVICE = '4106011660';
const MINUTE = 60_000;

let journal: MemoryJournal;
let profiles: MemoryProfiles;
let clock: FakeClock;
let own: Device['options'];
let configured: Record<string, Record<string, string | number>>;

beforeEach(() => {
  journal = new MemoryJournal(Number.MAX_SAFE_INTEGER - 1);
  profiles = new MemoryProfiles();
  clock = new FakeClock();
  own = undefined;
  configured = {};
});

/** A worker. */
function worker(): IntakeHost {
  const lookup = (id: string, found: (known: DeviceLookup) => void): void =>
    found(new DeviceLookup(id, deviceSchema.parse({ id, ...(own === undefined ? {} : { options: own }) }), false, false));
  return intakeHost({
    journal,
    profiles,
    clock,
    registry: { lookup, seen: () => {} },
    options: codecOptions(CODECS, configured, {}),
  });
}

function connect(host: IntakeHost, codec: Codec = h02): Intake {
  return new Intake(host, codec, 'tcp', '192.0.2.1:4000', new RecordedLink());
}

/** A fix of a device whose clock is so many minutes ahead; `lateMs`: how long ago it was made. */
function fix(aheadMin: number, lateMs = 2_000): Uint8Array {
  const [date = '', time = ''] = new Date(clock.now() - lateMs + aheadMin * MINUTE).toISOString().split('T');
  const [year = '', month, day] = date.split('-');
  const hms = time.slice(0, 8).replaceAll(':', '');
  return Buffer.from(`*HQ,${DEVICE},V1,${hms},A,2229.8284,N,11355.2480,E,000.00,000,${day}${month}${year.slice(2)},FFFFFFFF#`);
}

/** So many records, one every two minutes. */
function drive(intake: Intake, records: number, frame: (n: number) => Uint8Array): void {
  for (let n = 0; n < records; n++) {
    intake.push(frame(n));
    clock.step(2 * MINUTE);
  }
}

function offsets(): unknown[] {
  return journal.events.filter(({ type }) => type === 'clock_offset').map(({ minutes, before }) => [before, minutes]);
}

/** The time of a stored frame, read alone as the shipper reads it, and the device's own. */
function timesOf(entry: Entry | undefined, codec: Codec = h02): [time: number, own: number] {
  const frame = new FrameResult();
  const bytes = entry?.bytes ?? new Uint8Array();
  const options = readingOptions(codec, entry?.options ?? {}, {});
  frame.reset(0, bytes.length);
  const state = codec.tcp?.open(options, entry?.memo ?? 0) ?? {};
  codec.tcp?.decode(bytes, 0, bytes.length, state, frame);
  frame.correct(MINUTE * clockOffset(options));
  return [frame.time[0] ?? 0, (frame.time[0] ?? 0) + frame.clockMs];
}

describe('17: an offset', () => {
  it.each([480, -300, 345])('of %i minutes is learned from 20 live records over half an hour, and corrected from then on', (minutes) => {
    const intake = connect(worker());
    drive(intake, 19, (n) => fix(minutes, 1_000 * (n % 20)));
    expect(offsets()).toEqual([]);
    drive(intake, 1, () => fix(minutes));
    expect(offsets()).toEqual([[0, minutes]]);
    const before = journal.frames.at(-1);
    const now = clock.now() - 2_000;
    intake.push(fix(minutes));
    const after = journal.frames.at(-1);
    expect([before?.options?.['clock_offset'], after?.options?.['clock_offset']]).toEqual([undefined, minutes]);
    expect(timesOf(after)).toEqual([now, now + minutes * MINUTE]);
    expect(profiles.kept.get(DEVICE)).toMatchObject({ codec: 'h02', clock: minutes });
    intake.closed('end');
  });

  it('is there from the first frame of a later connection, on another worker, also when the store answers late', () => {
    const first = connect(worker());
    drive(first, 21, () => fix(480));
    first.closed('end');
    const second = connect(worker());
    second.push(fix(480));
    expect(timesOf(journal.frames.at(-1))[0]).toBe(clock.now() - 2_000);
    second.closed('end');
    profiles.late = true;
    const third = connect(worker());
    third.push(fix(480));
    profiles.answer();
    third.push(fix(480));
    expect(timesOf(journal.frames.at(-1))[0]).toBe(clock.now() - 2_000);
    expect(offsets()).toEqual([[0, 480]]);
  });

  it('is learned over connections, and learned away when the clock is put right', () => {
    const host = worker();
    for (let n = 0; n < 21; n++) {
      const intake = connect(host);
      intake.push(fix(-300));
      intake.closed('end');
      clock.step(2 * MINUTE);
    }
    expect(offsets()).toEqual([[0, -300]]);
    const intake = connect(host);
    drive(intake, 21, () => fix(0));
    expect(offsets()).toEqual([
      [0, -300],
      [-300, 0],
    ]);
    intake.push(fix(0));
    expect(timesOf(journal.frames.at(-1))).toEqual([clock.now() - 2_000, clock.now() - 2_000]);
    expect(profiles.kept.get(DEVICE)).not.toHaveProperty('clock');
  });

  it('raises an alarm of the frame that is read again once', () => {
    const first = connect(worker());
    drive(first, 21, () => fix(480));
    first.closed('end');
    const second = connect(worker());
    // Bit 1 of the fourth byte is SOS.
    second.push(Buffer.from(Buffer.from(fix(480)).toString().replace('FFFFFFFF', 'FFFFFFFD')));
    const entry = journal.frames.at(-1);
    const frame = new FrameResult();
    frame.reset(0, entry?.bytes.length ?? 0);
    h02.tcp?.decode(entry?.bytes ?? new Uint8Array(), 0, entry?.bytes.length ?? 0, h02.tcp.open({}, entry?.memo ?? 0), frame);
    expect([frame.rows, frame.event[0] === 0]).toEqual([1, false]);
  });

  it('of a GT06 device is learned too', () => {
    const lines = new Map(frameLines('gt06').map((line) => [line.id, line.hex]));
    const intake = connect(worker(), gt06);
    intake.push(bytesOf(lines.get('login-without-zone') ?? ''));
    const location = (): Uint8Array => {
      const frame = bytesOf(lines.get('location-12-manual') ?? '').slice();
      const time = new Date(clock.now() + 480 * MINUTE);
      const parts = [time.getUTCFullYear() - 2000, time.getUTCMonth() + 1, time.getUTCDate()];
      frame.set([...parts, time.getUTCHours(), time.getUTCMinutes(), time.getUTCSeconds()], 4);
      putU16be(frame, frame.length - 4, crc16X25(frame, 2, frame.length - 4));
      return frame;
    };
    drive(intake, 21, location);
    expect(offsets()).toEqual([[0, 480]]);
    intake.push(location());
    expect(timesOf(journal.frames.at(-1), gt06)[0]).toBe(clock.now());
  });
});

describe('17: nothing is learned', () => {
  it.each<[what: string, records: number, frame: (n: number) => Uint8Array]>([
    ['from a clock that is right', 40, () => fix(0)],
    ['from a clock that is wrong by no zone', 40, () => fix(487)],
    ['from records that differ by a minute or more', 40, (n) => fix(480, n % 2 === 0 ? 0 : 59_000 + 2_000)],
    ['from a backlog', 40, (n) => fix(-15 * n)],
    ['from two clocks in turns', 40, (n) => fix(n % 2 === 0 ? 480 : 0)],
    ['from a clock that is a day off', 40, () => fix(24 * 60)],
  ])('%s', (_what, records, frame) => {
    drive(connect(worker()), records, frame);
    expect([offsets(), profiles.kept.get(DEVICE)?.clock]).toEqual([[], undefined]);
  });

  it('within half an hour', () => {
    const intake = connect(worker());
    for (let n = 0; n < 200; n++) {
      intake.push(fix(480));
      clock.step(8_000);
    }
    expect(offsets()).toEqual([]);
  });

  it.each<[string, () => void]>([
    ['in the configuration', () => (configured = { h02: { timeOffset: 60 } })],
    ['in the record', () => (own = { timeOffset: 60 })],
    ['in the record, to the default', () => (own = { timeOffset: 0 })],
  ])('where a zone was set %s', (_where, set) => {
    set();
    drive(connect(worker()), 40, () => fix(480));
    expect(offsets()).toEqual([]);
  });

  it('any more when a zone is set afterwards', () => {
    const intake = connect(worker());
    drive(intake, 21, () => fix(480));
    own = { timeOffset: 480 };
    intake.session?.reconsider();
    intake.push(fix(480));
    const { options } = journal.frames.at(-1) ?? {};
    expect([options?.['timeOffset'], options?.['clock_offset']]).toEqual([480, undefined]);
    expect(timesOf(journal.frames.at(-1))[0]).toBe(clock.now() - 2_000);
  });
});
