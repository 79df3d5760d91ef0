import { defineConfig } from 'vitest/config';

/** What takes too long for each run of `npm test`, which has a short form of it. */
export default defineConfig({
  test: {
    include: ['test/long/**/*.long.ts'],
    testTimeout: 3_600_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 1,
  },
});
