import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { messageOf } from '../base/errors.ts';

/** A script for Redis, from a file of `lua/`. Redis is sent its text once, and its digest from then on. */
export class Script {
  readonly #text: string;
  readonly #sha: string;

  /** `name`: of the file, without `.lua`. */
  constructor(name: string) {
    this.#text = readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8');
    this.#sha = createHash('sha1').update(this.#text).digest('hex');
  }

  /** `keys`: every key that the script touches. Rejects as Redis does. */
  async run(redis: Redis, keys: readonly string[], values: readonly (string | number)[]): Promise<unknown> {
    try {
      return await redis.evalsha(this.#sha, keys.length, ...keys, ...values);
    } catch (error) {
      // Nothing has been done: Redis does not have it yet, or was restarted.
      if (!messageOf(error).startsWith('NOSCRIPT')) throw error;
      return await redis.eval(this.#text, keys.length, ...keys, ...values);
    }
  }
}
