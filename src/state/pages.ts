import type { Found, StateStore, Table } from './store.ts';

/**
 * Tables of the state store, read to their end in pages: the only loop over `list`.
 *
 * 1. In memory there is one page, however long the table is; between two pages the event loop gets a turn.
 * 2. An entry that is there all the time comes once. One that is put or removed meanwhile may come or not.
 * 3. Rejects as the store does: what was yielded before is then not the whole.
 */
const PAGE = 1_000;

export interface PageOptions {
  /** Only keys that begin with this. */
  readonly prefix?: string | undefined;
  /** Only keys behind this one. */
  readonly after?: string | undefined;
  /** Entries read at once, 1000. */
  readonly size?: number | undefined;
}

/** The entries of a table as `[key, value]`, by rising key. */
export async function* entries(
  store: Pick<StateStore, 'list'>,
  table: Table,
  options: PageOptions = {},
): AsyncGenerator<readonly [key: string, value: string]> {
  for await (const page of pages(store, table, options)) for (const { key, value } of page) yield [key, value];
}

/** The same a page at a time, for callers that work on many at once. No page is empty. */
export function pages(store: Pick<StateStore, 'list'>, table: Table, options: PageOptions = {}): AsyncGenerator<readonly Found[]> {
  const { prefix = '', after, size = PAGE } = options;
  return paged((from, limit) => store.list(table, { prefix, limit, ...(from === undefined ? {} : { after: from }) }), after, size);
}

/** Pages of anything that is listed by rising key: `list` gives at most `limit` entries behind `from`, fewer only at the end. */
export async function* paged(
  list: (from: string | undefined, limit: number) => Promise<readonly Found[]>,
  after?: string,
  size = PAGE,
): AsyncGenerator<readonly Found[]> {
  for (let from = after; ; ) {
    const page = await list(from, size);
    const last = page.at(-1);
    if (last === undefined) return;
    yield page;
    if (page.length < size) return;
    from = last.key;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
