import { mkdir } from 'node:fs/promises';
import type { Log } from '../log.ts';
import type { SecretUrl } from '../secret.ts';
import { LmdbStore } from './lmdb.ts';
import type { ProfileStore } from './profile.ts';
import { RedisStore } from './redis.ts';
import type { StateStore } from './store.ts';

export interface StateOptions {
  /** Of Redis; undefined: lmdb in `directory`. */
  readonly url: SecretUrl | undefined;
  readonly prefix: string;
  readonly directory: string;
  readonly log: Log;
}

/** Opens the configured store. Throws AppError DATA_DIR_UNUSABLE; a Redis that does not answer is waited for by each call. */
export async function openState(options: StateOptions): Promise<StateStore & ProfileStore> {
  const { url, prefix, directory, log } = options;
  if (url !== undefined) return new RedisStore({ url, prefix, log });
  await mkdir(directory, { recursive: true });
  return new LmdbStore({ directory, log });
}
