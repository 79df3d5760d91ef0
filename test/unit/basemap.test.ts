import { PMTiles } from 'pmtiles';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/simulate/random.ts';
import { unwrapped } from '../../web/basemap.ts';
import { pmtiles, type Tile } from '../../web/pmtiles-writer.ts';

const FACTS = { minZoom: 0, maxZoom: 3, bounds: [-180, -85, 180, 85], metadata: { name: 'test' } } as const;
const text = (bytes: ArrayBuffer | undefined): string => new TextDecoder().decode(bytes);

function reader(file: Buffer): PMTiles {
  return new PMTiles({
    getKey: () => 'memory',
    getBytes: async (offset, length) => ({ data: Uint8Array.from(file.subarray(offset, offset + length)).buffer }),
  });
}

describe('the writer of PMTiles', () => {
  const tile = (z: number, x: number, y: number, content: string): Tile => ({ z, x, y, bytes: Buffer.from(content) });

  it('puts every tile where the reader finds it, whatever their order', async () => {
    const tiles = [tile(3, 7, 7, 'c'), tile(0, 0, 0, 'world'), tile(2, 1, 3, 'b'.repeat(300)), tile(1, 0, 1, 'a')];
    // Of tiles that are not compressed, so that the reader gives them back as they are.
    const file = pmtiles(tiles, FACTS);
    file[98] = 1;
    const map = reader(file);
    for (const { z, x, y, bytes } of tiles) expect(text((await map.getZxy(z, x, y))?.data)).toBe(String(bytes));
    expect(await map.getZxy(3, 0, 0)).toBeUndefined();
    expect(await map.getMetadata()).toEqual({ name: 'test' });
  });

  it('stores equal tiles once, and neighbours as a run', async () => {
    const all: Tile[] = [];
    for (let x = 0; x < 8; x++) for (let y = 0; y < 8; y++) all.push(tile(3, x, y, x === 5 ? 'land' : 'sea'));
    const file = pmtiles(all, FACTS);
    file[98] = 1;
    const map = reader(file);
    const header = await map.getHeader();
    expect(header).toMatchObject({ numAddressedTiles: 64, numTileContents: 2 });
    expect(header.numTileEntries).toBeLessThan(20);
    for (const { z, x, y, bytes } of all) expect(text((await map.getZxy(z, x, y))?.data)).toBe(String(bytes));
  });

  it('refuses what does not fit into one directory', () => {
    const random = new Random(1);
    const many = Array.from({ length: 20_000 }, (_, index) =>
      tile(8, index % 256, Math.floor(index / 256), `${index} ${'x'.repeat(random.int(500))}`),
    );
    expect(() => pmtiles(many, FACTS)).toThrow('leaf directories');
  });
});

describe('rings of land', () => {
  const ring = (...points: [number, number][]): number[][] | undefined =>
    unwrapped({ type: 'Polygon', coordinates: [points] }).coordinates[0]?.[0];

  it('go on beyond the antimeridian', () => {
    expect(ring([170, 0], [-170, 0], [-170, 10], [170, 10], [170, 0])).toEqual([
      [170, 0],
      [190, 0],
      [190, 10],
      [170, 10],
      [170, 0],
    ]);
  });

  it('around the pole are closed along 90° south', () => {
    const closed = ring([-180, -70], [-90, -75], [0, -70], [90, -75], [179, -70], [-180, -70]) ?? [];
    expect(closed.slice(-3)).toEqual([
      [180, -90],
      [-180, -90],
      [-180, -70],
    ]);
  });

  it('are left alone elsewhere', () => {
    expect(ring([10, 50], [11, 50], [11, 51], [10, 50])).toHaveLength(4);
  });
});
