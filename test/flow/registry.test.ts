import { beforeEach, describe, expect, it } from 'vitest';
import h02 from '../../codecs/h02/index.ts';
import teltonika from '../../codecs/teltonika/index.ts';
import { createMetrics } from '../../src/base/metrics/catalog.ts';
import { hex } from '../../src/base/wire/index.ts';
import type { Codec, Transport } from '../../src/codec/index.ts';
import { type Device, deviceSchema, isOut } from '../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import type { IntakeHost } from '../../src/in/intake/host.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { EntryKind } from '../../src/journal/entry.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';
import { MemoryProfiles } from '../helpers/memory-profiles.ts';
import { NO_DELIVERY } from '../helpers/no-delivery.ts';
import { handshake, packet } from '../helpers/teltonika.ts';
import toy, { toyAlive, toyFixes, toyLogin } from '../helpers/toy-codec.ts';
import { intakeHost, MemoryJournal, RecordedLink } from '../support/intake-rig.ts';

/** Who is admitted, and under which id: intake invariant 10. */

/** Answers from what the test has put in, at once or when it is told to. */
class Answers {
  readonly devices = new Map<string, Device>();
  closed = false;
  late = false;
  unread = false;
  readonly seenIds: string[] = [];
  readonly noted: string[] = [];
  #owed: (() => void)[] = [];

  lookup(reported: string, found: (known: DeviceLookup) => void): void {
    const answer = (): void => {
      const device = [...this.devices.values()].find(({ id, aliases, unit }) => [id, unit, ...aliases].includes(reported));
      const out = device !== undefined && isOut(device, reported);
      found(new DeviceLookup(reported, this.unread || out ? undefined : device, this.closed, this.unread, out));
    };
    if (this.late) this.#owed.push(answer);
    else answer();
  }

  seen(known: DeviceLookup): void {
    this.seenIds.push(known.id);
  }

  put(id: string, more: object = {}): void {
    this.devices.set(id, deviceSchema.parse({ id, ...more }));
  }

