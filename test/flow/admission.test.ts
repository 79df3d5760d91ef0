import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { wholeBefore } from '../../src/base/erased.ts';
import { createMetrics } from '../../src/base/metrics/catalog.ts';
import { type Plan, planSchema, type Step } from '../../src/fleet/plan/plan.ts';
import { Seen } from '../../src/fleet/plan/plan-cache.ts';
import type { Policy } from '../../src/fleet/plan/steps.ts';
import { Territory } from '../../src/fleet/plan/territory.ts';
import type { AccountState } from '../../src/fleet/registry/account-states.ts';
import { type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../src/fleet/registry/device-lookup.ts';
import type { IntakeHost } from '../../src/in/intake/host.ts';
import { Intake } from '../../src/in/intake/intake.ts';
import { EntryKind } from '../../src/journal/entry.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import toy, { toyFixes, toyFrame, toyLogin, toyReply, toyStatus } from '../helpers/toy-codec.ts';
import { intakeHost, MemoryJournal, RecordedLink } from '../support/intake-rig.ts';

/** Invariant 12 of src/in/intake/keep.ts: what a device's state and plan mean for its frames. */

let journal: MemoryJournal;
let host: IntakeHost;
let clock: FakeClock;
let metrics: ReturnType<typeof createMetrics>;
let device: Device | undefined;
let plan: Plan;
let policy: Policy | undefined;
let seen: Seen;
let roams: boolean[];
let alarmsPass: boolean;
let erasedBefore: number;
let accountState: AccountState | undefined;

beforeEach(() => {
  vi.useFakeTimers();
  journal = new MemoryJournal(1_000_000);
  roams = [];
  alarmsPass = false;
  erasedBefore = 0;
  clock = new FakeClock();
  metrics = createMetrics();
  device = deviceSchema.parse({ id: '12345678' });
  plan = planSchema.parse({ name: 'default' });
  policy = undefined;
  accountState = undefined;
  seen = new Seen();
  seen.territory = new Territory(false);
  host = intakeHost({
    journal,
    clock,
    metrics,
    registry: { lookup: (id, found) => found(new DeviceLookup(id, device, false, false)), seen: () => {} },
    service: {
      plan: () => plan,
      policy: () => policy,
      seen: () => seen,
      roams: (_id, roaming) => roams.push(roaming),
      said: () => {},
      programmed: (_id, usual) => usual,
      erased: () => (erasedBefore === 0 ? undefined : [wholeBefore(erasedBefore)]),
      accountState: () => accountState,
      get alarmsPass() {
        return alarmsPass;
      },
    },
  });
});
afterEach(() => vi.useRealTimers());

function connect(): { intake: Intake; link: RecordedLink } {
  const link = new RecordedLink();
  return { intake: new Intake(host, toy, 'tcp', '192.0.2.1:4000', link), link };
}

const holding = (...held: Step[]): Policy => ({ cycle: 0, cycle_end: Number.MAX_SAFE_INTEGER, used_pct: 100, held, news: [] });
const frames = (): string[] => journal.frames.map(({ accepted, keep, relay }) => `${accepted} ${keep}${relay ? ' relay' : ''}`);
const events = (): object[] => journal.events.map(({ device: _device, ...event }) => event);
/** Third byte of a toy's answer: how many records the server took, ff: refused. */
const taken = (link: RecordedLink): string[] => link.sent.map((answer) => answer.slice(4, 6));
const login = toyLogin('12345678', false);
const record = (more: object): Device => deviceSchema.parse({ id: '12345678', ...more });

describe('what is withheld', () => {
  it.each([{ state: 'suspended' }, { expires_at: 1 }, { activates_at: 4e12 }])(
    'of a device that is not in service: everything, answered as taken: %o',
    (more) => {
      device = record(more);
      const { intake, link } = connect();
      intake.push(login);
      intake.push(toyFixes(2, 3));
      intake.push(toyStatus(3));
      expect(taken(link)).toEqual(['00', '03', '01']);
      expect(frames()).toEqual([]);
      expect(link.finishes).toEqual([]);
      // Replies to commands are no data.
      intake.push(toyReply(4, 1, 'ok'));
      expect(frames()).toEqual(['0 all']);
    },
  );

  it.each<[AccountState, object, string, string[]]>([
    [{ state: 'suspended' }, {}, '00 03', []],
    [{ state: 'active', ending_since: 1 }, {}, '00 03', []],
    [{ state: 'active', ending_since: 4e12 }, {}, '00 03', ['3 all']],
    [{ state: 'active', ending_since: 4e12 }, { state: 'suspended' }, '00 03', []],
    [{ state: 'active', ending_since: 4e12 }, { expires_at: 1 }, '00 03', []],
  ])('of a device whose account is %o, and that is itself %o', (state, more, answers, kept) => {
    accountState = state;
    device = record({ account: 'acme', ...more });
    const { intake, link } = connect();
    intake.push(login);
    intake.push(toyFixes(2, 3));
    expect([taken(link).join(' '), frames()]).toEqual([answers, kept]);
  });

  it('of a device whose account is closed: it is refused like a terminated one', () => {
    accountState = { state: 'closed' };
    device = record({ account: 'acme' });
    const { intake, link } = connect();
    intake.push(login);
    expect([taken(link), frames(), link.finishes]).toEqual([['ff'], [], ['terminated']]);
  });

  it('of a connected device whose account is suspended, until it is resumed', () => {
    device = record({ account: 'acme' });
    const { intake, link } = connect();
    intake.push(login);
    accountState = { state: 'suspended' };
    intake.session?.planChanged();
    intake.push(toyFixes(2, 3));
    accountState = undefined;
    intake.session?.planChanged();
    intake.push(toyFixes(3, 2));
    expect([taken(link), frames()]).toEqual([['00', '03', '02'], ['2 all']]);
  });

  it('14: what is from before the device was erased: answered, and not written to the journal again', async () => {
    erasedBefore = 1000 * 1_793_491_200 - 5_000;
    const { intake, link } = connect();
    intake.push(login);
    intake.push(toyFixes(2, 3));
    expect([taken(link), frames()]).toEqual([['00', '03'], []]);
    expect((await metrics.withheld.get()).values).toMatchObject([{ labels: { reason: 'erased' }, value: 3 }]);
    // The newest of these is from after it.
    erasedBefore -= 10_000;
    intake.push(toyFixes(3, 3));
    intake.push(toyFixes(4, 1));
    expect(frames()).toEqual(['3 all', '1 all']);
    expect(taken(link)).toEqual(['00', '03', '03', '01']);
  });

  it('14: what has no records of a device that was erased is from now', () => {
    erasedBefore = 1000 * 1_793_491_200 - 5_000;
    const { intake } = connect();
    intake.push(login);
    intake.push(toyReply(2, 1, 'ok'));
    expect(frames()).toEqual(['0 all']);
  });

  it('12: what a unit measured before it was put into the device, whatever else holds: answered, and not stored', async () => {
    const newest = 1000 * 1_793_491_200 - 10_000;
    device = record({ unit: 'u-1', unit_since: newest + 1 });
    const { intake, link } = connect();
    intake.push(login);
    intake.push(toyFixes(2, 3));
    expect([taken(link), frames()]).toEqual([['00', '03'], []]);
    device = record({ unit: 'u-1', unit_since: newest });
    intake.session?.reconsider();
    intake.push(toyFixes(3, 3));
    device = record({ unit: 'u-1', unit_since: newest, state: 'suspended' });
    intake.session?.reconsider();
    intake.push(toyFixes(4, 3));
    expect([taken(link), frames()]).toEqual([['00', '03', '03', '03'], [expect.stringMatching(/^3 0[124]$/)]]);
    expect((await metrics.withheld.get()).values).toMatchObject([
      { labels: { reason: 'unit' }, value: 7 },
      { labels: { reason: 'suspended' }, value: 1 },
    ]);
  });

  it('by `discard`: all but what is exempt', async () => {
    policy = holding({ action: 'discard', at_pct: 100 });
    const { intake, link } = connect();
    intake.push(login);
    intake.push(toyFixes(2, 3));
    intake.push(toyFixes(3, 1));
    expect(taken(link)).toEqual(['00', '03', '01']);
    expect(frames()).toEqual(['3 02']);
    expect((await metrics.withheld.get()).values).toMatchObject([{ labels: { reason: 'discard' }, value: 3 }]);
    expect(intake.session?.meter.records).toBe(1);
    expect((await metrics.records.get()).values.map(({ value }) => value)).toEqual([1]);
  });

  it('by `decimate`: all but every event and one in a while, also over connections, and backlogs by their own times', () => {
    policy = holding({ action: 'decimate', at_pct: 100, keep_every_s: 15 });
    const first = connect();
    first.intake.push(login);
    // Rows at -30 s, at -20 s with SOS, and at -10 s with another event: all.
    first.intake.push(toyFixes(2, 3));
    // -10 s: 20 s from the one kept at -30 s. And then the same again: none.
    first.intake.push(toyFixes(3, 1));
    first.intake.push(toyFixes(4, 1));
    expect(frames()).toEqual(['3 all', '1 all']);
    const second = connect();
    second.intake.push(login);
    // -60 … -10 s: the first, the events, and -30 s and -10 s, which are 15 s and more from the one before.
    second.intake.push(toyFixes(5, 6));
    expect(frames()).toEqual(['3 all', '1 all', '6 2f']);
    expect(taken(second.link)).toEqual(['00', '06']);
  });

  it('by `refuse`: at the door, and on the way what is not exempt', () => {
    const inside = connect();
    inside.intake.push(login);
    policy = holding({ action: 'refuse', at_pct: 100 });
    inside.intake.session?.planChanged();
    inside.intake.push(toyFixes(2, 3));
    expect(inside.link.finishes).toEqual([]);
    inside.intake.push(toyFixes(3, 1));
    expect([frames(), taken(inside.link), inside.link.finishes]).toEqual([['3 02'], ['00', '03', 'ff'], ['refuse']]);
    const outside = connect();
    outside.intake.push(login);
    expect([taken(outside.link), outside.link.finishes]).toEqual([['ff'], ['refuse']]);
  });

  it('of a terminated device: it is refused, and waits longer each time it is back', () => {
    device = record({ state: 'terminated' });
    const waits = [0, 5_000, 10_000, 20_000].map((penaltyMs) => {
      const { intake, link } = connect();
      intake.push(login);
      const before = link.sent.length;
      if (penaltyMs > 0) {
        expect([before, intake.turnedAway]).toEqual([0, true]);
        vi.advanceTimersByTime(penaltyMs - 1);
        expect(link.sent).toEqual([]);
        vi.advanceTimersByTime(1);
      }
      expect([taken(link), link.finishes]).toEqual([['ff'], ['terminated']]);
      clock.step(penaltyMs);
      return penaltyMs;
    });
    expect(waits).toHaveLength(4);
    expect(frames()).toEqual([]);
    // After an hour of peace it starts over.
    clock.step(3_600_001);
    const { intake, link } = connect();
    intake.push(login);
    expect(taken(link)).toEqual(['ff']);
  });

  it('ends when the device leaves while it waits', () => {
    device = record({ state: 'terminated' });
    connect().intake.push(login);
    const { intake, link } = connect();
    intake.push(login);
    intake.closed('device');
    vi.advanceTimersByTime(600_000);
    expect([link.sent, link.finishes]).toEqual([[], []]);
  });

  it('by a change of the record, at once', () => {
    const { intake, link } = connect();
    intake.push(login);
    device = record({ state: 'suspended' });
    intake.session?.reconsider();
    intake.push(toyFixes(2, 3));
    expect(frames()).toEqual([]);
    device = record({ state: 'active' });
    intake.session?.reconsider();
    intake.push(toyFixes(3, 3));
    expect(frames()).toEqual(['3 all']);
    device = record({ state: 'terminated' });
    intake.session?.reconsider();
    expect(link.finishes).toEqual(['terminated']);
  });

  it('by the time: a device expires, and recovery mode ends, in the middle of a connection', () => {
    const until = clock.wall + 5_000;
    policy = holding({ action: 'discard', at_pct: 100 });
    device = record({ recovery: { reason: 'stolen', interval_s: 10, started: 0, until } });
    const { intake } = connect();
    intake.push(login);
    intake.push(toyFixes(2, 1));
    expect(frames()).toEqual(['1 all']);
    clock.step(5_000);
    intake.push(toyFixes(3, 1));
    expect(frames()).toEqual(['1 all']);
  });
});

describe('an alarm of a person', () => {
  beforeEach(() => {
    alarmsPass = true;
  });
  /** One record, an SOS. */
  const sos = (serial: number): Uint8Array => toyFrame(2, 0, serial, Uint8Array.from([1, ...toyFixes(serial, 2).subarray(9 + 18, 9 + 36)]));
  const passed = async (): Promise<unknown[]> =>
    (await metrics.alarmsPassed.get()).values.map(({ labels, value }) => [labels.reason, value]);

  it.each([
    [{ state: 'suspended' }, 'suspended'],
    [{ expires_at: 1 }, 'expired'],
    [{ activates_at: 4e12 }, 'pending'],
  ])('passes, of a device that is not in service, and is answered as the rest: %o', async (more, why) => {
    device = record(more);
    const { intake, link } = connect();
    intake.push(login);
    intake.push(toyFixes(2, 3));
    intake.push(toyFixes(3, 1));
    expect([frames(), taken(link), link.finishes]).toEqual([['3 02'], ['00', '03', '01'], []]);
    expect(await passed()).toEqual([[why, 1]]);
    expect(intake.session?.meter.records).toBe(1);
  });

  it('passes when the plan does not exempt it and a step discards', () => {
    plan = planSchema.parse({ name: 'default', exempt_events: [] });
    policy = holding({ action: 'discard', at_pct: 100 });
    const { intake } = connect();
    intake.push(login);
    intake.push(toyFixes(2, 3));
    expect(frames()).toEqual(['3 02']);
  });

  it('passes a step that refuses: the login is admitted, for what may come behind it', () => {
    plan = planSchema.parse({ name: 'default', exempt_events: [] });
    policy = holding({ action: 'refuse', at_pct: 100 });
    const { intake, link } = connect();
    intake.push(login);
    intake.push(sos(2));
    expect([frames(), taken(link), link.finishes]).toEqual([['1 all'], ['00', '01'], []]);
    intake.push(toyFixes(3, 1));
    expect([frames(), taken(link), link.finishes]).toEqual([['1 all'], ['00', '01', 'ff'], ['refuse']]);
  });

  it('is stored while its device waits to be refused, and answered in its turn', () => {
    policy = holding({ action: 'refuse', at_pct: 100 });
    const first = connect();
    first.intake.push(login);
    first.intake.push(toyFixes(2, 1));
    const { intake, link } = connect();
    intake.push(login);
    intake.push(toyFixes(2, 1));
    intake.push(sos(3));
    intake.push(toyFixes(4, 1));
    expect([frames(), taken(link), link.finishes]).toEqual([['1 all'], ['00'], []]);
    vi.advanceTimersByTime(5_000);
    expect([taken(link).join(''), link.finishes]).toEqual(['00ff', ['refuse']]);
    expect(link.sent.join('').match(/5441(..)/g)).toEqual(['544100', '5441ff', '544101', '5441ff']);
  });

  it('of a terminated device does not pass', () => {
    device = record({ state: 'terminated' });
    const { intake, link } = connect();
    intake.push(Buffer.concat([login, sos(2)]));
    expect([frames(), link.finishes]).toEqual([[], ['terminated']]);
  });

  it('does not bring other events along', () => {
    device = record({ state: 'suspended' });
    const { intake } = connect();
    intake.push(login);
    // Its third record carries an event without a name.
    intake.push(toyFixes(2, 3));
    expect(frames()).toEqual(['3 02']);
  });
});

describe('what else a plan does', () => {
  it('throttles the socket, and lets go of it', () => {
    policy = holding({ action: 'throttle', at_pct: 90, bytes_per_s: 100 });
    const { intake, link } = connect();
    intake.push(login);
    expect(link.rate).toBe(100);
    policy = undefined;
    intake.session?.planChanged();
    expect(link.rate).toBe(0);
  });

  it('relays what is not to be stored', () => {
    device = record({ privacy: 'relay' });
    policy = holding({ action: 'discard', at_pct: 100 });
    const { intake } = connect();
    intake.push(login);
    intake.push(toyFixes(2, 3));
    policy = undefined;
    intake.session?.planChanged();
    intake.push(toyFixes(3, 1));
    expect(frames()).toEqual(['3 02 relay', '1 all relay']);
  });

  it('tells of a device that measures much faster than programmed, and of one that leaves its countries', () => {
    plan = planSchema.parse({ name: 'default', interval_s: 600 });
    device = record({ home_networks: [310] });
    const { intake } = connect();
    intake.push(login);
    // The rows of a frame are 10 s apart.
    intake.push(toyFixes(2, 50));
    for (let k = 0; k < 4; k++) {
      intake.push(toyStatus(3 + k));
      clock.step(30_000);
    }
    expect(events()).toEqual([
      expect.objectContaining({ type: 'connected' }),
      expect.objectContaining({ type: 'tamper_rate', interval_s: 10.7, programmed_s: 600, seen: 31, allowed: 30, bytes: 31 * 18 }),
      { type: 'roaming_started', mcc: 262 },
    ]);
    expect(roams).toEqual([true]);
    intake.closed('device');
    expect(journal.entries.filter(({ kind }) => kind === EntryKind.Usage).at(-1)?.payload).toContain('"mcc":262,"mnc":2,"roaming":1');
  });

  it('is no reason to forget an unknown frame', () => {
    device = record({ state: 'suspended' });
    const { intake, link } = connect();
    intake.push(login);
    intake.push(toyFrame(9, 0, 2, new Uint8Array(3)));
    expect(frames()).toEqual([]);
    expect(link.finishes).toEqual([]);
  });
});
