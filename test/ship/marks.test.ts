import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Decoder } from '../../src/out/ship/decoder.ts';
import { listParked, retryParked } from '../../src/out/ship/parked.ts';
import { Random } from '../../src/simulate/random.ts';
import { chdbInstalled } from '../embedded/child.ts';
import { moment, remains, until } from '../support/wait.ts';
import { MemorySink } from './memory-sink.ts';
import {
  ClickHouseDatabase,
  clickHouseSink,
  counter,
  DEADLINE,
  dataDirectory,
  INSTANCE,
  parkedLines,
  RedisServer,
  type Rig,
  redisSink,
  Slot,
  ship,
  shipperProcess,
  streamed,
  streamLedger,
  tableLedger,
} from './rig.ts';
import { tiny } from './tiny.ts';

const T = Date.UTC(2026, 9, 1);

function shipping(...args: Parameters<typeof ship>): Rig {
  const rig = ship(...args);
  onTestFinished(() => rig.shipper.close());
  return rig;
}

const times = (sink: MemorySink): number[] => sink.rows.map((row) => Number(row.split('\t')[1]) - T);

describe('frames that were thinned', () => {
  test('only the records that are kept are delivered, with their own attributes', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const seen: string[] = [];
    const deliver = sink.deliver.bind(sink);
    sink.deliver = async (batch, park) => {
      for (let row = 0; row < batch.rows.count; row++) seen.push(batch.rows.json(row));
      await deliver(batch, park);
    };
    const slot = await Slot.open(data, 0);
    const samples = Array.from({ length: 12 }, (_, i) => ({ time: T + i, number: i, place: i % 2 === 0 }));
    slot.thinned('d', T, samples, [0, 5, 8, 11]);
    slot.thinned('d', T, [{ time: T + 20 }], []);
    slot.fixes('d', T, [{ time: T + 21 }]);
    await slot.journal.close();
    const { shipper } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(times(sink)).toEqual([0, 5, 8, 11, 21]);
    const numbers = seen.map((json) => JSON.parse(json)).map(({ attrs }) => [attrs.number, attrs.reply]);
    expect(numbers.slice(0, 4)).toEqual([
      [0, undefined],
      [5, 'état ☂'],
      [8, undefined],
      [11, 'état ☂'],
    ]);
    expect(parkedLines(data, 'memory')).toEqual([]);
  });

  test('a record that was left out and comes again to be kept is no resend', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const slot = await Slot.open(data, 0);
    const samples = [{ time: T }, { time: T + 1 }, { time: T + 2 }];
    slot.thinned('d', T, samples, [0]);
    slot.thinned('d', T, samples, [0, 2]);
    await slot.journal.close();
    const { shipper } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(times(sink)).toEqual([0, 2]);
    // The window that a new shipper fills from the journal knows the same.
    const again = new MemorySink();
    again.position = { 0: 1 };
    const second = shipping(data, [again]);
    expect(await second.shipper.drained(DEADLINE)).toBe(true);
    expect(times(again)).toEqual([2]);
  });

  test('one that is parked is thinned when it is retried', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    slot.thinned('d', T, [{ time: T }, { time: T + 1 }, { time: T + 2 }], [1]);
    await slot.journal.close();
    const { shipper } = shipping(data, [new MemorySink()], { codecs: new Map() });
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(await listParked(`${data}/parked`, 'memory')).toMatchObject([{ sequence: 1, accepted: 3, keep: '02' }]);
    const sink = new MemorySink();
    await retryParked(`${data}/parked`, sink, new Decoder(new Map([['tiny', tiny]]), () => ({})), INSTANCE);
    expect(times(sink)).toEqual([1]);
  });
});

