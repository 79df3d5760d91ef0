import { defineConfig } from 'vitest/config';
import { projects } from './test/support/projects.ts';

const { unit, whole, torture } = projects();
/**
 * On two cores: what computes gets two workers, since each has its modules compiled for itself, beside the tests; what waits for servers
 * and clocks gets more. The time limits end a test that hangs; no test may depend on how long something takes.
 */
const COMPUTING = 2;
const WAITING = 6;
const PROGRAM = './test/support/build-program.ts';
const ENGINE = './test/support/run-engine.ts';
const DROP = './test/support/drop-databases.ts';

export default defineConfig({
  test: {
    reporters: ['default', './test/support/verdict.ts'],
    pool: 'forks',
    // Node reads the files itself: no test replaces a module.
    experimental: { viteModuleRunner: false, nodeLoader: false },
    testTimeout: 300_000,
    hookTimeout: 600_000,
    projects: [
      // Modules are loaded once for all files of a process: they keep nothing that a test could find (`torture` counts processes).
      { extends: true, test: { name: 'unit', include: unit, isolate: false, maxWorkers: COMPUTING, sequence: { groupOrder: 0 } } },
      {
        extends: true,
        test: {
          name: 'whole',
          include: whole,
          globalSetup: [PROGRAM, ENGINE],
          setupFiles: DROP,
          isolate: false,
          maxWorkers: WAITING,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: { name: 'torture', include: torture, globalSetup: PROGRAM, maxWorkers: WAITING, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
