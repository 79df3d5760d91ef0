import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { secretUrl } from '../../src/base/secret.ts';
import { PlanNotices } from '../../src/fleet/plan/notices.ts';
import { type Plan, planSchema } from '../../src/fleet/plan/plan.ts';
import { type Effective, PlanRecords } from '../../src/fleet/plan/plan-records.ts';
import { inForce, PLANS, pricedBy } from '../../src/fleet/plan/versions.ts';
import { openState, type State } from '../../src/state/open.ts';
import type { StateStore } from '../../src/state/store.ts';
import { RedisServer } from '../ship/rig.ts';
import { eventually, remains } from '../support/wait.ts';

/** Numbers quote the invariants of src/fleet/plan/plan-records.ts. */

const NOW = Date.UTC(2026, 5, 10, 12);
const JULY = Date.UTC(2026, 6, 1);
const basic = (more: object = {}): Plan => planSchema.parse({ name: 'basic', bytes_cap: 1000, ...more });

let directory: string;
let redis: RedisServer | undefined;
let store: State;
let now: number;
let events: Record<string, unknown>[];
const running: PlanNotices[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-versions-'));
  now = NOW;
  events = [];
});

afterEach(async () => {
  for (const one of running.splice(0)) await one.stop();
  await store.close();
  await redis?.stop();
  redis = undefined;
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

const record = (_device: string, event: object): void => void events.push({ ...event });
const put = (plan: Plan, effective: Effective) => new PlanRecords({ store, record, now: () => now }).put(plan, 'desk', effective);
const at = async (time: number) => {
  const { plan, version, cycle } = inForce(await new PlanRecords({ store, record, now: () => now }).history('basic'), time);
  return [version, plan.bytes_cap, new Date(cycle.start).toISOString().slice(0, 10), new Date(cycle.end).toISOString().slice(0, 10)];
};
const price = async (time: number) => (await at(time)).slice(0, 2);
const types = (): string[] => events.map(({ type, version }) => `${type} ${version}`);

function announce(instance: string, through: StateStore = store): void {
  const notices = new PlanNotices({ store: through, instance, record, now: () => now, log: silentLog });
  notices.start();
  running.push(notices);
}

describe.each(['lmdb', 'Redis'])('versions of a plan, on %s', (kind) => {
  beforeEach(async () => {
    if (kind === 'Redis') redis = await RedisServer.start();
    store = await openState({ url: secretUrl(redis?.url ?? ''), prefix: 'fixgate:', directory, log: silentLog });
  });

  it('1: a change holds from the next cycle on, at once, or with the first cycle that begins on a date or later', async () => {
    expect(await put(basic(), 'next_cycle')).toMatchObject({ made: true, version: { version: 1, from: 0 } });
    expect(await put(basic({ bytes_cap: 2000 }), 'next_cycle')).toMatchObject({ made: false, version: { version: 2, from: JULY } });
    expect([await at(NOW), await at(JULY - 1), await at(JULY)]).toEqual([
      [1, 1000, '2026-06-01', '2026-07-01'],
      [1, 1000, '2026-06-01', '2026-07-01'],
      [2, 2000, '2026-07-01', '2026-08-01'],
    ]);
    expect(await put(basic({ bytes_cap: 3000 }), { date: Date.UTC(2026, 7, 2) })).toMatchObject({
      version: { from: Date.UTC(2026, 8, 1) },
    });
    expect(await put(basic({ bytes_cap: 4000 }), { date: Date.UTC(2026, 9, 1) })).toMatchObject({
      version: { from: Date.UTC(2026, 9, 1) },
    });
    expect(await put(basic({ bytes_cap: 5000 }), { date: Date.UTC(2026, 5, 10) })).toBe('past');
    now = NOW + 1;
    await put(basic({ bytes_cap: 9000 }), 'now');
    // Nothing that was scheduled is left.
    expect([await price(NOW), await price(now), await price(Date.UTC(2027, 0, 1))]).toEqual([
      [1, 1000],
      [5, 9000],
      [5, 9000],
    ]);
    expect(events.map(({ type, fields, version, effective }) => ({ type, fields, version, effective })).slice(1)).toEqual([
      { type: 'plan_changed', fields: ['bytes_cap'], version: 2, effective: JULY },
      { type: 'plan_changed', fields: ['bytes_cap'], version: 3, effective: Date.UTC(2026, 8, 1) },
      { type: 'plan_changed', fields: ['bytes_cap'], version: 4, effective: Date.UTC(2026, 9, 1) },
      { type: 'plan_changed', fields: ['bytes_cap'], version: 5, effective: NOW + 1 },
    ]);
  });

  it('2: a later change withdraws what was to come at its moment or later, and the same again is none', async () => {
    await put(basic(), 'now');
    await put(basic({ bytes_cap: 2000 }), 'next_cycle');
    await put(basic({ bytes_cap: 3000 }), { date: Date.UTC(2026, 8, 1) });
    await put(basic({ bytes_cap: 4000 }), 'next_cycle');
    expect([await price(JULY), await price(Date.UTC(2026, 8, 1))]).toEqual([
      [4, 4000],
      [4, 4000],
    ]);
    events.length = 0;
    expect(await put(basic({ bytes_cap: 4000 }), 'next_cycle')).toMatchObject({ version: { version: 4 } });
    expect(events).toEqual([]);
    // What is in force, again: the scheduled change is withdrawn.
    await put(basic(), 'now');
    expect([types(), await price(JULY)]).toEqual([['plan_changed 1'], [1, 1000]]);
  });

  it('other cycles of a version: the one before ends where they begin, and no moment is in two', async () => {
    await put(basic(), 'now');
    await put(basic({ anchor_day: 15 }), 'next_cycle');
    expect([await at(JULY - 1), await at(JULY), await at(Date.UTC(2026, 6, 15))]).toEqual([
      [1, 1000, '2026-06-01', '2026-07-01'],
      [2, 1000, '2026-07-01', '2026-07-15'],
      [2, 1000, '2026-07-15', '2026-08-15'],
    ]);
    now = JULY + 5 * 86_400_000;
    await put(basic({ anchor_day: 15, bytes_cap: 7 }), 'now');
    // The same cycles: what runs goes on, at another price.
    expect(await at(now)).toEqual([3, 7, '2026-07-01', '2026-07-15']);
    const history = await new PlanRecords({ store, record, now: () => now }).history('basic');
    expect([pricedBy(history, JULY).version, pricedBy(history, JULY - 1).version]).toEqual([3, 1]);
    now += 60_000;
    await put(basic({ anchor_day: 20 }), 'now');
    expect([await at(now - 1), await at(now)]).toEqual([
      [3, 7, '2026-07-01', '2026-07-06'],
      [4, 1000, '2026-07-06', '2026-07-20'],
    ]);
  });

  it('3: what comes into force later is announced then, once, by several servers on one store', async () => {
    await put(basic(), 'now');
    await put(basic({ bytes_cap: 2000 }), 'next_cycle');
    for (const instance of ['one', 'two', 'three']) announce(instance);
    const history = await PLANS.get(store, 'basic');
    if (history !== undefined) await store.write([PLANS.put({ ...history, name: 'other' }, 'other')]);
    await remains(() => expect(types()).toEqual(['plan_changed 1', 'plan_changed 2']), 1500);
    // Another plan that is removed takes none along.
    await store.write([PLANS.remove('other')]);
    await remains(() => expect(types()).toHaveLength(2), 300);
    now = JULY;
    await eventually(() => expect(types()).toEqual(['plan_changed 1', 'plan_changed 2', 'plan_in_force 2']));
    expect(events.at(-1)).toEqual({ type: 'plan_in_force', plan: 'basic', version: 2, effective: JULY });
    await eventually(async () => expect(await store.get('plans', 'basic')).not.toContain('"notice"'));
    await remains(() => expect(types()).toHaveLength(3), 1500);
  });

  it('3: what a killed server had begun to announce is announced by it when it is back', async () => {
    await put(basic(), 'now');
    await put(basic({ bytes_cap: 2000 }), 'next_cycle');
    await store.update('plans', 'basic', (text) => text?.replace('"notice":{"by":"","until":0}', `"notice":{"by":"one","until":${9e15}}`));
    now = JULY;
    announce('two');
    await remains(() => expect(types()).toHaveLength(2), 1500);
    announce('one');
    await eventually(() => expect(types().at(-1)).toBe('plan_in_force 2'));
  });

  it('a plan that was stored before there were versions is version 1, in force from the beginning', async () => {
    await store.write([{ table: 'plans', key: 'basic', put: JSON.stringify({ name: 'basic', bytes_cap: 5, anchor_day: 31 }) }]);
    expect(await at(0)).toEqual([1, 5, '1969-12-31', '1970-01-31']);
    expect(PLANS.read('{"name":"basic","versions":[]}')).toBeUndefined();
    await put(basic({ anchor_day: 31, bytes_cap: 6 }), 'next_cycle');
    expect([await price(NOW), await price(Date.UTC(2026, 5, 30))]).toEqual([
      [1, 5],
      [2, 6],
    ]);
  });
});
