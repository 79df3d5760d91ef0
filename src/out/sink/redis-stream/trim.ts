import type { Redis } from 'ioredis';

/** Entries of one step: Redis serves no other client meanwhile. */
const STEP = 10_000;

/** Removes entries of a stream that are older than this, by the clock of Redis, which gave them their ids. */
export async function trimByAge(redis: Redis, key: string, maxAgeMs: number): Promise<void> {
  const [seconds] = await redis.time();
  const oldest = `${Math.max(0, Number(seconds) * 1000 - maxAgeMs)}-0`;
  while ((await redis.xtrim(key, 'MINID', '~', oldest, 'LIMIT', STEP)) > 0);
  await redis.xtrim(key, 'MINID', oldest);
}
