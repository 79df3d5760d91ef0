import { copyFile, readFile, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { checkRedis } from '../../src/config/check-redis.ts';
import { loadConfig } from '../../src/config/load.ts';
import { type StreamGroup, streamGroups } from '../../src/out/sink/redis-stream/groups.ts';
import { Witness } from '../../src/out/sink/redis-stream/witness.ts';
import type { Sink } from '../../src/out/sink/sink.ts';
import { Random } from '../../src/simulate/random.ts';
import {
  counter,
  DEADLINE,
  dataDirectory,
  RedisServer,
  type Rig,
  redisSink,
  type Sample,
  Slot,
  ship,
  streamed,
  streamLedger,
} from '../ship/rig.ts';
import { eventually, moment, until } from '../support/wait.ts';

const T = Date.UTC(2026, 9, 1);

let server: RedisServer;
let redis: Redis;

beforeEach(async () => {
  server = await RedisServer.start('--appendonly', 'yes');
  redis = server.client();
});
afterEach(() => server.stop());

function shipping(...args: Parameters<typeof ship>): Rig {
  const rig = ship(...args);
  onTestFinished(() => rig.shipper.close());
  return rig;
}

async function times(device: string): Promise<number[]> {
  return (await streamed(redis)).filter((entry) => entry.device === device).map(({ time }) => time);
}

const rising = (from: number, count: number): number[] => Array.from({ length: count }, (_, i) => from + i);

function reason(rig: Rig): string {
  const health = rig.shipper.health()['redis'];
  return health?.state === 'degraded' ? health.reason : '';
}

/** A slot whose journal holds `count` records of one device, a millisecond apart. */
async function filled(data: string, count: number): Promise<Slot> {
  const slot = await Slot.open(data, 0);
  for (let i = 0; i < count; i++) slot.fixes('d', T + i, [{ time: T + i, number: i }]);
  await slot.journal.flush();
  return slot;
}

describe('entries', () => {
  test('carry device, time and the record as JSON', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    slot.fixes('356307042441013', T, [
      { time: T - 1000, number: 3 },
      { time: T - 900, place: false, number: 4 },
    ]);
    slot.event('356307042441013', T + 1, { type: 'disconnected', reason: 'peer', bytes_in: 120 });
    await slot.journal.close();
    const { shipper } = shipping(data, [redisSink(server.url)]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    const [fix] = await streamed(redis);
    expect(fix).toEqual({
      device: '356307042441013',
      time: T - 1000,
      data: {
        kind: 'fix',
        id: expect.stringMatching(/^[0-9a-f]{16}$/),
        device: '356307042441013',
        account: '',
        protocol: 'tiny',
        time: T - 1000,
        received: T,
        valid: true,
        lat: 54.6871237,
        lon: 25.279712,
        speed_kmh: 3,
        attrs: { external_v: 13.8, number: 3 },
      },
    });
    const [status] = await streamed(redis, 'fixgate:statuses');
    expect(status?.data).toMatchObject({ kind: 'status', attrs: { reply: 'état ☂', number: 4 } });
    const [event] = await streamed(redis, 'fixgate:events');
    expect(event).toMatchObject({ device: '356307042441013', time: T + 1 });
    expect(event?.data).toEqual({
      version: 1,
      kind: 'event',
      id: expect.stringMatching(/^[0-9a-f]{16}$/),
      device: '356307042441013',
      account: '',
      time: T + 1,
      received: T + 1,
      protocol: expect.any(String),
      type: 'disconnected',
      data: { reason: 'peer', bytes_in: 120 },
    });
  });

  test('go to keys with the configured prefix, and streams are trimmed', async () => {
    const data = dataDirectory();
    const slot = await filled(data, 3000);
    await slot.journal.close();
    const { shipper } = shipping(data, [redisSink(server.url, { prefix: 'fleet:', maxLength: 500, batchRows: 200 })]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    const length = await redis.xlen('fleet:positions');
    expect(length).toBeGreaterThanOrEqual(500);
    expect(length).toBeLessThan(1000);
    expect(await redis.keys('fixgate:*')).toEqual([]);
    expect(await redis.hgetall('fleet:cursor:rig')).toEqual({ 0: '3000' });
  });
});

describe('invariant 9: entries go at their age', () => {
  test('of every stream, also of a recipient, and those that are younger stay', async () => {
    const data = dataDirectory();
    const slot = await filled(data, 30);
    await slot.journal.close();
    const now = Date.now();
    for (const stream of ['positions', 'events', 'to:alpha'])
      for (const ago of [7_200_000, 3_660_000, 3_540_000])
        await redis.xadd(`aged:${stream}`, `${now - ago}-0`, 'device', 'd', 'time', '1', 'data', String(ago));
    const { shipper } = shipping(data, [redisSink(server.url, { prefix: 'aged:', maxAgeMs: 3_600_000 })]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    const left = async (stream: string): Promise<string[]> =>
      (await redis.xrange(`aged:${stream}`, '-', '+')).map(([, fields]) => fields[5] ?? '').filter((text) => /^\d+$/.test(text));
    await eventually(async () => {
      for (const stream of ['positions', 'events', 'to:alpha']) expect([stream, await left(stream)]).toEqual([stream, ['3540000']]);
    });
    expect(await redis.xlen('aged:positions')).toBeGreaterThan(1);
  });
});

describe('invariant 1: the cursor and the entries are one', () => {
  test('kill -9 of the shipper’s connection and of Redis at any moment neither doubles nor loses', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    const { shipper } = shipping(data, [redisSink(server.url, { batchRows: 50 })]);
    const random = new Random(2);
    let at = T;
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 1500; i++) slot.fixes('d', at, [{ time: at++, number: i }]);
      await slot.journal.flush();
      await moment(random, 0, 60);
      await server.dropOthers();
      await moment(random, 0, 20);
      await server.kill();
      await server.up('--appendonly', 'yes');
    }
    await slot.journal.close();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(await times('d')).toEqual(rising(T, 6000));
  });

  test('a failover to an empty replica delivers everything again', async () => {
    const data = dataDirectory();
    const slot = await filled(data, 500);
    const { shipper } = shipping(data, [redisSink(server.url, { batchRows: 50 })]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    await server.kill();
    await server.up('--appendonly', 'no');
    for (let i = 500; i < 700; i++) slot.fixes('d', T + i, [{ time: T + i, number: i }]);
    await slot.journal.close();
    await until(async () => (await redis.xlen('fixgate:positions')) === 700);
    expect(await times('d')).toEqual(rising(T, 700));
  });

  test('a failover to an older replica rewinds both and goes on from there', async () => {
    const data = dataDirectory();
    const slot = await filled(data, 300);
    const { shipper } = shipping(data, [redisSink(server.url, { batchRows: 50 })]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    await redis.save();
    await copyFile(join(server.directory, 'dump.rdb'), join(server.directory, 'older.rdb'));
    for (let i = 300; i < 600; i++) slot.fixes('d', T + i, [{ time: T + i, number: i }]);
    await slot.journal.flush();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    await server.kill();
    await copyFile(join(server.directory, 'older.rdb'), join(server.directory, 'dump.rdb'));
    await server.up('--appendonly', 'no');
    expect(await redis.xlen('fixgate:positions')).toBe(300);
    for (let i = 600; i < 700; i++) slot.fixes('d', T + i, [{ time: T + i, number: i }]);
    await slot.journal.close();
    await until(async () => (await redis.xlen('fixgate:positions')) >= 700);
    expect(await times('d')).toEqual(rising(T, 700));
    expect(await redis.hgetall('fixgate:cursor:rig')).toEqual({ 0: '700' });
  });

  test('a failover between two servers: the replica that takes over had been cut off before the end', async () => {
    const data = dataDirectory();
    const other = await RedisServer.start('--appendonly', 'yes', '--replicaof', '127.0.0.1', String(server.port));
    onTestFinished(() => other.stop());
    const replica = other.client();
    // The address that stays the same while the servers behind it change.
    let active = server.port;
    const address = net.createServer((socket) => {
      const onward = net.connect(active, '127.0.0.1');
      socket.pipe(onward).pipe(socket);
      for (const [end, far] of [
        [socket, onward],
        [onward, socket],
      ] as const)
        end.on('error', () => {}).on('close', () => far.destroy());
    });
    await new Promise<void>((resolve) => address.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void address.close());
    const at = address.address();
    const slot = await filled(data, 300);
    const { shipper } = shipping(data, [
      redisSink(`redis://127.0.0.1:${typeof at === 'object' && at !== null ? at.port : 0}`, { batchRows: 50 }),
    ]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    await until(async () => (await replica.xlen('fixgate:positions')) === 300);
    await replica.replicaof('NO', 'ONE');
    for (let i = 300; i < 600; i++) slot.fixes('d', T + i, [{ time: T + i, number: i }]);
    await slot.journal.flush();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(await redis.xlen('fixgate:positions')).toBe(600);
    active = other.port;
    await server.kill();
    for (let i = 600; i < 700; i++) slot.fixes('d', T + i, [{ time: T + i, number: i }]);
    await slot.journal.close();
    await until(async () => (await replica.xlen('fixgate:positions')) >= 700);
    expect((await streamed(replica)).map(({ time }) => time)).toEqual(rising(T, 700));
    expect(await replica.hgetall('fixgate:cursor:rig')).toEqual({ 0: '700' });
  });

  test('invariant 3: two shippers at once deliver each entry once', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    const one = shipping(data, [redisSink(server.url, { batchRows: 20 })]);
    const other = shipping(data, [redisSink(server.url, { batchRows: 30 })]);
    for (let i = 0; i < 1000; i++) {
      slot.fixes('d', T + i, [{ time: T + i, number: i }]);
      if (i % 100 === 0) await slot.journal.flush();
    }
    await slot.journal.close();
    expect(await Promise.all([one.shipper.drained(DEADLINE), other.shipper.drained(DEADLINE)])).toEqual([true, true]);
    expect(await times('d')).toEqual(rising(T, 1000));
  });
});

describe('invariant 6: a cursor that is gone', () => {
  /** A sink with a witness in the data directory that notes what became of lost cursors. */
  const witnessing = (data: string, lost: string[]): Sink =>
    redisSink(server.url, {
      witnessPath: join(data, 'witness'),
      onCursorLost: (slots, resumed) => lost.push(`${slots.join(' ')} ${resumed ? 'resumed' : 'repeated'}`),
    });

  /** Everything delivered by a shipper that has ended. */
  const delivered = async (data: string, lost: string[]): Promise<void> => {
    const { shipper } = ship(data, [witnessing(data, lost)]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    await shipper.close();
  };

  test('is put back where the streams end, while the server runs and between two runs', async () => {
    const data = dataDirectory();
    const lost: string[] = [];
    const slot = await filled(data, 500);
    const other = await Slot.open(data, 3);
    other.fixes('e', T, [{ time: T, place: false }]);
    other.event('e', T + 1, { type: 'connected' });
    await other.journal.close();
    const { shipper } = ship(data, [witnessing(data, lost)]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    await redis.del('fixgate:cursor:rig');
    slot.fixes('d', T + 500, [{ time: T + 500 }]);
    await slot.journal.flush();
    expect(await shipper.drained(DEADLINE)).toBe(true);
    expect(lost).toEqual(['0 3 resumed']);
    // Neither cursor nor witness is left.
    await shipper.close();
    await redis.del('fixgate:cursor:rig');
    slot.fixes('d', T + 501, [{ time: T + 501 }]);
    await slot.journal.close();
    await delivered(data, lost);
    await redis.hdel('fixgate:cursor:rig', '3');
    await delivered(data, lost);
    expect(lost.slice(1)).toEqual(['0 3 resumed', '3 resumed']);
    expect(await times('d')).toEqual(rising(T, 502));
    expect(await redis.hgetall('fixgate:cursor:rig')).toEqual({ 0: '502', 3: '2' });
    expect([await redis.xlen('fixgate:statuses'), await redis.xlen('fixgate:events')]).toEqual([1, 1]);
  });

  test.each(['positions', 'events'])(
    'with entries of %s: what the journal holds comes again, said once, and nothing is missing',
    async (stream) => {
      const data = dataDirectory();
      const lost: string[] = [];
      const slot = await filled(data, 300);
      slot.event('d', T + 1, { type: 'connected' });
      await slot.journal.flush();
      await delivered(data, lost);
      await redis.del('fixgate:cursor:rig', `fixgate:${stream}`);
      slot.fixes('d', T + 300, [{ time: T + 300 }]);
      await slot.journal.close();
      await delivered(data, lost);
      await delivered(data, lost);
      expect(lost).toEqual(['0 repeated']);
      expect([...new Set(await times('d'))]).toEqual(rising(T, 301));
      expect(await redis.xlen('fixgate:events')).toBe(stream === 'events' ? 1 : 2);
    },
  );

  test('after a failover: one that was set back is believed, and is the one that is put back later', async () => {
    const data = dataDirectory();
    const lost: string[] = [];
    const slot = await filled(data, 100);
    await delivered(data, lost);
    await redis.config('SET', 'appendonly', 'no');
    await redis.save();
    await copyFile(join(server.directory, 'dump.rdb'), join(server.directory, 'older.rdb'));
    for (let i = 100; i < 200; i++) slot.fixes('d', T + i, [{ time: T + i }]);
    await slot.journal.flush();
    await delivered(data, lost);
    await server.kill();
    await server.up('--dbfilename', 'older.rdb');
    expect(await redis.hgetall('fixgate:cursor:rig')).toEqual({ 0: '100' });
    await delivered(data, lost);
    expect(lost).toEqual([]);
    await redis.del('fixgate:cursor:rig');
    await delivered(data, lost);
    expect(lost).toEqual(['0 resumed']);
    expect(await times('d')).toEqual(rising(T, 200));
    // Set back and gone: the last entry known is not there.
    await server.kill();
    await server.up('--dbfilename', 'older.rdb');
    await redis.del('fixgate:cursor:rig');
    slot.fixes('d', T + 200, [{ time: T + 200 }]);
    await slot.journal.close();
    await delivered(data, lost);
    expect(lost).toEqual(['0 resumed', '0 repeated']);
    expect([...new Set(await times('d'))]).toEqual(rising(T, 201));
  });

  test('a witness that is torn gives way to the one before, and one of another installation is none', async () => {
    const path = join(dataDirectory(), 'witness');
    const witness = await Witness.open(path, 'rig');
    for (let turn = 1; turn <= 3; turn++) {
      witness.delivered.set('0', turn);
      witness.last.set('fixgate:positions', { id: `${turn}-0`, sum: turn });
      await witness.write('rig');
    }
    await witness.close();
    const reread = async (instance: string): Promise<unknown[]> => {
      const again = await Witness.open(path, instance);
      await again.close();
      return [again.delivered.get('0'), again.last.get('fixgate:positions')?.id];
    };
    expect(await reread('rig')).toEqual([3, '3-0']);
    expect(await reread('other')).toEqual([undefined, undefined]);
    const bytes = await readFile(path);
    bytes.write('9', 65_536 + 40);
    await writeFile(path, bytes);
    expect(await reread('rig')).toEqual([2, '2-0']);
  });
});

describe('invariant 7: a Redis that may evict our keys', () => {
  test('is degraded with the remedy though it takes everything, until it may not', async () => {
    const data = dataDirectory();
    await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
    const slot = await filled(data, 10);
    await slot.journal.close();
    const rig = shipping(data, [redisSink(server.url)]);
    expect(await rig.shipper.drained(DEADLINE)).toBe(true);
    expect(reason(rig)).toContain('maxmemory-policy allkeys-lru');
    expect(rig.said.filter((line) => line.includes('needs attention'))).toHaveLength(1);
    expect(await counter(rig.metrics, 'fixgate_sink_concern', { sink: 'redis' })).toBe(1);
    const { config } = loadConfig({ env: { FIXGATE_REDIS_URL: server.url, FIXGATE_STATE_URL: server.url } });
    await expect(checkRedis(config)).rejects.toThrow(/redis\.url: .*allkeys-lru.*state\.url: .*allkeys-lru/);
    await redis.config('SET', 'maxmemory-policy', 'volatile-lru');
    await checkRedis(config);
    await server.dropOthers();
    await until(() => rig.shipper.health()['redis']?.state === 'up');
    expect(await counter(rig.metrics, 'fixgate_sink_concern', { sink: 'redis' })).toBe(0);
  });
});

describe('invariant 5: consumer groups', () => {
  const stream = 'fixgate:positions';

  async function look(data: string): Promise<StreamGroup[]> {
    let seen: readonly StreamGroup[] = [];
    const onGroups = (groups: readonly StreamGroup[]): void => {
      seen = groups;
    };
    const { shipper } = ship(data, [redisSink(server.url, { maxLength: 500, batchRows: 200, onGroups })]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    await shipper.close();
    return seen.toSorted((a, b) => a.group.localeCompare(b.group));
  }

  test('one that trimming has overtaken is reported with what it missed, one that keeps up is not', async () => {
    const data = dataDirectory();
    await redis.xgroup('CREATE', stream, 'fast', '0', 'MKSTREAM');
    await redis.xgroup('CREATE', stream, 'slow', '0');
    const slot = await filled(data, 200);
    const read = (group: string, count: number) => redis.xreadgroup('GROUP', group, 'c', 'COUNT', count, 'NOACK', 'STREAMS', stream, '>');
    expect(await look(data)).toEqual([
      { stream, group: 'fast', lag: 200, missed: 0 },
      { stream, group: 'slow', lag: 200, missed: 0 },
    ]);
    await read('fast', 200);
    await read('slow', 50);
    for (let i = 200; i < 400; i++) slot.fixes('d', T + i, [{ time: T + i, number: i }]);
    await slot.journal.flush();
    await look(data);
    await read('fast', 200);
    for (let i = 400; i < 5000; i++) slot.fixes('d', T + i, [{ time: T + i, number: i }]);
    await slot.journal.close();
    const { shipper } = ship(data, [redisSink(server.url, { maxLength: 500, batchRows: 200 })]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    await shipper.close();
    const length = await redis.xlen(stream);
    const groups = await streamGroups(redis, [stream, 'fixgate:statuses']);
    expect(groups).toContainEqual({ stream, group: 'slow', lag: length, missed: 5000 - length - 50 });
    expect(groups).toContainEqual({ stream, group: 'fast', lag: length, missed: 5000 - length - 400 });
    await redis.xgroup('SETID', stream, 'fast', '$');
    expect((await streamGroups(redis, [stream])).filter(({ group }) => group === 'fast')).toEqual([
      { stream, group: 'fast', lag: 0, missed: 0 },
    ]);
  });
});

describe('a Redis that refuses', () => {
  test('is degraded with the reason, and gets everything once it takes it', async () => {
    const data = dataDirectory();
    const slot = await filled(data, 100);
    const rig = shipping(data, [redisSink(server.url, { batchRows: 10 })]);
    expect(await rig.shipper.drained(DEADLINE)).toBe(true);

    await redis.config('SET', 'maxmemory', '1');
    for (let i = 100; i < 200; i++) slot.fixes('d', T + i, [{ time: T + i, number: i }]);
    await slot.journal.flush();
    await until(() => reason(rig).includes('out of memory'));
    await redis.config('SET', 'maxmemory', '0');
    expect(await rig.shipper.drained(DEADLINE)).toBe(true);

    await redis.replicaof('127.0.0.1', '1');
    for (let i = 200; i < 300; i++) slot.fixes('d', T + i, [{ time: T + i, number: i }]);
    await slot.journal.flush();
    await until(() => reason(rig).includes('read-only replica'));
    await redis.replicaof('NO', 'ONE');
    expect(await rig.shipper.drained(DEADLINE)).toBe(true);

    await redis.config('SET', 'requirepass', 'secret');
    await server.dropOthers();
    for (let i = 300; i < 400; i++) slot.fixes('d', T + i, [{ time: T + i, number: i }]);
    await slot.journal.close();
    await until(() => reason(rig).includes('refuses the user or password'));
    await redis.config('SET', 'requirepass', '');
    expect(await rig.shipper.drained(DEADLINE)).toBe(true);
    expect(await times('d')).toEqual(rising(T, 400));
    expect(rig.shipper.health()['redis']).toEqual({ state: 'up' });
    expect(await counter(rig.metrics, 'fixgate_sink_batches_total', { sink: 'redis', outcome: 'retry' })).toBeGreaterThanOrEqual(3);
  });

  test('because a key holds something else: nothing moves until it is gone', async () => {
    const data = dataDirectory();
    const slot = await filled(data, 10);
    slot.event('d', T, { type: 'connected' });
    await slot.journal.close();
    await redis.set('fixgate:events', 'not a stream');
    const rig = shipping(data, [redisSink(server.url)]);
    await until(() => reason(rig).includes('fixgate:events is a string'));
    expect(await redis.exists('fixgate:cursor:rig', 'fixgate:positions')).toBe(0);
    await redis.del('fixgate:events');
    expect(await rig.shipper.drained(DEADLINE)).toBe(true);
    expect(await times('d')).toEqual(rising(T, 10));
    expect(await redis.xlen('fixgate:events')).toBe(1);
  });

  test('because it is not there: starts degraded, notices when it comes and when it goes', async () => {
    const data = dataDirectory();
    await server.kill();
    const slot = await filled(data, 10);
    await slot.journal.close();
    const rig = shipping(data, [redisSink(server.url)]);
    await until(() => reason(rig).includes('does not answer'));
    await server.up('--appendonly', 'yes');
    expect(await rig.shipper.drained(DEADLINE)).toBe(true);
    await server.kill();
    // Nothing is to be delivered: looking now and then has to tell.
    await until(() => rig.shipper.health()['redis']?.state === 'degraded');
  });
});

describe('invariant 4: the last position', () => {
  async function last(device = 'd'): Promise<Record<string, unknown>> {
    return JSON.parse((await redis.get(`fixgate:last:${device}`)) ?? '{}');
  }

  async function deliver(samples: readonly Sample[], received: number, sink = redisSink(server.url)): Promise<void> {
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    for (const sample of samples) slot.fixes('d', received, [sample]);
    await slot.journal.close();
    await redis.del('fixgate:cursor:rig');
    const { shipper } = ship(data, [sink]);
    expect(await shipper.drained(DEADLINE)).toBe(true);
    await shipper.close();
  }

  test('is the newest fix of a batch, and never goes back in a later one', async () => {
    await deliver([{ time: T + 1 }, { time: T + 5, number: 5 }, { time: T + 3 }, { time: T + 9, place: false }], T + 10);
    expect(await last()).toMatchObject({ time: T + 5, speed_kmh: 5, kind: 'fix' });
    await deliver([{ time: T + 4, number: 4 }], T + 20);
    expect(await last()).toMatchObject({ time: T + 5, speed_kmh: 5 });
    await deliver([{ time: T + 6, number: 6 }], T + 30);
    expect(await last()).toMatchObject({ time: T + 6, speed_kmh: 6 });
  });

  test('of a device whose clock is ahead moves by receipt, and does not stay ahead', async () => {
    const ahead = 3_600_000;
    await deliver([{ time: T, number: 1 }], T);
    await deliver([{ time: T + ahead, number: 2 }], T - 1);
    expect(await last()).toMatchObject({ time: T, speed_kmh: 1 });
    await deliver(
      [
        { time: T + ahead + 9_000, number: 3 },
        { time: T + ahead, number: 4 },
      ],
      T + 1,
    );
    expect(await last()).toMatchObject({ speed_kmh: 4 });
    await deliver([{ time: T + ahead - 9_000, number: 5 }], T + 2);
    expect(await last()).toMatchObject({ speed_kmh: 5 });
    await deliver([{ time: T + 1, number: 6 }], T + 3);
    expect(await last()).toMatchObject({ speed_kmh: 5 });
    await deliver([{ time: T + 3, number: 7 }], T + 3);
    expect(await last()).toMatchObject({ time: T + 3, speed_kmh: 7 });
  });

  describe('when our clock is set', () => {
    const HOUR = 3_600_000;
    const now = systemClock.now();

    test('follows the devices’ own times and does not go back', async () => {
      await deliver([{ time: now, number: 1 }], now + HOUR);
      expect(await last()).toMatchObject({ time: now, speed_kmh: 1 });
      // Back by an hour: what is live looks as if it were ahead, and what the device had kept looks live.
      await deliver([{ time: now + 1000, number: 2 }], now - HOUR);
      await deliver([{ time: now - HOUR, number: 3 }], now - HOUR);
      expect(await last()).toMatchObject({ time: now, speed_kmh: 1 });
      // Back by two days: times of devices are replaced by ours.
      await deliver([{ time: now + 2000, number: 4 }], now - 48 * HOUR);
      expect(await last()).toMatchObject({ time: now, speed_kmh: 1 });
      await deliver([{ time: now + 3000, number: 5 }], now + 3000);
      expect(await last()).toMatchObject({ time: now + 3000, speed_kmh: 5 });
    });

    test('takes no time of receipt that Redis says is ahead, or that goes back', async () => {
      await deliver([{ time: 0, number: 1 }], now);
      expect(await last()).toMatchObject({ time: now, speed_kmh: 1 });
      await deliver([{ time: 0, number: 2 }], now + HOUR);
      await deliver([{ time: 0, number: 3 }], now - HOUR);
      expect(await last()).toMatchObject({ time: now, speed_kmh: 1 });
      await deliver([{ time: 0, number: 4 }], now + 1000);
      expect(await last()).toMatchObject({ time: now + 1000, speed_kmh: 4 });
    });

    test('does not stay ahead when the clock of Redis was ahead, too', async () => {
      await redis.set('fixgate:last:d', `{"kind":"fix","time":${now + HOUR},"received":${now + HOUR},"flags":["no_time"]}`);
      await deliver([{ time: now, number: 1 }], now);
      expect(await last()).toMatchObject({ time: now, speed_kmh: 1 });
    });

    test('leaves a device’s own time alone when the clock of Redis is back, too', async () => {
      const ahead = `{"kind":"fix","time":${now + HOUR},"received":${now + HOUR + 1}}`;
      await redis.set('fixgate:last:d', ahead);
      await deliver([{ time: now, number: 1 }], now);
      expect(await redis.get('fixgate:last:d')).toBe(ahead);
    });

    test('does without the time of Redis where the user may not ask for it', async () => {
      await redis.call('ACL', 'SETUSER', 'fixgate', 'on', '>secret', '~*', '+@all', '-time');
      await deliver([{ time: 0, number: 1 }], now, redisSink(`redis://fixgate:secret@127.0.0.1:${server.port}`));
      expect(await last()).toMatchObject({ time: now, speed_kmh: 1 });
    });
  });

  test('replaces what is no record', async () => {
    await redis.hset('fixgate:last:d', 'a', 'b');
    await deliver([{ time: T, number: 1 }], T);
    expect(await last()).toMatchObject({ time: T });
  });
});

test('a record that a device sends again stands in the stream once, also after a restart', async () => {
  const data = dataDirectory();
  const slots = [await Slot.open(data, 0), await Slot.open(data, 1)];
  for (let i = 0; i < 50; i++) slots[0]?.fixes('d', T + i, [{ time: T + i, number: i }]);
  for (let i = 0; i < 50; i += 2) slots[1]?.fixes('d', T + 100 + i, [{ time: T + i, number: i }]);
  for (const slot of slots) await slot.journal.flush();
  const before = ship(data, [redisSink(server.url)]);
  expect(await before.shipper.drained(DEADLINE)).toBe(true);
  await before.shipper.close();
  expect(await counter(before.metrics, 'fixgate_sink_duplicates_total')).toBe(25);
  for (let i = 1; i < 50; i += 2) slots[1]?.fixes('d', T + 200 + i, [{ time: T + i, number: i }]);
  for (const slot of slots) await slot.journal.close();
  const { shipper } = shipping(data, [redisSink(server.url)]);
  expect(await shipper.drained(DEADLINE)).toBe(true);
  expect(await times('d')).toEqual(rising(T, 50));
  expect(await streamLedger(redis)).toHaveLength(50);
});
