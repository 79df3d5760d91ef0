import { Redis } from 'ioredis';
import { AppError, messageOf } from '../base/errors.ts';
import type { SecretUrl } from '../base/secret.ts';
import { evictionConcern } from '../state/eviction.ts';
import type { Config } from './schema.ts';

const CONNECT_MS = 5_000;

/** Asks every configured Redis whether it keeps what is given to it. Throws AppError CONFIG_INVALID that names every option at fault. */
export async function checkRedis({ redis, state }: Config): Promise<void> {
  const problems: string[] = [];
  for (const [key, url] of [
    ['redis.url', redis.url],
    ['state.url', state.url],
  ] as const) {
    const problem = url === undefined ? '' : await problemOf(url);
    if (problem !== '') problems.push(`${key}: ${problem}`);
  }
  if (problems.length > 0) throw new AppError('CONFIG_INVALID', problems.join('; '));
}

async function problemOf(url: SecretUrl): Promise<string> {
  const client = new Redis(url.reveal(), {
    lazyConnect: true,
    retryStrategy: () => null,
    connectTimeout: CONNECT_MS,
    commandTimeout: CONNECT_MS,
  });
  let reason: unknown;
  client.on('error', (error) => {
    reason ??= error;
  });
  try {
    await client.connect();
    return await evictionConcern(client);
  } catch (error) {
    return `Redis cannot be asked: ${messageOf(reason ?? error)}`;
  } finally {
    client.disconnect();
  }
}
