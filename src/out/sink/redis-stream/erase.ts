import type { Redis } from 'ioredis';
import { type Erased, isErased } from '../../../base/erased.ts';
import { jsonOf } from '../../../base/json.ts';
import type { Counts } from '../sink.ts';
import { removeLast } from './last.ts';

/**
 * Removes stretches of devices from the streams, while they are being appended to and read.
 *
 * 1. Looks at every entry there is when it begins. Which device an entry is of is one of its fields; the entry stays where there
 *    is nothing that says when it was received.
 * 2. Nothing is remembered: after a crash, or a connection that breaks, it begins again, and finds less.
 */
const PAGE = 1_000;

/** `streams` by name, and those of recipients. */
export async function eraseFromStreams(redis: Redis, prefix: string, streams: readonly string[], devices: Erased): Promise<Counts> {
  const counts: Record<string, number> = {};
  for (const name of streams) counts[name] = await eraseFromStream(redis, `${prefix}${name}`, devices);
  counts['recipients'] = 0;
  for (const key of await recipientStreams(redis, prefix)) counts['recipients'] += await eraseFromStream(redis, key, devices);
  counts['last'] = 0;
  for (const [device, stretches] of devices)
    counts['last'] += await removeLast(redis, `${prefix}last:${device}`, (record) => {
      const time = Number(record['time'] ?? 0);
      const { account, received } = markOf(record, time);
      return isErased(stretches, account, received, time);
    });
  return counts;
}

/** Keys of all there are, also of recipients that were removed. */
export async function recipientStreams(redis: Redis, prefix: string): Promise<Set<string>> {
  const found = new Set<string>();
  const pattern = `${prefix.replace(/[\\*?[\]]/g, '\\$&')}to:*`;
  for (let cursor = '0'; ; ) {
    const [next, keys] = await redis.scan(cursor, 'MATCH', pattern, 'COUNT', PAGE, 'TYPE', 'stream');
    for (const key of keys) found.add(key);
    if (next === '0') return found;
    cursor = next;
  }
}

async function eraseFromStream(redis: Redis, key: string, devices: Erased): Promise<number> {
  // What is appended from here on is of later.
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

function goes(id: string, fields: readonly string[], devices: Erased): boolean {
  const at = (name: string): string => fields[fields.indexOf(name) + 1] ?? '';
  const stretches = devices.get(at('device'));
  if (stretches === undefined) return false;
  const time = Number(fields.includes('time') ? at('time') : id.split('-')[0]);
  const { account, received } = markOf(Object(jsonOf(at('data'))), time);
  return isErased(stretches, account, received, time);
}

/** Whose the record is, and when it was received. */
function markOf(record: Record<string, unknown>, time: number): { readonly account: string; readonly received: number } {
  const { account = '', received = time } = record;
  return { account: String(account), received: Number(received) };
}
