import { systemClock } from '../../base/clock.ts';
import type { Log } from '../../base/log.ts';
import { followKeys } from '../../state/follow.ts';
import type { StateStore } from '../../state/store.ts';
import { type Command, commandKey, isPending, isWithheld } from './command.ts';
import type { Ledger } from './ledger.ts';

/**
 * Requests that wait for the end of a command, in the supervisor.
 *
 * 1. They look when the ledger has changed, by whichever process, and when their time is over.
 * 2. What a device with privacy relay has replied is in no table. The worker that heard it reports it, and it is kept in memory for
 *    those who wait, `HELD_MS` at most: a program that asks again and again is between two requests sometimes.
 */
const HELD_MS = 10_000;
const MOST_HELD = 1_000;
/** The worker's report may come behind the change of the ledger. */
const REPORT_MS = 5_000;
const TABLES = ['commands', 'unknown', 'finished'] as const;

/** What a device has said to a command. */
export interface Reply {
  readonly reply: string;
  readonly values: Command['values'];
}

export class Waiting {
  readonly #ledger: Ledger;
  readonly #store: Pick<StateStore, 'watch'>;
  readonly #log: Log;
  /** By key of the command. */
  readonly #woken = new Map<string, Set<() => void>>();
  readonly #held = new Map<string, Reply>();
  #unwatch: () => void = () => {};

  constructor(ledger: Ledger, store: Pick<StateStore, 'watch'>, log: Log) {
    this.#ledger = ledger;
    this.#store = store;
    this.#log = log;
  }

  /** The command when it has ended or is unknown, or as it is after `waitMs`. */
  async settled(device: string, id: string, waitMs: number): Promise<Command | undefined> {
    const key = commandKey(device, id);
    const until = systemClock.elapsed() + waitMs;
    for (;;) {
      const change = this.#change(key, until);
      const found = await this.#ledger.get(device, id);
      const isOver = found === undefined || !isPending(found) || systemClock.elapsed() >= until;
      if (isOver) change.forget();
      if (isOver) return found !== undefined && waitMs > 0 && isWithheld(found) ? this.#withReply(found, key) : found;
      await change.happened;
    }
  }

  /** A worker has brought a command to an end; `reply`: where the ledger may not have it. */
  ended(device: string, id: string, reply: Reply | undefined): void {
    const key = commandKey(device, id);
    if (reply !== undefined && this.#held.size < MOST_HELD) {
      this.#held.set(key, reply);
      setTimeout(() => this.#held.delete(key), HELD_MS).unref();
    }
    this.#wake(key);
  }

  /** Invariant 2. */
  async #withReply(found: Command, key: string): Promise<Command> {
    const late = systemClock.elapsed() + found.ended + REPORT_MS - systemClock.now();
    // The ledger may announce its change more than once before the report comes.
    while (!this.#held.has(key) && systemClock.elapsed() < late) await this.#change(key, late).happened;
    return { ...found, ...this.#held.get(key) };
  }

  /** The next change of a command, or `until`, by the monotonic clock. */
  #change(key: string, until: number): { readonly happened: Promise<void>; forget(): void } {
    if (this.#woken.size === 0) this.#unwatch = followKeys(this.#store, TABLES, (_, changed) => this.#wake(changed), this.#log);
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiters = this.#woken.get(key) ?? new Set();
    this.#woken.set(key, waiters.add(resolve));
    const late = setTimeout(resolve, Math.max(0, until - systemClock.elapsed()));
    const forget = (): void => {
      clearTimeout(late);
      waiters.delete(resolve);
      if (waiters.size > 0 || this.#woken.get(key) !== waiters) return;
      this.#woken.delete(key);
      if (this.#woken.size === 0) this.#unwatch();
    };
    return { happened: promise.finally(forget), forget };
  }

  /** Undefined: any command may have changed. */
  #wake(key: string | undefined): void {
    const some = key === undefined ? [...this.#woken.values()] : [this.#woken.get(key) ?? []];
    for (const waiters of some) for (const resolve of waiters) resolve();
  }
}
