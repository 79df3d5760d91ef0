import type { Readable } from 'node:stream';
import { jsonOf } from '../../base/json.ts';
import { pages } from '../../state/pages.ts';
import type { StateStore } from '../../state/store.ts';
import type { Command } from '../command/command.ts';
import type { Ledger } from '../command/ledger.ts';
import type { Shadow } from '../command/shadow.ts';
import { testsOf } from '../installation/test-records.ts';
import { casesOf } from '../registry/cases.ts';
import { Share } from '../registry/owners.ts';
import { UNITS, unitsOf } from '../registry/units.ts';
import type { StoredRows } from './stored-rows.ts';
import type { Subject } from './subjects.ts';
import { linesOf, zipOf } from './zip.ts';

/**
 * Everything that is kept of a device, or of all devices of an account in its time, as a zip of NDJSON files: for the person whose vehicle it
 * is, and for the customer.
 *
 * 1. It is made while it is read: memory is one page of one table, however long the history is, and the ids of the devices.
 * 2. What cannot be read is an error before the first byte, or breaks the file off: it never ends early and whole.
 * 3. With a share it has what is the share's and names no other owner: of the audit what was done in its time, without addresses and values.
 */
export interface ExportOptions {
  /** Opened for each export, and closed behind it. */
  readonly rows: () => StoredRows;
  readonly store: StateStore;
  readonly ledger: Pick<Ledger, 'open' | 'unknown' | 'finished'>;
  readonly shadow: Pick<Shadow, 'get'>;
  /** Entries of the audit, newest first. */
  readonly audit: (of: { readonly device: string } | { readonly account: string }) => AsyncGenerator<readonly AuditEntry[]>;
  /** Wall clock, epoch ms: the time of the files. */
  readonly now: () => number;
}

interface AuditEntry {
  readonly type: string;
  readonly time: number;
  readonly account: string;
}

type Pages = AsyncGenerator<readonly object[]>;

const TABLES = ['positions', 'statuses', 'usage'];
const PAGE = 500;

/** Rejects with AppError when ClickHouse does not answer. */
export async function exportDevice(options: ExportOptions, subject: Subject): Promise<Readable> {
  const rows = await readable(options);
  const { share, ids } = subject;
  const audit = async function* (): Pages {
    for (const device of ids) for await (const page of options.audit({ device })) yield ownEntries(page, share);
  };
  return zipped(options, rows, { ...(await partsOf(options, rows, [subject])), audit });
}

/** `account`: what is kept of it. Rejects with AppError when ClickHouse does not answer. */
export async function exportAccount(
  options: ExportOptions,
  account: { readonly id: string; readonly [field: string]: unknown },
  subjects: readonly Subject[],
): Promise<Readable> {
  const rows = await readable(options);
  const only = new Share('', [{ account: account.id, from: 0 }], new Set([account.id]));
  return zipped(options, rows, {
    async *account() {
      yield [account];
    },
    ...(await partsOf(options, rows, subjects)),
    async *audit() {
      for await (const page of options.audit({ account: account.id })) yield ownEntries(page, only);
    },
  });
}

async function readable(options: ExportOptions): Promise<StoredRows> {
  const rows = options.rows();
  await rows.columns('positions').catch(async (error: unknown) => {
    await rows.close();
    throw error;
  });
  return rows;
}

function zipped(options: ExportOptions, rows: StoredRows, files: Readonly<Record<string, () => Pages>>): Readable {
  const named = Object.entries(files).map(([name, open]) => [`${name}.ndjson`, () => linesOf(open())] as const);
  return zipOf(Object.fromEntries(named), options.now(), () => rows.close());
}

