import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { secretUrl } from '../../src/base/secret.ts';
import { cycleOf } from '../../src/fleet/plan/cycle.ts';
import { DevicePlans } from '../../src/fleet/plan/device-plans.ts';
import { planSchema, UNLIMITED } from '../../src/fleet/plan/plan.ts';
import { countersOf, passedOps, readUsage } from '../../src/fleet/plan/usage.ts';
import { deviceSchema } from '../../src/fleet/registry/device.ts';
import type { Traffic } from '../../src/journal/usage.ts';
import { createStateSink } from '../../src/out/sink/state/sink.ts';
import { Random } from '../../src/simulate/random.ts';
import { openState } from '../../src/state/open.ts';
import type { Op, StateStore } from '../../src/state/store.ts';
import { DEADLINE, dataDirectory, INSTANCE, parkedLines, RedisServer, type Rig, Slot, ship } from '../ship/rig.ts';
import { rounds } from '../support/thorough.ts';
import { moment, until } from '../support/wait.ts';

const T = Date.UTC(2026, 9, 15);
const OCTOBER = Date.UTC(2026, 9, 1);
const NOVEMBER = Date.UTC(2026, 10, 1);
/** How often Redis goes and comes back. */
const AWAY = rounds(2, 3);
const ONE: Traffic = { in: 100, out: 10, segments: 2, datagrams: 1, records: 3 };

let redis: RedisServer;
let data: string;

beforeAll(async () => {
  redis = await RedisServer.start('--appendonly', 'yes');
});
afterAll(() => redis.stop());
afterEach(async () => {
  const client = redis.client();
  await client.flushall();
});

