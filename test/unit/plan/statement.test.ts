import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { NOTHING } from '../../../src/fleet/plan/overhead.ts';
import { planSchema } from '../../../src/fleet/plan/plan.ts';
import type { Period } from '../../../src/fleet/plan/service.ts';
import {
  accountSum,
  daysOf,
  detailOf,
  hashOf,
  type Scope,
  type Statement,
  scopesOf,
  statementOf,
  type Told,
  unitsWithin,
} from '../../../src/fleet/plan/statement.ts';
import { firstOf } from '../../../src/fleet/plan/versions.ts';

const [MAY, JUNE, JULY] = [Date.UTC(2026, 4, 1), Date.UTC(2026, 5, 1), Date.UTC(2026, 6, 1)];
/** Midnight of a day in June. */
const june = (day: number): number => Date.UTC(2026, 5, day);

const PLANS = new Map(
  [{ name: 'basic' }, { name: 'gold' }, { name: 'mid', anchor_day: 15 }].map((given) => [
    given.name,
    firstOf(planSchema.parse(given), 0, ''),
  ]),
);
const period = (from: number, account: string, more: Partial<Period> = {}): Period => ({
  state: 'active',
  from,
  plan: 'basic',
  account,
  by: '',
  reason: '',
  ...more,
});

describe('what the statements of a cycle are about', () => {
  const WHOLE = { from: JUNE, to: JULY, owned: undefined, window: { start: JUNE, end: JULY } };
  const PARTS = { window: { start: JUNE, end: JULY } };
  it.each<[what: string, periods: readonly Period[], start: number, scopes: readonly object[]]>([
    ['no period', [], JUNE, []],
    ['one account all the time', [period(MAY, 'acme')], JUNE, [{ account: 'acme', plan: 'basic', activated: MAY, ...WHOLE }]],
    ['a plan that is not there', [period(MAY, 'acme', { plan: 'lost' })], JUNE, []],
    ['a moment at which no cycle begins', [period(MAY, 'acme')], JUNE + 1, []],
    [
      'a device that was first known within it: all of the cycle',
      [period(june(10), 'acme')],
      JUNE,
      [{ account: 'acme', plan: 'basic', activated: june(10), ...WHOLE }],
    ],
    [
      'a device that is in service later: from its activation',
      [period(MAY, 'acme', { state: 'pending' }), period(june(10), 'acme'), period(june(20), 'acme')],
      JUNE,
      [{ account: 'acme', plan: 'basic', activated: june(10), ...WHOLE }],
    ],
    [
      'a device that was never in service',
      [period(MAY, 'acme', { state: 'pending' })],
      JUNE,
      [{ account: 'acme', plan: 'basic', activated: undefined, ...WHOLE }],
    ],
    [
      'a plan with the same cycles, from within it on: the later one',
      [period(MAY, 'acme'), period(june(10), 'acme', { plan: 'gold' })],
      JUNE,
      [{ account: 'acme', plan: 'gold', activated: MAY, ...WHOLE }],
    ],
    [
      'a plan with other cycles ends it',
      [period(MAY, 'acme'), period(june(10), 'acme', { plan: 'mid' })],
      JUNE,
      [{ account: 'acme', plan: 'basic', activated: MAY, from: JUNE, to: june(10), window: { start: JUNE, end: june(10) } }],
    ],
    [
      'a plan with other cycles begins its first one later',
      [period(MAY, 'acme'), period(june(10), 'acme', { plan: 'mid' })],
      Date.UTC(2026, 4, 15),
      [{ account: 'acme', plan: 'mid', activated: MAY, from: june(10), to: june(15), window: { start: june(10), end: june(15) } }],
    ],
    [
      'an account that had the device before it, or has it from its end on',
      [period(MAY, 'bolt'), period(JUNE, 'acme'), period(JULY, 'cargo')],
      JUNE,
      [{ account: 'acme', plan: 'basic', activated: MAY, ...WHOLE }],
    ],
    [
      'two accounts: a part each',
      [period(MAY, 'acme'), period(june(11), 'bolt')],
      JUNE,
      [
        { account: 'acme', from: JUNE, to: june(11), activated: MAY, owned: [{ from: JUNE, to: june(11) }], ...PARTS },
        { account: 'bolt', from: june(11), to: JULY, activated: MAY, owned: [{ from: june(11), to: JULY }], ...PARTS },
      ],
    ],
    [
      'an account that gets it back: its times, of which those that follow one another are one',
      [
        period(MAY, 'acme'),
        period(june(5), 'acme', { state: 'suspended' }),
        period(june(11), 'bolt'),
        period(june(21), 'acme'),
        period(june(26), 'acme', { state: 'suspended' }),
      ],
      JUNE,
      [
        {
          account: 'acme',
          from: JUNE,
          to: JULY,
          owned: [
            { from: JUNE, to: june(11) },
            { from: june(21), to: JULY },
          ],
          ...PARTS,
        },
        { account: 'bolt', from: june(11), to: june(21), owned: [{ from: june(11), to: june(21) }], ...PARTS },
      ],
    ],
  ])('%s', (_, periods, start, scopes) => {
    const found = scopesOf(periods, PLANS, start);
    expect(found).toHaveLength(scopes.length);
    expect(found.map((scope) => ({ ...scope, plan: scope.plan.name }))).toMatchObject(scopes);
  });
});

