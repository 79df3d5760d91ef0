import { afterAll } from 'vitest';
import { dropDatabases } from './engine.ts';

/** After each file: what its servers have left behind is merged and kept in memory no more. */
afterAll(dropDatabases);
