import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { silentLog } from '../../src/base/log.ts';
import { secretUrl } from '../../src/base/secret.ts';
import { DevicePlans } from '../../src/fleet/plan/device-plans.ts';
import { planSchema } from '../../src/fleet/plan/plan.ts';
import { countersOf } from '../../src/fleet/plan/usage.ts';
import { UsageHistory } from '../../src/out/sink/clickhouse/history.ts';
import { meteredDevices, type RebuildOptions, type Rebuilt, rebuildUsage } from '../../src/out/sink/state/rebuild.ts';
import { createStateSink } from '../../src/out/sink/state/sink.ts';
import { Random } from '../../src/simulate/random.ts';
import { openState } from '../../src/state/open.ts';
import type { StateStore } from '../../src/state/store.ts';
import { chdbInstalled } from '../embedded/child.ts';
import { ClickHouseDatabase, clickHouseSink, DEADLINE, dataDirectory, INSTANCE, RedisServer, Slot, ship } from '../ship/rig.ts';
import { rounds } from '../support/thorough.ts';
import { moment } from '../support/wait.ts';

const OCTOBER = Date.UTC(2026, 9, 1);
const T = Date.UTC(2026, 9, 20);
const ONE = { in: 100, out: 10, segments: 2, datagrams: 1, records: 3 };
const TIMES = (n: number) => ({ bytes_in: n * 100, bytes_out: n * 10, segments: n * 2, datagrams: n, records: n * 3 });

/** Of somebody who does sums harm while they are counted. */
const ROUNDS = rounds(4, 16);

let server: ClickHouseDatabase;
let redis: RedisServer;

beforeAll(async () => {
  if (!chdbInstalled) return;
  server = await ClickHouseDatabase.make();
  redis = await RedisServer.start();
});
afterAll(async () => {
  await server?.drop();
  await redis?.stop();
});