describe('a statement', () => {
  const scope = (plan: object, more: Partial<Scope> = {}): Scope => ({
    account: 'acme',
    plan: firstOf(planSchema.parse({ name: 'basic', ...plan }), 0, ''),
    from: JUNE,
    to: JULY,
    activated: MAY,
    owned: undefined,
    window: { start: JUNE, end: JULY },
    ...more,
  });
  const made = (plan: object, more: Partial<Scope> = {}, used: object = {}): Statement =>
    statementOf('d-1', scope(plan, more), JUNE, { ...NOTHING, bytes_in: 1000, bytes_out: 500, records: 7, ...used });

  it('of a plan without caps tells what was used, and of no cap', () => {
    expect(made({})).toEqual({
      ...{ device: 'd-1', account: 'acme', plan: 'basic', plan_version: 1, time_zone: 'UTC', start: JUNE, end: JULY },
      ...{ bytes_in: 1000, bytes_out: 500, segments: 0, datagrams: 0, records: 7 },
      ...{ overhead: { segment_bytes: 0, datagram_bytes: 0, round_bytes: 1 }, overhead_bytes: 0, billed_bytes: 1500 },
    });
  });

  it('tells what the overhead and the rounding add', () => {
    const overhead = { segment_bytes: 40, datagram_bytes: 28, round_bytes: 1000 };
    expect(made({ overhead }, {}, { segments: 10, datagrams: 5 })).toMatchObject({ overhead_bytes: 1500, billed_bytes: 3000 });
  });

  it.each<[what: string, plan: object, caps: object]>([
    ['more bytes than the cap', { bytes_cap: 1400 }, { bytes_cap: 1400, over_bytes: 100 }],
    ['as many', { bytes_cap: 1500 }, { bytes_cap: 1500, over_bytes: 0 }],
    ['fewer', { bytes_cap: 1600 }, { bytes_cap: 1600, over_bytes: 0 }],
    ['more records than the cap', { records_cap: 4 }, { records_cap: 4, over_records: 3 }],
    ['as many records', { records_cap: 7 }, { records_cap: 7, over_records: 0 }],
    ['fewer records', { records_cap: 9 }, { records_cap: 9, over_records: 0 }],
    ['both', { bytes_cap: 1, records_cap: 1 }, { bytes_cap: 1, over_bytes: 1499, records_cap: 1, over_records: 6 }],
  ])('is compared with its caps: %s', (_, plan, caps) => {
    const { bytes_cap, over_bytes, records_cap, over_records } = made(plan);
    expect(JSON.parse(JSON.stringify({ bytes_cap, over_bytes, records_cap, over_records }))).toEqual(caps);
  });

  const span = (from: number, to: number): { from: number; to: number } => ({ from: june(from), to: june(to) });
  it.each<[what: string, plan: object, of: Partial<Scope>, cap: number]>([
    ['in service from the middle of the cycle on', { prorate: true }, { activated: june(16) }, 1500],
    ['the same of a plan that does not prorate', {}, { activated: june(16) }, 3000],
    ['20 of 30 days of the account', { prorate: true }, { owned: [span(1, 11), span(21, 31)] }, 2000],
    ['all days, of which some of no account are told', { prorate: true }, { owned: [span(1, 31)] }, 3000],
    ['the same, not prorated', {}, { owned: [span(1, 11), span(21, 31)] }, 3000],
    ['of ten days five in service', { prorate: true }, { owned: [span(1, 11)], activated: june(6) }, 500],
    ['one day: the floor', { prorate: true, prorate_floor_pct: 10 }, { owned: [span(1, 2)] }, 300],
    ['one day, without a floor', { prorate: true, prorate_floor_pct: 0 }, { owned: [span(1, 2)] }, 100],
    ['never in service', { prorate: true, prorate_floor_pct: 0 }, { owned: [span(1, 11)], activated: undefined }, 1000],
    [
      'a time before it was in service takes nothing from another',
      { prorate: true },
      { owned: [span(1, 11), span(21, 31)], activated: june(21) },
      1000,
    ],
  ])('has a part of the cap: %s', (_, plan, of, cap) => {
    const { bytes_cap, records_cap } = made({ bytes_cap: 3000, records_cap: 3000, ...plan }, of);
    expect([bytes_cap, records_cap]).toEqual([cap, cap]);
  });

  it('of a part of a cycle names the cycle and the times of the account', () => {
    const owned = [span(1, 11)];
    expect(made({}, { to: june(11), owned })).toMatchObject({ end: june(11), cycle_start: JUNE, cycle_end: JULY, owned });
    expect(Object.keys(made({}))).not.toContain('cycle_start');
  });

  it('is hashed with the hash of the one before it', () => {
    const text = '{"a":1,"b":2}\nabc';
    const given: object = { b: 2, a: 1 };
    expect(hashOf(given as Statement, 'abc')).toBe(createHash('sha256').update(text).digest('hex'));
  });
});

