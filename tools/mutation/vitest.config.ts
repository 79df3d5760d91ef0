import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { projects, reached } from '../../test/support/projects.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Not here: tests of the text of the sources, which Stryker changes, and those of what only a process can do. */
const OUT = ['architecture', 'documents', 'references', 'words', 'support/discipline', 'journal/known-errors', 'plan/month'];
/** Of what these are about, tests run the core beside real stores. */
const ROOMS = /^test\/(api|command|flow|installation|journal|lock|plan|privacy|registry|ship|sink|socket|state|unit)\//;
/** A test runs the core itself when it imports a module of it, on its own or by its rig, */
const IMPORTS_CORE = /^(import|export) (?!type)[^;]*from '[./]+\/(src\/(base|codec|journal|state|fleet|in|out)|codecs)\//m;
/** unless it starts a server: there the mutant is not active. What the command line does beside is soon done. */
const STARTS_SERVER = /\/(helpers\/server|support\/api-server)\.ts'/;

function runsCore(file: string): boolean {
  const sources = reached(join(ROOT, file));
  return ROOMS.test(file) && sources.some((text) => IMPORTS_CORE.test(text)) && !sources.some((text) => STARTS_SERVER.test(text));
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
