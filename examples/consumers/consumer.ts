/**
 * Reads positions from Redis as a consumer group and counts what each device has sent.
 *
 *     GROUP=billing REDIS_URL=redis://127.0.0.1:6379 node examples/consumers/consumer.ts
 *
 * Several may run at once under different names (CONSUMER): each entry goes to one of them. What it shows:
 *
 * 1. An entry is acknowledged in the transaction that holds its effect. One that was given to a consumer which died is claimed by
 *    another after CLAIM_MS and worked on again.
 * 2. A record is taken into account once, by its id, however often it comes: Redis may have lost its memory, and so may have consumers.
 * 3. What was trimmed before the group had read it is fetched from ClickHouse.
 */
import type { Fix } from 'fixgate/record';
import { Redis } from 'ioredis';

const env = (name: string, otherwise: string): string => process.env[name] ?? otherwise;
const STREAM = `${env('PREFIX', 'fixgate')}:positions`;
const GROUP = env('GROUP', 'example');
const CONSUMER = env('CONSUMER', 'one');
/** Ends when there is nothing to read. */
const ONCE = env('ONCE', '') !== '';
const CLAIM_MS = Number(env('CLAIM_MS', '60000'));
const CLICKHOUSE = env('CLICKHOUSE_URL', '');
/** How long ids are remembered: longer than anything is delivered again. */
const REMEMBER_S = 7 * 86_400;
/** Records of two workers stand in the stream in an order that is not quite that of their receipt; what is taken twice counts once. */
const SLACK_MS = 60_000;

type Entry = [id: string, fields: string[]];

const redis = new Redis(env('REDIS_URL', 'redis://127.0.0.1:6379'));

/** The effect and the mark that it has happened, together. Redis runs a script as a whole. */
const TAKE = `
  if redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then redis.call('HINCRBY', KEYS[2], ARGV[2], 1) end
  if ARGV[3] ~= '' then redis.call('XACK', KEYS[3], ARGV[4], ARGV[3]) end`;

async function take(id: string, device: string, entry: string): Promise<void> {
  const keys = [`${GROUP}:seen:${id}`, `${GROUP}:records`, STREAM];
  await redis.eval(TAKE, keys.length, ...keys, REMEMBER_S, device, entry, GROUP);
}

async function work(entries: readonly Entry[]): Promise<void> {
  for (const [entry, fields] of entries) {
    const fix: Fix = JSON.parse(fields[fields.indexOf('data') + 1] ?? '');
    await take(fix.id, fix.device, entry);
  }
}

const field = (reply: unknown, name: string): unknown => (Array.isArray(reply) ? reply[reply.indexOf(name) + 1] : undefined);

/** The entries that were trimmed before the group was given them: all records that were received up to the first one that is left. */
async function fetchMissed(): Promise<void> {
  const [stream, groups] = await Promise.all([redis.xinfo('STREAM', STREAM), redis.xinfo('GROUPS', STREAM)]);
  const group = Array.isArray(groups) ? groups.find((one) => field(one, 'name') === GROUP) : undefined;
  // Of a group that was set to some id by hand, Redis does not know how much it has read.
  const read = field(group, 'last-delivered-id') === '0-0' ? 0 : Number(field(group, 'entries-read') ?? Number.NaN);
  const missed = Number(field(stream, 'entries-added')) - Number(field(stream, 'length')) - read;
  if (!(missed > 0)) return;
  const first = field(stream, 'first-entry');
  const fields = Array.isArray(first) && Array.isArray(first[1]) ? first[1] : [];
  const until = fields.length === 0 ? Date.now() : JSON.parse(String(fields[fields.indexOf('data') + 1])).received + SLACK_MS;
  const from = Number(await redis.get(`${GROUP}:received`));
  console.error(`${missed} entries were trimmed before they were read; reading them from ClickHouse`);
  if (CLICKHOUSE === '') throw new Error('set CLICKHOUSE_URL');
  const sql = `SELECT id, device FROM positions FINAL WHERE received BETWEEN fromUnixTimestamp64Milli(${from}) AND fromUnixTimestamp64Milli(${until}) FORMAT JSONEachRow`;
  const headers = { 'x-clickhouse-key': env('CLICKHOUSE_PASSWORD', ''), 'x-clickhouse-database': env('CLICKHOUSE_DATABASE', 'fixgate') };
  const answer = await fetch(CLICKHOUSE, { method: 'POST', body: sql, headers });
  if (!answer.ok) throw new Error(await answer.text());
  for (const line of (await answer.text()).split('\n').filter(Boolean)) {
    const { id, device } = JSON.parse(line);
    await take(id, device, '');
  }
}

async function claim(): Promise<void> {
  for (let from = '0-0'; ; ) {
    const [next, entries] = (await redis.xautoclaim(STREAM, GROUP, CONSUMER, CLAIM_MS, from, 'COUNT', 100)) as [string, Entry[]];
    await work(entries);
    if (next === '0-0') return;
    from = next;
  }
}

await redis.xgroup('CREATE', STREAM, GROUP, '0', 'MKSTREAM').catch((error: Error) => {
  if (!error.message.startsWith('BUSYGROUP')) throw error;
});
await fetchMissed();
for (let claimed = 0; ; ) {
  if (Date.now() - claimed > CLAIM_MS) {
    await claim();
    claimed = Date.now();
  }
  const replies = (await redis.xreadgroup('GROUP', GROUP, CONSUMER, 'COUNT', 100, 'BLOCK', 1000, 'STREAMS', STREAM, '>')) as
    | [string, Entry[]][]
    | null;
  const entries = replies?.[0]?.[1] ?? [];
  if (entries.length === 0 && ONCE) break;
  if (entries.length === 0) continue;
  await work(entries);
  const last: Fix = JSON.parse(entries.at(-1)?.[1].at(-1) ?? '');
  await redis.set(`${GROUP}:received`, last.received - SLACK_MS);
}
redis.disconnect();
