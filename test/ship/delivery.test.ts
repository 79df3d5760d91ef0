import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { chdbInstalled } from '../embedded/child.ts';
import { ClickHouseServer, clickHouseSink, dataDirectory, RedisServer, redisSink, Slot, ship, streamLedger, tableLedger } from './rig.ts';

const T = Date.UTC(2026, 9, 1);

describe.skipIf(!chdbInstalled)('journal to both sinks', () => {
  let redis: RedisServer;
  let clickHouse: ClickHouseServer;

  beforeAll(async () => {
    redis = await RedisServer.start();
    clickHouse = await ClickHouseServer.start();
  });
  afterAll(async () => {
    await redis.stop();
    await clickHouse.stop();
  });

  test('the table and the stream hold the same records, each once', async () => {
    const data = dataDirectory();
    const slots = [await Slot.open(data, 0), await Slot.open(data, 1)];
    for (let i = 0; i < 500; i++) {
      const slot = slots[i % 2];
      slot?.fixes(`device-${i % 7}`, T + i, [
        { time: T - 1000 + i, number: i },
        { time: T - 500 + i, number: i + 1, place: i % 5 !== 0 },
      ]);
      if (i % 50 === 0) slot?.event(`device-${i % 7}`, T + i, { type: 'connected', transport: 'tcp' });
    }
    for (const slot of slots) await slot.journal.close();
    const { shipper } = ship(data, [clickHouseSink(data, clickHouse.url), redisSink(redis.url)]);
    onTestFinished(() => shipper.close());
    expect(await shipper.drained(20_000)).toBe(true);

    const table = await tableLedger(clickHouse.client);
    expect(table).toHaveLength(900);
    expect(await streamLedger(redis.client())).toEqual([...table].sort());
    expect(await streamLedger(redis.client(), 'fixgate:statuses')).toEqual((await tableLedger(clickHouse.client, 'statuses')).sort());
    expect(await tableLedger(clickHouse.client, 'statuses')).toHaveLength(100);
    expect(await streamLedger(redis.client(), 'fixgate:events')).toEqual((await tableLedger(clickHouse.client, 'events')).sort());
  });
});
