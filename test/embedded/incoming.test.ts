import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Refusal, receive } from '../../src/embedded/incoming.ts';
import { until } from '../support/wait.ts';

const LIMITS = { queryBytes: 1000, insertBytes: 100_000 };
/** These statements are in their normal form already: the engine's parser has tests of its own. */
const asWritten = async (text: string): Promise<string> => text;
let folder = '';
let server: Server;
let url = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fixgate-incoming-'));
  server = createServer((request, response) => {
    const query = new URL(request.url ?? '/', 'http://localhost').searchParams.get('query') ?? '';
    receive(request, query, folder, LIMITS, asWritten).then(
      async ({ text, insert, file }) => {
        const rows = file === '' ? null : await readFile(file, 'base64');
        await rm(file, { force: true });
        response.end(JSON.stringify({ text, target: insert?.target, rows }));
      },
      (error: unknown) => {
        response.statusCode = 500;
        response.end(error instanceof Refusal ? String(error.exception.code) : String(error));
        request.resume();
      },
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
});

afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

async function send(body: Uint8Array<ArrayBuffer> | string, query = '', headers: Record<string, string> = {}): Promise<string> {
  const response = await fetch(`${url}/?query=${encodeURIComponent(query)}`, { method: 'POST', body, headers });
  return response.text();
}

const ROWS = Uint8Array.from({ length: 90_000 }, (_, i) => (i * 7919) & 0xff);

it('invariant 4: rows go to a file, byte for byte, wherever the statement stands and however they are packed', async () => {
  const rows = Buffer.from(ROWS).toString('base64');
  const statement = 'INSERT INTO `tä` FORMAT RowBinary';
  expect(JSON.parse(await send(ROWS, statement))).toMatchObject({ target: 'INSERT INTO `tä`', rows });
  expect(JSON.parse(await send(new Uint8Array(gzipSync(ROWS)), statement, { 'content-encoding': 'gzip' }))).toMatchObject({ rows });
  const joined = Buffer.concat([Buffer.from(`${statement}\n`), ROWS]);
  expect(JSON.parse(await send(new Uint8Array(joined)))).toMatchObject({ target: 'INSERT INTO `tä`', rows });
});

it('invariant 4: has limits, also for what a small body unpacks to, and leaves no file behind', async () => {
  const statement = 'INSERT INTO t FORMAT CSV';
  expect(await send(new Uint8Array(100_001), statement)).toBe('307');
  expect(await send(new Uint8Array(gzipSync(Buffer.alloc(5_000_000))), statement, { 'content-encoding': 'gzip' })).toBe('307');
  expect(await send(new Uint8Array(gzipSync(ROWS).subarray(0, 500)), statement, { 'content-encoding': 'gzip' })).toBe('354');
  expect(await send('1', statement, { 'content-encoding': 'lzma' })).toBe('89');
  expect(await send(`SELECT ${'1'.repeat(1000)}`)).toBe('307');
  expect(await readdir(folder)).toEqual([]);
});

it('a body that ends too early, before anybody has begun to read it, is refused and ends nothing else', async () => {
  const cut = new Uint8Array(gzipSync(ROWS).subarray(0, 500));
  const answers = Array.from({ length: 200 }, () => send(cut, 'INSERT INTO t FORMAT CSV', { 'content-encoding': 'gzip' }));
  expect(new Set(await Promise.all(answers))).toEqual(new Set(['354']));
  expect(await readdir(folder)).toEqual([]);
});

it('a client that goes away in the middle leaves no file behind', async () => {
  for (const encoding of ['identity', 'gzip']) {
    const abandon = new AbortController();
    const body = new ReadableStream({
      async pull(controller) {
        controller.enqueue(encoding === 'gzip' ? new Uint8Array(gzipSync(ROWS).subarray(0, 9000)) : ROWS.subarray(0, 9000));
        await until(async () => (await readdir(folder)).length > 0);
        abandon.abort();
      },
    });
    const target = `${url}/?query=${encodeURIComponent('INSERT INTO t FORMAT CSV')}`;
    const init = { method: 'POST', body, duplex: 'half' as const, headers: { 'content-encoding': encoding }, signal: abandon.signal };
    await expect(fetch(target, init)).rejects.toThrow();
    await until(async () => (await readdir(folder)).length === 0);
  }
});