it.each<[what: string, periods: readonly [unit: string, from: number, to?: number][], owned: number[][] | undefined, units: unknown[]]>([
  ['none', [], undefined, []],
  ['the same all the time', [['a', 0]], undefined, []],
  [
    'another before it and behind it',
    [
      ['z', 0, 10],
      ['a', 10, 40],
      ['b', 40],
    ],
    undefined,
    [],
  ],
  [
    'the same, taken out and put back',
    [
      ['a', 0, 20],
      ['a', 25],
    ],
    undefined,
    [],
  ],
  [
    'another from within it on',
    [
      ['a', 0, 25],
      ['b', 25],
    ],
    undefined,
    [
      ['a', 10, 25],
      ['b', 25, 40],
    ],
  ],
  [
    'another for a while',
    [
      ['a', 0, 15],
      ['b', 15, 20],
      ['a', 20],
    ],
    undefined,
    [
      ['a', 10, 15],
      ['b', 15, 20],
      ['a', 20, 40],
    ],
  ],
  [
    'another while it was of others',
    [
      ['a', 0, 22],
      ['b', 22, 28],
      ['a', 28],
    ],
    [
      [10, 20],
      [30, 40],
    ],
    [],
  ],
  [
    'another in the second time',
    [
      ['a', 0, 35],
      ['b', 35],
    ],
    [
      [10, 20],
      [30, 40],
    ],
    [
      ['a', 10, 20],
      ['a', 30, 35],
      ['b', 35, 40],
    ],
  ],
])('units within a time are told when there is more than one: %s', (_, periods, owned, units) => {
  const spans = owned?.map(([from = 0, to = 0]) => ({ from, to }));
  const found = unitsWithin(
    periods.map(([unit, from, to]) => ({ unit, from, to })),
    { from: 10, to: 40, owned: spans },
  );
  expect((found.units ?? []).map(({ unit, from, to }) => [unit, from, to])).toEqual(units);
});

it.each<[what: string, periods: readonly Period[], owned: readonly { from: number; to: number }[] | undefined, days: object]>([
  ['one all the time', [period(MAY, 'acme')], undefined, { active: 30 }],
  ['from its first contact on', [period(JULY - 3_600_000, 'acme')], undefined, { active: 0.042 }],
  [
    'several, one of them twice',
    [
      period(MAY, 'acme'),
      period(june(11), 'acme', { state: 'suspended' }),
      period(june(21), 'acme'),
      period(JULY, 'acme', { state: 'expired' }),
    ],
    undefined,
    { active: 20, suspended: 10 },
  ],
  ['one that ended as it began', [period(MAY, 'acme', { state: 'pending' }), period(JUNE, 'acme')], undefined, { active: 30 }],
  [
    'only times of the account',
    [period(MAY, 'acme')],
    [
      { from: june(3), to: june(5) },
      { from: june(7), to: june(8) },
    ],
    { active: 3 },
  ],
])('days in each state: %s', (_, periods, owned, days) => {
  expect(daysOf(periods, { from: JUNE, to: JULY, owned })).toEqual(days);
});

