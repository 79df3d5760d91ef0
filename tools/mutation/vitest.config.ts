import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { projects } from '../../test/support/projects.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Not here: tests of the text of the sources, which Stryker changes, and those of what only a process can do. */
const OUT = ['architecture', 'documents', 'references', 'words', 'support/discipline', 'journal/known-errors', 'plan/month'];
/** Rooms of the core of which tests run it beside real stores. */
const ROOMS = /^test\/(command|flow|installation|journal|lock|plan|privacy|registry|ship|sink|state)\//;
/** A test that imports a module of the core runs it itself, */
const IMPORTS_CORE = /^import (?!type)[^;]*from '[./]+\/(src\/(base|codec|journal|state|fleet|in|out)|codecs)\//m;
/** unless it starts a server: there the mutant is not active. */
const STARTS_SERVER = /\/(helpers\/(server|whole)|support\/(program|api-server))\.ts'/;

function runsCore(file: string): boolean {
  const source = readFileSync(join(ROOT, file), 'utf8');
  return ROOMS.test(file) && IMPORTS_CORE.test(source) && !STARTS_SERVER.test(source);
}

/** Stryker switches mutants on in the thread that runs the tests: those of the unit project, and those that run the core beside real stores. */
export default defineConfig({
  test: {
    include: [...projects().unit, ...projects().whole.filter(runsCore)].filter(
      (file) => !OUT.some((name) => file === `test/${name}.test.ts`),
    ),
    globalSetup: join(ROOT, 'test/support/run-engine.ts'),
    testTimeout: 60_000,
  },
});
