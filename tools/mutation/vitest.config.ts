import { defineConfig } from 'vitest/config';
import { projects } from '../../test/support/projects.ts';

/** Not here: tests of the text of the sources, which Stryker changes, and one of what only a process can do. */
const OUT = ['architecture', 'documents', 'references', 'words', 'support/discipline', 'journal/known-errors'];

/** Stryker switches mutants on in the thread that runs the tests: those of the unit project, all in one. */
export default defineConfig({
  test: {
    include: projects().unit.filter((file) => !OUT.some((name) => file === `test/${name}.test.ts`)),
    testTimeout: 60_000,
  },
});
