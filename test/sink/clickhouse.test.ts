import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import h02 from '../../codecs/h02/index.ts';
import { Secret, SecretUrl } from '../../src/base/secret.ts';
import { defineCodec, eventIndex, FrameKind, FrameResult, RowFlag, unknownEvent } from '../../src/codec/index.ts';
import { Definition } from '../../src/journal/definition.ts';
import { EntryKind, Origin } from '../../src/journal/entry.ts';
import { Decoder } from '../../src/out/ship/decoder.ts';
import { listParked, retryParked } from '../../src/out/ship/parked.ts';
import { ERASED_TABLES, KEPT_TABLES } from '../../src/out/sink/clickhouse/erase.ts';
import { migrate } from '../../src/out/sink/clickhouse/migrate.ts';
import { MIGRATIONS } from '../../src/out/sink/clickhouse/schema.ts';
import { checkClickHouse, createClickHouseSink } from '../../src/out/sink/clickhouse/sink.ts';
import { Batch } from '../../src/out/sink/sink.ts';
import { Random } from '../../src/simulate/random.ts';
import { chdbInstalled } from '../embedded/child.ts';
import { bytesOf, frameLines } from '../helpers/fixtures.ts';
import {
  ClickHouseDatabase,
  ClickHouseServer,
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
  streamLedger,
  type Tables,
  tableLedger,
} from '../ship/rig.ts';
import { tiny } from '../ship/tiny.ts';
import { rounds } from '../support/thorough.ts';
import { moment, until } from '../support/wait.ts';

const T = Date.UTC(2026, 9, 1);
/** Where no other process of the tests takes a port meanwhile. */
const ASIDE = '127.0.0.9';
/** Of the shipper, of ClickHouse, and of both, in turn. */
const KILLS = rounds(3, 12);

function shipping(...args: Parameters<typeof ship>): Rig {
  const rig = ship(...args);
  onTestFinished(() => rig.shipper.close());
  return rig;
}

function reason(rig: Rig): string {
  const health = rig.shipper.health()['clickhouse'];
  return health?.state === 'degraded' ? health.reason : '';
}

const nobodyParks = async (): Promise<void> => {
  throw new Error('nothing was to be parked');
};

/** An address that refuses connections until the way to the engine is opened. */
class Way {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #port = 0;