describe.each(['lmdb', 'redis'])('usage in the state store in %s', (kind) => {
  const url = (): string => (kind === 'redis' ? redis.url : '');

  beforeEach(() => {
    data = dataDirectory();
  });

  async function open(): Promise<StateStore> {
    const store = await openState({ url: secretUrl(url()), prefix: 'test:', directory: join(data, 'state'), log: silentLog });
    onTestFinished(() => store.close());
    return store;
  }

  function shipping(store: StateStore, options: Parameters<typeof ship>[2] = {}): Rig {
    const rig = ship(
      data,
      [createStateSink({ store, plans: new DevicePlans(store, silentLog), instance: INSTANCE, batchAgeMs: 20 })],
      options,
    );
    onTestFinished(() => rig.shipper.close());
    return rig;
  }

  const usage = async (store: StateStore, key: string): Promise<Record<string, number>> => ({
    ...countersOf(await store.get('usage', key)),
  });

  it('is summed per device and cycle, by the time of receipt', async () => {
    const store = await open();
    const slots = [await Slot.open(data, 0), await Slot.open(data, 1)];
    for (const slot of slots) {
      slot.usage('a', NOVEMBER - 1, ONE);
      slot.fixes('a', NOVEMBER, [{ time: T }]);
      slot.usage('a', NOVEMBER, ONE);
      slot.usage('b', NOVEMBER, ONE);
      slot.usage('a', NOVEMBER + 1, ONE);
      await slot.journal.close();
    }
    const { shipper } = shipping(store);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    const times = (n: number) => ({ bytes_in: n * 100, bytes_out: n * 10, segments: n * 2, datagrams: n, records: n * 3 });
    expect(await usage(store, `a ${OCTOBER}`)).toEqual(times(2));
    expect(await usage(store, `a ${NOVEMBER}`)).toEqual(times(4));
    expect(await usage(store, `b ${NOVEMBER}`)).toEqual(times(2));
  });

  it('is noted as the last of its journal also behind records that hold none', async () => {
    const store = await open();
    const slot = await Slot.open(data, 0);
    const cursor = async (): Promise<unknown> => {
      const [{ value } = { value: '' }] = await store.list('cursors', { limit: 10 });
      return JSON.parse(value);
    };
    const { shipper } = shipping(store);
    slot.fixes('a', NOVEMBER, [{ time: T }]);
    await slot.journal.flush();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(await cursor()).toEqual({ delivered: 1, usage: 0, time: 0 });
    slot.usage('a', NOVEMBER + 1, ONE);
    await slot.journal.flush();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(await cursor()).toEqual({ delivered: 2, usage: 2, time: NOVEMBER + 1 });
    slot.fixes('a', NOVEMBER + 2, [{ time: T + 1 }]);
    await slot.journal.close();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(await cursor()).toEqual({ delivered: 3, usage: 2, time: NOVEMBER + 1 });
  });

  it('belongs to the cycle of the plan that the device has', async () => {
    const store = await open();
    const plan = planSchema.parse({ name: 'berlin', anchor_day: 15, time_zone: 'Europe/Berlin', bytes_cap: 1000, prorate: true });
    const device = deviceSchema.parse({ id: 'car-a', plan: 'berlin', first_seen: T });
    const put: Op[] = [
      { table: 'plans', key: 'berlin', put: JSON.stringify(plan) },
      { table: 'devices', key: 'car-a', put: JSON.stringify(device) },
      { table: 'devices', key: 'car-c', put: '{"broken' },
    ];
    await store.write(put);
    const slot = await Slot.open(data, 0);
    const start = Date.UTC(2026, 9, 14, 22);
    slot.usage('car-a', start - 1, ONE);
    slot.usage('car-a', start, ONE);
    slot.usage('car-c', start, ONE);
    await slot.journal.flush();
    const { shipper } = shipping(store);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(await usage(store, `car-a ${Date.UTC(2026, 8, 14, 22)}`)).toMatchObject({ bytes_in: 100 });
    expect(await usage(store, `car-c ${OCTOBER}`)).toMatchObject({ bytes_in: 100 });
    expect(await readUsage(store, device, { plan, cycle: cycleOf(plan, T) })).toMatchObject({
      cycle: { start, end: Date.UTC(2026, 10, 14, 23) },
      bytes_in: 100,
      billed_bytes: 110,
      bytes_cap: 997,
      bytes_pct: (100 * 110) / 997,
      pct: (100 * 110) / 997,
    });
    // A change of the plan is noticed.
    const noticed = new Promise<void>((resolve) => {
      const unwatch = store.watch((table, key) => {
        if (table === 'plans' && (key ?? 'berlin') === 'berlin') resolve();
      });
      onTestFinished(unwatch);
    });
    await store.write([{ table: 'plans', key: 'berlin', put: JSON.stringify({ ...plan, time_zone: 'UTC' }) }]);
    await noticed;
    slot.usage('car-a', T, ONE);
    await slot.journal.close();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(await usage(store, `car-a ${T}`)).toMatchObject({ bytes_in: 100 });
  });

  it('what is of an account that has the device no more counts for the cycle, and not against the caps of who has it', async () => {
    const store = await open();
    const device = deviceSchema.parse({ id: 'car-a', account: 'bolt' });
    await store.write([{ table: 'devices', key: 'car-a', put: JSON.stringify(device) }]);
    const slot = await Slot.open(data, 0);
    slot.usage('car-a', NOVEMBER, ONE, 'acme');
    for (let n = 1; n <= 2; n++) slot.usage('car-a', NOVEMBER + n, ONE, 'bolt');
    await slot.journal.close();
    const { shipper } = shipping(store);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(await usage(store, `car-a ${NOVEMBER}`)).toMatchObject({ bytes_in: 300, records: 9 });
    expect(await readUsage(store, device, { plan: UNLIMITED, cycle: cycleOf(UNLIMITED, NOVEMBER) })).toMatchObject({
      bytes_in: 200,
      records: 6,
    });
    const [late] = await passedOps(store, NOVEMBER + 5, device, { ...device, account: 'else' });
    await store.write(late === undefined ? [] : [late]);
    expect(await readUsage(store, device, { plan: UNLIMITED, cycle: cycleOf(UNLIMITED, NOVEMBER) })).toMatchObject({
      bytes_in: 0,
      passed_at: NOVEMBER + 5,
    });
  });

  it('counts each entry once when the shipper is killed again and again', async () => {
    const slots = [await Slot.open(data, 0), await Slot.open(data, 1)];
    const wanted = new Map<string, Record<string, number>>();
    const random = new Random(5);
    const write = async (entries: number): Promise<void> => {
      for (let n = 0; n < entries; n++) {
        const device = `device-${random.int(50)}`;
        const traffic = { in: random.int(20_000), out: random.int(100), segments: random.int(9), datagrams: 0, records: random.int(50) };
        const key = `${device} ${random.int(2) === 0 ? OCTOBER : NOVEMBER}`;
        slots[random.int(2)]?.usage(device, Number(key.split(' ')[1]) + random.int(1000), traffic);
        const sum = wanted.get(key) ?? { bytes_in: 0, bytes_out: 0, segments: 0, datagrams: 0, records: 0 };
        wanted.set(key, {
          bytes_in: (sum['bytes_in'] ?? 0) + traffic.in,
          bytes_out: (sum['bytes_out'] ?? 0) + traffic.out,
          segments: (sum['segments'] ?? 0) + traffic.segments,
          datagrams: 0,
          records: (sum['records'] ?? 0) + traffic.records,
        });
        if (n % 50 === 0) for (const slot of slots) await slot.journal.flush();
      }
      for (const slot of slots) await slot.journal.flush();
    };
    for (let round = 0; round < rounds(3, 6); round++) {
      const child: ChildProcess = fork(join(import.meta.dirname, 'state-child.ts'), [data, url()], { execArgv: [] });
      const ended = once(child, 'exit');
      await once(child, 'message');
      await Promise.all([write(1500), moment(random, 100, 500)]);
      child.kill('SIGKILL');
      await ended;
    }
    const store = await open();
    const { shipper } = shipping(store);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    const found = new Map((await store.list('usage', { limit: 1000 })).map(({ key, value }) => [key, { ...countersOf(value) }]));
    expect(found).toEqual(wanted);
    for (const slot of slots) await slot.journal.close();
  });

  it('counts each entry once beside a second shipper', async () => {
    const store = await open();
    const slot = await Slot.open(data, 0);
    for (let n = 0; n < 300; n++) slot.usage('a', T, ONE);
    await slot.journal.flush();
    const rigs = [shipping(store), shipping(await open())];
    for (let n = 0; n < 300; n++) {
      slot.usage('a', T, ONE);
      if (n % 10 === 0) await slot.journal.flush();
    }
    await slot.journal.close();
    for (const { shipper } of rigs) expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(await usage(store, `a ${OCTOBER}`)).toMatchObject({ bytes_in: 60_000, records: 1800 });
  });

  it('parks what is no usage, and goes on', async () => {
    const store = await open();
    const slot = await Slot.open(data, 0);
    slot.usage('a', T, '{"in":1}');
    slot.usage('a', T, ONE);
    await slot.journal.close();
    const { shipper } = shipping(store);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(parkedLines(data, 'state')).toMatchObject([{ kind: 'usage', device: 'a', sequence: 1 }]);
    expect(await usage(store, `a ${OCTOBER}`)).toMatchObject({ bytes_in: 100 });
  });
});

it('waits for a Redis that is away, and counts once what is there when it is back', async () => {
  data = dataDirectory();
  const store = await openState({ url: secretUrl(redis.url), prefix: 'test:', directory: '', log: silentLog });
  onTestFinished(() => store.close());
  const slot = await Slot.open(data, 0);
  const rig = ship(data, [createStateSink({ store, plans: new DevicePlans(store, silentLog), instance: INSTANCE, batchAgeMs: 20 })]);
  onTestFinished(() => rig.shipper.close());
  for (let round = 0; round < AWAY; round++) {
    for (let n = 0; n < 100; n++) slot.usage('a', T, ONE);
    await slot.journal.flush();
    await redis.kill();
    await until(() => rig.shipper.health()['state']?.state === 'degraded');
    for (let n = 0; n < 100; n++) slot.usage('a', T, ONE);
    await slot.journal.flush();
    await redis.up('--appendonly', 'yes');
    await until(() => rig.shipper.health()['state']?.state === 'up');
  }
  await slot.journal.close();
  expect(await rig.shipper.drained(DEADLINE)).toBe(true);
  expect(countersOf(await store.get('usage', `a ${OCTOBER}`))).toMatchObject({ bytes_in: AWAY * 20_000 });
});
