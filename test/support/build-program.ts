import { createHash } from 'node:crypto';
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { bundle } from '../../tools/build/bundle.ts';
import { buildPages } from './pages.ts';
import { TESTED } from './program.ts';

const ROOT = join(import.meta.dirname, '../..');
const SOURCES = ['src', 'codecs', 'bin', 'web', 'tools/build', 'package.json', 'package-lock.json'];
/** Of earlier sources: some may be those of a run that is under way. */
const MOST_KEPT = 8;

/** Builds the program of `program.ts` before the first test; once for the same sources. Other runs of tests may be at it, too. */
export default async function setup(): Promise<void> {
  const directory = join(ROOT, 'node_modules/.cache/fixgate/program', hashOfSources());
  if (!existsSync(directory)) {
    const beside = `${directory}.${process.pid}`;
    await bundle(join(beside, 'dist'));
    buildPages(join(beside, 'dist/console'));
    for (const name of ['bin', 'package.json']) cpSync(join(ROOT, name), join(beside, name), { recursive: true });
    try {
      renameSync(beside, directory);
    } catch (error) {
      rmSync(beside, { recursive: true, force: true });
      if (!existsSync(directory)) throw error;
    }
    removeOld(dirname(directory));
  }
  process.env[TESTED] = join(directory, 'bin/fixgate.js');
}

function removeOld(directory: string): void {
  const age = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const all = readdirSync(directory).map((name) => join(directory, name));
  const old = all.sort((a, b) => age(b) - age(a)).slice(MOST_KEPT);
  for (const path of old) rmSync(path, { recursive: true, force: true });
}

function hashOfSources(): string {
  const hash = createHash('sha256');
  for (const source of SOURCES) {
    const path = join(ROOT, source);
    const files = source.includes('.')
      ? [path]
      : readdirSync(path, { recursive: true, withFileTypes: true }).flatMap((entry) =>
          entry.isFile() ? [join(entry.parentPath, entry.name)] : [],
        );
    for (const file of files.sort())
      hash
        .update(`${relative(ROOT, file)}\0`)
        .update(readFileSync(file))
        .update('\0');
  }
  return hash.digest('hex').slice(0, 16);
}
