import { cpSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { type Plugin, rolldown } from 'rolldown';
import { licenceOf } from './licences.ts';

/**
 * Builds the server as the package and the image have it. Each module that a process loads costs it processor time and memory, so the
 * modules of `src`, of the codecs and of most packages are put together in few files.
 *
 *   node tools/build/bundle.ts dist
 *
 * 1. What is loaded by its path lies where the source has it: the program, its processes and threads, and what package.json exports.
 * 2. `import.meta.url` of a module is what it would be if it were a file of its own.
 * 3. A module is in one file only, so that a codec from another package meets the same `defineCodec` as the server.
 * 4. No file imports a built-in module: Node makes a module of all its exports then, and with `node:http` loads its HTTP client and its
 *    WebSockets for it. They are taken with `process.getBuiltinModule` instead.
 */
const ROOT = join(import.meta.dirname, '../..');
const LOADED_BY_PATH = [
  'src/main',
  'src/roles/worker-process',
  'src/roles/shipper-process',
  'src/roles/replay-thread',
  'src/roles/parked-thread',
  'src/embedded/main',
  'src/state/check-main',
  'src/explain/thread',
  'src/codec/index',
  'src/codec/kit/index',
  'src/base/wire/index',
  'src/out/record/contract',
];
/** They have machine code. */
const NATIVE = ['chdb', 'lmdb'];
const MODULE_URL = '__moduleUrl__';
const PACKAGE = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//;

/** Invariant 2. */
const moduleUrls: Plugin = {
  name: 'module-urls',
  transform(code, id) {
    if (!code.includes('import.meta.') || PACKAGE.test(relative(ROOT, id))) return null;
    if (/import\.meta\.(dirname|filename|main)\b/.test(code)) throw new Error(`${id}: of import.meta only url means the same in a bundle`);
    return code.replaceAll('import.meta.url', `${MODULE_URL}(${JSON.stringify(relative(ROOT, id).replace(/\.ts$/, '.js'))})`);
  },
  renderChunk(code, { fileName }) {
    return code.replaceAll(new RegExp(`${MODULE_URL}\\("([^"]+)"\\)`, 'g'), (_, path: string) => {
      const place = relative(dirname(fileName), path);
      return `new URL(${JSON.stringify(place.startsWith('.') ? place : `./${place}`)}, import.meta.url).href`;
    });
  },
};

/** An import of a built-in module as it stands in a chunk: whole (by default, or as a namespace), names of it, or both. */
const BUILT_IN = /^import (?:(?:\* as )?(\w+))?(?:, )?(?:\{([^}]*)\})? from ["'](node:[a-z_/]+)["'];$/gm;

/** Invariant 4. */
const builtIn: Plugin = {
  name: 'built-in',
  renderChunk(code) {
    const taken = code.replaceAll(BUILT_IN, (_, whole: string | undefined, names: string | undefined, from: string) => {
      const get = `process.getBuiltinModule("${from}")`;
      const parts = names === undefined ? '' : `const {${names.replaceAll(' as ', ': ')}} = ${get};`;
      return whole === undefined ? parts : `const ${whole} = ${get};${parts}`;
    });
    const left = /^(?:import|export) .*["']node:.*$/m.exec(taken);
    if (left !== null) throw new Error(`an import that this plugin does not know: ${left[0]}`);
    return taken;
  },
};

/** Into the directory `out`; what is there already stays. */
export async function bundle(out: string): Promise<void> {
  const build = await rolldown({
    cwd: ROOT,
    input: Object.fromEntries(LOADED_BY_PATH.map((name) => [name, join(ROOT, `${name}.ts`)])),
    platform: 'node',
    external: (id) => NATIVE.some((name) => id === name || id.startsWith(`${name}/`)),
    plugins: [moduleUrls, builtIn],
  });
  const { output } = await build.write({
    dir: out,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'src/parts/[name]-[hash].js',
    keepNames: true,
  });
  await build.close();
  cpSync(join(ROOT, 'src/state/lua'), join(out, 'src/state/lua'), { recursive: true });
  const packages = new Set(output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : [])).map((id) => PACKAGE.exec(id)?.[1]));
  const licences = [...packages].sort().flatMap((directory) => (directory === undefined ? [] : [licenceOf(directory)]));
  writeFileSync(join(out, 'licences.txt'), licences.join('\n'));
}

if (import.meta.main) await bundle(process.argv[2] ?? 'dist');
