import { describe, expect, it } from 'vitest';
import { type EventName, eventIndex, FrameResult } from '../../../src/codec/index.ts';
import { cycleOf } from '../../../src/fleet/plan/cycle.ts';
import { planSchema } from '../../../src/fleet/plan/plan.ts';
import { Seen } from '../../../src/fleet/plan/plan-cache.ts';
import { Territory } from '../../../src/fleet/plan/territory.ts';
import type { AccountState } from '../../../src/fleet/registry/account-states.ts';
import { deviceSchema } from '../../../src/fleet/registry/device.ts';
import { Terms } from '../../../src/in/session/terms.ts';

const NOW = Date.UTC(2026, 10, 1);
const HOME = 240;

interface Given {
  readonly device?: object;
  readonly plan?: object;
  readonly account?: AccountState;
}

function termsOf(
  roams: (roaming: boolean) => void = () => {},
  { device = { home_networks: [HOME] }, plan = {}, account }: Given = {},
): Terms {
  const seen = new Seen();
  seen.territory = new Territory(false);
  const service = {
    plan: () => planSchema.parse({ name: 'default', ...plan }),
    policy: () => undefined,
    seen: () => seen,
    roams: (_id: string, roaming: boolean) => roams(roaming),
    said: () => {},
    programmed: (_id: string, usual: number) => usual,
    erased: () => undefined,
    accountState: () => account,
    alarmsPass: false,
  };
  return new Terms(service, 'car', deviceSchema.parse({ id: 'car', ...device }), NOW);
}

/** A record of this time with a cell in this country; `alone`: the country is named without a cell. */
function frameOf(mcc: number, time: number, alone: boolean): FrameResult {
  const frame = new FrameResult();
  frame.reset(0, 1);
  frame.time[frame.row()] = time;
  if (alone) [frame.networkMcc, frame.networkMnc] = [mcc, 7];
  else frame.cell(mcc, 7, 1, 2, 0);
  return frame;
}

describe('the country that serves a device', () => {
  const codes: readonly (readonly [mcc: number, isCountry: boolean])[] = [
    [-1, false],
    [0, false],
    [1, true],
    [310, true],
    [999, true],
    [1000, false],
    [65_535, false],
  ];
  const cases = codes.flatMap(([mcc, isCountry]) => [false, true].map((alone) => [mcc, alone, isCountry] as const));
  it.each(cases)('%d, alone %s, is one: %s', (mcc, alone, isCountry) => {
    const told: object[] = [];
    const roams: boolean[] = [];
    const terms = termsOf((roaming) => roams.push(roaming));
    for (let k = 0; k < 3; k++) {
      const at = NOW + 30_000 * k;
      terms.watch(frameOf(mcc, at, alone), at, { event: (event) => told.push(event) });
    }
    expect([told, roams]).toEqual(isCountry ? [[{ type: 'roaming_started', mcc }], [true]] : [[], []]);
    const before = { mcc: HOME, mnc: 1, roaming: false };
    expect(terms.networkOf(frameOf(mcc, NOW, alone), NOW, before)).toEqual(isCountry ? { mcc, mnc: 7, roaming: true } : before);
  });

  it.each([
    ['of now', NOW, true],
    ['a minute old', NOW - 60_000, true],
    ['older', NOW - 60_001, false],
    ['without a time', Number.NaN, true],
  ])('is that of a record %s: %s', (_what, time, isLive) => {
    const network = termsOf().networkOf(frameOf(HOME, time, false), NOW, undefined);
    expect(network).toEqual(isLive ? { mcc: HOME, mnc: 7, roaming: false } : undefined);
  });

  it('is the same network as long as it serves the device the same', () => {
    const terms = termsOf();
    const network = terms.networkOf(frameOf(HOME, NOW, false), NOW, undefined);
    expect(terms.networkOf(frameOf(HOME, NOW, true), NOW, network)).toBe(network);
    expect(terms.networkOf(frameOf(310, NOW, true), NOW, network)).not.toBe(network);
  });
});

/** One record; what is not given is not in it. */
interface Row {
  readonly time?: number;
  readonly event?: EventName;
  readonly at?: readonly [latitude: number, longitude: number];
  readonly speed?: number;
  readonly course?: number;
  /** Countries of its cells. */
  readonly cells?: readonly number[];
}

const BYTES = 20;

