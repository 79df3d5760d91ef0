import { afterAll, describe, expect, it } from 'vitest';
import { chdbInstalled, cleanUp } from '../embedded/child.ts';
import { killedAtFirstMigration } from './killed-engine.ts';

afterAll(cleanUp);

describe.skipIf(!chdbInstalled)('an engine that is killed while it gets its tables', () => {
  it('gets rows from the running server, killed again and again in its first migration; test/long has every statement alone', async () => {
    expect(await killedAtFirstMigration({ step: 12, kills: 100 })).toBeGreaterThan(2);
  });
});
