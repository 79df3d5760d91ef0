import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { brotliCompressSync, constants } from 'node:zlib';
import { placesOf } from '../src/cli/page-cache.ts';
import { licenceOf } from '../tools/build/licences.ts';

/**
 * Builds the pages of the console and the map below the devices, each once: they are cached by what they are made from.
 *
 *   node web/build.ts                      into the cache; a server that started it is told where
 *   node web/build.ts --out dist/console   also copied to there
 *
 * What is built lies beside the cache until it is whole, so two processes that build at once do not meet.
 */
const ROOT = join(import.meta.dirname, '..');
const COMPRESSED = /\.(html|js|css|svg|txt)$/;
/** More takes ten times as long for 3 %. */
const BROTLI_QUALITY = 9;

const places = placesOf(ROOT);
const { values } = parseArgs({ options: { out: { type: 'string' } } });
await cachePages(places.pages);
await tell({ type: 'console', directory: places.pages });
if (!existsSync(places.map)) (await import('./basemap.ts')).writeWorldMap(places.map);
await tell({ type: 'map', path: places.map });
if (values.out !== undefined) {
  rmSync(values.out, { recursive: true, force: true });
  cpSync(places.pages, values.out, { recursive: true });
  mkdirSync(join(values.out, 'maps'));
  cpSync(places.map, join(values.out, 'maps/world.pmtiles'));
}

/** Resolves when the server that started this process has it. */
async function tell(message: object): Promise<void> {
  if (process.connected) await new Promise((resolve) => process.send?.(message, undefined, undefined, resolve));
}

async function cachePages(directory: string): Promise<void> {
  if (existsSync(directory)) return;
  const beside = `${directory}.${process.pid}`;
  // Loaded only when something is built.
  const { build } = await import('vite');
  await build({
    configFile: join(import.meta.dirname, 'vite.config.ts'),
    root: import.meta.dirname,
    logLevel: 'warn',
    build: { outDir: beside, emptyOutDir: true },
  });
  writeFileSync(join(beside, 'licences.txt'), licences());
  for (const name of readdirSync(beside, { recursive: true, encoding: 'utf8' })) {
    if (!COMPRESSED.test(name)) continue;
    const path = join(beside, name);
    writeFileSync(`${path}.br`, brotliCompressSync(readFileSync(path), { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } }));
  }
  try {
    renameSync(beside, directory);
  } catch (error) {
    rmSync(beside, { recursive: true, force: true });
    if (!existsSync(directory)) throw error;
  }
  // Of earlier pages: a server has those that it serves in memory.
  for (const name of readdirSync(dirname(directory)))
    if (!name.includes('.') && name !== basename(directory)) rmSync(join(dirname(directory), name), { recursive: true, force: true });
}

/** Of the packages that are in the pages, and of what those are made of: their licences ask for it. */
function licences(): string {
  const found = new Map<string, string>();
  const require = createRequire(import.meta.url);
  const add = (name: string, from: string): void => {
    const directory = [from, ROOT].map((base) => join(base, 'node_modules', name)).find((path) => existsSync(join(path, 'package.json')));
    const licence = directory === undefined || found.has(directory) ? undefined : licenceOf(directory);
    if (directory === undefined || licence === undefined) return;
    found.set(directory, licence);
    const facts = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
    for (const dependency of Object.keys(facts.dependencies ?? {})) if (!dependency.startsWith('@types/')) add(dependency, directory);
  };
  for (const name of ['preact', '@preact/signals', 'maplibre-gl', 'pmtiles']) add(name, dirname(require.resolve('../package.json')));
  const sources = 'Map: Natural Earth (public domain); names of places: GeoNames, CC BY 4.0, https://www.geonames.org\n';
  return [sources, ...found.values()].join('\n');
}
