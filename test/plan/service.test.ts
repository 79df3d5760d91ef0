import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { secretUrl } from '../../src/base/secret.ts';
import { DevicePlans } from '../../src/fleet/plan/device-plans.ts';
import { SERVICE, type ServiceState } from '../../src/fleet/plan/service.ts';
import { readService, ServiceKeeper, serviceOps } from '../../src/fleet/plan/service-keeper.ts';
import { StepKeeper } from '../../src/fleet/plan/step-keeper.ts';
import { newAccountSchema } from '../../src/fleet/registry/account.ts';
import { AccountRecords } from '../../src/fleet/registry/account-records.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import { DeviceRecords } from '../../src/fleet/registry/device-records.ts';
import { openState, type State } from '../../src/state/open.ts';
import { interposed, times } from '../helpers/interposed-store.ts';
import { RedisServer } from '../ship/rig.ts';
import { eventually, remains } from '../support/wait.ts';

/** Numbers quote the invariants of src/fleet/plan/service.ts. */

const NOW = Date.UTC(2026, 5, 10);
const DAY = 86_400_000;

let directory: string;
let redis: RedisServer | undefined;
let store: State;
let now: number;
let events: Record<string, unknown>[];
const running: { keeper: StepKeeper; plans: DevicePlans }[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fixgate-service-'));
  now = NOW;
  events = [];
});

