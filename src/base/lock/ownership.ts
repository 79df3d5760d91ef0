import { randomBytes } from 'node:crypto';
import { messageOf } from '../errors.ts';
import type { Log } from '../log.ts';
import { acquire, inUse, type LockOptions } from './lock.ts';
import { describe, isHere, newOwner, type Owner, readOwner, timeNow, writeOwner } from './owner.ts';
import { Tenure } from './tenure.ts';

/**
 * The data directory in the hands of one server.
 *
 * 1. It is taken before anything in it is read, recovered or cut.
 * 2. While it is held, its record is renewed every RENEW_MS, and never over the record of another.
 * 3. Where a lock says nothing about the last holder (no locks on this file system, or a holder on another machine, whose
 *    locks this one may not see), the directory is taken only when its record has not moved for SETTLE_MS.
 * 4. A server that finds the record of another ends: `tenure.ts`.
 */
export interface OwnershipOptions extends LockOptions {
  readonly waitMs: number;
  readonly log: Log;
  /** Another server has the directory: nothing in it may be touched any more. */
  lost(owner: Owner): void;
  readonly settleMs?: number | undefined;
  readonly renewMs?: number | undefined;
}

const SETTLE_MS = 10_000;
const RENEW_MS = 2_000;
/** Looks at a record that must not move. */
const LOOKS = 20;

export class Ownership {
  readonly tenure: Tenure;
  readonly #directory: string;
  readonly #release: () => void;
  readonly #log: Log;
  readonly #timer: NodeJS.Timeout;
  #owner: Owner;
  #renewing: Promise<void> = Promise.resolve();
  #failing = false;

  private constructor(directory: string, owner: Owner, release: () => void, options: OwnershipOptions) {
    this.#directory = directory;
    this.#owner = owner;
    this.#release = release;
    this.#log = options.log;
    this.tenure = new Tenure({ directory, random: owner.random, lost: options.lost });
    this.#timer = setInterval(() => void this.#renew(), options.renewMs ?? RENEW_MS);
    this.#timer.unref();
  }

  /** Rejects with AppError DATA_DIR_UNUSABLE, which names the holder. */
  static async take(directory: string, options: OwnershipOptions): Promise<Ownership> {
    const { waitMs, settleMs = SETTLE_MS, renewMs = RENEW_MS, log } = options;
    const { works, release } = await acquire(directory, waitMs, options);
    try {
      await settled(directory, works, settleMs, log);
      const owner = newOwner(randomBytes(8).toString('hex'), null);
      await writeOwner(directory, owner);
      if (!works) {
        // Another that started at the same moment may have written its own: one of the two stands.
        await new Promise((resolve) => setTimeout(resolve, renewMs));
        const found = (await readOwner(directory))?.owner ?? null;
        if (found?.random !== owner.random) throw inUse(directory, found);
      }
      return new Ownership(directory, owner, release, options);
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Names this taking of the directory; children compare it. */
  get random(): string {
    return this.#owner.random;
  }

  /** Adds to the record what is known only now. */
  async name(instance: string): Promise<void> {
    this.#owner = { ...this.#owner, instance };
    await this.#renew();
  }

  /** Gives the directory back. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.tenure.stop();
    await this.#renewing;
    await this.#write({ ended: true });
    this.#release();
  }

  #renew(): Promise<void> {
    this.#renewing = this.#renewing.then(() => this.#write({ renewed: timeNow() }));
    return this.#renewing;
  }

  async #write(change: Partial<Owner>): Promise<void> {
    this.#owner = { ...this.#owner, ...change };
    const { random } = this.#owner;
    try {
      // The tenure finds out about another owner.
      await writeOwner(this.#directory, this.#owner, ({ owner }) => owner !== null && owner.random !== random);
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) this.#log.warn({ error: messageOf(error) }, 'the owner record of the data directory cannot be renewed');
      this.#failing = true;
    }
  }
}

/** Resolves when the last holder is certainly gone; rejects when it moves. */
async function settled(directory: string, works: boolean, settleMs: number, log: Log): Promise<void> {
  const before = await readOwner(directory);
  if (before === null || before.owner?.ended === true) return;
  // This machine's own lock is free: a holder that ran on it has ended.
  if (works && before.owner !== null && isHere(before.owner)) return;
  log.warn(
    { directory, waitMs: settleMs },
    `the data directory was not released${describe(before.owner)}: waiting to see whether that server still runs`,
  );
  for (let look = 0; look < LOOKS; look++) {
    await new Promise((resolve) => setTimeout(resolve, settleMs / LOOKS));
    const now = await readOwner(directory);
    if (now === null || now.owner?.ended === true) return;
    if (now.text !== before.text) throw inUse(directory, now.owner);
  }
}