  private constructor(engine: URL) {
    this.#server = createTcpServer((near) => {
      const far = connect(Number(engine.port), engine.hostname);
      for (const socket of [near, far]) this.#sockets.add(socket.on('error', () => {}));
      near.pipe(far).pipe(near);
    });
  }

  static async to(engine: string): Promise<Way> {
    const way = new Way(new URL(engine));
    await way.open();
    const address = way.#server.address();
    way.#port = typeof address === 'object' && address !== null ? address.port : 0;
    await way.close();
    return way;
  }

  get url(): string {
    return `http://${ASIDE}:${this.#port}`;
  }

  async open(): Promise<void> {
    await once(this.#server.listen(this.#port, ASIDE), 'listening');
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await once(this.#server.close(), 'close');
  }
}

describe.skipIf(!chdbInstalled)('ClickHouse', () => {
  let server: ClickHouseDatabase;

  beforeAll(async () => {
    server = await ClickHouseDatabase.make();
  });
  afterAll(() => server.drop());
  afterEach(() => server.empty());

  async function count(table: string, final = '', { client, database }: Tables = server): Promise<number> {
    const result = await client.query({ query: `SELECT count() AS n FROM ${database}.${table} ${final}`, format: 'JSONEachRow' });
    const [row] = await result.json<{ n: string }>();
    return Number(row?.n);
  }

  async function rowsOf(query: string): Promise<Record<string, unknown>[]> {
    const clickhouse_settings = { output_format_json_quote_64bit_integers: 0 } as const;
    return (await server.client.query({ query, format: 'JSONEachRow', clickhouse_settings })).json<Record<string, unknown>>();
  }

  describe('columns', () => {
    const codec = defineCodec({
      name: 'wide',
      about: 'tests',
      maxFrameBytes: 100,
      maxAnswerBytes: 0,
      attributePrefix: 'io_',
      attributes: new Map([
        [1, { name: 'ignition', type: 'boolean' as const }],
        [2, { name: 'motion', type: 'boolean' as const }],
        [3, { name: 'external_v', type: 'number' as const, scale: 0.001 }],
        [4, { name: 'battery_v', type: 'number' as const, scale: 0.01 }],
        [5, { name: 'odometer_m', type: 'number' as const }],
        [6, { name: 'driver_id', type: 'text' as const }],
        [7, { name: 'vin', type: 'text' as const }],
        [8, { name: 'gsm_level', type: 'number' as const }],
        [9, { name: 'fuel_pct', type: 'number' as const }],
        [10, { name: 'battery_pct', type: 'number' as const }],
        [11, { name: 'door', type: 'boolean' as const }],
        [12, { name: 'driver_id', type: 'number' as const }],
      ]),
      messages: [],
      reasons: [],
      recognise: () => true,
      tcp: { open: () => ({}), frame: () => 0, decode: () => {}, encodeAck: () => 0 },
    });

    async function deliver(batch: Batch): Promise<void> {
      const data = dataDirectory();
      const sink = createClickHouseSink({ ...server.access, cursorPath: join(data, 'cursor') });
      await sink.open();
      await sink.deliver(batch, nobodyParks);
      await sink.close();
    }

    test('hold everything that a record has', async () => {
      const frame = new FrameResult();
      frame.reset(0, 4);
      frame.kind = FrameKind.Records;
      const full = frame.row();
      frame.time[full] = T + 0.4;
      frame.latitude[full] = -33.8567844;
      frame.longitude[full] = 151.2152967;
      frame.altitudeM[full] = -12.5;
      frame.speedKmh[full] = 88.88;
      frame.courseDeg[full] = 359.99;
      frame.satellites[full] = 11;
      frame.hdop[full] = 0.7;
      frame.valid[full] = 1;
      frame.flags[full] = RowFlag.Buffered | RowFlag.Rollover;
      frame.event[full] = eventIndex('sos');
      frame.attr(1, 1);
      frame.attr(2, 0);
      frame.attr(3, 13_812);
      frame.attr(4, 411);
      frame.attr(5, 4_294_967_295);
      frame.attrText(6, 'Zoë');
      frame.attrText(7, 'VF1 "quoted" \\ ☂'.repeat(8));
      frame.attr(8, 4);
      frame.attr(9, 33.5);
      frame.attr(10, 100);
      frame.attr(11, 1);
      frame.attr(999, -2.25);
      frame.cell(246, 1, 4242, 68_719_476_735, -71);
      frame.cell(246, 1, 4242, 7, 0);
      frame.wifi('00:11:22:33:44:55', -60);
      frame.wifi('00:11:22:33:44:66', 0);
      const bare = frame.row();
      frame.latitude[bare] = 0;
      frame.longitude[bare] = 0;
      frame.time[bare] = T + 90_000_000;
      frame.attr(12, 77);
      frame.cell(246, -1, 65_535, 1, 0);
      const status = frame.row();
      frame.event[status] = unknownEvent(300);
      frame.attr(3, Number.NaN);
      const batch = new Batch();
      batch.rows.append(frame, codec, 'dévice', T + 500, 3, Buffer.from([1, 2, 3, 4]), -1, [], '', 0, 'açme');
      batch.locate('0', 1);
      batch.ranges = { 0: { from: 1, to: 1 } };
      batch.token = 'columns';
      await deliver(batch);

      const [first, second] = await rowsOf('SELECT * FROM positions ORDER BY time');
      expect(first).toEqual({
        device: 'dévice',
        time: '2026-10-01 00:00:00.000',
        id: batch.rows.id(0),
        received: '2026-10-01 00:00:00.500',
        device_time: null,
        account: 'açme',
        protocol: 'wide',
        flags: ['buffered', 'rollover'],
        event: 'sos',
        valid: true,
        lat: -33.8567844,
        lon: 151.2152967,
        altitude_m: -12.5,
        speed_kmh: 88.88,
        course_deg: 359.99,
        satellites: 11,
        hdop: 0.7,
        ignition: true,
        motion: false,
        external_v: 13.812,
        battery_v: 4.11,
        battery_pct: 100,
        fuel_pct: 33.5,
        odometer_m: 4_294_967_295,
        gsm_level: 4,
        driver_id: 'Zoë',
        mcc: 246,
        mnc: 1,
        lac: 4242,
        cid: 68_719_476_735,
        cells: [
          { mcc: 246, mnc: 1, lac: 4242, cid: 68_719_476_735, rssi_dbm: -71 },
          { mcc: 246, mnc: 1, lac: 4242, cid: 7, rssi_dbm: 0 },
        ],
        wifi: [
          { mac: '00:11:22:33:44:55', rssi_dbm: -60 },
          { mac: '00:11:22:33:44:66', rssi_dbm: 0 },
        ],
        attrs: { door: 1, io_999: -2.25 },
        texts: { vin: 'VF1 "quoted" \\ ☂'.repeat(8) },
      });
      expect(second).toMatchObject({
        time: '2026-10-01 00:00:00.500',
        device_time: '2026-10-02 01:00:00.000',
        flags: ['future'],
        lat: 0,
        altitude_m: null,
        satellites: null,
        ignition: null,
        driver_id: '',
        mcc: 246,
        mnc: null,
        lac: 65_535,
        cid: 1,
        cells: [],
        attrs: { driver_id: 77 },
      });
      const [third] = await rowsOf('SELECT * FROM statuses');
      expect(third).toMatchObject({ event: 'unknown_300', flags: ['no_time'], external_v: null, attrs: {}, id: batch.rows.id(2) });
      expect(third).not.toHaveProperty('lat');
    });

    test('take many different names, and batches of every size', async () => {
      const frame = new FrameResult();
      const batch = new Batch();
      for (const [size, names] of [
        [1, 1],
        [700, 300],
        [3, 70_000],
      ] as const) {
        batch.clear();
        for (let i = 0; i < size; i++) {
          frame.reset(0, 4);
          const row = frame.row();
          frame.time[row] = T + i;
          frame.latitude[row] = i / 1000;
          frame.longitude[row] = 1;
          for (let k = 0; k < Math.ceil(names / size); k++) frame.attr(1000 + ((i * 7 + k * 3) % names), i + k);
          batch.rows.append(frame, codec, `device-${size}`, T + i, 1, Buffer.from([1, 2, i & 255, i >> 8]));
          batch.locate('0', i + 1);
        }
        batch.ranges = { 0: { from: 1, to: size } };
        batch.token = `sizes ${size}`;
        await deliver(batch);
        const stored = await rowsOf(
          `SELECT id, lat, attrs, toUnixTimestamp64Milli(time) - ${T} AS i FROM positions WHERE device = 'device-${size}' ORDER BY time`,
        );
        expect(stored.length).toBe(size);
        for (let i = 0; i < size; i++) {
          const json: { id: string; lat: number; attrs: unknown } = JSON.parse(batch.rows.json(i));
          expect(stored[i]).toEqual({ id: json.id, lat: json.lat, attrs: json.attrs, i });
        }
      }
    });
  });

  describe('invariant 2: the same token is stored once', () => {
    function batchOf(count: number, spread: number, speed: number): Batch {
      const batch = new Batch();
      const frame = new FrameResult();
      const codec = defineCodec({
        name: 'token',
        about: 'tests',
        maxFrameBytes: 100,
        maxAnswerBytes: 0,
        attributes: new Map(),
        messages: [],
        reasons: [],
        recognise: () => true,
        tcp: { open: () => ({}), frame: () => 0, decode: () => {}, encodeAck: () => 0 },
      });
      for (let i = 0; i < count; i++) {
        frame.reset(0, 4);
        const row = frame.row();
        frame.time[row] = T - i * spread;
        frame.latitude[row] = 1;
        frame.longitude[row] = 1;
        // A newer decoder may read something else: blocks that are alike are dropped even without a token.
        frame.speedKmh[row] = speed;
        batch.rows.append(frame, codec, 'd', T, 1, Buffer.from([1, 2, i & 255, i >> 8]));
        const event = { device: 'd', account: 'a', protocol: 'p', type: 'connected', time: T, received: T };
        batch.events.push({ ...event, id: batch.rows.id(i), data: `{"speed":${speed}}` }, '0', i + 1);
      }
      batch.locate('0', 1);
      batch.ranges = { 0: { from: 1, to: count } };
      batch.token = `token ${count} ${spread}`;
      return batch;
    }

    test.each([
      ['in one month', 100, 1000],
      ['over more months than an insert may touch by default', 101, 31 * 86_400_000],
    ])('%s, when it is sent again by a process that knows nothing of the first', async (_, size, spread) => {
      // To empty a hundred months takes longer than to drop them.
      const own = await ClickHouseDatabase.make();
      onTestFinished(() => own.drop());
      for (let again = 0; again < 2; again++) {
        const sink = createClickHouseSink({ ...own.access, cursorPath: join(dataDirectory(), 'cursor') });
        await sink.open();
        await sink.deliver(batchOf(size, spread, again), nobodyParks);
        await sink.close();
        expect(await count('positions', '', own)).toBe(size);
        expect(await count('events', '', own)).toBe(size);
      }
    });

    test('and a record that comes again keeps what its first reading said: an alarm is raised once on a connection', async () => {
      const line = frameLines('h02').find(({ id }) => id === 'b5');
      const frame = Buffer.from(bytesOf(line?.hex ?? ''));
      const state = h02.tcp?.open({}, 0) ?? {};
      h02.tcp?.decode(frame, 0, frame.length, state, new FrameResult());
      const raised = h02.tcp?.memo?.(state) ?? 0;
      expect(raised).not.toBe(0);
      const data = dataDirectory();
      const slot = await Slot.open(data, 0);
      for (const memo of [0, raised, raised]) {
        const origin = new Origin(new Definition('h02', 'tcp'), '4106000826', '192.0.2.1:1000');
        slot.journal.append(origin, EntryKind.Frame, T, memo, 1, frame, 0, frame.length);
        await slot.journal.flush();
      }
      await slot.journal.close();
      const rig = ship(data, [clickHouseSink(data, server.access, { batchRows: 1 })], { codecs: new Map([['h02', h02]]) });
      onTestFinished(() => rig.shipper.close());
      expect(await rig.shipper.drained(DEADLINE)).toBe(true);
      const result = await server.client.query({ query: 'SELECT event FROM positions FINAL', format: 'TabSeparated' });
      expect(await result.text()).toBe('sos\n');
      expect(await counter(rig.metrics, 'fixgate_sink_duplicates_total', { sink: 'clickhouse' })).toBe(2);
    });

    test('and a record that was received twice is one row', async () => {
      const data = dataDirectory();
      const slots = [await Slot.open(data, 0), await Slot.open(data, 1)];
      slots[0]?.fixes('d', T, [{ time: T, number: 1 }]);
      slots[1]?.fixes('d', T + 60_000, [{ time: T, number: 1 }]);
      for (const slot of slots) await slot.journal.close();
      const { shipper } = shipping(data, [clickHouseSink(data, server.access, { batchRows: 1 })]);
      expect(await shipper.drained(DEADLINE)).toBe(true);
      expect(await count('positions', 'FINAL')).toBe(1);
    });
  });

  test('kill -9 of ClickHouse and of the shipper in the middle of inserts: no row is missing or doubled', async () => {
    const data = dataDirectory();
    const redis = await RedisServer.start('--appendonly', 'yes');
    onTestFinished(() => redis.stop());
    const killed = await ClickHouseServer.start();
    onTestFinished(() => killed.stop());
    const rows = (): Promise<number> => count('positions', '', killed).catch(() => 0);
    const slot = await Slot.open(data, 0);
    let kill = shipperProcess(data, killed.access, redis.url);
    const random = new Random(3);
    let at = T;
    for (let round = 0; round < KILLS; round++) {
      for (let i = 0; i < 2000; i++) slot.fixes(`d${i % 5}`, at, [{ time: at++, number: i }]);
      await slot.journal.flush();
      // Not before it is at work, else only its start is ever killed.
      await until(async () => (await rows()) > 1500 * round);
      await moment(random, 0, 120);
      const isLast = round === KILLS - 1;
      if (round % 3 !== 1 || isLast) await kill();
      if (round % 3 !== 0) await killed.kill();
      if (round % 3 !== 1 && !isLast) kill = shipperProcess(data, killed.access, redis.url);
      if (round % 3 !== 0) await killed.restart();
    }
    await slot.journal.close();
    const rig = shipping(data, [clickHouseSink(data, killed.access, { batchRows: 400 }), redisSink(redis.url)]);
    expect(await rig.shipper.drained(DEADLINE)).toBe(true);
    const table = await tableLedger(killed, 'positions', false);
    expect(table.length).toBe(2000 * KILLS);
    expect(new Set(table).size).toBe(2000 * KILLS);
    expect(await streamLedger(redis.client())).toEqual([...table].sort());
  });

  test('promise 4: while ClickHouse is away, Redis gets everything at once; ClickHouse when it is back', async () => {
    const data = dataDirectory();
    const redis = await RedisServer.start();
    onTestFinished(() => redis.stop());
    const way = await Way.to(server.access.url.reveal());
    onTestFinished(() => way.close());
    const slot = await Slot.open(data, 0);
    const rig = shipping(data, [clickHouseSink(data, { ...server.access, url: new SecretUrl(way.url) }), redisSink(redis.url)]);
    for (let i = 0; i < 500; i++) slot.fixes('d', T + i, [{ time: T + i, number: i }]);
    await slot.journal.close();
    const client = redis.client();
    await until(async () => (await client.xlen('fixgate:positions')) === 500);
    expect(reason(rig)).toContain('does not answer (ECONNREFUSED)');
    expect(rig.shipper.health()['redis']).toEqual({ state: 'up' });
    await way.open();
    expect(await rig.shipper.drained(DEADLINE)).toBe(true);
    expect(await count('positions')).toBe(500);
    expect(reason(rig)).toBe('');
  });

  describe('invariant 4: rows that the server refuses', () => {
    test('are parked by entry; all others are stored once', async () => {
      await server.client.command({ query: 'ALTER TABLE positions ADD CONSTRAINT sane CHECK speed_kmh != 66' });
      const data = dataDirectory();
      const slot = await Slot.open(data, 0);
      for (let i = 0; i < 60; i++) slot.fixes('d', T + i, [{ time: T + i, number: i === 16 || i === 46 ? 66 : 1 }]);
      slot.fixes('d', T + 60, [
        { time: T + 60, number: 1 },
        { time: T + 61, number: 66 },
        { time: T + 62, number: 66 },
      ]);
      await slot.journal.close();
      const rig = shipping(data, [clickHouseSink(data, server.access)]);
      expect(await rig.shipper.drained(DEADLINE)).toBe(true);
      expect(await count('positions')).toBe(59);
      const parked = parkedLines(data, 'clickhouse');
      expect(parked.map(({ sequence }) => sequence)).toEqual([17, 47, 61]);
      expect(parked[0]?.['reason']).toContain('469');
      // Promise 10: what the server quotes of the row stays with the server.
      expect(parked[0]?.['reason']).not.toContain('speed_kmh = 66');
      expect(await counter(rig.metrics, 'fixgate_sink_parked_entries_total', { sink: 'clickhouse' })).toBe(3);

      const retry = async (): Promise<{ delivered: number; refused: number }> => {
        const sink = createClickHouseSink({ ...server.access, cursorPath: join(data, 'parked.cursor') });
        try {
          return await retryParked(join(data, 'parked'), sink, new Decoder(new Map([['tiny', tiny]]), () => ({})), INSTANCE);
        } finally {
          await sink.close();
        }
      };
      expect(await retry()).toEqual({ delivered: 0, refused: 3 });
      expect((await listParked(join(data, 'parked'), 'clickhouse')).map(({ sequence }) => sequence)).toEqual([17, 47, 61]);
      await server.client.command({ query: 'ALTER TABLE positions DROP CONSTRAINT sane' });
      expect(await retry()).toEqual({ delivered: 3, refused: 0 });
      expect(await tableLedger(server)).toHaveLength(63);
      expect(await retry()).toEqual({ delivered: 0, refused: 0 });
    });

    test('all of them: the table is at fault, nothing is parked, and everything is stored once it is mended', async () => {
      await server.client.command({ query: 'ALTER TABLE positions ADD CONSTRAINT insane CHECK speed_kmh > 1000' });
      const data = dataDirectory();
      const slot = await Slot.open(data, 0);
      for (let i = 0; i < 20; i++) slot.fixes('d', T + i, [{ time: T + i, number: 1 }]);
      await slot.journal.close();
      const rig = shipping(data, [clickHouseSink(data, server.access)]);
      await until(() => reason(rig).includes('469'));
      await server.client.command({ query: 'ALTER TABLE positions DROP CONSTRAINT insane' });
      expect(await rig.shipper.drained(DEADLINE)).toBe(true);
      expect(await count('positions')).toBe(20);
      expect(parkedLines(data, 'clickhouse')).toEqual([]);
    });

    test('4: none is parked because the table was mended between it and the next', async () => {
      await server.client.command({ query: 'ALTER TABLE positions ADD CONSTRAINT insane CHECK speed_kmh > 1000' });
      const data = dataDirectory();
      const slot = await Slot.open(data, 0);
      for (let i = 0; i < 4; i++) slot.fixes('d', T + i, [{ time: T + i, number: 1 }]);
      await slot.journal.close();
      // All four are refused, then two, then one: with its answer, the table is mended.
      let refusals = 0;
      const between = createServer(async (from, to) => {
        const chunks: Buffer[] = [];
        for await (const chunk of from) chunks.push(Buffer.from(chunk));
        const body = Buffer.concat(chunks);
        const {
          authorization: _,
          host: _host,
          connection: _connection,
          'content-length': _length,
          'transfer-encoding': _encoding,
          ...rest
        } = from.headers;
        const headers = {
          ...Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, String(value)])),
          'x-clickhouse-key': server.access.password?.reveal() ?? '',
        };
        const answer = await fetch(`${server.access.url.reveal()}${from.url}`, {
          method: from.method ?? 'POST',
          headers,
          ...(from.method === 'GET' ? {} : { body }),
        });
        const bytes = Buffer.from(await answer.arrayBuffer());
        if (answer.status >= 400 && String(from.url).includes('positions') && ++refusals === 3)
          await server.client.command({ query: 'ALTER TABLE positions DROP CONSTRAINT insane' });
        const code = answer.headers.get('x-clickhouse-exception-code');
        to.writeHead(answer.status, code === null ? {} : { 'x-clickhouse-exception-code': code }).end(bytes);
      });
      await once(between.listen(0, '127.0.0.1'), 'listening');
      onTestFinished(() => {
        between.close();
        between.closeAllConnections();
      });
      const rig = shipping(data, [
        clickHouseSink(data, { ...server.access, url: new SecretUrl(`http://127.0.0.1:${Object(between.address()).port}`) }),
      ]);
      expect(await rig.shipper.drained(DEADLINE)).toBe(true);
      expect([refusals, await count('positions'), parkedLines(data, 'clickhouse')]).toEqual([3, 4, []]);
    });

    test('a table that was dropped is made again, and what was waiting goes there', async () => {
      const data = dataDirectory();
      const slot = await Slot.open(data, 0);
      const rig = shipping(data, [clickHouseSink(data, server.access)]);
      slot.fixes('d', T, [{ time: T }]);
      await slot.journal.flush();
      expect(await rig.shipper.drained(DEADLINE)).toBe(true);
      await server.client.command({ query: `DROP DATABASE ${server.database}` });
      slot.fixes('d', T + 1, [{ time: T + 1 }]);
      await slot.journal.close();
      expect(await rig.shipper.drained(DEADLINE)).toBe(true);
      expect(await count('positions')).toBe(1);
    });
  });

  test('usage: a row for each entry, the same row when it comes again', async () => {
    onTestFinished(async () => {
      await server.client.command({ query: 'ALTER TABLE usage RESET SETTING non_replicated_deduplication_window' });
    });
    const data = dataDirectory();
    const slot = await Slot.open(data, 0);
    slot.usage('a', T + 3_599_999, { in: 1, out: 2, segments: 3, datagrams: 4, records: 5, network: { mcc: 262, mnc: 0, roaming: true } });
    slot.usage('b', T + 3_600_000, { in: Number.MAX_SAFE_INTEGER, out: 0, segments: 0, datagrams: 0, records: 0 });
    slot.usage('a', T + 3_600_000, { in: 1, out: 2, segments: 3, datagrams: 4, records: 5 });
    slot.usage('a', T + 3_600_000, { in: 1, out: 2, segments: 3, datagrams: 4, records: 5 });
    slot.usage('a', T + 3_600_000, '{"in":-1}');
    await slot.journal.close();
    for (let turn = 0; turn < 2; turn++) {
      const { shipper } = ship(data, [clickHouseSink(dataDirectory(), server.access)]);
      expect(await shipper.drained(DEADLINE)).toBe(true);
      await shipper.close();
      // Another cursor, and a server that has forgotten the tokens.
      await server.client.command({ query: 'ALTER TABLE usage MODIFY SETTING non_replicated_deduplication_window = 0' });
    }
    expect(await count('usage')).toBe(8);
    expect(parkedLines(data, 'clickhouse')).toMatchObject(Array(2).fill({ kind: 'usage', device: 'a', sequence: 5 }));
    const rows = await rowsOf('SELECT *, hour FROM usage FINAL ORDER BY sequence');
    const a = { device: 'a', bytes_in: 1, bytes_out: 2, segments: 3, datagrams: 4, records: 5, instance: INSTANCE, slot: 0 };
    expect(rows).toMatchObject([
      { ...a, sequence: 1, time: '2026-10-01 00:59:59.999', hour: '2026-10-01 00:00:00', mcc: 262, mnc: 0, roaming: true },
      { device: 'b', sequence: 2, bytes_in: Number.MAX_SAFE_INTEGER, bytes_out: 0, hour: '2026-10-01 01:00:00' },
      { ...a, sequence: 3, mcc: null, mnc: null, roaming: false },
      { ...a, sequence: 4 },
    ]);
  });

  describe('migrations', () => {
    /** Any name will do. */
    const name = 'fleet `7` \\ é';
    const made = '`fleet \\`7\\` \\\\ é`';
    const IN_IT = "database = 'fleet `7` \\\\ é'";
    /** Of who comes at the same time and finds nothing. */
    let attempts: readonly PromiseSettledResult<void>[] = [];

    beforeAll(async () => {
      attempts = await Promise.allSettled(['a', 'b', 'c'].map((holder) => migrate(server.client, name, holder)));
    });
    afterAll(() => server.client.command({ query: `DROP DATABASE ${made} SYNC` }));

    test('are applied once, whoever comes at the same time', async () => {
      expect(attempts.some(({ status }) => status === 'fulfilled')).toBe(true);
      for (const attempt of attempts)
        if (attempt.status === 'rejected') expect(String(attempt.reason)).toContain('another process is migrating');
      await migrate(server.client, name, 'me');
      expect(await rowsOf(`SELECT number, about FROM ${made}.migrations`)).toEqual([
        { number: 1, about: 'positions, statuses and events' },
        { number: 2, about: 'usage' },
        { number: 3, about: 'envelope of events' },
        { number: 4, about: 'account of records and usage' },
        { number: 5, about: 'last position of each device' },
        { number: 6, about: 'comments of columns' },
        { number: 7, about: 'statements of billing cycles' },
        { number: 8, about: 'audit' },
        { number: 9, about: 'usage by network' },
        { number: 10, about: 'index of the time of receipt' },
        { number: 11, about: 'raw frames of evidence' },
      ]);
      expect((await rowsOf(`SHOW TABLES FROM ${made}`)).map(({ name }) => name)).toEqual([
        'audit',
        'events',
        'last_positions',
        'last_positions_view',
        'migrations',
        'positions',
        'raw',
        'statements',
        'statuses',
        'usage',
      ]);
    });

    test('every column says what it holds', async () => {
      const columns = `SELECT table, name, comment FROM system.columns WHERE ${IN_IT} AND table NOT IN ('migrations', 'last_positions_view')`;
      const found = await rowsOf(columns);
      expect(found.length).toBeGreaterThan(50);
      expect(found.filter(({ comment }) => comment === '')).toEqual([]);
    });

    test('every table is in the list of what an erasure removes, or in that of what it keeps', async () => {
      const tables = await rowsOf(
        `SELECT table, countIf(name = 'device') AS of FROM system.columns WHERE ${IN_IT} AND table IN
          (SELECT name FROM system.tables WHERE ${IN_IT} AND engine LIKE '%MergeTree') GROUP BY table`,
      );
      const isListed = (name: string): boolean => ERASED_TABLES.includes(name) !== Object.hasOwn(KEPT_TABLES, name);
      expect(tables.map(({ table }) => String(table)).filter((name) => !isListed(name))).toEqual([]);
      for (const name of ERASED_TABLES) expect(tables).toContainEqual({ table: name, of: expect.toSatisfy((of) => Number(of) === 1) });
    });

    test('upgrade a database that is in use', async () => {
      const data = dataDirectory();
      const slot = await Slot.open(data, 0);
      slot.fixes('d', T, [{ time: T }]);
      slot.event('d', T, { type: 'connected' });
      await slot.journal.flush();
      const first = ship(data, [clickHouseSink(data, server.access)]);
      expect(await first.shipper.drained(DEADLINE)).toBe(true);
      await first.shipper.close();
      // As the first version left it.
      for (const table of ['usage', 'audit', 'last_positions_view', 'last_positions'])
        await server.client.command({ query: `DROP TABLE ${table}` });
      const values = [60, 30, 90].map((ago) => `('e', now64(3) - ${ago}, '${String(ago).padStart(16, '0')}', now64(3), true, ${ago}, 2)`);
      await server.client.command({
        query: `INSERT INTO positions (device, time, id, received, valid, lat, lon) VALUES ${values.join(', ')}`,
      });
      for (const column of ['received', 'account', 'protocol', 'version'])
        await server.client.command({ query: `ALTER TABLE events DROP COLUMN ${column}` });
      for (const table of ['positions', 'statuses']) await server.client.command({ query: `ALTER TABLE ${table} DROP COLUMN account` });
      await server.client.command({ query: 'ALTER TABLE migrations DELETE WHERE number > 1 SETTINGS mutations_sync = 2' });
      slot.usage('d', T, { in: 1, out: 2, segments: 3, datagrams: 4, records: 5 });
      slot.event('d', T + 1, { type: 'disconnected', id: 'own' });
      await slot.journal.close();
      const { shipper } = shipping(data, [clickHouseSink(data, server.access)]);
      expect(await shipper.drained(DEADLINE)).toBe(true);
      expect([await count('positions'), await count('usage'), await count('migrations')]).toEqual([4, 1, 11]);
      expect(await rowsOf("SELECT lat, lon FROM last_positions FINAL WHERE device = 'e'")).toEqual([{ lat: 30, lon: 2 }]);
      expect(await rowsOf('SELECT type, data, time = received AS at_once, version FROM events ORDER BY time')).toEqual([
        { type: 'connected', data: '{}', at_once: 1, version: 0 },
        { type: 'disconnected', data: '{"id":"own"}', at_once: 1, version: 1 },
      ]);
    });

    /** One migration is waiting, and somebody has the lock. */
    async function lockedBy(holder: string): Promise<void> {
      const forget = `ALTER TABLE migrations DELETE WHERE number = ${MIGRATIONS.at(-1)?.number}`;
      await server.client.command({ query: `${forget} SETTINGS mutations_sync = 2` });
      await server.client.command({ query: `CREATE TABLE migration_lock (unused UInt8) ENGINE = Memory COMMENT '${holder}'` });
    }

    test('a lock that was left behind is broken, a fresh one is not', async () => {
      await lockedBy('other');
      await expect(migrate(server.client, server.database, 'me')).rejects.toThrow('another process is migrating');
      await expect(migrate(server.client, server.database, 'me')).rejects.toThrow('another process is migrating');
      await migrate(server.client, server.database, 'me', 0);
      expect(await count('migrations')).toBe(11);
    });

    test('a lock of our own was left behind by a crash of ours', async () => {
      await lockedBy('me');
      await migrate(server.client, server.database, 'me');
      expect((await rowsOf(`SHOW TABLES FROM ${server.database}`)).map(({ name }) => name)).not.toContain('migration_lock');
    });

    test('of a later version are left alone', async () => {
      onTestFinished(async () => {
        await server.client.command({ query: 'DELETE FROM migrations WHERE number = 99' });
      });
      await server.client.command({ query: "INSERT INTO migrations (number, about) VALUES (99, 'later')" });
      await expect(migrate(server.client, server.database, 'me')).rejects.toMatchObject({ code: 'CLICKHOUSE_REFUSED' });
    });

    test('any database name will do', async () => {
      const data = dataDirectory();
      const slot = await Slot.open(data, 0);
      slot.fixes('d', T, [{ time: T }]);
      await slot.journal.close();
      const { shipper } = shipping(data, [clickHouseSink(data, server.access, { database: name })]);
      expect(await shipper.drained(DEADLINE)).toBe(true);
      expect(await rowsOf(`SELECT device FROM ${made}.positions`)).toEqual([{ device: 'd' }]);
    });
  });

  test('a wrong password is said plainly', async () => {
    const refused = await checkClickHouse({ ...server.access, password: new Secret('wrong') });
    expect(refused).toMatchObject({ code: 'CLICKHOUSE_REFUSED', message: expect.stringContaining('check user, password and database') });
    expect(await checkClickHouse(server.access)).toBeNull();
    expect(await checkClickHouse({ url: new SecretUrl('http://127.0.0.1:1') })).toBeNull();
  });
});

test('a server older than 24.8 is refused with what to do', async () => {
  const old = createServer((request, response) => {
    request.resume();
    response.end('{"version":"24.7.3.42"}\n');
  });
  await new Promise<void>((resolve) => old.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void old.close());
  const address = old.address();
  const url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  const refused = await checkClickHouse({ url: new SecretUrl(url) });
  expect(refused).toMatchObject({ code: 'CLICKHOUSE_OLD', message: expect.stringContaining('24.7.3.42 is older than 24.8') });
});

test('one that accepts connections and says nothing does not keep the server from starting', async () => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    silent.closeAllConnections();
    silent.close();
  });
  const address = silent.address();
  const url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  // A request of a delivery may take longer than this test.
  expect(await checkClickHouse({ url: new SecretUrl(url) })).toBeNull();
});
