import { jsonOf } from '../base/json.ts';

/**
 * The state store (docs/state.md): what is known about devices, plans, usage and commands, shared by all processes of a
 * server. Two implementations, lmdb for one machine and Redis for many, pass one suite of tests.
 *
 * 1. A write is all or nothing, and is on disk (lmdb) or answered by the server (Redis) when its promise resolves. One that is
 *    only to be visible resolves earlier: it survives the death of any process, and a power cut may take it.
 * 2. Expectations are checked and changes made in one step: no other write comes between.
 * 3. A change by any process reaches every watcher within a second, at least once; several changes of a key may arrive as one.
 * 4. A process killed at any moment leaves what was written before, and no lock.
 */

/** Names of the tables. A key is 1 to 200 bytes of printable ASCII without spaces at its ends; a value is text, JSON by custom. */
export const TABLES = [
  /** Device id → device record. */
  'devices',
  /** Alias → device id. */
  'aliases',
  /** Account id → account. */
  'accounts',
  /** Account id → how its state has changed, and which token did that. */
  'account_steps',
  /** Recipient id → recipient of records. */
  'recipients',
  /** `all` → counter `changes`: writes that change what is passed on to recipients. */
  'recipient_changes',
  /** Device id → whose it was, and when. */
  'owners',
  /** Device id → which hardware was in it, and when. */
  'units',
  /** Id of hardware that was taken out of a device and is in none → out of which, and when. */
  'former_units',
  /** Plan name → plan. */
  'plans',
  /** Plan name → counter `joined`: writes that put devices on it. Removing a plan depends on it; it outlives the plan. */
  'plan_joins',
  /** Device id → steps of its plan that hold. */
  'policies',
  /** Device id → `roaming` or `home`, as it was said last. */
  'territory',
  /** Device id → since when it is silent, as it was told. */
  'silent',
  /** Device id → start of the last cycle of which it was told that a cap was passed, epoch ms. */
  'excess',
  /** Device id → what it has said of its SIM card, firmware and model. */
  'unit_facts',
  /** Device id → since when its service is in which state, and what of that is still to be announced. */
  'service',
  /** `<device> <cycle start, epoch ms>` → sums of a billing cycle, as counters. */
  'usage',
  /** `<device> <cycle start, epoch ms>` → frozen statement of the cycle. */
  'statements',
  /** SHA-256 of an account's name, hex → number and hash of its newest statement. */
  'statement_heads',
  /** Keys of `statements` that are still to be copied to ClickHouse. */
  'statement_copies',
  /** `<consumer> <slot>` → how far something that reads the journal into this store has come. */
  'cursors',
  /** `<device> <command id>` → command that is still open. */
  'commands',
  /** The same of critical commands that have left and of which nothing more is known. */
  'unknown',
  /** The same of commands that have ended. */
  'finished',
  /** Campaign id → campaign. */
  'campaigns',
  /** `<campaign id> <device>` → what has become of it there. */
  'campaign_devices',
  /** Device id → id of the command that was handed in last: it orders those who hand in at once. */
  'submitted',
  /** `<device> <start, epoch ms>` → case of recovery. */
  'cases',
  /** `<device> <test id>` → installation test. */
  'tests',
  /** Device id → networks that it has used, and whether sessions contradict each other. */
  'standing',
  /** Device id → desired, reported and pending settings. */
  'settings',
  /** Unknown device id → counters and samples. */
  'quarantine',
  /** SHA-256 of the form and id of a text message, hex → that it has come. */
  'texts',
  /** Device id → that its data was erased, up to when, and how far that is. */
  'erasures',
  /** Device id or alias → that its data must be kept. */
  'holds',
  /** Device id or alias → that rows which were kept long enough are being removed, and up to when usage was. */
  'retained',
  /** SHA-256 of a bearer token, hex → its name and scopes. */
  'tokens',
  /** SHA-256 of a code for signing in, hex → what the session that it makes may do. */
  'codes',
  /** SHA-256 of the bearer token of a session, hex → who it is, and how long. */
  'sessions',
] as const;
export type Table = (typeof TABLES)[number];
/** Room for tables in lmdb, with its own two, and those of versions to come. */
export const MOST_TABLES = 128;

/** One step of a write. */
export type Op =
  | { readonly table: Table; readonly key: string; readonly put: string }
  | { readonly table: Table; readonly key: string; readonly remove: true }
  /** The write happens only if the value is this one (undefined: the key is not there). */
  | { readonly table: Table; readonly key: string; readonly expect: string | undefined }
  /**
   * Adds to the fields of a counter record, `{"bytes_in":123,…}`, made when it is not there. Whole numbers up to 2^53 - 1 stay
   * exact.
   */
  | { readonly table: Table; readonly key: string; readonly add: Readonly<Record<string, number>> };

export interface Found {
  readonly key: string;
  readonly value: string;
}

/** Told of a changed key; undefined: any key of the table may have changed. */
export type Changed = (table: Table, key: string | undefined) => void;

export interface StateStore {
  /** Does a look-up that fails mean that the store is away, and will answer again? Otherwise it is damaged. */
  readonly mayBeAway: boolean;
  /**
   * Calls `found` once, before it returns where the answer is at hand (lmdb), else later; undefined when there is none or it cannot
   * be read, and then `readable` is false. For the byte path: never throws.
   */
  find(table: Table, key: string, found: (value: string | undefined, readable: boolean) => void): void;
  get(table: Table, key: string): Promise<string | undefined>;
  /**
   * Entries whose key begins with `prefix` and comes behind `after`, in byte order, as of one moment: `limit` of them, fewer only at the
   * end of the table. Use `pages.ts` to read a whole table.
   */
  list(table: Table, page: { readonly prefix?: string; readonly after?: string; readonly limit: number }): Promise<Found[]>;
  /** False when an expectation did not hold; then nothing has changed. `until`: what the promise waits for, the disk by default. */
  write(ops: readonly Op[], until?: 'visible'): Promise<boolean>;
  /**
   * Puts what `change` makes of the current value (undefined: not there, or to be removed), trying again if another write came
   * between: `change` may be called several times and has no effects of its own. Returns the new value. Rejects with AppError
   * STATE_BUSY after many tries (`attempt.ts`).
   */
  update(table: Table, key: string, change: (value: string | undefined) => string | undefined): Promise<string | undefined>;
  /** Calls `changed` after each change, by this process or another. Returns how to end that. */
  watch(changed: Changed): () => void;
  /** Why the store may lose records without a removal, with the remedy; '' when it stays. Absent: it always does. */
  concern?(): Promise<string>;
  /** Commits what waits. */
  close(): Promise<void>;
}

/** What a counter record becomes by adding; `before` is its text, undefined when it is not there. */
export function added(before: string | undefined, add: Readonly<Record<string, number>>): string {
  const sums: Record<string, number> = { ...counters(before) };
  for (const [name, value] of Object.entries(add)) sums[name] = (sums[name] ?? 0) + value;
  return JSON.stringify(sums);
}

/** The fields of a counter record; none if the text is not one. */
export function counters(text: string | undefined): Record<string, number> {
  const value: unknown = jsonOf(text);
  const found: Record<string, number> = {};
  if (typeof value === 'object' && value !== null)
    for (const [name, sum] of Object.entries(value)) if (typeof sum === 'number') found[name] = sum;
  return found;
}
