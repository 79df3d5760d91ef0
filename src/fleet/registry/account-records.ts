import { isDeepStrictEqual } from 'node:util';
import { attempt, CONTENDED } from '../../state/attempt.ts';
import type { Op, StateStore } from '../../state/store.ts';
import { ACCOUNT_STEPS, ACCOUNTS, type Account, type AccountPatch, accountSchema, type newAccountSchema, withStep } from './account.ts';
import { ROUTES_CHANGE } from './recipient.ts';

/**
 * The accounts and how they change, in the supervisor; every change is an event of no device.
 *
 * 1. The state of an account stands in its own record: no device is written, so what a device was by itself it still is afterwards.
 *    How it has changed is noted in the same write: what that means for the services of its devices follows from it (`fleet/plan/service.ts`).
 * 2. A closed account is opened again only by who says so.
 * 3. A consent and its mark for those who deliver (`recipient.ts`) are one write.
 */
export interface AccountRecordsOptions {
  readonly store: StateStore;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  /** Journals an event; '' for one of no device. */
  readonly record: (device: string, event: object) => void;
}

/** What a change came to. */
export type AccountChange =
  | { readonly account: Account; readonly before: Account | undefined }
  | { readonly refused: 'unknown' | 'exists' | 'closed' };

interface Made {
  readonly account: Account;
  readonly event: object;
  /** The token whose change it is of the state. */
  readonly enters?: string;
  /** Written with it. */
  readonly ops?: readonly Op[];
}

export class AccountRecords {
  readonly #o: AccountRecordsOptions;

  constructor(options: AccountRecordsOptions) {
    this.#o = options;
  }

  get(id: string): Promise<Account | undefined> {
    return ACCOUNTS.get(this.#o.store, id);
  }

  /** By id, behind `after`. `next`: where the following page begins, when there may be one. */
  async list(
    after: string | undefined,
    limit: number,
    isWanted: (account: Account) => boolean,
  ): Promise<{ accounts: Account[]; next: string | undefined }> {
    const accounts: Account[] = [];
    for await (const [, account] of ACCOUNTS.entries(this.#o.store, { after })) {
      if (!isWanted(account)) continue;
      if (accounts.length >= limit) return { accounts, next: accounts.at(-1)?.id };
      accounts.push(account);
    }
    return { accounts, next: undefined };
  }

  create(given: typeof newAccountSchema._output, by: string): Promise<AccountChange> {
    const now = this.#o.now();
    return this.#change(given.id, (before) => {
      if (before !== undefined) return 'exists';
      return {
        account: { ...given, consents: {}, state: 'active', since: now, created: now },
        event: { type: 'account_created', account: given.id, by },
      };
    });
  }

  /** A field that is null gets its default. */
  patch(id: string, patch: AccountPatch, by: string): Promise<AccountChange> {
    return this.#change(id, (before) => {
      if (before === undefined) return 'unknown';
      const wanted = Object.entries({ ...before, ...patch }).filter(([, value]) => value !== null && value !== undefined);
      const account = accountSchema.parse(Object.fromEntries(wanted));
      const fields = Object.keys(patch).filter((name) => !isDeepStrictEqual(Reflect.get(before, name), Reflect.get(account, name)));
      return { account, event: { type: 'account_changed', account: id, fields, by } };
    });
  }

  suspend(id: string, reason: string, by: string): Promise<AccountChange> {
    return this.#enter(id, by, 'account_suspended', (before) =>
      before.state === 'closed' ? 'closed' : { ...before, state: 'suspended', reason },
    );
  }

  resume(id: string, reason: string | undefined, reopen: boolean, by: string): Promise<AccountChange> {
    return this.#enter(id, by, 'account_resumed', ({ reason: _, ending_since, ...before }) => {
      if (before.state === 'closed' && !reopen) return 'closed';
      return { ...before, state: 'active', ...(reason === undefined ? {} : { reason }) };
    });
  }

  /** `cycle_end`: each of its devices is served to the end of its cycle. */
  close(id: string, reason: string, at: 'now' | 'cycle_end', by: string): Promise<AccountChange> {
    const now = this.#o.now();
    return this.#enter(id, by, at === 'now' ? 'account_closed' : 'account_ending', ({ ending_since = now, ...before }) => {
      if (before.state === 'closed') return at === 'now' ? before : 'closed';
      return at === 'now' ? { ...before, state: 'closed', reason } : { ...before, reason, ending_since };
    });
  }

  /** Gives a consent, or changes what it is for; without fields it is withdrawn. */
  consent(id: string, purpose: string, fields: readonly string[] | undefined, by: string): Promise<AccountChange> {
    return this.#change(id, (before) => {
      if (before === undefined) return 'unknown';
      const { [purpose]: known, ...others } = before.consents;
      const since = known?.since ?? this.#o.now();
      const consents = fields === undefined ? others : { ...others, [purpose]: { fields: [...new Set(fields)], since } };
      const type = fields === undefined ? 'consent_withdrawn' : 'consent_given';
      const event = { type, account: id, purpose, ...(fields === undefined ? {} : { fields }), by };
      return { account: { ...before, consents }, event, ops: [ROUTES_CHANGE] };
    });
  }

  #enter(id: string, by: string, type: string, change: (before: Account) => Account | 'closed'): Promise<AccountChange> {
    return this.#change(id, (before) => {
      if (before === undefined) return 'unknown';
      const after = change(before);
      if (after === 'closed') return after;
      const { state, reason } = after;
      const account = { ...after, since: state === before.state ? before.since : this.#o.now() };
      return { account, event: { type, account: id, ...(reason === undefined ? {} : { reason }), by }, enters: by };
    });
  }

  async #change(id: string, make: (before: Account | undefined) => Made | 'unknown' | 'exists' | 'closed'): Promise<AccountChange> {
    const { store, record } = this.#o;
    return attempt(`the account "${id}"`, async (): Promise<AccountChange | typeof CONTENDED> => {
      const text = await store.get('accounts', id);
      const before = ACCOUNTS.parse(id, text);
      const made = make(before);
      if (typeof made === 'string') return { refused: made };
      const { account, event, enters, ops: more = [] } = made;
      if (isDeepStrictEqual(before, account)) return { account, before };
      const ops: Op[] = [ACCOUNTS.expect(text, id), ACCOUNTS.put(account, id), ...more];
      if (before !== undefined && enters !== undefined) ops.push(...(await this.#steps(before, account, enters)));
      if (!(await store.write(ops))) return CONTENDED;
      record('', event);
      return { account, before };
    });
  }

  async #steps(before: Account, after: Account, by: string): Promise<Op[]> {
    const { store, now } = this.#o;
    const text = await store.get('account_steps', after.id);
    const steps = withStep(ACCOUNT_STEPS.parse(after.id, text), before, after, { at: now(), by });
    return steps === undefined ? [] : [ACCOUNT_STEPS.expect(text, after.id), ACCOUNT_STEPS.put(steps, after.id)];
  }
}