  answer(): void {
    for (const owed of this.#owed.splice(0)) owed();
  }
}

let journal: MemoryJournal;
let registry: Answers;
let host: IntakeHost;
let clock: FakeClock;
let metrics: ReturnType<typeof createMetrics>;

beforeEach(() => {
  journal = new MemoryJournal(1000);
  registry = new Answers();
  clock = new FakeClock();
  metrics = createMetrics();
  host = intakeHost({
    journal,
    clock,
    metrics,
    registry,
    quarantine: { noted: (id, _protocol, _transport, bytes, start, end) => registry.noted.push(`${id} ${hex(bytes, start, end)}`) },
  });
});

function connect(codec: Codec = toy, transport: Transport = 'tcp'): { intake: Intake; link: RecordedLink } {
  const link = new RecordedLink();
  return { intake: new Intake(host, codec, transport, '192.0.2.1:4000', link), link };
}

const rejects = async (): Promise<Record<string, number>> =>
  Object.fromEntries((await metrics.rejects.get()).values.map(({ labels, value }) => [String(labels.reason), value]));

const login = toyLogin('12345678', false);
const other = toyLogin('87654321', false);
const IMEI = '356307042441013';

describe('an alias', () => {
  it('is its device in session, journal and delivery; the device itself is answered as it speaks', () => {
    registry.put('main-1', { aliases: ['12345678'] });
    const attached: string[] = [];
    host = { ...host, delivery: { ...NO_DELIVERY, attached: (contact) => attached.push(contact.device) } };
    const { intake, link } = connect();
    intake.push(login);
    intake.push(toyFixes(2, 3));
    // A protocol that says its id in every frame does not come anew each time.
    intake.push(login);
    expect(intake.session).toMatchObject({ device: 'main-1', record: { id: 'main-1' } });
    expect(host.sessions.get('main-1')).toBe(intake.session);
    expect(journal.frames.map(({ device }) => device)).toEqual(['main-1']);
    expect(journal.events).toEqual([{ device: 'main-1', type: 'connected', transport: 'tcp', protocol: 'toy', alias: '12345678' }]);
    expect(attached).toEqual(['main-1']);
    expect(link.sent).toHaveLength(3);
  });

  it('takes over the connection of its device, and the other way round', () => {
    registry.put('87654321', { aliases: ['12345678'] });
    const first = connect();
    first.intake.push(other);
    // Not heard for two intervals.
    clock.step(120_001);
    const second = connect();
    second.intake.push(login);
    expect(first.link.finishes).toEqual(['superseded']);
    expect(host.sessions.get('87654321')).toBe(second.intake.session);
  });
});

describe('a closed registry', () => {
  beforeEach(() => {
    registry.closed = true;
  });

  it('refuses an unknown device in the protocol, stores nothing, notes what it said, and ends the connection', async () => {
    const { intake, link } = connect(teltonika);
    intake.push(handshake(IMEI));
    intake.push(packet(1_793_491_200_000));
    expect(link).toMatchObject({ sent: ['00'], finishes: ['unknown_device'], drains: 1 });
    expect(journal.entries).toEqual([]);
    expect(registry).toMatchObject({ noted: [`${IMEI} ${hex(handshake(IMEI), 0, 17)}`], seenIds: [] });
    expect(host.sessions.size).toBe(0);
    expect(await rejects()).toEqual({ unknown_device: 1 });
  });

  it('reads nothing behind the frame that it refuses', () => {
    const { intake, link } = connect(toy);
    intake.push(Buffer.concat([login, toyFixes(2, 1), toyAlive(3)]));
    expect(link.finishes).toEqual(['unknown_device']);
    expect(journal.entries).toEqual([]);
    expect(link.drains).toBe(1);
  });

  it('serves a device with a record', () => {
    registry.put('12345678');
    const { intake, link } = connect();
    intake.push(login);
    intake.push(toyFixes(2, 1));
    expect(link).toMatchObject({ finishes: [], sent: [expect.any(String), expect.any(String)] });
    expect(registry.seenIds).toEqual(['12345678']);
  });

  it('lets a connection of several devices go on without the unknown device among them', () => {
    registry.put('12345678');
    const { intake, link } = connect();
    intake.push(Buffer.concat([login, toyFixes(2, 1), other, toyFixes(4, 1), toyAlive(5), login, toyFixes(7, 2)]));
    expect(link.finishes).toEqual([]);
    expect(journal.frames).toMatchObject([
      { device: '12345678', kind: EntryKind.Frame, payload: hex(toyFixes(2, 1), 0, toyFixes(2, 1).length) },
      { device: '12345678', kind: EntryKind.Frame, payload: hex(toyFixes(7, 2), 0, toyFixes(7, 2).length) },
    ]);
    // Two logins, two frames of records, and a refusal of six bytes.
    expect(link.sent.join('').length / 2).toBe(6 + connectAnswers([login, toyFixes(2, 1), login, toyFixes(7, 2)]));
    expect(registry.noted).toHaveLength(1);
  });

  /** Bytes of the answers to these frames on a connection of their own. */
  function connectAnswers(pushed: readonly Uint8Array[]): number {
    const { intake, link } = connect();
    for (const bytes of pushed) intake.push(bytes);
    return link.sent.join('').length / 2;
  }

  it('does not call a device unknown that it cannot look up', async () => {
    registry.unread = true;
    const { intake, link } = connect(teltonika);
    intake.push(handshake(IMEI));
    expect(link.finishes).toEqual(['registry_unreachable']);
    expect(registry.noted).toEqual([]);
    expect(await rejects()).toEqual({ registry_unreachable: 1 });
  });
});

describe('networks', () => {
  it('from elsewhere a device is refused, with an event once a minute, and does not disturb the one that is connected', async () => {
    registry.put(IMEI);
    const inside = connect(teltonika);
    inside.intake.push(handshake(IMEI));
    registry.put(IMEI, { networks: ['198.51.100.0/24'] });
    const known = new DeviceLookup(IMEI, registry.devices.get(IMEI), false, false);
    host = { ...host, registry: { lookup: (_id, found) => found(known), seen: () => {} } };
    for (let n = 0; n < 3; n++) {
      const outside = connect(teltonika);
      outside.intake.push(handshake(IMEI));
      expect(outside.link).toMatchObject({ sent: ['00'], finishes: ['network_refused'] });
    }
    expect(host.sessions.get(IMEI)).toBe(inside.intake.session);
    expect(inside.link.finishes).toEqual([]);
    expect(journal.events.filter(({ type }) => type === 'network_refused')).toEqual([{ device: IMEI, type: 'network_refused' }]);
    clock.step(61_000);
    connect(teltonika).intake.push(handshake(IMEI));
    expect(journal.events.filter(({ type }) => type === 'network_refused')).toHaveLength(2);
    expect(await rejects()).toEqual({ network_refused: 4 });
  });
});

describe('another unit', () => {
  it('is the device; the one before is refused with an event, and does not disturb it', async () => {
    registry.put('12345678', { unit: '87654321', account: 'acme' });
    const inside = connect();
    inside.intake.push(other);
    inside.intake.push(toyFixes(2, 1));
    for (let n = 0; n < 3; n++) {
      const outside = connect();
      outside.intake.push(login);
      outside.intake.push(toyFixes(2, 2));
      expect(outside.link.finishes).toEqual(['unit_replaced']);
    }
    expect(host.sessions.of('12345678')).toEqual([inside.intake.session]);
    expect(journal.frames.map(({ device, account, accepted }) => [device, account, accepted])).toEqual([['12345678', 'acme', 1]]);
    const { devices } = registry;
    const known = new DeviceLookup('12345678', undefined, false, false, true);
    expect([known.isNew, devices.size]).toEqual([false, 1]);
    const refused = { device: '12345678', type: 'unit_refused', protocol: 'toy', transport: 'tcp', address: '192.0.2.1' };
    expect(journal.events.filter(({ type }) => type === 'unit_refused')[0]).toEqual(refused);
    expect(await rejects()).toEqual({ unit_replaced: 3 });
    expect([registry.noted, registry.seenIds]).toEqual([[], ['12345678']]);
  });

  it('is told of once a minute', () => {
    const known = new DeviceLookup('12345678', undefined, false, false, true);
    host = { ...host, registry: { lookup: (_id, found) => found(known), seen: () => {} } };
    const refusals = (): number => {
      for (let n = 0; n < 3; n++) connect().intake.push(login);
      return journal.events.filter(({ type }) => type === 'unit_refused').length;
    };
    expect(refusals()).toBe(1);
    clock.step(59_000);
    expect(refusals()).toBe(1);
    clock.step(1000);
    expect(refusals()).toBe(2);
  });

  it('behind the new one on a shared connection the one before is passed over', () => {
    registry.put('12345678', { unit: '87654321' });
    const { intake, link } = connect();
    intake.push(Buffer.concat([other, toyFixes(2, 1), login, toyFixes(4, 2), other, toyFixes(6, 3)]));
    expect(link.finishes).toEqual([]);
    expect(journal.frames.map(({ accepted }) => accepted)).toEqual([1, 3]);
  });

  it('what is learned of hardware is kept under its own id', () => {
    const profiles = new MemoryProfiles();
    host = { ...host, profiles };
    registry.put('12345678');
    const before = connect();
    before.intake.push(toyLogin('12345678', true));
    before.intake.push(toyFixes(2, 1));
    before.intake.closed('device');
    registry.put('12345678', { unit: '87654321' });
    const { intake } = connect();
    intake.push(toyLogin('87654321', false));
    expect(intake.session?.profile.recalled).toBe(0);
    intake.push(toyLogin('87654321', true));
    intake.push(toyFixes(2, 1));
    intake.closed('device');
    expect([...profiles.kept.keys()]).toEqual(['12345678', '87654321']);
  });
});

describe('while the registry has not answered', () => {
  beforeEach(() => {
    registry.late = true;
  });

  it.each(['at once', 'byte by byte', 'in frames'])('nothing is stored or answered; then all is, as if it had been there: %s', (how) => {
    registry.put('main-1', { aliases: ['12345678'] });
    const sent = [toyAlive(1), login, toyFixes(2, 3), toyAlive(3), toyFixes(4, 1)];
    const { intake, link } = connect();
    const all = Buffer.concat(sent);
    const lent = Buffer.from(all);
    if (how === 'at once') intake.push(lent);
    else if (how === 'in frames') for (const frame of sent) intake.push(frame);
    else for (const byte of all) intake.push(Uint8Array.of(byte));
    lent.fill(0);
    // A heartbeat of nobody promises nothing.
    const before = link.sent.length;
    expect([before, journal.entries, intake.session, host.sessions.size]).toEqual([1, [], undefined, 0]);
    expect(intake.owes).toBe(true);
    registry.answer();
    expect(intake).toMatchObject({ framesIn: 5, owes: false });
    expect(intake.session?.device).toBe('main-1');
    expect(journal.frames.map(({ device }) => device)).toEqual(['main-1', 'main-1']);
    registry.late = false;
    const plain = connect();
    for (const frame of sent) plain.intake.push(frame);
    expect(link.sent.join('')).toBe(plain.link.sent.join(''));
    expect(link.drains).toBeGreaterThan(0);
  });

  it('a frame is read as if nothing had been read before: two devices on one connection', () => {
    for (const round of ['late', 'at once']) {
      registry.late = round === 'late';
      const { intake } = connect();
      for (const bytes of [toyLogin('12345678', true), toyFixes(2, 1), other, toyFixes(4, 1)]) {
        intake.push(bytes);
        registry.answer();
      }
      intake.closed('device');
    }
    const read = journal.frames.map(({ sequence: _sequence, ...frame }) => frame);
    expect(read.slice(0, read.length / 2)).toEqual(read.slice(read.length / 2));
    expect(journal.frames.map(({ device }) => device)).toEqual(['12345678', '87654321', '12345678', '87654321']);
  });

  it('a second device that is named behind the first waits in its turn', () => {
    const { intake } = connect();
    intake.push(Buffer.concat([login, toyFixes(2, 1), other, toyFixes(4, 2), login, toyFixes(6, 3)]));
    for (let n = 0; n < 3; n++) registry.answer();
    expect(journal.frames.map(({ device }) => device)).toEqual(['12345678', '87654321', '12345678']);
    expect(intake.framesIn).toBe(6);
  });

  it('a datagram is held, too', () => {
    const line = frameLines('teltonika').find(({ id }) => id === 'udp-codec-8');
    const { intake, link } = connect(teltonika, 'udp');
    intake.push(bytesOf(line?.hex ?? ''));
    expect(journal.entries).toEqual([]);
    registry.answer();
    expect(journal.frames).toMatchObject([{ device: '352093086403655' }]);
    expect(link.sent).toEqual(['0005cafe010501']);
  });

  it('its bytes are counted, also when it gets no answer and leaves at once', () => {
    const bytes = bytesOf(frameLines('h02').find(({ id }) => id === 'b2')?.hex ?? '');
    const { intake } = connect(h02);
    intake.push(bytes);
    registry.answer();
    intake.closed('device');
    const { usage } = journal;
    expect(usage).toMatchObject([{ device: '4106011660', in: bytes.length, records: 1 }]);
  });

  it('holds so much and no more', () => {
    const { intake, link } = connect();
    intake.push(login);
    const many = Buffer.concat(Array.from({ length: 100 }, (_, n) => toyFixes(n, 20)));
    for (let n = 0; n < 20 && link.closes.length === 0; n++) intake.push(many);
    expect(link.closes).toEqual(['registry_slow']);
    registry.answer();
    expect(journal.entries).toEqual([]);
  });

  it('a connection that ends in the meantime leaves nothing', () => {
    const { intake } = connect();
    intake.push(Buffer.concat([login, toyFixes(2, 3)]));
    intake.closed('device');
    registry.answer();
    expect([journal.entries, host.sessions.size]).toEqual([[], 0]);
  });
});

describe('what changes while a device is connected', () => {
  const connected = (): { intake: Intake; link: RecordedLink } => {
    const made = connect();
    made.intake.push(login);
    return made;
  };

  it('its record is there for the next frame', () => {
    registry.put('12345678');
    const { intake, link } = connected();
    registry.put('12345678', { state: 'suspended', account: 'acme' });
    intake.session?.reconsider();
    expect(intake.session?.record).toMatchObject({ state: 'suspended', account: 'acme' });
    expect(link.finishes).toEqual([]);
  });

  it.each([
    ['it is removed from a closed registry', () => registry.devices.clear(), 'unknown_device'],
    ['its networks do not hold its address any more', () => registry.put('12345678', { networks: ['10.0.0.0/8'] }), 'network_refused'],
    ['another unit is put into it', () => registry.put('12345678', { unit: '87654321' }), 'unit_replaced'],
    [
      'its id becomes an alias',
      () => {
        registry.devices.clear();
        registry.put('main-1', { aliases: ['12345678'] });
      },
      'alias_changed',
    ],
  ])('it is let go, after its answers, when %s', (_what, change, reason) => {
    registry.closed = true;
    registry.put('12345678');
    const { intake, link } = connected();
    change();
    intake.session?.reconsider();
    expect(link.finishes).toEqual([reason]);
  });

  it('a registry that cannot be read changes nothing; once it can, an unknown device is noted', () => {
    registry.unread = true;
    const { intake, link } = connected();
    expect(intake.session?.record).toBeUndefined();
    intake.session?.reconsider();
    registry.seenIds.length = 0;
    registry.unread = false;
    intake.session?.reconsider();
    expect([link.finishes, registry.seenIds]).toEqual([[], ['12345678']]);
    intake.session?.reconsider();
    expect(registry.seenIds).toEqual(['12345678']);
  });
});
