import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { chdbInstalled, cleanUp, freshDirectory, start } from '../embedded/child.ts';
import { ENGINE_PASSWORD, ENGINE_URL } from './engine.ts';

/** Starts the engine of `engine.ts` for a run of tests. It ends with the run, also with one that is killed. */
export default async function setup(): Promise<() => Promise<void>> {
  if (!chdbInstalled) return async () => {};
  const directory = await freshDirectory();
  const running = await start(directory);
  process.env[ENGINE_URL] = running.url;
  process.env[ENGINE_PASSWORD] = readFileSync(join(directory, 'secret'), 'utf8').trim();
  return cleanUp;
}
