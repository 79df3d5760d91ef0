import { systemClock } from '../clock.ts';
import { type Owner, OwnerReader } from './owner.ts';

/**
 * What each process of a server knows of who owns the data directory.
 *
 * 1. `sure` says that the record was seen to be this server's at most SURE_MS ago, by the monotonic clock. It costs no call
 *    to the system.
 * 2. While the record cannot be read, nothing is sure: what depends on it waits. It can be read without a free descriptor.
 * 3. The record of another server is final: `lost` is called once, and nothing that waits goes on.
 * 4. While no write and no answer asks, the record is looked at each REST_MS: the first one that asks then waits for a look.
 */
export interface TenureOptions {
  readonly directory: string;
  /** Of this server's record. */
  readonly random: string;
  /** Must end the process. */
  lost(owner: Owner): void;
  readonly lookMs?: number | undefined;
  readonly restMs?: number | undefined;
  readonly sureMs?: number | undefined;
}

const SURE_MS = 1000;
const LOOK_MS = 400;
const REST_MS = 2_000;
const RETRY_MS = 50;

export class Tenure {
  readonly #o: TenureOptions;
  readonly #sureMs: number;
  readonly #reader: OwnerReader;
  readonly #lookMs: number;
  readonly #restMs: number;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** `sure` was asked for since the last look. */
  #asked = false;
  #seenAt = Number.NEGATIVE_INFINITY;
  #lost = false;
  #looking: Promise<void> | null = null;

  constructor(options: TenureOptions) {
    this.#o = options;
    this.#reader = new OwnerReader(options.directory);
    this.#sureMs = options.sureMs ?? SURE_MS;
    this.#lookMs = options.lookMs ?? LOOK_MS;
    this.#restMs = Math.max(this.#lookMs, options.restMs ?? REST_MS);
    this.#next();
  }

  get sure(): boolean {
    this.#asked = true;
    return systemClock.elapsed() - this.#seenAt <= this.#sureMs;
  }

  /** Resolves when it is sure; never, when the directory has another owner. */
  async confirm(): Promise<void> {
    while (!this.sure) {
      await this.#look();
      if (this.#lost) await new Promise(() => {});
      if (!this.sure) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    void Promise.resolve(this.#looking).then(() => this.#reader.close());
  }

  #look(): Promise<void> {
    this.#looking ??= this.#read().finally(() => {
      this.#looking = null;
      this.#next();
    });
    return this.#looking;
  }

  /** Sets the time of the next look, from the end of this one. */
  #next(): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.#look(), this.#asked ? this.#lookMs : this.#restMs).unref();
    this.#asked = false;
  }

  async #read(): Promise<void> {
    const began = systemClock.elapsed();
    const found = await this.#reader.read().catch(() => null);
    if (this.#lost || found === null || found.owner === null) return;
    if (found.owner.random === this.#o.random) {
      this.#seenAt = began;
      return;
    }
    this.#lost = true;
    this.#seenAt = Number.NEGATIVE_INFINITY;
    this.stop();
    this.#o.lost(found.owner);
  }
}
