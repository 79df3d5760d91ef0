import type { Redis } from 'ioredis';

/** Policies under which Redis, short of memory, removes keys that have no expiry: all of ours. */
const EVICTS_ALL = /^allkeys-/;

/**
 * Why what a Redis holds for us may go, with the remedy; '' when it stays, and when Redis does not tell. Rejects when it does not
 * answer.
 */
export async function evictionConcern(redis: Redis): Promise<string> {
  const policy = /^maxmemory_policy:(\S+)/m.exec(await redis.info('memory'))?.[1] ?? '';
  return EVICTS_ALL.test(policy)
    ? `Redis may evict what is kept in it (maxmemory-policy ${policy}): set maxmemory-policy to noeviction, or to a volatile-* policy`
    : '';
}
