import { afterAll, describe, expect, it } from 'vitest';
import { chdbInstalled, cleanUp } from '../embedded/child.ts';
import { killedAtFirstMigration } from './killed-engine.ts';

afterAll(cleanUp);

describe.skipIf(!chdbInstalled)('an engine that is killed while it gets its tables', () => {
  it('gets rows from the running server, at some statements of the first migration; test/long has all', async () => {
    expect(await killedAtFirstMigration(5)).toBeGreaterThan(2);
  });
});