/** What is kept of devices, file by file. */
async function partsOf(
  { store, ledger, shadow }: ExportOptions,
  rows: StoredRows,
  subjects: readonly Subject[],
): Promise<Record<string, () => Pages>> {
  const parts: Record<string, (subject: Subject) => Pages> = {
    async *device({ device, share }) {
      yield device === undefined || share?.isCurrent === false ? [] : [device];
    },
    async *owners({ id, periods, share }) {
      const own = periods.filter(({ account }) => share?.accounts.has(account) !== false);
      yield own.map((period) => ({ device: id, ...period }));
    },
    async *units({ id, device, share }) {
      const units = await UNITS.get(store, id);
      const known = device === undefined ? (units?.periods ?? []) : unitsOf(units, device);
      yield known.filter((one) => overlaps(one, share)).map((one) => ({ device: id, ...one }));
    },
    ...Object.fromEntries(TABLES.map((table) => [table, ({ ids, share }: Subject) => seenOf(rows.pages(table, ids), share)])),
    events: ({ ids, share }) => ownCommands(seenOf(rows.events(ids), share), share),
    frames: ({ ids, share }) => seenOf(rows.pages('raw', ids), share),
    cycles: ({ ids, share }) => cyclesOf(store, ids, share?.since ?? 0),
    statements: ({ ids, share }) => statementsOf(store, ids, share),
    commands: ({ ids, share }) => commandsOf(ledger, ids, share),
    async *tests({ ids, share }) {
      for (const one of ids) yield (await testsOf(store, one)).filter(({ started }) => share?.sees('', started) !== false);
    },
    async *cases({ ids, share }) {
      for (const one of ids) yield (await casesOf(store, one)).filter(({ started }) => share?.sees('', started) !== false);
    },
    async *settings({ ids, share }) {
      if (share?.isCurrent !== false) for (const one of ids) yield [{ device: one, ...(await shadow.get(one)) }];
    },
  };
  return Object.fromEntries(
    Object.entries(parts).map(([name, part]) => [
      name,
      async function* (): Pages {
        for (const subject of subjects) yield* part(subject);
      },
    ]),
  );
}

function overlaps(
  { from, to = Number.POSITIVE_INFINITY }: { readonly from: number; readonly to?: number | undefined },
  share?: Share,
): boolean {
  return share?.spans.some((span) => from < span.to && to > span.measured) !== false;
}

/** Invariant 3. */
function ownEntries(page: readonly AuditEntry[], share: Share | undefined): readonly object[] {
  if (share === undefined) return page;
  return page
    .filter(({ type, account, time }) => type !== 'refused' && account !== '' && share.sees(account, time))
    .map((entry) => Object.fromEntries(Object.entries(entry).filter(([name]) => !['address', 'request', 'old', 'new'].includes(name))));
}

/** Frozen ones. */
async function* statementsOf(store: StateStore, ids: readonly string[], share: Share | undefined): Pages {
  for (const id of ids)
    for await (const page of pages(store, 'statements', { prefix: `${id} `, size: PAGE }))
      yield page
        .map(({ value }) => objectOf(value))
        .filter((frozen) => share === undefined || isOwn(Object(Reflect.get(frozen, 'statement')), share));
}

/** One of before a cycle was divided among its accounts has usage of them all. */
function isOwn({ account, start, end, owned }: Record<string, unknown>, { accounts, spans }: Share): boolean {
  if (!accounts.has(String(account))) return false;
  return owned !== undefined || spans.some((span) => span.measured <= Number(start) && span.to >= Number(end));
}

/** What the ledger has. */
export async function* commandsOf(
  ledger: ExportOptions['ledger'],
  ids: readonly string[],
  share: Share | undefined,
): AsyncGenerator<Command[]> {
  for (const one of ids) {
    const all = [...(await ledger.finished(one)), ...(await ledger.unknown(one)), ...(await ledger.open(one))];
    yield all.filter(({ created }) => share?.sees('', created) !== false);
  }
}

/** Rows of the database that may be shown. */
export async function* seenOf(pagesOf: AsyncGenerator<readonly object[]>, share: Share | undefined): AsyncGenerator<readonly object[]> {
  for await (const page of pagesOf)
    yield share === undefined
      ? page
      : page.filter((row) => {
          const { account = '', time, received = time }: Record<string, unknown> = { ...row };
          return share.sees(String(account), Number(received), Number(time));
        });
}

/** Without what became of commands that are not among the rows from their beginning: they are of who had the device before. */
export async function* ownCommands(
  pagesOf: AsyncGenerator<readonly object[]>,
  share: Share | undefined,
): AsyncGenerator<readonly object[]> {
  const own = new Set<unknown>();
  for await (const page of pagesOf)
    yield share === undefined || share.since === 0
      ? page
      : page.filter((event) => {
          const { type, data }: { type?: unknown; data?: unknown } = event;
          const { id, state }: { id?: unknown; state?: unknown } = Object(data);
          if (type === 'command' && state === 'queued') own.add(id);
          return type !== 'command' || own.has(id);
        });
}

/** What was counted in each billing cycle. */
async function* cyclesOf(store: StateStore, ids: readonly string[], since: number): AsyncGenerator<object[]> {
  for (const id of ids)
    for await (const page of pages(store, 'usage', { prefix: `${id} `, size: PAGE }))
      yield page
        .map(({ key, value }) => ({ device: id, start: Number(key.slice(id.length + 1)), ...objectOf(value) }))
        .filter(({ start }) => start >= since);
}

function objectOf(text: string): object {
  const value = jsonOf(text);
  return typeof value === 'object' && value !== null ? value : {};
}
