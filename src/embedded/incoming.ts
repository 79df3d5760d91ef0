/**
 * What a request asks for: its statement as text, and its rows, if it brings any, as a file.
 *
 * Rows never sit in memory: they go to `<directory>/incoming/` as they arrive. The files belong to one request each,
 * are removed with it, and whatever a crash left there is removed at the next start.
 */

import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib';
import { type Exception, exception } from './exception.ts';
import { type InsertStatement, type Normalise, splitInsert } from './statement.ts';

/** How far into a body the head of an INSERT is looked for. */
const HEAD_BYTES = 64 * 1024;

export interface Incoming {
  readonly text: string;
  /** Set when rows follow `text`; they are in `file`. */
  readonly insert: InsertStatement | null;
  readonly file: string;
  /** Query parameters and settings that came in a form instead of the URL. */
  readonly form: FormData | null;
}

/** A request that is answered with an exception instead of being run. */
export class Refusal extends Error {
  readonly exception: Exception;

  constructor(refused: Exception) {
    super(refused.text);
    this.exception = refused;
  }
}

export interface BodyLimits {
  readonly queryBytes: number;
  readonly insertBytes: number;
}

/** Creates the folder for rows on their way in, empty. */
export async function prepareIncoming(directory: string): Promise<string> {
  const folder = join(directory, 'incoming');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (const name of await readdir(folder)) await rm(join(folder, name), { force: true, recursive: true });
  return folder;
}

/**
 * Reads one request. The caller removes `file` when it is not ''.
 * @throws Refusal when the body is too large or its encoding is unknown.
 */
export async function receive(
  request: IncomingMessage,
  urlQuery: string,
  folder: string,
  limits: BodyLimits,
  normalise: Normalise,
): Promise<Incoming> {
  const chunks = decoded(request)[Symbol.asyncIterator]();
  if (urlQuery !== '') {
    const split = await splitInsert(urlQuery, normalise);
    if (split !== null) {
      const first = Buffer.from(urlQuery.slice(split.dataAt));
      return { text: urlQuery, insert: split.insert, file: await store(first, chunks, folder, limits.insertBytes), form: null };
    }
  }

  const head = await gather(chunks, Buffer.alloc(0), HEAD_BYTES);
  if (urlQuery === '') {
    // One byte a character, so that offsets hold and rows in a binary format do no harm.
    const split = await splitInsert(head.toString('latin1'), (query) => normalise(Buffer.from(query, 'latin1').toString('utf8')));
    if (split !== null) {
      const file = await store(head.subarray(split.dataAt), chunks, folder, limits.insertBytes);
      return { text: head.toString('utf8', 0, split.dataAt), insert: split.insert, file, form: null };
    }
  }

  const body = await gather(chunks, head, limits.queryBytes + 1);
  if (body.length > limits.queryBytes) throw new Refusal(exception(307, 'TOO_MANY_BYTES', `A query may have ${limits.queryBytes} bytes`));
  const type = request.headers['content-type'] ?? '';
  if (type.startsWith('multipart/form-data')) {
    const form = await formOf(body, type);
    const text = form.get('query');
    return { text: urlQuery !== '' ? urlQuery : typeof text === 'string' ? text : '', insert: null, file: '', form };
  }
  const text = body.toString('utf8');
  return { text: urlQuery === '' ? text : text === '' ? urlQuery : `${urlQuery}\n${text}`, insert: null, file: '', form: null };
}

async function formOf(body: Buffer<ArrayBuffer>, type: string): Promise<FormData> {
  try {
    return await new Response(body, { headers: { 'content-type': type } }).formData();
  } catch {
    throw new Refusal(exception(36, 'BAD_ARGUMENTS', 'The form could not be read'));
  }
}

function decoded(request: IncomingMessage): Readable {
  const encoding = request.headers['content-encoding'] ?? '';
  if (encoding === '' || encoding === 'identity') return request;
  const decoder =
    encoding === 'gzip'
      ? createGunzip()
      : encoding === 'deflate'
        ? createInflate()
        : encoding === 'br'
          ? createBrotliDecompress()
          : encoding === 'zstd'
            ? createZstdDecompress()
            : null;
  if (decoder === null) throw new Refusal(exception(89, 'UNKNOWN_COMPRESSION_METHOD', `Unknown Content-Encoding ${encoding.slice(0, 32)}`));
  // `pipe` alone would leave the decoder waiting for ever when the client goes away.
  request.on('error', (error) => decoder.destroy(error));
  // A reader gets the error from its read; a refused body has no reader, and its error must not end the process.
  decoder.on('error', () => {});
  return request.pipe(decoder);
}

type Chunks = AsyncIterator<unknown>;

async function nextChunk(chunks: Chunks): Promise<Buffer<ArrayBuffer> | null> {
  let step: IteratorResult<unknown>;
  try {
    step = await chunks.next();
  } catch (error) {
    throw new Refusal(exception(354, 'ZLIB_INFLATE_FAILED', `The request body could not be read: ${String(error)}`));
  }
  if (step.done === true) return null;
  return step.value instanceof Uint8Array ? Buffer.from(step.value) : Buffer.alloc(0);
}

/** The beginning of the body, at least `enough` bytes if it has that many. */
async function gather(chunks: Chunks, start: Buffer<ArrayBuffer>, enough: number): Promise<Buffer<ArrayBuffer>> {
  const parts = [start];
  let length = start.length;
  while (length < enough) {
    const chunk = await nextChunk(chunks);
    if (chunk === null) break;
    parts.push(chunk);
    length += chunk.length;
  }
  return Buffer.concat(parts);
}

async function store(first: Buffer, chunks: Chunks, folder: string, limit: number): Promise<string> {
  const path = join(folder, randomUUID());
  let file: FileHandle | null = null;
  let stored = false;
  try {
    file = await open(path, 'wx', 0o600);
    let length = 0;
    for (let chunk: Buffer | null = first; chunk !== null; chunk = await nextChunk(chunks)) {
      length += chunk.length;
      if (length > limit) throw new Refusal(exception(307, 'TOO_MANY_BYTES', `The rows of one INSERT may have ${limit} bytes`));
      for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten;
    }
    stored = true;
    return path;
  } finally {
    await file?.close();
    if (!stored) await rm(path, { force: true });
  }
}
