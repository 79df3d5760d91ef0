import { createReadStream } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { jsonOf } from '../base/json.ts';
import { RETRY_S } from './console.ts';
import { problem } from './problem.ts';
import { NO_BODY, NOTHING, type Route, route } from './route.ts';

/**
 * Maps as PMTiles files, read by ranges: the one that is built with the console, `world`, and those that an operator puts into
 * `<dataDir>/maps`. Without a token: they say nothing about devices.
 */
const NAME = /^([a-z0-9_-]{1,64})\.pmtiles$/;
const WORLD = 'world';

export const MAPS_PATH = '/maps/{file}';

/** Bytes of a header of PMTiles 3, and what in them is not worth reading beyond. */
const HEADER_BYTES = 127;
const MOST_METADATA = 1_048_576;

const mapFile = z
  .object({
    name: z.string(),
    bytes: z.int(),
    minzoom: z.int(),
    maxzoom: z.int(),
    bounds: z.array(z.number()).describe('west, south, east, north, in degrees'),
    attribution: z.string().describe('may be HTML'),
    kind: z.enum(['world', 'protomaps', 'other']).describe('which layers it has'),
  })
  .meta({ id: 'map' });
type MapFile = z.infer<typeof mapFile>;

const example: MapFile = {
  name: 'world',
  bytes: 4_643_673,
  minzoom: 0,
  maxzoom: 6,
  bounds: [-180, -85.0511, 180, 85.0511],
  attribution: 'Natural Earth · GeoNames (CC BY 4.0)',
  kind: 'world',
};

/** `maps`: undefined without the console. */
export function mapRoutes(maps: Maps | undefined): readonly Route[] {
  return [
    route({
      method: 'GET',
      path: '/v1/maps',
      scope: 'none',
      limits: 'open',
      audits: 'nothing',
      about: 'Maps that `/maps/{name}.pmtiles` has: the one of the world, and those in `<dataDir>/maps`.',
      params: NOTHING,
      query: NOTHING,
      body: NO_BODY,
      answers: { 200: { about: 'the maps, by name', schema: z.array(mapFile), example: [example] } },
      run: async () => (await maps?.list()) ?? [],
    }),
  ];
}

export class Maps {
  readonly #directory: string;
  #world: string | undefined;
  #isWorldAwaited = true;

  constructor(dataDir: string) {
    this.#directory = join(dataDir, 'maps');
  }

  /** The file that was built. */
  addWorld(path: string): void {
    this.#world = path;
  }

  /** There is none, and none will come. */
  abandonWorld(): void {
    this.#isWorldAwaited = false;
  }

  serve(server: FastifyInstance): void {
    server.get('/maps/:file', (request, reply) => this.#answer(request, reply));
  }

  /** Those that can be read. */
  async list(): Promise<MapFile[]> {
    const names = await readdir(this.#directory).catch(() => []);
    const own = names.filter((file) => file !== `${WORLD}.pmtiles` && NAME.test(file)).sort();
    const found = await Promise.all([`${WORLD}.pmtiles`, ...own].map((file) => this.#describe(file)));
    return found.filter((map) => map !== undefined);
  }

  async #describe(file: string): Promise<MapFile | undefined> {
    const path = this.#pathOf(file);
    if (path === undefined) return undefined;
    try {
      return await described(path, NAME.exec(file)?.[1] ?? '');
    } catch {
      // Gone meanwhile, or of another format.
      return undefined;
    }
  }

  /** Only a name of the form that maps have reaches the file system. */
  #pathOf(file: string): string | undefined {
    const name = NAME.exec(file)?.[1];
    if (name === undefined) return undefined;
    return name === WORLD ? this.#world : join(this.#directory, file);
  }

  async #answer(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const url = request.url.split('?')[0] ?? '';
    const file = url.slice('/maps/'.length);
    const path = this.#pathOf(file);
    if (path === undefined && file === `${WORLD}.pmtiles` && this.#isWorldAwaited)
      return problem(reply.header('retry-after', RETRY_S), 503, 'the map of the world is being built');
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

/** Undefined for what is not a vector map in a PMTiles file of version 3. */
async function described(path: string, name: string): Promise<MapFile | undefined> {
  const file = await open(path);
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    await file.read(header, 0, HEADER_BYTES, 0);
    if (header.toString('latin1', 0, 7) !== 'PMTiles' || header[7] !== 3 || header[99] !== 1) return undefined;
    const length = Math.min(MOST_METADATA, Number(header.readBigUInt64LE(32)));
    const packed = Buffer.alloc(length);
    await file.read(packed, 0, length, Number(header.readBigUInt64LE(24)));
    const text = header[97] === 2 ? gunzipSync(packed, { maxOutputLength: MOST_METADATA }) : packed;
    const metadata: unknown = jsonOf(String(text));
    const { attribution = '', vector_layers = [] } = Object(metadata);
    const layers = new Set(Array.isArray(vector_layers) ? vector_layers.map((layer) => Object(layer).id) : []);
    return {
      name,
      bytes: (await file.stat()).size,
      minzoom: header.readUInt8(100),
      maxzoom: header.readUInt8(101),
      bounds: [102, 106, 110, 114].map((at) => header.readInt32LE(at) / 1e7),
      attribution: String(attribution),
      kind: name === WORLD ? 'world' : ['earth', 'water', 'roads'].every((layer) => layers.has(layer)) ? 'protomaps' : 'other',
    };
  } finally {
    await file.close();
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
