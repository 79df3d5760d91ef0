import { z } from 'zod';
import type { Op, StateStore } from '../../state/store.ts';
import { byId, rowsOf, TypedTable } from '../../state/table.ts';
import type { Device } from './device.ts';

/**
 * Whose a device was, and when (docs/accounts.md): the table `owners`, by device id. Times in epoch ms.
 *
 * 1. Periods are added at the end, and the last one is closed; nothing else of them changes, also when the device's record is removed and
 *    made again.
 * 2. A device of which none is noted, as of an earlier version, has been of its account since it was seen first.
 */
export const periodSchema = z
  .strictObject({
    account: z.string().describe("'' for none"),
    from: z.int().meta({ format: 'epoch-ms' }),
    to: z.int().meta({ format: 'epoch-ms' }).optional().describe('absent: it goes on'),
  })
  .describe('a time in which the device was of an account');
export type Period = z.infer<typeof periodSchema>;

export const OWNERS = new TypedTable<readonly Period[]>({ name: 'owners', key: byId, parse: rowsOf(z.array(periodSchema)) });

/** Invariant 2. */
export function periodsOf(noted: readonly Period[] | undefined, device: Device | undefined): readonly Period[] {
  if (noted !== undefined) return noted;
  return device === undefined ? [] : [{ account: device.account ?? '', from: device.first_seen ?? 0 }];
}

/** The periods after a change of the record; undefined when there is nothing to note. */
export function transferred(
  noted: readonly Period[] | undefined,
  before: Device | undefined,
  after: Device | undefined,
  now: number,
): readonly Period[] | undefined {
  const [old, next] = [accountOf(before), accountOf(after)];
  const periods = periodsOf(noted, before);
  if (old === next && (old !== undefined || periods.length === 0)) return undefined;
  const closed = periods.map((period) => (period.to === undefined ? { ...period, to: Math.max(period.from, now) } : period));
  const all = next === undefined ? closed : [...closed, { account: next, from: now }];
  return all.some(({ account }) => account !== '') ? all : undefined;
}

function accountOf(device: Device | undefined): string | undefined {
  return device === undefined ? undefined : (device.account ?? '');
}

/** What of a change of a record is written about whose the device is. What an account had set goes when the device leaves it. */
export async function ownedOps(
  store: Pick<StateStore, 'get'>,
  id: string,
  before: Device | undefined,
  after: Device | undefined,
  now: number,
): Promise<readonly Op[]> {
  if ((before?.account ?? '') === '' && (after?.account ?? '') === '') return [];
  const text = await store.get('owners', id);
  const periods = transferred(OWNERS.parse(id, text), before, after, now);
  if (periods === undefined) return [];
  const ops = [OWNERS.expect(text, id), OWNERS.put(periods, id)];
  if ((before?.account ?? '') === '') return ops;
  return [...ops, { table: 'settings', key: id, remove: true }, { table: 'unit_facts', key: id, remove: true }];
}

/** A time of which some accounts may see what was received, and measured not before `measured`. */
export interface Span {
  readonly from: number;
  /** Not itself; infinite while it goes on. */
  readonly to: number;
  /** 0: no account had the device before. */
  readonly measured: number;
}

/** The row of a device in the table `owners` as it was read: what follows from it is written on the condition that it is still this one. */
export interface Noted {
  readonly text: string | undefined;
}

/** Whose the device is has changed since. */
export async function isPassedOn(store: Pick<StateStore, 'get'>, device: string, owners: Noted | undefined): Promise<boolean> {
  return owners !== undefined && (await store.get(OWNERS.name, device)) !== owners.text;
}

export function stillOf(device: string, owners: Noted | undefined): readonly Op[] {
  return owners === undefined ? [] : [OWNERS.expect(owners.text, device)];
}

/** What of a device some accounts may see: what was received in their time. */
export class Share {
  readonly device: string;
  readonly accounts: ReadonlySet<string>;
  readonly spans: readonly Span[];
  /** It is theirs now. */
  readonly isCurrent: boolean;
  /** Where the periods are of. */
  readonly owners: Noted | undefined;

  constructor(device: string, periods: readonly Period[], accounts: ReadonlySet<string>, owners?: Noted) {
    this.device = device;
    this.accounts = accounts;
    this.owners = owners;
    this.spans = spansOf(periods, accounts);
    const last = periods.at(-1);
    this.isCurrent = last !== undefined && last.to === undefined && accounts.has(last.account);
  }

  /** What is kept of the device as it is now is theirs only if it is not from before this, epoch ms; 0: no account had it before. */
  get since(): number {
    return this.isCurrent ? (this.spans.at(-1)?.measured ?? 0) : Number.POSITIVE_INFINITY;
  }

  /** `account`: of the row, '' where it has none; `received`, `measured`: epoch ms. */
  sees(account: string, received: number, measured = received): boolean {
    if (account !== '' && !this.accounts.has(account)) return false;
    return this.spans.some((span) => received >= span.from && received < span.to && measured >= span.measured);
  }
}

/** Periods that follow each other are one span. */
function spansOf(periods: readonly Period[], accounts: ReadonlySet<string>): Span[] {
  const spans: Span[] = [];
  let isOpen = false;
  for (const [i, { account, from, to = Number.POSITIVE_INFINITY }] of periods.entries()) {
    if (!accounts.has(account)) {
      isOpen = false;
      continue;
    }
    const before = spans.at(-1);
    if (isOpen && before !== undefined && before.to >= from) spans[spans.length - 1] = { ...before, to };
    else spans.push({ from, to, measured: i === 0 ? 0 : from });
    isOpen = true;
  }
  return spans;
}
