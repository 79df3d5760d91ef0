import type { Log } from '../../base/log.ts';
import { type Following, follow } from '../../state/follow.ts';
import type { StateStore } from '../../state/store.ts';
import { ACCOUNTS, type Account } from './account.ts';

/** What of an account decides how its devices are served. */
export type AccountState = Pick<Account, 'state' | 'ending_since'>;

/**
 * The accounts that are not simply active, in the memory of one worker. While the store cannot be read, what was known last holds. An
 * account without a record is active.
 */
export class AccountStates {
  /** Settles when they have been read once. */
  readonly ready: Promise<void>;
  readonly #following: Following;
  #special = new Map<string, AccountState>();

  /** `changed`: another treatment may be due for the devices of the account; undefined: of any. */
  constructor(store: StateStore, log: Log, changed: (account: string | undefined) => void) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#following = follow(
      store,
      ACCOUNTS,
      {
        all: (rows) => {
          this.#special = new Map([...rows].filter(([, row]) => isSpecial(row)));
          resolve();
          changed(undefined);
        },
        changed: (id, row) => {
          if (row !== undefined && isSpecial(row)) this.#special.set(id, row);
          else this.#special.delete(id);
          changed(id);
        },
      },
      log,
    );
  }

  /** Undefined: it is active. */
  of(account: string | undefined): AccountState | undefined {
    return account === undefined ? undefined : this.#special.get(account);
  }

  stop(): Promise<void> {
    return this.#following.stop();
  }
}

function isSpecial({ state, ending_since }: AccountState): boolean {
  return state !== 'active' || ending_since !== undefined;
}
