import { entries } from '../../state/pages.ts';
import type { StateStore } from '../../state/store.ts';
import { DEVICES, type Device } from '../registry/device.ts';
import { OWNERS, type Period, periodsOf, Share } from '../registry/owners.ts';
import type { RowSpan } from './stored-rows.ts';

/** A device whose data is exported, disclosed or erased. */
export interface Subject {
  readonly id: string;
  /** Its own and its aliases. */
  readonly ids: readonly string[];
  /** Undefined: it has no record. */
  readonly device: Device | undefined;
  /** Undefined: whosever it was. */
  readonly share: Share | undefined;
  /** Times of owners that overlap the period. */
  readonly periods: readonly Period[];
}

export const ALWAYS: RowSpan = { from: 0, to: Number.POSITIVE_INFINITY };

/** The device, or each that the account had in the period. `device`: its own id, also where it has no record. */
export async function subjectsOf(
  store: Pick<StateStore, 'get' | 'list'>,
  { device, account }: { readonly device?: string | undefined; readonly account?: string | undefined },
  span: RowSpan,
): Promise<Subject[]> {
  const ids = device === undefined ? await ownedBy(store, account ?? '') : [device];
  const found: Subject[] = [];
  for (const id of ids) {
    const record = await DEVICES.get(store, id);
    const all = periodsOf(await OWNERS.get(store, id), record);
    const share = account === undefined ? undefined : new Share(id, all, new Set([account]));
    if (share?.spans.some(({ measured, to }) => measured < span.to && to > span.from) === false) continue;
    const periods = all.filter(
      ({ account: of, from, to = Number.POSITIVE_INFINITY }) =>
        from < span.to && to > span.from && (account === undefined || of === account),
    );
    found.push({ id, ids: [id, ...(record?.aliases ?? [])], device: record, share, periods });
  }
  return found;
}

/** Ids of devices that are or were the account's, by rising id. Rejects when a row cannot be read: nothing is left out unseen. */
async function ownedBy(store: Pick<StateStore, 'get' | 'list'>, account: string): Promise<string[]> {
  const found = new Set<string>();
  for await (const [id, text] of entries(store, 'owners'))
    if (OWNERS.parse(id, text)?.some((period) => period.account === account) === true) found.add(id);
  for await (const [id, text] of entries(store, 'devices')) if (DEVICES.parse(id, text)?.account === account) found.add(id);
  return [...found].sort();
}
