import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { ownBefore } from '../../src/base/erased.ts';
import { nodeStorage } from '../../src/base/files.ts';
import { Decoder } from '../../src/out/ship/decoder.ts';
import { Erasures, erasuresPath } from '../../src/out/ship/erasures.ts';
import { retryParked } from '../../src/out/ship/parked.ts';
import { Random } from '../../src/simulate/random.ts';
import { chdbInstalled } from '../embedded/child.ts';
import { FaultStorage } from '../helpers/fault-storage.ts';
import { whole } from '../helpers/whole.ts';
import { rounds } from '../support/thorough.ts';
import { moment, until } from '../support/wait.ts';
import { MemorySink } from './memory-sink.ts';
import {
  ClickHouseDatabase,
  clickHouseSink,
  counter,
  DEADLINE,
  dataDirectory,
  frameOf,
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

const offsets = (sink: MemorySink, device: string): number[] =>
  sink.rows.filter((row) => row.startsWith(`${device}\t`)).map((row) => Number(row.split('\t')[1]) - T);

/** Names of files below a directory whose bytes hold the text. */
function holding(directory: string, text: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && readFileSync(join(entry.parentPath, entry.name), 'latin1').includes(text))
    .map((entry) => entry.name);
}

describe('a device that is erased', () => {
  test('is delivered no more from before, is as ever from then on, and brings nothing back', async () => {
    const data = dataDirectory();
    const sink = new MemorySink();
    const slot = await Slot.open(data, 0);
    slot.fixes('gone', T + 1, [{ time: T + 1 }]);
    slot.fixes('other', T + 2, [{ time: T + 2 }]);
    await slot.journal.flush();
    const { shipper, metrics } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    sink.away = true;
    slot.fixes('gone', T + 3, [{ time: T + 3 }]);
    slot.event('gone', T + 4, { type: 'connected' });
    slot.fixes('other', T + 5, [{ time: T + 5 }]);
    await slot.journal.flush();
    const erasing = shipper.erase('memory', whole({ gone: T + 100 }));
    sink.away = false;
    expect(await erasing).toEqual({ parked: 0 });
    // From its memory: older than the erasure, and newer; one without a clock; an event.
    slot.fixes('gone', T + 200, [{ time: T + 3 }, { time: T + 99 }, { time: T + 100 }, { time: T + 150 }]);
    slot.fixes('gone', T + 201, [{ time: 0 }]);
    slot.event('gone', T + 202, { type: 'connected' });
    slot.fixes('other', T + 203, [{ time: T + 6 }]);
    await slot.journal.close();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    const before = offsets(sink, 'gone').filter((at) => at < 100);
    // What was read before the erasure held may have been under way; it goes with what the store has.
    expect([[1], [1, 3]]).toContainEqual(before);
    expect(offsets(sink, 'gone').filter((at) => at >= 100)).toEqual([100, 150, 201]);
    expect(offsets(sink, 'other')).toEqual([2, 5, 6]);
    expect(await counter(metrics, 'fixgate_sink_erased_records_total', { sink: 'memory' })).toBe(2);
  });

  test('stays erased for a shipper that starts later, batch by batch the same', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    for (let i = 0; i < 100; i++) slot.fixes(i % 2 === 0 ? 'gone' : 'other', T + i, [{ time: T + i }]);
    await slot.journal.close();
    const erasures = new Erasures(erasuresPath(data), nodeStorage);
    await erasures.add('memory', whole({ gone: T + 50 }));
    // An earlier moment takes nothing back.
    await erasures.add('memory', whole({ gone: T + 10 }));
    await erasures.add('another', whole({ other: T + 50 }));
    const sink = new MemorySink();
    const { shipper } = shipping(data, [sink], { erasures: await Erasures.load(erasuresPath(data), nodeStorage) });
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(offsets(sink, 'gone')).toEqual(Array.from({ length: 25 }, (_, i) => 50 + 2 * i));
    expect(offsets(sink, 'other')).toHaveLength(50);
  });

  test('begins to hold while nothing is begun: a batch of unknown outcome is settled first, as it was', async () => {
    const data = dataDirectory();
    const sink = new MemorySink({ announces: true, limits: { rows: 4 } });
    const slot = await Slot.open(data, 0);
    for (let i = 0; i < 8; i++) slot.fixes(i % 2 === 0 ? 'gone' : 'other', T + i, [{ time: T + i }]);
    await slot.journal.close();
    sink.fate = () => (sink.attempts < 4 ? 'not-stored' : 'delivered');
    const { shipper } = shipping(data, [sink]);
    await until(() => sink.attempts > 0);
    await shipper.erase('memory', whole({ gone: T + 100 }));
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(sink.batches[0]?.rows).toBe(4);
    expect(sink.rows.length).toBe(6);
    expect(offsets(sink, 'other')).toEqual([1, 3, 5, 7]);
  });

  test('leaves parked entries and what a retry holds', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    for (const device of ['gone', 'other']) slot.raw(device, T, frameOf([{ time: T }]), 1, 'absent');
    await slot.journal.close();
    const sink = new MemorySink();
    const { shipper } = shipping(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    const lines = readFileSync(join(data, 'parked/memory.jsonl'), 'utf8');
    writeFileSync(join(data, 'parked/memory.retry.jsonl'), lines);
    const devices = whole({ gone: T + 1 });
    expect(await shipper.erase('memory', devices)).toEqual({ parked: 2 });
    expect(parkedLines(data, 'memory').map(({ device }) => device)).toEqual(['other']);
    expect(holding(join(data, 'parked'), '"gone"')).toEqual([]);
    expect(await shipper.erase('memory', devices)).toEqual({ parked: 0 });
    // A retry that had its lines in hand meanwhile puts them back, and the next one does not deliver them.
    writeFileSync(join(data, 'parked/memory.retry.jsonl'), lines);
    const again = new MemorySink();
    const decoder = new Decoder(new Map([['absent', { ...tiny, name: 'absent' }]]), () => ({}));
    const { delivered } = await retryParked(join(data, 'parked'), again, decoder, INSTANCE, { erased: devices });
    expect([delivered, offsets(again, 'gone'), offsets(again, 'other')]).toEqual([1, [], [0]]);
    expect(readdirSync(join(data, 'parked'))).toEqual([]);
  });

  test('leaves the journal, delivered or not, in every slot; the entries of others and the numbers stay', async () => {
    const data = dataDirectory();
    const slots = [await Slot.open(data, 0, { segmentBytes: 4096 }), await Slot.open(data, 1), await Slot.open(data, 2)];
    for (let i = 0; i < 300; i++) {
      slots[i % 3]?.fixes('gone', T + i, [{ time: T + i, number: i }]);
      slots[i % 3]?.fixes('other', T + i, [{ time: T + i, number: i }]);
      slots[i % 3]?.event('gone', T + i, { type: 'connected' });
      if (i % 30 === 0) await slots[0]?.journal.flush();
    }
    await slots[0]?.journal.rotate();
    await slots[1]?.journal.rotate();
    await slots[2]?.journal.close();
    slots[0]?.fixes('gone', T + 1000, [{ time: T + 1000 }]);
    await slots[0]?.journal.flush();
    const sink = new MemorySink();
    sink.away = true;
    const { shipper } = shipping(data, [sink], { claim: async (slot) => (slot === '2' ? () => {} : null) });
    const devices = whole({ gone: T + 1000 });
    expect(await shipper.erase('journal', devices)).toEqual({ entries: 600 });
    const segments = holding(join(data, 'journal'), 'gone');
    expect(segments).toHaveLength(1);
    expect(await shipper.erase('journal', devices)).toEqual({ entries: 0 });
    sink.away = false;
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(offsets(sink, 'gone')).toEqual([1000]);
    expect(offsets(sink, 'other')).toHaveLength(300);
    expect(parkedLines(data, 'memory')).toEqual([]);
    for (const slot of slots.slice(0, 2)) await slot.journal.close();
  });

  test('of a sink that there is not, nothing; a shipper that ends answers', async () => {
    const data = dataDirectory();
    await Slot.open(data, 0).then((slot) => slot.journal.close());
    const sink = new MemorySink();
    const { shipper } = ship(data, [sink]);
    expect(await shipper.erase('redis', whole({ gone: T }))).toEqual({});
    sink.away = true;
    await until(() => shipper.health()['memory']?.state === 'degraded');
    const erasing = expect(shipper.erase('memory', whole({ gone: T }))).rejects.toThrow('ending');
    await shipper.close();
    await erasing;
    await expect(shipper.erase('memory', whole({ gone: T }))).rejects.toThrow('ending');
  });

  test('a list that cannot be read stops the start and says what to do; one that cannot be written is not half there', async () => {
    const data = dataDirectory();
    const path = erasuresPath(data);
    const storage = new FaultStorage();
    const erasures = new Erasures(path, storage);
    await erasures.add('a', whole({ x: 1 }));
    storage.fail('write', /\.new$/, 'ENOSPC');
    await expect(erasures.add('a', whole({ y: 1 }))).rejects.toMatchObject({ code: 'ENOSPC' });
    storage.heal();
    expect([...erasures.of('a').keys()]).toEqual(['x']);
    await Promise.all([erasures.add('b', whole({ z: 2 })), erasures.add('a', whole({ y: 3 }))]);
    const again = await Erasures.load(path, nodeStorage);
    expect(['a', 'b', 'c'].map((name) => again.of(name))).toEqual([whole({ x: 1, y: 3 }), whole({ z: 2 }), new Map()]);
    // A part of a device's data makes it a file that an older version refuses.
    const part = { from: 1, to: 5, until: 6, account: 'acme' };
    await again.add('a', new Map([['x', [part]]]));
    expect(readFileSync(path, 'utf8')).toContain('{"version":2,');
    expect((await Erasures.load(path, nodeStorage)).of('a').get('x')).toEqual([{ from: 0, to: 1, until: 1 }, part]);
    for (const text of ['', '{}', '{"version":1,"sinks":{"a":{"x":"1"}}}', '{"version":3,"sinks":{}}']) {
      writeFileSync(path, text);
      await expect(Erasures.load(path, nodeStorage)).rejects.toMatchObject({
        code: 'JOURNAL_FAILED',
        message: expect.stringContaining('backup'),
      });
    }
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

  /** What each store has of a device, as offsets. */
  async function stored(device: string): Promise<Record<string, number[]>> {
    const client = redis.client();
    const found: Record<string, number[]> = {};
    for (const name of ['positions', 'statuses', 'events']) {
      const table = (await tableLedger(clickHouse, name, false)).map((line) => line.split('\t'));
      found[name] = table.filter(([id]) => id === device).map(([, time]) => Number(time) - T);
      const stream = await streamed(client, `fixgate:${name}`);
      found[`stream ${name}`] = stream.filter((entry) => entry.device === device).map(({ time }) => time - T);
    }
    return found;
  }

  const NONE = { positions: [], statuses: [], events: [], 'stream positions': [], 'stream statuses': [], 'stream events': [] };

  test('goes from tables and streams, and another device keeps everything', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    for (let i = 0; i < 3000; i++)
      for (const device of ['gone', 'alias', 'other']) {
        slot.fixes(device, T + i, [{ time: T + i, number: i, place: i % 3 !== 0 }]);
        if (i % 100 === 0) slot.event(device, T + i, { type: 'connected' });
        if (i % 1000 === 0) slot.usage(device, T + i, { in: 1, out: 1, segments: 1, datagrams: 0, records: 1 });
      }
    await slot.journal.flush();
    const { shipper } = shipping(data, [clickHouseSink(data, clickHouse.access), redisSink(redis.url)]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    const before = await stored('other');
    const client = redis.client();
    await client.xadd('fixgate:commands', `${T}-1`, 'device', 'gone', 'type', 'locate');
    await client.xadd('fixgate:commands', `${T}-2`, 'device', 'other', 'type', 'locate');
    await client.xadd('fixgate:commands', `${T + 5000}-1`, 'device', 'gone', 'type', 'locate');
    const devices = whole({ gone: T + 5000, alias: T + 5000 });
    expect(await shipper.erase('clickhouse', devices)).toEqual({
      positions: 4000,
      last_positions: 2,
      statuses: 2000,
      events: 60,
      usage: 6,
      parked: 0,
      raw: 0,
    });
    await client.config('RESETSTAT');
    expect(await shipper.erase('redis', devices)).toEqual({
      positions: 4000,
      statuses: 2000,
      events: 60,
      commands: 1,
      recipients: 0,
      last: 2,
      parked: 0,
    });
    // Each entry is read once: 6000, 3000, 90 and 2, a thousand at a time.
    const reads = /cmdstat_xrange:calls=(\d+)/.exec(await client.info('commandstats'))?.[1];
    expect(Number(reads)).toBeLessThanOrEqual(7 + 4 + 1 + 1);
    expect(await stored('gone')).toEqual(NONE);
    expect(await stored('alias')).toEqual(NONE);
    expect(await stored('other')).toEqual(before);
    expect([await client.exists('fixgate:last:gone'), await client.exists('fixgate:last:other')]).toEqual([0, 1]);
    // Twice is as good as once.
    expect(await shipper.erase('clickhouse', devices)).toEqual({
      positions: 0,
      last_positions: 0,
      statuses: 0,
      events: 0,
      usage: 0,
      parked: 0,
      raw: 0,
    });
    const unfinished = await clickHouse.client.query({
      query: 'SELECT count() AS n FROM system.mutations WHERE database = currentDatabase() AND NOT is_done',
    });
    expect(Number((await unfinished.json<{ n: number }>()).data[0]?.n)).toBe(0);
    // What it has in its memory is not stored again; what is new is.
    slot.fixes('gone', T + 6000, [{ time: T + 10, number: 10 }, { time: T + 5500 }]);
    slot.event('gone', T + 6001, { type: 'disconnected' });
    await slot.journal.close();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(await stored('gone')).toEqual({
      ...NONE,
      positions: [5500],
      'stream positions': [5500],
      events: [6001],
      'stream events': [6001],
    });
    expect(await client.get('fixgate:last:gone')).toContain(`"time":${T + 5500}`);
    await shipper.erase('redis', devices);
    expect(await client.exists('fixgate:last:gone')).toBe(1);
  });

  test('of an account goes what is of its time, and nothing of who had the device before and after', async () => {
    const data = dataDirectory();
    // The cursors in Redis stand where the tests before have left them.
    const slot = await Slot.open(data, 7);
    const accountOf = (i: number): string => (i < 100 ? 'bolt' : i < 200 ? 'acme' : 'cole');
    for (let i = 0; i < 300; i++) {
      slot.owned(accountOf(i), 'car', T + i, [{ time: T + i, number: i, place: true }]);
      slot.usage('car', T + i, { in: 1, out: 1, segments: 1, datagrams: 0, records: 1 }, accountOf(i));
    }
    // By a worker that had not heard yet that it was passed on; and what the device had kept.
    slot.owned('acme', 'car', T + 200, [{ time: T + 205, number: 300, place: true }]);
    slot.owned('cole', 'car', T + 300, [{ time: T + 150, number: 301, place: true }]);
    await slot.journal.flush();
    const { shipper } = shipping(data, [clickHouseSink(data, clickHouse.access), redisSink(redis.url)]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    const devices = new Map([['car', [ownBefore('acme', T + 100, T + 200, T + 5000)]]]);
    const removed = { positions: 102, last_positions: 0, statuses: 0, events: 0, usage: 100, parked: 0, raw: 0 };
    expect(await shipper.erase('clickhouse', devices)).toEqual(removed);
    const left = { statuses: 0, events: 0, commands: 0, recipients: 0, last: 0, parked: 0 };
    expect(await shipper.erase('redis', devices)).toEqual({ positions: 102, ...left });
    await slot.journal.rotate();
    expect(await shipper.erase('journal', devices)).toEqual({ entries: 201 });
    const others = Array.from({ length: 300 }, (_, i) => i).filter((i) => accountOf(i) !== 'acme');
    const { positions, 'stream positions': entries } = await stored('car');
    expect(positions?.sort((a, b) => a - b)).toEqual(others);
    expect(entries).toEqual(others);
    // It has more of that time in its memory, and sends it in another's.
    slot.owned('cole', 'car', T + 400, [
      { time: T + 120, number: 302, place: true },
      { time: T + 400, number: 303, place: true },
    ]);
    await slot.journal.close();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect((await stored('car'))['stream positions']).toEqual([...others, 400]);
    const again = await Erasures.load(erasuresPath(data), nodeStorage);
    expect(again.of('redis').get('car')).toEqual(devices.get('car'));
  });

  test('whatever is killed in between, each store ends with the same', async () => {
    const data = dataDirectory();
    const client = redis.client();
    await client.flushall();
    for (const name of ['positions', 'statuses', 'events']) await clickHouse.client.command({ query: `TRUNCATE TABLE ${name}` });
    const slot = await Slot.open(data, 0);
    const expected: string[] = [];
    for (let i = 0; i < 4000; i++) {
      slot.fixes(i % 4 === 0 ? 'gone' : `d${i % 5}`, T + i, [{ time: T + i, number: i }]);
      if (i % 4 !== 0) expected.push(`d${i % 5} ${i}`);
    }
    await slot.journal.rotate();
    const devices = whole({ gone: T + 10_000 });
    const random = new Random(5);
    let kill = shipperProcess(data, clickHouse.access, redis.url);
    await moment(random, 400, 800);
    await kill();
    for (let life = 0; life < rounds(2, 4); life++) {
      const erasures = await Erasures.load(erasuresPath(data), nodeStorage);
      const rig = ship(data, [clickHouseSink(data, clickHouse.access), redisSink(redis.url, { batchRows: 100 })], { erasures });
      const erasing = Promise.allSettled(['clickhouse', 'redis', 'journal'].map((part) => rig.shipper.erase(part, devices)));
      await moment(random, 30, 430);
      await rig.shipper.close();
      await erasing;
      kill = shipperProcess(data, clickHouse.access, redis.url);
      await moment(random, 300, 600);
      await kill();
    }
    const erasures = await Erasures.load(erasuresPath(data), nodeStorage);
    const { shipper } = shipping(data, [clickHouseSink(data, clickHouse.access), redisSink(redis.url)], { erasures });
    for (const part of ['clickhouse', 'redis', 'journal']) await shipper.erase(part, devices);
    slot.fixes('gone', T + 20_000, [{ time: T + 20_000 }, { time: T }]);
    await slot.journal.close();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    const table = await tableLedger(clickHouse, 'positions', false);
    expect(table.filter((line) => line.startsWith('gone')).map((line) => Number(line.split('\t')[1]))).toEqual([T + 20_000]);
    expect(
      table
        .filter((line) => line.startsWith('d'))
        .map((line) => `${line.split('\t')[0]} ${Number(line.split('\t')[1]) - T}`)
        .sort(),
    ).toEqual(expected.sort());
    expect(await streamLedger(client)).toEqual(table.sort());
    expect(holding(join(data, 'journal'), 'gone')).toHaveLength(1);
    expect(existsSync(join(data, 'parked'))).toBe(false);
  });
});