function frameWith(rows: readonly Row[]): FrameResult {
  const frame = new FrameResult();
  frame.reset(0, BYTES * rows.length);
  for (const [n, { time = Number.NaN, event, at, speed = Number.NaN, course = Number.NaN, cells = [] }] of rows.entries()) {
    const row = frame.row();
    [frame.from[row], frame.to[row]] = [n * BYTES, (n + 1) * BYTES];
    [frame.time[row], frame.speedKmh[row], frame.courseDeg[row]] = [time, speed, course];
    if (event !== undefined) frame.event[row] = eventIndex(event);
    if (at !== undefined) [frame.latitude[row], frame.longitude[row], frame.valid[row]] = [...at, 1];
    for (const mcc of cells) frame.cell(mcc, 7, 1, 2, 0);
  }
  return frame;
}

/** What is told of the records, received when the last one was measured, or at `received`. */
function told(given: Given, rows: readonly Row[], received = rows.at(-1)?.time ?? NOW): object[] {
  const events: object[] = [];
  termsOf(() => {}, given).watch(frameWith(rows), received, { event: (event) => events.push(event) });
  return events;
}

const many = (count: number, row: (n: number) => Row): Row[] => Array.from({ length: count }, (_, n) => row(n));
const PLACE = [59.3, 18.1] as const;

describe('of a device is watched', () => {
  const lost = { plan: { gnss_lost_after_s: 60 }, device: {} };
  const often = { device: { interval_s: 600 } };
  /** Everything at once: much too often, abroad, at one place though it moves. */
  const conspicuous = many(100, (n) => ({ time: NOW + 1000 * n, at: PLACE, speed: 50, course: 90, cells: [310] }));

  it('nothing, when neither an interval nor a home network is given, nor a time after which its receiver is lost', () => {
    expect(told({ device: {} }, conspicuous)).toEqual([]);
  });

  it.each([
    ['its pace', often, [{ type: 'tamper_rate', interval_s: 1, programmed_s: 600, window_s: 3600, seen: 31, allowed: 30 }]],
    ['its receiver', lost, [{ type: 'gnss_lost', reason: 'stuck', since: NOW + 1000 }]],
    ['its country', {}, [{ type: 'roaming_started', mcc: 310 }]],
  ])('%s, and nothing else, when only that is given', (_, given, events) => {
    expect(told(given, conspicuous)).toMatchObject(events);
    expect(told(given, conspicuous)).toHaveLength(1);
  });

  it('the pace of the plan where the device has none of its own', () => {
    expect(told({ device: {}, plan: { interval_s: 600 } }, conspicuous)).toMatchObject([{ programmed_s: 600 }]);
    expect(told({ device: { interval_s: 30 }, plan: { interval_s: 600 } }, conspicuous)).toEqual([]);
  });

  it.each([
    ['events, which come when they do', (n: number): Row => ({ time: NOW + 1000 * n, event: 'sos' }), []],
    ['what is measured in a bend', (n: number): Row => ({ time: NOW + 1000 * n, speed: 50, course: (n * 15) % 360 }), []],
    [
      'a course that turns while the vehicle stands',
      (n: number): Row => ({ time: NOW + 1000 * n, speed: 0, course: (n * 15) % 360 }),
      [BYTES * 31],
    ],
    ['a course without a speed', (n: number): Row => ({ time: NOW + 1000 * n, course: (n * 15) % 360 }), [BYTES * 31]],
    ['records without a time', (): Row => ({}), []],
  ])('in the pace: %s', (_, row, bytes) => {
    expect(told(often, many(100, row)).map((event) => Object(event).bytes)).toEqual(bytes);
  });

  it('a receiver by records that say where the device is, or by their cells that they do not know', () => {
    const every = (row: Row): Row[] => many(5, (n) => ({ time: NOW + 30_000 * n, ...row }));
    expect(told(lost, every({ cells: [HOME] }))).toEqual([{ type: 'gnss_lost', reason: 'no_fix', since: NOW }]);
    // A heartbeat.
    expect(told(lost, every({}))).toEqual([]);
    expect(told(lost, every({ at: PLACE, speed: 0 }))).toEqual([]);
    expect(told(lost, [...every({ cells: [HOME] }), { time: NOW + 200_000, at: PLACE, speed: 0 }])).toEqual([
      { type: 'gnss_lost', reason: 'no_fix', since: NOW },
      { type: 'gnss_back', lost_s: 200 },
    ]);
  });

  it('what has no time, by the time at which it came', () => {
    const terms = termsOf(() => {}, lost);
    const events: object[] = [];
    for (const n of [0, 1, 2]) terms.watch(frameWith([{ cells: [HOME] }]), NOW + 40_000 * n, { event: (event) => events.push(event) });
    expect(events).toEqual([{ type: 'gnss_lost', reason: 'no_fix', since: NOW }]);
  });

  it('the country of each record by its own first cell', () => {
    const at = (n: number): { time: number } => ({ time: NOW + 40_000 * n });
    expect(
      told(
        {},
        [0, 1, 2].map((n) => ({ ...at(n), cells: [HOME, 310] })),
      ),
    ).toEqual([]);
    expect(
      told(
        {},
        [0, 1, 2].map((n) => ({ ...at(n), cells: [310, HOME] })),
      ),
    ).toMatchObject([{ mcc: 310 }]);
    expect(told({}, [{ ...at(0), cells: [HOME] }, ...[1, 2, 3].map((n) => ({ ...at(n), cells: [310] }))])).toMatchObject([{ mcc: 310 }]);
    // Records without a cell say nothing of a country.
    expect(told({}, [{ ...at(0), cells: [310] }, at(1), at(2), at(3)])).toEqual([]);
  });
});

