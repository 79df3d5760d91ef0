import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    reporters: ['default', './test/support/verdict.ts'],
    // Most of them wait for a server, a disk or a clock.
    maxWorkers: 2,
  },
});
