import { Redis } from 'ioredis';
import { jsonOf } from '../../../base/json.ts';
import type { SecretUrl } from '../../../base/secret.ts';

/** KEYS the key of a last position, ARGV what it was: removed if it still is. Returns how many were. */
const REMOVE = `if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

/** Removes the last position at the key if that is to go; one that has come meanwhile stays. */
export async function removeLast(redis: Redis, key: string, goes: (record: Record<string, unknown>) => boolean): Promise<number> {
  const text = await redis.get(key);
  return text !== null && goes(Object(jsonOf(text))) ? Number(await redis.eval(REMOVE, 1, key, text)) : 0;
}

/** Of devices, those received before these moments, epoch ms; on a connection of its own. */
export async function forgetLast(url: SecretUrl, prefix: string, devices: ReadonlyMap<string, number>): Promise<void> {
  const redis = new Redis(url.reveal(), {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    connectionName: 'fixgate',
  });
  redis.on('error', () => {});
  try {
    await redis.connect();
    for (const [device, before] of devices)
      await removeLast(redis, `${prefix}last:${device}`, ({ received }) => !(Number(received ?? 0) >= before));
  } finally {
    redis.disconnect();
  }
}
