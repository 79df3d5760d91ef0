import { beforeEach, describe, expect, it } from 'vitest';
import gt06 from '../../codecs/gt06/index.ts';
import type { Options } from '../../src/codec/index.ts';
import { codecOptions } from '../../src/codec/registry.ts';
import { Intake, type IntakeHost } from '../../src/in/intake/intake.ts';
import { Meters } from '../../src/in/session/meter.ts';
import { SessionTable } from '../../src/in/session/table.ts';
import { EntryKind, type Origin } from '../../src/journal/entry.ts';
import { silentLog } from '../../src/log.ts';
import { createMetrics } from '../../src/metrics/catalog.ts';
import { CodecCounters } from '../../src/metrics/hot-counters.ts';
import { deviceSchema } from '../../src/registry/device.ts';
import { Known } from '../../src/registry/known.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';
import { MemoryProfiles } from '../helpers/memory-profiles.ts';
import { NO_DOWNLINK } from '../helpers/no-downlink.ts';
import { OPEN_REGISTRY } from '../helpers/open-registry.ts';

/** What the journal is told of how a frame was read, and whose the device was. */

const [FIRST, SECOND] = ['123456789012345', '752533678900242'];
const lines = new Map(frameLines('gt06').map((line) => [line.id, line.hex]));
const fixture = (id: string): Uint8Array => bytesOf(lines.get(id) ?? '').slice();
const LOGINS = [fixture('login-utc'), fixture('login-east-8')];
const LOCATION = fixture('22-1');

let stored: { kind: EntryKind; device: string; account: string; options: Options | null }[];
let accounts: Map<string, string>;
let host: IntakeHost;

beforeEach(() => {
  stored = [];
  accounts = new Map([[FIRST, 'acme']]);
  const metrics = createMetrics();
  const journal = {
    append({ definition, device }: Origin, kind: EntryKind): number {
      stored.push({ kind, device, account: definition.account, options: definition.options });
      return stored.length;
    },
    durable: 0,
    accepting: true,
  };
  const clock = new FakeClock();
  const optionsOf = codecOptions(new Map([['gt06', gt06]]), { gt06: { time_zone: 'utc', relay: 'dyd' } }, { [SECOND]: { variant: 'r11' } });
  const lookup = (id: string, found: (known: Known) => void): void => {
    const account = accounts.get(id);
    found(new Known(id, account === undefined ? undefined : deviceSchema.parse({ id, account }), false, false));
  };
  host = {
    journal,
    sessions: new SessionTable<Intake>(),
    profiles: new MemoryProfiles(),
    ...OPEN_REGISTRY,
    registry: { lookup, seen: () => {} },
    downlink: NO_DOWNLINK,
    meters: new Meters(journal, clock),
    metrics,
    clock,
    log: silentLog,
    owing: new Set(),
    counters: (codec) => new CodecCounters(metrics, codec),
    options: optionsOf,
  };
});

const frames = () => stored.filter(({ kind }) => kind === EntryKind.Frame);

describe('what a frame was read under', () => {
  it('is the options of its device that affect decoding, also when devices take turns on a connection', () => {
    const intake = new Intake(host, gt06, 'tcp', '192.0.2.1:4000', { send() {}, close() {}, finish() {}, drained() {} });
    for (const login of [...LOGINS, ...LOGINS]) {
      intake.push(login);
      intake.push(LOCATION);
    }
    const utc = { integrity: 'count', variant: 'auto', time_zone: 'utc' };
    const own = { ...utc, variant: 'r11' };
    expect(frames().map(({ device, account, options }) => [device, account, options])).toEqual([
      [FIRST, 'acme', utc],
      [SECOND, '', own],
      [FIRST, 'acme', utc],
      [SECOND, '', own],
    ]);
    intake.closed('end');
  });

  it('has the account at receipt: what gathered under the old one is its, what comes after the change is the new one’s', () => {
    const intake = new Intake(host, gt06, 'tcp', '192.0.2.1:4000', { send() {}, close() {}, finish() {}, drained() {} });
    intake.push(fixture('login-utc'));
    intake.push(LOCATION);
    accounts.set(FIRST, 'other');
    intake.reconsider();
    intake.push(LOCATION);
    intake.event({ type: 'noted' });
    intake.closed('end');
    expect(frames().map(({ account }) => account)).toEqual(['acme', 'other']);
    const of = (kind: EntryKind) => stored.filter((one) => one.kind === kind).map(({ account }) => account);
    expect(of(EntryKind.Usage)).toEqual(['acme', 'other']);
    // Connected and learned its zone; noted and disconnected.
    expect(of(EntryKind.Event)).toEqual(['acme', 'acme', 'other', 'other']);
  });
});
