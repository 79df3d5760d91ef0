import { beforeEach, describe, expect, it } from 'vitest';
import h02 from '../../codecs/h02/index.ts';
import { addressOf, networkOf } from '../../src/base/wire/network.ts';
import { type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import { Newcomers } from '../../src/fleet/registry/newcomers.ts';
import type { IntakeHost, Link } from '../../src/in/intake/host.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { intakeHost, MemoryJournal } from '../support/intake-rig.ts';

/** Invented ids in an open registry: the numbers quote the invariants of src/fleet/registry/newcomers.ts. */

const RATES = { address: 100, total: 1000, exempt: ['127.0.0.0/8', '::1/128'] };
const FLOOD = 12_000;
const DATAGRAMS = 25_640;
let clock: FakeClock;
let newcomers: Newcomers;
let devices: Map<string, Device>;
let journal: MemoryJournal;
let noted: { id: string; quiet: boolean | undefined }[];
let host: IntakeHost;

beforeEach(() => {
  clock = new FakeClock();
  newcomers = new Newcomers(RATES, 1, () => clock.elapsed());
  devices = new Map();
  journal = new MemoryJournal(Number.MAX_SAFE_INTEGER - 1);
  noted = [];
  host = intakeHost({
    journal,
    clock,
    registry: {
      lookup: (id, found) => found(new DeviceLookup(id, devices.get(id), false, false)),
      seen: ({ id, device }) => {
        if (device === undefined) devices.set(id, deviceSchema.parse({ id }));
      },
    },
    quarantine: { noted: (id, _protocol, _transport, _bytes, _start, _end, quiet) => noted.push({ id, quiet }) },
    newcomers: { admit: (address) => newcomers.admit(address) },
  });
});

function connect(peer: string, transport: 'tcp' | 'udp' = 'tcp'): { intake: Intake; ends: string[] } {
  const ends: string[] = [];
  const link: Link = { send() {}, close: (reason) => ends.push(reason), finish: (reason) => ends.push(reason), drained() {} };
  return { intake: new Intake(host, h02, transport, peer, link), ends };
}

const position = (n: number): Uint8Array =>
  Buffer.from(`*HQ,${4_100_000_000 + n},V1,120000,A,5133.8290,N,00000.0000,E,000.00,090.00,011126,FFFFFFFF#`);
const limits = (): unknown[] => journal.events.filter(({ type }) => type === 'new_ids_limited');

describe('a flood of invented ids', () => {
  it('of one socket makes 100 devices a minute, and one event; the device that is known goes on', () => {
    devices.set('4100999999', deviceSchema.parse({ id: '4100999999' }));
    const { intake, ends } = connect('192.0.2.1:4000');
    for (let n = 0; n < FLOOD; n++) intake.push(position(n));
    intake.push(position(999_999));
    expect([devices.size, ends, journal.frames.length]).toEqual([101, [], 101]);
    expect(limits()).toEqual([{ device: '4100000100', type: 'new_ids_limited', address: '192.0.2.1' }]);
    expect(noted).toHaveLength(FLOOD - 100);
    expect(noted.every(({ quiet }) => quiet === true)).toBe(true);
    clock.step(60_000);
    for (let n = 0; n < FLOOD; n++) intake.push(position(n));
    expect([devices.size, limits().length]).toEqual([201, 2]);
  });

  it('of spoofed datagrams makes 1 000 devices a minute, one event, and a bounded table', () => {
    for (let n = 0; n < DATAGRAMS; n++) connect(`198.${n % 250}.${Math.floor(n / 250)}.7:4000`, 'udp').intake.push(position(n));
    expect([devices.size, journal.frames.length, limits().length, newcomers.size]).toEqual([1000, 1000, 1, 1000]);
  });

  it('ends the connection of a first id that is too many, without an answer', () => {
    for (let n = 0; n < 100; n++) newcomers.admit('192.0.2.1');
    const { intake, ends } = connect('192.0.2.1:4000');
    intake.push(position(1));
    expect([ends, journal.frames]).toEqual([['new_id_rate'], []]);
  });

  it('on loopback is not bounded: that is how fleets are tried and imported', () => {
    const { intake } = connect('127.0.0.1:4000');
    const mapped = connect('::ffff:127.0.0.1:4000').intake;
    for (let n = 0; n < 2000; n++) (n % 2 === 0 ? intake : mapped).push(position(n));
    expect([devices.size, limits().length]).toEqual([2000, 0]);
  });

  it('does not come in behind a registry that could not be read', () => {
    let unread = true;
    host = { ...host, registry: { ...host.registry, lookup: (id, found) => found(new DeviceLookup(id, undefined, false, unread)) } };
    const { intake, ends } = connect('192.0.2.1:4000');
    intake.push(position(1));
    for (let n = 0; n < 100; n++) newcomers.admit('192.0.2.1');
    unread = false;
    intake.session?.reconsider();
    expect(ends).toEqual(['new_id_rate']);
  });
});

describe('newcomers', () => {
  it('1: a worker has its share', () => {
    const share = new Newcomers(RATES, 8, () => clock.elapsed());
    const admitted = Array.from({ length: 50 }, () => share.admit('192.0.2.1')).filter((verdict) => verdict === 'admitted');
    expect(admitted).toHaveLength(13);
  });

  it('1: an address of IPv6 is its /64', () => {
    for (let n = 0; n < 100; n++) newcomers.admit(`2001:db8:1:2::${n.toString(16)}`);
    expect(newcomers.admit('2001:db8:1:2:ffff::1')).toBe('excess_news');
    expect(newcomers.admit('2001:db8:1:2:ffff::2')).toBe('excess');
    expect(newcomers.admit('2001:db8:1:3::1')).toBe('admitted');
    expect(newcomers.admit('192.0.2.1')).toBe('admitted');
  });

  it.each([
    ['2001:db8::1', 4, '2001:db8:0:0'],
    ['::1', 4, '0:0:0:0'],
    ['2001:0DB8:0001:0000:0:0:0:1', 3, '2001:db8:1'],
    ['fe80::1%eth0', 4, 'fe80:0:0:0'],
    ['1:2:3:4:5:6:7::', 4, '1:2:3:4'],
  ])('networks of IPv6: %s', (address, groups, network) => expect(networkOf(address, 4, groups)).toBe(network));

  it('networks of IPv4, also as a listener on :: sees it', () => {
    expect(networkOf(addressOf('::ffff:192.0.2.7:4000'), 3, 3)).toBe('192.0.2');
    expect(addressOf('2001:db8::1:4000')).toBe('2001:db8::1');
  });
});
