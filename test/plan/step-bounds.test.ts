import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { cycleOf } from '../../src/fleet/plan/cycle.ts';
import { DevicePlans } from '../../src/fleet/plan/device-plans.ts';
import { planSchema } from '../../src/fleet/plan/plan.ts';
import { StepKeeper } from '../../src/fleet/plan/step-keeper.ts';
import { POLICIES } from '../../src/fleet/plan/steps.ts';
import { usageKey } from '../../src/fleet/plan/usage.ts';
import { firstOf, PLANS } from '../../src/fleet/plan/versions.ts';
import { DEVICES, deviceSchema } from '../../src/fleet/registry/device.ts';
import { LmdbStore } from '../../src/state/lmdb.ts';
import type { Op } from '../../src/state/store.ts';
import { eventually } from '../support/wait.ts';

/** Which steps begin at which usage, what is asked of the device, and what is counted: all devices at once, one keeper. */

const NOW = Date.UTC(2026, 5, 10);
const NOTIFY = { action: 'notify', at_pct: 80 };
const SLOW = { action: 'slow', at_pct: 90, interval_s: 600 };
const SLOWER = { action: 'slow', at_pct: 95, interval_s: 900 };
const THROTTLE = { action: 'throttle', at_pct: 80, bytes_per_s: 100 };
const REFUSE = { action: 'refuse', at_pct: 150 };
const CAP = { bytes_cap: 1000 };
const RECOVERY = { reason: 'stolen', interval_s: 15, started: NOW, until: NOW + 60_000 };

interface Case {
  readonly what: string;
  readonly plan: object;
  readonly device?: object;
  readonly used: Readonly<Record<string, number>>;
  /** Counted a cycle earlier. */
  readonly earlier?: boolean;
  /** Actions that hold, and the interval that is asked for, s; -1: none. */
  readonly held: readonly string[];
  readonly asks: number;
}

const CASES: readonly Case[] = [
  { what: 'below the first step', plan: { ...CAP, steps: [NOTIFY] }, used: { bytes_in: 799 }, held: [], asks: -1 },
  { what: 'at the first step', plan: { ...CAP, steps: [NOTIFY] }, used: { bytes_in: 800 }, held: ['notify'], asks: -1 },
  { what: 'both ways count', plan: { ...CAP, steps: [NOTIFY] }, used: { bytes_in: 400, bytes_out: 400 }, held: ['notify'], asks: -1 },
  { what: 'records against their cap', plan: { records_cap: 10, steps: [NOTIFY] }, used: { records: 8 }, held: ['notify'], asks: -1 },
  {
    what: 'the larger of two shares',
    plan: { ...CAP, records_cap: 10, steps: [NOTIFY] },
    used: { bytes_in: 1, records: 8 },
    held: ['notify'],
    asks: -1,
  },
  { what: 'without a cap nothing holds', plan: { steps: [NOTIFY] }, used: { bytes_in: 1e9 }, held: [], asks: -1 },
  { what: 'without steps nothing holds', plan: CAP, used: { bytes_in: 1e9 }, held: [], asks: -1 },
  { what: 'another cycle does not count', plan: { ...CAP, steps: [NOTIFY] }, used: { bytes_in: 5000 }, earlier: true, held: [], asks: -1 },
  {
    what: 'overhead counts',
    plan: { ...CAP, overhead: { segment_bytes: 40 }, steps: [NOTIFY] },
    used: { bytes_in: 760, segments: 1 },
    held: ['notify'],
    asks: -1,
  },
  { what: 'just below slow', plan: { ...CAP, steps: [NOTIFY, SLOW] }, used: { bytes_in: 899 }, held: ['notify'], asks: -1 },
  { what: 'slow asks', plan: { ...CAP, steps: [NOTIFY, SLOW] }, used: { bytes_in: 900 }, held: ['notify', 'slow'], asks: 600 },
  {
    what: 'of two the longer interval',
    plan: { ...CAP, steps: [SLOWER, SLOW] },
    used: { bytes_in: 950 },
    held: ['slow', 'slow'],
    asks: 900,
  },
  {
    what: 'recovery asks for its own',
    plan: { ...CAP, steps: [SLOW] },
    device: { recovery: RECOVERY },
    used: { bytes_in: 950 },
    held: ['slow'],
    asks: 15,
  },
  {
    what: 'throttle on TCP',
    plan: { ...CAP, steps: [THROTTLE] },
    device: { transport: 'tcp' },
    used: { bytes_in: 900 },
    held: ['throttle'],
    asks: -1,
  },
  {
    what: '6: throttle on UDP',
    plan: { ...CAP, steps: [THROTTLE] },
    device: { transport: 'udp' },
    used: { bytes_in: 900 },
    held: [],
    asks: -1,
  },
  { what: 'over the cap', plan: { ...CAP, steps: [REFUSE, NOTIFY] }, used: { bytes_in: 1500 }, held: ['notify', 'refuse'], asks: -1 },
];

