import { beforeEach, describe, expect, it, vi } from 'vitest';
import h02 from '../../codecs/h02/index.ts';
import { type Codec, defineCodec, type Options } from '../../src/codec/index.ts';
import type { DeliveryPort } from '../../src/fleet/command/delivery-line.ts';
import { planSchema, UNLIMITED } from '../../src/fleet/plan/plan.ts';
import { Seen } from '../../src/fleet/plan/plan-cache.ts';
import { type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import type { IntakeHost } from '../../src/in/intake/host.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { RecordFeed } from '../helpers/fixtures.ts';
import { MemoryProfiles } from '../helpers/memory-profiles.ts';
import { NO_DELIVERY } from '../helpers/no-delivery.ts';
import toy, { toyAlive, toyDefinition, toyDialect, toyFixes, toyLogin } from '../helpers/toy-codec.ts';
import { intakeHost, MemoryJournal, RecordedLink } from '../support/intake-rig.ts';

/**
 * Several devices on one connection (intake invariants 9 to 13): whatever the devices before it were, and however their turns ended, a
 * device is served as it would be on a connection of its own.
 */

const A = '4106011660';
const B = '4106011661';
const C = '4106011662';
const SOS = 'FFFFFFFD';
const CALM = 'FFFFFFFF';
/** Seconds of the day of the frames of one test. */
let second = 0;

function position(id: string, status: string, speed = '000.00'): Uint8Array {
  second++;
  const time = `12${String(Math.floor(second / 60)).padStart(2, '0')}${String(second % 60).padStart(2, '0')}`;
  return Buffer.from(`*HQ,${id},V1,${time},A,5133.8290,N,00000.0000,E,${speed},090.00,011126,${status}#`);
}

/** A position without an id, as H02 sends it: of the device that spoke last. */
const anonymous = (status: string, speed?: string): Uint8Array => position('', status, speed);

const NO_OPTIONS: Options = { status: 'sinotrack' };
const OWN_OPTIONS: Options = { status: 'sinotrack', maker: 'TH' };
let journal: MemoryJournal;
let profiles: MemoryProfiles;
let devices: Map<string, Device>;
let attached: DeliveryPort[];
let link: RecordedLink;
let late: boolean;
let owed: (() => void)[];
let host: IntakeHost;

beforeEach(() => {
  second = 0;
  journal = new MemoryJournal(1000);
  profiles = new MemoryProfiles();
  devices = new Map();
  attached = [];
  late = false;
  owed = [];
  const clock = new FakeClock();
  // When its frames say that they are sent.
  clock.wall = Date.UTC(2026, 10, 1, 12, 0, 5);
  const refusing = planSchema.parse({ name: 'refusing', exempt_events: [], steps: [{ action: 'refuse', at_pct: 100 }] });
  const held = { cycle: 0, cycle_end: clock.now() + 1e9, used_pct: 100, held: refusing.steps, news: [] };
  host = intakeHost({
    journal,
    clock,
    profiles,
    registry: {
      lookup(reported, found) {
        const answer = (): void => {
          const device = [...devices.values()].find(({ id, aliases }) => id === reported || aliases.includes(reported));
          found(new DeviceLookup(reported, device, true, false));
        };
        if (late) owed.push(answer);
        else answer();
      },
      seen: () => {},
    },
    service: {
      plan: (name) => (name === 'refusing' ? refusing : name === 'slow' ? planSchema.parse({ name: 'slow' }) : UNLIMITED),
      policy: (device) => {
        const plan = devices.get(device)?.plan;
        if (plan === 'refusing') return held;
        return plan === 'slow' ? { ...held, held: [{ action: 'throttle', at_pct: 1, bytes_per_s: 100 }] } : undefined;
      },
      seen: () => new Seen(),
      roams: () => {},
      said: () => {},
      programmed: (_device, usual) => usual,
      alarmsPass: true,
      erased: () => undefined,
      accountState: () => undefined,
    },
    delivery: { ...NO_DELIVERY, attached: (contact) => attached.push(contact) },
    options: (_codec, device) => (device === B ? OWN_OPTIONS : NO_OPTIONS),
  });
  for (const id of [A, C]) devices.set(id, deviceSchema.parse({ id }));
});

function connect(codec: Codec = h02): Intake {
  link = new RecordedLink();
  return new Intake(host, codec, 'tcp', '192.0.2.1:4000', link);
}

function push(intake: Intake, ...frames: Uint8Array[]): void {
  for (const frame of frames) {
    intake.push(frame);
    for (const answer of owed.splice(0)) answer();
  }
}

function eventsRead(of: string): unknown[] {
  return journal.frames
    .filter(({ device }) => device === of)
    .flatMap(({ device, memo, bytes }) => {
      const connection = new RecordFeed(h02, 'tcp', { memo, device, options: NO_OPTIONS });
      connection.feed.decode(bytes, 0, bytes.length);
      return connection.records[0]?.map((record) => record['event'] ?? '') ?? [];
    });
}

/** All that the turn of C leaves: the same as on a connection of its own. */
function turnOfC(intake: Intake): unknown {
  const before = { stored: journal.frames.length, sent: link.sent.length };
  push(intake, position(C, SOS, '030.00'), anonymous(SOS, '030.00'));
  const contact = attached.at(-1);
  const saw = {
    stored: journal.frames.slice(before.stored).map(({ device, memo }) => [device, memo]),
    events: eventsRead(C),
    device: intake.session?.device,
    record: intake.session?.record?.id,
    treatment: intake.session?.treatment.mode,
    throttle: link.rates.at(-1),
    session: host.sessions.get(C) === intake.session,
    contact: contact?.device,
    moving: contact?.moving,
    answers: link.sent.length - before.sent,
  };
  contact?.transmit('status', {}, 1);
  const command = link.sent.at(-1);
  intake.closed('device');
  const learned = [...profiles.kept].filter(([id]) => id === C).map(([id, { memo }]) => [id, memo]);
  const used = journal.usage.filter(({ device }) => device === C);
  return {
    ...saw,
    command,
    learned,
    records: used.reduce((sum, { records }) => sum + Number(records), 0),
    end: journal.events.at(-1)?.['device'],
  };
}

/** How the turn before may have ended. B reads frames under options of its own. */
const ENDINGS: readonly (readonly [string, () => void])[] = [
  ['unknown to a closed registry', () => devices.delete(B)],
  ['from a network that is not its own', () => devices.set(B, deviceSchema.parse({ id: B, networks: ['10.0.0.0/8'] }))],
  ['terminated', () => devices.set(B, deviceSchema.parse({ id: B, state: 'terminated' }))],
  ['served, on a plan that throttles', () => devices.set(B, deviceSchema.parse({ id: B, plan: 'slow' }))],
  ['suspended', () => devices.set(B, deviceSchema.parse({ id: B, state: 'suspended' }))],
];

const BEFORE: readonly (readonly [string, readonly string[]])[] = [
  ['behind one that is served', [A, B]],
  ['twice', [A, B, A, B]],
  ['with frames that do not name it', [A, B, '', '']],
];

describe('9: the turn of a device does not depend on the device before it, which was', () => {
  for (const [options, when] of [
    [NO_OPTIONS, 'at once'],
    [OWN_OPTIONS, 'at once'],
    [NO_OPTIONS, 'late'],
  ] as const)
    for (const [ending, arrange] of ENDINGS)
      for (const [order, ids] of BEFORE)
        it(`${ending}, ${order}, ${options === NO_OPTIONS ? 'with the same' : 'with other'} options; the registry answers ${when}`, () => {
          host = { ...host, options: (_codec, device) => (device === B ? options : NO_OPTIONS) };
          const alone = turnOfC(connect());
          // The alarm that a device holds is what is learned of it: bit 0 of the memo.
          const own = { device: C, events: ['sos', ''], contact: C, moving: true, throttle: 0, end: C, learned: [[C, 1]] };
          expect(alone).toMatchObject(own);
          journal.entries.length = 0;
          profiles.kept.clear();
          attached = [];
          second = 0;
          arrange();
          late = when === 'late';
          const intake = connect();
          for (const id of ids) push(intake, id === '' ? anonymous(SOS) : position(id, SOS));
          second = 0;
          expect(turnOfC(intake)).toEqual(alone);
          expect([...link.finishes, ...link.closes]).toEqual([]);
          const refused = ENDINGS.slice(0, 3).some(([name]) => name === ending);
          expect([...profiles.kept].filter(([id, { memo }]) => memo !== 1 || (id === B && refused))).toEqual([]);
        });
});

describe('while a device that is not admitted has its turn', () => {
  it.each(ENDINGS.slice(0, 3))('nothing of the one before is left: %s', (_ending, arrange) => {
    arrange();
    devices.set(A, deviceSchema.parse({ id: A, plan: 'slow' }));
    const intake = connect();
    push(intake, position(A, CALM));
    expect(link.rates.at(-1)).toBe(100);
    push(intake, position(B, SOS), anonymous(SOS));
    expect(intake.session).toBeUndefined();
    expect([link.rates.at(-1), host.sessions.size, journal.frames.length, link.finishes]).toEqual([0, 0, 1, []]);
    expect(profiles.kept.has(B)).toBe(false);
  });

  it('a second one that is not admitted does not end the connection of the first device', () => {
    const intake = connect();
    push(intake, position(A, CALM), position(B, CALM), position('4106011669', CALM), position(A, CALM));
    expect([...link.finishes, ...link.closes]).toEqual([]);
    expect(journal.frames.map(({ device }) => device)).toEqual([A, A]);
  });

  it('the connection began once, and ends once, with the last device that it served', () => {
    const intake = connect();
    push(intake, position(A, CALM), position(B, CALM), position(C, CALM), position(B, CALM));
    intake.closed('device');
    expect(journal.events.map(({ type, device }) => [type, device])).toEqual([
      ['connected', A],
      ['disconnected', C],
    ]);
    expect(journal.events[0]).toEqual({ device: A, type: 'connected', transport: 'tcp', protocol: 'h02' });
  });
});

describe('12: a device that its plan refuses', () => {
  it('does not end a connection that others use', () => {
    devices.set(B, deviceSchema.parse({ id: B, plan: 'refusing' }));
    const intake = connect();
    push(intake, position(A, CALM), position(B, CALM), position(C, SOS));
    expect([...link.finishes, ...link.closes]).toEqual([]);
    expect(journal.frames.map(({ device }) => device)).toEqual([A, C]);
  });
});

describe('a device behind another one', () => {
  it('2: answers of the one before are encoded by the reader that read its frames', () => {
    journal.durable = 0;
    const answering = new Set<object>();
    const reading: object[] = [];
    const watched = defineCodec({
      ...toyDefinition,
      tcp: {
        ...toyDialect,
        decode(bytes, start, end, state, out) {
          reading.push(state);
          toyDialect.decode(bytes, start, end, state, out);
        },
        encodeAck(request, state, out, at) {
          if (request.rows > 0) answering.add(state);
          return toyDialect.encodeAck(request, state, out, at);
        },
      },
    });
    for (const id of ['12345678', '87654321']) devices.set(id, deviceSchema.parse({ id }));
    const intake = connect(watched);
    push(intake, toyLogin('12345678', false), toyFixes(2, 1));
    const first = reading.at(-1);
    push(intake, toyLogin('87654321', false));
    intake.release(1000);
    expect([...answering]).toEqual([first]);
    expect(reading.at(-1)).not.toBe(first);
  });

  it('12: does not wait for the refusal of the one before', () => {
    vi.useFakeTimers();
    devices.set(B, deviceSchema.parse({ id: B, plan: 'refusing' }));
    devices.set('12345678', deviceSchema.parse({ id: '12345678', plan: 'refusing' }));
    devices.set('87654321', deviceSchema.parse({ id: '87654321' }));
    const seen = new Seen();
    seen.penalty(host.clock.elapsed());
    const { policy } = host.service;
    host = { ...host, service: { ...host.service, seen: () => seen, policy: (id) => policy(id === '12345678' ? B : id) } };
    const intake = connect(toy);
    push(intake, toyLogin('12345678', false), toyFixes(2, 1));
    expect([intake.phase, link.sent.length]).toEqual(['refusing', 1]);
    push(intake, toyLogin('87654321', false));
    expect([intake.phase, link.sent.join('').length]).toEqual(['served', 3 * 12]);
    vi.advanceTimersByTime(600_000);
    expect([...link.finishes, ...link.closes]).toEqual([]);
    vi.useRealTimers();
  });

  it('that was refused leaves the connection identified: it has served one', () => {
    devices.delete(B);
    const intake = connect();
    expect(intake.identified).toBe(false);
    push(intake, position(A, CALM), position(B, CALM));
    expect([intake.session, intake.identified]).toEqual([undefined, true]);
  });
});

describe('11: while the registry is asked who another device is', () => {
  it('no command leaves for the one before, addressed by what the frame has named', () => {
    const intake = connect();
    push(intake, position(A, CALM));
    late = true;
    intake.push(position(C, CALM));
    expect(attached.at(-1)).toMatchObject({ device: A, clear: false });
    for (const answer of owed.splice(0)) answer();
    expect(attached.at(-1)).toMatchObject({ device: C, clear: true });
  });

  it('a profile of the one before that comes late is not lost, nor written over', () => {
    profiles.kept.set(A, { codec: 'h02', memo: 1 << 17, updated: 0 });
    profiles.late = true;
    const intake = connect();
    push(intake, position(A, CALM));
    late = true;
    intake.push(position(C, CALM));
    profiles.answer();
    for (const answer of owed.splice(0)) answer();
    late = false;
    profiles.late = false;
    push(intake, position(A, CALM));
    intake.closed('device');
    expect([...profiles.kept]).toEqual([[A, { codec: 'h02', memo: 1 << 17, updated: 0 }]]);
  });

  it('its frames are cut by a state of their own', () => {
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
    devices.set('12345678', deviceSchema.parse({ id: '12345678' }));
    devices.set('87654321', deviceSchema.parse({ id: '87654321' }));
    const intake = connect(watched);
    push(intake, toyLogin('12345678', true), toyFixes(2, 1));
    const before = new Set(reading);
    late = true;
    intake.push(toyLogin('87654321', false));
    cutting.clear();
    intake.push(toyFixes(3, 1));
    expect([...cutting].filter((state) => before.has(state))).toEqual([]);
    // It has read the frame that named the device.
    expect([...cutting]).toMatchObject([{ knots: false, told: true }]);
    for (const answer of owed.splice(0)) answer();
    expect(journal.frames.slice(1)).toMatchObject([{ device: '87654321', memo: 0 }]);
  });
});

describe('11: while the registry is asked who the first device is', () => {
  it('frames are cut by the state that has read what came before', () => {
    const readBy = new Map<object, number>();
    const cutting: object[] = [];
    const watched = defineCodec({
      ...toyDefinition,
      tcp: {
        ...toyDialect,
        frame(bytes, start, end, state) {
          cutting.push(state);
          return toyDialect.frame(bytes, start, end, state);
        },
        decode(bytes, start, end, state, out) {
          readBy.set(state, (readBy.get(state) ?? 0) + 1);
          toyDialect.decode(bytes, start, end, state, out);
        },
      },
    });
    devices.set('12345678', deviceSchema.parse({ id: '12345678' }));
    const intake = connect(watched);
    push(intake, toyAlive(1));
    late = true;
    intake.push(toyLogin('12345678', false));
    cutting.length = 0;
    intake.push(toyFixes(3, 1));
    expect(cutting.map((state) => readBy.get(state))).toEqual([2]);
    for (const answer of owed.splice(0)) answer();
    expect(journal.frames.map(({ device }) => device)).toEqual(['12345678']);
  });
});

describe('an answer of the registry about a session', () => {
  /** Asks about the session of A, and answers when this has happened. */
  const answeredBehind = (happens: (intake: Intake) => void): Intake => {
    const intake = connect();
    push(intake, position(A, CALM));
    late = true;
    intake.session?.reconsider();
    late = false;
    const answers = owed.splice(0);
    expect(answers).toHaveLength(1);
    happens(intake);
    for (const answer of answers) answer();
    return intake;
  };

  it('ends the connection of a device that is not served any more', () => {
    answeredBehind(() => devices.delete(A));
    expect(link.finishes).toEqual(['unknown_device']);
  });

  it('says nothing of the device that has the turn by now', () => {
    const intake = answeredBehind((on) => {
      push(on, position(C, CALM));
      devices.delete(A);
    });
    expect([link.finishes, intake.session?.device]).toEqual([[], C]);
    intake.closed('device');
    expect(journal.events.at(-1)).toMatchObject({ type: 'disconnected', device: C });
  });

  it('says nothing of the id under which the device reports by now', () => {
    const intake = answeredBehind((on) => {
      devices.set(A, deviceSchema.parse({ id: A, aliases: [B] }));
      push(on, position(B, CALM));
      devices.delete(A);
    });
    expect([link.finishes, intake.session?.device, intake.session?.reported]).toEqual([[], A, B]);
  });

  it('that could not be read changes nothing', () => {
    let unread = false;
    const { lookup } = host.registry;
    host = {
      ...host,
      registry: {
        ...host.registry,
        lookup: (id, found) => (unread ? found(new DeviceLookup(id, undefined, false, true)) : lookup(id, found)),
      },
    };
    devices.set(A, deviceSchema.parse({ id: A, account: 'acme' }));
    const intake = connect();
    push(intake, position(A, CALM));
    unread = true;
    intake.session?.reconsider();
    unread = false;
    push(intake, position(A, CALM));
    expect([link.finishes, intake.session?.record?.account]).toEqual([[], 'acme']);
    expect(journal.frames.map(({ account }) => account)).toEqual(['acme', 'acme']);
  });
});

describe('13: a device that reports under its id and an alias', () => {
  it('has one turn: what it has raised stays raised, and its command stays in flight', () => {
    devices.set(A, deviceSchema.parse({ id: A, aliases: [B] }));
    host = { ...host, options: () => NO_OPTIONS };
    const intake = connect();
    push(intake, position(A, SOS), position(B, SOS), position(A, SOS));
    expect(eventsRead(A)).toEqual(['sos', '', '']);
    expect(attached).toHaveLength(1);
  });
});

describe('a frame with an impossible id', () => {
  it('ends the turn of the device before: what follows without a name is not its', () => {
    const intake = connect();
    push(intake, position(A, CALM), position('12', SOS), anonymous(SOS), position(A, SOS));
    expect(eventsRead(A)).toEqual(['', 'sos']);
    expect(intake.session?.device).toBe(A);
  });
});

describe('a profile that comes late', () => {
  it('belongs to the turn that asked for it', () => {
    profiles.kept.set(A, { codec: 'toy', memo: 1, updated: 0 });
    const asked: (() => void)[] = [];
    host = {
      ...host,
      profiles: {
        remember: (...of) => profiles.remember(...of),
        forget: async () => 0,
        findProfile: (_id, found) => asked.push(() => found(undefined)),
      },
    };
    devices.set('12345678', deviceSchema.parse({ id: '12345678' }));
    devices.set('87654321', deviceSchema.parse({ id: '87654321' }));
    const intake = connect(toy);
    push(intake, toyLogin('12345678', false), toyLogin('87654321', false), toyLogin('12345678', true));
    // The answer to the first question: of a turn that is over.
    asked[0]?.();
    push(intake, toyFixes(2, 1));
    expect(profiles.writes).toBe(0);
    asked[2]?.();
    push(intake, toyFixes(3, 1));
    expect(profiles.kept.get('12345678')).toMatchObject({ memo: 1 });
  });
});