describe.skipIf(!chdbInstalled).each(['lmdb', 'redis'])('sums in %s are rebuilt from the history', (kind) => {
  afterEach(async () => {
    await server.empty();
    await redis.client().flushall();
  });

  /** Both sinks on one journal of two slots. */
  async function world() {
    const data = dataDirectory();
    const store = await openState({
      url: secretUrl(kind === 'redis' ? redis.url : ''),
      prefix: 'test:',
      directory: join(data, 'state'),
      log: silentLog,
    });
    const slots = [await Slot.open(data, 0), await Slot.open(data, 1)];
    const sinks = [
      clickHouseSink(data, server.access),
      createStateSink({ store, plans: new DevicePlans(store, silentLog), instance: INSTANCE, batchAgeMs: 20 }),
    ];
    const { shipper } = ship(data, sinks);
    const history = new UsageHistory(server.access);
    onTestFinished(async () => {
      for (const slot of slots) await slot.journal.close();
      await shipper.close();
      await history.close();
      await store.close();
    });
    const use = (slot: number, device: string, received: number): void => {
      slots[slot]?.usage(device, received, ONE);
    };
    const settle = async (): Promise<void> => {
      for (const slot of slots) await slot.journal.flush();
      expect(await shipper.drained(DEADLINE)).toBe(true);
    };
    return { store, history, use, settle, slots };
  }

  async function rebuild(store: StateStore, history: UsageHistory, options: Partial<RebuildOptions> = {}): Promise<Rebuilt[]> {
    const plans = new DevicePlans(store, silentLog);
    const found: Rebuilt[] = [];
    const devices = options.devices ?? (await meteredDevices(store, history, options.date ?? T));
    const given = { store, plans, history, date: undefined, now: T, dryRun: false, ...options, devices };
    for await (const rebuilt of rebuildUsage(given)) found.push(rebuilt);
    plans.close();
    return found;
  }

  const sums = async (store: StateStore, key: string): Promise<object> => countersOf(await store.get('usage', key));

  it('where they are right already nothing changes', async () => {
    const { store, history, use, settle } = await world();
    for (let n = 0; n < 10; n++) use(n % 2, 'a', T + n);
    use(0, 'b', OCTOBER - 1);
    await settle();
    const found = await rebuild(store, history);
    expect(found.map(({ device, before, history: said, differs }) => [device, before, said, differs])).toEqual([
      ['a', TIMES(10), TIMES(10), false],
      ['b', TIMES(0), TIMES(0), false],
    ]);
  });

  it('where they are wrong, lost, or of another plan they are set right; a dry run only says so', async () => {
    const { store, history, use, settle } = await world();
    for (let n = 0; n < 10; n++) for (const device of ['a', 'b', 'c']) use(n % 2, device, T + n);
    use(0, 'c', OCTOBER - 1);
    await settle();
    await store.write([
      { table: 'usage', key: `a ${OCTOBER}`, add: { bytes_in: 7, records: -1 } },
      { table: 'usage', key: `b ${OCTOBER}`, remove: true },
      { table: 'plans', key: 'default', put: JSON.stringify(planSchema.parse({ name: 'default', time_zone: 'America/Sao_Paulo' })) },
    ]);
    const cycle = OCTOBER + 3 * 3_600_000;
    const tried = await rebuild(store, history, { dryRun: true });
    expect(tried.map(({ device, differs, cycle: { start } }) => [device, differs, start])).toEqual(
      ['a', 'b', 'c'].map((d) => [d, true, cycle]),
    );
    expect(await sums(store, `a ${cycle}`)).toEqual(TIMES(0));
    await rebuild(store, history, { devices: ['a', 'b'] });
    expect(await sums(store, `a ${cycle}`)).toEqual(TIMES(10));
    expect(await sums(store, `b ${cycle}`)).toEqual(TIMES(10));
    expect(await sums(store, `c ${cycle}`)).toEqual(TIMES(0));
    // The month before, by its last day; what was the first of October in UTC is the last of September there.
    const september = await rebuild(store, history, { date: Date.UTC(2026, 8, 30) });
    expect(september.filter(({ differs }) => differs).map(({ device, history: said }) => [device, said])).toEqual([['c', TIMES(1)]]);
    expect((await rebuild(store, history)).filter(({ differs }) => differs).map(({ device }) => device)).toEqual(['c']);
    expect((await rebuild(store, history)).some(({ differs }) => differs)).toBe(false);
  });

  it('1, 2, 3: while the server counts on, and somebody else rebuilds', async () => {
    const { store, history, use, settle, slots } = await world();
    const random = new Random(3);
    use(0, 'other', T);
    await settle();
    const counted = new Map<string, number>();
    let counting = true;
    const count = (async () => {
      while (counting) {
        for (let n = 0; n < 20; n++) {
          const device = `car-${random.int(5)}`;
          use(random.int(2), device, T + n);
          counted.set(device, (counted.get(device) ?? 0) + 1);
        }
        for (const slot of slots) await slot.journal.flush();
        await moment(random, 0, 60);
      }
    })();
    const devices = [0, 1, 2, 3, 4].map((n) => `car-${n}`);
    let wrong = 0;
    for (let round = 0; round < ROUNDS; round++) {
      await moment(random, 50, 150);
      await store.write(
        devices.map((device) => ({ table: 'usage', key: `${device} ${OCTOBER}`, add: { bytes_in: 1_000_000, segments: -3 } })),
      );
      const both = await Promise.all([rebuild(store, history, { devices }), rebuild(store, history, { devices })]);
      wrong += both.flat().filter(({ differs }) => differs).length;
    }
    counting = false;
    await count;
    await settle();
    expect(wrong).toBeGreaterThanOrEqual(ROUNDS * devices.length);
    for (const device of devices) expect(await sums(store, `${device} ${OCTOBER}`)).toEqual(TIMES(counted.get(device) ?? 0));
  });

  it('not before ClickHouse has what was counted', async () => {
    const { store, history, use, settle, slots } = await world();
    use(0, 'a', T);
    await settle();
    await store.update('cursors', `state ${INSTANCE} 0`, (text) => JSON.stringify({ ...JSON.parse(text ?? ''), usage: 99 }));
    await expect(rebuild(store, history, { patienceMs: 600 })).rejects.toThrow(
      'ClickHouse lacks usage that was already counted (slot 0 of rig',
    );
    expect(slots).toHaveLength(2);
    await server.dropTables();
    await expect(rebuild(store, history, { devices: ['a'] })).rejects.toMatchObject({
      code: expect.stringMatching(/SINK_UNREACHABLE|CLICKHOUSE_REFUSED/),
    });
    expect(await sums(store, `a ${OCTOBER}`)).toEqual(TIMES(1));
  });
});
