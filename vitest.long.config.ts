import { defineConfig } from 'vitest/config';
import { longForms } from './test/support/projects.ts';

/** What takes too long for each run of `npm test`: tests of their own, and the long form of those that have a short one. */
export default defineConfig({
  test: {
    include: ['test/long/**/*.long.ts', ...longForms()],
    globalSetup: ['./test/support/build-program.ts', './test/support/run-engine.ts'],
    setupFiles: './test/support/drop-databases.ts',
    env: { FIXGATE_TEST_LONG: '1' },
    testTimeout: 3_600_000,
    hookTimeout: 180_000,
    pool: 'forks',
    // Node reads the files itself: no test replaces a module.
    experimental: { viteModuleRunner: false, nodeLoader: false },
    maxWorkers: 1,
    reporters: ['default', './test/support/verdict.ts'],
  },
});
