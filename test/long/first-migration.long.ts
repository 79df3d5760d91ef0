import { afterAll, expect, it } from 'vitest';
import { cleanUp } from '../embedded/child.ts';
import { killedAtFirstMigration } from '../sink/killed-engine.ts';

afterAll(cleanUp);

it('an engine that is killed at whichever statement of its first migration gets rows from the running server', async () => {
  expect(await killedAtFirstMigration({ step: 1, kills: 1 })).toBeGreaterThan(10);
});
