import { z } from 'zod';
import { attempt, CONTENDED } from '../../state/attempt.ts';
import type { Op, StateStore } from '../../state/store.ts';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';
import { accountId, purpose } from './account.ts';

/**
 * Who gets records in a stream of its own (docs/accounts.md): those of an account, as that account itself, or those of all accounts that
 * consent to a purpose. The tables `recipients`, by id, and `recipient_changes`.
 *
 * 1. A write that changes what is passed on, of a recipient or of a consent, counts in `recipient_changes`: who delivers reads that one row to
 *    know that nothing has changed.
 */
export const recipientId = z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'must be 1 to 64 lower-case letters, digits, - and _');

/** Each record may go to so many more streams. */
const MOST_WITH_PURPOSE = 100;

const given = {
  purpose: purpose.optional().describe('of the consents by which it gets records'),
  account: accountId.optional().describe('whose own records it gets; instead of `purpose`'),
  name: z.string().max(200).default('').describe('for people'),
};
export const newRecipientSchema = z
  .strictObject(given)
  .refine(({ purpose: of, account }) => (of === undefined) !== (account === undefined), {
    path: ['purpose'],
    message: 'give either `purpose` or `account`',
  })
  .describe('recipient');
export const recipientSchema = z
  .strictObject({
    id: recipientId,
    ...given,
    since: z.int().min(0).meta({ format: 'epoch-ms' }).describe('epoch ms; what was received before is not passed on'),
    by: z.string().describe('the token that asked'),
  })
  .describe('recipient');
export type Recipient = z.infer<typeof recipientSchema>;

export const RECIPIENTS = new TypedTable<Recipient>({ name: 'recipients', key: byId, parse: rowsOf(recipientSchema) });

/** Invariant 1. */
export const ROUTES_CHANGE: Op = { table: 'recipient_changes', key: 'all', add: { changes: 1 } };

export type RecipientChange =
  | { readonly recipient: Recipient; readonly before: Recipient | undefined }
  | { readonly refused: 'unknown' | 'many' };

export interface RecipientRecordsOptions {
  readonly store: StateStore;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  /** Journals an event; '' for one of no device. */
  readonly record: (device: string, event: object) => void;
}

export class RecipientRecords {
  readonly #o: RecipientRecordsOptions;

  constructor(options: RecipientRecordsOptions) {
    this.#o = options;
  }

  async list(): Promise<Recipient[]> {
    const found: Recipient[] = [];
    for await (const [, recipient] of RECIPIENTS.entries(this.#o.store)) found.push(recipient);
    return found;
  }

  /** Makes it, or changes it: it then gets what is received from now on, unless only its name is another. */
  put(id: string, wanted: z.infer<typeof newRecipientSchema>, by: string): Promise<RecipientChange> {
    return attempt(`the recipient ${id}`, async (): Promise<RecipientChange | typeof CONTENDED> => {
      const { store, now, record } = this.#o;
      const changes = await store.get('recipient_changes', 'all');
      const text = await store.get('recipients', id);
      const before = RECIPIENTS.parse(id, text);
      const isSame = before !== undefined && before.purpose === wanted.purpose && before.account === wanted.account;
      const recipient: Recipient = { id, ...wanted, since: isSame ? before.since : now(), by };
      if (wanted.purpose !== undefined) {
        const others = (await this.list()).filter((one) => one.purpose !== undefined && one.id !== id);
        if (others.length >= MOST_WITH_PURPOSE) return { refused: 'many' };
      }
      // What was counted is still so.
      const counted: Op = { table: 'recipient_changes', key: 'all', expect: changes };
      if (!(await store.write([RECIPIENTS.expect(text, id), counted, RECIPIENTS.put(recipient, id), ROUTES_CHANGE]))) return CONTENDED;
      const { purpose: of, account } = recipient;
      const whose = of === undefined ? { account } : { purpose: of };
      if (!isSame) record('', { type: 'recipient_set', recipient: id, ...whose, by });
      return { recipient, before };
    });
  }

  remove(id: string, by: string): Promise<RecipientChange> {
    return attempt(`the recipient ${id}`, async (): Promise<RecipientChange | typeof CONTENDED> => {
      const { store, record } = this.#o;
      const text = await store.get('recipients', id);
      const before = RECIPIENTS.parse(id, text);
      if (before === undefined) return { refused: 'unknown' };
      if (!(await store.write([RECIPIENTS.expect(text, id), RECIPIENTS.remove(id), ROUTES_CHANGE]))) return CONTENDED;
      record('', { type: 'recipient_removed', recipient: id, by });
      return { recipient: before, before };
    });
  }
}
