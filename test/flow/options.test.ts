import { beforeEach, describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import h02 from '../../codecs/h02/index.ts';
import jt808 from '../../codecs/jt808/index.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import { silentLog } from '../../src/base/log.ts';
import type { Codec } from '../../src/codec/index.ts';
import { FrameResult } from '../../src/codec/index.ts';
import { codecOptions } from '../../src/codec/registry.ts';
import { type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import type { IntakeHost } from '../../src/in/intake/host.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { Reader } from '../../src/in/session/reader.ts';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';
import { intakeHost, MemoryJournal, RecordedLink } from '../support/intake-rig.ts';

/** Options in a device's record: a change reaches the connection that there is. */

const CODECS = new Map<string, Codec>([gt06, h02, jt808, teltonika].map((codec) => [codec.name, codec]));
const DEVICE = '123456789012345';
const lines = new Map(frameLines('gt06').map((line) => [line.id, line.hex]));
const fixture = (id: string): Uint8Array => bytesOf(lines.get(id) ?? '').slice();

let journal: MemoryJournal;
let link: RecordedLink;
let own: Device['options'];
let host: IntakeHost;

beforeEach(() => {
  journal = new MemoryJournal(Number.MAX_SAFE_INTEGER - 1);
  link = new RecordedLink();
  own = undefined;
  const lookup = (id: string, found: (known: DeviceLookup) => void): void =>
    found(new DeviceLookup(id, deviceSchema.parse({ id, ...(own === undefined ? {} : { options: own }) }), false, false));
  host = intakeHost({ journal, registry: { lookup, seen: () => {} }, options: codecOptions(CODECS, {}, {}) });
});

function optionsStored(): unknown[] {
  return journal.frames.map(({ options }) => [options?.['time_zone'], options?.['variant']]);
}

describe('options of a device’s record', () => {
  it('read its frames from the first one on, and are stored with them', () => {
    own = { time_zone: '+08:00', colour: 'red', variant: 'nonsense' };
    const intake = new Intake(host, gt06, 'tcp', '192.0.2.1:4000', link);
    intake.push(fixture('login-utc'));
    intake.push(fixture('22-1'));
    // What the codec does not know, or not so, is left out.
    expect(optionsStored()).toEqual([['+08:00', 'auto']]);
  });

  it('change at run time: the turn goes on, what was taught stays, and an answer that is owed is of the options before', () => {
    journal.durable = 0;
    const intake = new Intake(host, gt06, 'tcp', '192.0.2.1:4000', link);
    intake.push(fixture('login-east-8'));
    const alarm = fixture('alarm-16-manual');
    intake.push(alarm);
    const memo = journal.frames.at(-1)?.memo;
    const { session } = intake;
    own = { variant: 'r11' };
    session?.reconsider();
    intake.push(alarm);
    expect(intake.session).toBe(session);
    expect(optionsStored()).toEqual([
      ['auto', 'auto'],
      ['auto', 'r11'],
    ]);
    // The zone of the login is known to the reader after the change, too.
    expect([journal.frames.map((frame) => (frame.memo & 0x7ff) - 1024), (memo ?? 0) & 0x7ff]).toEqual([[480, 480], 480 + 1024]);
    intake.release(Number.MAX_SAFE_INTEGER - 1);
    expect(link.sent.length).toBeGreaterThan(0);
    expect(link.closes.concat(link.finishes)).toEqual([]);
    expect(journal.events.filter(({ type }) => type === 'connected').length).toBe(1);
    own = undefined;
    session?.reconsider();
    intake.push(alarm);
    expect(optionsStored().at(-1)).toEqual(['auto', 'auto']);
    intake.closed('end');
    // Nothing is metered twice, or not at all.
    const metered = journal.usage.reduce((sum, usage) => sum + Number(usage['in']), 0);
    expect(metered).toBe(fixture('login-east-8').length + 3 * alarm.length);
    expect(journal.usage.map(({ device }) => device)).toEqual(journal.usage.map(() => session?.device));
  });

  it('are not asked for again when something else in the record changes', () => {
    own = { time_zone: 'utc' };
    const intake = new Intake(host, gt06, 'tcp', '192.0.2.1:4000', link);
    intake.push(fixture('login-utc'));
    const reader = intake.session?.reader;
    own = { time_zone: 'utc' };
    intake.session?.reconsider();
    expect(intake.session?.reader).toBe(reader);
  });
});

describe('a connection that goes on under other options', () => {
  const kept: [codec: Codec, first: string, options: Record<string, string>, command: string][] = [
    [h02, frameLines('h02').find(({ id }) => id === 'b2')?.hex ?? '', { model: 'cantrack' }, 'locate'],
    [teltonika, `000f${Buffer.from(DEVICE).toString('hex')}`, { commands: 'codec_14' }, 'locate'],
    [jt808, frameLines('jt808')[0]?.hex ?? '', { dialect: 'jimi' }, 'locate'],
  ];
  it.each(kept.map(([codec, ...rest]) => [codec.name, codec, ...rest] as const))(
    'knows in %s whom its commands name',
    (_name, codec, first, options, command) => {
      const optionsOf = codecOptions(CODECS, {}, {});
      const before = new Reader(codec, 'tcp', optionsOf(codec, ''), silentLog);
      const bytes = bytesOf(first);
      before.decode(bytes, 0, bytes.length, new FrameResult());
      const after = before.reopened(optionsOf(codec, '', options));
      expect(after.options).toMatchObject(options);
      expect(after.encodeCommand(command, {}, 1, new Uint8Array(1024), 0)).toBeGreaterThan(0);
      const fresh = new Reader(codec, 'tcp', after.options, silentLog);
      expect(fresh.encodeCommand(command, {}, 1, new Uint8Array(1024), 0)).toBe(0);
    },
  );
});
