import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { secretUrl } from '../../src/base/secret.ts';
import type { Outcome } from '../../src/fleet/command/intake.ts';
import { cycleOf } from '../../src/fleet/plan/cycle.ts';
import { DevicePlans } from '../../src/fleet/plan/device-plans.ts';
import { type Plan, planSchema } from '../../src/fleet/plan/plan.ts';
import { StepKeeper } from '../../src/fleet/plan/step-keeper.ts';
import { POLICIES } from '../../src/fleet/plan/steps.ts';
import { usageKey } from '../../src/fleet/plan/usage.ts';
import { casesOf } from '../../src/fleet/registry/cases.ts';
import { DEVICES, type Device, deviceSchema } from '../../src/fleet/registry/device.ts';
import { openState, type State } from '../../src/state/open.ts';
import type { StateStore, Table } from '../../src/state/store.ts';
import { interposed, times } from '../helpers/interposed-store.ts';
import { RedisServer } from '../ship/rig.ts';
import { eventually, remains } from '../support/wait.ts';

/** Numbers quote the invariants of src/fleet/plan/step-keeper.ts. */

let directory: string;
let redis: RedisServer | undefined;
let store: State;
let now: number;
let events: string[];
let asked: string[];
const stepKeepers: { stepKeeper: StepKeeper; plans: DevicePlans }[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-warden-'));
  now = Date.UTC(2026, 5, 10);
  events = [];
  asked = [];
});

