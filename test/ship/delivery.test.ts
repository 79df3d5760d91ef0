import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { StreamDialect } from '../../src/codec/index.ts';
import { chdbInstalled } from '../embedded/child.ts';
import { strictJson } from '../helpers/strict-json.ts';
import {
  ClickHouseDatabase,
  clickHouseSink,
  counter,
  DEADLINE,
  dataDirectory,
  RedisServer,
  redisSink,
  Slot,
  ship,
  streamLedger,
  tableLedger,
} from './rig.ts';
import { tiny } from './tiny.ts';

const T = Date.UTC(2026, 9, 1);
const { tcp: DIALECT } = tiny;
if (DIALECT === undefined) throw new Error('tiny is a codec for TCP');

describe.skipIf(!chdbInstalled)('journal to both sinks', () => {
  let redis: RedisServer;
  let clickHouse: ClickHouseDatabase;

  beforeAll(async () => {
    redis = await RedisServer.start();
    clickHouse = await ClickHouseDatabase.make();
  });
  afterAll(async () => {
    await redis.stop();
    await clickHouse.drop();
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
    const { shipper } = ship(data, [clickHouseSink(data, clickHouse.access), redisSink(redis.url)]);
    onTestFinished(() => shipper.close());
    expect(await shipper.drained(DEADLINE)).toBe(true);

    const table = await tableLedger(clickHouse);
    expect(table).toHaveLength(900);
    expect(await streamLedger(redis.client())).toEqual([...table].sort());
    expect(await streamLedger(redis.client(), 'fixgate:statuses')).toEqual((await tableLedger(clickHouse, 'statuses')).sort());
    expect(await tableLedger(clickHouse, 'statuses')).toHaveLength(100);
    expect(await streamLedger(redis.client(), 'fixgate:events')).toEqual((await tableLedger(clickHouse, 'events')).sort());
  });

  test('entries of the audit are in the table, the outcome of a change in place of what was asked, and all in the stream', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 3);
    const asked = { type: 'change', id: '5f0c8a1e9b7d2c43', time: T, device: 'd', account: 'acme', by: 'desk', status: 0, count: 1 };
    slot.audit(T, asked);
    slot.audit(T + 1, { ...asked, status: 200 });
    slot.audit(T + 2, { ...asked, type: 'read', id: '5f0c8a1e9b7d2c44', status: 200, count: 7 });
    await slot.journal.close();
    const { shipper, metrics } = ship(data, [clickHouseSink(data, clickHouse.access), redisSink(redis.url)]);
    onTestFinished(() => shipper.close());
    expect(await shipper.drained(DEADLINE)).toBe(true);
    const query = 'SELECT type, device, account, by, status, toUInt32(count) AS count FROM audit FINAL ORDER BY id';
    const rows = await (await clickHouse.client.query({ query, format: 'JSONEachRow' })).json();
    const of = { device: 'd', account: 'acme', by: 'desk', status: 200 };
    expect(rows).toEqual([
      { type: 'change', ...of, count: 1 },
      { type: 'read', ...of, count: 7 },
    ]);
    const streamed = (await redis.client().xrange('fixgate:audit', '-', '+')).map(([, fields]) =>
      strictJson(fields[fields.indexOf('data') + 1] ?? ''),
    );
    expect(streamed).toMatchObject([0, 200, 200].map((status) => ({ kind: 'audit', device: 'd', account: 'acme', data: { status } })));
    for (const sink of ['clickhouse', 'redis']) expect(await counter(metrics, 'fixgate_sink_rows_total', { sink, kind: 'audit' })).toBe(3);
  });

  test('what a device sends for text is well-formed, without control characters, and the same in the table and the stream', async () => {
    const data = dataDirectory();
    const slot = await Slot.open(data, 2);
    const said = 'a\ud800b\u0000\u001b[31m\u009bm\u007f é☂𝄞\r\nnext\tline\udc00';
    const kept = 'a\ufffdb\ufffd\ufffd[31m\ufffdm\ufffd é☂𝄞\nnext line\ufffd';
    slot.fixes('odd', T, [{ time: T, place: false }]);
    slot.event('odd', T + 1, { type: 'command', reply: said, values: { list: [said] } });
    await slot.journal.close();
    const tcp: StreamDialect = {
      ...DIALECT,
      decode: (bytes, start, end, state, out) => {
        DIALECT.decode(bytes, start, end, state, out);
        out.attrText(3, said);
        out.replyText = said;
        expect(out.replyText).toBe(kept);
      },
    };
    const { shipper } = ship(data, [clickHouseSink(data, clickHouse.access), redisSink(redis.url)], {
      codecs: new Map([['tiny', { ...tiny, tcp }]]),
    });
    onTestFinished(() => shipper.close());
    expect(await shipper.drained(DEADLINE)).toBe(true);
    const client = redis.client();
    const streamedOf = async (name: string): Promise<unknown[]> =>
      (await client.xrange(`fixgate:${name}`, '-', '+'))
        .filter(([, fields]) => fields.includes('odd'))
        .map(([, fields]) => strictJson(fields[fields.indexOf('data') + 1] ?? ''));
    const rows = async (query: string): Promise<unknown[]> => (await clickHouse.client.query({ query, format: 'JSONEachRow' })).json();
    expect(await streamedOf('statuses')).toMatchObject([{ attrs: { reply: kept } }]);
    expect(await rows("SELECT texts['reply'] AS reply FROM statuses WHERE device = 'odd'")).toEqual([{ reply: kept }]);
    const own = { reply: kept, values: { list: [kept] } };
    expect(await streamedOf('events')).toMatchObject([{ type: 'command', data: own }]);
    expect(await rows("SELECT data FROM events WHERE device = 'odd'")).toEqual([{ data: JSON.stringify(own) }]);
  });
});