describe('starts of a device', () => {
  const start = (n: number): Row => ({ time: NOW + 60_000 * n, event: 'power_on' });

  it('are told of once when there are more than the plan allows within an hour, whatever else is watched', () => {
    const storm = { type: 'reboot_storm', seen: 7, allowed: 6, window_s: 3600, since: NOW };
    expect(told({ device: {} }, many(6, start), NOW)).toEqual([]);
    expect(told({ device: {} }, many(9, start), NOW)).toEqual([storm]);
    expect(told({}, many(9, start), NOW)).toEqual([storm]);
    expect(told({ device: {}, plan: { evidence: { reboots: 0 } } }, many(60, start), NOW)).toEqual([]);
  });

  it('are not those that are sent again, nor what has no time, nor other events', () => {
    expect(
      told(
        { device: {} },
        many(9, () => start(1)),
        NOW,
      ),
    ).toEqual([]);
    expect(
      told(
        { device: {} },
        many(9, () => ({ event: 'power_on' })),
        NOW,
      ),
    ).toEqual([]);
    expect(
      told(
        { device: {} },
        many(9, (n) => ({ ...start(n), event: 'sos' })),
        NOW,
      ),
    ).toEqual([]);
  });
});

it('bytes that no frame could be read from are told of once in an hour, when they are more than the plan allows', () => {
  const events: object[] = [];
  const terms = termsOf(() => {}, { plan: { evidence: { other_bytes: 100 } } });
  const notices = { event: (event: object) => events.push(event) };
  terms.unread(60, NOW, notices);
  terms.unread(40, NOW + 1, notices);
  expect(events).toEqual([]);
  terms.unread(1, NOW + 2, notices);
  terms.unread(500, NOW + 3, notices);
  expect(events).toEqual([{ type: 'other_bytes', bytes: 101, allowed: 100, window_s: 3600, since: NOW }]);
});

describe('the account of a device decides with it', () => {
  const plan = { anchor_day: 3 };
  const { end } = cycleOf(planSchema.parse({ name: 'default', ...plan }), NOW);

  it.each<[string, Given, string, string]>([
    ['an account that is simply active', {}, '', ''],
    ['one that is suspended', { account: { state: 'suspended' } }, 'suspended', 'suspended'],
    ['one that is closed', { account: { state: 'closed' } }, 'terminated', 'terminated'],
    [
      'one that is closed, and a device that is suspended',
      { account: { state: 'closed' }, device: { state: 'suspended' } },
      'terminated',
      'terminated',
    ],
    ['one that ends with the cycle', { account: { state: 'active', ending_since: NOW } }, '', 'expired'],
    [
      'one that ends, and a device that ends before',
      { account: { state: 'active', ending_since: NOW }, device: { expires_at: NOW } },
      'expired',
      'expired',
    ],
    [
      'one that is active, and a device that is suspended',
      { account: { state: 'active' }, device: { state: 'suspended' } },
      'suspended',
      'suspended',
    ],
    [
      'one that is suspended, and a device that is terminated',
      { account: { state: 'suspended' }, device: { state: 'terminated' } },
      'terminated',
      'terminated',
    ],
  ])('%s', (_, { account, device = {} }, now, later) => {
    const terms = termsOf(() => {}, { device, plan, ...(account && { account }) });
    expect([terms.at(NOW).why, terms.at(end - 1).why, terms.at(end).why]).toEqual([now, now, later]);
  });
});
