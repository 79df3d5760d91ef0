import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { VectorTile } from '@mapbox/vector-tile';
import { PbfReader } from 'pbf';
import { PMTiles, type Source } from 'pmtiles';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildPages } from '../support/pages.ts';

/** What `web/build.ts` makes, by its bytes. */
const temporary = mkdtempSync(join(tmpdir(), 'fixgate-console-'));
const built = join(temporary, 'console');
beforeAll(() => buildPages(built));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

const gz = (path: string): number => gzipSync(readFileSync(path)).length;
const assets = (pattern: RegExp): string[] =>
  readdirSync(join(built, 'assets'))
    .filter((name) => pattern.test(name) && !name.endsWith('.br'))
    .map((name) => join(built, 'assets', name));
const sum = (paths: readonly string[]): number => paths.reduce((all, path) => all + gz(path), 0);

/** Ranges of a file, and how many were asked for. */
class FileSource implements Source {
  readonly #path: string;
  ranges = 0;

  constructor(path: string) {
    this.#path = path;
  }

  getKey(): string {
    return this.#path;
  }

  async getBytes(offset: number, length: number): Promise<{ data: ArrayBuffer }> {
    this.ranges++;
    const file = await open(this.#path);
    try {
      const data = new ArrayBuffer(length);
      await file.read(new Uint8Array(data), 0, length, offset);
      return { data };
    } finally {
      await file.close();
    }
  }
}

describe('the pages', () => {
  it('load with few requests and bytes', () => {
    const page = readFileSync(join(built, 'index.html'), 'utf8');
    const first = [...page.matchAll(/(?:src|href)="\/(assets\/[^"]+)"/g)].map(([, path = '']) => join(built, path));
    expect(first.length).toBeLessThanOrEqual(2);
    expect(sum([...first, join(built, 'index.html')])).toBeLessThanOrEqual(25_000);
  });

  it('load the map, its worker and each other screen when they are opened', () => {
    expect(assets(/^base-map-.*js$/)).toHaveLength(1);
    expect(sum(assets(/^base-map-.*js$/))).toBeLessThanOrEqual(310_000);
    expect(sum(assets(/^maplibre-gl-worker-.*js$/))).toBeLessThanOrEqual(155_000);
    for (const screen of assets(/^(?!index-|base-map-|maplibre).*js$/)) expect([screen, gz(screen) <= 10_000]).toEqual([screen, true]);
  });

  it('are small without the map below the devices', () => {
    expect(sum(assets(/./))).toBeLessThanOrEqual(650_000);
  });

  it('have nothing inline that their own policy refuses', () => {
    const page = readFileSync(join(built, 'index.html'), 'utf8');
    expect(page).not.toMatch(/<style|style=|<script(?![^>]* src=)|data:/);
  });

  it('have a compressed form beside each, and the licences of what is in them', () => {
    for (const path of [join(built, 'index.html'), ...assets(/\.(js|css|mjs)$/)])
      expect(existsSync(`${path}.br`) && statSync(`${path}.br`).size < statSync(path).size, path).toBe(true);
    const text = readFileSync(join(built, 'licences.txt'), 'utf8');
    for (const name of ['preact', 'maplibre-gl', 'pmtiles', 'fflate', 'Natural Earth', 'GeoNames']) expect(text).toContain(name);
  });
});

describe('the map of the world', () => {
  const layersOf = async (z: number, x: number, y: number): Promise<Record<string, number>> => {
    const tile = await new PMTiles(new FileSource(join(built, 'maps/world.pmtiles'))).getZxy(z, x, y);
    const bytes = new Uint8Array(tile?.data ?? new ArrayBuffer(0));
    const { layers } = new VectorTile(new PbfReader(bytes[0] === 0x1f ? gunzipSync(bytes) : bytes));
    return Object.fromEntries(Object.entries(layers).map(([name, layer]) => [name, layer.length]));
  };

  it('is a PMTiles file that its reader reads', async () => {
    const path = join(built, 'maps/world.pmtiles');
    const source = new FileSource(path);
    const map = new PMTiles(source);
    const header = await map.getHeader();
    expect(header).toMatchObject({ specVersion: 3, clustered: true, minZoom: 0, maxZoom: 6, tileType: 1, tileCompression: 2 });
    expect(header.numAddressedTiles).toBeGreaterThan(3000);
    expect(statSync(path).size).toBeLessThanOrEqual(5_500_000);
    expect(await map.getMetadata()).toMatchObject({ attribution: expect.stringContaining('CC BY 4.0') });
    // Header and directory come with the first range.
    expect(source.ranges).toBeLessThanOrEqual(2);
  });

  it('has land, borders, coasts and places', async () => {
    expect(Object.keys(await layersOf(0, 0, 0)).sort()).toEqual(['border', 'coast', 'land', 'place']);
    // Stockholm.
    expect(await layersOf(6, 35, 18)).toMatchObject({ land: expect.any(Number), coast: expect.any(Number), place: expect.any(Number) });
  });

  it('has no land where the sea is', async () => {
    // South Pacific.
    expect(await layersOf(6, 8, 42)).toEqual({});
  });
});
