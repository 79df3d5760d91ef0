import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { problem } from './problem.ts';

/**
 * Maps as PMTiles files, read by ranges: the one that is built with the console, `world`, and those that an operator puts into
 * `<dataDir>/maps`. Without a token: they say nothing about devices.
 */
const NAME = /^([a-z0-9_-]{1,64})\.pmtiles$/;
const WORLD = 'world';

export const MAPS_PATH = '/maps/{file}';

export class Maps {
  readonly #directory: string;
  #world: string | undefined;

  constructor(dataDir: string) {
    this.#directory = join(dataDir, 'maps');
  }

  /** The file that was built. */
  addWorld(path: string): void {
    this.#world = path;
  }

  serve(server: FastifyInstance): void {
    server.get('/maps/:file', (request, reply) => this.#answer(request, reply));
  }

  /** Only a name of the form that maps have reaches the file system. */
  #pathOf(file: string): string | undefined {
    const name = NAME.exec(file)?.[1];
    if (name === undefined) return undefined;
    return name === WORLD ? this.#world : join(this.#directory, file);
  }

  async #answer(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const url = request.url.split('?')[0] ?? '';
    const path = this.#pathOf(url.slice('/maps/'.length));
    const found = path === undefined ? undefined : await stat(path).catch(() => undefined);
    if (path === undefined || found === undefined || !found.isFile()) return problem(reply, 404, `no map ${url}`);
    const etag = `"${found.size.toString(36)}-${Math.trunc(found.mtimeMs).toString(36)}"`;
    reply
      .header('etag', etag)
      .header('accept-ranges', 'bytes')
      .header('cache-control', 'no-cache')
      .header('x-content-type-options', 'nosniff');
    if (request.headers['if-none-match'] === etag) return reply.code(304).send();
    reply.type('application/vnd.pmtiles');
    const range = request.headers.range;
    if (range === undefined) return reply.header('content-length', found.size).send(createReadStream(path));
    const wanted = rangeOf(range, found.size);
    if (wanted === undefined) {
      reply.header('content-range', `bytes */${found.size}`);
      return problem(reply, 416, `the file has ${found.size} bytes; one range of bytes can be asked for`);
    }
    const { start, end } = wanted;
    reply
      .code(206)
      .header('content-range', `bytes ${start}-${end}/${found.size}`)
      .header('content-length', end - start + 1);
    return reply.send(createReadStream(path, { start, end }));
  }
}

/** The one range of bytes of the header, cut to the size; undefined for any other. */
function rangeOf(header: string, size: number): { readonly start: number; readonly end: number } | undefined {
  const [, from = '', to = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header) ?? [];
  if (from === '' && to === '') return undefined;
  const start = from === '' ? Math.max(0, size - Number(to)) : Number(from);
  const end = from === '' || to === '' ? size - 1 : Math.min(size - 1, Number(to));
  return start > end ? undefined : { start, end };
}
