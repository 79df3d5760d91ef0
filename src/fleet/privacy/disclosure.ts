import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { entries } from '../../state/pages.ts';
import type { StateStore } from '../../state/store.ts';
import { DEVICES } from '../registry/device.ts';
import { OWNERS, type Period, periodsOf, Share } from '../registry/owners.ts';
import { commandsOf, type ExportOptions, ownCommands, seenOf } from './export.ts';
import type { RowSpan, StoredRows } from './stored-rows.ts';
import { linesOf, zipOf } from './zip.ts';

/**
 * What is kept of a device, or of all devices of an account, of a period: a zip of NDJSON files for an authority (docs/audit.md).
 *
 * 1. It has what was measured in the period, frames by their receipt. Of an account it has what was received while the device was the
 *    account's, and names no other owner.
 * 2. The same data gives the same files. Last comes `manifest.json`, with the SHA-256 of each and whose request it was: it alone differs.
 * 3. It is made while it is read: memory is one page of one table, and the ids of the devices.
 */
export interface Subject {
  readonly id: string;
  /** Its own and its aliases. */
  readonly ids: readonly string[];
  /** Undefined: whosever it was. */
  readonly share: Share | undefined;
  /** Times of owners that overlap the period. */
  readonly periods: readonly Period[];
}

type Options = Omit<ExportOptions, 'shadow'>;
type Rows = AsyncGenerator<readonly object[]>;

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
    found.push({ id, ids: [id, ...(record?.aliases ?? [])], share, periods });
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

/** `head`: what the manifest says beside the files. Rejects with AppError when ClickHouse does not answer. */
export async function disclose(options: Options, subjects: readonly Subject[], span: RowSpan, head: object): Promise<Readable> {
  const rows = options.rows();
  await rows.columns('positions').catch(async (error: unknown) => {
    await rows.close();
    throw error;
  });
  const table =
    (name: string) =>
    ({ ids, share }: Subject): Rows =>
      seenOf(rows.pages(name, ids, span), share);
  const parts: Record<string, (subject: Subject) => Rows> = {
    async *owners({ id, periods }) {
      yield periods.map((period) => ({ device: id, ...period }));
    },
    positions: table('positions'),
    statuses: table('statuses'),
    events: (subject) => eventsOf(rows, subject, span),
    commands: async function* ({ ids, share }) {
      for await (const page of commandsOf(options.ledger, ids, share))
        yield page.filter(({ created }) => created >= span.from && created < span.to);
    },
    frames: table('raw'),
  };
  const made: object[] = [];
  const files: Record<string, () => AsyncGenerator<string>> = {};
  for (const [part, of] of Object.entries(parts))
    files[`${part}.ndjson`] = () => hashed(`${part}.ndjson`, linesOf(each(subjects, of)), (file) => made.push(file));
  files['manifest.json'] = async function* () {
    yield `${JSON.stringify({ ...head, files: made }, null, 2)}\n`;
  };
  return zipOf(files, options.now(), () => rows.close());
}

async function* each(subjects: readonly Subject[], of: (subject: Subject) => Rows): Rows {
  for (const subject of subjects) yield* of(subject);
}

/** What became of commands is the account's only if it was when they were given: of a device that was passed on all is read. */
async function* eventsOf(rows: StoredRows, { ids, share }: Subject, { from, to }: RowSpan): Rows {
  const since = share === undefined || share.since === 0 ? from : 0;
  for await (const page of ownCommands(seenOf(rows.events(ids, { from: since, to }), share), share))
    yield page.filter((event) => Number(Reflect.get(event, 'time')) >= from);
}

async function* hashed(name: string, texts: AsyncGenerator<string>, done: (file: object) => void): AsyncGenerator<string> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const text of texts) {
    hash.update(text);
    bytes += Buffer.byteLength(text);
    yield text;
  }
  done({ name, bytes, sha256: hash.digest('hex') });
}
