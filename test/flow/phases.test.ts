import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Codec, defineCodec, FrameKind, type StreamDialect } from '../../src/codec/index.ts';
import { type Plan, planSchema } from '../../src/fleet/plan/plan.ts';
import { Seen } from '../../src/fleet/plan/plan-cache.ts';
import { type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import type { IntakeHost } from '../../src/in/intake/host.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { Phase } from '../../src/in/intake/phase.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { NO_CAPS } from '../helpers/open-registry.ts';
import { type ToyState, toyAlive, toyDefinition, toyDialect, toyFixes, toyLogin } from '../helpers/toy-codec.ts';
import { intakeHost, MemoryJournal, RecordedLink } from '../support/intake-rig.ts';

/** Every event in every phase of a connection: src/in/intake/phase.ts. */

const A = '11111111';
const B = '22222222';
/** Not in the registry, which is closed. */
const STRANGER = '33333333';

/** Its codec gives it an id that is none. */
const NAMELESS = '99999999';

const tcp: StreamDialect<ToyState> = {
  ...toyDialect,
  decode(bytes, start, end, state, out) {
    toyDialect.decode(bytes, start, end, state, out);
    if (out.deviceId === NAMELESS) out.deviceId = '-';
  },
};
const careless = defineCodec({ ...toyDefinition, tcp });

let journal: MemoryJournal;
let clock: FakeClock;
let link: RecordedLink;
let host: IntakeHost;
let devices: Map<string, Device>;
let plan: Plan;
let late: boolean;
let asked: (() => void)[];
let intake: Intake;

beforeEach(() => {
  vi.useFakeTimers();
  journal = new MemoryJournal(0);
  clock = new FakeClock();
  link = new RecordedLink();
  devices = new Map([A, B].map((id) => [id, deviceSchema.parse({ id })]));
  plan = planSchema.parse({ name: 'default', exempt_events: [] });
  late = false;
  asked = [];
  const seen = new Seen();
  const held = { cycle: 0, cycle_end: Number.MAX_SAFE_INTEGER, used_pct: 100, held: [], news: [] };
  host = intakeHost({
    journal,
    clock,
    registry: {
      lookup(id, found) {
        const answer = (): void => found(new DeviceLookup(id, devices.get(id), true, false));
        if (late) asked.push(answer);
        else answer();
      },
      seen: () => {},
    },
    service: {
      ...NO_CAPS,
      plan: () => plan,
      seen: () => seen,
      policy: (device) => (device === A ? { ...held, held: plan.steps } : undefined),
    },
  });
});
afterEach(() => vi.useRealTimers());

function connect(codec: Codec = careless): void {
  intake = new Intake(host, codec, 'tcp', '192.0.2.1:4000', link);
}

/** The device has been refused a moment ago. */
const penalised = (): void => void host.service.seen(A).penalty(clock.elapsed());
const refuses = (): void => {
  plan = planSchema.parse({ name: 'default', exempt_events: [], steps: [{ action: 'refuse', at_pct: 100 }] });
};
/** Records get no answer. */
const silent = defineCodec({
  ...toyDefinition,
  tcp: {
    ...tcp,
    encodeAck: (request, state, out, at) => (request.kind === FrameKind.Records ? 0 : toyDialect.encodeAck(request, state, out, at)),
  },
});

/** How a connection gets there. Where a session has the turn, the answer to a frame is owed. */
const ARRANGED: Readonly<Record<Phase, () => void>> = {
  anonymous: () => connect(),
  unowned() {
    connect();
    intake.push(toyFixes(1, 1));
  },
  asking() {
    connect();
    intake.push(Buffer.concat([toyLogin(A, false), toyFixes(1, 1)]));
    late = true;
    intake.push(toyLogin(B, false));
  },
  served() {
    connect();
    intake.push(Buffer.concat([toyLogin(A, false), toyFixes(1, 1)]));
  },
  refusing() {
    connect();
    intake.push(Buffer.concat([toyLogin(A, false), toyFixes(1, 1)]));
    penalised();
    refuses();
    intake.session?.planChanged();
    intake.push(toyFixes(2, 1));
  },
  'turned-away'() {
    devices.set(A, deviceSchema.parse({ id: A, state: 'terminated' }));
    penalised();
    connect();
    intake.push(toyLogin(A, false));
  },
  muted() {
    connect(silent);
    intake.push(Buffer.concat([toyLogin(A, false), toyFixes(1, 1)]));
    journal.accepting = false;
    intake.push(toyFixes(2, 1));
  },
  closing() {
    connect();
    intake.push(Buffer.concat([toyLogin(A, false), toyFixes(1, 1)]));
    intake.finish('drain');
  },
  closed() {
    connect();
    intake.push(Buffer.concat([toyLogin(A, false), toyFixes(1, 1)]));
    intake.closed('device');
  },
};

/** What the intake has asked for comes later, without a method of its own. */
const LATER = { answered: '(registry)', waited: '(timer)' } as const;
const push = (bytes: Uint8Array) => () => intake.push(bytes);
/** What may happen to a connection, and by which method of the intake. */
const EVENTS = {
  'a heartbeat': ['push', push(toyAlive(7))],
  'a frame of records': ['push', push(toyFixes(7, 1))],
  'a login of the same device': ['push', push(toyLogin(A, false))],
  'a login of another device': ['push', push(toyLogin(B, false))],
  'a login of an unknown device': ['push', push(toyLogin(STRANGER, false))],
  'a login with an impossible id': ['push', push(toyLogin(NAMELESS, false))],
  'a length beyond the limit': ['push', push(Uint8Array.of(0x54, 0x59, 3, 0, 0, 7, 0xff, 0xff))],
  'noise without end': ['push', push(new Uint8Array(9000))],
  'the journal accepts, and a frame': [
    'push',
    () => {
      journal.accepting = true;
      intake.push(toyAlive(7));
    },
  ],
  'bytes that nothing looks at': ['passed', () => intake.passed(5, 1)],
  'the peer falls quiet': ['quiet', () => intake.quiet()],
  'the watermark moves': ['release', () => intake.release(1000)],
  'a commit fails': ['failed', () => intake.failed(1, 1000)],
  'the registry answers': [LATER.answered, () => asked.splice(0).forEach((answer) => void answer())],
  'a refusal has waited': [LATER.waited, () => void vi.advanceTimersByTime(600_000)],
  'the device is blocked': [
    'review',
    () => {
      devices.clear();
      const { session } = intake;
      late = false;
      if (session !== undefined) intake.review(session);
    },
  ],
  'its session gives way': ['finish', () => intake.finish('superseded')],
  'the link is gone': ['closed', () => intake.closed('device')],
} as const satisfies Record<string, readonly [string, () => void]>;
type Event = keyof typeof EVENTS;

/** The phase behind it, and what was done: frames stored, bytes answered, the link's end. */
function happens(event: Event): string {
  const before = { frames: journal.frames.length, sent: link.sent.join('').length };
  EVENTS[event][1]();
  const done: string[] = [intake.phase];
  if (journal.frames.length > before.frames) done.push(`stored ${journal.frames.length - before.frames}`);
  const answered = (link.sent.join('').length - before.sent) / 12;
  if (answered > 0) done.push(`answered ${answered}`);
  for (const reason of link.closes) done.push(`close: ${reason}`);
  for (const reason of link.finishes) done.push(`finish: ${reason}`);
  return done.join(', ');
}

/** The phase behind the event, and what it did. */
const TABLE: Readonly<Record<Phase, Readonly<Record<Event, string>>>> = {
  anonymous: {
    'a heartbeat': 'anonymous, answered 1',
    'a frame of records': 'unowned',
    'a login of the same device': 'served, answered 1',
    'a login of another device': 'served, answered 1',
    'a login of an unknown device': 'closing, answered 1, finish: unknown_device',
    'a login with an impossible id': 'unowned',
    'a length beyond the limit': 'closing, close: frame_too_long',
    'noise without end': 'closing, close: noise',
    'the journal accepts, and a frame': 'anonymous, answered 1',
    'bytes that nothing looks at': 'anonymous',
    'the peer falls quiet': 'anonymous',
    'the watermark moves': 'anonymous',
    'a commit fails': 'anonymous',
    'the registry answers': 'anonymous',
    'a refusal has waited': 'anonymous',
    'the device is blocked': 'anonymous',
    'its session gives way': 'closing, finish: superseded',
    'the link is gone': 'closed',
  },
  unowned: {
    'a heartbeat': 'unowned',
    'a frame of records': 'unowned',
    'a login of the same device': 'served, answered 1',
    'a login of another device': 'served, answered 1',
    'a login of an unknown device': 'closing, answered 1, finish: unknown_device',
    'a login with an impossible id': 'unowned',
    'a length beyond the limit': 'closing, close: frame_too_long',
    'noise without end': 'closing, close: noise',
    'the journal accepts, and a frame': 'unowned',
    'bytes that nothing looks at': 'unowned',
    'the peer falls quiet': 'unowned',
    'the watermark moves': 'unowned',
    'a commit fails': 'unowned',
    'the registry answers': 'unowned',
    'a refusal has waited': 'unowned',
    'the device is blocked': 'unowned',
    'its session gives way': 'closing, finish: superseded',
    'the link is gone': 'closed',
  },
  asking: {
    'a heartbeat': 'asking',
    'a frame of records': 'asking',
    'a login of the same device': 'asking',
    'a login of another device': 'asking',
    'a login of an unknown device': 'asking',
    'a login with an impossible id': 'asking',
    'a length beyond the limit': 'closing, close: frame_too_long',
    'noise without end': 'closing, close: noise',
    'the journal accepts, and a frame': 'asking',
    'bytes that nothing looks at': 'asking',
    'the peer falls quiet': 'asking',
    'the watermark moves': 'asking, answered 1',
    'a commit fails': 'closing, close: journal_failed',
    'the registry answers': 'served',
    'a refusal has waited': 'asking',
    'the device is blocked': 'closing, finish: unknown_device',
    'its session gives way': 'closing, finish: superseded',
    'the link is gone': 'closed',
  },
  served: {
    'a heartbeat': 'served',
    'a frame of records': 'served, stored 1',
    'a login of the same device': 'served',
    'a login of another device': 'served',
    'a login of an unknown device': 'unowned',
    'a login with an impossible id': 'unowned',
    'a length beyond the limit': 'closing, close: frame_too_long',
    'noise without end': 'closing, close: noise',
    'the journal accepts, and a frame': 'served',
    'bytes that nothing looks at': 'served',
    'the peer falls quiet': 'served',
    'the watermark moves': 'served, answered 1',
    'a commit fails': 'closing, close: journal_failed',
    'the registry answers': 'served',
    'a refusal has waited': 'served',
    'the device is blocked': 'closing, finish: unknown_device',
    'its session gives way': 'closing, finish: superseded',
    'the link is gone': 'closed',
  },
  refusing: {
    'a heartbeat': 'refusing',
    'a frame of records': 'refusing',
    'a login of the same device': 'refusing',
    'a login of another device': 'served',
    'a login of an unknown device': 'unowned',
    'a login with an impossible id': 'unowned',
    'a length beyond the limit': 'closing, close: frame_too_long',
    'noise without end': 'closing, close: noise',
    'the journal accepts, and a frame': 'refusing',
    'bytes that nothing looks at': 'refusing',
    'the peer falls quiet': 'refusing',
    'the watermark moves': 'refusing, answered 1',
    'a commit fails': 'closing, close: journal_failed',
    'the registry answers': 'refusing',
    'a refusal has waited': 'closing, finish: refuse',
    'the device is blocked': 'closing, finish: unknown_device',
    'its session gives way': 'closing, finish: superseded',
    'the link is gone': 'closed',
  },
  'turned-away': {
    'a heartbeat': 'turned-away',
    'a frame of records': 'turned-away',
    'a login of the same device': 'turned-away',
    'a login of another device': 'turned-away',
    'a login of an unknown device': 'turned-away',
    'a login with an impossible id': 'turned-away',
    'a length beyond the limit': 'turned-away',
    'noise without end': 'turned-away',
    'the journal accepts, and a frame': 'turned-away',
    'bytes that nothing looks at': 'turned-away',
    'the peer falls quiet': 'turned-away',
    'the watermark moves': 'turned-away',
    'a commit fails': 'turned-away',
    'the registry answers': 'turned-away',
    'a refusal has waited': 'closing, answered 1, finish: terminated',
    'the device is blocked': 'turned-away',
    'its session gives way': 'closing, finish: superseded',
    'the link is gone': 'closed',
  },
  muted: {
    'a heartbeat': 'muted',
    'a frame of records': 'muted',
    'a login of the same device': 'muted',
    'a login of another device': 'muted',
    'a login of an unknown device': 'muted',
    'a login with an impossible id': 'muted',
    'a length beyond the limit': 'muted',
    'noise without end': 'muted',
    'the journal accepts, and a frame': 'closing, close: journal_refused',
    'bytes that nothing looks at': 'muted',
    'the peer falls quiet': 'muted',
    'the watermark moves': 'muted',
    'a commit fails': 'closing, close: journal_failed',
    'the registry answers': 'muted',
    'a refusal has waited': 'muted',
    'the device is blocked': 'closing, finish: unknown_device',
    'its session gives way': 'closing, finish: superseded',
    'the link is gone': 'closed',
  },
  closing: {
    'a heartbeat': 'closing',
    'a frame of records': 'closing',
    'a login of the same device': 'closing',
    'a login of another device': 'closing',
    'a login of an unknown device': 'closing',
    'a login with an impossible id': 'closing',
    'a length beyond the limit': 'closing',
    'noise without end': 'closing',
    'the journal accepts, and a frame': 'closing',
    'bytes that nothing looks at': 'closing',
    'the peer falls quiet': 'closing',
    'the watermark moves': 'closing, answered 1',
    'a commit fails': 'closing, close: journal_failed',
    'the registry answers': 'closing',
    'a refusal has waited': 'closing',
    'the device is blocked': 'closing',
    'its session gives way': 'closing',
    'the link is gone': 'closed',
  },
  closed: {
    'a heartbeat': 'closed',
    'a frame of records': 'closed',
    'a login of the same device': 'closed',
    'a login of another device': 'closed',
    'a login of an unknown device': 'closed',
    'a login with an impossible id': 'closed',
    'a length beyond the limit': 'closed',
    'noise without end': 'closed',
    'the journal accepts, and a frame': 'closed',
    'bytes that nothing looks at': 'closed',
    'the peer falls quiet': 'closed',
    'the watermark moves': 'closed',
    'a commit fails': 'closed',
    'the registry answers': 'closed',
    'a refusal has waited': 'closed',
    'the device is blocked': 'closed',
    'its session gives way': 'closed',
    'the link is gone': 'closed',
  },
};

describe.each(Object.values(Phase))('a connection that is %s', (phase) => {
  it.each(Object.entries(TABLE[phase]))('when there is %s: %s', (event, outcome) => {
    ARRANGED[phase]();
    expect(intake.phase).toBe(phase);
    link.closes.length = 0;
    link.finishes.length = 0;
    expect(isEvent(event) && happens(event)).toBe(outcome);
  });
});

function isEvent(name: string): name is Event {
  return name in EVENTS;
}

it('every public method of the intake is an event, in each phase', () => {
  const methods = Object.entries(Object.getOwnPropertyDescriptors(Intake.prototype))
    .filter(([name, { value }]) => name !== 'constructor' && typeof value === 'function')
    .map(([name]) => name);
  const covered = new Set(Object.values(EVENTS).map(([method]) => method));
  expect([...covered].sort()).toEqual([...methods, LATER.answered, LATER.waited].sort());
  for (const phase of Object.values(Phase)) expect(Object.keys(TABLE[phase])).toEqual(Object.keys(EVENTS));
});

it('a codec that throws while held frames are read ends the connection, and nothing of them is stored', () => {
  let broken = false;
  const memo = (state: ToyState): number => {
    if (broken) throw new Error('a defect');
    return toyDialect.memo?.(state) ?? 0;
  };
  connect(defineCodec({ ...toyDefinition, tcp: { ...tcp, memo } }));
  late = true;
  intake.push(Buffer.concat([toyLogin(A, false), toyFixes(1, 1)]));
  expect(intake.phase).toBe('asking');
  broken = true;
  for (const answer of asked.splice(0)) answer();
  expect([intake.phase, link.closes, journal.frames]).toEqual(['closing', ['codec_error'], []]);
});
