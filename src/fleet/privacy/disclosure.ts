import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { commandsOf, type ExportOptions, ownCommands, seenOf } from './export.ts';
import type { RowSpan, StoredRows } from './stored-rows.ts';
import type { Subject } from './subjects.ts';
import { linesOf, zipOf } from './zip.ts';

/**
 * What is kept of a device, or of all devices of an account, of a period: a zip of NDJSON files for an authority (docs/audit.md).
 *
 * 1. It has what was measured in the period, frames by their receipt. Of an account it has what was received while the device was the
 *    account's, and names no other owner.
 * 2. The same data gives the same files. Last comes `manifest.json`, with the SHA-256 of each and whose request it was: it alone differs.
 * 3. It is made while it is read: memory is one page of one table, and the ids of the devices.
 */
type Options = Omit<ExportOptions, 'shadow' | 'audit'>;
type Rows = AsyncGenerator<readonly object[]>;

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
