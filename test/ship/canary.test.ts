import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { beat, watchCanary } from '../../src/out/ship/canary.ts';
import { eventually } from '../support/wait.ts';
import {
  ClickHouseDatabase,
  clickHouseSink,
  DEADLINE,
  dataDirectory,
  INSTANCE,
  RedisServer,
  redisSink,
  Slot,
  ship,
  streamed,
} from './rig.ts';

/** The synthetic device through a journal into real stores, and back. Numbers quote the invariants of src/out/ship/canary.ts. */

const DEVICE = `canary-${INSTANCE}`;

let redis: RedisServer;
let clickHouse: ClickHouseDatabase;
beforeAll(async () => {
  [redis, clickHouse] = await Promise.all([RedisServer.start(), ClickHouseDatabase.make()]);
});
afterAll(async () => {
  await redis.stop();
  await clickHouse.drop();
});

describe('the canary', () => {
  it('comes out of each sink as a status, invariant 2, and is found behind thousands of others', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    const sinks = [clickHouseSink(data, clickHouse.access), redisSink(redis.url)];
    const { shipper, said } = ship(data, sinks);
    const now = Date.now();
    beat(slot.journal, INSTANCE, now - 10_000);
    beat(slot.journal, INSTANCE, now);
    for (let frame = 0; frame < 12; frame++)
      slot.fixes(
        `d${frame}`,
        now,
        Array.from({ length: 200 }, (_, i) => ({ time: now + i, place: false })),
      );
    await slot.journal.close();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    for (const sink of sinks) {
      expect([sink.name, await sink.newestStatus?.(DEVICE, now - 60_000)]).toEqual([sink.name, now]);
      // Nothing has come since.
      expect([sink.name, await sink.newestStatus?.(DEVICE, now + 1)]).toEqual([sink.name, 0]);
    }
    const found = (await streamed(redis.client(), 'fixgate:statuses')).filter(({ device }) => device === DEVICE);
    expect(found.map(({ time }) => time)).toEqual([now - 10_000, now]);
    expect(found[0]?.data).toMatchObject({ kind: 'status', account: '', protocol: 'canary', attrs: { canary: true } });
    expect(found[0]?.data).not.toHaveProperty('flags');
    expect(await redis.client().exists('fixgate:positions', `fixgate:last:${DEVICE}`)).toBe(0);
    expect(said).toEqual([]);
    await shipper.close();
  });

  it('is the newest of its statuses in the stream, among ten thousand of others, which are read once', async () => {
    const sink = redisSink(redis.url, { prefix: 'pages:' });
    await sink.open();
    const client = redis.client();
    let added = client.pipeline();
    const add = (device: string, time: number): void =>
      void added.xadd('pages:statuses', '*', 'device', device, 'time', time, 'data', '{}');
    add(DEVICE, 1_000);
    for (let i = 0; i < 700; i++) add('other', 2_000 + i);
    add(DEVICE, 3_000);
    for (let i = 0; i < 10; i++) add('other', 4_000 + i);
    await added.exec();
    const reads = async (device: string, since: number): Promise<unknown[]> => {
      await client.config('RESETSTAT');
      const found = await sink.newestStatus?.(device, since);
      return [found, /cmdstat_xrevrange:calls=(\d+)/.exec(await client.info('commandstats'))?.[1]];
    };
    expect(await reads(DEVICE, 0)).toEqual([3_000, '1']);
    // What it has looked through is not read again, whether it was in it or not.
    expect(await reads(DEVICE, 0)).toEqual([0, '1']);
    added = client.pipeline();
    add(DEVICE, 5_000);
    for (let i = 0; i < 10_100; i++) add('other', 6_000 + i);
    await added.exec();
    // It is looked for among ten thousand.
    expect(await reads(DEVICE, 0)).toEqual([0, '20']);
    expect(await reads(DEVICE, 0)).toEqual([0, '1']);
    await sink.close();
  });

  it('has an age in each sink that keeps statuses, which grows where the sink is away', async () => {
    let clock = 1_000_000;
    let isAway = false;
    let asked = 0;
    const ages = new Map<string, number>();
    const sink = redisSink(redis.url);
    const fake = {
      ...sink,
      name: 'fake',
      limits: sink.limits,
      relays: true,
      newestStatus: async (): Promise<number> => {
        asked++;
        if (isAway) throw new Error('away');
        return clock - 3_000;
      },
    };
    const { newestStatus: _, ...sums } = fake;
    const stop = watchCanary(
      [fake, { ...sums, name: 'sums' }],
      INSTANCE,
      () => clock,
      (name, seconds) => ages.set(name, seconds),
    );
    expect([...ages]).toEqual([['fake', 0]]);
    clock += 5_000;
    await eventually(() => expect(ages.get('fake')).toBe(3));
    isAway = true;
    const before = asked;
    clock += 60_000;
    await eventually(() => {
      expect(asked).toBeGreaterThan(before);
      expect(ages.get('fake')).toBe(63);
    });
    stop();
  });
});