afterEach(async () => {
  for (const { keeper, plans } of running.splice(0)) {
    await keeper.stop();
    plans.close();
  }
  await store.close();
  await redis?.stop();
  redis = undefined;
  rmSync(directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
});

const record = (device: string, event: object): void => void events.push({ device, ...event });

function start(instance = 'one'): void {
  const plans = new DevicePlans(store, silentLog);
  const keeper = new StepKeeper({
    store,
    instance,
    plans,
    service: new ServiceKeeper({ store, instance, record }),
    submit: async () => ({ refused: 'conflict', problems: [] }),
    intervalOf: async () => undefined,
    record: () => {},
    count: () => {},
    now: () => now,
    log: silentLog,
  });
  keeper.start();
  running.push({ keeper, plans });
}

const records = (): DeviceRecords =>
  new DeviceRecords({
    store,
    now: () => now,
    service: (before, after, by) => serviceOps(store, now, [before, after], by),
    record: () => {},
  });
const accounts = (): AccountRecords => new AccountRecords({ store, now: () => now, record: () => {} });
const types = (): unknown[] => events.map(({ type }) => type);
const until = (expected: readonly string[]): Promise<void> => eventually(() => expect(types()).toEqual(expected));
const contact = (id: string, at: number): Promise<boolean> =>
  store.write([{ table: 'devices', key: id, put: JSON.stringify(deviceSchema.parse({ id, first_seen: at })) }]);
const state = async (id = 'd-1'): Promise<ServiceState | undefined> => (await readService(store, id, now))?.periods.at(-1)?.state;
/** Every device of before has been looked at. */
const settled = (): Promise<void> => eventually(async () => expect(await store.get('service', '*')).toBeDefined());

/** What a caller does to a device to bring it into a state. */
const INTO: Readonly<Record<ServiceState, object>> = {
  pending: { state: 'active', activates_at: NOW + 900 * DAY, expires_at: null },
  active: { state: 'active', activates_at: NOW - DAY, expires_at: null },
  suspended: { state: 'suspended', activates_at: NOW - DAY, expires_at: null },
  expired: { state: 'active', activates_at: NOW - DAY, expires_at: NOW - 1 },
  terminated: { state: 'terminated', activates_at: NOW - DAY, expires_at: null },
  removed: {},
};

/** Each way between two states, of a device that has been in service (`active` before), and its events: the table of docs/plans.md. */
const EDGES: readonly (readonly [from: ServiceState, to: ServiceState, events: readonly string[]])[] = [
  ['active', 'pending', ['service_suspended']],
  ['active', 'suspended', ['service_suspended']],
  ['active', 'expired', ['service_ended', 'device_expired']],
  ['active', 'terminated', ['service_ended']],
  ['active', 'removed', ['service_ended']],
  ['pending', 'active', ['service_resumed', 'device_activated']],
  ['pending', 'suspended', []],
  ['pending', 'expired', ['service_ended', 'device_expired']],
  ['pending', 'terminated', ['service_ended']],
  ['pending', 'removed', ['service_ended']],
  ['suspended', 'active', ['service_resumed']],
  ['suspended', 'pending', []],
  ['suspended', 'expired', ['service_ended', 'device_expired']],
  ['suspended', 'terminated', ['service_ended']],
  ['suspended', 'removed', ['service_ended']],
  ['expired', 'active', ['service_reactivated', 'device_activated']],
  ['expired', 'pending', []],
  ['expired', 'suspended', []],
  ['expired', 'terminated', []],
  ['expired', 'removed', []],
  ['terminated', 'active', ['service_reactivated']],
  ['terminated', 'pending', []],
  ['terminated', 'suspended', []],
  ['terminated', 'expired', ['device_expired']],
  ['terminated', 'removed', []],
  ['removed', 'active', ['service_reactivated']],
  ['removed', 'pending', []],
  ['removed', 'suspended', []],
  ['removed', 'expired', ['device_expired']],
  ['removed', 'terminated', []],
];

/** Of a device that has never been in service. */
const FIRST: readonly (readonly [from: ServiceState, to: ServiceState, events: readonly string[]])[] = [
  ['pending', 'active', ['service_started', 'device_activated']],
  ['suspended', 'active', ['service_started']],
  ['terminated', 'active', ['service_started']],
  ['pending', 'suspended', []],
  ['pending', 'terminated', []],
  ['pending', 'removed', []],
  ['suspended', 'expired', ['device_expired']],
];

/** What is done to an account, to the end of the cycle with `later`; and what it means for a device of it. */
const TO_ACCOUNT = {
  suspend: () => accounts().suspend('acme', 'not paid', 'desk'),
  resume: () => accounts().resume('acme', undefined, true, 'desk'),
  close: () => accounts().close('acme', 'moved away', 'now', 'desk'),
  end: () => accounts().close('acme', 'moved away', 'cycle_end', 'desk'),
  later: async () => {
    now = Date.UTC(2026, 6, 2);
    return { account: undefined };
  },
} as const;
type Deed = keyof typeof TO_ACCOUNT;

const ACCOUNT_EDGES: readonly (readonly [own: ServiceState, deeds: readonly Deed[], events: readonly string[]])[] = [
  ['active', ['suspend'], ['service_suspended desk not paid']],
  ['active', ['suspend', 'resume'], ['service_suspended desk not paid', 'service_resumed desk account_resumed']],
  ['active', ['close'], ['service_ended desk moved away']],
  ['active', ['suspend', 'close'], ['service_suspended desk not paid', 'service_ended desk moved away']],
  ['active', ['close', 'resume'], ['service_ended desk moved away', 'service_reactivated desk account_resumed terminated']],
  ['active', ['end'], []],
  ['active', ['end', 'resume', 'later'], []],
  ['active', ['end', 'later'], ['service_ended time account_ending', 'device_expired']],
  ['active', ['end', 'suspend', 'later'], ['service_suspended desk not paid', 'service_ended time account_ending', 'device_expired']],
  [
    'active',
    ['end', 'later', 'resume'],
    ['service_ended time account_ending', 'device_expired', 'service_reactivated desk account_resumed expired', 'device_activated'],
  ],
  ['suspended', ['suspend', 'resume'], []],
  ['suspended', ['suspend', 'close'], ['service_ended desk moved away']],
  ['pending', ['suspend', 'resume'], []],
  ['pending', ['close'], ['service_ended desk moved away']],
  ['expired', ['suspend', 'resume', 'close'], []],
  ['terminated', ['suspend', 'close', 'resume'], []],
  ['removed', ['suspend', 'close', 'resume'], []],
];

async function bring(to: ServiceState): Promise<void> {
  const change = to === 'removed' ? await records().remove('d-1', 'desk') : await into(to);
  expect(change).not.toHaveProperty('refused');
  expect(await state()).toBe(to);
}

async function into(to: ServiceState) {
  const known = await records().get('d-1');
  const fields = Object.fromEntries(Object.entries(INTO[to]).filter(([, value]) => known !== undefined || value !== null));
  return known === undefined
    ? records().create(deviceSchema.parse({ id: 'd-1', ...fields }), 'desk')
    : records().patch('d-1', fields, 'desk');
}

describe.each(['lmdb', 'Redis'])('life of a service, on %s', (kind) => {
  beforeEach(async () => {
    if (kind === 'Redis') redis = await RedisServer.start();
    store = await openState({ url: secretUrl(redis?.url ?? ''), prefix: 'fixgate:', directory, log: silentLog });
  });

  it('2: each way between two states has exactly its events, of devices that were in service and of new ones', async () => {
    for (const [before, edges] of [
      [['active'], EDGES],
      [[], FIRST],
    ] as const)
      for (const [from, to, expected] of edges) {
        await store.write([
          { table: 'service', key: 'd-1', remove: true },
          { table: 'devices', key: 'd-1', remove: true },
        ]);
        for (const through of before) await bring(through);
        if (from !== 'active' || before.length === 0) await bring(from);
        await store.update('service', 'd-1', (text) => JSON.stringify({ ...JSON.parse(text ?? ''), news: [] }));
        now += 1;
        await bring(to);
        const news = SERVICE.read(await store.get('service', 'd-1'))?.news ?? [];
        expect([from, to, news.map(({ type }) => type)]).toEqual([from, to, expected]);
        for (const event of news.filter(({ type }) => String(type).startsWith('service_')))
          expect(event).toMatchObject({ by: 'desk', reason: expect.stringMatching(/./), effective: now });
      }
  });

  it('4: each change of its account has exactly its events, and brings back nothing that the device was by itself', async () => {
    for (const [own, deeds, expected] of ACCOUNT_EDGES) {
      now = NOW;
      for (const table of ['service', 'devices', 'accounts', 'account_steps'] as const)
        for (const { key } of await store.list(table, { limit: 10 })) await store.write([{ table, key, remove: true }]);
      await accounts().create(newAccountSchema.parse({ id: 'acme' }), 'desk');
      await bring('active');
      await records().patch('d-1', { account: 'acme' }, 'desk');
      if (own !== 'active') await bring(own);
      await store.update('service', 'd-1', (text) => JSON.stringify({ ...JSON.parse(text ?? ''), news: [] }));
      // What the device would be after each, without anything that looks at it meanwhile.
      for (const deed of deeds) {
        now += 1000;
        expect(await TO_ACCOUNT[deed]()).not.toHaveProperty('refused');
      }
      now += 1000;
      const news = (await readService(store, 'd-1', now))?.news ?? [];
      expect([own, deeds, news.map(({ type, by = '', reason = '', after = '' }) => `${type} ${by} ${reason} ${after}`.trim())]).toEqual([
        own,
        deeds,
        expected,
      ]);
      if (deeds.at(-1) === 'resume') expect(await state()).toBe(own);
    }
  });

  it('4: all devices of an account are told by each server once, and another account has nothing of it', async () => {
    for (const instance of ['one', 'two']) start(instance);
    await accounts().create(newAccountSchema.parse({ id: 'acme' }), 'desk');
    for (const [id, account] of [
      ['d-1', 'acme'],
      ['d-2', 'acme'],
      ['d-3', 'bert'],
    ] as const)
      await records().create(deviceSchema.parse({ id, account, activates_at: NOW - DAY }), 'desk');
    const named = (): string[] => events.map(({ device, type }) => `${device} ${type}`).sort();
    await eventually(() => expect(named().filter((one) => one.endsWith('service_started'))).toHaveLength(3));
    events.length = 0;
    now += 1000;
    await accounts().suspend('acme', 'not paid', 'desk');
    await eventually(() => expect(named()).toEqual(['d-1 service_suspended', 'd-2 service_suspended']));
    expect(events[0]).toMatchObject({ by: 'desk', reason: 'not paid', effective: now });
    now += 1000;
    // It is told that the service will end, and when: in the device's own cycle.
    await accounts().resume('acme', undefined, false, 'desk');
    now = Date.UTC(2026, 5, 28);
    await accounts().close('acme', 'moved away', 'cycle_end', 'desk');
    await eventually(() => expect(events.filter(({ type }) => type === 'service_ending')).toHaveLength(2));
    expect(events.at(-1)).toMatchObject({ reason: 'account_ending', effective: Date.UTC(2026, 6, 1) });
    now = Date.UTC(2026, 6, 1);
    await eventually(() => expect(events.filter(({ type }) => type === 'service_ended')).toHaveLength(2));
  });

  it('3: it is suspended by a date, until it is activated', async () => {
    start();
    await bring('active');
    await until(['service_started']);
    await records().patch('d-1', { suspends_at: NOW + DAY }, 'desk');
    now = NOW + DAY + 5000;
    await until(['service_started', 'service_suspended']);
    expect(events.at(-1)).toMatchObject({ by: 'time', reason: 'suspends_at', effective: NOW + DAY });
    await records().patch('d-1', { state: 'active' }, 'desk');
    expect(await records().get('d-1')).not.toHaveProperty('suspends_at');
    await until(['service_started', 'service_suspended', 'service_resumed']);
  });

  it('1: a change between two readings of a look brings back nothing that the device was before', async () => {
    await bring('active');
    await records().patch('d-1', { suspends_at: NOW + DAY }, 'desk');
    now = NOW + DAY + 5000;
    const keeper = new ServiceKeeper({ store, instance: 'one', record });
    await keeper.look('d-1', await records().get('d-1'), now, 7);
    await until(['service_started', 'service_suspended']);
    const before = await records().get('d-1');
    await records().patch('d-1', { state: 'active' }, 'desk');
    keeper.told('d-1');
    await keeper.look('d-1', before, now, 7);
    await until(['service_started', 'service_suspended', 'service_resumed']);
  });

  it('1: nor does a change of its account of which this server has not heard yet', async () => {
    await accounts().create(newAccountSchema.parse({ id: 'acme' }), 'desk');
    await bring('active');
    await records().patch('d-1', { account: 'acme' }, 'desk');
    now += 1000;
    await accounts().suspend('acme', 'not paid', 'desk');
    const keeper = new ServiceKeeper({ store, instance: 'one', record });
    await keeper.look('d-1', await records().get('d-1'), now, 7);
    await until(['service_started', 'service_suspended']);
    now += 1000;
    await accounts().resume('acme', undefined, false, 'desk');
    await records().patch('d-1', { name: 'Van 1' }, 'desk');
    now += 1000;
    keeper.told('d-1');
    await keeper.look('d-1', { ...deviceSchema.parse(await records().get('d-1')), first_seen: now }, now, 7);
    await until(['service_started', 'service_suspended', 'service_resumed']);
  });

  it('1: a look that another server was faster than says nothing, and is done again soon', async () => {
    await records().create(deviceSchema.parse({ id: 'd-1', activates_at: NOW }), 'desk');
    const device = await records().get('d-1');
    const other = new ServiceKeeper({ store, instance: 'two', record });
    const moment = times(1, 'service', () => other.look('d-1', device, now, 7));
    const keeper = new ServiceKeeper({ store: interposed(store, { beforeWrite: moment }), instance: 'one', record });
    const again = await keeper.look('d-1', device, now, 7);
    expect([types(), again]).toEqual([['service_started'], now + 1_000]);
    expect(await keeper.look('d-1', device, again, 7)).toBeGreaterThan(again);
    expect(types()).toEqual(['service_started']);
  });

  it('a device that is put to wait is not activated, and the reason of a caller is said once', async () => {
    start();
    await bring('active');
    await until(['service_started']);
    await bring('pending');
    await until(['service_started', 'service_suspended']);
    await bring('active');
    await records().patch('d-1', { state: 'suspended', reason: 'not paid' }, 'desk');
    await records().patch('d-1', { state: 'active' }, 'desk');
    await until(['service_started', 'service_suspended', 'service_resumed', 'device_activated', 'service_suspended', 'service_resumed']);
    expect(events.slice(4).map(({ reason }) => reason)).toEqual(['not paid', 'active']);
    expect(await records().get('d-1')).not.toHaveProperty('reason');
  });

  it('3: dates take effect when they say, in their turn, also when they are noticed late, once by several servers', async () => {
    for (const instance of ['one', 'two', 'three']) start(instance);
    const [from, to] = [NOW + 10 * DAY, NOW + 20 * DAY];
    await records().create(deviceSchema.parse({ id: 'd-1', activates_at: from, expires_at: to }), 'desk');
    await remains(() => expect(types()).toEqual([]), 800);
    now = from + 5;
    await until(['service_started', 'device_activated']);
    now = to - 7 * DAY;
    await until(['service_started', 'device_activated', 'service_ending']);
    now = to + 5000;
    await until(['service_started', 'device_activated', 'service_ending', 'service_ended', 'device_expired']);
    await remains(() => expect(types()).toHaveLength(5), 1500);
    expect(events.map(({ by, effective }) => [by, effective])).toEqual([
      ['time', from],
      [undefined, undefined],
      ['time', to],
      ['time', to],
      [undefined, undefined],
    ]);
    expect((await readService(store, 'd-1', now))?.periods.map(({ state: was, from: at }) => [was, at])).toEqual([
      ['pending', NOW],
      ['active', from],
      ['expired', to],
    ]);
  });

  it('3: both dates passed while no server ran', async () => {
    const [from, to] = [NOW + DAY, NOW + 2 * DAY];
    await records().create(deviceSchema.parse({ id: 'd-1', activates_at: from, expires_at: to }), 'desk');
    now = NOW + 5 * DAY;
    start();
    await until(['service_started', 'device_activated', 'service_ended', 'device_expired']);
  });

  it('a first contact starts the service when it was; a device of before there was this table just has its periods', async () => {
    await contact('d-0', NOW - 100 * DAY);
    start();
    await settled();
    await contact('d-1', NOW - 1000);
    await until(['service_started']);
    expect(events).toEqual([{ device: 'd-1', type: 'service_started', by: 'device', reason: 'first_contact', effective: NOW - 1000 }]);
    expect(SERVICE.read(await store.get('service', 'd-0'))).toMatchObject({
      mark: 'running',
      periods: [{ state: 'active', from: NOW - 100 * DAY }],
    });
  });

  it('a device that a first contact made and that never came back leaves nothing when it is removed', async () => {
    start();
    await settled();
    const stranger = deviceSchema.parse({ id: 'd-1', first_seen: NOW, provisional: true });
    await store.write([{ table: 'devices', key: 'd-1', put: JSON.stringify(stranger) }]);
    await until(['service_started']);
    await store.write([{ table: 'devices', key: 'd-1', remove: true }]);
    await until(['service_started', 'service_ended']);
    await eventually(async () => expect(await store.get('service', 'd-1')).toBeUndefined());
  });

  it('but the life of its service stays as long as a statement is to be made of what it used', async () => {
    start();
    await settled();
    const stranger = deviceSchema.parse({ id: 'd-1', first_seen: NOW, provisional: true });
    const used = { table: 'usage', key: `d-1 ${Date.UTC(2026, 5, 1)}`, add: { bytes_in: 5 } } as const;
    await store.write([{ table: 'devices', key: 'd-1', put: JSON.stringify(stranger) }, used]);
    await until(['service_started']);
    await store.write([{ table: 'devices', key: 'd-1', remove: true }]);
    await until(['service_started', 'service_ended']);
    await eventually(async () => expect(SERVICE.read(await store.get('service', 'd-1'))?.news).toEqual([]));
    expect((await SERVICE.get(store, 'd-1'))?.periods).toMatchObject([{ state: 'active' }, { state: 'removed' }]);
  });

  it('4: news that a killed server had claimed are announced by it when it is back, by another only later', async () => {
    await records().create(deviceSchema.parse({ id: 'd-1', activates_at: NOW }), 'desk');
    await store.update('service', 'd-1', (text) =>
      JSON.stringify({ ...JSON.parse(text ?? ''), announcing: { by: 'one', until: NOW + 30_000 } }),
    );
    start('two');
    await remains(() => expect(types()).toEqual([]), 1500);
    start('one');
    await until(['service_started']);
  });
});