let directory: string;
let store: LmdbStore;
let keeper: StepKeeper;
let plans: DevicePlans;
const asked = new Map<string, number>();
const counted = new Map<string, number>();
const begun: string[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-steps-'));
  store = new LmdbStore({ directory, log: silentLog });
  plans = new DevicePlans(store, silentLog);
  keeper = new StepKeeper({
    store,
    instance: 'one',
    plans,
    service: { look: async () => Number.POSITIVE_INFINITY, told: () => {}, accountTold: () => {}, settled: async () => {} },
    async submit({ device, parameters }) {
      asked.set(device, parameters.seconds);
      return { refused: 'conflict', problems: [] };
    },
    intervalOf: async () => 30,
    record: (device, event) => {
      if (Reflect.get(event, 'type') !== 'over_cap') begun.push(`${device} ${Reflect.get(event, 'type')} ${Reflect.get(event, 'action')}`);
    },
    count: (action) => counted.set(action, 1 + (counted.get(action) ?? 0)),
    now: () => NOW,
    log: silentLog,
  });
});
afterEach(async () => {
  await keeper.stop();
  plans.close();
  await store.close();
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

describe('the steps of a plan', () => {
  it('begin at their thresholds, ask for one interval, and are counted once each', async () => {
    const ops: Op[] = [];
    for (const [n, { plan, device = {}, used, earlier = false }] of CASES.entries()) {
      const made = planSchema.parse({ name: `p${n}`, ...plan });
      const cycle = cycleOf(made, NOW);
      ops.push(
        PLANS.put(firstOf(made, 0, 'test'), made.name),
        DEVICES.put(deviceSchema.parse({ id: idOf(n), plan: made.name, ...device }), idOf(n)),
        {
          table: 'usage',
          key: usageKey(idOf(n), earlier ? cycleOf(made, cycle.start - 1) : cycle),
          add: used,
        },
      );
    }
    // It sorts last: when it has its step, all others have been looked at.
    const last = planSchema.parse({ name: 'last', bytes_cap: 1, steps: [NOTIFY] });
    ops.push(PLANS.put(firstOf(last, 0, 'test'), last.name), DEVICES.put(deviceSchema.parse({ id: 'z-last', plan: 'last' }), 'z-last'), {
      table: 'usage',
      key: usageKey('z-last', cycleOf(last, NOW)),
      add: { bytes_in: 1 },
    });
    await store.write(ops);
    keeper.start();
    await eventually(async () => expect((await POLICIES.get(store, 'z-last'))?.news).toEqual([]));
    const found = await Promise.all(
      CASES.map(async ({ what }, n) => {
        const policy = await POLICIES.get(store, idOf(n));
        return { what, held: (policy?.held ?? []).map(({ action }) => action), asks: asked.get(idOf(n)) ?? -1 };
      }),
    );
    expect(found).toEqual(CASES.map(({ what, held, asks }) => ({ what, held, asks })));
    const actions = CASES.flatMap(({ held }) => held);
    expect(Object.fromEntries(counted)).toEqual({
      notify: 1 + actions.filter((action) => action === 'notify').length,
      slow: actions.filter((action) => action === 'slow').length,
      throttle: 1,
      refuse: 1,
    });
    expect(begun.toSorted()).toEqual(
      [...CASES.flatMap(({ held }, n) => held.map((action) => `${idOf(n)} plan_step ${action}`)), 'z-last plan_step notify'].toSorted(),
    );
  });
});

function idOf(n: number): string {
  return `d-${String(n).padStart(2, '0')}`;
}
