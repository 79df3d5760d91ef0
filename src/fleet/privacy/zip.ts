import { Readable } from 'node:stream';
import { ZipFile } from 'yazl';

/**
 * A zip that is made while it is read. (One of its own would be 200 lines, with its 64-bit sizes: yazl is small, streams, and does what
 * readers of zip files expect.) Each file is opened when the one before it is complete; one that cannot be read breaks the zip off.
 *
 * `now`: time of the files, epoch ms. `done`: called once at the end, also when the reader has gone.
 */
export function zipOf(files: Readonly<Record<string, () => AsyncGenerator<string>>>, now: number, done: () => Promise<void>): Readable {
  const zip = new ZipFile();
  const out = zip.outputStream;
  if (!(out instanceof Readable)) throw new TypeError('yazl gives no stream of this version of Node');
  let reading: Readable | undefined;
  const fail = (error: Error): void => void out.destroy(error);
  zip.on('error', fail);
  for (const [name, open] of Object.entries(files))
    zip.addReadStreamLazy(name, { mtime: new Date(now), mode: 0o100600 }, (take) => {
      const source = Readable.from(open());
      source.on('error', fail);
      reading = source;
      take(null, source);
    });
  zip.end();
  out.on('close', () => {
    // Also when the reader has gone: nothing more is read for it.
    reading?.destroy();
    void done();
  });
  return out;
}

/** NDJSON, a page at a time. */
export async function* linesOf(rows: AsyncIterable<readonly object[]>): AsyncGenerator<string> {
  for await (const page of rows) if (page.length > 0) yield page.map((one) => `${JSON.stringify(one)}\n`).join('');
}
