import type { Redis } from 'ioredis';
import type { Counts } from '../sink.ts';

/**
 * Removes what devices sent before some moment from the streams, while they are being appended to and read.
 *
 * 1. Looks at every entry there is when it begins. Which device an entry is of is one of its fields; the entry stays where there
 *    is nothing that says when it was received.
 * 2. Nothing is remembered: after a crash, or a connection that breaks, it begins again, and finds less.
 */
const PAGE = 1_000;

/**
 * KEYS the key of a last position, ARGV the moment: removed when the record was received or measured before. Returns how many
 * were.
 */
const LAST = `
local record = redis.pcall('GET', KEYS[1])
if type(record) ~= 'string' then return 0 end
local time, received = string.match(record, '"time":(%d+),"received":(%d+)')
if not received or tonumber(received) < tonumber(ARGV[1]) or tonumber(time) < tonumber(ARGV[1]) then return redis.call('DEL', KEYS[1]) end
return 0
`;

/** `streams` by name, and those of recipients; devices with their moments, epoch ms. */
export async function eraseFromStreams(
  redis: Redis,
  prefix: string,
  streams: readonly string[],
  devices: ReadonlyMap<string, number>,
): Promise<Counts> {
  const counts: Record<string, number> = {};
  for (const name of streams) counts[name] = await eraseFromStream(redis, `${prefix}${name}`, devices);
  counts['recipients'] = 0;
  for (const key of await recipientStreams(redis, prefix)) counts['recipients'] += await eraseFromStream(redis, key, devices);
  counts['last'] = 0;
  for (const [device, before] of devices) counts['last'] += Number(await redis.eval(LAST, 1, `${prefix}last:${device}`, before));
  return counts;
}

/** Keys of all there are, also of recipients that were removed. */
async function recipientStreams(redis: Redis, prefix: string): Promise<Set<string>> {
  const found = new Set<string>();
  const pattern = `${prefix.replace(/[\\*?[\]]/g, '\\$&')}to:*`;
  for (let cursor = '0'; ; ) {
    const [next, keys] = await redis.scan(cursor, 'MATCH', pattern, 'COUNT', PAGE, 'TYPE', 'stream');
    for (const key of keys) found.add(key);
    if (next === '0') return found;
    cursor = next;
  }
}

async function eraseFromStream(redis: Redis, key: string, devices: ReadonlyMap<string, number>): Promise<number> {
  // What is appended from here on is from after the moments.
  const [last] = await redis.xrevrange(key, '+', '-', 'COUNT', 1);
  if (last === undefined) return 0;
  let gone = 0;
  for (let from = '-'; ; ) {
    const page = await redis.xrange(key, from, last[0], 'COUNT', PAGE);
    const ids = page.filter(([id, fields]) => goes(id, fields, devices)).map(([id]) => id);
    if (ids.length > 0) gone += await redis.xdel(key, ...ids);
    const end = page.at(-1);
    if (end === undefined || page.length < PAGE) return gone;
    from = `(${end[0]}`;
  }
}

function goes(id: string, fields: readonly string[], devices: ReadonlyMap<string, number>): boolean {
  const at = (name: string): string => fields[fields.indexOf(name) + 1] ?? '';
  const before = devices.get(at('device'));
  if (before === undefined) return false;
  const time = Number(fields.includes('time') ? at('time') : id.split('-')[0]);
  if (time < before) return true;
  const received = /^.{0,400}?"received":(\d+)/.exec(at('data'))?.[1];
  return received !== undefined && Number(received) < before;
}
