import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../src/base/log.ts';
import { secretUrl } from '../../src/base/secret.ts';
import { openState } from '../../src/state/open.ts';
import type { ProfileStore } from '../../src/state/profile.ts';
import type { StateStore } from '../../src/state/store.ts';
import { RedisServer } from '../ship/rig.ts';

/** Both state stores for the tests of one file, with what they leave behind removed. */
export class Stores {
  redis: RedisServer | undefined;
  #directory = '';
  readonly #opened: StateStore[] = [];

  async start(): Promise<void> {
    this.redis = await RedisServer.start('--appendonly', 'yes');
  }

  async stop(): Promise<void> {
    await this.redis?.stop();
  }

  /** As another process would; the same data until `clear`. */
  async open(kind: 'lmdb' | 'redis'): Promise<StateStore & ProfileStore> {
    if (this.#directory === '') this.#directory = mkdtempSync(join(tmpdir(), 'fixgate-registry-'));
    const url = kind === 'redis' ? (this.redis?.url ?? '') : '';
    const store = await openState({ url: secretUrl(url), prefix: 'test:', directory: this.#directory, log: silentLog });
    this.#opened.push(store);
    return store;
  }

  async clear(): Promise<void> {
    for (const store of this.#opened.splice(0)) await store.close();
    if (this.#directory !== '') rmSync(this.#directory, { recursive: true, maxRetries: 20, retryDelay: 50 });
    this.#directory = '';
    const client = this.redis?.client();
    await client?.flushall();
    client?.disconnect();
  }
}
