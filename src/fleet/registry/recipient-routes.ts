import type { Log } from '../../base/log.ts';
import { followKeys } from '../../state/follow.ts';
import type { StateStore } from '../../state/store.ts';
import { ACCOUNTS } from './account.ts';
import { OWNERS, type Period, Share } from './owners.ts';
import { RECIPIENTS } from './recipient.ts';

/**
 * Which records are passed on to which recipients, for the process that delivers.
 *
 * 1. As it is in the state store when a batch begins to be delivered: a consent that was withdrawn before a record was received passes that
 *    record on no more, in any process. That costs a look at one row for each batch, and nothing while there is no recipient.
 * 2. What was received before a consent was given, or before its recipient was there, is not passed on.
 * 3. The account of its own records needs no consent.
 */
interface Route {
  readonly recipient: string;
  readonly since: number;
  /** Absent: everything. */
  readonly fields?: ReadonlySet<string> | undefined;
}

/** Columns of what is to be delivered. */
interface Columns {
  readonly device: readonly string[];
  readonly account: readonly string[];
}

const NOTHING: readonly Route[] = [];
/** Devices of which it is remembered whose they were. */
const MOST_OWNED = 500_000;

export class RecipientRoutes {
  ids: readonly string[] = [];
  readonly #store: StateStore;
  readonly #unfollow: () => void;
  /** By account. */
  #routes = new Map<string, readonly Route[]>();
  /** Whose devices are; the periods of those that were passed on, none of one whose periods cannot be read. */
  readonly #owned = new Map<string, { readonly account: string; readonly periods?: readonly Period[] }>();
  #isDue = true;
  #changes: string | undefined;

  constructor(store: StateStore, log: Log) {
    this.#store = store;
    this.#unfollow = followKeys(
      store,
      ['recipient_changes', 'owners'],
      (table, key) => {
        if (table === 'recipient_changes') this.#isDue = true;
        else if (key === undefined) this.#owned.clear();
        else this.#owned.delete(key);
      },
      log,
    );
  }

  async passing({ rows, events }: { readonly rows: Columns; readonly events: Columns }) {
    if (!this.#isDue && this.ids.length === 0) return undefined;
    const changes = await this.#store.get('recipient_changes', 'all');
    if (this.#isDue || changes !== this.#changes) await this.#read(changes);
    if (this.ids.length === 0) return undefined;
    await this.#lookUpOwners([rows, events]);
    return {
      routes: (account: string): readonly Route[] => this.#routes.get(account) ?? NOTHING,
      owns: (account: string, device: string, received: number, measured: number): boolean => {
        const periods = this.#owned.get(device)?.periods;
        return periods === undefined || new Share(device, periods, new Set([account])).sees(account, received, measured);
      },
    };
  }

  stop(): void {
    this.#unfollow();
  }

  /** `changes` was read before the rows: they are not older. */
  async #read(changes: string | undefined): Promise<void> {
    this.#isDue = false;
    try {
      const routes = new Map<string, Route[]>();
      const add = (account: string, route: Route): void => void routes.set(account, [...(routes.get(account) ?? []), route]);
      const byPurpose = new Map<string, { id: string; since: number }[]>();
      const ids: string[] = [];
      for await (const [, { id, purpose, account, since }] of RECIPIENTS.entries(this.#store)) {
        ids.push(id);
        if (account !== undefined) add(account, { recipient: id, since });
        if (purpose !== undefined) byPurpose.set(purpose, [...(byPurpose.get(purpose) ?? []), { id, since }]);
      }
      if (byPurpose.size > 0)
        for await (const [account, { consents }] of ACCOUNTS.entries(this.#store))
          for (const [purpose, { fields, since }] of Object.entries(consents))
            for (const recipient of byPurpose.get(purpose) ?? [])
              add(account, {
                recipient: recipient.id,
                since: Math.max(since, recipient.since),
                fields: fields.includes('all') ? undefined : new Set(fields),
              });
      this.#routes = routes;
      this.ids = ids;
      this.#changes = changes;
    } catch (error) {
      this.#isDue = true;
      throw error;
    }
  }

  async #lookUpOwners(columns: readonly Columns[]): Promise<void> {
    if (this.#owned.size > MOST_OWNED) this.#owned.clear();
    const unknown = new Map<string, string>();
    for (const { device, account } of columns)
      for (const [i, id] of device.entries()) {
        const owner = account[i] ?? '';
        // One that was passed on just now is looked up again.
        if (id !== '' && this.#routes.has(owner) && this.#owned.get(id)?.account !== owner) unknown.set(id, owner);
      }
    await Promise.all(
      Array.from(unknown, async ([id, account]) => {
        const text = await this.#store.get('owners', id);
        const periods = text === undefined ? undefined : (OWNERS.read(text) ?? []);
        const last = periods?.at(-1);
        this.#owned.set(id, periods === undefined || periods.length === 1 ? { account } : { account: last?.account ?? '', periods });
      }),
    );
  }
}