afterEach(async () => {
  for (const { stepKeeper, plans } of stepKeepers.splice(0)) {
    await stepKeeper.stop();
    plans.close();
  }
  await store.close();
  await redis?.stop();
  redis = undefined;
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

async function open(kind: string): Promise<void> {
  if (kind === 'Redis') redis = await RedisServer.start();
  store = await openState({ url: secretUrl(redis?.url ?? ''), prefix: 'fixgate:', directory, log: silentLog });
}

/** What a device had before, s. */
let reported: number | undefined;

/** `at`: the store as this server sees it. */
function start(submit?: () => Promise<Outcome>, instance = 'one', at: StateStore = store, heard?: (event: object) => void): StepKeeper {
  const plans = new DevicePlans(at, silentLog);
  const stepKeeper = new StepKeeper({
    store: at,
    instance,
    plans,
    service: { look: async () => Number.POSITIVE_INFINITY, told: () => {}, accountTold: () => {}, settled: async () => {} },
    submit:
      submit ??
      (async (draft) => {
        asked.push(`${draft.device} ${draft.parameters.seconds} ${draft.reason}`);
        return { refused: 'conflict', problems: [] };
      }),
    intervalOf: async () => reported,
    record: (device, event) => {
      heard?.(event);
      const { type, action = '', at_pct = '' } = Object(event);
      events.push([device, type, action, at_pct].filter((part) => part !== '').join(' '));
    },
    count: () => {},
    now: () => now,
    log: silentLog,
  });
  stepKeeper.start();
  stepKeepers.push({ stepKeeper, plans });
  return stepKeeper;
}

const put = (table: 'devices' | 'plans', key: string, value: object): Promise<boolean> =>
  store.write([{ table, key, put: JSON.stringify(value) }]);
const plan = (more: object): Plan => planSchema.parse({ name: 'basic', bytes_cap: 1000, ...more });
const device = (more: object = {}): Device => deviceSchema.parse({ id: 'd01', plan: 'basic', ...more });
const used = (bytes: number): Promise<boolean> =>
  store.write([{ table: 'usage', key: usageKey('d01', cycleOf(plan({}), now)), add: { bytes_in: bytes } }]);
const held = async (): Promise<string[]> => (POLICIES.read(await store.get('policies', 'd01'))?.held ?? []).map(({ action }) => action);
const until = (expected: readonly string[]): Promise<void> => eventually(() => expect(events).toEqual(expected));

const STEPS = [
  { action: 'notify', at_pct: 80 },
  { action: 'slow', at_pct: 90, interval_s: 600 },
  { action: 'discard', at_pct: 120 },
];

describe.each(['lmdb', 'Redis'])('steps of plans, on %s', (kind) => {
  beforeEach(async () => {
    await open(kind);
    reported = 30;
    await put('plans', 'basic', plan({ steps: STEPS }));
    await put('devices', 'd01', device());
  });

  it('6: `throttle` does not hold for a device on UDP, and begins when it comes over TCP', async () => {
    await put('plans', 'basic', plan({ steps: [...STEPS.slice(0, 1), { action: 'throttle', at_pct: 80, bytes_per_s: 100 }] }));
    await put('devices', 'd01', device({ transport: 'udp' }));
    start();
    await used(900);
    await until(['d01 plan_step notify 80']);
    expect(await held()).toEqual(['notify']);
    await put('devices', 'd01', device({ transport: 'tcp' }));
    await until(['d01 plan_step notify 80', 'd01 plan_step throttle 80']);
    await put('devices', 'd01', device({ transport: 'udp' }));
    await until(['d01 plan_step notify 80', 'd01 plan_step throttle 80', 'd01 plan_step_ended throttle 80']);
    expect(await held()).toEqual(['notify']);
  });

  it('are not needed to be told of usage beyond a cap, once in a cycle', async () => {
    await put('plans', 'basic', plan({ records_cap: 50 }));
    const facts: object[] = [];
    start(undefined, 'one', store, (event) => facts.push(event));
    await used(900);
    await used(101);
    await until(['d01 over_cap']);
    const { start: cycle, end } = cycleOf(plan({}), now);
    expect(facts).toEqual([
      {
        type: 'over_cap',
        plan: 'basic',
        plan_version: 1,
        cycle,
        billed_bytes: 1001,
        bytes_cap: 1000,
        over_bytes: 1,
        records: 0,
        records_cap: 50,
        over_records: 0,
      },
    ]);
    await used(5000);
    start(undefined, 'two');
    await remains(() => expect(events).toEqual(['d01 over_cap']));
    now = end;
    await used(1001);
    await until(['d01 over_cap', 'd01 over_cap']);
  });

  it('nor of usage of the cycle before, when another server has told of the next one meanwhile', async () => {
    await put('plans', 'basic', plan({}));
    await used(1001);
    const { end } = cycleOf(plan({}), now);
    const other = times(1, 'excess', async () => {
      now = end;
      await used(1001);
      await store.write([{ table: 'excess', key: 'd01', put: String(end) }]);
    });
    let looks = 0;
    const beforeRead = (table: Table): unknown => {
      if (table === 'excess') looks++;
      return other(table);
    };
    const stepKeeper = start(undefined, 'two', interposed(store, { beforeRead }));
    // The look behind the one that was overtaken: usage has changed meanwhile.
    await eventually(() => expect(looks).toBeGreaterThan(1));
    await stepKeeper.stop();
    expect([events, await store.get('excess', 'd01')]).toEqual([[], String(end)]);
  });

  it('3: a server that has not heard of a change of the plan yet undoes nothing that another has decided by it', async () => {
    let looks = 0;
    const seen = interposed(store, { afterRead: (table) => (table === 'usage' ? looks++ : 0) });
    const deaf: StateStore = {
      ...seen,
      watch: (changed) => store.watch((table, key) => (table === 'plans' ? undefined : changed(table, key))),
    };
    await used(700);
    const stepKeeper = start(undefined, 'two', deaf);
    await eventually(() => expect(looks).toBeGreaterThan(0));
    await put('plans', 'basic', plan({ bytes_cap: 10_000, steps: STEPS }));
    const before = looks;
    await used(250);
    await eventually(() => expect(looks).toBeGreaterThan(before));
    await stepKeeper.stop();
    expect([events, await held()]).toEqual([[], []]);
  });

  it('1, 4: begin with usage, each once, and end with the cycle: the interval before comes back', async () => {
    start();
    await used(799);
    await used(1);
    await until(['d01 plan_step notify 80']);
    await used(100);
    await until(['d01 plan_step notify 80', 'd01 plan_step slow 90']);
    await eventually(() => expect(asked).toEqual(['d01 600 plan basic']));
    reported = 600;
    await used(300);
    await eventually(async () => expect(await held()).toEqual(['notify', 'slow', 'discard']));
    await used(50);
    events.length = 0;
    now = cycleOf(plan({}), now).end;
    await until(['d01 plan_step_ended notify 80', 'd01 plan_step_ended slow 90', 'd01 plan_step_ended discard 120']);
    await eventually(() => expect(asked.at(-1)).toMatch(/^d01 30 /));
    await eventually(async () => expect(await store.get('policies', 'd01')).toBeUndefined());
    expect(asked).toHaveLength(2);
  });

  it('1: end when the cap is raised, not when usage is just below the threshold, and begin again for another plan', async () => {
    start();
    await used(805);
    await until(['d01 plan_step notify 80']);
    // 79.7 %: within the hysteresis of 2.
    await put('plans', 'basic', plan({ bytes_cap: 1010, steps: STEPS }));
    await remains(() => expect(events).toEqual(['d01 plan_step notify 80']), 800);
    await put('plans', 'basic', plan({ bytes_cap: 2000, steps: STEPS }));
    await until(['d01 plan_step notify 80', 'd01 plan_step_ended notify 80']);
    await put('plans', 'small', { ...plan({ bytes_cap: 500, steps: [{ action: 'discard', at_pct: 100 }] }), name: 'small' });
    await put('devices', 'd01', device({ plan: 'small' }));
    await until(['d01 plan_step notify 80', 'd01 plan_step_ended notify 80', 'd01 over_cap', 'd01 plan_step discard 100']);
  });

  it('2, 4: what a crash left unannounced is announced by the next, and asked for', async () => {
    await used(950);
    const cycle = cycleOf(plan({}), now);
    const [notify, slow] = plan({ steps: STEPS }).steps;
    const news = [notify, slow].map((step) => ({ step, begins: true }));
    const policy = {
      cycle: cycle.start,
      cycle_end: cycle.end,
      used_pct: 95,
      held: [notify, slow],
      slowed: { interval_s: 600, before_s: 30 },
      news,
    };
    await store.write([{ table: 'policies', key: 'd01', put: JSON.stringify(policy) }]);
    start();
    await until(['d01 plan_step notify 80', 'd01 plan_step slow 90']);
    await eventually(() => expect(asked).toEqual(['d01 600 plan basic']));
    await eventually(async () => expect(POLICIES.read(await store.get('policies', 'd01'))?.news).toEqual([]));
  });

  it('3: two servers on one store announce once', async () => {
    start();
    start(undefined, 'two');
    await used(950);
    await eventually(async () => expect(await held()).toEqual(['notify', 'slow']));
    await until(['d01 plan_step notify 80', 'd01 plan_step slow 90']);
    await remains(() => expect([events.length, asked.length]).toEqual([2, 1]), 800);
  });

  it('2: what one server is announcing is no news to another, which goes on with it when that takes too long', async () => {
    const asking = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    start(async () => {
      asking.resolve();
      await release.promise;
      return { refused: 'conflict', problems: [] };
    });
    await used(950);
    await asking.promise;
    const announced = ['d01 plan_step notify 80', 'd01 plan_step slow 90'];
    expect(events).toEqual(announced);
    // The other one looks now, while the first is in the middle of it: once at its start, and once more.
    let looks = 0;
    const seen = interposed(store, { afterRead: (table) => (table === 'policies' ? looks++ : 0) });
    start(undefined, 'two', seen);
    await eventually(() => expect(looks).toBeGreaterThan(0));
    const before = looks;
    await used(1);
    await eventually(() => expect(looks).toBeGreaterThan(before));
    expect([events, asked]).toEqual([announced, []]);
    now += 31_000;
    await eventually(() => expect(events).toEqual([...announced, ...announced]));
    release.resolve();
    await eventually(async () => expect(POLICIES.read(await store.get('policies', 'd01'))?.news).toEqual([]));
  });

  it('2: a server that was killed in the middle of it goes on at once when it is started again', async () => {
    await used(950);
    const cycle = cycleOf(plan({}), now);
    const held = plan({ steps: STEPS }).steps.slice(0, 1);
    const news = held.map((step) => ({ step, begins: true }));
    const announcing = { by: 'one', until: now + 30_000 };
    const policy = { cycle: cycle.start, cycle_end: cycle.end, used_pct: 95, held, news, announcing };
    await store.write([{ table: 'policies', key: 'd01', put: JSON.stringify(policy) }]);
    start();
    await until(['d01 plan_step notify 80', 'd01 plan_step slow 90']);
  });

  it('5: recovery that is made longer in the moment in which it would end does not end', async () => {
    const recovery = { reason: 'stolen', interval_s: 15, started: now, until: now + 60_000 };
    const longer = { ...recovery, until: now + 3_600_000 };
    await put('devices', 'd01', device({ recovery }));
    const prolonged = times(1, 'devices', () => put('devices', 'd01', device({ recovery: longer })));
    now += 60_000;
    let looked = false;
    start(undefined, 'one', interposed(store, { beforeWrite: prolonged, afterRead: (table) => (looked ||= table === 'usage') }));
    await eventually(() => expect(looked).toBe(true));
    expect(DEVICES.read(await store.get('devices', 'd01'))?.recovery).toEqual(longer);
    expect(events).toEqual([]);
  });

  it('a device whose record is damaged keeps its steps and holds up no other', async () => {
    await store.write([{ table: 'devices', key: 'd00', put: '{"id":' }]);
    start();
    await used(850);
    await until(['d01 plan_step notify 80']);
  });

  it('one that cannot be read now is looked at again, and what was found of others meanwhile, too', async () => {
    await put('devices', 'd00', device({ id: 'd00' }));
    const failing = times(1, 'usage', () => {
      throw new Error('the store is busy');
    });
    const cycle = cycleOf(plan({}), now);
    for (const id of ['d00', 'd01']) await store.write([{ table: 'usage', key: usageKey(id, cycle), add: { bytes_in: 850 } }]);
    start(undefined, 'one', interposed(store, { beforeRead: failing }));
    await eventually(() => expect([...events].sort()).toEqual(['d00 plan_step notify 80', 'd01 plan_step notify 80']));
  });

  it('3: what another server writes while a command is handed in stands', async () => {
    const theirs = JSON.stringify({ cycle: 1, cycle_end: now + 1e9, used_pct: 1, held: [], news: [] });
    let handedIn = 0;
    const stepKeeper = start(async () => {
      if (handedIn++ === 0) await store.write([{ table: 'policies', key: 'd01', put: theirs }]);
      return { refused: 'conflict', problems: [] };
    });
    await used(950);
    await eventually(() => expect(handedIn).toBeGreaterThan(0));
    await stepKeeper.stop();
    expect(await store.get('policies', 'd01')).toBe(theirs);
  });

  it('4, 5: recovery mode asks for its interval, ends by itself, and gives back the one before', async () => {
    const recovery = { reason: 'stolen', interval_s: 15, started: now, until: now + 60_000 };
    await put('devices', 'd01', device({ recovery }));
    start();
    await eventually(() => expect(asked).toEqual(['d01 15 recovery: stolen']));
    now += 60_000;
    await until(['d01 recovery_ended']);
    await eventually(() => expect(asked.at(-1)).toMatch(/^d01 30 /));
    expect(DEVICES.read(await store.get('devices', 'd01'))?.recovery).toBeUndefined();
    // Its case was begun by an earlier version: there is no row of it.
    expect(await casesOf(store, 'd01')).toMatchObject([{ id: String(recovery.started), by: '', ended: now, ended_by: 'time' }]);
    await eventually(async () => expect(await store.get('policies', 'd01')).toBeUndefined());
  });

  it('tell of a command that cannot be sent', async () => {
    start(async () => ({ refused: 'invalid', problems: [{ field: 'type', problem: 'unknown' }] }));
    await used(900);
    await eventually(() => expect(events).toContain('d01 plan_command_refused'));
  });
});