describe('events in a statement', () => {
  const told = (type: string, at: number, more: Partial<Told> = {}): Told => ({
    ...{ type, at, action: '', at_pct: 0, command: '', id: '', reason: '' },
    ...more,
  });
  const slow = { action: 'slow', at_pct: 80 };
  it.each<[what: string, told: readonly Told[], detail: object]>([
    ['none', [], {}],
    ['a step that goes on', [told('plan_step', 1, slow)], { steps: [{ ...slow, from: 1 }] }],
    [
      'a step that is said twice, and ends',
      [told('plan_step', 1, slow), told('plan_step', 2, slow), told('plan_step_ended', 5, slow)],
      { steps: [{ ...slow, from: 1, to: 5 }] },
    ],
    [
      'the same step again later',
      [told('plan_step', 1, slow), told('plan_step_ended', 5, slow), told('plan_step_ended', 6, slow), told('plan_step', 7, slow)],
      {
        steps: [
          { ...slow, from: 1, to: 5 },
          { ...slow, from: 7 },
        ],
      },
    ],
    [
      'steps side by side: each has its own end',
      [
        told('plan_step', 1, slow),
        told('plan_step', 2, { ...slow, at_pct: 90 }),
        told('plan_step', 3, { ...slow, action: 'discard' }),
        told('plan_step_ended', 4, { ...slow, at_pct: 90 }),
      ],
      {
        steps: [
          { ...slow, from: 1 },
          { ...slow, at_pct: 90, from: 2, to: 4 },
          { ...slow, action: 'discard', from: 3 },
        ],
      },
    ],
    ['an end of a step that did not begin', [told('plan_step_ended', 4, slow)], {}],
    [
      'commands: each once, however often it was sent',
      [
        told('command', 1, { command: 'locate', id: 'a' }),
        told('command', 2, { command: 'locate', id: 'a' }),
        told('command', 3, { command: 'locate', id: 'b' }),
        told('command', 4, { command: 'reboot', id: 'a' }),
      ],
      { commands: { locate: 2, reboot: 1 } },
    ],
    [
      'evidence: a receiver that is stuck, not one that is in a garage',
      [
        told('clone', 1),
        told('clone', 2),
        told('gnss_lost', 3, { reason: 'stuck' }),
        told('gnss_lost', 4, { reason: 'none' }),
        told('sos', 5),
      ],
      { evidence: { clone: 2, gnss_lost: 1 } },
    ],
  ])('%s', (_, events, detail) => {
    const found = detailOf({ networks: [], told: events }, [period(MAY, 'acme')], { from: JUNE, to: JULY });
    expect(found).toEqual({ networks: [], steps: [], commands: {}, evidence: {}, days: { active: 30 }, ...detail });
  });
});

describe('the sum of an account', () => {
  const base = statementOf(
    'd-1',
    {
      account: 'acme',
      plan: firstOf(planSchema.parse({ name: 'basic' }), 0, ''),
      from: JUNE,
      to: JULY,
      activated: MAY,
      owned: undefined,
      window: { start: JUNE, end: JULY },
    },
    JUNE,
    NOTHING,
  );
  const one = (device: string, number: number, more: Partial<Statement> = {}) => ({
    ...{ ...base, device, provisional: false, number, hash: `h${number}` },
    ...more,
  });

  it('adds up what its statements tell, a device with two of them once, with names in order', () => {
    const sum = accountSum(
      [
        one('d-1', 1, {
          over_bytes: 3,
          commands: { reboot: 1 },
          days: { suspended: 0.1, active: 0.2 },
          evidence: { clone: 1 },
          overhead_bytes: 1,
        }),
        one('d-1', 2, { over_records: 2, commands: { locate: 2, reboot: 4 }, days: { active: 0.1 }, evidence: { clone: 2 } }),
        one('d-2', 3, { over_bytes: 4, over_records: 1, billed_bytes: 8, overhead_bytes: 5, bytes_in: 3, segments: 2, datagrams: 1 }),
      ],
      true,
    );
    expect(sum).toMatchObject({
      ...{ provisional: false, devices: 2, over_bytes: 7, over_records: 3, billed_bytes: 8, overhead_bytes: 6 },
      ...{ bytes_in: 3, bytes_out: 0, segments: 2, datagrams: 1, records: 0 },
      ...{ commands: { locate: 2, reboot: 5 }, days: { active: 0.3, suspended: 0.1 }, evidence: { clone: 3 } },
    });
    expect(Object.keys(sum.commands)).toEqual(['locate', 'reboot']);
  });

  it('has a hash of the numbers and hashes of its statements, in their order', () => {
    const text = '[{"hash":"h1","number":1},{"hash":"h2","number":2},{"hash":"h10","number":10}]';
    const all = [one('d-2', 2), one('d-1', 1), one('d-3', 10)];
    expect(accountSum(all, true).hash).toBe(createHash('sha256').update(text).digest('hex'));
  });

  it('has networks in order, those that are not known too', () => {
    const used = { bytes_in: 1, bytes_out: 2, segments: 3, datagrams: 4, records: 5 };
    const use = (mcc: number | undefined, mnc: number | undefined, roaming = false) => ({ mcc, mnc, roaming, ...used });
    const sum = accountSum([one('d-1', 1, { networks: [use(undefined, undefined), use(262, 2), use(262, 1, true)] })], true);
    expect(sum.networks).toEqual([use(262, 1, true), use(262, 2), use(undefined, undefined)]);
  });
});
