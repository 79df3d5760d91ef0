import { beforeEach, describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import { codecOptions } from '../../src/codec/registry.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import type { IntakeHost } from '../../src/in/intake/host.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { EntryKind } from '../../src/journal/entry.ts';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';
import { intakeHost, MemoryJournal, RecordedLink } from '../support/intake-rig.ts';

/** What the journal is told of how a frame was read, and whose the device was. */

const [FIRST, SECOND] = ['123456789012345', '752533678900242'];
const lines = new Map(frameLines('gt06').map((line) => [line.id, line.hex]));
const fixture = (id: string): Uint8Array => bytesOf(lines.get(id) ?? '').slice();
const LOGINS = [fixture('login-utc'), fixture('login-east-8')];
const LOCATION = fixture('22-1');

let journal: MemoryJournal;
let accounts: Map<string, string>;
let host: IntakeHost;

beforeEach(() => {
  journal = new MemoryJournal();
  accounts = new Map([[FIRST, 'acme']]);
  const optionsOf = codecOptions(new Map([['gt06', gt06]]), { gt06: { time_zone: 'utc', relay: 'dyd' } }, { [SECOND]: { variant: 'r11' } });
  const lookup = (id: string, found: (known: DeviceLookup) => void): void => {
    const account = accounts.get(id);
    found(new DeviceLookup(id, account === undefined ? undefined : deviceSchema.parse({ id, account }), false, false));
  };
  host = intakeHost({ journal, registry: { lookup, seen: () => {} }, options: optionsOf });
});

describe('what a frame was read under', () => {
  it('is the options of its device that affect decoding, also when devices take turns on a connection', () => {
    const intake = new Intake(host, gt06, 'tcp', '192.0.2.1:4000', new RecordedLink());
    for (const login of [...LOGINS, ...LOGINS]) {
      intake.push(login);
      intake.push(LOCATION);
    }
    const utc = { integrity: 'count', variant: 'auto', time_zone: 'utc' };
    const own = { ...utc, variant: 'r11' };
    expect(journal.frames.map(({ device, account, options }) => [device, account, options])).toEqual([
      [FIRST, 'acme', utc],
      [SECOND, '', own],
      [FIRST, 'acme', utc],
      [SECOND, '', own],
    ]);
    intake.closed('end');
  });

  it('has the account at receipt: what gathered under the old one is its, what comes after the change is the new one’s', () => {
    const intake = new Intake(host, gt06, 'tcp', '192.0.2.1:4000', new RecordedLink());
    intake.push(fixture('login-utc'));
    intake.push(LOCATION);
    accounts.set(FIRST, 'other');
    intake.session?.reconsider();
    intake.push(LOCATION);
    intake.session?.event({ type: 'noted' });
    intake.closed('end');
    expect(journal.frames.map(({ account }) => account)).toEqual(['acme', 'other']);
    const of = (kind: EntryKind) => journal.entries.filter((one) => one.kind === kind).map(({ account }) => account);
    expect(of(EntryKind.Usage)).toEqual(['acme', 'other']);
    // Connected and learned its zone; noted and disconnected.
    expect(of(EntryKind.Event)).toEqual(['acme', 'acme', 'other', 'other']);
  });
});
