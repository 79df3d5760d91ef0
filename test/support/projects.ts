import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/**
 * Which project a test file belongs to. Nothing is listed by hand: a file that reaches, through the files of the tests, a
 * process or a socket is of `whole`; the rest is `unit`, which `npm run check` runs.
 */
const ROOT = join(import.meta.dirname, '../..');
const TESTS = join(ROOT, 'test');
const OUTSIDE =
  /from '(node:(child_process|net|dgram|http|https)|[./]+\/src\/(api\/server|simulate\/fleet|in\/listen\/[a-z-]+|cluster\/running|base\/lock\/lock)\.ts)'/;

const IMPORT = /^(?:import|export) [^;]*?from '(\.[^']+)'/gm;

export type ProjectName = 'unit' | 'whole' | 'torture';

/** Paths from the root of the repository. */
export function projects(): Readonly<Record<ProjectName, string[]>> {
  const found: Record<ProjectName, string[]> = { unit: [], whole: [], torture: [] };
  for (const file of testFiles()) {
    const name = relative(ROOT, file);
    found[name.startsWith('test/torture/') ? 'torture' : reachesOutside(file) ? 'whole' : 'unit'].push(name);
  }
  return found;
}

/** The files with tests that have a long form. */
export function longForms(): string[] {
  return testFiles()
    .filter((file) => readFileSync(file, 'utf8').includes("/support/thorough.ts'"))
    .map((file) => relative(ROOT, file));
}

function testFiles(): string[] {
  const names = readdirSync(TESTS, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.ts'));
  return names.sort().map((name) => join(TESTS, name));
}

function reachesOutside(file: string): boolean {
  return reached(file).some((text) => OUTSIDE.test(text));
}

/** The text of a file of the tests, and of those that it imports. */
export function reached(file: string, seen = new Set<string>()): readonly string[] {
  if (!file.startsWith(`${TESTS}/`) || seen.has(file)) return [];
  seen.add(file);
  const source = readFileSync(file, 'utf8');
  return [source, ...[...source.matchAll(IMPORT)].flatMap(([, from = '']) => reached(join(dirname(file), from), seen))];
}
