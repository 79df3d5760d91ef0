import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { systemClock } from '../../src/base/clock.ts';
import { EVENT_DATA, eventSchema, fixSchema, statusSchema } from '../../src/out/record/contract.ts';
import { Fleet } from '../../src/simulate/fleet.ts';
import { Server } from '../helpers/server.ts';
import { RedisServer } from '../ship/rig.ts';
import { eventually } from '../support/wait.ts';

/** What consumers get of a whole server, and the examples of consumers at work. */

const EXAMPLES = join(import.meta.dirname, '../../examples/consumers');
const STREAM = 'fixgate:positions';

let redis: RedisServer;
let client: Redis;
let server: Server;
/** Records in the stream by device. */
const sent = new Map<string, number>();

beforeAll(async () => {
  redis = await RedisServer.start();
  client = redis.client();
  server = await Server.start({ FIXGATE_WORKERS: '2', FIXGATE_REDIS_URL: redis.url });
  const [teltonika, gt06, h02, queclink] = await Promise.all(['teltonika', 'gt06', 'h02', 'queclink'].map((codec) => server.port(codec)));
  const fleet = new Fleet({
    protocols: ['teltonika', 'gt06', 'h02', 'queclink'],
    transports: ['tcp'],
    target: { host: '127.0.0.1', ports: { teltonika: teltonika ?? 0, gt06: gt06 ?? 0, h02: h02 ?? 0, queclink: queclink ?? 0, jt808: 0 } },
    devices: 12,
    intervalMs: 200,
    durationMs: Number.POSITIVE_INFINITY,
    graceMs: 60_000,
    timeoutMs: 60_000,
    window: 1,
    records: 1,
    seed: 5,
    ledger: undefined,
    clock: systemClock,
  });
  const driven = fleet.run();
  await eventually(async () => expect(await client.xlen(STREAM)).toBeGreaterThan(100));
  fleet.finish();
  await driven;
  // Everything acknowledged is in both stores, and nothing more comes.
  await eventually(async () => {
    const accepted = [
      ...(await (await server.http('/metrics')).text()).matchAll(/^fixgate_sink_rows_total\{sink="(\w+)",kind="fix"\} (\d+)/gm),
    ];
    const rows = new Map(accepted.map(([, sink, count]) => [sink, Number(count)]));
    expect(rows.get('redis')).toBe(await client.xlen(STREAM));
    expect(rows.get('clickhouse')).toBe(rows.get('redis'));
    expect((await (await server.http('/metrics')).text()).match(/^fixgate_sink_undelivered_entries\{sink="redis"\} 0$/m)).not.toBeNull();
  });
  for (const data of await dataOf(STREAM)) {
    const { device } = fixSchema.parse(JSON.parse(data));
    sent.set(device, 1 + (sent.get(device) ?? 0));
  }
  // Groups of the tests of what was trimmed.
  for (const group of ['late-ts', 'late-py']) await client.xgroup('CREATE', STREAM, group, '0');
});
afterAll(async () => {
  await server.stop();
  await redis.stop();
});

async function dataOf(stream: string): Promise<string[]> {
  return (await client.xrange(stream, '-', '+')).map(([, fields]) => fields[fields.indexOf('data') + 1] ?? '');
}

/** Runs an example until there is nothing to read; resolves with what it said. */
async function run(language: string, group: string): Promise<string> {
  const [program, file] = language === 'ts' ? [process.execPath, 'consumer.ts'] : ['/usr/bin/python3', 'consumer.py'];
  const clickhouse = {
    CLICKHOUSE_URL: await server.clickhouseUrl(),
    CLICKHOUSE_PASSWORD: server.clickhousePassword(),
    CLICKHOUSE_DATABASE: server.database,
  };
  const env = { PATH: process.env['PATH'], REDIS_URL: redis.url, GROUP: group, ONCE: '1', CLAIM_MS: '1', ...clickhouse };
  const child = spawn(program, [join(EXAMPLES, file)], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk) => {
      said += chunk;
    });
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect([code, said]).toEqual([0, said]);
  return said;
}

const counted = async (group: string): Promise<ReadonlyMap<string, number>> =>
  new Map(Object.entries(await client.hgetall(`${group}:records`)).map(([device, count]) => [device, Number(count)]));

describe('what stands in the streams', () => {
  it('is what fixgate/record says', async () => {
    expect(sent.size).toBeGreaterThan(0);
    for (const data of await dataOf(STREAM))
      expect([data, z.strictObject(fixSchema.shape).safeParse(JSON.parse(data)).error]).toEqual([data, undefined]);
    for (const data of await dataOf('fixgate:statuses'))
      expect([data, z.strictObject(statusSchema.shape).safeParse(JSON.parse(data)).error]).toEqual([data, undefined]);
    const own = new Map<string, z.ZodObject>(Object.entries(EVENT_DATA));
    const events = await dataOf('fixgate:events');
    expect(events.length).toBeGreaterThan(20);
    for (const text of events) {
      const event = z.strictObject(eventSchema.shape).parse(JSON.parse(text));
      expect([text, z.strictObject(own.get(event.type)?.shape ?? {}).safeParse(event.data).error]).toEqual([text, undefined]);
    }
  });
});

describe.each(['ts', 'py'])('the example consumer.%s', (language) => {
  it('counts each record once, also those that a dead consumer had, and those that come again', async () => {
    const group = `group-${language}`;
    await client.xgroup('CREATE', STREAM, group, '0');
    await client.xreadgroup('GROUP', group, 'dead', 'COUNT', 7, 'STREAMS', STREAM, '>');
    await run(language, group);
    expect(await counted(group)).toEqual(sent);
    expect((await client.xpending(STREAM, group))[0]).toBe(0);
    // As after a Redis that had lost the cursor: the same records as other entries.
    const again = await client.xrange(STREAM, '-', '+', 'COUNT', 5);
    const added = await Promise.all(again.map(([, fields]) => client.xadd(STREAM, '*', ...fields)));
    await run(language, group);
    expect(await counted(group)).toEqual(sent);
    await client.xdel(STREAM, ...added.map(String));
  });
});

describe.each(['ts', 'py'])('the example consumer.%s, when trimming has overtaken it,', (language) => {
  it('reads what it missed from ClickHouse', async () => {
    await client.xtrim(STREAM, 'MAXLEN', 5);
    expect(await run(language, `late-${language}`)).toMatch(/\d+ entries were trimmed/);
    expect(await counted(`late-${language}`)).toEqual(sent);
  });
});
