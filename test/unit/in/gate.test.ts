import { afterEach, describe, expect, it, vi } from 'vitest';
import { FrameKind, type Options } from '../../../src/codec/index.ts';
import { planSchema } from '../../../src/fleet/plan/plan.ts';
import type { Policy } from '../../../src/fleet/plan/steps.ts';
import { type Device, deviceSchema } from '../../../src/fleet/registry/device.ts';
import { DeviceLookup } from '../../../src/fleet/registry/device-lookup.ts';
import { Gate } from '../../../src/in/intake/gate.ts';
import type { IntakeHost } from '../../../src/in/intake/host.ts';
import { Terms } from '../../../src/in/session/terms.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { NO_CAPS } from '../../helpers/open-registry.ts';
import toy from '../../helpers/toy-codec.ts';
import { intakeHost, MemoryJournal } from '../../support/intake-rig.ts';

/** Who may speak on one connection: src/in/intake/gate.ts. */

const ADDRESS = '192.0.2.1';
const PEER = `${ADDRESS}:4000`;
const FRAME = Uint8Array.of(1, 2, 3);
const OPTIONS: Options = {};

interface World {
  readonly gate: Gate;
  readonly host: IntakeHost;
  readonly journal: MemoryJournal;
  readonly clock: FakeClock;
  /** Of newcomers. */
  readonly asked: string[];
  /** What the quarantine was given. */
  readonly noted: unknown[];
}

function world(
  parts: Partial<IntakeHost> = {},
  verdict: 'admitted' | 'excess' | 'excess_news' = 'admitted',
  bounds = { perConnection: 3, admit: (_: string) => true },
): World {
  const [journal, clock, asked, noted] = [new MemoryJournal(), new FakeClock(), [] as string[], [] as unknown[]];
  clock.step(1_000_000_000);
  const host = intakeHost({
    journal,
    clock,
    newcomers: {
      admit(address) {
        asked.push(address);
        return verdict;
      },
    },
    quarantine: {
      noted: (id, protocol, transport, bytes, start, end, quiet) =>
        noted.push([id, protocol, transport, [...bytes.subarray(start, end)], quiet]),
    },
    ...parts,
  });
  return { gate: new Gate(host, toy, 'tcp', PEER, bounds), host, journal, clock, asked, noted };
}

const device = (more: object = {}): Device => deviceSchema.parse({ id: 'car', ...more });
const ofOpen = (id: string): DeviceLookup => new DeviceLookup(id, undefined, false, false);
const KNOWN = new DeviceLookup('car', device(), true, false);

function refusal(
  { gate, host, clock }: World,
  known: DeviceLookup,
  kind: FrameKind = FrameKind.Login,
  isAlias = false,
  after = '',
): string {
  const terms = new Terms(host.service, known.id, known.device, clock.now());
  const last = after === '' ? undefined : gate.originOf(ofOpen(after), OPTIONS);
  return gate.refusal(known, terms, kind, gate.originOf(known, OPTIONS), isAlias, last);
}

const held = (action: 'refuse' | 'discard'): Policy => ({
  cycle: 0,
  cycle_end: Number.MAX_SAFE_INTEGER,
  used_pct: 100,
  held: [{ action, at_pct: 100 }],
  news: [],
});

