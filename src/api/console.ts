import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { problem } from './problem.ts';

/**
 * The pages of the console: built files, read once, each under its own name; nothing is looked up in the file system for a request.
 *
 * 1. Every answer has the headers that keep a page of this origin to this origin: no script, style, frame or form from elsewhere.
 * 2. A checkout builds the pages after its first start: until then every path of theirs answers 503, and `/` with a page that says so and
 *    loads itself again. What an open page asks for is never said to be missing while it may come.
 */
const HEADERS = {
  'content-security-policy':
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; require-trusted-types-for 'script'; trusted-types default",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
};
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
};
/** Its name changes with its content. */
const IMMUTABLE = 'public, max-age=31536000, immutable';
const WAIT_SCRIPT = '/wait.js';
/** A build takes some seconds. */
export const RETRY_S = 2;

interface PageFile {
  readonly type: string;
  readonly bytes: Buffer;
  /** Compressed by brotli; absent for what does not get smaller. */
  readonly br: Buffer | undefined;
}

/** Paths that it answers, for the list of those that there are. */
export const CONSOLE_PATHS = ['/', '/icon.svg', '/licences.txt', WAIT_SCRIPT, '/assets/{file}'];

export class Console {
  /** By path. */
  #files: ReadonlyMap<string, PageFile> = new Map();
  #missing = 'The console is being built';
  #remedy = 'This page loads itself again.';
  #isAwaited = true;

  /** Takes what `web/build.ts` has made there. Rejects when a file cannot be read: what was there before stays. */
  async load(directory: string): Promise<void> {
    const files = new Map<string, PageFile>();
    const names = new Set(await readdir(directory, { recursive: true, encoding: 'utf8' }));
    for (const name of names) {
      const type = TYPES[extname(name)];
      if (type === undefined) continue;
      const path = join(directory, name);
      const br = names.has(`${name}.br`) ? await readFile(`${path}.br`) : undefined;
      files.set(name === 'index.html' ? '/' : `/${name}`, { type, bytes: await readFile(path), br });
    }
    this.#files = files;
    this.#isAwaited = false;
  }

  /** There are no pages, and none will come. */
  abandon(why: string, remedy: string): void {
    this.#missing = why;
    this.#remedy = remedy;
    this.#isAwaited = false;
  }

  serve(server: FastifyInstance): void {
    for (const path of CONSOLE_PATHS)
      server.get(path.replace('{file}', ':file'), (request, reply) => this.#answer(request, reply.headers(HEADERS)));
  }

  #answer(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    const path = request.url.split('?')[0] ?? '';
    const file = this.#files.get(path);
    if (file === undefined) {
      if (path === WAIT_SCRIPT) return reply.type(TYPES['.js'] ?? '').send('setTimeout(() => location.reload(), 700);\n');
      if (this.#isAwaited) reply.header('retry-after', RETRY_S);
      if (path === '/')
        return reply
          .code(this.#isAwaited ? 503 : 200)
          .type(TYPES['.html'] ?? '')
          .header('cache-control', 'no-store')
          .send(this.#waitPage());
      if (this.#isAwaited) return problem(reply, 503, this.#missing);
      return problem(reply, 404, `not found: ${request.method} ${path}`);
    }
    reply.type(file.type).header('cache-control', path.startsWith('/assets/') ? IMMUTABLE : 'no-cache');
    if (file.br === undefined) return reply.send(file.bytes);
    reply.header('vary', 'accept-encoding');
    const takesBrotli = /\bbr\b/.test(String(request.headers['accept-encoding'] ?? ''));
    return takesBrotli ? reply.header('content-encoding', 'br').send(file.br) : reply.send(file.bytes);
  }

  /** Invariant 2. */
  #waitPage(): string {
    const again = this.#isAwaited ? `<script src="${WAIT_SCRIPT}"></script>` : '';
    return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Fixgate</title><link rel="icon" href="data:,">${again}
<h1>${this.#missing}</h1><p>${this.#remedy} The API is described at <a href="/docs">/docs</a>.</p></html>
`;
  }
}
