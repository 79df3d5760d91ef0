import type { Readable } from 'node:stream';
import { jsonOf } from '../../base/json.ts';
import { pages } from '../../state/pages.ts';
import type { StateStore } from '../../state/store.ts';
import type { Command } from '../command/command.ts';
import type { Ledger } from '../command/ledger.ts';
import type { Shadow } from '../command/shadow.ts';
import { testsOf } from '../installation/test-records.ts';
import { casesOf } from '../registry/cases.ts';
import type { Device } from '../registry/device.ts';
import type { Share } from '../registry/owners.ts';
import type { StoredRows } from './stored-rows.ts';
import { linesOf, zipOf } from './zip.ts';

/**
 * Everything that is kept of a device, as a zip of NDJSON files: for the person whose vehicle it is.
 *
 * 1. It is made while it is read: memory is one page of one table, however long the history is.
 * 2. What cannot be read is an error before the first byte, or breaks the file off: it never ends early and whole.
 */
export interface ExportOptions {
  /** Opened for each export, and closed behind it. */
  readonly rows: () => StoredRows;
  readonly store: StateStore;
  readonly ledger: Pick<Ledger, 'open' | 'unknown' | 'finished'>;
  readonly shadow: Pick<Shadow, 'get'>;
  /** Wall clock, epoch ms: the time of the files. */
  readonly now: () => number;
}

const TABLES = ['positions', 'statuses', 'usage'];
const PAGE = 500;

/** `device` undefined: it has no record. `share`: only what it may show. Rejects with AppError when ClickHouse does not answer. */
export async function exportDevice(options: ExportOptions, id: string, device: Device | undefined, share?: Share): Promise<Readable> {
  const ids = device === undefined ? [id] : [device.id, ...device.aliases];
  const { store, ledger, shadow } = options;
  const rows = options.rows();
  await rows.columns('positions').catch(async (error: unknown) => {
    await rows.close();
    throw error;
  });
  const files: Record<string, () => AsyncGenerator<readonly object[]>> = {
    device: async function* () {
      yield device === undefined || share?.isCurrent === false ? [] : [device];
    },
    ...Object.fromEntries(TABLES.map((table) => [table, () => seenOf(rows.pages(table, ids), share)])),
    events: () => ownCommands(seenOf(rows.events(ids), share), share),
    cycles: () => cyclesOf(store, ids, share?.since ?? 0),
    commands: () => commandsOf(ledger, ids, share),
    tests: async function* () {
      for (const one of ids) yield (await testsOf(store, one)).filter(({ started }) => share?.sees('', started) !== false);
    },
    cases: async function* () {
      for (const one of ids) yield (await casesOf(store, one)).filter(({ started }) => share?.sees('', started) !== false);
    },
    settings: async function* () {
      if (share?.isCurrent !== false) for (const one of ids) yield [{ device: one, ...(await shadow.get(one)) }];
    },
  };
  const named = Object.entries(files).map(([name, open]) => [`${name}.ndjson`, () => linesOf(open())] as const);
  return zipOf(Object.fromEntries(named), options.now(), () => rows.close());
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