describe('is refused', () => {
  it.each([
    ['a device that the registry knows', KNOWN, ''],
    ['an unknown device of a closed registry', new DeviceLookup('car', undefined, true, false), 'unknown_device'],
    ['one that could not be looked up, of a closed registry', new DeviceLookup('car', undefined, true, true), 'registry_unreachable'],
    ['one that could not be looked up, of an open registry', new DeviceLookup('car', undefined, false, true), ''],
    ['a unit that was taken out', new DeviceLookup('car', undefined, false, false, true), 'unit_replaced'],
    ['one that speaks from its network', new DeviceLookup('car', device({ networks: ['192.0.2.0/24'] }), true, false), ''],
    ['one that speaks from another', new DeviceLookup('car', device({ networks: ['10.0.0.0/8'] }), true, false), 'network_refused'],
    ['one whose service is over', new DeviceLookup('car', device({ state: 'terminated' }), true, false), 'terminated'],
    ['one whose service rests', new DeviceLookup('car', device({ state: 'suspended' }), true, false), ''],
  ])('%s: %s', (_, known, reason) => {
    const all = world();
    expect(refusal(all, known)).toBe(reason);
    expect(all.asked).toEqual([]);
  });

  it.each([
    ['refuse', FrameKind.Login, false, 'refuse'],
    ['refuse', FrameKind.Login, true, ''],
    ['refuse', FrameKind.Records, false, ''],
    ['discard', FrameKind.Login, false, ''],
  ] as const)('by the step %s, with a frame of kind %s, while alarms pass %s: "%s"', (action, kind, alarmsPass, reason) => {
    const plan = planSchema.parse({ name: 'default' });
    expect(refusal(world({ service: { ...NO_CAPS, plan: () => plan, policy: () => held(action), alarmsPass } }), KNOWN, kind)).toBe(reason);
  });

  it('a new device of an open registry, when there are too many; others are not counted', () => {
    const [admitted, excess, news] = [world(), world({}, 'excess'), world({}, 'excess_news')];
    expect([admitted, excess, news].map((all) => refusal(all, ofOpen('new')))).toEqual(['', 'new_id_rate', 'new_id_rate']);
    for (const { asked } of [admitted, excess, news]) expect(asked).toEqual([ADDRESS]);
    expect([admitted, excess].flatMap(({ journal }) => journal.events)).toEqual([]);
    expect(news.journal.events).toMatchObject([{ device: 'new', type: 'new_ids_limited', address: ADDRESS }]);
    expect(refusal(excess, KNOWN)).toBe('');
    expect(excess.asked).toHaveLength(1);
  });

  it('an address that has named too many', () => {
    const addresses: string[] = [];
    const admit = (address: string): boolean => addresses.push(address) > 1;
    const all = world({}, 'admitted', { perConnection: 3, admit });
    expect([refusal(all, KNOWN), refusal(all, KNOWN)]).toEqual(['ids_per_address', '']);
    expect(addresses).toEqual([ADDRESS, ADDRESS]);
  });

  it('one id more than a connection may name; those that it has named are served on, and an alias is no other', () => {
    const all = world();
    expect(refusal(all, ofOpen('a'))).toBe('');
    expect(['b', 'c', 'd', 'b', 'a', 'e', 'c'].map((id) => refusal(all, ofOpen(id), FrameKind.Records, false, 'a'))).toEqual([
      '',
      '',
      'ids_per_connection',
      '',
      '',
      'ids_per_connection',
      '',
    ]);
    expect(refusal(all, ofOpen('d'), FrameKind.Records, true, 'a')).toBe('');
  });
});

describe('of a refusal', () => {
  it.each([
    ['unknown_device', false],
    ['new_id_rate', true],
  ] as const)('an operator may see the unknown device, with its frame: %s', async (reason, quiet) => {
    const { gate, noted, journal, host } = world();
    const known = ofOpen('new');
    gate.refused(reason, known, gate.originOf(known, OPTIONS), Uint8Array.of(9, ...FRAME, 9), 1, 4);
    expect(noted).toEqual([['new', 'toy', 'tcp', [...FRAME], quiet]]);
    expect(journal.events).toEqual([]);
    expect((await host.metrics.rejects.get()).values).toMatchObject([{ labels: { reason }, value: 1 }]);
  });

  it.each([
    ['network_refused', { type: 'network_refused' }],
    ['unit_replaced', { type: 'unit_refused', protocol: 'toy', transport: 'tcp', address: ADDRESS }],
  ] as const)('%s is an event, once in a minute', (reason, event) => {
    const { gate, noted, journal, clock } = world();
    const known = new DeviceLookup('car', device(), true, false);
    const refuse = (): void => gate.refused(reason, known, gate.originOf(known, OPTIONS), FRAME, 0, FRAME.length);
    refuse();
    clock.step(59_999);
    refuse();
    expect(journal.events).toMatchObject([{ device: 'car', ...event }]);
    expect(journal.events).toHaveLength(1);
    clock.step(1);
    refuse();
    expect(journal.events).toHaveLength(2);
    expect(noted).toEqual([]);
  });

  it.each(['terminated', 'refuse', 'ids_per_connection', 'ids_per_address', 'registry_unreachable'] as const)(
    '%s is counted only',
    async (reason) => {
      const { gate, noted, journal, host } = world();
      gate.refused(reason, KNOWN, gate.originOf(KNOWN, OPTIONS), FRAME, 0, FRAME.length);
      expect([noted, journal.events]).toEqual([[], []]);
      expect((await host.metrics.rejects.get()).values).toMatchObject([{ labels: { reason }, value: 1 }]);
    },
  );
});