describe('entries marked relay', () => {
  test('go to sinks that relay, in order, and to no other; without one, nowhere, counted and said at start', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    slot.fixes('d', T, [{ time: T }]);
    slot.relayed('private', T, [{ time: T + 1 }, { time: T + 2 }]);
    slot.event('private', T, { type: 'connected' }, { keep: null, relay: true });
    slot.fixes('d', T, [{ time: T + 3 }]);
    await slot.journal.close();
    const [keeping, passing] = [new MemorySink({ name: 'keeping' }), new MemorySink({ name: 'passing', relays: true })];
    const both = shipping(data, [keeping, passing]);
    expect(await both.shipper.drained(DEADLINE)).toBe(true);
    expect([times(keeping), keeping.events.length]).toEqual([[0, 3], 0]);
    expect([times(passing), passing.events.length]).toEqual([[0, 1, 2, 3], 1]);
    expect(keeping.position).toEqual({ 0: 4 });
    expect(await counter(both.metrics, 'fixgate_relay_dropped_entries_total')).toBe(0);

    const alone = new MemorySink();
    const said: string[] = [];
    const info = (_fields: object, message: string): void => void said.push(message);
    const log = { debug: info, info, warn: info, error: info };
    const without = shipping(data, [alone], { log });
    expect(await without.shipper.drained(DEADLINE)).toBe(true);
    expect(times(alone)).toEqual([0, 3]);
    expect(await counter(without.metrics, 'fixgate_relay_dropped_entries_total', { reason: 'no_stream' })).toBe(2);
    expect(said.filter((line) => line.includes('privacy relay'))).toHaveLength(1);
  });

  test('are not parked when they cannot be read', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    slot.raw('private', T, Buffer.from([0xfe, 1]), 1, 'tiny', { keep: null, relay: true });
    slot.fixes('d', T, [{ time: T }]);
    await slot.journal.close();
    const sink = new MemorySink({ relays: true });
    const { shipper, metrics } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(times(sink)).toEqual([0]);
    expect(parkedLines(data, 'memory')).toEqual([]);
    expect(await counter(metrics, 'fixgate_relay_dropped_entries_total', { reason: 'unreadable' })).toBe(1);
  });
});

describe('what is marked relay in the journal', () => {
  const bytesOf = (data: string): string =>
    readdirSync(`${data}/journal/0`)
      .map((name) => readFileSync(`${data}/journal/0/${name}`, 'latin1'))
      .join('');

  test('goes when the stream has it, whether the table is there or not', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    slot.fixes('public', T, [{ time: T }]);
    slot.relayed('private', T, [{ time: T + 1 }]);
    await slot.journal.rotate();
    const [keeping, passing] = [new MemorySink({ name: 'keeping' }), new MemorySink({ name: 'passing', relays: true })];
    keeping.away = true;
    passing.away = true;
    const { shipper } = shipping(data, [keeping, passing]);
    await remains(() => expect(bytesOf(data)).toContain('private'), 2500);
    passing.away = false;
    await until(() => !bytesOf(data).includes('private'));
    expect(times(passing)).toEqual([0, 1]);
    keeping.away = false;
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect([times(keeping), bytesOf(data).includes('public')]).toEqual([[0], true]);
    await slot.journal.close();
  });

  test('goes at once where there is no stream, also from a slot that nobody writes', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    slot.relayed('private', T, [{ time: T + 1 }]);
    await slot.journal.close();
    shipping(data, [new MemorySink()], { claim: async () => () => {} });
    await until(() => !bytesOf(data).includes('private'));
  });
});

describe.skipIf(!chdbInstalled)('in both stores', () => {
  let redis: RedisServer;
  let clickHouse: ClickHouseDatabase;

  beforeAll(async () => {
    redis = await RedisServer.start('--appendonly', 'yes');
    clickHouse = await ClickHouseDatabase.make();
  });
  afterAll(async () => {
    await redis.stop();
    await clickHouse.drop();
  });

  test('thinned and relayed entries come out the same whenever the shipper is killed', async () => {
    const data = dataDirectory();
    const slots = [await Slot.open(data, 0), await Slot.open(data, 1)];
    const kept: number[] = [];
    const relayed: number[] = [];
    for (let i = 0; i < 900; i++) {
      const slot = slots[i % 2];
      const at = T + 10 * i;
      const samples = Array.from({ length: 5 }, (_, r) => ({ time: at + r, number: 5 * i + r }));
      if (i % 3 === 0) {
        slot?.thinned(`d${i % 7}`, at, samples, [i % 5]);
        kept.push(at + (i % 5));
      } else if (i % 3 === 1) {
        slot?.relayed(`p${i % 7}`, at, samples);
        relayed.push(...samples.map(({ time }) => time));
      } else {
        slot?.fixes(`d${i % 7}`, at, samples);
        kept.push(...samples.map(({ time }) => time));
      }
    }
    for (const slot of slots) await slot.journal.close();
    const random = new Random(4);
    for (let life = 0; life < 6; life++) {
      const kill = shipperProcess(data, clickHouse.access, redis.url);
      await moment(random, 300, 700);
      await kill();
    }
    const { shipper } = shipping(data, [clickHouseSink(data, clickHouse.access), redisSink(redis.url)]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    const client = redis.client();
    const inStream = (await streamed(client)).map(({ time }) => time);
    expect(inStream.sort()).toEqual([...kept, ...relayed].sort());
    const table = await tableLedger(clickHouse, 'positions', false);
    expect(table.map((line) => Number(line.split('\t')[1])).sort()).toEqual(kept.sort());
    expect((await streamLedger(client)).filter((line) => line.startsWith('d'))).toEqual(table.sort());
    await until(async () => (await client.exists('fixgate:last:p1')) === 1);
  });
});
