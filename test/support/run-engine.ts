import { createClient } from '@clickhouse/client';
import { migrate } from '../../src/out/sink/clickhouse/migrate.ts';
import { chdbInstalled, cleanUp, clientOf, freshDirectory, start } from '../embedded/child.ts';
import { ENGINE_PASSWORD, ENGINE_URL, TEMPLATE } from './engine.ts';

/** Starts the engine of `engine.ts` for a run of tests. It ends with the run, also with one that is killed. */
export default async function setup(): Promise<() => Promise<void>> {
  if (!chdbInstalled) return async () => {};
  const { url } = await start(await freshDirectory());
  const access = clientOf(url);
  const client = createClient(access);
  await migrate(client, TEMPLATE, 'tests');
  await client.close();
  process.env[ENGINE_URL] = url;
  process.env[ENGINE_PASSWORD] = access.password;
  return cleanUp;
}