describe('what is held while the registry is asked', () => {
  function asking(): { gate: Gate; answer: (known: DeviceLookup) => void } {
    let found: ((known: DeviceLookup) => void) | undefined;
    const { gate } = world({
      registry: {
        lookup: (_, then) => {
          found = then;
        },
        seen: () => {},
      },
    });
    return { gate, answer: (known) => found?.(known) };
  }

  it('is a copy of each frame, up to 256 KiB in all, and is given back with the answer at hand', () => {
    const { gate, answer } = asking();
    const replayed: unknown[] = [];
    const at = (frames: readonly Uint8Array[]): void => {
      replayed.push(
        frames.map(({ length }) => length),
        frames[0]?.[0],
        gate.ask('car', () => {}),
        gate.holds,
      );
    };
    expect(gate.hold(FRAME, 0, 3)).toBe(false);
    expect([gate.holds, gate.ask('car', at), gate.holds]).toEqual([false, undefined, true]);
    const large = new Uint8Array(262_141).fill(7);
    expect(gate.hold(Buffer.from(FRAME), 0, 3)).toBe(true);
    const lent = large.slice();
    expect(gate.hold(lent, 0, lent.length)).toBe(true);
    lent.fill(0);
    expect(gate.hold(FRAME, 0, 1)).toBe(false);
    answer(KNOWN);
    expect(replayed).toEqual([[3, 262_141], 1, KNOWN, false]);
    // The answer was for these frames.
    expect(gate.ask('car', () => {})).toBeUndefined();
  });

  it('is forgotten when the connection ends, and the answer is not waited for', () => {
    const { gate, answer } = asking();
    const replayed: unknown[] = [];
    gate.ask('car', (frames) => replayed.push(frames));
    gate.close();
    expect([gate.holds, gate.hold(FRAME, 0, 3)]).toEqual([false, false]);
    answer(KNOWN);
    expect(replayed).toEqual([]);
  });

  it('is nothing when the registry answers at once', () => {
    const { gate } = world({ registry: { lookup: (_, then) => then(KNOWN), seen: () => {} } });
    expect([gate.ask('car', () => {}), gate.holds]).toEqual([KNOWN, false]);
  });
});

describe('a refusal that waits', () => {
  afterEach(() => vi.useRealTimers());

  it.each(['release', 'close'] as const)('waits as long as it is told, unless it is ended: %s', (end) => {
    vi.useFakeTimers();
    const { gate } = world();
    let over = 0;
    gate.delay(1000, () => over++);
    vi.advanceTimersByTime(999);
    expect([over, gate.delays]).toEqual([0, true]);
    vi.advanceTimersByTime(1);
    expect([over, gate.delays]).toEqual([1, false]);
    gate.delay(1000, () => over++);
    gate[end]();
    expect(gate.delays).toBe(false);
    vi.advanceTimersByTime(10_000);
    expect(over).toBe(1);
  });

  it('waits longer each time that the device comes back', () => {
    const { gate, host, clock } = world();
    const seen = host.service.seen('car');
    const all = world({ service: { ...NO_CAPS, seen: () => seen }, clock });
    expect([1, 2, 3].map(() => all.gate.penaltyMs('car'))).toEqual([0, expect.any(Number), expect.any(Number)]);
    expect(all.gate.penaltyMs('car')).toBeGreaterThan(0);
    expect(gate.penaltyMs('car')).toBe(0);
  });
});

describe('where the entries of a device come from', () => {
  it('is the same as long as its account and the options are', () => {
    const { gate } = world();
    const [acme, bolt] = ['acme', 'bolt'].map((account) => new DeviceLookup('car', device({ account }), true, false));
    if (acme === undefined || bolt === undefined) throw new Error('two are made');
    const first = gate.originOf(acme, OPTIONS);
    expect([first.device, first.peer, first.definition.account, first.definition.codec]).toEqual(['car', PEER, 'acme', 'toy']);
    expect(gate.originOf(acme, OPTIONS, first)).toBe(first);
    expect(gate.originOf(acme, OPTIONS)).not.toBe(first);
    expect(gate.originOf(acme, OPTIONS).definition).toBe(first.definition);
    expect(gate.originOf(acme, {}).definition).not.toBe(first.definition);
    expect(gate.originOf(bolt, OPTIONS, first).definition.account).toBe('bolt');
    expect(gate.originOf(ofOpen('car'), OPTIONS).definition.account).toBe('');
  });
});
