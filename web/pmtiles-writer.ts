import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { zxyToTileId } from 'pmtiles';

/** A tile of a vector map, with its gzipped content. */
export interface Tile {
  readonly z: number;
  readonly x: number;
  readonly y: number;
  readonly bytes: Uint8Array;
}

export interface MapFacts {
  readonly minZoom: number;
  readonly maxZoom: number;
  /** West, south, east, north, in degrees. */
  readonly bounds: readonly [number, number, number, number];
  readonly metadata: object;
}

interface Entry {
  readonly id: number;
  run: number;
  readonly offset: number;
  readonly length: number;
}

const HEADER_BYTES = 127;
/** The header and the root directory: what a reader fetches first. */
const FIRST_BYTES = 16_384;

/**
 * A PMTiles file of version 3 with one directory: header, directory, metadata, tiles (https://github.com/protomaps/PMTiles/blob/main/spec/v3/spec.md).
 * Equal tiles are in it once. Throws when the directory is too large for a file without leaf directories.
 */
export function pmtiles(tiles: readonly Tile[], facts: MapFacts): Buffer {
  const sorted = tiles.map((tile) => ({ id: zxyToTileId(tile.z, tile.x, tile.y), bytes: tile.bytes })).sort((a, b) => a.id - b.id);
  const contents = new Map<string, { readonly offset: number; readonly bytes: Uint8Array }>();
  const entries: Entry[] = [];
  let end = 0;
  for (const { id, bytes } of sorted) {
    const hash = createHash('sha256').update(bytes).digest('hex');
    let content = contents.get(hash);
    if (content === undefined) {
      content = { offset: end, bytes };
      contents.set(hash, content);
      end += bytes.length;
    }
    const last = entries.at(-1);
    if (last !== undefined && last.offset === content.offset && last.id + last.run === id) last.run++;
    else entries.push({ id, run: 1, offset: content.offset, length: bytes.length });
  }
  const directory = gzipSync(directoryOf(entries), { level: 9 });
  if (HEADER_BYTES + directory.length > FIRST_BYTES) throw new Error(`a directory of ${directory.length} bytes needs leaf directories`);
  const metadata = gzipSync(JSON.stringify(facts.metadata), { level: 9 });
  const counts = { addressed: sorted.length, entries: entries.length, contents: contents.size };
  const header = headerOf(facts, directory.length, metadata.length, end, counts);
  return Buffer.concat([header, directory, metadata, ...[...contents.values()].map(({ bytes }) => bytes)]);
}

/** Number of entries; differences of ids; runs; lengths; offsets, 0 for "right behind the one before". All varints. */
function directoryOf(entries: readonly Entry[]): Uint8Array {
  const out: number[] = [];
  const put = (value: number): void => {
    let rest = value;
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) out.push((rest % 0x80) + 0x80);
    out.push(rest);
  };
  put(entries.length);
  entries.forEach(({ id }, index) => {
    put(id - (entries[index - 1]?.id ?? 0));
  });
  for (const { run } of entries) put(run);
  for (const { length } of entries) put(length);
  entries.forEach(({ offset }, index) => {
    const before = entries[index - 1];
    put(before !== undefined && before.offset + before.length === offset ? 0 : offset + 1);
  });
  return Uint8Array.from(out);
}

function headerOf(
  { minZoom, maxZoom, bounds }: MapFacts,
  directory: number,
  metadata: number,
  data: number,
  counts: { readonly addressed: number; readonly entries: number; readonly contents: number },
): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write('PMTiles', 0, 'latin1');
  header[7] = 3;
  const metadataAt = HEADER_BYTES + directory;
  const dataAt = metadataAt + metadata;
  const numbers = [
    HEADER_BYTES,
    directory,
    metadataAt,
    metadata,
    // Leaf directories: none, of no length.
    dataAt,
    0,
    dataAt,
    data,
    counts.addressed,
    counts.entries,
    counts.contents,
  ];
  numbers.forEach((number, index) => {
    header.writeBigUInt64LE(BigInt(number), 8 + 8 * index);
  });
  // Clustered; directories and tiles gzipped; vector tiles; zooms.
  header.set([1, 2, 2, 1, minZoom, maxZoom], 96);
  bounds.forEach((degrees, index) => {
    header.writeInt32LE(Math.round(degrees * 1e7), 102 + 4 * index);
  });
  header[118] = minZoom;
  return header;
}
